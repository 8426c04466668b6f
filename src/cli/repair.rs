//! `forebay backends repair`: a damaged registry in a file, made anew of what is left.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::app;
use crate::cli::error::CommandError;
use crate::clock;
use crate::config::settings::{RegistryKind, Settings};
use crate::observe::events::nodes_in_words;
use crate::registry::embedded::EmbeddedRegistry;
use crate::registry::last_list::LastListFile;
use crate::registry::{Registry as _, RegistryError, last_list};
use forebay_core::vocabulary::node::NodeRecord;

/// What SQLite puts beside its file.
const BESIDE: [&str; 3] = ["", "-wal", "-shm"];

pub fn run(settings: &Settings, out: &mut dyn Write) -> Result<(), CommandError> {
    if settings.registry.kind != RegistryKind::Embedded {
        return Err(CommandError::refused(
            "only the embedded registry is repaired; a table has point-in-time recovery",
        ));
    }
    let path = &settings.registry.path;
    let mut say = |text: String| writeln!(out, "{text}").map_err(CommandError::refused);
    if !path.exists() {
        let why = format!("there is no registry at {}", path.display());
        return Err(CommandError::refused(why));
    }
    let Err(why) = EmbeddedRegistry::open(path, app::nodes_environment()) else {
        return say(format!(
            "{} is sound: there is nothing to repair",
            path.display()
        ));
    };
    let mut saved = EmbeddedRegistry::salvage(path);
    for (name, _) in settings.all_chains() {
        let stored_as = settings.stored_as(&name).cloned();
        if saved.iter().all(|(chain, _)| *chain != stored_as) {
            saved.push((stored_as, Vec::new()));
        }
    }
    let last_list = &settings.registry.last_list;
    let aside = put_aside(path).map_err(CommandError::out_of_reach)?;
    let registry = EmbeddedRegistry::open(path, app::nodes_environment())
        .map_err(CommandError::out_of_reach)?;
    let (read, added) = super::setup::runtime()?.block_on(async {
        let (mut read, mut added) = (0, 0);
        for (chain, saved) in &saved {
            let registry = registry.of_chain(chain.as_ref());
            let last = LastListFile::new(last_list, chain.as_ref());
            let last = last_list::load(&last).unwrap_or_default();
            read += add_all(&registry, saved).await?;
            added += add_all(&registry, &last).await?;
        }
        Ok::<_, CommandError>((read, added))
    })?;
    say(format!("{why}"))?;
    say(format!(
        "{} is a new registry: {} of the damaged one could be read, {} of the last list came in beside, and \
         those of the configuration follow. The damaged one is {}",
        path.display(),
        nodes_in_words(read),
        nodes_in_words(added),
        aside.display()
    ))
}

fn put_aside(path: &Path) -> std::io::Result<PathBuf> {
    let with = |path: &Path, end: &str| {
        let mut name = path.as_os_str().to_os_string();
        name.push(end);
        PathBuf::from(name)
    };
    let aside = with(path, &format!(".damaged-{}", clock::unix_millis() / 1000));
    for end in BESIDE {
        let file = with(path, end);
        if file.exists() {
            fs::rename(file, with(&aside, end))?;
        }
    }
    Ok(aside)
}

/// How many were added; a node that is there already, or can't stand beside them, isn't.
async fn add_all(
    registry: &EmbeddedRegistry,
    records: &[NodeRecord],
) -> Result<usize, CommandError> {
    let mut added = 0;
    for record in records {
        match registry.add(record).await {
            Ok(_) => added += 1,
            Err(why @ RegistryError::OutOfReach { .. }) => {
                return Err(CommandError::out_of_reach(why));
            }
            Err(_) => {}
        }
    }
    Ok(added)
}

//! The chains of the settings, one alone or several, and where the nodes of each are written down.

use std::path::{Path, PathBuf};

use super::settings::Settings;
use forebay_core::vocabulary::chain::ChainName;

impl Settings {
    /// Every chain with its settings; one alone is called `main`.
    pub fn all_chains(&self) -> impl Iterator<Item = (ChainName, &Settings)> {
        let alone = self.chains.is_empty();
        let alone = alone.then(|| (ChainName::main(), self));
        let named = self.chains.iter();
        let named = named.map(|chain| (chain.name.clone(), &chain.settings));
        alone.into_iter().chain(named)
    }
}

/// Nodes of chains other than the default stand where those who know of one chain alone don't look.
pub(super) fn keep_apart(settings: &mut Settings) {
    let is_alone = settings.chains.len() == 1;
    let shared = settings.registry.clone();
    for chain in &mut settings.chains {
        if chain.is_default || is_alone {
            continue;
        }
        let registry = &mut chain.settings.registry;
        for path in [&mut registry.path, &mut registry.last_list] {
            *path = named_apart(path, &chain.name);
        }
        if registry.table == shared.table {
            registry.table = format!("{}-{}", shared.table, chain.name);
        }
    }
}

/// `data/forebay-base.db` of `data/forebay.db`.
fn named_apart(path: &Path, name: &ChainName) -> PathBuf {
    let mut file = path.file_stem().unwrap_or_default().to_os_string();
    file.push(format!("-{name}"));
    if let Some(extension) = path.extension() {
        file.push(".");
        file.push(extension);
    }
    path.with_file_name(file)
}

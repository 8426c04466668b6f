//! `forebay backends`: single nodes (see [`backends`]), and a registry as a whole: its tables made,
//! its list copied to another.

use std::io::{self, Write};

use clap::{Subcommand, ValueEnum};

use super::setup::{registry, runtime};
use super::table::printable;
use super::{backends, other_chains};
use crate::app;
use crate::cli::backend_error::BackendError;
use crate::cli::backends::BackendCommand;
use crate::cli::error::CommandError;
use crate::config::settings::{RegistryKind, Settings};
use crate::registry::{Listing, NodeEdit, Registry, RegistryError, RegistryItem, differences};
use forebay_core::vocabulary::chain::ChainName;
use forebay_core::vocabulary::node::NodeRecord;

/// The nodes that calls are shared among. A running balancer follows a change within seconds.
#[derive(Clone, Subcommand)]
pub enum RegistryCommand {
    #[command(flatten)]
    Backends(BackendCommand),
    /// Make the tables in DynamoDB where they are missing.
    Init,
    /// Say how the registry differs from the configuration's `nodes`: exit code 5 where it does.
    Diff,
    /// Make a damaged registry anew, of what can be read of it and of the last list.
    Repair,
    /// Copy all nodes from one registry to another; what is there already stays as it is.
    Copy {
        /// Where the nodes are: `registry.path` of the configuration, or `registry.table`.
        #[arg(long, value_enum)]
        from: RegistryChoice,
        /// Where they are to be as well.
        #[arg(long, value_enum)]
        to: RegistryChoice,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RegistryChoice {
    Embedded,
    Dynamodb,
}

impl From<RegistryChoice> for RegistryKind {
    fn from(kind: RegistryChoice) -> RegistryKind {
        match kind {
            RegistryChoice::Embedded => RegistryKind::Embedded,
            RegistryChoice::Dynamodb => RegistryKind::Dynamo,
        }
    }
}

/// Carries out `command` on the registries that `settings` name of the chain called `chain`.
pub fn run(
    command: RegistryCommand,
    settings: &Settings,
    chain: Option<&ChainName>,
) -> Result<(), CommandError> {
    let (mut out, mut notes) = (io::stdout(), io::stderr());
    let chosen = || super::setup::chain(settings, chain);
    match command {
        RegistryCommand::Repair => super::repair::run(settings, &mut out),
        RegistryCommand::Backends(command) => {
            let chain = chosen()?;
            let (registry, environment) = (registry(&chain)?, app::nodes_environment());
            if let BackendCommand::Add(add) = &command {
                let others = other_chains::beside(settings, &chain);
                let refused = other_chains::refuse(&add.url, others, &*environment);
                runtime()?.block_on(refused)?;
            }
            let done = backends::run(
                command,
                &*registry,
                &chain,
                &*environment,
                (&mut out, &mut notes),
            );
            runtime()?.block_on(done).map_err(CommandError::from)
        }
        RegistryCommand::Diff => {
            let chain = chosen()?;
            let registry = registry(&chain)?;
            runtime()?.block_on(diff(&*registry, chain.settings, &mut out))
        }
        RegistryCommand::Init => runtime()?.block_on(init(chosen()?.settings, &mut out)),
        RegistryCommand::Copy { from, to } => {
            if from == to {
                return Err(CommandError::refused(
                    "--from and --to are the same registry",
                ));
            }
            let chain = chosen()?;
            let open = |kind: RegistryChoice| super::setup::open(kind.into(), &chain);
            let (from, to) = (open(from)?, open(to)?);
            let done = copy_all(&*from, &chain.settings.nodes, &*to, &mut out, &mut notes);
            runtime()?.block_on(done)
        }
    }
}

impl From<BackendError> for CommandError {
    fn from(failure: BackendError) -> CommandError {
        CommandError {
            code: failure.exit_code(),
            why: failure.to_string(),
        }
    }
}

/// What `diff` ends with where there is a difference.
const DIFFERS: u8 = 5;

async fn diff(
    registry: &dyn Registry,
    settings: &Settings,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let listing = registry.list().await.map_err(CommandError::out_of_reach)?;
    let environment = app::nodes_environment();
    let differences = differences::between(&settings.nodes, &listing.items, &*environment);
    for difference in &differences {
        writeln!(out, "{}", printable(&difference.to_string())).map_err(CommandError::refused)?;
    }
    match differences.is_empty() {
        true => Ok(()),
        false => Err(CommandError {
            code: DIFFERS,
            why: String::new(),
        }),
    }
}

const TERRAFORM: &str = "\
infra/terraform makes the same two tables (`aws_dynamodb_table`: PAY_PER_REQUEST,
deletion_protection_enabled, point_in_time_recovery) and the policy for the tasks beside them.
Where Terraform runs, leave the tables to it, or import these before its next apply.";

async fn init(settings: &Settings, out: &mut dyn Write) -> Result<(), CommandError> {
    if settings.registry.kind == RegistryKind::Embedded {
        return Err(CommandError::refused(
            "the embedded registry needs no init: its file is made when it is first opened; for \
             a table set `registry.kind: dynamodb`",
        ));
    }
    let registry = app::dynamo(&settings.registry);
    let told = registry.init().await.map_err(CommandError::out_of_reach)?;
    for sentence in told {
        writeln!(out, "{sentence}").map_err(CommandError::refused)?;
    }
    writeln!(out, "{TERRAFORM}").map_err(CommandError::refused)
}

/// Adds what `from` has, or will have when it follows `file`, to `to`, one by one: it stops at nothing but a registry out of reach.
async fn copy_all(
    from: &dyn Registry,
    file: &[NodeRecord],
    to: &dyn Registry,
    out: &mut dyn Write,
    notes: &mut dyn Write,
) -> Result<(), CommandError> {
    let Listing {
        items, rejected, ..
    } = from
        .list_following(file)
        .await
        .map_err(CommandError::out_of_reach)?;
    let mut refused: Vec<String> = rejected;
    let (mut copied, mut there) = (0_usize, 0_usize);
    for item in &items {
        match copy_one(item, to).await {
            Ok(_) => copied += 1,
            Err(RegistryError::Exists) => there += 1,
            Err(why @ RegistryError::OutOfReach { .. }) => {
                return Err(CommandError::out_of_reach(why));
            }
            Err(why) => refused.push(format!("{}: {why}", named(&item.record))),
        }
    }
    for refused in &refused {
        // A remark that can't be written is no reason to stop.
        drop(writeln!(notes, "not copied: {}", printable(refused)));
    }
    writeln!(out, "{copied} copied, {there} there already").map_err(CommandError::refused)?;
    match refused.len() {
        0 => Ok(()),
        count => Err(CommandError::refused(format!(
            "{count} could not be copied"
        ))),
    }
}

/// A drained node stays drained all the while; what it had before goes after it.
async fn copy_one(item: &RegistryItem, to: &dyn Registry) -> Result<(), RegistryError> {
    to.add(&item.record).await?;
    let Some(former) = item.former_weight.filter(|_| item.record.weight.drains()) else {
        return Ok(());
    };
    let edit = NodeEdit {
        former_weight: Some(former),
        ..NodeEdit::default()
    };
    to.set(&item.record.url, &edit).await.map(drop)
}

fn named(record: &NodeRecord) -> &str {
    record.name.as_deref().unwrap_or("a node without a name")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::registry::embedded::EmbeddedRegistry;
    use forebay_core::vocabulary::node::{Role, Weight};

    async fn copied(from: &dyn Registry, to: &dyn Registry) -> (String, Option<String>) {
        let (mut out, mut notes) = (Vec::new(), Vec::new());
        let file = [NodeRecord::at("http://b")];
        let done = copy_all(from, &file, to, &mut out, &mut notes).await;
        let told = String::from_utf8([out, notes].concat()).unwrap();
        (told, done.err().map(|failure| failure.why))
    }

    fn two(folder: &tempfile::TempDir) -> [EmbeddedRegistry; 2] {
        ["from.db", "to.db"].map(|name| {
            let environment = Arc::new(|_: &str| None);
            EmbeddedRegistry::open(&folder.path().join(name), environment).unwrap()
        })
    }

    #[tokio::test]
    async fn a_drained_node_takes_the_weight_it_had_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let [from, to] = two(&folder);
        let five = Weight::new(5).unwrap();
        let record = NodeRecord {
            weight: five,
            ..NodeRecord::at("http://a")
        };
        from.add(&record).await.unwrap();
        let drained = NodeEdit {
            weight: Some(Weight::NONE),
            ..NodeEdit::default()
        };
        from.set("http://a", &drained).await.unwrap();
        copied(&from, &to).await;
        let copy = &to.list().await.unwrap().items[0];
        assert_eq!(copy.record.weight, Weight::NONE);
        assert_eq!(copy.former_weight, Some(five));
    }

    #[tokio::test]
    async fn all_nodes_are_copied_once_and_what_cannot_be_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let [from, to] = two(&folder);
        let leader = NodeRecord {
            role: Role::Leader,
            name: Some("lead".to_string()),
            ..NodeRecord::at("https://a/${KEY}")
        };
        from.add(&leader).await.unwrap();
        from.add(&NodeRecord::at("http://b")).await.unwrap();
        let (told, failed) = copied(&from, &to).await;
        assert_eq!(
            (told.as_str(), failed),
            ("2 copied, 0 there already\n", None)
        );
        let records = async |registry: &EmbeddedRegistry| {
            let items = registry.list().await.unwrap().items.into_iter();
            items.map(|item| item.record).collect::<Vec<_>>()
        };
        assert_eq!(records(&from).await, records(&to).await);
        let (told, _) = copied(&from, &to).await;
        assert_eq!(told, "0 copied, 2 there already\n");
        from.remove("lead").await.unwrap();
        let other = NodeRecord {
            url: "https://c/s3cret".to_string(),
            name: Some("c".to_string()),
            ..leader
        };
        from.add(&other).await.unwrap();
        let (told, failed) = copied(&from, &to).await;
        assert!(told.contains("not copied: c: lead leads already"), "{told}");
        assert!(!told.contains("s3cret"));
        assert_eq!(failed.as_deref(), Some("1 could not be copied"));
    }
}

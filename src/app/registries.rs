//! Where the list of nodes is opened, and what of the environment nodes may see.

use std::sync::Arc;

use anyhow::bail;

use crate::config::settings::{self, RegistryKind, Settings};
use crate::registry::dynamo::{DynamoConfig, DynamoRegistry};
use crate::registry::embedded::EmbeddedRegistry;
use crate::registry::last_list::LastListFile;
use crate::registry::{Environment, Registry, RegistryError, last_head, last_list};
use forebay_core::vocabulary::chain::{ChainId, ChainName};

/// The process's environment, for `${NAME}` in the configuration.
pub fn environment() -> Environment {
    Arc::new(|name| std::env::var(name).ok())
}

/// What begins like this is the process's own, and no node's.
const OWN_VARIABLES: [&str; 2] = ["AWS_", "FOREBAY_"];

/// The same for `${NAME}` in nodes. A caller that may add a node chooses where its URL leads, so the URL
/// could carry off the credentials of the process: those are not given.
pub fn nodes_environment() -> Environment {
    let environment = environment();
    Arc::new(move |name| environment(name).filter(|_| is_nodes(name)))
}

fn is_nodes(name: &str) -> bool {
    !OWN_VARIABLES.iter().any(|start| name.starts_with(start))
}

/// Where the nodes of all chains are written down: one file, or one endpoint of DynamoDB, for all.
pub enum Registries {
    Embedded(EmbeddedRegistry),
    Dynamo(Box<DynamoRegistry>),
}

impl Registries {
    /// Of this kind, at the place that `settings` name for it.
    ///
    /// # Errors
    /// The embedded one can't be opened. A table is asked nothing yet.
    pub fn open(
        kind: RegistryKind,
        settings: &settings::RegistrySettings,
    ) -> Result<Registries, RegistryError> {
        Ok(match kind {
            RegistryKind::Embedded => {
                let opened = EmbeddedRegistry::open(&settings.path, nodes_environment())?;
                Registries::Embedded(opened)
            }
            RegistryKind::Dynamo => Registries::Dynamo(Box::new(dynamo(settings))),
        })
    }

    /// That of `chain`, by its own settings; `None`: of the default one.
    pub fn of_chain(
        &self,
        chain: Option<&ChainName>,
        settings: &settings::RegistrySettings,
    ) -> Arc<dyn Registry> {
        match self {
            Registries::Embedded(registry) => Arc::new(registry.of_chain(chain)),
            Registries::Dynamo(registry) => Arc::new(registry.beside(&place(settings))),
        }
    }
}

/// Of several chains the default one has its nodes where one chain alone had them, and a list is followed from
/// the first moment on: where the head beside the last list is another chain's, so are those nodes.
///
/// # Errors
/// It is.
pub(super) fn judge_default(settings: &Settings) -> anyhow::Result<()> {
    let mut chains = settings.chains.iter();
    let default = chains.find(|chain| settings.stored_as(&chain.name).is_none());
    let Some(default) = default else {
        return Ok(());
    };
    let last_list = LastListFile::new(&settings.registry.last_list, None);
    let at = last_head::beside(last_list.path());
    let was = last_head::load(&at).and_then(|head| head.chain_id);
    match (default.settings.chain.id.map(ChainId), was) {
        (Some(id), Some(was)) if id != was => bail!(
            "the nodes of the default chain, {name}, stand where those of chain {was} stood, and {name} is \
             chain {id}: mark the chain that they are of with `default: true`; if they are to be {name}'s, \
             remove {}",
            at.display(),
            name = default.name,
            id = id.0,
            was = was.0,
        ),
        _ => Ok(()),
    }
}

/// The registry of the configuration. One in a file that can't be opened is tried again and again where
/// there is another list to serve by meanwhile.
///
/// # Errors
/// The embedded one can't be opened, and there is no other list.
pub(super) fn registries(settings: &Settings) -> Result<Registries, RegistryError> {
    let place = &settings.registry;
    if place.kind == RegistryKind::Embedded && !place.path.exists() {
        log::info!("a new registry is made at {}", place.path.display());
    }
    let why = match Registries::open(place.kind, place) {
        Ok(registries) => return Ok(registries),
        Err(why) => why,
    };
    let has_another = |(name, of_chain): (ChainName, &Settings)| {
        let file = LastListFile::new(&place.last_list, settings.stored_as(&name));
        let last_list = last_list::load(&file);
        !of_chain.nodes.is_empty() || last_list.is_ok_and(|nodes| !nodes.is_empty())
    };
    if !settings.all_chains().any(has_another) {
        return Err(why);
    }
    log::error!(
        "{why}; `forebay backends repair` makes a new one of what can be read of it and of the last \
         list"
    );
    let later = EmbeddedRegistry::later(&place.path, nodes_environment());
    Ok(Registries::Embedded(later))
}

/// The registry in DynamoDB.
pub fn dynamo(settings: &settings::RegistrySettings) -> DynamoRegistry {
    DynamoRegistry::new(&place(settings), nodes_environment())
}

fn place(settings: &settings::RegistrySettings) -> DynamoConfig {
    DynamoConfig {
        table: settings.table.clone(),
        endpoint: settings.endpoint.clone(),
        lease: settings.lease,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_chain_is_not_given_the_nodes_of_another() {
        let folder = tempfile::tempdir().unwrap();
        let settings = |default: &str| {
            let mark = |name: &str| {
                if name == default {
                    ", default: true"
                } else {
                    ""
                }
            };
            let yaml = format!(
                "version: 1\nforebay:\n  registry: {{ last_list: {}/l.json }}\n  chains:\n    \
                 a: {{ id: 1{} }}\n    b: {{ id: 2{} }}\n",
                folder.path().display(),
                mark("a"),
                mark("b"),
            );
            crate::config::read(&yaml, &|_| None).settings.unwrap()
        };
        assert!(
            judge_default(&settings("b")).is_ok(),
            "nothing stands there"
        );
        let head = forebay_core::fleet::head_floor::HeadFloor {
            number: forebay_core::vocabulary::chain::BlockNumber(7),
            hash: None,
            chain_id: Some(ChainId(1)),
            raised_at: 1,
        };
        let at = last_head::beside(&folder.path().join("l.json"));
        last_head::save(&at, &head).unwrap();
        assert!(judge_default(&settings("a")).is_ok());
        assert!(judge_default(&settings("none")).is_ok());
        let why = judge_default(&settings("b")).unwrap_err().to_string();
        assert!(
            why.contains("b is chain 2") && why.contains("l.head.json"),
            "{why}"
        );
    }

    #[test]
    fn nodes_are_not_given_what_is_the_processs_own() {
        let (all, nodes) = (environment(), nodes_environment());
        // Every process of `cargo test` has these.
        assert!(all("CARGO_MANIFEST_DIR").is_some());
        assert_eq!(nodes("CARGO_MANIFEST_DIR"), all("CARGO_MANIFEST_DIR"));
        for name in ["AWS_SECRET_ACCESS_KEY", "AWS_", "FOREBAY_ADMIN_TOKEN"] {
            assert!(!is_nodes(name), "{name}");
        }
        for name in ["INFURA_KEY", "MY_AWS_KEY", "FOREBAY"] {
            assert!(is_nodes(name), "{name}");
        }
    }
}

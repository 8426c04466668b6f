//! The chains beside the one that a command is about: a node is one chain's.

use std::sync::Arc;

use super::setup::{self, ChosenChain};
use crate::cli::backend_error::BackendError;
use crate::config::settings::Settings;
use crate::registry::validation::{EnvironmentLookup, are_one_node};
use crate::registry::{Listing, Registry, RegistryError};
use forebay_core::vocabulary::chain::ChainName;
use forebay_core::vocabulary::node::NodeRecord;

/// A chain beside the one that a command is about.
pub(super) struct OtherChain<'a> {
    pub name: ChainName,
    /// `None`: it can't be opened.
    pub registry: Option<Arc<dyn Registry>>,
    /// As the configuration has them.
    pub nodes: &'a [NodeRecord],
}

/// Refuses a node at `url` that another chain has, as far as that can be read.
///
/// # Errors
/// It is there.
pub(super) async fn refuse(
    url: &str,
    others: Vec<OtherChain<'_>>,
    lookup: EnvironmentLookup<'_>,
) -> Result<(), BackendError> {
    let added = NodeRecord::at(url);
    for OtherChain {
        name,
        registry,
        nodes,
    } in others
    {
        let listing = match registry {
            Some(registry) => registry.list().await.unwrap_or_default(),
            None => Listing::default(),
        };
        let mut known = listing.items.iter().map(|item| &item.record).chain(nodes);
        if known.any(|record| are_one_node(record, &added, lookup)) {
            return Err(RegistryError::OtherChain(name.to_string()).into());
        }
    }
    Ok(())
}

/// The other chains, with their registries where they can be opened.
pub(super) fn beside<'a>(settings: &'a Settings, own: &ChosenChain<'_>) -> Vec<OtherChain<'a>> {
    let names = settings.all_chains().map(|(name, _)| name);
    let chosen = names.filter_map(|name| {
        let chain = setup::chain(settings, Some(&name)).ok()?;
        (chain.stored_as != own.stored_as).then_some((name, chain))
    });
    let other = |(name, chain): (ChainName, ChosenChain<'a>)| OtherChain {
        registry: setup::registry(&chain).ok(),
        nodes: &chain.settings.nodes,
        name,
    };
    chosen.map(other).collect()
}

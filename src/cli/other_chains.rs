//! The chains beside the one that a command is about: a node is one chain's.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::setup::{self, ChosenChain};
use crate::cli::backend_error::BackendError;
use crate::config::settings::Settings;
use crate::registry::validation::{EnvironmentLookup, are_one_node};
use crate::registry::{Registry, RegistryError, RegistryItem};
use forebay_core::vocabulary::chain::ChainName;
use forebay_core::vocabulary::node::NodeRecord;

/// The other chains' nodes are waited for so long, all at once.
const READ_MAX: Duration = Duration::from_secs(5);

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
    let looks = others.iter().map(|other| async {
        let is_it = |record: &NodeRecord| are_one_node(record, &added, lookup);
        let has_it = match other.list().await {
            Some(items) => items.iter().any(|item| is_it(&item.record)),
            None => other.nodes.iter().any(is_it),
        };
        has_it.then_some(&other.name)
    });
    match join_all(looks).await.into_iter().flatten().next() {
        Some(name) => Err(RegistryError::OtherChain(name.to_string()).into()),
        None => Ok(()),
    }
}

impl OtherChain<'_> {
    /// `None`: they can't be read, soon, or nothing was ever written there.
    async fn list(&self) -> Option<Vec<RegistryItem>> {
        let reading = self.registry.as_ref()?.list();
        let listing = timeout(READ_MAX, reading).await.ok()?.ok()?;
        (!listing.is_unwritten).then_some(listing.items)
    }
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

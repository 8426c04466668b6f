//! The configuration's nodes and the registry: that of one machine follows them, one of several
//! balancers takes them once; and wherever the two differ, it is said.

use std::collections::BTreeSet;

use crate::registry::validation::EnvironmentLookup;
use crate::registry::{
    FollowReport, ItemOrigin, Registry, RegistryError, RegistryItem, differences,
};
use crate::shared::snapshot::Snapshot;
use forebay_core::vocabulary::node::NodeRecord;

/// What the registry and the log have been told.
#[derive(Default)]
pub struct ConfigFollower {
    /// The nodes that the registry has heard of.
    heard: Option<Vec<NodeRecord>>,
    /// The registry follows them.
    follows: bool,
    differences: BTreeSet<String>,
}

impl ConfigFollower {
    /// Lets the registry hear of `nodes`, unless it has.
    ///
    /// # Errors
    /// It is out of reach, and with the operation that failed. Nodes that it can't take are told.
    pub async fn heed(
        &mut self,
        registry: &dyn Registry,
        nodes: &[NodeRecord],
    ) -> Result<(), (&'static str, RegistryError)> {
        if self.heard.as_deref() == Some(nodes) {
            return Ok(());
        }
        match registry
            .follow(nodes)
            .await
            .map_err(|why| ("follow", why))?
        {
            Some(followed) => {
                self.follows = true;
                tell(&followed);
            }
            None => self.sow(registry, nodes).await?,
        }
        self.heard = Some(nodes.to_vec());
        Ok(())
    }

    /// A registry that follows the file may be another file afterwards, which has followed nothing.
    pub fn hear_outage(&mut self) {
        if self.follows {
            self.heard = None;
        }
    }

    /// The registry takes `nodes` if nothing was ever written in it.
    async fn sow(
        &self,
        registry: &dyn Registry,
        nodes: &[NodeRecord],
    ) -> Result<(), (&'static str, RegistryError)> {
        match registry.seed(nodes).await {
            Ok(true) => log::info!("the nodes of the configuration are in the new registry"),
            Ok(false) if self.heard.is_some() && !nodes.is_empty() => log::warn!(
                "the nodes of the configuration have changed, and nothing follows: the registry \
                 has its own by now; change them with `forebay backends`"
            ),
            Ok(false) => {}
            Err(why @ RegistryError::OutOfReach { .. }) => return Err(("seed", why)),
            Err(why) => log::error!("the nodes of the configuration are not taken: {why}"),
        }
        Ok(())
    }

    /// Says how `items` differ from the configuration: once, and again when it has changed.
    pub fn compare(&mut self, items: &[RegistryItem], lookup: EnvironmentLookup<'_>) {
        let nodes = self.heard.as_deref().unwrap_or_default();
        let told = differences::told(nodes, items, self.follows, lookup);
        let told = BTreeSet::from_iter(told);
        for sentence in told.difference(&self.differences) {
            match self.follows {
                true => log::warn!("not as `nodes:` of the configuration has it: {sentence}"),
                false => log::warn!(
                    "the registry rules, and differs from `nodes:` of the configuration: {sentence}"
                ),
            }
        }
        self.differences = told;
    }

    /// Lets in the pending ones of `items` that are fit by now; says whether there were any.
    ///
    /// # Errors
    /// The registry is out of reach.
    pub async fn admit_fit(
        &self,
        registry: &dyn Registry,
        items: &[RegistryItem],
        present: &Snapshot,
    ) -> Result<bool, RegistryError> {
        let mut has_new = false;
        for item in items {
            if let ItemOrigin::File {
                is_pending: true, ..
            } = item.origin
                && let Some(name) = fit(&item.record.url, present)
            {
                log::warn!(
                    "{name} stands in the configuration, and the registry of an earlier release \
                     lacked it: a round has found it fit, and it serves from now on; if it had been \
                     removed on purpose, take it out of the file"
                );
                registry.admit(&item.record.url).await?;
                has_new = true;
            }
        }
        Ok(has_new)
    }
}

/// The name of the node at `url`, as written, if it is fit.
fn fit<'a>(url: &str, present: &'a Snapshot) -> Option<&'a str> {
    let mut nodes = present.view.nodes.iter().zip(present.upstreams.iter());
    let (node, upstream) = nodes.find(|(_, upstream)| upstream.spec.url.as_written() == url)?;
    let is_fit = node.standing.is_healthy() && !node.is_on_another_chain && node.head.is_some();
    is_fit.then_some(&*upstream.spec.name)
}

fn tell(followed: &FollowReport) {
    let FollowReport {
        added,
        changed,
        removed,
        pending,
        refused,
    } = followed;
    for (names, what) in [(added, "added"), (changed, "changed"), (removed, "removed")] {
        if !names.is_empty() {
            let names = names.join(", ");
            log::info!("the list follows the configuration; {what}: {names}");
        }
    }
    for name in pending {
        log::warn!(
            "{name} stands in the configuration and not in the registry, which is of an earlier \
             release: it comes in once a round has found it fit; if it was removed on purpose, take \
             it out of the file"
        );
    }
    for sentence in refused {
        log::error!("a node of the configuration is not taken: {sentence}");
    }
}

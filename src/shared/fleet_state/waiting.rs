//! Waiting for a node's place, as long as the node may answer.

use std::time::{Duration, Instant};

use crate::clock;
use crate::shared::fleet_state::FleetState;
use crate::shared::places::{Missed, NodeCandidate, NodePlace};
use forebay_core::fleet::select;
use forebay_core::vocabulary::client::Client;
use forebay_core::vocabulary::node::NodeId;

/// Nodes with calls that wait for them and from which nothing came for so long are asked for a sign of
/// life.
const DOUBTED_AFTER: Duration = Duration::from_secs(1);

impl FleetState {
    /// A place at one of `candidates`, waited for until `deadline` at most, and while one of them may answer.
    ///
    /// # Errors
    /// No place came free in time, or none of the nodes is worth waiting for.
    pub async fn wait(
        &self,
        client: Client,
        candidates: &[NodeCandidate],
        deadline: Instant,
    ) -> Result<NodePlace, Missed> {
        let fit = self.fit_of(candidates);
        let is_worth = || {
            let now = clock::now();
            let then = now.checked_sub(DOUBTED_AFTER).unwrap_or(now);
            let is_heard = |candidate: &NodeCandidate| candidate.load.conduct.was_heard_since(then);
            if !candidates.iter().any(is_heard) {
                self.hurry();
            }
            select::is_worth_waiting(&self.present.load().view, &fit, now)
        };
        self.places
            .wait(client, candidates, deadline, is_worth)
            .await
    }

    fn fit_of(&self, candidates: &[NodeCandidate]) -> Vec<NodeId> {
        let view = &self.present.load().view;
        let is_fit = |id: &NodeId| {
            let node = view.node(*id);
            node.is_some_and(|node| node.standing.is_healthy())
        };
        let ids = candidates.iter().map(|candidate| candidate.upstream.id);
        ids.filter(is_fit).collect()
    }
}

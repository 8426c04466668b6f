//! One attempt: it takes a place at its node, and where that has none waits for one, there or at another
//! that will do.

use std::time::Instant;

use crate::call::cached;
use crate::call::forward::prepared::PreparedAttempt;
use crate::call::forward::{ForwardedCall, ServedAnswer};
use crate::clock;
use crate::shared::places::{Missed, NodeCandidate, NodePlace};
use crate::shared::snapshot::Snapshot;
use forebay_core::call::trail::AttemptKind;
use forebay_core::fleet::node_view::NodeView;
use forebay_core::vocabulary::node::NodeId;
use forebay_core::vocabulary::tier::Tier;

impl<'a> ForwardedCall<'a> {
    /// One attempt; `Some` when it ended the call.
    pub(super) async fn ask(
        &mut self,
        id: NodeId,
        mut until: Instant,
        tier: Tier,
        body: &[u8],
    ) -> Option<ServedAnswer> {
        let fleet = &self.state.fleet;
        let later;
        let mut snapshot = &*fleet.snapshot();
        let (Some(mut upstream), Some(mut node)) = (snapshot.upstream(id), snapshot.view.node(id))
        else {
            // It was removed this very moment.
            self.stranded();
            return None;
        };
        let place = match upstream.places.at_once(upstream, &node.load) {
            Some(place) => place,
            None => {
                let place = Box::pin(self.find_place(snapshot, id)).await?;
                // What an identical call of another caller brought meanwhile may be kept.
                let kept = self.plan.keep.plan();
                let found =
                    kept.and_then(|kept| cached::look_again(self.state, kept, &self.context));
                if found.is_some() {
                    return found;
                }
                later = fleet.snapshot();
                snapshot = &later;
                let id = place.upstream.id;
                let found = snapshot.upstream(id).zip(snapshot.view.node(id));
                let Some(found) = found else {
                    self.stranded();
                    return None;
                };
                (upstream, node) = found;
                until = self.retry.attempt_end(clock::now());
                place
            }
        };
        self.depart(node);
        let trail = self.trail(|last| AttemptKind::after(last, tier));
        let wanted = self.wanted(until, trail);
        let first = PreparedAttempt {
            fleet,
            upstream,
            node,
            body,
            wanted: &wanted,
            edited: self.edited(),
            lookup: self.lookup(),
        };
        if self.hedge.is_some() {
            // On the heap: the future of the many calls without stays small.
            return Box::pin(self.race(snapshot, first, place)).await;
        }
        let came = first.make(Some(place)).await;
        self.conclude((snapshot, upstream, node), came)
    }

    /// A place for the last step, there or elsewhere; `None`: there is none in time, or another step is
    /// due.
    pub(super) async fn find_place(
        &mut self,
        snapshot: &Snapshot,
        drawn: NodeId,
    ) -> Option<NodePlace> {
        let nodes = snapshot
            .view
            .places(&self.retry.wants(), drawn, clock::now());
        let candidate = |node: &NodeView| {
            Some(NodeCandidate {
                upstream: snapshot.upstream(node.id)?.clone(),
                load: node.load.clone(),
            })
        };
        let candidates: Vec<_> = nodes.into_iter().filter_map(candidate).collect();
        let (fleet, deadline) = (&self.state.fleet, self.retry.deadline());
        let client = self.context.client;
        let in_line = self.flight.map(|flight| flight.wait(client.network()));
        let found = fleet.wait(client, &candidates, deadline).await;
        drop(in_line);
        match found {
            Ok(place) => {
                self.retry.divert(place.upstream.id);
                self.charges(true, clock::now());
                Some(place)
            }
            Err(Missed::Full) => {
                self.retry.turn_away();
                None
            }
            Err(Missed::Gone) => {
                self.retry.take_back();
                None
            }
        }
    }
}

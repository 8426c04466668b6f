//! A read that its node is slow to answer is asked of a second one; the first good answer is taken
//! and the other attempt given up.

use std::pin::pin;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use crate::call::forward::prepared::PreparedAttempt;
use crate::call::forward::{AttemptContent, ForwardedCall, ServedAnswer};
use crate::clock;
use crate::observe::metrics::HedgeWinner;
use crate::shared::places::NodePlace;
use crate::shared::snapshot::Snapshot;
use forebay_core::call::patience;
use forebay_core::call::trail::AttemptKind;
use forebay_core::fleet::requirements::NodeQuery;
use forebay_core::rpc::classify::{AttemptClass, Verdict};
use forebay_core::vocabulary::node::NodeId;
use forebay_core::vocabulary::tier::Tier;

impl<'a> PreparedAttempt<'_, 'a> {
    /// One attempt, that tells how long reads take on this node.
    async fn timed(self, place: Option<NodePlace>) -> (Verdict, AttemptContent<'a>) {
        let began_at = clock::now();
        let came = self.make(place).await;
        if came.0.class == AttemptClass::Ok {
            let took = clock::now().saturating_duration_since(began_at);
            self.node.load.read(took);
        }
        came
    }

    /// Its answer is not waited for any longer.
    fn given_up(self, took: Duration) {
        self.node.load.read(took);
        self.node.load.left_waiting(took, clock::now());
    }
}

impl<'a> ForwardedCall<'a> {
    /// One attempt, and another beside it if the first takes too long; `Some` when one of them
    /// ended the call.
    pub(super) async fn race(
        &mut self,
        snapshot: &Snapshot,
        first: PreparedAttempt<'_, 'a>,
        place: NodePlace,
    ) -> Option<ServedAnswer> {
        let began_at = clock::now();
        let mut one = pin!(first.timed(Some(place)));
        let wait = patience::before_hedge(first.node.load.slow(), self.hedge);
        if let Ok(came) = timeout(wait, &mut one).await {
            return self.conclude((snapshot, first.upstream, first.node), came);
        }
        let target = self.second(snapshot).and_then(|(id, until)| {
            let (upstream, node) = (snapshot.upstream(id)?, snapshot.view.node(id)?);
            Some((
                upstream,
                node,
                self.wanted(until, self.trail(|_| AttemptKind::Hedge)),
            ))
        });
        let Some((upstream, node, wanted)) = &target else {
            let came = one.await;
            return self.conclude((snapshot, first.upstream, first.node), came);
        };
        let second = PreparedAttempt {
            upstream,
            node,
            wanted,
            ..first
        };
        let mut other = pin!(second.timed(None));
        let (is_first, came) = tokio::select! {
            came = &mut one => (true, came),
            came = &mut other => (false, came),
        };
        let by = |is_first: bool| {
            if is_first {
                HedgeWinner::First
            } else {
                HedgeWinner::Second
            }
        };
        let mut winner = by(is_first);
        let made = if is_first { first } else { second };
        let mut ended = self.conclude((snapshot, made.upstream, made.node), came);
        if ended.is_none() {
            winner = by(!is_first);
            let came = if is_first { other.await } else { one.await };
            let made = if is_first { second } else { first };
            ended = self.conclude((snapshot, made.upstream, made.node), came);
        } else if !is_first {
            first.given_up(clock::now().saturating_duration_since(began_at));
        }
        let metrics = &self.state.metrics;
        metrics.hedged(ended.as_ref().map_or(HedgeWinner::Neither, |_| winner));
        ended
    }

    /// Another own node to ask beside the first, within the budget.
    fn second(&mut self, snapshot: &Snapshot) -> Option<(NodeId, Instant)> {
        let state = self.state;
        let is_there = |(id, _): &(NodeId, Tier)| {
            let view = snapshot.view.node(*id);
            snapshot.upstream(*id).is_some()
                && view.is_some_and(|node| node.load.limiter.has_room())
        };
        let draw = |query: &NodeQuery<'_>| state.fleet.draw(query).filter(is_there);
        let now = clock::now();
        let pay = || state.budget.withdraw(now);
        self.retry.beside(now, draw, pay)
    }
}

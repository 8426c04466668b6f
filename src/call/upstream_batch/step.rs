//! One batch to one node and back, counted call by call.

use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::super::exchange::read_start;
use crate::call::attempt::AttemptSpec;
use crate::call::trail::{TrailContext, TrailGuard};
use crate::clock;
use crate::node::reply::{BufferedBody, NodeResponse};
use crate::shared::fleet_state::FleetState;
use crate::shared::node_clients::Upstream;
use crate::shared::places::{Missed, NodeCandidate, NodePlace};
use forebay_core::call::doubts;
use forebay_core::fleet::conduct::Penalty;
use forebay_core::fleet::node_view::NodeView;
use forebay_core::fleet::overload;
use forebay_core::rpc::batch::MemberOutcome;
use forebay_core::rpc::classify::{AttemptClass, Blame, Overload};
use forebay_core::vocabulary::client::Client;

/// What came back for all calls.
pub(super) enum BatchResult {
    Failed(AttemptClass),
    TooLarge,
    /// It didn't come in the time that look-ups have for what isn't held back.
    HeldBack,
    Body(NodeResponse, Bytes),
}

/// A place for all calls of a batch, as they are one request.
pub(super) fn place_at_once(upstream: &Arc<Upstream>, node: &NodeView) -> Option<NodePlace> {
    upstream.places.at_once(upstream, &node.load)
}

/// The same where it has to be waited for.
///
/// # Errors
/// There is none.
pub(super) async fn wait_for_place(
    pool: &FleetState,
    (upstream, node): (&Arc<Upstream>, &NodeView),
    client: Client,
    deadline: Instant,
) -> Result<NodePlace, Missed> {
    let seats = [NodeCandidate {
        upstream: upstream.clone(),
        load: node.load.clone(),
    }];
    Box::pin(pool.wait(client, &seats, deadline)).await
}

/// Asks `upstream`, and reads the answer to its end as long as there is room for it. The room is
/// held no longer than that: each answer then finds its own.
pub(super) async fn ask(upstream: &Upstream, body: &[u8], wanted: &AttemptSpec<'_>) -> BatchResult {
    let trace = wanted.trace.as_ref().map(|trace| &trace.parent);
    let body = [body];
    let sent = upstream.link.send(&body, wanted.reuse, trace);
    let mut reply = match sent.await {
        Ok(reply) => reply,
        Err(fault) => return BatchResult::Failed(fault.class()),
    };
    let is_too_large = |bytes: u64| bytes > wanted.bytes_max;
    if reply.bytes_left().is_some_and(is_too_large) {
        return BatchResult::TooLarge;
    }
    let mut held = wanted.room.attempt();
    let Some(start) = read_start(&mut reply, wanted.room).await else {
        return BatchResult::TooLarge;
    };
    let mut whole = match start {
        Ok(BufferedBody::Whole(body)) => return BatchResult::Body(reply, body),
        Ok(BufferedBody::More(start)) if held.hold(start.len()) => BytesMut::from(start),
        Ok(BufferedBody::More(_)) => return BatchResult::TooLarge,
        Err(fault) => return BatchResult::Failed(fault.class()),
    };
    loop {
        match reply.chunk().await {
            Ok(Some(chunk)) => {
                if is_too_large((whole.len() + chunk.len()) as u64) || !held.hold(chunk.len()) {
                    return BatchResult::TooLarge;
                }
                whole.extend_from_slice(&chunk);
            }
            Ok(None) => return BatchResult::Body(reply, whole.freeze()),
            Err(fault) => return BatchResult::Failed(fault.class()),
        }
    }
}

/// Counts the calls from the trip's beginning to its end, also when it is dropped on the way.
pub(super) struct BatchAttempt {
    place: NodePlace,
    calls: u32,
    began_at: Instant,
    is_settled: bool,
    /// One for each call, where their client is told of them.
    footprints: Vec<TrailGuard>,
}

impl BatchAttempt {
    pub(super) fn begin(
        place: NodePlace,
        calls: usize,
        following: Option<TrailContext<'_>>,
    ) -> BatchAttempt {
        let name = &place.upstream.spec.name;
        let leave = |it: TrailContext<'_>| (0..calls).map(|_| it.begin(name)).collect();
        let footprints = following.map(leave).unwrap_or_default();
        let calls = u32::try_from(calls).unwrap_or(u32::MAX).max(1);
        place.load.limiter.board(calls - 1);
        BatchAttempt {
            place,
            calls,
            began_at: clock::now(),
            is_settled: false,
            footprints,
        }
    }

    /// Tells the limiter where the node had too much to do for them, and marks whatever it said of that.
    pub(super) fn weigh(&self, lots: &mut [MemberOutcome<'_>]) {
        let (load, now) = (&self.place.load, clock::now());
        let mut met = None;
        for lot in lots {
            if let MemberOutcome::Answered(verdict, ..) | MemberOutcome::Unanswered(verdict) = lot {
                verdict.overload = overload::of(verdict, &load.conduct, now);
                met = met.or(verdict.overload);
            }
        }
        match met {
            Some(Overload::Refused) => load.limiter.refused(self.place.number, now),
            Some(Overload::Waited) => load.limiter.timed_out(now),
            None => {}
        }
    }

    /// Tells load and metrics. For the metrics
    /// each call is an attempt that took as long as the trip, but for those of a refused batch: only
    /// what they come to one by one counts. For the load the trip is many answers at once, or one
    /// fault, which its first call answers for.
    pub(super) fn settle(
        &mut self,
        came: &BatchResult,
        lots: &[MemberOutcome<'_>],
    ) -> Option<Penalty> {
        let now = clock::now();
        let took = now.saturating_duration_since(self.began_at);
        if matches!(came, BatchResult::HeldBack) {
            // It says nothing of the node: as if its client had left.
            return None;
        }
        self.is_settled = true;
        let load = &self.place.load;
        let mut fault = None;
        for (at, lot) in lots.iter().enumerate() {
            let class = match lot {
                MemberOutcome::Answered(verdict, ..) | MemberOutcome::Unanswered(verdict) => {
                    if verdict.blame() == Blame::Fault {
                        fault = Some(verdict.class);
                    }
                    verdict.class
                }
                // As of a single call whose answer is too long.
                MemberOutcome::Alone if matches!(came, BatchResult::TooLarge) => {
                    AttemptClass::RpcError
                }
                MemberOutcome::Alone => continue,
            };
            self.place.upstream.metrics.attempted(class, took);
            if let Some(footprint) = self.footprints.get(at) {
                footprint.end(class);
            }
        }
        let Some(class) = fault else {
            if lots.iter().all(|lot| overload_of(lot).is_none()) {
                load.answered_many(took, self.calls, now);
            }
            return None;
        };
        load.failed(took, now);
        let is_sure = !doubts::is_doubtful(class);
        is_sure.then(|| load.conduct.faulted("", now, now))?
    }
}

fn overload_of(lot: &MemberOutcome<'_>) -> Option<Overload> {
    match lot {
        MemberOutcome::Answered(verdict, ..) | MemberOutcome::Unanswered(verdict) => {
            verdict.overload
        }
        MemberOutcome::Alone => None,
    }
}

impl Drop for BatchAttempt {
    fn drop(&mut self) {
        self.place.load.limiter.alight(self.calls - 1);
        if !self.is_settled {
            let took = clock::now().saturating_duration_since(self.began_at);
            for _ in 0..self.calls {
                self.place
                    .upstream
                    .metrics
                    .attempted(AttemptClass::Cancelled, took);
            }
        }
    }
}

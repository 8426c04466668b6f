//! Reads of a client's batch that travel to a node together, as one batch of ours.
//!
//! Each is a call like any other: it has its own errand, is judged by itself, and is counted, logged
//! and shared with identical calls as if it travelled alone. Together they are drawn a node,
//! asked, and charged to its load. Who isn't done then goes on: with the others, where the node
//! told each call what it lacks, or alone, where it may have been a single call that spoilt it for all.

mod groups;
mod member;
mod reply;
mod step;
mod trial;

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::exchange;
use super::patience;
use crate::call::attempt::AttemptSpec;
use crate::call::context::{CallContext, CallState};
use crate::call::upstream_batch::groups::{is_fault, is_spoilt, turned_away};
pub use crate::call::upstream_batch::member::{BatchMember, BoxedMember, PlannedItem, board};
use crate::call::upstream_batch::reply::BatchReply;
use crate::call::upstream_batch::step::{BatchAttempt, BatchResult};
use crate::clock;
use crate::node::client::ReuseRule;
use crate::observe::spans::Trace;
use crate::shared::fleet_state::FleetState;
use crate::shared::node_clients::Upstream;
use crate::shared::places::{Missed, NodePlace};
use crate::shared::snapshot::Snapshot;
use forebay_core::call::held_lookups;
use forebay_core::call::retry::RetryStep;
use forebay_core::call::trail::AttemptKind;
use forebay_core::fleet::node_view::NodeView;
use forebay_core::fleet::select::Draw;
use forebay_core::rpc::batch::{
    self, ANSWER_BYTES_MAX, BODY_BYTES_MAX, BatchVerdict, MemberOutcome, REFUSAL_LASTS,
    TROUBLE_LASTS,
};
use forebay_core::rpc::classify::AttemptClass;
use forebay_core::rpc::envelope::UpstreamCallId;
use forebay_core::vocabulary::client::Client;
use forebay_core::vocabulary::{node::NodeId, tier::Tier};

/// How riders set out.
pub enum UpstreamStep<'a> {
    Together(UpstreamBatch<'a>),
    /// With the step that it has taken already, if it has.
    Alone(BoxedMember<'a>, Option<RetryStep>),
}

impl UpstreamStep<'_> {
    pub fn calls(&self) -> usize {
        match self {
            UpstreamStep::Together(convoy) => convoy.riders.len(),
            UpstreamStep::Alone(..) => 1,
        }
    }
}

/// Riders to one node.
pub struct UpstreamBatch<'a> {
    node: NodeId,
    riders: Vec<(BoxedMember<'a>, Tier)>,
    bytes: usize,
    /// One for a node that takes no batches.
    calls_max: usize,
}

/// Sends as many of those who wait as find a place in so many travels, which begin at once. Each of
/// them is drawn a node: one that another of them goes to, if it will do. Who finds no place waits
/// on without a node: until his turn comes it may have fallen out, or his time may be over.
/// `attempt`: the time that a node has.
pub fn gather<'a>(
    engine: &CallState,
    waiting: &mut VecDeque<BoxedMember<'a>>,
    turns: usize,
    attempt: Duration,
) -> Vec<UpstreamStep<'a>> {
    let snapshot = engine.pool.snapshot();
    let now = clock::now();
    let mut travels = Vec::new();
    let mut convoys: Vec<UpstreamBatch<'a>> = Vec::new();
    let mut left = Vec::new();
    loop {
        let has_turn = travels.len() + convoys.len() < turns;
        if !has_turn && !convoys.iter().any(|convoy| convoy.has_room(0)) {
            break;
        }
        let Some(mut rider) = waiting.pop_front() else {
            break;
        };
        if rider.goes_alone {
            if has_turn {
                travels.push(UpstreamStep::Alone(rider, None));
            } else {
                left.push(rider);
            }
            continue;
        }
        let step = draw(engine, &snapshot, &mut rider, (&convoys, now));
        let bytes = rider.errand.body.len();
        let RetryStep::Ask { node, tier, .. } = step else {
            if has_turn {
                travels.push(UpstreamStep::Alone(rider, Some(step)));
            } else {
                left.push(rider);
            }
            continue;
        };
        let is_open = |convoy: &UpstreamBatch<'_>| convoy.node == node && convoy.has_room(bytes);
        match convoys.iter().rposition(is_open) {
            Some(at) => convoys[at].take(rider, tier),
            None if has_turn => {
                let mut convoy = open(&snapshot, node, (attempt, now));
                convoy.take(rider, tier);
                convoys.push(convoy);
            }
            None => {
                rider.errand.take_back();
                left.push(rider);
            }
        }
    }
    for rider in left.into_iter().rev() {
        waiting.push_front(rider);
    }
    travels.extend(convoys.into_iter().filter_map(UpstreamBatch::set_out));
    travels
}

/// A rider's next step: to a node that one of the convoys goes to, if it will do.
fn draw(
    engine: &CallState,
    snapshot: &Snapshot,
    rider: &mut BatchMember<'_>,
    (convoys, now): (&[UpstreamBatch<'_>], Instant),
) -> RetryStep {
    let bytes = rider.errand.body.len();
    rider.errand.step(now, |tier, passed, needs| {
        let suits = |convoy: &&UpstreamBatch<'_>| {
            let node = snapshot.view.node(convoy.node);
            let draw = Draw {
                view: &snapshot.view,
                tier,
                passed,
                needs,
                now,
            };
            convoy.has_room(bytes) && node.is_some_and(|node| draw.suits(node))
        };
        let found = convoys.iter().rev().find(suits);
        found.map_or_else(
            || engine.pool.draw(tier, passed, needs),
            |convoy| Some(convoy.node),
        )
    })
}

fn open<'a>(
    snapshot: &Snapshot,
    node: NodeId,
    (attempt, now): (Duration, Instant),
) -> UpstreamBatch<'a> {
    let upstream = snapshot.upstream(node);
    let is_welcome = upstream.is_some_and(|upstream| upstream.welcome.takes(now));
    let latency = snapshot
        .view
        .node(node)
        .and_then(|node| node.load.latency());
    UpstreamBatch {
        node,
        riders: Vec::new(),
        bytes: 0,
        calls_max: if is_welcome {
            batch::calls_max(latency, attempt)
        } else {
            1
        },
    }
}

impl<'a> UpstreamBatch<'a> {
    fn has_room(&self, bytes: usize) -> bool {
        self.riders.len() < self.calls_max && self.bytes + bytes <= BODY_BYTES_MAX
    }

    fn take(&mut self, rider: BoxedMember<'a>, tier: Tier) {
        self.bytes += rider.errand.body.len();
        self.riders.push((rider, tier));
    }

    /// A single rider goes as a call of its own.
    fn set_out(mut self) -> Option<UpstreamStep<'a>> {
        if self.riders.len() > 1 {
            return Some(UpstreamStep::Together(self));
        }
        let (rider, tier) = self.riders.pop()?;
        let step = RetryStep::Ask {
            node: self.node,
            tier,
            until: rider.errand.attempt_end(),
        };
        Some(UpstreamStep::Alone(rider, Some(step)))
    }

    /// A place for all of them at the node.
    async fn place(
        &self,
        pool: &FleetState,
        (upstream, node): (&Arc<Upstream>, &NodeView),
        client: Client,
    ) -> Result<NodePlace, Missed> {
        if let Some(place) = step::place_at_once(upstream, node) {
            return Ok(place);
        }
        let _in_line: Vec<_> = self.riders.iter().map(|(rider, _)| rider.wait()).collect();
        let first = self.riders.first();
        let deadline = first.map_or_else(clock::now, |(first, _)| first.errand.deadline());
        step::wait_for_place(pool, (upstream, node), client, deadline).await
    }

    /// Asks the node. The riders come back, those among them that are done with their answers.
    pub async fn travel(self, engine: &CallState, terms: CallContext<'a>) -> Vec<BoxedMember<'a>> {
        let pool = &engine.pool;
        let snapshot = pool.snapshot();
        let asked = snapshot
            .upstream(self.node)
            .zip(snapshot.view.node(self.node));
        let mut riders = Vec::with_capacity(self.riders.len());
        let place = match asked {
            Some(asked) => self.place(pool, asked, terms.client).await,
            None => Err(Missed::Gone),
        };
        let now = clock::now();
        let mut until = now;
        for (mut rider, tier) in self.riders {
            match (asked, &place) {
                (Some((_, node)), Ok(_)) => until = rider.errand.depart(tier, node, now),
                (Some(_), Err(Missed::Full)) => rider.miss(),
                (Some(_), Err(Missed::Gone)) => rider.errand.take_back(),
                (None, _) => rider.errand.stranded(),
            }
            riders.push(rider);
        }
        let (Some((upstream, node)), Ok(place)) = (asked, place) else {
            return riders;
        };
        let lookups = riders.iter().filter(|rider| rider.is_lookup());
        let held_back_at = held_lookups::gives_up_at(lookups.count(), now).filter(|at| *at < until);
        let wanted = wanted(terms, held_back_at.unwrap_or(until));
        let first = upstream.link.number(riders.len());
        let body = batch::written(riders.iter().map(|rider| &rider.errand.body[..]), first);
        engine.metrics.upstream_batch(riders.len());
        let mut trip = BatchAttempt::begin(place, riders.len(), wanted.following);
        let asking = pin!(step::ask(upstream, &body, &wanted));
        let came = patience::in_time(pool, (upstream, node), &wanted, now, asking).await;
        let is_held_back = held_back_at.is_some_and(|at| clock::now() >= at);
        let mut came = came.unwrap_or(match is_held_back {
            true => BatchResult::HeldBack,
            false => BatchResult::Failed(AttemptClass::Timeout),
        });
        if matches!(came, BatchResult::HeldBack) {
            engine.lookups.hear_of(node, now, clock::now());
        }
        let mut judged = judge(&came, (first, riders.len()));
        trip.weigh(&mut judged.lots);
        let is_mixed_up = judged.is_mixed_up;
        if let Some(sentence) = trip.settle(&came, &judged.lots) {
            pool.sentence(upstream.id, sentence, "").await;
        }
        // What is asked from here on has places of its own.
        drop(trip);
        learn(upstream, &judged);
        if let Some(verdict) = judged.lots.iter().find_map(turned_away) {
            exchange::rest(pool, upstream, node, verdict).await;
        }
        if judged.lots.iter().any(trial::is_error) {
            let asked = (riders.as_slice(), judged.lots.as_slice());
            Box::pin(trial::run(asked, (upstream, node), until)).await;
        }
        let arrival = BatchReply::of(&came, &judged, (upstream, node), terms);
        hand_out(&arrival, &mut riders, judged.lots, now).await;
        if let (false, BatchResult::Body(reply, _)) = (is_mixed_up, &mut came) {
            reply.keep();
        }
        riders
    }
}

/// Each rider gets its lot.
async fn hand_out<'a>(
    arrival: &BatchReply<'_, 'a>,
    riders: &mut [BoxedMember<'a>],
    lots: Vec<MemberOutcome<'_>>,
    now: Instant,
) {
    let mut is_charged = false;
    for (rider, lot) in riders.iter_mut().zip(lots) {
        // One fault is not as many as there were calls: the first call it befell answers for it.
        let charges = is_fault(&lot) && !std::mem::replace(&mut is_charged, true);
        rider.errand.charges(charges, now);
        arrival.hand_out(rider, lot);
        let is_settled = |ended: &(_, _)| rider.errand.is_settled(ended.1);
        if let Some(ended) = rider.ended.take_if(|ended| !is_settled(ended)) {
            rider.ended = Some(rider.errand.settle(ended).await);
        }
    }
}

/// Whether batches are sent to the node from now on.
fn learn(upstream: &Upstream, judged: &BatchVerdict<'_>) {
    if judged.refuses {
        upstream.refuse_batches(REFUSAL_LASTS);
    } else if judged.lots.iter().all(is_spoilt) {
        upstream.refuse_batches(TROUBLE_LASTS);
    }
}

fn wanted<'a>(terms: CallContext<'a>, until: Instant) -> AttemptSpec<'a> {
    AttemptSpec {
        id: "",
        bytes_max: ANSWER_BYTES_MAX as u64,
        may_stream: false,
        room: terms.room,
        // Of several calls: what they are all a part of.
        trace: terms.origin.trace.map(|parent| Trace { parent, row: None }),
        following: terms.origin.follow(AttemptKind::Batch),
        reuse: ReuseRule::Any,
        until,
        may_move: true,
        may_be_held_back: false,
    }
}

/// What came, as each of them gets it.
fn judge(came: &BatchResult, (first, calls): (UpstreamCallId, usize)) -> BatchVerdict<'_> {
    let lot = match came {
        BatchResult::Body(reply, body) => {
            return batch::judge(body, reply.status, reply.retry_after, (first, calls));
        }
        BatchResult::Failed(class) => MemberOutcome::Unanswered((*class).into()),
        // What they are refused for together none of them may be refused for.
        BatchResult::TooLarge | BatchResult::HeldBack => MemberOutcome::Alone,
    };
    BatchVerdict {
        lots: vec![lot; calls],
        refuses: false,
        is_mixed_up: false,
    }
}

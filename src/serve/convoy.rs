//! Reads of a client's batch that travel to a node together, as one batch of ours.
//!
//! Each is a call like any other: it has its own errand, is judged by itself, and is counted, logged
//! and shared with identical calls as if it travelled alone. Together they are drawn a node,
//! asked, and charged to its load. Who isn't done then goes on: with the others, where the node
//! told each call what it lacks, or alone, where it may have been a single call that spoilt it for all.

mod lots;
mod rider;
mod trial;
mod trip;

use std::collections::VecDeque;
use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Bytes;

use self::lots::{is_fault, is_spoilt, turned_away};
pub use self::rider::{Boxed, Planned, Rider, board, plan};
use self::trip::{Came, Trip};
use super::engine::{Engine, Terms};
use super::exchange::{self, Content, WHOLE_BYTES_MAX, Wanted};
use super::patience;
use crate::clock;
use crate::domain::convoy::{
    self, ANSWER_BYTES_MAX, BODY_BYTES_MAX, Judged, Lot, REFUSAL_LASTS, TROUBLE_LASTS,
};
use crate::domain::fleet::NodeView;
use crate::domain::held_back;
use crate::domain::journey::Step;
use crate::domain::jsonrpc::OwnId;
use crate::domain::node::NodeId;
use crate::domain::select::{self, Ladder};
use crate::domain::trace::Trace;
use crate::domain::trail::Kind;
use crate::domain::verdict::{Class, Verdict};
use crate::domain::whole::{Whole, is_sparse};
use crate::state::pool::Snapshot;
use crate::state::upstreams::Upstream;
use crate::upstream::link::Reuse;

/// How riders set out.
pub enum Travel<'a> {
    Together(Convoy<'a>),
    /// With the step that it has taken already, if it has.
    Alone(Boxed<'a>, Option<Step>),
}

impl Travel<'_> {
    pub fn calls(&self) -> usize {
        match self {
            Travel::Together(convoy) => convoy.riders.len(),
            Travel::Alone(..) => 1,
        }
    }
}

/// Riders to one node.
pub struct Convoy<'a> {
    node: NodeId,
    riders: Vec<(Boxed<'a>, Ladder)>,
    bytes: usize,
    /// One for a node that takes no batches.
    calls_max: usize,
}

/// Sends as many of those who wait as find a place in so many travels, which begin at once. Each of
/// them is drawn a node: one that another of them goes to, if it will do. Who finds no place waits
/// on without a node: until his turn comes it may have fallen out, or his time may be over.
/// `attempt`: the time that a node has.
pub fn gather<'a>(
    engine: &Engine,
    waiting: &mut VecDeque<Boxed<'a>>,
    turns: usize,
    attempt: Duration,
) -> Vec<Travel<'a>> {
    let snapshot = engine.pool.snapshot();
    let now = clock::now();
    let mut travels = Vec::new();
    let mut convoys: Vec<Convoy<'a>> = Vec::new();
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
                travels.push(Travel::Alone(rider, None));
            } else {
                left.push(rider);
            }
            continue;
        }
        let step = draw(engine, &snapshot, &mut rider, (&convoys, now));
        let bytes = rider.errand.body.len();
        let Step::Ask { node, ladder, .. } = step else {
            if has_turn {
                travels.push(Travel::Alone(rider, Some(step)));
            } else {
                left.push(rider);
            }
            continue;
        };
        let is_open = |convoy: &Convoy<'_>| convoy.node == node && convoy.has_room(bytes);
        match convoys.iter().rposition(is_open) {
            Some(at) => convoys[at].take(rider, ladder),
            None if has_turn => {
                let mut convoy = open(&snapshot, node, (attempt, now));
                convoy.take(rider, ladder);
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
    travels.extend(convoys.into_iter().filter_map(Convoy::set_out));
    travels
}

/// A rider's next step: to a node that one of the convoys goes to, if it will do.
fn draw(
    engine: &Engine,
    snapshot: &Snapshot,
    rider: &mut Rider<'_>,
    (convoys, now): (&[Convoy<'_>], Instant),
) -> Step {
    let bytes = rider.errand.body.len();
    rider.errand.step(now, |ladder, passed, needs| {
        let suits = |convoy: &&Convoy<'_>| {
            let node = snapshot.view.node(convoy.node);
            let suits = |node| select::suits(&snapshot.view, node, ladder, passed, needs, now);
            convoy.has_room(bytes) && node.is_some_and(suits)
        };
        let found = convoys.iter().rev().find(suits);
        found.map_or_else(
            || engine.pool.draw(ladder, passed, needs),
            |convoy| Some(convoy.node),
        )
    })
}

fn open<'a>(snapshot: &Snapshot, node: NodeId, (attempt, now): (Duration, Instant)) -> Convoy<'a> {
    let upstream = snapshot.upstream(node);
    let is_welcome = upstream.is_some_and(|upstream| upstream.welcome.takes(now));
    let latency = snapshot
        .view
        .node(node)
        .and_then(|node| node.load.latency());
    Convoy {
        node,
        riders: Vec::new(),
        bytes: 0,
        calls_max: if is_welcome {
            convoy::calls_max(latency, attempt)
        } else {
            1
        },
    }
}

impl<'a> Convoy<'a> {
    fn has_room(&self, bytes: usize) -> bool {
        self.riders.len() < self.calls_max && self.bytes + bytes <= BODY_BYTES_MAX
    }

    fn take(&mut self, rider: Boxed<'a>, ladder: Ladder) {
        self.bytes += rider.errand.body.len();
        self.riders.push((rider, ladder));
    }

    /// A single rider goes as a call of its own.
    fn set_out(mut self) -> Option<Travel<'a>> {
        if self.riders.len() > 1 {
            return Some(Travel::Together(self));
        }
        let (rider, ladder) = self.riders.pop()?;
        let step = Step::Ask {
            node: self.node,
            ladder,
            until: rider.errand.attempt_end(),
        };
        Some(Travel::Alone(rider, Some(step)))
    }

    /// Asks the node. The riders come back, those among them that are done with their answers.
    pub async fn travel(self, engine: &Engine, terms: Terms<'a>) -> Vec<Boxed<'a>> {
        let pool = &engine.pool;
        let snapshot = pool.snapshot();
        let asked = snapshot
            .upstream(self.node)
            .zip(snapshot.view.node(self.node));
        let mut riders = Vec::with_capacity(self.riders.len());
        let place = match asked {
            Some((upstream, node)) => {
                let first = self.riders.first();
                let deadline = first.map_or_else(clock::now, |(first, _)| first.errand.deadline());
                trip::place(upstream, node, terms.client, deadline).await
            }
            None => None,
        };
        let now = clock::now();
        let mut until = now;
        for (mut rider, ladder) in self.riders {
            if asked.is_some() && place.is_none() {
                rider.miss();
            } else if let Some((_, node)) = asked {
                until = rider.errand.depart(ladder, node, now);
            } else {
                rider.errand.stranded();
            }
            riders.push(rider);
        }
        let (Some((upstream, node)), Some(place)) = (asked, place) else {
            return riders;
        };
        let lookups = riders.iter().filter(|rider| rider.errand.is_lookup());
        let held_back_at = held_back::gives_up_at(lookups.count(), now).filter(|at| *at < until);
        let wanted = wanted(terms, held_back_at.unwrap_or(until));
        let first = upstream.link.number(riders.len());
        let body = convoy::written(riders.iter().map(|rider| &rider.errand.body[..]), first);
        engine.metrics.upstream_batch(riders.len());
        let mut trip = Trip::begin(place, riders.len(), wanted.following);
        let asking = pin!(trip::ask(upstream, &body, &wanted));
        let came = patience::in_time(pool, (upstream, node), &wanted, now, asking).await;
        let is_held_back = held_back_at.is_some_and(|at| clock::now() >= at);
        let mut came = came.unwrap_or(match is_held_back {
            true => Came::HeldBack,
            false => Came::Failed(Class::Timeout),
        });
        if matches!(came, Came::HeldBack) {
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
        if judged.refuses {
            refuse(upstream, REFUSAL_LASTS);
        } else if judged.lots.iter().all(is_spoilt) {
            refuse(upstream, TROUBLE_LASTS);
        }
        if let Some(verdict) = judged.lots.iter().find_map(turned_away) {
            exchange::rest(pool, upstream, node, verdict).await;
        }
        if judged.lots.iter().any(trial::is_error) {
            let asked = (riders.as_slice(), judged.lots.as_slice());
            Box::pin(trial::run(asked, (upstream, node), until)).await;
        }
        let arrival = Arrival::of(&came, &judged, (upstream, node), terms);
        let mut is_charged = false;
        for (rider, lot) in riders.iter_mut().zip(judged.lots) {
            // One fault is not as many as there were calls: the first call it befell answers for it.
            let charges = is_fault(&lot) && !std::mem::replace(&mut is_charged, true);
            rider.errand.charges(charges, now);
            arrival.hand_out(rider, lot);
            let is_settled = |ended: &(_, _)| rider.errand.is_settled(ended.1);
            if let Some(ended) = rider.ended.take_if(|ended| !is_settled(ended)) {
                rider.ended = Some(rider.errand.settle(ended).await);
            }
        }
        if let (false, Came::Body(reply, _)) = (is_mixed_up, &mut came) {
            reply.keep();
        }
        riders
    }
}

fn wanted<'a>(terms: Terms<'a>, until: Instant) -> Wanted<'a> {
    Wanted {
        id: "",
        bytes_max: ANSWER_BYTES_MAX as u64,
        may_stream: false,
        room: terms.room,
        // Of several calls: what they are all a part of.
        trace: terms.origin.trace.map(|parent| Trace { parent, row: None }),
        following: terms.origin.follow(Kind::Batch),
        reuse: Reuse::Any,
        until,
        may_move: true,
        may_be_held_back: false,
    }
}

/// What came, as each of them gets it.
fn judge(came: &Came, (first, calls): (OwnId, usize)) -> Judged<'_> {
    let lot = match came {
        Came::Body(reply, body) => {
            return convoy::judge(body, reply.status, reply.retry_after, (first, calls));
        }
        Came::Failed(class) => Lot::Unanswered((*class).into()),
        // What they are refused for together none of them may be refused for.
        Came::TooLarge | Came::HeldBack => Lot::Alone,
    };
    Judged {
        lots: vec![lot; calls],
        refuses: false,
        is_mixed_up: false,
    }
}

/// No batches for this node for a while.
fn refuse(upstream: &Upstream, lasts: Duration) {
    if upstream.welcome.refuse(lasts, clock::now()) {
        let (name, seconds) = (&upstream.spec.name, lasts.as_secs());
        log::info!("node {name} did not take a batch: it gets calls one by one for {seconds} s");
    }
}

/// An answer to all of them, and where it came from.
struct Arrival<'t, 'a> {
    body: Option<&'t Bytes>,
    /// Little of the body is an answer to anybody: no answer is to hold it all in memory.
    is_sparse: bool,
    upstream: &'t Upstream,
    node: &'t NodeView,
    terms: Terms<'a>,
}

impl<'t, 'a> Arrival<'t, 'a> {
    fn of(
        came: &'t Came,
        judged: &Judged<'_>,
        (upstream, node): (&'t Upstream, &'t NodeView),
        terms: Terms<'a>,
    ) -> Arrival<'t, 'a> {
        let body = match came {
            Came::Body(_, body) => Some(body),
            Came::Failed(_) | Came::TooLarge | Came::HeldBack => None,
        };
        let used = judged.lots.iter().map(|lot| match lot {
            Lot::Answered(_, answer) => answer.bytes(),
            Lot::Unanswered(_) | Lot::Alone => 0,
        });
        let bytes = body.map_or(0, Bytes::len);
        let is_sparse = is_sparse(bytes, used.sum());
        Arrival {
            body,
            is_sparse,
            upstream,
            node,
            terms,
        }
    }

    /// Lets a rider hear what became of his call.
    fn hand_out(&self, rider: &mut Rider<'a>, lot: Lot<'_>) {
        let came = match (lot, self.body) {
            // Alone it is asked as its caller wrote it.
            (Lot::Answered(_, answer), _) if rider.errand.is_to_blame(&answer) => {
                rider.errand.take_back();
                rider.goes_alone = true;
                return;
            }
            (Lot::Answered(verdict, answer), Some(body)) => {
                self.content(verdict, Whole::new(body, &answer))
            }
            (Lot::Unanswered(verdict), _) => {
                rider.goes_alone |= is_spoilt(&Lot::Unanswered(verdict));
                (verdict, Content::Nothing)
            }
            (Lot::Alone | Lot::Answered(..), _) => {
                rider.errand.take_back();
                rider.goes_alone = true;
                return;
            }
        };
        rider.ended = rider.errand.arrive((self.upstream, self.node), came);
    }

    /// As if it had come alone: what is longer than most is held, and refused where it is too long.
    fn content(&self, verdict: Verdict, whole: Whole) -> (Verdict, Content<'a>) {
        let mut held = self.terms.room.attempt();
        let is_too_long = whole.bytes() as u64 > self.terms.bytes_max;
        if is_too_long || !held.hold(whole.bytes().saturating_sub(WHOLE_BYTES_MAX)) {
            return (Class::RpcError.into(), Content::TooLarge);
        }
        let whole = if self.is_sparse { whole.apart() } else { whole };
        (verdict, Content::Whole(whole, held))
    }
}

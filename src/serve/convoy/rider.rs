//! A call of a batch that may travel with others, from its plan to its answer.

use std::time::Instant;

use bytes::Bytes;

use super::super::coalesce;
use super::super::engine::{Engine, Served, Tally, Terms, is_lookup};
use super::super::errand::Errand;
use super::super::origin;
use super::super::policy::Policy;
use crate::clock;
use crate::domain::block::Pins;
use crate::domain::fleet::FleetView;
use crate::domain::journey::Step;
use crate::domain::jsonrpc::{Call, Item};
use crate::domain::method::{self, Row, Treatment};
use crate::domain::route::{Asking, Plan};
use crate::domain::sent::Client;
use crate::state::flights::{Brought, Landed, Leader, Seat};
use crate::telemetry::calls::Entry;
use crate::telemetry::metrics::CallOutcome;
use crate::telemetry::spans::CallSpan;

/// What is planned for a call that may travel with others.
pub struct Planned<'a> {
    /// Its place in the batch.
    place: usize,
    call: &'a Call<'a>,
    row: Row,
    asking: Asking,
}

/// A rider: from hand to hand it goes by its place on the heap.
pub type Boxed<'a> = Box<Rider<'a>>;

/// A call on its way.
pub struct Rider<'a> {
    pub errand: Errand<'a>,
    /// It must not travel with others any more.
    pub goes_alone: bool,
    /// It was drawn a node where no place came free in time.
    pub has_waited: bool,
    pub ended: Option<(Served, CallOutcome)>,
    ticket: Ticket<'a>,
}

/// What is settled when a call has ended.
struct Ticket<'a> {
    /// Its place in the batch.
    place: usize,
    call: &'a Call<'a>,
    client: Client,
    tally: Tally<'a>,
    entry: Option<Entry>,
    span: Option<CallSpan>,
    /// Of the identical calls that wait for it.
    leader: Option<Leader<'a>>,
}

/// The calls that may travel with others: plain reads that any node will do for. What is light is
/// not held up by what is heavy, and what may run only once is asked where nothing else can go
/// wrong with it.
pub fn plan<'a>(
    engine: &Engine,
    items: &'a [Item<'a>],
    view: &FleetView,
    (policy, pins, client): (&Policy, &Pins, Client),
) -> Vec<Planned<'a>> {
    let lookups = items.iter().filter(|item| match item {
        Item::Call(call) => is_lookup(&call.method),
        Item::Refused { .. } => false,
    });
    let polls = engine.lookups.go_alone(lookups.count(), clock::now());
    let planned = items.iter().enumerate().filter_map(|(place, item)| {
        let Item::Call(call) = item else { return None };
        let is_read = policy.rules.look_up(&call.method).1 == Treatment::Read;
        if !is_read {
            return None;
        }
        let (row, plan) = engine.plan(call, view, policy, pins);
        let Plan::Ask(asking) = plan else { return None };
        let goes_alone = engine.goes_alone(call, &asking, client, polls);
        (!goes_alone).then_some(Planned {
            place,
            call,
            row,
            asking,
        })
    });
    planned.collect()
}

/// Makes them ready to go. Who can have what an identical call in flight will bring stays behind:
/// the places of those are the second of the two.
pub fn board<'a>(
    engine: &'a Engine,
    planned: &'a [Planned<'a>],
    view: &FleetView,
    terms: Terms<'a>,
) -> (Vec<Boxed<'a>>, Vec<usize>) {
    let now = clock::now();
    let head = terms.pins.and_then(|pins| pins.latest).or(view.served_head);
    let mut followers = Vec::new();
    let riders = planned.iter().filter_map(|planned| {
        let body = Bytes::from(planned.asking.body(planned.call));
        let is_sharable = method::listed(planned.row).is_some_and(|row| row.may_be_shared);
        let leader = if is_sharable && !planned.asking.is_pending {
            match engine.flights.join(&body, head) {
                Seat::Leader(leader) => Some(leader),
                Seat::Alone => None,
                Seat::Follower(_) => {
                    followers.push(planned.place);
                    return None;
                }
            }
        } else {
            None
        };
        Some(planned.rider(engine, body, leader, (terms, now)))
    });
    let riders = riders.collect();
    (riders, followers)
}

impl<'a> Planned<'a> {
    fn rider(
        &'a self,
        engine: &'a Engine,
        body: Bytes,
        leader: Option<Leader<'a>>,
        (terms, now): (Terms<'a>, Instant),
    ) -> Boxed<'a> {
        let span = CallSpan::begin(terms.origin.trace.as_ref(), self.row);
        let terms = terms.traced(span.as_ref(), self.row);
        let mut errand = Errand::new(engine, self.call, &self.asking, terms, body);
        errand.hedge(self.row);
        errand.set_out();
        let ticket = Ticket {
            place: self.place,
            call: self.call,
            client: terms.client,
            tally: Tally {
                method: engine.metrics.method(self.row),
                failing: &engine.pool.failing,
                began_at: now,
                outcome: CallOutcome::Cancelled,
            },
            entry: terms.origin.entry(&self.call.method),
            span,
            leader,
        };
        Box::new(Rider {
            errand,
            goes_alone: false,
            has_waited: false,
            ended: None,
            ticket,
        })
    }
}

impl<'a> Rider<'a> {
    /// Its place in the batch.
    pub fn place(&self) -> usize {
        self.ticket.place
    }

    /// Goes on alone to the end, with `step` as the next step.
    pub async fn part(mut self, step: Option<Step>) -> (usize, Served) {
        let ended = self.errand.part(step).await;
        self.ticket.settle(ended)
    }

    /// There was no place at the node that it was drawn. Once another is drawn, as others may have one by
    /// now: single calls wait for the places of all that will do.
    pub fn miss(&mut self) {
        if std::mem::replace(&mut self.has_waited, true) {
            self.errand.turn_away();
        } else {
            self.errand.take_back();
        }
    }

    /// The answer and its place, if it has ended.
    pub fn leave(&mut self) -> Option<(usize, Served)> {
        let ended = self.ended.take()?;
        Some(self.ticket.settle(ended))
    }
}

impl Ticket<'_> {
    fn settle(&mut self, (mut served, outcome): (Served, CallOutcome)) -> (usize, Served) {
        if let Some(leader) = self.leader.take() {
            leader.land(|| apart(coalesce::landed(&served, outcome, self.client)));
        }
        self.tally.outcome = outcome;
        if let Some(span) = self.span.take() {
            origin::end_span(span, &served, outcome);
        }
        if let Some(entry) = self.entry.take() {
            origin::settle(entry, &mut served, self.call, outcome);
        }
        (self.place, served)
    }
}

/// Whoever waits may take his time with it, and must not hold the answers to the whole batch.
fn apart(landed: Landed) -> Landed {
    match landed {
        Landed::Brought(brought) => Landed::Brought(Brought {
            answer: brought.answer.apart(),
            ..brought
        }),
        Landed::Refused(..) | Landed::Shed(..) | Landed::Unanswerable(..) | Landed::Nothing => {
            landed
        }
    }
}

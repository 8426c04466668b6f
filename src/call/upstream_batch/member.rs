//! A call of a batch that may travel with others, from its plan to its answer.

use std::time::Instant;

use bytes::Bytes;

use super::super::coalesce;
use super::super::policy::Policy;
use crate::call::answer::ServedAnswer;
use crate::call::context::{CallContext, CallState};
use crate::call::forward::{Affinity, ForwardedCall};
use crate::call::record::CallCounter;
use crate::call::request_context;
use crate::clock;
use crate::observe::access_log::AccessLogEntry;
use crate::observe::metrics::CallOutcome;
use crate::observe::spans::CallSpan;
use crate::shared::singleflight::{FlightOutcome, FlightOwner, Join, SharedAnswer};
use forebay_core::call::last_block::is_lookup;
use forebay_core::call::nonce::{self, FILL};
use forebay_core::call::plan::{ForwardPlan, Plan};
use forebay_core::call::recent_writes::Client;
use forebay_core::call::retry::RetryStep;
use forebay_core::fleet::FleetView;
use forebay_core::method::block::TagPins;
use forebay_core::method::{self, MethodIndex, Treatment};
use forebay_core::rpc::envelope::{Call, RequestItem};

/// What is planned for a call that may travel with others.
pub struct PlannedCall<'a> {
    /// Its place in the batch.
    place: usize,
    call: &'a Call<'a>,
    row: MethodIndex,
    asking: ForwardPlan,
}

/// A rider: from hand to hand it goes by its place on the heap.
pub type BoxedMember<'a> = Box<BatchMember<'a>>;

/// A call on its way.
pub struct BatchMember<'a> {
    pub errand: ForwardedCall<'a>,
    /// It must not travel with others any more.
    pub goes_alone: bool,
    /// It was drawn a node where no place came free in time.
    pub has_waited: bool,
    pub ended: Option<(ServedAnswer, CallOutcome)>,
    ticket: CallRecord<'a>,
}

/// What is settled when a call has ended.
struct CallRecord<'a> {
    /// Its place in the batch.
    place: usize,
    call: &'a Call<'a>,
    client: Client,
    tally: CallCounter<'a>,
    entry: Option<AccessLogEntry>,
    span: Option<CallSpan>,
    /// Of the identical calls that wait for it.
    leader: Option<FlightOwner<'a>>,
}

/// The calls that may travel with others: plain reads that any node will do for. What is light is
/// not held up by what is heavy, and what may run only once is asked where nothing else can go
/// wrong with it.
pub fn plan<'a>(
    engine: &CallState,
    items: &'a [RequestItem<'a>],
    view: &FleetView,
    (policy, pins, client): (&Policy, &TagPins, Client),
) -> Vec<PlannedCall<'a>> {
    let lookups = items.iter().filter(|item| match item {
        RequestItem::Call(call) => is_lookup(&call.method),
        RequestItem::Refused { .. } => false,
    });
    let polls = engine.lookups.go_alone(lookups.count(), clock::now());
    let planned = items.iter().enumerate().filter_map(|(place, item)| {
        let RequestItem::Call(call) = item else {
            return None;
        };
        let is_read = policy.rules.look_up(&call.method).1 == Treatment::Read;
        if !is_read {
            return None;
        }
        let (row, plan) = engine.plan(call, view, policy, pins);
        let Plan::Ask(asking) = plan else { return None };
        let goes_alone = goes_alone(engine, call, &asking, client, polls);
        (!goes_alone).then_some(PlannedCall {
            place,
            call,
            row,
            asking,
        })
    });
    planned.collect()
}

/// Whether a call goes its own way, however many others come with it. `polls`: those that are look-ups
/// do (see [`Lookups::go_alone`](crate::call::lookups::Lookups::go_alone)).
fn goes_alone(
    engine: &CallState,
    call: &Call<'_>,
    asking: &ForwardPlan,
    client: Client,
    polls: bool,
) -> bool {
    call.method == FILL
        || (polls && is_lookup(&call.method))
        || nonce::is_pending(&call.method, asking.is_pending)
        || !matches!(Affinity::of(engine, call, asking, client), Affinity::Anyone)
}

/// Makes them ready to go. Who can have what an identical call in flight will bring stays behind:
/// the places of those are the second of the two.
pub fn board<'a>(
    engine: &'a CallState,
    planned: &'a [PlannedCall<'a>],
    view: &FleetView,
    terms: CallContext<'a>,
) -> (Vec<BoxedMember<'a>>, Vec<usize>) {
    let now = clock::now();
    let head = terms.pins.and_then(|pins| pins.latest).or(view.served_head);
    let mut followers = Vec::new();
    let riders = planned.iter().filter_map(|planned| {
        let body = Bytes::from(planned.asking.body(planned.call));
        let is_sharable = method::listed(planned.row).is_some_and(|row| row.may_be_shared);
        let leader = if is_sharable && !planned.asking.is_pending {
            match engine.flights.join(&body, head) {
                Join::Leader(leader) => Some(leader),
                Join::Alone => None,
                Join::Follower(_) => {
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

impl<'a> PlannedCall<'a> {
    fn rider(
        &'a self,
        engine: &'a CallState,
        body: Bytes,
        leader: Option<FlightOwner<'a>>,
        (terms, now): (CallContext<'a>, Instant),
    ) -> BoxedMember<'a> {
        let span = CallSpan::begin(terms.origin.trace.as_ref(), self.row);
        let terms = terms.traced(span.as_ref(), self.row);
        let mut errand = ForwardedCall::new(engine, self.call, &self.asking, terms, body);
        errand.hedge(self.row);
        errand.set_out();
        let ticket = CallRecord {
            place: self.place,
            call: self.call,
            client: terms.client,
            tally: CallCounter {
                method: engine.metrics.method(self.row),
                failing: &engine.pool.failing,
                began_at: now,
                outcome: CallOutcome::Cancelled,
            },
            entry: terms.origin.entry(&self.call.method),
            span,
            leader,
        };
        Box::new(BatchMember {
            errand,
            goes_alone: false,
            has_waited: false,
            ended: None,
            ticket,
        })
    }
}

impl<'a> BatchMember<'a> {
    /// Its place in the batch.
    pub fn place(&self) -> usize {
        self.ticket.place
    }

    /// Goes on alone to the end, with `step` as the next step.
    pub async fn part(mut self, step: Option<RetryStep>) -> (usize, ServedAnswer) {
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
    pub fn leave(&mut self) -> Option<(usize, ServedAnswer)> {
        let ended = self.ended.take()?;
        Some(self.ticket.settle(ended))
    }
}

impl CallRecord<'_> {
    fn settle(
        &mut self,
        (mut served, outcome): (ServedAnswer, CallOutcome),
    ) -> (usize, ServedAnswer) {
        if let Some(leader) = self.leader.take() {
            leader.land(|| apart(coalesce::landed(&served, outcome, self.client)));
        }
        self.tally.outcome = outcome;
        if let Some(span) = self.span.take() {
            request_context::end_span(span, &served, outcome);
        }
        if let Some(entry) = self.entry.take() {
            request_context::settle(entry, &mut served, self.call, outcome);
        }
        (self.place, served)
    }
}

/// Whoever waits may take his time with it, and must not hold the answers to the whole batch.
fn apart(landed: FlightOutcome) -> FlightOutcome {
    match landed {
        FlightOutcome::Brought(brought) => FlightOutcome::Brought(SharedAnswer {
            answer: brought.answer.apart(),
            ..brought
        }),
        FlightOutcome::Refused(..)
        | FlightOutcome::Shed(..)
        | FlightOutcome::Unanswerable(..)
        | FlightOutcome::Nothing => landed,
    }
}

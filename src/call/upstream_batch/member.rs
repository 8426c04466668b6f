//! A call of a batch that may travel with others, from its setting out to its answer.

use bytes::Bytes;

use super::super::coalesce;
use crate::call::answer::ServedAnswer;
use crate::call::cached;
use crate::call::context::{CallContext, CallState};
use crate::call::forward::ForwardedCall;
use crate::call::record::CallRecord;
use crate::clock;
use crate::observe::metrics::CallOutcome;
use crate::shared::singleflight::{FlightInLine, FlightOutcome, FlightOwner, Join, SharedAnswer};
use forebay_core::call::cache::CachePlan;
use forebay_core::call::plan::{Plan, Planned};
use forebay_core::call::retry::RetryStep;
use forebay_core::fleet::view::FleetView;
use forebay_core::rpc::envelope::Call;
use forebay_core::rpc::refusal::Refusal;
use forebay_core::rpc::transaction::TxHash;

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
    /// Of the transaction that it looks up.
    hash: Option<TxHash>,
    ticket: MemberTicket<'a>,
}

/// What is settled when the call has ended.
struct MemberTicket<'a> {
    /// Its place in the batch.
    place: usize,
    call: &'a Call<'a>,
    engine: &'a CallState,
    kept: Option<&'a CachePlan>,
    terms: CallContext<'a>,
    record: CallRecord<'a>,
    /// Of the identical calls that wait for it.
    leader: Option<FlightOwner<'a>>,
}

/// What came in a batch.
#[expect(clippy::large_enum_variant, reason = "nearly all items are calls")]
pub enum PlannedItem<'a> {
    Call(&'a Call<'a>, Planned),
    /// It was no call.
    Refused(&'a Refusal),
}

/// Makes the calls ready to go that may travel with others. A call that can have what an identical
/// call in flight will bring stays behind: the places of those are the second of the two.
pub fn board<'a>(
    engine: &'a CallState,
    items: &'a [PlannedItem<'a>],
    view: &FleetView,
    terms: CallContext<'a>,
) -> (Vec<BoxedMember<'a>>, Vec<usize>) {
    let calls = || {
        items
            .iter()
            .enumerate()
            .filter_map(|(place, item)| match item {
                PlannedItem::Call(call, planned) => Some((place, *call, planned)),
                PlannedItem::Refused(_) => None,
            })
    };
    let lookups = calls().filter(|(.., planned)| planned.plan.looks_up().is_some());
    let polls = engine.lookups.go_alone(lookups.count(), clock::now());
    let mut followers = Vec::new();
    let riders = calls().filter_map(|(place, call, planned)| {
        let asking = planned.plan.together(polls)?;
        let kept = asking.kept.as_deref();
        let is_kept = kept.is_some_and(|kept| cached::has(engine, kept, view, terms));
        // One with times of its own goes alone, and one whose answer is kept is given that on its own way.
        if is_kept || terms.policy.by_method.of(&call.method).is_some() {
            return None;
        }
        let body = Bytes::from(asking.body(call));
        let mut leader = None;
        if let Plan::Share { head, .. } = &planned.plan {
            match engine.flights.join(&body, *head, terms.client.network()) {
                Join::Leader(leads) => leader = Some(leads),
                Join::Alone => {}
                Join::Follower(_) => {
                    followers.push(place);
                    return None;
                }
            }
        }
        let (record, terms) = CallRecord::begin(engine, call, planned.row, terms);
        let errand = ForwardedCall::new(engine, call, asking, terms, body);
        errand.set_out();
        Some(Box::new(BatchMember {
            errand,
            goes_alone: false,
            has_waited: false,
            ended: None,
            hash: planned.plan.looks_up(),
            ticket: MemberTicket {
                place,
                call,
                engine,
                kept,
                terms,
                record,
                leader,
            },
        }))
    });
    let riders = riders.collect();
    (riders, followers)
}

impl<'a> BatchMember<'a> {
    /// Its place in the batch.
    pub fn place(&self) -> usize {
        self.ticket.place
    }

    /// Whether it looks a transaction up, or what became of it.
    pub fn is_lookup(&self) -> bool {
        self.hash.is_some()
    }

    /// It waits for a place, until what is returned is dropped.
    pub fn wait(&self) -> Option<FlightInLine<'_>> {
        let leader = self.ticket.leader.as_ref()?;
        Some(leader.wait(self.ticket.terms.client.network()))
    }

    /// Goes on alone to the end, with `step` as the next step.
    pub async fn part(self, step: Option<RetryStep>) -> (usize, ServedAnswer) {
        let ended = self.errand.part(self.hash, step).await;
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

    /// The answer and its place, if it has ended; else the call, which goes on.
    pub fn leave(mut self: Box<Self>) -> Result<(usize, ServedAnswer), BoxedMember<'a>> {
        match self.ended.take() {
            Some(ended) => Ok(self.ticket.settle(ended)),
            None => Err(self),
        }
    }
}

impl MemberTicket<'_> {
    fn settle(self, (mut served, outcome): (ServedAnswer, CallOutcome)) -> (usize, ServedAnswer) {
        if let Some(leader) = self.leader {
            leader.land(|| apart(coalesce::landed(&served, outcome, self.terms.client)));
        }
        cached::note(self.engine, self.kept, &mut served, self.terms.wants_fresh);
        self.record.end(&mut served, self.call, outcome);
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

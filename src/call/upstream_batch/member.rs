//! A call of a batch that may go with others, from its setting out to its answer.

use bytes::Bytes;

use super::super::coalesce;
use crate::call::answer::ServedAnswer;
use crate::call::cached;
use crate::call::context::{CallContext, CallState};
use crate::call::forward::ForwardedCall;
use crate::call::record::CallRecord;
use crate::clock;
use crate::shared::places::Missed;
use crate::shared::singleflight::{FlightInLine, FlightOutcome, FlightOwner, Join, SharedAnswer};
use forebay_core::call::plan::{Plan, Planned};
use forebay_core::call::retry::RetryStep;
use forebay_core::rpc::envelope::Call;
use forebay_core::rpc::refusal::Refusal;
use forebay_core::rpc::transaction::TxHash;

/// It is moved as a pointer: it is large.
pub type BoxedMember<'a> = Box<BatchMember<'a>>;

/// A call of a batch on its way.
pub struct BatchMember<'a> {
    /// Its place in the batch.
    pub place: usize,
    pub forwarded: ForwardedCall<'a>,
    /// It must not go with others any more.
    pub goes_alone: bool,
    /// The step that it has taken already, if it has.
    pub next: Option<RetryStep>,
    pub ended: Option<ServedAnswer>,
    /// It was drawn a node where no place came free in time.
    has_waited: bool,
    /// Of the transaction that it looks up.
    hash: Option<TxHash>,
    record: CallRecord<'a>,
    /// Of the identical calls that wait for it.
    flight: Option<FlightOwner<'a>>,
}

/// What came in a batch.
#[expect(clippy::large_enum_variant, reason = "nearly all items are calls")]
pub enum PlannedItem<'a> {
    Call(&'a Call<'a>, Planned),
    /// It was no call.
    Refused(&'a Refusal),
}

/// The calls that may go with others, ready to go. A call that can have what an identical call in flight will
/// bring stays behind: the places of those are the second of the two.
pub fn members<'a>(
    state: &'a CallState,
    items: &'a [PlannedItem<'a>],
    context: CallContext<'a>,
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
    let polls = state.lookups.go_alone(lookups.count(), clock::now());
    let mut followers = Vec::new();
    let members = calls().filter_map(|(place, call, planned)| {
        let has_own_limits = context.policy.by_method.of(&call.method).is_some();
        let plan = planned.plan.together(polls, has_own_limits)?;
        let body = Bytes::from(plan.body(call));
        let mut flight = None;
        if let Plan::Share { head, .. } = &planned.plan {
            match state
                .singleflight
                .join(&body, *head, context.client.network())
            {
                Join::Owner(owner) => flight = Some(owner),
                Join::Alone => {}
                Join::Follower(_) => {
                    followers.push(place);
                    return None;
                }
            }
        }
        let (record, context) = CallRecord::begin(state, call, planned.row, context);
        let forwarded = ForwardedCall::new(state, call, plan, context, body);
        forwarded.set_out();
        Some(Box::new(BatchMember {
            place,
            forwarded,
            goes_alone: false,
            next: None,
            ended: None,
            has_waited: false,
            hash: planned.plan.looks_up(),
            record,
            flight,
        }))
    });
    let members = members.collect();
    (members, followers)
}

impl<'a> BatchMember<'a> {
    /// Whether it looks a transaction up, or what became of it.
    pub fn is_lookup(&self) -> bool {
        self.hash.is_some()
    }

    /// It waits for a place, until what is returned is dropped.
    pub fn wait(&self) -> Option<FlightInLine<'_>> {
        let flight = self.flight.as_ref()?;
        Some(flight.wait(self.forwarded.context.client.network()))
    }

    /// Goes on alone to the end.
    pub async fn go_alone(&mut self) {
        let first = self.next.take();
        let ended = self.forwarded.go_on_alone(self.hash, first).await;
        self.ended = Some(ended);
    }

    /// It isn't its turn: the step that it has taken doesn't count.
    pub fn put_off(&mut self) {
        if let Some(RetryStep::Ask { .. }) = self.next.take() {
            self.forwarded.retry.take_back();
        }
    }

    /// It is asked again, alone, as if it hadn't been asked.
    pub fn ask_alone(&mut self) {
        self.forwarded.retry.take_back();
        self.goes_alone = true;
    }

    /// There was no place at the node that it was drawn. Once another is drawn, as others may have one by
    /// now: single calls wait for the places of all that will do.
    pub fn miss(&mut self, missed: Missed) {
        if missed == Missed::Full && std::mem::replace(&mut self.has_waited, true) {
            self.forwarded.retry.turn_away();
        } else {
            self.forwarded.retry.take_back();
        }
    }

    /// The answer and its place, if it has ended; else the call, which goes on.
    pub fn leave(mut self: Box<Self>) -> Result<(usize, ServedAnswer), BoxedMember<'a>> {
        let Some(mut served) = self.ended.take() else {
            return Err(self);
        };
        let ForwardedCall {
            state,
            call,
            plan,
            context,
            ..
        } = self.forwarded;
        if let Some(flight) = self.flight {
            flight.land(|| apart(coalesce::landed(&served, context.client)));
        }
        cached::note(state, &plan.keep, &mut served, context.wants_fresh);
        self.record.end(&mut served, call);
        Ok((self.place, served))
    }
}

/// A call that waits may take its time with it, and must not hold the answers to the whole batch.
fn apart(landed: FlightOutcome) -> FlightOutcome {
    match landed {
        FlightOutcome::Shared(shared) => FlightOutcome::Shared(SharedAnswer {
            answer: shared.answer.apart(),
            ..shared
        }),
        FlightOutcome::Refused(_) | FlightOutcome::Nothing => landed,
    }
}

//! Many calls in one request: plain reads go together, any other call goes its own way; the answers come
//! back in their order.
//!
//! The answers are held until the last one is there, within the request's room: what has none any
//! more is refused alone, unless a node may have carried it out.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::Semaphore;

use super::exchange::WHOLE_BYTES_MAX;
use crate::call::answer::{CacheUse, CallReply, ServedAnswer};
use crate::call::context::{CallContext, CallState};
use crate::call::planning;
use crate::call::router;
use crate::call::stored;
use crate::call::upstream_batch::{self, BoxedMember, PlannedItem};
use crate::shared::answer_budget::AnswerBudget;
use forebay_core::call::groups::{self, Group};
use forebay_core::call::plan::Plan;
use forebay_core::method::Treatment;
use forebay_core::rpc::envelope::{Call, RequestItem};
use forebay_core::rpc::refusal::Refusal;

/// Of one batch, so many calls that go their own way are under way at once, so many of those that
/// go together or did, and so many of those that waited for an answer which could not be shared.
const FAN_OUT: usize = 16;

/// Room that a call which is no read must find before it is asked: for a hash or an id.
const NOTE_BYTES: usize = 1 << 10;

/// How a call of a batch comes to its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MemberRoute {
    Own,
    /// With others, to begin with.
    Shared,
    /// By what an identical call brings, which it waits for.
    Given,
}

/// What has come to an end.
struct FinishedMembers<'a> {
    way: MemberRoute,
    /// Answers, and their places.
    answers: Vec<(usize, ServedAnswer)>,
    /// Calls that aren't done yet.
    left: Vec<BoxedMember<'a>>,
}

/// Answers `items` (at least one).
pub async fn serve(
    state: &CallState,
    items: &[RequestItem<'_>],
    context: CallContext<'_>,
) -> ServedAnswer {
    let turns = Semaphore::new(FAN_OUT);
    let snapshot = state.fleet.snapshot();
    // One head for all of them, however long the last one waits for its turn.
    let context = CallContext {
        may_stream: false,
        ..state.as_of(&snapshot.view, context)
    };
    let mut planned: Vec<PlannedItem<'_>> = items
        .iter()
        .map(|item| match item {
            RequestItem::Call(call) => {
                PlannedItem::Call(call, planning::plan(state, call, &snapshot.view, context))
            }
            RequestItem::Refused { why, .. } => PlannedItem::Refused(why),
        })
        .collect();
    if stored::is_on(state, &context) {
        let missing = planned.iter_mut().filter_map(missing);
        Box::pin(stored::find_all(state, missing, context)).await;
    }
    let (members, given) = upstream_batch::members(state, &planned, context);
    drop(snapshot);
    let mut ways = vec![MemberRoute::Own; items.len()];
    members
        .iter()
        .for_each(|it| ways[it.place] = MemberRoute::Shared);
    given.iter().for_each(|it| ways[*it] = MemberRoute::Given);
    let mut own = (0..items.len()).filter(|place| ways[*place] == MemberRoute::Own);
    let attempt = context.policy.settings.calls.attempt;
    let mut waiting = VecDeque::from(members);
    let mut answers: Vec<Option<ServedAnswer>> = items.iter().map(|_| None).collect();
    let mut under_way: FuturesUnordered<BoxFuture<'_, FinishedMembers<'_>>> =
        FuturesUnordered::new();
    let in_turns = CallContext {
        turns: Some(&turns),
        ..context
    };
    let one =
        |place: usize, way, context| one(state, &planned[place], (place, way), context).boxed();
    for place in given {
        under_way.push(one(place, MemberRoute::Given, in_turns));
    }
    // Each kind has its own turns: a call that waits for another's answer must not take that one's.
    let (mut of_own, mut of_shared) = (0, 0);
    loop {
        for group in upstream_batch::split(state, &mut waiting, FAN_OUT - of_shared, attempt) {
            of_shared += 1;
            under_way.push(together(state, items, group, context).boxed());
        }
        while of_own < FAN_OUT
            && let Some(place) = own.next()
        {
            of_own += 1;
            under_way.push(one(place, MemberRoute::Own, context));
        }
        let Some(done) = under_way.next().await else {
            return collect(items, &planned, answers);
        };
        match done.way {
            MemberRoute::Own => of_own -= 1,
            MemberRoute::Shared => of_shared -= 1,
            MemberRoute::Given => {}
        }
        for (place, served) in done.answers {
            answers[place] = Some(served);
        }
        waiting.extend(done.left);
    }
}

/// A call whose answer may be kept elsewhere, and its plan.
fn missing<'a>(item: &'a mut PlannedItem<'_>) -> Option<(&'a Call<'a>, &'a mut Plan)> {
    match item {
        PlannedItem::Call(call, planned) => {
            planned.plan.kept()?;
            Some((call, &mut planned.plan))
        }
        PlannedItem::Refused(_) => None,
    }
}

/// The answers in the order of their calls.
fn collect(
    items: &[RequestItem<'_>],
    planned: &[PlannedItem<'_>],
    answers: Vec<Option<ServedAnswer>>,
) -> ServedAnswer {
    let refusal = refused_alike(planned, &answers);
    let mut body = BatchBody::default();
    // Each once, in the order of their answers.
    let mut nodes: Vec<Arc<str>> = Vec::new();
    let mut attempts = 0;
    let mut cached: Option<CacheUse> = None;
    let local: Arc<str> = "local".into();
    for (item, served) in items.iter().zip(answers.into_iter().flatten()) {
        attempts = attempts.max(served.attempts);
        cached = Some(cached.map_or(served.cached, |before| before.and(served.cached)));
        let node = served.node.unwrap_or_else(|| local.clone());
        if !nodes.contains(&node) {
            nodes.push(node);
        }
        let id = match item {
            RequestItem::Refused { id, .. } => Some(id.unwrap_or("null")),
            RequestItem::Call(call) => call.id,
        };
        if let Some(id) = id {
            body.add(id, served.answer);
        }
    }
    let node = match &nodes[..] {
        [one] => one.clone(),
        several => several.join(", ").into(),
    };
    ServedAnswer {
        node: Some(node),
        attempts,
        cached: cached.unwrap_or_default(),
        ..ServedAnswer::here(CallReply::Several(body.close(), refusal))
    }
}

/// See [`groups::refused_alike`].
fn refused_alike(planned: &[PlannedItem<'_>], answers: &[Option<ServedAnswer>]) -> Option<Refusal> {
    let refused = planned.iter().zip(answers).map(|pair| match pair {
        (PlannedItem::Call(_, planned), Some(served)) => match &served.answer {
            CallReply::Refused(why) => Some((planned.treatment, why)),
            _ => None,
        },
        _ => None,
    });
    let refused: Option<Vec<_>> = refused.collect();
    groups::refused_alike(refused?).cloned()
}

/// What a group of calls came to.
async fn together<'a>(
    state: &'a CallState,
    items: &[RequestItem<'_>],
    group: Group<BoxedMember<'a>>,
    context: CallContext<'a>,
) -> FinishedMembers<'a> {
    let mut done = FinishedMembers {
        way: MemberRoute::Shared,
        answers: Vec::with_capacity(group.members.len()),
        left: Vec::new(),
    };
    for member in upstream_batch::ask(state, group, context).await {
        match member.leave() {
            Ok((place, served)) => {
                let kept = keep(served, &items[place], context.answer_budget);
                done.answers.push((place, kept));
            }
            Err(member) => done.left.push(member),
        }
    }
    done
}

/// One answer to a call that goes its own way.
async fn one<'a>(
    state: &CallState,
    item: &PlannedItem<'_>,
    (place, way): (usize, MemberRoute),
    context: CallContext<'_>,
) -> FinishedMembers<'a> {
    let served = match item {
        PlannedItem::Call(call, planned) => {
            let serve = router::carry_out(state, call, planned, context);
            match call.id {
                None => unheard(serve.await),
                Some(_) => answer(serve, planned.treatment, context.answer_budget).await,
            }
        }
        PlannedItem::Refused(why) => {
            context.request_context.refused(why);
            ServedAnswer::refused((*why).clone())
        }
    };
    FinishedMembers {
        way,
        answers: vec![(place, served)],
        left: Vec::new(),
    }
}

/// Lets `serve` answer a call that is treated so, and holds room for the answer. A read whose
/// answer finds none is refused. Anything else is refused before it is asked, or not at all: what a
/// node carried out must not look as if it had failed.
async fn answer(
    serve: impl Future<Output = ServedAnswer>,
    treatment: Treatment,
    budget: &AnswerBudget<'_>,
) -> ServedAnswer {
    if treatment.may_be_refused_late() {
        return hold(serve.await, budget);
    }
    if !budget.hold(NOTE_BYTES) {
        return ServedAnswer::refused(Refusal::AnswerTooLarge);
    }
    let served = serve.await;
    // It goes out whether there is room or not.
    budget.hold(bytes_of(&served).saturating_sub(NOTE_BYTES));
    served
}

/// What is kept of the answer to a read until all others are there.
fn keep(served: ServedAnswer, item: &RequestItem<'_>, budget: &AnswerBudget<'_>) -> ServedAnswer {
    match item {
        RequestItem::Call(call) if call.id.is_none() => unheard(served),
        RequestItem::Call(_) | RequestItem::Refused { .. } => hold(served, budget),
    }
}

/// The answer to a notification isn't wanted.
fn unheard(served: ServedAnswer) -> ServedAnswer {
    ServedAnswer {
        answer: CallReply::Here(String::new()),
        ..served
    }
}

/// Holds room for the answer to a read. One that was made here goes out whether there is room or
/// not: it is short, and may have begun something, as a subscription.
fn hold(mut served: ServedAnswer, budget: &AnswerBudget<'_>) -> ServedAnswer {
    if !budget.hold(bytes_of(&served)) && !matches!(served.answer, CallReply::Here(_)) {
        served.answer = CallReply::Refused(Refusal::AnswerTooLarge);
    }
    served
}

/// What is still to be held of it.
fn bytes_of(served: &ServedAnswer) -> usize {
    match &served.answer {
        // What is longer was held as it came.
        CallReply::Whole(answer) => answer.bytes().min(WHOLE_BYTES_MAX),
        CallReply::Here(answer) => answer.len(),
        CallReply::Large(_) | CallReply::Refused(_) | CallReply::Several(..) => 0,
    }
}

/// The body as it grows. Long answers are not copied into it.
#[derive(Default)]
struct BatchBody {
    closed: Vec<Bytes>,
    open: Vec<u8>,
    has_begun: bool,
}

impl BatchBody {
    fn add(&mut self, id: &str, answer: CallReply) {
        let begun = std::mem::replace(&mut self.has_begun, true);
        self.open.push(if begun { b',' } else { b'[' });
        match answer {
            CallReply::Here(answer) => self.open.extend_from_slice(answer.as_bytes()),
            CallReply::Refused(why) => self.open.extend_from_slice(why.body(Some(id)).as_bytes()),
            CallReply::Whole(answer) => match answer.around_id() {
                Some((before, after)) if answer.bytes() > WHOLE_BYTES_MAX => {
                    self.add_long(before);
                    self.open.extend_from_slice(id.as_bytes());
                    self.add_long(after);
                }
                Some(_) | None => answer.write_to(id, &mut self.open),
            },
            // It may not stream, and is no batch: there is none.
            CallReply::Large(_) | CallReply::Several(..) => {
                let refusal = Refusal::AnswerTooLarge.body(Some(id));
                self.open.extend_from_slice(refusal.as_bytes());
            }
        }
        if self.open.len() > WHOLE_BYTES_MAX {
            self.close_open();
        }
    }

    fn add_long(&mut self, piece: Bytes) {
        if piece.len() <= WHOLE_BYTES_MAX / 2 {
            self.open.extend_from_slice(&piece);
        } else {
            self.close_open();
            self.closed.push(piece);
        }
    }

    fn close_open(&mut self) {
        let open = std::mem::take(&mut self.open);
        if !open.is_empty() {
            self.closed.push(Bytes::from(open));
        }
    }

    fn close(mut self) -> Vec<Bytes> {
        if self.has_begun {
            self.open.push(b']');
        }
        self.close_open();
        self.closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::admission::Admission;
    use forebay_core::testing::whole_answer;

    fn whole(result: &str) -> CallReply {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"result":"{result}"}}"#);
        CallReply::Whole(whole_answer(&body))
    }

    #[test]
    fn short_and_long_answers_stand_in_their_order_with_their_callers_ids() {
        let long = "x".repeat(WHOLE_BYTES_MAX);
        let mut body = BatchBody::default();
        body.add("\"a\"", whole("short"));
        body.add("7", whole(&long));
        body.add("null", CallReply::Refused(Refusal::NoNode));
        body.add("8", CallReply::Here("{}".into()));
        let pieces = body.close();
        assert!(pieces.len() > 1);
        let text = String::from_utf8(pieces.concat()).unwrap();
        let read: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&read[0]["id"], &read[0]["result"]),
            (&"a".into(), &"short".into())
        );
        assert_eq!(
            (&read[1]["id"], &read[1]["result"]),
            (&7.into(), &long.into())
        );
        assert_eq!(read[2]["error"]["code"], -32011);
        assert_eq!(read.len(), 4);
    }

    /// What a call that is treated so gets while so many bytes are left, and whether it was asked.
    async fn answered(treatment: Treatment, left: usize, result: &str) -> (bool, bool) {
        let admission = Admission::default();
        let budget = admission.answer_budget(left as u64);
        let mut was_asked = false;
        let serve = async {
            was_asked = true;
            ServedAnswer::here(whole(result))
        };
        let served = answer(serve, treatment, &budget).await;
        (was_asked, matches!(served.answer, CallReply::Whole(_)))
    }

    #[tokio::test]
    async fn a_read_without_room_is_refused_once_its_answer_is_there() {
        let bytes = match whole("0x1") {
            CallReply::Whole(answer) => answer.bytes(),
            CallReply::Here(_)
            | CallReply::Large(_)
            | CallReply::Refused(_)
            | CallReply::Several(..) => unreachable!(),
        };
        for treatment in [Treatment::Read, Treatment::Heavy] {
            assert_eq!(answered(treatment, bytes, "0x1").await, (true, true));
            assert_eq!(answered(treatment, bytes - 1, "0x1").await, (true, false));
        }
    }

    #[test]
    fn an_answer_made_here_needs_no_room() {
        let admission = Admission::default();
        let budget = admission.answer_budget(0);
        let served = hold(ServedAnswer::here(CallReply::Here("{}".into())), &budget);
        assert!(matches!(served.answer, CallReply::Here(_)));
    }

    #[tokio::test]
    async fn what_changes_something_is_refused_before_it_is_asked_or_not_at_all() {
        let longest = "x".repeat(WHOLE_BYTES_MAX / 2);
        for treatment in [Treatment::Broadcast, Treatment::Once, Treatment::Unknown] {
            for result in ["0x1", &longest] {
                let without = answered(treatment, NOTE_BYTES - 1, result).await;
                assert_eq!(without, (false, false));
                assert_eq!(answered(treatment, NOTE_BYTES, result).await, (true, true));
            }
        }
    }

    #[test]
    fn without_answers_there_is_no_body() {
        assert!(BatchBody::default().close().is_empty());
    }
}

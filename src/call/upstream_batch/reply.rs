//! What came of asking for several calls, handed out to each.

use std::time::Instant;

use bytes::Bytes;

use super::super::exchange::{AttemptContent, WHOLE_BYTES_MAX};
use crate::call::answer::ServedAnswer;
use crate::call::context::CallContext;
use crate::call::upstream_batch::BatchExchange;
use crate::call::upstream_batch::member::{BatchMember, BoxedMember};
use crate::shared::node_clients::Upstream;
use crate::shared::snapshot::Snapshot;
use forebay_core::fleet::node_view::NodeView;
use forebay_core::rpc::batch::{BatchVerdict, MemberOutcome};
use forebay_core::rpc::classify::{AttemptClass, Verdict};
use forebay_core::rpc::whole_answer::{WholeAnswer, is_sparse};

/// An answer to all of them, and where it came from.
pub(super) struct BatchReply<'t, 'a> {
    body: Option<&'t Bytes>,
    /// Little of the body is an answer to any call: no answer is to hold it all in memory.
    is_sparse: bool,
    /// The fleet when it was asked.
    as_of: &'t Snapshot,
    upstream: &'t Upstream,
    node: &'t NodeView,
    context: CallContext<'a>,
}

impl<'t, 'a> BatchReply<'t, 'a> {
    pub(super) fn of(
        came: &'t BatchExchange,
        judged: &BatchVerdict<'_>,
        (as_of, upstream, node): (&'t Snapshot, &'t Upstream, &'t NodeView),
        context: CallContext<'a>,
    ) -> BatchReply<'t, 'a> {
        let body = came.as_ref().ok().map(|(_, body)| body);
        let used = judged.outcomes.iter().map(|outcome| match outcome {
            MemberOutcome::Answered(_, answer) => answer.bytes(),
            MemberOutcome::Unanswered(_) | MemberOutcome::TooLarge(_) | MemberOutcome::Alone => 0,
        });
        let bytes = body.map_or(0, Bytes::len);
        let is_sparse = is_sparse(bytes, used.sum());
        BatchReply {
            body,
            is_sparse,
            as_of,
            upstream,
            node,
            context,
        }
    }

    /// Lets each of `members` hear what became of its call, in an attempt that began at `began_at`.
    pub(super) async fn hand_out(
        &self,
        members: &mut [BoxedMember<'a>],
        judged: BatchVerdict<'_>,
        began_at: Instant,
    ) {
        let charged = judged.charged();
        for (at, (member, outcome)) in members.iter_mut().zip(judged.outcomes).enumerate() {
            member.forwarded.charges(charged == Some(at), began_at);
            self.hand(member, outcome);
            let is_settled = |ended: &ServedAnswer| member.forwarded.is_settled(ended.outcome);
            if let Some(ended) = member.ended.take_if(|ended| !is_settled(ended)) {
                member.ended = Some(member.forwarded.settle(ended).await);
            }
        }
    }

    fn hand(&self, member: &mut BatchMember<'a>, outcome: MemberOutcome<'_>) {
        let is_spoilt = outcome.is_spoilt();
        let came = match (outcome, self.body) {
            // Alone it is asked as its caller wrote it.
            (MemberOutcome::Answered(_, answer), _) if member.forwarded.is_to_blame(&answer) => {
                return member.ask_alone();
            }
            (MemberOutcome::Answered(verdict, answer), Some(body)) => {
                self.content(verdict, WholeAnswer::new(body, &answer))
            }
            (MemberOutcome::Unanswered(verdict), _) => (verdict, AttemptContent::Nothing),
            (
                MemberOutcome::TooLarge(_) | MemberOutcome::Alone | MemberOutcome::Answered(..),
                _,
            ) => {
                return member.ask_alone();
            }
        };
        member.goes_alone |= is_spoilt;
        member.ended = (member.forwarded).conclude((self.as_of, self.upstream, self.node), came);
    }

    /// As if it had come alone: what is longer than most is held, and refused where it is too long.
    fn content(&self, verdict: Verdict, whole: WholeAnswer) -> (Verdict, AttemptContent<'a>) {
        let mut held = self.context.answer_budget.attempt();
        let is_too_long = whole.bytes() as u64 > self.context.bytes_max;
        if is_too_long || !held.hold(whole.bytes().saturating_sub(WHOLE_BYTES_MAX)) {
            return (AttemptClass::TOO_LARGE.into(), AttemptContent::TooLarge);
        }
        let whole = if self.is_sparse { whole.apart() } else { whole };
        (verdict, AttemptContent::Whole(whole, held))
    }
}

//! What came of asking for several calls, handed out to each.

use bytes::Bytes;

use super::super::exchange::{AttemptContent, WHOLE_BYTES_MAX};
use crate::call::context::CallContext;
use crate::call::upstream_batch::groups::is_spoilt;
use crate::call::upstream_batch::member::BatchMember;
use crate::call::upstream_batch::step::BatchResult;
use crate::shared::node_clients::Upstream;
use forebay_core::fleet::node_view::NodeView;
use forebay_core::rpc::batch::{BatchVerdict, MemberOutcome};
use forebay_core::rpc::classify::{AttemptClass, Verdict};
use forebay_core::rpc::whole_answer::{WholeAnswer, is_sparse};

/// An answer to all of them, and where it came from.
pub(super) struct BatchReply<'t, 'a> {
    body: Option<&'t Bytes>,
    /// Little of the body is an answer to anybody: no answer is to hold it all in memory.
    is_sparse: bool,
    upstream: &'t Upstream,
    node: &'t NodeView,
    terms: CallContext<'a>,
}

impl<'t, 'a> BatchReply<'t, 'a> {
    pub(super) fn of(
        came: &'t BatchResult,
        judged: &BatchVerdict<'_>,
        (upstream, node): (&'t Upstream, &'t NodeView),
        terms: CallContext<'a>,
    ) -> BatchReply<'t, 'a> {
        let body = match came {
            BatchResult::Body(_, body) => Some(body),
            BatchResult::Failed(_) | BatchResult::TooLarge | BatchResult::HeldBack => None,
        };
        let used = judged.lots.iter().map(|lot| match lot {
            MemberOutcome::Answered(_, answer) => answer.bytes(),
            MemberOutcome::Unanswered(_) | MemberOutcome::Alone => 0,
        });
        let bytes = body.map_or(0, Bytes::len);
        let is_sparse = is_sparse(bytes, used.sum());
        BatchReply {
            body,
            is_sparse,
            upstream,
            node,
            terms,
        }
    }

    /// Lets a rider hear what became of his call.
    pub(super) fn hand_out(&self, rider: &mut BatchMember<'a>, lot: MemberOutcome<'_>) {
        let came = match (lot, self.body) {
            // Alone it is asked as its caller wrote it.
            (MemberOutcome::Answered(_, answer), _) if rider.errand.is_to_blame(&answer) => {
                rider.errand.take_back();
                rider.goes_alone = true;
                return;
            }
            (MemberOutcome::Answered(verdict, answer), Some(body)) => {
                self.content(verdict, WholeAnswer::new(body, &answer))
            }
            (MemberOutcome::Unanswered(verdict), _) => {
                rider.goes_alone |= is_spoilt(&MemberOutcome::Unanswered(verdict));
                (verdict, AttemptContent::Nothing)
            }
            (MemberOutcome::Alone | MemberOutcome::Answered(..), _) => {
                rider.errand.take_back();
                rider.goes_alone = true;
                return;
            }
        };
        rider.ended = rider.errand.arrive((self.upstream, self.node), came);
    }

    /// As if it had come alone: what is longer than most is held, and refused where it is too long.
    fn content(&self, verdict: Verdict, whole: WholeAnswer) -> (Verdict, AttemptContent<'a>) {
        let mut held = self.terms.room.attempt();
        let is_too_long = whole.bytes() as u64 > self.terms.bytes_max;
        if is_too_long || !held.hold(whole.bytes().saturating_sub(WHOLE_BYTES_MAX)) {
            return (AttemptClass::RpcError.into(), AttemptContent::TooLarge);
        }
        let whole = if self.is_sparse { whole.apart() } else { whole };
        (verdict, AttemptContent::Whole(whole, held))
    }
}

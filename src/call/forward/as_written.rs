//! What an attempt of this call is to bring, and whether it is to blame for what we wrote into it.

use std::sync::Arc;
use std::time::Instant;

use crate::call::attempt::AttemptSpec;
use crate::call::exchange;
use crate::call::forward::ForwardedCall;
use crate::call::forward::prepared::{EditedCall, SharedLookup};
use crate::call::trail::TrailContext;
use crate::clock;
use crate::node::client::ReuseRule;
use crate::shared::node_clients::Upstream;
use forebay_core::call::trail::AttemptKind;
use forebay_core::fleet::node_view::NodeView;
use forebay_core::method::RepeatRule;
use forebay_core::rpc::answer::{Answer, Outcome};
use forebay_core::rpc::classify::AttemptClass;

impl<'a> ForwardedCall<'a> {
    /// What an attempt is made for after one that came to something, where its client is told of it.
    pub(super) fn trail(
        &self,
        kind: impl FnOnce(Option<AttemptClass>) -> AttemptKind,
    ) -> Option<TrailContext<'a>> {
        let trail = self.context.request_context.trail.as_ref()?;
        let kind = kind(self.last);
        Some(TrailContext { trail, kind })
    }

    pub(super) fn wanted(
        &self,
        until: Instant,
        trail: Option<TrailContext<'a>>,
    ) -> AttemptSpec<'a> {
        let repeats_freely = self.retry.repeat() == RepeatRule::Freely;
        AttemptSpec {
            id: self.call.id.unwrap_or("null"),
            bytes_max: self.context.bytes_max,
            may_stream: self.context.may_stream,
            answer_budget: self.context.answer_budget,
            trace: self.context.trace,
            trail,
            reuse: if repeats_freely {
                ReuseRule::Any
            } else {
                ReuseRule::Surely
            },
            until,
            may_move: repeats_freely,
            may_be_held_back: false,
        }
    }

    /// Where it looks a transaction up.
    pub(super) fn lookup(&self) -> Option<SharedLookup<'a>> {
        let hash = self.hash?;
        Some(SharedLookup {
            lookups: &self.state.lookups,
            method: &self.call.method,
            hash,
            attempt: self
                .context
                .policy
                .times(&self.call.method)
                .attempt_of(self.plan.treatment),
        })
    }

    pub(super) fn edited(&self) -> Option<EditedCall<'a>> {
        let is_edited = self.renewed.is_none() && !self.plan.edits.is_empty();
        is_edited.then_some(EditedCall {
            call: self.call,
            plan: self.plan,
            state: self.state,
            client: self.context.client,
        })
    }

    /// Whether `answer` may be an error of what we wrote into the call.
    pub fn is_to_blame(&self, answer: &Answer<'_>) -> bool {
        let Outcome::Error(error) = &answer.outcome else {
            return false;
        };
        let is_settled = |edited: EditedCall<'_>| edited.is_settled(error);
        self.plan().is_to_blame(error) && !self.edited().is_some_and(is_settled)
    }

    /// Where `answer` may be such an error: asks the node for the call as its caller wrote it, so that
    /// this is known of it and of all that are refused so.
    pub async fn try_as_written(
        &self,
        (upstream, node): (&Arc<Upstream>, &NodeView),
        answer: &Answer<'_>,
        until: Instant,
    ) {
        let (Outcome::Error(error), Some(edited)) = (&answer.outcome, self.edited()) else {
            return;
        };
        let state = self.state;
        if state.budget.withdraw(clock::now()) {
            let trail = self.trail(|_| AttemptKind::Repeat);
            let (body, wanted) = (self.call.for_node(), self.wanted(until, trail));
            let asked = exchange::attempt(&state.fleet, (upstream, node), &body, &wanted, None);
            edited.hear_as_written(error, node, &asked.await);
        }
    }
}

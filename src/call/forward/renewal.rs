//! A call whose tags we wrote as numbers: what becomes of it where a number turns out to be none.
//!
//! When the chain has gone back while it waited, the block that its tags stood for is no more: it is
//! planned anew. Where nodes say that there is no such block, it insists.

use std::time::Instant;

use bytes::Bytes;

use crate::call::context::CallContext;
use crate::call::forward::ForwardedCall;
use crate::call::planning;
use crate::clock;
use forebay_core::call::plan::ForwardPlan;
use forebay_core::call::tag_fallback::{self, TagFallbackStep};
use forebay_core::fleet::node_view::NodeView;
use forebay_core::method::RepeatRule;
use forebay_core::rpc::classify::{Meaning, Verdict};
use forebay_core::rpc::whole_answer::WholeAnswer;

impl ForwardedCall<'_> {
    /// The call with what its tags stand for now, where that has gone back since it was planned.
    pub(super) fn renew(&mut self) -> Option<Bytes> {
        let pins = self
            .context
            .pins
            .filter(|_| !self.plan().edits.is_empty())?;
        let snapshot = self.state.fleet.snapshot();
        let view = &snapshot.view;
        if view.falls == pins.falls {
            return None;
        }
        let pins = self.state.pins(self.context, view);
        self.context.pins = Some(pins);
        // It is under way: what is kept doesn't end it.
        let context = CallContext {
            wants_fresh: true,
            ..self.context
        };
        let planned = planning::plan(self.state, self.call, view, context);
        let plan = planned.plan.forward()?.clone();
        self.retry.speak_of(plan.block, plan.wait);
        let body = plan.body(self.call).into();
        self.renewed = Some(Box::new(plan));
        Some(body)
    }

    /// Has nodes looked at for the blocks it waits for.
    pub(super) fn hurry(&self) {
        let fleet = &self.state.fleet;
        let highest = fleet.snapshot().view.highest_head;
        let need = self.plan().block;
        match need.filter(|need| Some(need.to) > highest) {
            Some(need) => {
                fleet.looks.look_for(need.to, highest);
            }
            None => fleet.hurry(),
        }
    }

    /// Whether a tag that we wrote came to nothing, or the tag itself to what is too old.
    pub(super) fn is_nothing(
        &self,
        verdict: Verdict,
        answer: &WholeAnswer,
        node: &NodeView,
    ) -> bool {
        let may_repeat = self.retry.repeat() == RepeatRule::Freely;
        let is_ours = may_repeat && !self.plan().edits.is_empty();
        let answers_it = || node.unsupported.was_well(&self.call.method, clock::now());
        let is_nothing = || {
            let answers_it = verdict.meaning == Some(Meaning::NoResult) && answers_it();
            tag_fallback::is_nothing(verdict, answer, answers_it)
        };
        (is_ours && is_nothing()) || self.is_too_old(answer)
    }

    pub(super) fn is_too_old(&self, answer: &WholeAnswer) -> bool {
        let tag_fallback = self.tag_fallback.as_deref();
        tag_fallback.is_some_and(|it| it.is_too_old(answer.result()))
    }

    /// What to ask once more, instead of ending with nothing: `Some(None)` the same again.
    pub(super) async fn insist(&mut self, now: Instant) -> Option<Option<Bytes>> {
        let patience = self.state.fleet.snapshot().view.block_wait;
        let (need, is_alone) = (self.plan().block, self.retry.is_alone());
        let mut tag_fallback = self.tag_fallback.take().unwrap_or_default();
        let next = tag_fallback.next(patience, need, is_alone, now);
        self.tag_fallback = Some(tag_fallback);
        if next == TagFallbackStep::GiveUp || !self.state.budget.withdraw(now) {
            // The block is there: `null` would be wrong.
            let kept = self.kept.take();
            self.kept = kept.filter(|kept| kept.answer.result() != Some(b"null"));
            return None;
        }
        self.state.metrics.tag_repeat();
        self.retry.begin_anew();
        self.granted = self.granted.again();
        match next {
            TagFallbackStep::Again(at) => {
                tokio::time::sleep_until(at.into()).await;
                Some(None)
            }
            TagFallbackStep::AsWritten => {
                let plan = self.plan().as_written();
                self.retry.speak_of(None, None);
                let body = plan.body(self.call).into();
                self.renewed = Some(Box::new(plan));
                Some(Some(body))
            }
            TagFallbackStep::GiveUp => None,
        }
    }

    /// How nodes are asked, as of now.
    pub(super) fn plan(&self) -> &ForwardPlan {
        self.renewed.as_deref().unwrap_or(self.plan)
    }
}

//! An answer that the call ends with is kept, where it is one that may be.

use std::sync::Arc;
use std::time::Instant;

use crate::call::answer_copy::{self, AnswerCopy};
use crate::call::forward::ForwardedCall;
use crate::shared::answer_cache::AnswerCache;
use crate::shared::snapshot::Snapshot;
use forebay_core::call::cache::CachePlan;
use forebay_core::fleet::node_view::NodeView;
use forebay_core::rpc::whole_answer::WholeAnswer;

impl ForwardedCall<'_> {
    /// How the answer of node `said` is kept: `None` where it isn't, as the call wasn't asked as it was
    /// planned.
    fn keeps(&self, said: &NodeView, now: Instant) -> Option<(&CachePlan, &Arc<AnswerCache>)> {
        let kept = (self.plan.keep.plan()).zip(self.state.cache.as_ref())?;
        // What it was asked as its caller wrote it, it answers of whichever block it takes for the latest.
        let is_as_written = || {
            let method = &self.call.method;
            !self.plan.edits.is_empty() && said.as_written.has(method, now)
        };
        (self.renewed.is_none() && !is_as_written()).then_some(kept)
    }

    /// Copies an answer of node `said` that is passed on as it comes, where it may be kept.
    pub(super) fn copied(&self, said: &NodeView, now: Instant) -> Option<Box<AnswerCopy>> {
        let (plan, cache) = self.keeps(said, now)?;
        Some(Box::new(AnswerCopy {
            fleet: self.state.fleet.clone(),
            cache: cache.clone(),
            plan: *plan,
            params: self.call.params().into(),
            asked: said.clone(),
            room: cache.gathering(),
            bytes: Vec::new(),
        }))
    }

    /// Keeps what node `said`, as it was when it was asked, has answered by `now` to the call as it was planned.
    /// `as_of`: the fleet as it was when it was asked.
    pub(super) fn keep(
        &self,
        answer: &WholeAnswer,
        (as_of, said): (&Snapshot, &NodeView),
        now: Instant,
    ) {
        if let Some((plan, cache)) = self.keeps(said, now) {
            let (fleet, call) = (&*self.state.fleet, (&**cache, plan, self.call.params()));
            answer_copy::keep((fleet, Some(as_of)), call, (answer, said), now);
        }
    }
}

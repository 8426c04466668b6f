//! How a call ends that no node has answered well.

use super::CallOutcome;
use crate::call::forward::{ForwardedCall, ServedAnswer};
use crate::clock;
use forebay_core::call::retry::CallEnding;
use forebay_core::fleet::select;
use forebay_core::rpc::refusal::Refusal;

impl ForwardedCall<'_> {
    pub(super) fn finish(&mut self, ending: CallEnding) -> ServedAnswer {
        match (ending, self.kept.take()) {
            (CallEnding::Kept, Some(kept)) => {
                self.count_null_check(true);
                self.deliver(kept)
            }
            (CallEnding::Kept, None) => self.end_unserved(Refusal::BadAnswer),
            (CallEnding::Unserved, _) => self.end_unserved(Refusal::Unserved),
            (CallEnding::Refused(why), _) => {
                let view = &self.state.fleet.snapshot().view;
                self.end_unserved(select::refusal(why, view, clock::now()))
            }
        }
    }

    /// Counts what a second node said of a `null`, if one was asked.
    pub(super) fn count_null_check(&self, is_null: bool) {
        if self.retry.confirms_null() && self.retry.attempts() > 1 {
            self.state.metrics.null_check(is_null);
        }
    }

    pub(super) fn end_unserved(&self, why: Refusal) -> ServedAnswer {
        let why = self.plan.affinity.refusal(self.last, why);
        ServedAnswer {
            // Where we said no ourselves, that says nothing of the nodes.
            outcome: if why == Refusal::OverCapacity {
                CallOutcome::Refused
            } else {
                CallOutcome::Failed
            },
            attempts: self.retry.attempts(),
            failed: (!self.failed.is_empty()).then(|| self.failed.as_slice().into()),
            ..ServedAnswer::refused(why)
        }
    }
}

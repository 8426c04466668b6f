//! How a call ends that no node has answered well.

use super::{Aim, CallOutcome, Errand, Served};
use crate::clock;
use crate::domain::journey::Ending;
use crate::domain::refusal::Refusal;
use crate::domain::select;
use crate::domain::verdict::Class;
use crate::serve::engine::Reply;

impl Errand<'_> {
    pub(super) fn finish(&mut self, ending: Ending) -> (Served, CallOutcome) {
        match (ending, self.kept.take()) {
            (Ending::Kept, Some(kept)) => {
                self.count_null_check(true);
                self.deliver(kept)
            }
            (Ending::Kept, None) => self.end_unserved(Refusal::BadAnswer),
            (Ending::Unserved, _) => self.end_unserved(Refusal::Unserved),
            (Ending::Refused(why), _) => {
                let view = &self.engine.pool.snapshot().view;
                self.end_unserved(select::refusal(why, view, clock::now()))
            }
        }
    }

    /// Counts what a second node said of a `null`, if one was asked.
    pub(super) fn count_null_check(&self, is_null: bool) {
        if self.journey.confirms_null() && self.journey.attempts() > 1 {
            self.engine.metrics.null_check(is_null);
        }
    }

    pub(super) fn end_unserved(&self, why: Refusal) -> (Served, CallOutcome) {
        let why = match (&self.aim, self.last) {
            (Aim::Only(_), None | Some(Class::NoConnection)) => Refusal::FilterNotFound,
            (Aim::Only(_), Some(_)) | (Aim::Anyone | Aim::Rather(_), _) => why,
        };
        let is_shed = why == Refusal::OverCapacity;
        let served = Served {
            answer: Reply::Refused(why),
            node: None,
            attempts: self.journey.attempts(),
            failed: (!self.failed.is_empty()).then(|| self.failed.as_slice().into()),
        };
        let outcome = if is_shed {
            // It is we who said no: that says nothing of the nodes.
            CallOutcome::Refused
        } else {
            CallOutcome::Failed
        };
        (served, outcome)
    }
}

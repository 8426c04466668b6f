//! What is kept of a call from its beginning to its end.

use std::time::Instant;

use crate::clock;
use crate::observe::metrics::{CallOutcome, MethodMetrics};
use forebay_core::fleet::failure_rate::FailureRate;

/// Counts a call once, also when its caller leaves before the end.
pub(crate) struct CallCounter<'a> {
    pub method: &'a MethodMetrics,
    pub failing: &'a FailureRate,
    pub began_at: Instant,
    pub outcome: CallOutcome,
}

impl Drop for CallCounter<'_> {
    fn drop(&mut self) {
        let now = clock::now();
        let took = now.saturating_duration_since(self.began_at);
        self.method.called(self.outcome, took);
        match self.outcome {
            CallOutcome::Ok | CallOutcome::RpcError => self.failing.hear(false, now),
            CallOutcome::Failed => self.failing.hear(true, now),
            // What no node can answer says nothing of the nodes.
            CallOutcome::Refused | CallOutcome::Unanswerable | CallOutcome::Cancelled => {}
        }
    }
}

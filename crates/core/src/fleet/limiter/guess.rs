//! The limit before it was ever reached.
//!
//! Calls that are too many for a node are late before that shows in any answer, so a node is given little
//! more than it was seen to work at; from there the limit doubles with each latency, as in TCP's slow
//! start. A slow node, where that would take long, is given more.

use crate::fleet::limiter::latency::{LatencyEstimate, LatencyWindow};

/// So many calls, and so many times what the node was seen to work at.
const CALLS: f64 = 2.0;
const TIMES: f64 = 4.0;
/// And of a slow node so many that within this time, in seconds, it takes calls at this rate.
const WITHIN: f64 = 0.25;
const PER_SECOND: f64 = 60.0;
/// Where answers are late, so many times what is in flight.
const LATE_TIMES: f64 = 1.25;
/// So many times what the node was seen to work at, and one more, are no more than usual.
const USUAL: f64 = 1.5;

/// What is guessed of one node.
#[derive(Debug, Default)]
pub(super) struct LimitEstimate {
    /// The most calls in flight, on average over a window, that didn't wait for one another.
    carried: f64,
}

impl LimitEstimate {
    /// Whether no more are in flight than the node was seen to work at, or little more.
    pub(super) fn is_usual(&self, in_flight: f64) -> bool {
        in_flight <= USUAL * self.carried + 1.0
    }

    /// The limit after `window`, in which `in_flight` were. `known`: the latency of an idle node, in
    /// seconds.
    pub(super) fn limit(
        &mut self,
        limit: u32,
        window: &LatencyWindow,
        in_flight: f64,
        known: f64,
    ) -> u32 {
        let is_late = LatencyEstimate::is_late(window.low(), known);
        if LatencyEstimate::is_near(window.low(), known) {
            self.carried = self.carried.max(in_flight);
        }
        if window.was_full {
            return if is_late {
                limit
            } else {
                limit.max(in_time(known) as u32)
            };
        }
        let guess = CALLS + TIMES * self.carried + in_time(known);
        let guess = if is_late {
            let present = in_flight.max(self.carried) * LATE_TIMES + 1.0;
            guess.min(present.max(CALLS))
        } else {
            guess
        };
        guess.ceil() as u32
    }
}

/// Calls of a node with this latency, in seconds, that double often enough.
fn in_time(latency: f64) -> f64 {
    PER_SECOND * latency / (WITHIN / latency).exp2()
}

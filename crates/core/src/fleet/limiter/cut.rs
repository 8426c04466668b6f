//! A cut of the limit, until it shows whether the latency follows the number in flight: where the answers
//! a second do instead, it is the calls that take longer, and the cut is taken back.

use crate::fleet::limiter::latency::LatencyWindow;

/// Cuts that leave less than this together are tried.
const TRIED: f64 = 0.85;
/// The latency follows if it comes to less than this part; where it doesn't, the answers a second do.
const FOLLOWS: f64 = 0.9;

/// What was before.
#[derive(Clone, Copy, Debug)]
pub(super) struct LimitCut {
    /// The limit.
    pub from: u32,
    in_flight: f64,
    low: f64,
    per_second: f64,
}

impl LimitCut {
    pub(super) fn new(from: u32, window: &LatencyWindow, in_flight: f64) -> LimitCut {
        LimitCut {
            from,
            in_flight,
            low: window.low(),
            per_second: window.per_second(),
        }
    }

    /// Whether it shows, with `in_flight` calls.
    pub(super) fn shows(&self, in_flight: f64) -> bool {
        in_flight < TRIED * self.in_flight
    }

    pub(super) fn was_in_vain(&self, window: &LatencyWindow) -> bool {
        let is_slow_still = window.low() > FOLLOWS * self.low;
        is_slow_still && window.per_second() < FOLLOWS * self.per_second
    }
}

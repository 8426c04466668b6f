//! Whether too many of the calls of late failed.

use std::time::Instant;

use crate::vocabulary::recent::SlidingCounter;

/// So far is looked back.
const SECONDS: usize = 30;
/// And for the rate of calls.
const RATE_SECONDS: usize = 60;
/// Fewer calls within that time say nothing by their share.
const CALLS_MIN: u32 = 20;
/// More than one in as many failed: too many.
const ONE_IN: u64 = 20;

/// Calls that nodes were asked for, and those of them that failed.
#[derive(Debug)]
pub struct FailureRate {
    calls: SlidingCounter<RATE_SECONDS>,
    failed: SlidingCounter<SECONDS>,
}

/// Of the calls of the last 30 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailureShare {
    /// Calls that no node answered.
    pub failed: u32,
    /// Calls in all.
    pub calls: u32,
}

impl FailureRate {
    /// No call was asked for so far.
    pub fn new(now: Instant) -> FailureRate {
        FailureRate {
            calls: SlidingCounter::new(now),
            failed: SlidingCounter::new(now),
        }
    }

    /// A call has ended.
    pub fn hear(&self, has_failed: bool, now: Instant) {
        self.calls.add(1, now);
        if has_failed {
            self.failed.add(1, now);
        }
    }

    /// Calls a second, over the last minute.
    pub fn calls_per_second(&self, now: Instant) -> f64 {
        f64::from(self.calls.sum(now)) / RATE_SECONDS as f64
    }

    /// The share that failed; `None` where there were no calls.
    pub fn share(&self, now: Instant) -> Option<FailureShare> {
        let (failed, calls) = (self.failed.sum(now), self.calls.sum_of(SECONDS, now));
        (calls > 0).then_some(FailureShare { failed, calls })
    }

    /// The share that failed, if it is too large.
    pub fn too_many(&self, now: Instant) -> Option<FailureShare> {
        let FailureShare { failed, calls } = self.share(now)?;
        let is_large = u64::from(failed) * ONE_IN > u64::from(calls);
        (calls >= CALLS_MIN && is_large).then_some(FailureShare { failed, calls })
    }
}

impl FailureShare {
    /// For people.
    pub fn sentence(self) -> String {
        let FailureShare { failed, calls } = self;
        format!("{failed} of {calls} calls of the last 30 s failed")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn over_a_twentieth_of_twenty_or_more_is_too_many() {
        let now = crate::testing::now();
        for (failed, calls, wanted) in [
            (19, 19, false),
            (1, 20, false),
            (2, 20, true),
            (5, 100, false),
            (6, 100, true),
        ] {
            let failing = FailureRate::new(now);
            (0..calls).for_each(|call| failing.hear(call < failed, now));
            let told = failing.too_many(now);
            assert_eq!(told, wanted.then_some(FailureShare { failed, calls }));
            assert_eq!(failing.share(now), Some(FailureShare { failed, calls }));
            assert_eq!(failing.share(now + Duration::from_secs(30)), None);
            assert_eq!(failing.too_many(now + Duration::from_secs(30)), None);
        }
    }
}

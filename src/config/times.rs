//! Times that settings are written with.

use std::ops::RangeInclusive;
use std::time::Duration;

pub(super) const HOUR: Duration = Duration::from_secs(3600);
/// Waits that make a round.
pub(super) const PERIODS: RangeInclusive<Duration> = ms(100)..=HOUR;
/// Waits that end with an answer.
pub(super) const TIMEOUTS: RangeInclusive<Duration> = ms(10)..=HOUR;

pub(super) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

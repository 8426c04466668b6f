//! How often something happened of late: counted on every call's path without a lock.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Counts over the present second and those before it, `SECONDS` in all.
#[derive(Debug)]
pub(crate) struct SlidingCounter<const SECONDS: usize> {
    /// All that ever happened; it may wrap around.
    total: AtomicU32,
    /// What `total` was when a second began in which something happened: the second, counted from 1
    /// and 0 for none, in the upper half.
    marks: [AtomicU64; SECONDS],
    born: Instant,
}

impl<const SECONDS: usize> SlidingCounter<SECONDS> {
    pub(crate) fn new(now: Instant) -> SlidingCounter<SECONDS> {
        SlidingCounter {
            total: AtomicU32::new(0),
            marks: std::array::from_fn(|_| AtomicU64::new(0)),
            born: now,
        }
    }

    pub(crate) fn add(&self, count: u32, now: Instant) {
        self.add_at(count, now.saturating_duration_since(self.born));
    }

    /// The same, `age` after the counter was made.
    pub(crate) fn add_at(&self, count: u32, age: Duration) {
        let before = self.total.fetch_add(count, Ordering::Relaxed);
        let second = second(age);
        let mark = &self.marks[second as usize % SECONDS];
        let known = mark.load(Ordering::Relaxed);
        if known >> 32 < u64::from(second) {
            let new = u64::from(second) << 32 | u64::from(before);
            // A thread that comes second has nothing to add.
            let _ = mark.compare_exchange(known, new, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// All that ever happened, modulo 2^32.
    pub(crate) fn total(&self) -> u32 {
        self.total.load(Ordering::Relaxed)
    }

    /// How often within the last `SECONDS`, of which the first may be cut short.
    pub(crate) fn sum(&self, now: Instant) -> u32 {
        self.sum_of(SECONDS, now)
    }

    /// The same of the last `seconds`, at most `SECONDS`.
    pub(crate) fn sum_of(&self, seconds: usize, now: Instant) -> u32 {
        let second = u64::from(second(now.saturating_duration_since(self.born)));
        let oldest = (second + 1).saturating_sub(seconds as u64).max(1);
        let marks = self.marks.iter().map(|mark| mark.load(Ordering::Relaxed));
        let first = marks.filter(|mark| mark >> 32 >= oldest).min();
        // The lower half alone is meant.
        first.map_or(0, |mark| self.total().wrapping_sub(mark as u32))
    }
}

/// Counted from 1.
fn second(age: Duration) -> u32 {
    u32::try_from(age.as_secs() + 1).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_its_seconds_is_not_counted() {
        let start = crate::testing::now();
        let at = |seconds: f64| start + Duration::from_secs_f64(seconds);
        let recent = SlidingCounter::<10>::new(start);
        assert_eq!(recent.sum(start), 0);
        recent.add(3, at(0.0));
        recent.add(1, at(0.9));
        recent.add(2, at(4.0));
        assert_eq!(recent.sum(at(4.0)), 6);
        assert_eq!(recent.sum(at(9.9)), 6);
        assert_eq!(recent.sum(at(10.0)), 2);
        recent.add(5, at(10.5));
        assert_eq!(recent.sum(at(13.9)), 7);
        assert_eq!(recent.sum(at(14.0)), 5);
        assert_eq!(recent.sum(at(100.0)), 0);
        assert_eq!(recent.total(), 11);
    }

    #[test]
    fn it_counts_as_a_list_of_times_would() {
        use crate::vocabulary::chance::{Dice as _, SeededDice};
        let start = crate::testing::now();
        let mut dice = SeededDice::new(3);
        for _ in 0..50 {
            let recent = SlidingCounter::<10>::new(start);
            let (mut millis, mut seconds) = (0, Vec::new());
            for _ in 0..300 {
                millis += dice.roll() % [50, 900, 4000][(dice.roll() % 3) as usize];
                let now = start + Duration::from_millis(millis);
                recent.add(1, now);
                seconds.push(millis / 1000);
                let wanted = seconds.iter().filter(|at| **at + 10 > millis / 1000);
                assert_eq!(recent.sum(now) as usize, wanted.count());
            }
        }
    }
}

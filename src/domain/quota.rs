//! What repeats may cost: a budget that calls fill and repeats empty, so that trouble with the
//! nodes never multiplies the load on them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

/// A token bucket, full at the start: each call adds a little, each second a little more, each
/// repeat takes one (as in linkerd's and tower's retry budgets).
#[derive(Debug)]
pub struct RetryBudget {
    per_call: f64,
    per_second: f64,
    burst: f64,
    /// Calls since the bucket was last settled: all that a call that needs no repeat touches.
    calls: AtomicU64,
    bucket: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    settled_at: Instant,
}

impl RetryBudget {
    pub fn new(per_call: f64, per_second: f64, burst: f64, now: Instant) -> RetryBudget {
        RetryBudget {
            per_call,
            per_second,
            burst,
            calls: AtomicU64::new(0),
            bucket: Mutex::new(Bucket {
                tokens: burst,
                settled_at: now,
            }),
        }
    }

    /// A call has begun.
    pub fn deposit(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes one token for a repeat; `false` when there is none.
    pub fn withdraw(&self, now: Instant) -> bool {
        let mut bucket = self.settled(now);
        if bucket.tokens < 1.0 {
            return false;
        }
        bucket.tokens -= 1.0;
        true
    }

    /// Repeats that it would pay for now.
    pub fn tokens(&self, now: Instant) -> f64 {
        self.settled(now).tokens
    }

    /// The bucket, with all in it that was earned until now.
    fn settled(&self, now: Instant) -> MutexGuard<'_, Bucket> {
        let mut bucket = self
            .bucket
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let calls = self.calls.swap(0, Ordering::Relaxed) as f64;
        let seconds = now
            .saturating_duration_since(bucket.settled_at)
            .as_secs_f64();
        let earned = calls * self.per_call + seconds * self.per_second;
        bucket.tokens = (bucket.tokens + earned).min(self.burst);
        bucket.settled_at = now;
        bucket
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn now() -> Instant {
        crate::clock::now()
    }

    fn withdrawn(budget: &RetryBudget, now: Instant) -> usize {
        (0..10_000).take_while(|_| budget.withdraw(now)).count()
    }

    #[test]
    fn it_starts_full_and_never_holds_more() {
        let start = now();
        let budget = RetryBudget::new(0.2, 10.0, 100.0, start);
        assert_eq!(withdrawn(&budget, start), 100);
        assert_eq!(withdrawn(&budget, start + Duration::from_secs(3600)), 100);
    }

    #[test]
    fn calls_and_seconds_fill_it() {
        let start = now();
        let budget = RetryBudget::new(0.2, 10.0, 100.0, start);
        withdrawn(&budget, start);
        (0..50).for_each(|_| budget.deposit());
        assert_eq!(budget.tokens(start), 10.0);
        assert_eq!(withdrawn(&budget, start), 10);
        assert_eq!(budget.tokens(start), 0.0);
        assert_eq!(withdrawn(&budget, start + Duration::from_secs(2)), 20);
    }
}

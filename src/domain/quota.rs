//! What repeats may cost: a budget that calls fill and repeats empty, so that trouble with the
//! nodes never multiplies the load on them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Over this time what calls and what seconds earn is compared.
const WINDOW: Duration = Duration::from_secs(1);

/// A token bucket, full at the start: calls fill it, each repeat takes one (as in linkerd's and
/// tower's retry budgets). Where calls are so few that time would earn more, time fills it instead.
/// The two are not added up: with many calls a second repeats stay below `per_call` of them.
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
    window_began: Instant,
    /// Calls in this window, and what has been paid in for it.
    window_calls: f64,
    window_earned: f64,
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
                window_began: now,
                window_calls: 0.0,
                window_earned: 0.0,
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
        self.settle(&mut bucket, calls, now);
        bucket
    }

    /// Pays in what this window has earned since it was settled last: both what calls earn and
    /// what time earns only grow within a window, so the greater of the two does.
    fn settle(&self, bucket: &mut Bucket, calls: f64, now: Instant) {
        let passed = now.saturating_duration_since(bucket.window_began);
        bucket.window_calls += calls;
        let by_calls = bucket.window_calls * self.per_call;
        let earned = by_calls.max(passed.as_secs_f64() * self.per_second);
        bucket.tokens = (bucket.tokens + earned - bucket.window_earned).min(self.burst);
        bucket.window_earned = earned;
        if passed >= WINDOW {
            bucket.window_began = now;
            bucket.window_calls = 0.0;
            bucket.window_earned = 0.0;
        }
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
    fn calls_fill_it_or_where_they_are_few_seconds_do() {
        let start = now();
        let budget = RetryBudget::new(0.2, 10.0, 100.0, start);
        withdrawn(&budget, start);
        (0..50).for_each(|_| budget.deposit());
        assert_eq!(budget.tokens(start), 10.0);
        assert_eq!(withdrawn(&budget, start), 10, "calls");
        assert_eq!(budget.tokens(start), 0.0);
        let second = start + Duration::from_secs(1);
        assert_eq!(withdrawn(&budget, second), 0, "time earned as much");
        (0..10).for_each(|_| budget.deposit());
        let third = start + Duration::from_secs(3);
        assert_eq!(withdrawn(&budget, third), 20, "time earned more");
    }

    #[test]
    fn however_often_it_is_asked_many_calls_earn_their_part_and_no_more() {
        let start = now();
        let budget = RetryBudget::new(0.2, 10.0, 100.0, start);
        withdrawn(&budget, start);
        // 400 calls a second for 10 s, two repeats wanted by each.
        let repeats: usize = (1..=4000u32)
            .map(|call| {
                budget.deposit();
                let now = start + Duration::from_micros(2500) * call;
                (0..2).filter(|_| budget.withdraw(now)).count()
            })
            .sum();
        assert!((780..=800).contains(&repeats), "{repeats}");
    }
}

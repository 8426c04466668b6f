//! What repeats may cost: a budget that calls fill and repeats empty, so that trouble with the
//! nodes never multiplies the load on them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

/// Over this time what calls and what seconds earn is compared.
const WINDOW: Duration = Duration::from_secs(1);

/// A token bucket, full at the start: calls fill it, each repeat takes one (as in linkerd's and
/// tower's retry budgets). Where calls are so few that time would earn more, time fills it instead.
/// The two are not added up: with many calls a second repeats stay below `per_call` of them.
#[derive(Debug)]
pub struct RetryBudget {
    /// Calls since the bucket was last settled: all that a call that needs no repeat touches.
    calls: AtomicU64,
    bucket: Mutex<BudgetBucket>,
}

/// How the bucket fills, and how far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BudgetRates {
    /// Tokens that a call pays in: 0.2 lets one in five be repeated.
    pub per_call: f64,
    /// Tokens that a second pays in, where its calls pay in fewer.
    pub per_second: f64,
    /// Tokens that the bucket holds at most, and at the start.
    pub burst: f64,
}

#[derive(Debug)]
struct BudgetBucket {
    rates: BudgetRates,
    tokens: f64,
    window_began: Instant,
    /// Calls in this window, and what has been paid in for it.
    window_calls: f64,
    window_earned: f64,
}

impl RetryBudget {
    /// A full bucket.
    pub fn new(rates: BudgetRates, now: Instant) -> RetryBudget {
        RetryBudget {
            calls: AtomicU64::new(0),
            bucket: Mutex::new(BudgetBucket {
                rates,
                tokens: rates.burst,
                window_began: now,
                window_calls: 0.0,
                window_earned: 0.0,
            }),
        }
    }

    /// Fills by other rates from now on. What is in it stays, as far as there is room.
    pub fn change(&self, rates: BudgetRates, now: Instant) {
        let mut bucket = self.settled(now);
        bucket.rates = rates;
        bucket.tokens = bucket.tokens.min(rates.burst);
        bucket.begin_window(now);
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
    fn settled(&self, now: Instant) -> MutexGuard<'_, BudgetBucket> {
        let mut bucket = self.bucket.lock();
        let calls = self.calls.swap(0, Ordering::Relaxed) as f64;
        bucket.settle(calls, now);
        bucket
    }
}

impl BudgetBucket {
    /// Pays in what this window has earned since it was settled last: both what calls earn and
    /// what time earns only grow within a window, so the greater of the two does.
    fn settle(&mut self, calls: f64, now: Instant) {
        let passed = now.saturating_duration_since(self.window_began);
        self.window_calls += calls;
        let by_calls = self.window_calls * self.rates.per_call;
        let earned = by_calls.max(passed.as_secs_f64() * self.rates.per_second);
        self.tokens = (self.tokens + earned - self.window_earned).min(self.rates.burst);
        self.window_earned = earned;
        if passed >= WINDOW {
            self.begin_window(now);
        }
    }

    fn begin_window(&mut self, now: Instant) {
        self.window_began = now;
        self.window_calls = 0.0;
        self.window_earned = 0.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::now;

    const RATES: BudgetRates = BudgetRates {
        per_call: 0.2,
        per_second: 10.0,
        burst: 100.0,
    };

    #[test]
    fn other_rates_hold_from_now_on_and_keep_what_there_is_room_for() {
        let start = now();
        let budget = RetryBudget::new(RATES, start);
        (0..50).for_each(|_| budget.deposit());
        let scarce = BudgetRates {
            per_call: 0.0,
            per_second: 2.0,
            burst: 5.0,
        };
        budget.change(scarce, start);
        assert_eq!(withdrawn(&budget, start), 5);
        let later = start + Duration::from_millis(500);
        assert_eq!(budget.tokens(later), 1.0);
        budget.change(RATES, later);
        assert_eq!(budget.tokens(later), 1.0, "more room fills with time");
        assert_eq!(budget.tokens(later + Duration::from_secs(1)), 11.0);
    }

    fn withdrawn(budget: &RetryBudget, now: Instant) -> usize {
        (0..10_000).take_while(|_| budget.withdraw(now)).count()
    }

    #[test]
    fn it_starts_full_and_never_holds_more() {
        let start = now();
        let budget = RetryBudget::new(RATES, start);
        assert_eq!(withdrawn(&budget, start), 100);
        assert_eq!(withdrawn(&budget, start + Duration::from_secs(3600)), 100);
    }

    #[test]
    fn calls_fill_it_or_where_they_are_few_seconds_do() {
        let start = now();
        let budget = RetryBudget::new(RATES, start);
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
        let budget = RetryBudget::new(RATES, start);
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

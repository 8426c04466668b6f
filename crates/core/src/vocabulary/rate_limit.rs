//! How fast one client may go on: a token bucket that time fills.

use std::time::Instant;

/// A bucket, full at the start.
#[derive(Clone, Copy, Debug)]
pub struct TokenBucket {
    per_second: f64,
    /// What it holds at most.
    burst: f64,
    tokens: f64,
    filled_at: Instant,
}

impl TokenBucket {
    /// With a second's worth at once.
    pub fn new(per_second: u32, now: Instant) -> TokenBucket {
        let per_second = f64::from(per_second.max(1));
        TokenBucket::with_burst(per_second, per_second, now)
    }

    /// With so much at once, at least one.
    pub fn with_burst(per_second: f64, burst: f64, now: Instant) -> TokenBucket {
        let burst = burst.max(1.0);
        TokenBucket {
            per_second,
            burst,
            tokens: burst,
            filled_at: now,
        }
    }

    /// Takes one token; `false` when there is none.
    pub fn take(&mut self, now: Instant) -> bool {
        let earned = now.saturating_duration_since(self.filled_at).as_secs_f64() * self.per_second;
        self.tokens = (self.tokens + earned).min(self.burst);
        self.filled_at = now;
        let has_one = self.tokens >= 1.0;
        if has_one {
            self.tokens -= 1.0;
        }
        has_one
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_seconds_worth_at_once_and_then_as_time_goes() {
        let start = crate::testing::now();
        let mut bucket = TokenBucket::new(10, start);
        assert_eq!((0..20).filter(|_| bucket.take(start)).count(), 10);
        let later = start + Duration::from_millis(100);
        assert!(bucket.take(later) && !bucket.take(later));
        let much_later = start + Duration::from_secs(60);
        assert_eq!((0..20).filter(|_| bucket.take(much_later)).count(), 10);
    }

    #[test]
    fn time_that_seems_to_go_back_earns_nothing() {
        let now = crate::testing::now();
        let mut bucket = TokenBucket::new(1, now + Duration::from_secs(5));
        assert!(bucket.take(now) && !bucket.take(now));
    }
}

//! How much a pretend node does at a time, and what it does with more.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::clock;

/// What a node bears. Probes are its smallest work, and aren't counted.
#[derive(Clone, Debug)]
pub struct Capacity {
    /// So many requests are worked at together, each for so long.
    places: Arc<Semaphore>,
    takes: Duration,
    /// More are refused with 503, and don't wait.
    refuses: bool,
    bucket: Option<Arc<Mutex<Bucket>>>,
}

/// Requests that are taken within some time; more are refused with 429.
#[derive(Debug)]
struct Bucket {
    per_second: f64,
    tokens: f64,
    filled_at: Instant,
}

impl Capacity {
    /// Works at `places` requests together, each for `takes`; more wait.
    pub fn queueing(places: usize, takes: Duration) -> Capacity {
        Capacity {
            places: Arc::new(Semaphore::new(places)),
            takes,
            refuses: false,
            bucket: None,
        }
    }

    /// The same, and says 503 to more.
    pub fn refusing(places: usize, takes: Duration) -> Capacity {
        Capacity {
            refuses: true,
            ..Capacity::queueing(places, takes)
        }
    }

    /// Takes so many a second, with a burst of a tenth of that, and says 429 to more.
    pub fn limiting(per_second: f64, takes: Duration) -> Capacity {
        let bucket = Bucket {
            per_second,
            tokens: per_second / 10.0,
            filled_at: clock::now(),
        };
        Capacity {
            bucket: Some(Arc::new(Mutex::new(bucket))),
            ..Capacity::queueing(1 << 16, takes)
        }
    }

    /// Works at one request, or says with which status it is refused.
    pub(super) async fn work(&self) -> Result<(), u16> {
        if let Some(bucket) = &self.bucket {
            let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
            if !bucket.take(clock::now()) {
                return Err(429);
            }
        }
        let place = if self.refuses {
            self.places.try_acquire().map_err(|_| 503u16)?
        } else {
            self.places.acquire().await.map_err(|_| 503u16)?
        };
        tokio::time::sleep(self.takes).await;
        drop(place);
        Ok(())
    }
}

impl Bucket {
    fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        let most = (self.per_second / 10.0).max(1.0);
        self.tokens = (self.tokens + passed * self.per_second).min(most);
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

    #[tokio::test(start_paused = true)]
    async fn what_is_too_much_waits_or_is_refused() {
        let takes = Duration::from_millis(50);
        let refusing = Capacity::refusing(2, takes);
        let (one, two, three) = tokio::join!(refusing.work(), refusing.work(), refusing.work());
        assert_eq!((one, two, three), (Ok(()), Ok(()), Err(503)));
        assert_eq!(refusing.work().await, Ok(()), "a place is free again");
        let queueing = Capacity::queueing(1, takes);
        let both = tokio::join!(queueing.work(), queueing.work());
        assert_eq!(both, (Ok(()), Ok(())));
        let limiting = Capacity::limiting(20.0, Duration::ZERO);
        let (mut taken, mut refused) = (0, 0);
        for _ in 0..5 {
            match limiting.work().await {
                Ok(()) => taken += 1,
                Err(_) => refused += 1,
            }
        }
        assert!(taken >= 2 && refused >= 1, "{taken} {refused}");
    }
}

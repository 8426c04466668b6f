//! How much a pretend node does at a time, and what it does with more.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::clock;
use forebay_core::vocabulary::rate_limit::TokenBucket;

/// What a node bears. Probes are its smallest work, and aren't counted.
#[derive(Clone, Debug)]
pub struct Capacity {
    /// So many requests are worked at together, each for so long.
    places: Arc<Semaphore>,
    takes: Duration,
    /// More are refused with 503, and don't wait.
    refuses: bool,
    /// Requests that are taken within some time; more are refused with 429.
    bucket: Option<Arc<Mutex<TokenBucket>>>,
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
        let bucket = TokenBucket::with_burst(per_second, per_second / 10.0, clock::now());
        Capacity {
            bucket: Some(Arc::new(Mutex::new(bucket))),
            ..Capacity::queueing(1 << 16, takes)
        }
    }

    /// Works at one request, or says with which status it is refused.
    pub(super) async fn work(&self) -> Result<(), u16> {
        if let Some(bucket) = &self.bucket {
            let mut bucket = bucket.lock();
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

//! How background work is run: how often it does what, as the settings say it. It may change at any
//! time, so each piece of work looks here anew.

use std::time::{Duration, Instant};

use pingora::server::ShutdownWatch;
use tokio::sync::watch;

use crate::clock;
use crate::config::settings::CloudWatchSettings;
use forebay_core::vocabulary::chance::Dice;
use forebay_core::vocabulary::node::NodeRecord;

/// What background work goes by.
#[derive(Clone, Debug)]
pub struct Intervals {
    /// Between two rounds.
    pub interval: Duration,
    /// Between two probes of the leader.
    pub leader_interval: Duration,
    /// Of one probe.
    pub timeout: Duration,
    pub block_time: Duration,
    /// Keep nodes' sockets also while no client is subscribed.
    pub sockets: bool,
    /// Hear it when a node says that it is syncing.
    pub syncing: bool,
    /// Ask for the block tags `safe` and `finalized`, too.
    pub tags: bool,
    /// Between two readings of the registry.
    pub refresh: Duration,
    /// Of the configuration: followed by the registry, or written into one in which nothing ever was.
    pub seeds: Vec<NodeRecord>,
    /// What CloudWatch is told; `None`: nothing.
    pub cloudwatch: Option<CloudWatchSettings>,
}

/// The intervals in force. Clones see the same ones.
#[derive(Clone, Debug)]
pub struct CurrentIntervals(watch::Receiver<Intervals>);

impl CurrentIntervals {
    /// The intervals, and by what to change it.
    pub fn new(intervals: Intervals) -> (watch::Sender<Intervals>, CurrentIntervals) {
        let (change, in_force) = watch::channel(intervals);
        (change, CurrentIntervals(in_force))
    }

    /// What `of` it says now.
    pub fn say<T>(&self, of: impl FnOnce(&Intervals) -> T) -> T {
        of(&self.0.borrow())
    }

    /// Waits as long as `of` it says, ±10 %, so that balancers which started together don't ask
    /// together. What is said meanwhile counts from the same beginning.
    pub async fn pause(&self, of: impl Fn(&Intervals) -> Duration) {
        let began = clock::now();
        let part = jitter();
        let mut news = self.0.clone();
        loop {
            let until = began + of(&news.borrow_and_update()).mul_f64(part);
            if !is_changed_before(&mut news, until).await {
                return;
            }
        }
    }

    /// Returns when it `is` so.
    pub async fn becomes(&self, is: impl Fn(&Intervals) -> bool) {
        if self.0.clone().wait_for(is).await.is_err() {
            // Nothing can change it any more.
            std::future::pending().await
        }
    }
}

/// Does `work` unless Pingora stops before it is done.
pub async fn until<T>(mut shutdown: ShutdownWatch, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        _ = shutdown.changed() => None,
        done = work => Some(done),
    }
}

/// 0.9 to 1.1.
pub fn jitter() -> f64 {
    0.9 + 0.2 * (&mut clock::roll as &mut dyn FnMut() -> u64).fraction()
}

async fn is_changed_before(news: &mut watch::Receiver<Intervals>, until: Instant) -> bool {
    tokio::select! {
        () = tokio::time::sleep_until(until.into()) => false,
        Ok(()) = news.changed() => true,
    }
}

#[cfg(test)]
pub fn example() -> Intervals {
    Intervals {
        interval: Duration::from_secs(5),
        leader_interval: Duration::from_secs(5),
        timeout: Duration::from_secs(2),
        block_time: Duration::from_secs(12),
        sockets: true,
        syncing: true,
        tags: false,
        refresh: Duration::from_secs(1),
        seeds: Vec::new(),
        cloudwatch: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pause_ends_when_it_is_long_enough_by_what_is_said_meanwhile() {
        let (change, in_force) = CurrentIntervals::new(Intervals {
            interval: Duration::from_secs(3600),
            ..example()
        });
        let pause = tokio::spawn(async move { in_force.pause(|r| r.interval).await });
        let shortened = async {
            change.send_modify(|intervals| intervals.interval = Duration::from_millis(1));
            pause.await
        };
        let ended = tokio::time::timeout(Duration::from_secs(10), shortened).await;
        assert!(ended.is_ok_and(|ended| ended.is_ok()));
    }
}

//! How background work is paced: by the settings in force. They may change at any time, so each piece of work
//! looks here anew.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pingora::server::ShutdownWatch;
use tokio::sync::watch;

use crate::clock;
use crate::config::settings::Settings;
use forebay_core::vocabulary::chance::Dice;

/// A chain's settings in force. Clones see the same ones.
#[derive(Clone, Debug)]
pub struct CurrentSettings(watch::Receiver<Arc<Settings>>);

impl CurrentSettings {
    /// The settings, and by what to change them.
    pub fn new(settings: Arc<Settings>) -> (watch::Sender<Arc<Settings>>, CurrentSettings) {
        let (change, in_force) = watch::channel(settings);
        (change, CurrentSettings(in_force))
    }

    /// What `of` them holds now.
    pub fn say<T>(&self, of: impl FnOnce(&Settings) -> T) -> T {
        of(&self.0.borrow())
    }

    /// Waits as long as `of` them says, ±10 %, so that balancers which started together don't ask
    /// together. What is said meanwhile counts from the same beginning.
    pub async fn pause(&self, of: impl Fn(&Settings) -> Duration) {
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

    /// Returns when they are so.
    pub async fn becomes(&self, is: impl Fn(&Settings) -> bool) {
        let mut news = self.0.clone();
        if news.wait_for(|settings| is(settings)).await.is_err() {
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

/// What comes of `work`; where there is none, nothing ever does. Dropped halfway, it loses nothing where `work` is
/// borrowed.
pub async fn or_never<F: Future>(work: Option<F>) -> F::Output {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}

/// 0.9 to 1.1.
pub fn jitter() -> f64 {
    0.9 + 0.2 * (&mut clock::roll as &mut dyn FnMut() -> u64).fraction()
}

async fn is_changed_before(news: &mut watch::Receiver<Arc<Settings>>, until: Instant) -> bool {
    tokio::select! {
        () = tokio::time::sleep_until(until.into()) => false,
        Ok(()) = news.changed() => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pause_ends_when_it_is_long_enough_by_what_is_said_meanwhile() {
        let paced = |interval| {
            let mut settings = Settings::default();
            settings.health.interval = interval;
            Arc::new(settings)
        };
        let (change, in_force) = CurrentSettings::new(paced(Duration::from_secs(3600)));
        let pause = tokio::spawn(async move { in_force.pause(|it| it.health.interval).await });
        let shortened = async {
            change.send_replace(paced(Duration::from_millis(1)));
            pause.await
        };
        let ended = tokio::time::timeout(Duration::from_secs(10), shortened).await;
        assert!(ended.is_ok_and(|ended| ended.is_ok()));
    }
}

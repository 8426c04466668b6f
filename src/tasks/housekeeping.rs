//! The one background service: begins when Pingora starts, ends when it stops.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::sync::{Mutex, Notify};

use super::herald::Herald;
use super::newsroom::Newsroom;
use super::prober::Rounds;
use super::roster::Roster;
use super::scribe::Scribe;
use super::shared::SharedHeads;
use crate::clock;
use crate::domain::chance::Dice;
use crate::state::pool::Pool;

/// Names are resolved again this often, and old connections dropped.
const TIDY_EVERY: Duration = Duration::from_secs(30);

/// An early round, for a block that calls tell of or wait for, comes no sooner than this part of
/// the interval after the last one.
const EARLY_PART: u32 = 5;

/// The household.
pub struct Housekeeping {
    roster: Mutex<Roster>,
    rounds: Mutex<Rounds>,
    scribe: Mutex<Scribe>,
    herald: Option<Herald>,
    newsroom: Newsroom,
    shared: Option<Arc<SharedHeads>>,
    interval: Duration,
    refresh: Duration,
    pool: Arc<Pool>,
    /// The list changed: a round is due at once.
    is_new: Notify,
}

impl Housekeeping {
    pub fn new(
        roster: Roster,
        rounds: Rounds,
        scribe: Scribe,
        herald: Option<Herald>,
        newsroom: Newsroom,
        interval: Duration,
    ) -> Housekeeping {
        Housekeeping {
            refresh: roster.refresh,
            pool: roster.pool.clone(),
            shared: rounds.shared.clone(),
            roster: Mutex::new(roster),
            rounds: Mutex::new(rounds),
            scribe: Mutex::new(scribe),
            herald,
            newsroom,
            interval,
            is_new: Notify::new(),
        }
    }

    /// Without any list there is no round, and so no readiness: a deployment during an outage of
    /// the registry must not replace balancers that serve by ones that know nobody.
    async fn find_first_list(&self) {
        while !self.roster.lock().await.begin().await {
            tokio::time::sleep(jittered(self.refresh)).await;
        }
    }

    async fn follow_registry(&self) {
        loop {
            let pause = tokio::time::sleep(jittered(self.refresh));
            tokio::select! {
                () = pause => {}
                () = self.pool.list_is_due.notified() => {}
            }
            if self.roster.lock().await.refresh().await {
                self.is_new.notify_one();
            }
        }
    }

    async fn probe(&self) {
        // No two early rounds in a row: rise and fall are counted in rounds.
        let mut was_early = false;
        loop {
            let pool = {
                let mut rounds = self.rounds.lock().await;
                rounds.run().await;
                rounds.pool.clone()
            };
            let pause = tokio::time::sleep(jittered(self.interval));
            let early = async {
                tokio::time::sleep(self.interval / EARLY_PART).await;
                pool.wants_round().await;
            };
            was_early = tokio::select! {
                () = pause => false,
                () = self.is_new.notified() => false,
                () = early, if !was_early => true,
            };
        }
    }

    /// Apart from the rounds: a slow registry never holds up probing.
    async fn write_health(&self) {
        loop {
            tokio::time::sleep(jittered(self.interval)).await;
            self.scribe.lock().await.write().await;
        }
    }

    async fn tell(&self) {
        match &self.herald {
            Some(herald) => herald.run().await,
            None => std::future::pending().await,
        }
    }

    async fn share_heads(&self) {
        match &self.shared {
            Some(shared) => shared.exchange().await,
            None => std::future::pending().await,
        }
    }

    async fn tidy(&self) {
        loop {
            tokio::time::sleep(jittered(TIDY_EVERY)).await;
            let pool = {
                let mut roster = self.roster.lock().await;
                roster.resolve_again().await;
                roster.pool.clone()
            };
            for upstream in pool.snapshot().upstreams.iter() {
                upstream.link.sweep(clock::now());
            }
        }
    }
}

/// ±10 %, so that balancers which started together don't ask together.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.9 + 0.2 * (&mut clock::roll as &mut dyn FnMut() -> u64).fraction())
}

#[async_trait]
impl BackgroundService for Housekeeping {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        tokio::select! {
            _ = shutdown.changed() => return,
            () = self.find_first_list() => {}
        }
        tokio::select! {
            _ = shutdown.changed() => {}
            () = self.follow_registry() => {}
            () = self.probe() => {}
            () = self.write_health() => {}
            () = self.tell() => {}
            () = self.share_heads() => {}
            () = self.tidy() => {}
            () = self.newsroom.run() => {}
        }
    }
}

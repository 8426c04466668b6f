//! The one background service: begins when Pingora starts, ends when it stops.

use std::time::Duration;

use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::sync::{Mutex, Notify};

use super::herald::Herald;
use super::prober::Rounds;
use super::roster::Roster;
use super::scribe::Scribe;
use crate::clock;
use crate::domain::chance::Dice;

/// Names are resolved again this often, and old connections dropped.
const TIDY_EVERY: Duration = Duration::from_secs(30);

/// The household.
pub struct Housekeeping {
    roster: Mutex<Roster>,
    rounds: Mutex<Rounds>,
    scribe: Mutex<Scribe>,
    herald: Option<Herald>,
    interval: Duration,
    refresh: Duration,
    /// The list changed: a round is due at once.
    is_new: Notify,
}

impl Housekeeping {
    pub fn new(
        roster: Roster,
        rounds: Rounds,
        scribe: Scribe,
        herald: Option<Herald>,
        interval: Duration,
    ) -> Housekeeping {
        Housekeeping {
            refresh: roster.refresh,
            roster: Mutex::new(roster),
            rounds: Mutex::new(rounds),
            scribe: Mutex::new(scribe),
            herald,
            interval,
            is_new: Notify::new(),
        }
    }

    async fn follow_registry(&self) {
        loop {
            tokio::time::sleep(jittered(self.refresh)).await;
            if self.roster.lock().await.refresh().await {
                self.is_new.notify_one();
            }
        }
    }

    async fn probe(&self) {
        loop {
            self.rounds.lock().await.run().await;
            let pause = tokio::time::sleep(jittered(self.interval));
            tokio::select! {
                () = pause => {}
                () = self.is_new.notified() => {}
            }
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
        self.roster.lock().await.begin().await;
        tokio::select! {
            _ = shutdown.changed() => {}
            () = self.follow_registry() => {}
            () = self.probe() => {}
            () = self.write_health() => {}
            () = self.tell() => {}
            () = self.tidy() => {}
        }
    }
}

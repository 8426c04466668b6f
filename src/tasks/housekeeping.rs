//! The one background service: begins when Pingora starts, ends when it stops.
//!
//! After a hand-over a new process keeps the registry and follows the configuration. Here nodes are
//! still asked and clients told of heads until the process ends, for the sockets that live on.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::sync::{Mutex, Notify};

use super::certificates::Renewal;
use super::herald::Herald;
use super::newsroom::Newsroom;
use super::prober::Rounds;
use super::regimen::{InForce, jitter};
use super::reload::Reload;
use super::roster::Roster;
use super::scribe::Scribe;
use super::shared::SharedHeads;
use crate::clock;
use crate::state::pool::Pool;
use crate::telemetry::calls;
use crate::upstream::probe::Prober;

/// Names are resolved again this often.
const TIDY_EVERY: Duration = Duration::from_secs(30);
/// Connections that nobody uses are looked at this often.
const SWEEP_EVERY: Duration = Duration::from_secs(3);

/// An early round, for a block that calls tell of or wait for, comes no sooner than this part of
/// the interval after the last one.
const EARLY_PART: u32 = 5;

/// The household.
pub struct Housekeeping {
    roster: Mutex<Roster>,
    rounds: Mutex<Rounds>,
    scribe: Mutex<Scribe>,
    herald: Herald,
    newsroom: Newsroom,
    prober: Prober,
    shared: Option<Arc<SharedHeads>>,
    reload: Option<Mutex<Reload>>,
    renewals: Vec<Mutex<Renewal>>,
    regimen: InForce,
    pool: Arc<Pool>,
    /// The list changed: a round is due at once.
    is_new: Notify,
}

impl Housekeeping {
    pub fn new(
        roster: Roster,
        rounds: Rounds,
        scribe: Scribe,
        newsroom: Newsroom,
        reload: Option<Reload>,
        renewals: Vec<Renewal>,
    ) -> Housekeeping {
        let regimen = roster.regimen.clone();
        let prober = rounds.prober.clone();
        Housekeeping {
            herald: Herald {
                pool: roster.pool.clone(),
                metrics: roster.metrics.clone(),
                regimen: regimen.clone(),
            },
            reload: reload.map(Mutex::new),
            renewals: renewals.into_iter().map(Mutex::new).collect(),
            regimen,
            pool: roster.pool.clone(),
            shared: rounds.shared.clone(),
            roster: Mutex::new(roster),
            rounds: Mutex::new(rounds),
            scribe: Mutex::new(scribe),
            newsroom,
            prober,
            is_new: Notify::new(),
        }
    }

    /// Without any list there is no round, and so no readiness: a deployment during an outage of
    /// the registry must not replace balancers that serve by ones that know nobody.
    async fn find_first_list(&self) {
        while !self.roster.lock().await.begin().await {
            self.regimen.pause(|regimen| regimen.refresh).await;
        }
    }

    async fn follow_registry(&self) {
        loop {
            let pause = self.regimen.pause(|regimen| regimen.refresh);
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
            let pause = self.regimen.pause(|regimen| regimen.interval);
            let early = async {
                let interval = self.regimen.say(|regimen| regimen.interval);
                tokio::time::sleep(interval / EARLY_PART).await;
                pool.early.is_wanted().await;
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
            self.regimen.pause(|regimen| regimen.interval).await;
            self.scribe.lock().await.write().await;
        }
    }

    async fn follow_configuration(&self) {
        match &self.reload {
            Some(reload) => reload.lock().await.watch().await,
            None => std::future::pending().await,
        }
    }

    async fn follow_certificates(&self) {
        let watch = async |renewal: &Mutex<Renewal>| renewal.lock().await.watch().await;
        futures_util::future::join_all(self.renewals.iter().map(watch)).await;
    }

    async fn share_heads(&self) {
        match &self.shared {
            Some(shared) => shared.exchange().await,
            None => std::future::pending().await,
        }
    }

    async fn tidy(&self) {
        // Every other time, and when a name has moved: once a minute at least.
        let mut is_renewed = false;
        loop {
            tokio::time::sleep(TIDY_EVERY.mul_f64(jitter())).await;
            let has_moved = self.roster.lock().await.resolve_again().await;
            is_renewed = !is_renewed || has_moved;
            if is_renewed {
                self.prober.renew();
            }
        }
    }

    /// Looks after connections that nobody uses, and after what the log still owes.
    async fn sweep(&self) {
        let pool = self.roster.lock().await.pool.clone();
        loop {
            tokio::time::sleep(SWEEP_EVERY.mul_f64(jitter())).await;
            for upstream in pool.snapshot().upstreams.iter() {
                upstream.link.sweep(clock::now());
            }
            calls::tell_left_out(clock::now());
        }
    }
}

#[async_trait]
impl BackgroundService for Housekeeping {
    async fn start(&self, shutdown: ShutdownWatch) {
        tokio::join!(
            until(shutdown.clone(), self.follow_configuration()),
            until(shutdown.clone(), self.follow_certificates()),
            self.keep_house(shutdown),
        );
    }
}

impl Housekeeping {
    async fn keep_house(&self, shutdown: ShutdownWatch) {
        let is_found = until(shutdown.clone(), self.find_first_list()).await;
        if is_found.is_none() {
            return;
        }
        tokio::join!(
            until(shutdown.clone(), self.follow_registry()),
            until(shutdown.clone(), self.write_health()),
            until(shutdown.clone(), self.herald.run()),
            until(shutdown, self.share_heads()),
            self.probe(),
            self.tidy(),
            self.sweep(),
            self.newsroom.run(),
        );
    }
}

/// Does `work` unless Pingora stops before it is done.
async fn until<T>(mut shutdown: ShutdownWatch, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        _ = shutdown.changed() => None,
        done = work => Some(done),
    }
}

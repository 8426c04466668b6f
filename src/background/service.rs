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

use crate::background::certificates::CertificateReload;
use crate::background::cloudwatch_reporter::CloudWatchReporter;
use crate::background::discovery::NodeDiscovery;
use crate::background::feeds::Feeds;
use crate::background::health_writer::HealthWriter;
use crate::background::intervals::{CurrentIntervals, jitter};
use crate::background::probing::ProbeRounds;
use crate::background::reload::ConfigReload;
use crate::background::shared_leader::SharedHeads;
use crate::clock;
use crate::node::probe::Prober;
use crate::observe::{access_log, logs};
use crate::shared::fleet_state::FleetState;

/// Names are resolved again this often.
const TIDY_EVERY: Duration = Duration::from_secs(30);
/// Connections that nobody uses are looked at this often.
const SWEEP_EVERY: Duration = Duration::from_secs(3);

/// An early round, for a block that calls tell of or wait for, comes no sooner than this part of
/// the interval after the last one.
const EARLY_PART: u32 = 5;

/// The household.
pub struct BackgroundTasks {
    roster: Mutex<NodeDiscovery>,
    rounds: Mutex<ProbeRounds>,
    scribe: Mutex<HealthWriter>,
    herald: CloudWatchReporter,
    newsroom: Feeds,
    prober: Prober,
    shared: Option<Arc<SharedHeads>>,
    reload: Option<Mutex<ConfigReload>>,
    renewals: Vec<Mutex<CertificateReload>>,
    regimen: CurrentIntervals,
    pool: Arc<FleetState>,
    /// The list changed: a round is due at once.
    is_new: Notify,
}

impl BackgroundTasks {
    pub fn new(
        roster: NodeDiscovery,
        rounds: ProbeRounds,
        scribe: HealthWriter,
        newsroom: Feeds,
        reload: Option<ConfigReload>,
        renewals: Vec<CertificateReload>,
    ) -> BackgroundTasks {
        let regimen = roster.regimen.clone();
        let prober = rounds.prober.clone();
        BackgroundTasks {
            herald: CloudWatchReporter {
                pool: roster.pool.clone(),
                metrics: roster.metrics.clone(),
                // With the certificates comes the telling of them.
                certificates: renewals.first().map(|renewal| renewal.metrics.clone()),
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
        let watch = async |renewal: &Mutex<CertificateReload>| renewal.lock().await.watch().await;
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
            access_log::tell_left_out(clock::now());
        }
    }
}

#[async_trait]
impl BackgroundService for BackgroundTasks {
    async fn start(&self, shutdown: ShutdownWatch) {
        let chain = self.pool.chain.clone();
        tokio::join!(
            until(shutdown.clone(), self.follow_configuration()),
            until(shutdown.clone(), self.follow_certificates()),
            logs::for_chain(chain, self.keep_house(shutdown)),
        );
    }
}

impl BackgroundTasks {
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

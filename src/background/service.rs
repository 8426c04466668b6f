//! The one background service: begins when Pingora starts, ends when it stops.
//!
//! What is a chain's is in [`chain_tasks`](super::chain_tasks); here it is begun and ended, and what is the
//! process's is read again.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::net::UnixStream;
use tokio::sync::Mutex;

use crate::background::certificates::CertificateReload;
use crate::background::chain_supervisor::ChainSupervisor;
use crate::background::pacing::{jitter, or_never, until};
use crate::background::reload::ConfigReload;
use crate::clock;
use crate::node::probe::Prober;
use crate::observe::access_log;
use crate::shared::fleet_state::ChainFleets;
use crate::shared::upgrade_heads;

/// Probes go over new connections this often.
const RENEW_EVERY: Duration = Duration::from_secs(54);
/// The log tells this often of failed calls that it has left out.
const OWED_EVERY: Duration = Duration::from_secs(3);

/// The process's background work.
pub struct BackgroundTasks {
    pub chains: Mutex<ChainSupervisor>,
    pub prober: Prober,
    pub reload: Option<Mutex<ConfigReload>>,
    pub renewals: Vec<Mutex<CertificateReload>>,
    /// Where the process that this one takes over from is met.
    pub old_process: Option<(PathBuf, ChainFleets)>,
}

impl BackgroundTasks {
    /// Before any node is asked: what is shown to clients there is known when the first of them come here.
    async fn meet_old_process(&self) -> Option<(UnixStream, &ChainFleets)> {
        let (place, fleets) = self.old_process.as_ref()?;
        match upgrade_heads::meet_old(place).await {
            Ok(met) => Some((met, fleets)),
            Err(why) => {
                log::warn!("the old process isn't met at {}: {why}", place.display());
                None
            }
        }
    }

    async fn exchange_heads(met: Option<(UnixStream, &ChainFleets)>) {
        if let Some((met, fleets)) = met {
            upgrade_heads::exchange(met, fleets).await;
        }
    }

    async fn follow_configuration(&self) {
        let reload = self.reload.as_ref();
        or_never(reload.map(|it| async move { it.lock().await.watch().await })).await;
    }

    async fn follow_certificates(&self) {
        let watch = async |renewal: &Mutex<CertificateReload>| renewal.lock().await.watch().await;
        futures_util::future::join_all(self.renewals.iter().map(watch)).await;
    }

    async fn renew_probes(&self) {
        loop {
            tokio::time::sleep(RENEW_EVERY.mul_f64(jitter())).await;
            self.prober.renew();
        }
    }

    async fn tell_what_was_left_out(&self) {
        loop {
            tokio::time::sleep(OWED_EVERY).await;
            access_log::tell_left_out(clock::now());
        }
    }
}

#[async_trait]
impl BackgroundService for BackgroundTasks {
    async fn start(&self, shutdown: ShutdownWatch) {
        let met = self.meet_old_process().await;
        let mut chains = self.chains.lock().await;
        let chains = chains.run(shutdown.clone());
        let of_process = async {
            tokio::join!(
                until(shutdown.clone(), self.follow_configuration()),
                until(shutdown.clone(), self.follow_certificates()),
                until(shutdown.clone(), Self::exchange_heads(met)),
            );
        };
        // The chains' nodes are asked to the end of the process, and so anew.
        let chains = async {
            tokio::select! {
                () = chains => {}
                () = self.renew_probes() => {}
                () = self.tell_what_was_left_out() => {}
            }
        };
        tokio::join!(of_process, chains);
    }
}

//! All that tells clients what they listen to, and the channels between its parts: lines to nodes,
//! the heads, the logs, and what single nodes tell.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::sync::{Mutex, Semaphore, mpsc, watch};

use super::headlines::{self, Headlines};
use super::lines::{Exchange, Head, Lines, SAID_BYTES_MAX};
use super::logs::Logs;
use super::regimen::InForce;
use super::relays::Relays;
use crate::state::hub::Hub;
use crate::state::pool::Pool;
use crate::telemetry::metrics::Metrics;
use crate::upstream::connector::Connector;
use crate::upstream::probe::Prober;

/// Heads that wait to be judged. A full queue makes lines wait, and rounds leave heads out.
const HEADS_MAX: usize = 1024;
/// What nodes said of topics that are passed on.
const SAID_MAX: usize = 4096;

/// What it is made of.
pub struct Means {
    pub pool: Arc<Pool>,
    pub hub: Arc<Hub>,
    pub metrics: Arc<Metrics>,
    pub connector: Arc<Connector>,
    pub prober: Prober,
    pub regimen: InForce,
}

/// All of it.
pub struct Newsroom {
    lines: Lines,
    headlines: Mutex<Headlines>,
    logs: Mutex<Logs>,
    relays: Mutex<Relays>,
    heads: mpsc::Sender<Head>,
}

impl Newsroom {
    pub fn new(means: Means) -> Newsroom {
        let (heads, heard) = mpsc::channel(HEADS_MAX);
        let (said, saying) = mpsc::channel(SAID_MAX);
        let (pages, written) = mpsc::channel(headlines::PAGES_MAX);
        let (open, opened) = watch::channel(HashMap::new());
        let told = Arc::default();
        let Means {
            pool,
            hub,
            metrics,
            prober,
            regimen,
            connector,
        } = means;
        let exchange = Exchange {
            pool: pool.clone(),
            hub: hub.clone(),
            metrics: metrics.clone(),
            connector,
            prober: prober.clone(),
            regimen: regimen.clone(),
            heads: heads.clone(),
            said,
            said_room: Arc::new(Semaphore::new(SAID_BYTES_MAX)),
            told: Arc::clone(&told),
            open,
            epochs: AtomicU64::default(),
        };
        let headlines = Headlines {
            pool: pool.clone(),
            hub: hub.clone(),
            metrics: metrics.clone(),
            prober: prober.clone(),
            regimen: regimen.clone(),
            heads: heard,
            pages,
            told,
        };
        let logs = Logs::new(pool.clone(), hub.clone(), metrics.clone(), prober, written);
        Newsroom {
            lines: Lines {
                exchange: Arc::new(exchange),
            },
            headlines: Mutex::new(headlines),
            logs: Mutex::new(logs),
            relays: Mutex::new(Relays::new(pool, hub, metrics, saying, opened)),
            heads,
        }
    }

    /// Where heads go that rounds bring.
    pub fn heads(&self) -> mpsc::Sender<Head> {
        self.heads.clone()
    }

    /// Tells, for ever.
    pub async fn run(&self) {
        let (mut headlines, mut logs) = (self.headlines.lock().await, self.logs.lock().await);
        let mut relays = self.relays.lock().await;
        tokio::join!(self.lines.run(), headlines.run(), logs.run(), relays.run());
    }
}

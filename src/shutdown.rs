//! The shutdown: how a balancer ends without losing a call.
//!
//! On SIGTERM `/health` says no at once, so that the load balancer in front turns away; calls
//! that still come are answered for the lame-duck time, each HTTP/1 answer closing its connection
//! and HTTP/2 clients told to go away. Then the listeners close; those inside, and transactions that
//! still go to further nodes, are waited for, within the drain time, and so are connections that
//! haven't been told yet: their next call is answered, too. WebSockets are closed once their calls are
//! answered. SIGINT skips the lame-duck time, and waits for no connection without a call. SIGQUIT hands the
//! listeners to a new process; clients' WebSockets stay here until shortly before the drain time is over.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::call::chains::Chains;
use crate::call::context::CallState;
use crate::config::settings::ShutdownSettings;
use crate::observe::spans::tracer;
use crate::observe::systemd;
use crate::shared::admission::Admission;
use crate::shared::upgrade_heads;

/// How often it is looked whether all calls are done.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// For the last spans; they wait a second for others.
const SPANS_TIME_MAX: Duration = Duration::from_secs(2);

const FIRST_ROUND_PATIENCE: Duration = Duration::from_secs(86_400);

const LAST_BYTES: Duration = Duration::from_millis(100);

/// So long Pingora gives a new process for taking the listeners, before the drain time begins.
const HAND_OVER: Duration = Duration::from_secs(5);
/// So long sockets may take to end: for calls on their way, and for the closing handshake.
const SOCKETS_END: Duration = Duration::from_secs(5);

pub struct GracefulShutdown {
    pub chains: Arc<Chains>,
    /// What comes before its chain is known goes by it.
    pub entry: Arc<Admission>,
    pub times: Arc<ArcSwap<ShutdownSettings>>,
    /// The drain time that Pingora goes by after a hand-over: as of the start.
    pub grace: Duration,
    /// Where a new process is met that takes over.
    pub new_process: PathBuf,
    /// Closes the listeners for calls.
    pub close: watch::Sender<bool>,
}

#[async_trait]
impl ShutdownSignalWatch for GracefulShutdown {
    async fn recv(&self) -> ShutdownSignal {
        tokio::spawn(announce(self.chains.clone()));
        let (mut terminate, mut interrupt, mut quit) = (
            hear(SignalKind::terminate()),
            hear(SignalKind::interrupt()),
            hear(SignalKind::quit()),
        );
        let lame_duck = tokio::select! {
            () = next(&mut terminate) => self.times.load().lame_duck,
            () = next(&mut interrupt) => Duration::ZERO,
            () = next(&mut quit) => {
                log::info!("handing the sockets to a new process");
                self.entry.process().hand_over();
                tokio::spawn(end_sockets(self.chains.clone(), self.grace));
                let (place, fleets) = (self.new_process.clone(), self.chains.clone().fleets());
                tokio::spawn(async move { upgrade_heads::with_new(&place, fleets).await });
                return ShutdownSignal::GracefulUpgrade;
            }
        };
        log::info!("shutting down: calls are answered for {lame_duck:?} more");
        self.entry.process().close();
        tokio::select! {
            () = sleep(lame_duck) => {}
            () = next(&mut interrupt) => {}
        }
        self.close.send_replace(true);
        leave(&self.chains);
        let waits_for_idle = !lame_duck.is_zero();
        let drained = timeout(
            self.times.load().drain,
            self.until_all_are_done(waits_for_idle),
        );
        let drained = tokio::select! {
            drained = drained => drained.map_err(drop),
            () = next(&mut interrupt) => Err(()),
        };
        match drained {
            Ok(()) => log::info!("all calls are done"),
            Err(_) if !self.has_work() => {
                let idle = self.entry.process().connections();
                log::info!("all calls are done, and {idle} connections without one are closed");
            }
            Err(_) => log::warn!(
                "{} calls, {} transactions on their way and {} sockets are cut off",
                self.sum(|state| state.admission.requests() as u64),
                self.sum(|state| state.background_sends.pieces()),
                self.sum(|state| state.sockets.open() as u64)
            ),
        }
        // Whether in time or not: they are no calls.
        let _ = timeout(SPANS_TIME_MAX, until_spans_are_out()).await;
        ShutdownSignal::FastShutdown
    }
}

/// Says that it serves, once the first round is over.
async fn announce(chains: Arc<Chains>) {
    // What started us has lost its own patience by then.
    if timeout(FIRST_ROUND_PATIENCE, chains.until_ready())
        .await
        .is_ok()
    {
        systemd::tell(systemd::READY);
    }
}

/// Sockets are told to go.
fn leave(chains: &Chains) {
    for state in chains.now().all() {
        state.sockets.leave();
    }
}

/// Waits until the collector has all spans, or has refused them.
async fn until_spans_are_out() {
    while tracer().is_some_and(|tracer| tracer.pending() > 0) {
        sleep(LOOK_EVERY).await;
    }
}

impl GracefulShutdown {
    /// Whether there is anything that would be cut off.
    fn has_work(&self) -> bool {
        self.entry.unsent_bytes() > 0 || self.chains.now().all().any(|state| state.has_work())
    }

    fn sum(&self, of: impl Fn(&CallState) -> u64) -> u64 {
        let present = self.chains.now();
        present.all().map(|state| of(state)).sum()
    }

    async fn until_all_are_done(&self, waits_for_idle: bool) {
        let has_idle = || waits_for_idle && self.entry.process().connections() > 0;
        while self.has_work() || has_idle() {
            sleep(LOOK_EVERY).await;
        }
        // What was written last is on its way to HTTP/2's own task.
        sleep(LAST_BYTES).await;
    }
}

/// After the listeners have gone to a new process: lets the sockets live as long as may be, and
/// leaves them time to end.
async fn end_sockets(chains: Arc<Chains>, grace: Duration) {
    sleep(HAND_OVER + grace.saturating_sub(SOCKETS_END)).await;
    let open: usize = chains.now().all().map(|state| state.sockets.open()).sum();
    log::info!("{open} sockets are told to go");
    leave(&chains);
}

/// Where a signal can't be heard, it never comes.
fn hear(kind: SignalKind) -> Option<Signal> {
    signal(kind)
        .map_err(|why| log::error!("a signal can't be heard: {why}"))
        .ok()
}

async fn next(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

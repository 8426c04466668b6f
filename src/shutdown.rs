//! The farewell: how a balancer ends without losing a call.
//!
//! On SIGTERM `/health` says no at once, so that the load balancer in front turns away; calls
//! that still come are answered for the lame-duck time, each HTTP/1 answer closing its connection
//! and HTTP/2 clients told to go away; then those inside, and transactions that still go to further
//! nodes, are waited for, within the drain time. SIGINT skips the lame-duck time. SIGQUIT
//! hands the sockets to a new process.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{sleep, timeout};

use crate::config::settings::Shutdown;
use crate::serve::engine::Engine;

/// How often it is looked whether all calls are done.
const LOOK_EVERY: Duration = Duration::from_millis(20);

const LAST_BYTES: Duration = Duration::from_millis(100);

pub struct Farewell {
    pub engine: Arc<Engine>,
    pub times: Arc<ArcSwap<Shutdown>>,
}

#[async_trait]
impl ShutdownSignalWatch for Farewell {
    async fn recv(&self) -> ShutdownSignal {
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
                self.engine.gate.hand_over();
                return ShutdownSignal::GracefulUpgrade;
            }
        };
        log::info!("shutting down: calls are answered for {lame_duck:?} more");
        self.engine.gate.close();
        tokio::select! {
            () = sleep(lame_duck) => {}
            () = next(&mut interrupt) => {}
        }
        let drained = timeout(self.times.load().drain, self.until_all_are_done()).await;
        match drained {
            Ok(()) => log::info!("all calls are done"),
            Err(_) => log::warn!(
                "{} calls and {} transactions on their way are cut off",
                self.engine.gate.requests(),
                self.engine.afterwork.pieces()
            ),
        }
        ShutdownSignal::FastShutdown
    }
}

impl Farewell {
    async fn until_all_are_done(&self) {
        while self.engine.gate.requests() > 0 || self.engine.afterwork.pieces() > 0 {
            sleep(LOOK_EVERY).await;
        }
        // What was written last is on its way to HTTP/2's own task.
        sleep(LAST_BYTES).await;
    }
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

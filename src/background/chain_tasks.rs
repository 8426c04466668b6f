//! One chain's background work: its list is followed, its nodes are asked, its clients told.
//!
//! After a hand-over a new process keeps the registry and follows the configuration. Here nodes are
//! still asked and clients told of heads until the process ends, for the sockets that live on.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use pingora::server::ShutdownWatch;
use tokio::sync::{Mutex, Notify};

use crate::background::answer_exchange::AnswerExchange;
use crate::background::cloudwatch_reporter::CloudWatchReporter;
use crate::background::discovery::NodeDiscovery;
use crate::background::feeds::Feeds;
use crate::background::head_floor::FloorKeeper;
use crate::background::head_looks::HeadLookout;
use crate::background::health_writer::HealthWriter;
use crate::background::pacing::{CurrentSettings, jitter, or_never, until};
use crate::background::probing::ProbeRounds;
use crate::background::shared_exchange::SharedExchange;
use crate::background::shared_leader::SharedHeads;
use crate::clock;
use crate::node::probe::Prober;
use crate::observe::logs;
use crate::shared::fleet_state::FleetState;
use forebay_core::vocabulary::chain::ChainName;

/// Names are resolved again this often.
const TIDY_EVERY: Duration = Duration::from_secs(30);
/// Connections that nothing uses are looked at this often.
const SWEEP_EVERY: Duration = Duration::from_secs(3);

/// An early round, for a block that calls tell of or wait for, comes no sooner than this part of
/// the interval after the last one.
const EARLY_PART: u32 = 5;

/// With other balancers: of what clients were told, and of kept answers.
pub type Exchanges = (Option<SharedExchange>, Option<AnswerExchange>);

/// A chain's background work, again and again.
pub struct ChainTasks {
    discovery: Mutex<NodeDiscovery>,
    rounds: Mutex<ProbeRounds>,
    health_writer: Mutex<HealthWriter>,
    cloudwatch_reporter: CloudWatchReporter,
    feeds: Feeds,
    lookout: HeadLookout,
    floor: FloorKeeper,
    exchange: Option<SharedExchange>,
    answers: Option<AnswerExchange>,
    prober: Prober,
    shared: Option<Arc<SharedHeads>>,
    settings: CurrentSettings,
    fleet: Arc<FleetState>,
    /// The list changed: a round is due at once.
    is_new: Notify,
}

impl ChainTasks {
    pub fn new(
        discovery: NodeDiscovery,
        rounds: ProbeRounds,
        health_writer: HealthWriter,
        (feeds, floor, (exchange, answers)): (Feeds, FloorKeeper, Exchanges),
        cloudwatch_reporter: CloudWatchReporter,
    ) -> ChainTasks {
        let prober = rounds.prober.clone();
        ChainTasks {
            cloudwatch_reporter,
            floor,
            exchange,
            answers,
            lookout: HeadLookout {
                fleet: discovery.fleet.clone(),
                prober: prober.clone(),
                settings: discovery.settings.clone(),
                heads: feeds.heads(),
            },
            settings: discovery.settings.clone(),
            fleet: discovery.fleet.clone(),
            shared: rounds.shared.clone(),
            discovery: Mutex::new(discovery),
            rounds: Mutex::new(rounds),
            health_writer: Mutex::new(health_writer),
            feeds,
            prober,
            is_new: Notify::new(),
        }
    }

    pub fn chain(&self) -> &ChainName {
        &self.fleet.chain
    }

    /// Runs, for ever, once there is a list.
    pub async fn run(&self, shutdown: ShutdownWatch) {
        logs::for_chain(self.fleet.chain.clone(), self.tend(shutdown)).await;
    }

    async fn tend(&self, shutdown: ShutdownWatch) {
        let is_found = until(shutdown.clone(), self.find_first_list()).await;
        if is_found.is_none() {
            return;
        }
        self.floor.recall().await;
        let share_heads = self.shared.as_ref().map(|shared| shared.exchange());
        // What wakes one of them is no work for the others.
        let all: [BoxFuture<'_, ()>; 11] = [
            Box::pin(ended(until(shutdown.clone(), self.follow_registry()))),
            Box::pin(ended(until(shutdown.clone(), self.write_health()))),
            Box::pin(ended(until(
                shutdown.clone(),
                self.cloudwatch_reporter.run(),
            ))),
            Box::pin(ended(until(shutdown, or_never(share_heads)))),
            Box::pin(self.probe()),
            Box::pin(self.lookout.run()),
            Box::pin(self.floor.keep()),
            Box::pin(self.exchange()),
            Box::pin(self.tidy()),
            Box::pin(self.sweep()),
            Box::pin(self.feeds.run()),
        ];
        let mut all: FuturesUnordered<_> = all.into_iter().collect();
        while all.next().await.is_some() {}
    }

    /// Without any list there is no round, and so no readiness: a deployment during an outage of
    /// the registry must not replace balancers that serve by ones that know no node.
    async fn find_first_list(&self) {
        while !self.discovery.lock().await.begin().await {
            self.settings.pause(|it| it.registry.refresh).await;
        }
    }

    async fn follow_registry(&self) {
        loop {
            let pause = self.settings.pause(|settings| settings.registry.refresh);
            tokio::select! {
                () = pause => {}
                () = self.fleet.list_is_due.notified() => {}
            }
            if self.discovery.lock().await.refresh().await {
                self.is_new.notify_one();
            }
        }
    }

    async fn probe(&self) {
        // No two early rounds in a row: rise and fall are counted in rounds.
        let mut was_early = false;
        loop {
            let fleet = {
                let mut rounds = self.rounds.lock().await;
                rounds.run().await;
                rounds.fleet.clone()
            };
            let pause = self.settings.pause(|settings| settings.health.interval);
            let early = async {
                let interval = self.settings.say(|settings| settings.health.interval);
                tokio::time::sleep(interval / EARLY_PART).await;
                fleet.early.is_wanted().await;
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
            self.settings.pause(|it| it.health.interval).await;
            self.health_writer.lock().await.write().await;
        }
    }

    /// With other balancers.
    async fn exchange(&self) {
        let news = self.exchange.as_ref().map(|exchange| exchange.run());
        let answers = self.answers.as_ref().map(|answers| answers.run());
        tokio::join!(or_never(news), or_never(answers));
    }

    async fn tidy(&self) {
        loop {
            tokio::time::sleep(TIDY_EVERY.mul_f64(jitter())).await;
            if self.discovery.lock().await.resolve_again().await {
                self.prober.renew();
            }
        }
    }

    /// Looks after connections that nothing uses.
    async fn sweep(&self) {
        loop {
            tokio::time::sleep(SWEEP_EVERY.mul_f64(jitter())).await;
            for upstream in self.fleet.snapshot().upstreams.iter() {
                upstream.link.sweep(clock::now());
            }
        }
    }
}

/// Whether it came to its end or was ended.
async fn ended<T>(work: impl Future<Output = Option<T>>) {
    drop(work.await);
}

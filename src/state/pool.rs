//! The pool: Pingora's load balancer around the fleet.
//!
//! Membership goes in by its `ServiceDiscovery`, the block-lag verdict by its `HealthCheck`, and
//! its `BackendSelection` draws. Each of the three only asks `domain`: the fleet has one writer
//! (under a lock that no call takes on its way), and calls read one snapshot of it.
//!
//! Pingora tells backends apart by address and weight, so two nodes on one address would be one:
//! here each has a synthetic address, made of its id, that nobody connects to.

use std::collections::{BTreeSet, HashMap};
use std::net::{Ipv6Addr, SocketAddrV6};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use pingora::lb::discovery::ServiceDiscovery;
use pingora::lb::health_check::HealthCheck;
use pingora::lb::selection::{BackendIter, BackendSelection};
use pingora::lb::{Backend, Backends, Extensions, LoadBalancer};
use pingora::protocols::l4::socket::SocketAddr;
use tokio::sync::watch;

use super::upstreams::{Upstream, Upstreams};
use crate::clock;
use crate::domain::chain::BlockNumber;
use crate::domain::fleet::{Change, Fleet, FleetView, NodeView, Probe};
use crate::domain::node::NodeId;
use crate::domain::select::{self, Ladder};
use crate::telemetry::events;

/// What calls see: the fleet at one moment, and the way to its nodes.
#[derive(Default)]
pub struct Snapshot {
    pub view: FleetView,
    pub upstreams: Upstreams,
}

impl Snapshot {
    pub fn upstream(&self, id: NodeId) -> Option<&Arc<Upstream>> {
        self.upstreams.iter().find(|upstream| upstream.id == id)
    }
}

type Present = Arc<ArcSwap<Snapshot>>;

/// The fleet's one writer, and everybody's reader.
pub struct Pool {
    fleet: Mutex<Fleet>,
    present: Present,
    balancer: LoadBalancer<ByWeightAndLoad>,
    telling: tokio::sync::Mutex<()>,
    has_begun: watch::Sender<bool>,
}

impl Pool {
    pub fn new(fleet: Fleet) -> Pool {
        let present: Present = Arc::default();
        let mut backends = Backends::new(Box::new(Roster(present.clone())));
        backends.set_health_check(Box::new(BlockLag(present.clone())));
        Pool {
            fleet: Mutex::new(fleet),
            balancer: LoadBalancer::from_backends_with_config(backends, Some(present.clone())),
            present,
            telling: tokio::sync::Mutex::default(),
            has_begun: watch::Sender::new(false),
        }
    }

    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.present.load_full()
    }

    /// Draws a node on `ladder` that is not among `passed`.
    pub fn draw(&self, ladder: Ladder, passed: &[NodeId]) -> Option<NodeId> {
        let takes = |backend: &Backend, is_healthy: bool| {
            let is_wanted = is_healthy || ladder == Ladder::LastResort;
            is_wanted && id_of(backend).is_some_and(|id| !passed.contains(&id))
        };
        let backend = self
            .balancer
            .select_with(&[ladder_key(ladder)], usize::MAX, takes)?;
        id_of(&backend)
    }

    /// Takes the list as it is now.
    pub async fn replace(&self, upstreams: Upstreams) {
        {
            let mut fleet = self.fleet();
            let members = upstreams.iter().map(|upstream| upstream.member()).collect();
            fleet.replace(members, clock::now());
            self.present.store(Arc::new(Snapshot {
                view: fleet.view(),
                upstreams,
            }));
        }
        if let Err(why) = self.balancer.update().await {
            log::error!("the balancer did not take the list: {why}");
        }
        self.tell_pingora().await;
    }

    /// Hears one round.
    pub async fn hear_round(&self, probes: &[(NodeId, Probe)]) {
        self.change(|fleet| fleet.hear_round(probes, clock::now()))
            .await;
        self.has_begun.send_replace(true);
    }

    /// Waits for the first round, at most `patience`: before it no node is known to be fit.
    pub async fn begin(&self, patience: Duration) {
        if self.present.load().view.rounds > 0 {
            return;
        }
        let mut has_begun = self.has_begun.subscribe();
        let begun = has_begun.wait_for(|has_begun| *has_begun);
        let _ = Box::pin(tokio::time::timeout(patience, begun)).await;
    }

    /// A node has failed calls time after time.
    pub async fn bench(&self, id: NodeId) {
        self.change(|fleet| fleet.bench(id, clock::now())).await;
    }

    /// A node asked to be left alone.
    pub async fn throttle(&self, id: NodeId, rest: Option<Duration>) {
        let rests = |node: &NodeView| node.standing.rests(clock::now());
        if self.present.load().view.node(id).is_none_or(rests) {
            return;
        }
        self.change(|fleet| {
            fleet.throttle(id, rest, clock::now());
            Vec::new()
        })
        .await;
    }

    /// A client was told of block `head`; most are no news.
    pub async fn see(&self, head: BlockNumber) {
        if Some(head) > self.present.load().view.served_head {
            self.change(|fleet| {
                fleet.see(head, clock::now());
                Vec::new()
            })
            .await;
        }
    }

    async fn change(&self, change: impl FnOnce(&mut Fleet) -> Vec<Change>) {
        let changes = {
            let mut fleet = self.fleet();
            let changes = change(&mut fleet);
            let upstreams = self.present.load().upstreams.clone();
            self.present.store(Arc::new(Snapshot {
                view: fleet.view(),
                upstreams,
            }));
            changes
        };
        for change in &changes {
            let (level, sentence) = events::sentence(change);
            log::log!(level, "{sentence}");
        }
        // Without a change no verdict can have flipped.
        if !changes.is_empty() {
            self.tell_pingora().await;
        }
    }

    /// Hands the verdicts to Pingora, one pass at a time: the last one sees the last verdicts.
    async fn tell_pingora(&self) {
        let _one = self.telling.lock().await;
        self.balancer.backends().run_health_check(false).await;
    }

    fn fleet(&self) -> MutexGuard<'_, Fleet> {
        self.fleet
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The registry's list, for Pingora.
struct Roster(Present);

#[async_trait]
impl ServiceDiscovery for Roster {
    async fn discover(&self) -> pingora::Result<(BTreeSet<Backend>, HashMap<u64, bool>)> {
        let snapshot = self.0.load();
        let backends = snapshot
            .upstreams
            .iter()
            .map(|upstream| backend_of(upstream.id));
        Ok((backends.collect(), HashMap::new()))
    }
}

fn backend_of(id: NodeId) -> Backend {
    let address = SocketAddrV6::new(Ipv6Addr::from(u128::from(id.0)), 0, 0, 0);
    let mut ext = Extensions::new();
    ext.insert(id);
    Backend {
        addr: SocketAddr::Inet(address.into()),
        weight: 1,
        ext,
    }
}

fn id_of(backend: &Backend) -> Option<NodeId> {
    backend.ext.get::<NodeId>().copied()
}

/// The verdict of the last round and of the calls since, for Pingora: `check` asks no node.
struct BlockLag(Present);

#[async_trait]
impl HealthCheck for BlockLag {
    async fn check(&self, target: &Backend) -> pingora::Result<()> {
        let snapshot = self.0.load();
        let node = id_of(target).and_then(|id| snapshot.view.node(id));
        match node {
            Some(node) if node.standing.is_healthy() => Ok(()),
            Some(node) => {
                let reason = node.standing.reason(clock::now());
                let why = reason.map_or("not yet probed", |reason| reason.as_str());
                pingora::Error::e_explain(pingora::ErrorType::new("unfit"), why)
            }
            None => pingora::Error::e_explain(pingora::ErrorType::new("unfit"), "not in the list"),
        }
    }

    fn backend_summary(&self, target: &Backend) -> String {
        let snapshot = self.0.load();
        let node = id_of(target).and_then(|id| snapshot.view.node(id));
        node.map_or_else(|| "a removed node".into(), |node| node.name.to_string())
    }

    /// Rise and fall are counted in `domain`.
    fn health_threshold(&self, _success: bool) -> usize {
        1
    }
}

/// Our selection: by weight, then by load, as the fleet stands when a call asks.
pub struct ByWeightAndLoad {
    backends: HashMap<NodeId, Backend>,
    present: Present,
}

impl BackendSelection for ByWeightAndLoad {
    type Iter = Draws;
    type Config = Present;

    fn build_with_config(backends: &BTreeSet<Backend>, present: &Present) -> Self {
        let known = backends
            .iter()
            .filter_map(|backend| Some((id_of(backend)?, backend.clone())));
        ByWeightAndLoad {
            backends: known.collect(),
            present: present.clone(),
        }
    }

    fn build(backends: &BTreeSet<Backend>) -> Self {
        ByWeightAndLoad::build_with_config(backends, &Present::default())
    }

    /// `key` names the ladder (see [`ladder_key`]).
    fn iter(self: &Arc<Self>, key: &[u8]) -> Draws {
        Draws {
            selection: self.clone(),
            snapshot: self.present.load_full(),
            ladder: ladder_of(key),
            passed: Vec::new(),
        }
    }
}

fn ladder_key(ladder: Ladder) -> u8 {
    match ladder {
        Ladder::Own => 0,
        Ladder::Fallback => 1,
        Ladder::LastResort => 2,
    }
}

fn ladder_of(key: &[u8]) -> Ladder {
    let ladders = [Ladder::Fallback, Ladder::LastResort];
    ladders
        .into_iter()
        .find(|ladder| key == [ladder_key(*ladder)])
        .unwrap_or(Ladder::Own)
}

/// One draw after another, never the same node twice.
pub struct Draws {
    selection: Arc<ByWeightAndLoad>,
    snapshot: Arc<Snapshot>,
    ladder: Ladder,
    passed: Vec<NodeId>,
}

impl BackendIter for Draws {
    fn next(&mut self) -> Option<&Backend> {
        loop {
            let view = &self.snapshot.view;
            let id = select::draw(
                view,
                self.ladder,
                &self.passed,
                clock::now(),
                &mut clock::roll,
            )?;
            self.passed.push(id);
            // A node that joined after this selection was built is in the next one.
            if self.selection.backends.contains_key(&id) {
                return self.selection.backends.get(&id);
            }
        }
    }
}

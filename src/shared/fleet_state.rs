//! A fleet in use: Pingora's load balancer around the fleet.
//!
//! Membership goes in by its `ServiceDiscovery`, the block-lag verdict by its `HealthCheck`, and
//! its `BackendSelection` draws. Each of the three only asks the core: the fleet has one writer
//! (under a lock that no call takes on its way), and calls read one snapshot of it. They draw from
//! that snapshot, too: what Pingora was told of follows it a moment later.
//!
//! Pingora tells backends apart by address and weight, so two nodes on one address would be one:
//! here each has a synthetic address, made of its id, that nothing connects to.

mod drawing;
mod feedback;
mod several;
mod waiting;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::Guard;
use async_trait::async_trait;
use parking_lot::Mutex;
use pingora::lb::discovery::ServiceDiscovery;
use pingora::lb::health_check::HealthCheck;
use pingora::lb::{Backend, Backends, LoadBalancer};
use tokio::sync::{Notify, watch};

use crate::clock;
use crate::observe::events;
use crate::observe::journal::Journal;
use crate::observe::logs;
use crate::shared::client_floors::SharedFloors;
use crate::shared::early_rounds::{EarlyRounds, HeadLooks};
use crate::shared::list_source::CurrentListSource;
use crate::shared::node_clients::Upstreams;
use crate::shared::place_queue::PlaceQueue;
use crate::shared::selection::{WeightedSelection, backend_of, id_of};
use crate::shared::snapshot::{CurrentSnapshot, Snapshot};
use crate::shared::told_blocks::ToldBlocks;
use forebay_core::fleet::branch::PublishedChain;
use forebay_core::fleet::failure_rate::FailureRate;
use forebay_core::fleet::node_view::NodeView;
use forebay_core::fleet::tracker::Fleet;
use forebay_core::fleet::view::FleetView;
use forebay_core::fleet::{FleetChange, HealthCriteria, ProbeDetails, ProbeOutcome};
use forebay_core::vocabulary::chain::{BlockNumber, ChainName};
use forebay_core::vocabulary::client::Client;
use forebay_core::vocabulary::header::Header;
use forebay_core::vocabulary::node::NodeId;

/// What is known of the nodes of each chain of a process, of those that there are by then.
pub type ChainFleets = Box<dyn Fn() -> Vec<Arc<FleetState>> + Send + Sync>;

/// The fleet's one writer, and what all others read.
pub struct FleetState {
    /// The chain that the fleet serves.
    pub chain: ChainName,
    fleet: Mutex<Fleet>,
    present: CurrentSnapshot,
    /// The number of the latest snapshot, raised before that is shown.
    shown: AtomicU64,
    balancer: LoadBalancer<WeightedSelection>,
    health_check_lock: tokio::sync::Mutex<()>,
    floors: SharedFloors,
    /// What changed lately, to be looked up.
    pub journal: Journal,
    /// Where the list comes from.
    pub list_from: CurrentListSource,
    /// Nodes serve that the registry doesn't have.
    pub has_leftovers: AtomicBool,
    /// Whether too many calls fail.
    pub failing: FailureRate,
    /// This process has changed the registry: the list is due to be read.
    pub list_is_due: Notify,
    /// Sent to whenever `present` changes.
    news: watch::Sender<()>,
    /// Rounds before it is time.
    pub early: EarlyRounds,
    /// Looks at heads alone.
    pub looks: HeadLooks,
    pub told: ToldBlocks,
    /// Where calls wait for nodes.
    pub places: Arc<PlaceQueue>,
}

impl FleetState {
    pub fn new(fleet: Fleet) -> FleetState {
        let present: CurrentSnapshot = Arc::default();
        let mut backends = Backends::new(Box::new(SnapshotDiscovery(present.clone())));
        backends.set_health_check(Box::new(LagHealthCheck(present.clone())));
        FleetState {
            chain: ChainName::main(),
            fleet: Mutex::new(fleet),
            balancer: LoadBalancer::from_backends_with_config(backends, Some(present.clone())),
            present,
            shown: AtomicU64::default(),
            health_check_lock: tokio::sync::Mutex::default(),
            floors: SharedFloors::default(),
            journal: Journal::default(),
            list_from: CurrentListSource::default(),
            has_leftovers: AtomicBool::new(false),
            failing: FailureRate::new(clock::now()),
            list_is_due: Notify::new(),
            news: watch::Sender::new(()),
            early: EarlyRounds::default(),
            looks: HeadLooks::default(),
            told: ToldBlocks::default(),
            places: Arc::default(),
        }
    }

    /// The fleet of `chain`, rather than of one without a name.
    #[must_use]
    pub fn called(mut self, chain: &ChainName) -> FleetState {
        self.chain = chain.clone();
        self
    }

    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.present.load_full()
    }

    /// What [`FleetState::snapshot`] shows, at less cost; not to be held while anything is awaited.
    pub fn peek(&self) -> Guard<Arc<Snapshot>> {
        self.present.load()
    }

    /// Whether no later one is shown, or has its number already.
    fn is_latest(&self, snapshot: &Snapshot) -> bool {
        self.shown.load(Ordering::Acquire) == snapshot.number
    }

    /// Looks at the latest view, which as a rule is that of `of`: hardly ever something was heard since.
    pub fn with_latest<T>(&self, of: Option<&Snapshot>, look: impl FnOnce(&FleetView) -> T) -> T {
        match of.filter(|snapshot| self.is_latest(snapshot)) {
            Some(snapshot) => look(&snapshot.view),
            None => look(&self.peek().view),
        }
    }

    /// Changes with every change of what [`FleetState::snapshot`] shows.
    pub fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// Nodes should be asked for their heads soon: some may have a block by now that is wanted.
    pub fn hurry(&self) {
        self.early.hurry();
    }

    /// Takes the list as it is now.
    pub async fn replace(&self, upstreams: Upstreams) {
        {
            let mut fleet = self.fleet.lock();
            let members = upstreams.iter().map(|upstream| upstream.member()).collect();
            let now = clock::now();
            fleet.replace(members, now);
            let view = fleet.view();
            feedback::fix_limits(&view, &upstreams, now);
            self.show(view, upstreams);
        }
        if let Err(why) = self.balancer.update().await {
            log::error!("the balancer did not take the list: {why}");
        }
        self.tell_pingora().await;
    }

    /// A round begins.
    pub fn begin_round(&self) {
        self.fleet.lock().begin_round();
    }

    /// Hears one round: heads, and what came with them.
    pub async fn hear_round(
        &self,
        probes: &[(NodeId, ProbeOutcome)],
        details: &[(NodeId, ProbeDetails)],
    ) {
        for (id, details) in details {
            let probe = probes.iter().find(|(probed, _)| probed == id);
            if let (Some((_, ProbeOutcome::Answered { head, .. })), Some(hash)) =
                (probe, details.head_hash)
            {
                self.told.block(hash, *head);
            }
        }
        let mut is_falling = false;
        self.change(|fleet| {
            let now = clock::now();
            let probes = &fleet.conclusive(probes, details, now);
            fleet.hear_details(probes, details, now);
            let changes = fleet.hear_round(probes, now);
            is_falling = fleet.is_falling();
            changes
        })
        .await;
        if is_falling {
            self.hurry();
        }
        let snapshot = self.snapshot();
        let attempts = |id| snapshot.upstream(id).map_or(0, |up| up.metrics.attempts());
        self.journal
            .hear_round(&snapshot.view, attempts, clock::now(), clock::unix_millis());
    }

    /// Node `id` told its head unasked.
    pub async fn hear_head(&self, id: NodeId, header: &Header) {
        let details = ProbeDetails {
            head_hash: Some(header.hash),
            parent_hash: Some(header.parent),
            head_timestamp: header.timestamp,
            ..ProbeDetails::default()
        };
        self.told.block(header.hash, header.number);
        let mut is_round_due = false;
        self.change(|fleet| {
            let changes = fleet.hear_head(id, header.number, &details, clock::now());
            is_round_due = fleet.is_round_due();
            changes
        })
        .await;
        if is_round_due {
            self.hurry();
        }
    }

    /// Node `id` was looked at between two rounds, and has `head`.
    pub async fn hear_look(&self, id: NodeId, head: BlockNumber, details: &ProbeDetails) {
        let is_known = |node: &NodeView| node.head >= Some(head);
        if self.present.load().view.node(id).is_none_or(is_known) {
            return;
        }
        if let Some(hash) = details.head_hash {
            self.told.block(hash, head);
        }
        self.change(|fleet| fleet.hear_look(id, head, details, clock::now()))
            .await;
    }

    /// Waits for the first round, at most `patience`: before it no node is known to be fit.
    pub async fn begin(&self, patience: Duration) {
        if self.present.load().view.rounds > 0 {
            return;
        }
        let mut news = self.news.subscribe();
        let begun = news.wait_for(|()| self.present.load().view.rounds > 0);
        let _ = Box::pin(tokio::time::timeout(patience, begun)).await;
    }

    /// Judges by other criteria from the next round on.
    pub fn change_criteria(&self, criteria: HealthCriteria) {
        self.alter(|fleet| fleet.change_criteria(criteria));
        self.hurry();
    }

    /// Node `id` told `client` of block `head`; most are no news. If it is, the client isn't shown less
    /// from now on, and the other nodes are asked soon whether they have it, too.
    pub fn see(&self, client: Client, id: NodeId, head: BlockNumber) {
        let snapshot = self.present.load();
        let view = &snapshot.view;
        let is_news_of_it = view.node(id).is_some_and(|node| node.head < Some(head));
        let is_new = Some(head) > view.served_head;
        if (!is_new && !is_news_of_it) || Some(head) > view.believable_head {
            return;
        }
        self.floors.lift(client, head, view.shown());
        if is_news_of_it {
            self.alter(|fleet| fleet.see(id, head, clock::now()));
        }
        if is_new {
            self.hurry();
        }
    }

    /// Clients were told this chain.
    pub fn hear_told(&self, told: PublishedChain) {
        self.alter(|fleet| fleet.hear_told(told));
    }

    /// The chain as clients were told it.
    pub fn told_chain(&self) -> Arc<PublishedChain> {
        self.present.load().view.told.clone()
    }

    /// `client` was told of block `head`, which nodes are known to have.
    pub fn tell(&self, client: Client, head: BlockNumber) {
        let snapshot = self.present.load();
        if Some(head) <= snapshot.view.believable_head {
            self.floors.lift(client, head, snapshot.view.shown());
        }
    }

    /// These clients are about to be told of block `head`, whether calls are served it yet or not.
    pub fn foretell(&self, clients: impl IntoIterator<Item = Client>, head: BlockNumber) {
        let shown = self.present.load().view.shown();
        for client in clients {
            self.floors.lift(client, head, shown);
        }
    }

    /// What `client` must not be shown less than, where that is more than `view` shows to all.
    pub fn floor(&self, client: Client, view: &FleetView) -> Option<BlockNumber> {
        self.floors.of(client, view.shown())
    }

    async fn change(&self, change: impl FnOnce(&mut Fleet) -> Vec<FleetChange>) {
        let changes = self.alter(change);
        for change in &changes {
            let (level, sentence) = events::sentence(change);
            logs::of_chain(&self.chain, || log::log!(level, "{sentence}"));
            self.journal.hear(change, clock::unix_millis());
        }
        // Without a change no verdict can have flipped.
        if !changes.is_empty() {
            self.tell_pingora().await;
        }
    }

    fn alter<T>(&self, change: impl FnOnce(&mut Fleet) -> T) -> T {
        let mut fleet = self.fleet.lock();
        let changed = change(&mut fleet);
        let upstreams = self.present.load().upstreams.clone();
        self.show(fleet.view(), upstreams);
        changed
    }

    /// Called under the fleet's lock.
    fn show(&self, view: FleetView, upstreams: Upstreams) {
        // First the number: else the one before could pass for the latest when this one is seen.
        let number = self.shown.fetch_add(1, Ordering::AcqRel) + 1;
        self.present.store(Arc::new(Snapshot {
            view,
            number,
            upstreams,
        }));
        self.news.send_replace(());
    }

    /// Hands the verdicts to Pingora, one pass at a time: the last one sees the last verdicts.
    async fn tell_pingora(&self) {
        let _one = self.health_check_lock.lock().await;
        self.balancer.backends().run_health_check(false).await;
    }
}

/// The registry's list, for Pingora.
struct SnapshotDiscovery(CurrentSnapshot);

#[async_trait]
impl ServiceDiscovery for SnapshotDiscovery {
    async fn discover(&self) -> pingora::Result<(BTreeSet<Backend>, HashMap<u64, bool>)> {
        let snapshot = self.0.load();
        let backends = snapshot
            .upstreams
            .iter()
            .map(|upstream| backend_of(upstream.id));
        Ok((backends.collect(), HashMap::new()))
    }
}

/// The verdict of the last round and of the calls since, for Pingora: `check` asks no node.
struct LagHealthCheck(CurrentSnapshot);

#[async_trait]
impl HealthCheck for LagHealthCheck {
    async fn check(&self, target: &Backend) -> pingora::Result<()> {
        let snapshot = self.0.load();
        let node = id_of(target).and_then(|id| snapshot.view.node(id));
        let why = match node {
            Some(node) if node.standing.is_healthy() => return Ok(()),
            Some(node) => {
                let reason = node.reason(clock::now());
                reason.map_or("not yet probed", |reason| reason.as_str())
            }
            None => "not in the list",
        };
        pingora::Error::e_explain(pingora::ErrorType::new("unfit"), why)
    }

    fn backend_summary(&self, target: &Backend) -> String {
        let snapshot = self.0.load();
        let node = id_of(target).and_then(|id| snapshot.view.node(id));
        node.map_or_else(|| "a removed node".into(), |node| node.name.to_string())
    }

    /// Rise and fall are counted in the core.
    fn health_threshold(&self, _success: bool) -> usize {
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::access::NodeAccess;
    use crate::node::connector::Connector;
    use crate::observe::metrics::ChainMetrics;
    use crate::shared::node_clients::ClientFactory;
    use forebay_core::fleet::requirements::{NodeQuery, NodeRequirements};
    use forebay_core::testing;
    use forebay_core::vocabulary::node::NodeRecord;
    use forebay_core::vocabulary::tier::Tier;

    #[tokio::test]
    async fn a_snapshot_is_the_latest_until_another_is_shown() {
        let fleet = FleetState::new(testing::fleet());
        let first = fleet.snapshot();
        assert!(fleet.is_latest(&first));
        fleet.replace(Upstreams::default()).await;
        let second = fleet.snapshot();
        assert!(fleet.is_latest(&second) && !fleet.is_latest(&first));
        fleet.alter(|_| ());
        assert!(!fleet.is_latest(&second) && fleet.is_latest(&fleet.snapshot()));
    }

    #[tokio::test]
    async fn a_view_from_before_a_change_is_not_looked_at() {
        let fleet = FleetState::new(testing::fleet());
        let before = fleet.snapshot();
        let is_that = |as_of| fleet.with_latest(as_of, |view| std::ptr::eq(view, &before.view));
        assert!(is_that(Some(&before)) && is_that(None));
        fleet.alter(|_| ());
        assert!(!is_that(Some(&before)) && !is_that(None));
    }

    #[tokio::test]
    async fn a_node_is_drawn_from_when_the_view_shows_it_fit() {
        let fleet = FleetState::new(Fleet::new(testing::quick_criteria()));
        let connector = Arc::new(Connector::new(&NodeAccess::plain()));
        let mut roll =
            ClientFactory::new(connector, ChainMetrics::alone(), fleet.places.clone(), 1);
        let spec = NodeRecord::at("http://127.0.0.1:1").resolve(&|_| None);
        let upstreams = roll.call(vec![spec.unwrap()], &[]);
        let id = upstreams[0].id;
        fleet.replace(upstreams).await;
        let query = NodeQuery::new(&[Tier::Own], &[], NodeRequirements::default());
        let draw = || fleet.draw(&query).map(|(node, _)| node);
        assert_eq!(draw(), None);
        let probe = testing::at(7);
        // Pingora is told when this is done.
        fleet.alter(|fleet| fleet.hear_round(&[(id, probe)], clock::now()));
        assert_eq!(draw(), Some(id));
        let of_pingora = || fleet.balancer.select(b"", 1).and_then(|node| id_of(&node));
        fleet.tell_pingora().await;
        assert_eq!(of_pingora(), Some(id));
        fleet.alter(|fleet| fleet.hear_round(&[(id, ProbeOutcome::Failed)], clock::now()));
        assert_eq!(draw(), None);
        assert_eq!(of_pingora(), None);
    }
}

//! A chain put together: what is its own, of what all chains share.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use pingora::server::configuration::ServerConf;
use tokio::sync::{mpsc, watch};

use super::several::SharedParts;
use crate::admin::AdminHandlers;
use crate::app::from_settings;
use crate::app::registries::{self, Registries, nodes_environment};
use crate::background::answer_exchange::AnswerExchange;
use crate::background::chain_supervisor::ChainOrder;
use crate::background::chain_tasks::ChainTasks;
use crate::background::cloudwatch_reporter::CloudWatchReporter;
use crate::background::discovery::{NodeDiscovery, ReportedIssues};
use crate::background::feeds::Feeds;
use crate::background::feeds::resources::FeedResources;
use crate::background::following::ConfigFollower;
use crate::background::head_floor::FloorKeeper;
use crate::background::health_writer::HealthWriter;
use crate::background::pacing::CurrentSettings;
use crate::background::probing::ProbeRounds;
use crate::background::retained_nodes::RetainedNodes;
use crate::background::shared_exchange::{SharedExchange, StoreNames};
use crate::background::shared_leader::{LeaderStore, SharedHeads};
use crate::call::context::CallState;
use crate::call::lookups::Lookups;
use crate::clock;
use crate::config;
use crate::config::settings::{RegistryKind, Settings};
use crate::node::access::NodeAccess;
use crate::node::connector::Connector;
use crate::node::probe::Prober;
use crate::observe::metrics::{ChainMetrics, ProcessMetrics};
use crate::registry::Registry;
use crate::registry::last_list::LastListFile;
use crate::shared::admission::Admission;
use crate::shared::answer_cache::AnswerStore;
use crate::shared::background_sends::BackgroundSends;
use crate::shared::fleet_state::FleetState;
use crate::shared::node_clients::ClientFactory;
use crate::shared::process_admission::ProcessAdmission;
use crate::shared::process_limits::ProcessLimits;
use crate::shared::recent_writes::SharedWrites;
use crate::shared::singleflight::Singleflight;
use crate::shared::sockets::{SocketCounter, SocketLimits};
use crate::shared::stored_answers::{StoredAnswers, StoredWrite};
use forebay_core::call::retry_budget::RetryBudget;
use forebay_core::fleet::awaited_blocks::OtherBalancers;
use forebay_core::fleet::tracker::Fleet;
use forebay_core::vocabulary::caps::Caps;
use forebay_core::vocabulary::chain::ChainName;

/// A caller of the next chain is so many slots away.
const SALT_STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The store, the metrics and the supervisor of all.
type ProcessParts = (
    Option<SharedParts>,
    Arc<ProcessMetrics>,
    mpsc::UnboundedSender<ChainOrder>,
);

/// What all chains share, and what makes them.
pub(super) struct ChainFactory {
    pub registries: Registries,
    pub process: Arc<ProcessAdmission>,
    pub limits: Arc<ProcessLimits>,
    pub sockets: Arc<ArcSwap<SocketLimits>>,
    pub metrics: Arc<ProcessMetrics>,
    pub connector: Arc<Connector>,
    /// What it shares with other balancers.
    pub shared: Option<SharedParts>,
    pub prober: Prober,
    /// Connections kept open to a node between calls.
    pub idle_max: usize,
    /// Of this process: no node is there.
    pub listeners: Vec<SocketAddr>,
    pub orders: mpsc::UnboundedSender<ChainOrder>,
    pub made: AtomicU64,
    /// See [`CloudWatchReporter::certificates_told`].
    pub certificates_told: Arc<AtomicU64>,
    /// What keeps the answers of all; `None`: none are kept.
    pub cache: Option<Arc<AnswerStore>>,
}

/// A chain that is served.
pub(super) struct RunningChain {
    pub name: ChainName,
    pub state: Arc<CallState>,
    pub handlers: Arc<AdminHandlers>,
    current: CurrentSettings,
    change_settings: watch::Sender<Arc<Settings>>,
}

impl ChainFactory {
    /// What makes chains within `caps`, of which they have `limits` together.
    ///
    /// # Errors
    /// The registry can't be opened, or nodes can't be reached as `conf` says.
    pub(super) fn new(
        settings: &Settings,
        conf: &ServerConf,
        (caps, limits): (Caps, Arc<ProcessLimits>),
        (shared, metrics, orders): ProcessParts,
    ) -> anyhow::Result<ChainFactory> {
        let access = Arc::new(NodeAccess::new(conf)?);
        let sockets = from_settings::socket_limits(settings, &caps);
        Ok(ChainFactory {
            registries: registries::registries(settings)?,
            process: Arc::new(ProcessAdmission::new(caps)),
            limits,
            sockets: Arc::new(ArcSwap::from_pointee(sockets)),
            metrics,
            connector: Arc::new(Connector::new(&access)),
            shared,
            prober: Prober::new(access).context("setting up probes")?,
            idle_max: conf.upstream_keepalive_pool_size,
            listeners: settings.listen.addresses(),
            orders,
            made: AtomicU64::new(1),
            certificates_told: Arc::default(),
            cache: from_settings::cache(&caps),
        })
    }

    /// Puts a chain together, and begins its background work. `stored_as`: under which name its
    /// nodes are written down; `None`: as the default one's.
    pub(super) fn make(
        &self,
        name: &ChainName,
        settings: &Settings,
        stored_as: Option<&ChainName>,
    ) -> RunningChain {
        let registry = self.registries.of_chain(stored_as, &settings.registry);
        let last_list = LastListFile::new(&settings.registry.last_list, stored_as);
        let (stored, writes) = self.stored(name, settings).unzip();
        let state = Arc::new(self.state(name, settings, stored));
        let (change_settings, current) = CurrentSettings::new(Arc::new(settings.clone()));
        let handlers = AdminHandlers {
            registry: registry.clone(),
            environment: nodes_environment(),
            fleet: state.fleet.clone(),
            listeners: self.listeners.clone(),
            is_local: config::is_local,
        };
        let chain = RunningChain {
            name: name.clone(),
            state,
            handlers: Arc::new(handlers),
            current,
            change_settings,
        };
        chain.state.metrics.show_settings(settings);
        let tasks = self.tasks(&chain, settings, (registry, last_list), writes);
        // The supervisor that obeys lives as long as the process.
        drop(self.orders.send(ChainOrder::Begin(Box::new(tasks))));
        chain
    }

    /// Kept answers that are shared with other balancers, and those that wait to be.
    fn stored(
        &self,
        name: &ChainName,
        settings: &Settings,
    ) -> Option<(Arc<StoredAnswers>, mpsc::Receiver<StoredWrite>)> {
        let shared = self.shared.as_ref();
        let shared = shared.filter(|_| settings.cache.shared && self.cache.is_some())?;
        let (stored, writes) = StoredAnswers::new(
            shared.store.clone(),
            (&shared.secret, name.as_str()),
            shared.answer_bytes_max,
        );
        Some((Arc::new(stored), writes))
    }

    fn state(
        &self,
        name: &ChainName,
        settings: &Settings,
        stored: Option<Arc<StoredAnswers>>,
    ) -> CallState {
        let fleet = Fleet::new(settings.criteria());
        let fleet = Arc::new(FleetState::new(fleet).called(name));
        fleet.places.change(settings.calls.queue);
        let share = Arc::new(self.limits.share());
        let made = self.made.fetch_add(1, Ordering::Relaxed);
        let salt = made.wrapping_mul(SALT_STEP);
        let admission = Arc::new(Admission::of(self.process.clone(), share.clone(), salt));
        let background_sends = Arc::new(BackgroundSends::new(share.clone()));
        let recent_writes = Arc::new(SharedWrites::new(share.clone()));
        let cache = from_settings::chain_cache(self.cache.as_ref(), stored);
        let policy = from_settings::policy(settings, admission.caps(), cache.as_deref());
        CallState {
            lookups: Arc::new(Lookups::new(
                &fleet,
                &admission,
                &background_sends,
                &recent_writes,
            )),
            fleet,
            policy: ArcSwap::from_pointee(policy),
            budget: RetryBudget::new(settings.retry_rates(), clock::now()),
            metrics: self.metrics.chain(name),
            singleflight: Singleflight::default(),
            cache,
            recent_writes,
            background_sends,
            disputes: Mutex::default(),
            searched: Mutex::default(),
            leader_share: Mutex::default(),
            hub: Arc::default(),
            sockets: Arc::new(SocketCounter::of(self.sockets.clone(), share)),
            admission,
        }
    }

    fn tasks(
        &self,
        chain: &RunningChain,
        settings: &Settings,
        (registry, last_list): (Arc<dyn Registry>, LastListFile),
        writes: Option<mpsc::Receiver<StoredWrite>>,
    ) -> ChainTasks {
        let (state, current) = (&chain.state, &chain.current);
        let (fleet, metrics) = (&state.fleet, &state.metrics);
        let last_list_at = last_list.path().to_path_buf();
        let feeds = self.feeds(chain, settings);
        let clients = ClientFactory::new(
            self.connector.clone(),
            metrics.clone(),
            fleet.places.clone(),
            self.idle_max,
        );
        let discovery = NodeDiscovery {
            registry: registry.clone(),
            environment: nodes_environment(),
            fleet: fleet.clone(),
            metrics: metrics.clone(),
            clients,
            settings: current.clone(),
            following: ConfigFollower::default(),
            last_list,
            leftovers: RetainedNodes::default(),
            listeners: self.listeners.clone(),
            told: ReportedIssues::default(),
        };
        let means = (registry.clone(), metrics.clone(), current.clone());
        let leader = self.shared_leader(settings, &fleet.chain, means);
        let rounds = ProbeRounds {
            fleet: fleet.clone(),
            metrics: metrics.clone(),
            prober: self.prober.clone(),
            heads: feeds.heads(),
            settings: current.clone(),
            asked: HashMap::new(),
            shared: leader.clone(),
        };
        let cloudwatch_reporter = CloudWatchReporter {
            fleet: fleet.clone(),
            metrics: metrics.clone(),
            process_metrics: self.metrics.clone(),
            certificates_told: self.certificates_told.clone(),
            settings: current.clone(),
        };
        let floor = FloorKeeper::new(
            registry.clone(),
            fleet.clone(),
            metrics.clone(),
            &last_list_at,
        );
        let health_writer = HealthWriter {
            registry,
            fleet: fleet.clone(),
            metrics: metrics.clone(),
            written: HashMap::new(),
            is_told: false,
        };
        let exchange = self.shared.clone().map(|shared| {
            let names = StoreNames::of(fleet.chain.as_str());
            let told = (state.recent_writes.clone(), leader);
            SharedExchange::new(shared.store, fleet.clone(), told, (names, &shared.secret))
        });
        let answers = self.answers(state, writes);
        let exchanges = (exchange, answers);
        ChainTasks::new(
            discovery,
            rounds,
            health_writer,
            (feeds, floor, exchanges),
            cloudwatch_reporter,
        )
    }

    fn feeds(&self, chain: &RunningChain, settings: &Settings) -> Feeds {
        let state = &chain.state;
        Feeds::new(FeedResources {
            fleet: state.fleet.clone(),
            hub: state.hub.clone(),
            metrics: state.metrics.clone(),
            connector: self.connector.clone(),
            prober: self.prober.clone(),
            settings: chain.current.clone(),
            others: match (&self.shared, settings.registry.kind) {
                (Some(_), _) => OtherBalancers::HearHeads,
                (None, RegistryKind::Dynamo) => OtherBalancers::HearNothing,
                (None, RegistryKind::Embedded) => OtherBalancers::None,
            },
        })
    }

    /// Where one balancer asks the leader for all.
    fn shared_leader(
        &self,
        settings: &Settings,
        chain: &ChainName,
        (registry, metrics, current): (Arc<dyn Registry>, Arc<ChainMetrics>, CurrentSettings),
    ) -> Option<Arc<SharedHeads>> {
        let store = self.shared.as_ref().map(|shared| {
            let names = StoreNames::of(chain.as_str());
            LeaderStore {
                store: shared.store.clone(),
                key: names.leader,
                channel: names.channel,
                me: format!("{:016x}", clock::roll()),
            }
        });
        let has_way = store.is_some() || settings.registry.kind == RegistryKind::Dynamo;
        (settings.registry.share_leader && has_way)
            .then(|| Arc::new(SharedHeads::new(registry, store, metrics, current)))
    }

    fn answers(
        &self,
        state: &CallState,
        writes: Option<mpsc::Receiver<StoredWrite>>,
    ) -> Option<AnswerExchange> {
        let (shared, cache) = (self.shared.as_ref()?, state.cache.clone()?);
        let stored = cache.stored.clone()?;
        let (store, fleet) = (&shared.store, state.fleet.clone());
        Some(AnswerExchange::new(store, (stored, writes?), cache, fleet))
    }

    /// A chain is to go: the calls and sockets that it still has are seen through.
    pub(super) fn end(&self, chain: &RunningChain) {
        let state = chain.state.clone();
        state.sockets.leave();
        self.metrics.forget_chain(&chain.name);
        let is_idle = Box::new(move || !state.has_work());
        let order = ChainOrder::End(chain.name.clone(), is_idle);
        drop(self.orders.send(order));
    }
}

impl RunningChain {
    /// Puts `settings` in force, for whatever begins from now on.
    pub(super) fn apply(&self, settings: &Settings) {
        let state = &self.state;
        let policy =
            from_settings::policy(settings, state.admission.caps(), state.cache.as_deref());
        state.policy.store(Arc::new(policy));
        state.budget.change(settings.retry_rates(), clock::now());
        state.fleet.places.change(settings.calls.queue);
        state.metrics.show_settings(settings);
        let has_seeds = self.current.say(|before| before.nodes != settings.nodes);
        self.change_settings
            .send_replace(Arc::new(settings.clone()));
        state.fleet.change_criteria(settings.criteria());
        if has_seeds {
            state.fleet.list_is_due.notify_one();
        }
    }
}

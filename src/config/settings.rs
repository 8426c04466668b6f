//! A configuration as meant: checked, complete, with units in the types.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use forebay_core::call::broadcast::NODES_MAX;
pub use forebay_core::method::block::Consistency;
use forebay_core::vocabulary::node::{NodeRecord, Secret};
use forebay_core::wire::forwarded::Network;

/// Everything under `forebay:`.
#[derive(Clone, Debug)]
pub struct Settings {
    pub chain: ChainSettings,
    pub listen: ListenSettings,
    pub registry: RegistrySettings,
    pub nodes: Vec<NodeRecord>,
    pub health: HealthSettings,
    pub calls: CallSettings,
    pub consistency: Consistency,
    pub methods: MethodSettings,
    pub admin: AdminSettings,
    pub cors: CorsSettings,
    pub cloudwatch: Option<CloudWatchSettings>,
    pub log: LogSettings,
    pub sockets: SocketSettings,
    pub otlp: Option<OtlpSettings>,
    pub shutdown: ShutdownSettings,
    pub limits: LimitSettings,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainSettings {
    /// Left out: the leader's.
    pub id: Option<u64>,
    pub block_time: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenSettings {
    pub http: Vec<SocketAddr>,
    pub https: Vec<HttpsListener>,
    pub metrics: Option<SocketAddr>,
    pub admin: Option<SocketAddr>,
    /// Whose X-Forwarded-For is believed.
    pub trusted_proxies: Vec<Network>,
    /// Answers are packed for clients that ask for it.
    pub compression: bool,
    /// Who is told what became of a call's attempts.
    pub trail_for: Vec<Network>,
}

impl ListenSettings {
    /// All of them.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let https = self.https.iter().map(|https| https.address);
        let clients = self.http.iter().copied().chain(https);
        clients.chain(self.metrics).chain(self.admin).collect()
    }

    /// Whether others than this machine can reach the admin listener.
    pub fn is_admin_exposed(&self) -> bool {
        self.admin
            .is_some_and(|address| !address.ip().to_canonical().is_loopback())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpsListener {
    pub address: SocketAddr,
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub h2: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrySettings {
    pub kind: RegistryKind,
    /// Of the embedded one.
    pub path: PathBuf,
    /// In DynamoDB; the state table is `<table>-state`.
    pub table: String,
    /// In place of AWS's own.
    pub endpoint: Option<String>,
    /// How long one balancer writes health for all before another may take over.
    pub lease: Duration,
    /// The leader is asked by one balancer for all.
    pub share_leader: bool,
    pub refresh: Duration,
    pub last_list: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistryKind {
    Embedded,
    Dynamo,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthSettings {
    pub interval: Duration,
    /// The leader's, when it is a paid one; else as `interval`.
    pub leader_interval: Duration,
    pub timeout: Duration,
    pub lag_blocks_max: u64,
    pub rise: u32,
    pub fall: u32,
    /// Whether a node that says that it is syncing may be out for it.
    pub heeds_syncing: bool,
    /// Nodes' sockets are kept open for their heads, also while no client is subscribed.
    pub sockets: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CallSettings {
    pub deadline: Duration,
    pub attempt: Duration,
    pub heavy: Duration,
    pub retry_budget: RetryBudgetSettings,
    /// After how many times a node's slow time a read is asked of another, too; `None`: never.
    pub hedge: Option<f64>,
    /// How long a call waits for a place at a node.
    pub queue: Duration,
    /// Nodes that a raw transaction is sent to at once, at most.
    pub broadcast: usize,
    /// The share of the calls that the leader is asked for although nobody is known to have what they ask
    /// for; 0: none.
    pub leader_share: f64,
    pub attempts_max: u32,
    pub body_bytes_max: usize,
    pub batch_calls_max: usize,
    pub answer_bytes_max: u64,
    pub when_none_fit: NoneFitPolicy,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryBudgetSettings {
    pub per_call: f64,
    pub per_second: f64,
    pub burst: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoneFitPolicy {
    FailOpen,
    Refuse,
}

/// Names and globs (`*` alone is a wildcard), beside the built-in table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MethodSettings {
    pub allow: Vec<String>,
    pub deny: Vec<String>,
    pub heavy: Vec<String>,
    /// Of methods that the table doesn't have.
    pub reads: Vec<String>,
}

/// Who may use the admin listener.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdminSettings {
    /// There if the listener is off loopback.
    pub token: Option<Secret>,
    /// Names in lower case by which the listener is reached, beside `localhost` and addresses.
    pub hosts: Vec<String>,
}

/// What browsers' pages may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorsSettings {
    /// Where they may come from; `*`: from anywhere.
    pub origins: Vec<String>,
    /// What they may send beside what we read.
    pub headers: Vec<String>,
}

/// Metrics for CloudWatch, on standard output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudWatchSettings {
    pub namespace: String,
    /// The dimension that tells this balancer's metrics from another's.
    pub service: String,
    pub interval: Duration,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogSettings {
    /// The share of calls that get a line, 0 to 1; failed ones always do. `None`: no call does.
    pub calls: Option<f64>,
}

/// What clients' sockets are held to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketSettings {
    pub sockets_max: usize,
    /// `None`: as the default has it, see [`Settings::sockets_max_per_address`].
    pub per_address_max: Option<usize>,
    /// Of one socket.
    pub subscriptions_max: usize,
    /// Of one socket.
    pub messages_per_second: u32,
    pub ping_interval: Duration,
}

/// Traces for a collector, by OTLP over HTTP.
#[derive(Clone, Debug, PartialEq)]
pub struct OtlpSettings {
    /// The whole URL, which may hold a key.
    pub endpoint: Secret,
    pub headers: Vec<(String, Secret)>,
    /// The name under which traces appear.
    pub service: String,
    /// The share of the calls without a trace of their own that begin one, 0 to 1.
    pub share: f64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShutdownSettings {
    pub lame_duck: Duration,
    pub drain: Duration,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitSettings {
    /// In bytes, shared out among all that is held; `None`: the machine's, or the control group's.
    pub memory: Option<u64>,
}

impl Default for Settings {
    /// What an empty file means. It has no node.
    fn default() -> Settings {
        Settings {
            chain: ChainSettings::default(),
            listen: ListenSettings::default(),
            registry: RegistrySettings::default(),
            nodes: Vec::new(),
            health: HealthSettings::default(),
            calls: CallSettings::default(),
            consistency: Consistency::Monotonic,
            methods: MethodSettings::default(),
            admin: AdminSettings::default(),
            cors: CorsSettings::default(),
            cloudwatch: None,
            log: LogSettings::default(),
            sockets: SocketSettings::default(),
            otlp: None,
            shutdown: ShutdownSettings::default(),
            limits: LimitSettings::default(),
        }
    }
}

impl Default for ChainSettings {
    fn default() -> ChainSettings {
        ChainSettings {
            id: None,
            block_time: Duration::from_secs(12),
        }
    }
}

impl Default for ListenSettings {
    fn default() -> ListenSettings {
        ListenSettings {
            http: vec![SocketAddr::from(([0, 0, 0, 0], 8545))],
            https: Vec::new(),
            metrics: Some(SocketAddr::from(([0, 0, 0, 0], 9090))),
            admin: None,
            trusted_proxies: Vec::new(),
            compression: false,
            trail_for: Vec::new(),
        }
    }
}

impl Default for RegistrySettings {
    fn default() -> RegistrySettings {
        RegistrySettings {
            kind: RegistryKind::Embedded,
            path: PathBuf::from("data/forebay.db"),
            table: "forebay-backends".to_string(),
            endpoint: None,
            lease: Duration::from_secs(30),
            share_leader: false,
            refresh: Duration::from_secs(5),
            last_list: PathBuf::from("data/last-list.json"),
        }
    }
}

impl Default for HealthSettings {
    fn default() -> HealthSettings {
        HealthSettings {
            interval: Duration::from_secs(5),
            leader_interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            lag_blocks_max: 10,
            rise: 2,
            fall: 3,
            heeds_syncing: true,
            sockets: true,
        }
    }
}

impl Default for CallSettings {
    fn default() -> CallSettings {
        CallSettings {
            deadline: Duration::from_secs(30),
            // Longer than geth's own limit of 5 s (`--rpc.evmtimeout`), so that its word is heard.
            attempt: Duration::from_secs(8),
            heavy: Duration::from_secs(60),
            retry_budget: RetryBudgetSettings::default(),
            hedge: None,
            queue: Duration::from_millis(100),
            broadcast: NODES_MAX,
            leader_share: 0.01,
            attempts_max: 3,
            body_bytes_max: 5 << 20,
            batch_calls_max: 1000,
            answer_bytes_max: 256 << 20,
            when_none_fit: NoneFitPolicy::FailOpen,
        }
    }
}

impl Default for RetryBudgetSettings {
    fn default() -> RetryBudgetSettings {
        RetryBudgetSettings {
            per_call: 0.2,
            per_second: 10.0,
            burst: 100.0,
        }
    }
}

impl Default for CorsSettings {
    fn default() -> CorsSettings {
        CorsSettings {
            origins: vec!["*".to_string()],
            headers: Vec::new(),
        }
    }
}

impl Default for CloudWatchSettings {
    /// What an empty section means.
    fn default() -> CloudWatchSettings {
        CloudWatchSettings {
            namespace: "Forebay".to_string(),
            service: "forebay".to_string(),
            interval: Duration::from_secs(60),
        }
    }
}

impl Default for SocketSettings {
    fn default() -> SocketSettings {
        SocketSettings {
            sockets_max: 20_000,
            per_address_max: None,
            subscriptions_max: 100,
            messages_per_second: 1000,
            ping_interval: Duration::from_secs(30),
        }
    }
}

impl Default for ShutdownSettings {
    fn default() -> ShutdownSettings {
        ShutdownSettings {
            lame_duck: Duration::from_secs(10),
            drain: Duration::from_secs(20),
        }
    }
}

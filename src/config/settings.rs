//! A configuration as meant: checked, complete, with units in the types.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use crate::domain::block::Consistency;
use crate::domain::broadcast::NODES_MAX;
use crate::domain::forwarded::Network;
use crate::domain::node::{NodeRecord, Secret};

/// Everything under `forebay:`.
#[derive(Clone, Debug)]
pub struct Settings {
    pub chain: Chain,
    pub listen: Listen,
    pub registry: Registry,
    pub nodes: Vec<NodeRecord>,
    pub health: Health,
    pub calls: Calls,
    pub consistency: Consistency,
    pub methods: Methods,
    pub admin: Admin,
    pub cors: Cors,
    pub cloudwatch: Option<CloudWatch>,
    pub log: Log,
    pub sockets: Sockets,
    pub otlp: Option<Otlp>,
    pub shutdown: Shutdown,
    pub limits: Limits,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Left out: the leader's.
    pub id: Option<u64>,
    pub block_time: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    pub http: Vec<SocketAddr>,
    pub https: Vec<Https>,
    pub metrics: Option<SocketAddr>,
    pub admin: Option<SocketAddr>,
    /// Whose X-Forwarded-For is believed.
    pub trusted_proxies: Vec<Network>,
    /// Answers are packed for clients that ask for it.
    pub compression: bool,
    /// Who is told what became of a call's attempts.
    pub trail_for: Vec<Network>,
}

impl Listen {
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
pub struct Https {
    pub address: SocketAddr,
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub h2: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registry {
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
pub struct Health {
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
pub struct Calls {
    pub deadline: Duration,
    pub attempt: Duration,
    pub heavy: Duration,
    pub retry_budget: RetryBudget,
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
    pub when_none_fit: WhenNoneFit,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryBudget {
    pub per_call: f64,
    pub per_second: f64,
    pub burst: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenNoneFit {
    FailOpen,
    Refuse,
}

/// Names and globs (`*` alone is a wildcard), beside the built-in table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Methods {
    pub allow: Vec<String>,
    pub deny: Vec<String>,
    pub heavy: Vec<String>,
    /// Of methods that the table doesn't have.
    pub reads: Vec<String>,
}

/// Who may use the admin listener.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admin {
    /// There if the listener is off loopback.
    pub token: Option<Secret>,
    /// Names in lower case by which the listener is reached, beside `localhost` and addresses.
    pub hosts: Vec<String>,
}

/// What browsers' pages may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    /// Where they may come from; `*`: from anywhere.
    pub origins: Vec<String>,
    /// What they may send beside what we read.
    pub headers: Vec<String>,
}

/// Metrics for CloudWatch, on standard output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudWatch {
    pub namespace: String,
    /// The dimension that tells this balancer's metrics from another's.
    pub service: String,
    pub interval: Duration,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Log {
    /// The share of calls that get a line, 0 to 1; failed ones always do. `None`: no call does.
    pub calls: Option<f64>,
}

/// What clients' sockets are held to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sockets {
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
pub struct Otlp {
    /// The whole URL, which may hold a key.
    pub endpoint: Secret,
    pub headers: Vec<(String, Secret)>,
    /// The name under which traces appear.
    pub service: String,
    /// The share of the calls without a trace of their own that begin one, 0 to 1.
    pub share: f64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shutdown {
    pub lame_duck: Duration,
    pub drain: Duration,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// In bytes, shared out among all that is held; `None`: the machine's, or the control group's.
    pub memory: Option<u64>,
}

impl Default for Settings {
    /// What an empty file means. It has no node.
    fn default() -> Settings {
        Settings {
            chain: Chain::default(),
            listen: Listen::default(),
            registry: Registry::default(),
            nodes: Vec::new(),
            health: Health::default(),
            calls: Calls::default(),
            consistency: Consistency::Monotonic,
            methods: Methods::default(),
            admin: Admin::default(),
            cors: Cors::default(),
            cloudwatch: None,
            log: Log::default(),
            sockets: Sockets::default(),
            otlp: None,
            shutdown: Shutdown::default(),
            limits: Limits::default(),
        }
    }
}

impl Default for Chain {
    fn default() -> Chain {
        Chain {
            id: None,
            block_time: Duration::from_secs(12),
        }
    }
}

impl Default for Listen {
    fn default() -> Listen {
        Listen {
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

impl Default for Registry {
    fn default() -> Registry {
        Registry {
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

impl Default for Health {
    fn default() -> Health {
        Health {
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

impl Default for Calls {
    fn default() -> Calls {
        Calls {
            deadline: Duration::from_secs(30),
            // Longer than geth's own limit of 5 s (`--rpc.evmtimeout`), so that its word is heard.
            attempt: Duration::from_secs(8),
            heavy: Duration::from_secs(60),
            retry_budget: RetryBudget::default(),
            hedge: None,
            queue: Duration::from_millis(100),
            broadcast: NODES_MAX,
            leader_share: 0.01,
            attempts_max: 3,
            body_bytes_max: 5 << 20,
            batch_calls_max: 1000,
            answer_bytes_max: 256 << 20,
            when_none_fit: WhenNoneFit::FailOpen,
        }
    }
}

impl Default for RetryBudget {
    fn default() -> RetryBudget {
        RetryBudget {
            per_call: 0.2,
            per_second: 10.0,
            burst: 100.0,
        }
    }
}

impl Default for Cors {
    fn default() -> Cors {
        Cors {
            origins: vec!["*".to_string()],
            headers: Vec::new(),
        }
    }
}

impl Default for CloudWatch {
    /// What an empty section means.
    fn default() -> CloudWatch {
        CloudWatch {
            namespace: "Forebay".to_string(),
            service: "forebay".to_string(),
            interval: Duration::from_secs(60),
        }
    }
}

impl Default for Sockets {
    fn default() -> Sockets {
        Sockets {
            sockets_max: 20_000,
            per_address_max: None,
            subscriptions_max: 100,
            messages_per_second: 1000,
            ping_interval: Duration::from_secs(30),
        }
    }
}

impl Default for Shutdown {
    fn default() -> Shutdown {
        Shutdown {
            lame_duck: Duration::from_secs(10),
            drain: Duration::from_secs(20),
        }
    }
}

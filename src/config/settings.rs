//! A configuration as meant: checked, complete, with units in the types.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

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
    pub admin_token: Option<Secret>,
    pub cors_origins: Vec<String>,
    pub shutdown: Shutdown,
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
    /// CIDRs, as written (`10.0.0.0/8`).
    pub trusted_proxies: Vec<String>,
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
    pub path: PathBuf,
    pub refresh: Duration,
    pub last_list: PathBuf,
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
}

#[derive(Clone, Debug, PartialEq)]
pub struct Calls {
    pub deadline: Duration,
    pub attempt: Duration,
    pub heavy: Duration,
    pub retry_budget: RetryBudget,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistency {
    Monotonic,
    Pinned,
    None,
}

/// Names and globs (`*` alone is a wildcard), beside the built-in table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Methods {
    pub allow: Vec<String>,
    pub deny: Vec<String>,
    pub heavy: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shutdown {
    pub lame_duck: Duration,
    pub drain: Duration,
}

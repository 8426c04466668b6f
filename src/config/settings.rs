//! The settings, each written down once: key, type, default, form and range, when a new value holds, and what
//! it means. Units are in the types; a configuration that is read is complete and checked.

mod table;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use forebay_core::call::retry_budget::BudgetRates;
use forebay_core::fleet::HealthCriteria;
use forebay_core::fleet::spread::NODES_MAX;
use forebay_core::fleet::standing::Hysteresis;
use forebay_core::method::MethodLimits;
pub use forebay_core::method::block::Consistency;
use forebay_core::vocabulary::caps::MEMORY_MIN;
use forebay_core::vocabulary::chain::{ChainId, ChainName};
use forebay_core::vocabulary::node::{NodeRecord, Secret};
use ipnet::IpNet;

pub use super::calls::NoneFitPolicy;
use super::form::{boolean, choice, decimal, duration, list, number, optional, path, size, text};
pub use super::listen::HttpsListener;
pub use super::registry::RegistryKind;
use super::setting::When::{Live, LiveUnless, Restart, RestartIf};
use super::setting::{Place, Setting, Slot, key, settings_group};
pub use super::shared::SharedKind;
use super::times::{HOUR, PERIODS, TIMEOUTS, ms, secs};
use super::{admin, by_method, calls, cors, health, listen, observability, otlp, registry, shared};

/// Whether the registry in force has a lease. Without one it follows `health.interval`.
fn has_lease(running: &Settings, _: &Settings) -> bool {
    running.registry.kind == RegistryKind::Dynamo
}

/// Whether rounds would be too slow for the lease in force. Their times only fit together.
fn is_too_slow(running: &Settings, wanted: &Settings) -> bool {
    let lease_min = registry::lease_min(wanted.health.interval);
    has_lease(running, wanted) && running.registry.lease < lease_min
}

/// Whether a listener that others can reach would be without a token, as that it moves to loopback waits.
fn would_be_open(running: &Settings, wanted: &Settings) -> bool {
    wanted.admin.token.is_none() && running.listen.is_admin_exposed()
}

/// Everything under `forebay:`; by default what an empty file means, without a node.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub chain: ChainSettings,
    /// Several, each with settings of its own; empty: there is one chain alone.
    pub chains: Vec<NamedChain>,
    pub listen: ListenSettings,
    pub registry: RegistrySettings,
    pub shared: SharedSettings,
    pub nodes: Vec<NodeRecord>,
    pub health: HealthSettings,
    pub calls: CallSettings,
    pub consistency: Consistency,
    pub methods: MethodSettings,
    pub cache: CacheSettings,
    pub admin: AdminSettings,
    pub cors: CorsSettings,
    pub cloudwatch: Option<CloudWatchSettings>,
    pub log: LogSettings,
    pub sockets: SocketSettings,
    pub otlp: Option<OtlpSettings>,
    pub shutdown: ShutdownSettings,
    pub limits: LimitSettings,
}

/// A chain under `chains`.
#[derive(Clone, Debug)]
pub struct NamedChain {
    pub name: ChainName,
    /// It answers at `/`.
    pub is_default: bool,
    /// By which its clients come: in lower case, without port.
    pub hosts: Vec<String>,
    /// As of one chain alone: its own over what all chains share.
    pub settings: Settings,
}

/// Every setting, in the order in which they are told.
pub(super) fn table() -> Vec<Setting<Settings>> {
    table::rows()
}

settings_group! {
    ChainSettings at chain {
        /// Nodes with another chain id are kept out. Left out: the leader's.
        id: Option<u64> = None, optional(number(1..=u64::MAX)), Restart;
        /// The time between two blocks at the start; from then on it follows the [chain](../guide/health.md). It
        /// bounds how fast the leader's head is believed to advance. Left out: that of a [known
        /// chain](chains.md#known-by-name-or-id) with this id, else 12s.
        block_time: Duration = secs(12), duration(ms(100)..=secs(600)), Live;
    }
}

settings_group! {
    ListenSettings at listen {
        /// Addresses for JSON-RPC and `/health`: HTTP/1.1, and HTTP/2 with prior knowledge.
        http: Vec<SocketAddr> = vec![([0, 0, 0, 0], 8545).into()], list(|item| item.address()), Restart;
        /// Addresses for the same as `listen.http`, over TLS: `{ address, certificate, key, h2 }`, PEM files, [read
        /// again when they change](../guide/configure.md#changing-the-configuration); `h2` is `true` if left out.
        https: Vec<HttpsListener> = Vec::new(), listen::https(), Restart;
        /// The address of `GET /metrics` for Prometheus, or `off`.
        metrics: Option<SocketAddr> = Some(([0, 0, 0, 0], 9090).into()), listen::metrics(), Restart;
        /// The address of the [status page and the admin API](http.md#the-admin-listener), or `off`. Off loopback it
        /// needs `admin.token`.
        admin: Option<SocketAddr> = None, listen::admin(), Restart;
        /// Networks of proxies whose `X-Forwarded-For` is [believed](../guide/security.md#addresses-of-clients).
        trusted_proxies: Vec<IpNet> = Vec::new(), list(listen::network), Live;
        /// Answers of 1 KiB and more are compressed for clients whose `Accept-Encoding` names gzip or zstd. Requests
        /// and nodes' answers may be compressed in any case ([limits](limits.md)).
        compression: bool = false, choice(&[("on", true), ("off", false), ("true", true), ("false", false)]), Restart;
        /// Networks of clients that may ask for [`x-forebay-trail`](http.md#the-trail-of-a-call), which tells what
        /// became of a call's attempts.
        trail_for: Vec<IpNet> = Vec::new(), list(listen::network), Live;
    }
}

settings_group! {
    RegistrySettings at registry {
        /// Where the list of nodes is kept: in a file of this machine, or in a table of DynamoDB that [several
        /// balancers](../guide/several-balancers.md) share.
        kind: RegistryKind = RegistryKind::Embedded, choice(RegistryKind::WORDS), Restart;
        /// The file of the embedded registry, in SQLite's format.
        path: PathBuf = PathBuf::from("data/forebay.db"), path(), Restart;
        /// The table in DynamoDB; `<table>-state` stands beside it.
        table: String = "forebay-backends".to_string(), text(registry::table), Restart;
        /// Another DynamoDB than AWS's, such as a local one.
        endpoint: Option<String> = None, optional(text(registry::endpoint)), Restart;
        /// How long one balancer writes health for all without a sign of life before another takes over (DynamoDB):
        /// three times `health.interval` at least, and so long where that is longer than the default.
        lease: Duration = registry::LEASE, registry::lease(|all| all.health.interval), RestartIf(has_lease);
        /// Whether the leader is asked by one balancer for all: by `shared`, else by DynamoDB.
        share_leader: bool = false, boolean(), Restart;
        /// How often the list of nodes is read again.
        refresh: Duration = secs(5), duration(PERIODS), Live;
        /// The file of the last good list, for a start without the registry.
        last_list: PathBuf = PathBuf::from("data/last-list.json"), path(), Restart;
    }
}

settings_group! {
    /// The store that several balancers share.
    SharedSettings at shared {
        /// What [several balancers](../guide/several-balancers.md#a-store-that-all-share) share beside the list:
        /// nothing, or what goes by Valkey 8 or Redis 7.
        kind: SharedKind = SharedKind::None, choice(SharedKind::WORDS), Restart;
        /// Where the store is: `redis://`, or `rediss://` for TLS, with a user and a password where it wants them;
        /// one of a cluster's servers does.
        url: Option<Secret> = None, shared::url(|all: &Settings| all.shared.kind), Restart;
    }
}

settings_group! {
    HealthSettings at health {
        /// The time between two rounds of probes.
        interval: Duration = secs(5), duration(PERIODS), LiveUnless(is_too_slow);
        /// The least time between two probes of the leader, for a leader that is paid by the request. Left out: as
        /// `health.interval`.
        leader_interval: Duration = secs(5), duration(PERIODS).or(|all: &Settings| all.health.interval),
            LiveUnless(is_too_slow);
        /// The longest time of one probe; shorter than both intervals.
        timeout: Duration = secs(2), duration(TIMEOUTS), LiveUnless(is_too_slow);
        /// Blocks behind the reference at which a node is still fit.
        lag_blocks_max: u64 = 10, number(0..=10_000), Live;
        /// Good rounds that bring a node back.
        rise: u32 = 2, number(1..=100), Live;
        /// Bad rounds that take a node out.
        fall: u32 = 3, number(1..=100), Live;
        /// Whether a node that says that it is syncing is out for that. A node that says so at the head of the chain
        /// is fit in any case ([health](../guide/health.md)).
        heeds_syncing ("syncing"): bool = true, choice(&[("heed", true), ("ignore", false)]), Live;
        /// A WebSocket is kept to every node that offers one, for its heads; `false`: only while clients are
        /// subscribed.
        sockets: bool = true, boolean(), Live;
        /// The [chains](../guide/chains.md#health) without a fit node of which `/health` is 503: names under
        /// `chains`.
        required: Vec<String> = Vec::new(), list(health::chain_name), Live;
    }
}

settings_group! {
    CallSettings at calls {
        /// The longest time of a call, all its attempts together.
        deadline: Duration = secs(30), duration(TIMEOUTS), Live;
        /// The longest time of one attempt; not over `deadline`. It is longer than the 5 s after which geth gives up
        /// an execution (`--rpc.evmtimeout`), so that geth's own error is heard. A node from which nothing at all
        /// arrives meanwhile, not even a probe's answer, is left after 5 s.
        attempt: Duration = secs(8), duration(TIMEOUTS), Live;
        /// The longest time of one attempt at a heavy call, and of the whole call, where that is longer than
        /// `deadline`.
        heavy: Duration = secs(60), duration(TIMEOUTS), Live;
        /// Repeats that each call earns.
        retry_per_call ("retry_budget.per_call"): f64 = 0.2, decimal(0.0..=10.0), Live;
        /// Repeats that each second earns, if that is more than its calls do. So from 50 calls a second on, repeats
        /// and hedges add a fifth at most.
        retry_per_second ("retry_budget.per_second"): f64 = 10.0, decimal(0.0..=100_000.0), Live;
        /// The most repeats that are saved up; full at the start.
        retry_burst ("retry_budget.burst"): f64 = 100.0, decimal(0.0..=1_000_000.0), Live;
        /// A read that takes longer than 95 of 100 on its node (times this factor, `on` is 1; at least 5 ms) is asked
        /// of a second own node, too, within the retry budget.
        hedge: Option<f64> = None, calls::hedge(), Live;
        /// How long a call waits for [a place at a node](../guide/load.md#calls-in-flight).
        queue: Duration = ms(100), duration(ms(1)..=secs(10)), Live;
        /// What holds for single methods: `{ "debug_*": { attempt: 90s, deadline: 2m, hedge: off } }`. The exact name
        /// wins, then the longest glob; an `attempt` above the deadline raises it. A `hedge` of a method that may not
        /// be repeated is an error. Calls of such methods go to nodes one by one, also out of a batch.
        by_method: Vec<(String, MethodLimits)> = Vec::new(), by_method::form(TIMEOUTS), Live;
        /// Own fit nodes that a raw transaction is sent to at once; `all`: up to 16.
        broadcast: usize = NODES_MAX, calls::broadcast(), Live;
        /// The share of the calls that go to the leader although [no node is known to
        /// have](../guide/routing.md#what-the-leader-is-asked) what they ask for; at least one a second, with `0`
        /// none.
        leader_share: f64 = 0.01, decimal(0.0..=1.0), Live;
        /// Nodes asked for one call. A refused connection doesn't count, up to 8 nodes in all; where every attempt
        /// was refused, broke off or met a silent node and no own node is left, a fallback node is one more.
        attempts_max: u32 = 3, number(1..=10), Live;
        /// The largest body of a request.
        body_bytes_max: usize = 5 << 20, size(1 << 10..=1 << 30), Live;
        /// The most calls in one batch.
        batch_calls_max: usize = 1000, number(1..=100_000), Live;
        /// The largest answer of a node.
        answer_bytes_max: u64 = 256 << 20, size(64 << 10..=1 << 40), Live;
        /// What is done with a call [when no node is fit](../guide/health.md#when-no-own-node-is-fit): the freshest
        /// node that lives is asked, or none.
        when_none_fit: NoneFitPolicy = NoneFitPolicy::FailOpen, choice(NoneFitPolicy::WORDS), Live;
    }
}

settings_group! {
    /// Names and globs (`*` alone is a wildcard), beside the built-in table.
    MethodSettings at methods {
        /// Methods that are let through though the [method table](methods.md) denies them: names and globs (`*`).
        allow: Vec<String> = Vec::new(), list(calls::method), Live;
        /// Methods that are refused; outranks `allow`.
        deny: Vec<String> = Vec::new(), list(calls::method), Live;
        /// Reads and unlisted methods that are treated as heavy ones.
        heavy: Vec<String> = Vec::new(), list(calls::method), Live;
        /// Methods that the table lacks and that only read: they may be repeated.
        reads: Vec<String> = Vec::new(), list(calls::method), Live;
    }
}

settings_group! {
    CacheSettings at cache {
        /// The memory of [answers that are kept](../guide/cache.md), of all chains, half of `limits.memory` at most;
        /// `0`: none is kept. Left out: a tenth of `limits.memory`, 64 MiB at most.
        memory: Option<u64> = None, optional(size(0..=1 << 44)), Restart;
        /// Whether balancers with a [store that they share](../guide/several-balancers.md#a-store-that-all-share)
        /// share [kept answers](../guide/cache.md#shared-by-several-balancers) as well; nothing without one.
        shared: bool = true, boolean(), Restart;
        /// Methods whose answers are never kept: names and globs (`*`).
        never: Vec<String> = Vec::new(), list(calls::method), Live;
        /// What a request's `cache-control: no-cache` does. `heed`: the call isn't answered out of the cache;
        /// `ignore`: nothing, as browsers send it at each reload.
        heeds_no_cache ("no_cache"): bool = false, choice(&[("ignore", false), ("heed", true)]), Live;
    }
}

settings_group! {
    /// What requests to the admin listener need.
    AdminSettings at admin {
        /// The bearer token of the admin listener, up to 1,024 characters. Once set it is needed on loopback, too.
        token: Option<Secret> = None, admin::token(), LiveUnless(would_be_open);
        /// Names by which the admin listener is reached, beside `localhost` and IP addresses.
        hosts: Vec<String> = Vec::new(), list(admin::host), Live;
    }
}

settings_group! {
    /// What browsers' pages may do.
    CorsSettings at cors {
        /// Where pages may come from: `*`, or origins such as `https://app.example`.
        origins: Vec<String> = vec!["*".to_string()], list(cors::origin), Live;
        /// Headers that pages may send beside those that are read here, or `*`.
        headers: Vec<String> = Vec::new(), list(cors::header), Live;
    }
}

settings_group! {
    /// Metrics for CloudWatch, on standard output.
    CloudWatchSettings at cloudwatch {
        /// The namespace of the [metrics in CloudWatch](metrics.md#cloudwatch).
        namespace: String = "Forebay".to_string(), text(observability::namespace), Live;
        /// The metrics' dimension `Service`, which tells this balancer's from another's.
        service: String = "forebay".to_string(), text(observability::service_name), Live;
        /// How often the metrics are written.
        interval: Duration = secs(60), duration(secs(60)..=HOUR), Live;
    }
}

settings_group! {
    LogSettings at log {
        /// The share of the calls that get a [line in the log](../guide/monitor.md#a-line-for-each-call), 0 to 1;
        /// with a number, failed ones always do. `off`: no call does.
        calls: Option<f64> = None, observability::logged_share(), Live;
    }
}

settings_group! {
    /// What clients' sockets are held to. Open ones keep what they began with.
    SocketSettings at sockets {
        /// Clients' [WebSockets](../guide/subscriptions.md) in all.
        sockets_max: usize = 20_000, number(0..=1_000_000), Live;
        /// Clients' WebSockets of one address, or of one /64 of IPv6. Left out: 1000 where `listen.trusted_proxies`
        /// is set, else three quarters of all ([limits](limits.md)).
        per_address_max: Option<usize> = None, optional(number(1..=1_000_000)), Live;
        /// Subscriptions of one socket.
        subscriptions_max: usize = 100, number(0..=10_000), Live;
        /// Messages a second of one socket, and as many at once.
        messages_per_second: u32 = 1000, number(1..=1_000_000), Live;
        /// The time between two pings. A client that hasn't answered one when the next is due is disconnected.
        ping_interval: Duration = secs(30), duration(secs(1)..=secs(600)), Live;
    }
}

settings_group! {
    /// Traces for a collector, by OTLP over HTTP.
    OtlpSettings at otlp {
        /// Where [traces](../guide/monitor.md#traces) go, to `v1/traces` below it. Left out: as
        /// `OTEL_EXPORTER_OTLP_ENDPOINT` says, else `http://localhost:4318`.
        endpoint: Secret = otlp::default_endpoint(), otlp::endpoint(), Restart;
        /// Headers sent with traces, up to 16; values may hold `${NAME}`. Left out: as `OTEL_EXPORTER_OTLP_HEADERS`
        /// says.
        headers: Vec<(String, Secret)> = Vec::new(), otlp::headers(), Restart;
        /// The name under which traces appear. Left out: as `OTEL_SERVICE_NAME` says.
        service: String = "forebay".to_string(), text(observability::service_name), Restart;
        /// Of the calls that bring no `traceparent`, the share that begins a trace.
        share: f64 = 0.01, decimal(0.0..=1.0), Live;
    }
}

settings_group! {
    ShutdownSettings at shutdown {
        /// After SIGTERM: `/health` is 503, calls are still served.
        lame_duck: Duration = secs(10), duration(Duration::ZERO..=HOUR), Live;
        /// After `shutdown.lame_duck`: the time for the calls in flight.
        drain: Duration = secs(20), duration(Duration::ZERO..=HOUR), Live;
    }
}

settings_group! {
    LimitSettings at limits {
        /// The memory of which everything that is held at once is a [share](limits.md#memory-and-files). Left out:
        /// the machine's, or the control group's.
        memory: Option<u64> = None, optional(size(MEMORY_MIN..=1 << 44)), Restart;
    }
}

/// What the core decides by, as far as it isn't the settings' own types.
impl Settings {
    /// What nodes are judged by.
    pub fn criteria(&self) -> HealthCriteria {
        let health = &self.health;
        HealthCriteria {
            chain_id: self.chain.id.map(ChainId),
            block_time: self.chain.block_time,
            round_interval: health.interval,
            lag_blocks_max: health.lag_blocks_max,
            hysteresis: Hysteresis {
                rise: health.rise,
                fall: health.fall,
            },
        }
    }

    /// What repeats may cost.
    pub fn retry_rates(&self) -> BudgetRates {
        BudgetRates {
            per_call: self.calls.retry_per_call,
            per_second: self.calls.retry_per_second,
            burst: self.calls.retry_burst,
        }
    }
}

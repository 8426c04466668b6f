//! Stories about metrics, told through the text that Prometheus reads. Here are their helpers.

mod counts;
mod interface;
mod nodes;

use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::interface::INTERFACE;
use super::fleet::{DOUBTS, NO_REASON, STATES};
use super::*;
use crate::config::settings::Settings;
use forebay_core::fleet::depth::Depth;
use forebay_core::fleet::report::CapabilityReport;
use forebay_core::fleet::tracker::Fleet;
use forebay_core::fleet::{FleetMember, ProbeDetails, ProbeOutcome};
use forebay_core::method::MethodRules;
use forebay_core::testing;
use forebay_core::vocabulary::chain::{BlockHash, BlockNumber, ChainId};
use forebay_core::vocabulary::node::{NodeId, NodePurpose, Role, Weight};

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.chain.block_time = Duration::from_millis(500);
    settings.health.interval = Duration::from_secs(5);
    settings.health.lag_blocks_max = 10;
    settings.registry.refresh = Duration::from_secs(60);
    settings.calls.retry_burst = 99.5;
    settings
}

const ROOM: ProcessBounds = ProcessBounds {
    requests_max: 20_000,
    request_bytes_max: 1 << 30,
    answer_bytes_max: 1 << 31,
    sockets_max: 7,
};

const INSIDE: ProcessUse = ProcessUse {
    requests: 3,
    request_bytes: 700,
    answer_bytes: 800,
    cache: CacheFill {
        entries: 4,
        bytes: 500,
        bytes_max: 600,
        evicted: 7,
    },
};

const USED: ChainUse = ChainUse {
    is_degraded: false,
    retry_budget: 1.5,
    queued: 3,
    shed: 2,
};

/// The text after everything has happened once.
fn written_after_everything() -> String {
    let mut scene = Scene::new(&[("geth-1", Role::Own, 1), ("infura", Role::Leader, 1)]);
    let metrics = &scene.metrics;
    metrics
        .process
        .certificate_expires(([127, 0, 0, 1], 8443).into(), 1);
    let node = metrics.node("geth-1");
    node.attempted(AttemptClass::Ok, Duration::ZERO);
    node.refused(Rejection::Auth);
    node.probed(Duration::ZERO);
    node.probe_failed(Reason::Silent);
    metrics.method(None).called(CallOutcome::Ok, Duration::ZERO);
    metrics.process.config_read(1);
    metrics.process.spans().exported.inc();
    metrics.failed_over(AttemptClass::Timeout);
    metrics.fallback_call();
    metrics.leader_withheld();
    metrics.coalesced();
    let (kept, _) = MethodRules::default().look_up("eth_call");
    metrics.method(kept).cache_hit(Duration::from_secs(2));
    metrics.method(kept).cache_shared_hit();
    metrics.method(kept).cache_miss();
    metrics.cache_leader_hit();
    metrics.hedged(HedgeWinner::First);
    metrics.broadcast(TransactionOutcome::Accepted);
    metrics.looked_up(LookupOutcome::Found);
    metrics.show_upstream_subscriptions("geth-1", 1);
    metrics.told_heads(1, true);
    metrics.taken_over(TakeoverReason::Lost);
    metrics.process.http_response(200);
    metrics.batch(1000);
    metrics.upstream_batch(100);
    metrics.registry_read(1_700_000_000, 0);
    metrics.registry_failed("list");
    metrics.show_settings(&settings());
    metrics.show_used(&USED);
    metrics.process.show_bounds(&ROOM);
    metrics.process.show_used(&INSIDE);
    scene.replace(&[
        ("geth-1", Role::Own, 1),
        ("infura", Role::Leader, 1),
        ("geth-2", Role::Own, 1),
    ]);
    let probes = [answered(1); 3];
    scene.round(&probes);
    scene.details(&probes, &known());
    scene.round(&probes)
}

/// All that a probe can bring beside the head.
fn known() -> ProbeDetails {
    let block = BlockNumber(0);
    ProbeDetails {
        head_timestamp: Some(1_700_000_000 - 10),
        capabilities: CapabilityReport::Told(Depth {
            blocks_from: Some(block),
            state_from: Some(block),
            ..Depth::default()
        }),
        compared: Some((block, BlockHash([1; 32]))),
        safe: Some(block),
        finalized: Some(block),
        ..ProbeDetails::default()
    }
}

/// A process that serves one chain without a name.
struct Metrics {
    process: ProcessMetrics,
    chain: Arc<ChainMetrics>,
}

impl Metrics {
    fn new() -> Metrics {
        let process = ProcessMetrics::new();
        let chain = process.chain(&ChainName::main());
        Metrics { process, chain }
    }

    fn encode(&self, view: &FleetView, unix_seconds: u64) -> String {
        self.chain.refresh(view, unix_seconds);
        self.process.encode()
    }
}

impl Deref for Metrics {
    type Target = ChainMetrics;

    fn deref(&self) -> &ChainMetrics {
        &self.chain
    }
}

fn encode(metrics: &Metrics) -> String {
    metrics.encode(&FleetView::default(), 1_700_000_000)
}

fn value(text: &str, series: &str) -> Option<f64> {
    let values = text.lines().filter_map(|line| line.strip_prefix(series));
    values
        .filter_map(|rest| rest.strip_prefix(' '))
        .map(|number| number.parse().unwrap())
        .next()
}

/// The value of a series of the process, or of the chain without a name.
fn ours(text: &str, series: &str) -> Option<f64> {
    value(text, &of_chain("main", series))
}

/// A series with its whole name, and with the chain's where it is a chain's.
fn of_chain(chain: &str, series: &str) -> String {
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}').unwrap()),
        None => (series, ""),
    };
    let is_family = |family: &str| is_of(family, &format!("forebay_{name} "));
    let named = |(family, _): &&(&str, &[&str])| is_family(family.split(' ').next().unwrap());
    let (_, names) = INTERFACE.iter().find(named).unwrap();
    let chain = names
        .contains(&"chain")
        .then(|| format!("chain=\"{chain}\""));
    let others = Some(labels.to_string()).filter(|labels| !labels.is_empty());
    let labels: Vec<_> = chain.into_iter().chain(others).collect();
    match labels.is_empty() {
        true => format!("forebay_{name}"),
        false => format!("forebay_{name}{{{}}}", labels.join(",")),
    }
}

/// Whether the line is a series of `name` itself, not of a longer name.
fn is_of(name: &str, line: &str) -> bool {
    let rest = line.strip_prefix("forebay_");
    let Some(rest) = rest.and_then(|rest| rest.strip_prefix(name)) else {
        return false;
    };
    let ends = ["", "_bucket", "_sum", "_count"];
    let mut after = ends.iter().filter_map(|end| rest.strip_prefix(end));
    after.any(|rest| rest.starts_with(['{', ' ']))
}

fn answered(head: u64) -> ProbeOutcome {
    ProbeOutcome::Answered {
        head: BlockNumber(head),
        chain_id: Some(ChainId(1)),
        syncing: false,
    }
}

struct Scene {
    fleet: Fleet,
    metrics: Metrics,
    now: Instant,
    unix_seconds: u64,
}

impl Scene {
    fn new(nodes: &[(&str, Role, u64)]) -> Scene {
        let mut scene = Scene {
            fleet: testing::fleet(),
            metrics: Metrics::new(),
            now: crate::clock::now(),
            unix_seconds: 1_700_000_000,
        };
        scene.replace(nodes);
        scene
    }

    fn replace(&mut self, nodes: &[(&str, Role, u64)]) {
        let member = |(at, (name, role, weight)): (usize, &(&str, Role, u64))| FleetMember {
            id: NodeId(u32::try_from(at).unwrap()),
            name: (*name).into(),
            role: *role,
            weight: Weight::new(*weight).unwrap(),
            purpose: NodePurpose::default(),
        };
        let members = nodes.iter().enumerate().map(member).collect();
        self.fleet.replace(members, self.now);
    }

    /// What came with the probes that the next round brings, the same of each.
    fn details(&mut self, probes: &[ProbeOutcome], details: &ProbeDetails) {
        let probes: Vec<_> = (0..).map(NodeId).zip(probes.iter().copied()).collect();
        let all: Vec<_> = probes
            .iter()
            .map(|(id, _)| (*id, details.clone()))
            .collect();
        self.fleet.hear_details(&probes, &all, self.now);
    }

    /// One round with a probe for each node, in order; gives the text.
    fn round(&mut self, probes: &[ProbeOutcome]) -> String {
        self.now += Duration::from_secs(1);
        self.unix_seconds += 1;
        let heard: Vec<_> = (0..).map(NodeId).zip(probes.iter().copied()).collect();
        self.fleet.hear_round(&heard, self.now);
        self.show()
    }

    fn show(&mut self) -> String {
        let view = self.fleet.view();
        self.metrics.show_fleet(&view, self.now, self.unix_seconds);
        self.metrics.encode(&view, self.unix_seconds)
    }
}

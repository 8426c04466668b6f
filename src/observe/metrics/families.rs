//! The one list of all metrics: name, meaning, labels.
//!
//! Series are told apart by a hash of their label values written one after another, without a
//! mark between them. So of two values of one fixed label (`outcome`, `state`, `reason`) neither
//! may be the end of the other; a test sees to it.

use std::collections::HashMap;
use std::sync::Arc;

use forebay_core::vocabulary::chain::ChainName;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{
    CounterVec, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec, Opts, Registry,
};

/// In seconds, from an answer out of a node's cache to a trace that takes a minute.
const DURATION_BUCKETS: [f64; 15] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 30.0, 60.0,
];
/// In calls.
const BATCH_BUCKETS: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];

/// What is the process's, whatever chains it serves.
pub(super) struct ProcessFamilies {
    pub registry: Registry,
    pub build_info: IntGaugeVec,
    pub panics: IntCounter,
    pub certificate_expiry: IntGaugeVec,
    pub http_responses: IntCounterVec,
    pub requests_in_flight: IntGauge,
    pub requests_admitted: IntGaugeVec,
    pub requests_admitted_max: IntGaugeVec,
    pub request_bytes_held: IntGaugeVec,
    pub request_bytes_held_max: IntGaugeVec,
    pub answer_bytes_held: IntGaugeVec,
    pub answer_bytes_held_max: IntGaugeVec,
    pub cache_entries: IntGaugeVec,
    pub cache_bytes: IntGaugeVec,
    pub cache_bytes_max: IntGaugeVec,
    pub cache_evictions: IntCounter,
    pub connections: IntGauge,
    pub sockets_max: IntGaugeVec,
    pub shared_store_up: IntGaugeVec,
    pub shared_store_failures: IntCounterVec,
    pub trace_spans: IntCounterVec,
    pub config_reloads: IntCounterVec,
    pub config_reload_successful: IntGaugeVec,
    pub config_success_timestamp: IntGaugeVec,
    pub config_settings_waiting: IntGaugeVec,
}

impl ProcessFamilies {
    #[rustfmt::skip]
    pub(super) fn new() -> ProcessFamilies {
        let mut list = FamilyList::default();
        let made = ProcessFamilies {
            registry: Registry::new(),
            build_info: list.gauges("build_info", "Always 1; the version is the label.", &["version"]),
            panics: list.counter("panics_total", "Tasks that ended by a fault of the program: a connection or call each."),
            certificate_expiry: list.gauges("certificate_expiry_timestamp_seconds", "When the certificate that a listener shows expires, since 1970.", &["address"]),
            http_responses: list.counters("http_responses_total", "HTTP answers to clients.", &["code"]),
            requests_in_flight: list.gauge("requests_in_flight", "HTTP requests that are not answered yet."),
            requests_admitted: list.gauges("requests_admitted", "Requests and messages with calls that the gate let in.", &[]),
            requests_admitted_max: list.gauges("requests_admitted_max", "The most of them at once; one more is refused.", &[]),
            request_bytes_held: list.gauges("request_bytes_held", "Bytes of requests' bodies and of messages in memory.", &[]),
            request_bytes_held_max: list.gauges("request_bytes_held_max", "The most of them at once; more are refused.", &[]),
            answer_bytes_held: list.gauges("answer_bytes_held", "Bytes of nodes' answers that are held whole.", &[]),
            answer_bytes_held_max: list.gauges("answer_bytes_held_max", "The most of them at once; more are refused.", &[]),
            cache_evictions: list.counter("cache_evictions_total", "Kept answers that had to go for want of room."),
            cache_entries: list.gauges("cache_entries", "Answers that are kept.", &[]),
            cache_bytes: list.gauges("cache_bytes", "Memory that they take, about.", &[]),
            cache_bytes_max: list.gauges("cache_bytes_max", "The most that they may take; 0: none is kept.", &[]),
            connections: list.gauge("connections", "Clients' connections that are open."),
            sockets_max: list.gauges("sockets_max", "The most of them at once; one more is refused.", &[]),
            shared_store_up: list.gauges("shared_store_up", "1 while the store that balancers share answers in time.", &[]),
            shared_store_failures: list.counters("shared_store_failures_total", "What the store that balancers share failed at, by what was wanted of it.", &["operation"]),
            trace_spans: list.counters("trace_spans_total", "Spans for the collector of traces, by what became of them.", &["outcome"]),
            config_reloads: list.counters("config_reloads_total", "Times that the configuration was read again, by what came of it.", &["outcome"]),
            config_reload_successful: list.gauges("config_last_reload_successful", "0 while the configuration's file is one that was refused.", &[]),
            config_success_timestamp: list.gauges("config_last_reload_success_timestamp_seconds", "When the configuration was last read without a mistake, since 1970.", &[]),
            config_settings_waiting: list.gauges("config_settings_waiting", "Settings of the configuration's file that need a restart to hold.", &[]),
        };
        watch_process(&made.registry);
        register(&made.registry, list.written());
        made
    }
}

/// What is a chain's: each series carries its name as the label `chain`.
pub(super) struct ChainFamilies {
    /// All of them, for the registry.
    pub written: CollectorGroup,
    pub node_block_number: IntGaugeVec,
    pub node_lag_blocks: IntGaugeVec,
    pub node_lag_blocks_max: IntGaugeVec,
    pub node_head_difference_blocks: IntGaugeVec,
    pub node_head_age_seconds: IntGaugeVec,
    pub node_oldest_block: IntGaugeVec,
    pub node_oldest_state: IntGaugeVec,
    pub node_healthy: IntGaugeVec,
    pub node_weight: IntGaugeVec,
    pub node_in_flight: IntGaugeVec,
    pub node_in_flight_limit: IntGaugeVec,
    pub queued_calls: IntGaugeVec,
    pub calls_shed: IntCounter,
    pub node_suspect: IntGaugeVec,
    pub degraded: IntGaugeVec,
    pub node_state: IntGaugeVec,
    pub probe_duration: HistogramVec,
    pub probe_failures: IntCounterVec,
    pub nodes: IntGaugeVec,
    pub nodes_healthy: IntGaugeVec,
    pub nodes_serving: IntGaugeVec,
    pub reference_block_number: IntGaugeVec,
    pub reference_moved: IntGaugeVec,
    pub served_block_number: IntGaugeVec,
    pub safe_block_number: IntGaugeVec,
    pub finalized_block_number: IntGaugeVec,
    pub block_time: GaugeVec,
    pub forks: IntGaugeVec,
    pub forks_undecided: IntGaugeVec,
    pub reference_source: IntGaugeVec,
    pub leader_doubt: IntGaugeVec,
    pub calls: IntCounterVec,
    pub call_duration: HistogramVec,
    pub attempts: IntCounterVec,
    pub attempt_duration: HistogramVec,
    pub refusals: IntCounterVec,
    pub failovers: IntCounterVec,
    pub fallback_calls: IntCounter,
    pub leader_withheld: IntCounter,
    pub coalesced_calls: IntCounter,
    pub cache_hits: IntCounterVec,
    pub cache_shared_hits: IntCounterVec,
    pub cache_misses: IntCounterVec,
    pub cache_hit_age: CounterVec,
    pub cache_leader_hits: IntCounter,
    pub hedges: IntCounterVec,
    pub broadcasts: IntCounterVec,
    pub write_lookups: IntCounterVec,
    pub tag_repeats: IntCounter,
    pub block_waits: IntCounter,
    pub null_checks: IntCounterVec,
    pub try_again_responses: IntCounter,
    pub retry_budget: GaugeVec,
    pub retry_budget_max: GaugeVec,
    pub sockets: IntGauge,
    pub subscriptions: IntGaugeVec,
    pub socket_messages: IntCounterVec,
    pub sockets_closed: IntCounterVec,
    pub batch_calls: Histogram,
    pub upstream_batch_calls: Histogram,
    pub registry_age: IntGaugeVec,
    pub registry_items_rejected: IntGaugeVec,
    pub registry_errors: IntCounterVec,
    pub last_round: IntGaugeVec,
    pub setting_seconds: GaugeVec,
    pub upstream_subscriptions: IntGaugeVec,
    pub gap_fills: IntCounter,
    pub blocks_filled: IntCounter,
    pub takeovers: IntCounterVec,
    pub reorgs_told: IntCounter,
}

impl ChainFamilies {
    #[expect(clippy::too_many_lines, reason = "it is a list")]
    #[rustfmt::skip]
    pub(super) fn new(chain: &ChainName) -> ChainFamilies {
        let mut list = FamilyList::of(chain);
        ChainFamilies {
            node_block_number: list.gauges("node_block_number", "The node's head.", &["node"]),
            node_lag_blocks: list.gauges("node_lag_blocks", "Blocks behind the reference; 0 when ahead.", &["node"]),
            node_lag_blocks_max: list.gauges("node_lag_blocks_max", "The most blocks that a fit node may be behind.", &[]),
            node_head_difference_blocks: list.gauges("node_head_difference_blocks", "The node's head less the reference; below 0 when behind.", &["node"]),
            node_head_age_seconds: list.gauges("node_head_age_seconds", "Since the node's head was made, by the block's own time.", &["node"]),
            node_oldest_block: list.gauges("node_oldest_block_number", "The oldest block that the node has.", &["node"]),
            node_oldest_state: list.gauges("node_oldest_state_block_number", "The oldest block whose state the node has.", &["node"]),
            node_healthy: list.gauges("node_healthy", "1 while the node is fit.", &["node"]),
            node_weight: list.gauges("node_weight", "The node's share of calls relative to its peers; 0 drains it.", &["node"]),
            node_in_flight: list.gauges("node_in_flight", "Attempts that the node has not answered yet.", &["node"]),
            node_in_flight_limit: list.gauges("node_in_flight_limit", "Calls that the node may have in flight; 1 where it takes no more than a rate.", &["node"]),
            queued_calls: list.gauges("queued_calls", "Calls that wait for a place at a node.", &[]),
            calls_shed: list.counter("calls_shed_total", "Times that calls found no place at a node in time; they are refused."),
            node_suspect: list.gauges("node_suspect", "1 while the node has failed at several calls in a row, and gets one at a time to show itself.", &["node"]),
            degraded: list.gauges("degraded", "1 while /health says degraded: no node is fit, or over 5 % of the calls of the last 30 s failed.", &[]),
            node_state: list.gauges("node_state", "1 for the state that the node is in, and why.", &["node", "state", "reason"]),
            probe_duration: list.histograms("probe_duration_seconds", "How long probes took.", &["node"], &DURATION_BUCKETS),
            probe_failures: list.counters("probe_failures_total", "Probes that did not find the node fit, by reason.", &["node", "reason"]),
            nodes: list.gauges("nodes", "Nodes in the list.", &["rung"]),
            nodes_healthy: list.gauges("nodes_healthy", "Nodes that are fit.", &["rung"]),
            nodes_serving: list.gauges("nodes_serving", "Nodes that are fit and have a weight.", &["rung"]),
            reference_block_number: list.gauges("reference_block_number", "The head that nodes are compared with.", &[]),
            reference_moved: list.gauges("reference_moved_timestamp_seconds", "When the reference was last seen to change, since 1970.", &[]),
            served_block_number: list.gauges("served_block_number", "The head that clients are shown.", &[]),
            safe_block_number: list.gauges("safe_block_number", "What the nodes agree on as safe.", &[]),
            finalized_block_number: list.gauges("finalized_block_number", "What the nodes agree on as finalized.", &[]),
            block_time: list.decimals("block_time_seconds", "The time between blocks, as measured; chain.block_time to begin with.", &[]),
            forks: list.gauges("forks", "Different blocks that nodes have at one height; 1 when all agree.", &[]),
            forks_undecided: list.gauges("forks_undecided", "1 while nodes' blocks differ and it isn't known which is right.", &[]),
            reference_source: list.gauges("reference_source", "1 for where the reference comes from.", &["source"]),
            leader_doubt: list.gauges("leader_doubt", "1 for why the leader is not the reference.", &["doubt"]),
            calls: list.counters("calls_total", "JSON-RPC calls of clients.", &["method", "outcome"]),
            call_duration: list.histograms("call_duration_seconds", "How long calls took, over all their attempts.", &["method"], &DURATION_BUCKETS),
            attempts: list.counters("attempts_total", "Attempts on nodes; a call has several when it fails over.", &["node", "outcome"]),
            attempt_duration: list.histograms("attempt_duration_seconds", "How long attempts took.", &["node"], &DURATION_BUCKETS),
            refusals: list.counters("node_refusals_total", "Attempts that a node turned away because of our credentials or quota: an operator has to see to it.", &["node", "reason"]),
            failovers: list.counters("failovers_total", "Calls passed on to another node, by the outcome of the attempt before.", &["reason"]),
            fallback_calls: list.counter("fallback_calls_total", "Calls answered by the leader or a fallback node."),
            leader_withheld: list.counter("leader_withheld_total", "Calls for what no node is known to have that ended with own nodes' word, as the leader's share was used up."),
            coalesced_calls: list.counter("coalesced_calls_total", "Calls answered by what an identical one in flight brought."),
            cache_hits: list.counters("cache_hits_total", "Calls whose answer was kept: no node was asked.", &["method"]),
            cache_shared_hits: list.counters("cache_shared_hits_total", "Of those hits, answers that were found in the store that balancers share.", &["method"]),
            cache_misses: list.counters("cache_misses_total", "Calls whose answer might have been kept, and wasn't.", &["method"]),
            cache_hit_age: list.sums("cache_hit_age_seconds_total", "For how long hits' answers had been kept, all together.", &["method"]),
            cache_leader_hits: list.counter("cache_leader_hits_total", "Hits of answers that the leader gave."),
            hedges: list.counters("hedges_total", "Reads asked of a second node because the first was slow, by whose answer was taken.", &["winner"]),
            broadcasts: list.counters("broadcasts_total", "Raw transactions, by what became of them.", &["outcome"]),
            write_lookups: list.counters("write_lookups_total", "Raw transactions looked up by their hash before anything was said, by whether a node has them.", &["outcome"]),
            tag_repeats: list.counter("tag_repeats_total", "Calls asked again as no node had the block that their tag stands for."),
            block_waits: list.counter("block_waits_total", "Calls that waited for a block that no node had yet."),
            null_checks: list.counters("null_checks_total", "Lookups asked of a second node because the first said null, by what it said.", &["outcome"]),
            try_again_responses: list.counter("try_again_responses_total", "Of the 503s: nodes failed a call (-32013) that may be tried again."),
            retry_budget: list.decimals("retry_budget", "Repeats that the budget would pay for now.", &[]),
            retry_budget_max: list.decimals("retry_budget_max", "Repeats that the budget holds when full.", &[]),
            sockets: list.gauge("sockets", "Clients' WebSockets that are open."),
            subscriptions: list.gauges("subscriptions", "Clients' subscriptions, by what they listen to.", &["kind"]),
            socket_messages: list.counters("socket_messages_total", "Messages over clients' WebSockets.", &["direction"]),
            sockets_closed: list.counters("sockets_closed_total", "Clients' WebSockets that ended, by why; slow: the client did not take what it was sent.", &["reason"]),
            batch_calls: list.histogram("batch_calls", "Calls in a batch.", &BATCH_BUCKETS),
            upstream_batch_calls: list.histogram("upstream_batch_calls", "Calls that went to a node together, in one request.", &BATCH_BUCKETS),
            registry_age: list.gauges("registry_age_seconds", "Since the registry was last read with success.", &[]),
            registry_items_rejected: list.gauges("registry_items_rejected", "Items of the registry that make no node.", &[]),
            registry_errors: list.counters("registry_errors_total", "Operations on the registry that failed.", &["operation"]),
            last_round: list.gauges("last_round_timestamp_seconds", "When the last round of probes ended, since 1970.", &[]),
            setting_seconds: list.decimals("setting_seconds", "A setting that is a time, by its key in the configuration.", &["key"]),
            upstream_subscriptions: list.gauges("upstream_subscriptions", "Subscriptions that the node's socket carries; 0: no socket.", &["node"]),
            gap_fills: list.counter("gap_fills_total", "Times that blocks had to be asked for before the next head could be told."),
            blocks_filled: list.counter("blocks_filled_total", "Blocks that were asked for to tell heads without a gap."),
            takeovers: list.counters("takeovers_total", "Times that another node took a subscription over, by why the first was left.", &["reason"]),
            reorgs_told: list.counter("reorgs_told_total", "Reorgs that were told to subscribers of heads."),
            written: list.written(),
        }
    }
}

/// The families of one owner, which come into the registry and leave it together.
#[derive(Clone)]
pub(super) struct CollectorGroup(Arc<[Box<dyn Collector>]>);

impl Collector for CollectorGroup {
    fn desc(&self) -> Vec<&Desc> {
        self.0.iter().flat_map(|family| family.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.0.iter().flat_map(|family| family.collect()).collect()
    }
}

/// The list while it is being written.
#[derive(Default)]
struct FamilyList {
    /// Of all its families.
    labels: HashMap<String, String>,
    families: Vec<Box<dyn Collector>>,
}

impl FamilyList {
    fn of(chain: &ChainName) -> FamilyList {
        FamilyList {
            labels: HashMap::from([("chain".to_string(), chain.to_string())]),
            families: Vec::new(),
        }
    }

    /// One series, which is there from the start.
    fn gauge(&mut self, name: &str, help: &str) -> IntGauge {
        self.listed(IntGauge::with_opts(self.named(name, help)))
    }

    /// Likewise.
    fn counter(&mut self, name: &str, help: &str) -> IntCounter {
        self.listed(IntCounter::with_opts(self.named(name, help)))
    }

    /// Likewise.
    fn histogram(&mut self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        self.listed(Histogram::with_opts(self.bucketed(name, help, buckets)))
    }

    fn gauges(&mut self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.listed(IntGaugeVec::new(self.named(name, help), labels))
    }

    fn decimals(&mut self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        self.listed(GaugeVec::new(self.named(name, help), labels))
    }

    fn counters(&mut self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.listed(IntCounterVec::new(self.named(name, help), labels))
    }

    fn sums(&mut self, name: &str, help: &str, labels: &[&str]) -> CounterVec {
        self.listed(CounterVec::new(self.named(name, help), labels))
    }

    fn histograms(
        &mut self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> HistogramVec {
        self.listed(HistogramVec::new(
            self.bucketed(name, help, buckets),
            labels,
        ))
    }

    fn bucketed(&self, name: &str, help: &str, buckets: &[f64]) -> HistogramOpts {
        HistogramOpts::from(self.named(name, help)).buckets(buckets.to_vec())
    }

    fn named(&self, name: &str, help: &str) -> Opts {
        Opts::new(name, help)
            .namespace("forebay")
            .const_labels(self.labels.clone())
    }

    #[expect(
        clippy::expect_used,
        reason = "names, labels and buckets are constants of this file: a wrong one fails every test"
    )]
    fn listed<C: Collector + Clone + 'static>(&mut self, made: prometheus::Result<C>) -> C {
        let family = made.expect("a metric's name and labels are well formed");
        self.families.push(Box::new(family.clone()));
        family
    }

    fn written(self) -> CollectorGroup {
        CollectorGroup(self.families.into())
    }
}

/// Shows `families` at each scrape. A name that is there already is a fault of this file, or two
/// chains have one name.
pub(super) fn register(registry: &Registry, families: CollectorGroup) {
    if let Err(why) = registry.register(Box::new(families)) {
        log::error!("metrics that no scrape will show: {why}");
    }
}

/// Shows them no more.
pub(super) fn unregister(registry: &Registry, families: CollectorGroup) {
    // An error says that they were not shown: good.
    drop(registry.unregister(Box::new(families)));
}

/// Memory, CPU, open files and threads of this process, under their customary names.
#[cfg(target_os = "linux")]
fn watch_process(registry: &Registry) {
    let process = prometheus::process_collector::ProcessCollector::for_self();
    if let Err(why) = registry.register(Box::new(process)) {
        log::warn!("no metrics of the process itself: {why}");
    }
}

#[cfg(not(target_os = "linux"))]
fn watch_process(_: &Registry) {}

//! What Prometheus is told, and the handles to tell it by: of the process, and of each chain.
//!
//! What is a chain's carries its name as the label `chain`, which its families have once for all: a
//! handle that a call writes to costs the same with one chain or with many.
//!
//! No label's number of values depends on what clients send: a method is a row of the method
//! table or `other`, a status code one of a fixed set or `other`.

mod bounds;
mod families;
mod fleet;
mod handles;
mod process;
mod sockets;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::{IntCounter, IntCounterVec, IntGaugeVec};

pub use self::fleet::state_of;
pub use self::handles::{CallOutcome, MethodMetrics, NodeMetrics, SpanMetrics};
pub use self::sockets::SocketEnd;
use self::sockets::SocketMetrics;
pub use crate::observe::metrics::bounds::{CacheFill, ChainUse, ProcessBounds, ProcessUse};
use crate::observe::metrics::families::ChainFamilies;
use crate::observe::metrics::fleet::FleetGauges;
pub use crate::observe::metrics::handles::{
    GaugeGuard, HedgeWinner, LookupOutcome, ReloadOutcome, TransactionOutcome,
};
pub use crate::observe::metrics::process::ProcessMetrics;
pub use crate::observe::metrics::sockets::MessageDirection;
use crate::observe::traffic::Traffic;
use forebay_core::feed::takeover::TakeoverReason;
use forebay_core::fleet::standing::Reason;
use forebay_core::fleet::view::FleetView;
use forebay_core::method::{MethodIndex, TABLE, Treatment};
use forebay_core::rpc::classify::{AttemptClass, FailoverRule, Rejection};
use forebay_core::vocabulary::chain::ChainName;

/// The content type of [`ProcessMetrics::encode`]'s text.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// What may fail at the registry: shown from the start, so that a first failure is a rise.
const REGISTRY_OPERATIONS: [&str; 7] = [
    "list",
    "seed",
    "follow",
    "record_health",
    "lease",
    "share",
    "floor",
];
/// What is in none of the lists.
const OTHER: &str = "other";
const NO_LABELS: [&str; 0] = [];

/// All metrics of one chain. [`ProcessMetrics::chain`] makes them.
pub struct ChainMetrics {
    chain: ChainName,
    families: ChainFamilies,
    /// One a row of the method table, and one for the rest; made at the first call.
    methods: [OnceLock<MethodMetrics>; TABLE.len() + 1],
    /// By [`AttemptClass`]; none for what is never asked elsewhere.
    failovers: [Option<IntCounter>; AttemptClass::ALL.len()],
    hedges: [IntCounter; HedgeWinner::ALL.len()],
    broadcasts: [IntCounter; TransactionOutcome::ALL.len()],
    write_lookups: [IntCounter; LookupOutcome::ALL.len()],
    /// `null` again, and something else.
    null_checks: [IntCounter; 2],
    sockets: SocketMetrics,
    /// When the registry was last read, in seconds since 1970; 0: never.
    registry_read_at: AtomicU64,
    shown: Mutex<FleetGauges>,
    takeovers: [IntCounter; TakeoverReason::ALL.len()],
}

impl ChainMetrics {
    fn new(chain: &ChainName) -> ChainMetrics {
        let families = ChainFamilies::new(chain);
        let failovers = AttemptClass::ALL.map(|class| {
            let is_passed_on = class.elsewhere() != FailoverRule::Never;
            is_passed_on.then(|| families.failovers.with_label_values(&[class.outcome()]))
        });
        for operation in REGISTRY_OPERATIONS {
            families.registry_errors.with_label_values(&[operation]);
        }
        ChainMetrics {
            chain: chain.clone(),
            methods: [const { OnceLock::new() }; TABLE.len() + 1],
            failovers,
            hedges: HedgeWinner::ALL
                .map(|winner| families.hedges.with_label_values(&[winner.as_str()])),
            broadcasts: TransactionOutcome::ALL
                .map(|sending| families.broadcasts.with_label_values(&[sending.as_str()])),
            write_lookups: LookupOutcome::ALL
                .map(|lookup| families.write_lookups.with_label_values(&[lookup.as_str()])),
            null_checks: ["null", "found"]
                .map(|outcome| families.null_checks.with_label_values(&[outcome])),
            sockets: SocketMetrics::new(&families),
            registry_read_at: AtomicU64::new(0),
            shown: Mutex::default(),
            takeovers: TakeoverReason::ALL
                .map(|takeover| families.takeovers.with_label_values(&[takeover.as_str()])),
            families,
        }
    }

    pub fn chain(&self) -> &ChainName {
        &self.chain
    }

    /// Finds the series of the node called `name`, once for its life in the list.
    pub fn node(&self, name: &str) -> NodeMetrics {
        NodeMetrics::new(&self.chain, &self.families, name)
    }

    /// Takes away all series of a node that has left the list.
    pub fn forget_node(&self, name: &str) {
        let families = &self.families;
        // An error says that there was no such series: good.
        let forget = |family: &IntCounterVec, value: &str| {
            drop(family.remove_label_values(&[name, value]));
        };
        for class in AttemptClass::ALL {
            forget(&families.attempts, class.outcome());
        }
        for reason in Reason::ALL {
            forget(&families.probe_failures, reason.as_str());
        }
        for shut in Rejection::ALL {
            forget(&families.refusals, shut.as_str());
        }
        drop(families.attempt_duration.remove_label_values(&[name]));
        drop(families.probe_duration.remove_label_values(&[name]));
        self.hide_upstream_subscriptions(name);
        self.hide_from_fleet(name);
    }

    pub fn method(&self, row: MethodIndex) -> &MethodMetrics {
        let at = row.map_or(TABLE.len(), usize::from).min(TABLE.len());
        self.methods[at].get_or_init(|| {
            let name = TABLE.get(at).map_or(OTHER, |method| method.name);
            MethodMetrics::new(&self.families, name)
        })
    }

    /// A call is asked of another node because an attempt came to `class`.
    pub fn failed_over(&self, class: AttemptClass) {
        if let Some(failovers) = &self.failovers[class as usize] {
            failovers.inc();
        }
    }

    /// A call was answered by the leader or a fallback node.
    pub fn fallback_call(&self) {
        self.families.fallback_calls.inc();
    }

    /// The leader was not asked about what no node is known to have.
    pub fn leader_withheld(&self) {
        self.families.leader_withheld.inc();
    }

    /// A kept answer was given that the leader had brought.
    pub fn cache_leader_hit(&self) {
        self.families.cache_leader_hits.inc();
    }

    /// A call was answered by what an identical one brought.
    pub fn coalesced(&self) {
        self.families.coalesced_calls.inc();
    }

    /// A read was asked of a second node.
    pub fn hedged(&self, winner: HedgeWinner) {
        self.hedges[winner as usize].inc();
    }

    pub fn broadcast(&self, sending: TransactionOutcome) {
        self.broadcasts[sending as usize].inc();
    }

    pub fn looked_up(&self, lookup: LookupOutcome) {
        self.write_lookups[lookup as usize].inc();
    }

    /// A call is asked again: the number that we wrote for its tag came to nothing.
    pub fn tag_repeat(&self) {
        self.families.tag_repeats.inc();
    }

    /// A call waits for a block that no node has yet.
    pub fn block_wait(&self) {
        self.families.block_waits.inc();
    }

    /// A second node was asked about a `null`, and said the same or knew more.
    pub fn null_check(&self, is_null: bool) {
        self.null_checks[usize::from(!is_null)].inc();
    }

    /// A 503 of its own kind: nodes failed a call that may be tried again.
    pub fn try_again_response(&self) {
        self.families.try_again_responses.inc();
    }

    /// What all calls came to so far.
    pub fn traffic(&self) -> Traffic {
        let mut traffic = Traffic::default();
        traffic.try_again_responses = self.families.try_again_responses.get();
        for (at, method) in self.methods.iter().enumerate() {
            let row = TABLE.get(at);
            let is_quick = row.is_none_or(|row| row.treatment != Treatment::Heavy);
            if let Some(method) = method.get() {
                method.add_to(&mut traffic, is_quick);
            }
        }
        traffic
    }

    /// Calls since the start whose answer was kept, and might have been.
    pub fn cache_counts(&self) -> (u64, u64) {
        let methods = self.methods.iter().filter_map(|method| method.get());
        methods.fold((0, 0), |(hits, misses), method| {
            let (more_hits, more_misses) = method.cache_counts();
            (hits + more_hits, misses + more_misses)
        })
    }

    /// How long ago the registry was read with success; `None` where it never is.
    pub fn registry_age(&self, unix_seconds: u64) -> Option<Duration> {
        let read_at = self.registry_read_at.load(Ordering::Relaxed);
        let age = || Duration::from_secs(unix_seconds.saturating_sub(read_at));
        (read_at > 0).then(age)
    }

    pub fn batch(&self, calls: usize) {
        self.families.batch_calls.observe(calls as f64);
    }

    /// So many calls go to a node together.
    pub fn upstream_batch(&self, calls: usize) {
        self.families.upstream_batch_calls.observe(calls as f64);
    }

    /// The registry was read at `unix_seconds`; `rejected` of its items make no node.
    pub fn registry_read(&self, unix_seconds: u64, rejected: usize) {
        self.registry_read_at.store(unix_seconds, Ordering::Relaxed);
        set(&self.families.registry_items_rejected, rejected);
    }

    /// The registry is to be read for the first time at `unix_seconds`: until it is, its age
    /// counts from here.
    pub fn registry_awaited(&self, unix_seconds: u64) {
        self.registry_read_at.store(unix_seconds, Ordering::Relaxed);
    }

    pub fn registry_failed(&self, operation: &'static str) {
        self.families
            .registry_errors
            .with_label_values(&[operation])
            .inc();
    }

    /// The socket of the node called `name` carries so many subscriptions.
    pub fn show_upstream_subscriptions(&self, name: &str, count: usize) {
        let gauges = &self.families.upstream_subscriptions;
        gauges.with_label_values(&[name]).set(saturated(count));
    }

    /// The node has left the list, or has no socket any more.
    pub fn hide_upstream_subscriptions(&self, name: &str) {
        let gauges = &self.families.upstream_subscriptions;
        // An error says that there was no such series: good.
        drop(gauges.remove_label_values(&[name]));
    }

    /// Heads were told; so many of their blocks had to be asked for.
    pub fn told_heads(&self, filled: usize, is_reorg: bool) {
        self.families.gap_fills.inc_by(u64::from(filled > 0));
        self.families.blocks_filled.inc_by(filled as u64);
        self.families.reorgs_told.inc_by(u64::from(is_reorg));
    }

    pub fn taken_over(&self, why: TakeoverReason) {
        self.takeovers[why as usize].inc();
    }

    /// Sets what is as old as the scrape: the calls in flight of `view`, and the registry's age.
    pub fn refresh(&self, view: &FleetView, unix_seconds: u64) {
        self.show_in_flight(view);
        if let Some(age) = self.registry_age(unix_seconds) {
            set(&self.families.registry_age, age.as_secs());
        }
    }
}

#[cfg(test)]
impl ChainMetrics {
    /// Of a chain without a name and without a process.
    pub fn alone() -> std::sync::Arc<ChainMetrics> {
        std::sync::Arc::new(ChainMetrics::new(&ChainName::main()))
    }

    /// Prometheus' text of this chain.
    pub fn text(&self) -> String {
        let families = prometheus::core::Collector::collect(&self.families.written);
        let shown = families
            .into_iter()
            .filter(|it| !it.get_metric().is_empty());
        let shown: Vec<_> = shown.collect();
        prometheus::TextEncoder::new()
            .encode_to_string(&shown)
            .unwrap()
    }
}

/// Sets a gauge without labels, which shows nothing before.
fn set(gauge: &IntGaugeVec, value: impl TryInto<i64>) {
    gauge.with_label_values(&NO_LABELS).set(saturated(value));
}

/// A gauge's value; what is too large for it is as large as it goes.
fn saturated<N: TryInto<i64>>(number: N) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;

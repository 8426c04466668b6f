//! What a call holds on to: series that are found once and then written by index alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus::{Counter, Histogram, IntCounter, IntGauge};

use crate::observe::metrics::families::{ChainFamilies, ProcessFamilies};
use crate::observe::traffic::Traffic;
use forebay_core::fleet::standing::Reason;
use forebay_core::method::retention::Retention;
use forebay_core::rpc::classify::{AttemptClass, Rejection};
use forebay_core::rpc::whole_answer::WholeAnswer;
use forebay_core::vocabulary::chain::ChainName;

/// What a client's call came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallOutcome {
    Ok,
    /// A node's own error was the answer.
    RpcError,
    /// We said no.
    Refused,
    /// No node had an answer.
    Failed,
    /// Every node that was asked failed at it, while they answer others.
    Unanswerable,
    /// The client left before there was one.
    Cancelled,
}

impl CallOutcome {
    /// What a call comes to that ends with a node's `answer`.
    pub fn of(answer: &WholeAnswer) -> CallOutcome {
        match answer.result() {
            Some(_) => CallOutcome::Ok,
            None => CallOutcome::RpcError,
        }
    }

    pub const ALL: [CallOutcome; 6] = [
        CallOutcome::Ok,
        CallOutcome::RpcError,
        CallOutcome::Refused,
        CallOutcome::Failed,
        CallOutcome::Unanswerable,
        CallOutcome::Cancelled,
    ];

    /// Whether its caller didn't get what it asked for.
    pub fn is_failure(self) -> bool {
        matches!(self, CallOutcome::Failed | CallOutcome::Unanswerable)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            CallOutcome::Ok => "ok",
            CallOutcome::RpcError => "rpc_error",
            CallOutcome::Refused => "refused",
            CallOutcome::Failed => "failed",
            CallOutcome::Unanswerable => "unanswerable",
            CallOutcome::Cancelled => "cancelled",
        }
    }
}

/// Which attempt's answer a hedged read got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HedgeWinner {
    First,
    Second,
    /// Neither answered well.
    Neither,
}

impl HedgeWinner {
    pub const ALL: [HedgeWinner; 3] = [
        HedgeWinner::First,
        HedgeWinner::Second,
        HedgeWinner::Neither,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            HedgeWinner::First => "first",
            HedgeWinner::Second => "second",
            HedgeWinner::Neither => "nobody",
        }
    }
}

/// What became of a raw transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionOutcome {
    Accepted,
    /// The nodes had it already, as a pool said or a lookup found.
    Known,
    Refused,
    /// No node said anything, and none that could be asked has it.
    Unanswered,
}

impl TransactionOutcome {
    pub const ALL: [TransactionOutcome; 4] = [
        TransactionOutcome::Accepted,
        TransactionOutcome::Known,
        TransactionOutcome::Refused,
        TransactionOutcome::Unanswered,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            TransactionOutcome::Accepted => "accepted",
            TransactionOutcome::Known => "known",
            TransactionOutcome::Refused => "refused",
            TransactionOutcome::Unanswered => "unanswered",
        }
    }
}

/// What became of spans.
#[derive(Clone, Debug)]
pub struct SpanMetrics {
    /// The collector took them.
    pub exported: IntCounter,
    /// There was no room for them.
    pub dropped: IntCounter,
    /// The collector didn't take them.
    pub failed: IntCounter,
}

impl SpanMetrics {
    pub(super) fn new(families: &ProcessFamilies) -> SpanMetrics {
        let counter = |outcome| families.trace_spans.with_label_values(&[outcome]);
        SpanMetrics {
            exported: counter("exported"),
            dropped: counter("dropped"),
            failed: counter("failed"),
        }
    }
}

/// What reading the configuration again came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadOutcome {
    Applied,
    /// Nothing that could be applied had changed.
    Unchanged,
    /// It has mistakes, or can't be read.
    Refused,
}

impl ReloadOutcome {
    pub const ALL: [ReloadOutcome; 3] = [
        ReloadOutcome::Applied,
        ReloadOutcome::Unchanged,
        ReloadOutcome::Refused,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            ReloadOutcome::Applied => "applied",
            ReloadOutcome::Unchanged => "unchanged",
            ReloadOutcome::Refused => "refused",
        }
    }
}

/// What looking a transaction up came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupOutcome {
    Found,
    Missing,
}

impl LookupOutcome {
    pub const ALL: [LookupOutcome; 2] = [LookupOutcome::Found, LookupOutcome::Missing];

    pub fn as_str(self) -> &'static str {
        match self {
            LookupOutcome::Found => "found",
            LookupOutcome::Missing => "missing",
        }
    }
}

/// What calls and probes tell of one node. Cheap to clone; writing to it takes no lock.
///
/// Once the node is forgotten, what is still written here goes nowhere.
#[derive(Clone, Debug)]
pub struct NodeMetrics {
    chain: ChainName,
    attempts: [IntCounter; AttemptClass::ALL.len()],
    attempt_duration: Histogram,
    refusals: [IntCounter; Rejection::ALL.len()],
    probe_duration: Histogram,
    probe_failures: [IntCounter; Reason::ALL.len()],
    /// In microseconds; 0: there was none.
    last_probe: Arc<AtomicU64>,
}

impl NodeMetrics {
    pub(super) fn new(chain: &ChainName, families: &ChainFamilies, node: &str) -> NodeMetrics {
        let attempts = |class: AttemptClass| {
            let labels = [node, class.outcome()];
            families.attempts.with_label_values(&labels)
        };
        let failures = |reason: Reason| {
            let labels = [node, reason.as_str()];
            families.probe_failures.with_label_values(&labels)
        };
        let refusals = |shut: Rejection| {
            let labels = [node, shut.as_str()];
            families.refusals.with_label_values(&labels)
        };
        NodeMetrics {
            chain: chain.clone(),
            refusals: Rejection::ALL.map(refusals),
            attempts: AttemptClass::ALL.map(attempts),
            attempt_duration: families.attempt_duration.with_label_values(&[node]),
            probe_duration: families.probe_duration.with_label_values(&[node]),
            probe_failures: Reason::ALL.map(failures),
            last_probe: Arc::default(),
        }
    }

    /// The chain of the node.
    pub fn chain(&self) -> &ChainName {
        &self.chain
    }

    pub fn attempted(&self, class: AttemptClass, took: Duration) {
        self.attempts[class as usize].inc();
        self.attempt_duration.observe(took.as_secs_f64());
    }

    /// Attempts so far, whatever they came to.
    pub fn attempts(&self) -> u64 {
        self.attempts.iter().map(IntCounter::get).sum()
    }

    /// The node doesn't let us in with our credentials.
    pub fn refused(&self, shut: Rejection) {
        self.refusals[shut as usize].inc();
    }

    pub fn probed(&self, took: Duration) {
        self.probe_duration.observe(took.as_secs_f64());
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.last_probe.store(micros.max(1), Ordering::Relaxed);
    }

    /// How long the last probe took.
    pub fn last_probe(&self) -> Option<Duration> {
        let micros = self.last_probe.load(Ordering::Relaxed);
        (micros > 0).then(|| Duration::from_micros(micros))
    }

    /// A probe got no answer, or one that speaks against the node.
    pub fn probe_failed(&self, reason: Reason) {
        self.probe_failures[reason as usize].inc();
    }
}

/// What calls of one method come to.
#[derive(Clone, Debug)]
pub struct MethodMetrics {
    calls: [IntCounter; CallOutcome::ALL.len()],
    duration: Histogram,
    /// Where answers are kept.
    cache: Option<CacheMetrics>,
}

/// What became of calls whose answers are kept.
#[derive(Clone, Debug)]
struct CacheMetrics {
    hits: IntCounter,
    shared_hits: IntCounter,
    misses: IntCounter,
    /// Of all hits together, in seconds.
    age: Counter,
}

impl MethodMetrics {
    pub(super) fn new(families: &ChainFamilies, method: &str) -> MethodMetrics {
        let calls = |outcome: CallOutcome| {
            let labels = [method, outcome.as_str()];
            families.calls.with_label_values(&labels)
        };
        let is_kept = forebay_core::method::find(method)
            .is_some_and(|method| method.retention != Retention::Never);
        MethodMetrics {
            cache: is_kept.then(|| CacheMetrics {
                hits: families.cache_hits.with_label_values(&[method]),
                shared_hits: families.cache_shared_hits.with_label_values(&[method]),
                misses: families.cache_misses.with_label_values(&[method]),
                age: families.cache_hit_age.with_label_values(&[method]),
            }),
            calls: CallOutcome::ALL.map(calls),
            duration: families.call_duration.with_label_values(&[method]),
        }
    }

    /// Adds its calls to `traffic`. How long it takes counts only where it `is_quick` by nature.
    pub(super) fn add_to(&self, traffic: &mut Traffic, is_quick: bool) {
        for outcome in CallOutcome::ALL {
            let calls = self.calls[outcome as usize].get();
            match outcome {
                CallOutcome::Cancelled => {}
                CallOutcome::Failed => {
                    traffic.calls += calls;
                    traffic.failed += calls;
                }
                CallOutcome::Unanswerable => {
                    traffic.calls += calls;
                    traffic.unanswerable += calls;
                }
                CallOutcome::Ok | CallOutcome::RpcError | CallOutcome::Refused => {
                    traffic.calls += calls;
                }
            }
        }
        if is_quick {
            traffic.add_durations(&self.duration);
        }
    }

    /// Its answer had been kept for so long.
    pub fn cache_hit(&self, age: Duration) {
        if let Some(cache) = &self.cache {
            cache.hits.inc();
            cache.age.inc_by(age.as_secs_f64());
        }
    }

    /// Its answer had been kept by another balancer.
    pub fn cache_shared_hit(&self) {
        self.cache.iter().for_each(|cache| cache.shared_hits.inc());
    }

    /// Its answer might have been kept, and wasn't.
    pub fn cache_miss(&self) {
        self.cache.iter().for_each(|cache| cache.misses.inc());
    }

    /// Hits and misses so far.
    pub(super) fn cache_counts(&self) -> (u64, u64) {
        let counts = |cache: &CacheMetrics| (cache.hits.get(), cache.misses.get());
        self.cache.as_ref().map_or((0, 0), counts)
    }

    pub fn called(&self, outcome: CallOutcome, took: Duration) {
        self.calls[outcome as usize].inc();
        self.duration.observe(took.as_secs_f64());
    }
}

/// Counts one on its gauge for as long as it lives, however its owner ends.
#[derive(Debug)]
#[must_use = "it counts only while it is held"]
pub struct GaugeGuard(IntGauge);

impl GaugeGuard {
    pub(super) fn on(gauge: &IntGauge) -> GaugeGuard {
        gauge.inc();
        GaugeGuard(gauge.clone())
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::metrics::{MessageDirection, SocketEnd};
    use forebay_core::feed::takeover::TakeoverReason;

    #[test]
    fn a_values_place_in_its_list_is_its_index() {
        for (list, places) in [
            ("attempts", AttemptClass::ALL.map(|it| it as usize).to_vec()),
            ("rejections", Rejection::ALL.map(|it| it as usize).to_vec()),
            ("reasons", Reason::ALL.map(|it| it as usize).to_vec()),
            ("calls", CallOutcome::ALL.map(|it| it as usize).to_vec()),
            ("hedges", HedgeWinner::ALL.map(|it| it as usize).to_vec()),
            (
                "sendings",
                TransactionOutcome::ALL.map(|it| it as usize).to_vec(),
            ),
            (
                "takeovers",
                TakeoverReason::ALL.map(|it| it as usize).to_vec(),
            ),
            ("lookups", LookupOutcome::ALL.map(|it| it as usize).to_vec()),
            (
                "directions",
                MessageDirection::ALL.map(|it| it as usize).to_vec(),
            ),
            ("ends", SocketEnd::ALL.map(|it| it as usize).to_vec()),
        ] {
            assert!(
                places.iter().copied().eq(0..places.len()),
                "{list}: {places:?}"
            );
        }
    }
}

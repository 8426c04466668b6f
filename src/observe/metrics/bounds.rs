//! How much there is room for, and the settings that alerts compare with: what is set once, and
//! what stands beside it at each scrape.

use super::{ChainMetrics, NO_LABELS, ProcessMetrics, set};
use crate::config::settings::Settings;

/// What is used of a chain's bounds at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChainUse {
    /// Repeats that the budget would pay for now.
    pub retry_budget: f64,
    /// Calls that wait for a place.
    pub queued: usize,
    /// Calls that found none, since the start.
    pub shed: u64,
    /// As `/health` says it.
    pub is_degraded: bool,
}

/// How much the process has room for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProcessBounds {
    /// Requests inside at once.
    pub requests_max: usize,
    /// Bytes of request bodies inside at once.
    pub request_bytes_max: usize,
    /// Bytes of nodes' answers held whole at once.
    pub answer_bytes_max: u64,
    /// Clients' sockets at once.
    pub sockets_max: usize,
}

/// What is used of that at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProcessUse {
    pub requests: usize,
    pub request_bytes: usize,
    pub answer_bytes: u64,
    pub cache: CacheFill,
}

/// What is kept of answers; nothing where none is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CacheFill {
    pub entries: usize,
    pub bytes: u64,
    pub bytes_max: u64,
    /// Since the start.
    pub evicted: u64,
}

impl ChainMetrics {
    /// Says what is set: alerts and dashboards read it here, so that it needn't be written twice.
    pub fn show_settings(&self, settings: &Settings) {
        let families = &self.families;
        for (key, wait) in [
            ("chain.block_time", settings.chain.block_time),
            ("health.interval", settings.health.interval),
            ("registry.refresh", settings.registry.refresh),
        ] {
            let gauge = families.setting_seconds.with_label_values(&[key]);
            gauge.set(wait.as_secs_f64());
        }
        let lag_blocks_max = settings.health.lag_blocks_max;
        set(&families.node_lag_blocks_max, lag_blocks_max);
        let budget = families.retry_budget_max.with_label_values(&NO_LABELS);
        budget.set(settings.calls.retry_burst);
    }

    /// Says what is used of it, as of now.
    pub fn show_used(&self, used: &ChainUse) {
        let families = &self.families;
        set(&families.degraded, used.is_degraded);
        let budget = families.retry_budget.with_label_values(&NO_LABELS);
        budget.set(used.retry_budget);
        set(&families.queued_calls, used.queued);
        let shed = &families.calls_shed;
        shed.inc_by(used.shed.saturating_sub(shed.get()));
    }
}

impl ProcessMetrics {
    /// Says how much there is room for.
    pub fn show_bounds(&self, bounds: &ProcessBounds) {
        let families = &self.families;
        set(&families.requests_admitted_max, bounds.requests_max);
        set(&families.request_bytes_held_max, bounds.request_bytes_max);
        set(&families.answer_bytes_held_max, bounds.answer_bytes_max);
        set(&families.sockets_max, bounds.sockets_max);
    }

    /// Says what is used of it, as of now.
    pub fn show_used(&self, used: &ProcessUse) {
        let families = &self.families;
        set(&families.requests_admitted, used.requests);
        set(&families.request_bytes_held, used.request_bytes);
        set(&families.answer_bytes_held, used.answer_bytes);
        set(&families.cache_entries, used.cache.entries);
        set(&families.cache_bytes, used.cache.bytes);
        set(&families.cache_bytes_max, used.cache.bytes_max);
        let evicted = &families.cache_evictions;
        evicted.inc_by(used.cache.evicted.saturating_sub(evicted.get()));
    }
}

//! What is told of the process: its listeners, its configuration, and which chains it tells of.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus::{IntCounter, TextEncoder};

use super::families::{ProcessFamilies, register, unregister};
use super::{ChainMetrics, GaugeGuard, OTHER, ReloadOutcome, SpanMetrics, set};
use forebay_core::vocabulary::chain::ChainName;

/// The status codes that are counted by themselves; sorted.
pub(super) const CODES: [u16; 16] = [
    101, 200, 204, 400, 403, 404, 405, 408, 413, 415, 426, 429, 431, 500, 503, 504,
];

/// All metrics of one balancer, in a registry of their own.
pub struct ProcessMetrics {
    pub(super) families: ProcessFamilies,
    /// By place in [`CODES`], and one for the rest.
    http_responses: Vec<IntCounter>,
    /// Those that stand in the registry.
    chains: Mutex<BTreeMap<ChainName, Arc<ChainMetrics>>>,
}

impl Default for ProcessMetrics {
    fn default() -> ProcessMetrics {
        ProcessMetrics::new()
    }
}

impl ProcessMetrics {
    pub fn new() -> ProcessMetrics {
        let families = ProcessFamilies::new();
        let version = [env!("CARGO_PKG_VERSION")];
        families.build_info.with_label_values(&version).set(1);
        for outcome in ReloadOutcome::ALL {
            let series = [outcome.as_str()];
            families.config_reloads.with_label_values(&series);
        }
        let codes = CODES.iter().map(u16::to_string).chain([OTHER.to_string()]);
        let http_responses = codes.map(|code| families.http_responses.with_label_values(&[code]));
        ProcessMetrics {
            http_responses: http_responses.collect(),
            chains: Mutex::default(),
            families,
        }
    }

    /// The metrics of the chain called `name`, shown from now on until it is forgotten. Asked for
    /// again meanwhile, they are the same ones: what they count goes on.
    pub fn chain(&self, name: &ChainName) -> Arc<ChainMetrics> {
        let mut chains = self.chains.lock();
        let make = || {
            let chain = Arc::new(ChainMetrics::new(name));
            register(&self.families.registry, chain.families.written.clone());
            chain
        };
        chains.entry(name.clone()).or_insert_with(make).clone()
    }

    /// Takes away all series of a chain that is served no more. What is still written to its
    /// metrics goes nowhere.
    pub fn forget_chain(&self, name: &ChainName) {
        if let Some(chain) = self.chains.lock().remove(name) {
            unregister(&self.families.registry, chain.families.written.clone());
        }
    }

    /// For the exporter of spans; without it they have no series.
    pub fn spans(&self) -> SpanMetrics {
        SpanMetrics::new(&self.families)
    }

    pub fn http_response(&self, code: u16) {
        let at = CODES.binary_search(&code).unwrap_or(CODES.len());
        self.http_responses[at].inc();
    }

    /// Counts a request in flight while the result is held.
    pub fn begin_request(&self) -> GaugeGuard {
        GaugeGuard::on(&self.families.requests_in_flight)
    }

    /// Counts an open connection while the result is held.
    pub fn begin_connection(&self) -> GaugeGuard {
        GaugeGuard::on(&self.families.connections)
    }

    /// A task ended by a fault of the program.
    pub fn panicked(&self) {
        self.families.panics.inc();
    }

    /// What the listener at `address` shows expires at `unix_seconds`.
    pub fn certificate_expires(&self, address: SocketAddr, unix_seconds: i64) {
        let gauges = &self.families.certificate_expiry;
        gauges
            .with_label_values(&[&address.to_string()])
            .set(unix_seconds);
    }

    /// Of all certificates that are shown: until the first of them expires, in whole days; below 0 after
    /// that. `None` where none is shown.
    pub fn certificate_days(&self, unix_seconds: u64) -> Option<i64> {
        let families = prometheus::core::Collector::collect(&self.families.certificate_expiry);
        let series = families.iter().flat_map(|family| family.get_metric());
        let expiries = series.map(|metric| metric.get_gauge().get_value());
        let first = expiries.reduce(f64::min)?;
        Some(((first - unix_seconds as f64) / 86_400.0).floor() as i64)
    }

    /// The configuration was read at `unix_seconds`, when the process began.
    pub fn config_read(&self, unix_seconds: u64) {
        self.config_holds(unix_seconds);
        self.config_waits(0);
    }

    /// It was read again.
    pub fn config_reread(&self, outcome: ReloadOutcome, unix_seconds: u64) {
        let families = &self.families;
        let series = [outcome.as_str()];
        families.config_reloads.with_label_values(&series).inc();
        match outcome {
            ReloadOutcome::Applied | ReloadOutcome::Unchanged => self.config_holds(unix_seconds),
            ReloadOutcome::Refused => set(&families.config_reload_successful, 0),
        }
    }

    fn config_holds(&self, unix_seconds: u64) {
        set(&self.families.config_reload_successful, 1);
        set(&self.families.config_success_timestamp, unix_seconds);
    }

    /// So many settings wait for a restart.
    pub fn config_waits(&self, settings: usize) {
        set(&self.families.config_settings_waiting, settings);
    }

    /// Whether the store that balancers share answers.
    pub fn store_is(&self, up: bool) {
        set(&self.families.shared_store_up, up);
    }

    pub fn store_failed(&self, operation: &'static str) {
        let counters = &self.families.shared_store_failures;
        counters.with_label_values(&[operation]).inc();
    }

    /// Prometheus' text of the process and of all chains, each as it was last refreshed.
    /// See [`super::CONTENT_TYPE`].
    pub fn encode(&self) -> String {
        TextEncoder::new()
            .encode_to_string(&self.families.registry.gather())
            .unwrap_or_else(|why| {
                log::error!("the metrics can't be written as text: {why}");
                String::new()
            })
    }
}

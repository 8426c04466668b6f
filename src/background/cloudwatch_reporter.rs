//! Tells CloudWatch of the fleet on standard output, no oftener than it counts.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::background::pacing::CurrentSettings;
use crate::clock;
use crate::config::settings::{CloudWatchSettings, Settings};
use crate::observe::cloudwatch::{self, ChainFigures, CloudWatchLabels};
use crate::observe::metrics::{ChainMetrics, ProcessMetrics};
use crate::observe::traffic::Traffic;
use crate::shared::fleet_state::FleetState;

/// How often it is looked whether there was a first round.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Knows where and how often.
pub struct CloudWatchReporter {
    pub fleet: Arc<FleetState>,
    pub metrics: Arc<ChainMetrics>,
    pub process_metrics: Arc<ProcessMetrics>,
    /// When a chain's reporter told of the process's certificates last, in milliseconds since 1970: one tells
    /// of them for all.
    pub certificates_told: Arc<AtomicU64>,
    pub settings: CurrentSettings,
}

impl CloudWatchReporter {
    /// Tells, for ever, from the first round on, as long as the settings want it.
    pub async fn run(&self) {
        let mut told = Traffic::default();
        loop {
            let Some(wanted) = self.settings.say(|settings| settings.cloudwatch.clone()) else {
                let is_wanted = |settings: &Settings| settings.cloudwatch.is_some();
                self.settings.becomes(is_wanted).await;
                continue;
            };
            let traffic = self.metrics.traffic();
            let lines = self.lines(&wanted, traffic.since(&told));
            if lines.is_empty() {
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
            told = traffic;
            // On a thread of its own: the reader of our output may be slow, and probes go on.
            let written = tokio::task::spawn_blocking(move || {
                std::io::stdout().lock().write_all(lines.as_bytes())
            });
            match written.await {
                Ok(Ok(())) => {}
                Ok(Err(why)) => log::debug!("CloudWatch's lines could not be written: {why}"),
                Err(why) => log::debug!("writing CloudWatch's lines failed: {why}"),
            }
            self.rest(&wanted).await;
        }
    }

    /// Until it is time again, or something else is wanted.
    async fn rest(&self, told: &CloudWatchSettings) {
        let is_another = |settings: &Settings| settings.cloudwatch.as_ref() != Some(told);
        tokio::select! {
            () = tokio::time::sleep(told.interval) => {}
            () = self.settings.becomes(is_another) => {}
        }
    }

    fn lines(&self, wanted: &CloudWatchSettings, traffic: Traffic) -> String {
        let snapshot = self.fleet.snapshot();
        let unix_millis = clock::unix_millis();
        let probe_time = |name: &Arc<str>| {
            let mut upstreams = snapshot.upstreams.iter();
            let upstream = upstreams.find(|upstream| upstream.spec.name == *name)?;
            upstream.metrics.last_probe()
        };
        let labels = CloudWatchLabels {
            namespace: wanted.namespace.clone(),
            service: wanted.service.clone(),
            chain: self.fleet.chain.clone(),
        };
        let figures = ChainFigures {
            traffic,
            registry_age: self.metrics.registry_age(unix_millis / 1000),
        };
        let view = &snapshot.view;
        let mut lines = cloudwatch::lines(view, &labels, &probe_time, &figures, unix_millis);
        if lines.is_empty() || !self.tells_of_certificates(wanted.interval, unix_millis) {
            return lines;
        }
        if let Some(days) = self.process_metrics.certificate_days(unix_millis / 1000) {
            lines += &cloudwatch::certificate_line(&labels, days, unix_millis);
        }
        lines
    }

    /// Whether it is this one's turn to.
    fn tells_of_certificates(&self, interval: Duration, unix_millis: u64) -> bool {
        let told = self.certificates_told.load(Ordering::Relaxed);
        // Chains tell at about the same times: a little early is in time.
        let is_due = u128::from(unix_millis.abs_diff(told)) * 10 >= interval.as_millis() * 9;
        let (before, now) = (told, unix_millis);
        let order = Ordering::Relaxed;
        is_due
            && self
                .certificates_told
                .compare_exchange(before, now, order, order)
                .is_ok()
    }
}

//! Tells CloudWatch of the fleet on standard output, no oftener than it counts.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::regimen::{InForce, Regimen};
use crate::clock;
use crate::config::settings::CloudWatch;
use crate::state::pool::Pool;
use crate::telemetry::cloudwatch::{self, Labels, Own};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traffic::Traffic;

/// How often it is looked whether there was a first round.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Knows where and how often.
pub struct Herald {
    pub pool: Arc<Pool>,
    pub metrics: Arc<Metrics>,
    pub regimen: InForce,
}

impl Herald {
    /// Tells, for ever, from the first round on, as long as somebody wants it.
    pub async fn run(&self) {
        let mut told = Traffic::default();
        loop {
            let Some(wanted) = self.regimen.say(|regimen| regimen.cloudwatch.clone()) else {
                let is_wanted = |regimen: &Regimen| regimen.cloudwatch.is_some();
                self.regimen.becomes(is_wanted).await;
                continue;
            };
            let traffic = self.metrics.traffic();
            let lines = self.lines(&wanted, &traffic.since(&told));
            if lines.is_empty() {
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
            told = traffic;
            // On a thread of its own: whoever reads our output may be slow, and probes go on.
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
    async fn rest(&self, told: &CloudWatch) {
        let is_another = |regimen: &Regimen| regimen.cloudwatch.as_ref() != Some(told);
        tokio::select! {
            () = tokio::time::sleep(told.interval) => {}
            () = self.regimen.becomes(is_another) => {}
        }
    }

    fn lines(&self, wanted: &CloudWatch, traffic: &Traffic) -> String {
        let snapshot = self.pool.snapshot();
        let unix_millis = clock::unix_millis();
        let probe_time = |name: &Arc<str>| {
            let mut upstreams = snapshot.upstreams.iter();
            let upstream = upstreams.find(|upstream| upstream.spec.name == *name)?;
            upstream.metrics.last_probe()
        };
        cloudwatch::lines(
            &snapshot.view,
            &Labels {
                namespace: wanted.namespace.clone(),
                service: wanted.service.clone(),
            },
            &probe_time,
            traffic,
            Own {
                registry_age: self.metrics.registry_age(unix_millis / 1000),
                certificate_days: self.metrics.certificate_days(unix_millis / 1000),
            },
            unix_millis,
        )
    }
}

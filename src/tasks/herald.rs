//! Tells CloudWatch of the fleet on standard output, no oftener than it counts.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use crate::clock;
use crate::state::pool::Pool;
use crate::telemetry::cloudwatch::{self, Labels};

/// How often it is looked whether there was a first round.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Knows where and how often.
pub struct Herald {
    pub pool: Arc<Pool>,
    pub labels: Labels,
    pub interval: Duration,
}

impl Herald {
    /// Tells, for ever, from the first round on.
    pub async fn run(&self) {
        loop {
            let lines = self.lines();
            if lines.is_empty() {
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
            // On a thread of its own: whoever reads our output may be slow, and probes go on.
            let written = tokio::task::spawn_blocking(move || {
                std::io::stdout().lock().write_all(lines.as_bytes())
            });
            match written.await {
                Ok(Ok(())) => {}
                Ok(Err(why)) => log::debug!("CloudWatch's lines could not be written: {why}"),
                Err(why) => log::debug!("writing CloudWatch's lines failed: {why}"),
            }
            tokio::time::sleep(self.interval).await;
        }
    }

    fn lines(&self) -> String {
        let snapshot = self.pool.snapshot();
        let probe_time = |name: &Arc<str>| {
            let mut upstreams = snapshot.upstreams.iter();
            let upstream = upstreams.find(|upstream| upstream.spec.name == *name)?;
            upstream.metrics.last_probe()
        };
        cloudwatch::lines(
            &snapshot.view,
            &self.labels,
            &probe_time,
            clock::unix_millis(),
        )
    }
}

//! What is told of the configuration while it may change.

use super::{Metrics, NO_LABELS, saturated};
use crate::observe::metrics::ReloadOutcome;

impl Metrics {
    /// The configuration was read at `unix_seconds`, when the process began.
    pub fn config_read(&self, unix_seconds: u64) {
        let families = &self.families;
        let successful = &families.config_reload_successful;
        successful.with_label_values(&NO_LABELS).set(1);
        let at = &families.config_success_timestamp;
        at.with_label_values(&NO_LABELS)
            .set(saturated(unix_seconds));
        self.config_waits(0);
    }

    /// It was read again.
    pub fn config_reread(&self, outcome: ReloadOutcome, unix_seconds: u64) {
        let families = &self.families;
        let series = [outcome.as_str()];
        families.config_reloads.with_label_values(&series).inc();
        match outcome {
            ReloadOutcome::Applied | ReloadOutcome::Unchanged => {
                let successful = &families.config_reload_successful;
                successful.with_label_values(&NO_LABELS).set(1);
                let at = &families.config_success_timestamp;
                at.with_label_values(&NO_LABELS)
                    .set(saturated(unix_seconds));
            }
            ReloadOutcome::Refused => families
                .config_reload_successful
                .with_label_values(&NO_LABELS)
                .set(0),
        }
    }

    /// So many settings wait for a restart.
    pub fn config_waits(&self, settings: usize) {
        self.families
            .config_settings_waiting
            .with_label_values(&NO_LABELS)
            .set(saturated(settings));
    }
}

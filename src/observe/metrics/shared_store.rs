//! What is shown of the store that balancers share.

use super::{NO_LABELS, ProcessMetrics};

impl ProcessMetrics {
    /// Whether the store that balancers share answers.
    pub fn store_is(&self, up: bool) {
        let gauge = self.families.shared_store_up.with_label_values(&NO_LABELS);
        gauge.set(up.into());
    }

    pub fn store_failed(&self, operation: &'static str) {
        let counters = &self.families.shared_store_failures;
        counters.with_label_values(&[operation]).inc();
    }
}

//! How long answers took.

use std::time::Duration;

/// Samples kept; of later ones none is.
const SAMPLES_MAX: usize = 4_000_000;

#[derive(Default)]
pub(crate) struct Samples(Vec<u64>);

impl Samples {
    pub(crate) fn add(&mut self, took: Duration) {
        if self.0.len() < SAMPLES_MAX {
            self.0
                .push(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        }
    }

    /// In microseconds, the time that so many of a thousand didn't take.
    pub(crate) fn micros(&mut self, thousandths: usize) -> f64 {
        self.0.sort_unstable();
        let at = self.0.len() * thousandths / 1000;
        let nanos = self.0.get(at.min(self.0.len().saturating_sub(1)));
        nanos.map_or(0.0, |nanos| *nanos as f64 / 1000.0)
    }
}

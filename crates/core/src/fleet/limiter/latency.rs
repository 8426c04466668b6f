//! How long a node's calls take that wait for nothing, and what those of a window waited beyond it.
//!
//! Waiting is read from fast calls, which wait as long as slow ones do in one queue: that some are a
//! hundred times slower says nothing. It has to show in the mean, too: how fast the fastest are is a
//! matter of chance. How far apart windows are by chance is measured as TCP does it (RFC 6298).

use std::time::{Duration, Instant};

/// Latencies within this are the same; the second in seconds.
const SAME_PART: f64 = 0.1;
pub(super) const SAME: f64 = 0.000_5;
/// How far one window moves what is known; one with fewer answers than so many moves it less.
const LEARNS: f64 = 0.3;
const ANSWERS: f64 = 16.0;
const WEIGHT_MIN: f64 = 0.1;
/// In a window that was full a mean is faster than what is known if it is below this part of it.
const FASTER: f64 = 0.8;
/// Beyond so many times the latency without waiting calls have clearly waited, and for long.
const CLEAR: f64 = 1.5;
const LATE: f64 = 2.0;
const LONG: f64 = 3.0;

/// A node with a full limit that answers nothing for this time, or so many times the latency of an idle
/// one, has slow calls, which say nothing of others.
const STUCK_AFTER: Duration = Duration::from_millis(20);
const STUCK_TIMES: f64 = 4.0;

/// Answers within some time.
#[derive(Clone, Copy, Debug)]
pub(super) struct LatencyWindow {
    pub began: Instant,
    pub length: Duration,
    pub answers: u64,
    /// Of their latencies.
    pub sum: Duration,
    /// One of the lowest of them.
    pub low: Duration,
    /// A call found no place.
    pub was_full: bool,
}

impl LatencyWindow {
    /// In seconds.
    pub(super) fn low(&self) -> f64 {
        self.low.as_secs_f64()
    }

    /// In seconds.
    fn mean(&self) -> f64 {
        self.sum.as_secs_f64() / (self.answers as f64).max(1.0)
    }

    fn seconds(&self) -> f64 {
        self.length.as_secs_f64().max(1e-6)
    }

    /// Answers a second.
    pub(super) fn per_second(&self) -> f64 {
        self.answers as f64 / self.seconds()
    }

    /// Calls in flight on average, by Little's law.
    pub(super) fn in_flight(&self) -> f64 {
        self.sum.as_secs_f64() / self.seconds()
    }
}

/// What the calls of a window waited in the node.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueueingDelay {
    pub seconds: f64,
    /// By more than chance would have it.
    pub is_clear: bool,
    pub is_long: bool,
}

/// One node's, all in seconds.
#[derive(Debug, Default)]
pub(super) struct LatencyEstimate {
    /// Of fast calls that wait for nothing.
    base: Option<f64>,
    /// How far apart that of one window and of another are.
    noise: f64,
    /// Of all calls where nothing waits.
    mean: f64,
    /// Of fast calls, and of all, in the last window that was full, under the same limit.
    last: Option<(f64, f64)>,
}

impl LatencyEstimate {
    /// Of fast calls that wait for nothing, in seconds.
    pub(super) fn known(&self) -> Option<f64> {
        self.base
    }

    /// For how long a node with a full limit that has slow calls has answered nothing; `None`: it never
    /// answered anything.
    pub(super) fn stuck_after(&self) -> Option<Duration> {
        self.base?;
        Some(Duration::from_secs_f64(self.mean * STUCK_TIMES).max(STUCK_AFTER))
    }

    /// Whether `low` is what is known, but for a little.
    pub(super) fn is_near(low: f64, known: f64) -> bool {
        low <= known * (1.0 + SAME_PART) + SAME
    }

    /// Whether calls that take `low` have waited for long.
    pub(super) fn is_late(low: f64, known: f64) -> bool {
        low > LATE * known
    }

    /// That isn't waiting: fast calls do take `low`.
    pub(super) fn is(&mut self, low: f64) {
        self.base = Some(low);
    }

    /// The limit is another.
    pub(super) fn changes(&mut self) {
        self.last = None;
    }

    /// Learns how long fast calls take that wait for nothing: what is slower than that by more than a
    /// little has waited. `is_usual`: no more calls were in flight than the node was seen to work at.
    pub(super) fn learn(&mut self, window: &LatencyWindow, is_usual: bool) -> f64 {
        let (low, mean) = (window.low(), window.mean());
        let Some(base) = self.base else {
            // What one window tells of others is the less the fewer answers it has.
            let apart = mean - low + low / (window.answers as f64).max(1.0);
            (self.base, self.noise, self.mean) = (Some(low), apart, mean);
            return low;
        };
        if !window.was_full || mean < self.mean * FASTER {
            self.mean += (mean - self.mean) * LEARNS;
        }
        let learns = LEARNS * (window.answers as f64 / ANSWERS).clamp(WEIGHT_MIN, 1.0);
        let apart = match self.last {
            Some((last, _)) if window.was_full => Some((low - last).abs().min(self.mean / 2.0)),
            None if window.was_full => None,
            _ => is_usual.then(|| (low - base).abs().min(self.mean)),
        };
        if let Some(apart) = apart {
            self.noise += (apart - self.noise) * learns;
        }
        let same = (base * SAME_PART + SAME).max(2.0 * self.noise);
        let is_idles = if window.was_full {
            low < base - same
        } else {
            LatencyEstimate::is_near(low, base) || is_usual && low <= base + same
        };
        let known = if is_idles {
            base + (low - base) * learns
        } else {
            base
        };
        self.base = Some(known);
        known
    }

    /// What the calls of a window that was full have waited.
    pub(super) fn waited(&mut self, window: &LatencyWindow) -> QueueingDelay {
        let low = window.low();
        let base = self.base.unwrap_or(low);
        let same = (base * SAME_PART + SAME).max(self.noise);
        let mean = window.mean();
        let (last, mean_last) = self.last.replace((low, mean)).unwrap_or((low, self.mean));
        let is_clear = |low: f64| low > CLEAR * base + same;
        // Of two windows that differ by chance the middle is nearer to the truth.
        let low = if is_clear(low) {
            low
        } else {
            f64::midpoint(low, last.min(CLEAR * base))
        };
        let by_low = if low > base + same {
            low - base - self.noise
        } else {
            // One alone may be of calls that began to wait.
            self.mean += (mean.min(mean_last) - self.mean) * LEARNS;
            0.0
        };
        QueueingDelay {
            seconds: by_low.min(mean - self.mean).max(0.0),
            is_clear: is_clear(low),
            is_long: low > LONG * base,
        }
    }
}

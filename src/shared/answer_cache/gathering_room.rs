//! Room for an answer whose end hasn't come.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What an answer holds before its end has come.
#[derive(Debug)]
pub struct GatheringRoom {
    gathered: Arc<AtomicU64>,
    gathered_max: u64,
    bytes_max: usize,
    held: usize,
}

impl GatheringRoom {
    /// For an answer of at most `bytes_max`. `gathered`: the bytes of all such answers, and the most that these may be.
    pub(super) fn new(
        (gathered, gathered_max): (Arc<AtomicU64>, u64),
        bytes_max: usize,
    ) -> GatheringRoom {
        GatheringRoom {
            gathered,
            gathered_max,
            bytes_max,
            held: 0,
        }
    }

    /// Holds so many more bytes; `false`: it would be too long, or there is no room.
    pub fn hold(&mut self, bytes: usize) -> bool {
        let more = bytes as u64;
        let is_fit = self.held + bytes <= self.bytes_max
            && self.gathered.fetch_add(more, Ordering::Relaxed) + more <= self.gathered_max;
        // What was added for nothing is given back with the rest.
        if self.held + bytes <= self.bytes_max {
            self.held += bytes;
        }
        is_fit
    }
}

impl Drop for GatheringRoom {
    fn drop(&mut self) {
        self.gathered.fetch_sub(self.held as u64, Ordering::Relaxed);
    }
}

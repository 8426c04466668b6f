//! Work that goes on after its client has been answered: bounded in number and in bytes. Each
//! piece has a time of its own; a farewell waits for all of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Pieces of work at once.
pub const PIECES_MAX: usize = 4_096;
/// Bytes that they hold together.
pub const BYTES_MAX: usize = 256 << 20;

/// Counts what goes on.
#[derive(Debug, Default)]
pub struct BackgroundSends {
    pieces: AtomicUsize,
    bytes: AtomicUsize,
}

/// One piece of work, for as long as it is held.
#[derive(Debug)]
#[must_use = "it counts only while it is held"]
pub struct BackgroundSend {
    afterwork: Arc<BackgroundSends>,
    bytes: usize,
}

impl BackgroundSends {
    /// Takes on a piece of work that holds `bytes`; `None` when there is too much already.
    pub fn begin(self: &Arc<Self>, bytes: usize) -> Option<BackgroundSend> {
        let pieces = self.pieces.fetch_add(1, Ordering::Relaxed);
        let held = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let piece = BackgroundSend {
            afterwork: self.clone(),
            bytes,
        };
        // Dropped, it gives back what it took.
        (pieces < PIECES_MAX && held.saturating_add(bytes) <= BYTES_MAX).then_some(piece)
    }

    pub fn pieces(&self) -> usize {
        self.pieces.load(Ordering::Relaxed)
    }
}

impl Drop for BackgroundSend {
    fn drop(&mut self) {
        self.afterwork.pieces.fetch_sub(1, Ordering::Relaxed);
        self.afterwork
            .bytes
            .fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_taken_on_up_to_its_limits_and_given_back() {
        let afterwork = Arc::new(BackgroundSends::default());
        let mut pieces: Vec<_> = (0..PIECES_MAX)
            .map(|_| afterwork.begin(1).unwrap())
            .collect();
        assert!(afterwork.begin(0).is_none());
        pieces.pop();
        assert!(afterwork.begin(0).is_some());
        pieces.clear();
        assert_eq!(afterwork.pieces(), 0);
        assert!(afterwork.begin(BYTES_MAX + 1).is_none());
        let whole = afterwork.begin(BYTES_MAX);
        assert!(whole.is_some() && afterwork.begin(1).is_none());
    }
}

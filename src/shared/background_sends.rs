//! Work that goes on after its client has been answered: bounded in number and in bytes. Each
//! piece has a time of its own; a shutdown waits for all of them.

use std::sync::Arc;

use crate::shared::process_limits::{ChainShare, Resource};
use forebay_core::vocabulary::caps::Caps;

/// Counts what goes on, for a chain.
#[derive(Debug)]
pub struct BackgroundSends {
    share: Arc<ChainShare>,
}

impl Default for BackgroundSends {
    /// Of one chain alone, with memory enough for all.
    fn default() -> BackgroundSends {
        BackgroundSends::new(Arc::new(ChainShare::alone(&Caps::ROOMY)))
    }
}

/// One piece of work, for as long as it is held.
#[derive(Debug)]
#[must_use = "it counts only while it is held"]
pub struct BackgroundSend {
    background_sends: Arc<BackgroundSends>,
    bytes: u64,
}

impl BackgroundSends {
    pub fn new(share: Arc<ChainShare>) -> BackgroundSends {
        BackgroundSends { share }
    }

    /// Takes on a piece of work that holds `bytes`; `None` when there is too much already.
    pub fn begin(self: &Arc<Self>, bytes: usize) -> Option<BackgroundSend> {
        if !self.share.take(Resource::Sends, 1) {
            return None;
        }
        let mut piece = BackgroundSend {
            background_sends: self.clone(),
            bytes: 0,
        };
        let bytes = bytes as u64;
        let has_room = self.share.take(Resource::SendsBytes, bytes);
        // Dropped, it gives back what it took.
        has_room.then(|| {
            piece.bytes = bytes;
            piece
        })
    }

    pub fn pieces(&self) -> u64 {
        self.share.own(Resource::Sends)
    }
}

impl Drop for BackgroundSend {
    fn drop(&mut self) {
        let share = &self.background_sends.share;
        share.give(Resource::Sends, 1);
        share.give(Resource::SendsBytes, self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::process_limits::{SENDS_BYTES_MAX, SENDS_MAX};

    #[test]
    fn work_is_taken_on_up_to_its_limits_and_given_back() {
        let background_sends = Arc::<BackgroundSends>::default();
        let mut pieces: Vec<_> = (0..SENDS_MAX)
            .map(|_| background_sends.begin(1).unwrap())
            .collect();
        assert!(background_sends.begin(0).is_none());
        pieces.pop();
        assert!(background_sends.begin(0).is_some());
        let bytes_max = usize::try_from(SENDS_BYTES_MAX).unwrap();
        pieces.clear();
        assert_eq!(background_sends.pieces(), 0);
        assert!(background_sends.begin(bytes_max + 1).is_none());
        let whole = background_sends.begin(bytes_max);
        assert!(whole.is_some() && background_sends.begin(1).is_none());
    }
}

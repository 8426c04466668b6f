//! Rounds before it is time: who wants them, and for what.

use std::sync::{Mutex, MutexGuard};

use tokio::sync::Notify;

use forebay_core::fleet::awaited_blocks::AwaitedBlock;
use forebay_core::vocabulary::chain::BlockNumber;

/// What wants a round.
#[derive(Debug, Default)]
pub struct EarlyRounds {
    bell: Notify,
    awaited: Mutex<AwaitedBlock>,
}

impl EarlyRounds {
    pub fn hurry(&self) {
        self.bell.notify_one();
    }

    /// Returns when a round is wanted.
    pub async fn is_wanted(&self) {
        self.bell.notified().await;
    }

    /// A round begins.
    pub fn begin(&self) {
        self.awaited().begin();
    }

    /// A call asks for a block beyond the head `highest`: the round, counted from 1, after which it is
    /// there, or isn't for now.
    pub fn hurry_beyond(&self, highest: Option<BlockNumber>) -> u64 {
        let awaiting = self.awaited().ask(highest);
        if awaiting.hurries {
            self.hurry();
        }
        awaiting.round
    }

    fn awaited(&self) -> MutexGuard<'_, AwaitedBlock> {
        self.awaited
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

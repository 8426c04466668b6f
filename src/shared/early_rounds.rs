//! What is asked of nodes before it is time: whole rounds, and looks at their heads alone.

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use forebay_core::fleet::awaited_blocks::AwaitedBlocks;
use forebay_core::vocabulary::chain::BlockNumber;

/// What wants a round.
#[derive(Debug, Default)]
pub struct EarlyRounds {
    bell: Notify,
}

impl EarlyRounds {
    pub fn hurry(&self) {
        self.bell.notify_one();
    }

    /// Returns when a round is wanted.
    pub async fn is_wanted(&self) {
        self.bell.notified().await;
    }
}

/// Looks at the nodes' heads, for blocks that calls ask for. They judge no node, so they may come at any
/// time and in a row.
#[derive(Debug, Default)]
pub struct HeadLooks {
    bell: Notify,
    awaited: Mutex<AwaitedBlocks>,
    ended: watch::Sender<u64>,
}

impl HeadLooks {
    /// A call asks for block `number`, beyond the head `highest`: the look, counted from 1, after which it
    /// is there, or isn't for now.
    pub fn look_for(&self, number: BlockNumber, highest: Option<BlockNumber>) -> u64 {
        let asked = self.awaited.lock().ask(number, highest);
        if asked.begins {
            self.bell.notify_one();
        }
        asked.look
    }

    /// Returns when a look is wanted.
    pub async fn is_wanted(&self) {
        self.bell.notified().await;
    }

    /// A look begins; which one it is.
    pub fn begin(&self) -> u64 {
        self.awaited.lock().begin()
    }

    pub fn end(&self, look: u64) {
        self.ended.send_replace(look);
    }

    /// The look that ended last.
    pub fn ended(&self) -> watch::Receiver<u64> {
        self.ended.subscribe()
    }
}

//! A way that begins once more: for other blocks, or after all nodes said nothing.

use std::time::Duration;

use crate::call::retry::RetryPlanner;
use crate::vocabulary::block_ref::BlockRange;

impl RetryPlanner<'_> {
    /// The call speaks of other blocks now, as its tags do: what it waited for won't come.
    pub fn speak_of(&mut self, block: Option<BlockRange>, wait: Option<Duration>) {
        self.needs.block = block;
        self.budget.block_wait = wait;
        self.waits_until = None;
    }

    /// Whether one node alone could be asked.
    pub fn is_alone(&self) -> bool {
        self.tried.len() <= 1
    }

    /// All nodes may be asked once more.
    pub fn begin_anew(&mut self) {
        self.tried_before += self.tried.len();
        self.tried.clear();
        self.uncounted = 0;
        self.doubted = None;
        self.confirmers.clear();
        self.digger = None;
        self.asks_beyond = false;
        self.is_over = false;
    }
}

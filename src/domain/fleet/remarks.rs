//! What is said of the fleet between rounds, that changes no verdict by itself.

use std::time::{Duration, Instant};

use super::{BlockNumber, Fleet, NodeId, Yardstick};

impl Fleet {
    /// Judges by another yardstick from the next round on.
    pub fn change_yardstick(&mut self, yardstick: Yardstick) {
        self.yardstick = yardstick;
    }

    /// A node asked to be left alone.
    pub fn throttle(&mut self, id: NodeId, rest: Option<Duration>, now: Instant) {
        if let Some(entry) = self.entry_mut(id) {
            entry.rest(rest, now);
        }
    }

    /// A call met the state of block `missing` missing on the node.
    pub fn learn_depth(&mut self, id: NodeId, missing: BlockNumber, now: Instant) {
        if let Some(entry) = self.entry_mut(id) {
            entry.learn_depth(missing, now);
        }
    }
}

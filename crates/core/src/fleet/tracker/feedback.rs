//! What calls teach of a node.

use std::time::{Duration, Instant};

use super::Fleet;
use crate::fleet::depth::Gap;
use crate::rpc::classify::Rejection;
use crate::vocabulary::node::NodeId;

impl Fleet {
    /// A node asked to be left alone.
    pub fn throttle(&mut self, id: NodeId, rest: Option<Duration>, now: Instant) {
        if let Some(entry) = self.entry_mut(id) {
            entry.rest(rest, now);
        }
    }

    /// The node rests because it lets nobody in.
    pub fn shut(&mut self, id: NodeId, why: Rejection) {
        if let Some(entry) = self.entry_mut(id) {
            entry.shut(why);
        }
    }

    /// A call met something missing on the node.
    pub fn learn_depth(&mut self, id: NodeId, gap: Gap, now: Instant) {
        if let Some(entry) = self.entry_mut(id) {
            entry.learn_depth(gap, now);
        }
    }

    /// Node `id` took no connection, or its socket broke: what it held in memory may be gone.
    pub fn doubt_depth(&mut self, id: NodeId, now: Instant) {
        if let Some(entry) = self.entry_mut(id) {
            entry.doubt_depth(now);
        }
    }
}

//! What calls teach of a node.

use std::time::{Duration, Instant};

use super::Fleet;
use crate::fleet::depth::Gap;
use crate::fleet::report::FleetChange;
use crate::rpc::classify::Rejection;
use crate::vocabulary::node::NodeId;

impl Fleet {
    /// A node has failed calls time after time. Its bench never takes the last node away that serves,
    /// of whatever role.
    pub fn bench(&mut self, id: NodeId, now: Instant) -> Vec<FleetChange> {
        let is_needed = !self
            .entries
            .iter()
            .any(|e| e.member.id != id && self.serves(e, e.member.role));
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.member.id == id) else {
            return Vec::new();
        };
        if is_needed {
            return Vec::new();
        }
        let transition = entry.standing.bench(now);
        let name = entry.member.name.clone();
        let mut changes: Vec<_> = transition
            .map(|transition| FleetChange::Node {
                name,
                transition,
                probe_failure: None,
            })
            .into_iter()
            .collect();
        changes.extend(self.settle(now));
        changes
    }

    /// A node asked to be left alone.
    pub fn throttle(&mut self, id: NodeId, rest: Option<Duration>, now: Instant) {
        if let Some(entry) = self.entry_mut(id) {
            entry.rest(rest, now);
        }
    }

    /// The node rests because it refuses our credentials.
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

//! What nodes tell unasked, between two rounds.

use std::time::Instant;

use super::{Change, Details, Fleet, Probe};
use crate::domain::chain::{BlockNumber, Lag};
use crate::domain::node::NodeId;

impl Fleet {
    /// Node `id` told its head between two rounds. A living node's head only rises by that: what
    /// falls, and who is fit, is for the next round to say.
    pub fn hear_head(
        &mut self,
        id: NodeId,
        head: BlockNumber,
        details: &Details,
        now: Instant,
    ) -> Vec<Change> {
        let Some(entry) = self
            .entry_mut(id)
            .filter(|entry| entry.lives && entry.head < Some(head))
        else {
            return Vec::new();
        };
        let probe = Probe::Answered {
            head,
            chain_id: None,
            syncing: false,
        };
        entry.take_down(probe, now);
        entry.hear_head(head, details);
        let changes = self.compare(&[(id, probe)], now).into_iter();
        changes.chain(self.settle(now)).collect()
    }

    /// Whether a node that gets calls is further behind than a fit one may be: a round is due.
    pub fn is_round_due(&self) -> bool {
        let Some(reference) = self.reference else {
            return false;
        };
        let lag_max = Lag(self.yardstick.lag_blocks_max);
        self.entries.iter().any(|entry| {
            let is_behind = entry
                .head
                .is_some_and(|head| head.lag_behind(reference.number) > lag_max);
            is_behind && self.serves(entry, entry.member.rung)
        })
    }
}

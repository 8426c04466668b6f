//! How the chain and the nodes move: the served head, the block time, which nodes stand still, and which are on
//! another branch than clients were told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Fleet;
use crate::fleet::branch::PublishedChain;
use crate::fleet::node_state::NodeState;
use crate::fleet::quorum_head::TagSchedule;
use crate::fleet::reference::{LEAP_BLOCKS, reach};
use crate::fleet::report::{FleetChange, ProbeOutcome};
use crate::fleet::served_head::{HeadMovement, HeadReports};
use crate::vocabulary::chain::{BlockNumber, Lag};
use crate::vocabulary::node::{NodeId, Role};

impl Fleet {
    /// An answer showed that node `id` has block `head`.
    pub fn see(&mut self, id: NodeId, head: BlockNumber, now: Instant) {
        if let Some(entry) = self.entry_mut(id) {
            entry.has(head, now);
            self.settle_head(now);
        }
    }

    pub(super) fn settle_head(&mut self, now: Instant) {
        let told = HeadReports {
            witnesses: &self.witnesses(now),
            nodes: self.entries.len(),
            reference: self.reference.map(|reference| reference.number),
            lag_max: Lag(self.criteria.lag_blocks_max),
            block_time: self.block_time.current(),
        };
        let course = self.served.hear(&told, now);
        if course != HeadMovement::Onward {
            self.falls += 1;
            self.reorgs += 1;
            self.entries.iter_mut().for_each(NodeState::forget_past);
            if let Some(head) = self.served.head() {
                let told = Arc::make_mut(&mut self.told);
                told.cut(head);
                if Some(head) < self.finalized.head() {
                    told.begin_anew();
                }
            }
        }
        if course == HeadMovement::Anew {
            Arc::make_mut(&mut self.told).begin_anew();
            self.tag_looks = TagSchedule::default();
        }
        self.settle_floor_after(course, now);
        self.await_next(now);
        self.settle_tags(course == HeadMovement::Anew);
    }

    /// The head that is shown may be another one: the next block is due by it.
    pub(super) fn await_next(&mut self, now: Instant) {
        if let Some(head) = self.served.head() {
            self.schedule.hear(head, now);
        }
    }

    /// Clients were told this chain.
    pub fn hear_told(&mut self, told: PublishedChain) {
        let told = told.after(&self.told, self.finalized.head());
        self.told = Arc::new(told);
        for entry in &mut self.entries {
            entry.compare_branch(&self.told);
        }
    }

    /// Looks which nodes are on a fork or on another chain.
    pub(super) fn find_elsewhere(&mut self) {
        for at in 0..self.entries.len() {
            let is_elsewhere = !self.is_ours(&self.entries[at]);
            self.entries[at].find(is_elsewhere);
        }
    }

    /// An answer showed that node `id` has another block at a height than clients were told.
    pub fn see_astray(&mut self, id: NodeId) {
        if let Some(entry) = self.entry_mut(id) {
            entry.see_astray();
        }
    }

    /// Whether nodes have fallen and it isn't known yet what that means: another look is due soon.
    pub fn is_falling(&self) -> bool {
        self.served.is_falling()
    }

    /// Hears of the served head, where own nodes carry it: the leader's block time is not taken for theirs.
    pub(super) fn hear_block_time(&mut self, now: Instant) -> Option<FleetChange> {
        let own_serves = self.entries.iter().any(|e| self.serves(e, Role::Own));
        let agreed = self.served.head().filter(|_| own_serves)?;
        let did_differ = self.block_time.differs();
        self.block_time.hear(agreed, now);
        let differs = self.block_time.differs();
        (differs != did_differ).then(|| FleetChange::BlockTime {
            block_time: self.block_time.current(),
            setting: self.block_time.setting(),
            differs,
        })
    }

    /// Looks, with each that was asked and answered, whether it stands still while another goes on.
    pub(super) fn look_for_stuck(&mut self, probes: &[(NodeId, ProbeOutcome)], now: Instant) {
        let (block_time, round_interval) =
            (self.block_time.current(), self.criteria.round_interval);
        let was_seen = |entry: &NodeState| {
            probes.iter().any(|(id, probe)| {
                *id == entry.member.id && matches!(probe, ProbeOutcome::Answered { .. })
            })
        };
        let seen: Vec<_> = (self.entries.iter().enumerate())
            .filter(|(_, entry)| was_seen(entry))
            .map(|(at, entry)| (at, self.is_left_behind(entry, block_time, now)))
            .collect();
        for (at, others_go_on) in seen {
            let entry = &mut self.entries[at];
            entry.standstill.looked_at(others_go_on, now);
            let patience = entry.standstill.patience(block_time, round_interval);
            entry.is_stuck = entry.standstill.is_stuck(patience, now);
        }
    }

    /// Whether another node is ahead of `entry`, has moved since it did and not long ago, and no
    /// further than the time allows: one that lies about its head proves nothing.
    fn is_left_behind(&self, entry: &NodeState, block_time: Duration, now: Instant) -> bool {
        let (Some(head), Some(moved_at)) = (entry.head, entry.standstill.moved_at()) else {
            return false;
        };
        let reached = reach(head, moved_at, block_time, now);
        self.entries.iter().any(|other| {
            let patience = other
                .standstill
                .patience(block_time, self.criteria.round_interval);
            let goes_on = other
                .standstill
                .moved_at()
                .is_some_and(|at| at > moved_at && now.saturating_duration_since(at) < patience);
            let is_ahead = other
                .head
                .is_some_and(|ahead| ahead > head && ahead <= reached);
            goes_on && is_ahead && other.lives && self.is_ours(other)
        })
    }

    /// The blocks that may come while a call waits for one: those of the wait, and those that were
    /// there already when the nodes were last looked at.
    pub(super) fn expected(&self, highest: BlockNumber, wait: Duration) -> BlockNumber {
        let time = (wait + self.criteria.round_interval).as_secs_f64();
        let blocks = (time / self.block_time.current().as_secs_f64()).ceil() as u64 + 1;
        BlockNumber(highest.0.saturating_add(blocks))
    }

    /// The highest block that an answer may tell of and be believed: what may have come since the
    /// nodes were last looked at. A node that is alone is believed whatever it says.
    pub(super) fn believable(&self) -> Option<BlockNumber> {
        let served = self.served.head()?;
        if self.entries.len() == 1 {
            return Some(BlockNumber(u64::MAX));
        }
        let time = 2.0 * self.criteria.round_interval.as_secs_f64();
        let blocks = (time / self.block_time.quickest().as_secs_f64()).ceil() as u64;
        Some(BlockNumber(served.0.saturating_add(LEAP_BLOCKS + blocks)))
    }
}

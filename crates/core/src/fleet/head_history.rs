//! Where a node was before: its highest head, and what its last blocks were called.

use std::collections::VecDeque;

use crate::vocabulary::chain::{BlockHash, BlockNumber};

/// Blocks that a node's hashes are remembered of: the heads of the last rounds, and their parents.
const TRAIL_MAX: usize = 32;

/// Where the node was before.
#[derive(Clone, Debug, Default)]
pub(super) struct HeadHistory {
    /// The highest head that it has told on this chain.
    pub peak: Option<BlockNumber>,
    /// It has since told another hash of a block than before.
    pub is_rewritten: bool,
    trail: VecDeque<(BlockNumber, BlockHash)>,
    /// What stood there when the round began that is heard next, or since, and doesn't any more.
    left: Vec<(BlockNumber, BlockHash)>,
}

impl HeadHistory {
    pub(super) fn hear(&mut self, head: BlockNumber) {
        if Some(head) >= self.peak {
            self.peak = Some(head);
            self.is_rewritten = false;
        }
    }

    pub(super) fn has_had(&self, head: BlockNumber, hash: Option<BlockHash>) -> bool {
        let had = self.trail.iter().find(|(number, _)| *number == head);
        had.is_some_and(|(_, had)| Some(*had) == hash)
    }

    /// Whether it has told another hash of that block.
    pub(super) fn denies(&self, number: BlockNumber, hash: BlockHash) -> bool {
        let mut trail = self.trail.iter();
        trail.any(|(known, old)| *known == number && *old != hash)
    }

    /// A round begins.
    pub(super) fn begin_round(&mut self) {
        self.left.clear();
    }

    /// Whether it had that block since the round began, and has told of another in its place: what it answers to
    /// the round may be from before that.
    pub(super) fn has_left(&self, number: BlockNumber, hash: BlockHash) -> bool {
        self.left.contains(&(number, hash))
    }

    /// Whether it had another block there before.
    pub(super) fn hear_hash(&mut self, head: BlockNumber, hash: BlockHash) -> bool {
        let known = self.trail.iter().position(|(number, _)| *number == head);
        let mut is_another = false;
        if let Some((_, old)) = known.and_then(|at| self.trail.remove(at)) {
            is_another = old != hash;
            self.is_rewritten |= is_another;
            if is_another && self.left.len() < TRAIL_MAX {
                self.left.push((head, old));
            }
        } else if self.trail.len() == TRAIL_MAX {
            self.trail.pop_front();
        }
        self.trail.push_back((head, hash));
        is_another
    }

    /// Its chain begins at `head`, or has fallen to it.
    pub(super) fn begin_anew(&mut self, head: Option<BlockNumber>) {
        self.peak = head;
        self.is_rewritten = false;
    }
}

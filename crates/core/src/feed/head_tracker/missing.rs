//! Blocks that are needed and weren't told of: which, the nodes that are asked for them, and what came of it.

use std::sync::Arc;
use std::time::Instant;

use crate::feed::head_tracker::{EarliestDeadline, HeadStep, HeadTracker};
use crate::vocabulary::chain::{BlockHash, BlockNumber};
use crate::vocabulary::header::Header;
use crate::vocabulary::node::NodeId;

/// Blocks before the first one told that are looked up, so that a reorg at the start is one.
const ROOTS: usize = 16;
/// Nodes that don't have them aren't asked for ever.
pub(super) const ROOTS_MISSED_MAX: u32 = 8;

/// A block that is needed.
pub(super) struct MissingBlock {
    pub hash: BlockHash,
    /// The number of the block that names it as its parent.
    pub child: BlockNumber,
}

impl HeadTracker {
    /// What came of a fetch: the block, or no node has it now.
    pub fn bring(&mut self, hash: BlockHash, header: Option<Arc<Header>>, now: Instant) {
        self.fetching = self.fetching.filter(|fetching| *fetching != hash);
        let is_for_root = self.told.front().is_some_and(|first| first.parent == hash);
        match header.filter(|header| header.hash == hash) {
            Some(header) if self.is_root(&header) => {
                self.told.push_front(header);
                return;
            }
            Some(header) => self.known.insert(header, now),
            None => {}
        }
        self.roots_missed += u32::from(is_for_root);
    }

    /// Whether it is the block before the first that is remembered, and wanted as such.
    fn is_root(&self, header: &Header) -> bool {
        let is_before =
            |first: &Arc<Header>| first.parent == header.hash && header.number < first.number;
        self.told.len() < ROOTS && self.told.front().is_some_and(is_before)
    }

    /// The block before the first one told, while it is wanted.
    pub(super) fn root(&self) -> Option<MissingBlock> {
        let first = self.told.front()?;
        let is_wanted = self.told.len() < ROOTS
            && self.roots_missed < ROOTS_MISSED_MAX
            && first.number.0 > 0
            && self.heads().next().is_some();
        is_wanted.then_some(MissingBlock {
            hash: first.parent,
            child: first.number,
        })
    }

    /// Asks for the first of these blocks that may be asked for now.
    pub(super) fn ask(
        &mut self,
        missing: Vec<(MissingBlock, Arc<Header>)>,
        until: &mut EarliestDeadline,
        now: Instant,
    ) -> Option<HeadStep> {
        for (block, candidate) in missing {
            match self.questions.wait(block.hash, now) {
                Some(time) => until.also(time),
                None => return Some(self.fetch(&block, candidate.hash, now)),
            }
        }
        None
    }

    /// Asks for the block: first the nodes that have the head for which it is missing, then the others.
    pub(super) fn fetch(
        &mut self,
        block: &MissingBlock,
        head: BlockHash,
        now: Instant,
    ) -> HeadStep {
        let MissingBlock { hash, child } = *block;
        self.questions.ask(hash, now);
        self.fetching = Some(hash);
        let has = |(_, said): &(NodeId, &Arc<Header>)| said.hash == head;
        let (first, then): (Vec<_>, Vec<_>) = self.heads().partition(has);
        let from = first.into_iter().chain(then).map(|(id, _)| id).collect();
        HeadStep::Fetch { hash, child, from }
    }
}

//! Blocks that were told of lately, by hash: the ways from heads down to the told chain.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use super::FILL_MAX;
use crate::vocabulary::chain::BlockHash;
use crate::vocabulary::header::Header;

/// Of more than this many the one that was told of first is forgotten.
const BLOCKS_MAX: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct HeaderCache {
    /// And when each was told of first.
    headers: HashMap<BlockHash, (Arc<Header>, Instant)>,
    /// Oldest first.
    order: VecDeque<BlockHash>,
}

impl HeaderCache {
    pub(super) fn insert(&mut self, header: Arc<Header>, now: Instant) {
        let hash = header.hash;
        let first = self.heard_at(hash);
        self.headers.insert(hash, (header, first.unwrap_or(now)));
        if first.is_some() {
            return;
        }
        self.order.push_back(hash);
        if self.order.len() > BLOCKS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.headers.remove(&oldest);
        }
    }

    pub(super) fn get(&self, hash: BlockHash) -> Option<&Arc<Header>> {
        self.headers.get(&hash).map(|(header, _)| header)
    }

    /// When the block was told of first.
    pub(super) fn heard_at(&self, hash: BlockHash) -> Option<Instant> {
        self.headers.get(&hash).map(|(_, heard_at)| *heard_at)
    }

    /// The parent of `header`, if it can be that: numbers may skip, but grow.
    pub(super) fn parent(&self, header: &Header) -> Option<&Arc<Header>> {
        let parent = self.get(header.parent);
        parent.filter(|parent| parent.number < header.number)
    }

    /// Whether `ancestor` is `head` or, as far as is known, before it.
    pub(super) fn descends(&self, head: &Header, ancestor: &Header) -> bool {
        let mut at = head;
        for _ in 0..=FILL_MAX {
            if at.hash == ancestor.hash {
                return true;
            }
            if at.number <= ancestor.number {
                return false;
            }
            // The last step needs no header of its own.
            if at.parent == ancestor.hash {
                return true;
            }
            match self.parent(at) {
                Some(parent) => at = parent,
                None => return false,
            }
        }
        false
    }
}

//! Blocks that aren't told yet, by hash: the ways from heads down to the told chain.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::FILL_MAX;
use crate::domain::chain::{BlockHash, BlockNumber};
use crate::domain::header::Header;

/// It grows by what nodes tell and is cut back with each turn; and never over this many.
const BLOCKS_MAX: usize = 4096;

#[derive(Debug, Default)]
pub struct Known(HashMap<BlockHash, Arc<Header>>);

impl Known {
    pub fn insert(&mut self, header: Arc<Header>) {
        if self.0.len() >= BLOCKS_MAX {
            self.0.clear();
        }
        self.0.insert(header.hash, header);
    }

    pub fn get(&self, hash: BlockHash) -> Option<&Arc<Header>> {
        self.0.get(&hash)
    }

    /// Whether `ancestor` is `head` or, as far as is known, before it.
    pub fn descends(&self, head: &Header, ancestor: &Header) -> bool {
        let Some(distance) = head.number.0.checked_sub(ancestor.number.0) else {
            return false;
        };
        if distance > FILL_MAX {
            return false;
        }
        let (mut hash, mut parent) = (head.hash, head.parent);
        for _ in 0..distance {
            hash = parent;
            match self.0.get(&hash) {
                Some(header) => parent = header.parent,
                // The last step needs no header of its own.
                None => return hash == ancestor.hash,
            }
        }
        hash == ancestor.hash
    }

    /// Keeps what stands between these heads and block `floor`.
    pub fn retain_ways<'a>(
        &mut self,
        heads: impl Iterator<Item = &'a Arc<Header>>,
        floor: BlockNumber,
    ) {
        let mut kept = HashSet::new();
        for head in heads {
            let mut at = Some(head);
            while let Some(header) = at.filter(|header| header.number >= floor) {
                if !kept.insert(header.hash) {
                    break;
                }
                at = self.0.get(&header.parent);
            }
        }
        self.0.retain(|hash, _| kept.contains(hash));
    }
}

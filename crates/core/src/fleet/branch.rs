//! The chain as clients were told it: what its latest blocks are called.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::vocabulary::chain::{BlockHash, BlockNumber};
use crate::vocabulary::header::Header;

/// Blocks that are remembered, beside the one before them.
pub const BLOCKS_MAX: usize = 128;

/// The told blocks, oldest first. Numbers rise, and may skip.
#[derive(Clone, Debug, Default)]
pub struct PublishedChain(VecDeque<(BlockNumber, BlockHash)>);

/// Where a node stands to the told chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Branch {
    /// Its head was told, so many blocks before the last one.
    Told { below: u64 },
    /// Its head is none of the told blocks, where one of its number was told.
    Other,
    /// Nothing is known of it.
    Unknown,
}

impl PublishedChain {
    /// These blocks, oldest first, and the one before them.
    pub fn of<'a>(headers: impl ExactSizeIterator<Item = &'a Arc<Header>>) -> PublishedChain {
        let over = headers.len().saturating_sub(BLOCKS_MAX);
        let mut headers = headers.skip(over).peekable();
        let parent = headers.peek().and_then(|first| {
            let number = first.number.0.checked_sub(1)?;
            Some((BlockNumber(number), first.parent))
        });
        let told = headers.map(|header| (header.number, header.hash));
        PublishedChain(parent.into_iter().chain(told).collect())
    }

    /// The chain was taken back to block `head`.
    pub fn cut(&mut self, head: BlockNumber) {
        while self.0.back().is_some_and(|(last, _)| *last > head) {
            self.0.pop_back();
        }
    }

    /// The block told last.
    pub fn last(&self) -> Option<BlockNumber> {
        self.0.back().map(|(number, _)| *number)
    }

    pub fn hash_at(&self, number: BlockNumber) -> Option<BlockHash> {
        let at = self.0.binary_search_by_key(&number, |(number, _)| *number);
        at.ok().and_then(|at| self.0.get(at)).map(|(_, hash)| *hash)
    }

    /// The number of the told block that is called `hash`.
    pub fn number_of(&self, hash: BlockHash) -> Option<BlockNumber> {
        let mut latest = self.0.iter().rev();
        latest
            .find(|told| told.1 == hash)
            .map(|(number, _)| *number)
    }

    /// Where a node stands whose head is block `number`, called `hash`, after `parent`.
    pub fn branch(
        &self,
        number: BlockNumber,
        hash: BlockHash,
        parent: Option<BlockHash>,
    ) -> Branch {
        let Some((last, told)) = self.0.back() else {
            return Branch::Unknown;
        };
        if let Some(same) = self.hash_at(number) {
            let below = last.0.saturating_sub(number.0);
            return if same == hash {
                Branch::Told { below }
            } else {
                Branch::Other
            };
        }
        let follows = last.0.checked_add(1) == Some(number.0);
        match parent {
            Some(parent) if follows && parent != *told => Branch::Other,
            Some(_) | None => Branch::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(number: u64, letter: u8) -> (BlockNumber, BlockHash) {
        let mut hash = [letter; 32];
        hash[0] = number as u8;
        (BlockNumber(number), BlockHash(hash))
    }

    fn chain_of(numbers: std::ops::Range<u64>) -> PublishedChain {
        let header = |number| {
            let ((number, hash), (_, parent)) = (block(number, b'a'), block(number - 1, b'a'));
            Arc::new(Header {
                hash,
                parent,
                number,
                timestamp: None,
                bloom: None,
                json: bytes::Bytes::new(),
            })
        };
        let headers: Vec<_> = numbers.map(header).collect();
        PublishedChain::of(headers.iter())
    }

    fn chain() -> PublishedChain {
        chain_of(101..103)
    }

    #[test]
    fn blocks_are_found_by_number_and_what_was_taken_back_is_not() {
        let mut chain = chain();
        let found = |chain: &PublishedChain| {
            let numbers = (99..104).filter(|n| chain.hash_at(BlockNumber(*n)).is_some());
            numbers.collect::<Vec<_>>()
        };
        assert_eq!(
            found(&chain),
            [100, 101, 102],
            "and the parent of the first"
        );
        assert_eq!(chain.last(), Some(BlockNumber(102)));
        let number_of = |chain: &PublishedChain, number| chain.number_of(block(number, b'a').1);
        assert_eq!(number_of(&chain, 102), Some(BlockNumber(102)));
        assert_eq!(number_of(&chain, 103), None);
        chain.cut(BlockNumber(101));
        assert_eq!(chain.last(), Some(BlockNumber(101)));
        assert_eq!(found(&chain), [100, 101]);
        assert_eq!(number_of(&chain, 102), None);
    }

    #[test]
    fn so_many_blocks_are_remembered_and_no_more() {
        let blocks = BLOCKS_MAX as u64;
        for (end, oldest) in [(blocks + 2, 1), (blocks + 3, 2)] {
            let chain = chain_of(2..end);
            let first = (0..end).find(|n| chain.hash_at(BlockNumber(*n)).is_some());
            assert_eq!(first, Some(oldest));
        }
    }

    #[test]
    fn a_node_is_on_the_told_branch_on_another_or_nothing_is_known() {
        let chain = chain();
        let parent = |letter| Some(block(102, letter).1);
        for ((number, letter), parent, wanted) in [
            ((102, b'a'), None, Branch::Told { below: 0 }),
            ((100, b'a'), None, Branch::Told { below: 2 }),
            ((102, b'b'), None, Branch::Other),
            ((103, b'a'), parent(b'a'), Branch::Unknown),
            ((103, b'b'), parent(b'b'), Branch::Other),
            ((103, b'b'), None, Branch::Unknown),
            ((104, b'b'), parent(b'b'), Branch::Unknown),
            ((99, b'b'), None, Branch::Unknown),
        ] {
            let (number, hash) = block(number, letter);
            let branch = chain.branch(number, hash, parent);
            assert_eq!(branch, wanted, "{number} {letter}");
        }
        let (number, hash) = block(100, b'a');
        let nothing = PublishedChain::default();
        assert_eq!(nothing.branch(number, hash, None), Branch::Unknown);
    }
}

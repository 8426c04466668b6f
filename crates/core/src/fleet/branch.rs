//! The chain as clients were told it: what its latest blocks are called.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::vocabulary::chain::{BlockHash, BlockNumber};
use crate::vocabulary::header::Header;

/// Blocks that are told of at once, beside the one before them; the latest so many are found by hash.
pub const BLOCKS_MAX: usize = 128;
/// Blocks whose hashes are remembered at most: as many may be told and not yet final.
pub const HASHES_MAX: usize = 65_536;
/// Of blocks that are final so many are remembered all the same: what was kept under their hashes is
/// found for a while.
const FINAL_HASHES: u64 = 1024;
/// Of a chain of which no node says what is final, so many are remembered.
const UNFINAL_HASHES_MAX: usize = 4096;

/// The told blocks, oldest first. Numbers rise, and may skip.
#[derive(Clone, Debug, Default)]
pub struct PublishedChain {
    blocks: VecDeque<(BlockNumber, BlockHash)>,
    /// How often it has begun anew, or was found to be other than what was final: nothing that was
    /// known of it by number holds in the next era.
    pub era: u64,
}

/// Where a node stands to the told chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Branch {
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
        PublishedChain {
            blocks: parent.into_iter().chain(told).collect(),
            era: 0,
        }
    }

    /// The same blocks with those that `before` remembers of the same chain before them: what isn't
    /// final as of `finalized`, and some more.
    #[must_use]
    pub fn after(
        mut self,
        before: &PublishedChain,
        finalized: Option<BlockNumber>,
    ) -> PublishedChain {
        self.era = before.era;
        let Some(&(first, hash)) = self.blocks.front() else {
            self.era += u64::from(!before.blocks.is_empty());
            return self;
        };
        // It may begin earlier by now.
        let has = |(number, hash): &(BlockNumber, BlockHash)| self.tells(*number, hash);
        let is_linked = before.tells(first, &hash) || before.blocks.front().is_some_and(has);
        let has_left = |&(number, hash): &(BlockNumber, BlockHash)| {
            self.hash_at(number).is_some_and(|told| told != hash)
        };
        let is_undone = before
            .blocks
            .iter()
            .rev()
            .take_while(|(number, _)| *number >= first)
            .filter(|block| has_left(block))
            .any(|(number, _)| Some(*number) <= finalized);
        if is_undone || (!is_linked && !before.blocks.is_empty()) {
            self.era += 1;
        }
        if is_linked {
            let floor = finalized.map_or(0, |finalized| finalized.0.saturating_sub(FINAL_HASHES));
            let most = finalized.map_or(UNFINAL_HASHES_MAX, |_| HASHES_MAX);
            let room = most.saturating_sub(self.blocks.len());
            self.blocks.reserve(room.min(before.blocks.len()));
            let older = before.blocks.iter().rev();
            let older = older.skip_while(|(number, _)| *number >= first);
            for block in older.take(room).take_while(|(number, _)| number.0 >= floor) {
                self.blocks.push_front(*block);
            }
        }
        self
    }

    /// Another chain begins: see [`PublishedChain::era`].
    pub fn begin_anew(&mut self) {
        self.blocks.clear();
        self.era += 1;
    }

    /// The chain was taken back to block `head`.
    pub fn cut(&mut self, head: BlockNumber) {
        while self.blocks.back().is_some_and(|(last, _)| *last > head) {
            self.blocks.pop_back();
        }
    }

    /// The block told last.
    pub fn last(&self) -> Option<BlockNumber> {
        self.blocks.back().map(|(number, _)| *number)
    }

    /// The hash of the told block of this number; `None`: there is none, or none that is remembered.
    #[inline]
    pub fn hash_at(&self, number: BlockNumber) -> Option<BlockHash> {
        self.block_at(number).map(|(_, hash)| *hash)
    }

    /// Whether the told block of this number is remembered, and called `hash`.
    #[inline]
    pub fn tells(&self, number: BlockNumber, hash: &BlockHash) -> bool {
        (self.block_at(number)).is_some_and(|(_, told)| told == hash)
    }

    #[inline]
    fn block_at(&self, number: BlockNumber) -> Option<&(BlockNumber, BlockHash)> {
        // Most ask for the last one.
        let last = self.blocks.back()?;
        if last.0 == number {
            return Some(last);
        }
        let (first, _) = self.blocks.front()?;
        let after = usize::try_from(number.0.checked_sub(first.0)?).ok()?;
        // As a rule no number is skipped.
        let usual = self.blocks.get(after).filter(|told| told.0 == number);
        usual.or_else(|| {
            let by_number = |told: &(BlockNumber, BlockHash)| told.0;
            let at = self.blocks.binary_search_by_key(&number, by_number);
            self.blocks.get(at.ok()?)
        })
    }

    /// The number of the told block that is called `hash`.
    pub fn number_of(&self, hash: BlockHash) -> Option<BlockNumber> {
        let mut latest = self.blocks.iter().rev().take(BLOCKS_MAX + 1);
        latest
            .find(|told| told.1 == hash)
            .map(|(number, _)| *number)
    }

    /// Whether a node whose head is the block of this number, hash and parent's hash is known to have all blocks of
    /// this chain up to that number.
    pub(crate) fn leads_to(
        &self,
        (head, hash, parent): (BlockNumber, BlockHash, Option<BlockHash>),
    ) -> bool {
        let is_next = || {
            (self.blocks.back().zip(parent)).is_some_and(|((last, told), parent)| {
                last.0.checked_add(1) == Some(head.0) && parent == *told
            })
        };
        self.tells(head, &hash) || is_next()
    }

    /// Where a node stands whose head is block `number`, called `hash`, after `parent`.
    pub(crate) fn branch(
        &self,
        number: BlockNumber,
        hash: BlockHash,
        parent: Option<BlockHash>,
    ) -> Branch {
        let Some((last, told)) = self.blocks.back() else {
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
    use crate::testing::{block_hash, header};

    fn block(number: u64, letter: u8) -> (BlockNumber, BlockHash) {
        (BlockNumber(number), block_hash(number, letter))
    }

    fn chain_of(numbers: std::ops::Range<u64>) -> PublishedChain {
        let told = |number| {
            let hash = |number| block_hash(number, b'a');
            Arc::new(header(number, hash(number), hash(number - 1)))
        };
        let headers: Vec<_> = numbers.map(told).collect();
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
    fn blocks_behind_a_gap_are_found_and_those_in_it_are_not() {
        let mut chain = chain();
        chain.blocks.extend([block(105, b'a'), block(106, b'a')]);
        for (number, is_told) in [
            (0, false),
            (99, false),
            (100, true),
            (102, true),
            (103, false),
            (104, false),
            (105, true),
            (106, true),
            (107, false),
            (u64::MAX, false),
        ] {
            let hash = is_told.then_some(block(number, b'a').1);
            assert_eq!(chain.hash_at(BlockNumber(number)), hash, "{number}");
        }
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
    fn hashes_are_remembered_until_they_are_final_and_so_many_at_most() {
        let number = BlockNumber;
        let told = |chain: &PublishedChain| {
            let first = chain.blocks.front().map(|(number, _)| number.0);
            (first, chain.last().map(|last| last.0), chain.era)
        };
        let chain = chain_of(101..103);
        let earlier = chain_of(100..104).after(&chain, None);
        assert_eq!(
            told(&earlier),
            (Some(99), Some(103), 0),
            "its root was found"
        );
        let on = chain_of(103..106).after(&earlier, None);
        assert_eq!(told(&on), (Some(99), Some(105), 0));
        let on = chain_of(104..2003).after(&on, Some(number(1500)));
        assert_eq!(
            told(&on),
            (Some(1874), Some(2002), 1),
            "they can't be linked"
        );
        let grown = |finalized| {
            let mut long = chain_of(1..101);
            for begin in (101..80_000).step_by(100) {
                long = chain_of(begin..begin + 100).after(&long, finalized);
            }
            long
        };
        let unfinal = grown(None);
        assert_eq!(unfinal.blocks.len(), UNFINAL_HASHES_MAX);
        let long = grown(Some(number(1)));
        let (first, last, era) = told(&long);
        assert_eq!((last, era), (Some(80_000), 0));
        assert_eq!(long.blocks.len(), HASHES_MAX);
        assert_eq!(first, Some(80_001 - HASHES_MAX as u64));
        let cut = chain_of(80_001..80_002).after(&long, Some(number(80_000)));
        assert_eq!(told(&cut).0, Some(80_000 - FINAL_HASHES));
    }

    #[test]
    fn another_era_begins_where_nothing_links_or_what_was_final_is_other() {
        let chain = chain_of(101..106);
        let mut reorganised = chain_of(101..104);
        reorganised.blocks.push_back(block(104, b'b'));
        for (finalized, era) in [(103, 0), (104, 1)] {
            let after = reorganised
                .clone()
                .after(&chain, Some(BlockNumber(finalized)));
            assert_eq!(after.era, era, "{finalized}");
        }
        assert_eq!(chain_of(200..202).after(&chain, None).era, 1);
        assert_eq!(chain_of(103..108).after(&chain, None).era, 0);
        let mut anew = chain.clone();
        anew.begin_anew();
        assert_eq!((anew.era, anew.last()), (1, None));
        assert_eq!(chain_of(1..3).after(&anew, None).era, 1);
    }

    #[test]
    fn a_node_is_known_to_have_what_is_before_a_told_head() {
        let chain = chain();
        let parent = |letter| Some(block(102, letter).1);
        for ((head, letter), parent, wanted) in [
            ((102, b'a'), None, true),
            ((101, b'a'), None, true),
            ((102, b'b'), None, false),
            ((103, b'a'), parent(b'a'), true),
            ((103, b'a'), parent(b'b'), false),
            ((103, b'a'), None, false),
            ((104, b'a'), parent(b'a'), false),
        ] {
            let (head, hash) = block(head, letter);
            assert_eq!(chain.leads_to((head, hash, parent)), wanted, "{head}");
        }
        let nothing = PublishedChain::default();
        assert!(!nothing.leads_to((BlockNumber(1), block(1, b'a').1, None)));
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

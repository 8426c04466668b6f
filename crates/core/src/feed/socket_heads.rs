//! What a node's socket tells of heads, and whether it can be taken at its word.
//!
//! On some chains a socket shows hashes that no block has: Cosmos' EVM hashes the header anew
//! (cosmos/evm#1214). There a head is only a hint that there is a block. So the first head that a
//! socket tells is compared with the block that the node has under this number: if they are the same,
//! the socket's word is good from then on; if not, that block is the head, and the next is compared,
//! too.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::vocabulary::chain::BlockNumber;
use crate::vocabulary::header::Header;

/// A node may tell of a block a moment before it can be asked for it: the pauses before it is asked
/// again, and again. The last one stands for all that follow.
const PAUSES: [Duration; 8] = [
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(300),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(16),
];
/// Heads that may be told while one is asked for, and are remembered.
const HEARD_MAX: usize = 256;

/// What becomes of a head that was told.
#[derive(Debug, PartialEq, Eq)]
pub enum HeadRating {
    /// It is the node's head.
    Good,
    /// The block under its number is asked for first.
    Hint,
}

/// What a block that was asked for by its number shows.
#[derive(Debug, PartialEq, Eq)]
pub enum BlockComparison {
    /// It is one that the socket told: its word is good, and all that it has said, each with the time as of which
    /// that is so. Oldest first.
    Same(Vec<(Arc<Header>, Instant)>),
    /// It is the node's head, by another name, as of when it was asked for.
    Other(Arc<Header>, Instant),
}

/// One socket's word.
#[derive(Debug, Default)]
pub struct SocketHeads {
    is_good: bool,
    /// Oldest first.
    heard: VecDeque<(Arc<Header>, Instant)>,
    hint: Option<HeadHint>,
}

#[derive(Debug)]
struct HeadHint {
    number: BlockNumber,
    /// How often the node was asked for it.
    asked: usize,
    ask_at: Instant,
}

impl SocketHeads {
    /// The socket told `header`. The last hint is the one that is looked into.
    pub fn hear(&mut self, header: &Arc<Header>, now: Instant) -> HeadRating {
        if self.is_good {
            return HeadRating::Good;
        }
        self.heard.push_back((header.clone(), now));
        if self.heard.len() > HEARD_MAX {
            self.heard.pop_front();
        }
        self.hint = Some(HeadHint {
            number: header.number,
            asked: 0,
            ask_at: now,
        });
        HeadRating::Hint
    }

    /// The number under which a block is to be asked for, and when.
    pub fn question(&self) -> Option<(BlockNumber, Instant)> {
        let hint = self.hint.as_ref()?;
        Some((hint.number, hint.ask_at))
    }

    /// What the node, asked for it at `asked_at`, has under `number`, or nothing. It is asked again, after pauses
    /// that grow, until it has the block or tells of another.
    pub fn answer(
        &mut self,
        number: BlockNumber,
        (block, asked_at): (Option<Arc<Header>>, Instant),
        now: Instant,
    ) -> Option<BlockComparison> {
        let asked = self.hint.take_if(|hint| hint.number == number);
        let Some(block) = block.filter(|block| block.number == number) else {
            self.hint = asked.map(|hint| hint.later(now)).or(self.hint.take());
            return None;
        };
        if !self.heard.iter().any(|(told, _)| told.hash == block.hash) {
            return Some(BlockComparison::Other(block, asked_at));
        }
        self.is_good = true;
        self.hint = None;
        let mut told: Vec<_> = self.heard.drain(..).collect();
        for (head, as_of) in &mut told {
            if head.hash == block.hash {
                *as_of = asked_at.max(*as_of);
            }
        }
        Some(BlockComparison::Same(told))
    }
}

impl HeadHint {
    fn later(self, now: Instant) -> HeadHint {
        let pause = PAUSES[self.asked.min(PAUSES.len() - 1)];
        HeadHint {
            asked: self.asked + 1,
            ask_at: now + pause,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::chain::BlockHash;

    fn block(number: u64, hash: u8) -> Arc<Header> {
        let (hash, parent) = (BlockHash([hash; 32]), BlockHash([0; 32]));
        Arc::new(crate::testing::header(number, hash, parent))
    }

    #[test]
    fn a_socket_whose_first_head_is_the_nodes_block_is_believed_from_then_on() {
        let now = crate::testing::now();
        let mut heads = SocketHeads::default();
        assert_eq!(heads.hear(&block(7, 1), now), HeadRating::Hint);
        assert_eq!(heads.question(), Some((BlockNumber(7), now)));
        let compared = heads.answer(BlockNumber(7), (Some(block(7, 1)), now), now);
        let same = BlockComparison::Same(vec![(block(7, 1), now)]);
        assert_eq!(compared, Some(same));
        assert_eq!(heads.hear(&block(8, 2), now), HeadRating::Good);
        assert_eq!(heads.question(), None);
    }

    #[test]
    fn a_socket_is_believed_also_where_heads_come_faster_than_answers() {
        let now = crate::testing::now();
        let mut heads = SocketHeads::default();
        let heard_at = |number| now + Duration::from_millis(number);
        let told: Vec<_> = (7..10)
            .map(|number| (block(number, number as u8), heard_at(number)))
            .collect();
        for (header, heard_at) in &told {
            heads.hear(header, *heard_at);
        }
        let (asked_at, now) = (heard_at(100), heard_at(200));
        let compared = heads.answer(BlockNumber(7), (Some(block(7, 7)), asked_at), now);
        let mut told = told;
        told[0].1 = asked_at;
        let same = BlockComparison::Same(told);
        let what = "none is lost, and the one that the node was asked for was its block then, too";
        assert_eq!(compared, Some(same), "{what}");
        assert_eq!(heads.hear(&block(10, 10), now), HeadRating::Good);
    }

    #[test]
    fn a_hash_that_no_block_has_is_a_hint_and_so_is_each_after_it() {
        let now = crate::testing::now();
        let mut heads = SocketHeads::default();
        for number in 7..10 {
            assert_eq!(heads.hear(&block(number, 200), now), HeadRating::Hint);
            let head = block(number, 1);
            let asked_at = now + Duration::from_millis(number);
            let found = (Some(head.clone()), asked_at);
            let compared = heads.answer(BlockNumber(number), found, now + Duration::from_secs(1));
            assert_eq!(compared, Some(BlockComparison::Other(head, asked_at)));
            assert_eq!(heads.question(), None, "once a block");
        }
    }

    #[test]
    fn a_block_that_the_node_has_not_yet_is_asked_for_again_after_pauses_that_grow() {
        let mut now = crate::testing::now();
        let mut heads = SocketHeads::default();
        heads.hear(&block(7, 200), now);
        for millis in [100, 200, 300, 1000, 2000, 4000, 8000, 16_000, 16_000] {
            // A block of another number is none.
            let other = (Some(block(6, 1)), now);
            assert_eq!(heads.answer(BlockNumber(7), other, now), None);
            now += Duration::from_millis(millis);
            assert_eq!(heads.question(), Some((BlockNumber(7), now)));
        }
        heads.hear(&block(8, 200), now);
        assert_eq!(heads.answer(BlockNumber(7), (None, now), now), None);
        let question = heads.question();
        assert_eq!(question, Some((BlockNumber(8), now)), "the next at once");
        let late = heads.answer(BlockNumber(7), (Some(block(7, 1)), now), now);
        assert_eq!(late, Some(BlockComparison::Other(block(7, 1), now)));
        assert_eq!(heads.question(), question);
    }
}

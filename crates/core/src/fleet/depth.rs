//! How far back a node goes: the oldest block whose data it still has.
//!
//! A node that keeps no old state (geth keeps that of 128 blocks) is as fit as any other for what
//! is recent. How the depth is found out is in `history`.

use crate::vocabulary::block_ref::{BlockData, LookupTarget};
use crate::vocabulary::chain::BlockNumber;
use crate::vocabulary::hex;

/// What a call met missing on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// What the call reads of the block.
    pub reads: BlockData,
    /// The block that it reads.
    pub block: BlockNumber,
    /// The node's words are of states that it keeps no more, and of nothing else.
    pub is_lost: bool,
}

/// The oldest block of each kind of data that a node has. `None`: not known, which is no reason
/// to keep a call from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Blocks with their transactions.
    pub blocks_from: Option<BlockNumber>,
    /// Balances, code, storage: what calls are executed on.
    pub state_from: Option<BlockNumber>,
    /// Proofs of state, where it proves less than it has.
    pub proofs_from: Option<BlockNumber>,
    /// Receipts. Where it isn't known, that of the blocks counts.
    pub receipts_from: Option<BlockNumber>,
    /// Logs, where they begin later than the receipts.
    pub logs_from: Option<BlockNumber>,
    /// Transactions by their hashes, and their receipts so. A block's are there all the same.
    pub transactions_from: Option<BlockNumber>,
}

impl Depth {
    /// The same of a node of which only the newest `blocks` count, when it is at `head`.
    pub fn newest(self, blocks: u64, head: BlockNumber) -> Depth {
        let oldest = Some(BlockNumber(head.0.saturating_add(1).saturating_sub(blocks)));
        Depth {
            blocks_from: self.blocks_from.max(oldest),
            state_from: self.state_from.max(oldest),
            proofs_from: self.proofs_from.max(oldest),
            receipts_from: self.receipts_from.max(oldest),
            logs_from: self.logs_from.max(oldest),
            transactions_from: self.transactions_from.max(oldest),
        }
    }

    /// Whether it has, of `block`, the data that `reads` names.
    pub(crate) fn has(self, reads: BlockData, block: BlockNumber) -> bool {
        let receipts_from = self.oldest(LookupTarget::Receipts);
        let oldest = match reads {
            BlockData::Head => None,
            BlockData::Block => self.blocks_from,
            BlockData::State => self.state_from,
            BlockData::Proof => self.proofs_from.max(self.state_from),
            BlockData::Receipts => receipts_from,
            BlockData::Logs => self.logs_from.max(receipts_from),
        };
        oldest.is_none_or(|oldest| oldest <= block)
    }

    /// From which block on it has what is in `holding`.
    pub fn oldest(self, holding: LookupTarget) -> Option<BlockNumber> {
        match holding {
            LookupTarget::Blocks => self.blocks_from,
            LookupTarget::Receipts => self.receipts_from.max(self.blocks_from),
            LookupTarget::Transactions => self.transactions_from,
        }
    }
}

/// The data whose depth is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryResource {
    /// The state after a block.
    State,
    /// Blocks with their transactions.
    Blocks,
    /// Proofs of the state after a block (`eth_getProof`).
    Proofs,
}

/// The block that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DepthPoint {
    /// The block of this number.
    Number(BlockNumber),
    /// Blocks behind the head as it is when the question is put.
    Behind(u64),
    /// What a node that was away may have left.
    Left(BlockNumber),
    /// A block at the edge of what was lost.
    Edge(BlockNumber),
}

impl DepthPoint {
    /// The block's number, for a node at `head`.
    pub fn at(self, head: BlockNumber) -> BlockNumber {
        match self {
            DepthPoint::Number(number) | DepthPoint::Left(number) | DepthPoint::Edge(number) => {
                number
            }
            DepthPoint::Behind(blocks) => BlockNumber(head.0.saturating_sub(blocks)),
        }
    }
}

/// Whether the node has `resource` at `place`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DepthQuestion {
    /// What is asked for.
    pub resource: HistoryResource,
    /// Of which block.
    pub place: DepthPoint,
}

/// What came of it. `has` is `None` where the node said neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DepthFinding {
    /// What the node was asked.
    pub question: DepthQuestion,
    /// Whether it has it; `None`: its answer says neither.
    pub has: Option<bool>,
}

/// Whether a node that lacks the state of block `asked` names another block in its `words`: then it is
/// that one which it lacks.
pub fn names_another(words: &str, BlockNumber(asked): BlockNumber) -> bool {
    let words = words.split(|letter: char| !letter.is_ascii_alphanumeric());
    let mut before = "";
    words.filter(|word| !word.is_empty()).any(|word| {
        let before = std::mem::replace(&mut before, word);
        let is_of_block = ["block", "height", "number", "version"]
            .iter()
            .any(|name| before.eq_ignore_ascii_case(name));
        let named = hex::quantity_in(word).or_else(|| word.parse().ok());
        is_of_block && named.is_some_and(|named: u64| named != asked)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_name_another_block_are_told_from_those_that_name_none() {
        let asked = BlockNumber(7);
        for (words, wanted) in [
            (
                "missing trie node a8e4 (path ) state 0xa8e4 is not available",
                false,
            ),
            ("historical state 1234 is not available", false),
            ("historical state of block 7 is not available", false),
            ("historical state at height: 0x7 is not available", false),
            ("historical state at height 6 is not available", true),
            ("block #0x8: missing trie node", true),
        ] {
            assert_eq!(names_another(words, asked), wanted, "{words}");
        }
    }

    #[test]
    fn of_the_newest_blocks_the_head_is_one_and_what_is_learnt_is_only_narrowed() {
        let head = BlockNumber(1000);
        let all = Depth::default().newest(128, head);
        let has = |depth: Depth, reads, number| depth.has(reads, BlockNumber(number));
        assert!(has(all, BlockData::State, 873) && !has(all, BlockData::State, 872));
        assert!(!has(all, BlockData::Block, 872) && !has(all, BlockData::Logs, 872));
        assert_eq!(all.transactions_from, Some(BlockNumber(873)));
        let pruned = Depth {
            state_from: Some(BlockNumber(990)),
            blocks_from: Some(BlockNumber(5)),
            ..Depth::default()
        };
        let narrowed = pruned.newest(128, head);
        assert_eq!(narrowed.state_from, Some(BlockNumber(990)));
        assert_eq!(narrowed.blocks_from, Some(BlockNumber(873)));
        let whole = pruned.newest(5000, head);
        assert_eq!(whole.blocks_from, Some(BlockNumber(5)));
        assert!(has(whole, BlockData::Proof, 990) && !has(whole, BlockData::Proof, 989));
        let last = Depth::default().newest(u64::MAX, BlockNumber(u64::MAX - 1));
        assert!(has(last, BlockData::Block, 0));
    }

    #[test]
    fn each_kind_of_data_begins_at_its_oldest_block() {
        let depth = Depth {
            blocks_from: Some(BlockNumber(10)),
            state_from: Some(BlockNumber(100)),
            proofs_from: Some(BlockNumber(150)),
            receipts_from: Some(BlockNumber(50)),
            logs_from: Some(BlockNumber(70)),
            transactions_from: Some(BlockNumber(80)),
        };
        for (holding, wanted) in [
            (LookupTarget::Blocks, 10),
            (LookupTarget::Receipts, 50),
            (LookupTarget::Transactions, 80),
        ] {
            assert_eq!(depth.oldest(holding), Some(BlockNumber(wanted)));
        }
        let begins = |depth: Depth, reads, oldest: u64| {
            let has = |number| depth.has(reads, BlockNumber(number));
            assert!(has(oldest) && !has(oldest - 1), "{reads:?}");
        };
        begins(depth, BlockData::Block, 10);
        begins(depth, BlockData::State, 100);
        begins(depth, BlockData::Proof, 150);
        begins(depth, BlockData::Receipts, 50);
        begins(depth, BlockData::Logs, 70);
        assert!(depth.has(BlockData::Head, BlockNumber(0)));
        let by_blocks = Depth {
            receipts_from: None,
            logs_from: None,
            proofs_from: None,
            ..depth
        };
        begins(by_blocks, BlockData::Logs, 10);
        begins(by_blocks, BlockData::Proof, 100);
        begins(by_blocks, BlockData::Receipts, 10);
        let unknown = Depth::default();
        for reads in [BlockData::Block, BlockData::State, BlockData::Receipts] {
            assert!(unknown.has(reads, BlockNumber(0)), "{reads:?}");
        }
    }
}

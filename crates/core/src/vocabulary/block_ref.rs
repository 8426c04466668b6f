//! Blocks that a call speaks of, and what of them a node must have.

use crate::vocabulary::chain::{BlockHash, BlockNumber};

/// What of a block a node must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockData {
    /// That its head is not below the block.
    Head,
    Block,
    State,
    /// A proof of its state: nodes prove that of fewer blocks than they keep it of (reth's proof window,
    /// BSC's, geth's `stateproofs`).
    Proof,
    Receipts,
    Logs,
}

/// A block that a call names by its hash, and what of it a node must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashedBlock {
    pub hash: BlockHash,
    pub reads: BlockData,
}

/// The blocks that a node needs to answer a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockRange {
    pub from: BlockNumber,
    /// Not below `from`.
    pub to: BlockNumber,
    pub reads: BlockData,
}

impl BlockRange {
    /// The same blocks, however far back the node goes.
    pub fn of_head(self) -> BlockRange {
        BlockRange {
            reads: BlockData::Head,
            ..self
        }
    }
}

/// What keeps the thing that a look-up finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LookupTarget {
    /// Blocks, headers, uncles and counts of them.
    #[default]
    Blocks,
    /// Receipts of a block, and logs.
    Receipts,
    /// The index of transactions by their hashes.
    Transactions,
}

//! Blocks that a call speaks of, and what of them a node must have.

use crate::vocabulary::chain::{BlockHash, BlockNumber};

/// What of a block a node must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockData {
    /// That its head is not below the block.
    Head,
    /// The block itself: its header and its transactions.
    Block,
    /// Balances, code and storage as they are after the block.
    State,
    /// A proof of its state: nodes prove that of fewer blocks than they keep it of (reth's proof window,
    /// BSC's, geth's `stateproofs`).
    Proof,
    /// The receipts of its transactions.
    Receipts,
    /// Its logs, as `eth_getLogs` finds them: some nodes index them apart from the receipts.
    Logs,
}

/// A block that a call names by its hash, and what of it a node must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashedBlock {
    /// The hash that the call names.
    pub hash: BlockHash,
    /// What of it the call reads.
    pub reads: BlockData,
}

/// The blocks that a node needs to answer a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockRange {
    /// The lowest of them.
    pub from: BlockNumber,
    /// Not below `from`.
    pub to: BlockNumber,
    /// What of each of them the call reads.
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

//! How far back a node goes: the oldest block whose data it still has.
//!
//! A node that keeps no old state (geth keeps that of 128 blocks) is as fit as any other for what
//! is recent. How the depth is found out is in `sounding`.

use super::chain::BlockNumber;

/// The oldest block of each kind of data that a node has. `None`: not known, which is no reason
/// to keep a call from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Blocks with their transactions.
    pub blocks_from: Option<BlockNumber>,
    /// Balances, code, storage: what calls are executed on.
    pub state_from: Option<BlockNumber>,
    /// Receipts and logs. Where it isn't known, that of the blocks counts.
    pub receipts_from: Option<BlockNumber>,
}

impl Depth {
    pub fn has_block(self, block: BlockNumber) -> bool {
        reaches(self.blocks_from, block)
    }

    pub fn has_state(self, block: BlockNumber) -> bool {
        reaches(self.state_from, block)
    }

    pub fn has_receipts(self, block: BlockNumber) -> bool {
        reaches(self.receipts_from.max(self.blocks_from), block)
    }
}

fn reaches(oldest: Option<BlockNumber>, block: BlockNumber) -> bool {
    oldest.is_none_or(|oldest| oldest <= block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_what_it_is_not_known_to_lack() {
        let none = Depth::default();
        let genesis = BlockNumber(0);
        assert!(none.has_block(genesis) && none.has_state(genesis) && none.has_receipts(genesis));
    }

    #[test]
    fn each_kind_of_data_begins_at_its_oldest_block() {
        let depth = Depth {
            blocks_from: Some(BlockNumber(10)),
            state_from: Some(BlockNumber(100)),
            receipts_from: Some(BlockNumber(50)),
        };
        let begins = |has: &dyn Fn(BlockNumber) -> bool, oldest: u64| {
            has(BlockNumber(oldest)) && !has(BlockNumber(oldest - 1))
        };
        assert!(begins(&|block| depth.has_block(block), 10));
        assert!(begins(&|block| depth.has_state(block), 100));
        assert!(begins(&|block| depth.has_receipts(block), 50));
        let by_blocks = Depth {
            receipts_from: None,
            ..depth
        };
        assert!(begins(&|block| by_blocks.has_receipts(block), 10));
    }
}

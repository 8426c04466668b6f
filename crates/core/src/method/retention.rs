//! What of a method's answers is kept, and under what.

/// What an answer is kept under, where it is kept at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// Nothing: an answer of a moment before may be wrong, or isn't worth its room.
    Never,
    /// Under the hash of the one block that it is of: what a block holds never changes.
    Block(BlockNaming),
    /// Of a range of blocks, under the hash of the last: that fixes all before it.
    Logs,
    /// Under the block that it names; given only while that one is on the chain.
    Transaction(BlockNaming),
    /// Read from the state after one block, under the hash of that.
    State,
}

/// How a result says of which block it is (execution-apis `src/schemas`; Erigon's `trace`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockNaming {
    /// It is the block: `hash`, `number`.
    Itself,
    /// It is something in it: `blockHash`, `blockNumber`.
    Inside,
    /// Several such things, all of that block.
    Each,
    /// It doesn't say.
    Unsaid,
}

/// Chains made of the ZKsync stack.
const ZKSYNC: &[u64] = &[
    232,    // Lens
    300,    // ZKsync Era's testnet
    324,    // ZKsync Era
    388,    // Cronos zkEVM
    2_741,  // Abstract
    11_124, // Abstract's testnet
    37_111, // Lens's testnet
    50_104, // Sophon
];

/// Whether state that is read at a block of this chain is more than the block's: its nodes read the clock of
/// the wall for calls at the latest block (matter-labs/zksync-era, `core/node/api_server/src/execution_sandbox`;
/// zksync-os-server #748).
pub fn is_by_wall_clock(chain: u64) -> bool {
    ZKSYNC.contains(&chain)
}

/// Whether something is added to what nodes of this chain say of a block until that is final: `l1BatchNumber`
/// of blocks, transactions, receipts and logs is `null` for as long as the batch isn't sealed
/// (matter-labs/zksync-era, `core/lib/dal/src/blocks_dal.rs`).
pub fn is_added_to(chain: u64) -> bool {
    ZKSYNC.contains(&chain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::block::BlockParam;
    use crate::method::table::TABLE;
    use crate::method::treatment::Treatment;

    #[test]
    fn only_reads_are_kept_and_what_is_of_a_block_says_where_it_names_it() {
        for row in TABLE {
            let (name, is_read) = (
                row.name,
                matches!(row.treatment, Treatment::Read | Treatment::Heavy),
            );
            assert!(is_read || row.retention == Retention::Never, "{name}");
            let is_nowhere = row.place == BlockParam::Nowhere;
            match row.retention {
                Retention::Never => {}
                Retention::Transaction(naming) => {
                    assert!(is_nowhere && naming != BlockNaming::Unsaid, "{name}");
                }
                Retention::Logs => {
                    assert!(matches!(row.place, BlockParam::Range { .. }), "{name}");
                }
                Retention::Block(_) | Retention::State => assert!(!is_nowhere, "{name}"),
            }
        }
    }

    #[test]
    fn few_chains_say_more_of_a_block_than_what_is_its_own() {
        for is_so in [is_by_wall_clock, is_added_to] {
            assert!(is_so(324) && !is_so(1) && !is_so(42_161));
        }
    }
}

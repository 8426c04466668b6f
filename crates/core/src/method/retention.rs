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

/// Chains whose nodes read the clock of the wall for calls at the latest block: equal calls at equal
/// blocks differ. All are made of the ZKsync stack (matter-labs/zksync-era,
/// `core/node/api_server/src/execution_sandbox`; zksync-os-server #748).
const BY_WALL_CLOCK: &[u64] = &[
    232,    // Lens
    300,    // ZKsync Era's testnet
    324,    // ZKsync Era
    388,    // Cronos zkEVM
    2_741,  // Abstract
    11_124, // Abstract's testnet
    37_111, // Lens's testnet
    50_104, // Sophon
];

/// Whether state that is read at a block of this chain is more than the block's.
pub fn is_by_wall_clock(chain: u64) -> bool {
    BY_WALL_CLOCK.contains(&chain)
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
    fn the_wall_clock_is_of_few_chains() {
        assert!(is_by_wall_clock(324) && !is_by_wall_clock(1) && !is_by_wall_clock(42_161));
    }
}

//! What clients were told and nodes told us of blocks and of transactions in them, as calls share it:
//! under locks that only the methods which ask by a hash ever take.

use std::hash::{BuildHasher, Hash};

use foldhash::quality::RandomState;
use parking_lot::{Mutex, MutexGuard};

use forebay_core::call::told_blocks::RecentMap;
use forebay_core::rpc::transaction::TxHash;
use forebay_core::vocabulary::chain::{BlockHash, BlockNumber};

const SHARDS: usize = 16;
/// Over all shards.
const TRANSACTIONS_MAX: usize = 65_536;
const BLOCKS_MAX: usize = 16_384;

/// The shared memory.
#[derive(Debug, Default)]
pub struct ToldBlocks {
    transactions: ShardedMap<TxHash, TRANSACTIONS_MAX>,
    blocks: ShardedMap<BlockHash, BLOCKS_MAX>,
}

impl ToldBlocks {
    /// The transaction stands in block `number`.
    pub fn mined(&self, hash: TxHash, number: BlockNumber) {
        self.transactions.insert(hash, number);
    }

    /// Where the transaction was told to stand.
    pub fn place_of(&self, hash: TxHash) -> Option<BlockNumber> {
        self.transactions.get(&hash)
    }

    /// The block with this hash has this number.
    pub fn block(&self, hash: BlockHash, number: BlockNumber) {
        self.blocks.insert(hash, number);
    }

    pub fn number_of(&self, hash: BlockHash) -> Option<BlockNumber> {
        self.blocks.get(&hash)
    }
}

/// A memory of at most `MAX` things.
#[derive(Debug)]
struct ShardedMap<K, const MAX: usize> {
    hashes: RandomState,
    shards: [Mutex<RecentMap<K, BlockNumber>>; SHARDS],
}

impl<K: Hash + Eq, const MAX: usize> Default for ShardedMap<K, MAX> {
    fn default() -> ShardedMap<K, MAX> {
        ShardedMap {
            hashes: RandomState::default(),
            shards: std::array::from_fn(|_| Mutex::new(RecentMap::new(MAX / SHARDS))),
        }
    }
}

impl<K: Hash + Eq, const MAX: usize> ShardedMap<K, MAX> {
    fn insert(&self, key: K, number: BlockNumber) {
        self.shard(&key).insert(key, number);
    }

    fn get(&self, key: &K) -> Option<BlockNumber> {
        self.shard(key).get(key)
    }

    fn shard(&self, key: &K) -> MutexGuard<'_, RecentMap<K, BlockNumber>> {
        let at = self.hashes.hash_one(key) as usize % SHARDS;
        self.shards[at].lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forebay_core::rpc::transaction;

    #[test]
    fn where_a_transaction_and_a_block_stand_is_known_by_their_hashes() {
        let told = ToldBlocks::default();
        let (tx, block) = (transaction::hash_of(b"a"), BlockHash([7; 32]));
        assert_eq!((told.place_of(tx), told.number_of(block)), (None, None));
        told.mined(tx, BlockNumber(1));
        told.mined(tx, BlockNumber(5));
        told.block(block, BlockNumber(6));
        let stands = (told.place_of(tx), told.number_of(block));
        assert_eq!(stands, (Some(BlockNumber(5)), Some(BlockNumber(6))));
    }
}

//! A pretend chain that several nodes follow: a height that grows, and hashes that agree.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use forebay_core::vocabulary::hex;
use sha3::{Digest, Keccak256};

use crate::clock;

/// A block as its nodes see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FakeBlock {
    pub number: u64,
    /// `0x` and 64 digits; the same for every node that follows the chain.
    pub hash: String,
    pub parent_hash: String,
    /// Seconds since 1970.
    pub timestamp: u64,
}

/// The shared truth: how high the chain is, and what its blocks are called.
#[derive(Debug)]
pub struct FakeChain {
    seed: u64,
    block_time: Duration,
    /// When block 0 would have been made, in seconds since 1970.
    born: u64,
    state: Mutex<FakeChainState>,
}

#[derive(Debug)]
struct FakeChainState {
    /// The head at `since`.
    head: u64,
    since: Instant,
    grows: bool,
    /// Blocks from the first number on are hashed anew with the second, later entries above
    /// earlier ones.
    reorgs: Vec<(u64, u64)>,
}

impl FakeChain {
    /// Stands at `head` until told otherwise; its blocks are 12 s apart by their timestamps.
    pub fn still(seed: u64, head: u64) -> Arc<FakeChain> {
        FakeChain::new(seed, head, Duration::from_secs(12), false)
    }

    /// Grows from `head` by one block every `block_time`.
    pub fn running(seed: u64, head: u64, block_time: Duration) -> Arc<FakeChain> {
        FakeChain::new(seed, head, block_time, true)
    }

    fn new(seed: u64, head: u64, block_time: Duration, grows: bool) -> Arc<FakeChain> {
        let age = head.saturating_mul(millis(block_time)) / 1000;
        Arc::new(FakeChain {
            seed,
            block_time,
            born: (clock::unix_seconds()).saturating_sub(age),
            state: Mutex::new(FakeChainState {
                head,
                since: clock::now(),
                grows,
                reorgs: Vec::new(),
            }),
        })
    }

    pub fn head(&self) -> u64 {
        self.head_at(clock::now())
    }

    /// The head at `now`.
    pub fn head_at(&self, now: Instant) -> u64 {
        let state = self.state.lock();
        if !state.grows {
            return state.head;
        }
        let elapsed = millis(now.saturating_duration_since(state.since));
        state
            .head
            .saturating_add(elapsed / millis(self.block_time).max(1))
    }

    /// Jumps to `head`, forwards or backwards; a running chain grows on from there.
    pub fn set_head(&self, head: u64) {
        let mut state = self.state.lock();
        state.head = head;
        state.since = clock::now();
    }

    /// Adds `blocks` to the head.
    pub fn advance(&self, blocks: u64) {
        let head = self.head();
        self.set_head(head.saturating_add(blocks));
    }

    /// The last `depth` blocks get other hashes for every node; the head stays.
    pub fn reorganise(&self, depth: u64) {
        let first = self.head().saturating_add(1).saturating_sub(depth);
        let mut state = self.state.lock();
        let salt = state.reorgs.len() as u64 + 1;
        state.reorgs.push((first, salt));
    }

    /// The block at `number`. A node that stands on another fork from `forked_from` on sees
    /// other hashes there.
    pub fn block(&self, number: u64, forked_from: Option<u64>) -> FakeBlock {
        let above = number.saturating_mul(millis(self.block_time)) / 1000;
        FakeBlock {
            number,
            hash: self.hash(number, forked_from),
            parent_hash: match number.checked_sub(1) {
                Some(parent) => self.hash(parent, forked_from),
                None => hex::data_text(&[0; 32]),
            },
            timestamp: self.born.saturating_add(above),
        }
    }

    fn hash(&self, number: u64, forked_from: Option<u64>) -> String {
        let reorgs = &self.state.lock().reorgs;
        let salt = reorgs.iter().rev().find(|(first, _)| number >= *first);
        let astray = forked_from.is_some_and(|first| number >= first);
        let digest = Keccak256::new()
            .chain_update(self.seed.to_be_bytes())
            .chain_update(number.to_be_bytes())
            .chain_update(salt.map_or(0, |(_, salt)| *salt).to_be_bytes())
            .chain_update([u8::from(astray)])
            .finalize();
        hex::data_text(&digest)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_chain_grows_by_one_block_at_each_block_time_and_not_before() {
        let chain = FakeChain::running(1, 100, Duration::from_secs(12));
        let start = chain.state.lock().since;
        let after = |millis| chain.head_at(start + Duration::from_millis(millis));
        assert_eq!((after(0), after(11_999), after(12_000)), (100, 100, 101));
        assert_eq!(after(60_000), 105);
    }

    #[test]
    fn a_still_chain_moves_only_when_told() {
        let chain = FakeChain::still(1, 100);
        let late = clock::now() + Duration::from_secs(3600);
        assert_eq!(chain.head_at(late), 100);
        chain.advance(3);
        assert_eq!(chain.head(), 103);
        chain.set_head(7);
        assert_eq!(chain.head(), 7);
    }

    #[test]
    fn blocks_of_one_seed_agree_are_linked_and_differ_from_those_of_another() {
        let (one, same, other) = (
            FakeChain::still(1, 10),
            FakeChain::still(1, 10),
            FakeChain::still(2, 10),
        );
        assert_eq!(one.block(10, None).hash, same.block(10, None).hash);
        assert_ne!(one.block(10, None).hash, other.block(10, None).hash);
        assert_eq!(one.block(10, None).parent_hash, one.block(9, None).hash);
        assert_eq!(
            one.block(10, None).timestamp - one.block(9, None).timestamp,
            12
        );
        assert_eq!(one.block(0, None).parent_hash, format!("0x{:064}", 0));
    }

    #[test]
    fn a_reorganisation_renames_exactly_its_depth() {
        let chain = FakeChain::still(1, 10);
        let hashes = || [7, 8, 9, 10].map(|number| chain.block(number, None).hash);
        let before = hashes();
        chain.reorganise(2);
        let after = hashes();
        let changed: Vec<bool> = before.iter().zip(&after).map(|(a, b)| a != b).collect();
        assert_eq!(changed, [false, false, true, true]);
    }

    #[test]
    fn a_forked_view_differs_from_its_first_block_on() {
        let chain = FakeChain::still(1, 10);
        assert_eq!(chain.block(7, Some(8)).hash, chain.block(7, None).hash);
        assert_ne!(chain.block(8, Some(8)).hash, chain.block(8, None).hash);
        assert_eq!(
            chain.block(8, Some(8)).parent_hash,
            chain.block(7, None).hash
        );
    }
}

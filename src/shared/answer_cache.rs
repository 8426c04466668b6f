//! Answers that are kept in memory, within so many bytes: see [`forebay_core::call::cache`] for what may
//! be kept, and when it may be given.
//!
//! An entry is one piece of memory: its terms, and behind them the answer as it is sent, but for the id;
//! when it was kept stands beside it in the table.
//! Finding one takes the lock of one shard, for reading, and no memory but for a count the first time.

mod entry;
mod gathering_room;

use std::hash::BuildHasherDefault;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use bytes::Bytes;
use quick_cache::sync::Cache;
use quick_cache::{Lifecycle, OptionsBuilder, Weighter};

use crate::shared::answer_cache::entry::KeptEntry;
use crate::shared::stored_answers::{ANSWER_BYTES_MAX, StoredAnswers};
use forebay_core::call::cache::giving::KeptCondition;
use forebay_core::call::cache::recurrence::{AskedCalls, Recurrence};
use forebay_core::call::cache::{
    CacheKey, CachePlan, CacheRules, CacheSecret, KeptAnswer, KeptTerms,
};
use forebay_core::fleet::view::FleetView;
use forebay_core::rpc::whole_answer::WholeAnswer;
use forebay_core::vocabulary::node::NodeId;

pub use self::gathering_room::GatheringRoom;

/// What an entry takes beside its bytes: its place in the shard's table, twice, as tables grow by
/// doubling; the count of its holders; and what the allocator rounds up, as a part of it.
const ENTRY_BYTES: u64 = 192;
const ROUNDING_PART: u64 = 16;
/// A shard has room for so many of the longest entries, and there are no more shards than these.
const SHARD_BYTES_MIN: u64 = 4 << 20;
const SHARDS_MAX: u64 = 16;
/// What an entry is guessed to take: it only tells how many keys are remembered that fell out, and for how many there are
/// places from the beginning.
const GUESSED_BYTES: u64 = 1024;
/// There are places for so many at most from the beginning.
const RESERVED_MAX: usize = 1 << 20;
/// The part for what was asked for again: each block makes most of that useless, and it must go in time.
const ASKED_AGAIN_PART: f64 = 0.75;
/// Of what there is room for, so much may be held of answers that are passed on and whose end hasn't come.
const GATHERED_PART: u64 = 8;
/// Purges of single nodes that are remembered.
const LOSSES_MAX: usize = 1024;

type KeyHashes = BuildHasherDefault<KeyHasher>;

/// What keeps the answers of all chains.
pub struct AnswerStore {
    kept: Cache<CacheKey, TableEntry, EntryWeight, KeyHashes, EvictionCount>,
    entry_bytes_max: usize,
    /// Of the next entry.
    sequence: AtomicU64,
    /// Raised once an entry can be found.
    kept_so_far: AtomicU64,
    /// Chains so far.
    chains: AtomicU64,
    evicted: Arc<AtomicU64>,
    /// Bytes of answers whose end hasn't come.
    gathered: Arc<AtomicU64>,
    /// Of all chains.
    asked: Arc<AskedCalls>,
}

/// A chain's part of it: its keys, by a secret of its own, are no other chain's.
pub struct AnswerCache {
    pub store: Arc<AnswerStore>,
    /// What its keys are hashed with.
    secret: CacheSecret,
    /// Which of its calls' answers are worth being kept.
    pub recurrence: Recurrence,
    /// Nodes are known by their numbers within a chain.
    chain: u64,
    /// Nodes whose entries before a number are given no more.
    lost: ArcSwap<Vec<Loss>>,
    /// The highest of their numbers, raised after `lost`: what was kept later needs no look there.
    lost_before: AtomicU64,
    /// Those that balancers share, where they do.
    pub stored: Option<Arc<StoredAnswers>>,
}

/// What of a node's entries is given no more.
#[derive(Clone, Copy, Debug)]
struct Loss {
    node: NodeId,
    /// What was kept before this one.
    before: u64,
    /// Only of those that hold as long as their node is steady.
    is_of_steady: bool,
}

impl Loss {
    fn is_of(&self, entry: &KeptEntry) -> bool {
        let is_steady = || matches!(entry.terms.condition, KeptCondition::WhileSteady { .. });
        self.node == entry.terms.node
            && entry.sequence < self.before
            && (!self.is_of_steady || is_steady())
    }
}

/// Which of a chain's entries go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purge {
    All,
    Node(NodeId),
    /// Of the method of this row.
    Method(u16),
}

impl AnswerStore {
    /// With room for so many bytes, all told.
    pub fn new(memory: u64) -> AnswerStore {
        let shards = (memory / SHARD_BYTES_MIN).clamp(1, SHARDS_MAX);
        let shards = 1 << shards.ilog2();
        let items = usize::try_from(memory / GUESSED_BYTES).unwrap_or(usize::MAX);
        let mut options = OptionsBuilder::new();
        options
            .shards(shards)
            .estimated_items_capacity(items.max(32 * shards))
            .hot_allocation(ASKED_AGAIN_PART)
            .weight_capacity(memory);
        let evicted = Arc::<AtomicU64>::default();
        let (lifecycle, hashes) = (EvictionCount(evicted.clone()), KeyHashes::default());
        let kept = match options.build() {
            Ok(options) => Cache::with_options(options, EntryWeight, hashes, lifecycle),
            // Nothing of what it wants is left out.
            Err(_) => Cache::with(items, memory, EntryWeight, hashes, lifecycle),
        };
        // A table grows under its shard's lock: so it does only where entries are shorter than guessed.
        kept.reserve(items.min(RESERVED_MAX));
        let quarter = usize::try_from(kept.shard_capacity() / 4).unwrap_or(usize::MAX);
        AnswerStore {
            kept,
            entry_bytes_max: quarter.min(ANSWER_BYTES_MAX),
            sequence: AtomicU64::default(),
            kept_so_far: AtomicU64::default(),
            chains: AtomicU64::default(),
            evicted,
            gathered: Arc::default(),
            asked: Arc::default(),
        }
    }

    pub fn entries(&self) -> usize {
        self.kept.len()
    }

    /// How many answers were kept, gone or not.
    pub fn kept_so_far(&self) -> u64 {
        self.kept_so_far.load(Ordering::Acquire)
    }

    /// What it takes, about.
    pub fn bytes(&self) -> u64 {
        self.kept.weight()
    }

    /// The most that it may take.
    pub fn bytes_max(&self) -> u64 {
        self.kept.capacity()
    }

    /// Entries that had to go for want of room, so far.
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }
}

impl AnswerCache {
    /// Of another chain. `seed`: a number that outsiders don't know. `stored`: what it shares with other balancers.
    pub fn of(
        store: Arc<AnswerStore>,
        (secret, seed): (CacheSecret, u64),
        stored: Option<Arc<StoredAnswers>>,
    ) -> AnswerCache {
        AnswerCache {
            stored,
            chain: store.chains.fetch_add(1, Ordering::Relaxed),
            recurrence: Recurrence::new(store.asked.clone(), seed),
            store,
            secret,
            lost: ArcSwap::default(),
            lost_before: AtomicU64::default(),
        }
    }

    /// Whether balancers share them now.
    pub fn is_shared(&self) -> bool {
        self.stored.as_ref().is_some_and(|stored| stored.is_on())
    }

    /// By what calls are planned, where the answers of `never`, methods by name or glob, aren't kept.
    pub fn rules(&self, never: &[String]) -> CacheRules {
        CacheRules::new(self.secret, never)
    }

    /// Room for an answer that comes piece by piece.
    pub fn gathering(&self) -> GatheringRoom {
        let gathered_max = self.store.bytes_max() / GATHERED_PART;
        let gathered = (self.store.gathered.clone(), gathered_max);
        GatheringRoom::new(gathered, self.store.entry_bytes_max)
    }

    /// The answer that is kept for a call planned so, if it may be given as of `view`.
    #[inline]
    pub fn find(&self, plan: &CachePlan, view: &FleetView, now: Instant) -> Option<KeptAnswer> {
        let found = self.store.kept.get(&plan.key)?;
        self.given(found, plan, view, now)
    }

    fn given(
        &self,
        TableEntry { entry, kept_at }: TableEntry,
        plan: &CachePlan,
        view: &FleetView,
        now: Instant,
    ) -> Option<KeptAnswer> {
        let entry = KeptEntry::read(entry)?;
        let node = entry.terms.giver(view)?;
        if self.is_lost(&entry) {
            return None;
        }
        Some(KeptAnswer {
            row: plan.row,
            answer: entry.answer,
            node: node.name.clone(),
            role: node.role,
            news: Some(entry.terms.number).filter(|number| Some(*number) > view.served_head),
            age: now.saturating_duration_since(kept_at),
        })
    }

    fn is_lost(&self, entry: &KeptEntry) -> bool {
        entry.sequence < self.lost_before.load(Ordering::Acquire)
            && self.lost.load().iter().any(|loss| loss.is_of(entry))
    }

    /// Keeps `answer` on these terms, unless it is too long.
    pub fn keep(&self, plan: &CachePlan, terms: &KeptTerms, answer: &WholeAnswer, now: Instant) {
        if answer.bytes() > self.store.entry_bytes_max {
            return;
        }
        let written = entry::written(
            (self.chain, plan.row),
            terms,
            self.store.sequence.fetch_add(1, Ordering::Relaxed),
            answer,
        );
        if let Some(entry) = written {
            let placed = TableEntry {
                entry,
                kept_at: now,
            };
            self.store.kept.insert(plan.key, placed);
            self.store.kept_so_far.fetch_add(1, Ordering::Release);
            self.recurrence.note_kept(plan);
        }
    }

    /// What a node said so far is given no more; says whether that is so for the first time. Costs no more
    /// than remembering it: its entries go when there is need of their room.
    pub fn lose(&self, node: NodeId) -> bool {
        self.lose_of(node, false)
    }

    /// Likewise what it said so far without saying of which block, of what isn't final.
    pub fn lose_steady(&self, node: NodeId) {
        self.lose_of(node, true);
    }

    fn lose_of(&self, node: NodeId, is_of_steady: bool) -> bool {
        let before = self.store.sequence.load(Ordering::Relaxed);
        let is_same = |loss: &Loss| loss.node == node && loss.is_of_steady == is_of_steady;
        let is_first = !self.lost.load().iter().any(is_same);
        self.lost.rcu(|lost| {
            let mut lost = Vec::clone(lost);
            lost.retain(|loss| !is_same(loss));
            if lost.len() >= LOSSES_MAX {
                lost.remove(0);
            }
            lost.push(Loss {
                node,
                before,
                is_of_steady,
            });
            lost
        });
        self.lost_before.fetch_max(before, Ordering::Release);
        is_first
    }

    /// Lets go of the answer to a call planned so.
    pub fn forget(&self, plan: &CachePlan) {
        self.store.kept.remove(&plan.key);
    }

    /// Lets go of entries; says of how many.
    pub fn purge(&self, purge: Purge) -> usize {
        let (kept, chain) = (&self.store.kept, Some(self.chain));
        let before = kept.len();
        if let Purge::Node(node) = purge {
            self.lose(node);
        }
        kept.retain(|_, TableEntry { entry, .. }| {
            let goes = match purge {
                Purge::All => true,
                Purge::Node(node) => entry::node_of(entry) == Some(node),
                Purge::Method(row) => entry::row_of(entry) == Some(row),
            };
            !goes || entry::chain_of(entry) != chain
        });
        before.saturating_sub(kept.len())
    }
}

/// What stands in the table: an entry, and when it was kept. That is the moment itself, as a span since another would
/// have to be reckoned for each.
#[derive(Clone, Debug)]
struct TableEntry {
    entry: Bytes,
    kept_at: Instant,
}

#[derive(Clone, Debug)]
struct EntryWeight;

impl Weighter<CacheKey, TableEntry> for EntryWeight {
    fn weight(&self, _: &CacheKey, placed: &TableEntry) -> u64 {
        let bytes = placed.entry.len() as u64;
        ENTRY_BYTES + bytes + bytes / ROUNDING_PART
    }
}

/// A key is a hash already: takes the last number that is written for the hash.
#[derive(Debug, Default)]
struct KeyHasher(u64);

impl std::hash::Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let last = bytes.rchunks_exact(8).next();
        let last = last.and_then(|last| <[u8; 8]>::try_from(last).ok());
        self.0 = last.map_or(0, u64::from_ne_bytes);
    }

    fn write_u64(&mut self, part: u64) {
        self.0 = part;
    }

    fn write_usize(&mut self, _: usize) {}
}

/// Counts what had to go.
#[derive(Clone, Debug)]
struct EvictionCount(Arc<AtomicU64>);

impl Lifecycle<CacheKey, TableEntry> for EvictionCount {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), _: CacheKey, _: TableEntry) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;

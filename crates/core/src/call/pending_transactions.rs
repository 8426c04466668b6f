//! Transactions that nodes took from us and that are in no block yet, as far as any node told.
//!
//! Some nodes keep no pool: they pass a transaction on, and know nothing of it until a block has it.
//! What was taken through us counts for its sender's next nonce all the same, and can be shown by its
//! hash, until its nonce is used up, a node that has shown it shows it no more, or its time is over.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::call::recent_writes::{ADDRESS_PART, TIME_MAX};
use crate::fleet::spread::NODES_MAX;
use crate::rpc::transaction::{Address, SignedTransaction, TxHash};
use crate::vocabulary::client::NetworkMark;
use crate::vocabulary::node::NodeId;

/// A longer transaction is remembered, but can't be shown.
pub const RAW_BYTES_MAX: usize = 16 << 10;

/// Of one sender's so many are looked at for one count: pools keep fewer (geth: 80).
const LOOKED_AT_MAX: usize = 256;

/// How much is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolBounds {
    /// Transactions of all clients together.
    pub transactions: usize,
    /// Of those that can be shown, all together.
    pub raw_bytes: usize,
}

/// An account, by a hash whose key balancers have and their store hasn't.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SenderMark(pub u64);

/// A transaction that a node has taken.
#[derive(Clone, Copy, Debug)]
pub struct AcceptedTransaction<'a> {
    /// Keccak-256 of its bytes, blobs left out.
    pub hash: TxHash,
    /// Of this chain, of a type that is known.
    pub signed: Option<SignedTransaction>,
    /// Its sender and its nonce, where another balancer tells them; needed where nothing is `signed`.
    pub marked: Option<(SenderMark, u64)>,
    /// The signed transaction without blobs; empty where another balancer found it too long to hand on.
    pub raw: &'a [u8],
    /// The network whose room it takes up.
    pub network: Option<NetworkMark>,
}

/// Of [`PoolEvidence`].
const WAYS: usize = 2;

/// How a node shows that it knows of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolEvidence {
    /// It is asked for the transaction by its hash, and shows it or doesn't.
    ByHash,
    /// It is asked for the sender's count, which has gone beyond the nonce or hasn't.
    ByCount,
}

/// A transaction that waits for a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnminedTransaction {
    sender: Address,
    nonce: u64,
    /// `None`: it was too long to keep.
    pub raw: Option<Arc<[u8]>>,
}

#[derive(Debug)]
struct PoolEntry {
    taken_at: Instant,
    network: Option<NetworkMark>,
    /// The nodes that took it.
    nodes: Vec<NodeId>,
    waiting: Option<UnminedTransaction>,
    /// It waits, and its sender's address isn't known yet.
    marked: Option<(SenderMark, u64)>,
    /// Of its own, that are kept while it waits.
    raw_bytes: usize,
    /// Blocks have its sender's nonce, which was this one: it is in one of them, or another is.
    spent: Option<(Address, u64)>,
    shown: Vec<PoolSighting>,
}

/// A node has shown the transaction, this way or the other; and since when it doesn't.
#[derive(Debug)]
struct PoolSighting {
    node: NodeId,
    way: PoolEvidence,
    missed_at: Option<Instant>,
    is_gone: bool,
}

/// What is held of all of them, or of those of one network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct PoolUse {
    transactions: usize,
    raw_bytes: usize,
}

/// All of them.
#[derive(Debug, Default)]
pub struct PooledTransactions {
    entries: HashMap<TxHash, PoolEntry>,
    /// By age.
    ages: VecDeque<(Instant, TxHash)>,
    by_nonce: BTreeSet<(Address, u64, TxHash)>,
    by_mark: BTreeSet<(SenderMark, u64, TxHash)>,
    by_network: HashMap<NetworkMark, PoolUse>,
    raw_bytes: usize,
}

impl PooledTransactions {
    /// `node` has taken `sent`, which is remembered within `bounds`. Sending it again makes it no younger.
    pub fn take(
        &mut self,
        sent: &AcceptedTransaction<'_>,
        node: NodeId,
        bounds: PoolBounds,
        now: Instant,
    ) {
        self.age(now);
        if !self.entries.contains_key(&sent.hash) && !self.insert(sent, bounds, now) {
            return;
        }
        if let Some(entry) = self.entries.get_mut(&sent.hash)
            && !entry.nodes.contains(&node)
            && entry.nodes.len() < NODES_MAX
        {
            entry.nodes.push(node);
        }
    }

    /// `false`: its network has its part of the room already.
    fn insert(&mut self, sent: &AcceptedTransaction<'_>, bounds: PoolBounds, now: Instant) -> bool {
        let held = sent.network.and_then(|it| self.by_network.get(&it));
        let held = held.copied().unwrap_or_default();
        let part = |of: usize| sent.network.map_or(of, |_| of / ADDRESS_PART);
        if held.transactions >= part(bounds.transactions).max(1) {
            return false;
        }
        let length = sent.raw.len();
        let has_room = length <= RAW_BYTES_MAX
            && held.raw_bytes + length <= part(bounds.raw_bytes)
            && self.raw_bytes + length <= bounds.raw_bytes;
        let waiting = sent.signed.map(|signed| UnminedTransaction {
            sender: signed.sender,
            nonce: signed.nonce,
            raw: has_room.then(|| sent.raw.into()),
        });
        let marked = sent.marked.filter(|_| waiting.is_none());
        let of_raw = |waiting: &UnminedTransaction| waiting.raw.as_ref().map_or(0, |raw| raw.len());
        let entry = PoolEntry {
            taken_at: now,
            network: sent.network,
            nodes: Vec::new(),
            raw_bytes: waiting.as_ref().map_or(0, of_raw),
            waiting,
            marked,
            spent: None,
            shown: Vec::new(),
        };
        self.index(sent.hash, &entry);
        self.entries.insert(sent.hash, entry);
        self.ages.push_back((now, sent.hash));
        while self.entries.len() > bounds.transactions && self.drop_oldest() {}
        true
    }

    fn index(&mut self, hash: TxHash, entry: &PoolEntry) {
        if let Some(waiting) = &entry.waiting {
            self.by_nonce.insert((waiting.sender, waiting.nonce, hash));
        }
        if let Some((mark, nonce)) = entry.marked {
            self.by_mark.insert((mark, nonce, hash));
        }
        self.raw_bytes += entry.raw_bytes;
        if let Some(network) = entry.network {
            let held = self.by_network.entry(network).or_default();
            held.transactions += 1;
            held.raw_bytes += entry.raw_bytes;
        }
    }

    /// `mark` is that of `sender`: what is known by the one is from now on known by the other.
    pub fn name(&mut self, mark: SenderMark, sender: Address) {
        let those = self.by_mark.range((mark, 0, TxHash::LEAST)..);
        let those = those.take_while(|(of, _, _)| *of == mark);
        let those: Vec<_> = those.copied().collect();
        for (mark, nonce, hash) in those {
            self.by_mark.remove(&(mark, nonce, hash));
            if let Some(entry) = self.entries.get_mut(&hash) {
                entry.marked = None;
                entry.waiting = Some(UnminedTransaction {
                    sender,
                    nonce,
                    raw: None,
                });
                self.by_nonce.insert((sender, nonce, hash));
            }
        }
    }

    /// The nodes that have taken it.
    pub fn holders(&self, hash: TxHash, now: Instant) -> Vec<NodeId> {
        self.fresh(hash, now)
            .map_or_else(Vec::new, |entry| entry.nodes.clone())
    }

    /// One that was taken, as far as is known still waits for a block.
    pub fn waiting(&self, hash: TxHash, now: Instant) -> Option<&UnminedTransaction> {
        self.fresh(hash, now)?.waiting.as_ref()
    }

    /// The sender and the nonce of a transaction that waits or whose nonce blocks have by now.
    pub fn claim(&self, hash: TxHash, now: Instant) -> Option<(Address, u64)> {
        let entry = self.fresh(hash, now)?;
        let waiting = entry.waiting.as_ref();
        let claim = waiting.map(|waiting| (waiting.sender, waiting.nonce));
        claim.or(entry.spent)
    }

    /// The nonce that follows `counted` and those of the sender's that were taken from there on, without a gap.
    pub fn next_nonce(&self, sender: Address, counted: u64, now: Instant) -> u64 {
        let mut next = counted;
        let least = TxHash::LEAST;
        for (of, nonce, hash) in self.by_nonce.range((sender, counted, least)..) {
            if *of != sender || *nonce > next {
                break;
            }
            if self.fresh(*hash, now).is_some() {
                next = nonce.saturating_add(1);
            }
        }
        next
    }

    /// The nodes that took transactions of `sender` with this nonce.
    pub fn holders_of(&self, sender: Address, nonce: u64, now: Instant) -> Vec<NodeId> {
        let least = TxHash::LEAST;
        let those = self.by_nonce.range((sender, nonce, least)..);
        let those = those.take_while(|(of, its, _)| (*of, *its) == (sender, nonce));
        those
            .flat_map(|(_, _, hash)| self.holders(*hash, now))
            .collect()
    }

    /// Whether any of `sender`'s waits.
    pub fn knows(&self, sender: Address) -> bool {
        let mut those = self.by_nonce.range((sender, 0, TxHash::LEAST)..);
        those.next().is_some_and(|(of, _, _)| *of == sender)
    }

    /// Blocks have `count` transactions of `sender`: none of those waits any more.
    pub fn counted(&mut self, sender: Address, count: u64) {
        let least = TxHash::LEAST;
        let spent = self
            .by_nonce
            .range((sender, 0, least)..(sender, count, least));
        let spent: Vec<TxHash> = spent.map(|(_, _, hash)| *hash).collect();
        spent.into_iter().for_each(|hash| self.end(hash, true));
    }

    /// It waits no more: it is in a block, or can't be any more. Which nodes took it is remembered.
    pub fn forget(&mut self, hash: TxHash) {
        self.end(hash, false);
    }

    fn end(&mut self, hash: TxHash, is_spent: bool) {
        let Some(entry) = self.entries.get_mut(&hash) else {
            return;
        };
        let waited = entry.waiting.take();
        let of = waited.map(|it| (it.sender, it.nonce));
        entry.spent = of.filter(|_| is_spent);
        let freed = std::mem::take(&mut entry.raw_bytes);
        let (marked, network) = (entry.marked.take(), entry.network);
        if let Some((sender, nonce)) = of {
            self.by_nonce.remove(&(sender, nonce, hash));
        }
        if let Some((mark, nonce)) = marked {
            self.by_mark.remove(&(mark, nonce, hash));
        }
        self.raw_bytes -= freed;
        if let Some(held) = network.and_then(|it| self.by_network.get_mut(&it)) {
            held.raw_bytes -= freed;
        }
    }

    /// The nodes that have shown it, and didn't when last asked by hash: their counts say whether they dropped it.
    pub fn missed_by(&self, hash: TxHash) -> Vec<NodeId> {
        let shown = self.entries.get(&hash).map(|entry| &entry.shown);
        let missed = |it: &&PoolSighting| it.way == PoolEvidence::ByHash && it.missed_at.is_some();
        let missed = shown.into_iter().flatten().filter(missed);
        missed.map(|it| it.node).collect()
    }

    /// `node` was asked for it and showed it, or not. One that showed it, and does so no more by its hash and by its
    /// count, the looks at each a `block_time` or more apart, has dropped it: it is forgotten. One way alone says
    /// nothing: what Avalanche builds a block of is counted there, and not shown, until the block is accepted.
    pub fn looked(
        &mut self,
        hash: TxHash,
        (node, way, is_shown): (NodeId, PoolEvidence, bool),
        block_time: Duration,
        now: Instant,
    ) {
        let Some(entry) = self.entries.get_mut(&hash) else {
            return;
        };
        let has_shown = entry.shown.iter().any(|it| it.node == node);
        let is_full = entry.shown.len() >= 2 * NODES_MAX;
        let known = |it: &&mut PoolSighting| (it.node, it.way) == (node, way);
        match entry.shown.iter_mut().find(known) {
            Some(shown) => shown.look(is_shown, block_time, now),
            None if is_full || !(is_shown || has_shown) => return,
            None => entry.shown.push(PoolSighting {
                node,
                way,
                missed_at: (!is_shown).then_some(now),
                is_gone: false,
            }),
        }
        let gone = entry
            .shown
            .iter()
            .filter(|it| it.node == node && it.is_gone);
        if gone.count() == WAYS {
            self.forget(hash);
        }
    }

    /// `node` counts `count` transactions of `sender`, those that wait included.
    pub fn counted_pending(
        &mut self,
        sender: Address,
        (node, count): (NodeId, u64),
        block_time: Duration,
        now: Instant,
    ) {
        let those = self.by_nonce.range((sender, 0, TxHash::LEAST)..);
        let those = those.take_while(|(of, _, _)| *of == sender);
        let those = those.map(|(_, nonce, hash)| (*nonce, *hash));
        let those: Vec<_> = those.take(LOOKED_AT_MAX).collect();
        for (nonce, hash) in those {
            self.looked(
                hash,
                (node, PoolEvidence::ByCount, count > nonce),
                block_time,
                now,
            );
        }
    }

    fn fresh(&self, hash: TxHash, now: Instant) -> Option<&PoolEntry> {
        let entry = self.entries.get(&hash);
        entry.filter(|entry| now.saturating_duration_since(entry.taken_at) <= TIME_MAX)
    }

    fn age(&mut self, now: Instant) {
        let is_old = |at: &Instant| now.saturating_duration_since(*at) > TIME_MAX;
        while self.ages.front().is_some_and(|(at, _)| is_old(at)) {
            self.drop_oldest();
        }
    }

    /// `false` when there is nothing to drop.
    fn drop_oldest(&mut self) -> bool {
        let Some((_, hash)) = self.ages.pop_front() else {
            return false;
        };
        self.forget(hash);
        let network = self.entries.remove(&hash).and_then(|entry| entry.network);
        if let Some(network) = network
            && let Some(held) = self.by_network.get_mut(&network)
        {
            held.transactions -= 1;
            if held.transactions == 0 {
                self.by_network.remove(&network);
            }
        }
        true
    }
}

impl PoolSighting {
    fn look(&mut self, is_shown: bool, block_time: Duration, now: Instant) {
        if is_shown {
            (self.missed_at, self.is_gone) = (None, false);
            return;
        }
        let since = *self.missed_at.get_or_insert(now);
        self.is_gone = now.saturating_duration_since(since) >= block_time;
    }
}

#[cfg(test)]
#[path = "pending_transactions_tests.rs"]
mod tests;

//! Transactions that nodes took from us and that are in no block yet, as far as anybody told.
//!
//! Some nodes keep no pool: they pass a transaction on, and know nothing of it until a block has it.
//! What was taken through us counts for its sender's next nonce all the same, and can be shown by its
//! hash, until its nonce is used up, a node that has shown it shows it no more, or its time is over.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::broadcast::NODES_MAX;
use crate::call::recent_writes::{ADDRESS_PART, TIME_MAX};
use crate::rpc::transaction::{Address, SignedTransaction, TxHash};
use crate::vocabulary::node::NodeId;

/// A longer transaction is remembered, but can't be shown.
pub const RAW_BYTES_MAX: usize = 16 << 10;
/// Of what can be shown, all together.
pub const ALL_BYTES_MAX: usize = 8 << 20;

/// Of one sender's so many are looked at for one count: pools keep fewer (geth: 80).
const LOOKED_AT_MAX: usize = 256;

/// A transaction that a node has taken.
#[derive(Clone, Copy, Debug)]
pub struct AcceptedTransaction<'a> {
    pub hash: TxHash,
    /// Of this chain, of a type that is known.
    pub signed: Option<SignedTransaction>,
    pub raw: &'a [u8],
    /// Whose room it takes up.
    pub network: Option<IpAddr>,
}

/// Of [`PoolEvidence`].
const WAYS: usize = 2;

/// How a node shows that it knows of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolEvidence {
    ByHash,
    ByCount,
}

/// A transaction that waits for a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnminedTransaction {
    pub sender: Address,
    pub nonce: u64,
    /// `None`: it was too long to keep.
    pub raw: Option<Arc<[u8]>>,
}

#[derive(Debug)]
struct PoolEntry {
    taken_at: Instant,
    network: Option<IpAddr>,
    /// Who took it.
    nodes: Vec<NodeId>,
    waiting: Option<UnminedTransaction>,
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

/// All of them.
#[derive(Debug)]
pub struct PooledTransactions {
    entries_max: usize,
    entries: HashMap<TxHash, PoolEntry>,
    /// By age.
    ages: VecDeque<(Instant, TxHash)>,
    by_nonce: BTreeSet<(Address, u64, TxHash)>,
    by_network: HashMap<IpAddr, usize>,
    raw_bytes: usize,
}

impl PooledTransactions {
    pub fn new(entries_max: usize) -> PooledTransactions {
        PooledTransactions {
            entries_max,
            entries: HashMap::new(),
            ages: VecDeque::new(),
            by_nonce: BTreeSet::new(),
            by_network: HashMap::new(),
            raw_bytes: 0,
        }
    }

    /// `node` has taken `sent`. Sending it again makes it no younger.
    pub fn take(&mut self, sent: &AcceptedTransaction<'_>, node: NodeId, now: Instant) {
        self.age(now);
        if !self.entries.contains_key(&sent.hash) && !self.insert(sent, now) {
            return;
        }
        if let Some(entry) = self.entries.get_mut(&sent.hash)
            && !entry.nodes.contains(&node)
            && entry.nodes.len() < NODES_MAX
        {
            entry.nodes.push(node);
        }
    }

    fn insert(&mut self, sent: &AcceptedTransaction<'_>, now: Instant) -> bool {
        if let Some(network) = sent.network {
            let held = self.by_network.entry(network).or_default();
            if *held >= self.entries_max / ADDRESS_PART {
                return false;
            }
            *held += 1;
        }
        let has_room =
            sent.raw.len() <= RAW_BYTES_MAX && self.raw_bytes + sent.raw.len() <= ALL_BYTES_MAX;
        let waiting = sent.signed.map(|signed| UnminedTransaction {
            sender: signed.sender,
            nonce: signed.nonce,
            raw: has_room.then(|| sent.raw.into()),
        });
        if let Some(waiting) = &waiting {
            self.raw_bytes += waiting.bytes();
            self.by_nonce
                .insert((waiting.sender, waiting.nonce, sent.hash));
        }
        let entry = PoolEntry {
            taken_at: now,
            network: sent.network,
            nodes: Vec::new(),
            waiting,
            spent: None,
            shown: Vec::new(),
        };
        self.entries.insert(sent.hash, entry);
        self.ages.push_back((now, sent.hash));
        while self.entries.len() > self.entries_max && self.drop_oldest() {}
        true
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

    /// Whose it is, and its nonce, of one that waits or whose nonce blocks have by now.
    pub fn claim(&self, hash: TxHash, now: Instant) -> Option<(Address, u64)> {
        let entry = self.fresh(hash, now)?;
        let waiting = entry.waiting.as_ref();
        let claim = waiting.map(|waiting| (waiting.sender, waiting.nonce));
        claim.or(entry.spent)
    }

    /// The nonce that follows `counted` and those of the sender's that were taken from there on,
    /// without a gap.
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

    /// Who took transactions of `sender` with this nonce.
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

    /// It waits no more: it is in a block, or can't be any more. Who took it is known on.
    pub fn forget(&mut self, hash: TxHash) {
        self.end(hash, false);
    }

    fn end(&mut self, hash: TxHash, is_spent: bool) {
        let Some(entry) = self.entries.get_mut(&hash) else {
            return;
        };
        let waited = entry.waiting.take();
        let of = waited.as_ref().map(|it| (it.sender, it.nonce));
        entry.spent = of.filter(|_| is_spent);
        if let Some(waiting) = waited {
            self.raw_bytes -= waiting.bytes();
            self.by_nonce.remove(&(waiting.sender, waiting.nonce, hash));
        }
    }

    /// The nodes that have shown it, and didn't when they were last asked for it by its hash: whether
    /// they count it says whether they have dropped it.
    pub fn missed_by(&self, hash: TxHash) -> Vec<NodeId> {
        let shown = self.entries.get(&hash).map(|entry| &entry.shown);
        let missed = |it: &&PoolSighting| it.way == PoolEvidence::ByHash && it.missed_at.is_some();
        let missed = shown.into_iter().flatten().filter(missed);
        missed.map(|it| it.node).collect()
    }

    /// `node` was asked for it and showed it, or not. One that has shown it and does so no more, neither
    /// by its hash nor by its count, the looks at each a `block_time` or more apart, has dropped it: then
    /// it is forgotten. One way alone says nothing: what Avalanche builds a block of is counted there,
    /// and not shown, until the block is accepted.
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
            *held -= 1;
            if *held == 0 {
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

impl UnminedTransaction {
    fn bytes(&self) -> usize {
        self.raw.as_ref().map_or(0, |raw| raw.len())
    }
}

#[cfg(test)]
#[path = "pending_transactions_tests.rs"]
mod tests;

//! Which nodes have taken which transactions: so that a client sees its own writes.
//!
//! A transaction is remembered by its hash, whoever asks for it, and by its sender's connection to
//! us, for the nonces that this client asks for next. Only what a node has taken is remembered.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::broadcast::NODES_MAX;
use super::node::NodeId;
use super::transaction::TxHash;

/// How long a transaction is remembered, and a client after its last.
pub const TIME_MAX: Duration = Duration::from_secs(600);
/// A memory that is older than this is renewed by the next word.
const RENEW_AFTER: Duration = Duration::from_secs(60);

/// Who calls, as far as that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Client {
    /// A hash of the name that it gives itself.
    Named(u64),
    At(IpAddr),
    Unknown,
}

/// The nodes that have taken something of `K`, for a time and up to a number.
#[derive(Debug)]
struct Holders<K> {
    entries_max: usize,
    entries: HashMap<K, (Instant, Vec<NodeId>)>,
    /// By age; what was renewed since stands here twice.
    ages: VecDeque<(Instant, K)>,
}

impl<K: Hash + Eq + Copy> Holders<K> {
    fn new(entries_max: usize) -> Holders<K> {
        Holders {
            entries_max,
            entries: HashMap::new(),
            ages: VecDeque::new(),
        }
    }

    fn add(&mut self, key: K, node: NodeId, now: Instant) {
        self.forget(now);
        let (at, nodes) = self.entries.entry(key).or_insert_with(|| {
            self.ages.push_back((now, key));
            (now, Vec::new())
        });
        if now.saturating_duration_since(*at) > RENEW_AFTER {
            *at = now;
            self.ages.push_back((now, key));
        }
        if !nodes.contains(&node) && nodes.len() < NODES_MAX {
            nodes.push(node);
        }
        while self.entries.len() > self.entries_max && self.drop_oldest() {}
    }

    fn of(&self, key: &K, now: Instant) -> Vec<NodeId> {
        let fresh = self
            .entries
            .get(key)
            .filter(|(at, _)| now.saturating_duration_since(*at) <= TIME_MAX);
        fresh.map_or_else(Vec::new, |(_, nodes)| nodes.clone())
    }

    fn forget(&mut self, now: Instant) {
        let is_old = |at: &Instant| now.saturating_duration_since(*at) > TIME_MAX;
        while self.ages.front().is_some_and(|(at, _)| is_old(at)) {
            self.drop_oldest();
        }
    }

    /// `false` when there is nothing to drop.
    fn drop_oldest(&mut self) -> bool {
        let Some((at, key)) = self.ages.pop_front() else {
            return false;
        };
        if self
            .entries
            .get(&key)
            .is_some_and(|(newest, _)| *newest == at)
        {
            self.entries.remove(&key);
        }
        true
    }
}

/// All that is remembered.
#[derive(Debug)]
pub struct Sent {
    transactions: Holders<TxHash>,
    clients: Holders<Client>,
}

impl Sent {
    pub fn new(transactions_max: usize, clients_max: usize) -> Sent {
        Sent {
            transactions: Holders::new(transactions_max),
            clients: Holders::new(clients_max),
        }
    }

    /// `node` has taken the transaction `hash` of `client`.
    pub fn taken(&mut self, hash: Option<TxHash>, client: Client, node: NodeId, now: Instant) {
        if let Some(hash) = hash {
            self.transactions.add(hash, node, now);
        }
        if client != Client::Unknown {
            self.clients.add(client, node, now);
        }
    }

    /// The nodes that have the transaction.
    pub fn holders(&self, hash: TxHash, now: Instant) -> Vec<NodeId> {
        self.transactions.of(&hash, now)
    }

    /// The nodes that have taken transactions of `client`.
    pub fn holders_for(&self, client: Client, now: Instant) -> Vec<NodeId> {
        self.clients.of(&client, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::transaction;

    fn tx(number: u8) -> TxHash {
        transaction::hash(&format!("[\"0x{number:02x}05\"]")).unwrap()
    }

    fn client(number: u64) -> Client {
        Client::Named(number)
    }

    #[test]
    fn who_took_a_transaction_is_known_by_its_hash_and_to_its_client() {
        let now = crate::clock::now();
        let mut sent = Sent::new(10, 10);
        for node in [4, 5, 4] {
            sent.taken(Some(tx(16)), client(1), NodeId(node), now);
        }
        assert_eq!(sent.holders(tx(16), now), [NodeId(4), NodeId(5)]);
        assert_eq!(sent.holders_for(client(1), now), [NodeId(4), NodeId(5)]);
        assert_eq!(sent.holders(tx(17), now), []);
        assert_eq!(sent.holders_for(client(2), now), []);
        sent.taken(None, Client::Unknown, NodeId(1), now);
        assert_eq!(sent.holders_for(Client::Unknown, now), []);
    }

    #[test]
    fn the_oldest_makes_room_at_the_limit() {
        let now = crate::clock::now();
        let mut sent = Sent::new(3, 2);
        for number in 16..19 {
            sent.taken(Some(tx(number)), client(u64::from(number)), NodeId(1), now);
        }
        assert_eq!(sent.holders(tx(16), now).len(), 1, "three are held");
        assert_eq!(sent.holders_for(client(16), now).len(), 0, "two are held");
        sent.taken(Some(tx(19)), client(19), NodeId(1), now);
        assert_eq!(sent.holders(tx(16), now).len(), 0);
        assert_eq!(sent.holders(tx(17), now).len(), 1);
    }

    #[test]
    fn a_memory_ends_with_its_time_and_a_new_word_renews_it() {
        let start = crate::clock::now();
        let mut sent = Sent::new(10, 10);
        sent.taken(Some(tx(16)), client(1), NodeId(1), start);
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        assert_eq!(sent.holders(tx(16), at(600)).len(), 1);
        assert_eq!(sent.holders(tx(16), at(601)).len(), 0);
        sent.taken(Some(tx(17)), client(1), NodeId(2), at(500));
        assert_eq!(sent.holders_for(client(1), at(1000)).len(), 2);
        sent.taken(Some(tx(18)), client(2), NodeId(2), at(1000));
        assert_eq!(
            sent.holders_for(client(1), at(1000)).len(),
            2,
            "it was renewed"
        );
        assert_eq!(sent.transactions.entries.len(), 2, "the first is gone");
    }

    #[test]
    fn what_is_renewed_time_after_time_takes_no_more_room() {
        let start = crate::clock::now();
        let mut sent = Sent::new(10, 10);
        for second in 0..10_000 {
            let now = start + Duration::from_secs(second);
            sent.taken(None, client(second % 3), NodeId(1), now);
        }
        assert!(
            sent.clients.ages.len() <= 3 * 12,
            "{}",
            sent.clients.ages.len()
        );
    }
}

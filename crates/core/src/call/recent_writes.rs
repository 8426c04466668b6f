//! Which nodes have taken transactions of which client: so that it sees its own writes.
//!
//! A client is known by the name that it gives itself or by its address, for the nonces that it asks
//! for next. Only what a node has taken is remembered.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::fleet::spread::NODES_MAX;
use crate::vocabulary::client::{Client, NetworkMark};
use crate::vocabulary::node::NodeId;

/// How long a transaction is remembered, and a client after its last.
pub const TIME_MAX: Duration = Duration::from_secs(600);
/// An address may take up this part of the room.
pub const ADDRESS_PART: usize = 4;
/// A memory that is older than this is renewed by the next word.
const RENEW_AFTER: Duration = Duration::from_secs(60);

/// The nodes that have taken transactions of a client.
#[derive(Debug)]
struct ClientWrites {
    at: Instant,
    network: Option<NetworkMark>,
    nodes: Vec<NodeId>,
}

/// The nodes that have taken transactions of clients, for a time and up to a number.
#[derive(Debug)]
pub struct RecentWrites {
    clients_max: usize,
    entries: HashMap<Client, ClientWrites>,
    /// By age; what was renewed since stands here twice.
    ages: VecDeque<(Instant, Client)>,
    /// Names and addresses of one network.
    by_network: HashMap<NetworkMark, usize>,
}

impl RecentWrites {
    /// Of at most `clients_max` clients: for one more the oldest is forgotten.
    pub fn new(clients_max: usize) -> RecentWrites {
        RecentWrites {
            clients_max,
            entries: HashMap::new(),
            ages: VecDeque::new(),
            by_network: HashMap::new(),
        }
    }

    /// `node` has taken a transaction of `client`, whose room is that of `network`. Beyond a network's part
    /// of it no more of its names are remembered.
    pub fn taken(
        &mut self,
        client: Client,
        network: Option<NetworkMark>,
        node: NodeId,
        now: Instant,
    ) {
        self.forget(now);
        let key = client.key();
        if client == Client::Unknown || !self.has_room_for(key, network) {
            return;
        }
        let entry = self.entries.entry(key).or_insert_with(|| {
            if let Some(network) = network {
                *self.by_network.entry(network).or_default() += 1;
            }
            self.ages.push_back((now, key));
            ClientWrites {
                at: now,
                network,
                nodes: Vec::new(),
            }
        });
        if now.saturating_duration_since(entry.at) > RENEW_AFTER {
            entry.at = now;
            self.ages.push_back((now, key));
        }
        if !entry.nodes.contains(&node) && entry.nodes.len() < NODES_MAX {
            entry.nodes.push(node);
        }
        while self.entries.len() > self.clients_max && self.drop_oldest() {}
    }

    fn has_room_for(&self, key: Client, network: Option<NetworkMark>) -> bool {
        let held = network.and_then(|it| self.by_network.get(&it));
        let part = self.clients_max / ADDRESS_PART;
        self.entries.contains_key(&key) || held.is_none_or(|held| *held < part)
    }

    /// The nodes that have taken transactions of `client`.
    pub fn holders_for(&self, client: Client, now: Instant) -> Vec<NodeId> {
        let entry = self.entries.get(&client.key());
        let fresh = entry.filter(|entry| now.saturating_duration_since(entry.at) <= TIME_MAX);
        fresh.map_or_else(Vec::new, |entry| entry.nodes.clone())
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
        if self.entries.get(&key).is_none_or(|entry| entry.at != at) {
            return true;
        }
        let network = self.entries.remove(&key).and_then(|entry| entry.network);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::client;

    fn named(number: u64, network: [u8; 4]) -> Client {
        Client::Named {
            name: number,
            network: Some(network.into()),
        }
    }

    #[test]
    fn the_nodes_that_took_a_transaction_are_known_to_its_client_wherever_it_is() {
        let now = crate::testing::now();
        let mut sent = RecentWrites::new(10);
        for node in [4, 5, 4] {
            sent.taken(client(1), None, NodeId(node), now);
        }
        assert_eq!(sent.holders_for(client(1), now), [NodeId(4), NodeId(5)]);
        let elsewhere = sent.holders_for(named(1, [10, 0, 0, 1]), now);
        assert_eq!(elsewhere, [NodeId(4), NodeId(5)]);
        assert_eq!(sent.holders_for(client(2), now), []);
        sent.taken(Client::Unknown, None, NodeId(1), now);
        assert_eq!(sent.holders_for(Client::Unknown, now), []);
    }

    #[test]
    fn the_oldest_makes_room_at_the_limit() {
        let now = crate::testing::now();
        let mut sent = RecentWrites::new(2);
        for number in 16..19 {
            sent.taken(client(number), None, NodeId(1), now);
        }
        let held = [16, 17, 18].map(|number| sent.holders_for(client(number), now).len());
        assert_eq!(held, [0, 1, 1]);
    }

    #[test]
    fn one_address_under_many_names_pushes_no_other_client_out() {
        let now = crate::testing::now();
        let mut sent = RecentWrites::new(40);
        let quiet = named(7, [10, 0, 0, 7]);
        let [own, its] = [7, 9].map(|network| Some(NetworkMark(network)));
        sent.taken(quiet, own, NodeId(1), now);
        for number in 100..11_100 {
            sent.taken(named(number, [10, 0, 0, 9]), its, NodeId(2), now);
        }
        assert_eq!(sent.holders_for(quiet, now), [NodeId(1)]);
        assert_eq!(sent.entries.len(), 11, "a quarter is the other's");
        let known = |number| {
            !sent
                .holders_for(named(number, [10, 0, 0, 9]), now)
                .is_empty()
        };
        assert!(known(109) && !known(110));
        let later = now + TIME_MAX + Duration::from_secs(1);
        sent.taken(quiet, own, NodeId(1), later);
        assert_eq!((sent.entries.len(), sent.by_network.len()), (1, 1));
    }

    #[test]
    fn a_memory_ends_with_its_time_and_a_new_word_renews_it() {
        let start = crate::testing::now();
        let mut sent = RecentWrites::new(10);
        sent.taken(client(1), None, NodeId(1), start);
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        assert_eq!(sent.holders_for(client(1), at(600)).len(), 1);
        assert_eq!(sent.holders_for(client(1), at(601)).len(), 0);
        sent.taken(client(1), None, NodeId(2), at(500));
        assert_eq!(sent.holders_for(client(1), at(1000)).len(), 2);
        sent.taken(client(2), None, NodeId(2), at(1000));
        let renewed = sent.holders_for(client(1), at(1000));
        assert_eq!(renewed.len(), 2, "it was renewed");
    }

    #[test]
    fn what_is_renewed_time_after_time_takes_no_more_room() {
        let start = crate::testing::now();
        let mut sent = RecentWrites::new(10);
        for second in 0..10_000 {
            let now = start + Duration::from_secs(second);
            sent.taken(client(second % 3), None, NodeId(1), now);
        }
        assert!(sent.ages.len() <= 3 * 12, "{}", sent.ages.len());
    }
}

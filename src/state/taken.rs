//! Which nodes have taken which transactions, as calls share it: `domain`'s memory under locks
//! that only writes, and the two methods that look for them, ever take.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use crate::clock;
use crate::domain::node::NodeId;
use crate::domain::sent::{Client, Sent};
use crate::domain::transaction::TxHash;

const SHARDS: usize = 16;
/// Transactions remembered, and clients, over all shards.
const TRANSACTIONS_MAX: usize = 65_536;
const CLIENTS_MAX: usize = 10_000;
/// The longest name that a client may give itself, in bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// The shared memory.
#[derive(Debug)]
pub struct Taken {
    shards: [Mutex<Sent>; SHARDS],
    names: RandomState,
    /// Most balancers see no write for a long time, and then look for none.
    is_used: AtomicBool,
}

impl Default for Taken {
    fn default() -> Taken {
        let shard = || Sent::new(TRANSACTIONS_MAX / SHARDS, CLIENTS_MAX / SHARDS);
        Taken {
            shards: std::array::from_fn(|_| Mutex::new(shard())),
            names: RandomState::new(),
            is_used: AtomicBool::new(false),
        }
    }
}

impl Taken {
    /// Whether there is anything to look for.
    pub fn is_used(&self) -> bool {
        self.is_used.load(Ordering::Relaxed)
    }

    /// Who calls: by the name it gives itself if that is of some use, else by its address.
    pub fn client(&self, name: Option<&[u8]>, address: Option<IpAddr>) -> Client {
        let name = name.filter(|name| !name.is_empty() && name.len() <= NAME_BYTES_MAX);
        match (name, address) {
            (Some(name), _) => Client::Named(self.names.hash_one(name)),
            (None, Some(address)) => Client::At(address),
            (None, None) => Client::Unknown,
        }
    }

    /// `node` has taken the transaction `hash` of `client`.
    pub fn remember(&self, hash: Option<TxHash>, client: Client, node: NodeId) {
        let now = clock::now();
        self.is_used.store(true, Ordering::Relaxed);
        if let Some(hash) = hash {
            self.shard(&hash)
                .taken(Some(hash), Client::Unknown, node, now);
        }
        self.shard(&client).taken(None, client, node, now);
    }

    /// The nodes that have the transaction.
    pub fn holders(&self, hash: TxHash) -> Vec<NodeId> {
        if !self.is_used() {
            return Vec::new();
        }
        self.shard(&hash).holders(hash, clock::now())
    }

    /// The nodes that have taken transactions of `client`.
    pub fn holders_for(&self, client: Client) -> Vec<NodeId> {
        if !self.is_used() {
            return Vec::new();
        }
        self.shard(&client).holders_for(client, clock::now())
    }

    fn shard(&self, key: &impl std::hash::Hash) -> MutexGuard<'_, Sent> {
        let at = self.names.hash_one(key) as usize % SHARDS;
        self.shards[at]
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::transaction;

    #[test]
    fn a_client_is_known_by_its_name_or_else_by_its_address() {
        let taken = Taken::default();
        let address = Some(IpAddr::from([10, 0, 0, 1]));
        let long = [b'x'; NAME_BYTES_MAX + 1];
        let named = taken.client(Some(&long[1..]), address);
        assert!(matches!(named, Client::Named(_)));
        assert_eq!(named, taken.client(Some(&long[1..]), None));
        for name in [None, Some(&b""[..]), Some(&long)] {
            assert_eq!(
                taken.client(name, address),
                Client::At([10, 0, 0, 1].into())
            );
        }
        assert_eq!(taken.client(None, None), Client::Unknown);
    }

    #[test]
    fn what_was_taken_is_found_by_its_hash_and_by_its_client() {
        let taken = Taken::default();
        let hash = transaction::hash("[\"0x01\"]").unwrap();
        let client = taken.client(Some(b"a"), None);
        assert_eq!(taken.holders(hash), []);
        taken.remember(Some(hash), client, NodeId(3));
        assert_eq!(taken.holders(hash), [NodeId(3)]);
        assert_eq!(taken.holders_for(client), [NodeId(3)]);
        assert_eq!(taken.holders_for(Client::Unknown), []);
    }
}

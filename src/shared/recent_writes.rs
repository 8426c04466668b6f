//! What nodes have taken from us, as calls share it: the core's memories under locks that only
//! writes, and the few methods that look for them, ever take.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use crate::clock;
use forebay_core::call::pending_transactions::{self, PooledTransactions};
use forebay_core::call::recent_writes::RecentWrites;
use forebay_core::rpc::transaction::{Address, TxHash};
use forebay_core::vocabulary::client::{Client, network};
use forebay_core::vocabulary::node::NodeId;

/// Of the memory of clients.
const SHARDS: usize = 16;
/// Transactions remembered; and clients, over all shards.
const TRANSACTIONS_MAX: usize = 65_536;
const CLIENTS_MAX: usize = 10_000;
/// The longest name that a client may give itself, in bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// The shared memory.
#[derive(Debug)]
pub struct SharedWrites {
    shards: [Mutex<RecentWrites>; SHARDS],
    pooled: Mutex<PooledTransactions>,
    names: RandomState,
    /// Most balancers see no write for a long time, and then look for none.
    is_used: AtomicBool,
}

impl Default for SharedWrites {
    fn default() -> SharedWrites {
        SharedWrites {
            shards: std::array::from_fn(|_| Mutex::new(RecentWrites::new(CLIENTS_MAX / SHARDS))),
            pooled: Mutex::new(PooledTransactions::new(TRANSACTIONS_MAX)),
            names: RandomState::new(),
            is_used: AtomicBool::new(false),
        }
    }
}

impl SharedWrites {
    /// Who calls: by the name it gives itself if that is of some use, else by its address.
    pub fn client(&self, name: Option<&[u8]>, address: Option<IpAddr>) -> Client {
        let name = name.filter(|name| !name.is_empty() && name.len() <= NAME_BYTES_MAX);
        match (name, address) {
            (Some(name), address) => Client::Named {
                name: self.names.hash_one(name),
                network: address.map(network),
            },
            (None, Some(address)) => Client::At(address),
            (None, None) => Client::Unknown,
        }
    }

    /// `node` has taken a transaction of `client`: `sent`, where its hash could be computed.
    pub fn remember(
        &self,
        sent: Option<&pending_transactions::AcceptedTransaction<'_>>,
        client: Client,
        node: NodeId,
    ) {
        let now = clock::now();
        self.is_used.store(true, Ordering::Relaxed);
        if let Some(sent) = sent {
            lock(&self.pooled).take(sent, node, now);
        }
        self.shard(client).taken(client, node, now);
    }

    /// The transactions, where there are any.
    pub fn pooled(&self) -> Option<MutexGuard<'_, PooledTransactions>> {
        let is_used = self.is_used.load(Ordering::Relaxed);
        is_used.then(|| lock(&self.pooled))
    }

    /// The nodes that have the transaction.
    pub fn holders(&self, hash: TxHash) -> Vec<NodeId> {
        self.pooled()
            .map_or_else(Vec::new, |pooled| pooled.holders(hash, clock::now()))
    }

    /// The nodes that have taken `sender`'s transactions with this nonce.
    pub fn holders_of(&self, sender: Address, nonce: u64) -> Vec<NodeId> {
        let of = |pooled: &PooledTransactions| pooled.holders_of(sender, nonce, clock::now());
        self.pooled().map_or_else(Vec::new, |pooled| of(&pooled))
    }

    /// The nodes that have taken transactions of `client`.
    pub fn holders_for(&self, client: Client) -> Vec<NodeId> {
        if !self.is_used.load(Ordering::Relaxed) {
            return Vec::new();
        }
        self.shard(client).holders_for(client, clock::now())
    }

    fn shard(&self, client: Client) -> MutexGuard<'_, RecentWrites> {
        let at = self.names.hash_one(client.key()) as usize % SHARDS;
        lock(&self.shards[at])
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use forebay_core::rpc::transaction;

    #[test]
    fn a_client_is_known_by_its_name_or_else_by_its_address() {
        let taken = SharedWrites::default();
        let address = Some(IpAddr::from([10, 0, 0, 1]));
        let long = [b'x'; NAME_BYTES_MAX + 1];
        let named = taken.client(Some(&long[1..]), address);
        assert!(matches!(named, Client::Named { .. }));
        assert_eq!(named.key(), taken.client(Some(&long[1..]), None).key());
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
        let taken = SharedWrites::default();
        let hash = transaction::hash("[\"0x01\"]").unwrap();
        let client = taken.client(Some(b"a"), None);
        assert!(taken.pooled().is_none());
        let sent = pending_transactions::AcceptedTransaction {
            hash,
            signed: None,
            raw: &[1],
            network: None,
        };
        taken.remember(Some(&sent), client, NodeId(3));
        assert_eq!(taken.holders(hash), [NodeId(3)]);
        assert_eq!(taken.holders_for(client), [NodeId(3)]);
        assert_eq!(taken.holders_for(Client::Unknown), []);
    }
}

//! What nodes have taken from us, as calls share it: the core's memories under locks that only
//! writes, and the few methods that look for them, ever take.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use crate::clock;
use crate::shared::client_hash::ClientHasher;
use crate::shared::store::SharedStore;
use forebay_core::call::pending_transactions::{self, PooledTransactions};
use forebay_core::call::recent_writes::{RecentWrites, TIME_MAX};
use forebay_core::call::shared_news::{HandedWrite, NodeMark, SharedNews};
use forebay_core::fleet::view::FleetView;
use forebay_core::rpc::transaction::{self, Address, SignedTransaction, TxHash};
use forebay_core::vocabulary::chain::ChainId;
use forebay_core::vocabulary::client::{Client, network};
use forebay_core::vocabulary::node::NodeId;

/// Of the memory of clients.
const SHARDS: usize = 16;
/// Transactions remembered; and clients, over all shards.
const TRANSACTIONS_MAX: usize = 65_536;
const CLIENTS_MAX: usize = 10_000;
/// Of what was sent through other balancers, so much is looked at for one call.
const LATEST_MAX: usize = 64;
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
    /// Where other balancers tell of theirs.
    elsewhere: OnceLock<WritesElsewhere>,
}

/// What other balancers' clients sent, and the way to tell of ours.
#[derive(Debug)]
struct WritesElsewhere {
    hashes: ClientHasher,
    recent: Mutex<RecentWrites>,
    store: Arc<SharedStore>,
    /// Where it is said at once, and where it stands for who comes later.
    channel: String,
    log: String,
}

impl Default for SharedWrites {
    fn default() -> SharedWrites {
        SharedWrites {
            shards: std::array::from_fn(|_| Mutex::new(RecentWrites::new(CLIENTS_MAX / SHARDS))),
            pooled: Mutex::new(PooledTransactions::new(TRANSACTIONS_MAX)),
            names: RandomState::new(),
            is_used: AtomicBool::new(false),
            elsewhere: OnceLock::new(),
        }
    }
}

impl SharedWrites {
    /// Who calls: by the name it gives itself if that is of some use, else by its address.
    pub fn client(&self, name: Option<&[u8]>, address: Option<IpAddr>) -> Client {
        let name = name.filter(|name| !name.is_empty() && name.len() <= NAME_BYTES_MAX);
        match (name, address) {
            (Some(name), address) => Client::Named {
                name: match self.elsewhere.get() {
                    // As every balancer hashes it.
                    Some(elsewhere) => elsewhere.hashes.name(name),
                    None => self.names.hash_one(name),
                },
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

    /// From now on other balancers are told, by the `channel` and the `log` of `store`, and heard.
    pub fn hand_on(&self, secret: &str, store: Arc<SharedStore>, (channel, log): (String, String)) {
        let elsewhere = WritesElsewhere {
            hashes: ClientHasher::new(secret),
            recent: Mutex::new(RecentWrites::new(CLIENTS_MAX)),
            store,
            channel,
            log,
        };
        // Once is enough.
        drop(self.elsewhere.set(elsewhere));
    }

    /// Tells other balancers that the node called `node` has taken a transaction of `client`: before its
    /// client hears of it, but for some milliseconds at most.
    pub async fn tell(
        &self,
        sent: Option<&pending_transactions::AcceptedTransaction<'_>>,
        client: Client,
        node: &str,
    ) {
        let Some(elsewhere) = self.elsewhere.get() else {
            return;
        };
        let at = clock::unix_millis();
        let raw = sent.map_or(&[][..], |sent| sent.raw);
        let is_kept = raw.len() <= pending_transactions::RAW_BYTES_MAX;
        let news = SharedNews::Sent(HandedWrite {
            at,
            client: elsewhere.hashes.client(client),
            node: NodeMark::of(node),
            hash: sent.map(|sent| sent.hash),
            raw: if is_kept { raw.to_vec() } else { Vec::new() },
        });
        let message = news.write();
        let store = &elsewhere.store;
        // Who asks elsewhere next looks into the log; the others hear of it a moment later.
        store.append(&elsewhere.log, &message, (at, TIME_MAX)).await;
        store.publish(&elsewhere.channel, &message);
    }

    /// Hears what was sent through other balancers a moment ago, as far as that is known in milliseconds.
    pub async fn hear_latest(&self, view: &FleetView) {
        if let Some(elsewhere) = self.elsewhere.get() {
            let latest = elsewhere.store.latest(&elsewhere.log, LATEST_MAX).await;
            let nodes = marks(view);
            for entry in &latest {
                if let Some(SharedNews::Sent(sent)) = SharedNews::read(entry) {
                    self.hear(&sent, (&nodes, view.chain_id));
                }
            }
        }
    }

    /// A node has taken `sent` from another balancer. `nodes`: see [`marks`].
    pub fn hear(
        &self,
        sent: &HandedWrite,
        (nodes, chain): (&[(NodeMark, NodeId)], Option<ChainId>),
    ) {
        let age = Duration::from_millis(clock::unix_millis().saturating_sub(sent.at));
        if age > TIME_MAX {
            return;
        }
        let node = nodes.iter().find(|(mark, _)| *mark == sent.node);
        let (Some(elsewhere), Some(&(_, node))) = (self.elsewhere.get(), node) else {
            return;
        };
        let now = clock::now();
        let at = now.checked_sub(age).unwrap_or(now);
        let is_ours = |signed: &SignedTransaction| {
            let others = signed.chain_id.zip(chain);
            others.is_none_or(|(its, ours)| its == ours)
        };
        self.is_used.store(true, Ordering::Relaxed);
        let is_known = |hash: &TxHash| self.holders(*hash).contains(&node);
        if let Some(hash) = sent.hash.filter(|hash| !is_known(hash)) {
            let accepted = pending_transactions::AcceptedTransaction {
                hash,
                signed: transaction::read(&sent.raw).filter(is_ours),
                raw: &sent.raw,
                network: None,
            };
            lock(&self.pooled).take(&accepted, node, at);
        }
        if let Some(client) = sent.client {
            let client = Client::Named {
                name: client.0,
                network: None,
            };
            lock(&elsewhere.recent).taken(client, node, at);
        }
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
        let mut holders = self.shard(client).holders_for(client, clock::now());
        if let Some(elsewhere) = self.elsewhere.get() {
            let others = elsewhere.holders_for(client);
            holders.extend(
                others
                    .iter()
                    .filter(|node| !holders.contains(node))
                    .collect::<Vec<_>>(),
            );
        }
        holders
    }

    fn shard(&self, client: Client) -> MutexGuard<'_, RecentWrites> {
        let at = self.names.hash_one(client.key()) as usize % SHARDS;
        lock(&self.shards[at])
    }
}

impl WritesElsewhere {
    fn holders_for(&self, client: Client) -> Vec<NodeId> {
        let Some(client) = self.hashes.client(client) else {
            return Vec::new();
        };
        let client = Client::Named {
            name: client.0,
            network: None,
        };
        lock(&self.recent).holders_for(client, clock::now())
    }
}

/// How the store calls the nodes of `view`.
pub fn marks(view: &FleetView) -> Vec<(NodeMark, NodeId)> {
    let nodes = view.nodes.iter();
    nodes
        .map(|node| (NodeMark::of(&node.name), node.id))
        .collect()
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

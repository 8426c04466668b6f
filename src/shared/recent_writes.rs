//! What nodes have taken from us, as calls share it: the core's memories under locks that only
//! writes, and the few methods that look for them, ever take.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use crate::clock;
use crate::shared::client_hash::{ClientHasher, client_elsewhere};
use crate::shared::process_limits::{ChainShare, Resource};
use crate::shared::store::SharedStore;
use forebay_core::call::pending_transactions::{
    AcceptedTransaction, PoolBounds, PooledTransactions, RAW_BYTES_MAX,
};
use forebay_core::call::recent_writes::{RecentWrites, TIME_MAX};
use forebay_core::call::shared_news::{HandedWrite, NodeMark, SharedNews};
use forebay_core::fleet::view::FleetView;
use forebay_core::rpc::transaction::{self, Address, SignedTransaction, TxHash};
use forebay_core::vocabulary::chain::ChainId;
use forebay_core::vocabulary::client::{Client, NetworkMark, network};
use forebay_core::vocabulary::node::NodeId;

/// Of the memory of clients.
const SHARDS: usize = 16;
/// Clients remembered, over all shards.
const CLIENTS_MAX: usize = 10_000;
/// Of what was sent through other balancers, so much is looked at for one call.
const LATEST_MAX: usize = 64;
/// The longest name that a client may give itself, in bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// The shared memory.
pub struct SharedWrites {
    shards: [Mutex<RecentWrites>; SHARDS],
    pooled: Mutex<PooledTransactions>,
    /// Of transactions.
    share: Arc<ChainShare>,
    names: RandomState,
    /// Most balancers see no write for a long time, and then look for none.
    is_used: AtomicBool,
    /// Where other balancers tell of theirs.
    elsewhere: OnceLock<WritesElsewhere>,
}

/// What other balancers' clients sent, and the way to tell of ours.
struct WritesElsewhere {
    hashes: ClientHasher,
    recent: Mutex<RecentWrites>,
    store: Arc<SharedStore>,
    /// Where it is said at once, and where it stands for balancers that look later.
    channel: String,
    log: String,
}

#[cfg(test)]
impl Default for SharedWrites {
    fn default() -> SharedWrites {
        let caps = forebay_core::vocabulary::caps::Caps::ROOMY;
        SharedWrites::new(Arc::new(ChainShare::alone(&caps)))
    }
}

impl SharedWrites {
    pub fn new(share: Arc<ChainShare>) -> SharedWrites {
        SharedWrites {
            shards: std::array::from_fn(|_| Mutex::new(RecentWrites::new(CLIENTS_MAX / SHARDS))),
            pooled: Mutex::default(),
            share,
            names: RandomState::new(),
            is_used: AtomicBool::new(false),
            elsewhere: OnceLock::new(),
        }
    }

    fn bounds(&self) -> PoolBounds {
        PoolBounds {
            transactions: self.share.part(Resource::Transactions),
            raw_bytes: self.share.part(Resource::TransactionBytes),
        }
    }

    /// The client that calls: by the name it gives itself if that is of some use, else by its address.
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
    pub fn remember(&self, sent: Option<&AcceptedTransaction<'_>>, client: Client, node: NodeId) {
        let now = clock::now();
        self.is_used.store(true, Ordering::Relaxed);
        if let Some(sent) = sent {
            self.pooled.lock().take(sent, node, self.bounds(), now);
        }
        let network = self.network_of(client);
        self.shard(client).taken(client, network, node, now);
    }

    /// The network that `client` takes room of, as every balancer hashes it.
    pub fn network_of(&self, client: Client) -> Option<NetworkMark> {
        let network = client.network()?;
        Some(match self.elsewhere.get() {
            Some(elsewhere) => elsewhere.hashes.network(network),
            None => NetworkMark(self.names.hash_one(network)),
        })
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
    pub async fn tell(&self, sent: Option<&AcceptedTransaction<'_>>, client: Client, node: &str) {
        let Some(elsewhere) = self.elsewhere.get() else {
            return;
        };
        let at = clock::unix_millis();
        let raw = sent.map_or(&[][..], |sent| sent.raw);
        let is_kept = raw.len() <= RAW_BYTES_MAX;
        let signed = sent.and_then(|sent| sent.signed);
        let news = SharedNews::Sent(HandedWrite {
            at,
            client: elsewhere.hashes.client(client),
            network: self.network_of(client),
            sender: signed.map(|it| (elsewhere.hashes.sender(it.sender), it.nonce)),
            node: NodeMark::of(node),
            hash: sent.map(|sent| sent.hash),
            raw: if is_kept { raw.to_vec() } else { Vec::new() },
        });
        let message = news.write();
        let store = &elsewhere.store;
        // The balancer that the client asks next looks into the log; the others hear of it a moment later.
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
            let accepted = AcceptedTransaction {
                hash,
                signed: transaction::read(&sent.raw).filter(is_ours),
                marked: sent.sender,
                raw: &sent.raw,
                network: sent.network,
            };
            self.pooled.lock().take(&accepted, node, self.bounds(), at);
        }
        if let Some(client) = sent.client {
            let client = client_elsewhere(client);
            elsewhere
                .recent
                .lock()
                .taken(client, sent.network, node, at);
        }
    }

    /// `sender` is asked about: what other balancers told of it by its mark is known by its address now.
    pub fn name(&self, sender: Address) {
        if let Some(elsewhere) = self.elsewhere.get()
            && let Some(mut pooled) = self.pooled()
        {
            pooled.name(elsewhere.hashes.sender(sender), sender);
        }
    }

    /// The transactions, where there are any.
    pub fn pooled(&self) -> Option<MutexGuard<'_, PooledTransactions>> {
        let is_used = self.is_used.load(Ordering::Relaxed);
        is_used.then(|| self.pooled.lock())
    }

    /// The nodes that have the transaction.
    pub fn holders(&self, hash: TxHash) -> Vec<NodeId> {
        self.pooled()
            .map_or_else(Vec::new, |pooled| pooled.holders(hash, clock::now()))
    }

    /// The nodes that have taken `sender`'s transactions with this nonce.
    pub fn holders_of(&self, sender: Address, nonce: u64) -> Vec<NodeId> {
        self.name(sender);
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
        self.shards[at].lock()
    }
}

impl WritesElsewhere {
    fn holders_for(&self, client: Client) -> Vec<NodeId> {
        let Some(client) = self.hashes.client(client) else {
            return Vec::new();
        };
        self.recent
            .lock()
            .holders_for(client_elsewhere(client), clock::now())
    }
}

/// How the store calls the nodes of `view`.
pub fn marks(view: &FleetView) -> Vec<(NodeMark, NodeId)> {
    let nodes = view.nodes.iter();
    nodes
        .map(|node| (NodeMark::of(&node.name), node.id))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::process_limits::ProcessLimits;
    use forebay_core::call::shared_news::ClientHash;
    use forebay_core::vocabulary::caps::Caps;

    #[test]
    fn a_client_is_known_by_its_name_or_else_by_its_address() {
        let recent_writes = SharedWrites::default();
        let address = Some(IpAddr::from([10, 0, 0, 1]));
        let long = [b'x'; NAME_BYTES_MAX + 1];
        let named = recent_writes.client(Some(&long[1..]), address);
        assert!(matches!(named, Client::Named { .. }));
        assert_eq!(
            named.key(),
            recent_writes.client(Some(&long[1..]), None).key()
        );
        for name in [None, Some(&b""[..]), Some(&long)] {
            assert_eq!(
                recent_writes.client(name, address),
                Client::At([10, 0, 0, 1].into())
            );
        }
        assert_eq!(recent_writes.client(None, None), Client::Unknown);
    }

    #[test]
    fn what_was_taken_is_found_by_its_hash_and_by_its_client() {
        let recent_writes = SharedWrites::default();
        let hash = transaction::hash_of(&[1]);
        let client = recent_writes.client(Some(b"a"), None);
        assert!(recent_writes.pooled().is_none());
        let sent = accepted(hash, None);
        recent_writes.remember(Some(&sent), client, NodeId(3));
        assert_eq!(recent_writes.holders(hash), [NodeId(3)]);
        assert_eq!(recent_writes.holders_for(client), [NodeId(3)]);
        assert_eq!(recent_writes.holders_for(Client::Unknown), []);
    }

    fn accepted(hash: TxHash, network: Option<NetworkMark>) -> AcceptedTransaction<'static> {
        AcceptedTransaction {
            hash,
            signed: None,
            marked: None,
            raw: &[],
            network,
        }
    }

    /// Of a chain among others, of a process that has room for so many transactions.
    fn with_room(transactions: usize) -> SharedWrites {
        let limits = ProcessLimits::new(&Caps {
            transactions,
            ..Caps::ROOMY
        });
        SharedWrites::new(Arc::new(limits.share()))
    }

    #[test]
    fn transactions_have_the_room_that_memory_has_and_an_address_a_quarter_of_it() {
        for (room, wanted) in [(8, 2), (80, 20)] {
            let recent_writes = with_room(room);
            let client = recent_writes.client(None, Some([10, 0, 0, 1].into()));
            let hashes: Vec<_> = (0..100_u8)
                .map(|number| transaction::hash_of(&[number]))
                .collect();
            for hash in &hashes {
                let sent = accepted(*hash, recent_writes.network_of(client));
                recent_writes.remember(Some(&sent), client, NodeId(3));
            }
            let held = hashes
                .iter()
                .filter(|hash| !recent_writes.holders(**hash).is_empty());
            assert_eq!(held.count(), wanted);
        }
    }

    #[test]
    fn what_one_address_sends_through_another_balancer_has_a_quarter_of_the_room_too() {
        let recent_writes = with_room(8);
        let (news, log) = ("news".to_string(), "writes".to_string());
        recent_writes.hand_on("s3cret", SharedStore::away(), (news, log));
        let nodes = [(NodeMark::of("a"), NodeId(1))];
        let client = recent_writes.client(None, Some([10, 0, 0, 1].into()));
        let network = ClientHasher::new("s3cret").network([10, 0, 0, 1].into());
        assert_eq!(recent_writes.network_of(client), Some(network));
        let quiet = transaction::hash_of(b"quiet");
        let mut told = vec![(quiet, ClientHash(7), NetworkMark(7))];
        for number in 0..11_000_u64 {
            let hash = transaction::hash_of(&number.to_be_bytes());
            told.push((hash, ClientHash(100 + number), network));
        }
        for (hash, client, network) in &told {
            let sent = HandedWrite {
                at: clock::unix_millis(),
                client: Some(*client),
                network: Some(*network),
                sender: None,
                node: NodeMark::of("a"),
                hash: Some(*hash),
                raw: Vec::new(),
            };
            recent_writes.hear(&sent, (&nodes, None));
        }
        let held = told
            .iter()
            .filter(|(hash, _, _)| !recent_writes.holders(*hash).is_empty());
        assert_eq!(held.count(), 3);
        assert_eq!(recent_writes.holders(quiet), [NodeId(1)]);
        let quiet = client_elsewhere(ClientHash(7));
        assert_eq!(recent_writes.holders_for(quiet), [NodeId(1)]);
        // Through this one, it has no room beside.
        let hash = transaction::hash_of(b"one more");
        let sent = accepted(hash, recent_writes.network_of(client));
        recent_writes.remember(Some(&sent), client, NodeId(1));
        assert_eq!(recent_writes.holders(sent.hash), []);
    }
}

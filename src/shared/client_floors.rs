//! What each client was told of, as calls share it: the core's memory under locks that are only taken
//! for clients that were told, or may have been told, more than all are shown.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};

use crate::clock;
use crate::shared::client_hash::client_elsewhere;
use crate::shared::handed_on::Handover;
use forebay_core::call::shared_news::ClientHash;
use forebay_core::fleet::client_floors;
use forebay_core::fleet::client_floors::PublishedHead;
use forebay_core::vocabulary::chain::BlockNumber;
use forebay_core::vocabulary::client::Client;

const SHARDS: usize = 16;
/// Clients held to more than all are shown, over all shards.
pub const CLIENTS_MAX: usize = 10_000;

/// The shared memory.
#[derive(Debug)]
pub struct SharedFloors {
    shards: [Mutex<client_floors::ClientFloors>; SHARDS],
    hasher: RandomState,
    /// The highest of all: as a rule all are shown it, and no client is looked for.
    highest: AtomicU64,
    /// Of other balancers' clients, where those tell.
    elsewhere: OnceLock<FloorsElsewhere>,
}

/// What other balancers told clients, and the way to tell them of ours.
#[derive(Debug)]
struct FloorsElsewhere {
    handover: Handover,
    floors: Mutex<client_floors::ClientFloors>,
    highest: AtomicU64,
}

impl Default for SharedFloors {
    fn default() -> SharedFloors {
        let shard = || Mutex::new(client_floors::ClientFloors::new(CLIENTS_MAX / SHARDS));
        SharedFloors {
            shards: std::array::from_fn(|_| shard()),
            hasher: RandomState::new(),
            highest: AtomicU64::new(0),
            elsewhere: OnceLock::new(),
        }
    }
}

impl SharedFloors {
    /// `client` was told of block `head`.
    pub fn lift(&self, client: Client, head: BlockNumber, shown: PublishedHead) {
        if head <= shown.head {
            return;
        }
        let (client, now) = (client.key(), clock::now());
        let is_news = self.shard(&client).lift(client, head, shown, now);
        self.highest.fetch_max(head.0, Ordering::Release);
        if let Some(elsewhere) = self.elsewhere.get().filter(|_| is_news) {
            elsewhere.handover.floor(client, head);
        }
    }

    /// From now on other balancers are told, and heard.
    pub fn hand_on(&self, handover: Handover) {
        let elsewhere = FloorsElsewhere {
            handover,
            floors: Mutex::new(client_floors::ClientFloors::new(CLIENTS_MAX)),
            highest: AtomicU64::new(0),
        };
        // Once is enough.
        drop(self.elsewhere.set(elsewhere));
    }

    /// The way to tell other balancers, where there is one.
    pub fn handover(&self) -> Option<&Handover> {
        self.elsewhere.get().map(|elsewhere| &elsewhere.handover)
    }

    /// Another balancer told `client` of block `head`.
    pub fn hear(&self, client: ClientHash, head: BlockNumber, shown: PublishedHead) {
        if let Some(elsewhere) = self.elsewhere.get() {
            let client = client_elsewhere(client);
            let (floors, now) = (&elsewhere.floors, clock::now());
            floors.lock().lift(client, head, shown, now);
            elsewhere.highest.fetch_max(head.0, Ordering::Release);
        }
    }

    /// What `client` must not be shown less than, where that is more than all are shown.
    pub fn of(&self, client: Client, shown: PublishedHead) -> Option<BlockNumber> {
        let elsewhere = (self.elsewhere.get()).and_then(|it| it.of(client, shown));
        if self.highest.load(Ordering::Acquire) <= shown.head.0 {
            return elsewhere;
        }
        let client = client.key();
        let here = self.shard(&client).of(client, shown, clock::now());
        here.max(elsewhere)
    }

    fn shard(&self, client: &Client) -> MutexGuard<'_, client_floors::ClientFloors> {
        let at = self.hasher.hash_one(client) as usize % SHARDS;
        self.shards[at].lock()
    }
}

impl FloorsElsewhere {
    fn of(&self, client: Client, shown: PublishedHead) -> Option<BlockNumber> {
        if self.highest.load(Ordering::Acquire) <= shown.head.0 {
            return None;
        }
        let client = client_elsewhere(self.handover.hashes.client(client)?);
        self.floors.lock().of(client, shown, clock::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_was_told_more_finds_it_and_the_others_look_for_nothing() {
        let floors = SharedFloors::default();
        let shown = PublishedHead {
            head: BlockNumber(100),
            falls: 0,
        };
        let [one, other] = [1, 2].map(|name| client_elsewhere(ClientHash(name)));
        floors.lift(one, BlockNumber(100), shown);
        assert_eq!(floors.highest.load(Ordering::Acquire), 0, "no news");
        floors.lift(one, BlockNumber(101), shown);
        assert_eq!(floors.of(one, shown), Some(BlockNumber(101)));
        assert_eq!(floors.of(other, shown), None);
    }
}

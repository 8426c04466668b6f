//! Identical reads in flight: one goes to a node, the others wait for what it brings.
//!
//! The first to come leads. When its client leaves, those who wait are told so, and one of them
//! leads anew. A call without others costs one hash and, at its beginning and its end, the lock of
//! one shard of the map.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use foldhash::quality::RandomState;
use tokio::sync::watch;

use forebay_core::call::trail::FailedAttempts;
use forebay_core::rpc::refusal::Refusal;
use forebay_core::rpc::whole_answer::WholeAnswer;
use forebay_core::vocabulary::chain::BlockNumber;

const SHARDS: usize = 64;
/// A call that is longer than this goes alone.
pub const BODY_BYTES_MAX: usize = 16 << 10;

/// A node's answer, for all who wait for it.
#[derive(Clone, Debug)]
pub struct SharedAnswer {
    pub answer: WholeAnswer,
    pub node: Arc<str>,
    /// Nodes asked.
    pub attempts: usize,
    pub is_error: bool,
}

/// How a flight ended.
#[derive(Clone, Debug)]
pub enum FlightOutcome {
    Brought(SharedAnswer),
    Refused(Refusal, FailedAttempts),
    /// There was no place for it. Places are given by caller: it was one of this network.
    Shed(Option<IpAddr>, FailedAttempts),
    /// Every node fails at it.
    Unanswerable(Refusal, FailedAttempts),
    /// Nothing that can be shared: each asks for itself.
    Nothing,
}

/// The reads in flight.
#[derive(Debug)]
pub struct Singleflight {
    /// Quick, not proof against who searches for calls of one hash: such go alone.
    hashes: RandomState,
    shards: [Mutex<FlightShard>; SHARDS],
}

/// By the hash of the call, which needs no hashing again.
type FlightShard = HashMap<u64, Flight, BuildHasherDefault<IdentityHasher>>;

#[derive(Debug)]
struct Flight {
    body: Bytes,
    head: Option<BlockNumber>,
    /// There is none as long as nobody waits.
    bell: Option<watch::Sender<Option<FlightOutcome>>>,
}

/// A call's part in a flight.
#[derive(Debug)]
pub enum Join<'a> {
    /// It asks, and must say what came of it.
    Leader(FlightOwner<'a>),
    Follower(FlightFollower),
    /// It asks for itself alone.
    Alone,
}

/// Who asks for all. Dropped without a word, it tells the others that its client has left.
#[derive(Debug)]
pub struct FlightOwner<'a> {
    flights: &'a Singleflight,
    hash: u64,
    /// The flight is no longer in the map: another may stand there under the same hash.
    has_landed: bool,
}

/// Who waits.
#[derive(Debug)]
pub struct FlightFollower(watch::Receiver<Option<FlightOutcome>>);

impl Default for Singleflight {
    fn default() -> Singleflight {
        Singleflight {
            hashes: RandomState::default(),
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }
}

impl Singleflight {
    /// Takes a seat in the flight for `body`, the call as a node gets it. `head`: the head that
    /// clients are shown, so that nobody gets an answer that was asked for before he saw it.
    pub fn join(&self, body: &Bytes, head: Option<BlockNumber>) -> Join<'_> {
        if body.len() > BODY_BYTES_MAX {
            return Join::Alone;
        }
        let hash = self.hashes.hash_one((body, head.map(|head| head.0)));
        let mut shard = self.shard(hash);
        let Some(flight) = shard.get_mut(&hash) else {
            let flight = Flight {
                body: body.clone(),
                head,
                bell: None,
            };
            shard.insert(hash, flight);
            return Join::Leader(FlightOwner {
                flights: self,
                hash,
                has_landed: false,
            });
        };
        if flight.body != *body || flight.head != head {
            return Join::Alone;
        }
        let bell = flight.bell.get_or_insert_with(|| watch::Sender::new(None));
        Join::Follower(FlightFollower(bell.subscribe()))
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, FlightShard> {
        // The map itself goes by the lower bits.
        self.shards[(hash >> 58) as usize % SHARDS]
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl FlightOwner<'_> {
    /// The flight is over; `landed` is asked for only where somebody waits.
    pub fn land(mut self, landed: impl FnOnce() -> FlightOutcome) {
        self.has_landed = true;
        if let Some(bell) = self.leave() {
            bell.send_replace(Some(landed()));
        }
    }

    fn leave(&self) -> Option<watch::Sender<Option<FlightOutcome>>> {
        self.flights.shard(self.hash).remove(&self.hash)?.bell
    }
}

impl Drop for FlightOwner<'_> {
    fn drop(&mut self) {
        if !self.has_landed {
            // Whoever waits hears the bell fall.
            drop(self.leave());
        }
    }
}

impl FlightFollower {
    /// What the flight brought; `None` when its leader has left.
    pub async fn landed(mut self) -> Option<FlightOutcome> {
        self.0.wait_for(Option::is_some).await.ok()?.clone()
    }
}

/// Takes a number that is a hash already for its own.
#[derive(Debug, Default)]
struct IdentityHasher(u64);

impl Hasher for IdentityHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        // Never called: the keys are numbers.
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forebay_core::rpc::answer::Answer;
    use forebay_core::rpc::envelope::UpstreamCallId;

    fn body() -> Bytes {
        Bytes::from_static(b"{\"method\":\"eth_gasPrice\"}")
    }

    fn leader(flights: &Singleflight) -> FlightOwner<'_> {
        match flights.join(&body(), None) {
            Join::Leader(leader) => leader,
            other => panic!("{other:?}"),
        }
    }

    fn follower(flights: &Singleflight) -> FlightFollower {
        match flights.join(&body(), None) {
            Join::Follower(follower) => follower,
            other => panic!("{other:?}"),
        }
    }

    fn answer() -> FlightOutcome {
        let bytes = Bytes::from_static(br#"{"id":1,"result":7}"#);
        FlightOutcome::Brought(SharedAnswer {
            answer: WholeAnswer::new(
                &bytes,
                &Answer::read(&bytes, UpstreamCallId::FIRST).unwrap(),
            ),
            node: "a".into(),
            attempts: 1,
            is_error: false,
        })
    }

    #[tokio::test]
    async fn the_first_leads_and_all_others_get_what_it_brings() {
        let flights = Singleflight::default();
        let first = leader(&flights);
        let followers: Vec<_> = (0..100).map(|_| follower(&flights)).collect();
        first.land(answer);
        for follower in followers {
            let landed = follower.landed().await;
            assert!(matches!(landed, Some(FlightOutcome::Brought(_))));
        }
        drop(leader(&flights));
    }

    #[tokio::test]
    async fn when_the_leader_leaves_the_others_are_told_and_one_leads_anew() {
        let flights = Singleflight::default();
        let first = leader(&flights);
        let waiting = [follower(&flights), follower(&flights)];
        drop(first);
        for follower in waiting {
            assert!(follower.landed().await.is_none());
        }
        let _second = leader(&flights);
        let _follower = follower(&flights);
    }

    #[test]
    fn a_flight_that_begins_while_one_lands_keeps_its_place() {
        let flights = Singleflight::default();
        let first = leader(&flights);
        let _waiting = follower(&flights);
        let mut second = None;
        first.land(|| {
            second = Some(leader(&flights));
            FlightOutcome::Nothing
        });
        assert!(second.is_some());
        let _joins_the_second = follower(&flights);
    }

    #[test]
    fn nothing_is_made_ready_for_nobody() {
        let flights = Singleflight::default();
        leader(&flights).land(|| panic!("nobody waits"));
        assert!(
            flights
                .shards
                .iter()
                .all(|shard| shard.lock().unwrap().is_empty())
        );
    }

    #[test]
    fn another_call_and_another_head_are_other_flights() {
        let flights = Singleflight::default();
        let _first = leader(&flights);
        for (body, head) in [
            (Bytes::from_static(b"{}"), None),
            (body(), Some(BlockNumber(7))),
        ] {
            let seat = flights.join(&body, head);
            assert!(matches!(seat, Join::Leader(_)), "{seat:?}");
        }
    }

    #[test]
    fn a_long_call_goes_alone() {
        let flights = Singleflight::default();
        let long = Bytes::from(vec![b'x'; BODY_BYTES_MAX + 1]);
        let at_the_limit = long.slice(1..);
        assert!(matches!(flights.join(&at_the_limit, None), Join::Leader(_)));
        assert!(matches!(flights.join(&long, None), Join::Alone));
    }
}

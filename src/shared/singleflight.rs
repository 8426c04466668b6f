//! Identical reads in flight: one goes to a node, the others wait for what it brings.
//!
//! The first to come asks, and owns the flight. When its client leaves, the calls that wait are told so, and one of them
//! asks anew. While it waits for a place at a node, which go round by caller, other callers' don't wait for it
//! but have a flight of their own. A call without others costs one hash and, at its beginning and its end, the lock of
//! one shard of the map.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use foldhash::quality::RandomState;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use crate::observe::metrics::CallOutcome;
use forebay_core::call::trail::FailedAttempts;
use forebay_core::rpc::refusal::Refusal;
use forebay_core::rpc::whole_answer::WholeAnswer;
use forebay_core::vocabulary::chain::BlockNumber;

const SHARDS: usize = 64;
/// A call that is longer than this goes alone.
pub const BODY_BYTES_MAX: usize = 16 << 10;

/// A node's answer, for all calls that wait for it.
#[derive(Clone, Debug)]
pub struct SharedAnswer {
    pub answer: WholeAnswer,
    pub node: Arc<str>,
    /// Nodes asked.
    pub attempts: usize,
}

/// No answer, for all calls that wait for one.
#[derive(Clone, Debug)]
pub struct SharedRefusal {
    pub why: Refusal,
    /// As it is counted.
    pub outcome: CallOutcome,
    pub failed: FailedAttempts,
    /// The network of the call that asked. Places are given by network: where there was none, another may find one.
    pub network: Option<IpAddr>,
}

/// How a flight ended.
#[derive(Clone, Debug)]
pub enum FlightOutcome {
    Shared(SharedAnswer),
    Refused(SharedRefusal),
    /// Nothing that can be shared: each asks for itself.
    Nothing,
}

/// The reads in flight.
#[derive(Debug)]
pub struct Singleflight {
    /// Quick, not proof against an attacker who searches for calls of one hash: such calls go alone.
    hashes: RandomState,
    shards: [Mutex<FlightShard>; SHARDS],
}

/// By the hash of the call, which needs no hashing again.
type FlightShard = HashMap<u64, Flight, BuildHasherDefault<IdentityHasher>>;

#[derive(Debug)]
struct Flight {
    body: Bytes,
    head: Option<BlockNumber>,
    /// The network of the call that asks, while that waits for a place.
    in_line: Option<Option<IpAddr>>,
    /// There is none as long as no call waits.
    bell: Option<watch::Sender<Option<FlightOutcome>>>,
}

/// A call's part in a flight.
#[derive(Debug)]
pub enum Join<'a> {
    /// It asks, and must say what came of it.
    Owner(FlightOwner<'a>),
    Follower(FlightFollower),
    /// It asks for itself alone.
    Alone,
}

/// The call that asks for all. Dropped without a word, it tells the others that its client has left.
#[derive(Debug)]
pub struct FlightOwner<'a> {
    singleflight: &'a Singleflight,
    hash: u64,
    /// The flight is no longer in the map: another may stand there under the same hash.
    has_landed: bool,
}

/// A flight that waits for a place.
#[derive(Debug)]
pub struct FlightInLine<'a>(&'a FlightOwner<'a>);

/// A call that waits.
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
    /// Joins the flight for `body`, the call as a node gets it. `head`: the head that
    /// clients are shown, so that no client gets an answer that was asked for before it saw that head.
    /// `caller`: its network.
    pub fn join(
        &self,
        body: &Bytes,
        head: Option<BlockNumber>,
        caller: Option<IpAddr>,
    ) -> Join<'_> {
        if body.len() > BODY_BYTES_MAX {
            return Join::Alone;
        }
        let is_others = |flight: &Flight| flight.in_line.is_some_and(|other| other != caller);
        let key = (body, head.map(|head| head.0));
        let shared = self.join_flight(self.hashes.hash_one(key), (body, head), is_others);
        shared.unwrap_or_else(|| {
            let own = self.hashes.hash_one((key, caller));
            self.join_flight(own, (body, head), |_| false)
                .unwrap_or(Join::Alone)
        })
    }

    /// `None`: there is a flight that `is_others`.
    fn join_flight(
        &self,
        hash: u64,
        (body, head): (&Bytes, Option<BlockNumber>),
        is_others: impl Fn(&Flight) -> bool,
    ) -> Option<Join<'_>> {
        let mut shard = self.shard(hash);
        let Some(flight) = shard.get_mut(&hash) else {
            let flight = Flight {
                body: body.clone(),
                head,
                in_line: None,
                bell: None,
            };
            shard.insert(hash, flight);
            return Some(Join::Owner(FlightOwner {
                singleflight: self,
                hash,
                has_landed: false,
            }));
        };
        if flight.body != *body || flight.head != head {
            return Some(Join::Alone);
        }
        if is_others(flight) {
            return None;
        }
        let bell = flight.bell.get_or_insert_with(|| watch::Sender::new(None));
        Some(Join::Follower(FlightFollower(bell.subscribe())))
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, FlightShard> {
        // The map itself goes by the lower bits.
        self.shards[(hash >> 58) as usize % SHARDS].lock()
    }
}

impl FlightOwner<'_> {
    /// The flight is over; `landed` is asked for only where a call waits.
    pub fn land(mut self, landed: impl FnOnce() -> FlightOutcome) {
        self.has_landed = true;
        if let Some(bell) = self.leave() {
            bell.send_replace(Some(landed()));
        }
    }

    /// It waits for a place, until what is returned is dropped. `caller`: the network whose turn it waits for.
    pub fn wait(&self, caller: Option<IpAddr>) -> FlightInLine<'_> {
        self.stand(Some(caller));
        FlightInLine(self)
    }

    fn stand(&self, in_line: Option<Option<IpAddr>>) {
        if let Some(flight) = self.singleflight.shard(self.hash).get_mut(&self.hash) {
            flight.in_line = in_line;
        }
    }

    fn leave(&self) -> Option<watch::Sender<Option<FlightOutcome>>> {
        self.singleflight.shard(self.hash).remove(&self.hash)?.bell
    }
}

impl Drop for FlightInLine<'_> {
    fn drop(&mut self) {
        self.0.stand(None);
    }
}

impl Drop for FlightOwner<'_> {
    fn drop(&mut self) {
        if !self.has_landed {
            // The calls that wait hear the bell fall.
            drop(self.leave());
        }
    }
}

impl FlightFollower {
    /// What the flight brought; `None` when its owner has left.
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

    fn body() -> Bytes {
        Bytes::from_static(b"{\"method\":\"eth_gasPrice\"}")
    }

    fn owner(singleflight: &Singleflight) -> FlightOwner<'_> {
        match singleflight.join(&body(), None, None) {
            Join::Owner(owner) => owner,
            other => panic!("{other:?}"),
        }
    }

    fn follower(singleflight: &Singleflight) -> FlightFollower {
        match singleflight.join(&body(), None, None) {
            Join::Follower(follower) => follower,
            other => panic!("{other:?}"),
        }
    }

    fn answer() -> FlightOutcome {
        FlightOutcome::Shared(SharedAnswer {
            answer: forebay_core::testing::whole_answer(r#"{"id":1,"result":7}"#),
            node: "a".into(),
            attempts: 1,
        })
    }

    #[tokio::test]
    async fn the_first_asks_and_all_others_get_what_it_brings() {
        let singleflight = Singleflight::default();
        let first = owner(&singleflight);
        let followers: Vec<_> = (0..100).map(|_| follower(&singleflight)).collect();
        first.land(answer);
        for follower in followers {
            let landed = follower.landed().await;
            assert!(matches!(landed, Some(FlightOutcome::Shared(_))));
        }
        drop(owner(&singleflight));
    }

    #[tokio::test]
    async fn when_the_owner_leaves_the_others_are_told_and_one_asks_anew() {
        let singleflight = Singleflight::default();
        let first = owner(&singleflight);
        let waiting = [follower(&singleflight), follower(&singleflight)];
        drop(first);
        for follower in waiting {
            assert!(follower.landed().await.is_none());
        }
        let _second = owner(&singleflight);
        let _follower = follower(&singleflight);
    }

    #[test]
    fn a_flight_that_begins_while_one_lands_keeps_its_place() {
        let singleflight = Singleflight::default();
        let first = owner(&singleflight);
        let _waiting = follower(&singleflight);
        let mut second = None;
        first.land(|| {
            second = Some(owner(&singleflight));
            FlightOutcome::Nothing
        });
        assert!(second.is_some());
        let _joins_the_second = follower(&singleflight);
    }

    #[test]
    fn nothing_is_made_ready_where_no_call_waits() {
        let singleflight = Singleflight::default();
        owner(&singleflight).land(|| panic!("no call waits"));
        assert!(
            singleflight
                .shards
                .iter()
                .all(|shard| shard.lock().is_empty())
        );
    }

    #[test]
    fn another_call_and_another_head_are_other_flights() {
        let singleflight = Singleflight::default();
        let _first = owner(&singleflight);
        for (body, head) in [
            (Bytes::from_static(b"{}"), None),
            (body(), Some(BlockNumber(7))),
        ] {
            let join = singleflight.join(&body, head, None);
            assert!(matches!(join, Join::Owner(_)), "{join:?}");
        }
    }

    #[test]
    fn others_do_not_wait_for_a_flight_that_waits_for_its_callers_turn() {
        let singleflight = Singleflight::default();
        let [loud, quiet] = [1, 2].map(|last| Some(IpAddr::from([192, 0, 2, last])));
        let join = |caller| singleflight.join(&body(), None, caller);
        let Join::Owner(first) = join(loud) else {
            panic!("the first asks");
        };
        let waits = first.wait(loud);
        assert!(matches!(join(loud), Join::Follower(_)));
        let Join::Owner(own) = join(quiet) else {
            panic!("it has a turn of its own");
        };
        assert!(matches!(join(quiet), Join::Follower(_)));
        drop(waits);
        assert!(matches!(join(quiet), Join::Follower(_)));
        drop((own, first));
        assert!(matches!(join(quiet), Join::Owner(_)));
    }

    #[test]
    fn a_long_call_goes_alone() {
        let singleflight = Singleflight::default();
        let long = Bytes::from(vec![b'x'; BODY_BYTES_MAX + 1]);
        let at_the_limit = long.slice(1..);
        assert!(matches!(
            singleflight.join(&at_the_limit, None, None),
            Join::Owner(_)
        ));
        assert!(matches!(singleflight.join(&long, None, None), Join::Alone));
    }
}

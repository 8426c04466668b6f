//! The gate: how much may be inside at once, and whether the house is still open.
//!
//! What is sent to us is counted as it comes, whether its length was announced or not (a chunked
//! body, the fragments of a message): an announcement is only a word, and a client that announces
//! much and sends nothing takes no room from others. What has come is always within the limit.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};

use tokio::sync::watch;

use super::callers::{Caller, Callers, is_fair};
use crate::shared::answer_budget::AnswerBudget;
use forebay_core::vocabulary::caps::Caps;

/// Connections beyond the cap that are told about our health, or that there is no room.
pub const ANTEROOM_MAX: usize = 64;
/// A body up to this length, in bytes, finds room where longer ones have taken all that is theirs: a quiet
/// client's calls are short.
const SHORT_BYTES_MAX: usize = 4 << 10;
/// The part of the room that is left for them: as many as may be inside at once.
const SHORT_PART: usize = 6;
/// What an answer that waits for its client holds at least, in bytes.
const UNSENT_BYTES_MIN: usize = 4 << 10;

/// Counts what is inside.
#[derive(Debug)]
pub struct Admission {
    caps: Caps,
    callers: Callers,
    requests: AtomicUsize,
    bytes: AtomicUsize,
    answers_bytes: AtomicU64,
    unsent_bytes: AtomicU64,
    connections: AtomicUsize,
    anteroom: AtomicUsize,
    /// A [`AdmissionState`].
    door: AtomicU8,
    /// Whether connections are to end, for those that wait for it.
    closing: watch::Sender<bool>,
}

impl Default for Admission {
    fn default() -> Admission {
        Admission::new(Caps::ROOMY)
    }
}

/// Whether calls are still welcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum AdmissionState {
    Open = 0,
    /// Connections end after their answer, because a new process takes the next ones.
    HandedOver = 1,
    /// The same, and the load balancer in front is told to turn away.
    Closing = 2,
}

/// Bytes that are held without a request's place; given back when dropped.
#[derive(Debug)]
pub struct HeldBytes<'a> {
    gate: &'a Admission,
    bytes: usize,
}

/// One request's place inside, with the bytes of its body; given back when dropped. It ends with the
/// work: an answer that its client doesn't take holds no place.
#[derive(Debug)]
pub struct Permit<'a> {
    gate: &'a Admission,
    caller: Caller,
    bytes: usize,
}

/// What waits for a client to take it; given back when dropped.
#[derive(Debug)]
pub struct UnsentBytes<'a> {
    gate: &'a Admission,
    caller: Caller,
    bytes: u64,
}

/// A connection's place; given back when dropped.
#[derive(Debug)]
pub struct ConnectionPermit {
    gate: Arc<Admission>,
    caller: Caller,
}

/// A connection's place in the anteroom; given back when dropped.
#[derive(Debug)]
pub struct WaitPermit {
    gate: Arc<Admission>,
    caller: Caller,
}

impl Admission {
    pub fn new(caps: Caps) -> Admission {
        Admission {
            caps,
            callers: Callers::default(),
            requests: AtomicUsize::default(),
            bytes: AtomicUsize::default(),
            answers_bytes: AtomicU64::default(),
            unsent_bytes: AtomicU64::default(),
            connections: AtomicUsize::default(),
            anteroom: AtomicUsize::default(),
            door: AtomicU8::default(),
            closing: watch::Sender::default(),
        }
    }

    pub fn caps(&self) -> &Caps {
        &self.caps
    }

    /// Who asks from `address`, for whatever is shared among callers.
    pub fn caller(&self, address: Option<IpAddr>) -> Caller {
        self.callers.at(address)
    }

    /// Lets one request in; `None` when the house is full, or what room there is isn't for who has
    /// so much of it already.
    pub fn enter(&self, caller: Caller) -> Option<Permit<'_>> {
        let own = &self.callers.slot(caller).requests;
        let (before, own_before) = (
            self.requests.fetch_add(1, Ordering::Relaxed),
            own.fetch_add(1, Ordering::Relaxed),
        );
        if !is_fair(own_before, before, self.caps.requests) {
            self.leave(caller);
            return None;
        }
        Some(Permit {
            gate: self,
            caller,
            bytes: 0,
        })
    }

    fn leave(&self, caller: Caller) {
        self.requests.fetch_sub(1, Ordering::Relaxed);
        let own = &self.callers.slot(caller).requests;
        own.fetch_sub(1, Ordering::Relaxed);
    }

    /// Room for an answer of `bytes` until its client has taken it; `None` when there is none, or
    /// the client has so much of it already.
    pub fn unsent(&self, caller: Caller, bytes: usize) -> Option<UnsentBytes<'_>> {
        let bytes = bytes.max(UNSENT_BYTES_MIN) as u64;
        self.hold_unsent(caller, bytes).then(|| UnsentBytes {
            gate: self,
            caller,
            bytes,
        })
    }

    /// As [`Admission::unsent`]; whoever took it releases it.
    pub fn hold_unsent(&self, caller: Caller, bytes: u64) -> bool {
        let own = &self.callers.slot(caller).unsent_bytes;
        let before = self.unsent_bytes.fetch_add(bytes, Ordering::Relaxed);
        let own_before = own.fetch_add(bytes, Ordering::Relaxed);
        let fits = before + bytes <= self.caps.unsent
            && is_fair(count(own_before), count(before), count(self.caps.unsent));
        if !fits {
            self.release_unsent(caller, bytes);
        }
        fits
    }

    /// Gives room back that was held.
    pub fn release_unsent(&self, caller: Caller, bytes: u64) {
        self.unsent_bytes.fetch_sub(bytes, Ordering::Relaxed);
        let own = &self.callers.slot(caller).unsent_bytes;
        own.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// A place for a connection; `None` when there is none, or the client has so many already.
    pub fn connect(self: &Arc<Self>, caller: Caller) -> Option<ConnectionPermit> {
        let own = &self.callers.slot(caller).connections;
        let (before, own_before) = (
            self.connections.fetch_add(1, Ordering::Relaxed),
            own.fetch_add(1, Ordering::Relaxed),
        );
        let connected = ConnectionPermit {
            gate: self.clone(),
            caller,
        };
        is_fair(own_before, before, self.caps.connections).then_some(connected)
    }

    /// A place for a connection that is told about our health, or that there is no room for it.
    pub fn wait(self: &Arc<Self>, caller: Caller) -> Option<WaitPermit> {
        let own = &self.callers.slot(caller).waiting;
        let (before, own_before) = (
            self.anteroom.fetch_add(1, Ordering::Relaxed),
            own.fetch_add(1, Ordering::Relaxed),
        );
        let waits = WaitPermit {
            gate: self.clone(),
            caller,
        };
        is_fair(own_before, before, ANTEROOM_MAX).then_some(waits)
    }

    /// Connections of clients.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Bytes of answers that wait for their clients.
    pub fn unsent_bytes(&self) -> u64 {
        self.unsent_bytes.load(Ordering::Relaxed)
    }

    /// Takes room for `bytes` of a body; `false` when there is none. Whoever took it releases it.
    pub fn hold(&self, bytes: usize) -> bool {
        self.hold_more(0, bytes)
    }

    /// As [`Admission::hold`], for who holds `own` of it already: what is long leaves room for what is short.
    pub fn hold_more(&self, own: usize, bytes: usize) -> bool {
        let max = match own.saturating_add(bytes) > SHORT_BYTES_MAX {
            true => self.caps.bodies - self.caps.bodies / SHORT_PART,
            false => self.caps.bodies,
        };
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits = before.saturating_add(bytes) <= max;
        if !fits {
            self.release(bytes);
        }
        fits
    }

    /// Takes room of whatever kind, for tests of who then finds none.
    #[cfg(test)]
    pub fn fill(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Room for `bytes`, for as long as the result is held; `None` when there is none.
    pub fn load(&self, bytes: usize) -> Option<HeldBytes<'_>> {
        self.hold(bytes).then(|| HeldBytes { gate: self, bytes })
    }

    /// Gives room back that was held.
    pub fn release(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Room for up to `bytes_max` bytes of answers.
    pub fn room(&self, bytes_max: u64) -> AnswerBudget<'_> {
        AnswerBudget::new(&self.answers_bytes, self.caps.answers, bytes_max)
    }

    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// Bytes of request bodies inside.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes of nodes' answers that are held whole.
    pub fn answers_bytes(&self) -> u64 {
        self.answers_bytes.load(Ordering::Relaxed)
    }

    /// From now on `/health` says no, and connections close after their answer.
    pub fn close(&self) {
        self.turn(AdmissionState::Closing);
    }

    /// From now on connections close after their answer: a new process takes those that follow.
    pub fn hand_over(&self) {
        self.turn(AdmissionState::HandedOver);
    }

    fn turn(&self, door: AdmissionState) {
        self.door.fetch_max(door as u8, Ordering::Release);
        self.closing.send_replace(true);
    }

    /// Whether connections are to end.
    pub fn is_closing(&self) -> bool {
        self.door.load(Ordering::Acquire) != AdmissionState::Open as u8
    }

    /// Whether nobody should send calls here any more.
    pub fn is_leaving(&self) -> bool {
        self.door.load(Ordering::Acquire) == AdmissionState::Closing as u8
    }

    /// Turns true when connections are to end.
    pub fn closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }
}

impl HeldBytes<'_> {
    /// Takes room for so many bytes in all; `false` when there is none.
    pub fn grow(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let has_room = self.gate.hold_more(self.bytes, more);
        if has_room {
            self.bytes += more;
        }
        has_room
    }
}

impl Permit<'_> {
    /// Takes room for `bytes` more; `false` when there is none.
    pub fn hold(&mut self, bytes: usize) -> bool {
        let has_room = self.gate.hold_more(self.bytes, bytes);
        if has_room {
            self.bytes += bytes;
        }
        has_room
    }
}

fn count(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.gate.leave(self.caller);
        self.gate.release(self.bytes);
    }
}

impl Drop for UnsentBytes<'_> {
    fn drop(&mut self) {
        self.gate.release_unsent(self.caller, self.bytes);
    }
}

impl Drop for HeldBytes<'_> {
    fn drop(&mut self) {
        self.gate.release(self.bytes);
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.gate.connections.fetch_sub(1, Ordering::Relaxed);
        let own = &self.gate.callers.slot(self.caller).connections;
        own.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for WaitPermit {
    fn drop(&mut self) {
        self.gate.anteroom.fetch_sub(1, Ordering::Relaxed);
        let own = &self.gate.callers.slot(self.caller).waiting;
        own.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::shared::callers::SHARE;

    const REQUESTS: usize = 40;

    fn gate() -> Admission {
        Admission::new(Caps {
            requests: REQUESTS,
            bodies: 100,
            answers: 100,
            unsent: 100 << 10,
            connections: REQUESTS,
            ..Caps::ROOMY
        })
    }

    fn caller(gate: &Admission, last: u8) -> Caller {
        gate.caller(Some(IpAddr::from([10, 0, 0, last])))
    }

    #[test]
    fn one_caller_has_his_share_of_places_and_others_find_theirs() {
        let gate = gate();
        let (greedy, quiet) = (caller(&gate, 1), caller(&gate, 2));
        let mut inside: Vec<_> = std::iter::from_fn(|| gate.enter(greedy)).collect();
        assert_eq!(inside.len(), REQUESTS * SHARE / (SHARE + 1));
        let first = gate.enter(quiet);
        assert!(first.is_some() && gate.enter(greedy).is_none());
        inside.pop();
        assert!(gate.enter(quiet).is_some());
        drop(inside);
        drop(first);
        assert_eq!(gate.requests(), 0);
        assert!(gate.enter(greedy).is_some());
    }

    #[test]
    fn the_house_is_full_at_its_limit_and_has_room_again_when_one_leaves() {
        let gate = gate();
        let enter = |turn: usize| gate.enter(caller(&gate, u8::try_from(turn % 200).unwrap()));
        let mut inside: Vec<_> = (0..1000).filter_map(enter).collect();
        assert_eq!(inside.len(), REQUESTS);
        inside.pop();
        assert!((0..200).any(|turn| enter(turn).is_some()));
    }

    #[test]
    fn what_waits_for_a_client_holds_no_place_and_is_bounded_for_each_and_in_all() {
        let gate = gate();
        let (greedy, quiet) = (caller(&gate, 1), caller(&gate, 2));
        let waiting: Vec<_> = std::iter::from_fn(|| gate.unsent(greedy, 1)).collect();
        assert_eq!(waiting.len(), 19, "4 KiB each, three quarters of 100");
        assert!(gate.unsent(quiet, 8 << 10).is_some());
        assert_eq!((gate.requests(), gate.unsent_bytes()), (0, 19 * 4096));
        assert!(gate.unsent(quiet, 30 << 10).is_none(), "more than is left");
        drop(waiting);
        assert_eq!(gate.unsent_bytes(), 0);
    }

    #[test]
    fn connections_are_shared_alike_and_a_few_more_are_told_that_there_are_too_many() {
        let gate = Arc::new(gate());
        let (greedy, quiet) = (caller(&gate, 1), caller(&gate, 2));
        let open: Vec<_> = std::iter::from_fn(|| gate.connect(greedy)).collect();
        assert_eq!(open.len(), REQUESTS * SHARE / (SHARE + 1));
        assert!(gate.connect(quiet).is_some());
        let told: Vec<_> = std::iter::from_fn(|| gate.wait(greedy)).collect();
        assert_eq!(told.len(), ANTEROOM_MAX * SHARE / (SHARE + 1));
        assert!(gate.wait(quiet).is_some());
        assert_eq!(gate.connections(), open.len());
        drop((open, told));
        assert_eq!(gate.connections(), 0);
        assert!(gate.wait(greedy).is_some() && gate.connect(greedy).is_some());
    }

    #[test]
    fn bytes_are_held_to_the_limit_and_given_back() {
        let gate = gate();
        let mut one = gate.enter(caller(&gate, 1)).unwrap();
        assert!(one.hold(99));
        let mut other = gate.enter(caller(&gate, 2)).unwrap();
        assert!(!other.hold(2));
        assert!(other.hold(1));
        assert_eq!(gate.bytes(), 100);
        drop(one);
        assert_eq!(gate.bytes(), 1);
        assert!(other.hold(99));
        let mut load = gate.load(0).unwrap();
        assert!(!load.grow(1));
        drop(other);
        assert!(load.grow(60) && load.grow(40) && gate.bytes() == 60);
        drop(load);
        assert_eq!(gate.bytes(), 0);
    }

    #[test]
    fn what_is_long_leaves_room_for_what_is_short() {
        let bodies = 600 << 10;
        let gate = Admission::new(Caps {
            bodies,
            ..Caps::ROOMY
        });
        let mut long = gate.enter(caller(&gate, 1)).unwrap();
        assert!(!long.hold(bodies * 5 / 6 + 1));
        assert!(long.hold(bodies * 5 / 6) && !long.hold(1));
        assert!(!gate.load(0).unwrap().grow(SHORT_BYTES_MAX + 1));
        let short = || {
            let mut pass = gate.enter(caller(&gate, 2)).unwrap();
            pass.hold(SHORT_BYTES_MAX).then_some(pass)
        };
        let inside: Vec<_> = std::iter::from_fn(short).collect();
        assert_eq!(inside.len(), 25, "as many as there is room for");
        drop((long, inside));
        assert_eq!(gate.bytes(), 0);
    }

    #[test]
    fn all_short_bodies_that_may_be_inside_at_once_find_room() {
        for mebibytes in [64, 256, 2048, 16 << 10] {
            let caps = Caps::of(mebibytes << 20);
            let short = (caps.requests + caps.sockets.min(10_000)) * SHORT_BYTES_MAX;
            assert!(short <= caps.bodies / SHORT_PART, "{mebibytes}: {caps:?}");
        }
    }

    #[test]
    fn a_house_that_is_handed_over_is_closing_but_not_leaving() {
        let gate = Admission::default();
        let closing = gate.closing();
        assert!(!gate.is_closing() && !gate.is_leaving() && !*closing.borrow());
        gate.hand_over();
        assert!(gate.is_closing() && !gate.is_leaving() && *closing.borrow());
        gate.close();
        gate.hand_over();
        assert!(gate.is_leaving(), "there is no way back");
    }
}

//! The gate: how much may be inside at once, and whether the house is still open.
//!
//! What is sent to us is counted as it comes, whether its length was announced or not (a chunked
//! body, the fragments of a message): an announcement is only a word, and a client that announces
//! much and sends nothing takes no room from others. What has come is always within the limit.

use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};

use tokio::sync::watch;

/// Requests inside at once.
pub const REQUESTS_MAX: usize = 20_000;
/// Bytes of request bodies inside at once.
pub const BYTES_MAX: usize = 1 << 30;
/// Bytes of nodes' answers that are held whole at once, of all requests together.
pub const ANSWERS_BYTES_MAX: u64 = 1 << 30;

/// Counts what is inside.
#[derive(Debug, Default)]
pub struct Gate {
    requests: AtomicUsize,
    bytes: AtomicUsize,
    answers_bytes: AtomicU64,
    /// A [`Door`].
    door: AtomicU8,
    /// Whether connections are to end, for those that wait for it.
    closing: watch::Sender<bool>,
}

/// Whether calls are still welcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Door {
    Open = 0,
    /// Connections end after their answer, because a new process takes the next ones.
    HandedOver = 1,
    /// The same, and the load balancer in front is told to turn away.
    Closing = 2,
}

/// Bytes that are held without a request's place; given back when dropped.
#[derive(Debug)]
pub struct Load<'a> {
    gate: &'a Gate,
    bytes: usize,
}

/// One request's place inside, with the bytes of its body; given back when dropped.
#[derive(Debug)]
pub struct Pass<'a> {
    gate: &'a Gate,
    bytes: usize,
}

/// One request's room for answers that are held whole; given back when dropped.
#[derive(Debug)]
pub struct Room<'a> {
    gate: &'a Gate,
    bytes_max: u64,
    /// Shared by the calls of a batch.
    bytes: AtomicU64,
}

/// What one attempt holds of a [`Room`]; given back when dropped, unless it is kept.
#[derive(Debug)]
pub struct Held<'a> {
    room: &'a Room<'a>,
    bytes: u64,
}

impl Gate {
    /// Lets one request in; `None` when the house is full.
    pub fn enter(&self) -> Option<Pass<'_>> {
        if self.requests.fetch_add(1, Ordering::Relaxed) >= REQUESTS_MAX {
            self.requests.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Pass {
            gate: self,
            bytes: 0,
        })
    }

    /// Takes room for `bytes` of a body; `false` when there is none. Whoever took it releases it.
    pub fn hold(&self, bytes: usize) -> bool {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits = before.saturating_add(bytes) <= BYTES_MAX;
        if !fits {
            self.release(bytes);
        }
        fits
    }

    /// Room for `bytes`, for as long as the result is held; `None` when there is none.
    pub fn load(&self, bytes: usize) -> Option<Load<'_>> {
        self.hold(bytes).then_some(Load { gate: self, bytes })
    }

    /// Gives room back that was held.
    pub fn release(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Room for up to `bytes_max` bytes of answers.
    pub fn room(&self, bytes_max: u64) -> Room<'_> {
        Room {
            gate: self,
            bytes_max,
            bytes: AtomicU64::new(0),
        }
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
        self.turn(Door::Closing);
    }

    /// From now on connections close after their answer: a new process takes those that follow.
    pub fn hand_over(&self) {
        self.turn(Door::HandedOver);
    }

    fn turn(&self, door: Door) {
        self.door.fetch_max(door as u8, Ordering::Release);
        self.closing.send_replace(true);
    }

    /// Whether connections are to end.
    pub fn is_closing(&self) -> bool {
        self.door.load(Ordering::Acquire) != Door::Open as u8
    }

    /// Whether nobody should send calls here any more.
    pub fn is_leaving(&self) -> bool {
        self.door.load(Ordering::Acquire) == Door::Closing as u8
    }

    /// Turns true when connections are to end.
    pub fn closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }
}

impl Pass<'_> {
    /// Takes room for `bytes` more; `false` when there is none.
    pub fn hold(&mut self, bytes: usize) -> bool {
        let has_room = self.gate.hold(bytes);
        if has_room {
            self.bytes += bytes;
        }
        has_room
    }
}

impl<'a> Room<'a> {
    /// For an attempt that may come to nothing; it holds nothing yet.
    pub fn attempt(&'a self) -> Held<'a> {
        Held {
            room: self,
            bytes: 0,
        }
    }

    /// Takes room for `bytes` more; `false` when there is none, here or in the whole house.
    pub fn hold(&self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        if !add_within(&self.bytes, bytes, self.bytes_max) {
            return false;
        }
        if !add_within(&self.gate.answers_bytes, bytes, ANSWERS_BYTES_MAX) {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            return false;
        }
        true
    }
}

impl Held<'_> {
    /// Takes room for `bytes` more; `false` when there is none.
    pub fn hold(&mut self, bytes: usize) -> bool {
        let has_room = self.room.hold(bytes);
        if has_room {
            self.bytes += bytes as u64;
        }
        has_room
    }

    /// The answer is handed over: its room stays held as long as the request's.
    pub fn keep(mut self) {
        self.bytes = 0;
    }
}

/// Adds `bytes` to `count` unless that is then over `max`.
fn add_within(count: &AtomicU64, bytes: u64, max: u64) -> bool {
    let before = count.fetch_add(bytes, Ordering::Relaxed);
    let fits = before.saturating_add(bytes) <= max;
    if !fits {
        count.fetch_sub(bytes, Ordering::Relaxed);
    }
    fits
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.gate.requests.fetch_sub(1, Ordering::Relaxed);
        self.gate.release(self.bytes);
    }
}

impl Drop for Load<'_> {
    fn drop(&mut self) {
        self.gate.release(self.bytes);
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            let room = self.room;
            room.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
            let all = &room.gate.answers_bytes;
            all.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        let held = *self.bytes.get_mut();
        // Most requests hold nothing: they write to nothing that all share.
        if held > 0 {
            self.gate.answers_bytes.fetch_sub(held, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_house_is_full_at_its_limit_and_has_room_again_when_one_leaves() {
        let gate = Gate::default();
        let mut inside: Vec<_> = (0..REQUESTS_MAX).map(|_| gate.enter().unwrap()).collect();
        assert!(gate.enter().is_none());
        inside.pop();
        assert!(gate.enter().is_some());
    }

    #[test]
    fn bytes_are_held_to_the_limit_and_given_back() {
        let gate = Gate::default();
        let mut one = gate.enter().unwrap();
        assert!(one.hold(BYTES_MAX - 1));
        let mut other = gate.enter().unwrap();
        assert!(!other.hold(2));
        assert!(other.hold(1));
        assert_eq!(gate.bytes(), BYTES_MAX);
        drop(one);
        assert_eq!(gate.bytes(), 1);
        assert!(other.hold(BYTES_MAX - 1));
    }

    #[test]
    fn a_house_that_is_handed_over_is_closing_but_not_leaving() {
        let gate = Gate::default();
        let closing = gate.closing();
        assert!(!gate.is_closing() && !gate.is_leaving() && !*closing.borrow());
        gate.hand_over();
        assert!(gate.is_closing() && !gate.is_leaving() && *closing.borrow());
        gate.close();
        gate.hand_over();
        assert!(gate.is_leaving(), "there is no way back");
    }

    #[test]
    fn answers_are_held_to_a_requests_limit_and_not_one_byte_past_it() {
        let gate = Gate::default();
        let room = gate.room(10);
        assert!(room.hold(7) && !room.hold(4) && room.hold(3) && !room.hold(1));
        assert!(gate.room(10).hold(10), "each request has its own room");
    }

    #[test]
    fn what_an_attempt_held_is_given_back_unless_its_answer_is_kept() {
        let gate = Gate::default();
        let room = gate.room(10);
        let mut failed = room.attempt();
        assert!(failed.hold(6) && !failed.hold(5));
        drop(failed);
        assert_eq!(gate.answers_bytes.load(Ordering::Relaxed), 0);
        let mut kept = room.attempt();
        assert!(kept.hold(4) && kept.hold(6));
        kept.keep();
        assert!(!room.hold(1));
        drop(room);
        assert_eq!(gate.answers_bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn answers_of_all_requests_are_held_to_the_houses_limit_and_given_back() {
        let gate = Gate::default();
        let half = usize::try_from(ANSWERS_BYTES_MAX / 2).unwrap();
        let (one, other) = (gate.room(u64::MAX), gate.room(u64::MAX));
        assert!(one.hold(half) && other.hold(half));
        assert!(!other.hold(1), "one past it");
        drop(one);
        assert!(other.hold(half) && !other.hold(1));
    }
}

//! What a node is passed over for, method by method: what it said that it doesn't have, takes too
//! much of, or fails at. Remembered for a while, read on every call's path without a lock.
//!
//! A caller's bad parameter can look like a lack. So a node that answered the method well of late
//! doesn't lack it, and the first good answer ends a lack; a rest it doesn't end.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use foldhash::fast::FixedState;

/// A method may come with an update of the node: it is asked for again after this time.
pub(super) const MEMORY: Duration = Duration::from_secs(600);
/// A node that answered a method well within this time doesn't lack it.
pub(super) const WELL_LASTS: Duration = Duration::from_secs(60);
/// How long a method rests at a node that limits it, where the node names no time.
pub(super) const METHOD_REST: Duration = Duration::from_secs(10);
/// Methods remembered for one node. What clients call may be any name: the oldest gives way.
pub(super) const LACKS_MAX: usize = 64;
/// Longer names, in bytes, are not remembered: no node has such a method.
const METHOD_BYTES_MAX: usize = 64;
/// Methods that share a slot are taken for one: each is answered well when one of them is.
const WELL_SLOTS: usize = 256;

/// What one node lacks, and what it answered.
#[derive(Debug)]
pub struct UnsupportedMethods {
    known: ArcSwap<Vec<UnsupportedMethod>>,
    /// Whether something was ever known: most nodes lack nothing.
    has_known: AtomicBool,
    born: Instant,
    /// When a method of each slot was last answered well: in seconds since `born`, and one; 0: never.
    well_at: Box<[AtomicU32; WELL_SLOTS]>,
}

#[derive(Clone, Debug)]
struct UnsupportedMethod {
    method: Arc<str>,
    until: Instant,
    /// It has the method, and is to be left alone with it.
    is_rest: bool,
}

impl UnsupportedMethods {
    pub fn new(now: Instant) -> UnsupportedMethods {
        UnsupportedMethods {
            known: ArcSwap::default(),
            has_known: AtomicBool::new(false),
            born: now,
            well_at: Box::new([const { AtomicU32::new(0) }; WELL_SLOTS]),
        }
    }

    pub fn is_empty(&self) -> bool {
        !self.has_known.load(Ordering::Relaxed) || self.known.load().is_empty()
    }

    /// Whether the node is passed over for calls of this method.
    #[inline]
    pub fn has(&self, method: &str, now: Instant) -> bool {
        self.has_known.load(Ordering::Relaxed) && self.is_known(method, now)
    }

    fn is_known(&self, method: &str, now: Instant) -> bool {
        let is_it = |lack: &UnsupportedMethod| &*lack.method == method && now < lack.until;
        self.known.load().iter().any(is_it)
    }

    /// The node said that it has no `method`.
    pub fn learn(&self, method: &str, now: Instant) {
        if !self.was_well(method, now) {
            self.pass_over(method, (now + MEMORY, false), now);
        }
    }

    /// The node takes no more calls of `method` for so long.
    pub fn rest(&self, method: &str, rest: Option<Duration>, now: Instant) {
        let until = now + rest.unwrap_or(METHOD_REST);
        self.pass_over(method, (until, true), now);
    }

    /// The node answered a call of `method` well.
    pub fn hear_well(&self, method: &str, now: Instant) {
        let slot = self.slot(method);
        let seconds = self.seconds(now);
        if slot.load(Ordering::Relaxed) != seconds {
            slot.store(seconds, Ordering::Relaxed);
        }
        let is_it = |lack: &UnsupportedMethod| &*lack.method == method && !lack.is_rest;
        if !self.is_empty() && self.known.load().iter().any(is_it) {
            self.known.rcu(|known| {
                let others = known.iter().filter(|lack| !is_it(lack));
                others.cloned().collect::<Vec<_>>()
            });
        }
    }

    /// Whether the node answered a call of `method` well of late.
    pub fn was_well(&self, method: &str, now: Instant) -> bool {
        let at = self.slot(method).load(Ordering::Relaxed);
        at > 0 && u64::from(self.seconds(now) - at.min(self.seconds(now))) < WELL_LASTS.as_secs()
    }

    fn slot(&self, method: &str) -> &AtomicU32 {
        let hash = FixedState::default().hash_one(method);
        &self.well_at[hash as usize % WELL_SLOTS]
    }

    fn seconds(&self, now: Instant) -> u32 {
        let age = now.saturating_duration_since(self.born).as_secs();
        u32::try_from(age).unwrap_or(u32::MAX - 1) + 1
    }

    /// What is over is forgotten on the way.
    fn pass_over(&self, method: &str, (until, is_rest): (Instant, bool), now: Instant) {
        if method.len() > METHOD_BYTES_MAX {
            return;
        }
        let lack = UnsupportedMethod {
            method: method.into(),
            until,
            is_rest,
        };
        self.has_known.store(true, Ordering::Relaxed);
        self.known.rcu(|known| {
            let others = known
                .iter()
                .filter(|old| old.method != lack.method && now < old.until);
            let mut next: Vec<_> = others.cloned().collect();
            if next.len() == LACKS_MAX {
                next.remove(0);
            }
            next.push(lack.clone());
            next
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_lacking_for_ten_minutes_from_when_the_node_last_said_so() {
        let start = crate::testing::now();
        let lacks = UnsupportedMethods::new(start);
        assert!(!lacks.has("eth_getProof", start));
        lacks.learn("eth_getProof", start);
        assert!(lacks.has("eth_getProof", start));
        assert!(!lacks.has("eth_call", start));
        let nearly = Duration::from_millis(1);
        assert!(lacks.has("eth_getProof", start + MEMORY - nearly));
        assert!(!lacks.has("eth_getProof", start + MEMORY));
        lacks.learn("eth_getProof", start + MEMORY - nearly);
        assert!(lacks.has("eth_getProof", start + MEMORY));
    }

    #[test]
    fn what_was_answered_well_of_late_is_not_lacking_and_a_good_answer_ends_a_lack() {
        let start = crate::testing::now();
        let lacks = UnsupportedMethods::new(start);
        lacks.hear_well("eth_call", start);
        for passed in [0, 30, 59] {
            lacks.learn("eth_call", start + Duration::from_secs(passed));
            assert!(!lacks.has("eth_call", start + Duration::from_secs(passed)));
        }
        let later = start + WELL_LASTS;
        lacks.learn("eth_call", later);
        assert!(lacks.has("eth_call", later), "it is long ago");
        lacks.learn("eth_getProof", later);
        lacks.hear_well("eth_call", later);
        assert!(!lacks.has("eth_call", later));
        assert!(lacks.has("eth_getProof", later), "the other still is");
    }

    #[test]
    fn a_method_rests_as_long_as_the_node_says_though_it_was_answered_well() {
        let start = crate::testing::now();
        let lacks = UnsupportedMethods::new(start);
        lacks.hear_well("eth_getLogs", start);
        for (rest, length) in [
            (None, METHOD_REST),
            (Some(Duration::from_secs(3)), Duration::from_secs(3)),
        ] {
            lacks.rest("eth_getLogs", rest, start);
            lacks.hear_well("eth_getLogs", start);
            assert!(lacks.has("eth_getLogs", start + length - Duration::from_millis(1)));
            assert!(!lacks.has("eth_getLogs", start + length));
        }
    }

    #[test]
    fn the_oldest_gives_way_when_there_are_too_many() {
        let now = crate::testing::now();
        let lacks = UnsupportedMethods::new(now);
        let name = |at: usize| format!("foo_{at}");
        (0..LACKS_MAX).for_each(|at| lacks.learn(&name(at), now));
        assert!(lacks.has(&name(0), now));
        lacks.learn(&name(LACKS_MAX), now);
        assert!(!lacks.has(&name(0), now));
        assert!(lacks.has(&name(1), now) && lacks.has(&name(LACKS_MAX), now));
    }

    #[test]
    fn a_name_of_64_bytes_is_remembered_and_a_longer_one_is_not() {
        let now = crate::testing::now();
        let lacks = UnsupportedMethods::new(now);
        for (length, wanted) in [(METHOD_BYTES_MAX, true), (METHOD_BYTES_MAX + 1, false)] {
            let name = "x".repeat(length);
            lacks.learn(&name, now);
            assert_eq!(lacks.has(&name, now), wanted, "{length}");
        }
    }
}

//! Which methods a node said that it does not have, or fails at: remembered for a while, read on
//! every call's path without a lock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

/// A method may come with an update of the node: it is asked for again after this time.
pub const MEMORY: Duration = Duration::from_secs(600);
/// Methods remembered for one node. What clients call may be any name: the oldest gives way.
pub const LACKS_MAX: usize = 64;
/// Longer names, in bytes, are not remembered, nor written into the key of a draw: no node has
/// such a method.
pub const METHOD_BYTES_MAX: usize = 64;

/// What one node lacks.
#[derive(Debug, Default)]
pub struct Lacks {
    known: ArcSwap<Vec<Lack>>,
}

#[derive(Clone, Debug)]
struct Lack {
    method: Arc<str>,
    until: Instant,
}

impl Lack {
    fn holds(&self, now: Instant) -> bool {
        now < self.until
    }
}

impl Lacks {
    pub fn is_empty(&self) -> bool {
        self.known.load().is_empty()
    }

    /// Whether the node said within the last [`MEMORY`] that it has no such method, or the method rests.
    pub fn has(&self, method: &str, now: Instant) -> bool {
        let known = self.known.load();
        known
            .iter()
            .any(|lack| &*lack.method == method && lack.holds(now))
    }

    /// The node said that it has no `method`. What is too old is forgotten on the way.
    pub fn learn(&self, method: &str, now: Instant) {
        self.pass_over(method, MEMORY, now);
    }

    /// The node is passed over for `method` for so long.
    pub fn pass_over(&self, method: &str, length: Duration, now: Instant) {
        if method.len() > METHOD_BYTES_MAX {
            return;
        }
        let lack = Lack {
            method: method.into(),
            until: now + length,
        };
        self.known.rcu(|known| {
            let others = known
                .iter()
                .filter(|old| old.method != lack.method && old.holds(now));
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
        let start = crate::clock::now();
        let lacks = Lacks::default();
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
    fn the_oldest_gives_way_when_there_are_too_many() {
        let now = crate::clock::now();
        let lacks = Lacks::default();
        let name = |at: usize| format!("foo_{at}");
        (0..LACKS_MAX).for_each(|at| lacks.learn(&name(at), now));
        assert!(lacks.has(&name(0), now));
        lacks.learn(&name(LACKS_MAX), now);
        assert!(!lacks.has(&name(0), now));
        assert!(lacks.has(&name(1), now) && lacks.has(&name(LACKS_MAX), now));
    }

    #[test]
    fn a_name_of_64_bytes_is_remembered_and_a_longer_one_is_not() {
        let now = crate::clock::now();
        let lacks = Lacks::default();
        for (length, wanted) in [(METHOD_BYTES_MAX, true), (METHOD_BYTES_MAX + 1, false)] {
            let name = "x".repeat(length);
            lacks.learn(&name, now);
            assert_eq!(lacks.has(&name, now), wanted, "{length}");
        }
    }
}

//! Which caller has how much of what is shared: by address, an IPv6 network of 64 bits being one, without
//! a list that could grow and without a lock.
//!
//! Callers share a fixed number of slots, by a hash that outsiders don't know. Two in one slot are
//! one caller; with so many slots that is rare, and costs them a part of their share at most.

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize};

use foldhash::quality::RandomState;

use forebay_core::vocabulary::client::network;

const SLOTS: usize = 4096;

/// One caller may have so many times of what is left: alone three quarters of all, and the less the
/// more others there are.
pub const SHARE: usize = 3;

/// Whether a caller that has `own` may have more of `max`, of which `all` are taken.
pub fn is_fair(own: usize, all: usize, max: usize) -> bool {
    own < max.saturating_sub(all).saturating_mul(SHARE)
}

/// A caller, as an admission knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller(u16);

/// What one of them has.
#[derive(Debug, Default)]
pub struct CallerUsage {
    pub requests: AtomicUsize,
    pub unsent_bytes: AtomicU64,
    pub connections: AtomicUsize,
    pub waiting: AtomicUsize,
}

/// All of them.
#[derive(Debug)]
pub struct Callers {
    slots: Box<[CallerUsage]>,
    hash: RandomState,
}

impl Default for Callers {
    fn default() -> Callers {
        Callers {
            slots: (0..SLOTS).map(|_| CallerUsage::default()).collect(),
            hash: RandomState::default(),
        }
    }
}

impl Callers {
    /// The caller at `address`: with another `salt` it is another caller.
    pub fn at(&self, address: Option<IpAddr>, salt: u64) -> Caller {
        let hash = address.map_or(0, |address| self.hash.hash_one(network(address)));
        let hash = hash.wrapping_add(salt);
        let slots = SLOTS as u64;
        Caller(u16::try_from(hash % slots).unwrap_or_default())
    }

    pub fn slot(&self, caller: Caller) -> &CallerUsage {
        &self.slots[usize::from(caller.0) % SLOTS]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_network_of_64_bits_is_one_caller() {
        let callers = Callers::default();
        let at = |text: &str| callers.at(Some(text.parse().unwrap()), 0);
        assert_eq!(at("2001:db8::1"), at("2001:db8::ffff:1"));
        assert_eq!(at("::ffff:10.0.0.1"), at("10.0.0.1"));
    }

    #[test]
    fn neighbours_are_spread_over_the_slots_whatever_the_secret_is() {
        for _ in 0..1_000 {
            let callers = Callers::default();
            let one = |last| callers.at(Some(IpAddr::from([10, 0, 0, last])), 0).0;
            let slots: HashSet<u16> = (0..100).map(one).collect();
            assert!(slots.len() > 85, "{}", slots.len());
        }
    }

    #[test]
    fn one_alone_has_three_quarters_and_many_have_all() {
        let fill = |callers: usize| {
            let mut own = vec![0usize; callers];
            let max = 4000;
            for _ in 0..max {
                for at in 0..callers {
                    let all = own.iter().sum();
                    own[at] += usize::from(is_fair(own[at], all, max));
                }
            }
            own
        };
        assert_eq!(fill(1), [3000]);
        let two = fill(2);
        assert!(two.iter().all(|own| (1700..1730).contains(own)), "{two:?}");
        let many: usize = fill(50).iter().sum();
        assert!(many > 3900, "{many}");
    }
}

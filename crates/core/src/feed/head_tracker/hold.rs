//! When a head is told: not before calls find it.

use std::time::Instant;

use crate::feed::head_tracker::HeadTracker;
use crate::vocabulary::header::Header;

/// Why a head isn't told yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HoldReason {
    None,
    /// It is too new.
    Until(Instant),
    /// One node of several has it.
    Company,
}

impl HeadTracker {
    /// Whether the head is to be held back. The head that calls are served is half of the nodes',
    /// by weight; above it, one that two nodes have is told a block time after it was heard of.
    pub(super) fn hold(&self, head: &Header, now: Instant) -> HoldReason {
        if Some(head.number) <= self.served {
            return HoldReason::None;
        }
        let is_only_one = self.heads().count() <= 1;
        if !is_only_one && self.supporters(head) < 2 {
            return HoldReason::Company;
        }
        let heard_at = self.known.heard_at(head.hash);
        let until = heard_at.map(|heard_at| heard_at + self.block_time);
        match until.filter(|until| *until > now) {
            Some(until) => HoldReason::Until(until),
            None => HoldReason::None,
        }
    }
}

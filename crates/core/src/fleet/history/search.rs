//! The search for how far back one resource goes.

use std::time::Instant;

use super::is_fresh;
use crate::fleet::depth::{DepthFinding, DepthPoint};
use crate::vocabulary::chain::BlockNumber;

/// Questions until a depth is found, or given up.
pub const QUESTIONS_MAX: u32 = 24;
/// The first block behind the head that is asked for: geth keeps the state of 128.
pub(super) const FIRST_GUESS: u64 = 120;
/// A search ends when what is there and what isn't are this close, as a part of the distance.
const PRECISION: u64 = 64;
/// A window is taken for a sixteenth smaller than it was found, as the head moves between two
/// rounds; by this many blocks at most.
const MARGIN_MAX: u64 = 32;

/// One resource's.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ResourceHistory {
    search: DepthSearch,
    /// What the search before found.
    settled: Option<DepthEstimate>,
}

impl ResourceHistory {
    pub(super) fn oldest(
        &self,
        told: Option<BlockNumber>,
        head: BlockNumber,
    ) -> Option<BlockNumber> {
        told.or_else(|| self.found(head))
    }

    fn found(&self, head: BlockNumber) -> Option<BlockNumber> {
        self.seen().oldest(self.is_settled(), head)
    }

    /// Of what may be there only what is.
    pub(super) fn surely(&self, head: BlockNumber) -> Option<BlockNumber> {
        self.seen().oldest(true, head)
    }

    fn is_settled(&self) -> bool {
        self.settled.is_some() || self.search.is_over()
    }

    fn seen(&self) -> DepthEstimate {
        let before = self.settled.filter(|_| !self.search.is_over());
        before.unwrap_or(self.search.seen)
    }

    pub(super) fn next(&self, now: Instant) -> Option<DepthPoint> {
        if self.search.is_stale(now) {
            return DepthSearch::default().next();
        }
        self.search.next()
    }

    pub(super) fn hear(&mut self, found: DepthFinding, head: BlockNumber, now: Instant) {
        if self.search.is_stale(now) {
            self.settled = Some(self.search.seen).filter(|_| self.search.is_over());
            self.search = DepthSearch::default();
        }
        self.search.hear(found, head, now);
    }
}

/// Questions about one resource, each halving the doubt.
#[derive(Clone, Copy, Debug, Default)]
struct DepthSearch {
    began_at: Option<Instant>,
    questions: u32,
    seen: DepthEstimate,
}

#[derive(Clone, Copy, Debug, Default)]
enum DepthEstimate {
    #[default]
    Nothing,
    /// Block 1: so all of them.
    All,
    /// In blocks behind the head: `near` is there (0: the head), `far` is missing.
    Between { near: u64, far: u64 },
}

impl DepthEstimate {
    /// As long as the search is under way only what is certainly missing counts as missing.
    fn oldest(self, is_over: bool, head: BlockNumber) -> Option<BlockNumber> {
        let behind = |blocks: u64| BlockNumber(head.0.saturating_sub(blocks));
        match self {
            DepthEstimate::Nothing => None,
            DepthEstimate::All => Some(BlockNumber(0)),
            DepthEstimate::Between { near, .. } if is_over => {
                Some(behind(near - (near / 16).min(MARGIN_MAX)))
            }
            DepthEstimate::Between { far, .. } => {
                Some(BlockNumber(behind(far).0.saturating_add(1)))
            }
        }
    }
}

impl DepthSearch {
    fn is_stale(&self, now: Instant) -> bool {
        self.began_at.is_some_and(|at| !is_fresh(at, now))
    }

    fn is_over(&self) -> bool {
        self.next().is_none()
    }

    fn next(&self) -> Option<DepthPoint> {
        if self.questions >= QUESTIONS_MAX {
            return None;
        }
        match self.seen {
            DepthEstimate::Nothing => Some(DepthPoint::Number(BlockNumber(1))),
            DepthEstimate::All => None,
            DepthEstimate::Between { near, far } if far - near <= near / PRECISION + 1 => None,
            DepthEstimate::Between { near: 0, far } => {
                Some(DepthPoint::Behind(FIRST_GUESS.min(far / 2)))
            }
            // Halfway in orders of magnitude: windows are of 128 blocks, or of 10 million.
            DepthEstimate::Between { near, far } => {
                let middle = (near as f64 * far as f64).sqrt() as u64;
                Some(DepthPoint::Behind(middle.clamp(near + 1, far - 1)))
            }
        }
    }

    fn hear(&mut self, found: DepthFinding, head: BlockNumber, now: Instant) {
        self.began_at = self.began_at.or(Some(now));
        self.questions = self.questions.saturating_add(1);
        let behind = head.0.saturating_sub(found.question.place.at(head).0);
        self.seen = match (self.seen, found.has) {
            (seen, None) => seen,
            (DepthEstimate::Nothing, Some(true)) => DepthEstimate::All,
            (DepthEstimate::Nothing, Some(false)) => DepthEstimate::Between {
                near: 0,
                far: behind,
            },
            (DepthEstimate::All, Some(_)) => DepthEstimate::All,
            (DepthEstimate::Between { near, far }, Some(true)) => DepthEstimate::Between {
                near: near.max(behind.min(far.saturating_sub(1))),
                far,
            },
            (DepthEstimate::Between { near, far }, Some(false)) => DepthEstimate::Between {
                near,
                far: far.min(behind.max(near + 1)),
            },
        };
    }
}

//! States that a node should have and lost.

use std::time::Instant;

use crate::fleet::depth::DepthPoint;
use crate::vocabulary::chain::BlockNumber;

/// States lost, as numbers of blocks: what comes later the node has.
#[derive(Clone, Copy, Debug)]
pub(super) struct HistoryLoss {
    /// The highest block that is known to be missing.
    pub lost: BlockNumber,
    /// The lowest that is believed to be there.
    pub from: BlockNumber,
    /// When the last one was met missing.
    pub at: Instant,
}

impl HistoryLoss {
    /// Between the two, where there is anything.
    pub(super) fn halfway(self) -> Option<DepthPoint> {
        let between = self.from.0 - self.lost.0;
        (between > 1).then(|| DepthPoint::Edge(BlockNumber(self.lost.0 + between / 2)))
    }

    /// What came of asking for block `number`. Where even the last one missing is there, nothing is
    /// lost.
    pub(super) fn heard(self, number: BlockNumber, has: bool, now: Instant) -> Option<HistoryLoss> {
        match has {
            true if number <= self.lost => None,
            true => Some(HistoryLoss {
                from: self.from.min(number),
                ..self
            }),
            false if number <= self.lost => Some(self),
            false => Some(HistoryLoss {
                lost: number,
                from: self.from.max(BlockNumber(number.0.saturating_add(1))),
                at: now,
            }),
        }
    }
}

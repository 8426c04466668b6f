//! What a node should have and a call found missing: that outranks what it says of itself, for a while or
//! until it is found there.
//!
//! An archive that was switched to a moment ago promises all and has what it built so far. States are
//! another matter (see `history`): those it loses with a restart.

use std::time::{Duration, Instant};

use super::depth::Depth;
use crate::fleet::depth::HistoryResource;
use crate::vocabulary::block_ref::BlockData;
use crate::vocabulary::chain::BlockNumber;

/// For so long a miss outranks what the node promised.
pub(super) const DOUBTED: Duration = Duration::from_secs(600);

/// By what was missing: the highest block of which it was, and when.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Promises {
    blocks: Miss,
    proofs: Miss,
    receipts: Miss,
    logs: Miss,
}

type Miss = Option<(BlockNumber, Instant)>;

impl Promises {
    /// A call met what it `reads` missing in block `missing`.
    pub(super) fn hear_missing(&mut self, reads: BlockData, missing: BlockNumber, now: Instant) {
        let miss = match reads {
            BlockData::Block => &mut self.blocks,
            BlockData::Proof => &mut self.proofs,
            BlockData::Receipts => &mut self.receipts,
            BlockData::Logs => &mut self.logs,
            BlockData::Head | BlockData::State => return,
        };
        let highest = fresh(*miss, now).map_or(missing, |before| before.max(missing));
        *miss = Some((highest, now));
    }

    /// `told`, less what was missing.
    pub(super) fn less(&self, told: Depth, now: Instant) -> Depth {
        let after = |miss| {
            fresh(miss, now).map(|BlockNumber(missing)| BlockNumber(missing.saturating_add(1)))
        };
        Depth {
            blocks_from: told.blocks_from.max(after(self.blocks)),
            proofs_from: told.proofs_from.max(after(self.proofs)),
            receipts_from: told.receipts_from.max(after(self.receipts)),
            logs_from: told.logs_from.max(after(self.logs)),
            ..told
        }
    }

    /// What to ask the node for, to find whether it is there by now.
    pub(super) fn question(&self, now: Instant) -> Option<(HistoryResource, BlockNumber)> {
        let blocks = fresh(self.blocks, now).map(|number| (HistoryResource::Blocks, number));
        blocks.or_else(|| fresh(self.proofs, now).map(|number| (HistoryResource::Proofs, number)))
    }

    /// It is there.
    pub(super) fn found(&mut self, resource: HistoryResource) {
        match resource {
            HistoryResource::Blocks => self.blocks = None,
            HistoryResource::Proofs => self.proofs = None,
            HistoryResource::State => {}
        }
    }
}

fn fresh(miss: Miss, now: Instant) -> Option<BlockNumber> {
    let (number, at) = miss?;
    (now.saturating_duration_since(at) < DOUBTED).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_miss_outranks_a_promise_until_it_is_old_or_found() {
        let start = crate::testing::now();
        let told = Depth {
            blocks_from: Some(BlockNumber(0)),
            proofs_from: Some(BlockNumber(0)),
            receipts_from: Some(BlockNumber(0)),
            logs_from: Some(BlockNumber(0)),
            ..Depth::default()
        };
        let mut promises = Promises::default();
        promises.hear_missing(BlockData::Receipts, BlockNumber(7), start);
        promises.hear_missing(BlockData::Receipts, BlockNumber(5), start);
        promises.hear_missing(BlockData::Logs, BlockNumber(3), start);
        promises.hear_missing(BlockData::Proof, BlockNumber(9), start);
        promises.hear_missing(BlockData::State, BlockNumber(90), start);
        let depth = promises.less(told, start);
        assert_eq!(depth.blocks_from, Some(BlockNumber(0)));
        assert_eq!(depth.receipts_from, Some(BlockNumber(8)));
        assert_eq!(depth.logs_from, Some(BlockNumber(4)));
        assert_eq!(depth.proofs_from, Some(BlockNumber(10)));
        let asked = promises.question(start);
        assert_eq!(asked, Some((HistoryResource::Proofs, BlockNumber(9))));
        promises.found(HistoryResource::Proofs);
        assert_eq!(promises.less(told, start).proofs_from, told.proofs_from);
        assert_eq!(promises.question(start), None);
        let last = start + DOUBTED - Duration::from_millis(1);
        assert_eq!(promises.less(told, last), promises.less(told, start));
        assert_eq!(promises.less(told, start + DOUBTED), told);
    }
}

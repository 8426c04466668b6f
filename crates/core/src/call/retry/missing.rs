//! What a node that lacks the data says of where they are to be had, and of itself.

use crate::call::retry::RetryPlanner;
use crate::fleet::depth::{Gap, names_another};
use crate::fleet::node_view::NodeView;
use crate::fleet::requirements::NodePreference;
use crate::vocabulary::block_ref::BlockData;

use crate::rpc::classify::{Meaning, MissingKind, Verdict};

/// Every node keeps the state of the last blocks (geth 128): where such a one is missing, the node
/// is not behind by its depth but by a moment, or on its way to another branch.
const RECENT_BLOCKS: u64 = 64;

impl RetryPlanner<'_> {
    /// What `verdict` means of this call at `node`: a range that makes sense to us may end beyond
    /// its head.
    pub fn weigh(&self, verdict: Verdict, node: &NodeView) -> Verdict {
        let is_odd = verdict.meaning == Some(Meaning::OddRange);
        let ends_beyond = self.needs.block.zip(node.head);
        match ends_beyond {
            Some((need, head)) if is_odd && need.to > head => {
                Meaning::Missing(MissingKind::Newer).into()
            }
            Some(_) | None => verdict,
        }
    }

    /// Hears, beside the class, that `node` lacks the data: a node more likely to have them is asked
    /// next. `words`: in which it says so. Returns what the node turns out not to keep.
    pub fn miss(&mut self, node: &NodeView, missing: MissingKind, words: &str) -> Option<Gap> {
        let need = self.needs.block;
        let is_within = need
            .zip(node.head)
            .is_some_and(|(need, head)| need.from <= head);
        let is_older = match missing {
            MissingKind::Older | MissingKind::Lost | MissingKind::Unindexed => true,
            MissingKind::Newer => false,
            MissingKind::Unsaid => is_within,
        };
        if !is_older {
            self.needs.preference = NodePreference::Freshest;
            return None;
        }
        self.needs.preference = NodePreference::Deepest;
        let (need, head) = need.zip(node.head)?;
        let behind = head.0.saturating_sub(need.from.0);
        let behind_min = match missing {
            MissingKind::Lost => 1,
            MissingKind::Older
            | MissingKind::Unindexed
            | MissingKind::Unsaid
            | MissingKind::Newer => RECENT_BLOCKS,
        };
        let is_another = || names_another(words, need.from);
        if need.reads == BlockData::Head || behind < behind_min || is_another() {
            return None;
        }
        self.was_taught = node.meets(need);
        Some(Gap {
            reads: need.reads,
            block: need.from,
            is_lost: missing == MissingKind::Lost,
        })
    }
}

//! When a kept answer may be given.

use std::sync::Arc;
use std::time::Duration;

use crate::fleet::node_view::NodeView;
use crate::fleet::view::FleetView;
use crate::rpc::whole_answer::WholeAnswer;
use crate::vocabulary::chain::{BlockHash, BlockNumber};
use crate::vocabulary::node::{NodeId, Role};

/// One that may be given now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAnswer {
    /// The row of its method.
    pub row: u16,
    /// What the node said.
    pub answer: WholeAnswer,
    /// The node's name.
    pub node: Arc<str>,
    /// What that is in its list.
    pub role: Role,
    /// The block that it is of, where clients are not shown that yet.
    pub news: Option<BlockNumber>,
    /// For how long it has been kept.
    pub age: Duration,
}

/// What must hold when it is given. Its key says already that it is the answer at that block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptTerms {
    /// The node that gave it.
    pub node: NodeId,
    /// How often that was found elsewhere before, see
    /// [`BranchEvidence`](crate::fleet::node_view::BranchEvidence).
    pub losses: u32,
    /// The block that it is of.
    pub number: BlockNumber,
    /// What must hold beside: that says whether the answer still is the one at that block.
    pub condition: KeptCondition,
}

/// What must hold of the chain, or of the node, when a kept answer is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptCondition {
    /// Nothing more: it names the block itself, or that is final.
    Always,
    /// Its block is the told one of that number.
    WhileTold(BlockHash),
    /// Its node hasn't been found elsewhere since: the answer doesn't say of which block it is.
    WhileSteady {
        /// [`BranchEvidence::strays`](crate::fleet::node_view::BranchEvidence::strays) of the node, as
        /// it was when it answered.
        strays: u64,
    },
}

impl KeptTerms {
    /// The node that gave the answer, where that may be given as of `view`. An answer whose node is no more
    /// in the list may not: an operator may have removed it for what it said; nor an answer whose node was
    /// found on a fork since.
    pub fn giver<'a>(&self, view: &'a FleetView) -> Option<&'a NodeView> {
        let node = view.node(self.node)?;
        let holds = match self.condition {
            KeptCondition::Always => true,
            KeptCondition::WhileTold(hash) => view.told.tells(self.number, &hash),
            KeptCondition::WhileSteady { strays } => node.evidence.strays == strays,
        };
        (holds && node.evidence.losses == self.losses).then_some(node)
    }
}

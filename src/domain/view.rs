//! The fleet at one moment: what calls read, and what is shown of it.

use std::sync::Arc;

use super::chain::{BlockNumber, ChainId, Lag, Reference};
use super::health::Standing;
use super::load::Load;
use super::node::{NodeId, Rung, Weight};

/// The fleet at one moment.
#[derive(Clone, Debug, Default)]
pub struct FleetView {
    pub nodes: Vec<NodeView>,
    pub reference: Option<Reference>,
    pub served_head: Option<BlockNumber>,
    pub chain_id: Option<ChainId>,
    /// Rounds so far; 0: nothing is known yet.
    pub rounds: u64,
}

/// One node at one moment.
#[derive(Clone, Debug)]
pub struct NodeView {
    pub id: NodeId,
    pub name: Arc<str>,
    pub rung: Rung,
    pub weight: Weight,
    pub head: Option<BlockNumber>,
    pub(super) reference: Option<BlockNumber>,
    pub lives: bool,
    pub is_on_another_chain: bool,
    pub standing: Standing,
    pub load: Arc<Load>,
}

impl NodeView {
    pub fn lag(&self) -> Option<Lag> {
        Some(self.head?.lag_behind(self.reference?))
    }

    /// Own head less the reference, in blocks: below 0 when behind.
    pub fn head_difference(&self) -> Option<i128> {
        Some(i128::from(self.head?.0) - i128::from(self.reference?.0))
    }

    /// Gets calls in the normal run of things.
    pub fn serves(&self) -> bool {
        self.standing.is_healthy() && !self.weight.drains() && !self.is_on_another_chain
    }

    /// May be asked when no node is fit: it lives, on our chain.
    pub fn is_last_resort(&self) -> bool {
        self.lives && !self.is_on_another_chain && !self.weight.drains()
    }
}

impl FleetView {
    pub fn node(&self, id: NodeId) -> Option<&NodeView> {
        self.nodes.iter().find(|node| node.id == id)
    }

    pub fn has_fit(&self, rung: Rung) -> bool {
        self.nodes
            .iter()
            .any(|node| node.rung == rung && node.serves())
    }
}

//! What a call needs of the node that is asked, and which node it would rather have.

use crate::vocabulary::block_ref::BlockRange;
use crate::vocabulary::node::NodeId;
use crate::vocabulary::tier::Tier;

/// Which node a call is to go to. The first node is taken that is found: first of all tiers with the
/// least tolerance, and on each tier first of those that aren't avoided.
#[derive(Clone, Copy, Debug)]
pub struct NodeQuery<'a> {
    /// The tiers that are gone down.
    pub tiers: &'a [Tier],
    /// How nodes in trouble are put up with, the least first.
    pub tolerances: &'a [TroubleTolerance],
    /// Those that aren't asked again.
    pub passed: &'a [NodeId],
    /// Those that are asked after the others of their tier.
    pub avoided: &'a [NodeId],
    /// What the node must have.
    pub needs: NodeRequirements<'a>,
}

impl<'a> NodeQuery<'a> {
    /// For a node of `tiers`, whichever there is, that isn't among `passed`.
    pub fn new(
        tiers: &'a [Tier],
        passed: &'a [NodeId],
        needs: NodeRequirements<'a>,
    ) -> NodeQuery<'a> {
        NodeQuery {
            tiers,
            tolerances: &[TroubleTolerance::Any],
            passed,
            avoided: &[],
            needs,
        }
    }
}

/// What a call needs of the node that is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeRequirements<'a> {
    /// The blocks that it must have; `None`: any node will do.
    pub block: Option<BlockRange>,
    /// Nodes that lack it are asked only when no other is left.
    pub method: &'a str,
    /// Which of those that have them is asked rather than others.
    pub preference: NodePreference,
    /// Which of them are taken before one is drawn.
    pub shortlist: Shortlist<'a>,
}

/// Nodes that a call goes to before one is drawn for it by weight and load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shortlist<'a> {
    /// There are none.
    #[default]
    Empty,
    /// One of these, drawn by weight, if it has the blocks.
    Rather(&'a [NodeId]),
    /// The first of these that a draw might have come to as well.
    Join(&'a [NodeId]),
    /// This own one, whatever state it is in, unless it was asked before, and no other.
    Only(NodeId),
}

impl Shortlist<'_> {
    /// Whether a call may wait for a place at `node` instead of the one that it came to.
    pub(crate) fn lets(self, node: NodeId) -> bool {
        match self {
            Shortlist::Empty | Shortlist::Join(_) => true,
            Shortlist::Rather(holders) => holders.contains(&node),
            Shortlist::Only(_) => false,
        }
    }
}

/// Whether nodes are drawn that are in trouble. One that wants to be left alone is, at most, now and
/// then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TroubleTolerance {
    /// None is.
    Whole,
    /// A suspect one that is due a trial call is.
    Trial,
    /// Suspect ones are, after all others.
    Any,
}

/// Which nodes to prefer among those that will do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NodePreference {
    /// By weight and load alone.
    #[default]
    Any,
    /// Those with the highest head.
    Freshest,
    /// Those that go back furthest: of which no oldest state is known, else the lowest.
    Deepest,
}

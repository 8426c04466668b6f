//! What a call needs of the node that is asked, and which node it would rather have.

use crate::vocabulary::block_ref::BlockRange;

/// What a call needs of the node that is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeRequirements<'a> {
    pub block: Option<BlockRange>,
    /// Nodes that lack it are asked only when no other is left.
    pub method: &'a str,
    pub wish: NodePreference,
    pub caution: TroubleTolerance,
}

/// Whether nodes are drawn that are in trouble. One that wants to be left alone is, at most, now and
/// then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TroubleTolerance {
    /// None is.
    Whole,
    /// A suspect one that is due a trial call is.
    Trial,
    /// Suspect ones are, after all others.
    #[default]
    Whoever,
}

/// Whom to prefer among those that will do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NodePreference {
    #[default]
    Any,
    /// Those with the highest head.
    Freshest,
    /// Those that go back furthest: of whom no oldest state is known, else the lowest.
    Deepest,
}

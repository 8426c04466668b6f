//! What a call needs of the node that is asked, and which node it would rather have.

use crate::vocabulary::block_ref::BlockRange;

/// What a call needs of the node that is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeRequirements<'a> {
    /// The blocks that it must have; `None`: any node will do.
    pub block: Option<BlockRange>,
    /// Nodes that lack it are asked only when no other is left.
    pub method: &'a str,
    /// Which of those that have them is asked rather than others.
    pub wish: NodePreference,
    /// Whether it may be one in trouble.
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
    /// By weight and load alone.
    #[default]
    Any,
    /// Those with the highest head.
    Freshest,
    /// Those that go back furthest: of whom no oldest state is known, else the lowest.
    Deepest,
}

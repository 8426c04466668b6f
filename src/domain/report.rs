//! What the fleet is told, and what it tells.

use std::sync::Arc;
use std::time::Duration;

use super::chain::{BlockHash, BlockNumber, ChainId, Doubt, Source};
use super::depth::Depth;
use super::health::{Hysteresis, Turn};
use super::node::{NodeId, Rung, Weight};
use super::sounding::{Found, Question};
use super::trouble::Trouble;

/// What the fleet is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Yardstick {
    /// `None`: the leader's.
    pub chain_id: Option<ChainId>,
    pub block_time: Duration,
    /// Between two rounds.
    pub look: Duration,
    pub lag_blocks_max: u64,
    pub hysteresis: Hysteresis,
}

/// What one probe of one node brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    Answered {
        head: BlockNumber,
        /// `None`: not asked this time.
        chain_id: Option<ChainId>,
        syncing: bool,
    },
    Failed,
    Throttled(Option<Duration>),
}

/// What a node is asked in its next probe, beside its head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inquiry {
    /// What it says that it has.
    pub capabilities: bool,
    pub depth: Option<Question>,
    /// The block tags `safe` and `finalized`.
    pub tags: bool,
    /// Whether it has the state at its head.
    pub state: bool,
    /// The hash of this block.
    pub compare: Option<BlockNumber>,
}

/// What there is to see of a node that says that it is syncing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sync {
    /// By its own words no block is left to it, and its head is where they say.
    pub is_at_head: bool,
    /// It builds an index of what it has.
    pub indexes: bool,
    /// Since its head was made, by the block's own time.
    pub head_age: Option<Duration>,
    /// Whether it answered with the state at its head.
    pub has_state: bool,
}

/// What came of `eth_capabilities`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Capabilities {
    #[default]
    NotAsked,
    /// No such method, or no answer.
    Untold,
    Told(Depth),
}

/// What one probe of one node brought beside the head, or instead of it. `None`: not asked, or not
/// told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    pub head_hash: Option<BlockHash>,
    /// The hash of the block before the head.
    pub parent_hash: Option<BlockHash>,
    /// Seconds since 1970.
    pub head_timestamp: Option<u64>,
    pub net_version: Option<Arc<str>>,
    /// Where it says that it is syncing.
    pub sync: Option<Sync>,
    pub capabilities: Capabilities,
    pub depth: Option<Found>,
    /// The hash of the block that was to be compared.
    pub compared: Option<(BlockNumber, BlockHash)>,
    pub safe: Option<BlockNumber>,
    pub finalized: Option<BlockNumber>,
    /// Why there is no head.
    pub trouble: Option<Trouble>,
}

/// A node as it stands in the list.
#[derive(Clone, Debug)]
pub struct Member {
    pub id: NodeId,
    pub name: Arc<str>,
    pub rung: Rung,
    pub weight: Weight,
}

/// What changed, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Node {
        name: Arc<str>,
        turn: Turn,
        /// What the last probe met, where it brought no head.
        trouble: Option<Trouble>,
    },
    Reference {
        source: Source,
        doubt: Option<Doubt>,
    },
    Fallback {
        on: bool,
    },
    /// Blocks come far faster or slower than the settings say, or do no longer.
    Pace {
        pace: Duration,
        setting: Duration,
        differs: bool,
    },
}

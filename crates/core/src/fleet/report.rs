//! What the fleet is told, and what it tells.

use std::sync::Arc;
use std::time::Duration;

use super::depth::Depth;
use crate::fleet::depth::{DepthFinding, DepthQuestion};
use crate::fleet::probe_failure::ProbeFailure;
use crate::fleet::reference::{LeaderDoubt, ReferenceSource};
use crate::fleet::standing::{HealthTransition, Hysteresis};
use crate::vocabulary::chain::{BlockHash, BlockNumber, ChainId};
use crate::vocabulary::node::{NodeId, NodePurpose, Role, Weight};

/// What the fleet is judged by.
#[derive(Clone, Copy, Debug)]
pub struct HealthCriteria {
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
pub enum ProbeOutcome {
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
pub struct ProbeExtras {
    /// What it says that it has.
    pub capabilities: bool,
    pub depth: Option<DepthQuestion>,
    /// The block tags `safe` and `finalized`.
    pub tags: bool,
    /// Whether it has the state at its head.
    pub state: bool,
    /// The hash of this block.
    pub compare: Option<BlockNumber>,
}

/// What there is to see of a node that says that it is syncing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncReport {
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
pub enum CapabilityReport {
    #[default]
    NotAsked,
    /// No such method, or no answer.
    Untold,
    Told(Depth),
}

/// What one probe of one node brought beside the head, or instead of it. `None`: not asked, or not
/// told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProbeDetails {
    pub head_hash: Option<BlockHash>,
    /// The hash of the block before the head.
    pub parent_hash: Option<BlockHash>,
    /// Seconds since 1970.
    pub head_timestamp: Option<u64>,
    pub net_version: Option<Arc<str>>,
    /// Where it says that it is syncing.
    pub sync: Option<SyncReport>,
    pub capabilities: CapabilityReport,
    pub depth: Option<DepthFinding>,
    /// The hash of the block that was to be compared.
    pub compared: Option<(BlockNumber, BlockHash)>,
    pub safe: Option<BlockNumber>,
    pub finalized: Option<BlockNumber>,
    /// Why there is no head.
    pub trouble: Option<ProbeFailure>,
}

/// A node as it stands in the list.
#[derive(Clone, Debug)]
pub struct FleetMember {
    pub id: NodeId,
    pub name: Arc<str>,
    pub rung: Role,
    pub weight: Weight,
    pub purpose: NodePurpose,
}

/// What changed, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FleetChange {
    Node {
        name: Arc<str>,
        turn: HealthTransition,
        /// What the last probe met, where it brought no head.
        trouble: Option<ProbeFailure>,
    },
    Reference {
        source: ReferenceSource,
        doubt: Option<LeaderDoubt>,
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

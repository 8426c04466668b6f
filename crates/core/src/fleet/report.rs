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
    /// The time between blocks, as the settings say.
    pub block_time: Duration,
    /// Between two rounds.
    pub round_interval: Duration,
    /// A node so many blocks behind the reference is fit; one more, and it isn't.
    pub lag_blocks_max: u64,
    /// How many rounds it takes to leave and to come back.
    pub hysteresis: Hysteresis,
}

/// What one probe of one node brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeOutcome {
    /// It told its head.
    Answered {
        /// The number of its head.
        head: BlockNumber,
        /// `None`: not asked this time.
        chain_id: Option<ChainId>,
        /// Whether it says that it is syncing.
        syncing: bool,
    },
    /// It told no head: [`ProbeDetails::probe_failure`] says why.
    Failed,
    /// It wants to be left alone, for so long if it says so.
    Throttled(Option<Duration>),
}

/// What a node is asked in its next probe, beside its head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProbeExtras {
    /// What it says that it has.
    pub capabilities: bool,
    /// Whether it still has one kind of data of one block.
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
    /// It wasn't asked this time.
    #[default]
    NotAsked,
    /// No such method, or no answer.
    Untold,
    /// What it says that it has.
    Told(Depth),
}

/// What one probe of one node brought beside the head, or instead of it. `None`: not asked, or not
/// told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProbeDetails {
    /// The hash of the head.
    pub head_hash: Option<BlockHash>,
    /// The hash of the block before the head.
    pub parent_hash: Option<BlockHash>,
    /// Seconds since 1970.
    pub head_timestamp: Option<u64>,
    /// What it answers to `net_version`.
    pub net_version: Option<Arc<str>>,
    /// Where it says that it is syncing.
    pub sync: Option<SyncReport>,
    /// What it says that it has.
    pub capabilities: CapabilityReport,
    /// The answer to [`ProbeExtras::depth`].
    pub depth: Option<DepthFinding>,
    /// The hash of the block that was to be compared.
    pub compared: Option<(BlockNumber, BlockHash)>,
    /// The number of the block that it calls `safe`.
    pub safe: Option<BlockNumber>,
    /// The number of the block that it calls `finalized`.
    pub finalized: Option<BlockNumber>,
    /// Why there is no head.
    pub probe_failure: Option<ProbeFailure>,
}

/// A node as it stands in the list.
#[derive(Clone, Debug)]
pub struct FleetMember {
    /// What tells it apart within this process.
    pub id: NodeId,
    /// What it is called in logs, labels and headers.
    pub name: Arc<str>,
    /// Where it stands in the order of asking.
    pub role: Role,
    /// Its share of the calls.
    pub weight: Weight,
    /// Which methods and blocks it is asked for.
    pub purpose: NodePurpose,
}

/// What changed, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FleetChange {
    /// A node has become fit, or is so no longer.
    Node {
        /// The node's name.
        name: Arc<str>,
        /// What has become of it.
        transition: HealthTransition,
        /// What the last probe met, where it brought no head.
        probe_failure: Option<ProbeFailure>,
    },
    /// Nodes are compared with another's head than before, or the leader is doubted for another reason.
    Reference {
        /// Where the reference comes from now.
        source: ReferenceSource,
        /// Why it isn't the leader's; `None`: it is.
        doubt: Option<LeaderDoubt>,
    },
    /// No own node is fit any more, so that calls go to the leader and the fallback nodes; or one is again.
    Fallback {
        /// Whether calls go there from now on.
        on: bool,
    },
    /// Blocks come far faster or slower than the settings say, or do no longer.
    BlockTime {
        /// The time between blocks, as measured.
        block_time: Duration,
        /// The time between blocks, as the settings say.
        setting: Duration,
        /// Whether they are far apart from now on.
        differs: bool,
    },
}

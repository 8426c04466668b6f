//! What the fleet is told, and what it tells.

use std::sync::Arc;
use std::time::Duration;

use super::chain::{BlockNumber, ChainId, Doubt, Source};
use super::health::{Hysteresis, Turn};
use super::node::{NodeId, Rung, Weight};

/// What the fleet is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Yardstick {
    /// `None`: the leader's.
    pub chain_id: Option<ChainId>,
    pub block_time: Duration,
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
    },
    Reference {
        source: Source,
        doubt: Option<Doubt>,
    },
    Fallback {
        on: bool,
    },
}

//! Where nodes are written down.
//!
//! A registry keeps records and the last word on each node's health. It never decides which nodes
//! serve: an outage of it changes nothing but the age of the list.
//!
//! In reading order: what a registry is and holds, here; [`validation`] of a record, and `node_list`, what
//! holds for all of them; [`item_json`]; the two that there are, [`embedded`] (SQLite, one machine) and
//! [`dynamo`] (a table for several balancers); [`differences`] from the configuration; and [`last_list`]
//! and [`last_head`], for a start while the registry is out of reach. [`file_turns`] are for both.

pub mod differences;
pub mod dynamo;
pub mod embedded;
pub mod file_turns;
pub mod item_json;
pub mod last_head;
pub mod last_list;
mod node_list;
pub mod validation;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;

use forebay_core::fleet::head_floor::{FloorWrite, HeadFloor};
use forebay_core::vocabulary::node::{
    InFlightMax, NodeRecord, NodeSpecError, RecentBlocks, Role, ServedMethods, Weight,
};

/// Values of the environment by name, for `${NAME}` in records.
pub type Environment = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// One node as the registry keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct RegistryItem {
    pub record: NodeRecord,
    /// ISO 8601 in UTC without a zone, microseconds: `2018-07-02T11:50:49.281928`.
    pub when_added: String,
    /// The weight before the node was drained, by [`Weight::former_after`]; it returns when the
    /// drain ends.
    pub former_weight: Option<Weight>,
    pub origin: ItemOrigin,
    pub health: StoredHealth,
}

impl RegistryItem {
    /// As it is before anything was heard of the node.
    pub fn new(record: NodeRecord, when_added: String) -> RegistryItem {
        RegistryItem {
            record,
            when_added,
            former_weight: None,
            origin: ItemOrigin::Registry,
            health: StoredHealth::default(),
        }
    }
}

/// What wrote a node down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemOrigin {
    /// A command, the API, or a seed.
    Registry,
    /// The configuration, which the registry follows. What the node has instead was said by command.
    File {
        weight: Weight,
        role: Role,
        /// Of a registry from before it followed: it has no calls until a round has found it fit.
        is_pending: bool,
    },
}

/// What became of the configuration's nodes in a registry that follows them: names, and sentences on
/// those that it can't take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FollowReport {
    pub added: Vec<String>,
    pub changed: Vec<String>,
    pub removed: Vec<String>,
    pub pending: Vec<String>,
    pub refused: Vec<String>,
}

/// The last health written back for a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredHealth {
    pub is_healthy: bool,
    pub block_number: Option<u64>,
    pub lag: Option<u64>,
    pub reason: Option<String>,
    /// Milliseconds since 1970 by the writer's clock; an older observation never overwrites a
    /// newer one of the same writer.
    pub checked_at: Option<u64>,
}

/// What `list` found: the items that could be read, and a sentence on each that could not.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    pub items: Vec<RegistryItem>,
    pub rejected: Vec<String>,
    /// What is odd about the items that could be read, for the operator.
    pub warnings: Vec<String>,
    /// There is no item, and that is known to be meant: an empty list that wasn't made so on
    /// purpose is not to be believed.
    pub is_emptied: bool,
    /// There is nothing at all, and that is known to have been so always.
    pub is_unwritten: bool,
    /// It is no successor of the list that was read before: that was lost, and this one begun anew.
    pub is_lost: bool,
}

impl Listing {
    /// Whether it may be served: it has a node, or is known to be empty on purpose.
    pub fn is_credible(&self) -> bool {
        !self.items.is_empty() || self.is_emptied
    }
}

/// What one process asked of a leader, for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedHead {
    pub block_number: u64,
    pub chain_id: Option<u64>,
    /// Milliseconds since 1970 by the asker's clock: good for telling two answers apart.
    pub asked_at: u64,
}

/// A change to one node; `None` leaves a thing as it is.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct NodeEdit {
    pub weight: Option<Weight>,
    pub role: Option<Role>,
    /// What returns when the drain of a drained node ends.
    pub former_weight: Option<Weight>,
    /// An empty text takes the socket's URL away.
    pub ws_url: Option<String>,
    pub in_flight_max: Option<InFlightMax>,
    pub serves: Option<ServedMethods>,
    pub recent_blocks: Option<RecentBlocks>,
    /// All of them anew.
    pub headers: Option<BTreeMap<String, String>>,
}

/// What makes any node say what `record` says, but for its URL, its name and the weight that it had before a drain.
impl From<&NodeRecord> for NodeEdit {
    fn from(record: &NodeRecord) -> NodeEdit {
        NodeEdit {
            weight: Some(record.weight),
            role: Some(record.role),
            former_weight: None,
            ws_url: Some(record.ws_url.clone().unwrap_or_default()),
            in_flight_max: Some(record.in_flight_max),
            serves: Some(record.purpose.serves.clone()),
            recent_blocks: Some(record.purpose.recent_blocks),
            headers: Some(record.headers.clone()),
        }
    }
}

impl fmt::Debug for NodeEdit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edit")
            .field("weight", &self.weight)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Error)]
pub enum RegistryError {
    #[error("a node with this URL is in the registry already")]
    Exists,
    #[error("{0} leads already; `backends set URL --leader` takes the role over")]
    SecondLeader(String),
    #[error("the name `{0}` is taken by another node")]
    NameTaken(String),
    #[error(
        "{0} stands under `nodes:` in the configuration: take it out there, and every balancer with \
         that file lets it go; to keep calls away from it now, set its weight to 0"
    )]
    InFile(String),
    #[error("it is a node of the chain {0}, and a node (by its URL and headers) is one chain's")]
    OtherChain(String),
    #[error("no such node in the registry")]
    Unknown,
    #[error(transparent)]
    Record(#[from] NodeSpecError),
    /// The node is there, and what stands of it can't be read; in words.
    #[error("{0}")]
    Damaged(String),
    #[error("the registry can't be used: {operation}: {why}")]
    OutOfReach {
        operation: &'static str,
        why: String,
    },
}

/// A store of nodes. `key` is a URL (compared normalised) or a name.
#[async_trait]
pub trait Registry: Send + Sync {
    /// Health in it may be as old as a minute.
    async fn list(&self) -> Result<Listing, RegistryError>;
    /// Writes all of `records` if, and only if, nothing has ever been written down here; says
    /// whether it did. No records leave the registry as new as it was.
    async fn seed(&self, records: &[NodeRecord]) -> Result<bool, RegistryError>;
    /// Adds, changes and takes away what the configuration's `nodes` say since they were followed last.
    /// `None`: this registry is of several balancers and follows no file.
    async fn follow(&self, _nodes: &[NodeRecord]) -> Result<Option<FollowReport>, RegistryError> {
        Ok(None)
    }
    /// The list as it is once `nodes` are followed; nothing is written.
    async fn list_following(&self, _nodes: &[NodeRecord]) -> Result<Listing, RegistryError> {
        self.list().await
    }
    /// A node of the file that was pending comes in.
    async fn admit(&self, _url: &str) -> Result<(), RegistryError> {
        Ok(())
    }
    async fn add(&self, record: &NodeRecord) -> Result<RegistryItem, RegistryError>;
    /// `role: Some(Leader)` takes the role from the present leader, which becomes an own node.
    async fn set(&self, key: &str, edit: &NodeEdit) -> Result<RegistryItem, RegistryError>;
    async fn remove(&self, key: &str) -> Result<RegistryItem, RegistryError>;
    /// Writes health back, by URL as found in the registry; unknown nodes are passed over. What
    /// another process wrote is overwritten: clocks of two machines are not compared.
    async fn record_health(&self, healths: &[(String, StoredHealth)]) -> Result<(), RegistryError>;
    /// Whether this process is the one that writes health down for all. Asking keeps it so: ask
    /// at least three times within a lease.
    async fn holds_lease(&self) -> Result<bool, RegistryError>;
    /// What the leader with the identity `leader` last told the process that asks it for all.
    async fn shared_head(&self, leader: &str) -> Result<Option<SharedHead>, RegistryError>;
    /// Tells the others; an older observation never overwrites a newer one of this process.
    async fn share_head(&self, leader: &str, head: SharedHead) -> Result<(), RegistryError>;
    /// The head that clients of this list's balancers were told last.
    async fn floor(&self) -> Result<Option<HeadFloor>, RegistryError>;
    /// Writes it, unless what stands there [is not to be replaced](HeadFloor::replaces); says whether it did.
    async fn raise_floor(&self, write: FloorWrite) -> Result<bool, RegistryError>;
    /// How often it is worth looking for the floor that other balancers raised.
    fn floor_every(&self) -> Duration;
}

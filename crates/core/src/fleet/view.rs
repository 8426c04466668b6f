//! The fleet at one moment: what calls read, and what is shown of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::fleet::block_schedule::DueBlock;
use crate::fleet::branch::PublishedChain;
use crate::fleet::client_floors::PublishedHead;
use crate::fleet::forks::ForkSummary;
use crate::fleet::head_floor::ShownHead;
use crate::fleet::node_view::NodeView;
use crate::fleet::reference::Reference;
use crate::fleet::sampler::Sampler;
use crate::vocabulary::chain::{BlockNumber, ChainId};
use crate::vocabulary::node::{NodeId, Role};
use crate::vocabulary::tier::Tier;

/// The fleet at one moment.
#[derive(Clone, Debug, Default)]
pub struct FleetView {
    /// All nodes of the list, drained ones and those that aren't fit included.
    pub nodes: Vec<NodeView>,
    /// Made of `nodes`.
    pub sampler: Sampler,
    /// What nodes are compared with; `None`: no head is known yet.
    pub reference: Option<Reference>,
    /// The head that clients are shown; `None`: no head is known yet.
    pub served_head: Option<BlockNumber>,
    /// Until when the served head is one that clients were told elsewhere and that no node is known to
    /// have; `None`: it isn't.
    pub floor_until: Option<Instant>,
    /// The head for others to begin from.
    pub handed_on: Option<ShownHead>,
    /// The highest head of any fit node, or of a leader that is believed, or that was served. No node
    /// has what lies beyond it.
    pub highest_head: Option<BlockNumber>,
    /// The highest block that may come while a call waits for it, and how long a call waits.
    pub expected_head: Option<BlockNumber>,
    /// How long a call waits for a block up to [`FleetView::expected_head`].
    pub block_wait: Duration,
    /// The highest block that there can be by now, where another balancer says so.
    pub reach: Option<BlockNumber>,
    /// The highest block that an answer may tell of and be believed.
    pub believable_head: Option<BlockNumber>,
    /// The time from one block to the next.
    pub block_time: Duration,
    /// When nodes are looked at for the next block.
    pub due_block: Option<DueBlock>,
    /// What clients were told.
    pub told: Arc<PublishedChain>,
    /// How often what clients are shown has gone back.
    pub falls: u64,
    /// What the fleet agrees on as the block tags `safe` and `finalized`; asked only where the
    /// settings want it.
    pub safe_head: Option<BlockNumber>,
    /// The same as the tag `finalized`.
    pub finalized_head: Option<BlockNumber>,
    /// What the nodes say to `net_version`, where all say the same.
    pub net_version: Option<Arc<str>>,
    /// Whether the nodes' blocks are the same.
    pub camps: ForkSummary,
    /// The chain's id: that of the settings, else the leader's; `None`: no node has told it yet.
    pub chain_id: Option<ChainId>,
    /// What the nodes say that it is, where all that said anything say the same.
    pub nodes_chain: Option<ChainId>,
    /// Rounds so far; 0: nothing is known yet.
    pub rounds: u64,
}

impl FleetView {
    /// The node of this id; `None`: the list has it no longer.
    pub fn node(&self, id: NodeId) -> Option<&NodeView> {
        let found = self
            .sampler
            .place(id)
            .and_then(|place| self.nodes.get(place));
        let is_it = |node: &&NodeView| node.id == id;
        found
            .filter(is_it)
            .or_else(|| self.nodes.iter().find(is_it))
    }

    /// Whether calls wait on for node `id`: it is fit, or no other node is. One that was removed
    /// finishes what it has in flight.
    pub fn is_waited_for(&self, id: NodeId) -> bool {
        let is_fit = |node: &NodeView| node.standing.is_healthy();
        let mut others = self.nodes.iter().filter(|node| node.id != id);
        self.node(id).is_none_or(is_fit) || !others.any(NodeView::serves)
    }

    /// How long a call waits for block `number`, which no node has yet; `None`: it can't come in time.
    pub fn wait_for(&self, number: BlockNumber) -> Option<Duration> {
        (Some(number) <= self.expected_head).then_some(self.block_wait)
    }

    /// The head that all clients are shown.
    pub fn shown(&self) -> PublishedHead {
        PublishedHead {
            head: self.served_head.unwrap_or_default(),
            falls: self.falls,
        }
    }

    /// Whether block `head`, which clients were told last, was cut off the told chain when the nodes fell from
    /// it, and is served again.
    pub fn has_cut(&self, head: BlockNumber) -> bool {
        self.told.last() < Some(head) && Some(head) <= self.served_head
    }

    /// Whether a node is fit to serve, whatever its role.
    pub fn is_served(&self) -> bool {
        self.nodes.iter().any(NodeView::serves)
    }

    /// Whether a node of this role is fit to serve.
    pub fn has_fit(&self, role: Role) -> bool {
        self.nodes
            .iter()
            .any(|node| node.role == role && node.serves())
    }

    /// Whether a node of the list is there for calls of `method`, fit or not. An empty list speaks against
    /// none.
    pub fn is_for(&self, method: &str) -> bool {
        let mut nodes = self.nodes.iter();
        self.nodes.is_empty() || nodes.any(|node| node.methods.has(method))
    }

    /// Whether `node`, one of these, is on `tier` and there for calls of `method`.
    pub(crate) fn tier_has(&self, tier: Tier, node: &NodeView, method: &str) -> bool {
        match tier {
            // Whether it is on a tier is known sooner than whether a glob matches, but for the last.
            Tier::Own | Tier::Fallback => self.is_on(tier, node) && node.methods.has(method),
            Tier::LastResort => node.methods.has(method) && self.is_on(tier, node),
        }
    }

    fn is_on(&self, tier: Tier, node: &NodeView) -> bool {
        match tier {
            Tier::Own => node.role == Role::Own && node.serves(),
            Tier::Fallback => node.role != Role::Own && node.serves(),
            Tier::LastResort => {
                let others = || self.nodes.iter().filter(|other| !other.is_forked());
                node.is_last_resort()
                    && (!node.is_forked() || !others().any(NodeView::is_last_resort))
            }
        }
    }
}

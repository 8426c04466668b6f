//! The fleet at one moment: what calls read, and what is shown of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::depth::Depth;
use super::load::Load;
use crate::fleet::branch::PublishedChain;
use crate::fleet::client_floors::PublishedHead;
use crate::fleet::forks::ForkSummary;
use crate::fleet::node_limits::{NodeLimits, QuerySize};
use crate::fleet::probe_failure::ProbeFailure;
use crate::fleet::reference::{BlockNumber, ChainId, Lag, Reference};
use crate::fleet::report::ProbeExtras;
use crate::fleet::sampler::Sampler;
use crate::fleet::standing::{HealthState, Reason, Standing};
use crate::fleet::unsupported::UnsupportedMethods;
use crate::rpc::classify::AnnouncedLimit;
use crate::vocabulary::node::{NodeId, Role, Weight};

/// What a fit node says of itself that would speak against others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeCaveat {
    /// It builds an index of what it has.
    Indexing,
    /// That it is syncing, though it is at the head of the chain.
    Syncing,
}

impl NodeCaveat {
    pub fn as_str(self) -> &'static str {
        match self {
            NodeCaveat::Indexing => "indexing",
            NodeCaveat::Syncing => "syncing",
        }
    }

    /// For people.
    pub fn in_words(self) -> &'static str {
        match self {
            NodeCaveat::Indexing => "fit: at the head of the chain, while it builds an index",
            NodeCaveat::Syncing => "fit: it says that it is syncing, but keeps up with the chain",
        }
    }
}

/// As long as a first bench.
const METHOD_REST: Duration = Duration::from_secs(30);

/// The fleet at one moment.
#[derive(Clone, Debug, Default)]
pub struct FleetView {
    pub nodes: Vec<NodeView>,
    /// Made of `nodes`.
    pub odds: Sampler,
    pub reference: Option<Reference>,
    pub served_head: Option<BlockNumber>,
    /// The highest head of any fit node, or of a leader that is believed, or that was served. What
    /// lies beyond it nobody has.
    pub highest_head: Option<BlockNumber>,
    /// The highest block that may come while a call waits for it, and how long a call waits.
    pub expected_head: Option<BlockNumber>,
    pub block_wait: Duration,
    /// The highest block that an answer may tell of and be believed.
    pub believable_head: Option<BlockNumber>,
    /// The time from one block to the next.
    pub pace: Duration,
    /// What clients were told.
    pub told: Arc<PublishedChain>,
    /// How often the served head has gone back.
    pub falls: u64,
    /// What the fleet agrees on as the block tags `safe` and `finalized`; asked only where the
    /// settings want it.
    pub safe_head: Option<BlockNumber>,
    pub finalized_head: Option<BlockNumber>,
    /// What the nodes say to `net_version`, where all say the same.
    pub net_version: Option<Arc<str>>,
    /// Whether the nodes' blocks are the same.
    pub camps: ForkSummary,
    pub chain_id: Option<ChainId>,
    /// Rounds so far; 0: nothing is known yet.
    pub rounds: u64,
}

/// One node at one moment.
#[derive(Clone, Debug)]
pub struct NodeView {
    pub id: NodeId,
    pub name: Arc<str>,
    pub rung: Role,
    pub weight: Weight,
    pub head: Option<BlockNumber>,
    /// Of its head, in seconds since 1970, where it told.
    pub head_timestamp: Option<u64>,
    pub(crate) reference: Option<BlockNumber>,
    pub lives: bool,
    /// Why the last probe brought no head.
    pub trouble: Option<ProbeFailure>,
    pub is_on_another_chain: bool,
    /// An answer of it was of another branch than clients were told, since it was probed.
    pub was_seen_astray: bool,
    /// Its blocks are others than clients were told, while another node serves whose aren't.
    pub is_astray: bool,
    pub standing: Standing,
    pub load: Arc<Load>,
    /// How far back it goes.
    pub depth: Depth,
    /// It was away of late, and hasn't said yet whether it still has all that.
    pub is_doubted: bool,
    pub(crate) lacks: Arc<UnsupportedMethods>,
    /// Methods whose calls it refuses where we wrote something into them.
    pub as_written: Arc<UnsupportedMethods>,
    pub(crate) limits: Arc<NodeLimits>,
    /// What is to be said of it although it is fit.
    pub remark: Option<NodeCaveat>,
    /// What its next probe asks for beside the head.
    pub inquiry: ProbeExtras,
}

impl NodeView {
    pub fn lag(&self) -> Option<Lag> {
        Some(self.head?.lag_behind(self.reference?))
    }

    /// Own head less the reference, in blocks: below 0 when behind.
    pub fn head_difference(&self) -> Option<i128> {
        Some(i128::from(self.head?.0) - i128::from(self.reference?.0))
    }

    /// Whether it has block `number`, as far as is known.
    pub fn has_block(&self, number: BlockNumber) -> bool {
        self.is_up_to(number) && self.depth.has_block(number)
    }

    /// Whether it has the state after block `number`, as far as is known.
    pub fn has_state(&self, number: BlockNumber) -> bool {
        self.is_up_to(number) && self.depth.has_state(number)
    }

    /// Whether it proves the state after block `number`, as far as is known.
    pub fn has_proofs(&self, number: BlockNumber) -> bool {
        self.is_up_to(number) && self.depth.has_proofs(number)
    }

    /// Whether it has the logs of block `number`, as far as is known.
    pub fn has_logs(&self, number: BlockNumber) -> bool {
        self.is_up_to(number) && self.depth.has_logs(number)
    }

    /// Whether it has the receipts of block `number`, as far as is known.
    pub fn has_receipts(&self, number: BlockNumber) -> bool {
        self.is_up_to(number) && self.depth.has_receipts(number)
    }

    fn is_up_to(&self, number: BlockNumber) -> bool {
        self.head.is_none_or(|head| number <= head)
    }

    /// Whether it said of late that it has no such method, or takes no more calls of it now.
    pub fn lacks(&self, method: &str, now: Instant) -> bool {
        self.lacks.has(method, now)
    }

    /// It fails at this method alone, which is asked of others for a while.
    pub fn rest_failing(&self, method: &str, now: Instant) {
        self.lacks.rest(method, Some(METHOD_REST), now);
    }

    /// Nothing speaks against it: it doesn't rest, and isn't suspect.
    pub fn is_whole(&self, now: Instant) -> bool {
        !self.standing.rests(now) && !self.load.conduct.is_suspect()
    }

    /// It has no rest behind it or before it, and its last call was answered.
    pub fn is_in_order(&self) -> bool {
        self.standing.resting_until().is_none() && !self.load.conduct.is_doubted()
    }

    /// It said that it has no such method.
    pub fn learn_lack(&self, method: &str, now: Instant) {
        self.lacks.learn(method, now);
    }

    /// It takes no more calls of this method for so long.
    pub fn rest_method(&self, method: &str, rest: Option<Duration>, now: Instant) {
        self.lacks.rest(method, rest, now);
    }

    /// It answered a call of this method well.
    pub fn hear_well(&self, method: &str, now: Instant) {
        self.lacks.hear_well(method, now);
    }

    /// Whether it answered a call of this method well of late.
    pub fn was_well(&self, method: &str, now: Instant) -> bool {
        self.lacks.was_well(method, now)
    }

    /// Whether it is known to refuse a call that asks for so much.
    pub fn limits(&self, method: &str, asked: &QuerySize, now: Instant) -> bool {
        self.limits.refuses(method, asked, now)
    }

    /// It refused a call because it asked for too much.
    pub fn learn_limit(&self, method: &str, told: AnnouncedLimit, asked: &QuerySize, now: Instant) {
        self.limits.learn(method, told, asked, now);
    }

    /// It answered a call that asked for so much.
    pub fn hear_broad(&self, method: &str, asked: &QuerySize) {
        self.limits.hear_well(method, asked);
    }

    /// Why it isn't healthy, or rests; of one that was never fit, what its last probe met.
    pub fn reason(&self, now: Instant) -> Option<Reason> {
        let unproven = matches!(self.standing.state, HealthState::Unproven);
        let met = self.trouble.as_ref().filter(|_| unproven);
        let reason = self.standing.reason(now);
        reason.or_else(|| met.map(|trouble| trouble.reason))
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
        let found = self.odds.place(id).and_then(|place| self.nodes.get(place));
        let is_it = |node: &&NodeView| node.id == id;
        found
            .filter(is_it)
            .or_else(|| self.nodes.iter().find(is_it))
    }

    /// Whether calls wait on for node `id`: it is fit, or nobody else is. One that was removed
    /// finishes what it has in flight.
    pub fn is_waited_for(&self, id: NodeId) -> bool {
        let is_fit = |node: &NodeView| node.standing.is_healthy();
        let mut others = self.nodes.iter().filter(|node| node.id != id);
        self.node(id).is_none_or(is_fit) || !others.any(NodeView::serves)
    }

    /// How long a call waits for block `number`, which nobody has yet; `None`: it can't come in time.
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

    pub fn has_fit(&self, rung: Role) -> bool {
        self.nodes
            .iter()
            .any(|node| node.rung == rung && node.serves())
    }
}

//! One node at one moment, as calls see it.

use crate::fleet::branch::PublishedChain;
use crate::fleet::depth::Depth;
use crate::fleet::load::Load;
use crate::fleet::node_limits::NodeLimits;
use crate::fleet::overload;
use crate::fleet::probe_failure::ProbeFailure;
use crate::fleet::report::ProbeExtras;
use crate::fleet::standing::{HealthState, Reason, Standing};
use crate::fleet::unsupported::UnsupportedMethods;
use crate::rpc::classify::AttemptClass;
use crate::vocabulary::block_ref::{BlockData, BlockRange};
use crate::vocabulary::chain::{BlockHash, BlockNumber, Lag};
use crate::vocabulary::node::{NodeId, Role, ServedMethods, Weight};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a fit node says of itself that would speak against others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeCaveat {
    /// It builds an index of what it has.
    Indexing,
    /// That it is syncing, though it is at the head of the chain.
    Syncing,
}

impl NodeCaveat {
    /// The word of the status page's JSON.
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

/// What is known of the branch that a node is on.
#[derive(Clone, Copy, Debug, Default)]
pub struct BranchEvidence {
    /// The head that it told last, by number, hash and parent's hash; `None`: it said nothing, or was
    /// seen elsewhere since.
    pub tip: Option<(BlockNumber, BlockHash, Option<BlockHash>)>,
    /// Grows each time that it is found to have left a block, or to be elsewhere than clients were told;
    /// another number where it left the list and came back.
    pub strays: u64,
    /// Grows each time that it is found to be on a fork or on another chain: nothing that it has said
    /// before is to be believed. Another number, too, where it left the list and came back.
    pub losses: u32,
    /// Its head went up and down, and it hadn't been away: behind its URL may be several nodes.
    pub wavered_at: Option<Instant>,
}

/// A head that went up and down is thought to do so for so long.
pub(super) const WAVERING: Duration = Duration::from_secs(600);

/// As long as a first bench.
const METHOD_REST: Duration = Duration::from_secs(30);

/// One node at one moment.
#[derive(Clone, Debug)]
pub struct NodeView {
    /// What tells it apart within this process.
    pub id: NodeId,
    /// What it is called in logs, labels and headers.
    pub name: Arc<str>,
    /// Where it stands in the order of asking.
    pub role: Role,
    /// Its share of the calls, once it is fit and its slow start is over.
    pub weight: Weight,
    /// When it told a head unasked, at last.
    pub told_unasked_at: Option<Instant>,
    /// The methods that it is asked for, as the operator says.
    pub methods: ServedMethods,
    /// The number of its head; `None`: it never told one.
    pub head: Option<BlockNumber>,
    /// Of its head, in seconds since 1970, where it told.
    pub head_timestamp: Option<u64>,
    pub(crate) reference: Option<BlockNumber>,
    /// Whether its last probe brought a head; one that met a rate limit changes nothing.
    pub lives: bool,
    /// Why the last probe brought no head.
    pub probe_failure: Option<ProbeFailure>,
    /// Its chain's id isn't that of the chain: it gets no calls, even where no other node is left.
    pub is_on_another_chain: bool,
    /// An answer of it was of another branch than clients were told, since it was probed.
    pub was_seen_astray: bool,
    /// Its blocks are others than clients were told, while another node serves whose blocks aren't.
    pub is_astray: bool,
    /// Which branch it is on, as far as that is known.
    pub evidence: BranchEvidence,
    /// See [`NodeView::known_up_to_by`], by the chain that was told when this view was made.
    pub(crate) known_up_to: Option<BlockNumber>,
    /// Whether it is fit, and whether it rests.
    pub standing: Standing,
    /// What its calls have taught, and how many are in flight: the one part that goes on changing.
    pub load: Arc<Load>,
    /// How far back it goes, as it turned out and as the operator narrows it.
    pub depth: Depth,
    /// It was away of late, and hasn't said yet whether it still has all that.
    pub is_doubted: bool,
    /// Methods that it said it doesn't have or takes no more calls of now, and those that it answered.
    pub unsupported: Arc<UnsupportedMethods>,
    /// Methods whose calls it refuses where we wrote something into them.
    pub as_written: Arc<UnsupportedMethods>,
    /// What it refused because it was too much.
    pub limits: Arc<NodeLimits>,
    /// What is to be said of it although it is fit.
    pub remark: Option<NodeCaveat>,
    /// What its next probe asks for beside the head.
    pub extras: ProbeExtras,
}

impl NodeView {
    /// Blocks behind the reference; `None`: its head or the reference isn't known.
    pub fn lag(&self) -> Option<Lag> {
        Some(self.head?.lag_behind(self.reference?))
    }

    /// Own head less the reference, in blocks: below 0 when behind.
    pub fn head_difference(&self) -> Option<i128> {
        Some(i128::from(self.head?.0) - i128::from(self.reference?.0))
    }

    /// Whether it has, of block `number`, the data that `reads` names, as far as is known.
    pub fn has(&self, reads: BlockData, number: BlockNumber) -> bool {
        self.head.is_none_or(|head| number <= head) && self.depth.has(reads, number)
    }

    /// Whether it has the blocks that a call needs, as far as is known.
    pub fn meets(&self, need: BlockRange) -> bool {
        self.has(need.reads, need.from) && self.has(need.reads, need.to)
    }

    /// The number up to which it is known to have the told chain: that of its head, as it was told last, where that is a
    /// told block or the next one. `None`: it isn't known to have any of it.
    pub(crate) fn known_up_to_by(&self, told: &PublishedChain) -> Option<BlockNumber> {
        let is_well = self.standing.is_healthy() && !self.is_on_another_chain && !self.is_astray;
        let tip = self.evidence.tip.filter(|_| is_well)?;
        told.leads_to(tip).then_some(tip.0)
    }

    /// Whether its head went up and down of late: what it told last says little then.
    pub(crate) fn wavers(&self, now: Instant) -> bool {
        let wavered_at = self.evidence.wavered_at;
        wavered_at.is_some_and(|at| now.saturating_duration_since(at) < WAVERING)
    }

    /// Whether it said of late that it has no such method, or takes no more calls of it now.
    pub fn lacks(&self, method: &str, now: Instant) -> bool {
        self.unsupported.has(method, now)
    }

    /// It fails at this method alone, which is asked of others for a while.
    pub fn rest_failing(&self, method: &str, now: Instant) {
        self.unsupported.rest(method, Some(METHOD_REST), now);
    }

    /// Nothing speaks against it: it doesn't rest, and isn't suspect.
    pub fn is_whole(&self, now: Instant) -> bool {
        !self.standing.rests(now) && !self.load.conduct.is_suspect()
    }

    /// Its last probe brought nothing, and no call of late did: it may be full, but not for want of room.
    pub fn is_silent(&self, now: Instant) -> bool {
        !self.lives && !overload::answers(&self.load.conduct, now)
    }

    /// Whether an attempt that began at `began` and ended with `class` met silence: the node, which didn't
    /// answer it, isn't slow but answers no call at all.
    pub fn is_silence(&self, class: AttemptClass, began: Instant, now: Instant) -> bool {
        let has_fallen = !self.standing.is_healthy() && !self.lives;
        let age = now.saturating_duration_since(began);
        let was_quiet = |least| age >= least && !self.load.conduct.was_heard_since(began);
        if class == AttemptClass::Timeout {
            return has_fallen || self.is_silent(now) || was_quiet(overload::LATELY);
        }
        let is_quiet = || !overload::answers(&self.load.conduct, now);
        class == AttemptClass::Transport && (is_quiet() || was_quiet(overload::WORDLESS))
    }

    /// It has no rest behind it or before it, and its last call was answered.
    pub fn is_in_order(&self) -> bool {
        self.standing.resting_until().is_none() && !self.load.conduct.is_doubted()
    }

    /// Why it isn't healthy, or rests; of one that was never fit, what its last probe met.
    pub fn reason(&self, now: Instant) -> Option<Reason> {
        let unproven = matches!(self.standing.state, HealthState::Unproven);
        let met = self.probe_failure.as_ref().filter(|_| unproven);
        let reason = self.standing.reason(now);
        reason.or_else(|| met.map(|probe_failure| probe_failure.reason))
    }

    /// Gets calls in the normal run of things.
    pub fn serves(&self) -> bool {
        self.standing.is_healthy() && !self.weight.drains() && !self.is_on_another_chain
    }

    /// May be asked when no node is fit: it lives, on our chain.
    pub fn is_last_resort(&self) -> bool {
        self.lives && !self.is_on_another_chain && !self.weight.drains()
    }

    /// Its blocks are not those of the others.
    pub(crate) fn is_forked(&self) -> bool {
        matches!(self.standing.state, HealthState::Out(Reason::Forked))
    }
}

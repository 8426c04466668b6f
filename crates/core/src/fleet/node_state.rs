//! One node as the fleet knows it.

mod projection;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::branch::Branch;
use super::depth::{Depth, Gap};
use super::head_history::HeadHistory;
use super::load::Load;
use crate::fleet::branch::PublishedChain;
use crate::fleet::depth::{DepthFinding, DepthQuestion};
use crate::fleet::history::NodeHistory;
use crate::fleet::node_limits::NodeLimits;
use crate::fleet::node_view::{BranchEvidence, WAVERING};
use crate::fleet::probe_failure::ProbeFailure;
use crate::fleet::report::{FleetMember, ProbeDetails, ProbeOutcome};
use crate::fleet::standing::Standing;
use crate::fleet::standstill::StallDetector;
use crate::fleet::syncing::SyncProgress;
use crate::fleet::unsupported::UnsupportedMethods;

use crate::rpc::classify::Rejection;
use crate::vocabulary::chain::{BlockHash, BlockNumber, ChainId};

#[derive(Clone, Debug)]
pub(crate) struct NodeState {
    pub member: FleetMember,
    pub standing: Standing,
    pub head: Option<BlockNumber>,
    /// The last probe brought an answer.
    pub lives: bool,
    /// Why the last probe brought no head.
    pub probe_failure: Option<ProbeFailure>,
    pub chain_id: Option<ChainId>,
    pub load: Arc<Load>,
    pub net_version: Option<Arc<str>>,
    pub safe: Option<BlockNumber>,
    pub finalized: Option<BlockNumber>,
    pub standstill: StallDetector,
    pub told_unasked_at: Option<Instant>,
    /// It stands still while others go on.
    pub is_stuck: bool,
    /// An answer of it showed another branch than clients were told; until the next probe.
    pub was_seen_astray: bool,
    tip: Option<NamedHead>,
    /// Its head when the round began that is heard next, where that is known.
    head_at_begin: Option<BlockNumber>,
    /// How often it was found to have left what it had, or to be elsewhere than clients were told.
    strays: u64,
    /// How often it was found to be on a fork, or on another chain.
    losses: u32,
    is_elsewhere: bool,
    troubled_at: Option<Instant>,
    /// It came back to a block that it had had: behind its URL may be several that differ.
    wavered_at: Option<Instant>,
    pub keeping_up: SyncProgress,
    head_timestamp: Option<u64>,
    past: HeadHistory,
    unsupported: Arc<UnsupportedMethods>,
    /// Methods that it takes as they were written only.
    as_written: Arc<UnsupportedMethods>,
    limits: Arc<NodeLimits>,
    history: NodeHistory,
    depth: Depth,
    question: Option<DepthQuestion>,
}

/// A node that was away within this time may have lost its latest blocks.
const RESTART: Duration = Duration::from_secs(60);

/// Its head, by name.
#[derive(Clone, Copy, Debug)]
struct NamedHead {
    number: BlockNumber,
    hash: BlockHash,
    parent: Option<BlockHash>,
}

impl NodeState {
    /// `earlier`: how many nodes have joined before, whichever they were.
    pub(super) fn new(member: FleetMember, earlier: u32, now: Instant) -> NodeState {
        NodeState {
            member,
            standing: Standing::default(),
            head: None,
            lives: false,
            probe_failure: None,
            chain_id: None,
            load: Arc::new(Load::new(now)),
            net_version: None,
            safe: None,
            finalized: None,
            standstill: StallDetector::default(),
            told_unasked_at: None,
            is_stuck: false,
            was_seen_astray: false,
            tip: None,
            head_at_begin: None,
            strays: u64::from(earlier) << 32,
            losses: earlier.wrapping_shl(16),
            is_elsewhere: false,
            troubled_at: None,
            wavered_at: None,
            keeping_up: SyncProgress::default(),
            head_timestamp: None,
            past: HeadHistory::default(),
            unsupported: Arc::new(UnsupportedMethods::new(now)),
            as_written: Arc::new(UnsupportedMethods::new(now)),
            limits: Arc::default(),
            history: NodeHistory::default(),
            depth: Depth::default(),
            question: None,
        }
    }

    /// The same node, as it stands in the list now.
    pub(super) fn with(self, member: FleetMember) -> NodeState {
        NodeState { member, ..self }
    }

    /// A round begins. A node that tells a higher head from now on hasn't fallen back when its answer to the round
    /// says a lower one.
    pub(super) fn begin_round(&mut self) {
        self.head_at_begin = self.head;
        self.past.begin_round();
    }

    /// What came of a probe of a round.
    pub(super) fn take_down(&mut self, probe: ProbeOutcome, now: Instant) {
        match probe {
            ProbeOutcome::Answered { head, chain_id, .. } => {
                self.lives = true;
                self.rise(head, false, now);
                self.load.conduct.heard(now);
                if !self.is_overtaken(head) {
                    self.head = Some(head);
                }
                self.chain_id = chain_id.or(self.chain_id);
                self.past.hear(head);
                self.sound(now);
                if head.0 == 0 {
                    self.troubled_at = Some(now);
                }
            }
            ProbeOutcome::Failed => {
                self.lives = false;
                self.troubled_at = Some(now);
                self.history.doubt();
            }
            ProbeOutcome::Throttled(rest) => self.rest(rest, now),
        }
        self.head_at_begin = None;
    }

    /// Hears what came with a head; the head itself is taken down apart.
    pub(super) fn take_down_details(
        &mut self,
        head: BlockNumber,
        details: &ProbeDetails,
        now: Instant,
    ) {
        let is_new = |hash| self.past.denies(head, hash) && !self.past.has_left(head, hash);
        if details.head_hash.is_some_and(is_new) {
            // It is on another branch now, or comes back from one.
            self.head_at_begin = None;
        }
        if !self.is_overtaken(head) {
            self.hear_hashes(head, details, now);
            self.head_timestamp = details.head_timestamp;
        }
        self.keeping_up.hear(details.sync);
        self.net_version = details.net_version.clone().or(self.net_version.take());
        // A tag beyond the head is a mistake, or a lie.
        let told = |tag: Option<BlockNumber>| tag.filter(|tagged| *tagged <= head);
        self.safe = told(details.safe).or(self.safe);
        self.finalized = told(details.finalized).or(self.finalized);
        self.history.hear_told(details.capabilities, now);
        self.history.hear_round(head, now);
        if let Some(found) = details.depth {
            self.hear_found(found, head, now);
        }
        self.sound(now);
    }

    /// Whether it may have answered `head` before it rose beyond that, since the round began.
    fn is_overtaken(&self, head: BlockNumber) -> bool {
        let was_there = self.head_at_begin.is_some_and(|before| before <= head);
        was_there && Some(head) < self.head
    }

    fn hear_hashes(&mut self, head: BlockNumber, details: &ProbeDetails, now: Instant) {
        // One that is started again comes up through what it had.
        let was_away = within(self.troubled_at, RESTART, now);
        if Some(head) > self.head && !was_away && self.past.has_had(head, details.head_hash) {
            self.wavered_at = Some(now);
        }
        let before = head.0.checked_sub(1).map(BlockNumber);
        let mut has_left = Some(head) < self.head;
        if let Some((before, parent)) = before.zip(details.parent_hash) {
            has_left |= self.past.hear_hash(before, parent);
        }
        if let Some(hash) = details.head_hash {
            has_left |= self.past.hear_hash(head, hash);
        }
        self.strays += u64::from(has_left);
        self.was_seen_astray = false;
        self.tip = details.head_hash.map(|hash| NamedHead {
            number: head,
            hash,
            parent: details.parent_hash,
        });
    }

    /// An answer of it was of another branch than clients were told.
    pub(super) fn see_astray(&mut self) {
        self.was_seen_astray = true;
        self.strays += 1;
    }

    /// Counts where it stands to what clients were told.
    pub(super) fn compare_branch(&mut self, told: &PublishedChain) {
        self.strays += u64::from(self.branch(told) == Branch::Other);
    }

    /// It is on a fork or on another chain, or not.
    pub(super) fn find(&mut self, is_elsewhere: bool) {
        self.losses = (self.losses).wrapping_add(u32::from(is_elsewhere && !self.is_elsewhere));
        self.is_elsewhere = is_elsewhere;
    }

    /// What is known of the branch that it is on.
    fn evidence(&self) -> BranchEvidence {
        let tip = self.tip.filter(|_| self.lives && !self.was_seen_astray);
        BranchEvidence {
            tip: tip.map(|tip| (tip.number, tip.hash, tip.parent)),
            strays: self.strays,
            losses: self.losses,
            wavered_at: self.wavered_at,
        }
    }

    /// Its head may have risen to `head`.
    pub(super) fn rise(&mut self, head: BlockNumber, is_unasked: bool, now: Instant) {
        if self.head < Some(head) {
            self.standstill.moved(is_unasked, now);
            self.is_stuck = false;
        }
    }

    /// An answer showed that it has block `head`.
    pub(super) fn has(&mut self, head: BlockNumber, now: Instant) {
        self.rise(head, false, now);
        self.head = self.head.max(Some(head));
    }

    /// What came with a head between two rounds, to which it has risen.
    pub(super) fn hear_head(&mut self, head: BlockNumber, details: &ProbeDetails, now: Instant) {
        self.hear_hashes(head, details, now);
        self.head = Some(head);
        self.past.hear(head);
        self.sound(now);
        self.head_timestamp = details.head_timestamp.or(self.head_timestamp);
    }

    /// What came of a question about its depth, when it was at `head`.
    pub(super) fn hear_found(&mut self, found: DepthFinding, head: BlockNumber, now: Instant) {
        self.history.hear(found, head, now);
        self.sound(now);
    }

    pub(super) fn rest(&mut self, rest: Option<Duration>, now: Instant) {
        if !self.standing.rests(now) {
            self.load.conduct.hold_trials(now);
        }
        self.standing.throttle(rest, now);
    }

    /// It rests because it doesn't let us in.
    pub(super) fn shut(&mut self, why: Rejection) {
        self.standing.shut(why);
    }

    /// A call met something missing.
    pub(super) fn learn_depth(&mut self, gap: Gap, now: Instant) {
        if let Some(head) = self.head {
            self.history.hear_missing(gap, head, now);
            self.sound(now);
        }
    }

    /// It was away, and may have lost what it had.
    pub(super) fn doubt_depth(&mut self, now: Instant) {
        self.troubled_at = Some(now);
        self.history.doubt();
        self.sound(now);
    }

    /// What is known of its depth, as of now.
    fn sound(&mut self, now: Instant) {
        if let Some(head) = self.head {
            self.depth = self.history.depth(head, now);
            self.question = self.history.question(head, now);
        }
    }

    /// Where it stands to what clients were told.
    pub(super) fn branch(&self, told: &PublishedChain) -> Branch {
        let tip = self.tip.filter(|tip| Some(tip.number) == self.head);
        match tip {
            _ if self.was_seen_astray => Branch::Other,
            Some(tip) => told.branch(tip.number, tip.hash, tip.parent),
            None => Branch::Unknown,
        }
    }

    /// What its block `number` is called, where that is known.
    pub(super) fn hash_at(&self, number: BlockNumber) -> Option<BlockHash> {
        let tip = self.tip.filter(|tip| Some(tip.number) == self.head)?;
        if tip.number == number {
            return Some(tip.hash);
        }
        let is_parent = number.0.checked_add(1) == Some(tip.number.0);
        tip.parent.filter(|_| is_parent)
    }

    /// Whether a lower head of it may mean nothing: it was silent or at height 0 of late, so may have
    /// been started again, or its head goes up and down.
    pub(super) fn is_unsteady(&self, now: Instant) -> bool {
        within(self.troubled_at, RESTART, now) || within(self.wavered_at, WAVERING, now)
    }

    /// Its head is lower than it has told before.
    pub(super) fn has_fallen(&self) -> bool {
        self.head < self.past.peak
    }

    /// And its blocks are others than it has told before.
    pub(super) fn is_rewritten(&self) -> bool {
        self.past.is_rewritten
    }

    /// Where it is now is where its chain begins or has fallen to.
    pub(super) fn forget_past(&mut self) {
        self.past.begin_anew(self.head);
        let head = self.head;
        let stands = |tag: Option<BlockNumber>| tag.filter(|tagged| Some(*tagged) <= head);
        self.safe = stands(self.safe);
        self.finalized = stands(self.finalized);
    }
}

fn within(at: Option<Instant>, time: Duration, now: Instant) -> bool {
    at.is_some_and(|at| now.saturating_duration_since(at) < time)
}

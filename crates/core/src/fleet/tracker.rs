//! All nodes together: which are fit, what is the reference, which head is served.
//!
//! One writer holds the [`Fleet`] and tells it what it sees; calls read [`FleetView`](crate::fleet::FleetView)s, which
//! never change.

mod advance;
mod feedback;
mod floor;
mod observe;
mod projection;

use std::sync::Arc;
use std::time::Instant;

use crate::fleet::block_schedule::BlockSchedule;
use crate::fleet::block_time::BlockTimeTracker;
use crate::fleet::branch::PublishedChain;
use crate::fleet::depth::DepthFinding;
use crate::fleet::forks::Forks;
use crate::fleet::head_floor::FloorTracker;
use crate::fleet::node_state::NodeState;
use crate::fleet::quorum_head::{QuorumHead, TagSchedule};
use crate::fleet::reference::{
    LeaderDoubt, LeaderReport, LeaderTracker, Reference, ReferenceSource,
};
use crate::fleet::report::{FleetChange, FleetMember, HealthCriteria, ProbeDetails, ProbeOutcome};
use crate::fleet::served_head::ServedHead;
use crate::fleet::standing::{HealthState, Reason};
use crate::vocabulary::chain::{BlockNumber, ChainId, Lag};
use crate::vocabulary::node::{NodeId, Role};

/// The fleet's state. Shapes: `entries` in the order of the list.
#[derive(Debug)]
pub struct Fleet {
    criteria: HealthCriteria,
    entries: Vec<NodeState>,
    /// Nodes that have joined so far.
    joined: u32,
    leader: LeaderTracker,
    reference: Option<Reference>,
    /// The leader's chain, where none is configured.
    learnt_chain_id: Option<(NodeId, ChainId)>,
    served: ServedHead,
    /// What clients were told elsewhere.
    floor: FloorTracker,
    /// How often what clients are shown has gone back.
    falls: u64,
    /// How often nodes have taken the head back.
    reorgs: u64,
    told: Arc<PublishedChain>,
    block_time: BlockTimeTracker,
    schedule: BlockSchedule,
    safe: QuorumHead,
    finalized: QuorumHead,
    tag_looks: TagSchedule,
    forks: Forks,
    rounds: u64,
    on_fallback: bool,
}

impl Fleet {
    /// A fleet without nodes, of which no round has told anything.
    pub fn new(criteria: HealthCriteria) -> Fleet {
        Fleet {
            block_time: BlockTimeTracker::new(criteria.block_time),
            criteria,
            entries: Vec::new(),
            joined: 0,
            leader: LeaderTracker::default(),
            reference: None,
            learnt_chain_id: None,
            served: ServedHead::default(),
            floor: FloorTracker::default(),
            falls: 0,
            reorgs: 0,
            told: Arc::default(),
            schedule: BlockSchedule::default(),
            safe: QuorumHead::default(),
            finalized: QuorumHead::default(),
            tag_looks: TagSchedule::default(),
            forks: Forks::default(),
            rounds: 0,
            on_fallback: false,
        }
    }

    /// Judges by other criteria from the next round on.
    pub fn change_criteria(&mut self, criteria: HealthCriteria) {
        if criteria.block_time != self.criteria.block_time {
            self.block_time = BlockTimeTracker::new(criteria.block_time);
            self.schedule = BlockSchedule::default();
        }
        self.criteria = criteria;
    }

    /// Takes the list as it is now. A node that stays keeps its standing and load, whatever else changed.
    pub fn replace(&mut self, members: Vec<FleetMember>, now: Instant) {
        let leader_before = self.leader_id();
        let mut old = std::mem::take(&mut self.entries);
        let entries = members.into_iter().map(|member| {
            let known = old.iter().position(|entry| entry.member.id == member.id);
            match known {
                Some(at) => old.swap_remove(at).with(member),
                None => {
                    let earlier = self.joined;
                    self.joined = earlier.wrapping_add(1);
                    NodeState::new(member, earlier, now)
                }
            }
        });
        self.entries = entries.collect();
        let entries = &self.entries;
        self.forks
            .retain(|id| entries.iter().any(|entry| entry.member.id == id));
        if self.leader_id() != leader_before {
            self.leader = LeaderTracker::default();
        }
    }

    fn leader_id(&self) -> Option<NodeId> {
        self.entries
            .iter()
            .find(|e| e.member.role == Role::Leader)
            .map(|e| e.member.id)
    }

    /// Hears what the probes of a round brought beside the heads, before the round itself.
    pub fn hear_details(
        &mut self,
        probes: &[(NodeId, ProbeOutcome)],
        details: &[(NodeId, ProbeDetails)],
        now: Instant,
    ) {
        for (id, details) in details {
            if let Some(entry) = self.entry_mut(*id) {
                entry.probe_failure = details.probe_failure.clone();
            }
            let probe = probes.iter().find(|(probed, _)| probed == id);
            let Some((_, ProbeOutcome::Answered { head, .. })) = probe else {
                continue;
            };
            if let Some(entry) = self.entry_mut(*id) {
                entry.take_down_details(*head, details, now);
            }
            if let Some((height, hash)) = details.compared {
                self.forks.hear(*id, height, hash);
            }
        }
    }

    /// Hears what came of a question about the depth of a node, which was at `head`.
    pub fn hear_found(&mut self, id: NodeId, found: DepthFinding, head: BlockNumber, now: Instant) {
        if let Some(entry) = self.entry_mut(id) {
            entry.hear_found(found, head, now);
        }
    }

    /// Hears one round: which nodes were asked, and what came of it.
    pub fn hear_round(
        &mut self,
        probes: &[(NodeId, ProbeOutcome)],
        now: Instant,
    ) -> Vec<FleetChange> {
        let before: Vec<_> = self.entries.iter().map(|entry| entry.head).collect();
        let tags = (self.safe.head(), self.finalized.head());
        let told = self.told.clone();
        for (id, probe) in probes {
            if let Some(entry) = self.entry_mut(*id) {
                entry.take_down(*probe, now);
                entry.compare_branch(&told);
            }
        }
        self.learn_chain_id();
        self.look_for_stuck(probes, now);
        let comparable = self.comparable();
        self.forks.end_round(&comparable, self.leader_id());
        self.find_elsewhere();
        let mut changes: Vec<_> = self.compare(probes, now).into_iter().collect();
        for (at, head_before) in before.into_iter().enumerate() {
            let id = self.entries[at].member.id;
            let Some((_, probe)) = probes.iter().find(|(probed, _)| *probed == id) else {
                continue;
            };
            changes.extend(self.judge(at, *probe, head_before, now));
        }
        self.rounds += 1;
        changes.extend(self.settle(now));
        self.begin_from_floor(now);
        let have_moved = tags != (self.safe.head(), self.finalized.head());
        let were_looked_at = self.tag_looks.is_due();
        (self.tag_looks).end_round(were_looked_at.then_some(have_moved));
        changes
    }

    fn entry_mut(&mut self, id: NodeId) -> Option<&mut NodeState> {
        self.entries.iter_mut().find(|entry| entry.member.id == id)
    }

    /// The configured chain, else the leader's.
    pub fn chain_id(&self) -> Option<ChainId> {
        let learnt = self.learnt_chain_id.map(|(_, id)| id);
        self.criteria.chain_id.or(learnt)
    }

    fn is_on_another_chain(&self, entry: &NodeState) -> bool {
        matches!((self.chain_id(), entry.chain_id), (Some(ours), Some(theirs)) if ours != theirs)
    }

    /// Those whose blocks can be compared: they live on our chain, and not far behind.
    fn comparable(&self) -> Vec<(NodeId, BlockNumber)> {
        let entries = self.entries.iter();
        entries
            .filter(|entry| entry.lives && !self.is_on_another_chain(entry))
            .filter_map(|entry| Some((entry.member.id, entry.head?)))
            .filter(|(_, head)| head.0 > 0 && self.is_near(*head))
            .collect()
    }

    /// Whether what it says of its head says something of our chain.
    fn is_ours(&self, entry: &NodeState) -> bool {
        !self.is_on_another_chain(entry) && !self.forks.is_forked(entry.member.id)
    }

    /// Finds the reference anew.
    fn compare(&mut self, probes: &[(NodeId, ProbeOutcome)], now: Instant) -> Option<FleetChange> {
        let own_heads: Vec<_> = self
            .entries
            .iter()
            .filter(|e| e.member.role == Role::Own && e.lives && self.is_ours(e) && !e.is_stuck)
            .filter_map(|entry| entry.head)
            .collect();
        let said = self.leader_said(probes);
        let reference = self
            .leader
            .hear(said, &own_heads, self.block_time.current(), now);
        let told = |reference: &Reference| (reference.source, reference.doubt);
        let is_new = reference.as_ref().map(told) != self.reference.as_ref().map(told);
        self.reference = reference;
        reference
            .filter(|_| is_new)
            .map(|reference| FleetChange::Reference {
                source: reference.source,
                doubt: reference.doubt,
            })
    }

    fn leader_said(&self, probes: &[(NodeId, ProbeOutcome)]) -> LeaderReport {
        let Some(leader) = self.entries.iter().find(|e| e.member.role == Role::Leader) else {
            return LeaderReport::Absent;
        };
        let probe = probes.iter().find(|(id, _)| *id == leader.member.id);
        match probe.map(|(_, probe)| probe) {
            None => LeaderReport::NotAsked,
            Some(ProbeOutcome::Failed | ProbeOutcome::Throttled(_)) => LeaderReport::Nothing,
            Some(ProbeOutcome::Answered { syncing: true, .. })
                if !leader.keeping_up.is_at_head() =>
            {
                LeaderReport::Unfit
            }
            Some(ProbeOutcome::Answered { .. }) if !self.is_ours(leader) => LeaderReport::Unfit,
            Some(ProbeOutcome::Answered {
                head: BlockNumber(0),
                ..
            }) if self.some_own_head_is_up() => LeaderReport::Unfit,
            Some(ProbeOutcome::Answered { .. }) if leader.is_stuck => LeaderReport::Stuck,
            Some(ProbeOutcome::Answered { head, .. }) => {
                LeaderReport::Head(leader.head.unwrap_or(*head))
            }
        }
    }

    fn some_own_head_is_up(&self) -> bool {
        self.entries
            .iter()
            .any(|e| e.member.role == Role::Own && e.lives && e.head > Some(BlockNumber(0)))
    }

    fn judge(
        &mut self,
        at: usize,
        probe: ProbeOutcome,
        head_before: Option<BlockNumber>,
        now: Instant,
    ) -> Option<FleetChange> {
        let fitness = match probe {
            ProbeOutcome::Throttled(_) => return None,
            ProbeOutcome::Failed => {
                let probe_failure = self.entries[at].probe_failure.as_ref();
                Err(probe_failure.map_or(Reason::Silent, |probe_failure| probe_failure.reason))
            }
            ProbeOutcome::Answered { head, syncing, .. } => {
                // What is believed of it: it may have risen since it answered.
                let head = self.entries[at].head.unwrap_or(head);
                let syncing = syncing && !self.keeps_up(at, head, now);
                self.fitness(&self.entries[at], head, syncing, head_before)
            }
        };
        let entry = &mut self.entries[at];
        let transition = entry
            .standing
            .hear_round(fitness, self.criteria.hysteresis, now)?;
        Some(FleetChange::Node {
            name: entry.member.name.clone(),
            transition,
            probe_failure: entry.probe_failure.clone(),
        })
    }

    /// Whether `head` is no further behind the reference than a fit node's may be.
    fn is_near(&self, head: BlockNumber) -> bool {
        let lag_max = Lag(self.criteria.lag_blocks_max);
        self.reference
            .is_none_or(|reference| head.lag_behind(reference.number) <= lag_max)
    }

    /// Whether a node that answered is fit, else why not.
    fn fitness(
        &self,
        entry: &NodeState,
        head: BlockNumber,
        syncing: bool,
        head_before: Option<BlockNumber>,
    ) -> Result<(), Reason> {
        if self.is_on_another_chain(entry) {
            return Err(Reason::WrongChain);
        }
        if head.0 == 0
            && self
                .reference
                .is_some_and(|reference| reference.number.0 > 0)
        {
            return Err(Reason::HeightZero);
        }
        if syncing {
            return Err(Reason::Syncing);
        }
        if self.forks.is_forked(entry.member.id) {
            return Err(Reason::Forked);
        }
        if entry.is_stuck {
            return Err(Reason::Stuck);
        }
        // While a silent leader's head is held, verdicts on lag stand as they are.
        let is_frozen = self.reference.is_some_and(|r| {
            r.doubt == Some(LeaderDoubt::Silent) && r.source == ReferenceSource::Held
        });
        let was_lagging = matches!(
            entry.standing.state,
            HealthState::Out(Reason::Lagging | Reason::Rollback)
        );
        if is_frozen && entry.standing.state != HealthState::Unproven {
            return if was_lagging {
                Err(Reason::Lagging)
            } else {
                Ok(())
            };
        }
        if self.is_near(head) {
            return Ok(());
        }
        let fell = head_before.is_some_and(|before| before > head);
        Err(if fell {
            Reason::Rollback
        } else {
            Reason::Lagging
        })
    }

    /// What follows from a change: the served head, and whether the fallback serves.
    fn settle(&mut self, now: Instant) -> Vec<FleetChange> {
        self.settle_head(now);
        let mut changes: Vec<_> = self.hear_block_time(now).into_iter().collect();
        let on = !self.entries.iter().any(|e| self.serves(e, Role::Own));
        if on != self.on_fallback && self.rounds > 0 && !self.entries.is_empty() {
            self.on_fallback = on;
            changes.push(FleetChange::Fallback { on });
        }
        changes
    }
}

#[cfg(test)]
#[path = "tracker_tests.rs"]
mod tests;

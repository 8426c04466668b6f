//! What the fleet shows: which nodes' heads count, which heads calls may be held to, and the view.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Fleet;
use crate::fleet::branch::Branch;
use crate::fleet::node_state::NodeState;
use crate::fleet::node_view::NodeView;
use crate::fleet::reference::ReferenceSource;
use crate::fleet::report::ProbeExtras;
use crate::fleet::sampler::Sampler;
use crate::fleet::served_head::HeadReport;
use crate::fleet::view::FleetView;
use crate::vocabulary::chain::{BlockNumber, ChainId};
use crate::vocabulary::node::Role;

/// The longest that a call waits for a block.
const BLOCK_WAIT_MAX: Duration = Duration::from_secs(8);
/// The furthest way back to an ancestor that is believed as such.
const REWIND_BLOCKS_MAX: u64 = 8;

impl Fleet {
    /// Half of the weight of those that serve has them.
    pub(super) fn settle_tags(&mut self, begins_anew: bool) {
        let weighed = |tag: &dyn Fn(&NodeState) -> Option<BlockNumber>| {
            let serving = self.entries.iter().filter(|entry| {
                let role = entry.member.role;
                role == Role::Own && self.serves(entry, role)
            });
            let told = serving
                .filter_map(|entry| Some((tag(entry)?, u64::from(entry.member.weight.get()))));
            told.collect()
        };
        let (safe, finalized) = (weighed(&|e| e.safe), weighed(&|e| e.finalized));
        self.safe.hear(safe, begins_anew);
        self.finalized.hear(finalized, begins_anew);
    }

    /// What the nodes of our chain tell of the head. The best role that has one fit carries it; where
    /// no node is fit, all that live do.
    pub(super) fn witnesses(&self, now: Instant) -> Vec<HeadReport> {
        let role = Role::ALL
            .into_iter()
            .find(|role| self.entries.iter().any(|e| self.serves(e, *role)));
        let carries = |entry: &NodeState| role.map_or(entry.lives, |role| self.serves(entry, role));
        let witness = |entry: &NodeState| {
            let weight = u64::from(entry.member.weight.get());
            Some(HeadReport {
                head: entry.head?,
                lives: entry.lives,
                weight: if carries(entry) { weight } else { 0 },
                has_fallen: entry.has_fallen(),
                is_rewritten: entry.is_rewritten(),
                is_rewound: self.is_rewound(entry, now),
            })
        };
        self.entries
            .iter()
            .filter(|entry| self.is_ours(entry))
            .filter_map(witness)
            .collect()
    }

    /// Whether its head is a block that clients were told a few blocks ago, and it wasn't started
    /// again meanwhile: then its chain was taken back to there.
    fn is_rewound(&self, entry: &NodeState, now: Instant) -> bool {
        let below = match entry.branch(&self.told) {
            Branch::Told { below } => below,
            Branch::Other | Branch::Unknown => 0,
        };
        (1..=REWIND_BLOCKS_MAX).contains(&below) && !entry.is_unsteady(now)
    }

    /// Whether a node of `role` gets calls in the normal run of things. One that turns out to be
    /// on another chain doesn't, be its next round still to come.
    pub(super) fn serves(&self, entry: &NodeState, role: Role) -> bool {
        entry.member.role == role
            && entry.standing.is_healthy()
            && !entry.member.weight.drains()
            && !self.is_on_another_chain(entry)
    }

    /// What calls see from now on.
    pub fn view(&self) -> FleetView {
        let reference = self.reference.map(|reference| reference.number);
        let is_other = |entry: &NodeState| entry.branch(&self.told) == Branch::Other;
        let is_split = self
            .entries
            .iter()
            .any(|entry| self.serves(entry, entry.member.role) && !is_other(entry));
        let nodes = self.entries.iter().map(|entry| {
            let asked = ProbeExtras {
                tags: entry.member.role == Role::Own && self.tag_looks.is_due(),
                compare: self.forks.height_for(entry.member.id),
                ..ProbeExtras::default()
            };
            let is_astray = is_split && is_other(entry);
            let is_on_another_chain = self.is_on_another_chain(entry);
            let mut node = entry.view(reference, is_on_another_chain, is_astray, asked);
            node.known_up_to = node.known_up_to_by(&self.told);
            node
        });
        let nodes: Vec<_> = nodes.collect();
        // Where only others serve, what own nodes said stands still: the tags are theirs to know.
        let own_serves = self.entries.iter().any(|e| self.serves(e, Role::Own));
        let served_head = self.shown_head();
        let highest_head = self.highest_head(&nodes);
        let block_wait = self.block_wait();
        FleetView {
            highest_head,
            block_wait,
            expected_head: highest_head.map(|highest| self.expected(highest, block_wait)),
            reach: highest_head.map(|highest| self.reach_from(highest)),
            believable_head: self.believable(),
            block_time: self.block_time.current(),
            due_block: self.schedule.due(self.block_time.current()),
            falls: self.falls,
            told: self.told.clone(),
            sampler: Sampler::of(&nodes),
            nodes,
            reference: self.reference,
            served_head,
            floor_until: self.floor.held_until(),
            handed_on: self.head_to_hand_on(),
            safe_head: self.safe.head().filter(|_| own_serves),
            finalized_head: self.finalized.head().filter(|_| own_serves),
            net_version: self.net_version(),
            camps: self.forks.camps(),
            chain_id: self.chain_id(),
            nodes_chain: self.nodes_chain(),
            rounds: self.rounds,
        }
    }

    /// How long a call waits for a block.
    pub(super) fn block_wait(&self) -> Duration {
        self.block_time.current().min(BLOCK_WAIT_MAX)
    }

    /// What all say that have told. Where they differ, each call had better ask its node.
    fn net_version(&self) -> Option<Arc<str>> {
        let ours = self.entries.iter().filter(|entry| self.is_ours(entry));
        let mut told = ours.filter_map(|entry| entry.net_version.as_ref());
        let first = told.next()?;
        told.all(|other| other == first).then(|| first.clone())
    }

    /// From the leader, once; from another leader anew.
    pub(super) fn learn_chain_id(&mut self) {
        let leader = self.entries.iter().find(|e| e.member.role == Role::Leader);
        let told = leader.and_then(|leader| Some((leader.member.id, leader.chain_id?)));
        if let Some((from, id)) = told
            && self
                .learnt_chain_id
                .is_none_or(|(teacher, _)| teacher != from)
        {
            self.learnt_chain_id = Some((from, id));
        }
    }

    /// What all nodes say that say one.
    pub(super) fn nodes_chain(&self) -> Option<ChainId> {
        let mut told = self.entries.iter().filter_map(|entry| entry.chain_id);
        let first = told.next()?;
        told.all(|other| other == first).then_some(first)
    }

    /// A leader that is believed is the reference.
    fn highest_head(&self, nodes: &[NodeView]) -> Option<BlockNumber> {
        let fit = nodes
            .iter()
            .filter(|node| node.role != Role::Leader && node.serves());
        let leaders = self
            .reference
            .filter(|reference| reference.source == ReferenceSource::Leader);
        fit.filter_map(|node| node.head)
            .chain(leaders.map(|reference| reference.number))
            .chain(self.served.head())
            .max()
    }
}

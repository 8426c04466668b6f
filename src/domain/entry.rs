//! One node as the fleet knows it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::chain::{BlockNumber, ChainId};
use super::depth::Depth;
use super::health::Standing;
use super::lacks::Lacks;
use super::load::Load;
use super::report::{Member, Probe};
use super::sounding::Soundings;
use super::view::NodeView;

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub member: Member,
    pub standing: Standing,
    pub head: Option<BlockNumber>,
    /// The last probe brought an answer.
    pub lives: bool,
    pub chain_id: Option<ChainId>,
    pub load: Arc<Load>,
    lacks: Arc<Lacks>,
    soundings: Soundings,
    depth: Depth,
}

impl Entry {
    pub fn new(member: Member, now: Instant) -> Entry {
        Entry {
            member,
            standing: Standing::default(),
            head: None,
            lives: false,
            chain_id: None,
            load: Arc::new(Load::new(now)),
            lacks: Arc::default(),
            soundings: Soundings::default(),
            depth: Depth::default(),
        }
    }

    /// The same node, as it stands in the list now.
    pub fn with(self, member: Member) -> Entry {
        Entry { member, ..self }
    }

    pub fn take_down(&mut self, probe: Probe, now: Instant) {
        match probe {
            Probe::Answered { head, chain_id, .. } => {
                self.lives = true;
                self.head = Some(head);
                self.chain_id = chain_id.or(self.chain_id);
                self.depth = self.soundings.depth(head, now);
            }
            Probe::Failed => self.lives = false,
            Probe::Throttled(rest) => self.rest(rest, now),
        }
    }

    pub fn rest(&mut self, rest: Option<Duration>, now: Instant) {
        self.standing.throttle(rest, now);
    }

    /// A call met the state of block `missing` missing.
    pub fn learn_depth(&mut self, missing: BlockNumber, now: Instant) {
        if let Some(head) = self.head {
            self.soundings.hear_missing(missing, head, now);
            self.depth = self.soundings.depth(head, now);
        }
    }

    /// As calls see it.
    pub fn view(&self, reference: Option<BlockNumber>, is_on_another_chain: bool) -> NodeView {
        NodeView {
            id: self.member.id,
            name: self.member.name.clone(),
            rung: self.member.rung,
            weight: self.member.weight,
            head: self.head,
            reference,
            lives: self.lives,
            is_on_another_chain,
            standing: self.standing,
            load: self.load.clone(),
            depth: self.depth,
            lacks: self.lacks.clone(),
        }
    }
}

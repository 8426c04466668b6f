//! One node as the fleet knows it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::chain::{BlockHash, BlockNumber, ChainId};
use super::depth::Depth;
use super::health::Standing;
use super::lacks::Lacks;
use super::load::Load;
use super::report::{Details, Inquiry, Member, Probe};
use super::sounding::{Found, Question, Soundings};
use super::trouble::Trouble;
use super::view::NodeView;

/// Heads that a node's hashes are remembered of: those of the last rounds.
const TRAIL_MAX: usize = 16;

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub member: Member,
    pub standing: Standing,
    pub head: Option<BlockNumber>,
    /// The last probe brought an answer.
    pub lives: bool,
    /// Why the last probe brought no head.
    pub trouble: Option<Trouble>,
    pub chain_id: Option<ChainId>,
    pub load: Arc<Load>,
    pub net_version: Option<Arc<str>>,
    pub safe: Option<BlockNumber>,
    pub finalized: Option<BlockNumber>,
    head_timestamp: Option<u64>,
    past: Past,
    lacks: Arc<Lacks>,
    /// Methods that it takes as they were written only.
    as_written: Arc<Lacks>,
    soundings: Soundings,
    depth: Depth,
    question: Option<Question>,
}

/// Where the node was before.
#[derive(Clone, Debug, Default)]
struct Past {
    /// The highest head that it has told on this chain.
    peak: Option<BlockNumber>,
    /// It has since told another hash of a block than before.
    is_rewritten: bool,
    trail: VecDeque<(BlockNumber, BlockHash)>,
}

impl Past {
    fn hear(&mut self, head: BlockNumber) {
        if Some(head) >= self.peak {
            self.peak = Some(head);
            self.is_rewritten = false;
        }
    }

    fn hear_hash(&mut self, head: BlockNumber, hash: BlockHash) {
        let known = self.trail.iter().position(|(number, _)| *number == head);
        if let Some((_, old)) = known.and_then(|at| self.trail.remove(at)) {
            self.is_rewritten |= old != hash;
        } else if self.trail.len() == TRAIL_MAX {
            self.trail.pop_front();
        }
        self.trail.push_back((head, hash));
    }
}

impl Entry {
    pub fn new(member: Member, now: Instant) -> Entry {
        Entry {
            member,
            standing: Standing::default(),
            head: None,
            lives: false,
            trouble: None,
            chain_id: None,
            load: Arc::new(Load::new(now)),
            net_version: None,
            safe: None,
            finalized: None,
            head_timestamp: None,
            past: Past::default(),
            lacks: Arc::default(),
            as_written: Arc::default(),
            soundings: Soundings::default(),
            depth: Depth::default(),
            question: None,
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
                self.past.hear(head);
                self.sound(now);
            }
            Probe::Failed => self.lives = false,
            Probe::Throttled(rest) => self.rest(rest, now),
        }
    }

    /// Hears what came with a head; the head itself is taken down apart.
    pub fn take_down_details(&mut self, head: BlockNumber, details: &Details, now: Instant) {
        if let Some(hash) = details.head_hash {
            self.past.hear_hash(head, hash);
        }
        self.head_timestamp = details.head_timestamp;
        self.net_version = details.net_version.clone().or(self.net_version.take());
        // A tag beyond the head is a mistake, or a lie.
        self.safe = details.safe.filter(|tagged| *tagged <= head);
        self.finalized = details.finalized.filter(|tagged| *tagged <= head);
        self.soundings.hear_told(details.capabilities, now);
        if let Some(found) = details.depth {
            self.hear_found(found, head, now);
        }
        self.sound(now);
    }

    /// What came with a head that it told unasked.
    pub fn hear_head(&mut self, head: BlockNumber, details: &Details) {
        if let Some(hash) = details.head_hash {
            self.past.hear_hash(head, hash);
        }
        self.head_timestamp = details.head_timestamp.or(self.head_timestamp);
    }

    /// What came of a question about its depth, when it was at `head`.
    pub fn hear_found(&mut self, found: Found, head: BlockNumber, now: Instant) {
        self.soundings.hear(found, head, now);
        self.sound(now);
    }

    pub fn rest(&mut self, rest: Option<Duration>, now: Instant) {
        self.standing.throttle(rest, now);
    }

    /// A call met the state of block `missing` missing.
    pub fn learn_depth(&mut self, missing: BlockNumber, now: Instant) {
        if let Some(head) = self.head {
            self.soundings.hear_missing(missing, head, now);
            self.sound(now);
        }
    }

    /// What is known of its depth, as of now.
    fn sound(&mut self, now: Instant) {
        if let Some(head) = self.head {
            self.depth = self.soundings.depth(head, now);
            self.question = self.soundings.question(head, now);
        }
    }

    /// Its head is lower than it has told before.
    pub fn has_fallen(&self) -> bool {
        self.head < self.past.peak
    }

    /// And its blocks are others than it has told before.
    pub fn is_rewritten(&self) -> bool {
        self.past.is_rewritten
    }

    /// Where it is now is where its chain begins or has fallen to.
    pub fn forget_past(&mut self) {
        self.past = Past {
            peak: self.head,
            ..Past::default()
        };
    }

    /// As calls see it. `compare`: the block whose hash it is to be asked for.
    pub fn view(
        &self,
        reference: Option<BlockNumber>,
        is_on_another_chain: bool,
        compare: Option<BlockNumber>,
    ) -> NodeView {
        NodeView {
            id: self.member.id,
            name: self.member.name.clone(),
            rung: self.member.rung,
            weight: self.member.weight,
            head: self.head,
            head_timestamp: self.head_timestamp,
            reference,
            lives: self.lives,
            trouble: self.trouble.clone(),
            is_on_another_chain,
            standing: self.standing,
            load: self.load.clone(),
            depth: self.depth,
            lacks: self.lacks.clone(),
            as_written: self.as_written.clone(),
            inquiry: Inquiry {
                capabilities: self.soundings.asks_capabilities(),
                // Of a node that syncs, say, nothing would be learnt that lasts.
                depth: self.question.filter(|_| self.standing.is_healthy()),
                compare,
            },
        }
    }
}

//! What clients are told of the head: one chain, made of what all nodes tell.
//!
//! Each update begins where the last one ended, or at a block told before it: parents are linked by
//! hash, no block is told twice on a chain. Numbers grow along it, and may skip: Filecoin's null
//! rounds have none. A missing ancestor is asked for before its child is told, and nothing again
//! without a pause (see [`HeaderQuestions`]). Which node's head counts is not decided here: only nodes
//! whose word is good are heard (see [`witnesses`]).
//!
//! The told head is left for another branch only if
//! - that is longer, or
//! - as long, and more nodes than one have it, and more than still have the told one; or no node
//!   that is heard has that any more, or
//! - shorter, and for some time no node has been on the told one, not even behind on it.
//!
//! So a node that lags, or wakes up, takes nothing back.
//!
//! And what is told can be found by calls: it is no higher than the head that they are served, or a
//! block time old, and two nodes have it, or the only one (see [`hold`]).

mod answers;
mod doubt;
mod hold;
mod known;
mod missing;
mod questions;
mod witness;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use self::witness::witnesses;
pub use crate::feed::head_tracker::answers::HeaderAnswers;
use crate::feed::head_tracker::hold::HoldReason;
use crate::feed::head_tracker::known::HeaderCache;
use crate::feed::head_tracker::missing::MissingBlock;
use crate::feed::head_tracker::questions::HeaderQuestions;
use crate::vocabulary::chain::{BlockHash, BlockNumber};
use crate::vocabulary::header::Header;
use crate::vocabulary::node::NodeId;

/// How many blocks are remembered as told: so deep a reorg can be told.
pub const TOLD_MAX: usize = 128;
/// The longest way from a node's head to what was told, in blocks.
pub const FILL_MAX: u64 = 128;
/// Block times after which a shorter chain, or one that can't be linked, is believed.
const STANDS_BLOCK_TIMES: u32 = 2;
/// And at the least after this long.
const STANDS_MIN: Duration = Duration::from_secs(4);

/// A node's head, as it told it unasked, or answered.
#[derive(Clone, Debug)]
pub struct NodeHead {
    /// The node.
    pub id: NodeId,
    /// Its head.
    pub header: Arc<Header>,
    /// Where it was told unasked, when it was heard; else when the node was asked for it.
    pub as_of: Instant,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadStep {
    /// Tell subscribers this.
    Tell(ChainUpdate),
    /// Ask for the block `hash`, the parent of one with the number `child`, of the nodes in this
    /// order, and say what came of it.
    Fetch {
        /// The block's hash.
        hash: BlockHash,
        /// The number of a block whose parent it is.
        child: BlockNumber,
        /// The nodes to ask, one after another.
        from: Vec<NodeId>,
    },
    /// Nothing before this time, or before more is heard.
    Wait(Option<Instant>),
}

/// What clients are to be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChainUpdate {
    /// Blocks told before that are on the chain no longer, newest first.
    pub abandoned: Vec<Arc<Header>>,
    /// Oldest first, each the child of the one before.
    pub headers: Vec<Arc<Header>>,
    /// The chain can't be linked with what was told before: something is missing in between.
    pub is_torn: bool,
}

/// The chain as told, and what nodes say of it.
#[derive(Debug)]
pub struct HeadTracker {
    block_time: Duration,
    /// Oldest first, linked.
    told: VecDeque<Arc<Header>>,
    /// What each node said last, and when that was heard, whether it counts or not.
    said: BTreeMap<NodeId, (NodeHead, Instant)>,
    witnesses: Vec<NodeId>,
    /// The head that calls are served.
    served: Option<BlockNumber>,
    /// Blocks on the way from heads to what was told.
    known: HeaderCache,
    questions: HeaderQuestions,
    fetching: Option<BlockHash>,
    roots_missed: u32,
    /// Since when no node has been on the told chain, or it can't be linked with the best head.
    doubted_since: Option<Instant>,
}

/// How the best head is linked with what was told.
enum HeadLinkage {
    /// The blocks after the told one at this place, oldest first.
    Linked(usize, Vec<Arc<Header>>),
    Missing(MissingBlock),
    /// It parts from the chain before all that is remembered, or is too far away.
    Apart,
}

/// The earliest of the times that something waits for.
#[derive(Clone, Copy, Debug, Default)]
struct EarliestDeadline(Option<Instant>);

impl EarliestDeadline {
    fn also(&mut self, time: Instant) {
        self.0 = Some(self.0.map_or(time, |until| until.min(time)));
    }
}

impl HeadTracker {
    /// Of a chain with so much time between blocks, of which nothing was told yet.
    pub fn new(block_time: Duration) -> HeadTracker {
        HeadTracker {
            block_time,
            told: VecDeque::new(),
            said: BTreeMap::new(),
            witnesses: Vec::new(),
            served: None,
            known: HeaderCache::default(),
            questions: HeaderQuestions::default(),
            fetching: None,
            roots_missed: 0,
            doubted_since: None,
        }
    }

    /// So much time is between blocks from now on: it says after how long a shorter chain is believed.
    pub fn set_block_time(&mut self, block_time: Duration) {
        self.block_time = block_time;
    }

    /// The block told last.
    pub fn head(&self) -> Option<&Arc<Header>> {
        self.told.back()
    }

    /// The blocks told, oldest first, and some before them.
    pub fn told(&self) -> impl ExactSizeIterator<Item = &Arc<Header>> {
        self.told.iter()
    }

    /// A node said where it is. An answer asked for before the node's last word is heeded only if it goes
    /// on from that: it may be older, and would take a reorganisation back.
    pub fn hear(&mut self, mut head: NodeHead, now: Instant) {
        self.known.insert(head.header.clone(), now);
        if let Some((last, _)) = self.said.get(&head.id)
            && head.as_of < last.as_of
        {
            if !self.known.descends(&head.header, &last.header) {
                return;
            }
            head.as_of = last.as_of;
        }
        self.said.insert(head.id, (head, now));
    }

    /// The word of these counts from now on, and calls are served this head. What nodes said that are
    /// not in the list is forgotten.
    pub fn heed(&mut self, list: &[NodeId], witnesses: Vec<NodeId>, served: Option<BlockNumber>) {
        self.said.retain(|id, _| list.contains(id));
        self.witnesses = witnesses;
        self.served = served;
    }

    /// The heads that count.
    fn heads(&self) -> impl Iterator<Item = (NodeId, &Arc<Header>)> {
        let counted = (self.said.values()).map(|(head, _)| (head.id, &head.header));
        counted.filter(|(id, _)| self.witnesses.contains(id))
    }

    /// What is to be done now.
    pub fn next(&mut self, now: Instant) -> HeadStep {
        let Some(told) = self.told.back().cloned() else {
            return self.begin(now);
        };
        let candidates = self.candidates(&told);
        // What is linked is told before anything is asked for: an answer may take long.
        let (mut missing, mut until) = (Vec::new(), EarliestDeadline::default());
        for candidate in &candidates {
            if !self.may_take(candidate, &told, now) {
                continue;
            }
            match self.way(candidate) {
                HeadLinkage::Linked(at, headers) => match self.hold(candidate, now) {
                    HoldReason::None => return self.update(at, headers),
                    HoldReason::Until(time) => until.also(time),
                    HoldReason::Company => {}
                },
                HeadLinkage::Missing(block) if is_near(candidate, &told) => {
                    missing.push((block, candidate.clone()));
                }
                HeadLinkage::Missing(_) | HeadLinkage::Apart => {}
            }
        }
        missing.extend(self.root().map(|root| (root, told)));
        if self.fetching.is_some() && !missing.is_empty() {
            return HeadStep::Wait(until.0);
        }
        match self.ask(missing, &mut until, now) {
            Some(step) => step,
            None => self.doubt(&candidates, until, now),
        }
    }

    /// The first head: one that most are near to. Where no two are, the lowest: one node's lie would
    /// stand until others come near it.
    fn begin(&mut self, now: Instant) -> HeadStep {
        let most = self.heads().map(|(_, head)| self.near(head)).max();
        let (mut agreed, mut until) = (Vec::new(), EarliestDeadline::default());
        for (_, head) in self
            .heads()
            .filter(|(_, head)| Some(self.near(head)) == most)
        {
            match self.hold(head, now) {
                HoldReason::None => agreed.push(head.clone()),
                HoldReason::Until(time) => until.also(time),
                HoldReason::Company => {}
            }
        }
        let first = match most {
            Some(1) => agreed.into_iter().min_by_key(|header| header.number),
            _ => agreed.into_iter().max_by_key(|header| header.number),
        };
        let Some(first) = first else {
            return HeadStep::Wait(until.0);
        };
        self.tell(ChainUpdate {
            headers: vec![first],
            ..ChainUpdate::default()
        })
    }

    /// How many heads are near to this one, itself among them.
    fn near(&self, header: &Header) -> usize {
        let is_near = |(_, other): &(NodeId, &Arc<Header>)| is_near(header, other);
        self.heads().filter(is_near).count()
    }

    /// Heads that aren't on the told chain, the best first: the highest, then what more nodes have.
    fn candidates(&self, told: &Header) -> Vec<Arc<Header>> {
        let mut heads: Vec<_> = self.heads().map(|(_, head)| head.clone()).collect();
        heads.sort_by_key(|head| head.hash);
        heads.dedup_by_key(|head| head.hash);
        heads.retain(|head| self.place(head.hash).is_none());
        let rank = |head: &Arc<Header>| {
            let extends = self.known.descends(head, told);
            (head.number, extends, self.supporters(head))
        };
        heads.sort_by_cached_key(|head| std::cmp::Reverse(rank(head)));
        heads
    }

    /// Where a block stands among those told.
    fn place(&self, hash: BlockHash) -> Option<usize> {
        self.told.iter().rposition(|header| header.hash == hash)
    }

    /// How many nodes have `header` on their chain, as far as is known.
    fn supporters(&self, header: &Header) -> usize {
        let has = |(_, head): &(NodeId, &Arc<Header>)| self.known.descends(head, header);
        self.heads().filter(has).count()
    }

    /// How long the told chain must have been without any node before a shorter one is believed.
    fn stands(&self) -> Duration {
        (self.block_time * STANDS_BLOCK_TIMES).max(STANDS_MIN)
    }

    fn may_take(&self, candidate: &Header, told: &Header, now: Instant) -> bool {
        if candidate.number > told.number {
            return true;
        }
        let still = self.supporters(told);
        if candidate.number == told.number {
            let others = self.supporters(candidate);
            return still == 0 || (others > 1 && others > still);
        }
        let has_stood = self
            .doubted_since
            .is_some_and(|since| now.saturating_duration_since(since) >= self.stands());
        has_stood && !self.is_any_node_on_it()
    }

    /// Whether a node's head is the told one, after it, or behind on its chain.
    fn is_any_node_on_it(&self) -> bool {
        let told = self.told.back();
        self.heads().any(|(_, head)| {
            self.place(head.hash).is_some()
                || told.is_some_and(|told| self.known.descends(head, told))
        })
    }

    fn way(&self, candidate: &Arc<Header>) -> HeadLinkage {
        let mut headers = vec![candidate.clone()];
        let mut at = candidate;
        let floor = self.told.front().map(|first| first.number);
        for _ in 0..FILL_MAX {
            if let Some(place) = self.place(at.parent) {
                let before = self.told.get(place).map(|told| told.number);
                if before >= Some(at.number) {
                    return HeadLinkage::Apart;
                }
                headers.reverse();
                return HeadLinkage::Linked(place, headers);
            }
            if Some(at.number) <= floor {
                return HeadLinkage::Apart;
            }
            let Some(parent) = self.known.parent(at) else {
                return HeadLinkage::Missing(MissingBlock {
                    hash: at.parent,
                    child: at.number,
                });
            };
            headers.push(parent.clone());
            at = parent;
        }
        HeadLinkage::Apart
    }

    fn update(&mut self, at: usize, headers: Vec<Arc<Header>>) -> HeadStep {
        let mut abandoned: Vec<_> = self.told.drain(at + 1..).collect();
        abandoned.reverse();
        self.tell(ChainUpdate {
            abandoned,
            headers,
            is_torn: false,
        })
    }

    fn tell(&mut self, update: ChainUpdate) -> HeadStep {
        self.told.extend(update.headers.iter().cloned());
        let over = self.told.len().saturating_sub(TOLD_MAX);
        self.told.drain(..over);
        self.doubted_since = None;
        HeadStep::Tell(update)
    }
}

fn is_near(one: &Header, other: &Header) -> bool {
    one.number.0.abs_diff(other.number.0) <= FILL_MAX
}

#[cfg(test)]
mod tests;

//! What clients are told of the head: one chain, made of what all nodes tell.
//!
//! Each turn begins where the last one ended, or at a block told before it: parents are linked, no
//! block is told twice on a chain. A missing ancestor is asked for before its child is told. Whose
//! head counts is not decided here: only nodes whose word is good are heard (see [`witnesses`]).
//!
//! The told head is left for another branch only if
//! - that is longer, or
//! - as long, and more nodes than one have it, and more than still have the told one; or nobody
//!   who is heard has that any more, or
//! - shorter, and for some time nobody has been on the told one, not even behind on it.
//!
//! So a node that lags, or wakes up, takes nothing back.

mod doubt;
mod known;
mod witness;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::known::Known;
pub use self::witness::witnesses;
use super::chain::{BlockHash, BlockNumber};
use super::header::Header;
use super::node::NodeId;

/// How many blocks are remembered as told: so deep a reorg can be told.
pub const TOLD_MAX: usize = 128;
/// The longest way from a node's head to what was told, in blocks.
pub const FILL_MAX: u64 = 128;
/// Blocks before the first one told that are looked up, so that a reorg at the start is one.
const ROOTS: usize = 16;
/// Nodes that don't have them aren't asked for ever.
const ROOTS_MISSED_MAX: u32 = 8;
/// A block that nobody could bring isn't asked for again so soon.
const MISSING_FOR: Duration = Duration::from_secs(1);
/// Block times after which a shorter chain, or one that can't be linked, is believed.
const STANDS_BLOCK_TIMES: u32 = 2;
/// And at the least after this long.
const STANDS_MIN: Duration = Duration::from_secs(4);
/// The most blocks that were looked for in vain and are remembered.
const MISSING_MAX: usize = 256;

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Tell(Turn),
    /// Ask for the block `hash`, of the nodes in this order, and say what came of it.
    Fetch {
        hash: BlockHash,
        from: Vec<NodeId>,
    },
    /// Nothing before this time, or before more is heard.
    Wait(Option<Instant>),
}

/// What clients are to be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// Blocks told before that are on the chain no longer, newest first.
    pub abandoned: Vec<Arc<Header>>,
    /// Oldest first, each the child of the one before.
    pub headers: Vec<Arc<Header>>,
    /// The chain can't be linked with what was told before: something is missing in between.
    pub is_torn: bool,
}

/// The chain as told, and what nodes say of it.
#[derive(Debug)]
pub struct Headline {
    stands: Duration,
    /// Oldest first, linked.
    told: VecDeque<Arc<Header>>,
    /// What each node said last, whether it counts or not.
    said: BTreeMap<NodeId, Arc<Header>>,
    witnesses: Vec<NodeId>,
    /// Blocks on the way from heads to what was told.
    known: Known,
    missing: HashMap<BlockHash, Instant>,
    fetching: Option<BlockHash>,
    roots_missed: u32,
    /// Since when nobody has been on the told chain, or it can't be linked with the best head.
    doubted_since: Option<Instant>,
}

/// How the best head is linked with what was told.
enum Way {
    /// The blocks after the told one at this place, oldest first.
    Linked(usize, Vec<Arc<Header>>),
    Missing(BlockHash),
    /// It parts from the chain before all that is remembered, or is too far away.
    Apart,
}

impl Headline {
    pub fn new(block_time: Duration) -> Headline {
        Headline {
            stands: stands(block_time),
            told: VecDeque::new(),
            said: BTreeMap::new(),
            witnesses: Vec::new(),
            known: Known::default(),
            missing: HashMap::new(),
            fetching: None,
            roots_missed: 0,
            doubted_since: None,
        }
    }

    pub fn set_block_time(&mut self, block_time: Duration) {
        self.stands = stands(block_time);
    }

    /// The block told last.
    pub fn head(&self) -> Option<&Arc<Header>> {
        self.told.back()
    }

    /// Node `id` has `header` as its head.
    pub fn hear(&mut self, id: NodeId, header: Arc<Header>) {
        self.missing.remove(&header.hash);
        self.known.insert(header.clone());
        self.said.insert(id, header);
    }

    /// The word of these counts from now on. What nodes said that are not in the list is forgotten.
    pub fn heed(&mut self, list: &[NodeId], witnesses: Vec<NodeId>) {
        self.said.retain(|id, _| list.contains(id));
        self.witnesses = witnesses;
    }

    /// The heads that count.
    fn heads(&self) -> impl Iterator<Item = (NodeId, &Arc<Header>)> {
        let counted = self.said.iter().map(|(id, head)| (*id, head));
        counted.filter(|(id, _)| self.witnesses.contains(id))
    }

    /// What came of a fetch: the block, or nobody has it now.
    pub fn bring(&mut self, hash: BlockHash, header: Option<Arc<Header>>, now: Instant) {
        self.fetching = self.fetching.filter(|fetching| *fetching != hash);
        match header.filter(|header| header.hash == hash) {
            Some(header) if self.is_root(&header) => self.told.push_front(header),
            Some(header) => self.known.insert(header),
            None => {
                let is_root = self.told.front().is_some_and(|first| first.parent == hash);
                self.roots_missed += u32::from(is_root);
                self.missing.retain(|_, until| *until > now);
                if self.missing.len() < MISSING_MAX {
                    self.missing.insert(hash, now + MISSING_FOR);
                }
            }
        }
    }

    /// Whether it is the block before the first that is remembered, and wanted as such.
    fn is_root(&self, header: &Header) -> bool {
        let is_before = |first: &Arc<Header>| {
            first.parent == header.hash && first.number.0.checked_sub(1) == Some(header.number.0)
        };
        self.told.len() < ROOTS && self.told.front().is_some_and(is_before)
    }

    /// What is to be done now.
    pub fn next(&mut self, now: Instant) -> Step {
        let Some(told) = self.told.back().cloned() else {
            return self.begin();
        };
        let candidates = self.candidates(&told);
        // What is linked is told before anything is asked for: an answer may take long.
        let mut missing = Vec::new();
        for candidate in &candidates {
            if !self.may_take(candidate, &told, now) {
                continue;
            }
            match self.way(candidate) {
                Way::Linked(at, headers) => return self.turn(at, headers),
                Way::Missing(hash) => missing.push((hash, candidate)),
                Way::Apart => {}
            }
        }
        let mut missing = missing.into_iter();
        let asked = missing.find_map(|(hash, candidate)| self.fetch(hash, candidate, now));
        if let Some(step) = asked.or_else(|| self.root(now)) {
            return step;
        }
        self.doubt(&candidates, now)
    }

    /// The next block before the first one told.
    fn root(&mut self, now: Instant) -> Option<Step> {
        let first = self.told.front().cloned()?;
        let is_wanted = self.told.len() < ROOTS
            && self.roots_missed < ROOTS_MISSED_MAX
            && first.number.0 > 0
            && self.heads().next().is_some();
        let head = self.told.back().cloned().filter(|_| is_wanted)?;
        self.fetch(first.parent, &head, now)
    }

    /// The first head: one that most are near to. Where no two are, the lowest: one node's lie would
    /// stand until others come near it.
    fn begin(&mut self) -> Step {
        let most = self.heads().map(|(_, head)| self.near(head)).max();
        let agreed = || {
            let heads = self.heads().map(|(_, head)| head);
            heads.filter(|head| Some(self.near(head)) == most)
        };
        let first = match most {
            Some(1) => agreed().min_by_key(|header| header.number),
            _ => agreed().max_by_key(|header| header.number),
        };
        let Some(first) = first.cloned() else {
            return Step::Wait(None);
        };
        self.tell(Turn {
            headers: vec![first],
            ..Turn::default()
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
        heads.retain(|head| self.place(head.hash, head.number).is_none());
        let rank = |head: &Arc<Header>| {
            let extends = self.known.descends(head, told);
            (head.number, extends, self.supporters(head))
        };
        heads.sort_by_cached_key(|head| std::cmp::Reverse(rank(head)));
        heads
    }

    /// Where a block stands among those told.
    fn place(&self, hash: BlockHash, number: BlockNumber) -> Option<usize> {
        let first = self.told.front()?.number.0;
        let at = usize::try_from(number.0.checked_sub(first)?).ok()?;
        (self.told.get(at)?.hash == hash).then_some(at)
    }

    /// How many nodes have `header` on their chain, as far as is known.
    fn supporters(&self, header: &Header) -> usize {
        let has = |(_, head): &(NodeId, &Arc<Header>)| self.known.descends(head, header);
        self.heads().filter(has).count()
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
            .is_some_and(|since| now.saturating_duration_since(since) >= self.stands);
        has_stood && !self.is_anybody_on_it()
    }

    /// Whether a node's head is the told one, after it, or behind on its chain.
    fn is_anybody_on_it(&self) -> bool {
        let told = self.told.back();
        self.heads().any(|(_, head)| {
            self.place(head.hash, head.number).is_some()
                || told.is_some_and(|told| self.known.descends(head, told))
        })
    }

    fn way(&self, candidate: &Arc<Header>) -> Way {
        let mut headers = vec![candidate.clone()];
        let mut at = candidate.clone();
        let floor = self.told.front().map_or(0, |first| first.number.0);
        for _ in 0..FILL_MAX {
            let Some(number) = at.number.0.checked_sub(1).filter(|number| *number >= floor) else {
                return Way::Apart;
            };
            if let Some(place) = self.place(at.parent, BlockNumber(number)) {
                headers.reverse();
                return Way::Linked(place, headers);
            }
            let Some(parent) = self.known.get(at.parent) else {
                return Way::Missing(at.parent);
            };
            if parent.number.0 != number {
                return Way::Apart;
            }
            headers.push(parent.clone());
            at = parent.clone();
        }
        Way::Apart
    }

    /// `None`: it was asked for in vain a moment ago, or is far too far away.
    fn fetch(&mut self, hash: BlockHash, candidate: &Header, now: Instant) -> Option<Step> {
        let told = self.told.back()?.number.0;
        if candidate.number.0.saturating_sub(told) > FILL_MAX {
            return None;
        }
        if self.missing.get(&hash).is_some_and(|until| *until > now) {
            return None;
        }
        if self.fetching.is_some() {
            return Some(Step::Wait(None));
        }
        self.fetching = Some(hash);
        let has = |(_, head): &(NodeId, &Arc<Header>)| head.hash == candidate.hash;
        let (first, then): (Vec<_>, Vec<_>) = self.heads().partition(has);
        let from = first.into_iter().chain(then).map(|(id, _)| id).collect();
        Some(Step::Fetch { hash, from })
    }

    fn turn(&mut self, at: usize, headers: Vec<Arc<Header>>) -> Step {
        let mut abandoned: Vec<_> = self.told.drain(at + 1..).collect();
        abandoned.reverse();
        self.tell(Turn {
            abandoned,
            headers,
            is_torn: false,
        })
    }

    /// When a block that nobody had may be asked for again.
    fn retry_at(&self, now: Instant) -> Option<Instant> {
        self.missing
            .values()
            .filter(|until| **until > now)
            .min()
            .copied()
    }

    fn tell(&mut self, turn: Turn) -> Step {
        self.told.extend(turn.headers.iter().cloned());
        let over = self.told.len().saturating_sub(TOLD_MAX);
        self.told.drain(..over);
        self.doubted_since = None;
        let floor = self
            .told
            .front()
            .map_or(BlockNumber(0), |first| first.number);
        self.known.retain_ways(self.said.values(), floor);
        Step::Tell(turn)
    }
}

fn is_near(one: &Header, other: &Header) -> bool {
    one.number.0.abs_diff(other.number.0) <= FILL_MAX
}

fn stands(block_time: Duration) -> Duration {
    (block_time * STANDS_BLOCK_TIMES).max(STANDS_MIN)
}

#[cfg(test)]
mod tests;

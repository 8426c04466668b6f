//! Which node a call asks next.

use std::time::Instant;

use crate::call::retry::RetryPlanner;
use crate::call::retry::doubted::DoubtedAnswer;
use crate::fleet::requirements::{NodePreference, NodeQuery, TroubleTolerance};
use crate::method::RepeatRule;
use crate::vocabulary::block_ref::BlockRange;
use crate::vocabulary::node::NodeId;
use crate::vocabulary::tier::Tier;

/// Nodes in order.
const FIT: &[Tier] = &[Tier::Own, Tier::Fallback];
/// Any other node that lives.
const UNFIT: &[Tier] = &[Tier::LastResort];

/// Which node to ask.
pub(super) enum NodePick {
    Node(NodeId, Tier),
    Later(Instant),
    NoNode,
}

impl From<Option<(NodeId, Tier)>> for NodePick {
    fn from(drawn: Option<(NodeId, Tier)>) -> NodePick {
        drawn.map_or(NodePick::NoNode, |(node, tier)| NodePick::Node(node, tier))
    }
}

impl<'a> RetryPlanner<'a> {
    /// Whether the fallback may be asked though all attempts are made: the own nodes broke all of them,
    /// as they do when they die together.
    pub(super) fn may_fall_back(&self, now: Instant) -> bool {
        let is_in_time = now < self.budget.deadline;
        let repeats = self.treatment.repeat() == RepeatRule::Freely && !self.is_over;
        let broke = self.all_broke && self.tier == Tier::Own && !self.tried.is_empty();
        is_in_time && repeats && broke && self.doubted.is_none() && !self.fell_back
    }

    /// A fallback node, where no own node is left untried.
    pub(super) fn pick_one_more(
        &mut self,
        mut draw: impl FnMut(&NodeQuery<'_>) -> Option<(NodeId, Tier)>,
    ) -> NodePick {
        self.fell_back = true;
        if draw(&self.query(&[Tier::Own])).is_some() {
            return NodePick::NoNode;
        }
        draw(&self.query(&[Tier::Fallback])).into()
    }

    /// A fit node that lacks the block is right about the chain; one that isn't fit may be on another
    /// branch, or far behind.
    pub(super) fn pick(
        &mut self,
        now: Instant,
        mut draw: impl FnMut(&NodeQuery<'_>) -> Option<(NodeId, Tier)>,
    ) -> NodePick {
        if let Some(doubted) = self.doubted {
            return self.pick_other(doubted, draw);
        }
        let unfit = self.budget.fails_open.then_some(UNFIT);
        for tiers in [FIT].into_iter().chain(unfit) {
            if let Some((node, tier)) = draw(&self.query(tiers)) {
                return NodePick::Node(node, tier);
            }
            if let Some(block) = self.needs.block.filter(|_| !self.asked_too_old)
                && let Some(found) = self.pick_without(block, tiers, now, &mut draw)
            {
                return found;
            }
        }
        NodePick::NoNode
    }

    /// Of nodes that lack `block`: one that is up to it and, after a wait for one that has it, any.
    fn pick_without(
        &mut self,
        block: BlockRange,
        tiers: &[Tier],
        now: Instant,
        mut draw: impl FnMut(&NodeQuery<'_>) -> Option<(NodeId, Tier)>,
    ) -> Option<NodePick> {
        // Too old for them all, as far as is known: one of them says so itself.
        let mut query = self.query(tiers);
        query.needs.block = Some(block.of_head());
        query.needs.preference = NodePreference::Deepest;
        if let Some((node, tier)) = draw(&query) {
            self.asked_too_old = true;
            return Some(NodePick::Node(node, tier));
        }
        query.needs.block = None;
        query.needs.preference = NodePreference::Freshest;
        let (node, tier) = draw(&query)?;
        Some(match self.wait_end(now) {
            Some(until) if now < until => NodePick::Later(until),
            Some(_) | None => NodePick::Node(node, tier),
        })
    }

    /// The node that is to confirm what is doubted: one of the same tier, and where own nodes found nothing,
    /// then a fallback node.
    fn pick_other(
        &mut self,
        doubted: DoubtedAnswer,
        mut draw: impl FnMut(&NodeQuery<'_>) -> Option<(NodeId, Tier)>,
    ) -> NodePick {
        // A fresh node comes before one that goes back further.
        if let Some(node) = self.confirmers.pop() {
            return NodePick::Node(node, self.tier);
        }
        let may_go_beyond = doubted == DoubtedAnswer::Null && self.tier == Tier::Own;
        let tiers: &[Tier] = match (self.asks_beyond, may_go_beyond) {
            (false, true) => FIT,
            (false, false) => &[self.tier],
            (true, true) => &[Tier::Fallback],
            (true, false) => &[],
        };
        let mut query = self.query(tiers);
        query.tolerances = &[TroubleTolerance::Whole];
        draw(&query).into()
    }

    /// From tier to tier until a node is found: first those that nothing speaks against, with one
    /// on trial among them where the call may go on to another, then any that there is. A node that is
    /// likely to refuse it comes last.
    pub(super) fn query<'q>(&'q self, tiers: &'q [Tier]) -> NodeQuery<'q> {
        let is_first = self.tried.is_empty() && self.budget.attempts_max > 1;
        let tolerances = if is_first && self.treatment.repeat() == RepeatRule::Freely {
            &[TroubleTolerance::Trial, TroubleTolerance::Any]
        } else {
            &[TroubleTolerance::Whole, TroubleTolerance::Any]
        };
        NodeQuery {
            tiers,
            tolerances,
            passed: &self.tried,
            avoided: &self.avoided,
            needs: self.needs,
        }
    }

    /// One wait a call, which leaves half of the time that it has for asking.
    fn wait_end(&mut self, now: Instant) -> Option<Instant> {
        let left = self.budget.deadline.saturating_duration_since(now);
        let wait = self.budget.block_wait?.min(left / 2);
        Some(*self.waits_until.get_or_insert(now + wait))
    }
}

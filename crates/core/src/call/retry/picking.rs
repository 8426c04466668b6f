//! Whom a call asks next.

use std::time::Instant;

use crate::call::retry::RetryPlanner;
use crate::call::retry::doubted::DoubtedAnswer;
use crate::fleet::requirements::{NodePreference, NodeRequirements, TroubleTolerance};
use crate::method::RepeatRule;
use crate::vocabulary::node::NodeId;
use crate::vocabulary::tier::Tier;

/// Nodes in order.
const FIT: &[Tier] = &[Tier::Own, Tier::Fallback];
/// Whoever else lives.
const UNFIT: &[Tier] = &[Tier::LastResort];

/// Whom to ask.
pub(super) enum NodePick {
    Node(NodeId, Tier),
    Later(Instant),
    Nobody,
}

impl<'a> RetryPlanner<'a> {
    /// Whether the fallback may be asked though all attempts are made: the own nodes broke all of them,
    /// as they do when they die together.
    pub(super) fn may_fall_back(&self, now: Instant) -> bool {
        let is_in_time = now < self.allowance.deadline;
        let repeats = self.treatment.repeat() == RepeatRule::Freely && !self.is_over;
        let broke = self.all_broke && self.tier == Tier::Own && !self.tried.is_empty();
        is_in_time && repeats && broke && self.doubted.is_none() && !self.fell_back
    }

    /// A fallback node, where no own node is left untried.
    pub(super) fn pick_one_more(
        &mut self,
        draw: &mut impl FnMut(Tier, &[NodeId], &NodeRequirements<'a>) -> Option<NodeId>,
    ) -> NodePick {
        self.fell_back = true;
        if let Some(NodePick::Node(..)) = self.descend(&[Tier::Own], self.needs, draw) {
            return NodePick::Nobody;
        }
        let picked = self.descend(&[Tier::Fallback], self.needs, draw);
        picked.unwrap_or(NodePick::Nobody)
    }

    pub(super) fn pick(
        &mut self,
        now: Instant,
        draw: &mut impl FnMut(Tier, &[NodeId], &NodeRequirements<'a>) -> Option<NodeId>,
    ) -> NodePick {
        if let Some(doubted) = self.doubted {
            return self.pick_other(doubted, draw);
        }
        // A fit node that lacks the block is right about the chain; who isn't fit may be on
        // another branch, or far behind.
        if let Some(found) = self.pick_of(FIT, now, draw) {
            return found;
        }
        if !self.allowance.fails_open {
            return NodePick::Nobody;
        }
        self.pick_of(UNFIT, now, draw).unwrap_or(NodePick::Nobody)
    }

    /// Who is to confirm what is doubted: somebody of the same tier, and where own nodes found nothing,
    /// then a fallback node.
    fn pick_other(
        &mut self,
        doubted: DoubtedAnswer,
        draw: &mut impl FnMut(Tier, &[NodeId], &NodeRequirements<'a>) -> Option<NodeId>,
    ) -> NodePick {
        // Who is fresh comes before who goes back further.
        if let Some(node) = self.confirmers.pop() {
            return NodePick::Node(node, self.tier);
        }
        let may_go_beyond = doubted == DoubtedAnswer::Null && self.tier == Tier::Own;
        let tiers = [
            (!self.asks_beyond).then_some(self.tier),
            may_go_beyond.then_some(Tier::Fallback),
        ];
        let mut found = tiers.into_iter().flatten().filter_map(|tier| {
            let node = self.draw_on(tier, &self.needs, draw)?;
            Some(NodePick::Node(node, tier))
        });
        found.next().unwrap_or(NodePick::Nobody)
    }

    /// Of the nodes of `tiers`: who has the block, then who is up to it, and, after a wait for
    /// one that has it, any.
    fn pick_of(
        &mut self,
        tiers: &[Tier],
        now: Instant,
        draw: &mut impl FnMut(Tier, &[NodeId], &NodeRequirements<'a>) -> Option<NodeId>,
    ) -> Option<NodePick> {
        if let Some(found) = self.descend(tiers, self.needs, draw) {
            return Some(found);
        }
        let block = self.needs.block?;
        if self.asked_too_old {
            return None;
        }
        // Too old for them all, as far as is known: one of them says so itself.
        let deepest = NodeRequirements {
            block: Some(block.of_head()),
            wish: NodePreference::Deepest,
            ..self.needs
        };
        if let Some(found) = self.descend(tiers, deepest, draw) {
            self.asked_too_old = true;
            return Some(found);
        }
        let freshest = NodeRequirements {
            block: None,
            wish: NodePreference::Freshest,
            ..self.needs
        };
        let found = self.descend(tiers, freshest, draw)?;
        Some(match self.wait_end(now) {
            Some(until) if now < until => NodePick::Later(until),
            Some(_) | None => found,
        })
    }

    /// From tier to tier until somebody is found: first those that nothing speaks against, with one
    /// on trial among them where the call may go on to another, then whoever there is.
    fn descend(
        &self,
        tiers: &[Tier],
        needs: NodeRequirements<'a>,
        draw: &mut impl FnMut(Tier, &[NodeId], &NodeRequirements<'a>) -> Option<NodeId>,
    ) -> Option<NodePick> {
        let is_first = self.tried.is_empty() && self.allowance.attempts_max > 1;
        let first = if is_first && self.treatment.repeat() == RepeatRule::Freely {
            TroubleTolerance::Trial
        } else {
            TroubleTolerance::Whole
        };
        [first, TroubleTolerance::Whoever]
            .into_iter()
            .find_map(|caution| {
                let needs = NodeRequirements { caution, ..needs };
                tiers.iter().find_map(|tier| {
                    let node = self.draw_on(*tier, &needs, draw)?;
                    Some(NodePick::Node(node, *tier))
                })
            })
    }

    /// Of one tier: whoever is likely to refuse it comes last.
    fn draw_on(
        &self,
        tier: Tier,
        needs: &NodeRequirements<'a>,
        draw: &mut impl FnMut(Tier, &[NodeId], &NodeRequirements<'a>) -> Option<NodeId>,
    ) -> Option<NodeId> {
        if !self.avoided.is_empty() {
            let passed = [&self.tried[..], &self.avoided[..]].concat();
            if let Some(node) = draw(tier, &passed, needs) {
                return Some(node);
            }
        }
        draw(tier, &self.tried, needs)
    }

    /// One wait a call, which leaves half of the time that it has for asking.
    fn wait_end(&mut self, now: Instant) -> Option<Instant> {
        let left = self.allowance.deadline.saturating_duration_since(now);
        let wait = self.allowance.block_wait?.min(left / 2);
        Some(*self.waits_until.get_or_insert(now + wait))
    }
}

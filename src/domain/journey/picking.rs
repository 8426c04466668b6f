//! Whom a call asks next.

use std::time::Instant;

use super::Journey;
use super::doubted::Doubted;
use crate::domain::block::{Caution, Needs, Wish};
use crate::domain::method::Repeat;
use crate::domain::node::NodeId;
use crate::domain::select::Ladder;

/// Nodes in order.
const FIT: &[Ladder] = &[Ladder::Own, Ladder::Fallback];
/// Whoever else lives.
const UNFIT: &[Ladder] = &[Ladder::LastResort];

/// Whom to ask.
pub(super) enum Pick {
    Node(NodeId, Ladder),
    Later(Instant),
    Nobody,
}

impl<'a> Journey<'a> {
    /// Whether the fallback may be asked though all attempts are made: the own nodes broke all of them,
    /// as they do when they die together.
    pub(super) fn may_fall_back(&self, now: Instant) -> bool {
        let is_in_time = now < self.allowance.deadline;
        let repeats = self.treatment.repeat() == Repeat::Freely && !self.is_over;
        let broke = self.all_broke && self.ladder == Ladder::Own && !self.tried.is_empty();
        is_in_time && repeats && broke && self.doubted.is_none() && !self.fell_back
    }

    /// A fallback node, where no own node is left untried.
    pub(super) fn pick_one_more(
        &mut self,
        draw: &mut impl FnMut(Ladder, &[NodeId], &Needs<'a>) -> Option<NodeId>,
    ) -> Pick {
        self.fell_back = true;
        if let Some(Pick::Node(..)) = self.descend(&[Ladder::Own], self.needs, draw) {
            return Pick::Nobody;
        }
        let picked = self.descend(&[Ladder::Fallback], self.needs, draw);
        picked.unwrap_or(Pick::Nobody)
    }

    pub(super) fn pick(
        &mut self,
        now: Instant,
        draw: &mut impl FnMut(Ladder, &[NodeId], &Needs<'a>) -> Option<NodeId>,
    ) -> Pick {
        if let Some(doubted) = self.doubted {
            return self.pick_other(doubted, draw);
        }
        // A fit node that lacks the block is right about the chain; who isn't fit may be on
        // another branch, or far behind.
        if let Some(found) = self.pick_of(FIT, now, draw) {
            return found;
        }
        if !self.allowance.fails_open {
            return Pick::Nobody;
        }
        self.pick_of(UNFIT, now, draw).unwrap_or(Pick::Nobody)
    }

    /// Who is to confirm what is doubted: somebody of the same ladder, and where own nodes found nothing,
    /// then a fallback node.
    fn pick_other(
        &mut self,
        doubted: Doubted,
        draw: &mut impl FnMut(Ladder, &[NodeId], &Needs<'a>) -> Option<NodeId>,
    ) -> Pick {
        // Who is fresh comes before who goes back further.
        if let Some(node) = self.confirmers.pop() {
            return Pick::Node(node, self.ladder);
        }
        let may_go_beyond = doubted == Doubted::Null && self.ladder == Ladder::Own;
        let ladders = [
            (!self.asks_beyond).then_some(self.ladder),
            may_go_beyond.then_some(Ladder::Fallback),
        ];
        let mut found = ladders.into_iter().flatten().filter_map(|ladder| {
            let node = self.draw_on(ladder, &self.needs, draw)?;
            Some(Pick::Node(node, ladder))
        });
        found.next().unwrap_or(Pick::Nobody)
    }

    /// Of the nodes of `ladders`: who has the block, then who is up to it, and, after a wait for
    /// one that has it, any.
    fn pick_of(
        &mut self,
        ladders: &[Ladder],
        now: Instant,
        draw: &mut impl FnMut(Ladder, &[NodeId], &Needs<'a>) -> Option<NodeId>,
    ) -> Option<Pick> {
        if let Some(found) = self.descend(ladders, self.needs, draw) {
            return Some(found);
        }
        let block = self.needs.block?;
        if self.asked_too_old {
            return None;
        }
        // Too old for them all, as far as is known: one of them says so itself.
        let deepest = Needs {
            block: Some(block.of_head()),
            wish: Wish::Deepest,
            ..self.needs
        };
        if let Some(found) = self.descend(ladders, deepest, draw) {
            self.asked_too_old = true;
            return Some(found);
        }
        let freshest = Needs {
            block: None,
            wish: Wish::Freshest,
            ..self.needs
        };
        let found = self.descend(ladders, freshest, draw)?;
        Some(match self.wait_end(now) {
            Some(until) if now < until => Pick::Later(until),
            Some(_) | None => found,
        })
    }

    /// From ladder to ladder until somebody is found: first those that nothing speaks against, with one
    /// on trial among them where the call may go on to another, then whoever there is.
    fn descend(
        &self,
        ladders: &[Ladder],
        needs: Needs<'a>,
        draw: &mut impl FnMut(Ladder, &[NodeId], &Needs<'a>) -> Option<NodeId>,
    ) -> Option<Pick> {
        let is_first = self.tried.is_empty() && self.allowance.attempts_max > 1;
        let first = if is_first && self.treatment.repeat() == Repeat::Freely {
            Caution::Trial
        } else {
            Caution::Whole
        };
        [first, Caution::Whoever].into_iter().find_map(|caution| {
            let needs = Needs { caution, ..needs };
            ladders.iter().find_map(|ladder| {
                let node = self.draw_on(*ladder, &needs, draw)?;
                Some(Pick::Node(node, *ladder))
            })
        })
    }

    /// Of one ladder: whoever is likely to refuse it comes last.
    fn draw_on(
        &self,
        ladder: Ladder,
        needs: &Needs<'a>,
        draw: &mut impl FnMut(Ladder, &[NodeId], &Needs<'a>) -> Option<NodeId>,
    ) -> Option<NodeId> {
        if !self.avoided.is_empty() {
            let passed = [&self.tried[..], &self.avoided[..]].concat();
            if let Some(node) = draw(ladder, &passed, needs) {
                return Some(node);
            }
        }
        draw(ladder, &self.tried, needs)
    }

    /// One wait a call, which leaves half of the time that it has for asking.
    fn wait_end(&mut self, now: Instant) -> Option<Instant> {
        let left = self.allowance.deadline.saturating_duration_since(now);
        let wait = self.allowance.block_wait?.min(left / 2);
        Some(*self.waits_until.get_or_insert(now + wait))
    }
}

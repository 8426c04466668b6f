//! Which node is drawn how often, worked out once for each view of the fleet: a draw then costs the
//! same among three nodes and among three hundred.
//!
//! A draw throws a point onto the nodes' weights laid end to end, and looks where it fell. What
//! changes from call to call (which nodes were tried, rest, have the block, start slowly) is
//! not in the table: a point that fell on such a node is thrown again. That leaves the shares of all
//! others as they are.

use std::time::Instant;

use crate::fleet::node_view::NodeView;
use crate::fleet::standing::{HealthState, slow_start};
use crate::vocabulary::chance::Dice;
use crate::vocabulary::node::{NodeId, Role};
use crate::vocabulary::tier::Tier;

/// So often a point is thrown; after that the nodes are better gone through.
const THROWS_MAX: usize = 8;

/// The tables of one view. Without nodes, as in a view that was put together by hand, they say
/// nothing.
#[derive(Clone, Debug, Default)]
pub struct Sampler {
    own: WeightTable,
    fallback: WeightTable,
    /// Where each node stands in the view, by its id.
    places: Vec<(NodeId, u32)>,
}

/// The nodes of one tier, and their weights laid end to end.
#[derive(Clone, Debug, Default)]
struct WeightTable {
    /// Where each node's weight ends.
    ends: Vec<u64>,
    /// Where it stands in the view.
    places: Vec<u32>,
}

/// The nodes of which one is drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SampleSpace<'a> {
    pub nodes: &'a [NodeView],
    pub tier: Tier,
    /// All but this one.
    pub but: Option<DrawnNode<'a>>,
}

/// A node that was drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DrawnNode<'a> {
    pub node: &'a NodeView,
    /// In its table.
    at: usize,
}

impl Sampler {
    pub(crate) fn of(nodes: &[NodeView]) -> Sampler {
        let mut sampler = Sampler::default();
        for (place, node) in (0..).zip(nodes) {
            sampler.places.push((node.id, place));
            match node.role {
                _ if !node.serves() => {}
                Role::Own => sampler.own.push(place, node),
                Role::Leader | Role::Fallback => sampler.fallback.push(place, node),
            }
        }
        sampler.places.sort_unstable_by_key(|(id, _)| *id);
        sampler
    }

    /// Where the node stands among the view's; `None`: it isn't known.
    pub fn place(&self, id: NodeId) -> Option<usize> {
        // Ids are given in the order of the list, and most lists only grow.
        let guess = usize::try_from(id.0).ok()?;
        let found = match self.places.get(guess) {
            Some((there, place)) if *there == id => *place,
            Some(_) | None => {
                let at = self.places.binary_search_by_key(&id, |(id, _)| *id).ok()?;
                self.places[at].1
            }
        };
        usize::try_from(found).ok()
    }

    fn table(&self, tier: Tier) -> Option<&WeightTable> {
        match tier {
            Tier::Own => Some(&self.own),
            Tier::Fallback => Some(&self.fallback),
            Tier::LastResort => None,
        }
    }

    /// Draws a node that will do. `None`: it takes a closer look.
    pub(crate) fn draw<'a>(
        &self,
        among: SampleSpace<'a>,
        will_do: impl Fn(&NodeView) -> bool,
        now: Instant,
        dice: &mut impl Dice,
    ) -> Option<DrawnNode<'a>> {
        let table = self.table(among.tier)?;
        let left_out = among.but.map_or(0..0, |but| table.span(but.at));
        let length = table.ends.last()? - (left_out.end - left_out.start);
        if length == 0 {
            return None;
        }
        for _ in 0..THROWS_MAX {
            let mut point = scaled(dice.roll(), length);
            if point >= left_out.start {
                point += left_out.end - left_out.start;
            }
            let at = table.ends.partition_point(|end| *end <= point);
            let place = usize::try_from(*table.places.get(at)?).ok()?;
            let node = among.nodes.get(place)?;
            if will_do(node) && has_started(node, now, dice) {
                return Some(DrawnNode { node, at });
            }
        }
        None
    }
}

impl WeightTable {
    fn push(&mut self, place: u32, node: &NodeView) {
        let before = self.ends.last().copied().unwrap_or(0);
        self.ends.push(before + u64::from(node.weight.get()));
        self.places.push(place);
    }

    fn span(&self, at: usize) -> std::ops::Range<u64> {
        let end = |at: usize| self.ends.get(at).copied();
        let start = at.checked_sub(1).and_then(end).unwrap_or(0);
        start..end(at).unwrap_or(start)
    }
}

/// Even over 0..`length`.
fn scaled(roll: u64, length: u64) -> u64 {
    let product = u128::from(roll) * u128::from(length);
    u64::try_from(product >> 64).unwrap_or(0)
}

/// A node whose start is slow takes as much of its share as it may.
fn has_started(node: &NodeView, now: Instant, dice: &mut impl Dice) -> bool {
    match node.standing.state {
        HealthState::Fit { returned_at } if returned_at.is_some() => {
            let part = slow_start(returned_at, now);
            part >= 1.0 || dice.fraction() < part
        }
        HealthState::Fit { .. }
        | HealthState::Unproven
        | HealthState::Out(_)
        | HealthState::Benched { .. } => true,
    }
}

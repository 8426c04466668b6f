//! Which nodes are asked once more when a node finds nothing: those that are as fresh as what clients are
//! told of, and that go back further than it.

use std::hash::{BuildHasher, Hash, RandomState};
use std::time::{Duration, Instant};

use crate::call::told_blocks::RecentMap;
use crate::fleet::node_view::NodeView;
use crate::fleet::view::FleetView;
use crate::vocabulary::block_ref::{BlockRange, LookupTarget};
use crate::vocabulary::chain::BlockNumber;
use crate::vocabulary::chance::Dice;
use crate::vocabulary::node::NodeId;
use crate::vocabulary::tier::Tier;

/// Of what a node may have in flight, one in as many may be a repeat that it gets because it goes back
/// furthest; one always may.
const DEEP_PART: u32 = 10;
/// What was looked for of late is remembered of so many.
const SEARCHED_MAX: usize = 8_192;

/// What was looked for of late: the nodes that go back furthest lack it, or the leader was asked for it.
#[derive(Debug)]
pub struct SearchMemory {
    names: RandomState,
    at: RecentMap<u64, Instant>,
}

impl Default for SearchMemory {
    fn default() -> SearchMemory {
        SearchMemory {
            names: RandomState::default(),
            at: RecentMap::new(SEARCHED_MAX),
        }
    }
}

impl SearchMemory {
    /// It was looked for.
    pub fn note(&mut self, what: impl Hash, now: Instant) {
        self.at.insert(self.names.hash_one(what), now);
    }

    /// Whether it was looked for within a block time.
    pub fn knows(&self, what: impl Hash, block_time: Duration, now: Instant) -> bool {
        let at = self.at.get(&self.names.hash_one(what));
        at.is_some_and(|at| now.saturating_duration_since(at) < block_time)
    }
}

/// How far back a node goes; the least goes furthest. Where that isn't known it may be anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum HistoryReach {
    All,
    Unknown,
    From(BlockNumber),
}

impl HistoryReach {
    fn of(node: &NodeView, holding: LookupTarget) -> HistoryReach {
        match node.depth.oldest(holding) {
            None => HistoryReach::Unknown,
            Some(BlockNumber(0)) => HistoryReach::All,
            Some(oldest) => HistoryReach::From(oldest),
        }
    }
}

/// What a node found nothing of.
#[derive(Clone, Copy, Debug)]
pub struct ConfirmationQuery<'a> {
    /// The call's method: nodes that are not there for it aren't asked.
    pub method: &'a str,
    /// What keeps the thing that is looked for.
    pub holding: LookupTarget,
    /// The blocks that a node needs to answer; `None`: the call names none by their numbers.
    pub block: Option<BlockRange>,
    /// The tier that its nodes are of.
    pub tier: Tier,
    /// The nodes that the call was asked of already.
    pub tried: &'a [NodeId],
}

/// Which nodes to ask, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confirmers {
    /// The last first.
    pub nodes: Vec<NodeId>,
    /// Which of them goes back furthest: what it lacks they all lack.
    pub digger: Option<NodeId>,
}

impl Confirmers {
    /// This one is asked before the others, unless it is one of them.
    pub fn ask_first(&mut self, node: NodeId) {
        if !self.nodes.contains(&node) {
            self.nodes.push(node);
        }
    }
}

/// Which nodes to ask after `said`, one after the other, until one finds it: one that is fresh and goes
/// deeper, else one of each kind. None: no node goes deeper, and any of the freshest will do.
pub fn confirmers(
    view: &FleetView,
    said: &NodeView,
    sought: ConfirmationQuery<'_>,
    now: Instant,
    dice: &mut impl Dice,
) -> Confirmers {
    let reach = |node: &NodeView| HistoryReach::of(node, sought.holding);
    let is_open = |node: &&NodeView| {
        view.tier_has(sought.tier, node, sought.method)
            && !sought.tried.contains(&node.id)
            && !node.standing.rests(now)
            && sought.block.is_none_or(|need| node.meets(need.of_head()))
    };
    let others: Vec<_> = view.nodes.iter().filter(is_open).collect();
    let is_fresh = |node: &NodeView| node.head >= view.served_head;
    let has_room = |node: &NodeView| {
        let limit = node.load.limiter.limit();
        node.load.digging() < (limit / DEEP_PART).max(1)
    };
    let is_deeper = |node: &NodeView| reach(node) < reach(said) && has_room(node);
    let among = |is_wanted: &dyn Fn(&NodeView) -> bool| -> Vec<&NodeView> {
        others
            .iter()
            .copied()
            .filter(|node| is_wanted(node))
            .collect()
    };
    let deepest = |nodes: Vec<&NodeView>, dice: &mut _| {
        let best = nodes.iter().map(|node| reach(node)).min();
        let best = nodes.into_iter().filter(|node| Some(reach(node)) == best);
        one_of(&best.collect::<Vec<_>>(), dice)
    };
    if let Some(both) = deepest(among(&|node| is_fresh(node) && is_deeper(node)), dice) {
        return Confirmers {
            nodes: vec![both],
            digger: Some(both),
        };
    }
    let Some(deeper) = deepest(among(&is_deeper), dice) else {
        return Confirmers::default();
    };
    let fresh = one_of(&among(&is_fresh), dice);
    Confirmers {
        nodes: std::iter::once(deeper).chain(fresh).collect(),
        digger: Some(deeper),
    }
}

fn one_of(nodes: &[&NodeView], dice: &mut impl Dice) -> Option<NodeId> {
    let drawn = (dice.fraction() * nodes.len() as f64) as usize;
    nodes.get(drawn).or(nodes.first()).map(|node| node.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::depth::Depth;
    use crate::testing;
    use crate::vocabulary::chance::SeededDice;
    use std::time::Duration;

    /// Own nodes at these heads, with what they keep of blocks.
    fn view(nodes: &[(u64, Option<u64>)], now: Instant) -> FleetView {
        let members = (0..).map(testing::member).take(nodes.len());
        let mut fleet = testing::fleet_of(members, now);
        let heads = nodes.iter().map(|(head, _)| testing::at(*head));
        let probes: Vec<_> = (0..).map(NodeId).zip(heads).collect();
        fleet.hear_round(&probes, now);
        let mut view = fleet.view();
        for (node, (_, oldest)) in view.nodes.iter_mut().zip(nodes) {
            node.depth = Depth {
                blocks_from: oldest.map(BlockNumber),
                ..Depth::default()
            };
        }
        view.served_head = Some(BlockNumber(100));
        view
    }

    /// All nodes that are asked, in many draws, after node 0 found nothing.
    fn asked(nodes: &[(u64, Option<u64>)], holding: LookupTarget) -> Vec<Vec<u32>> {
        let now = testing::now();
        let view = view(nodes, now);
        let sought = ConfirmationQuery {
            method: "eth_getTransactionByHash",
            holding,
            block: None,
            tier: Tier::Own,
            tried: &[NodeId(0)],
        };
        let mut dice = SeededDice::new(3);
        let mut seen: Vec<Vec<u32>> = (0..50)
            .map(|_| confirmers(&view, &view.nodes[0], sought, now, &mut dice))
            .inspect(|found| assert_eq!(found.digger, found.nodes.first().copied()))
            .map(|found| found.nodes.into_iter().map(|id| id.0).collect())
            .collect();
        seen.sort();
        seen.dedup();
        seen
    }

    #[test]
    fn the_node_that_goes_back_furthest_has_so_many_repeats_at_once_and_no_more() {
        let now = testing::now();
        let view = view(&[(100, Some(90)), (100, Some(0)), (97, Some(50))], now);
        let sought = ConfirmationQuery {
            method: "eth_getTransactionByHash",
            holding: LookupTarget::Blocks,
            block: None,
            tier: Tier::Own,
            tried: &[NodeId(0)],
        };
        let mut dice = SeededDice::new(3);
        let mut asked = || confirmers(&view, &view.nodes[0], sought, now, &mut dice).nodes;
        let deepest = view.nodes[1].load.clone();
        deepest.limiter.fix(Some(39), now);
        let mut digging: Vec<_> = (1..3).map(|_| deepest.dig()).collect();
        assert_eq!(asked(), [NodeId(1)]);
        digging.push(deepest.dig());
        assert_eq!(asked(), [NodeId(2), NodeId(1)], "it is fresh, too");
        digging.pop();
        assert_eq!(asked(), [NodeId(1)]);
    }

    #[test]
    fn the_node_asked_first_is_asked_once_and_not_for_going_back_furthest() {
        let mut found = Confirmers::default();
        found.ask_first(NodeId(3));
        assert_eq!((&found.nodes[..], found.digger), (&[NodeId(3)][..], None));
        let mut found = Confirmers {
            nodes: vec![NodeId(1), NodeId(2)],
            digger: Some(NodeId(1)),
        };
        found.ask_first(NodeId(1));
        assert_eq!(found.nodes, [NodeId(1), NodeId(2)]);
        found.ask_first(NodeId(3));
        assert_eq!(found.nodes, [NodeId(1), NodeId(2), NodeId(3)]);
        assert_eq!(found.digger, Some(NodeId(1)));
    }

    #[test]
    fn what_the_deepest_lack_they_are_not_asked_for_within_a_block_time() {
        let block_time = Duration::from_secs(12);
        let start = testing::now();
        let mut searched = SearchMemory::default();
        searched.note("a", start);
        let knows = |what: &str, seconds| {
            searched.knows(what, block_time, start + Duration::from_secs(seconds))
        };
        assert!(knows("a", 0) && knows("a", 11));
        assert!(!knows("a", 12) && !knows("b", 0));
    }

    #[test]
    fn a_node_both_fresh_and_deeper_is_asked_else_one_of_each_else_any_node() {
        let blocks = |nodes: &[_]| asked(nodes, LookupTarget::Blocks);
        let (all, unknown, few) = (Some(0), None, Some(90));
        assert_eq!(blocks(&[(100, few), (100, few), (100, all)]), [vec![2]]);
        assert_eq!(
            blocks(&[(100, few), (100, unknown), (100, all), (100, all)]),
            [vec![2], vec![3]],
            "the deepest"
        );
        assert_eq!(blocks(&[(100, few), (100, unknown)]), [vec![1]]);
        assert_eq!(
            blocks(&[(100, few), (97, all), (100, few)]),
            [vec![1, 2]],
            "one of each"
        );
        assert_eq!(blocks(&[(100, few), (97, all)]), [vec![1]]);
        assert_eq!(blocks(&[(100, all), (100, all), (100, few)]), [vec![0; 0]]);
        assert_eq!(
            asked(&[(100, few), (100, all)], LookupTarget::Transactions),
            [vec![0; 0]],
            "of those nothing is known"
        );
    }
}

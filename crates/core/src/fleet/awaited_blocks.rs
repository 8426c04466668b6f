//! Blocks that calls ask for before any node here has them: once for each of them nodes are looked at.
//!
//! A number is what a client was told, maybe by another balancer, or what it counts on. So one look for
//! each block that may be there says whether it is; a client that polls for the next one costs no more than that.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use crate::fleet::block_schedule::pause_millis;
use crate::fleet::node_view::NodeView;
use crate::fleet::view::FleetView;
use crate::vocabulary::chain::BlockNumber;
use crate::vocabulary::node::{NodeId, Role};

/// Blocks that are remembered as looked for. Beyond it none is: what is within reach is fewer.
const BLOCKS_MAX: usize = 1024;

/// Nodes that are looked at for the next block while none is known to have it.
const DUE_NODES_MAX: usize = 4;
/// Once one has it, so many of the others are asked at a time; one that has it then makes room for the next.
const LACKING_NODES_MAX: usize = 32;
/// What a head takes, as a rule, from where it is known to where it is shown.
const HEARD_TIME: Duration = Duration::from_millis(40);
/// A node that told a head unasked within so many block times, or so long, tells the next one, too.
const TELLS_BLOCKS: u32 = 4;
const TELLS_MIN: Duration = Duration::from_secs(5);

/// What was looked for, and in which look. Looks count from 1.
#[derive(Clone, Debug, Default)]
pub struct AwaitedBlocks {
    begun: u64,
    looks: BTreeMap<BlockNumber, u64>,
}

/// The look that says whether the block has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AwaitedLook {
    /// Its number, counted from 1.
    pub look: u64,
    /// It is to be begun for this.
    pub begins: bool,
}

impl AwaitedBlocks {
    /// A look begins; which one it is.
    pub fn begin(&mut self) -> u64 {
        self.begun += 1;
        self.begun
    }

    /// A call asks for block `number`, beyond the head `highest`.
    pub fn ask(&mut self, number: BlockNumber, highest: Option<BlockNumber>) -> AwaitedLook {
        if let Some(highest) = highest {
            self.looks = self
                .looks
                .split_off(&BlockNumber(highest.0.saturating_add(1)));
        }
        if let Some(look) = self.looks.get(&number) {
            return AwaitedLook {
                look: *look,
                begins: false,
            };
        }
        // One under way may have asked its nodes already.
        let look = self.begun + 1;
        if self.looks.len() < BLOCKS_MAX {
            self.looks.insert(number, look);
        }
        AwaitedLook { look, begins: true }
    }
}

/// The nodes that a look asks: the own ones that serve; where none does, those that serve in their place.
pub fn looked_at(view: &FleetView, now: Instant) -> Vec<NodeId> {
    let role = Role::ALL.into_iter().find(|role| view.has_fit(*role));
    let nodes = view
        .nodes
        .iter()
        .filter(|node| Some(node.role) == role && node.serves() && !node.standing.rests(now));
    nodes.map(|node| node.id).collect()
}

/// The nodes that are looked at for the next block, which is due: own ones that serve, don't tell it unasked, and
/// aren't known to have it. Where those that tell it have half of the weight, it is known by them.
/// `asked` are those that were, and haven't answered.
pub fn looked_at_when_due(view: &FleetView, asked: &HashSet<NodeId>, now: Instant) -> Vec<NodeId> {
    if are_heads_told(view, now) {
        return Vec::new();
    }
    let lacks = |node: &&NodeView| {
        node.head <= view.served_head
            && !asked.contains(&node.id)
            && !tells(node, view, now)
            && !node.standing.rests(now)
    };
    let mut nodes: Vec<_> = own(view).filter(lacks).collect();
    // By what all balancers call them: they look at the same ones.
    nodes.sort_by(|one, other| one.name.cmp(&other.name));
    let is_above_all = own(view).all(|node| node.head <= view.served_head);
    nodes.truncate(match is_above_all {
        true => DUE_NODES_MAX,
        false => LACKING_NODES_MAX,
    });
    nodes.iter().map(|node| node.id).collect()
}

/// What balancers beside this one hear of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherBalancers {
    /// There are none, as far as is known.
    None,
    /// Its heads, by a store that they share.
    HearHeads,
    /// Whatever is known here they must find out themselves.
    HearNothing,
}

/// For how long subscribers wait for a head that this balancer has, so that the others have it, too, when a
/// subscriber asks them. Those that hear nothing from here look at the same moments: by the next one they have
/// it, where nodes don't tell their heads to all.
pub fn held_from_subscribers(view: &FleetView, others: OtherBalancers, now: Instant) -> Duration {
    match others {
        OtherBalancers::None => Duration::ZERO,
        OtherBalancers::HearNothing if !are_heads_told(view, now) => {
            Duration::from_millis(pause_millis(view.block_time)) + HEARD_TIME
        }
        OtherBalancers::HearHeads | OtherBalancers::HearNothing => HEARD_TIME,
    }
}

/// Whether nodes with half of the own weight tell their heads unasked.
fn are_heads_told(view: &FleetView, now: Instant) -> bool {
    let weight = |node: &NodeView| u64::from(node.weight.get());
    let announcing = own(view).filter(|node| tells(node, view, now));
    announcing.map(weight).sum::<u64>() * 2 >= own(view).map(weight).sum()
}

fn tells(node: &NodeView, view: &FleetView, now: Instant) -> bool {
    let tells_for = TELLS_MIN.max(view.block_time * TELLS_BLOCKS);
    let at = node.told_unasked_at;
    at.is_some_and(|at| now.saturating_duration_since(at) < tells_for)
}

fn own(view: &FleetView) -> impl Iterator<Item = &NodeView> {
    let nodes = view.nodes.iter();
    nodes.filter(|node| node.role == Role::Own && node.serves())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{Fleet, FleetMember, HealthCriteria, ProbeDetails};

    fn ask(awaited: &mut AwaitedBlocks, number: u64, head: u64) -> (u64, bool) {
        let asked = awaited.ask(BlockNumber(number), Some(BlockNumber(head)));
        (asked.look, asked.begins)
    }

    #[test]
    fn each_block_beyond_the_head_is_looked_for_once_however_often_it_is_asked_for() {
        let mut awaited = AwaitedBlocks::default();
        awaited.begin();
        assert_eq!(
            ask(&mut awaited, 101, 100),
            (2, true),
            "not the one under way"
        );
        assert_eq!(ask(&mut awaited, 101, 100), (2, false));
        assert_eq!(ask(&mut awaited, 102, 100), (2, true), "one look for both");
        for _ in 0..9 {
            awaited.begin();
        }
        assert_eq!(ask(&mut awaited, 101, 100), (2, false), "it has said so");
        assert_eq!(ask(&mut awaited, 103, 100), (11, true));
        assert_eq!(
            ask(&mut awaited, 102, 101),
            (2, false),
            "also by another head"
        );
        assert_eq!(ask(&mut awaited, 102, 99), (2, false));
        awaited.ask(BlockNumber(200), Some(BlockNumber(103)));
        assert_eq!(
            ask(&mut awaited, 101, 99),
            (11, true),
            "it came, and was taken back"
        );
    }

    #[test]
    fn what_is_remembered_has_its_bound() {
        let mut awaited = AwaitedBlocks::default();
        for number in 0..2 * BLOCKS_MAX as u64 {
            ask(&mut awaited, 101 + number, 100);
        }
        assert_eq!(awaited.looks.len(), BLOCKS_MAX);
        let last = 100 + 2 * BLOCKS_MAX as u64;
        assert_eq!(ask(&mut awaited, last, 100), (1, true));
    }

    const SECOND: Duration = Duration::from_secs(1);

    /// A leader, which is node 0, and own ones of these names, from 1 on, all at block 100; a block takes 2 s.
    fn fleet(names: &[&str], now: Instant) -> Fleet {
        let criteria = HealthCriteria {
            block_time: 2 * SECOND,
            ..crate::testing::quick_criteria()
        };
        let names: Vec<_> = ["leader"].iter().chain(names).collect();
        let members = names.iter().zip(0..).map(|(name, id)| FleetMember {
            name: (**name).into(),
            ..crate::testing::led(id)
        });
        let mut fleet = crate::testing::fleet_by(criteria, members, now);
        let probe = crate::testing::at(100);
        let probes: Vec<_> = (0..).map(NodeId).zip(names.iter().map(|_| probe)).collect();
        fleet.hear_round(&probes, now);
        fleet
    }

    fn due(fleet: &Fleet, now: Instant) -> Vec<u32> {
        let nodes = looked_at_when_due(&fleet.view(), &HashSet::new(), now);
        nodes.iter().map(|id| id.0).collect()
    }

    fn told(fleet: &mut Fleet, id: u32, head: u64, now: Instant) {
        let details = ProbeDetails::default();
        fleet.hear_head(NodeId(id), BlockNumber(head), &details, now);
    }

    #[test]
    fn own_nodes_are_looked_at_when_a_block_is_due_by_name_and_no_more_than_four() {
        let now = crate::testing::now();
        let scene = fleet(&["b", "c", "a"], now);
        assert_eq!(due(&scene, now), [3, 1, 2]);
        let mut many = fleet(&["f", "e", "d", "c", "b", "a"], now);
        assert_eq!(due(&many, now), [6, 5, 4, 3]);
        let details = ProbeDetails::default();
        many.hear_look(NodeId(4), BlockNumber(101), &details, now);
        assert_eq!(
            due(&many, now),
            [6, 5, 3, 2, 1],
            "one has it: all others, until they have it"
        );
    }

    #[test]
    fn once_one_has_the_block_many_others_are_asked_and_not_more() {
        let now = crate::testing::now();
        let names: Vec<String> = (100..200).map(|number| number.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut scene = fleet(&names, now);
        assert_eq!(due(&scene, now).len(), DUE_NODES_MAX);
        let details = ProbeDetails::default();
        scene.hear_look(NodeId(1), BlockNumber(101), &details, now);
        let first = due(&scene, now);
        assert_eq!(first.len(), LACKING_NODES_MAX);
        let asked = first.iter().copied().map(NodeId).collect();
        let next = looked_at_when_due(&scene.view(), &asked, now);
        assert_eq!(next[0], NodeId(34), "those that don't answer take no place");
        for id in first {
            scene.hear_look(NodeId(id), BlockNumber(101), &details, now);
        }
        assert_eq!(due(&scene, now)[0], 34, "then the next");
    }

    #[test]
    fn subscribers_wait_until_other_balancers_have_a_head_too() {
        let now = crate::testing::now();
        let mut scene = fleet(&["a"], now);
        let held = |fleet: &Fleet, others| held_from_subscribers(&fleet.view(), others, now);
        let pause = Duration::from_millis(pause_millis(scene.view().block_time));
        for (others, wanted) in [
            (OtherBalancers::None, Duration::ZERO),
            (OtherBalancers::HearHeads, HEARD_TIME),
            (OtherBalancers::HearNothing, pause + HEARD_TIME),
        ] {
            assert_eq!(held(&scene, others), wanted, "{others:?}");
        }
        let details = ProbeDetails::default();
        scene.hear_head(NodeId(1), BlockNumber(101), &details, now);
        assert_eq!(held(&scene, OtherBalancers::HearNothing), HEARD_TIME);
    }

    #[test]
    fn nodes_that_tell_heads_are_not_looked_at_nor_any_where_half_the_weight_tells() {
        let now = crate::testing::now();
        let mut scene = fleet(&["a", "b", "c"], now);
        told(&mut scene, 1, 100, now);
        assert_eq!(due(&scene, now), [2, 3], "one tells, and is not at half");
        told(&mut scene, 2, 100, now);
        assert_eq!(due(&scene, now), [] as [u32; 0]);
        let silent = now + TELLS_BLOCKS * 2 * SECOND;
        assert_eq!(
            due(&scene, silent),
            [1, 2, 3],
            "they have told nothing for long"
        );
        assert_eq!(
            due(&scene, silent - Duration::from_millis(1)),
            [] as [u32; 0]
        );
    }
}

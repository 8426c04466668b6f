//! How calls of a batch are split into groups: each goes to one node as one request; and when a batch is refused as one.
//!
//! A call joins a group whose node a draw for it might have come to as well. Where there is none it is
//! drawn a node and begins a group there, as long as more may begin. One that goes to no node, or must
//! not go with others, is a group of its own.

use std::time::Duration;

use smallvec::SmallVec;

use crate::fleet::view::FleetView;
use crate::method::Treatment;
use crate::rpc::batch::{self, BODY_BYTES_MAX};
use crate::rpc::refusal::Refusal;
use crate::vocabulary::node::NodeId;

/// Calls that are asked together.
#[derive(Debug)]
pub struct Group<M> {
    /// Where they go; `None`: the one that it has goes its own way.
    pub node: Option<NodeId>,
    /// One at least.
    pub members: Vec<M>,
    bytes: usize,
    calls_max: usize,
}

impl<M> Group<M> {
    fn has_room(&self, bytes: usize) -> bool {
        self.members.len() < self.calls_max && self.bytes + bytes <= BODY_BYTES_MAX
    }
}

/// Groups as they fill up.
#[derive(Debug)]
pub struct Grouping<'v, M> {
    view: &'v FleetView,
    attempt: Duration,
    groups_max: usize,
    groups: Vec<Group<M>>,
}

impl<'v, M> Grouping<'v, M> {
    /// Up to so many groups. `attempt`: the time that a node of `view` has for one.
    pub fn new(view: &'v FleetView, attempt: Duration, groups_max: usize) -> Grouping<'v, M> {
        Grouping {
            view,
            attempt,
            groups_max,
            groups: Vec::new(),
        }
    }

    /// Whether there is a call that could go now.
    pub fn has_room(&self) -> bool {
        self.groups.len() < self.groups_max || self.groups.iter().any(|group| group.has_room(0))
    }

    /// The nodes of groups that have room for a call of so many bytes, the last first.
    pub fn nodes_for(&self, bytes: usize) -> SmallVec<[NodeId; 8]> {
        let open = self.groups.iter().rev();
        let open = open.filter(|group| group.has_room(bytes));
        open.filter_map(|group| group.node).collect()
    }

    /// Adds a call of so many bytes that goes to `node`; `None`: its own way. A node that doesn't
    /// `take_batches` is asked call by call.
    ///
    /// # Errors
    /// The call, where it would begin one group too many.
    pub fn add(
        &mut self,
        (member, bytes): (M, usize),
        node: Option<NodeId>,
        takes_batches: impl FnOnce(NodeId) -> bool,
    ) -> Result<(), M> {
        let joins =
            |group: &Group<M>| node.is_some() && group.node == node && group.has_room(bytes);
        let at = self.groups.iter().rposition(joins);
        if at.is_none() && self.groups.len() >= self.groups_max {
            return Err(member);
        }
        let at = at.unwrap_or_else(|| {
            let calls_max = node.filter(|node| takes_batches(*node)).map_or(1, |node| {
                let latency = self.view.node(node).and_then(|node| node.load.latency());
                batch::calls_max(latency, self.attempt)
            });
            self.groups.push(Group {
                node,
                members: Vec::new(),
                bytes: 0,
                calls_max,
            });
            self.groups.len() - 1
        });
        let group = &mut self.groups[at];
        group.bytes += bytes;
        group.members.push(member);
        Ok(())
    }

    /// The groups, in the order in which they began.
    pub fn into_groups(self) -> Vec<Group<M>> {
        self.groups
    }
}

/// Why all calls of a batch were refused, each treated so, where it was for one reason and trying all of them again
/// does nothing twice: they are reads, or calls that no node can have carried out, and none is a write.
pub fn refused_alike<'a>(
    calls: impl IntoIterator<Item = (Treatment, &'a Refusal)>,
) -> Option<&'a Refusal> {
    let mut alike = None;
    for (treatment, why) in calls {
        let is_harmless = match treatment {
            Treatment::Broadcast | Treatment::Once => false,
            Treatment::Unknown => why.is_unexecuted(),
            Treatment::Local(_) | Treatment::Read | Treatment::Heavy | Treatment::Denied => true,
        };
        if !is_harmless || *alike.get_or_insert(why) != why {
            return None;
        }
    }
    alike
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_refused_as_one_where_trying_it_again_does_nothing_twice() {
        let (full, late) = (&Refusal::OverCapacity, &Refusal::Timeout);
        let (read, unknown) = (Treatment::Read, Treatment::Unknown);
        for (calls, wanted) in [
            (&[(read, full), (unknown, full)][..], Some(full)),
            (&[(read, late), (Treatment::Denied, late)], Some(late)),
            (&[(read, late), (unknown, late)], None),
            (&[(read, full), (read, late)], None),
            (&[(read, full), (Treatment::Broadcast, full)], None),
            (&[(Treatment::Once, full)], None),
            (&[], None),
        ] {
            assert_eq!(refused_alike(calls.iter().copied()), wanted, "{calls:?}");
        }
    }
    use crate::fleet::requirements::{NodeQuery, NodeRequirements, Shortlist};
    use crate::rpc::batch::CALLS_MAX;
    use crate::testing;
    use crate::vocabulary::tier::Tier;

    const ATTEMPT: Duration = Duration::from_secs(5);

    /// Nodes 0 to 2, all fit.
    fn view() -> FleetView {
        let now = testing::now();
        let mut fleet = testing::fleet_of((0..3).map(testing::member), now);
        let well = testing::at(7);
        for _ in 0..2 {
            fleet.hear_round(&[0, 1, 2].map(|id| (NodeId(id), well)), now);
        }
        fleet.view()
    }

    fn add(groups: &mut Grouping<'_, usize>, call: usize, node: impl Into<Option<u32>>) -> bool {
        sized(groups, (call, 100), node.into())
    }

    fn sized(groups: &mut Grouping<'_, usize>, call: (usize, usize), node: Option<u32>) -> bool {
        groups.add(call, node.map(NodeId), |_| true).is_ok()
    }

    /// Each group's node and calls.
    fn split(groups: Grouping<'_, usize>) -> Vec<(Option<u32>, Vec<usize>)> {
        let groups = groups.into_groups().into_iter();
        groups
            .map(|group| (group.node.map(|node| node.0), group.members))
            .collect()
    }

    #[test]
    fn calls_to_one_node_go_together_and_a_call_to_none_goes_alone() {
        let view = view();
        let mut groups = Grouping::new(&view, ATTEMPT, 9);
        for (call, node) in [
            (0, Some(1)),
            (1, None),
            (2, Some(2)),
            (3, Some(1)),
            (4, None),
        ] {
            assert!(add(&mut groups, call, node));
        }
        let wanted = [
            (Some(1), vec![0, 3]),
            (None, vec![1]),
            (Some(2), vec![2]),
            (None, vec![4]),
        ];
        assert_eq!(split(groups), wanted);
    }

    #[test]
    fn a_call_goes_with_the_last_group_that_it_might_have_been_drawn_to_and_has_room() {
        let view = view();
        let mut groups = Grouping::new(&view, ATTEMPT, 9);
        let node_for = |groups: &Grouping<'_, usize>, tier, passed: &[u32], bytes| {
            let passed: Vec<_> = passed.iter().copied().map(NodeId).collect();
            let nodes = groups.nodes_for(bytes);
            let needs = NodeRequirements {
                shortlist: Shortlist::Join(&nodes),
                ..NodeRequirements::default()
            };
            let (tiers, mut is_by_chance) = ([tier], false);
            let query = NodeQuery::new(&tiers, &passed, needs);
            let mut dice = || {
                is_by_chance = true;
                0
            };
            let found = view.draw(&query, testing::now(), &mut dice);
            found.filter(|_| !is_by_chance).map(|(node, _)| node.0)
        };
        assert_eq!(node_for(&groups, Tier::Own, &[], 1), None);
        for (call, node) in [(0, Some(0)), (1, Some(1)), (2, None)] {
            assert!(add(&mut groups, call, node));
        }
        for (tier, passed, bytes, wanted) in [
            (Tier::Own, &[][..], 1, Some(1)),
            (Tier::Own, &[1], 1, Some(0)),
            (Tier::Own, &[1, 0], 1, None),
            (Tier::Fallback, &[], 1, None),
            (Tier::Own, &[], BODY_BYTES_MAX - 100, Some(1)),
            (Tier::Own, &[], BODY_BYTES_MAX - 99, None),
        ] {
            let found = node_for(&groups, tier, passed, bytes);
            assert_eq!(found, wanted, "{tier:?} {passed:?} {bytes}");
        }
    }

    #[test]
    fn a_group_has_as_many_calls_and_bytes_as_a_node_takes() {
        let view = view();
        let mut groups = Grouping::new(&view, ATTEMPT, 9);
        for call in 0..=CALLS_MAX {
            assert!(add(&mut groups, call, 0));
        }
        let wanted = [
            (Some(0), (0..CALLS_MAX).collect::<Vec<_>>()),
            (Some(0), vec![CALLS_MAX]),
        ];
        assert_eq!(split(groups), wanted);
        let mut groups = Grouping::new(&view, ATTEMPT, 9);
        for call in [(0, BODY_BYTES_MAX - 1), (1, 1), (2, 1)] {
            assert!(sized(&mut groups, call, Some(0)));
        }
        assert_eq!(split(groups), [(Some(0), vec![0, 1]), (Some(0), vec![2])]);
    }

    #[test]
    fn slow_nodes_and_those_that_take_no_batches_get_fewer_calls_at_once() {
        let view = view();
        let second = Duration::from_secs(1);
        view.nodes[1].load.waited(second * 2, testing::now());
        let mut groups = Grouping::new(&view, second * 8, 9);
        for call in 0..3 {
            assert!(groups.add((call, 1), Some(NodeId(0)), |_| false).is_ok());
        }
        for call in 3..9 {
            assert!(add(&mut groups, call, 1));
        }
        let sizes: Vec<_> = split(groups).iter().map(|(_, it)| it.len()).collect();
        assert_eq!(sizes, [1, 1, 1, 4, 2]);
    }

    #[test]
    fn a_call_that_would_begin_a_group_too_many_waits_while_others_still_join() {
        let view = view();
        let mut groups = Grouping::new(&view, ATTEMPT, 2);
        assert!(groups.has_room() && add(&mut groups, 0, None));
        assert!(groups.has_room() && add(&mut groups, 1, 0));
        assert!(!add(&mut groups, 2, 1) && !add(&mut groups, 3, None));
        assert!(groups.has_room() && add(&mut groups, 4, 0), "it joins one");
        for call in 5..CALLS_MAX + 3 {
            assert!(add(&mut groups, call, 0));
        }
        assert!(!groups.has_room(), "all are full");
        assert!(!add(&mut groups, CALLS_MAX + 3, 0));
        let sizes: Vec<_> = split(groups).iter().map(|(_, it)| it.len()).collect();
        assert_eq!(sizes, [1, CALLS_MAX]);
    }
}

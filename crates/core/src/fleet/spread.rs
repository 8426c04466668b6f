//! Which nodes a question goes to at once.

use std::time::Instant;

use crate::fleet::node_view::NodeView;
use crate::fleet::view::FleetView;
use crate::vocabulary::chance::Dice;
use crate::vocabulary::node::NodeId;
use crate::vocabulary::tier::Tier;

/// Nodes that one transaction is sent to, or one question put to, at most.
pub const NODES_MAX: usize = 16;

/// How far a question is spread.
#[derive(Clone, Copy, Debug)]
pub struct FanoutScope<'a> {
    /// Nodes that are asked at once, at most.
    pub nodes_max: usize,
    /// Nodes that lack it are asked only where all do.
    pub method: &'a str,
    /// Asked before others.
    pub first: &'a [NodeId],
    /// Asked already.
    pub passed: &'a [NodeId],
}

/// The nodes of `tier` to ask at once, drawn by weight. Those that lack the method, and then
/// those that rest, are asked only where all do.
pub fn spread(
    view: &FleetView,
    tier: Tier,
    scope: FanoutScope<'_>,
    now: Instant,
    dice: &mut impl Dice,
) -> Vec<NodeId> {
    let takes = |node: &&NodeView| {
        view.tier_has(tier, node, scope.method) && !scope.passed.contains(&node.id)
    };
    let open = || view.nodes.iter().filter(takes);
    let can = |node: &NodeView| !node.lacks(scope.method, now);
    let some_can = open().any(can);
    let open = || open().filter(|node| !some_can || can(node));
    let is_awake = |node: &NodeView| !node.standing.rests(now);
    let some_awake = open().any(is_awake);
    let mut keyed: Vec<(bool, f64, NodeId)> = open()
        .filter(|node| !some_awake || is_awake(node))
        .map(|node| {
            // Efraimidis and Spirakis (2006): the greatest of these are a draw by weight.
            let weight = f64::from(node.weight.get()).max(1.0);
            let key = dice.fraction().powf(1.0 / weight);
            (scope.first.contains(&node.id), key, node.id)
        })
        .collect();
    keyed.sort_by(|one, other| other.0.cmp(&one.0).then(other.1.total_cmp(&one.1)));
    keyed.truncate(scope.nodes_max.min(NODES_MAX));
    keyed.into_iter().map(|(_, _, id)| id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::tracker::Fleet;
    use crate::testing;
    use crate::vocabulary::chance::SeededDice;

    /// The leader 0, and own nodes 1 to `own`, all fit.
    fn fleet(own: u32, now: Instant) -> Fleet {
        let mut fleet = testing::fleet_of((0..=own).map(testing::led), now);
        let probes: Vec<_> = (0..=own).map(|id| (NodeId(id), testing::at(9))).collect();
        fleet.hear_round(&probes, now);
        fleet
    }

    #[test]
    fn it_goes_to_the_own_fit_nodes_and_to_no_more_than_wanted() {
        let now = testing::now();
        let mut fleet = fleet(20, now);
        let mut dice = SeededDice::new(3);
        let mut asked = |fleet: &Fleet, nodes_max: usize, first: &[u32]| {
            let first: Vec<_> = first.iter().copied().map(NodeId).collect();
            let scope = FanoutScope {
                nodes_max,
                method: "eth_sendRawTransaction",
                first: &first,
                passed: &[NodeId(1)],
            };
            spread(&fleet.view(), Tier::Own, scope, now, &mut dice)
        };
        assert_eq!(asked(&fleet, 3, &[]).len(), 3);
        let all = asked(&fleet, usize::MAX, &[]);
        assert_eq!(all.len(), NODES_MAX);
        assert_eq!(asked(&fleet, 2, &[7, 11]).len(), 2);
        assert!(asked(&fleet, 2, &[7, 11]).contains(&NodeId(11)));
        let some = asked(&fleet, usize::MAX, &[0, 1]);
        assert!(!some.contains(&NodeId(0)), "not the leader");
        assert!(!some.contains(&NodeId(1)), "it was asked already");
        fleet.throttle(NodeId(7), None, now);
        assert!(!asked(&fleet, 2, &[7]).contains(&NodeId(7)), "it rests");
    }

    #[test]
    fn a_node_that_lacks_the_method_is_passed_over_while_another_is_left() {
        let now = testing::now();
        let view = fleet(3, now).view();
        let mut dice = SeededDice::new(3);
        let mut asked = |method: &str, passed: &[NodeId]| {
            let scope = FanoutScope {
                nodes_max: usize::MAX,
                method,
                first: &[],
                passed,
            };
            let mut nodes = spread(&view, Tier::Own, scope, now, &mut dice);
            nodes.sort_unstable_by_key(|id| id.0);
            nodes
        };
        let ids = |ids: &[u32]| ids.iter().copied().map(NodeId).collect::<Vec<_>>();
        view.nodes[1]
            .unsupported
            .learn("eth_sendRawTransactionSync", now);
        let sync = "eth_sendRawTransactionSync";
        assert_eq!(asked(sync, &[]), ids(&[2, 3]));
        assert_eq!(asked("eth_sendRawTransaction", &[]), ids(&[1, 2, 3]));
        assert_eq!(asked(sync, &ids(&[2, 3])), ids(&[1]), "no other is left");
    }
}

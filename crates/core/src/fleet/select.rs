//! Drawing a node from the fleet: down the tiers, by weight, then by load.

use std::time::Instant;

use crate::fleet::node_view::NodeView;
use crate::fleet::requirements::{
    NodePreference, NodeQuery, NodeRequirements, Shortlist, TroubleTolerance,
};
use crate::fleet::sampler::SampleSpace;
use crate::fleet::spread::{FanoutScope, spread};
use crate::fleet::standing::{HealthState, slow_start};
use crate::fleet::view::FleetView;
use crate::rpc::classify::Rejection;
use crate::rpc::refusal::Refusal;
use crate::vocabulary::chain::BlockNumber;
use crate::vocabulary::chance::Dice;
use crate::vocabulary::node::NodeId;
use crate::vocabulary::tier::Tier;

/// A node sheds a call to the second one drawn when it costs more than this many times as much.
const COST_RATIO_MAX: f64 = 4.0;

impl FleetView {
    /// Draws the node to ask, and tells its tier. The node's one call, where it may have but one for
    /// now, is taken, unless it is one of a shortlist.
    pub fn draw(
        &self,
        query: &NodeQuery<'_>,
        now: Instant,
        dice: &mut impl Dice,
    ) -> Option<(NodeId, Tier)> {
        for &caution in query.tolerances {
            for &tier in query.tiers {
                let all = Draw {
                    view: self,
                    tier,
                    caution,
                    passed: query.passed,
                    avoided: &[],
                    needs: &query.needs,
                    now,
                };
                let avoided = query.avoided;
                let others = (!avoided.is_empty()).then_some(Draw { avoided, ..all });
                let other = others.and_then(|others| others.node(dice));
                if let Some(node) = other.or_else(|| all.node(dice)) {
                    return Some((node, tier));
                }
            }
        }
        None
    }

    /// The nodes for whose places a call waits that came to `drawn`, which has no room: those that a draw might
    /// as well have come to.
    pub fn places(&self, query: &NodeQuery<'_>, drawn: NodeId, now: Instant) -> Vec<&NodeView> {
        let needs = &query.needs;
        let has_it = has_blocks(self, needs);
        let is_in = |node: &NodeView| {
            let mut tiers = query.tiers.iter();
            tiers.any(|tier| self.tier_has(*tier, node, needs.method))
        };
        let suits = |node: &&NodeView| {
            let is_open = is_in(node) && !query.passed.contains(&node.id);
            is_open && has_it(node) && !node.standing.rests(now)
        };
        let mut nodes: Vec<&NodeView> = self.nodes.iter().filter(suits).collect();
        let better: [&dyn Fn(&NodeView) -> bool; 3] = [
            &|node| !node.lacks(needs.method, now),
            &|node| !node.is_astray,
            &|node| node.is_whole(now),
        ];
        for is_better in better {
            if nodes.iter().any(|node| is_better(node)) {
                nodes.retain(|node| is_better(node));
            }
        }
        let best = nodes.iter().map(|node| merit(node, needs.preference)).max();
        nodes.retain(|node| Some(merit(node, needs.preference)) == best);
        if !nodes.iter().any(|node| node.id == drawn) {
            nodes.extend(self.node(drawn));
        }
        nodes.retain(|node| node.id == drawn || needs.shortlist.lets(node.id));
        nodes
    }
}

/// A draw from one tier.
#[derive(Clone, Copy, Debug)]
struct Draw<'a> {
    view: &'a FleetView,
    tier: Tier,
    caution: TroubleTolerance,
    /// Those that aren't asked again.
    passed: &'a [NodeId],
    /// Those that aren't now.
    avoided: &'a [NodeId],
    needs: &'a NodeRequirements<'a>,
    now: Instant,
}

impl<'a> Draw<'a> {
    /// The node that the call goes to.
    fn node(&self, dice: &mut impl Dice) -> Option<NodeId> {
        let listed = match self.needs.shortlist {
            Shortlist::Empty => None,
            Shortlist::Rather(holders) => self.holder(holders, dice),
            Shortlist::Join(nodes) => nodes.iter().copied().find(|node| self.suits(*node)),
            Shortlist::Only(node) => {
                return (self.tier == Tier::Own && self.lets(node)).then_some(node);
            }
        };
        if listed.is_some() {
            return listed;
        }
        loop {
            let node = self.by_sampler(dice).or_else(|| self.by_list(dice))?;
            // One that is refused here won't be drawn again: it ends.
            if node.is_in_order() || take(node, self.caution, self.now) {
                return Some(node.id);
            }
        }
    }

    /// One of `holders` that has the blocks.
    fn holder(&self, holders: &[NodeId], dice: &mut impl Dice) -> Option<NodeId> {
        let passed = [self.passed, self.avoided].concat();
        let scope = FanoutScope {
            nodes_max: 1,
            method: self.needs.method,
            first: holders,
            passed: &passed,
        };
        let drawn = spread(self.view, self.tier, scope, self.now, dice).pop()?;
        let node = self.view.node(drawn).filter(|_| holders.contains(&drawn))?;
        let has_it = self.needs.block.is_none_or(|need| node.meets(need));
        has_it.then_some(drawn)
    }

    /// Whether a call may go to the node because another one of its batch does: a draw might have come
    /// to it, whatever other nodes there are.
    fn suits(&self, node: NodeId) -> bool {
        let Draw { needs, now, .. } = *self;
        let is_by_chance = self.tier != Tier::LastResort && needs.preference == NodePreference::Any;
        let Some(node) = self.view.node(node).filter(|_| is_by_chance) else {
            return false;
        };
        self.is_open(node)
            && !node.is_astray
            && has_blocks(self.view, needs)(node)
            && !node.lacks(needs.method, now)
            && node.is_whole(now)
    }

    /// Whether a node is there for the call, and has the blocks that it needs.
    fn can(&self) -> impl Fn(&NodeView) -> bool {
        let has_it = has_blocks(self.view, self.needs);
        move |node| self.is_open(node) && has_it(node) && may_be_drawn(node, self.caution, self.now)
    }

    fn is_open(&self, node: &NodeView) -> bool {
        let is_in = self.view.tier_has(self.tier, node, self.needs.method);
        is_in && self.lets(node.id)
    }

    fn lets(&self, node: NodeId) -> bool {
        !self.passed.contains(&node) && !self.avoided.contains(&node)
    }

    /// Draws among those that nothing speaks against; `None`: there may be none.
    fn by_sampler(&self, dice: &mut impl Dice) -> Option<&'a NodeView> {
        let Draw { needs, now, .. } = *self;
        if needs.preference != NodePreference::Any {
            return None;
        }
        let can = self.can();
        let is_best = |node: &NodeView| {
            can(node)
                && !node.is_astray
                && !node.lacks(needs.method, now)
                && (self.caution == TroubleTolerance::Trial || node.is_whole(now))
                && node.load.limiter.has_room_for_draw()
        };
        let nodes = &self.view.nodes;
        let space = |but| SampleSpace {
            nodes,
            tier: self.tier,
            but,
        };
        let first = self.view.sampler.draw(space(None), is_best, now, dice)?;
        let conduct = &first.node.load.conduct;
        if conduct.is_doubted() && conduct.is_trial_due(now) {
            // Its faults make it dear, and only calls can tell whether it is broken.
            return Some(first.node);
        }
        let second = match self
            .view
            .sampler
            .draw(space(Some(first)), is_best, now, dice)
        {
            Some(second) => Some(second.node),
            None => {
                let is_other = |node: &&NodeView| node.id != first.node.id && is_best(node);
                by_weight(nodes.iter().filter(is_other), now, dice)
            }
        };
        Some(cheaper(first.node, second, now))
    }

    /// Draws by going through all of them. Nodes that lack the method, are on another branch than clients
    /// were told, those that rest, and then those that have no room are drawn only when no other is left;
    /// those that have none because they are silent, only where any node will do.
    fn by_list(&self, dice: &mut impl Dice) -> Option<&'a NodeView> {
        let Draw { needs, now, .. } = *self;
        let may = self.can();
        let takes_any = self.caution == TroubleTolerance::Any;
        let open = |node: &NodeView| {
            may(node) && (takes_any || node.load.limiter.has_room() || !node.is_silent(now))
        };
        let nodes = || self.view.nodes.iter().filter(|node| open(node));
        let can = |node: &NodeView| !node.lacks(needs.method, now);
        let some_can = nodes().any(can);
        let nodes = || nodes().filter(|node| !some_can || can(node));
        let some_told = nodes().any(|node| !node.is_astray);
        let nodes = || nodes().filter(|node| !some_told || !node.is_astray);
        let some_whole = nodes().any(|node| node.is_whole(now));
        let nodes = || nodes().filter(|node| !some_whole || node.is_whole(now));
        let preference = if self.tier == Tier::LastResort {
            NodePreference::Freshest
        } else {
            needs.preference
        };
        let best = match preference {
            NodePreference::Any => None,
            NodePreference::Freshest | NodePreference::Deepest => {
                nodes().map(|node| merit(node, preference)).max()
            }
        };
        let is_preferred =
            |node: &&'a NodeView| best.is_none_or(|best| merit(node, preference) == best);
        let nodes = || nodes().filter(is_preferred);
        // Where one alone will do, its place is waited for.
        let some_free = nodes().any(|node| node.load.limiter.has_room());
        let among = nodes().filter(|node| !some_free || node.load.limiter.has_room());
        let first = by_weight(among.clone(), now, dice)?;
        let others = among.filter(|node| node.id != first.id);
        Some(cheaper(first, by_weight(others, now, dice), now))
    }
}

/// Whether to wait for a place at one of `fit` makes sense: they were fit when they were drawn.
pub fn is_worth_waiting(view: &FleetView, fit: &[NodeId], now: Instant) -> bool {
    let may_answer = |id: &NodeId| {
        let node = view.node(*id);
        node.is_some_and(|node| node.standing.is_healthy() && !node.is_silent(now))
    };
    fit.is_empty() || fit.iter().any(may_answer)
}

/// Whether a call may go to it though it is in trouble, if it is.
fn may_be_drawn(node: &NodeView, caution: TroubleTolerance, now: Instant) -> bool {
    let is_suspect = || node.load.conduct.is_suspect();
    let is_due = || node.load.conduct.is_trial_due(now);
    let rests = node.standing.rests(now);
    match caution {
        TroubleTolerance::Whole => !rests && !is_suspect(),
        TroubleTolerance::Trial => !rests && (!is_suspect() || is_due()),
        TroubleTolerance::Any => !rests || is_due(),
    }
}

/// Takes `node` for a call that it was drawn for; `false`: the one call that it may have for now is
/// another call's, and another draw is due.
fn take(node: &NodeView, caution: TroubleTolerance, now: Instant) -> bool {
    let conduct = &node.load.conduct;
    let is_first = conduct.is_trial_due(now) && conduct.take_trial(now);
    is_first || may_be_drawn(node, caution, now)
}

/// Why a call that ends with `why` got no answer: where no node was left to ask, there may be nodes
/// that only want to be left alone for now, and the first of them tells for how long. Where none of them
/// lets us in, it is said why.
pub fn refusal(why: Refusal, view: &FleetView, now: Instant) -> Refusal {
    if !matches!(why, Refusal::NoNode | Refusal::RateLimited { .. }) {
        return why;
    }
    let nodes = view.nodes.iter();
    let rests = nodes
        .filter(|node| node.serves() || node.is_last_resort())
        .filter(|node| node.standing.rests(now));
    let until = rests
        .clone()
        .filter_map(|node| node.standing.resting_until());
    let Some(until) = until.min() else { return why };
    let left = until.saturating_duration_since(now);
    let seconds = left.as_secs_f64().ceil() as u64;
    let mut shut = rests.map(|node| node.standing.is_shut(now));
    // What says least is said where one of them only asks for a pause.
    let told = shut.try_fold(Rejection::Auth, |told, shut| {
        shut.map(|shut| if shut == Rejection::Quota { shut } else { told })
    });
    match told {
        Some(Rejection::Quota) => Refusal::QuotaSpent { seconds },
        Some(Rejection::Auth) => Refusal::NotLetIn,
        None => Refusal::RateLimited { seconds },
    }
}

/// Whether a node has the blocks that a call needs. Before any head is known all have.
fn has_blocks(view: &FleetView, needs: &NodeRequirements<'_>) -> impl Fn(&NodeView) -> bool {
    let block = needs.block.filter(|_| view.highest_head.is_some());
    move |node| block.is_none_or(|need| node.meets(need))
}

/// What makes a node preferred; the higher the better.
fn merit(node: &NodeView, preference: NodePreference) -> u64 {
    let number = |block: Option<BlockNumber>| block.map_or(0, |BlockNumber(number)| number);
    match preference {
        NodePreference::Any => 0,
        NodePreference::Freshest => number(node.head),
        NodePreference::Deepest => u64::MAX - number(node.depth.state_from),
    }
}

/// The first, unless it sheds the call to the second.
fn cheaper<'a>(first: &'a NodeView, second: Option<&'a NodeView>, now: Instant) -> &'a NodeView {
    match second {
        Some(second) if is_dear(first, second, now) => second,
        Some(_) | None => first,
    }
}

/// Whether `first` sheds the call to `second`. A node of twice the weight may have twice as many
/// calls in flight.
fn is_dear(first: &NodeView, second: &NodeView, now: Instant) -> bool {
    let (own, other) = (share(first, now), share(second, now));
    let middle = f64::midpoint(own, other);
    let cost = first.load.cost(own / middle, now);
    cost > COST_RATIO_MAX * second.load.cost_as_peer(other / middle, now)
}

fn by_weight<'a>(
    nodes: impl Iterator<Item = &'a NodeView> + Clone,
    now: Instant,
    dice: &mut impl Dice,
) -> Option<&'a NodeView> {
    let total: f64 = nodes.clone().map(|node| share(node, now)).sum();
    let mut left = dice.fraction() * total;
    let mut last = None;
    for node in nodes {
        last = Some(node);
        left -= share(node, now);
        if left < 0.0 {
            break;
        }
    }
    last
}

fn share(node: &NodeView, now: Instant) -> f64 {
    let returned_at = match node.standing.state {
        HealthState::Fit { returned_at } => returned_at,
        HealthState::Unproven | HealthState::Out(_) | HealthState::Benched { .. } => None,
    };
    f64::from(node.weight.get()) * slow_start(returned_at, now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::sampler::Sampler;
    use crate::fleet::standing::Reason;
    use crate::fleet::tracker::Fleet;
    use crate::fleet::{FleetMember, ProbeOutcome};
    use crate::testing::at;
    use crate::vocabulary::block_ref::{BlockData, BlockRange};
    use crate::vocabulary::chance::SeededDice;
    use crate::vocabulary::node::Weight;
    use std::time::Duration;

    /// The node that a call comes to which needs nothing and went to `passed` before.
    fn draw(view: &FleetView, tier: Tier, passed: &[u32], now: Instant) -> Option<u32> {
        let needs = NodeRequirements::default();
        let passed: Vec<_> = passed.iter().copied().map(NodeId).collect();
        let draw = Draw {
            passed: &passed,
            ..Draw::from(view, tier, &needs, now)
        };
        draw.untaken(&mut SeededDice::new(1)).map(|node| node.0)
    }

    impl<'a> Draw<'a> {
        /// For any node that there is.
        fn from(
            view: &'a FleetView,
            tier: Tier,
            needs: &'a NodeRequirements<'a>,
            now: Instant,
        ) -> Draw<'a> {
            Draw {
                view,
                tier,
                caution: TroubleTolerance::Any,
                passed: &[],
                avoided: &[],
                needs,
                now,
            }
        }

        /// The node that it comes to, whose one call is left to it.
        fn untaken(&self, dice: &mut impl Dice) -> Option<NodeId> {
            let found = self.by_sampler(dice).or_else(|| self.by_list(dice));
            found.map(|node| node.id)
        }

        /// The nodes that it comes to.
        fn sample(self) -> Vec<u32> {
            let mut dice = SeededDice::new(7);
            let mut nodes: Vec<_> = (0..200)
                .filter_map(|_| self.untaken(&mut dice))
                .map(|node| node.0)
                .collect();
            nodes.sort_unstable();
            nodes.dedup();
            nodes
        }
    }

    fn fleet(weights: &[u64], now: Instant) -> Fleet {
        let member = |(id, weight): (u32, &u64)| FleetMember {
            weight: Weight::new(*weight).unwrap(),
            ..crate::testing::led(id)
        };
        crate::testing::fleet_of((0..).zip(weights).map(member), now)
    }

    fn round(fleet: &mut Fleet, probes: &[ProbeOutcome], now: Instant) {
        let probes: Vec<_> = (0..).map(NodeId).zip(probes.iter().copied()).collect();
        fleet.hear_round(&probes, now);
    }

    /// Nodes of these weights, each of which told its head in the first round, which is now.
    fn told<const N: usize>(weights: [u64; N], heads: [u64; N]) -> (Fleet, Instant) {
        let now = crate::testing::now();
        let mut fleet = fleet(&weights, now);
        round(&mut fleet, &heads.map(at), now);
        (fleet, now)
    }

    /// How often each node is drawn of so many times.
    fn counts(draw: Draw<'_>, seed: u64, times: u32) -> Vec<u32> {
        let mut dice = SeededDice::new(seed);
        let mut counts = vec![0; draw.view.nodes.len()];
        for _ in 0..times {
            counts[draw.untaken(&mut dice).unwrap().0 as usize] += 1;
        }
        counts
    }

    fn shares(view: &FleetView, now: Instant) -> Vec<u32> {
        let needs = NodeRequirements::default();
        counts(Draw::from(view, Tier::Own, &needs, now), 42, 1000)
    }

    #[test]
    fn a_node_is_drawn_for_nothing_that_it_is_not_for_whatever_others_there_are() {
        let (fleet, now) = told([1, 1, 1], [100; 3]);
        let mut view = fleet.view();
        let at_place = |view: &FleetView, id: u32| {
            let mut nodes = view.nodes.iter();
            nodes.position(|node| node.id == NodeId(id)).unwrap()
        };
        for id in [0, 1] {
            let place = at_place(&view, id);
            view.nodes[place].methods = "!eth_x".parse().unwrap();
        }
        let needs = NodeRequirements {
            method: "eth_x",
            ..NodeRequirements::default()
        };
        assert_eq!(drawn(&view, Tier::Own, &needs, now), [2]);
        assert_eq!(
            drawn(&view, Tier::Own, &NodeRequirements::default(), now),
            [1, 2]
        );
        assert_eq!(drawn(&view, Tier::Fallback, &needs, now), [] as [u32; 0]);
        assert_eq!(drawn(&view, Tier::LastResort, &needs, now), [2]);
        let place = at_place(&view, 2);
        let query = NodeQuery::new(&[Tier::Own], &[], needs);
        let waits = view.places(&query, NodeId(2), now);
        assert_eq!(
            waits.iter().map(|node| node.id).collect::<Vec<_>>(),
            [NodeId(2)]
        );
        let suits = |view: &FleetView| Draw::from(view, Tier::Own, &needs, now).suits(NodeId(2));
        assert!(suits(&view));
        view.nodes[place].methods = "!eth_*".parse().unwrap();
        assert!(!suits(&view));
        assert_eq!(drawn(&view, Tier::Own, &needs, now), [] as [u32; 0]);
    }

    #[test]
    fn the_table_draws_as_often_as_going_through_the_list() {
        let start = crate::testing::now();
        let mut fleet = fleet(&[1, 1, 5, 20, 3, 0, 8, 8, 2], start);
        // The node of weight 20 comes back and starts slowly; 8 is behind.
        let heads = |out: u64| [100, 100, 100, out, 100, 100, 100, 100, 95].map(at);
        round(&mut fleet, &heads(100), start);
        round(&mut fleet, &heads(10), start);
        round(&mut fleet, &heads(100), start);
        round(&mut fleet, &heads(100), start);
        let now = start + Duration::from_secs(9);
        fleet.throttle(NodeId(6), Some(Duration::from_secs(60)), now);
        let view = fleet.view();
        view.nodes[4].unsupported.learn("eth_x", now);
        for _ in 0..200 {
            view.nodes[7].load.begin();
        }
        let head = BlockNumber(98);
        let need = BlockRange {
            from: head,
            to: head,
            reads: BlockData::State,
        };
        let needs = NodeRequirements {
            block: Some(need),
            method: "eth_x",
            ..NodeRequirements::default()
        };
        for (passed, needs) in [
            (&[][..], NodeRequirements::default()),
            (&[NodeId(2), NodeId(7)], NodeRequirements::default()),
            (&[], needs),
            (&[NodeId(1), NodeId(2), NodeId(3)], needs),
        ] {
            let by_list = FleetView {
                sampler: Sampler::default(),
                ..view.clone()
            };
            let [table, list] = [&view, &by_list].map(|view| {
                let draw = Draw::from(view, Tier::Own, &needs, now);
                counts(Draw { passed, ..draw }, 7, 20_000)
            });
            for (table, list) in table.iter().zip(&list) {
                assert!(table.abs_diff(*list) < 400, "{table} {list}: {passed:?}");
                assert_eq!(*table == 0, *list == 0, "{passed:?}");
            }
        }
    }

    #[test]
    fn a_full_and_silent_node_is_gone_round_and_not_waited_for() {
        let (mut fleet, start) = told([1, 1, 1], [9, 9, 9]);
        let now = start + Duration::from_millis(2001);
        round(&mut fleet, &[at(9), ProbeOutcome::Failed, at(9)], now);
        let view = fleet.view();
        let needs = NodeRequirements::default();
        let draw = |caution, now| {
            let draw = Draw {
                caution,
                passed: &[NodeId(2)],
                ..Draw::from(&view, Tier::Own, &needs, now)
            };
            draw.untaken(&mut SeededDice::new(7))
        };
        let both = [NodeId(1), NodeId(2)];
        assert_eq!(
            draw(TroubleTolerance::Whole, now),
            Some(NodeId(1)),
            "it has room"
        );
        for _ in 0..32 {
            view.nodes[1].load.begin();
        }
        for caution in [TroubleTolerance::Whole, TroubleTolerance::Trial] {
            assert_eq!(draw(caution, now), None);
        }
        assert_eq!(draw(TroubleTolerance::Any, now), Some(NodeId(1)));
        assert!(!is_worth_waiting(&view, &both[..1], now));
        assert!(is_worth_waiting(&view, &both, now), "another may answer");
        assert!(is_worth_waiting(&view, &[], now), "none was fit before");
        // It was heard of a moment ago, so it is known to be no more than slow.
        let soon = start + Duration::from_millis(2000);
        assert_eq!(draw(TroubleTolerance::Whole, soon), Some(NodeId(1)));
        view.nodes[1].load.conduct.answered(1, now);
        assert_eq!(draw(TroubleTolerance::Whole, now), Some(NodeId(1)));
        assert!(is_worth_waiting(&view, &both[..1], now));
        for _ in 0..2 {
            round(&mut fleet, &[at(9), ProbeOutcome::Failed, at(9)], now);
        }
        assert!(
            !is_worth_waiting(&fleet.view(), &both[..1], now),
            "it is out"
        );
    }

    #[test]
    fn shares_follow_weights_also_after_a_node_left() {
        let (mut fleet, now) = told([1, 1, 2, 7], [9, 9, 9, 9]);
        let close = |counts: &[u32], wanted: &[i64]| {
            counts
                .iter()
                .zip(wanted)
                .all(|(count, wanted)| (i64::from(*count) - wanted).abs() <= 50)
        };
        let counts = shares(&fleet.view(), now);
        assert!(close(&counts, &[0, 100, 200, 700]), "{counts:?}");
        round(&mut fleet, &[at(90), at(90), at(90), at(9)], now);
        let counts = shares(&fleet.view(), now);
        assert!(close(&counts, &[0, 333, 667, 0]), "{counts:?}");
    }

    #[test]
    fn a_slow_node_sheds_calls_and_a_drained_one_gets_none() {
        let (fleet, now) = told([1, 1, 1, 0], [9, 9, 9, 9]);
        let view = fleet.view();
        for _ in 0..5 {
            view.nodes[1]
                .load
                .answered(1, Duration::from_millis(300), now);
        }
        let counts = shares(&view, now);
        assert_eq!((counts[1], counts[3]), (0, 0), "{counts:?}");
    }

    #[test]
    fn a_heavy_node_keeps_its_calls_though_it_has_as_many_more_in_flight() {
        let (fleet, now) = told([1, 1, 9], [9, 9, 9]);
        let view = fleet.view();
        view.nodes[1].load.begin();
        (0..9).for_each(|_| view.nodes[2].load.begin());
        let counts = shares(&view, now);
        assert!((850..=950).contains(&counts[2]), "{counts:?}");
    }

    #[test]
    fn a_node_that_is_asked_seldom_is_no_faster_than_one_that_is_asked_often() {
        let (fleet, start) = told([1, 1, 1], [9, 9, 9]);
        let view = fleet.view();
        let now = start + Duration::from_secs(10);
        for _ in 0..5 {
            view.nodes[1]
                .load
                .answered(1, Duration::from_millis(50), start);
            view.nodes[2]
                .load
                .answered(1, Duration::from_millis(50), now);
        }
        let counts = shares(&view, now);
        assert!((450..=550).contains(&counts[1]), "{counts:?}");
    }

    #[test]
    fn a_returned_node_starts_slowly() {
        let mut now = crate::testing::now();
        let mut fleet = fleet(&[1, 1, 1], now);
        round(&mut fleet, &[at(9), at(9), at(9)], now);
        round(&mut fleet, &[at(90), at(90), at(9)], now);
        for _ in 0..2 {
            now += Duration::from_secs(5);
            round(&mut fleet, &[at(90), at(90), at(90)], now);
        }
        let counts = shares(&fleet.view(), now);
        assert!((40..=140).contains(&counts[2]), "{counts:?}");
    }

    #[test]
    fn a_resting_node_is_asked_only_when_no_other_is_left() {
        let (mut fleet, now) = told([1, 1, 1], [9, 9, 9]);
        fleet.throttle(NodeId(1), Some(Duration::from_secs(60)), now);
        let view = fleet.view();
        assert_eq!(shares(&view, now)[1], 0);
        let left = draw(&view, Tier::Own, &[2], now);
        assert_eq!(left, None, "it wants to be left alone");
        let now = now + Duration::from_secs(10);
        assert_eq!(draw(&view, Tier::Own, &[2], now), Some(1));
        assert_eq!(draw(&view, Tier::Own, &[2, 1], now), None);
        assert_eq!(draw(&view, Tier::Fallback, &[], now), Some(0));
    }

    #[test]
    fn a_suspect_is_drawn_for_a_trial_at_a_time_or_where_no_other_is_left() {
        let (fleet, start) = told([1, 1, 1], [9, 9, 9]);
        let view = fleet.view();
        let suspect = &view.nodes[1];
        for _ in 0..5 {
            suspect.load.conduct.faulted("", start, start);
            suspect.load.failed(Duration::ZERO, start);
        }
        let due = start + Duration::from_secs(1);
        let needs = NodeRequirements::default();
        let own = |caution, now| {
            let draw = Draw::from(&view, Tier::Own, &needs, now);
            Draw { caution, ..draw }.sample()
        };
        assert_eq!(own(TroubleTolerance::Trial, start), [2], "not yet");
        assert_eq!(
            own(TroubleTolerance::Trial, due),
            [1, 2],
            "though it is dear"
        );
        assert_eq!(own(TroubleTolerance::Whole, due), [2]);
        assert_eq!(own(TroubleTolerance::Any, due), [2], "there is another");
        assert!(take(suspect, TroubleTolerance::Trial, due));
        assert!(
            !take(suspect, TroubleTolerance::Trial, due),
            "one at a time"
        );
        assert!(take(suspect, TroubleTolerance::Any, due));
        for _ in 0..5 {
            view.nodes[2].load.conduct.faulted("", start, start);
            view.nodes[2].load.failed(Duration::ZERO, start);
        }
        assert_eq!(own(TroubleTolerance::Whole, due), [] as [u32; 0]);
        assert_eq!(own(TroubleTolerance::Any, due), [1, 2]);
    }

    #[test]
    fn the_tiers_are_gone_down_before_nodes_in_trouble_are_put_up_with() {
        let (fleet, start) = told([1, 1, 1], [9, 9, 9]);
        let view = fleet.view();
        for _ in 0..5 {
            view.nodes[1].load.conduct.faulted("", start, start);
        }
        let tiers = &[Tier::Own, Tier::Fallback];
        let mut dice = SeededDice::new(7);
        let mut drawn = |passed: &[NodeId], avoided: &[NodeId], now| {
            let query = NodeQuery {
                tolerances: &[TroubleTolerance::Whole, TroubleTolerance::Any],
                avoided,
                ..NodeQuery::new(tiers, passed, NodeRequirements::default())
            };
            let drawn = view.draw(&query, now, &mut dice);
            drawn.map(|(node, tier)| (node.0, tier))
        };
        let (own, fallback) = (Tier::Own, Tier::Fallback);
        assert_eq!(drawn(&[], &[], start), Some((2, own)));
        assert_eq!(drawn(&[], &[NodeId(2)], start), Some((2, own)), "no other");
        assert_eq!(drawn(&[NodeId(2)], &[], start), Some((0, fallback)));
        let asked = [NodeId(2), NodeId(0)];
        assert_eq!(
            drawn(&asked, &[], start),
            Some((1, own)),
            "the node that is left"
        );
        assert_eq!(drawn(&[0, 1, 2].map(NodeId), &[], start), None);
        let due = start + Duration::from_secs(1);
        let trial = NodeQuery {
            tolerances: &[TroubleTolerance::Trial],
            ..NodeQuery::new(tiers, &[NodeId(2)], NodeRequirements::default())
        };
        let on_trial = || view.draw(&trial, due, &mut SeededDice::new(7));
        assert_eq!(on_trial(), Some((NodeId(1), own)));
        assert_eq!(on_trial(), Some((NodeId(0), fallback)), "one at a time");
    }

    #[test]
    fn those_on_a_shortlist_are_taken_before_one_is_drawn() {
        let (fleet, now) = told([1, 9, 1, 1], [9, 9, 9, 8]);
        let view = fleet.view();
        let tiers = [Tier::Own, Tier::Fallback];
        let drawn = |passed: &[NodeId], shortlist, block| {
            let needs = NodeRequirements {
                shortlist,
                ..needing(block, block, BlockData::Block)
            };
            let query = NodeQuery::new(&tiers, passed, needs);
            let draw = |seed| view.draw(&query, now, &mut SeededDice::new(seed));
            let mut nodes: Vec<_> = (0..50).filter_map(draw).map(|(node, _)| node.0).collect();
            nodes.sort_unstable();
            nodes.dedup();
            nodes
        };
        let (both, second) = ([NodeId(3), NodeId(2)], [NodeId(2)]);
        assert_eq!(drawn(&[], Shortlist::Rather(&both), 8), [2, 3]);
        assert_eq!(drawn(&second, Shortlist::Rather(&both), 8), [3]);
        assert_eq!(drawn(&both, Shortlist::Rather(&both), 8), [1], "no other");
        assert_eq!(drawn(&[], Shortlist::Join(&both), 8), [3], "the first");
        assert_eq!(drawn(&[], Shortlist::Join(&both), 9), [2], "that has it");
        assert_eq!(drawn(&both, Shortlist::Join(&both), 9), [1]);
        assert_eq!(drawn(&[], Shortlist::Only(NodeId(3)), 9), [3], "it alone");
        assert_eq!(drawn(&both, Shortlist::Only(NodeId(3)), 8), [] as [u32; 0]);
        let query = |shortlist| {
            let needs = NodeRequirements {
                shortlist,
                ..NodeRequirements::default()
            };
            let query = NodeQuery::new(&tiers[..1], &[], needs);
            let nodes = view.places(&query, NodeId(1), now);
            nodes.iter().map(|node| node.id.0).collect::<Vec<_>>()
        };
        assert_eq!(query(Shortlist::Empty), [1, 2, 3]);
        assert_eq!(query(Shortlist::Rather(&second)), [1, 2]);
        assert_eq!(query(Shortlist::Only(NodeId(1))), [1]);
    }

    #[test]
    fn equals_share_where_no_node_is_fit() {
        let now = crate::testing::now();
        let mut fleet = fleet(&[1, 1, 2, 1], now);
        let syncing = |head| ProbeOutcome::Answered {
            head: BlockNumber(head),
            chain_id: None,
            syncing: true,
        };
        round(
            &mut fleet,
            &[ProbeOutcome::Failed, syncing(9), syncing(9), syncing(8)],
            now,
        );
        let view = fleet.view();
        let needs = NodeRequirements::default();
        let counts = counts(Draw::from(&view, Tier::LastResort, &needs, now), 7, 900);
        assert!(
            (250..350).contains(&counts[1]) && counts[2] == 900 - counts[1],
            "{counts:?}"
        );
    }

    #[test]
    fn where_all_want_to_be_left_alone_the_shortest_rest_that_remains_is_told() {
        let (mut fleet, now) = told([1, 1], [9, 9]);
        assert_eq!(
            refusal(Refusal::NoNode, &fleet.view(), now),
            Refusal::NoNode
        );
        fleet.throttle(NodeId(0), Some(Duration::from_secs(60)), now);
        fleet.throttle(NodeId(1), Some(Duration::from_secs(17)), now);
        let view = fleet.view();
        for why in [Refusal::NoNode, Refusal::RateLimited { seconds: 1 }] {
            let later = now + Duration::from_millis(6500);
            let wanted = Refusal::RateLimited { seconds: 11 };
            assert_eq!(refusal(why, &view, later), wanted);
        }
        assert_eq!(refusal(Refusal::Timeout, &view, now), Refusal::Timeout);
    }

    #[test]
    fn where_no_node_lets_calls_in_it_is_said_why() {
        use Rejection::{Auth, Quota};
        let quota = Refusal::QuotaSpent { seconds: 60 };
        let pause = Refusal::RateLimited { seconds: 60 };
        for (why, wanted) in [
            ([Some(Quota), Some(Quota)], &quota),
            ([Some(Auth), Some(Quota)], &quota),
            ([Some(Auth), Some(Auth)], &Refusal::NotLetIn),
            ([None, Some(Quota)], &pause),
            ([None, None], &pause),
        ] {
            let (mut fleet, now) = told([1, 1], [9, 9]);
            for (id, why) in (0..).map(NodeId).zip(why) {
                fleet.throttle(id, Some(Duration::from_secs(60)), now);
                if let Some(why) = why {
                    fleet.shut(id, why);
                }
            }
            assert_eq!(
                refusal(Refusal::NoNode, &fleet.view(), now),
                *wanted,
                "{why:?}"
            );
            // Once the rest is over it was the last word about it.
            fleet.throttle(NodeId(0), None, now + Duration::from_secs(61));
            let later = now + Duration::from_secs(61);
            let after = refusal(Refusal::NoNode, &fleet.view(), later);
            assert!(matches!(after, Refusal::RateLimited { .. }), "{after:?}");
        }
    }

    #[test]
    fn the_last_resort_is_the_freshest_that_lives() {
        let now = crate::testing::now();
        let mut fleet = fleet(&[1, 1, 1, 1], now);
        round(
            &mut fleet,
            &[ProbeOutcome::Failed, at(100), at(102), ProbeOutcome::Failed],
            now,
        );
        let last = |passed: &[u32]| draw(&fleet.view(), Tier::LastResort, passed, now);
        assert_eq!(last(&[]), Some(2));
        assert_eq!(last(&[2]), Some(1));
        assert_eq!(last(&[2, 1]), None);
    }

    #[test]
    fn a_forked_node_is_the_last_resort_only_where_no_other_lives() {
        let now = crate::testing::now();
        let mut fleet = fleet(&[1, 1, 1], now);
        round(&mut fleet, &[ProbeOutcome::Failed, at(100), at(102)], now);
        let mut view = fleet.view();
        view.nodes[2].standing.state = HealthState::Out(Reason::Forked);
        let (any, needs) = (
            NodeRequirements::default(),
            needing(102, 102, BlockData::Block),
        );
        let last = |view: &FleetView, needs: &NodeRequirements<'_>| {
            drawn(view, Tier::LastResort, needs, now)
        };
        assert_eq!(last(&view, &any), [1]);
        assert_eq!(last(&view, &needs), [] as [u32; 0], "not even for a block");
        view.nodes[1].lives = false;
        assert_eq!(last(&view, &any), [2]);
    }

    fn drawn(view: &FleetView, tier: Tier, needs: &NodeRequirements<'_>, now: Instant) -> Vec<u32> {
        Draw::from(view, tier, needs, now).sample()
    }

    fn needing(from: u64, to: u64, reads: BlockData) -> NodeRequirements<'static> {
        let (from, to) = (BlockNumber(from), BlockNumber(to));
        let block = Some(BlockRange { from, to, reads });
        NodeRequirements {
            block,
            ..NodeRequirements::default()
        }
    }

    #[test]
    fn a_call_that_names_a_block_goes_only_to_nodes_that_have_it() {
        let (fleet, now) = told([1, 1, 1, 1], [101, 100, 99, 91]);
        let view = fleet.view();
        let drawn = |tier, number| {
            let needs = needing(number, number, BlockData::Block);
            drawn(&view, tier, &needs, now)
        };
        assert_eq!(drawn(Tier::Own, 91), [1, 2, 3]);
        assert_eq!(drawn(Tier::Own, 92), [1, 2]);
        assert_eq!(drawn(Tier::Own, 100), [1]);
        assert_eq!(drawn(Tier::Own, 101), [] as [u32; 0]);
        assert_eq!(drawn(Tier::Fallback, 101), [0]);
    }

    #[test]
    fn state_and_blocks_go_back_to_their_own_depths() {
        let (fleet, now) = told([1, 1, 1], [1000, 1000, 1000]);
        let mut view = fleet.view();
        view.nodes[1].depth.state_from = Some(BlockNumber(900));
        view.nodes[1].depth.blocks_from = Some(BlockNumber(500));
        let own = |from, reads| drawn(&view, Tier::Own, &needing(from, 950, reads), now);
        assert_eq!(own(900, BlockData::State), [1, 2]);
        assert_eq!(own(899, BlockData::State), [2]);
        assert_eq!(own(500, BlockData::Block), [1, 2]);
        assert_eq!(own(499, BlockData::Block), [2]);
        assert_eq!(own(499, BlockData::Head), [1, 2]);
    }

    #[test]
    fn before_any_head_is_known_the_list_is_left_whole() {
        let now = crate::testing::now();
        let mut fleet = fleet(&[1, 1], now);
        round(&mut fleet, &[ProbeOutcome::Failed, at(5)], now);
        let mut view = fleet.view();
        let needs = needing(7, 7, BlockData::State);
        assert_eq!(drawn(&view, Tier::Own, &needs, now), [] as [u32; 0]);
        view.highest_head = None;
        assert_eq!(drawn(&view, Tier::Own, &needs, now), [1]);
    }

    #[test]
    fn a_preference_comes_before_room_and_room_before_chance() {
        let (fleet, now) = told([1, 1, 1, 1], [100, 100, 99, 100]);
        let mut view = fleet.view();
        view.nodes[1].depth.state_from = Some(BlockNumber(50));
        view.nodes[3].depth.state_from = Some(BlockNumber(10));
        let preferred = |preference| {
            let needs = NodeRequirements {
                preference,
                ..NodeRequirements::default()
            };
            drawn(&view, Tier::Own, &needs, now)
        };
        assert_eq!(preferred(NodePreference::Any), [1, 2, 3]);
        assert_eq!(preferred(NodePreference::Freshest), [1, 3]);
        assert_eq!(preferred(NodePreference::Deepest), [2]);
        for full in [1, 2] {
            view.nodes[full].load.limiter.fix(Some(1), now);
            view.nodes[full].load.begin();
        }
        assert_eq!(preferred(NodePreference::Any), [3]);
        assert_eq!(preferred(NodePreference::Freshest), [3]);
        assert_eq!(preferred(NodePreference::Deepest), [2], "no other has it");
    }

    #[test]
    fn a_node_that_lacks_the_method_is_drawn_only_when_no_other_is_left() {
        let (fleet, now) = told([1, 1, 1], [9, 9, 9]);
        let view = fleet.view();
        view.nodes[1].unsupported.learn("trace_block", now);
        let asked = |method| {
            let needs = NodeRequirements {
                method,
                ..NodeRequirements::default()
            };
            drawn(&view, Tier::Own, &needs, now)
        };
        assert_eq!(asked("trace_block"), [2]);
        assert_eq!(asked("eth_call"), [1, 2]);
        view.nodes[2].unsupported.learn("trace_block", now);
        assert_eq!(asked("trace_block"), [1, 2]);
    }

    #[test]
    fn weights_of_nothing_but_zero_draw_no_node() {
        let (fleet, now) = told([0, 0], [9, 9]);
        for tier in [Tier::Own, Tier::Fallback, Tier::LastResort] {
            assert_eq!(draw(&fleet.view(), tier, &[], now), None);
        }
    }
}

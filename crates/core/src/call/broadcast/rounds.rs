//! Which nodes a raw transaction is sent to, round by round, and which are asked for it afterwards.

use std::time::{Duration, Instant};

use super::{Broadcast, BroadcastForm, BroadcastReply, TELLS_OF_TRANSACTION, refusal, sync_time};
use crate::fleet::spread::{FanoutScope, NODES_MAX, spread};
use crate::fleet::view::FleetView;
use crate::rpc::classify::AttemptClass;
use crate::rpc::refusal::Refusal;
use crate::vocabulary::chance::Dice;
use crate::vocabulary::node::NodeId;
use crate::vocabulary::tier::Tier;

/// The time of a call that is kept for looking its transaction up; a quarter of it at most.
const LOOKUP_TIME: Duration = Duration::from_secs(2);

/// What the rounds of one transaction are held to.
#[derive(Clone, Copy, Debug)]
pub struct RoundLimits<'a> {
    /// The method that sends it.
    pub method: &'a str,
    /// Nodes of a round, at most.
    pub nodes_max: usize,
    /// Rounds, at most.
    pub rounds_max: usize,
    /// Whether nodes that are not fit are sent it when no other is left.
    pub fails_open: bool,
    /// When the call came.
    pub arrived_at: Instant,
    /// When it is over.
    pub deadline: Instant,
    /// The longest time of a round, unless the nodes wait for a block.
    pub round: Duration,
}

/// Nodes that are sent it at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BroadcastRound {
    /// One at least, none of which was sent it before.
    pub nodes: Vec<NodeId>,
    /// Theirs.
    pub tier: Tier,
    /// Until when they may take it.
    pub until: Instant,
}

/// The rounds of one transaction so far.
#[derive(Clone, Debug)]
pub struct BroadcastRounds<'a> {
    form: BroadcastForm,
    limits: RoundLimits<'a>,
    count: usize,
    sent_to: Vec<NodeId>,
    /// Of those, the nodes that refused it for what it is.
    refused_by: Vec<NodeId>,
    heard: Vec<AttemptClass>,
}

impl<'a> BroadcastRounds<'a> {
    /// None so far.
    pub fn new(form: BroadcastForm, limits: RoundLimits<'a>) -> BroadcastRounds<'a> {
        BroadcastRounds {
            form,
            limits,
            count: 0,
            sent_to: Vec::new(),
            refused_by: Vec::new(),
            heard: Vec::new(),
        }
    }

    /// How many there were.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The next one, within the limits: own nodes first, then the others. `first`: those that have this client's
    /// earlier transactions, without which a node can't take it. One that may repeat what a node has done is to be
    /// `paid` for.
    pub fn next(
        &self,
        (view, first): (&FleetView, &[NodeId]),
        now: Instant,
        dice: &mut impl Dice,
        pay: impl FnOnce() -> bool,
    ) -> Option<BroadcastRound> {
        let until = self.sending_end();
        if now >= until || self.count >= self.limits.rounds_max {
            return None;
        }
        let scope = FanoutScope {
            nodes_max: self.limits.nodes_max,
            method: self.limits.method,
            first,
            passed: &self.sent_to,
        };
        let mut tiers = std::iter::successors(Some(Tier::Own), |tier| tier.below())
            .filter(|tier| *tier != Tier::LastResort || self.limits.fails_open);
        let (tier, nodes) = tiers.find_map(|tier| {
            let nodes = spread(view, tier, scope, now, dice);
            (!nodes.is_empty()).then_some((tier, nodes))
        })?;
        let is_free = self.heard.iter().all(|class| class.is_unexecuted());
        if !is_free && !pay() {
            return None;
        }
        let until = match self.form {
            BroadcastForm::Hash => until.min(now + self.limits.round),
            // The node itself waits for a block.
            BroadcastForm::Receipt => until,
        };
        Some(BroadcastRound { nodes, tier, until })
    }

    /// It is sent to the nodes of `round` now.
    pub fn begin(&mut self, round: &BroadcastRound) {
        self.count += 1;
        self.sent_to.extend_from_slice(&round.nodes);
    }

    /// What a node came to, and the `word` that is read from it.
    pub fn hear(&mut self, (node, class): (NodeId, AttemptClass), word: BroadcastReply) {
        self.heard.push(class);
        if matches!(word, BroadcastReply::Refused(rank) if rank >= TELLS_OF_TRANSACTION) {
            self.refused_by.push(node);
        }
    }

    /// The nodes that are asked whether they have it before it is said to have failed: where one may, those that were
    /// sent it and the own fit ones; else, of a transaction that is known to be sound, those that refused it, once.
    pub fn possible_holders(
        &mut self,
        (broadcast, is_sound): (&Broadcast, bool),
        view: &FleetView,
        now: Instant,
        dice: &mut impl Dice,
    ) -> Vec<NodeId> {
        if broadcast.is_in_doubt() {
            let scope = FanoutScope {
                nodes_max: NODES_MAX,
                method: self.form.lookup(),
                first: &[],
                passed: &self.sent_to,
            };
            let others = spread(view, Tier::Own, scope, now, dice);
            self.sent_to.iter().copied().chain(others).collect()
        } else if is_sound {
            std::mem::take(&mut self.refused_by)
        } else {
            Vec::new()
        }
    }

    /// Until when the receipt is waited for by the call with `params`, whose transaction a pool has.
    pub fn receipt_end(&self, params: &str) -> Instant {
        let whole = self.whole().saturating_sub(LOOKUP_TIME);
        self.limits.arrived_at + sync_time(params).min(whole)
    }

    /// What is said where no node has said anything fit for a client's eyes.
    pub fn refusal(&self) -> Refusal {
        refusal(&self.heard)
    }

    /// Until when nodes may take it: some of the time is left for looking it up.
    fn sending_end(&self) -> Instant {
        self.limits.deadline - LOOKUP_TIME.min(self.whole() / 4)
    }

    fn whole(&self) -> Duration {
        let RoundLimits {
            arrived_at,
            deadline,
            ..
        } = self.limits;
        deadline.saturating_duration_since(arrived_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use crate::vocabulary::chance::SeededDice;

    const SEND: &str = "eth_sendRawTransaction";

    fn limits(arrived_at: Instant) -> RoundLimits<'static> {
        RoundLimits {
            method: SEND,
            nodes_max: 2,
            rounds_max: 5,
            fails_open: false,
            arrived_at,
            deadline: arrived_at + Duration::from_secs(30),
            round: Duration::from_secs(8),
        }
    }

    /// Own nodes 1 to 3 and the leader, 0; all fit but 3, which is far behind.
    fn view(now: Instant) -> FleetView {
        let mut fleet = testing::fleet_by(testing::quick_criteria(), (0..4).map(testing::led), now);
        let heads = [(0, 90), (1, 90), (2, 90), (3, 9)];
        fleet.hear_round(
            &heads.map(|(id, head)| (NodeId(id), testing::at(head))),
            now,
        );
        fleet.view()
    }

    fn ids(round: Option<BroadcastRound>) -> Option<Vec<u32>> {
        let mut ids: Vec<_> = round?.nodes.iter().map(|node| node.0).collect();
        ids.sort_unstable();
        Some(ids)
    }

    fn next(rounds: &mut BroadcastRounds<'_>, now: Instant) -> Option<BroadcastRound> {
        let paid = || panic!("no node may have taken it");
        let round = rounds.next((&view(now), &[]), now, &mut SeededDice::new(1), paid)?;
        rounds.begin(&round);
        Some(round)
    }

    #[test]
    fn it_is_sent_to_own_nodes_then_to_the_leader_and_to_none_twice() {
        let now = testing::now();
        let mut rounds = BroadcastRounds::new(BroadcastForm::Hash, limits(now));
        assert_eq!(ids(next(&mut rounds, now)), Some(vec![1, 2]));
        assert_eq!(ids(next(&mut rounds, now)), Some(vec![0]));
        assert_eq!(next(&mut rounds, now), None, "the third isn't fit");
        assert_eq!(rounds.count(), 2);
    }

    #[test]
    fn nodes_that_are_not_fit_are_sent_it_only_where_that_is_wanted() {
        let now = testing::now();
        let open = RoundLimits {
            fails_open: true,
            ..limits(now)
        };
        let mut rounds = BroadcastRounds::new(BroadcastForm::Hash, open);
        let sent: Vec<_> = (0..3).map(|_| ids(next(&mut rounds, now))).collect();
        assert_eq!(sent, [Some(vec![1, 2]), Some(vec![0]), Some(vec![3])]);
    }

    #[test]
    fn nodes_that_have_the_clients_earlier_ones_come_first() {
        let now = testing::now();
        let one = RoundLimits {
            nodes_max: 1,
            ..limits(now)
        };
        let rounds = BroadcastRounds::new(BroadcastForm::Hash, one);
        for seed in 0..20 {
            for holder in [1, 2] {
                let (dice, first) = (&mut SeededDice::new(seed), [NodeId(holder)]);
                let round = rounds.next((&view(now), &first), now, dice, || false);
                assert_eq!(ids(round), Some(vec![holder]), "{seed}");
            }
        }
    }

    #[test]
    fn there_are_only_so_many_rounds() {
        let now = testing::now();
        let one = RoundLimits {
            rounds_max: 1,
            ..limits(now)
        };
        let mut rounds = BroadcastRounds::new(BroadcastForm::Hash, one);
        assert!(next(&mut rounds, now).is_some());
        assert_eq!(next(&mut rounds, now), None);
    }

    #[test]
    fn a_round_is_paid_for_only_where_a_node_may_have_taken_it_before() {
        let now = testing::now();
        for (class, is_free) in [
            (AttemptClass::NoConnection, true),
            (AttemptClass::Throttled, true),
            (AttemptClass::Timeout, false),
            (AttemptClass::RpcError, false),
        ] {
            let mut rounds = BroadcastRounds::new(BroadcastForm::Hash, limits(now));
            assert!(next(&mut rounds, now).is_some());
            rounds.hear((NodeId(1), class), BroadcastReply::Untaken);
            let (mut paid, dice) = (0, &mut SeededDice::new(1));
            let mut pay = |may| {
                paid += 1;
                may
            };
            let view = view(now);
            let broke = rounds.next((&view, &[]), now, dice, || pay(false));
            assert_eq!(broke.is_some(), is_free, "{class:?}");
            if !is_free {
                let round = rounds.next((&view, &[]), now, dice, || pay(true));
                assert_eq!(ids(round), Some(vec![0]), "{class:?}");
            }
            assert_eq!(paid, if is_free { 0 } else { 2 }, "{class:?}");
        }
    }

    #[test]
    fn some_time_is_left_for_looking_it_up() {
        let start = testing::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let ends = |form, seconds: u64, at| {
            let limits = RoundLimits {
                deadline: after(seconds),
                ..limits(start)
            };
            next(&mut BroadcastRounds::new(form, limits), at).map(|round| round.until)
        };
        let (hash, receipt) = (BroadcastForm::Hash, BroadcastForm::Receipt);
        assert_eq!(ends(hash, 30, start), Some(after(8)), "one round's time");
        assert_eq!(ends(hash, 30, after(25)), Some(after(28)));
        assert_eq!(ends(hash, 30, after(28)), None);
        assert_eq!(ends(receipt, 30, start), Some(after(28)));
        assert_eq!(ends(hash, 4, start), Some(after(3)), "a quarter at most");
        let rounds = BroadcastRounds::new(receipt, limits(start));
        for (params, wanted) in [
            ("[\"0x\",5000]", after(5)),
            ("[\"0x\"]", after(20)),
            ("[\"0x\",60000]", after(28)),
        ] {
            assert_eq!(rounds.receipt_end(params), wanted, "{params}");
        }
    }

    #[test]
    fn before_it_has_failed_those_that_may_have_it_are_asked() {
        let now = testing::now();
        let view = view(now);
        let dice = &mut SeededDice::new(1);
        let mut rounds = BroadcastRounds::new(BroadcastForm::Hash, limits(now));
        let mut broadcast = Broadcast::new(BroadcastForm::Hash, true);
        let one = RoundLimits {
            nodes_max: 1,
            ..limits(now)
        };
        let mut alone = BroadcastRounds::new(BroadcastForm::Hash, one);
        let first = next(&mut alone, now).unwrap().nodes[0];
        let refused = BroadcastReply::Refused(TELLS_OF_TRANSACTION);
        let unheard = BroadcastReply::Refused(TELLS_OF_TRANSACTION - 1);
        rounds.hear((NodeId(1), AttemptClass::RpcError), refused);
        rounds.hear((NodeId(2), AttemptClass::Limit), unheard);
        let mut asked = |broadcast: &Broadcast, is_sound, rounds: &mut BroadcastRounds<'_>| {
            let mut nodes = rounds.possible_holders((broadcast, is_sound), &view, now, dice);
            nodes.sort_unstable();
            nodes
        };
        assert_eq!(asked(&broadcast, false, &mut rounds), [], "it is no good");
        assert_eq!(asked(&broadcast, true, &mut rounds), [NodeId(1)]);
        assert_eq!(asked(&broadcast, true, &mut rounds), [], "once");
        broadcast.hear(BroadcastReply::Silent);
        let all = asked(&broadcast, true, &mut alone);
        assert_eq!(all, [NodeId(1), NodeId(2)], "sent to {first:?} alone");
    }
}

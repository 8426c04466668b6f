//! The ways in which a call is more than one question to one node: a broadcast, and a hedge. Each is
//! played to its end in one instant of the world, beside its calls.

use std::time::{Duration, Instant};

use forebay_core::call::broadcast::{
    self, Broadcast, BroadcastAction, BroadcastForm, BroadcastReply, BroadcastRound,
    BroadcastRounds, RoundLimits,
};
use forebay_core::call::retry::{CallBudget, ReplyAction, RetryPlanner, RetryStep};
use forebay_core::fleet::requirements::{NodeQuery, NodeRequirements};
use forebay_core::rpc::answer::{Answer, Outcome};
use forebay_core::rpc::classify::AttemptClass;
use forebay_core::rpc::envelope::UpstreamCallId;
use forebay_core::vocabulary::chance::Dice;
use forebay_core::vocabulary::node::NodeId;

use crate::simulation::clients::judge;
use crate::simulation::pretend::{Deed, Reply};
use crate::simulation::world::{ATTEMPTS_MAX, World};

const SEND: &str = "eth_sendRawTransaction";
pub const READ: &str = "eth_getBalance";
pub const ATTEMPT: Duration = Duration::from_secs(8);

impl World {
    pub fn play_ways(&mut self) {
        self.broadcast();
        self.hedge();
        self.batch();
    }

    pub fn deed(&mut self, node: NodeId, method: &str) -> Deed {
        let truth = self.truth();
        self.nodes[&node.0].call(method, truth, &mut self.ways)
    }

    /// A transaction is sent to several nodes at once, and then to others.
    fn broadcast(&mut self) {
        let (view, now) = (self.view.clone(), self.instant());
        let nodes_max = 1 + self.ways.roll() as usize % 4;
        let mut broadcast = Broadcast::new(BroadcastForm::Hash, true);
        let limits = RoundLimits {
            method: SEND,
            nodes_max,
            rounds_max: usize::MAX,
            fails_open: self.setting.fails_open,
            arrived_at: now,
            deadline: now + ATTEMPT * 2,
            round: ATTEMPT,
        };
        let mut rounds = BroadcastRounds::new(BroadcastForm::Hash, limits);
        let (mut asked, mut is_taken, mut is_delivered) = (Vec::new(), false, false);
        while !is_delivered && broadcast.goes_on() {
            let next = rounds.next((&view, &[]), now, &mut self.ways, || true);
            let Some(round) = next else {
                break;
            };
            rounds.begin(&round);
            let BroadcastRound { nodes, until, .. } = round;
            self.oracle
                .must(nodes.len() <= nodes_max, "it is sent to too many nodes");
            let is_short = until <= now + ATTEMPT;
            self.oracle.must(is_short, "a round may take too long");
            let mut deeds = Vec::new();
            for node in nodes {
                let was_asked = asked.contains(&node);
                self.oracle.must(!was_asked, "a node is sent it twice");
                self.oracle.may_ask(node, &view);
                asked.push(node);
                deeds.push((node, self.deed(node, SEND)));
            }
            deeds.sort_by_key(|(_, deed)| deed.after);
            for (node, deed) in deeds {
                let word = word(&deed.reply);
                rounds.hear((node, judge(&deed.reply).0.class), word);
                is_taken |= word == BroadcastReply::Silent && deed.executes;
                let action = broadcast.hear(word);
                is_delivered |= matches!(
                    action,
                    BroadcastAction::Deliver | BroadcastAction::DeliverHash
                );
                let is_good = word == BroadcastReply::Accepted;
                self.oracle
                    .must(!is_good || is_delivered, "an acceptance isn't told");
            }
        }
        let has_fit = self.oracle.has_fit(&view);
        self.oracle
            .must(!has_fit || !asked.is_empty(), "it is sent to no node");
        self.oracle.must(
            is_delivered || broadcast.is_in_doubt() || !is_taken,
            "it has failed, it says, and a node may have it",
        );
    }

    pub fn read(&self, now: Instant) -> RetryPlanner<'static> {
        let budget = CallBudget {
            attempts_max: ATTEMPTS_MAX,
            attempt: ATTEMPT,
            deadline: now + ATTEMPT * 2,
            fails_open: self.setting.fails_open,
            block_wait: None,
        };
        let needs = NodeRequirements {
            method: READ,
            ..NodeRequirements::default()
        };
        RetryPlanner::new(self.rules.look_up(READ).1, budget, needs)
    }

    /// A second node is asked beside one that is slow.
    fn hedge(&mut self) {
        let (view, now) = (self.view.clone(), self.instant());
        let mut retry = self.read(now);
        // What comes of it teaches nothing: it must not take a node's trial.
        let on_trial = view.nodes.iter().filter(|node| !node.is_in_order());
        let on_trial: Vec<_> = on_trial.map(|node| node.id).collect();
        let draw = |query: &NodeQuery<'_>, dice: &mut _| {
            let passed = &[query.passed, &on_trial].concat();
            view.draw(&NodeQuery { passed, ..*query }, now, dice)
        };
        let dice = &mut self.ways;
        let first = retry.next(now, |query| draw(query, dice), || true);
        let RetryStep::Ask { node: first, .. } = first else {
            return;
        };
        let is_paid = !dice.roll().is_multiple_of(4);
        let second = retry.beside(now, |query| draw(query, dice), || is_paid);
        let Some((second, until)) = second else {
            return;
        };
        self.oracle.must(is_paid, "a hedge costs nothing");
        self.oracle
            .must(first != second, "a node is asked beside itself");
        self.oracle
            .must(until <= now + ATTEMPT, "a hedge may take too long");
        self.oracle.may_ask(second, &view);
        let mut deeds = [self.deed(first, READ), self.deed(second, READ)];
        deeds.sort_by_key(|deed| deed.after);
        let mut is_good = false;
        for deed in deeds {
            let (verdict, has_body) = judge(&deed.reply);
            is_good |= verdict.class == AttemptClass::Ok;
            if retry.hear(verdict, has_body) == ReplyAction::Deliver {
                return;
            }
        }
        self.oracle
            .must(!is_good, "one of two answered, and no client is told");
        let dice = &mut self.ways;
        let third = retry.next(now, |query| draw(query, dice), || true);
        if let RetryStep::Ask { node, .. } = third {
            let is_new = ![first, second].contains(&node);
            self.oracle.must(is_new, "a node is asked twice for a read");
        }
    }
}

/// What a node's reply says of a transaction.
fn word(reply: &Reply) -> BroadcastReply {
    let class = judge(reply).0.class;
    let body = match reply {
        Reply::Http { body, .. } => body.as_str(),
        Reply::NoConnection | Reply::Silence | Reply::Cut => "",
    };
    let answer = Answer::read(body.as_bytes(), UpstreamCallId::FIRST);
    let error = match answer.as_ref().map(|answer| &answer.outcome) {
        Ok(Outcome::Error(error)) => Some(error),
        Ok(Outcome::Result(_)) | Err(_) => None,
    };
    broadcast::word(class, error)
}

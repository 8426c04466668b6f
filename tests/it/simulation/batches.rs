//! A client's batch: its calls are drawn nodes, go there in groups, and go on by themselves from what the node
//! told each. It is played to its end in one instant of the world: no call waits for a place or for a block,
//! and no answer is too long.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use forebay_core::call::groups::{Group, Grouping};
use forebay_core::call::retry::{ReplyAction, RetryPlanner, RetryStep};
use forebay_core::fleet::requirements::{NodeQuery, Shortlist};
use forebay_core::fleet::view::FleetView;
use forebay_core::rpc::answer::Outcome;
use forebay_core::rpc::batch::{self, BatchSupport, BatchVerdict, MemberOutcome};
use forebay_core::rpc::classify::AttemptClass;
use forebay_core::rpc::envelope::UpstreamCallId;
use forebay_core::vocabulary::chance::{Dice, SeededDice};
use forebay_core::vocabulary::node::NodeId;

use crate::simulation::clients::judge;
use crate::simulation::pretend::{Mood, Reply, http};
use crate::simulation::ways::{ATTEMPT, READ};
use crate::simulation::world::World;

const CALLS_MAX: u64 = 12;
const GROUPS_MAX: u64 = 4;
/// Of each call.
const BODY_BYTES: usize = 100;

/// A call of the batch that isn't done.
struct Member {
    number: u64,
    retry: RetryPlanner<'static>,
    goes_alone: bool,
    step: Option<RetryStep>,
}

impl Member {
    fn next(
        &mut self,
        (view, now): (&FleetView, Instant),
        joins: &[NodeId],
        dice: &mut SeededDice,
    ) -> RetryStep {
        // What comes of it teaches nothing: it must not take a node's trial.
        let on_trial = view.nodes.iter().filter(|node| !node.is_in_order());
        let on_trial: Vec<_> = on_trial.map(|node| node.id).collect();
        let draw = |query: &NodeQuery<'_>| {
            let passed = &[query.passed, &on_trial].concat();
            let mut query = NodeQuery { passed, ..*query };
            if !joins.is_empty() {
                query.needs.shortlist = Shortlist::Join(joins);
            }
            view.draw(&query, now, dice)
        };
        self.retry.next(now, draw, || true)
    }
}

impl World {
    pub fn batch(&mut self) {
        let (view, now) = (self.view.clone(), self.instant());
        let calls = 1 + self.ways.roll() % CALLS_MAX;
        let groups_max = 1 + (self.ways.roll() % GROUPS_MAX) as usize;
        let mut supports = std::mem::take(&mut self.batch_supports);
        for node in &view.nodes {
            let none_refused = || BatchSupport::new(now);
            supports.entry(node.id).or_insert_with(none_refused);
        }
        let members = (0..calls).map(|number| Member {
            number,
            retry: self.read(now),
            goes_alone: false,
            step: None,
        });
        let mut waiting: VecDeque<_> = members.collect();
        let mut ended = BTreeSet::new();
        while !waiting.is_empty() {
            let before = waiting.len();
            let groups = self.split_batch(&mut waiting, groups_max, &supports);
            let taken = groups.iter().map(|group| group.members.len());
            let taken = taken.sum::<usize>();
            self.oracle.must(
                taken > 0 && groups.len() <= groups_max,
                "a batch stands still, or takes more than its part",
            );
            self.oracle
                .must(taken + waiting.len() == before, "a call of a batch is lost");
            for group in groups {
                let asked: Vec<_> = group.members.iter().map(|it| it.number).collect();
                let going_on = self.ask_group(group, &supports);
                let goes_on = |number: &u64| going_on.iter().any(|it| it.number == *number);
                for number in asked.into_iter().filter(|number| !goes_on(number)) {
                    let is_first = ended.insert(number);
                    self.oracle.must(is_first, "a call of a batch ends twice");
                }
                waiting.extend(going_on);
            }
        }
        let all_end = ended.len() as u64 == calls;
        self.oracle.must(all_end, "a call of a batch never ends");
        self.batch_supports = supports;
    }

    /// Draws a node for each call that may go now.
    fn split_batch(
        &mut self,
        waiting: &mut VecDeque<Member>,
        groups_max: usize,
        supports: &BTreeMap<NodeId, BatchSupport>,
    ) -> Vec<Group<Member>> {
        let (view, now) = (self.view.clone(), self.instant());
        let mut groups = Grouping::new(&view, ATTEMPT, groups_max);
        let mut left = Vec::new();
        while groups.has_room()
            && let Some(mut member) = waiting.pop_front()
        {
            if !member.goes_alone {
                let joins = groups.nodes_for(BODY_BYTES);
                member.step = Some(member.next((&view, now), &joins, &mut self.ways));
            }
            let node = match member.step {
                Some(RetryStep::Ask { node, .. }) => Some(node),
                Some(RetryStep::WaitUntil(_) | RetryStep::Finish(_)) | None => None,
            };
            let takes_batches = |node| supports[&node].takes(now);
            if let Err(mut member) = groups.add((member, BODY_BYTES), node, takes_batches) {
                if node.is_some() {
                    member.retry.take_back();
                }
                left.push(member);
            }
        }
        for member in left.into_iter().rev() {
            waiting.push_front(member);
        }
        let groups = groups.into_groups();
        for group in groups.iter().filter(|group| group.members.len() > 1) {
            let takes = group.node.is_some_and(|node| supports[&node].takes(now));
            self.oracle
                .must(takes, "a node that refuses batches gets one");
        }
        groups
    }

    /// Asks for the calls of a group; those that aren't done go on.
    fn ask_group(
        &mut self,
        mut group: Group<Member>,
        supports: &BTreeMap<NodeId, BatchSupport>,
    ) -> Vec<Member> {
        let Some(node) = group.node.filter(|_| group.members.len() > 1) else {
            let is_single = group.members.len() == 1;
            self.oracle.must(is_single, "calls go together to no node");
            group.members.iter_mut().for_each(|it| self.go_alone(it));
            return Vec::new();
        };
        let now = self.instant();
        let (support, calls) = (&supports[&node], group.members.len());
        self.oracle.may_ask(node, &self.view);
        for member in &mut group.members {
            member.step = None;
            let is_its = member.retry.tried().last() == Some(&node);
            self.oracle
                .must(is_its, "a call goes where it wasn't drawn to");
            self.asks_anew(member);
        }
        let first = UpstreamCallId::drawn(self.ways.roll());
        let (reply, answered) = self.reply_to_batch(node, first, calls as u64);
        let judged = match &reply {
            Reply::Http {
                status,
                retry_after,
                body,
            } => batch::judge(body.as_bytes(), *status, *retry_after, (first, calls)),
            Reply::NoConnection | Reply::Silence | Reply::Cut => {
                BatchVerdict::of_all(MemberOutcome::Unanswered(judge(&reply).0), calls)
            }
        };
        if let Some(lasts) = judged.refused_for() {
            support.refuse(lasts, now);
            let is_left_alone = !support.takes(now) && support.takes(now + lasts);
            self.oracle
                .must(is_left_alone, "a node that refuses batches is sent some");
        }
        let refuses = judged.refuses;
        let is_whole = judged.outcomes.len() == calls;
        self.oracle.must(is_whole, "a call of a batch is forgotten");
        let outcomes = judged.outcomes.into_iter().zip(answered);
        let members = group.members.into_iter().zip(0u64..).zip(outcomes);
        let going_on = members.filter_map(|((mut member, at), (outcome, is_answered))| {
            let is_alone = matches!(outcome, MemberOutcome::Alone);
            self.oracle.must(
                is_alone == (refuses && !is_answered),
                "a refused batch's call isn't asked alone, or another is",
            );
            let own = format!("\"0x{at:x}\"");
            let gets_own = matches!(&outcome, MemberOutcome::Answered(verdict, answer)
                if verdict.class == AttemptClass::Ok
                    && matches!(answer.outcome, Outcome::Result(result) if result == own));
            self.oracle.must(
                gets_own == is_answered,
                "a call of a batch gets what isn't its own, or not what is",
            );
            let is_told = self.hear_member(&mut member, outcome);
            self.oracle
                .must(is_told || !gets_own, "an answer in a batch isn't told");
            (!is_told).then_some(member)
        });
        going_on.collect()
    }

    /// Whether the call is done.
    fn hear_member(&self, member: &mut Member, outcome: MemberOutcome<'_>) -> bool {
        member.goes_alone |= outcome.is_spoilt();
        match outcome {
            MemberOutcome::Answered(verdict, _) => {
                member.retry.hear(verdict, true) == ReplyAction::Deliver
            }
            MemberOutcome::Unanswered(verdict) => {
                let is_told = member.retry.hear(verdict, false) == ReplyAction::Deliver;
                self.oracle
                    .must(!is_told, "what a batch didn't bring is told");
                false
            }
            MemberOutcome::TooLarge(_) | MemberOutcome::Alone => {
                member.retry.take_back();
                member.goes_alone = true;
                false
            }
        }
    }

    fn go_alone(&mut self, member: &mut Member) {
        let (view, now) = (self.view.clone(), self.instant());
        loop {
            let step = member.step.take();
            let step = step.unwrap_or_else(|| member.next((&view, now), &[], &mut self.ways));
            let RetryStep::Ask { node, .. } = step else {
                return;
            };
            self.oracle.may_ask(node, &view);
            self.asks_anew(member);
            let deed = self.deed(node, READ);
            let (verdict, has_body) = judge(&deed.reply);
            if member.retry.hear(verdict, has_body) == ReplyAction::Deliver {
                return;
            }
        }
    }

    fn asks_anew(&self, member: &Member) {
        let (last, before) = member.retry.tried().split_last().unwrap();
        let is_new = !before.contains(last);
        self.oracle
            .must(is_new, "a node is asked twice for a call of a batch");
    }

    /// What a node answers to a batch, and which of its calls have just one answer there.
    fn reply_to_batch(
        &mut self,
        node: NodeId,
        first: UpstreamCallId,
        calls: u64,
    ) -> (Reply, Vec<bool>) {
        let none = vec![false; calls as usize];
        match self.nodes[&node.0].mood {
            Mood::Good | Mood::Slow(_) => self.answers(first, calls, |_| 1),
            // The last one is missing, or the first one stands there twice.
            Mood::HalfStalled => self.answers(first, calls, |at| u64::from(at + 1 < calls)),
            Mood::Strange => self.answers(first, calls, |at| 1 + u64::from(at == 0)),
            Mood::FailsMethod(_) => (refusal(first), none),
            Mood::Stalled
            | Mood::Dead
            | Mood::Throttles(_)
            | Mood::Junk
            | Mood::Fails
            | Mood::FailsCalls
            | Mood::Shut => (self.deed(node, READ).reply, none),
        }
    }

    /// The answers to a batch in any order, each as often as it is said; and which call has just one.
    fn answers(
        &mut self,
        first: UpstreamCallId,
        calls: u64,
        times: impl Fn(u64) -> u64,
    ) -> (Reply, Vec<bool>) {
        let mut digits = itoa::Buffer::new();
        let mut written = Vec::new();
        for at in 0..calls {
            let id = first.after(at).write(&mut digits);
            let id = std::str::from_utf8(id).unwrap();
            for _ in 0..times(at) {
                let answer = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"0x{at:x}"}}"#);
                written.push((self.ways.roll(), answer));
            }
        }
        written.sort();
        let answers: Vec<_> = written.into_iter().map(|(_, answer)| answer).collect();
        let body = format!("[{}]", answers.join(","));
        let answered = (0..calls).map(|at| times(at) == 1).collect();
        (http(200, None, &body), answered)
    }
}

/// A batch is refused in the answer to its first call, as geth does.
fn refusal(first: UpstreamCallId) -> Reply {
    let mut digits = itoa::Buffer::new();
    let id = std::str::from_utf8(first.write(&mut digits)).unwrap();
    let error = r#"{"code":-32600,"message":"batch too large"}"#;
    http(200, None, &format!(r#"[{{"id":{id},"error":{error}}}]"#))
}

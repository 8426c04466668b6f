//! The clients: their calls, and the loop around a `RetryPlanner` as the exchange has it.

use forebay_core::fleet::node_view::NodeView;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use forebay_core::call::doubts::Doubts;
use forebay_core::call::plan::{self, Plan, PlanContext};
use forebay_core::call::retry::{CallBudget, CallEnding, ReplyAction, RetryPlanner, RetryStep};
use forebay_core::call::tag_pins;
use forebay_core::fleet::attempt_report::{AttemptExtent, AttemptReport};
use forebay_core::fleet::conduct::Penalty;
use forebay_core::fleet::load::Load;
use forebay_core::fleet::requirements::NodeRequirements;
use forebay_core::fleet::select;
use forebay_core::fleet::view::FleetView;
use forebay_core::method::block::Consistency;
use forebay_core::method::{CallTimeouts, RepeatRule};
use forebay_core::rpc::answer::{Answer, Outcome};
use forebay_core::rpc::classify::{AttemptClass, Blame, Verdict};
use forebay_core::rpc::envelope::{Call, UpstreamCallId};
use forebay_core::rpc::refusal::Refusal;
use forebay_core::rpc::whole_answer::WholeAnswer;
use forebay_core::testing::NoMemory;
use forebay_core::vocabulary::block_ref::BlockRange;
use forebay_core::vocabulary::client::Client;
use forebay_core::vocabulary::hex;
use forebay_core::vocabulary::node::NodeId;

use crate::simulation::oracle::{End, Note};
use crate::simulation::pretend::{Deed, Mood, Reply};
use crate::simulation::world::{ATTEMPTS_MAX, Event, ROUND, World};

const TIMES: CallTimeouts = CallTimeouts {
    deadline: Duration::from_secs(30),
    attempt: Duration::from_secs(8),
    heavy: Duration::from_secs(60),
};

/// A call under way.
#[derive(Debug)]
pub struct Running {
    pub id: u32,
    pub method: &'static str,
    pub deadline: Instant,
    pub attempt: Duration,
    pub asked: Vec<NodeId>,
    pub block: Option<BlockRange>,
    pub may_repeat: bool,
    pub executions: u32,
    retry: RetryPlanner<'static>,
    keeps_error: bool,
    load: Option<Arc<Load>>,
    asked_at: Duration,
    doubts: Doubts,
    /// Attempts that were refused a connection.
    pub refused: usize,
}

/// What was counted since the last [`World::count_anew`].
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub calls: u32,
    pub ended: u32,
    /// Calls that nodes were asked for.
    pub asked_calls: u32,
    pub attempts: u32,
    pub attempts_by_node: BTreeMap<u32, u32>,
    pub ends: Vec<(&'static str, End)>,
}

impl Tally {
    pub fn failed(&self) -> usize {
        let is_bad = |end: &End| !matches!(end, End::Answered | End::Local);
        self.ends.iter().filter(|(_, end)| is_bad(end)).count()
    }

    pub fn refused(&self, refusal: &Refusal) -> usize {
        let is_it = |end: &End| matches!(end, End::Refused(why) if why == refusal);
        self.ends.iter().filter(|(_, end)| is_it(end)).count()
    }

    pub fn share(&self, node: u32) -> f64 {
        let own = self.attempts_by_node.get(&node).copied().unwrap_or(0);
        f64::from(own) / f64::from(self.attempts.max(1))
    }
}

impl World {
    pub fn arrive(&mut self) {
        let wait = Duration::from_secs_f64(1.0 / self.setting.calls_per_second);
        self.after(wait, Event::Arrival);
        if self.takes_calls {
            self.call();
        }
    }

    /// A client calls.
    fn call(&mut self) {
        let count = self.setting.methods.len() as u64;
        let method = self.setting.methods[self.below(count) as usize];
        let id = self.calls_begun;
        self.calls_begun += 1;
        self.tally.calls += 1;
        self.oracle.note(self.now, Note::Began { call: id, method });
        let call = Call::new(
            Some("7"),
            method,
            (method == "eth_getCode").then_some(r#"["0x1","latest"]"#),
        );
        let fails_open = self.setting.fails_open;
        let pins = tag_pins::of(&self.view, Consistency::Monotonic, None);
        let by = PlanContext {
            view: &self.view,
            rules: &self.rules,
            pins: &pins,
            fails_open,
            client: Client::Unknown,
            has_socket: false,
            cache: None,
            wants_fresh: false,
            memory: &NoMemory,
        };
        let planned = plan::plan(&call, &by);
        let plan = match planned.plan {
            Plan::Forward(forward) | Plan::Share { forward, .. } => forward,
            // Sent to one node here.
            Plan::Broadcast => planned.treatment.into(),
            Plan::Answer(result) => {
                self.show(method, &result);
                return self.count(id, method, End::Local);
            }
            // Any node has the filters of this simulation.
            Plan::Refuse(_) if method == "eth_getFilterChanges" => planned.treatment.into(),
            Plan::Refuse(refusal) => {
                self.oracle.refuses_here(&refusal, &self.view);
                return self.count(id, method, End::Refused(refusal));
            }
            // No method of this simulation, and nothing is kept.
            Plan::Give(_)
            | Plan::LookUp(..)
            | Plan::CountNonces(..)
            | Plan::FillNonce(..)
            | Plan::Sticky(..)
            | Plan::AwaitBlock(..)
            | Plan::Subscribe
            | Plan::Unsubscribe => return,
        };
        self.budget.deposit();
        self.tally.asked_calls += 1;
        let treatment = plan.treatment;
        let deadline = self.instant() + TIMES.deadline_of(treatment);
        let attempt = TIMES.attempt_of(treatment);
        let retry = RetryPlanner::new(
            treatment,
            CallBudget {
                attempts_max: ATTEMPTS_MAX,
                attempt,
                deadline,
                fails_open,
                block_wait: plan.wait,
            },
            NodeRequirements {
                block: plan.block,
                method,
                ..NodeRequirements::default()
            },
        );
        let running = Running {
            id,
            method,
            deadline,
            attempt,
            asked: Vec::new(),
            block: plan.block,
            may_repeat: retry.repeat() == RepeatRule::Freely,
            executions: 0,
            retry,
            keeps_error: false,
            load: None,
            asked_at: self.now,
            doubts: Doubts::default(),
            refused: 0,
        };
        self.step(running);
    }

    fn show(&mut self, method: &str, result: &str) {
        if let Some(number) = hex::read_quantity(result.as_bytes())
            && method == "eth_blockNumber"
        {
            self.oracle.shows(number);
        }
    }

    fn count(&mut self, call: u32, method: &'static str, end: End) {
        self.oracle.note(
            self.now,
            Note::Ended {
                call,
                end: end.clone(),
            },
        );
        self.tally.ended += 1;
        self.tally.ends.push((method, end));
    }

    /// The call does what its `RetryPlanner` says.
    fn step(&mut self, mut call: Running) {
        let now = self.instant();
        let view = self.view.clone();
        let dice = &mut self.dice;
        let budget = &self.budget;
        let step = call.retry.next(
            now,
            |query| view.draw(query, now, dice),
            || budget.withdraw(now),
        );
        match step {
            RetryStep::Ask { .. } => self.ask(call, &step, &view),
            RetryStep::WaitUntil(_) if call.block.is_none() => {
                self.oracle.fail("a call that names no block waits for one")
            }
            RetryStep::WaitUntil(until) => {
                let wait = (until - now).min(ROUND);
                self.after(wait, Event::LookAgain { call: call.id });
                self.calls.insert(call.id, call);
            }
            RetryStep::Finish(CallEnding::Kept) if !call.keeps_error => self
                .oracle
                .fail("an error is to be told that was never kept"),
            RetryStep::Finish(CallEnding::Kept) => self.end(call, End::Error),
            RetryStep::Finish(CallEnding::Unserved) => {
                let refusal = call.retry.failed(true).refusal();
                self.end(call, End::Refused(refusal));
            }
            RetryStep::Finish(CallEnding::Refused(refusal)) => {
                let refusal = select::refusal(refusal, &view, now);
                self.end(call, End::Refused(refusal));
            }
        }
    }

    fn ask(&mut self, mut call: Running, step: &RetryStep, view: &FleetView) {
        let RetryStep::Ask { node, until, tier } = *step else {
            return;
        };
        let note = Note::Asked {
            call: call.id,
            node: node.0,
            tier,
        };
        self.oracle.note(self.now, note);
        self.oracle.asks(&call, step, view, self.instant());
        call.asked.push(node);
        call.asked_at = self.now;
        call.load = view.node(node).map(|node| node.load.clone());
        if let Some(load) = &call.load {
            load.begin();
        }
        self.tally.attempts += 1;
        *self.tally.attempts_by_node.entry(node.0).or_default() += 1;
        let truth = self.truth();
        let now = self.now;
        let mut deed = self.nodes[&node.0].call(call.method, truth, &mut self.dice);
        let work = self.nodes.get_mut(&node.0).and_then(|it| it.work.as_mut());
        if let Some(work) = work {
            match work.take(now) {
                Some(wait) => deed.after += wait,
                None => deed = Deed::overloaded(),
            }
        }
        call.executions += u32::from(deed.executes);
        self.oracle.executes(&call);
        let patience = until - self.instant();
        let (wait, reply) = match deed.reply {
            Reply::Silence => (patience, Reply::Silence),
            _ if deed.after >= patience => (patience, Reply::Silence),
            reply => (deed.after, reply),
        };
        self.after(
            wait,
            Event::AttemptIsOver {
                call: call.id,
                reply,
            },
        );
        self.calls.insert(call.id, call);
    }

    /// A call that waits for its block looks whether a node has it now.
    pub fn look_again(&mut self, id: u32) {
        if let Some(call) = self.calls.remove(&id) {
            self.step(call);
        }
    }

    pub fn hear(&mut self, id: u32, reply: Reply) {
        let Some(mut call) = self.calls.remove(&id) else {
            self.oracle.fail("an attempt ends after its call");
        };
        let Some(node) = call.asked.last().copied() else {
            return;
        };
        let died = self.nodes[&node.0].mood == Mood::Dead;
        let reply = match reply {
            Reply::Http { .. } if died => Reply::Cut,
            reply => reply,
        };
        let (verdict, has_body) = judge(&reply);
        call.refused += usize::from(verdict.class == AttemptClass::NoConnection);
        let note = Note::Heard {
            call: id,
            node: node.0,
            class: verdict.class,
        };
        self.oracle.note(self.now, note);
        self.learn(&mut call, node, verdict);
        let (began, now) = (self.instant() - (self.now - call.asked_at), self.instant());
        let met = |node: &NodeView| node.is_silence(verdict.class, began, now);
        let was_silent = self.view.node(node).is_some_and(met);
        let heard = match has_body {
            true => call.retry.hear(verdict.class, true),
            false => call.retry.hear_unanswered(node, verdict, was_silent),
        };
        match heard {
            ReplyAction::Deliver if verdict.class == AttemptClass::Ok => {
                if let Reply::Http { body, .. } = &reply
                    && let Ok(Outcome::Result(result)) =
                        Answer::read(body.as_bytes(), UpstreamCallId::FIRST)
                            .map(|answer| answer.outcome)
                {
                    self.show(call.method, result);
                }
                self.end(call, End::Answered);
            }
            ReplyAction::Deliver => self.end(call, End::Error),
            ReplyAction::Keep => {
                call.keeps_error = true;
                self.step(call);
            }
            ReplyAction::Drop => self.step(call),
        }
    }

    /// What the fleet learns of an attempt.
    fn learn(&mut self, call: &mut Running, node: NodeId, verdict: Verdict) {
        let now = self.instant();
        let took = self.now - call.asked_at;
        let Some(load) = &call.load else { return };
        load.end();
        if verdict.blame() == Blame::None {
            load.conduct.answered_method(call.method, now);
        }
        let report = AttemptReport::of_call(verdict, false);
        let attempt = AttemptExtent {
            calls: 1,
            place: Some(1),
            took,
        };
        let sentence = report.tell(load, attempt, now);
        if let Some(rest) = report.rest {
            self.fleet.throttle(node, rest.lasts, now);
            self.publish();
        }
        if let Some(view) = self.view.node(node) {
            call.doubts.hear(view, verdict.class, now - took, now);
        }
        if let Some(sentence) = sentence {
            self.sentence(node, sentence, call.method);
        }
    }

    fn sentence(&mut self, node: NodeId, sentence: Penalty, method: &str) {
        let now = self.instant();
        match sentence {
            Penalty::Bench => self.bench(node, now),
            Penalty::RestMethod => {
                if let Some(node) = self.view.node(node) {
                    node.rest_failing(method, now);
                }
            }
        }
    }

    fn bench(&mut self, node: NodeId, now: Instant) {
        self.oracle.note(self.now, Note::Benched { node: node.0 });
        let had_fit = self.oracle.has_fit(&self.view);
        self.fleet.bench(node, now);
        self.publish();
        if had_fit && !self.oracle.has_fit(&self.view) {
            self.oracle.fail("a bench takes the last node that serves");
        }
    }

    fn end(&mut self, mut call: Running, end: End) {
        let now = self.instant();
        let settled = call.doubts.settle(call.method, &self.view, now);
        for (node, sentence) in settled.sentences {
            self.sentence(node, sentence, call.method);
        }
        self.oracle.ends(&call, &end, &self.view, now);
        self.count(call.id, call.method, end);
    }
}

/// Reads a reply as the exchange does; also whether it is a whole answer.
pub fn judge(reply: &Reply) -> (Verdict, bool) {
    let (status, retry_after, body) = match reply {
        Reply::NoConnection => return (AttemptClass::NoConnection.into(), false),
        Reply::Silence => return (AttemptClass::Timeout.into(), false),
        Reply::Cut => return (AttemptClass::Transport.into(), false),
        Reply::Http {
            status,
            retry_after,
            body,
        } => (*status, *retry_after, body),
    };
    let body = Bytes::copy_from_slice(body.as_bytes());
    match WholeAnswer::judge(&body, status, retry_after, UpstreamCallId::FIRST) {
        Ok((verdict, _)) => (verdict, true),
        Err((verdict, _)) => (verdict, false),
    }
}

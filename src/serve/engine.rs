//! Answers one call: a plan of `domain`'s, carried out. Single calls and batches come here alike.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::exchange::{self, Content, Large, Wanted};
use crate::clock;
use crate::domain::answer::{Answer, Outcome};
use crate::domain::journey::{Allowance, Ending, Journey, Step, Use};
use crate::domain::jsonrpc::Call;
use crate::domain::method::{Repeat, Rules, Times, Treatment};
use crate::domain::node::NodeId;
use crate::domain::quota::RetryBudget;
use crate::domain::refusal::Refusal;
use crate::domain::route::{self, Plan};
use crate::domain::seen;
use crate::domain::select::Ladder;
use crate::domain::transaction;
use crate::domain::verdict::{self, Class};
use crate::state::gate::Gate;
use crate::state::pool::Pool;
use crate::telemetry::metrics::{CallOutcome, MethodMetrics, Metrics, Used};
use crate::upstream::link::Reuse;

/// What calls are held to.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub times: Times,
    pub attempts_max: u32,
    pub body_bytes_max: usize,
    pub batch_calls_max: usize,
    pub answer_bytes_max: u64,
    /// Whether nodes that are not fit are asked when no other is left.
    pub fails_open: bool,
}

/// All that answering takes.
pub struct Engine {
    pub pool: Arc<Pool>,
    pub rules: Rules,
    pub limits: Limits,
    pub budget: RetryBudget,
    pub metrics: Arc<Metrics>,
    pub gate: Gate,
}

/// How an answer is to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// When the packet came.
    pub arrived_at: Instant,
    /// The longest answer.
    pub bytes_max: u64,
    pub may_stream: bool,
}

/// An answer, and who gave it.
pub struct Served {
    pub answer: Reply,
    /// `None`: given here.
    pub node: Option<Arc<str>>,
    /// Nodes asked.
    pub attempts: usize,
}

pub enum Reply {
    /// With the caller's id in it.
    Whole(Vec<u8>),
    Large(Box<Large>),
    Refused(Refusal),
}

/// Counts a call once, also when its caller leaves before the end.
struct Tally<'a> {
    method: &'a MethodMetrics,
    began_at: Instant,
    outcome: CallOutcome,
}

impl Drop for Tally<'_> {
    fn drop(&mut self) {
        let took = clock::now().saturating_duration_since(self.began_at);
        self.method.called(self.outcome, took);
    }
}

impl Engine {
    /// The metrics as of now, for Prometheus.
    pub fn scrape(&self) -> String {
        let view = &self.pool.snapshot().view;
        let (now, unix_seconds) = (clock::now(), clock::unix_millis() / 1000);
        // A bench shows at once, not with the next round.
        self.metrics.show_fleet(view, now, unix_seconds);
        self.metrics.show_used(&Used {
            requests: self.gate.requests(),
            request_bytes: self.gate.bytes(),
            retry_budget: self.budget.tokens(now),
        });
        self.metrics.encode(view, unix_seconds)
    }

    /// Answers `call`. A notification is carried out as any call; its answer is the caller's to
    /// drop.
    pub async fn serve(&self, call: &Call<'_>, terms: Terms) -> Served {
        let snapshot = self.pool.snapshot();
        let (row, plan) = route::plan(call, &snapshot.view, &self.rules, self.limits.fails_open);
        drop(snapshot);
        let mut tally = Tally {
            method: self.metrics.method(row),
            began_at: clock::now(),
            outcome: CallOutcome::Cancelled,
        };
        let (served, outcome) = match plan {
            Plan::Answer(result) => {
                let id = call.id.unwrap_or("null");
                let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
                (
                    Served::here(Reply::Whole(body.into_bytes())),
                    CallOutcome::Ok,
                )
            }
            Plan::Refuse(why) => (Served::here(Reply::Refused(why)), CallOutcome::Refused),
            Plan::Ask(treatment) => Errand::new(self, call, treatment, terms).run().await,
        };
        tally.outcome = outcome;
        served
    }
}

impl Served {
    pub fn here(answer: Reply) -> Served {
        Served {
            answer,
            node: None,
            attempts: 0,
        }
    }
}

/// A call on its way.
struct Errand<'a> {
    engine: &'a Engine,
    call: &'a Call<'a>,
    treatment: Treatment,
    terms: Terms,
    journey: Journey,
    /// A node's own error, for when nobody says more.
    kept: Option<(Bytes, Arc<str>)>,
    /// What the last attempt came to.
    last: Option<Class>,
    used_fallback: bool,
}

impl<'a> Errand<'a> {
    fn new(
        engine: &'a Engine,
        call: &'a Call<'a>,
        treatment: Treatment,
        terms: Terms,
    ) -> Errand<'a> {
        let times = &engine.limits.times;
        let allowance = Allowance {
            attempts_max: engine.limits.attempts_max,
            attempt: times.attempt_of(treatment),
            deadline: terms.arrived_at + times.deadline_of(treatment),
            fails_open: engine.limits.fails_open,
        };
        let journey = Journey::new(treatment, allowance);
        Errand {
            engine,
            call,
            treatment,
            terms,
            journey,
            kept: None,
            last: None,
            used_fallback: false,
        }
    }

    async fn run(mut self) -> (Served, CallOutcome) {
        let engine = self.engine;
        engine.budget.deposit();
        let body = self.call.for_node();
        loop {
            let draw = |ladder, passed: &[NodeId]| engine.pool.draw(ladder, passed);
            let pay = || engine.budget.withdraw(clock::now());
            match self.journey.next(clock::now(), draw, pay) {
                Step::Finish(ending) => return self.finish(ending),
                Step::Ask {
                    node,
                    until,
                    ladder,
                } => {
                    if let Some(served) = self.ask(node, until, ladder, &body).await {
                        return served;
                    }
                }
            }
        }
    }

    /// One attempt; `Some` when it ended the errand.
    async fn ask(
        &mut self,
        id: NodeId,
        until: Instant,
        ladder: Ladder,
        body: &[u8],
    ) -> Option<(Served, CallOutcome)> {
        let pool = &self.engine.pool;
        let snapshot = pool.snapshot();
        let (Some(upstream), Some(node)) = (snapshot.upstream(id), snapshot.view.node(id)) else {
            // It was removed this very moment.
            self.journey.hear(Class::NoConnection, false);
            return None;
        };
        if let Some(class) = self.last {
            self.engine.metrics.failed_over(class);
        }
        if ladder == Ladder::Fallback && !std::mem::replace(&mut self.used_fallback, true) {
            self.engine.metrics.fallback_call();
        }
        let wanted = self.wanted(until);
        let (class, content) = exchange::attempt(pool, upstream, node, body, &wanted).await;
        let name = &upstream.spec.name;
        match content {
            Content::TooLarge => {
                return Some(self.end(
                    Reply::Refused(Refusal::AnswerTooLarge),
                    name,
                    CallOutcome::Failed,
                ));
            }
            Content::Large(large) => {
                return Some(self.end(Reply::Large(large), name, CallOutcome::Ok));
            }
            Content::Whole(answer) => {
                let answer = if class == Class::Ok {
                    answer
                } else {
                    upstream.redacted(answer)
                };
                self.learn(class, &answer).await;
                if let Some(served) = self.hear(class, answer, name) {
                    return Some(served);
                }
            }
            Content::Nothing => {
                self.journey.hear(class, false);
            }
        }
        self.last = Some(class);
        log::debug!(
            "{}: {} from {name}, going on",
            self.call.method,
            class.outcome()
        );
        None
    }

    /// What a client is told is the least that it is shown from now on.
    async fn learn(&self, class: Class, answer: &[u8]) {
        if class != Class::Ok || !seen::tells(&self.call.method, self.call.params) {
            return;
        }
        if let Ok(Answer {
            outcome: Outcome::Result(result),
            ..
        }) = Answer::read(answer)
            && let Some(head) = seen::block_told(result)
        {
            self.engine.pool.see(head).await;
        }
    }

    fn wanted(&self, until: Instant) -> Wanted {
        let repeats_freely = self.journey.repeat() == Repeat::Freely;
        Wanted {
            id: Bytes::copy_from_slice(self.call.id.unwrap_or("null").as_bytes()),
            bytes_max: self.terms.bytes_max,
            may_stream: self.terms.may_stream,
            reuse: if repeats_freely {
                Reuse::Any
            } else {
                Reuse::FreshOnly
            },
            until,
            may_move: repeats_freely,
        }
    }

    fn hear(
        &mut self,
        class: Class,
        answer: Bytes,
        name: &Arc<str>,
    ) -> Option<(Served, CallOutcome)> {
        if let Some(hash) = self.hash_if_known(&answer) {
            let id = self.call.id.unwrap_or("null");
            let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"{hash}"}}"#);
            return Some(self.end(Reply::Whole(body.into_bytes()), name, CallOutcome::Ok));
        }
        match self.journey.hear(class, true) {
            Use::Deliver => {
                let outcome = if class == Class::Ok {
                    CallOutcome::Ok
                } else {
                    CallOutcome::RpcError
                };
                let reply = self.with_callers_id(&answer);
                Some(self.end(reply, name, outcome))
            }
            Use::Keep => {
                self.kept = Some((answer, name.clone()));
                None
            }
            Use::Drop => None,
        }
    }

    /// A pool that has the transaction already says so in an error: it is a success, and its
    /// hash is computed here.
    fn hash_if_known(&self, answer: &[u8]) -> Option<String> {
        let is_plain_send = matches!(
            &*self.call.method,
            "eth_sendRawTransaction" | "eth_sendRawTransactionConditional"
        );
        if self.treatment != Treatment::Broadcast || !is_plain_send {
            return None;
        }
        match Answer::read(answer).ok()?.outcome {
            Outcome::Error(error) if verdict::is_already_known(&error) => {
                transaction::hash(self.call.params?)
            }
            Outcome::Error(_) | Outcome::Result(_) => None,
        }
    }

    fn with_callers_id(&self, answer: &[u8]) -> Reply {
        let mut body = Vec::new();
        match Answer::read(answer) {
            Ok(answer) => answer.write_to(self.call.id.unwrap_or("null"), &mut body),
            Err(_) => return Reply::Refused(Refusal::BadAnswer),
        }
        Reply::Whole(body)
    }

    fn finish(mut self, ending: Ending) -> (Served, CallOutcome) {
        match (ending, self.kept.take()) {
            (Ending::Kept, Some((answer, name))) => {
                let reply = self.with_callers_id(&answer);
                self.end(reply, &name, CallOutcome::RpcError)
            }
            (Ending::Kept, None) => self.end_unserved(Refusal::BadAnswer),
            (Ending::Refused(why), _) => self.end_unserved(why),
        }
    }

    fn end_unserved(&self, why: Refusal) -> (Served, CallOutcome) {
        let served = Served {
            answer: Reply::Refused(why),
            node: None,
            attempts: self.journey.attempts(),
        };
        (served, CallOutcome::Failed)
    }

    fn end(&self, answer: Reply, node: &Arc<str>, outcome: CallOutcome) -> (Served, CallOutcome) {
        let served = Served {
            answer,
            node: Some(node.clone()),
            attempts: self.journey.attempts(),
        };
        (served, outcome)
    }
}

//! A call on its way through nodes: asks one after another as its journey says, learns from what
//! they answer, and ends with an answer or a refusal.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::engine::{Engine, Reply, Served, Terms};
use super::exchange::{self, Content, Wanted};
use crate::clock;
use crate::domain::journey::{Allowance, Ending, Journey, Step, Use};
use crate::domain::jsonrpc::Call;
use crate::domain::method::{Repeat, Treatment};
use crate::domain::node::NodeId;
use crate::domain::refusal::Refusal;
use crate::domain::seen;
use crate::domain::select::Ladder;
use crate::domain::transaction;
use crate::domain::verdict::{self, Class};
use crate::domain::whole::Whole;
use crate::telemetry::calls::shown_method;
use crate::telemetry::metrics::CallOutcome;
use crate::upstream::link::Reuse;

/// A call on its way.
pub struct Errand<'a> {
    engine: &'a Engine,
    call: &'a Call<'a>,
    treatment: Treatment,
    terms: Terms<'a>,
    journey: Journey,
    /// A node's own error, for when nobody says more.
    kept: Option<(Whole, Arc<str>)>,
    /// What the last attempt came to.
    last: Option<Class>,
    used_fallback: bool,
}

impl<'a> Errand<'a> {
    pub fn new(
        engine: &'a Engine,
        call: &'a Call<'a>,
        treatment: Treatment,
        terms: Terms<'a>,
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

    /// Goes from node to node until the call has its answer.
    pub async fn run(mut self) -> (Served, CallOutcome) {
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
                    answer.masked(|bytes| upstream.redacted(bytes))
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
            shown_method(&self.call.method),
            class.outcome()
        );
        None
    }

    /// What a client is told is the least that it is shown from now on.
    async fn learn(&self, class: Class, answer: &Whole) {
        if class == Class::Ok
            && seen::tells(&self.call.method, self.call.params)
            && let Some(head) = answer.result().and_then(seen::block_told)
        {
            self.engine.pool.see(head).await;
        }
    }

    fn wanted(&self, until: Instant) -> Wanted<'a> {
        let repeats_freely = self.journey.repeat() == Repeat::Freely;
        Wanted {
            id: Bytes::copy_from_slice(self.call.id.unwrap_or("null").as_bytes()),
            bytes_max: self.terms.bytes_max,
            may_stream: self.terms.may_stream,
            room: self.terms.room,
            trace: self.terms.origin.trace.as_ref(),
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
        answer: Whole,
        name: &Arc<str>,
    ) -> Option<(Served, CallOutcome)> {
        if let Some(hash) = self.hash_if_known(&answer) {
            let reply = Reply::with_result(self.call, &format!("\"{hash}\""));
            return Some(self.end(reply, name, CallOutcome::Ok));
        }
        match self.journey.hear(class, true) {
            Use::Deliver => {
                let outcome = if class == Class::Ok {
                    CallOutcome::Ok
                } else {
                    CallOutcome::RpcError
                };
                Some(self.end(Reply::Whole(answer), name, outcome))
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
    fn hash_if_known(&self, answer: &Whole) -> Option<String> {
        let is_plain_send = matches!(
            &*self.call.method,
            "eth_sendRawTransaction" | "eth_sendRawTransactionConditional"
        );
        if self.treatment != Treatment::Broadcast || !is_plain_send {
            return None;
        }
        let is_known = verdict::is_already_known(&answer.error()?);
        is_known.then(|| transaction::hash(self.call.params?))?
    }

    fn finish(mut self, ending: Ending) -> (Served, CallOutcome) {
        match (ending, self.kept.take()) {
            (Ending::Kept, Some((answer, name))) => {
                self.end(Reply::Whole(answer), &name, CallOutcome::RpcError)
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

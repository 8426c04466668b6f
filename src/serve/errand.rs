//! A call on its way through nodes: asks one after another as its journey says, learns from what
//! they answer, and ends with an answer or a refusal.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

mod hedge;

use super::engine::{Engine, Reply, Served, Terms};
use super::exchange::{self, Content, Wanted};
use crate::clock;
use crate::domain::alike;
use crate::domain::broadcast::{Spread, spread};
use crate::domain::filter::{self, Part};
use crate::domain::fleet::NodeView;
use crate::domain::journey::{Allowance, Ending, Journey, Step, Use};
use crate::domain::jsonrpc::Call;
use crate::domain::method::{Repeat, Row, Treatment};
use crate::domain::node::NodeId;
use crate::domain::refusal::Refusal;
use crate::domain::seen;
use crate::domain::select::Ladder;
use crate::domain::verdict::Class;
use crate::domain::whole::Whole;
use crate::state::pool::Pool;
use crate::state::upstreams::Upstream;
use crate::telemetry::metrics::CallOutcome;
use crate::upstream::link::Reuse;

/// Whom a call is for.
pub enum Aim {
    Anyone,
    /// Any of these rather than others: they have what it asks for.
    Rather(Vec<NodeId>),
    /// This one alone: it has the filter that the call names.
    Only(NodeId),
}

/// One attempt, ready to be made.
#[derive(Clone, Copy)]
struct Try<'a> {
    pool: &'a Arc<Pool>,
    upstream: &'a Arc<Upstream>,
    node: &'a NodeView,
    body: &'a [u8],
    wanted: &'a Wanted<'a>,
}

impl Try<'_> {
    async fn make(self) -> (Class, Content) {
        exchange::attempt(self.pool, self.upstream, self.node, self.body, self.wanted).await
    }
}

/// A call on its way.
pub struct Errand<'a> {
    engine: &'a Engine,
    call: &'a Call<'a>,
    treatment: Treatment,
    terms: Terms<'a>,
    aim: Aim,
    /// See [`Limits::hedge`](super::engine::Limits::hedge).
    hedge: Option<f64>,
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
            aim: Aim::Anyone,
            hedge: None,
            journey,
            kept: None,
            last: None,
            used_fallback: false,
        }
    }

    pub fn aimed_at(mut self, aim: Aim) -> Errand<'a> {
        self.aim = aim;
        self
    }

    /// As the settings say, a call of `row` may be asked of a second node when the first is slow.
    pub fn hedged(mut self, row: Row) -> Errand<'a> {
        let may_hedge = alike::may_hedge(row, self.treatment);
        self.hedge = self.engine.limits.hedge.filter(|_| may_hedge);
        self
    }

    /// Goes from node to node until the call has its answer. `body`: the call as a node gets it.
    pub async fn run(mut self, body: Bytes) -> (Served, CallOutcome) {
        let engine = self.engine;
        engine.budget.deposit();
        loop {
            let draw = |ladder, passed: &[NodeId]| draw(engine, &self.aim, ladder, passed);
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
        let first = Try {
            pool,
            upstream,
            node,
            body,
            wanted: &wanted,
        };
        if self.hedge.is_some() {
            // On the heap: the future of the many calls without stays small.
            return Box::pin(self.race(&snapshot, first)).await;
        }
        let (class, content) = first.make().await;
        self.conclude(upstream, class, content).await
    }

    /// Hears what an attempt came to; `Some` when it ended the errand.
    async fn conclude(
        &mut self,
        upstream: &Upstream,
        class: Class,
        content: Content,
    ) -> Option<(Served, CallOutcome)> {
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
            self.call.method,
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
        match self.journey.hear(class, true) {
            Use::Deliver => {
                let outcome = if class == Class::Ok {
                    CallOutcome::Ok
                } else {
                    CallOutcome::RpcError
                };
                Some(self.end(self.reply(class, answer, name), name, outcome))
            }
            Use::Keep => {
                self.kept = Some((answer, name.clone()));
                None
            }
            Use::Drop => None,
        }
    }

    /// A new filter's id, as the client gets it, says which node has the filter.
    fn reply(&self, class: Class, answer: Whole, name: &Arc<str>) -> Reply {
        let is_new = filter::part_of(&self.call.method) == Some(Part::Making);
        let own = answer.result().filter(|_| is_new && class == Class::Ok);
        let own = own.and_then(|own| std::str::from_utf8(own).ok());
        match own.map(|own| filter::wrap(name, own)) {
            None => Reply::Whole(answer),
            Some(Some(id)) => Reply::with_result(self.call, &id),
            Some(None) => Reply::Refused(Refusal::BadAnswer),
        }
    }

    fn finish(mut self, ending: Ending) -> (Served, CallOutcome) {
        match (ending, self.kept.take()) {
            (Ending::Kept, Some((answer, name))) => {
                self.end(Reply::Whole(answer), &name, CallOutcome::RpcError)
            }
            (Ending::Kept, None) => self.end_unserved(Refusal::BadAnswer),
            (Ending::Refused(why), _) => self.end_unserved(match (&self.aim, self.last) {
                (Aim::Only(_), None | Some(Class::NoConnection)) => Refusal::FilterNotFound,
                (Aim::Only(_), Some(_)) | (Aim::Anyone | Aim::Rather(_), _) => why,
            }),
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

fn draw(engine: &Engine, aim: &Aim, ladder: Ladder, passed: &[NodeId]) -> Option<NodeId> {
    match aim {
        Aim::Anyone => engine.pool.draw(ladder, passed),
        Aim::Only(node) => (ladder == Ladder::Own && !passed.contains(node)).then_some(*node),
        Aim::Rather(holders) => {
            let wish = Spread {
                nodes_max: 1,
                first: holders,
                passed,
            };
            let view = &engine.pool.snapshot().view;
            let drawn = spread(view, ladder, wish, clock::now(), &mut clock::roll);
            let holder = drawn.into_iter().find(|node| holders.contains(node));
            holder.or_else(|| engine.pool.draw(ladder, passed))
        }
    }
}

//! Answers one call: a plan of `domain`'s, carried out. Single calls and batches come here alike.

use std::sync::Arc;
use std::time::Instant;

use super::errand::Errand;
use super::exchange::Large;
use super::origin::{self, Origin};
use crate::clock;
use crate::domain::jsonrpc::Call;
use crate::domain::method::{Rules, Times};
use crate::domain::quota::RetryBudget;
use crate::domain::refusal::Refusal;
use crate::domain::route::{self, Plan};
use crate::domain::whole::Whole;
use crate::state::gate::{Gate, Room};
use crate::state::pool::Pool;
use crate::telemetry::metrics::{CallOutcome, MethodMetrics, Metrics, Used};

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
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// When the packet came.
    pub arrived_at: Instant,
    /// The longest answer.
    pub bytes_max: u64,
    pub may_stream: bool,
    /// For what is held whole of the packet's answers.
    pub room: &'a Room<'a>,
    pub origin: &'a Origin,
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
    /// Given here, with the caller's id in it.
    Here(String),
    /// A node's; the caller's id is still to be put in.
    Whole(Whole),
    /// A node's, passed on as it comes, with the caller's id in it.
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
            answer_bytes: self.gate.answers_bytes(),
            retry_budget: self.budget.tokens(now),
        });
        self.metrics.encode(view, unix_seconds)
    }

    /// Answers `call`. A notification is carried out as any call; its answer is the caller's to
    /// drop.
    pub async fn serve(&self, call: &Call<'_>, terms: Terms<'_>) -> Served {
        let snapshot = self.pool.snapshot();
        let (row, plan) = route::plan(call, &snapshot.view, &self.rules, self.limits.fails_open);
        drop(snapshot);
        let mut tally = Tally {
            method: self.metrics.method(row),
            began_at: clock::now(),
            outcome: CallOutcome::Cancelled,
        };
        let entry = terms.origin.entry(&call.method);
        let (mut served, outcome) = match plan {
            Plan::Answer(result) => {
                let reply = Reply::with_result(call, &result);
                (Served::here(reply), CallOutcome::Ok)
            }
            Plan::Refuse(why) => (Served::here(Reply::Refused(why)), CallOutcome::Refused),
            Plan::Ask(treatment) => Errand::new(self, call, treatment, terms).run().await,
        };
        tally.outcome = outcome;
        if let Some(entry) = entry {
            origin::settle(entry, &mut served, call, outcome);
        }
        served
    }
}

impl Reply {
    /// `result`, JSON as written, with the caller's id.
    pub fn with_result(call: &Call<'_>, result: &str) -> Reply {
        let id = call.id.unwrap_or("null");
        Reply::Here(format!(
            r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#
        ))
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

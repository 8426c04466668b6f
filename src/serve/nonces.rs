//! The pending count of an account's transactions: the highest of several nodes' answers.

use futures_util::StreamExt as _;
use tokio::time::timeout_at;

use super::engine::{Engine, Reply, Served, Terms};
use super::fan::{self, Question};
use crate::clock;
use crate::domain::broadcast::{Spread, spread};
use crate::domain::jsonrpc::Call;
use crate::domain::method::Treatment;
use crate::domain::nonce::{Counts, NODES_MAX};
use crate::domain::select::Ladder;
use crate::telemetry::metrics::CallOutcome;

/// Asks own nodes at once, above all those that took this client's transactions. `None` where
/// there are not several, or none of them said a number: the call then goes the usual way.
pub async fn count(
    engine: &Engine,
    call: &Call<'_>,
    terms: Terms<'_>,
) -> Option<(Served, CallOutcome)> {
    let mut holders = engine.taken.holders_for(terms.client);
    let wish = Spread {
        nodes_max: NODES_MAX,
        method: &call.method,
        first: &holders,
        passed: &[],
    };
    let now = clock::now();
    let view = &engine.pool.snapshot().view;
    let nodes = spread(view, Ladder::Own, wish, now, &mut clock::roll);
    if nodes.len() < 2 {
        return None;
    }
    engine.budget.deposit();
    holders.retain(|holder| nodes.contains(holder));
    let times = &terms.policy.limits.times;
    let until = terms.arrived_at + times.deadline_of(Treatment::Read);
    let question = Question {
        method: (*call.method).into(),
        body: call.for_node().into(),
        until: until.min(now + times.attempt_of(Treatment::Read)),
        bytes_max: terms.bytes_max.min(fan::SHORT_BYTES_MAX),
        trace: terms.origin.trace,
    };
    let mut fan = fan::ask_all(&engine.pool, &engine.gate, &nodes, &question);
    let mut counts = Counts::default();
    let mut best = None;
    loop {
        let until = counts.until(question.until, !holders.is_empty());
        let Ok(Some(heard)) = timeout_at(until.into(), fan.next()).await else {
            break;
        };
        holders.retain(|holder| *holder != heard.node);
        let Some(answer) = heard.answer else { continue };
        if answer
            .result()
            .is_some_and(|count| counts.hear(count, clock::now()))
        {
            best = Some((answer, heard.name));
        }
    }
    let (answer, name) = best?;
    let served = Served {
        answer: Reply::Whole(answer),
        node: Some(name),
        attempts: nodes.len(),
    };
    Some((served, CallOutcome::Ok))
}

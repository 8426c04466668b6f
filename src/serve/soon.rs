//! Look-ups of a block that nobody has yet, but that may be there any moment.

use std::sync::Arc;
use std::time::Duration;

use super::engine::{self, Engine, Reply, Served, Terms};
use crate::clock;
use crate::domain::block::Pins;
use crate::domain::jsonrpc::Call;
use crate::domain::method::Row;
use crate::domain::route::{Absence, Asking, Plan};
use crate::state::pool::Snapshot;
use crate::telemetry::metrics::CallOutcome;

/// The longest wait for a round.
const ROUND_TIME_MAX: Duration = Duration::from_secs(1);

/// Waits for a round that looks for the block, and asks for it if it is there then.
pub async fn ask(
    engine: &Engine,
    call: &Call<'_>,
    (row, absence): (Row, Absence),
    terms: Terms<'_>,
) -> (Served, CallOutcome) {
    let pins = terms.pins.unwrap_or_default();
    if let Some((snapshot, asking)) = find(engine, call, terms, &pins).await {
        return engine
            .ask(call, (row, &asking), terms, (snapshot, pins))
            .await;
    }
    match absence.settled() {
        Ok(result) => engine::told(Reply::with_result(call, result)),
        Err(why) => engine::refused(why),
    }
}

async fn find(
    engine: &Engine,
    call: &Call<'_>,
    terms: Terms<'_>,
    pins: &Pins,
) -> Option<(Arc<Snapshot>, Asking)> {
    let pool = &engine.pool;
    let until = tokio::time::Instant::from_std(clock::now() + ROUND_TIME_MAX);
    let mut news = pool.news();
    let highest = pool.snapshot().view.highest_head;
    let round = pool.early.hurry_beyond(highest);
    engine.metrics.block_wait();
    loop {
        let snapshot = pool.snapshot();
        let (_, plan) = engine.plan(call, &snapshot.view, terms.policy, pins);
        if let Plan::Ask(asking) = plan {
            return Some((snapshot, asking));
        }
        if snapshot.view.rounds >= round {
            return None;
        }
        tokio::time::timeout_at(until, news.changed())
            .await
            .ok()?
            .ok()?;
    }
}

//! Look-ups of a block that nobody has yet, but that may be there any moment.

use std::sync::Arc;
use std::time::Duration;

use crate::clock;
use crate::observe::metrics::CallOutcome;
use crate::router::{self, CallContext, CallReply, Router, ServedAnswer};
use crate::shared::fleet_state::Snapshot;
use forebay_core::call::plan::{AbsenceAnswer, ForwardPlan, Plan};
use forebay_core::method::MethodIndex;
use forebay_core::method::block::TagPins;
use forebay_core::rpc::envelope::Call;

/// The longest wait for a round.
const ROUND_TIME_MAX: Duration = Duration::from_secs(1);

/// Waits for a round that looks for the block, and asks for it if it is there then.
pub async fn ask(
    engine: &Router,
    call: &Call<'_>,
    (row, absence): (MethodIndex, AbsenceAnswer),
    terms: CallContext<'_>,
) -> (ServedAnswer, CallOutcome) {
    let pins = terms.pins.unwrap_or_default();
    if let Some((snapshot, asking)) = find(engine, call, terms, &pins).await {
        return engine
            .ask(call, (row, &asking), terms, (snapshot, pins))
            .await;
    }
    match absence.settled() {
        Ok(result) => router::told(CallReply::with_result(call, result)),
        Err(why) => router::refused(why),
    }
}

async fn find(
    engine: &Router,
    call: &Call<'_>,
    terms: CallContext<'_>,
    pins: &TagPins,
) -> Option<(Arc<Snapshot>, ForwardPlan)> {
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

//! Look-ups of a block that no node has yet, but that may be there any moment.

use std::time::Duration;

use crate::call::context::{CallContext, CallState};
use crate::clock;
use forebay_core::call::plan::Plan;
use forebay_core::rpc::envelope::Call;

/// The longest wait for a round.
const ROUND_TIME_MAX: Duration = Duration::from_secs(1);

/// Waits for a round that looks for the block; if it is there then, the call is planned anew.
pub async fn plan_anew(state: &CallState, call: &Call<'_>, terms: CallContext<'_>) -> Option<Plan> {
    let pool = &state.pool;
    let until = tokio::time::Instant::from_std(clock::now() + ROUND_TIME_MAX);
    let mut news = pool.news();
    let highest = pool.snapshot().view.highest_head;
    let round = pool.early.hurry_beyond(highest);
    state.metrics.block_wait();
    loop {
        let view = &pool.snapshot().view;
        let plan = state.plan(call, view, terms).plan;
        if plan.forward().is_some() {
            return Some(plan);
        }
        if view.rounds >= round {
            return None;
        }
        tokio::time::timeout_at(until, news.changed())
            .await
            .ok()?
            .ok()?;
    }
}

//! Look-ups of a block that nobody has yet, but that may be there any moment.

use std::sync::Arc;
use std::time::Duration;

use crate::call::answer::{self, CallReply, ServedAnswer};
use crate::call::context::{CallContext, CallState};
use crate::clock;
use crate::observe::metrics::CallOutcome;
use crate::shared::fleet_state::Snapshot;
use forebay_core::call::plan::{AbsenceAnswer, ForwardPlan, Plan};
use forebay_core::method::block::TagPins;
use forebay_core::rpc::envelope::Call;

/// The longest wait for a round.
const ROUND_TIME_MAX: Duration = Duration::from_secs(1);

/// What a look-up comes to of a block that no node has.
pub fn absent(call: &Call<'_>, absence: AbsenceAnswer) -> (ServedAnswer, CallOutcome) {
    match absence.settled() {
        Ok(result) => answer::told(CallReply::with_result(call, result)),
        Err(why) => answer::refused(why),
    }
}

/// Waits for a round that looks for the block; `Some` if it is there then.
pub async fn find(
    engine: &CallState,
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

//! Look-ups of a block that no node is known to have yet, but that may be there any moment.

use std::time::Duration;

use crate::call::context::{CallContext, CallState};
use crate::call::planning;
use crate::clock;
use forebay_core::call::plan::Plan;
use forebay_core::rpc::envelope::Call;
use forebay_core::vocabulary::chain::BlockNumber;

/// The longest wait for a look.
const LOOK_TIME_MAX: Duration = Duration::from_secs(1);

/// Waits for the look that is made for block `number`; if it is there then, the call is planned anew.
pub async fn plan_anew(
    state: &CallState,
    call: &Call<'_>,
    number: BlockNumber,
    context: CallContext<'_>,
) -> Option<Plan> {
    let fleet = &state.fleet;
    let until = tokio::time::Instant::from_std(clock::now() + LOOK_TIME_MAX);
    let (mut news, mut ended) = (fleet.news(), fleet.looks.ended());
    let highest = fleet.snapshot().view.highest_head;
    let look = fleet.looks.look_for(number, highest);
    state.metrics.block_wait();
    loop {
        // Looked at before the fleet: what it brought is there by then.
        let is_over = *ended.borrow_and_update() >= look;
        let view = &fleet.snapshot().view;
        let plan = planning::plan(state, call, view, context).plan;
        if plan.forward().is_some() || matches!(plan, Plan::Give(_)) {
            return Some(plan);
        }
        if is_over {
            return None;
        }
        let changed = async {
            tokio::select! {
                told = news.changed() => told,
                told = ended.changed() => told,
            }
        };
        tokio::time::timeout_at(until, changed).await.ok()?.ok()?;
    }
}

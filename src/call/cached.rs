//! A call whose answer is kept: it is given again, and no node is asked.

use crate::call::answer::{CacheUse, CallReply, ServedAnswer};
use crate::call::context::{CallContext, CallState};
use crate::call::exchange::WHOLE_BYTES_MAX;
use crate::observe::metrics::CallOutcome;
use forebay_core::call::cache::CachePlan;
use forebay_core::fleet::view::FleetView;
use forebay_core::vocabulary::node::Role;

/// The answer that is kept for a call planned so, if it may be given now.
pub fn find(
    state: &CallState,
    plan: &CachePlan,
    terms: CallContext<'_>,
) -> Option<(ServedAnswer, CallOutcome)> {
    let cache = state.cache.as_ref().filter(|_| !terms.wants_fresh)?;
    let snapshot = state.pool.snapshot();
    let view = &snapshot.view;
    let kept = cache.find(plan, view)?;
    let node = view.node(kept.terms.node)?;
    let bytes = kept.answer.bytes();
    // What is no longer than that is counted with the answers of a batch.
    let long = bytes.saturating_sub(WHOLE_BYTES_MAX);
    if bytes as u64 > terms.bytes_max || (long > 0 && !terms.room.hold(long)) {
        return None;
    }
    let age = cache.age(&kept, terms.arrived_at);
    state.metrics.method(Some(plan.row)).cache_hit(age);
    if Some(kept.terms.number) > view.served_head {
        state.pool.tell(terms.client, kept.terms.number);
    }
    if node.rung == Role::Leader {
        state.metrics.cache_leader_hit();
    }
    let outcome = match kept.answer.result() {
        Some(_) => CallOutcome::Ok,
        None => CallOutcome::RpcError,
    };
    let served = ServedAnswer {
        node: Some(node.name.clone()),
        cached: CacheUse::Hit,
        ..ServedAnswer::here(CallReply::Whole(kept.answer))
    };
    Some((served, outcome))
}

/// Whether [`find`] has an answer.
pub fn has(state: &CallState, plan: &CachePlan, view: &FleetView, terms: CallContext<'_>) -> bool {
    let cache = state.cache.as_ref().filter(|_| !terms.wants_fresh);
    cache.is_some_and(|cache| cache.find(plan, view).is_some())
}

/// Notes of an answer that might have been kept, and wasn't.
pub fn note(
    state: &CallState,
    plan: Option<&CachePlan>,
    served: &mut ServedAnswer,
    wants_fresh: bool,
) {
    let Some(plan) = plan else { return };
    if served.cached != CacheUse::Hit && !wants_fresh {
        served.cached = CacheUse::Miss;
        state.metrics.method(Some(plan.row)).cache_miss();
    }
}

//! A call whose answer is kept: it is given again, and no node is asked.

use crate::call::answer::{CacheUse, CallReply, ServedAnswer};
use crate::call::context::{CallContext, CallState};
use crate::call::exchange::WHOLE_BYTES_MAX;
use crate::observe::metrics::CallOutcome;
use forebay_core::call::cache::{CachePlan, KeptAnswer};
use forebay_core::fleet::view::FleetView;
use forebay_core::method::MethodIndex;
use forebay_core::vocabulary::node::Role;

/// The answer that is kept for a call planned so, if it may be given as of `view`.
pub fn find(
    state: &CallState,
    plan: &CachePlan,
    view: &FleetView,
    terms: CallContext<'_>,
) -> Option<KeptAnswer> {
    let cache = state.cache.as_ref().filter(|_| !terms.wants_fresh)?;
    let kept = cache.find(plan, view, terms.arrived_at)?;
    let bytes = kept.answer.bytes();
    // What is no longer than that is counted with the answers of a batch.
    let long = bytes.saturating_sub(WHOLE_BYTES_MAX);
    let is_fit = bytes as u64 <= terms.bytes_max && (long == 0 || terms.room.hold(long));
    is_fit.then_some(kept)
}

/// Gives it to a call of `row`.
pub fn give(
    state: &CallState,
    row: MethodIndex,
    kept: KeptAnswer,
    terms: CallContext<'_>,
) -> ServedAnswer {
    state.metrics.method(row).cache_hit(kept.age);
    if let Some(news) = kept.news {
        state.pool.tell(terms.client, news);
    }
    if kept.rung == Role::Leader {
        state.metrics.cache_leader_hit();
    }
    let outcome = match kept.answer.result() {
        Some(_) => CallOutcome::Ok,
        None => CallOutcome::RpcError,
    };
    ServedAnswer {
        cached: CacheUse::Hit,
        ..ServedAnswer::by(kept.node, CallReply::Whole(kept.answer), outcome)
    }
}

/// Gives what is kept by now to a call that was planned before.
pub fn look_again(
    state: &CallState,
    plan: &CachePlan,
    terms: CallContext<'_>,
) -> Option<ServedAnswer> {
    let store = &state.cache.as_ref()?.store;
    if store.answers() == terms.answers_kept {
        return None;
    }
    let kept = find(state, plan, &state.pool.snapshot().view, terms)?;
    Some(give(state, Some(plan.row), kept, terms))
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

//! A call whose answer is kept: it is given again, and no node is asked.

use crate::call::answer::{CacheUse, ServedAnswer};
use crate::call::context::{CallContext, CallState};
use crate::call::exchange::WHOLE_BYTES_MAX;
use forebay_core::call::cache::{CachePlan, KeepDecision, KeptAnswer};
use forebay_core::fleet::view::FleetView;
use forebay_core::rpc::refusal::Refusal;
use forebay_core::vocabulary::node::Role;

/// The answer that is kept for a call planned so, if it may be given as of `view`.
#[inline]
pub fn find(
    state: &CallState,
    plan: &CachePlan,
    view: &FleetView,
    context: &CallContext<'_>,
) -> Option<KeptAnswer> {
    let cache = state.cache.as_ref()?;
    let kept = cache.find(plan, view, context.arrived_at)?;
    let may_go = kept.answer.bytes() as u64 <= context.bytes_max
        // Else it is passed on from a node as it comes.
        && (!context.may_stream || has_room(&kept, context));
    may_go.then_some(kept)
}

/// Holds room for it. What is no longer than the rest is counted with the answers of a batch.
fn has_room(kept: &KeptAnswer, context: &CallContext<'_>) -> bool {
    let long = kept.answer.bytes().saturating_sub(WHOLE_BYTES_MAX);
    long == 0 || context.answer_budget.hold(long)
}

/// Gives it. One that may not stream holds its room only now: what is under way before it comes first.
pub fn give(state: &CallState, kept: KeptAnswer, context: &CallContext<'_>) -> ServedAnswer {
    if !context.may_stream && !has_room(&kept, context) {
        return ServedAnswer::refused(Refusal::AnswerTooLarge);
    }
    state.metrics.method(Some(kept.row)).cache_hit(kept.age);
    if let Some(cache) = &state.cache {
        cache.recurrence.note_given(kept.row);
    }
    if let Some(news) = kept.news {
        state.fleet.tell(context.client, news);
    }
    if kept.role == Role::Leader {
        state.metrics.cache_leader_hit();
    }
    ServedAnswer {
        cached: CacheUse::Hit,
        ..ServedAnswer::whole(kept.node, kept.answer)
    }
}

/// Gives what is kept by now, and wasn't yet when the call was planned.
#[inline]
pub fn look_again(
    state: &CallState,
    plan: &CachePlan,
    context: &CallContext<'_>,
) -> Option<ServedAnswer> {
    if context.wants_fresh || state.answers_kept() == context.kept_before {
        return None;
    }
    give_kept(state, plan, context)
}

/// Apart, as it is rare: most calls find that nothing was kept meanwhile.
fn give_kept(
    state: &CallState,
    plan: &CachePlan,
    context: &CallContext<'_>,
) -> Option<ServedAnswer> {
    let kept = find(state, plan, &state.fleet.peek().view, context)?;
    Some(give(state, kept, context))
}

/// Notes of an answer that might have been kept, and wasn't.
pub fn note(state: &CallState, keep: &KeepDecision, served: &mut ServedAnswer, wants_fresh: bool) {
    let row = keep.row();
    if row.is_some() && served.cached != CacheUse::Hit && !wants_fresh {
        served.cached = CacheUse::Miss;
        state.metrics.method(row).cache_miss();
    }
}

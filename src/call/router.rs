//! Answers one call: a plan of the core's, and the way that carries it out. Single calls and those of
//! batches come here alike.

use std::pin::Pin;

use crate::call::answer::{CallReply, ServedAnswer};
use crate::call::context::{CallContext, CallState};
use crate::call::record::CallRecord;
use crate::call::{
    awaited_block, broadcast, cached, coalesce, forward, pending_nonce, pending_transaction,
    planning, sticky, stored, subscription,
};
use forebay_core::call::nonce::MissingNonce;
use forebay_core::call::plan::{AbsenceAnswer, ForwardPlan, Plan, Planned};
use forebay_core::rpc::envelope::Call;
use forebay_core::rpc::transaction::{Address, TxHash};
use forebay_core::vocabulary::chain::BlockNumber;

/// Plans a call that came alone.
pub fn plan<'a>(
    state: &CallState,
    call: &Call<'_>,
    context: CallContext<'a>,
) -> (Planned, CallContext<'a>) {
    let view = &state.fleet.peek().view;
    let context = state.as_of(view, context);
    (planning::plan(state, call, view, context), context)
}

/// Carries out what waits for nothing; `None`: the plan is none of that kind.
pub fn at_once(
    state: &CallState,
    call: &Call<'_>,
    planned: &Planned,
    context: CallContext<'_>,
) -> Option<ServedAnswer> {
    let mut served = match &planned.plan {
        Plan::Answer(result) => ServedAnswer::here(CallReply::with_result(call, result)),
        Plan::Give(kept) => cached::give(state, kept.clone(), &context),
        Plan::Refuse(why) => ServedAnswer::refused(why.clone()),
        Plan::Forward(_)
        | Plan::Share { .. }
        | Plan::LookUp(..)
        | Plan::CountNonces(..)
        | Plan::FillNonce(..)
        | Plan::Sticky(..)
        | Plan::Broadcast
        | Plan::AwaitBlock(..)
        | Plan::Subscribe
        | Plan::Unsubscribe => return None,
    };
    let (record, _) = CallRecord::begin(state, call, planned.row, context);
    record.end(&mut served, call);
    Some(served)
}

/// Carries out what is planned for `call`. A notification is carried out as any call; its answer is
/// the caller's to drop.
pub async fn carry_out(
    state: &CallState,
    call: &Call<'_>,
    planned: &Planned,
    context: CallContext<'_>,
) -> ServedAnswer {
    let (record, context) = CallRecord::begin(state, call, planned.row, context);
    let wants_fresh = context.wants_fresh;
    let mut served = answer(state, call, &planned.plan, context).await;
    if let Some(plan) = planned.plan.forward() {
        cached::note(state, &plan.keep, &mut served, wants_fresh);
    }
    record.end(&mut served, call);
    served
}

/// The way that carries `plan` out. On the heap: what it takes to ask a node is not kept room for on
/// idle connections.
async fn answer(
    state: &CallState,
    call: &Call<'_>,
    plan: &Plan,
    context: CallContext<'_>,
) -> ServedAnswer {
    // A shared call looks there once, when it leads: see `coalesce`.
    let is_shared = matches!(plan, Plan::Share { .. });
    if let Some(kept) = plan.kept().filter(|_| !is_shared)
        && stored::is_on(state, &context)
        && let Some(found) = boxed(|| stored::find(state, call, kept, context)).await
    {
        return found;
    }
    match plan {
        Plan::Give(kept) => cached::give(state, kept.clone(), &context),
        Plan::Answer(result) => ServedAnswer::here(CallReply::with_result(call, result)),
        Plan::Refuse(why) => ServedAnswer::refused(why.clone()),
        Plan::Forward(plan) => boxed(|| forward::ask(state, call, plan, context)).await,
        Plan::Share { forward, head } => {
            boxed(|| coalesce::ask(state, call, forward, context, *head)).await
        }
        Plan::LookUp(plan, hash) => boxed(|| look_up(state, call, (plan, *hash), context)).await,
        Plan::CountNonces(plan, sender) => {
            boxed(|| count_nonces(state, call, (plan, *sender), context)).await
        }
        Plan::FillNonce(plan, missing) => {
            boxed(|| fill_nonce(state, call, (plan, *missing), context)).await
        }
        Plan::Sticky(node, filter) => {
            boxed(|| sticky::follow(state, call, (*node, filter), context)).await
        }
        Plan::Broadcast => boxed(|| broadcast::send(state, call, context)).await,
        Plan::AwaitBlock(number, absence) => {
            boxed(|| await_block(state, call, (*number, *absence), context)).await
        }
        Plan::Subscribe => boxed(|| subscription::begin(call, context)).await,
        Plan::Unsubscribe => subscription::end(call, context),
    }
}

async fn look_up(
    state: &CallState,
    call: &Call<'_>,
    (plan, hash): (&ForwardPlan, TxHash),
    context: CallContext<'_>,
) -> ServedAnswer {
    let served = forward::look_up(state, call, (plan, hash), context).await;
    let is_missing = pending_transaction::is_missing(call, &served);
    if is_missing {
        let view = &state.fleet.snapshot().view;
        state.recent_writes.hear_latest(view).await;
    }
    if is_missing && let Some(answer) = pending_transaction::show(state, call, hash, context).await
    {
        return ServedAnswer { answer, ..served };
    }
    served
}

async fn count_nonces(
    state: &CallState,
    call: &Call<'_>,
    (plan, sender): (&ForwardPlan, Option<Address>),
    context: CallContext<'_>,
) -> ServedAnswer {
    match pending_nonce::count(state, call, sender, context).await {
        Some(counted) => counted,
        None => forward::ask(state, call, plan, context).await,
    }
}

async fn fill_nonce(
    state: &CallState,
    call: &Call<'_>,
    (plan, missing): (&ForwardPlan, MissingNonce),
    context: CallContext<'_>,
) -> ServedAnswer {
    let filled = pending_nonce::fill(state, plan, missing, context).await;
    forward::ask(state, call, filled.as_ref().unwrap_or(plan), context).await
}

async fn await_block(
    state: &CallState,
    call: &Call<'_>,
    (number, absence): (BlockNumber, AbsenceAnswer),
    context: CallContext<'_>,
) -> ServedAnswer {
    let anew = boxed(|| awaited_block::plan_anew(state, call, number, context)).await;
    let plan = anew.unwrap_or_else(|| absence.settled());
    Box::pin(answer(state, call, &plan, context)).await
}

/// As a rule the future is made on the heap, while `Box::pin` moves it there.
fn boxed<F: Future>(make: impl FnOnce() -> F) -> Pin<Box<F>> {
    Box::into_pin(Box::write(Box::new_uninit(), make()))
}

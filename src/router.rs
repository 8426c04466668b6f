//! Answers one call: a plan of the core's, and the way that carries it out. Single calls and batches
//! come here alike.

use std::sync::Arc;

use crate::call::answer::{self, CallReply, ServedAnswer};
use crate::call::context::{CallContext, CallState};
use crate::call::forward::{Affinity, ForwardedCall};
use crate::call::record::CallCounter;
use crate::call::{
    awaited_block, broadcast, coalesce, pending_nonce, pending_transaction, request_context,
    sticky, subscription,
};
use crate::clock;
use crate::observe::metrics::CallOutcome;
use crate::observe::spans::CallSpan;
use crate::shared::fleet_state::Snapshot;
use forebay_core::call::filter::{self, FilterUse};
use forebay_core::call::last_block::{BY_HASH, is_lookup};
use forebay_core::call::nonce::{self, FILL};
use forebay_core::call::plan::{ForwardPlan, Plan};
use forebay_core::method::block::TagPins;
use forebay_core::method::{self, MethodIndex, Treatment};
use forebay_core::rpc::envelope::Call;
use forebay_core::rpc::transaction;

/// Answers `call`. A notification is carried out as any call; its answer is the caller's to drop.
pub async fn serve(state: &CallState, call: &Call<'_>, terms: CallContext<'_>) -> ServedAnswer {
    let snapshot = state.pool.snapshot();
    let pins = (terms.pins).unwrap_or_else(|| state.pins(terms, &snapshot.view));
    let (row, plan) = state.plan(call, &snapshot.view, terms.policy, &pins);
    let mut tally = CallCounter {
        method: state.metrics.method(row),
        failing: &state.pool.failing,
        began_at: clock::now(),
        outcome: CallOutcome::Cancelled,
    };
    let entry = terms.origin.entry(&call.method);
    let span = CallSpan::begin(terms.origin.trace.as_ref(), row);
    let terms = CallContext {
        pins: Some(pins),
        ..terms.traced(span.as_ref(), row)
    };
    let (mut served, outcome) = match plan {
        Plan::Answer(result) => answer::told(CallReply::with_result(call, &result)),
        Plan::Refuse(why) => answer::refused(why),
        Plan::Ask(asking) => {
            // On the heap: what it takes to ask a node is not kept room for on idle
            // connections. As a rule it is made there, while `Box::pin` moves it there.
            let place = Box::new_uninit();
            let asked = Box::write(
                place,
                ask(state, call, (row, &asking), terms, (snapshot, pins)),
            );
            Box::into_pin(asked).await
        }
        Plan::Soon(absence) => {
            match Box::pin(awaited_block::find(state, call, terms, &pins)).await {
                Some((snapshot, asking)) => {
                    let asked = ask(state, call, (row, &asking), terms, (snapshot, pins));
                    Box::pin(asked).await
                }
                None => awaited_block::absent(call, absence),
            }
        }
        Plan::Subscribe => Box::pin(subscription::begin(call, terms)).await,
        Plan::Unsubscribe => subscription::end(call, terms),
    };
    tally.outcome = outcome;
    if let Some(span) = span {
        request_context::end_span(span, &served, outcome);
    }
    if let Some(entry) = entry {
        request_context::settle(entry, &mut served, call, outcome);
    }
    served
}

/// Asks nodes, in the way that the call wants.
async fn ask(
    state: &CallState,
    call: &Call<'_>,
    (row, asking): (MethodIndex, &ForwardPlan),
    terms: CallContext<'_>,
    (snapshot, pins): (Arc<Snapshot>, TagPins),
) -> (ServedAnswer, CallOutcome) {
    let treatment = asking.treatment;
    if treatment == Treatment::Broadcast {
        // On the heap, as what follows: the future of the many plain reads stays small.
        return Box::pin(broadcast::send(state, call, terms)).await;
    }
    if treatment == Treatment::Once && filter::part_of(&call.method) == Some(FilterUse::Following) {
        return Box::pin(sticky::follow(state, call, terms, &snapshot.view)).await;
    }
    let head = pins.latest.or(snapshot.view.served_head);
    drop(snapshot);
    let is_sharable = method::listed(row).is_some_and(|method| method.may_be_shared);
    if is_sharable && !asking.is_pending {
        return coalesce::ask(state, call, (row, asking), terms, head).await;
    }
    if nonce::is_pending(&call.method, asking.is_pending)
        && let Some(counted) = Box::pin(pending_nonce::count(state, call, terms)).await
    {
        return counted;
    }
    let lacking = call.params.filter(|_| call.method == FILL);
    let filled = match lacking.and_then(nonce::missing) {
        Some(missing) => Box::pin(pending_nonce::fill(state, asking, missing, terms)).await,
        None => None,
    };
    let asking = filled.as_ref().unwrap_or(asking);
    let mut errand = ForwardedCall::new(state, call, asking, terms, asking.body(call).into());
    errand.hedge(row);
    errand.aim_at(Affinity::of(state, call, asking, terms.client));
    let hash = call
        .params
        .filter(|_| is_lookup(&call.method))
        .and_then(transaction::hash_asked);
    let (served, outcome) = match hash {
        Some(hash) => {
            errand.set_out();
            errand.look_up(hash, None).await
        }
        None => errand.run().await,
    };
    if call.method == BY_HASH
        && let Some(answer) = Box::pin(pending_transaction::show(state, call, &served, terms)).await
    {
        return (ServedAnswer { answer, ..served }, outcome);
    }
    (served, outcome)
}

//! Calls that name a filter: it lives in one node, which is asked.

use crate::call::answer::{self, CallReply, ServedAnswer};
use crate::call::context::{CallContext, CallState};
use crate::call::forward::{Affinity, ForwardedCall};
use crate::observe::metrics::CallOutcome;
use forebay_core::call::filter;
use forebay_core::call::last_block;
use forebay_core::call::plan::ForwardPlan;
use forebay_core::fleet::FleetView;
use forebay_core::method::Treatment;
use forebay_core::rpc::envelope::Call;
use forebay_core::rpc::refusal::Refusal;
use forebay_core::vocabulary::node::NodeId;

/// Asks the one node that has the filter.
pub async fn follow(
    state: &CallState,
    call: &Call<'_>,
    terms: CallContext<'_>,
    view: &FleetView,
) -> (ServedAnswer, CallOutcome) {
    let followed = call.params.and_then(filter::unwrap);
    let node = followed.as_ref().and_then(|filter| filter.node(view));
    let (Some(followed), Some(node)) = (followed, node) else {
        return answer::refused(Refusal::FilterNotFound);
    };
    let call = Call {
        params: Some(&followed.params),
        ..call.clone()
    };
    let asking = ForwardPlan::from(Treatment::Once);
    let body = asking.body(&call).into();
    let mut errand = ForwardedCall::new(state, &call, &asking, terms, body);
    errand.aim_at(Affinity::Only(node));
    let ended = errand.run().await;
    if followed.is_of_blocks {
        meet(state, &ended.0, node, terms).await;
    }
    ended
}

/// The client of a block filter is about to learn of a block by its hash alone: its number is
/// asked of the node that told it, unless it is known.
async fn meet(state: &CallState, served: &ServedAnswer, node: NodeId, terms: CallContext<'_>) {
    let CallReply::Whole(answer) = &served.answer else {
        return;
    };
    let Some(hash) = answer.result().and_then(last_block::newest_hash) else {
        return;
    };
    if let Some(number) = state.pool.told.number_of(hash) {
        return state.pool.tell(terms.client, number);
    }
    let params = format!("[\"{hash}\",false]");
    let call = Call {
        id: None,
        method: "eth_getBlockByHash".into(),
        params: Some(&params),
    };
    let asking = ForwardPlan::from(Treatment::Read);
    let mut errand = ForwardedCall::new(state, &call, &asking, terms, asking.body(&call).into());
    errand.aim_at(Affinity::Only(node));
    // It learns the number; the block itself is nobody's.
    drop(errand.run().await);
}

//! Calls that name a filter: it lives in one node, which is asked.

use crate::call::answer::{CallReply, ServedAnswer};
use crate::call::context::{CallContext, CallState};
use crate::call::forward;
use forebay_core::call::filter::FilterReference;
use forebay_core::call::last_block;
use forebay_core::call::plan::{Affinity, ForwardPlan};
use forebay_core::method::Treatment;
use forebay_core::rpc::envelope::Call;
use forebay_core::vocabulary::node::NodeId;

/// Asks `node`, which has the filter.
pub async fn follow(
    state: &CallState,
    call: &Call<'_>,
    (node, filter): (NodeId, &FilterReference),
    context: CallContext<'_>,
) -> ServedAnswer {
    let call = Call::new(call.id, call.method.clone(), Some(&filter.params));
    let ended = ask(state, &call, (node, Treatment::Once), context).await;
    if filter.is_of_blocks {
        meet(state, &ended, node, context).await;
    }
    ended
}

async fn ask(
    state: &CallState,
    call: &Call<'_>,
    (node, treatment): (NodeId, Treatment),
    context: CallContext<'_>,
) -> ServedAnswer {
    let plan = ForwardPlan {
        affinity: Affinity::Only(node),
        ..treatment.into()
    };
    forward::ask(state, call, &plan, context).await
}

/// The client of a block filter is about to learn of a block by its hash alone: its number is
/// asked of the node that told it, unless it is known.
async fn meet(state: &CallState, served: &ServedAnswer, node: NodeId, context: CallContext<'_>) {
    let CallReply::Whole(answer) = &served.answer else {
        return;
    };
    let Some(hash) = answer.result().and_then(last_block::newest_hash) else {
        return;
    };
    if let Some(number) = state.fleet.told.number_of(hash) {
        return state.fleet.tell(context.client, number);
    }
    let params = format!("[\"{hash}\",false]");
    let call = Call::new(None, "eth_getBlockByHash", Some(&params));
    // It learns the number; the block itself goes to no client.
    drop(ask(state, &call, (node, Treatment::Read), context).await);
}

//! Subscriptions begun and ended, where news can be sent.

use crate::call::answer::{CallReply, ServedAnswer};
use crate::call::context::CallContext;
use crate::observe::metrics::CallOutcome;
use forebay_core::feed::subscription::SubscriptionFailure;
use forebay_core::rpc::envelope::Call;
use forebay_core::rpc::refusal::Refusal;

/// Begins one.
pub async fn begin(call: &Call<'_>, context: CallContext<'_>) -> ServedAnswer {
    let Some(subscriber) = context.subscriber else {
        return ServedAnswer::refused(Refusal::NeedsSocket);
    };
    match subscriber.subscribe(call).await {
        Ok(id) => ServedAnswer::here(CallReply::with_result(call, &format!("\"{id}\""))),
        Err(SubscriptionFailure::Refused(why)) => ServedAnswer::refused(why),
        Err(SubscriptionFailure::Node(error)) => {
            let error = String::from_utf8_lossy(&error);
            let reply = CallReply::with_error(call, &error);
            ServedAnswer {
                outcome: CallOutcome::RpcError,
                ..ServedAnswer::here(reply)
            }
        }
    }
}

/// Ends one.
pub fn end(call: &Call<'_>, context: CallContext<'_>) -> ServedAnswer {
    let Some(subscriber) = context.subscriber else {
        return ServedAnswer::refused(Refusal::NeedsSocket);
    };
    match subscriber.listener.unsubscribe(call) {
        Ok(()) => ServedAnswer::here(CallReply::with_result(call, "true")),
        Err(why) => ServedAnswer::refused(why),
    }
}

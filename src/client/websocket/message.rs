//! One request of a socket: the same calls by the same way as over HTTP, answered by one message.

use std::time::Instant;

use bytes::Bytes;

use crate::call::answer::CallReply;
use crate::call::batch;
use crate::call::context::{CallContext, CallState};
use crate::call::request_context::RequestContext;
use crate::call::router;
use crate::shared::admission::Permit;
use crate::shared::listener::ClientSubscriptions;
use forebay_core::rpc::envelope::{RequestItem, RpcRequest};
use forebay_core::rpc::refusal::Refusal;
use forebay_core::vocabulary::client::Client;

/// What a client says, once it is whole, with its place in the process.
pub struct ReceivedMessage<'a> {
    pub payload: Bytes,
    pub at: Instant,
    pub client: Client,
    /// As of the opening handshake.
    pub request_context: &'a RequestContext,
    pub permit: Permit<'a>,
}

impl ReceivedMessage<'_> {
    /// Carries the request out and hands the answer to `say`, which is not called when there is
    /// nothing to answer. The place is given back before: saying it is no work.
    pub async fn answer<T, F: Future<Output = T>>(
        self,
        state: &CallState,
        listener: &ClientSubscriptions,
        say: impl FnOnce(Vec<Bytes>) -> F,
    ) -> Option<T> {
        let request_context = self.request_context.next(self.at);
        // A socket may be there for weeks: each request goes by what holds when it comes.
        let policy = state.policy.load_full();
        let bytes_max = policy.settings.calls.answer_bytes_max;
        let budget = state.admission.answer_budget(bytes_max);
        let subscriber = listener.subscriber();
        let context = CallContext {
            policy: &policy,
            arrived_at: self.at,
            bytes_max,
            // A message that broke off would take the socket and all its subscriptions with it.
            may_stream: false,
            client: self.client,
            answer_budget: &budget,
            request_context: &request_context,
            pins: None,
            trace: None,
            subscriber: Some(&subscriber),
            turns: None,
            wants_fresh: false,
            kept_before: 0,
        };
        let pieces = match RpcRequest::read(&self.payload, policy.settings.calls.batch_calls_max) {
            Err(why) => refused(&why, None, &request_context),
            Ok(request) => carry_out(state, request, context).await,
        };
        drop((self.permit, budget));
        if pieces.is_empty() {
            return None;
        }
        let said = say(pieces).await;
        subscriber.are_answered();
        Some(said)
    }
}

/// The answer to what has no place in the process: a no to each of its calls. Of the request itself
/// nothing is kept.
pub fn refuse(
    payload: &[u8],
    why: &Refusal,
    state: &CallState,
    request_context: &RequestContext,
) -> Vec<Bytes> {
    let calls_max = state.policy.load().settings.calls.batch_calls_max;
    match RpcRequest::read(payload, calls_max) {
        Err(why) => refused(&why, None, request_context),
        Ok(request) => refuse_all(why, &request, request_context),
    }
}

async fn carry_out(
    state: &CallState,
    request: RpcRequest<'_>,
    context: CallContext<'_>,
) -> Vec<Bytes> {
    match request {
        RpcRequest::Single(RequestItem::Refused { id, why }) => {
            refused(&why, id, context.request_context)
        }
        RpcRequest::Single(RequestItem::Call(call)) => {
            let (planned, context) = router::plan(state, &call, context);
            let served = router::carry_out(state, &call, &planned, context).await;
            call.id
                .map_or_else(Vec::new, |id| pieces(id, served.answer))
        }
        RpcRequest::Batch(items) => {
            state.metrics.batch(items.len());
            pieces("", batch::serve(state, &items, context).await.answer)
        }
    }
}

/// An answer, with the caller's `id` where it isn't in it yet.
fn pieces(id: &str, answer: CallReply) -> Vec<Bytes> {
    match answer {
        CallReply::Several(pieces, _) => pieces,
        CallReply::Here(body) => vec![body.into()],
        CallReply::Refused(why) => vec![why.body(Some(id)).into()],
        CallReply::Whole(answer) => match answer.around_id() {
            Some((before, after)) => vec![before, Bytes::copy_from_slice(id.as_bytes()), after],
            None => {
                let mut body = Vec::new();
                answer.write_to(id, &mut body);
                vec![body.into()]
            }
        },
        // It may not stream, so there is none.
        CallReply::Large(_) => vec![Refusal::AnswerTooLarge.body(Some(id)).into()],
    }
}

fn refused(why: &Refusal, id: Option<&str>, request_context: &RequestContext) -> Vec<Bytes> {
    request_context.refused(why);
    vec![why.body(id).into()]
}

/// Says no to each call of a request, so that the client that made it hears of it.
fn refuse_all(
    why: &Refusal,
    request: &RpcRequest<'_>,
    request_context: &RequestContext,
) -> Vec<Bytes> {
    request_context.refused(why);
    let no = |item: &RequestItem<'_>| match item {
        RequestItem::Call(call) => call.id.map(|id| why.body(Some(id))),
        RequestItem::Refused { id, why } => Some(why.body(*id)),
    };
    match request {
        RpcRequest::Single(item) => no(item).into_iter().map(Bytes::from).collect(),
        RpcRequest::Batch(items) => {
            let noes: Vec<String> = items.iter().filter_map(no).collect();
            if noes.is_empty() {
                return Vec::new();
            }
            vec![format!("[{}]", noes.join(",")).into()]
        }
    }
}

/// A subscription's news as a message, around the payload that all its clients share.
pub fn notification(subscription: &impl std::fmt::Display, result: Bytes) -> Vec<Bytes> {
    let opening = format!(
        r#"{{"jsonrpc":"2.0","method":"eth_subscription","params":{{"subscription":"{subscription}","result":"#
    );
    vec![opening.into(), result, Bytes::from_static(b"}}")]
}

//! The JSON-RPC endpoint: one request in, one answer out, by whatever version of HTTP.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;

use super::other_responses;
use crate::call::answer::{CallReply, ServedAnswer};
use crate::call::batch;
use crate::call::chains::Chains;
use crate::call::context::{CallContext, CallState};
use crate::call::policy::Policy;
use crate::call::request_context::RequestContext;
use crate::call::router;
use crate::client::body_stream::BodyStream;
use crate::client::compression;
use crate::client::downstream::{ClientGone, Downstream};
use crate::client::request_body::{self, MissingBody};
use crate::client::request_context;
use crate::client::request_head::{HeadOptions, RequestKind};
use crate::client::response::{ClientResponse, JSON, ResponseBody};
use crate::clock;
use crate::observe::metrics::ProcessMetrics;
use crate::shared::admission::Admission;
use forebay_core::rpc::envelope::{Call, RequestItem, RpcRequest};
use forebay_core::rpc::refusal::Refusal;

/// The client may take this long to take a piece of an answer.
pub const WRITE_TIME_MAX: Duration = Duration::from_secs(60);
/// A connection may be idle this long.
pub const IDLE_TIME_MAX: Duration = Duration::from_secs(75);
/// Calls wait this long for the first round. They come before it when a new process takes over.
pub const FIRST_ROUND_TIME_MAX: Duration = Duration::from_secs(10);
/// What is held of an answer that is passed on as it comes, about, in bytes.
const LARGE_BYTES: usize = 128 << 10;
/// The JSON-RPC endpoint.
pub struct Endpoint {
    pub chains: Arc<Chains>,
    /// For what comes before it is known for which chain it is.
    pub entry: Arc<Admission>,
    pub metrics: Arc<ProcessMetrics>,
    /// Whether answers are packed for clients that ask for it.
    pub packs: bool,
}

impl Endpoint {
    /// Answers a request, and counts it.
    ///
    /// # Errors
    /// The connection breaks here.
    pub async fn serve(&self, downstream: &mut impl Downstream) -> Result<(), ClientGone> {
        let _counted = self.metrics.begin_request();
        let head = downstream.head();
        let found = self.chains.find(head.chain(), head.host());
        let state = match (head.kind, found) {
            (RequestKind::Call, Ok(state)) => state,
            // On the heap, as all that is rare.
            (_, found) => return Box::pin(self.answer_other(downstream, found)).await,
        };
        // A request keeps the policy that it began with.
        let policy = state.policy.load_full();
        self.answer_call(downstream, &state, &policy).await
    }

    pub fn head_options(&self) -> HeadOptions {
        HeadOptions {
            packs: self.packs,
            hosts: self.chains.heed_hosts(),
        }
    }

    /// Refuses before it is known for which chain it is.
    ///
    /// # Errors
    /// The client is gone.
    pub async fn refuse_early(
        &self,
        downstream: &mut impl Downstream,
        why: Refusal,
    ) -> Result<(), ClientGone> {
        let state = self.chains.now().first().cloned().ok_or(ClientGone)?;
        let policy = state.policy.load_full();
        self.refuse(downstream, (&state, &policy), why).await
    }

    async fn refuse(
        &self,
        downstream: &mut impl Downstream,
        of_chain: (&CallState, &Policy),
        why: Refusal,
    ) -> Result<(), ClientGone> {
        downstream.close();
        let response = ClientResponse::refusal(&why, None).served_by("local", 0);
        self.send(downstream, response, of_chain).await?;
        downstream.let_go().await;
        Ok(())
    }

    async fn send(
        &self,
        downstream: &mut impl Downstream,
        response: ClientResponse<'_>,
        (state, policy): (&CallState, &Policy),
    ) -> Result<(), ClientGone> {
        let response = match self.packs {
            true => compression::pack(&state.admission, downstream.head(), response),
            false => response,
        };
        let (status, may_be_tried_again) = (response.status, response.may_be_tried_again);
        downstream.send(response, &policy.origins).await?;
        self.metrics.http_response(status);
        if may_be_tried_again {
            state.metrics.try_again_response();
        }
        Ok(())
    }

    async fn answer_other(
        &self,
        downstream: &mut impl Downstream,
        found: Result<Arc<CallState>, Refusal>,
    ) -> Result<(), ClientGone> {
        let head = downstream.head();
        let response = other_responses::response(
            (&self.chains, self.entry.is_leaving()),
            head,
            found.as_deref(),
        );
        request_body::drain(downstream).await;
        if !downstream.has_ended() {
            // The body isn't read on, for as long as the client dribbles.
            downstream.close();
        }
        // Pages of any chain may hear that there is none.
        let first = || self.chains.now().first().cloned();
        let state = found.ok().or_else(first).ok_or(ClientGone)?;
        let policy = state.policy.load_full();
        self.send(downstream, response, (&state, &policy)).await
    }

    async fn answer_call(
        &self,
        downstream: &mut impl Downstream,
        state: &Arc<CallState>,
        policy: &Policy,
    ) -> Result<(), ClientGone> {
        let arrived_at = clock::now();
        let admission = &state.admission;
        let bytes_max = policy.body_bytes_max;
        let address = downstream.head().client_address(&policy.proxies);
        let chain = &state.fleet.chain;
        let request_context =
            request_context::of_request(downstream, policy, address, arrived_at, chain);
        let of_chain = (&**state, policy, &request_context);
        if !downstream.settle(admission) {
            return self
                .refuse_call(downstream, of_chain, Refusal::OverCapacity)
                .await;
        }
        let counted = admission.caller(address);
        let head_bytes = downstream.head().kept_bytes();
        let permit = admission.enter(counted);
        let Some(mut permit) =
            permit.and_then(|mut permit| permit.hold(head_bytes).then_some(permit))
        else {
            return self
                .refuse_call(downstream, of_chain, Refusal::OverCapacity)
                .await;
        };
        if let Err(why) = request_body::judge_head(downstream.head(), bytes_max) {
            return self.refuse_call(downstream, of_chain, why).await;
        }
        if downstream.head().expects_continue() {
            downstream.send_continue().await?;
        }
        let body =
            match request_body::read_body(downstream, &mut permit, bytes_max, arrived_at).await {
                Ok(body) => body,
                Err(MissingBody::Refused(why)) => {
                    return self.refuse_call(downstream, of_chain, why).await;
                }
                Err(MissingBody::Gone) => return Err(ClientGone),
            };
        state.fleet.begin(FIRST_ROUND_TIME_MAX).await;
        let head = downstream.head();
        let bytes_max = policy.settings.calls.answer_bytes_max;
        let budget = admission.answer_budget(bytes_max);
        let context = CallContext {
            policy,
            arrived_at,
            bytes_max,
            // An answer that broke off would look whole to HTTP/1.0.
            may_stream: !head.is_http_1_0,
            // By the name that it gives itself, else by its address.
            client: state.recent_writes.client(head.client.as_deref(), address),
            answer_budget: &budget,
            request_context: &request_context,
            trace: None,
            pins: None,
            subscriber: None,
            turns: None,
            wants_fresh: head.wants_fresh && policy.settings.cache.heeds_no_cache,
            kept_before: 0,
        };
        let done = work(state, downstream, &body, context).await?;
        // The work is done: what is left holds no place, and no room but for as long as it waits.
        drop((permit, budget));
        let held = body.len() + done.response.body.bytes().unwrap_or(LARGE_BYTES);
        let node = done.node.as_deref().unwrap_or("local");
        let response = done.response.served_by(node, done.attempts);
        let response = response.come_by(request_context.trail.as_deref());
        let mut sending = pin!(self.send(downstream, response, (state, policy)));
        // Most are taken at once.
        if let Poll::Ready(sent) = poll_fn(|cx| Poll::Ready(sending.as_mut().poll(cx))).await {
            return sent;
        }
        let _unsent = admission.unsent(counted, held).ok_or(ClientGone)?;
        sending.await
    }

    async fn refuse_call(
        &self,
        downstream: &mut impl Downstream,
        (state, policy, request_context): (&CallState, &Policy, &RequestContext),
        why: Refusal,
    ) -> Result<(), ClientGone> {
        request_context.refused(&why);
        // On the heap, as all that is rare: the future of the many plain calls stays small.
        Box::pin(self.refuse(downstream, (state, policy), why)).await
    }
}

/// Carries a request out.
async fn work<'b>(
    state: &CallState,
    downstream: &mut impl Downstream,
    body: &'b Bytes,
    context: CallContext<'_>,
) -> Result<RequestOutcome<'b>, ClientGone> {
    // Not moved from here on: each copy is room that idle connections keep.
    let request = RpcRequest::read(body, context.policy.settings.calls.batch_calls_max);
    match &request {
        Err(why) => Ok(RequestOutcome::refused(why, None, context.request_context)),
        Ok(RpcRequest::Single(RequestItem::Refused { id, why })) => {
            Ok(RequestOutcome::refused(why, *id, context.request_context))
        }
        Ok(RpcRequest::Single(RequestItem::Call(call))) => {
            work_on_call(state, downstream, call, context).await
        }
        Ok(RpcRequest::Batch(items)) => {
            Box::pin(work_on_batch(state, downstream, items, context)).await
        }
    }
}

async fn work_on_batch<'b>(
    state: &CallState,
    downstream: &mut impl Downstream,
    items: &[RequestItem<'b>],
    context: CallContext<'_>,
) -> Result<RequestOutcome<'b>, ClientGone> {
    state.metrics.batch(items.len());
    let work = pin!(batch::serve(state, items, context));
    let served = while_client_stays(downstream, work).await?;
    Ok(RequestOutcome::of(state, None, served))
}

async fn work_on_call<'b>(
    state: &CallState,
    downstream: &mut impl Downstream,
    call: &Call<'b>,
    context: CallContext<'_>,
) -> Result<RequestOutcome<'b>, ClientGone> {
    let (planned, context) = router::plan(state, call, context);
    let served = match router::at_once(state, call, &planned, context) {
        Some(served) => served,
        None => {
            let work = pin!(router::carry_out(state, call, &planned, context));
            while_client_stays(downstream, work).await?
        }
    };
    Ok(RequestOutcome::of(state, call.id, served))
}

/// What came of a request.
struct RequestOutcome<'b> {
    response: ClientResponse<'b>,
    /// See [`ServedAnswer::node`].
    node: Option<Arc<str>>,
    attempts: usize,
}

impl<'b> RequestOutcome<'b> {
    /// `id`: the caller's; a batch has none of its own.
    fn of(state: &CallState, id: Option<&'b str>, served: ServedAnswer) -> RequestOutcome<'b> {
        let response = match (id, served.answer) {
            (_, CallReply::Several(pieces, _)) if pieces.is_empty() => ClientResponse::nothing(),
            (_, CallReply::Several(pieces, Some(why))) => {
                ClientResponse::refused(&why, ResponseBody::Pieces(pieces))
            }
            (_, CallReply::Several(pieces, None)) => {
                ClientResponse::new(200, JSON, ResponseBody::Pieces(pieces))
            }
            (None, _) => ClientResponse::nothing(),
            (Some(_), CallReply::Here(body)) => ClientResponse::text(200, JSON, body),
            (Some(id), CallReply::Whole(answer)) => {
                ClientResponse::new(200, JSON, ResponseBody::Whole(answer, id))
            }
            (id @ Some(_), CallReply::Refused(why)) => ClientResponse::refusal(&why, id),
            (Some(_), CallReply::Large(large)) => {
                ClientResponse::new(200, JSON, ResponseBody::Flow(BodyStream::Large(large)))
            }
        };
        RequestOutcome {
            response: response.cached(state.cache.is_some().then_some(served.cached)),
            node: served.node,
            attempts: served.attempts,
        }
    }

    fn refused(
        why: &Refusal,
        id: Option<&str>,
        request_context: &RequestContext,
    ) -> RequestOutcome<'b> {
        request_context.refused(why);
        RequestOutcome {
            response: ClientResponse::refusal(why, id),
            node: None,
            attempts: 0,
        }
    }
}

/// Goes on with `work` while the client is there. When it leaves, the work is dropped, and with it
/// the connections to nodes that it waits on. It stays where it is: its state is large to move.
async fn while_client_stays<T>(
    downstream: &mut impl Downstream,
    work: Pin<&mut impl Future<Output = T>>,
) -> Result<T, ClientGone> {
    tokio::select! {
        biased;
        done = work => Ok(done),
        gone = downstream.left() => Err(gone),
    }
}

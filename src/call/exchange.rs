//! An attempt of one call: it is sent to one node, and its answer read and judged. One of several calls is begun, counted
//! and settled by the same [`Attempt`]; only how its answer is read [differs](super::upstream_batch).
//!
//! Up to [`WHOLE_BYTES_MAX`] of an answer are read and judged before a byte of it goes to the
//! client: until then another node can still be asked. A larger one is committed to once its
//! result has begun, and then passed on as it comes.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::attempt::{Attempt, AttemptSpec};
use super::streamed_answer::{OpenAnswer, StreamedAnswer};
use crate::node::connection::BUFFER_BYTES;
use crate::node::reply::{BufferedBody, NodeResponse};
use crate::shared::answer_budget::{AnswerReservation, ReadReservation};
use crate::shared::fleet_state::FleetState;
use crate::shared::node_clients::Upstream;
use crate::shared::places::NodePlace;
use forebay_core::fleet::node_view::NodeView;
use forebay_core::rpc::answer::{AnswerFault, Splicer, unmarked};
use forebay_core::rpc::classify::{self, AttemptClass, Verdict};
use forebay_core::rpc::envelope::{UpstreamCallId, numbered};
use forebay_core::rpc::whole_answer::WholeAnswer;
use forebay_core::wire::trace::TraceParent;

/// An answer up to this length is read whole and judged.
pub const WHOLE_BYTES_MAX: usize = 64 << 10;
/// An error is read to its end up to this length.
const ERROR_BYTES_MAX: usize = 1 << 20;

/// What an attempt brought, beside its verdict. It is no answer to the call yet, and so no
/// [`CallReply`](super::answer::CallReply): it may be nothing, another node may be asked instead, and then its
/// room is given back.
pub enum AttemptContent<'a> {
    Nothing,
    /// With what it holds of its request's room beyond its first [`WHOLE_BYTES_MAX`].
    Whole(WholeAnswer, AnswerReservation<'a>),
    Large(Box<StreamedAnswer>),
    TooLarge,
}

impl AttemptContent<'_> {
    pub fn whole(&self) -> Option<&WholeAnswer> {
        match self {
            AttemptContent::Whole(answer, _) => Some(answer),
            AttemptContent::Nothing | AttemptContent::Large(_) | AttemptContent::TooLarge => None,
        }
    }

    /// The result, as far as it was read.
    pub fn result_start(&self) -> Option<&[u8]> {
        match self {
            AttemptContent::Whole(answer, _) => answer.result(),
            AttemptContent::Large(large) => large.result_start(),
            AttemptContent::Nothing | AttemptContent::TooLarge => None,
        }
    }
}

/// Asks `upstream` and learns from what it says. `place`: where it was given one; else the call is never
/// turned away.
pub async fn attempt<'a>(
    fleet: &Arc<FleetState>,
    (upstream, node): (&Arc<Upstream>, &NodeView),
    body: &[u8],
    wanted: &AttemptSpec<'a>,
    place: Option<NodePlace>,
) -> (Verdict, AttemptContent<'a>) {
    let place = place.unwrap_or_else(|| NodePlace::always(upstream, &node.load));
    let exchange = |trace| exchange(upstream, body, wanted, trace);
    let made = Attempt::make(fleet, (upstream, node), (place, 1), wanted, exchange);
    let (mut attempt, exchanged) = made.await;
    let exchanged = exchanged.unwrap_or(Err(Unread::Failed(AttemptClass::Timeout.into())));
    let (mut verdict, content) = match exchanged {
        Ok(ExchangeContent::Large(begun)) => {
            attempt.commit();
            let (begun, start) = *begun;
            let large = StreamedAnswer {
                begun,
                start: Some(start),
                bytes_max: wanted.bytes_max,
                fleet: fleet.clone(),
                attempt,
                entry: None,
                copy: None,
            };
            let content = AttemptContent::Large(Box::new(large));
            return (AttemptClass::Ok.into(), content);
        }
        Ok(ExchangeContent::Whole(verdict, answer, held)) => {
            (verdict, AttemptContent::Whole(answer, held))
        }
        Err(Unread::Failed(verdict)) => (verdict, AttemptContent::Nothing),
        Err(Unread::TooLarge) => (AttemptClass::TOO_LARGE.into(), AttemptContent::TooLarge),
    };
    let asked = (&**upstream, node);
    attempt.end([Some(&mut verdict)], fleet, asked).await;
    (verdict, content)
}

/// What an exchange brought.
enum ExchangeContent<'a> {
    Whole(Verdict, WholeAnswer, AnswerReservation<'a>),
    Large(Box<(OpenAnswer, Bytes)>),
}

/// Why an exchange brought no answer.
pub(super) enum Unread {
    Failed(Verdict),
    /// Longer than wanted, or than there is room for.
    TooLarge,
}

impl<V: Into<Verdict>> From<V> for Unread {
    fn from(verdict: V) -> Unread {
        Unread::Failed(verdict.into())
    }
}

/// Asks for one call: a large answer to it may be passed on as it comes.
async fn exchange<'a>(
    upstream: &Upstream,
    body: &[u8],
    wanted: &AttemptSpec<'a>,
    trace: Option<TraceParent>,
) -> Result<ExchangeContent<'a>, Unread> {
    let own = upstream.link.number(1);
    let mut digits = itoa::Buffer::new();
    let body = numbered(body, own.write(&mut digits));
    let sent = upstream.link.send(&body, wanted.reuse, trace.as_ref());
    let mut reply = sent.await.map_err(|fault| fault.class())?;
    match read_start(&mut reply, wanted).await? {
        BufferedBody::Whole(body) => judge(&mut reply, own, &body, wanted.answer_budget.attempt()),
        BufferedBody::More(start) => read_large(reply, own, start, wanted).await,
    }
}

/// Reads the start of an answer, and may find that it is too long. Once it is read it is the caller's to find
/// room for.
pub(super) async fn read_start(
    reply: &mut NodeResponse,
    wanted: &AttemptSpec<'_>,
) -> Result<BufferedBody, Unread> {
    let left = reply.bytes_left();
    if left.is_some_and(|left| left > wanted.bytes_max) {
        return Err(Unread::TooLarge);
    }
    let read = match left {
        Some(left) if left <= BUFFER_BYTES as u64 => reply.read_up_to(WHOLE_BYTES_MAX).await,
        Some(_) => {
            let _reading = room_to_read(wanted)?;
            reply.read_up_to(WHOLE_BYTES_MAX).await
        }
        // In chunks: how long it is will be seen.
        None => match reply.read_up_to(BUFFER_BYTES).await {
            Ok(BufferedBody::More(first)) => {
                let _reading = room_to_read(wanted)?;
                reply.read_on_up_to(first, WHOLE_BYTES_MAX).await
            }
            read => read,
        },
    };
    match read.map_err(|fault| fault.class())? {
        BufferedBody::Whole(start) | BufferedBody::More(start)
            if start.len() as u64 > wanted.bytes_max =>
        {
            Err(Unread::TooLarge)
        }
        start => Ok(start),
    }
}

/// For what is longer than most.
fn room_to_read<'a>(wanted: &AttemptSpec<'a>) -> Result<ReadReservation<'a>, Unread> {
    wanted
        .answer_budget
        .reading(WHOLE_BYTES_MAX)
        .ok_or(Unread::TooLarge)
}

/// Judges an answer that is there to its end.
fn judge<'a>(
    reply: &mut NodeResponse,
    own: UpstreamCallId,
    body: &Bytes,
    held: AnswerReservation<'a>,
) -> Result<ExchangeContent<'a>, Unread> {
    let judged = WholeAnswer::judge(body, reply.status, reply.retry_after, own);
    if !matches!(judged, Err((_, AnswerFault::WrongId))) {
        reply.keep();
    }
    let (verdict, whole) = judged.map_err(|(verdict, _)| verdict)?;
    Ok(ExchangeContent::Whole(verdict, whole, held))
}

async fn read_large<'a>(
    mut reply: NodeResponse,
    own: UpstreamCallId,
    start: Bytes,
    wanted: &AttemptSpec<'a>,
) -> Result<ExchangeContent<'a>, Unread> {
    if let Some(verdict) = classify::of_body(reply.status, reply.retry_after, &start) {
        return Err(verdict.into());
    }
    let start = unmarked(start);
    let mut splicer = Splicer::new(Bytes::copy_from_slice(wanted.id.as_bytes()), own);
    let mut ready = Vec::new();
    splicer.feed(&start, &mut ready)?;
    if splicer.has_result() && wanted.may_stream {
        let begun = OpenAnswer {
            reply,
            splicer,
            ready: ready.into_iter(),
            taken_bytes: start.len() as u64,
        };
        return Ok(ExchangeContent::Large(Box::new((begun, start))));
    }
    let bytes_max = usize::try_from(wanted.bytes_max).unwrap_or(usize::MAX);
    let bytes_max = match (splicer.has_result(), splicer.has_error()) {
        (true, _) => bytes_max,
        (false, true) => bytes_max.min(ERROR_BYTES_MAX),
        (false, false) => return Err(AttemptClass::BadAnswer.into()),
    };
    let mut held = wanted.answer_budget.attempt();
    // The first [`WHOLE_BYTES_MAX`] of it are the caller's to find room for.
    if !held.hold(start.len().saturating_sub(WHOLE_BYTES_MAX)) {
        return Err(Unread::TooLarge);
    }
    let whole = read_to_end(&mut reply, start, bytes_max, &mut held).await?;
    judge(&mut reply, own, &whole, held)
}

/// Reads an answer to its end, as long as there is room to hold it. What comes to nothing, or is given up,
/// gives its room back.
pub(super) async fn read_to_end(
    reply: &mut NodeResponse,
    start: Bytes,
    bytes_max: usize,
    held: &mut AnswerReservation<'_>,
) -> Result<Bytes, Unread> {
    let mut whole = BytesMut::from(start);
    while let Some(chunk) = reply.chunk().await.map_err(|fault| fault.class())? {
        if whole.len() + chunk.len() > bytes_max || !held.hold(chunk.len()) {
            return Err(Unread::TooLarge);
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.freeze())
}

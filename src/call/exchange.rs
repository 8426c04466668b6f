//! One attempt: one call to one node, and what came of it.
//!
//! Up to [`WHOLE_BYTES_MAX`] of an answer are read and judged before a byte of it goes to the
//! client: until then another node can still be asked. A larger one is committed to once its
//! result has begun, and then passed on as it comes.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::answer_copy::AnswerCopy;
use super::attempt::{Attempt, AttemptSpec};
use super::patience::in_time;
use crate::clock;
use crate::node::connection::BUFFER_BYTES;
use crate::node::fault::BodyFault;
use crate::node::reply::{BufferedBody, NodeResponse};
use crate::observe::access_log::AccessLogEntry;
use crate::observe::logs;
use crate::shared::answer_budget::{AnswerBudget, AnswerReservation};
use crate::shared::fleet_state::FleetState;
use crate::shared::node_clients::Upstream;
use crate::shared::places::NodePlace;
use forebay_core::call::doubts;
use forebay_core::fleet::node_view::NodeView;
use forebay_core::json::scanner;
use forebay_core::rpc::answer::{Answer, AnswerFault, Outcome, Splicer, unmarked};
use forebay_core::rpc::classify::{self, AttemptClass, Blame, Rejection, Verdict};
use forebay_core::rpc::envelope::{UpstreamCallId, numbered};
use forebay_core::rpc::whole_answer::{WholeAnswer, is_sparse};
use forebay_core::wire::trace::TraceParent;

/// An answer up to this length is read whole and judged.
pub const WHOLE_BYTES_MAX: usize = 64 << 10;
/// An error is read to its end up to this length.
const ERROR_BYTES_MAX: usize = 1 << 20;

/// What an attempt brought, beside its class.
pub enum AttemptContent<'a> {
    Nothing,
    /// With what it holds of its request's room beyond its first [`WHOLE_BYTES_MAX`].
    Whole(WholeAnswer, AnswerReservation<'a>),
    Large(Box<StreamedAnswer>),
    TooLarge,
}

/// An answer that is passed on as it comes.
pub struct StreamedAnswer {
    begun: OpenAnswer,
    /// As it came, until it goes out.
    start: Option<Bytes>,
    bytes_max: u64,
    pool: Arc<FleetState>,
    attempt: Attempt,
    /// The call's line in the log, where it gets one.
    pub entry: Option<Box<AccessLogEntry>>,
    /// What is to be kept of it.
    pub copy: Option<Box<AnswerCopy>>,
}

/// An answer whose start has been read.
struct OpenAnswer {
    reply: NodeResponse,
    splicer: Splicer,
    /// Pieces for the client.
    ready: std::vec::IntoIter<Bytes>,
    taken_bytes: u64,
}

/// The node sent no more of an answer that was being passed on, or something that is none.
#[derive(Debug)]
pub struct BrokenAnswer;

/// A node may be silent this long in the middle of an answer.
const SILENCE_MAX: Duration = Duration::from_secs(30);

impl StreamedAnswer {
    /// The start of the result, as far as it was read; `None` once it goes out.
    pub fn result_start(&self) -> Option<&[u8]> {
        let start = self.start.as_ref()?;
        let open = scanner::skip_space(start, 0);
        start.get(scanner::member_start(start, open, b"\"result\"")?..)
    }

    /// The next piece for the client; `None` at the end. Only then is it known what the attempt
    /// came to.
    ///
    /// # Errors
    /// The answer breaks off here: the client's connection must break, too.
    pub async fn next(&mut self) -> Result<Option<Bytes>, BrokenAnswer> {
        self.start = None;
        let piece = self.next_piece().await;
        let class = match piece {
            Ok(Some(piece)) => {
                if let Some(entry) = &mut self.entry {
                    entry.sent(piece.len());
                }
                self.copy.take_if(|copy| !copy.takes(&piece));
                return Ok(Some(piece));
            }
            Ok(None) => AttemptClass::Ok,
            Err(class) => class,
        };
        if let Some(entry) = &mut self.entry {
            entry.streamed(class == AttemptClass::Ok);
        }
        let _ = self.attempt.settle(&mut class.into());
        if class == AttemptClass::Ok {
            if let Some(copy) = self.copy.take() {
                copy.finish();
            }
            return Ok(None);
        }
        if doubts::is_doubtful(class)
            && let Some(sentence) = self.attempt.broke_off()
        {
            self.pool
                .sentence(self.attempt.upstream().id, sentence, "")
                .await;
        }
        Err(BrokenAnswer)
    }

    async fn next_piece(&mut self) -> Result<Option<Bytes>, AttemptClass> {
        let begun = &mut self.begun;
        loop {
            if let Some(piece) = begun.ready.find(|piece| !piece.is_empty()) {
                return Ok(Some(piece));
            }
            let chunk = tokio::time::timeout(SILENCE_MAX, begun.reply.chunk()).await;
            let chunk = chunk.map_err(|_| AttemptClass::Timeout)?;
            let Some(chunk) = chunk.map_err(|fault| fault.class())? else {
                begun
                    .splicer
                    .finish()
                    .map_err(|_| AttemptClass::BadAnswer)?;
                begun.reply.keep();
                return Ok(None);
            };
            begun.taken_bytes += chunk.len() as u64;
            if begun.taken_bytes > self.bytes_max {
                return Err(AttemptClass::RpcError);
            }
            let mut pieces = Vec::with_capacity(3);
            let fed = begun.splicer.feed(&chunk, &mut pieces);
            fed.map_err(|_| AttemptClass::BadAnswer)?;
            begun.ready = pieces.into_iter();
        }
    }
}

/// Asks `upstream` and learns from what it says. `place`: where it was given one; else the call is never
/// turned away.
pub async fn attempt<'a>(
    pool: &Arc<FleetState>,
    (upstream, node): (&Arc<Upstream>, &NodeView),
    body: &[u8],
    wanted: &AttemptSpec<'a>,
    place: Option<NodePlace>,
) -> (Verdict, AttemptContent<'a>) {
    let place = place.unwrap_or_else(|| NodePlace::always(upstream, &node.load));
    let mut attempt = Attempt::begin(place, wanted.trace.as_ref(), wanted.following);
    attempt.may_be_held_back = wanted.may_be_held_back;
    let trace = attempt.told(wanted.trace.as_ref());
    let exchanged = pin!(exchange(upstream, body, wanted, trace));
    let began_at = attempt.began_at();
    let exchanged = in_time(pool, (upstream, node), wanted, began_at, exchanged).await;
    let (mut verdict, found) =
        exchanged.unwrap_or((AttemptClass::Timeout.into(), ExchangeContent::Nothing));
    let content = match found {
        ExchangeContent::Large(begun) => {
            attempt.commit();
            let (begun, start) = *begun;
            let large = StreamedAnswer {
                begun,
                start: Some(start),
                bytes_max: wanted.bytes_max,
                pool: pool.clone(),
                attempt,
                entry: None,
                copy: None,
            };
            return (verdict, AttemptContent::Large(Box::new(large)));
        }
        ExchangeContent::Nothing => AttemptContent::Nothing,
        ExchangeContent::Whole(answer, held) => AttemptContent::Whole(answer, held),
        ExchangeContent::TooLarge => AttemptContent::TooLarge,
    };
    if let Some(sentence) = attempt.settle(&mut verdict) {
        pool.sentence(upstream.id, sentence, "").await;
    }
    rest(pool, upstream, node, verdict).await;
    (verdict, content)
}

/// Leaves a node alone that asked for it.
pub(crate) async fn rest(
    pool: &FleetState,
    upstream: &Upstream,
    node: &NodeView,
    verdict: Verdict,
) {
    if let Some(shut) = verdict.shut() {
        alarm(upstream, node, shut);
    }
    if let Blame::Rest(rest) = verdict.blame() {
        pool.throttle(upstream.id, rest, verdict.shut()).await;
    }
}

/// Somebody has to see to it: said once for each rest of the node.
fn alarm(upstream: &Upstream, node: &NodeView, shut: Rejection) {
    upstream.metrics.refused(shut);
    if !node.standing.rests(clock::now()) {
        let what = match shut {
            Rejection::Quota => "says that its quota is used up, or not paid for",
            Rejection::Auth => "refuses our credentials",
        };
        logs::of_chain(upstream.metrics.chain(), || {
            log::warn!(
                "node {} {what}: look at its key and plan",
                upstream.spec.name
            );
        });
    }
}

enum ExchangeContent<'a> {
    Nothing,
    Whole(WholeAnswer, AnswerReservation<'a>),
    Large(Box<(OpenAnswer, Bytes)>),
    TooLarge,
}

async fn exchange<'a>(
    upstream: &Upstream,
    body: &[u8],
    wanted: &AttemptSpec<'a>,
    trace: Option<TraceParent>,
) -> (Verdict, ExchangeContent<'a>) {
    let own = upstream.link.number(1);
    let mut digits = itoa::Buffer::new();
    let body = numbered(body, own.write(&mut digits));
    let sent = upstream.link.send(&body, wanted.reuse, trace.as_ref());
    match sent.await {
        Ok(reply) => read(reply, own, wanted).await,
        Err(fault) => (fault.class().into(), ExchangeContent::Nothing),
    }
}

async fn read<'a>(
    mut reply: NodeResponse,
    own: UpstreamCallId,
    wanted: &AttemptSpec<'a>,
) -> (Verdict, ExchangeContent<'a>) {
    if reply
        .bytes_left()
        .is_some_and(|length| length > wanted.bytes_max)
    {
        return (AttemptClass::RpcError.into(), ExchangeContent::TooLarge);
    }
    let Some(start) = read_start(&mut reply, wanted.room).await else {
        return (AttemptClass::RpcError.into(), ExchangeContent::TooLarge);
    };
    match start {
        Err(fault) => (fault.class().into(), ExchangeContent::Nothing),
        // In chunks, it didn't say how long it would be.
        Ok(BufferedBody::Whole(start) | BufferedBody::More(start))
            if start.len() as u64 > wanted.bytes_max =>
        {
            (AttemptClass::RpcError.into(), ExchangeContent::TooLarge)
        }
        Ok(BufferedBody::Whole(body)) => judge(&mut reply, own, &body, wanted.room.attempt()),
        Ok(BufferedBody::More(start)) => read_large(reply, own, start, wanted).await,
    }
}

/// Reads the start of an answer; `None` where it is longer than most and there is no room for that. Once
/// it is read it is the caller's to find room for.
pub(crate) async fn read_start(
    reply: &mut NodeResponse,
    room: &AnswerBudget<'_>,
) -> Option<Result<BufferedBody, BodyFault>> {
    let left = reply.bytes_left();
    let first = match left {
        Some(left) if left > BUFFER_BYTES as u64 => None,
        Some(_) => return Some(reply.read_up_to(WHOLE_BYTES_MAX).await),
        // In chunks: how long it is will be seen.
        None => match reply.read_up_to(BUFFER_BYTES).await {
            Ok(BufferedBody::More(first)) => Some(first),
            read => return Some(read),
        },
    };
    let _reading = room.reading(WHOLE_BYTES_MAX)?;
    Some(match first {
        None => reply.read_up_to(WHOLE_BYTES_MAX).await,
        Some(first) => reply.read_on_up_to(first, WHOLE_BYTES_MAX).await,
    })
}

/// Judges an answer that is there to its end.
fn judge<'a>(
    reply: &mut NodeResponse,
    own: UpstreamCallId,
    body: &Bytes,
    held: AnswerReservation<'a>,
) -> (Verdict, ExchangeContent<'a>) {
    let (status, retry_after) = (reply.status, reply.retry_after);
    let read = Answer::read(body, own);
    if !matches!(read, Err(AnswerFault::WrongId)) {
        reply.keep();
    }
    let answer = match read {
        Ok(answer) => answer,
        Err(bad) => {
            let by_body = classify::of_body(status, retry_after, body);
            return (by_body.unwrap_or(bad.into()), ExchangeContent::Nothing);
        }
    };
    // What it says before the status that it says it with.
    let verdict = match &answer.outcome {
        Outcome::Result(_) => AttemptClass::Ok.into(),
        Outcome::Error(error) => classify::of_error(error, status, retry_after),
    };
    let whole = WholeAnswer::new(body, &answer);
    let whole = if is_sparse(body.len(), whole.bytes()) {
        whole.apart()
    } else {
        whole
    };
    (verdict, ExchangeContent::Whole(whole, held))
}

async fn read_large<'a>(
    reply: NodeResponse,
    own: UpstreamCallId,
    start: Bytes,
    wanted: &AttemptSpec<'a>,
) -> (Verdict, ExchangeContent<'a>) {
    if let Some(verdict) = classify::of_body(reply.status, reply.retry_after, &start) {
        return (verdict, ExchangeContent::Nothing);
    }
    let start = unmarked(start);
    let mut splicer = Splicer::new(Bytes::copy_from_slice(wanted.id.as_bytes()), own);
    let mut ready = Vec::new();
    let fed = splicer.feed(&start, &mut ready);
    if let Err(bad) = fed {
        return (bad.into(), ExchangeContent::Nothing);
    }
    if splicer.has_result() && wanted.may_stream {
        let begun = OpenAnswer {
            reply,
            splicer,
            ready: ready.into_iter(),
            taken_bytes: start.len() as u64,
        };
        return (
            AttemptClass::Ok.into(),
            ExchangeContent::Large(Box::new((begun, start))),
        );
    }
    let bytes_max = usize::try_from(wanted.bytes_max).unwrap_or(usize::MAX);
    let bytes_max = match (splicer.has_result(), splicer.has_error()) {
        (true, _) => bytes_max,
        (false, true) => bytes_max.min(ERROR_BYTES_MAX),
        (false, false) => return (AttemptClass::BadAnswer.into(), ExchangeContent::Nothing),
    };
    read_on((reply, own), start, bytes_max, wanted.room.attempt()).await
}

/// Reads an answer to its end, as long as there is room to hold it. The first
/// [`WHOLE_BYTES_MAX`] of it are the caller's to find room for. What comes to nothing, or is given
/// up, gives its room back.
async fn read_on(
    (mut reply, own): (NodeResponse, UpstreamCallId),
    start: Bytes,
    bytes_max: usize,
    mut held: AnswerReservation<'_>,
) -> (Verdict, ExchangeContent<'_>) {
    let too_large = || (AttemptClass::RpcError.into(), ExchangeContent::TooLarge);
    if !held.hold(start.len().saturating_sub(WHOLE_BYTES_MAX)) {
        return too_large();
    }
    let mut whole = BytesMut::from(start);
    loop {
        let chunk = match reply.chunk().await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => return judge(&mut reply, own, &whole.freeze(), held),
            Err(fault) => return (fault.class().into(), ExchangeContent::Nothing),
        };
        if whole.len() + chunk.len() > bytes_max || !held.hold(chunk.len()) {
            return too_large();
        }
        whole.extend_from_slice(&chunk);
    }
}

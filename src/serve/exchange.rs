//! One attempt: one call to one node, and what came of it.
//!
//! Up to [`WHOLE_BYTES_MAX`] of an answer are read and judged before a byte of it goes to the
//! client: until then another node can still be asked. A larger one is committed to once its
//! result has begun, and then passed on as it comes.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::attempt::Attempt;
use super::patience::in_time;
use super::trail::Following;
use crate::clock;
use crate::domain::answer::{Answer, BadAnswer, Outcome, Splicer, unmarked};
use crate::domain::doubts;
use crate::domain::fleet::NodeView;
use crate::domain::json;
use crate::domain::jsonrpc::{OwnId, numbered};
use crate::domain::trace::{Trace, TraceParent};
use crate::domain::verdict::{self, Blame, Class, Shut, Verdict};
use crate::domain::whole::{Whole, is_sparse};
use crate::state::places::Place;
use crate::state::pool::Pool;
use crate::state::room::{Held, Room};
use crate::state::upstreams::Upstream;
use crate::telemetry::calls::Entry;
use crate::upstream::connection::BUFFER_BYTES;
use crate::upstream::fault::BodyFault;
use crate::upstream::link::Reuse;
use crate::upstream::reply::{Filled, Reply};

/// An answer up to this length is read whole and judged.
pub const WHOLE_BYTES_MAX: usize = 64 << 10;
/// An error is read to its end up to this length.
const ERROR_BYTES_MAX: usize = 1 << 20;
/// What an attempt is to bring.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// The caller's id, put in place of ours.
    pub id: &'a str,
    /// The longest answer.
    pub bytes_max: u64,
    /// Whether a large answer may be passed on as it comes, or must be held whole.
    pub may_stream: bool,
    /// For what is held of a large answer that may not stream.
    pub room: &'a Room<'a>,
    /// What the attempt is a part of.
    pub trace: Option<Trace>,
    /// Where its client is told of it.
    pub following: Option<Following<'a>>,
    pub reuse: Reuse,
    pub until: Instant,
    /// Whether the attempt ends when its node falls out.
    pub may_move: bool,
    /// Whether the node may take its time, as long as it answers others.
    pub may_be_held_back: bool,
}

/// What an attempt brought, beside its class.
pub enum Content<'a> {
    Nothing,
    /// With what it holds of its request's room beyond its first [`WHOLE_BYTES_MAX`].
    Whole(Whole, Held<'a>),
    Large(Box<Large>),
    TooLarge,
}

/// An answer that is passed on as it comes.
pub struct Large {
    begun: Begun,
    /// As it came, until it goes out.
    start: Option<Bytes>,
    bytes_max: u64,
    pool: Arc<Pool>,
    attempt: Attempt,
    /// The call's line in the log, where it gets one.
    pub entry: Option<Box<Entry>>,
}

/// An answer whose start has been read.
struct Begun {
    reply: Reply,
    splicer: Splicer,
    /// Pieces for the client.
    ready: std::vec::IntoIter<Bytes>,
    taken_bytes: u64,
}

/// The node sent no more of an answer that was being passed on, or something that is none.
#[derive(Debug)]
pub struct Broken;

/// A node may be silent this long in the middle of an answer.
const SILENCE_MAX: Duration = Duration::from_secs(30);

impl Large {
    /// The start of the result, as far as it was read; `None` once it goes out.
    pub fn result_start(&self) -> Option<&[u8]> {
        let start = self.start.as_ref()?;
        let open = json::skip_space(start, 0);
        start.get(json::member_start(start, open, b"\"result\"")?..)
    }

    /// The next piece for the client; `None` at the end. Only then is it known what the attempt
    /// came to.
    ///
    /// # Errors
    /// The answer breaks off here: the client's connection must break, too.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        self.start = None;
        let piece = self.next_piece().await;
        let class = match piece {
            Ok(Some(piece)) => {
                if let Some(entry) = &mut self.entry {
                    entry.sent(piece.len());
                }
                return Ok(Some(piece));
            }
            Ok(None) => Class::Ok,
            Err(class) => class,
        };
        if let Some(entry) = &mut self.entry {
            entry.streamed(class == Class::Ok);
        }
        let _ = self.attempt.settle(&mut class.into());
        if class == Class::Ok {
            return Ok(None);
        }
        if doubts::is_doubtful(class)
            && let Some(sentence) = self.attempt.broke_off()
        {
            self.pool
                .sentence(self.attempt.upstream().id, sentence, "")
                .await;
        }
        Err(Broken)
    }

    async fn next_piece(&mut self) -> Result<Option<Bytes>, Class> {
        let begun = &mut self.begun;
        loop {
            if let Some(piece) = begun.ready.find(|piece| !piece.is_empty()) {
                return Ok(Some(piece));
            }
            let chunk = tokio::time::timeout(SILENCE_MAX, begun.reply.chunk()).await;
            let chunk = chunk.map_err(|_| Class::Timeout)?;
            let Some(chunk) = chunk.map_err(|fault| fault.class())? else {
                begun.splicer.finish().map_err(|_| Class::BadAnswer)?;
                begun.reply.keep();
                return Ok(None);
            };
            begun.taken_bytes += chunk.len() as u64;
            if begun.taken_bytes > self.bytes_max {
                return Err(Class::RpcError);
            }
            let mut pieces = Vec::with_capacity(3);
            let fed = begun.splicer.feed(&chunk, &mut pieces);
            fed.map_err(|_| Class::BadAnswer)?;
            begun.ready = pieces.into_iter();
        }
    }
}

/// Asks `upstream` and learns from what it says. `place`: where it was given one; else the call is never
/// turned away.
pub async fn attempt<'a>(
    pool: &Arc<Pool>,
    upstream: &Arc<Upstream>,
    node: &NodeView,
    body: &[u8],
    wanted: &Wanted<'a>,
    place: Option<Place>,
) -> (Verdict, Content<'a>) {
    let place = place.unwrap_or_else(|| Place::always(upstream, &node.load));
    let mut attempt = Attempt::begin(place, wanted.trace.as_ref(), wanted.following);
    attempt.may_be_held_back = wanted.may_be_held_back;
    let trace = attempt.told(wanted.trace.as_ref());
    let exchanged = pin!(exchange(upstream, body, wanted, trace));
    let began_at = attempt.began_at();
    let exchanged = in_time(pool, (upstream, node), wanted, began_at, exchanged).await;
    let (mut verdict, found) = exchanged.unwrap_or((Class::Timeout.into(), Found::Nothing));
    let content = match found {
        Found::Large(begun) => {
            attempt.commit();
            let (begun, start) = *begun;
            let large = Large {
                begun,
                start: Some(start),
                bytes_max: wanted.bytes_max,
                pool: pool.clone(),
                attempt,
                entry: None,
            };
            return (verdict, Content::Large(Box::new(large)));
        }
        Found::Nothing => Content::Nothing,
        Found::Whole(answer, held) => Content::Whole(answer, held),
        Found::TooLarge => Content::TooLarge,
    };
    if let Some(sentence) = attempt.settle(&mut verdict) {
        pool.sentence(upstream.id, sentence, "").await;
    }
    rest(pool, upstream, node, verdict).await;
    (verdict, content)
}

/// Leaves a node alone that asked for it.
pub(super) async fn rest(pool: &Pool, upstream: &Upstream, node: &NodeView, verdict: Verdict) {
    if let Some(shut) = verdict.shut() {
        alarm(upstream, node, shut);
    }
    if let Blame::Rest(rest) = verdict.blame() {
        pool.throttle(upstream.id, rest, verdict.shut()).await;
    }
}

/// Somebody has to see to it: said once for each rest of the node.
fn alarm(upstream: &Upstream, node: &NodeView, shut: Shut) {
    upstream.metrics.refused(shut);
    if !node.standing.rests(clock::now()) {
        let what = match shut {
            Shut::Quota => "says that its quota is used up, or not paid for",
            Shut::Auth => "refuses our credentials",
        };
        log::warn!(
            "node {} {what}: look at its key and plan",
            upstream.spec.name
        );
    }
}

enum Found<'a> {
    Nothing,
    Whole(Whole, Held<'a>),
    Large(Box<(Begun, Bytes)>),
    TooLarge,
}

async fn exchange<'a>(
    upstream: &Upstream,
    body: &[u8],
    wanted: &Wanted<'a>,
    trace: Option<TraceParent>,
) -> (Verdict, Found<'a>) {
    let own = upstream.link.number(1);
    let mut digits = itoa::Buffer::new();
    let body = numbered(body, own.write(&mut digits));
    let sent = upstream.link.send(&body, wanted.reuse, trace.as_ref());
    match sent.await {
        Ok(reply) => read(reply, own, wanted).await,
        Err(fault) => (fault.class().into(), Found::Nothing),
    }
}

async fn read<'a>(mut reply: Reply, own: OwnId, wanted: &Wanted<'a>) -> (Verdict, Found<'a>) {
    if reply
        .bytes_left()
        .is_some_and(|length| length > wanted.bytes_max)
    {
        return (Class::RpcError.into(), Found::TooLarge);
    }
    let Some(start) = read_start(&mut reply, wanted.room).await else {
        return (Class::RpcError.into(), Found::TooLarge);
    };
    match start {
        Err(fault) => (fault.class().into(), Found::Nothing),
        // In chunks, it didn't say how long it would be.
        Ok(Filled::Whole(start) | Filled::More(start)) if start.len() as u64 > wanted.bytes_max => {
            (Class::RpcError.into(), Found::TooLarge)
        }
        Ok(Filled::Whole(body)) => judge(&mut reply, own, &body, wanted.room.attempt()),
        Ok(Filled::More(start)) => read_large(reply, own, start, wanted).await,
    }
}

/// Reads the start of an answer; `None` where it is longer than most and there is no room for that. Once
/// it is read it is the caller's to find room for.
pub(super) async fn read_start(
    reply: &mut Reply,
    room: &Room<'_>,
) -> Option<Result<Filled, BodyFault>> {
    let left = reply.bytes_left();
    let first = match left {
        Some(left) if left > BUFFER_BYTES as u64 => None,
        Some(_) => return Some(reply.read_up_to(WHOLE_BYTES_MAX).await),
        // In chunks: how long it is will be seen.
        None => match reply.read_up_to(BUFFER_BYTES).await {
            Ok(Filled::More(first)) => Some(first),
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
fn judge<'a>(reply: &mut Reply, own: OwnId, body: &Bytes, held: Held<'a>) -> (Verdict, Found<'a>) {
    let (status, retry_after) = (reply.status, reply.retry_after);
    let read = Answer::read(body, own);
    if !matches!(read, Err(BadAnswer::WrongId)) {
        reply.keep();
    }
    let answer = match read {
        Ok(answer) => answer,
        Err(bad) => {
            let by_body = verdict::of_body(status, retry_after, body);
            return (by_body.unwrap_or(bad.into()), Found::Nothing);
        }
    };
    // What it says before the status that it says it with.
    let verdict = match &answer.outcome {
        Outcome::Result(_) => Class::Ok.into(),
        Outcome::Error(error) => verdict::of_error(error, status, retry_after),
    };
    let whole = Whole::new(body, &answer);
    let whole = if is_sparse(body.len(), whole.bytes()) {
        whole.apart()
    } else {
        whole
    };
    (verdict, Found::Whole(whole, held))
}

async fn read_large<'a>(
    reply: Reply,
    own: OwnId,
    start: Bytes,
    wanted: &Wanted<'a>,
) -> (Verdict, Found<'a>) {
    if let Some(verdict) = verdict::of_body(reply.status, reply.retry_after, &start) {
        return (verdict, Found::Nothing);
    }
    let start = unmarked(start);
    let mut splicer = Splicer::new(Bytes::copy_from_slice(wanted.id.as_bytes()), own);
    let mut ready = Vec::new();
    let fed = splicer.feed(&start, &mut ready);
    if let Err(bad) = fed {
        return (bad.into(), Found::Nothing);
    }
    if splicer.has_result() && wanted.may_stream {
        let begun = Begun {
            reply,
            splicer,
            ready: ready.into_iter(),
            taken_bytes: start.len() as u64,
        };
        return (Class::Ok.into(), Found::Large(Box::new((begun, start))));
    }
    let bytes_max = usize::try_from(wanted.bytes_max).unwrap_or(usize::MAX);
    let bytes_max = match (splicer.has_result(), splicer.has_error()) {
        (true, _) => bytes_max,
        (false, true) => bytes_max.min(ERROR_BYTES_MAX),
        (false, false) => return (Class::BadAnswer.into(), Found::Nothing),
    };
    read_on((reply, own), start, bytes_max, wanted.room.attempt()).await
}

/// Reads an answer to its end, as long as there is room to hold it. The first
/// [`WHOLE_BYTES_MAX`] of it are the caller's to find room for. What comes to nothing, or is given
/// up, gives its room back.
async fn read_on(
    (mut reply, own): (Reply, OwnId),
    start: Bytes,
    bytes_max: usize,
    mut held: Held<'_>,
) -> (Verdict, Found<'_>) {
    let too_large = || (Class::RpcError.into(), Found::TooLarge);
    if !held.hold(start.len().saturating_sub(WHOLE_BYTES_MAX)) {
        return too_large();
    }
    let mut whole = BytesMut::from(start);
    loop {
        let chunk = match reply.chunk().await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => return judge(&mut reply, own, &whole.freeze(), held),
            Err(fault) => return (fault.class().into(), Found::Nothing),
        };
        if whole.len() + chunk.len() > bytes_max || !held.hold(chunk.len()) {
            return too_large();
        }
        whole.extend_from_slice(&chunk);
    }
}

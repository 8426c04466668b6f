//! One connection: its requests one after another, each head and body in its time.

use std::future::pending;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use pingora::protocols::Stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::input_buffer::{InputBuffer, READ_BYTES};
use super::silence::{QUIET_TIME_MAX, SilentConnection};
use crate::call::timer::{DeadlineExceeded, Timer};
use crate::client::downstream::{ClientGone, Downstream, RequestBodyError};
use crate::client::endpoint::{Endpoint, IDLE_TIME_MAX};
use crate::client::http1::head::{Http1Head, Http1HeadReader};
use crate::client::replay::Replay;
use crate::client::request_body::{DRAIN_BYTES_MAX, DRAIN_TIME_MAX, PIECE_BYTES_MAX};
use crate::client::request_head::RequestHead;
use crate::client::response::ClientResponse;
use crate::clock;
use crate::node::body::BodyReader;
use crate::node::response_head::ResponseFraming;
use crate::shared::admission::{Admission, HeldBytes};
use crate::shared::chain_connection::ChainConnection;
use forebay_core::rpc::refusal::Refusal;
use forebay_core::wire::cors::CorsPolicy;
use forebay_core::wire::framing::BodyExtent;
use forebay_core::wire::http2_frames::HEAD_TIME_MAX;

/// While an answer is awaited, requests that follow are taken in up to about this many bytes: they
/// aren't counted. TCP holds back the rest.
const AHEAD_BYTES_MAX: usize = READ_BYTES;
/// A head up to this length isn't counted.
const HEAD_BYTES_FREE: usize = 4 << 10;
/// A body up to this length comes in one piece.
const GATHERED_BYTES_MAX: u64 = PIECE_BYTES_MAX as u64;
/// What is read at once of a body whose length isn't known.
const CHUNKED_READ_BYTES: usize = 16 << 10;
/// What a client that speaks HTTP/2 without TLS begins with (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// RFC 9110 §15.2.1.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A client's connection, and the request at hand.
pub struct Http1Session<'e> {
    pub(super) endpoint: &'e Endpoint,
    pub(super) stream: Stream,
    input: InputBuffer,
    pub(super) output: Vec<u8>,
    pub(super) timer: Timer,
    address: Option<IpAddr>,
    /// Whether it may turn out to speak HTTP/2.
    may_be_http2: bool,
    pub(super) head: RequestHead,
    body: BodyReader,
    pub(super) keeps: bool,
    /// Among those of the chain that it called last.
    place: Option<ChainConnection>,
}

/// What comes next on a connection.
pub enum SessionStep {
    /// A request, that the session now is about.
    Request,
    /// Something that is none; nothing can follow it.
    Refused(Refusal),
    Http2,
    Websocket(Box<http::Request<()>>),
    /// Nothing for a while.
    Silence,
    /// Nothing any more.
    Over,
}

impl<'e> Http1Session<'e> {
    /// Of a client that was `heard` to say something.
    pub fn new(
        silent: SilentConnection,
        heard: BytesMut,
        address: Option<IpAddr>,
        endpoint: &'e Endpoint,
    ) -> Http1Session<'e> {
        Http1Session {
            endpoint,
            address,
            may_be_http2: silent.may_be_http2,
            stream: silent.stream,
            input: InputBuffer::from(heard),
            output: Vec::new(),
            timer: silent.timer,
            head: RequestHead::default(),
            body: BodyReader::Ended,
            keeps: true,
            place: silent.place,
        }
    }

    /// Nothing is held for a next request, until it comes.
    pub fn into_silent(self) -> SilentConnection {
        SilentConnection {
            stream: self.stream,
            timer: self.timer,
            may_be_http2: self.may_be_http2,
            place: self.place,
            time_left: IDLE_TIME_MAX.saturating_sub(QUIET_TIME_MAX),
        }
    }

    /// Whether another request may come.
    pub fn keeps(&self) -> bool {
        self.keeps && self.body.is_ended()
    }

    /// The connection, for code that speaks another protocol.
    pub fn into_replay(self) -> Replay {
        Replay::new(self.stream, self.input.bytes)
    }

    /// Waits for the next request's head.
    pub async fn next(&mut self) -> SessionStep {
        let mut reader = Http1HeadReader::default();
        let mut deadline = None;
        let admission = &self.endpoint.entry;
        // A long head counts as it comes.
        let mut held: Option<HeldBytes<'_>> = None;
        loop {
            let bytes = self.input.bytes.len();
            if bytes > HEAD_BYTES_FREE {
                held = held.or_else(|| admission.load(0));
                if !held.as_mut().is_some_and(|held| held.grow(bytes)) {
                    return self.refused(Refusal::OverCapacity);
                }
            }
            if !self.input.bytes.is_empty() {
                if self.may_be_http2 && PREFACE.starts_with(self.preface()) {
                    if self.input.bytes.len() >= PREFACE.len() {
                        return SessionStep::Http2;
                    }
                } else {
                    reader.options = self.endpoint.head_options();
                    match reader.take(&mut self.input.bytes) {
                        Ok(Some(head)) => return self.begin(head),
                        // It was no more than an empty line.
                        Ok(None) if self.input.bytes.is_empty() => deadline = None,
                        Ok(None) => {}
                        Err(why) => return self.refused(why),
                    }
                }
            }
            let read = if self.input.bytes.is_empty() && deadline.is_none() {
                self.rest();
                self.fill_within(QUIET_TIME_MAX).await
            } else {
                let until = *deadline.get_or_insert_with(|| clock::now() + HEAD_TIME_MAX);
                self.fill(until, READ_BYTES).await
            };
            match read {
                Ok(Ok(())) => {}
                Err(DeadlineExceeded) if deadline.is_some() => {
                    return self.refused(Refusal::HeadTooSlow);
                }
                Err(DeadlineExceeded) => return SessionStep::Silence,
                Ok(Err(ClientGone)) => return SessionStep::Over,
            }
        }
    }

    fn preface(&self) -> &[u8] {
        let bytes = &self.input.bytes;
        &bytes[..bytes.len().min(PREFACE.len())]
    }

    fn begin(&mut self, head: Http1Head) -> SessionStep {
        self.may_be_http2 = false;
        if let Some(head) = head.websocket {
            return SessionStep::Websocket(head);
        }
        self.head = head.request;
        self.head.address = self.address;
        self.keeps = head.keeps;
        self.body = BodyReader::new(match head.extent {
            BodyExtent::Nothing => ResponseFraming::Nothing,
            BodyExtent::Length(length) => ResponseFraming::Length(length),
            BodyExtent::Chunked => ResponseFraming::Chunked,
        });
        SessionStep::Request
    }

    fn refused(&mut self, why: Refusal) -> SessionStep {
        self.head = RequestHead::default();
        // Where it ends isn't known.
        self.body = BodyReader::UntilClose;
        SessionStep::Refused(why)
    }

    /// Gives back what memory isn't needed between requests.
    fn rest(&mut self) {
        self.input.rest();
        if self.output.capacity() > READ_BYTES {
            self.output = Vec::new();
        }
    }

    async fn fill_within(
        &mut self,
        time: Duration,
    ) -> Result<Result<(), ClientGone>, DeadlineExceeded> {
        let buffer = self.input.reserve(READ_BYTES);
        let read = self.stream.read_buf(buffer);
        self.timer.within(time, read).await.map(some)
    }

    /// Reads some bytes, about `bytes` at most.
    async fn fill(
        &mut self,
        until: Instant,
        bytes: usize,
    ) -> Result<Result<(), ClientGone>, DeadlineExceeded> {
        let buffer = self.input.reserve(bytes);
        let read = self.stream.read_buf(buffer);
        self.timer.until(until, read).await.map(some)
    }

    /// Ends the connection so that the client has our last words: closing on unread bytes
    /// would reset it.
    pub async fn finish(&mut self) {
        let until = clock::now() + DRAIN_TIME_MAX;
        let closed = self.timer.until(until, self.stream.shutdown()).await;
        if !matches!(closed, Ok(Ok(()))) || (self.body.is_ended() && self.input.bytes.is_empty()) {
            return;
        }
        let mut drained = 0;
        while drained <= DRAIN_BYTES_MAX {
            self.input.bytes.clear();
            if !matches!(self.fill(until, CHUNKED_READ_BYTES).await, Ok(Ok(()))) {
                return;
            }
            drained += self.input.bytes.len();
        }
    }
}

fn some(read: std::io::Result<usize>) -> Result<(), ClientGone> {
    match read {
        Ok(0) | Err(_) => Err(ClientGone),
        Ok(_) => Ok(()),
    }
}

impl Downstream for Http1Session<'_> {
    fn head(&self) -> &RequestHead {
        &self.head
    }

    fn name(&mut self, request_id: String) {
        self.head.request_id = Some(request_id);
    }

    fn close(&mut self) {
        self.keeps = false;
    }

    fn settle(&mut self, admission: &Arc<Admission>) -> bool {
        ChainConnection::settle(&mut self.place, admission)
    }

    async fn send_continue(&mut self) -> Result<(), ClientGone> {
        if !self.input.bytes.is_empty() {
            // It didn't wait.
            return Ok(());
        }
        self.output.extend_from_slice(CONTINUE);
        self.flush().await
    }

    async fn piece(&mut self, until: Instant) -> Result<Option<Bytes>, RequestBodyError> {
        loop {
            let left = self.body.left().unwrap_or(0);
            let held = self.input.bytes.len() as u64;
            if left > GATHERED_BYTES_MAX || held >= left {
                match self.body.take(&mut self.input.bytes) {
                    Ok(Some(piece)) => return Ok(Some(piece)),
                    Ok(None) if self.body.is_ended() => return Ok(None),
                    Ok(None) => {}
                    Err(malformed) => {
                        self.close();
                        return Err(RequestBodyError::Malformed(malformed.0));
                    }
                }
            }
            let wanted = self.body.left().map_or(CHUNKED_READ_BYTES, |left| {
                let missing = left.saturating_sub(held).min(GATHERED_BYTES_MAX);
                usize::try_from(missing).map_or(READ_BYTES, |missing| missing.max(READ_BYTES))
            });
            match self.fill(until, wanted).await {
                Ok(Ok(())) => {}
                Ok(Err(ClientGone)) => return Err(RequestBodyError::Gone),
                Err(DeadlineExceeded) => return Err(RequestBodyError::Late),
            }
        }
    }

    fn has_ended(&mut self) -> bool {
        self.body.is_ended()
    }

    /// What comes meanwhile is kept for later.
    async fn left(&mut self) -> ClientGone {
        while self.input.bytes.len() < AHEAD_BYTES_MAX {
            let buffer = self.input.reserve(READ_BYTES);
            if some(self.stream.read_buf(buffer).await).is_err() {
                return ClientGone;
            }
        }
        pending().await
    }

    async fn send(
        &mut self,
        response: ClientResponse<'_>,
        origins: &CorsPolicy,
    ) -> Result<(), ClientGone> {
        self.answer(response, origins).await
    }

    /// See [`Http1Session::finish`].
    async fn let_go(&mut self) {}
}

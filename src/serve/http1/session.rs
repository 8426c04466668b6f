//! One connection: its requests one after another, each head and body in its time.

use std::future::pending;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use pingora::protocols::Stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::head::{Head, HeadReader};
use super::{Input, READ_BYTES};
use crate::clock;
use crate::domain::frames::HEAD_TIME_MAX;
use crate::domain::framing::Extent;
use crate::domain::refusal::Refusal;
use crate::serve::alarm::{Alarm, Late};
use crate::serve::asked::Asked;
use crate::serve::caller::{BodyFault, Caller, Gone};
use crate::serve::endpoint::{Endpoint, IDLE_TIME_MAX};
use crate::serve::intake::{DRAIN_BYTES_MAX, DRAIN_TIME_MAX, PIECE_BYTES_MAX};
use crate::serve::outlet::{Origins, Outgoing};
use crate::serve::replay::Replay;
use crate::state::gate::Load;
use crate::upstream::body::Body;
use crate::upstream::head::Framing;

/// While an answer is awaited, requests that follow are taken in up to about this many bytes: they
/// are counted by nobody. TCP holds back the rest.
const AHEAD_BYTES_MAX: usize = READ_BYTES;
/// A head up to this length is counted by nobody.
const HEAD_BYTES_FREE: usize = 4 << 10;
/// A body up to this length comes in one piece.
const GATHERED_BYTES_MAX: u64 = PIECE_BYTES_MAX as u64;
/// What is read of a body at once whose length nobody knows.
const CHUNKED_READ_BYTES: usize = 16 << 10;
/// What a client that speaks HTTP/2 without TLS begins with (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// RFC 9110 §15.2.1.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A client's connection, and the request at hand.
pub struct Session<'e> {
    pub(super) endpoint: &'e Endpoint,
    pub(super) stream: Stream,
    input: Input,
    pub(super) output: Vec<u8>,
    pub(super) alarm: Alarm,
    address: Option<IpAddr>,
    /// Whether it may turn out to speak HTTP/2.
    may_be_http2: bool,
    pub(super) asked: Asked,
    body: Body,
    pub(super) keeps: bool,
}

/// What comes next on a connection.
pub enum Next {
    /// A request, that the session now is about.
    Request,
    /// Something that is none; nothing can follow it.
    Refused(Refusal),
    Http2,
    Websocket(Box<http::Request<()>>),
    /// Nothing.
    Over,
}

impl<'e> Session<'e> {
    pub fn new(stream: Stream, address: Option<IpAddr>, endpoint: &'e Endpoint) -> Session<'e> {
        Session {
            endpoint,
            address,
            // With TLS it would have been agreed upon (RFC 9113 §3.2).
            may_be_http2: stream.get_ssl_digest().is_none(),
            stream,
            input: Input::default(),
            output: Vec::new(),
            alarm: Alarm::default(),
            asked: Asked::default(),
            body: Body::Ended,
            keeps: true,
        }
    }

    /// Whether another request may come.
    pub fn keeps(&self) -> bool {
        self.keeps && self.body.is_ended()
    }

    /// The connection, for somebody else.
    pub fn into_replay(self) -> Replay {
        Replay::new(self.stream, self.input.bytes)
    }

    /// Waits for the next request's head.
    pub async fn next(&mut self) -> Next {
        let mut reader = HeadReader::new(self.endpoint.packs);
        let mut deadline = None;
        let gate = &self.endpoint.engine.gate;
        // A long head counts as it comes.
        let mut held: Option<Load<'_>> = None;
        loop {
            let bytes = self.input.bytes.len();
            if bytes > HEAD_BYTES_FREE {
                held = held.or_else(|| gate.load(0));
                if !held.as_mut().is_some_and(|held| held.grow(bytes)) {
                    return self.refused(Refusal::OverCapacity);
                }
            }
            if !self.input.bytes.is_empty() {
                if self.may_be_http2 && PREFACE.starts_with(self.preface()) {
                    if self.input.bytes.len() >= PREFACE.len() {
                        return Next::Http2;
                    }
                } else {
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
                self.fill_within(IDLE_TIME_MAX).await
            } else {
                let until = *deadline.get_or_insert_with(|| clock::now() + HEAD_TIME_MAX);
                self.fill(until, READ_BYTES).await
            };
            match read {
                Ok(Ok(())) => {}
                Err(Late) if deadline.is_some() => return self.refused(Refusal::HeadTooSlow),
                Ok(Err(Gone)) | Err(Late) => return Next::Over,
            }
        }
    }

    fn preface(&self) -> &[u8] {
        let bytes = &self.input.bytes;
        &bytes[..bytes.len().min(PREFACE.len())]
    }

    fn begin(&mut self, head: Head) -> Next {
        self.may_be_http2 = false;
        if let Some(head) = head.websocket {
            return Next::Websocket(head);
        }
        self.asked = head.asked;
        self.asked.address = self.address;
        self.keeps = head.keeps;
        self.body = Body::new(match head.extent {
            Extent::Nothing => Framing::Nothing,
            Extent::Length(length) => Framing::Length(length),
            Extent::Chunked => Framing::Chunked,
        });
        Next::Request
    }

    fn refused(&mut self, why: Refusal) -> Next {
        self.asked = Asked::default();
        // Nobody knows where it ends.
        self.body = Body::UntilClose;
        Next::Refused(why)
    }

    /// Gives back what memory isn't needed between requests.
    fn rest(&mut self) {
        self.input.rest();
        if self.output.capacity() > READ_BYTES {
            self.output = Vec::new();
        }
    }

    async fn fill_within(&mut self, time: Duration) -> Result<Result<(), Gone>, Late> {
        let buffer = self.input.reserve(READ_BYTES);
        let read = self.stream.read_buf(buffer);
        self.alarm.within(time, read).await.map(some)
    }

    /// Reads some bytes, about `bytes` at most.
    async fn fill(&mut self, until: Instant, bytes: usize) -> Result<Result<(), Gone>, Late> {
        let buffer = self.input.reserve(bytes);
        let read = self.stream.read_buf(buffer);
        self.alarm.until(until, read).await.map(some)
    }

    /// Ends the connection so that the client has our last words: closing on bytes that nobody
    /// read would reset it.
    pub async fn finish(&mut self) {
        let until = clock::now() + DRAIN_TIME_MAX;
        let closed = self.alarm.until(until, self.stream.shutdown()).await;
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

fn some(read: std::io::Result<usize>) -> Result<(), Gone> {
    match read {
        Ok(0) | Err(_) => Err(Gone),
        Ok(_) => Ok(()),
    }
}

impl Caller for Session<'_> {
    fn asked(&self) -> &Asked {
        &self.asked
    }

    fn name(&mut self, request_id: String) {
        self.asked.request_id = Some(request_id);
    }

    fn close(&mut self) {
        self.keeps = false;
    }

    async fn send_continue(&mut self) -> Result<(), Gone> {
        if !self.input.bytes.is_empty() {
            // It didn't wait.
            return Ok(());
        }
        self.output.extend_from_slice(CONTINUE);
        self.flush().await
    }

    async fn piece(&mut self, until: Instant) -> Result<Option<Bytes>, BodyFault> {
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
                        return Err(BodyFault::Malformed(malformed.0));
                    }
                }
            }
            let wanted = self.body.left().map_or(CHUNKED_READ_BYTES, |left| {
                let missing = left.saturating_sub(held).min(GATHERED_BYTES_MAX);
                usize::try_from(missing).map_or(READ_BYTES, |missing| missing.max(READ_BYTES))
            });
            match self.fill(until, wanted).await {
                Ok(Ok(())) => {}
                Ok(Err(Gone)) => return Err(BodyFault::Gone),
                Err(Late) => return Err(BodyFault::Late),
            }
        }
    }

    fn has_ended(&mut self) -> bool {
        self.body.is_ended()
    }

    /// What comes meanwhile is kept for later.
    async fn left(&mut self) -> Gone {
        while self.input.bytes.len() < AHEAD_BYTES_MAX {
            let buffer = self.input.reserve(READ_BYTES);
            if some(self.stream.read_buf(buffer).await).is_err() {
                return Gone;
            }
        }
        pending().await
    }

    async fn send(&mut self, outgoing: Outgoing<'_>, origins: &Origins) -> Result<(), Gone> {
        self.answer(outgoing, origins).await
    }

    /// See [`Session::finish`].
    async fn let_go(&mut self) {}
}

//! One connection: its streams, each on a task of its own, and its end.
//!
//! When the process closes, its client is told to go elsewhere (GOAWAY, RFC 9113 §6.8), but not before
//! its first stream is answered and the answer written: a client whose connection was made while we
//! leave would lose the calls that it was made for.

use std::future::{pending, poll_fn};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::RecvStream;
use h2::server::{Builder, Connection, SendResponse};
use http::{Request, Response, StatusCode};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};

use super::stream;
use crate::call::timer::Timer;
use crate::client::endpoint::{Endpoint, IDLE_TIME_MAX};
use crate::client::http1::head::{HEAD_BYTES_MAX, HEADERS_MAX};
use crate::client::http2::stream::Http2Stream;
use crate::client::http2_backlog::Backlog;
use crate::client::http2_watch::ConnectionWatch;
use crate::client::replay::Replay;
use crate::clock;
use forebay_core::wire::http2_frames::HEAD_TIME_MAX;

/// Streams of one connection at once.
pub const STREAMS_MAX: u32 = 200;
/// Of an answer this much waits in the codec for its client's window.
const UNSENT_BYTES_MAX: usize = 64 << 10;
/// A connection that has been there so long without a stream is told to go though none was answered.
const FIRST_STREAM_TIME_MAX: Duration = Duration::from_secs(1);

/// A connection that is being served.
struct Http2Session {
    connection: Connection<Replay, Bytes>,
    address: Option<IpAddr>,
    endpoint: Arc<Endpoint>,
    backlog: Arc<Backlog>,
    streams: JoinSet<()>,
    closing: watch::Receiver<bool>,
    timer: Timer,
    opened_at: Instant,
    /// When the last of the streams ended.
    idle_since: Instant,
    has_answered: bool,
    is_told: bool,
}

/// Serves a connection to its end. What opening it takes is given back before.
pub async fn serve(stream: Replay, address: Option<IpAddr>, endpoint: &Arc<Endpoint>) {
    let opened = Box::pin(open(stream, address, endpoint)).await;
    if let Some(running) = opened.map(|session| Box::pin(session.run())) {
        running.await;
    }
}

async fn open(
    stream: Replay,
    address: Option<IpAddr>,
    endpoint: &Arc<Endpoint>,
) -> Option<Http2Session> {
    let mut options = Builder::new();
    options
        .max_concurrent_streams(STREAMS_MAX)
        .max_send_buffer_size(UNSENT_BYTES_MAX)
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX));
    let backlog = Arc::new(Backlog::new(address));
    let handshake = options.handshake(stream.watched(ConnectionWatch::new(backlog.clone())));
    let connection = timeout(HEAD_TIME_MAX, handshake).await.ok()?.ok()?;
    let now = clock::now();
    Some(Http2Session {
        connection,
        address,
        endpoint: endpoint.clone(),
        backlog,
        streams: JoinSet::new(),
        closing: endpoint.entry.process().closing(),
        timer: Timer::default(),
        opened_at: now,
        idle_since: now,
        has_answered: false,
        is_told: false,
    })
}

impl Http2Session {
    async fn run(mut self) {
        loop {
            let is_idle = self.streams.is_empty();
            let may_go = !self.is_told && (self.has_answered || is_idle);
            let not_before = (!self.has_answered).then_some(self.opened_at + FIRST_STREAM_TIME_MAX);
            tokio::select! {
                // The codec first: what a stream has said is written before its client is told to go.
                biased;
                accepted = self.connection.accept() => match accepted {
                    Some(Ok((request, respond))) => self.take(request, respond),
                    Some(Err(_)) | None => return,
                },
                Some(_) = self.streams.join_next(), if !is_idle => {
                    self.has_answered = true;
                    if self.streams.is_empty() {
                        self.idle_since = clock::now();
                    }
                }
                () = goaway_due(&mut self.closing, not_before), if may_go => {
                    self.is_told = true;
                    self.connection.graceful_shutdown();
                }
                () = poll_fn(|cx| self.timer.poll(cx, self.idle_since + IDLE_TIME_MAX)), if is_idle => return,
            }
        }
    }

    /// Takes a stream. Of a head that is refused nothing is kept.
    fn take(&mut self, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        if request.headers().len() > HEADERS_MAX {
            let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            let mut response = Response::new(());
            *response.status_mut() = status;
            self.endpoint.metrics.http_response(status.as_u16());
            // An error says that the client has gone already.
            drop(respond.send_response(response, true));
            return;
        }
        let (head, body) = request.into_parts();
        let (address, endpoint) = (self.address, self.endpoint.clone());
        let read = stream::read(&head, address, endpoint.head_options());
        drop(head);
        let backlog = self.backlog.clone();
        // Made on the heap: a task is moved several times before it runs.
        self.streams.spawn(Box::pin(async move {
            let admission = endpoint.entry.clone();
            let stream = Http2Stream::new(read, (body, respond), backlog, admission);
            stream.serve(&endpoint).await;
        }));
    }
}

/// Waits until the process closes, and it is not before that time.
async fn goaway_due(closing: &mut watch::Receiver<bool>, not_before: Option<Instant>) {
    if closing.wait_for(|closes| *closes).await.is_err() {
        pending::<()>().await;
    }
    if let Some(not_before) = not_before {
        sleep_until(not_before.into()).await;
    }
}

//! The door: takes a connection and watches how fast a request's head comes in.
//!
//! Pingora times each read, so that a client that dribbles its head byte by byte could hold a
//! connection for hours. Here a head has [`HEAD_TIME_MAX`] in all. The door also tells HTTP/2
//! with prior knowledge from HTTP/1.1, without waiting for more bytes than that takes.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::ServerApp;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::SslDigest;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    Stream, TimingDigest, UniqueID, UniqueIDType,
};
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::proxy::Proxy;
use crate::telemetry::metrics::{Counted, Metrics};

/// A request's head must be there this long after its first byte.
pub const HEAD_TIME_MAX: Duration = Duration::from_secs(10);
/// A connection may be idle this long.
pub const IDLE_SECONDS_MAX: u64 = 75;
/// What a client is told whose head does not come.
const TOO_SLOW: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// Pingora's proxy, behind a watched connection.
pub struct Door {
    proxy: Arc<HttpProxy<Proxy>>,
    metrics: Arc<Metrics>,
    closing: ShutdownWatch,
}

impl Door {
    /// Once `closing` turns true, clients over HTTP/2 are told to go elsewhere (RFC 9113 §6.8)
    /// and those over HTTP/1.1 get `Connection: close`: long before Pingora's own shutdown, which
    /// comes when all is drained.
    pub fn new(proxy: HttpProxy<Proxy>, metrics: Arc<Metrics>, closing: ShutdownWatch) -> Door {
        Door {
            proxy: Arc::new(proxy),
            metrics,
            closing,
        }
    }
}

#[async_trait]
impl ServerApp for Door {
    async fn process_new(self: &Arc<Self>, stream: Stream, _: &ShutdownWatch) -> Option<Stream> {
        let stream = Box::new(Watched::new(stream, self.metrics.begin_connection()));
        self.proxy.process_new(stream, &self.closing).await
    }

    async fn cleanup(&self) {
        self.proxy.cleanup().await;
    }
}

/// Where a connection is in its exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    /// Between requests.
    Idle = 0,
    /// A head has begun.
    Head = 1,
    /// The head is there; whoever reads the body times it.
    Body = 2,
    /// HTTP/2 frames its own messages.
    Http2 = 3,
}

/// A client's connection.
pub struct Watched {
    stream: Stream,
    phase: AtomicU8,
    /// Runs while a head or the first byte is awaited.
    alarm: Option<Pin<Box<Sleep>>>,
    /// Bytes that were read to tell the protocol.
    peeked: Vec<u8>,
    _counted: Counted,
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched")
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}

impl Watched {
    fn new(stream: Stream, counted: Counted) -> Watched {
        let is_http2 = stream.selected_alpn_proto() == Some(ALPN::H2);
        let phase = if is_http2 { Phase::Http2 } else { Phase::Idle };
        Watched {
            stream,
            phase: AtomicU8::new(phase as u8),
            alarm: None,
            peeked: Vec::new(),
            _counted: counted,
        }
    }

    /// A request's head is there: the body's reader keeps the time from here.
    pub fn begin_body(&self) {
        self.enter(Phase::Body);
    }

    /// The request is over; what comes next is another head.
    pub fn end_request(&self) {
        self.enter(Phase::Idle);
    }

    fn enter(&self, phase: Phase) {
        if !self.is_in(Phase::Http2) {
            self.phase.store(phase as u8, Ordering::Relaxed);
        }
    }

    fn is_in(&self, phase: Phase) -> bool {
        self.phase.load(Ordering::Relaxed) == phase as u8
    }

    fn poll_stream(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        match polled {
            Poll::Pending => self.poll_alarm(cx),
            Poll::Ready(done) => {
                if self.is_in(Phase::Idle) && buf.filled().len() > before {
                    self.enter(Phase::Head);
                    self.alarm = None;
                }
                Poll::Ready(done)
            }
        }
    }

    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_in(Phase::Head) {
            if self.alarm.is_some() {
                self.alarm = None;
            }
            return Poll::Pending;
        }
        let alarm = self
            .alarm
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(HEAD_TIME_MAX)));
        ready!(alarm.as_mut().poll(cx));
        // The client is told if it takes it at once, and let go in any case.
        if Pin::new(&mut self.stream)
            .poll_write(cx, TOO_SLOW)
            .is_ready()
        {
            let _ = Pin::new(&mut self.stream).poll_flush(cx);
        }
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.peeked.is_empty() {
            let count = self.peeked.len().min(buf.remaining());
            buf.put_slice(&self.peeked[..count]);
            self.peeked.drain(..count);
            return Poll::Ready(Ok(()));
        }
        self.poll_stream(cx, buf)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// What a client that speaks HTTP/2 without TLS begins with (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[async_trait]
impl Peek for Watched {
    /// Reads only until the bytes can't be HTTP/2's preface any more. What of `buf` was not read
    /// stays as it was.
    async fn try_peek(&mut self, buf: &mut [u8]) -> io::Result<bool> {
        let idle = Duration::from_secs(IDLE_SECONDS_MAX);
        let mut read = 0;
        while read < buf.len() && PREFACE.starts_with(&buf[..read]) {
            let some = tokio::time::timeout(idle, self.stream_read(&mut buf[read..])).await;
            match some.map_err(|_| io::ErrorKind::TimedOut)?? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => read += count,
            }
        }
        self.peeked.extend_from_slice(&buf[..read]);
        if buf[..read] == *PREFACE {
            self.phase.store(Phase::Http2 as u8, Ordering::Relaxed);
            self.alarm = None;
        }
        Ok(true)
    }
}

impl Watched {
    async fn stream_read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        debug_assert!(self.peeked.is_empty());
        self.read(buf).await
    }
}

#[async_trait]
impl Shutdown for Watched {
    async fn shutdown(&mut self) {
        self.stream.shutdown().await;
    }
}

impl UniqueID for Watched {
    fn id(&self) -> UniqueIDType {
        self.stream.id()
    }
}

impl Ssl for Watched {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.stream.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.stream.selected_alpn_proto()
    }
}

impl GetTimingDigest for Watched {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.stream.get_timing_digest()
    }
}

impl GetProxyDigest for Watched {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.stream.get_proxy_digest()
    }
}

impl GetSocketDigest for Watched {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.stream.get_socket_digest()
    }
}

//! A client's stream that counts what it brings: the message under way takes room in the process as a
//! request's body does, piece by piece.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::clock;
use crate::shared::admission::Admission;
use forebay_core::wire::websocket_frames::WebsocketFrames;

/// Bytes of a frame that are no payload, at least: two, and the mask.
const FRAME_BYTES_MIN: usize = 6;

/// A stream with a meter.
#[derive(Debug)]
pub struct MeteredStream<S> {
    stream: S,
    admission: Arc<Admission>,
    /// Of the message under way.
    bytes: usize,
    /// When the message under way began; `None`: there is none.
    began_at: Option<Instant>,
    /// When the client was last heard of.
    pub heard_at: Instant,
    /// Whether the stream was broken off because the process is full.
    pub has_no_room: bool,
    fragments: WebsocketFrames,
    /// Whether it was broken off because of too many frames that do nothing.
    pub is_restless: bool,
}

impl<S> MeteredStream<S> {
    pub fn new(stream: S, admission: Arc<Admission>) -> MeteredStream<S> {
        let now = clock::now();
        MeteredStream {
            stream,
            admission,
            bytes: 0,
            began_at: None,
            heard_at: now,
            has_no_room: false,
            fragments: WebsocketFrames::new(now),
            is_restless: false,
        }
    }

    pub fn began_at(&self) -> Option<Instant> {
        self.began_at
    }

    /// A message is whole: its bytes are no longer counted here.
    pub fn end_message(&mut self) {
        self.admission.release(self.bytes);
        self.bytes = 0;
        self.began_at = None;
    }

    /// A control frame came, maybe in the middle of a message: it is no part of it.
    pub fn end_control(&mut self, payload_bytes: usize) {
        let bytes = (FRAME_BYTES_MIN + payload_bytes).min(self.bytes);
        self.admission.release(bytes);
        self.bytes -= bytes;
        if self.bytes == 0 {
            self.began_at = None;
        }
    }
}

impl<S> Drop for MeteredStream<S> {
    fn drop(&mut self) {
        self.end_message();
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for MeteredStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        let bytes = buf.filled().len() - before;
        if bytes > 0 {
            let now = clock::now();
            self.heard_at = now;
            self.began_at.get_or_insert(now);
            if !self.admission.hold_more(self.bytes, bytes) {
                self.has_no_room = true;
                return Poll::Ready(Err(io::ErrorKind::OutOfMemory.into()));
            }
            self.bytes += bytes;
            let me = &mut *self;
            if !me.fragments.read(&buf.filled()[before..], now) {
                me.is_restless = true;
                return Poll::Ready(Err(io::ErrorKind::QuotaExceeded.into()));
            }
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for MeteredStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forebay_core::vocabulary::caps::Caps;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    #[tokio::test]
    async fn a_message_takes_room_as_it_comes_and_gives_it_back() {
        let admission = Arc::new(Admission::default());
        let (mut client, server) = duplex(1 << 10);
        let mut metered = MeteredStream::new(server, admission.clone());
        assert_eq!(metered.began_at, None);
        client.write_all(&[0; 100]).await.unwrap();
        let mut buffer = [0; 100];
        metered.read_exact(&mut buffer).await.unwrap();
        assert_eq!(admission.bytes(), 100);
        metered.end_control(14);
        assert!(admission.bytes() == 80 && metered.began_at.is_some());
        metered.end_message();
        assert!(admission.bytes() == 0 && metered.began_at.is_none());
        client.write_all(&[0; 6]).await.unwrap();
        metered.read_exact(&mut buffer[..6]).await.unwrap();
        metered.end_control(0);
        assert_eq!(metered.began_at, None, "a ping is no message");
        client.write_all(&[0; 9]).await.unwrap();
        metered.read_exact(&mut buffer[..9]).await.unwrap();
        drop(metered);
        assert_eq!(admission.bytes(), 0);
    }

    #[tokio::test]
    async fn without_room_the_stream_breaks_off() {
        let admission = Arc::new(Admission::default());
        let bytes_max = Caps::ROOMY.bodies;
        admission.fill(bytes_max - 9);
        let (mut client, server) = duplex(1 << 10);
        let mut metered = MeteredStream::new(server, admission.clone());
        client.write_all(&[0; 9]).await.unwrap();
        let mut buffer = [0; 9];
        metered.read_exact(&mut buffer).await.unwrap();
        client.write_all(&[0; 1]).await.unwrap();
        assert!(metered.read_exact(&mut buffer[..1]).await.is_err());
        assert!(metered.has_no_room);
        drop(metered);
        assert_eq!(admission.bytes(), bytes_max - 9);
    }
}

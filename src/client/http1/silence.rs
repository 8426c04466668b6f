//! A connection whose client says nothing: no more is held of it than it takes to hear the client again.

use std::future::poll_fn;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use pingora::protocols::Stream;
use tokio::io::{AsyncRead as _, ReadBuf};

use super::input_buffer::READ_BYTES;
use crate::call::timer::Timer;
use crate::client::endpoint::IDLE_TIME_MAX;
use crate::shared::chain_connection::ChainConnection;

/// After so long without a word a connection is silent. One that calls more often keeps what it would only take again.
pub const QUIET_TIME_MAX: Duration = Duration::from_secs(5);

/// A connection before its first request, or long after one.
pub struct SilentConnection {
    pub(super) stream: Stream,
    pub(super) timer: Timer,
    /// Whether it may turn out to speak HTTP/2.
    pub(super) may_be_http2: bool,
    /// Among those of the chain that it called last.
    pub(super) place: Option<ChainConnection>,
    /// So long it may stay silent.
    pub(super) time_left: Duration,
}

impl SilentConnection {
    /// A new one.
    pub fn new(stream: Stream) -> SilentConnection {
        SilentConnection {
            // With TLS it would have been agreed upon (RFC 9113 §3.2).
            may_be_http2: stream.get_ssl_digest().is_none(),
            stream,
            timer: Timer::default(),
            place: None,
            time_left: IDLE_TIME_MAX,
        }
    }

    /// What its client says next; `None` when it has said nothing for too long, or is gone.
    pub async fn hear(&mut self) -> Option<BytesMut> {
        let stream = &mut self.stream;
        let heard = poll_fn(|cx| {
            // On the stack: while nothing comes there is nothing to keep.
            let mut room = [MaybeUninit::uninit(); READ_BYTES];
            let mut room = ReadBuf::uninit(&mut room);
            let read = ready!(Pin::new(&mut *stream).poll_read(cx, &mut room));
            let heard = Some(room.filled()).filter(|heard| read.is_ok() && !heard.is_empty());
            Poll::Ready(heard.map(|heard| {
                let mut input = BytesMut::with_capacity(READ_BYTES);
                input.extend_from_slice(heard);
                input
            }))
        });
        self.timer
            .within(self.time_left, heard)
            .await
            .ok()
            .flatten()
    }
}

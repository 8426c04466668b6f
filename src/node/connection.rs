//! One open stream to a node, and its one buffer.
//!
//! A small call is one write; an answer that fits the buffer is one read. The request is built
//! in the buffer that the answer is then read into.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use pingora::protocols::Stream;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::task::unconstrained;

use super::fault::SendFault;
use crate::node::fault::MalformedHttp;
use crate::node::request_head::RequestTemplate;
use crate::node::response_head::{ResponseHead, ResponseHeadReader};
use forebay_core::wire::trace::TraceParent;

/// Requests up to this many bytes are written at once; the buffer starts at this size.
pub const BUFFER_BYTES: usize = 16 * 1024;
/// No connection is kept longer, so that a name that has moved is followed.
pub const LIFETIME_MAX: Duration = Duration::from_secs(15 * 60);

/// An open connection to a node. Dropping it closes it.
pub struct NodeConnection {
    stream: Stream,
    /// The request while it is written, then bytes of the answer that haven't been taken.
    pub buffer: BytesMut,
    opened: Instant,
    /// Whether more was read at once than the buffer's first size.
    has_grown: bool,
}

impl NodeConnection {
    pub fn new(stream: Stream, now: Instant) -> NodeConnection {
        NodeConnection {
            stream,
            buffer: BytesMut::new(),
            opened: now,
            has_grown: false,
        }
    }

    /// Writes one request: the template, the length of `body`, and `body`, whose parts follow one
    /// another.
    ///
    /// # Errors
    /// What the stream says: then the node can't have got the whole request.
    pub async fn write(
        &mut self,
        template: &RequestTemplate,
        body: &[&[u8]],
        trace: Option<&TraceParent>,
    ) -> io::Result<()> {
        let mut number = itoa::Buffer::new();
        let bytes = body.iter().map(|part| part.len()).sum::<usize>();
        self.buffer.clear();
        self.buffer.reserve(BUFFER_BYTES);
        self.buffer.extend_from_slice(template.bytes());
        self.buffer
            .extend_from_slice(number.format(bytes).as_bytes());
        if let Some(trace) = trace {
            self.buffer.extend_from_slice(b"\r\ntraceparent: ");
            self.buffer.extend_from_slice(trace.as_bytes());
        }
        self.buffer.extend_from_slice(b"\r\n\r\n");
        for part in body {
            if self.buffer.len() + part.len() > BUFFER_BYTES {
                self.stream.write_all(&self.buffer).await?;
                self.stream.write_all(part).await?;
                self.buffer.clear();
            } else {
                self.buffer.extend_from_slice(part);
            }
        }
        self.stream.write_all(&self.buffer).await?;
        self.stream.flush().await
    }

    /// Reads up to the final head of the answer to what was written; what follows it is left in
    /// the buffer.
    ///
    /// # Errors
    /// `Closed`, `MalformedHttp` or `Io`.
    pub async fn read_head(&mut self) -> Result<ResponseHead, SendFault> {
        self.buffer.clear();
        let mut reader = ResponseHeadReader::default();
        let mut begun = false;
        loop {
            match self.read(BUFFER_BYTES).await {
                Ok(0) if begun => return Err(MalformedHttp("the head broke off").into()),
                Ok(0) => return Err(SendFault::Closed { sent: true }),
                Ok(_) => begun = true,
                Err(fault) if !begun && is_hang_up(&fault) => {
                    return Err(SendFault::Closed { sent: true });
                }
                Err(fault) => return Err(SendFault::Io(fault.to_string())),
            }
            if let Some(head) = reader.take(&mut self.buffer)? {
                return Ok(head);
            }
        }
    }

    /// Reads once, at least one byte and about `bytes` at most, onto the end of the buffer.
    /// 0 is the end of the stream. Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// What the stream says.
    pub async fn read(&mut self, bytes: usize) -> io::Result<usize> {
        self.has_grown |= self.buffer.len() + bytes > BUFFER_BYTES;
        self.buffer.reserve(bytes);
        self.stream.read_buf(&mut self.buffer).await
    }

    /// Whether the connection is open and has nothing to say. Costs a system call only if the
    /// runtime knows of news.
    pub fn is_quiet(&mut self) -> bool {
        let mut byte = [0u8; 1];
        let mut target = ReadBuf::new(&mut byte);
        let stream = Pin::new(&mut self.stream);
        // Unconstrained: a task that has used up its turn would be told that all is quiet.
        let mut look = pin!(unconstrained(poll_read_once(stream, &mut target)));
        let mut context = Context::from_waker(Waker::noop());
        matches!(look.as_mut().poll(&mut context), Poll::Ready(true))
    }

    /// Makes the connection fit for the idle pool; `None` if it must not be used again.
    pub fn into_idle(mut self, now: Instant) -> Option<NodeConnection> {
        let is_old = now.saturating_duration_since(self.opened) > LIFETIME_MAX;
        if is_old || !self.buffer.is_empty() {
            return None;
        }
        if self.has_grown {
            self.buffer = BytesMut::new();
            self.has_grown = false;
        }
        Some(self)
    }
}

/// True if nothing can be read: neither bytes nor the end.
async fn poll_read_once(mut stream: Pin<&mut Stream>, target: &mut ReadBuf<'_>) -> bool {
    poll_fn(|context| Poll::Ready(stream.as_mut().poll_read(context, target).is_pending())).await
}

/// Whether the other side is gone, rather than talking nonsense.
pub fn is_hang_up(fault: &io::Error) -> bool {
    matches!(
        fault.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected
            | io::ErrorKind::TimedOut
    )
}

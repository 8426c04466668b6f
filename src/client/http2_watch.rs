//! A client's frames on their way to the codec: a head that takes too long breaks the connection off,
//! and so do too many frames that do nothing. Where a frame ends the client is told why.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::ReadBuf;

use crate::call::timer::Timer;
use crate::client::http2_backlog::Backlog;
use crate::clock;
use forebay_core::wire::http2_frames::Http2Frames;

/// The watch over one connection.
#[derive(Debug)]
pub struct ConnectionWatch {
    frames: Http2Frames,
    timer: Timer,
    /// What the codec reads in place of what the client sends.
    last_words: Option<Bytes>,
    backlog: Arc<Backlog>,
}

impl ConnectionWatch {
    pub fn new(backlog: Arc<Backlog>) -> ConnectionWatch {
        ConnectionWatch {
            backlog,
            frames: Http2Frames::new(clock::now()),
            timer: Timer::default(),
            last_words: None,
        }
    }

    /// Reads by `read`, as far as the client may go on.
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
        read: impl FnOnce(&mut Context<'_>, &mut ReadBuf<'_>) -> Poll<io::Result<()>>,
    ) -> Poll<io::Result<()>> {
        if self.last_words.is_none() {
            let before = buf.filled().len();
            let polled = read(cx, buf);
            let after = buf.filled().len();
            if let Poll::Ready(Ok(())) = polled {
                let end = self.frames.read(&buf.filled()[before..], clock::now);
                buf.set_filled(end.map_or(after, |end| before + end));
                if end.is_some() {
                    self.last_words = Some(self.frames.last_words().into());
                }
            }
            if !self.is_late(cx) {
                if self.last_words.is_none() || buf.filled().len() > before {
                    return polled;
                }
            } else if self.frames.is_between() {
                self.last_words = Some(self.frames.last_words().into());
            } else {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        self.say_last_words(buf);
        Poll::Ready(Ok(()))
    }

    /// Whether a head should be there by now; if not yet, its reader is roused in time.
    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        let deadline = self.frames.deadline();
        deadline.is_some_and(|deadline| self.timer.poll(cx, deadline).is_ready())
    }

    fn say_last_words(&mut self, buf: &mut ReadBuf<'_>) {
        if let Some(words) = &mut self.last_words {
            let count = words.len().min(buf.remaining());
            buf.put_slice(&words[..count]);
            words.advance(count);
        }
    }

    pub fn wrote(&mut self, bytes: usize) {
        self.frames.wrote(bytes);
        self.backlog.wrote(bytes);
    }
}

//! Why a socket ends, and what its client is told.

use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Utf8Bytes;

use crate::observe::metrics::SocketEnd;
use crate::shared::outbox::ServerClose;

/// Why a socket ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The client said that it goes.
    Left,
    /// The connection broke.
    Broken,
    /// The client didn't answer a ping.
    Silent,
    /// The client broke the protocol.
    Protocol,
    /// A text that is none.
    NotUtf8,
    /// A message that is longer than may be.
    TooLarge,
    /// A message whose end doesn't come.
    Unfinished,
    /// Too many frames that do nothing.
    Restless,
    /// There is no room for what the client sends.
    OverCapacity,
    /// The client didn't take what it was sent.
    Slow,
    /// What else the process has to say.
    Closed(ServerClose),
}

impl CloseReason {
    pub fn of_error(why: &Error) -> CloseReason {
        match why {
            Error::Capacity(_) => CloseReason::TooLarge,
            Error::Utf8(_) => CloseReason::NotUtf8,
            Error::Protocol(
                ProtocolError::ResetWithoutClosingHandshake | ProtocolError::SendAfterClosing,
            ) => CloseReason::Broken,
            Error::Protocol(_) => CloseReason::Protocol,
            Error::ConnectionClosed | Error::AlreadyClosed => CloseReason::Left,
            // What a codec without HTTP, TLS or addresses never says is among them.
            _ => CloseReason::Broken,
        }
    }

    /// What the client is told (RFC 6455 §7.4.1 and its registry); `None`: no client is left to tell.
    pub fn close_frame(&self) -> Option<CloseFrame> {
        let (code, reason) = match self {
            CloseReason::Left | CloseReason::Broken | CloseReason::Silent => return None,
            CloseReason::Protocol => (1002, "the protocol of WebSocket was broken"),
            CloseReason::NotUtf8 => (1007, "a text must be UTF-8"),
            CloseReason::TooLarge => (1009, "a message is longer than may be"),
            CloseReason::Unfinished => (1008, "the end of a message did not come in time"),
            CloseReason::Restless => (1008, "too many frames that do nothing"),
            CloseReason::OverCapacity => (1013, "over capacity, try again"),
            CloseReason::Slow => (1013, "too slow: what was sent was not taken in time"),
            CloseReason::Closed(closing) => (closing.code(), closing.reason()),
        };
        Some(CloseFrame {
            code: code.into(),
            reason: Utf8Bytes::from_static(reason),
        })
    }

    /// Whether what the client sends can still be read as messages.
    pub fn leaves_codec_whole(&self) -> bool {
        match self {
            CloseReason::Protocol
            | CloseReason::NotUtf8
            | CloseReason::TooLarge
            | CloseReason::Restless
            | CloseReason::OverCapacity => false,
            CloseReason::Left
            | CloseReason::Broken
            | CloseReason::Silent
            | CloseReason::Unfinished
            | CloseReason::Slow
            | CloseReason::Closed(_) => true,
        }
    }

    /// For the metrics.
    pub fn metric(&self) -> SocketEnd {
        match self {
            CloseReason::Left => SocketEnd::Left,
            CloseReason::Broken => SocketEnd::Broken,
            CloseReason::Silent => SocketEnd::Silent,
            CloseReason::Protocol | CloseReason::NotUtf8 | CloseReason::Restless => {
                SocketEnd::Protocol
            }
            CloseReason::TooLarge => SocketEnd::TooLarge,
            CloseReason::Unfinished => SocketEnd::Unfinished,
            CloseReason::OverCapacity => SocketEnd::OverCapacity,
            CloseReason::Slow | CloseReason::Closed(ServerClose::Slow) => SocketEnd::Slow,
            CloseReason::Closed(ServerClose::Gap(_)) => SocketEnd::Gap,
            CloseReason::Closed(ServerClose::Leaving) => SocketEnd::Leaving,
        }
    }
}

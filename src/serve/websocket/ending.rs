//! Why a socket ends, and what its client is told.

use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Utf8Bytes;

use crate::state::outbox::Closing;
use crate::telemetry::metrics::SocketEnd;

/// Why a socket ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
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
    /// What else the house has to say.
    Closed(Closing),
}

impl Ending {
    pub fn of_error(why: &Error) -> Ending {
        match why {
            Error::Capacity(_) => Ending::TooLarge,
            Error::Utf8(_) => Ending::NotUtf8,
            Error::Protocol(
                ProtocolError::ResetWithoutClosingHandshake | ProtocolError::SendAfterClosing,
            ) => Ending::Broken,
            Error::Protocol(_) => Ending::Protocol,
            Error::ConnectionClosed | Error::AlreadyClosed => Ending::Left,
            // What a codec without HTTP, TLS or addresses never says is among them.
            _ => Ending::Broken,
        }
    }

    /// What the client is told (RFC 6455 §7.4.1 and its registry); `None`: there is nobody to tell.
    pub fn close_frame(&self) -> Option<CloseFrame> {
        let (code, reason) = match self {
            Ending::Left | Ending::Broken | Ending::Silent => return None,
            Ending::Protocol => (1002, "the protocol of WebSocket was broken"),
            Ending::NotUtf8 => (1007, "a text must be UTF-8"),
            Ending::TooLarge => (1009, "a message is longer than may be"),
            Ending::Unfinished => (1008, "the end of a message did not come in time"),
            Ending::Restless => (1008, "too many frames that do nothing"),
            Ending::OverCapacity => (1013, "over capacity, try again"),
            Ending::Slow => (1013, "too slow: what was sent was not taken in time"),
            Ending::Closed(closing) => (closing.code(), closing.reason()),
        };
        Some(CloseFrame {
            code: code.into(),
            reason: Utf8Bytes::from_static(reason),
        })
    }

    /// Whether what the client sends can still be read as messages.
    pub fn leaves_codec_whole(&self) -> bool {
        match self {
            Ending::Protocol
            | Ending::NotUtf8
            | Ending::TooLarge
            | Ending::Restless
            | Ending::OverCapacity => false,
            Ending::Left
            | Ending::Broken
            | Ending::Silent
            | Ending::Unfinished
            | Ending::Slow
            | Ending::Closed(_) => true,
        }
    }

    /// For the metrics.
    pub fn metric(&self) -> SocketEnd {
        match self {
            Ending::Left => SocketEnd::Left,
            Ending::Broken => SocketEnd::Broken,
            Ending::Silent => SocketEnd::Silent,
            Ending::Protocol | Ending::NotUtf8 | Ending::Restless => SocketEnd::Protocol,
            Ending::TooLarge => SocketEnd::TooLarge,
            Ending::Unfinished => SocketEnd::Unfinished,
            Ending::OverCapacity => SocketEnd::OverCapacity,
            Ending::Slow | Ending::Closed(Closing::Slow) => SocketEnd::Slow,
            Ending::Closed(Closing::Gap(_)) => SocketEnd::Gap,
            Ending::Closed(Closing::Leaving) => SocketEnd::Leaving,
        }
    }
}

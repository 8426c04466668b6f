//! Why an exchange with a node failed, and whether the node may have run the call all the same.
//!
//! No text in here holds anything of a URL after its host, nor a header's value.

use thiserror::Error;

use forebay_core::rpc::classify::AttemptClass;
use forebay_core::wire::coding::DecompressionError;

/// What is wrong with bytes that are not the HTTP/1.1 we accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct MalformedHttp(pub &'static str);

/// Why there is no head of a response.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SendFault {
    #[error("the node's name has no known address")]
    NoAddress,
    #[error("no connection: {0}")]
    Connect(String),
    #[error("no connection in time")]
    ConnectTimeout,
    #[error("no TLS session: {0}")]
    Tls(String),
    /// The connection ended before any byte of an answer.
    #[error("the node closed the connection without an answer")]
    Closed {
        /// Whether the whole request had been handed to the system.
        sent: bool,
    },
    #[error("not an HTTP/1.1 answer: {0}")]
    Malformed(&'static str),
    #[error("reading the answer failed: {0}")]
    Io(String),
}

impl SendFault {
    /// Whether the node may have executed the call: it can have seen the whole request.
    pub fn executed_possible(&self) -> bool {
        self.class() != AttemptClass::NoConnection
    }

    /// What it is to a call.
    pub fn class(&self) -> AttemptClass {
        match self {
            SendFault::NoAddress
            | SendFault::Connect(_)
            | SendFault::ConnectTimeout
            | SendFault::Tls(_)
            | SendFault::Closed { sent: false } => AttemptClass::NoConnection,
            SendFault::Closed { sent: true } | SendFault::Io(_) => AttemptClass::Transport,
            SendFault::Malformed(_) => AttemptClass::BadAnswer,
        }
    }
}

impl BodyFault {
    /// What it is to a call.
    pub fn class(&self) -> AttemptClass {
        match self {
            BodyFault::Truncated | BodyFault::Malformed(_) => AttemptClass::BadAnswer,
            BodyFault::Io(_) => AttemptClass::Transport,
        }
    }
}

impl From<MalformedHttp> for SendFault {
    fn from(malformed: MalformedHttp) -> SendFault {
        SendFault::Malformed(malformed.0)
    }
}

/// Why the rest of a body will never come.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BodyFault {
    #[error("the body ended early")]
    Truncated,
    #[error("the body is malformed: {0}")]
    Malformed(&'static str),
    #[error("reading the body failed: {0}")]
    Io(String),
}

impl From<MalformedHttp> for BodyFault {
    fn from(malformed: MalformedHttp) -> BodyFault {
        BodyFault::Malformed(malformed.0)
    }
}

impl From<DecompressionError> for BodyFault {
    fn from(bad: DecompressionError) -> BodyFault {
        BodyFault::Malformed(bad.0)
    }
}

//! One question to a node, asked aside from any client's call: over reqwest, one answer, read
//! whole and understood.
//!
//! Of what a node says only its first words get into a [`RpcFailure`], without what stands in its URL
//! and headers: it may repeat them.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response};

use super::access::{CONNECT_TIME_MAX, QueryClients, headers};
use crate::clock;
use crate::node::response_head::rest_asked;
use forebay_core::fleet::probe_failure::{ProbeFailure, hint, quoted};
use forebay_core::fleet::standing::Reason;
use forebay_core::rpc::answer::{Answer, AnswerFault, Outcome, RpcError};
use forebay_core::rpc::classify::{AttemptClass, Rejection, Verdict, of_body, of_error};
use forebay_core::rpc::envelope::{Call, UpstreamCallId, numbered};
use forebay_core::vocabulary::node::NodeSpec;
use forebay_core::wire::coding::{DecompressionError, Decompressor, Encoding};

/// Why a question has no answer. Its text is for people and holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RpcFailure {
    #[error("timed out after {} s", .0.as_secs_f64())]
    Timeout(Duration),
    /// No connection, or it broke off.
    #[error("{said}")]
    Connect { reason: Reason, said: String },
    #[error("HTTP {status}{said}")]
    Http {
        status: u16,
        shut: Option<Rejection>,
        said: FailureText,
    },
    /// What came is no answer to a call.
    #[error("{what}{said}")]
    NoAnswer {
        what: &'static str,
        said: FailureText,
    },
    #[error("{0}")]
    BadAnswer(&'static str),
    #[error("an answer over {0} bytes")]
    TooLarge(usize),
    #[error("JSON-RPC error {code}{said}")]
    RpcError {
        code: i64,
        class: AttemptClass,
        shut: Option<Rejection>,
        said: FailureText,
    },
    #[error("{said}{rest}", rest = rest_in_words(*.rest))]
    Throttled {
        said: String,
        /// How long the node asks to be left alone.
        rest: Option<Duration>,
    },
}

/// The node's first words, and what may be done about them; both may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailureText {
    words: Option<String>,
    hint: Option<&'static str>,
}

impl FailureText {
    fn of(text: &[u8], status: u16, node: &NodeSpec) -> FailureText {
        let words = quoted(text, node);
        let hint = hint(Some(status), words.as_deref().unwrap_or_default());
        FailureText { words, hint }
    }
}

impl fmt::Display for FailureText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(words) = &self.words {
            write!(f, ", {words}")?;
        }
        match self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl RpcFailure {
    /// The metric's reason.
    pub fn reason(&self) -> &'static str {
        match self {
            RpcFailure::Timeout(_) => "timeout",
            RpcFailure::Connect { .. } => "connect",
            RpcFailure::Http { .. } => "http",
            RpcFailure::NoAnswer { .. } | RpcFailure::BadAnswer(_) | RpcFailure::TooLarge(_) => {
                "bad_answer"
            }
            RpcFailure::RpcError { .. } => "rpc_error",
            RpcFailure::Throttled { .. } => "throttled",
        }
    }

    /// What it says of a node that has not told its head.
    pub fn probe_failure(&self) -> ProbeFailure {
        let reason = match self {
            RpcFailure::Timeout(_) => Reason::Silent,
            RpcFailure::Connect { reason, .. } => *reason,
            RpcFailure::Throttled { .. } => Reason::RateLimited,
            RpcFailure::Http { shut, .. } | RpcFailure::RpcError { shut, .. } => match shut {
                Some(Rejection::Auth) => Reason::Auth,
                Some(Rejection::Quota) => Reason::Quota,
                None => Reason::BadAnswer,
            },
            RpcFailure::NoAnswer { .. } | RpcFailure::BadAnswer(_) | RpcFailure::TooLarge(_) => {
                Reason::BadAnswer
            }
        };
        ProbeFailure {
            reason,
            words: self.to_string().into(),
        }
    }
}

fn rest_in_words(rest: Option<Duration>) -> String {
    rest.map_or(String::new(), |rest| {
        format!(", asks for a rest of {} s", rest.as_secs_f64())
    })
}

/// What is asked, and how the answer is read.
pub struct RpcQuery<'a, T> {
    pub method: &'static str,
    /// A JSON array.
    pub params: &'a str,
    pub answer_bytes_max: usize,
    /// From the result, as written.
    pub read: fn(&str) -> Result<T, RpcFailure>,
}

/// Asks once, without a time limit: that is the caller's to set.
///
/// # Errors
/// See [`RpcFailure`].
pub async fn ask<T>(
    query_clients: &QueryClients,
    node: &NodeSpec,
    question: &RpcQuery<'_, T>,
) -> Result<T, RpcFailure> {
    let call = Call::new(None, question.method, Some(question.params));
    let own = UpstreamCallId::drawn(clock::roll());
    let body = numbered(&call.for_node(), own.write(&mut itoa::Buffer::new())).concat();
    let body = Bytes::from(body);
    let send = |client: &Client| {
        let mut request = client
            .post(node.url.reveal().clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(ACCEPT_ENCODING, HeaderValue::from_static("identity"))
            .body(body.clone());
        for (name, value) in headers(node) {
            request = request.header(name, value);
        }
        request.send()
    };
    let (client, other) = query_clients.toward(node).await;
    let sent = match (send(client).await, other) {
        (Err(why), Some(other)) if why.is_connect() => send(other).await,
        (sent, _) => sent,
    };
    let response = sent.map_err(|why| broken(&why))?;
    let (status, retry_after) = (response.status().as_u16(), retry_after(&response));
    let reply = |body| RpcReply {
        body,
        own,
        status,
        retry_after,
        node,
    };
    match body_of(response, question.answer_bytes_max).await {
        Ok(body) => reply(&body).understood(question.read),
        Err(failure) => Err(reply(&[]).refusal().unwrap_or(failure)),
    }
}

async fn body_of(mut response: Response, bytes_max: usize) -> Result<Vec<u8>, RpcFailure> {
    let mut unpacker = unpacker_of(&response)?;
    let mut body = Vec::new();
    let mut take = |piece: &[u8]| {
        if body.len() + piece.len() > bytes_max {
            return Err(RpcFailure::TooLarge(bytes_max));
        }
        body.extend_from_slice(piece);
        Ok(())
    };
    while let Some(piece) = response.chunk().await.map_err(|why| broken(&why))? {
        match &mut unpacker {
            None => take(&piece)?,
            Some(unpacker) => {
                unpacker.feed(piece);
                while let Some(piece) = unpacker.give().map_err(badly_packed)? {
                    take(&piece)?;
                }
            }
        }
    }
    if let Some(unpacker) = unpacker {
        unpacker.end().map_err(badly_packed)?;
    }
    Ok(body)
}

/// Some nodes pack their answers, although we didn't ask for that.
fn unpacker_of(response: &Response) -> Result<Option<Decompressor>, RpcFailure> {
    let said = response.headers().get_all(CONTENT_ENCODING).iter();
    let encoding = said.fold(Encoding::Identity, |known, value| {
        known.and(value.as_bytes())
    });
    match encoding {
        Encoding::Identity => Ok(None),
        Encoding::One(coding) => Ok(Decompressor::new(coding)),
        Encoding::Other => Err(RpcFailure::BadAnswer(
            "an answer packed in a way that we don't know",
        )),
    }
}

fn badly_packed(bad: DecompressionError) -> RpcFailure {
    RpcFailure::BadAnswer(bad.0)
}

fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?;
    rest_asked(value.as_bytes().trim_ascii())
}

/// What a node replied, not yet understood.
struct RpcReply<'a> {
    body: &'a [u8],
    own: UpstreamCallId,
    status: u16,
    retry_after: Option<Duration>,
    node: &'a NodeSpec,
}

impl RpcReply<'_> {
    /// A JSON-RPC error says more than the status; the status says more than anything else.
    fn understood<T>(&self, read: fn(&str) -> Result<T, RpcFailure>) -> Result<T, RpcFailure> {
        let outcome = Answer::read(self.body, self.own).map(|answer| answer.outcome);
        match (outcome, self.refusal()) {
            (Ok(Outcome::Error(error)), _) => Err(self.told(&error)),
            (Ok(Outcome::Result(_)) | Err(_), Some(failure)) => Err(failure),
            (Ok(Outcome::Result(result)), None) => read(result),
            (Err(bad), None) => Err(RpcFailure::NoAnswer {
                what: in_words(bad, self.body),
                said: self.said(self.body),
            }),
        }
    }

    /// What a status other than 2xx means when the body is no JSON-RPC answer.
    fn refusal(&self) -> Option<RpcFailure> {
        let verdict = of_body(self.status, self.retry_after, self.body)?;
        let (status, said) = (self.status, self.said(self.body));
        Some(match verdict.class {
            AttemptClass::Throttled => throttled(format!("HTTP {status}{said}"), verdict),
            _ => RpcFailure::Http {
                status,
                shut: verdict.shut(),
                said,
            },
        })
    }

    fn told(&self, error: &RpcError<'_>) -> RpcFailure {
        let verdict = of_error(error, self.status, self.retry_after);
        let (code, said) = (error.code, self.said(error.message.as_bytes()));
        match verdict.class {
            AttemptClass::Throttled => throttled(format!("JSON-RPC error {code}{said}"), verdict),
            class => RpcFailure::RpcError {
                code,
                class,
                shut: verdict.shut(),
                said,
            },
        }
    }

    fn said(&self, text: &[u8]) -> FailureText {
        FailureText::of(text, self.status, self.node)
    }
}

fn throttled(said: String, verdict: Verdict) -> RpcFailure {
    let rest = verdict.rest;
    RpcFailure::Throttled { said, rest }
}

fn in_words(bad: AnswerFault, body: &[u8]) -> &'static str {
    match (bad, body.trim_ascii().first()) {
        (AnswerFault::NotJson, None) => "answered nothing",
        (AnswerFault::NotJson, Some(b'<')) => "answered HTML",
        (AnswerFault::NotJson, Some(_)) => "answered something other than a JSON-RPC answer",
        (AnswerFault::WrongId, _) => "answered another question's id",
        (AnswerFault::NoOutcome, _) => "answered neither a result nor an error",
    }
}

/// reqwest's own text names the URL, so the cause is told in words of our own.
fn broken(error: &reqwest::Error) -> RpcFailure {
    // It has no other limit of its own.
    if error.is_timeout() && error.is_connect() {
        return RpcFailure::Timeout(CONNECT_TIME_MAX);
    }
    let (reason, said) = if error.is_dns() {
        (Reason::Dns, "the host name can't be resolved".to_string())
    } else if let Some(cause) = cause(error) {
        cause
    } else if error.is_connect() {
        (Reason::Silent, "no connection".to_string())
    } else {
        let said = "the connection broke off, or spoke no HTTP";
        (Reason::BadAnswer, said.to_string())
    };
    RpcFailure::Connect { reason, said }
}

/// What TLS or the system says lies beneath `error`.
fn cause(error: &reqwest::Error) -> Option<(Reason, String)> {
    let layers = std::iter::successors(error.source(), |layer| beneath(*layer));
    let mut cause = None;
    for layer in layers {
        if let Some(tls) = layer.downcast_ref::<rustls::Error>() {
            let words = tls.to_string();
            let hint = hint(None, &words).map(|hint| format!(" ({hint})"));
            let hint = hint.unwrap_or_default();
            return Some((Reason::Tls, format!("TLS: {words}{hint}")));
        }
        let system = layer.downcast_ref::<io::Error>().map(io::Error::kind);
        cause = system
            .filter(|kind| *kind != io::ErrorKind::Other)
            .or(cause);
    }
    cause.map(|kind| match kind {
        io::ErrorKind::ConnectionRefused => (Reason::Refused, kind.to_string()),
        io::ErrorKind::UnexpectedEof => (Reason::BadAnswer, "the answer ended early".to_string()),
        kind => (Reason::Silent, kind.to_string()),
    })
}

/// An `io::Error` passes over the error within it when it is asked for its source.
fn beneath<'a>(layer: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    let within = layer
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    match within {
        Some(within) => Some(within),
        None => layer.source(),
    }
}

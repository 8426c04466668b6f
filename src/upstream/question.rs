//! One question to a node, asked aside from any client's call: over reqwest, one answer, read
//! whole and understood.
//!
//! Of what a node says only its first words get into a [`Failure`], without what stands in its URL
//! and headers: it may repeat them.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Certificate, Client, ClientBuilder, Response, redirect};

use super::head::rest_asked;
use crate::clock;
use crate::domain::answer::{Answer, BadAnswer, Outcome, RpcError};
use crate::domain::coding::{BadPacking, Encoding, Unpacker};
use crate::domain::health::Reason;
use crate::domain::jsonrpc::{Call, OwnId, numbered};
use crate::domain::node::NodeSpec;
use crate::domain::trouble::{Trouble, hint, quoted};
use crate::domain::verdict::{Class, Shut, Verdict, of_body, of_error};

/// Unused connections kept for one host. Several nodes may share a host.
const IDLE_CONNECTIONS_MAX: usize = 16;
/// An unused connection is closed after this long: before geth closes it, at 120 s.
const IDLE_MAX: Duration = Duration::from_secs(100);

/// A client for questions: it follows no redirect and heeds no proxy of the environment. It trusts
/// `trusted` alone where that is given, else the system's certificates.
///
/// Where the system has no certificates at all, nodes on `http` can still be asked; each answer
/// over `https` is then a failure.
///
/// # Errors
/// When TLS can't be set up.
pub fn client(trusted: Option<Vec<Certificate>>) -> Result<Client, reqwest::Error> {
    super::install_tls();
    if let Some(trusted) = trusted {
        return builder().tls_certs_only(trusted).build();
    }
    let client = builder().build();
    client.or_else(|why| {
        log::warn!("nodes on https can't be asked for their heads: {why:?}");
        builder().tls_certs_only([]).build()
    })
}

fn builder() -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("forebay/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .no_proxy()
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .pool_idle_timeout(IDLE_MAX)
}

/// Why a question has no answer. Its text is for people and holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error("timed out after {} s", .0.as_secs_f64())]
    Timeout(Duration),
    /// No connection, or it broke off.
    #[error("{said}")]
    Connect { reason: Reason, said: String },
    #[error("HTTP {status}{said}")]
    Http {
        status: u16,
        shut: Option<Shut>,
        said: Said,
    },
    /// What came is no answer to a call.
    #[error("{what}{said}")]
    NoAnswer { what: &'static str, said: Said },
    #[error("{0}")]
    BadAnswer(&'static str),
    #[error("an answer over {0} bytes")]
    TooLarge(usize),
    #[error("JSON-RPC error {code}{said}")]
    RpcError {
        code: i64,
        class: Class,
        shut: Option<Shut>,
        said: Said,
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
pub struct Said {
    words: Option<String>,
    hint: Option<&'static str>,
}

impl Said {
    fn of(text: &[u8], status: u16, node: &NodeSpec) -> Said {
        let words = quoted(text, node);
        let hint = hint(Some(status), words.as_deref().unwrap_or_default());
        Said { words, hint }
    }
}

impl fmt::Display for Said {
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

impl Failure {
    /// The metric's reason.
    pub fn reason(&self) -> &'static str {
        match self {
            Failure::Timeout(_) => "timeout",
            Failure::Connect { .. } => "connect",
            Failure::Http { .. } => "http",
            Failure::NoAnswer { .. } | Failure::BadAnswer(_) | Failure::TooLarge(_) => "bad_answer",
            Failure::RpcError { .. } => "rpc_error",
            Failure::Throttled { .. } => "throttled",
        }
    }

    /// What it says of a node that has not told its head.
    pub fn trouble(&self) -> Trouble {
        let reason = match self {
            Failure::Timeout(_) => Reason::Silent,
            Failure::Connect { reason, .. } => *reason,
            Failure::Throttled { .. } => Reason::RateLimited,
            Failure::Http { shut, .. } | Failure::RpcError { shut, .. } => match shut {
                Some(Shut::Auth) => Reason::Auth,
                Some(Shut::Quota) => Reason::Quota,
                None => Reason::BadAnswer,
            },
            Failure::NoAnswer { .. } | Failure::BadAnswer(_) | Failure::TooLarge(_) => {
                Reason::BadAnswer
            }
        };
        Trouble {
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
pub struct Question<'a, T> {
    pub method: &'static str,
    /// A JSON array.
    pub params: &'a str,
    pub answer_bytes_max: usize,
    /// From the result, as written.
    pub read: fn(&str) -> Result<T, Failure>,
}

/// Asks once, without a time limit: that is the caller's to set.
///
/// # Errors
/// See [`Failure`].
pub async fn ask<T>(
    client: &Client,
    node: &NodeSpec,
    question: &Question<'_, T>,
) -> Result<T, Failure> {
    let call = Call {
        id: None,
        method: question.method.into(),
        params: Some(question.params),
    };
    let own = OwnId::drawn(clock::roll());
    let body = numbered(&call.for_node(), own.write(&mut itoa::Buffer::new())).concat();
    let json = HeaderValue::from_static("application/json");
    let mut request = client
        .post(node.url.reveal().clone())
        .header(CONTENT_TYPE, json)
        .body(body);
    for (name, value) in &node.headers {
        request = request.header(name, value.reveal());
    }
    let response = request.send().await.map_err(|why| broken(&why))?;
    let (status, retry_after) = (response.status().as_u16(), retry_after(&response));
    let reply = |body| Reply {
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

async fn body_of(mut response: Response, bytes_max: usize) -> Result<Vec<u8>, Failure> {
    let mut unpacker = unpacker_of(&response)?;
    let mut body = Vec::new();
    let mut take = |piece: &[u8]| {
        if body.len() + piece.len() > bytes_max {
            return Err(Failure::TooLarge(bytes_max));
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

/// Some pack their answers, although nobody asked for that.
fn unpacker_of(response: &Response) -> Result<Option<Unpacker>, Failure> {
    let said = response.headers().get_all(CONTENT_ENCODING).iter();
    let encoding = said.fold(Encoding::Identity, |known, value| {
        known.and(value.as_bytes())
    });
    match encoding {
        Encoding::Identity => Ok(None),
        Encoding::One(coding) => Ok(Unpacker::new(coding)),
        Encoding::Other => Err(Failure::BadAnswer(
            "an answer packed in a way that we don't know",
        )),
    }
}

fn badly_packed(bad: BadPacking) -> Failure {
    Failure::BadAnswer(bad.0)
}

fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?;
    rest_asked(value.as_bytes().trim_ascii())
}

/// What a node replied, not yet understood.
struct Reply<'a> {
    body: &'a [u8],
    own: OwnId,
    status: u16,
    retry_after: Option<Duration>,
    node: &'a NodeSpec,
}

impl Reply<'_> {
    /// A JSON-RPC error says more than the status; the status says more than anything else.
    fn understood<T>(&self, read: fn(&str) -> Result<T, Failure>) -> Result<T, Failure> {
        let outcome = Answer::read(self.body, self.own).map(|answer| answer.outcome);
        match (outcome, self.refusal()) {
            (Ok(Outcome::Error(error)), _) => Err(self.told(&error)),
            (Ok(Outcome::Result(_)) | Err(_), Some(failure)) => Err(failure),
            (Ok(Outcome::Result(result)), None) => read(result),
            (Err(bad), None) => Err(Failure::NoAnswer {
                what: in_words(bad, self.body),
                said: self.said(self.body),
            }),
        }
    }

    /// What a status other than 2xx means when the body is no JSON-RPC answer.
    fn refusal(&self) -> Option<Failure> {
        let verdict = of_body(self.status, self.retry_after, self.body)?;
        let (status, said) = (self.status, self.said(self.body));
        Some(match verdict.class {
            Class::Throttled => throttled(format!("HTTP {status}{said}"), verdict),
            _ => Failure::Http {
                status,
                shut: verdict.shut(),
                said,
            },
        })
    }

    fn told(&self, error: &RpcError<'_>) -> Failure {
        let verdict = of_error(error, self.status, self.retry_after);
        let (code, said) = (error.code, self.said(error.message.as_bytes()));
        match verdict.class {
            Class::Throttled => throttled(format!("JSON-RPC error {code}{said}"), verdict),
            class => Failure::RpcError {
                code,
                class,
                shut: verdict.shut(),
                said,
            },
        }
    }

    fn said(&self, text: &[u8]) -> Said {
        Said::of(text, self.status, self.node)
    }
}

fn throttled(said: String, verdict: Verdict) -> Failure {
    let rest = verdict.rest;
    Failure::Throttled { said, rest }
}

fn in_words(bad: BadAnswer, body: &[u8]) -> &'static str {
    match (bad, body.trim_ascii().first()) {
        (BadAnswer::NotJson, None) => "answered nothing",
        (BadAnswer::NotJson, Some(b'<')) => "answered HTML",
        (BadAnswer::NotJson, Some(_)) => "answered something other than a JSON-RPC answer",
        (BadAnswer::WrongId, _) => "answered another question's id",
        (BadAnswer::NoOutcome, _) => "answered neither a result nor an error",
    }
}

/// reqwest's own text names the URL, so the cause is told in words of our own.
fn broken(error: &reqwest::Error) -> Failure {
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
    Failure::Connect { reason, said }
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

//! One question to a node, asked aside from any client's call: over reqwest, one answer, read
//! whole and understood.
//!
//! Nothing that a node says gets into a [`Failure`] but numbers: a node's text may repeat the key
//! in its URL.

use std::error::Error;
use std::io;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Certificate, Client, ClientBuilder, Response, redirect};

use crate::domain::answer::{Answer, BadAnswer, Outcome, RpcError};
use crate::domain::jsonrpc::Call;
use crate::domain::node::NodeSpec;
use crate::domain::verdict::{Class, Verdict, of_error, of_status};

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
    #[error("{0}")]
    Connect(String),
    #[error("HTTP {0}")]
    Http(u16),
    #[error("{0}")]
    BadAnswer(&'static str),
    #[error("an answer over {0} bytes")]
    TooLarge(usize),
    #[error("JSON-RPC error {0}")]
    RpcError(i64, Class),
    #[error("{said}{rest}", rest = rest_in_words(*.rest))]
    Throttled {
        said: String,
        /// How long the node asks to be left alone.
        rest: Option<Duration>,
    },
}

impl Failure {
    /// The metric's reason.
    pub fn reason(&self) -> &'static str {
        match self {
            Failure::Timeout(_) => "timeout",
            Failure::Connect(_) => "connect",
            Failure::Http(_) => "http",
            Failure::BadAnswer(_) | Failure::TooLarge(_) => "bad_answer",
            Failure::RpcError(..) => "rpc_error",
            Failure::Throttled { .. } => "throttled",
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
    let json = HeaderValue::from_static("application/json");
    let mut request = client
        .post(node.url.reveal().clone())
        .header(CONTENT_TYPE, json)
        .body(call.for_node());
    for (name, value) in &node.headers {
        request = request.header(name, value.reveal());
    }
    let response = request.send().await.map_err(|why| broken(&why))?;
    let (status, retry_after) = (response.status().as_u16(), retry_after(&response));
    let by_status = of_status(status, retry_after).map(|verdict| refused(status, verdict));
    match body_of(response, question.answer_bytes_max).await {
        Ok(body) => understood(&body, status, retry_after, by_status, question.read),
        Err(failure) => Err(by_status.unwrap_or(failure)),
    }
}

async fn body_of(mut response: Response, bytes_max: usize) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|why| broken(&why))? {
        if body.len() + piece.len() > bytes_max {
            return Err(Failure::TooLarge(bytes_max));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// In seconds; a date is passed over.
fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

/// What a status other than 2xx means when the body says nothing.
fn refused(status: u16, verdict: Verdict) -> Failure {
    if verdict.class == Class::Throttled {
        let said = format!("HTTP {status}");
        let rest = verdict.rest;
        return Failure::Throttled { said, rest };
    }
    Failure::Http(status)
}

/// A JSON-RPC error says more than the status; the status says more than anything else.
fn understood<T>(
    body: &[u8],
    status: u16,
    retry_after: Option<Duration>,
    by_status: Option<Failure>,
    read: fn(&str) -> Result<T, Failure>,
) -> Result<T, Failure> {
    match (Answer::read(body).map(|answer| answer.outcome), by_status) {
        (Ok(Outcome::Error(error)), _) => Err(told(&error, status, retry_after)),
        (Ok(Outcome::Result(_)) | Err(_), Some(failure)) => Err(failure),
        (Ok(Outcome::Result(result)), None) => read(result),
        (Err(bad), None) => Err(Failure::BadAnswer(in_words(bad, body))),
    }
}

fn told(error: &RpcError<'_>, status: u16, retry_after: Option<Duration>) -> Failure {
    let verdict = of_error(error, status, retry_after);
    if verdict.class == Class::Throttled {
        let said = format!("JSON-RPC error {}", error.code);
        let rest = verdict.rest;
        return Failure::Throttled { said, rest };
    }
    Failure::RpcError(error.code, verdict.class)
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
    let words = if error.is_dns() {
        "the host name can't be resolved".to_string()
    } else if let Some(words) = cause(error) {
        words
    } else if error.is_connect() {
        "no connection".to_string()
    } else {
        "the connection broke off, or spoke no HTTP".to_string()
    };
    Failure::Connect(words)
}

/// What TLS or the system says lies beneath `error`.
fn cause(error: &reqwest::Error) -> Option<String> {
    let layers = std::iter::successors(error.source(), |layer| beneath(*layer));
    let mut words = None;
    for layer in layers {
        if let Some(tls) = layer.downcast_ref::<rustls::Error>() {
            return Some(format!("TLS: {tls}"));
        }
        let system = layer.downcast_ref::<io::Error>().map(io::Error::kind);
        words = system
            .filter(|kind| *kind != io::ErrorKind::Other)
            .or(words);
    }
    words.map(|kind| match kind {
        io::ErrorKind::UnexpectedEof => "the answer ended early".to_string(),
        kind => kind.to_string(),
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

//! What a reply means: what the call does next, and what is learnt about the node.
//!
//! The order is code and data, then HTTP status, then text; and never the text of a message that
//! tells of a revert, because a contract's author writes it: a revert reason
//! "rate limit exceeded" must not throttle a node. What nodes say, and where that stems from, is
//! the table in `signs.rs`.

mod meaning;
#[cfg(test)]
mod real_messages_tests;
mod signs;

use std::time::Duration;

use serde_json::value::RawValue;

use self::signs::Reading;
use super::answer::{BadAnswer, RpcError};

pub use self::meaning::{Meaning, Missing, Shut};

/// What an attempt came to. Also the label of the attempts' metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    Ok,
    /// The node answered with an error that is the call's own: final.
    RpcError,
    Throttled,
    /// Quota used up, or not let in.
    Shut,
    Unsupported,
    MissingData,
    /// The node says that it ran out of time.
    NodeTimeout,
    /// We ran out of patience.
    Timeout,
    /// No connection was made, so the node has seen nothing.
    NoConnection,
    Transport,
    BadAnswer,
    /// A server error that no row of the table knows.
    Unknown,
    Cancelled,
}

impl Class {
    pub const ALL: [Class; 13] = [
        Class::Ok,
        Class::RpcError,
        Class::Throttled,
        Class::Shut,
        Class::Unsupported,
        Class::MissingData,
        Class::NodeTimeout,
        Class::Timeout,
        Class::NoConnection,
        Class::Transport,
        Class::BadAnswer,
        Class::Unknown,
        Class::Cancelled,
    ];

    /// The metric's value.
    pub fn outcome(self) -> &'static str {
        match self {
            Class::Ok => "ok",
            Class::RpcError | Class::Unknown => "rpc_error",
            Class::Throttled | Class::Shut => "throttled",
            Class::Unsupported => "unsupported",
            Class::MissingData => "missing_data",
            Class::NodeTimeout | Class::Timeout => "timeout",
            Class::NoConnection | Class::Transport => "transport",
            Class::BadAnswer => "bad_answer",
            Class::Cancelled => "cancelled",
        }
    }

    /// Whether the call may be asked of another node.
    pub fn elsewhere(self) -> Elsewhere {
        match self {
            Class::Ok | Class::RpcError | Class::Cancelled => Elsewhere::Never,
            Class::NodeTimeout | Class::Unknown => Elsewhere::Once,
            Class::Throttled
            | Class::Shut
            | Class::Unsupported
            | Class::MissingData
            | Class::Timeout
            | Class::NoConnection
            | Class::Transport
            | Class::BadAnswer => Elsewhere::WhileAttemptsLast,
        }
    }

    /// The node can't have executed the call: repeating it is free and always safe.
    pub fn is_unexecuted(self) -> bool {
        matches!(
            self,
            Class::NoConnection | Class::Throttled | Class::Shut | Class::Unsupported
        )
    }

    /// What it says against the node.
    pub fn blame(self, rest: Option<Duration>) -> Blame {
        match self {
            Class::Timeout | Class::NoConnection | Class::Transport | Class::BadAnswer => {
                Blame::Fault
            }
            Class::Throttled => Blame::Rest(rest),
            Class::Shut => Blame::Rest(Some(SHUT_REST)),
            Class::Ok
            | Class::RpcError
            | Class::Unsupported
            | Class::MissingData
            | Class::NodeTimeout
            | Class::Unknown
            | Class::Cancelled => Blame::None,
        }
    }
}

/// How long a node rests whose quota is used up or that doesn't let us in.
const SHUT_REST: Duration = Duration::from_secs(60);
/// The longest rest that we let a node prescribe.
const REST_MAX: Duration = Duration::from_secs(300);
/// So much of a message is looked at.
const TEXT_BYTES_MAX: usize = 2048;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elsewhere {
    Never,
    Once,
    WhileAttemptsLast,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    None,
    /// Counts toward benching.
    Fault,
    /// The node asks to be left alone; for how long, if it said so.
    Rest(Option<Duration>),
}

/// A reply, once understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub class: Class,
    /// What the node's error means; `None` where it gave none.
    pub meaning: Option<Meaning>,
    /// How long the node asks to be left alone.
    pub rest: Option<Duration>,
}

impl Verdict {
    /// Which way the data lies that the node doesn't have. Said of [`Class::MissingData`], and of
    /// a range that ends beyond the node's head.
    pub fn missing(&self) -> Option<Missing> {
        match self.meaning? {
            Meaning::Missing(missing) => Some(missing),
            Meaning::FutureRange => Some(Missing::Newer),
            Meaning::Execution
            | Meaning::Invalid
            | Meaning::AlreadyKnown
            | Meaning::NonceTooLow
            | Meaning::PoolRefusal
            | Meaning::Range
            | Meaning::Throttled
            | Meaning::Shut(_)
            | Meaning::Unsupported
            | Meaning::NodeTimeout
            | Meaning::Unknown => None,
        }
    }

    /// Why the node refuses our credentials: somebody has to see to it. Said of [`Class::Shut`].
    pub fn shut(&self) -> Option<Shut> {
        match self.meaning {
            Some(Meaning::Shut(shut)) => Some(shut),
            Some(_) | None => None,
        }
    }
}

impl From<Class> for Verdict {
    fn from(class: Class) -> Verdict {
        Verdict {
            class,
            meaning: None,
            rest: None,
        }
    }
}

impl From<Meaning> for Verdict {
    fn from(meaning: Meaning) -> Verdict {
        Verdict {
            class: meaning.class(),
            meaning: Some(meaning),
            rest: None,
        }
    }
}

impl From<BadAnswer> for Verdict {
    fn from(_: BadAnswer) -> Verdict {
        Class::BadAnswer.into()
    }
}

/// Judges an HTTP status alone. `None`: the body decides.
pub fn of_status(status: u16, retry_after: Option<Duration>) -> Option<Verdict> {
    let verdict = match status {
        200..=299 => return None,
        429 => Meaning::Throttled.into(),
        402 => Meaning::Shut(Shut::Quota).into(),
        401 | 403 => Meaning::Shut(Shut::Auth).into(),
        408 | 504 => Meaning::NodeTimeout.into(),
        // What was asked for is too large, or the answer to it.
        413 => Meaning::Range.into(),
        500..=599 => Class::Transport.into(),
        _ => Class::BadAnswer.into(),
    };
    Some(with_rest(verdict, retry_after))
}

/// Judges an HTTP status with a body that is no answer. `None`: the status is a good one.
pub fn of_body(status: u16, retry_after: Option<Duration>, body: &[u8]) -> Option<Verdict> {
    let verdict = of_status(status, retry_after)?;
    let text = String::from_utf8_lossy(&body[..body.len().min(TEXT_BYTES_MAX)]);
    Some(paid_for(verdict, status, &text.to_ascii_lowercase()))
}

/// A node that lets us in no more may say that it is about money.
fn paid_for(verdict: Verdict, status: u16, text: &str) -> Verdict {
    let signs = match status {
        429 => signs::PAID,
        403 => signs::BILLING,
        _ => return verdict,
    };
    signs::find(signs, text).map_or(verdict, |(meaning, _)| meaning.into())
}

/// Judges a JSON-RPC error that came with `status`.
pub fn of_error(error: &RpcError<'_>, status: u16, retry_after: Option<Duration>) -> Verdict {
    let text = lower(&error.message);
    if let Some(meaning) = by_code(error, &text) {
        return with_rest(meaning.into(), backoff_of(error).or(retry_after));
    }
    let by_status = of_status(status, retry_after).filter(|_| tells_more_than_text(status));
    if let Some(verdict) = by_status {
        let rest = backoff_of(error).or(retry_after);
        return with_rest(paid_for(verdict, status, &text), rest);
    }
    let mut meaning = by_text(&text).unwrap_or_else(|| fallback(error.code));
    if is_disarmed(error.code) {
        meaning = meaning.without_blame();
    }
    with_rest(meaning.into(), backoff_of(error).or(retry_after))
}

/// Some providers send 400 or 404 with every error.
fn tells_more_than_text(status: u16) -> bool {
    matches!(status, 401..=403 | 408 | 413 | 429 | 500..=599)
}

fn with_rest(verdict: Verdict, rest: Option<Duration>) -> Verdict {
    let rest = rest
        .filter(|_| verdict.class == Class::Throttled)
        .map(|rest| rest.min(REST_MAX));
    Verdict { rest, ..verdict }
}

/// The start of a message, in lower case.
fn lower(message: &str) -> String {
    let mut end = message.len().min(TEXT_BYTES_MAX);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message[..end].trim_start().to_ascii_lowercase()
}

/// By the code, with the text and data where a code has several meanings.
fn by_code(error: &RpcError<'_>, text: &str) -> Option<Meaning> {
    let is_execution = error.data.is_some_and(is_revert_data)
        || signs::find(&[(Meaning::Execution, signs::EXECUTION)], text).is_some();
    if is_execution {
        return Some(Meaning::Execution);
    }
    let rows = signs::CODES;
    let (_, reading, _) = rows.iter().find(|row| row.0.contains(&error.code))?;
    match *reading {
        Reading::Sure(meaning) => Some(meaning),
        // Infura names its pause here, whatever the text.
        Reading::TextOr(_) if backoff_of(error).is_some() => {
            Some(by_text(text).filter(is_shut).unwrap_or(Meaning::Throttled))
        }
        Reading::TextOr(meaning) => Some(by_text(text).unwrap_or(meaning)),
        Reading::OneOf(signs, meaning) => {
            Some(signs::find(signs, text).map_or(meaning, |(found, _)| found))
        }
        Reading::Disarmed => None,
    }
}

/// Whether a caller may have written the text that comes with `code`.
fn is_disarmed(code: i64) -> bool {
    signs::CODES
        .iter()
        .any(|row| row.0.contains(&code) && matches!(row.1, Reading::Disarmed))
}

fn is_shut(meaning: &Meaning) -> bool {
    matches!(meaning, Meaning::Shut(_))
}

fn by_text(text: &str) -> Option<Meaning> {
    signs::find(signs::TEXTS, text).map(|(meaning, _)| meaning)
}

/// `Error(string)` and `Panic(uint256)` (Solidity ABI), as geth and as OpenEthereum send them.
fn is_revert_data(data: &str) -> bool {
    const SELECTORS: [&str; 2] = ["0x08c379a0", "0x4e487b71"];
    let data = data.strip_prefix('"').unwrap_or(data);
    let data = data.strip_prefix("Reverted ").unwrap_or(data);
    SELECTORS.iter().any(|selector| data.starts_with(selector))
}

/// An error that says nothing we know: the server's own codes are asked about elsewhere once.
fn fallback(code: i64) -> Meaning {
    if (-32099..=-32000).contains(&code) || code == -32603 {
        Meaning::Unknown
    } else {
        Meaning::Invalid
    }
}

/// Infura's `data.rate.backoff_seconds`.
fn backoff_of(error: &RpcError<'_>) -> Option<Duration> {
    #[derive(serde::Deserialize)]
    struct Data {
        rate: Rate,
    }
    #[derive(serde::Deserialize)]
    struct Rate {
        backoff_seconds: f64,
    }
    let data: &RawValue = serde_json::from_str(error.data?).ok()?;
    let data: Data = serde_json::from_str(data.get()).ok()?;
    Duration::try_from_secs_f64(data.rate.backoff_seconds).ok()
}

/// Whether a transaction pool says that it has the transaction: a success told as an error.
pub fn is_already_known(error: &RpcError<'_>) -> bool {
    says(error, Meaning::AlreadyKnown)
}

/// Whether the sender is past this nonce: perhaps by this very transaction, so that its hash is
/// worth looking up.
pub fn is_nonce_too_low(error: &RpcError<'_>) -> bool {
    says(error, Meaning::NonceTooLow)
}

/// Whatever code and status it came with: of a raw transaction no caller writes the text.
fn says(error: &RpcError<'_>, meaning: Meaning) -> bool {
    let text = lower(&error.message);
    by_code(error, &text) != Some(Meaning::Execution) && by_text(&text) == Some(meaning)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error<'a>(code: i64, message: &'a str, data: Option<&'a str>) -> RpcError<'a> {
        RpcError {
            code,
            message: message.into(),
            data,
        }
    }

    #[test]
    fn the_code_outranks_the_status_and_the_status_the_text() {
        assert_eq!(
            of_error(&error(3, "x", None), 500, None).class,
            Class::RpcError
        );
        assert_eq!(
            of_error(&error(-32000, "header not found", None), 429, None).class,
            Class::Throttled
        );
        assert_eq!(
            of_error(&error(-32602, "bad", None), 400, None).class,
            Class::RpcError
        );
        assert_eq!(
            of_error(&error(-32000, "weird", None), 503, None).class,
            Class::Transport
        );
    }

    #[test]
    fn a_node_says_how_long_it_rests_and_is_believed_within_limits() {
        let data = r#"{"rate":{"backoff_seconds":30.5}}"#;
        let verdict = of_error(
            &error(-32005, "x", Some(data)),
            429,
            Some(Duration::from_secs(5)),
        );
        assert_eq!(verdict.rest, Some(Duration::from_millis(30_500)));
        for hostile in ["-1", "1e300", "\"x\"", "null"] {
            let data = format!(r#"{{"rate":{{"backoff_seconds":{hostile}}}}}"#);
            let rest = of_error(&error(429, "x", Some(&data)), 429, None).rest;
            assert!(rest.is_none_or(|rest| rest <= REST_MAX), "{hostile}");
        }
        let status = of_status(429, Some(Duration::from_secs(10_000))).unwrap();
        assert_eq!(status.rest, Some(REST_MAX));
    }

    #[test]
    fn statuses_have_their_meaning() {
        for (status, wanted) in [
            (429, Class::Throttled),
            (402, Class::Shut),
            (401, Class::Shut),
            (403, Class::Shut),
            (500, Class::Transport),
            (502, Class::Transport),
            (504, Class::NodeTimeout),
            (404, Class::BadAnswer),
            (302, Class::BadAnswer),
        ] {
            assert_eq!(of_status(status, None).unwrap().class, wanted, "{status}");
        }
        assert_eq!(of_status(200, None), None);
    }

    #[test]
    fn a_pool_that_has_the_transaction_is_told_from_one_that_refuses_it() {
        assert!(is_already_known(&error(-32000, "already known", None)));
        assert!(is_already_known(&error(
            -32010,
            "Transaction with the same hash was already imported.",
            None
        )));
        assert!(is_already_known(&error(
            -32000,
            "known transaction: 0xab",
            None
        )));
        assert!(!is_already_known(&error(
            -32000,
            "unknown transaction type",
            None
        )));
        assert!(!is_already_known(&error(-32000, "nonce too low", None)));
        assert!(is_already_known(&error(
            -32602,
            "0xab: this transaction is already in the TxPool",
            None
        )));
        assert!(!is_already_known(&error(
            3,
            "execution reverted: already known",
            None
        )));
    }
}

//! What a reply means: what the call does next, and what is learnt about the node.
//!
//! The order is code and data, then what the body says in words that are known, then the HTTP
//! status, but for one that turns us away; and never the text of a message that tells of a revert,
//! because a contract's author writes it: a revert reason
//! "rate limit exceeded" must not throttle a node. What nodes say, and where that stems from, is
//! the table in `error_table`.

mod attempt_class;
mod ceiling;
mod error_table;
mod lesson;
mod meaning;
#[cfg(test)]
mod real_messages_tests;
mod verdict;

use std::time::Duration;

use serde_json::value::RawValue;

use super::answer::{Outcome, RpcError};
use crate::method;
use crate::rpc::classify::error_table::CodeReading;

pub use self::attempt_class::{AttemptClass, Blame, FailoverRule, SHUT_REST};
pub use self::lesson::Lesson;
pub use self::meaning::Meaning;
pub use self::verdict::{Overload, Verdict};
pub use crate::rpc::classify::ceiling::{AnnouncedLimit, LimitedQuantity};
pub use crate::rpc::classify::meaning::{MissingKind, Rejection};

/// The longest rest that we let a node prescribe.
const REST_MAX: Duration = Duration::from_secs(300);
/// So much of a message is looked at.
const TEXT_BYTES_MAX: usize = 2048;

/// Judges an HTTP status alone. `None`: the body decides.
pub fn of_status(status: u16, retry_after: Option<Duration>) -> Option<Verdict> {
    let verdict = match status {
        200..=299 => return None,
        429 => Meaning::Throttled.into(),
        402 => Meaning::Shut(Rejection::Quota).into(),
        401 | 403 => Meaning::Shut(Rejection::Auth).into(),
        408 | 504 => Meaning::NodeTimeout.into(),
        413 => Meaning::RequestSize.into(),
        503 => Meaning::Busy.into(),
        500..=599 => AttemptClass::Transport.into(),
        _ => AttemptClass::BadAnswer.into(),
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
        429 => error_table::QUOTA_USED_UP,
        403 => error_table::BILLING,
        _ => return verdict,
    };
    error_table::find(signs, text).map_or(verdict, |(meaning, _)| meaning.into())
}

/// Judges an outcome that came with `status`. What the outcome says counts before what the status says.
#[inline]
pub fn of_outcome(outcome: &Outcome<'_>, status: u16, retry_after: Option<Duration>) -> Verdict {
    match outcome {
        Outcome::Result(_) => AttemptClass::Ok.into(),
        Outcome::Error(error) => of_error(error, status, retry_after),
    }
}

/// Judges a JSON-RPC error that came with `status`.
pub fn of_error(error: &RpcError<'_>, status: u16, retry_after: Option<Duration>) -> Verdict {
    let text = lower(&error.message);
    let rest = backoff_of(error).or(retry_after);
    let verdict = match by_code(error, &text) {
        Some(meaning) => meaning.into(),
        None => by_words(error, &text, status),
    };
    let verdict = with_rest(narrowed(verdict, error, status, rest), rest);
    let ceiling = (verdict.class == AttemptClass::Limit).then(|| AnnouncedLimit::read(&text));
    Verdict { ceiling, ..verdict }
}

/// Where the code has no meaning of its own.
fn by_words(error: &RpcError<'_>, text: &str, status: u16) -> Verdict {
    let told = by_text(text);
    if let Some(verdict) = of_status(status, None).filter(|_| outranks(status, told)) {
        return paid_for(verdict, status, text);
    }
    let meaning = told.unwrap_or_else(|| fallback(error.code));
    if is_disarmed(error.code) {
        return meaning.without_blame().into();
    }
    meaning.into()
}

/// Whether `status` tells more than the words `told`. Many nodes send 400, 404 or 500 with every
/// error; one that turns us away means it, unless the call's own answer came with it.
fn outranks(status: u16, told: Option<Meaning>) -> bool {
    match status {
        401..=403 | 429 => told.is_none_or(|told| told.class() != AttemptClass::RpcError),
        408 | 413 | 501..=599 => told.is_none(),
        _ => false,
    }
}

/// A limit on one method is not one on the node: where the words name a method, or, without a
/// status or a time, nothing at all.
fn narrowed(
    verdict: Verdict,
    error: &RpcError<'_>,
    status: u16,
    rest: Option<Duration>,
) -> Verdict {
    let is_bare = status != 429 && rest.is_none();
    match verdict.meaning {
        Some(Meaning::Throttled) if names_method(&error.message) => Meaning::MethodThrottled.into(),
        Some(Meaning::MethodThrottled) if !is_bare && !names_method(&error.message) => {
            Meaning::Throttled.into()
        }
        Some(_) | None => verdict,
    }
}

fn names_method(message: &str) -> bool {
    let mut words = message.split(|at: char| !at.is_ascii_alphanumeric() && at != '_');
    words.any(|word| word.contains('_') && method::is_listed(word))
}

fn with_rest(verdict: Verdict, rest: Option<Duration>) -> Verdict {
    let rest = rest
        .filter(|_| verdict.class == AttemptClass::Throttled)
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
        || error_table::find(&[(Meaning::Execution, error_table::EXECUTION)], text).is_some();
    if is_execution {
        return Some(Meaning::Execution);
    }
    let rows = error_table::CODES;
    let (_, reading, _) = rows.iter().find(|row| row.0.contains(&error.code))?;
    match *reading {
        CodeReading::Sure(meaning) => Some(meaning),
        // Infura names its pause here, whatever the text.
        CodeReading::TextOr(_) if backoff_of(error).is_some() => {
            Some(by_text(text).filter(is_shut).unwrap_or(Meaning::Throttled))
        }
        CodeReading::TextOr(meaning) => Some(by_text(text).unwrap_or(meaning)),
        CodeReading::OneOf(lists, meaning) => {
            let mut found = lists
                .iter()
                .filter_map(|list| error_table::find(list, text));
            Some(found.next().map_or(meaning, |(found, _)| found))
        }
        CodeReading::NeverBlames => None,
    }
}

/// Whether a caller may have written the text that comes with `code`.
fn is_disarmed(code: i64) -> bool {
    error_table::CODES
        .iter()
        .any(|row| row.0.contains(&code) && matches!(row.1, CodeReading::NeverBlames))
}

fn is_shut(meaning: &Meaning) -> bool {
    matches!(meaning, Meaning::Shut(_))
}

fn by_text(text: &str) -> Option<Meaning> {
    error_table::find(error_table::TEXTS, text).map(|(meaning, _)| meaning)
}

/// `Error(string)` and `Panic(uint256)` (Solidity ABI), as geth and as OpenEthereum send them.
fn is_revert_data(data: &str) -> bool {
    const SELECTORS: [&str; 2] = ["0x08c379a0", "0x4e487b71"];
    let data = data.strip_prefix('"').unwrap_or(data);
    let data = data.strip_prefix("Reverted ").unwrap_or(data);
    SELECTORS.iter().any(|selector| data.starts_with(selector))
}

/// An error that says nothing we know. Under one of the server's own codes it may be otherwise the
/// next time.
fn fallback(code: i64) -> Meaning {
    if (-32099..=-32000).contains(&code) || code == -32603 {
        Meaning::Unknown
    } else {
        Meaning::Doubtful
    }
}

/// Infura's `data.rate.backoff_seconds`.
fn backoff_of(error: &RpcError<'_>) -> Option<Duration> {
    #[derive(serde::Deserialize)]
    struct ErrorData {
        rate: RateHint,
    }
    #[derive(serde::Deserialize)]
    struct RateHint {
        backoff_seconds: f64,
    }
    let data: &RawValue = serde_json::from_str(error.data?).ok()?;
    let data: ErrorData = serde_json::from_str(data.get()).ok()?;
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
        for (code, message, status, wanted) in [
            (3, "x", 500, AttemptClass::RpcError),
            (-32000, "header not found", 429, AttemptClass::Throttled),
            (-32000, "weird", 503, AttemptClass::Transport),
        ] {
            let verdict = of_error(&error(code, message, None), status, None);
            assert_eq!(verdict.class, wanted, "{message}");
        }
    }

    #[test]
    fn what_a_body_says_is_heard_whatever_status_it_came_with() {
        for (status, code, message, wanted) in [
            (
                500,
                -32000,
                "insufficient funds for gas * price + value",
                AttemptClass::RpcError,
            ),
            (500, -32000, "nonce too low", AttemptClass::RpcError),
            (503, -32000, "header not found", AttemptClass::MissingData),
            (400, -32000, "already known", AttemptClass::RpcError),
            (
                403,
                -32000,
                "replacement transaction underpriced",
                AttemptClass::RpcError,
            ),
            (
                500,
                1,
                "mpool push: not enough funds: 10000000 < 2100000000",
                AttemptClass::Unknown,
            ),
            (404, -32000, "weird", AttemptClass::Unknown),
            (400, -32602, "bad", AttemptClass::Unknown),
            (413, -32000, "weird", AttemptClass::RequestSize),
            (
                413,
                -32614,
                "eth_getLogs is limited to a 10,000 range",
                AttemptClass::Limit,
            ),
        ] {
            let verdict = of_error(&error(code, message, None), status, None);
            assert_eq!(verdict.class, wanted, "{status} {message}");
            assert_eq!(verdict.blame(), Blame::None, "{status} {message}");
        }
    }

    #[test]
    fn a_limit_on_one_method_leaves_the_node_alone() {
        let of = |code, message, status, rest| {
            let verdict = of_error(&error(code, message, None), status, rest);
            (verdict.class, verdict.blame())
        };
        let second = Some(Duration::from_secs(1));
        let of_method = (AttemptClass::Throttled, Blame::None);
        for message in [
            "limit exceeded",
            "eth_getLogs rate limit exceeded",
            "too many requests for method eth_getLogs, slow down",
            "trace requests limited to 5/second",
        ] {
            assert_eq!(of(-32005, message, 200, None), of_method, "{message}");
        }
        let of_node = |rest| (AttemptClass::Throttled, Blame::Rest(rest));
        for (message, status, rest) in [
            ("limit exceeded", 429, None),
            ("limit exceeded", 200, second),
            ("project ID request rate exceeded", 200, None),
            ("ETH_MAINNET rate limit exceeded", 200, None),
        ] {
            assert_eq!(
                of(-32005, message, status, rest),
                of_node(rest),
                "{message}"
            );
        }
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
            (429, AttemptClass::Throttled),
            (402, AttemptClass::Shut),
            (401, AttemptClass::Shut),
            (403, AttemptClass::Shut),
            (500, AttemptClass::Transport),
            (502, AttemptClass::Transport),
            (503, AttemptClass::Transport),
            (504, AttemptClass::NodeTimeout),
            (408, AttemptClass::NodeTimeout),
            (404, AttemptClass::BadAnswer),
            (413, AttemptClass::RequestSize),
            (302, AttemptClass::BadAnswer),
        ] {
            assert_eq!(of_status(status, None).unwrap().class, wanted, "{status}");
        }
        assert_eq!(of_status(200, None), None);
    }

    #[test]
    fn a_pool_that_has_the_transaction_is_told_from_one_that_refuses_it() {
        for (code, message, wanted) in [
            (-32000, "already known", true),
            (
                -32010,
                "Transaction with the same hash was already imported.",
                true,
            ),
            (-32000, "known transaction: 0xab", true),
            (-32000, "unknown transaction type", false),
            (-32000, "nonce too low", false),
            (
                -32602,
                "0xab: this transaction is already in the TxPool",
                true,
            ),
            (3, "execution reverted: already known", false),
        ] {
            let found = is_already_known(&error(code, message, None));
            assert_eq!(found, wanted, "{message}");
        }
    }
}

//! What a reply means: what the call does next, and what is learnt about the node.
//!
//! The order is code and data, then HTTP status, then text; and never text that follows
//! "execution reverted", because a contract's author writes it: a revert reason
//! "rate limit exceeded" must not throttle a node.

use std::time::Duration;

use serde_json::value::RawValue;

use super::answer::{BadAnswer, RpcError};

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
    /// How long the node asks to be left alone.
    pub rest: Option<Duration>,
}

impl From<Class> for Verdict {
    fn from(class: Class) -> Verdict {
        Verdict { class, rest: None }
    }
}

impl From<BadAnswer> for Verdict {
    fn from(_: BadAnswer) -> Verdict {
        Class::BadAnswer.into()
    }
}

/// Judges an HTTP status alone. `None`: the body decides.
pub fn of_status(status: u16, retry_after: Option<Duration>) -> Option<Verdict> {
    let class = match status {
        200..=299 => return None,
        429 => Class::Throttled,
        401..=403 => Class::Shut,
        408 | 504 => Class::NodeTimeout,
        500..=599 => Class::Transport,
        _ => Class::BadAnswer,
    };
    let rest = retry_after
        .filter(|_| class == Class::Throttled)
        .map(|rest| rest.min(REST_MAX));
    Some(Verdict { class, rest })
}

/// Judges a JSON-RPC error that came with `status`.
pub fn of_error(error: &RpcError<'_>, status: u16, retry_after: Option<Duration>) -> Verdict {
    let class = by_code(error)
        .or_else(|| of_status(status, retry_after).map(|verdict| verdict.class))
        .or_else(|| by_text(&error.message))
        .unwrap_or_else(|| fallback(error.code));
    let rest = match class {
        Class::Throttled => backoff_of(error)
            .or(retry_after)
            .map(|rest| rest.min(REST_MAX)),
        _ => None,
    };
    Verdict { class, rest }
}

/// By the code, with the message and data where a code has several meanings.
fn by_code(error: &RpcError<'_>) -> Option<Class> {
    if is_execution(error) {
        return Some(Class::RpcError);
    }
    match error.code {
        // JSON-RPC 2.0 §5.1; execution-apis: getLogs beyond the head is −32602.
        -32700 | -32600 | -32602 => Some(Class::RpcError),
        // EIP-1474: method not found, method not supported.
        -32601 | -32004 => Some(Class::Unsupported),
        // EIP-1474: transaction rejected. QuickNode: range or answer too large.
        -32003 | -32614 => Some(Class::RpcError),
        // QuickNode: requests a second, requests a minute. Some providers put the status here.
        -32007 | -32009 | 429 => Some(Class::Throttled),
        // geth: request timed out (`rpc/errors.go`).
        -32002 => Some(Class::NodeTimeout),
        // EIP-4444 as geth says it: pruned history unavailable.
        4444 => Some(Class::MissingData),
        // Infura uses −32005 for a range, a day's quota and a rate alike.
        -32005 => Some(match by_text(&error.message) {
            _ if backoff_of(error).is_some() => Class::Throttled,
            Some(class) => class,
            None => Class::Throttled,
        }),
        _ => None,
    }
}

/// The EVM ran and stopped: the answer is right, whatever its text says.
fn is_execution(error: &RpcError<'_>) -> bool {
    /// The selector of `Error(string)` (Solidity ABI).
    const REVERT: &str = "\"0x08c379a0";
    let message = error.message.trim_start();
    error.code == 3
        || error.data.is_some_and(|data| data.starts_with(REVERT))
        || [
            "execution reverted",
            "VM Exception",
            "EVM error",
            "out of gas",
            "revert",
        ]
        .iter()
        .any(|sign| message.starts_with(sign))
        || ["out of gas", "EVM error:"]
            .iter()
            .any(|sign| before_reason(message).contains(sign))
}

/// The message up to where a contract's author may have written.
fn before_reason(message: &str) -> &str {
    message
        .find("execution reverted")
        .map_or(message, |at| &message[..at])
}

/// Signs in lower case, first match wins: the narrower ones stand first.
const TEXTS: &[(&str, Class)] = &[
    // Ranges and sizes: Infura, Alchemy, QuickNode, Ankr, Erigon.
    ("query returned more than", Class::RpcError),
    ("block range", Class::RpcError),
    ("response size", Class::RpcError),
    ("log response size exceeded", Class::RpcError),
    // The pool's words (geth `core/txpool/errors.go`, Nethermind, Besu).
    ("already known", Class::RpcError),
    ("known transaction", Class::RpcError),
    ("already imported", Class::RpcError),
    ("already in mempool", Class::RpcError),
    ("nonce too low", Class::RpcError),
    ("underpriced", Class::RpcError),
    ("insufficient funds", Class::RpcError),
    // Decoding (geth `rlp`, `hexutil`).
    ("rlp:", Class::RpcError),
    ("invalid argument", Class::RpcError),
    // Quota and billing: Alchemy, Infura.
    ("monthly capacity limit", Class::Shut),
    ("daily request count exceeded", Class::Shut),
    // Not let in: Infura, Ankr, Alchemy.
    ("invalid api key", Class::Shut),
    ("must be authenticated", Class::Shut),
    // Rates: Infura, Chainstack, dRPC and others.
    ("project id request rate exceeded", Class::Throttled),
    ("too many requests", Class::Throttled),
    ("rate limit", Class::Throttled),
    // A node without the block or its state: geth, Erigon, Nethermind, Besu, Reth.
    ("header not found", Class::MissingData),
    ("unknown block", Class::MissingData),
    ("block not found", Class::MissingData),
    ("missing trie node", Class::MissingData),
    ("historical state", Class::MissingData),
    // Time: geth, Erigon.
    ("execution timeout", Class::NodeTimeout),
    ("request timed out", Class::NodeTimeout),
];

fn by_text(message: &str) -> Option<Class> {
    let text = before_reason(message).to_ascii_lowercase();
    let found = TEXTS.iter().find(|(sign, _)| text.contains(sign));
    let unsupported = || {
        let missing = ["does not exist", "is not available", "not supported"];
        text.contains("method") && missing.iter().any(|sign| text.contains(sign))
    };
    found
        .map(|(_, class)| *class)
        .or_else(|| unsupported().then_some(Class::Unsupported))
}

/// An error that says nothing we know: the server's own codes are asked about elsewhere once.
fn fallback(code: i64) -> Class {
    if (-32099..=-32000).contains(&code) || code == -32603 {
        Class::Unknown
    } else {
        Class::RpcError
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
    let text = before_reason(&error.message).to_ascii_lowercase();
    // Not "unknown transaction type".
    text.starts_with("known transaction")
        || ["already known", "already imported", "already in mempool"]
            .iter()
            .any(|sign| text.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn error<'a>(code: i64, message: &'a str, data: Option<&'a str>) -> RpcError<'a> {
        RpcError {
            code,
            message: message.into(),
            data,
        }
    }

    #[test]
    fn real_messages_of_clients_and_providers_are_understood() {
        for (code, message, data, wanted) in [
            (
                3,
                "execution reverted: rate limit exceeded",
                None,
                Class::RpcError,
            ),
            (
                -32000,
                "execution reverted: header not found",
                None,
                Class::RpcError,
            ),
            (
                -32015,
                "VM execution error.",
                Some("\"0x08c379a000\""),
                Class::RpcError,
            ),
            (-32000, "out of gas", None, Class::RpcError),
            (
                -32000,
                "err: max fee per gas less than block base fee",
                None,
                Class::Unknown,
            ),
            (
                -32602,
                "invalid argument 0: hex string without 0x prefix",
                None,
                Class::RpcError,
            ),
            (
                -32601,
                "the method eth_foo does not exist/is not available",
                None,
                Class::Unsupported,
            ),
            (
                -32000,
                "the method trace_block does not exist/is not available",
                None,
                Class::Unsupported,
            ),
            (
                -32005,
                "query returned more than 10000 results",
                None,
                Class::RpcError,
            ),
            (
                -32005,
                "daily request count exceeded, request rate limited",
                None,
                Class::Shut,
            ),
            (
                -32005,
                "project ID request rate exceeded",
                None,
                Class::Throttled,
            ),
            (
                -32005,
                "whatever",
                Some(r#"{"rate":{"backoff_seconds":30}}"#),
                Class::Throttled,
            ),
            (
                429,
                "Your app has exceeded its compute units per second capacity",
                None,
                Class::Throttled,
            ),
            (
                -32007,
                "50/second request limit reached",
                None,
                Class::Throttled,
            ),
            (-32000, "Too many requests", None, Class::Throttled),
            (-32000, "header not found", None, Class::MissingData),
            (
                -32000,
                "missing trie node 0xabc (path ) state 0xabc is not available",
                None,
                Class::MissingData,
            ),
            (4444, "pruned history unavailable", None, Class::MissingData),
            (-32002, "request timed out", None, Class::NodeTimeout),
            (
                -32000,
                "nonce too low: next nonce 5, tx nonce 1",
                None,
                Class::RpcError,
            ),
            (-32000, "already known", None, Class::RpcError),
            (-32603, "Internal error", None, Class::Unknown),
        ] {
            assert_eq!(
                of_error(&error(code, message, data), 200, None).class,
                wanted,
                "{message}"
            );
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
        assert!(!is_already_known(&error(
            3,
            "execution reverted: already known",
            None
        )));
    }

    proptest! {
        #[test]
        fn no_revert_reason_changes_what_becomes_of_a_call(
            reason in "(rate limit|header not found|too many requests|invalid api key|.){0,5}",
            code in prop::sample::select(vec![3i64, -32000, -32015, -32603]),
        ) {
            let message = format!("execution reverted: {reason}");
            let verdict = of_error(&error(code, &message, None), 200, None);
            prop_assert_eq!(verdict, Verdict::from(Class::RpcError));
        }
    }
}

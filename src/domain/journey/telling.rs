//! How much a failure tells a client, and which of a node's own errors it may see.

use std::time::Duration;

use crate::domain::verdict::Class;

/// A node that gave a call this long has tried: it would take no less elsewhere.
const TRIED_MIN: Duration = Duration::from_secs(2);
/// How nodes say, in lower case, that they broke off a call because it ran too long; and where that
/// stems from.
const TIME_LIMITS: &[(&str, &str)] = &[
    (
        "execution aborted (timeout",
        "geth internal/ethapi/api.go; reth, Erigon",
    ),
    ("execution timeout", "geth eth/tracers"),
    ("execution aborted due to timeout", "op-geth forks"),
    ("timeout expired", "Besu RpcErrorType: TIMEOUT_ERROR"),
];

/// Whether what a node said after `took` is the call's own: it runs for longer than nodes let any
/// call run.
pub fn is_time_limit(message: &str, took: Duration) -> bool {
    let message = message.to_ascii_lowercase();
    let is_it = |(sign, _): &(&str, &str)| message.starts_with(sign);
    took >= TRIED_MIN && TIME_LIMITS.iter().any(is_it)
}

/// Whether a node's own error is fit for a client's eyes.
pub(super) fn passes_on(class: Class) -> bool {
    match class {
        Class::RpcError
        | Class::Unsupported
        | Class::MissingData
        | Class::NodeTimeout
        | Class::Unknown => true,
        Class::Ok
        | Class::Throttled
        | Class::Shut
        | Class::Timeout
        | Class::NoConnection
        | Class::Transport
        | Class::BadAnswer
        | Class::Cancelled => false,
    }
}

/// How much a failure tells the client; the later of two equals is told.
pub(super) fn rank(class: Class) -> u8 {
    match class {
        // A `null` that another was to confirm.
        Class::Ok => 8,
        Class::RpcError => 7,
        Class::MissingData => 6,
        Class::Unknown => 5,
        Class::NodeTimeout => 4,
        Class::Unsupported => 3,
        Class::Throttled => 2,
        Class::Timeout => 1,
        Class::Shut
        | Class::NoConnection
        | Class::Transport
        | Class::BadAnswer
        | Class::Cancelled => 0,
    }
}

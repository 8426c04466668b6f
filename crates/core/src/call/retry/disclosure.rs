//! How much a failure tells a client, and which of a node's own errors it may see.

use std::time::Duration;

use crate::rpc::classify::{AttemptClass, Verdict};

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
pub(super) fn passes_on(class: AttemptClass) -> bool {
    match class {
        AttemptClass::RpcError
        | AttemptClass::Limit
        | AttemptClass::Unsupported
        | AttemptClass::MissingData
        | AttemptClass::NodeTimeout
        | AttemptClass::Unknown => true,
        AttemptClass::Ok
        | AttemptClass::RequestSize
        | AttemptClass::Throttled
        | AttemptClass::Shut
        | AttemptClass::Timeout
        | AttemptClass::NoConnection
        | AttemptClass::Transport
        | AttemptClass::BadAnswer
        | AttemptClass::Cancelled => false,
    }
}

/// Whether `new` tells the client as much as `told` did: the later of two equals is told, and of
/// two limits the one with the larger number.
pub(super) fn says_as_much(new: &Verdict, told: &Verdict) -> bool {
    let number = |verdict: &Verdict| verdict.ceiling.and_then(|ceiling| ceiling.number);
    (rank(new.class), number(new)) >= (rank(told.class), number(told))
}

fn rank(class: AttemptClass) -> u8 {
    match class {
        // A `null` that another was to confirm.
        AttemptClass::Ok => 11,
        AttemptClass::RpcError => 10,
        AttemptClass::Limit => 9,
        AttemptClass::MissingData => 8,
        AttemptClass::Unknown => 7,
        AttemptClass::NodeTimeout => 6,
        AttemptClass::Unsupported => 5,
        AttemptClass::RequestSize => 4,
        AttemptClass::Throttled => 3,
        AttemptClass::Timeout => 2,
        AttemptClass::Shut => 1,
        AttemptClass::NoConnection
        | AttemptClass::Transport
        | AttemptClass::BadAnswer
        | AttemptClass::Cancelled => 0,
    }
}

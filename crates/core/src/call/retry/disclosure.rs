//! How much a failure tells a client, and which of a node's own errors it may see.

use std::time::Duration;

use crate::rpc::classify::{AttemptClass, Verdict};
use crate::rpc::whole_answer::WholeAnswer;

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

/// What `verdict` comes to where the node gave its `answer` after `took`: a call that runs for longer than nodes let any
/// call run has its answer.
pub fn verdict_after(took: Duration, verdict: Verdict, answer: &WholeAnswer) -> Verdict {
    let is_calls = || {
        let error = answer.error();
        error.is_some_and(|error| is_time_limit(&error.message, took))
    };
    if verdict.class == AttemptClass::NodeTimeout && is_calls() {
        let class = AttemptClass::RpcError;
        Verdict { class, ..verdict }
    } else {
        verdict
    }
}

fn is_time_limit(message: &str, took: Duration) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn a_call_that_ran_into_a_nodes_time_limit_is_not_run_again() {
        let geth = "execution aborted (timeout = 5s)";
        let quoted = "execution reverted: execution aborted (timeout = 5s)";
        let class_after = |message: &str, millis, class: AttemptClass| {
            let body = format!(r#"{{"id":1,"error":{{"code":-32000,"message":"{message}"}}}}"#);
            let answer = testing::whole_answer(&body);
            verdict_after(Duration::from_millis(millis), class.into(), &answer).class
        };
        let timeout = AttemptClass::NodeTimeout;
        for (message, millis, class, wanted) in [
            (geth, 5000, timeout, AttemptClass::RpcError),
            (geth, 2000, timeout, AttemptClass::RpcError),
            // It had no time.
            (geth, 1999, timeout, timeout),
            ("request timed out", 5000, timeout, timeout),
            // A contract's text.
            (quoted, 5000, timeout, timeout),
            (geth, 5000, AttemptClass::Unknown, AttemptClass::Unknown),
        ] {
            let found = class_after(message, millis, class);
            assert_eq!(found, wanted, "{message} after {millis} ms");
        }
    }
}

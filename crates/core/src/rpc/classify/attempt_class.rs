//! What an attempt came to, and what follows for the call and for the node.

use std::time::Duration;

/// How long a node rests whose quota is used up or that doesn't let us in.
pub const SHUT_REST: Duration = Duration::from_secs(60);

/// What an attempt came to. Also the label of the attempts' metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AttemptClass {
    /// The node answered with a result, or with an error that means success (see
    /// [`Meaning::AlreadyKnown`](super::Meaning::AlreadyKnown)).
    Ok,
    /// The node answered with an error that is the call's own: final.
    RpcError,
    /// A limit of the node's own: another may have a wider one.
    Limit,
    /// The call is longer than the node takes; it hasn't looked at it.
    RequestSize,
    /// The node asks to be left alone, or with this method: HTTP 429, or an error that speaks of a rate.
    Throttled,
    /// Quota used up, or not let in.
    Shut,
    /// The node doesn't have the method, or not in this form, or answers `null` where that is no answer.
    Unsupported,
    /// The node doesn't have the block, the state or the transaction that the call reads.
    MissingData,
    /// The node says that it ran out of time.
    NodeTimeout,
    /// We ran out of patience.
    Timeout,
    /// No connection was made, so the node has seen nothing.
    NoConnection,
    /// The connection broke, or an HTTP status of 500 or above came, and no error in the body says more.
    Transport,
    /// What came isn't the answer to the call: no JSON, another id, neither result nor error, cut off.
    BadAnswer,
    /// An error that no row of the table knows: it may be the call's own, or the node's.
    Unknown,
    /// We let go of it, as its answer is wanted no longer: it says nothing of the node.
    Cancelled,
}

impl AttemptClass {
    /// What an attempt comes to whose answer is too long for its caller.
    pub const TOO_LARGE: AttemptClass = AttemptClass::RpcError;

    /// In the order of their declaration.
    pub const ALL: [AttemptClass; 15] = [
        AttemptClass::Ok,
        AttemptClass::RpcError,
        AttemptClass::Limit,
        AttemptClass::RequestSize,
        AttemptClass::Throttled,
        AttemptClass::Shut,
        AttemptClass::Unsupported,
        AttemptClass::MissingData,
        AttemptClass::NodeTimeout,
        AttemptClass::Timeout,
        AttemptClass::NoConnection,
        AttemptClass::Transport,
        AttemptClass::BadAnswer,
        AttemptClass::Unknown,
        AttemptClass::Cancelled,
    ];

    /// The metric's value.
    pub fn outcome(self) -> &'static str {
        match self {
            AttemptClass::Ok => "ok",
            AttemptClass::RpcError | AttemptClass::Unknown => "rpc_error",
            AttemptClass::Limit | AttemptClass::RequestSize => "limit",
            AttemptClass::Throttled | AttemptClass::Shut => "throttled",
            AttemptClass::Unsupported => "unsupported",
            AttemptClass::MissingData => "missing_data",
            AttemptClass::NodeTimeout | AttemptClass::Timeout => "timeout",
            AttemptClass::NoConnection | AttemptClass::Transport => "transport",
            AttemptClass::BadAnswer => "bad_answer",
            AttemptClass::Cancelled => "cancelled",
        }
    }

    /// Whether the call may be asked of another node.
    pub fn elsewhere(self) -> FailoverRule {
        match self {
            AttemptClass::Ok | AttemptClass::RpcError | AttemptClass::Cancelled => {
                FailoverRule::Never
            }
            AttemptClass::NodeTimeout | AttemptClass::Unknown => FailoverRule::Once,
            AttemptClass::Limit
            | AttemptClass::RequestSize
            | AttemptClass::Throttled
            | AttemptClass::Shut
            | AttemptClass::Unsupported
            | AttemptClass::MissingData
            | AttemptClass::Timeout
            | AttemptClass::NoConnection
            | AttemptClass::Transport
            | AttemptClass::BadAnswer => FailoverRule::WhileAttemptsLast,
        }
    }

    /// The node can't have executed the call: repeating it is free and always safe.
    pub fn is_unexecuted(self) -> bool {
        matches!(
            self,
            AttemptClass::NoConnection
                | AttemptClass::RequestSize
                | AttemptClass::Throttled
                | AttemptClass::Shut
                | AttemptClass::Unsupported
        )
    }

    /// Whether an attempt that ended so is held against its node only where other nodes, or its probes,
    /// say so too. Where no connection was made nothing else can be at fault.
    pub fn may_be_the_calls(self) -> bool {
        self.blame(None) == Blame::Fault && self != AttemptClass::NoConnection
    }

    /// See [`Verdict::blame`].
    pub(crate) fn blame(self, rest: Option<Duration>) -> Blame {
        match self {
            AttemptClass::Timeout
            | AttemptClass::NoConnection
            | AttemptClass::Transport
            | AttemptClass::BadAnswer => Blame::Fault,
            AttemptClass::Throttled => Blame::Rest(rest),
            AttemptClass::Shut => Blame::Rest(Some(SHUT_REST)),
            AttemptClass::Ok
            | AttemptClass::RpcError
            | AttemptClass::Limit
            | AttemptClass::RequestSize
            | AttemptClass::Unsupported
            | AttemptClass::MissingData
            | AttemptClass::NodeTimeout
            | AttemptClass::Unknown
            | AttemptClass::Cancelled => Blame::None,
        }
    }
}

/// How often another node may be asked after an attempt, as far as that depends on what it came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailoverRule {
    /// The answer, or the lack of one, is final.
    Never,
    /// One other node is asked: it may know better, though most will say the same.
    Once,
    /// Others are asked as long as the call has attempts left.
    WhileAttemptsLast,
}

/// What an attempt counts for against its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// It says nothing against the node.
    None,
    /// Counts toward benching.
    Fault,
    /// The node asks to be left alone; for how long, if it said so.
    Rest(Option<Duration>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_faults_may_be_the_calls_and_none_where_no_connection_was_made() {
        let may_be = AttemptClass::ALL
            .iter()
            .filter(|class| class.may_be_the_calls());
        let may_be: Vec<_> = may_be.collect();
        let wanted = [
            &AttemptClass::Timeout,
            &AttemptClass::Transport,
            &AttemptClass::BadAnswer,
        ];
        assert_eq!(may_be, wanted);
    }
}

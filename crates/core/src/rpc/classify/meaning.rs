//! What a node's error means, finer than what becomes of the call.

use super::attempt_class::AttemptClass;

/// What a JSON-RPC error, or a status that stands for one, means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Meaning {
    /// The EVM ran and stopped: the answer is right, whatever its text says.
    Execution,
    /// The request itself is wrong, or its parameters are: surely the caller's fault.
    Invalid,
    /// A refusal that may be the caller's fault, or of what this node alone doesn't take.
    Doubtful,
    /// The pool has the transaction: a success told as an error.
    AlreadyKnown,
    /// The sender is past this nonce; perhaps by this very transaction.
    NonceTooLow,
    /// The pool wants no such transaction.
    PoolRefusal,
    /// More is asked for than this node gives, or more would be found: another may give more.
    Range,
    /// A range that makes no sense, or that ends beyond this node's head.
    OddRange,
    /// The call is longer than this node takes.
    RequestSize,
    /// The answer is longer than a node gives: computed again it would be as long.
    ResponseSize,
    /// The range ends beyond this node's head.
    FutureRange,
    /// Too many calls: the node wants to be left alone for a while.
    Throttled,
    /// Too much of this method; of others the node takes more.
    MethodThrottled,
    /// The node takes no call with our credentials, for this reason.
    Shut(Rejection),
    /// The node doesn't have the method.
    Unsupported,
    /// The method, but not in this form.
    UnsupportedForm,
    /// `null`, of a method that has no such answer: the node doesn't keep what it takes.
    NoResult,
    /// The node doesn't have the data that the call reads; which way that lies.
    Missing(MissingKind),
    /// The node gave the call up after a time of its own: it may be too heavy for any node.
    NodeTimeout,
    /// It has too much to do, or is on its way up or down: 503.
    Busy,
    /// The node failed in a way that says nothing about the call.
    Unknown,
}

/// Why a node refuses our credentials. An operator has to see to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// What was paid for is used up, or not paid for.
    Quota,
    /// It doesn't know our key, or doesn't let it do this.
    Auth,
}

impl Rejection {
    /// In the order of their declaration.
    pub const ALL: [Rejection; 2] = [Rejection::Quota, Rejection::Auth];

    /// The metric's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Rejection::Quota => "quota",
            Rejection::Auth => "auth",
        }
    }
}

/// Which way the data lies that a node doesn't have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MissingKind {
    /// Beyond its head: evidence of its head.
    Newer,
    /// The state of an older block, in words that nothing else is told in: evidence of its depth, also
    /// right below its head.
    Lost,
    /// Pruned: evidence of its depth.
    Older,
    /// The index of transactions, which isn't built so far: whether there is such a one isn't known.
    Unindexed,
    /// It doesn't say; where the block lies by the node's head tells.
    Unsaid,
}

impl Meaning {
    /// What becomes of a call that met it. [`Meaning::Busy`] may be overload rather than a fault: see
    /// [`Verdict::overload`](super::Verdict::overload).
    pub fn class(self) -> AttemptClass {
        match self {
            Meaning::Execution
            | Meaning::Invalid
            | Meaning::AlreadyKnown
            | Meaning::NonceTooLow
            | Meaning::PoolRefusal
            | Meaning::OddRange
            | Meaning::ResponseSize
            | Meaning::FutureRange => AttemptClass::RpcError,
            Meaning::Range => AttemptClass::Limit,
            Meaning::RequestSize => AttemptClass::RequestSize,
            Meaning::Throttled | Meaning::MethodThrottled => AttemptClass::Throttled,
            Meaning::Shut(_) => AttemptClass::Shut,
            Meaning::Unsupported | Meaning::UnsupportedForm | Meaning::NoResult => {
                AttemptClass::Unsupported
            }
            Meaning::Missing(_) => AttemptClass::MissingData,
            Meaning::NodeTimeout => AttemptClass::NodeTimeout,
            Meaning::Busy => AttemptClass::Transport,
            Meaning::Doubtful | Meaning::Unknown => AttemptClass::Unknown,
        }
    }

    /// The same, where the text may be a caller's own: nothing that speaks against the node.
    pub(super) fn without_blame(self) -> Meaning {
        match self {
            Meaning::Throttled | Meaning::MethodThrottled | Meaning::Shut(_) => Meaning::Unknown,
            Meaning::Execution
            | Meaning::Invalid
            | Meaning::Doubtful
            | Meaning::AlreadyKnown
            | Meaning::NonceTooLow
            | Meaning::PoolRefusal
            | Meaning::Range
            | Meaning::OddRange
            | Meaning::RequestSize
            | Meaning::ResponseSize
            | Meaning::FutureRange
            | Meaning::Unsupported
            | Meaning::UnsupportedForm
            | Meaning::NoResult
            | Meaning::Missing(_)
            | Meaning::NodeTimeout
            | Meaning::Busy
            | Meaning::Unknown => self,
        }
    }
}

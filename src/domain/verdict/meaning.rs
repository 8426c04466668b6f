//! What a node's error means, finer than what becomes of the call.

use super::Class;

/// What a JSON-RPC error, or a status that stands for one, means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Meaning {
    /// The EVM ran and stopped: the answer is right, whatever its text says.
    Execution,
    /// The request itself is wrong, or its parameters are.
    Invalid,
    /// The pool has the transaction: a success told as an error.
    AlreadyKnown,
    /// The sender is past this nonce; perhaps by this very transaction.
    NonceTooLow,
    /// The pool wants no such transaction.
    PoolRefusal,
    /// The answer would be too large, or the range is.
    Range,
    /// The range ends beyond this node's head.
    FutureRange,
    Throttled,
    Shut(Shut),
    Unsupported,
    Missing(Missing),
    NodeTimeout,
    /// The node failed in a way that says nothing about the call.
    Unknown,
}

/// Why a node lets nobody in with our credentials. Somebody has to see to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shut {
    /// What was paid for is used up, or not paid for.
    Quota,
    /// It doesn't know our key, or doesn't let it do this.
    Auth,
}

impl Shut {
    pub const ALL: [Shut; 2] = [Shut::Quota, Shut::Auth];

    /// The metric's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Shut::Quota => "quota",
            Shut::Auth => "auth",
        }
    }
}

/// Which way the data lies that a node doesn't have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Missing {
    /// Beyond its head: evidence of its head.
    Newer,
    /// The state of an older block, in words that nothing else is told in: evidence of its depth, also
    /// right below its head.
    Lost,
    /// Pruned: evidence of its depth.
    Older,
    /// It doesn't say; where the block lies by the node's head tells.
    Unsaid,
}

impl Meaning {
    pub fn class(self) -> Class {
        match self {
            Meaning::Execution
            | Meaning::Invalid
            | Meaning::AlreadyKnown
            | Meaning::NonceTooLow
            | Meaning::PoolRefusal
            | Meaning::Range
            | Meaning::FutureRange => Class::RpcError,
            Meaning::Throttled => Class::Throttled,
            Meaning::Shut(_) => Class::Shut,
            Meaning::Unsupported => Class::Unsupported,
            Meaning::Missing(_) => Class::MissingData,
            Meaning::NodeTimeout => Class::NodeTimeout,
            Meaning::Unknown => Class::Unknown,
        }
    }

    /// The same, where the text may be a caller's own: nothing that speaks against the node.
    pub(super) fn without_blame(self) -> Meaning {
        match self {
            Meaning::Throttled | Meaning::Shut(_) => Meaning::Unknown,
            Meaning::Execution
            | Meaning::Invalid
            | Meaning::AlreadyKnown
            | Meaning::NonceTooLow
            | Meaning::PoolRefusal
            | Meaning::Range
            | Meaning::FutureRange
            | Meaning::Unsupported
            | Meaning::Missing(_)
            | Meaning::NodeTimeout
            | Meaning::Unknown => self,
        }
    }
}

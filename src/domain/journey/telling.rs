//! How much a failure tells a client, and which of a node's own errors it may see.

use crate::domain::verdict::Class;

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

//! How a method is treated, and how long its calls may take.

use std::time::{Duration, Instant};

/// How a method is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// Answered here when we know the answer; else as a read.
    Local(LocalMethod),
    /// May be repeated on any node.
    Read,
    /// As a read, with a longer time of its own.
    Heavy,
    /// Changes the chain's state by its very bytes, so that sending them again is harmless.
    Broadcast,
    /// Changes a node's state: never repeated once a node may have executed it.
    Once,
    /// Not in the table: as `Once`.
    Unknown,
    /// Refused with [`Refusal::MethodNotAllowed`](crate::rpc::refusal::Refusal::MethodNotAllowed), unless
    /// the operator opens it.
    Denied,
}

/// What is answered without asking a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalMethod {
    /// `eth_chainId`: the id that was verified.
    ChainId,
    /// `net_version`: what the nodes say, which isn't always the chain's id.
    NetVersion,
    /// `eth_blockNumber`: the served head.
    BlockNumber,
    /// `eth_syncing`: `false` while a node is fit.
    Syncing,
    /// `web3_clientVersion`: Forebay's own name and version.
    ClientVersion,
    /// `net_listening`: `true`.
    Listening,
    /// `eth_accounts`: `[]`, as no node's accounts are any client's here.
    Accounts,
    /// Over a socket.
    Subscribe,
    /// Over a socket.
    Unsubscribe,
}

/// When an attempt may be made again on another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepeatRule {
    /// Always.
    Freely,
    /// Only if the node can't have executed it.
    IfUnexecuted,
}

impl Treatment {
    /// Changes nothing anywhere.
    pub fn is_read(self) -> bool {
        match self {
            Treatment::Local(_) | Treatment::Read | Treatment::Heavy => true,
            Treatment::Broadcast | Treatment::Once | Treatment::Unknown | Treatment::Denied => {
                false
            }
        }
    }

    /// Whether its answer may be held back once it is there: nothing was carried out.
    pub fn may_be_refused_late(self) -> bool {
        self.is_read() || self == Treatment::Denied
    }

    /// When an attempt that brought no answer may be made again on another node.
    pub fn repeat(self) -> RepeatRule {
        match self {
            Treatment::Local(_) | Treatment::Read | Treatment::Heavy | Treatment::Broadcast => {
                RepeatRule::Freely
            }
            Treatment::Once | Treatment::Unknown | Treatment::Denied => RepeatRule::IfUnexecuted,
        }
    }
}

/// How long a call may take, in all and on one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallTimeouts {
    /// How long a call may take in all, repeats and waits included.
    pub deadline: Duration,
    /// How long one node has to answer.
    pub attempt: Duration,
    /// How long one node has for a heavy method; the whole call then has as long, if that is more.
    pub heavy: Duration,
}

impl CallTimeouts {
    /// How long a call of a method treated so may take in all.
    pub fn deadline_of(&self, treatment: Treatment) -> Duration {
        match treatment {
            Treatment::Heavy => self.heavy.max(self.deadline),
            Treatment::Local(_)
            | Treatment::Read
            | Treatment::Broadcast
            | Treatment::Once
            | Treatment::Unknown
            | Treatment::Denied => self.deadline,
        }
    }

    /// Until when an attempt that begins `now` may last, for a call that arrived then.
    pub fn attempt_end(&self, treatment: Treatment, arrived_at: Instant, now: Instant) -> Instant {
        let deadline = arrived_at + self.deadline_of(treatment);
        deadline.min(now + self.attempt_of(treatment))
    }

    /// How long one node has to answer a call of a method treated so.
    pub fn attempt_of(&self, treatment: Treatment) -> Duration {
        match treatment {
            Treatment::Heavy => self.heavy,
            Treatment::Local(_)
            | Treatment::Read
            | Treatment::Broadcast
            | Treatment::Once
            | Treatment::Unknown
            | Treatment::Denied => self.attempt,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_attempt_outlives_its_call() {
        let times = CallTimeouts {
            deadline: Duration::from_secs(10),
            attempt: Duration::from_secs(4),
            heavy: Duration::from_secs(30),
        };
        let start = crate::testing::now();
        for (treatment, now, end) in [
            (Treatment::Read, 0, 4),
            (Treatment::Read, 6, 10),
            (Treatment::Read, 9, 10),
            (Treatment::Heavy, 9, 30),
        ] {
            let [now, end] = [now, end].map(|seconds| start + Duration::from_secs(seconds));
            assert_eq!(times.attempt_end(treatment, start, now), end);
        }
    }
}

//! What clients' sockets tell: how many there are, what goes over them, and why they end.

use prometheus::{IntCounter, IntGauge};

use super::ChainMetrics;
use crate::observe::metrics::GaugeGuard;
use crate::observe::metrics::families::ChainFamilies;
use forebay_core::feed::subscription::Topic;

/// Which way a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageDirection {
    Received,
    Sent,
}

impl MessageDirection {
    pub const ALL: [MessageDirection; 2] = [MessageDirection::Received, MessageDirection::Sent];

    pub fn as_str(self) -> &'static str {
        match self {
            MessageDirection::Received => "received",
            MessageDirection::Sent => "sent",
        }
    }
}

/// Why a socket ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketEnd {
    /// The client closed it.
    Left,
    /// The connection broke.
    Broken,
    /// The client answered no ping.
    Silent,
    Protocol,
    TooLarge,
    Unfinished,
    OverCapacity,
    /// The client didn't take what it was sent.
    Slow,
    /// What a client missed could not be brought.
    Gap,
    /// We went.
    Leaving,
}

impl SocketEnd {
    pub const ALL: [SocketEnd; 10] = [
        SocketEnd::Left,
        SocketEnd::Broken,
        SocketEnd::Silent,
        SocketEnd::Protocol,
        SocketEnd::TooLarge,
        SocketEnd::Unfinished,
        SocketEnd::OverCapacity,
        SocketEnd::Slow,
        SocketEnd::Gap,
        SocketEnd::Leaving,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            SocketEnd::Left => "left",
            SocketEnd::Broken => "broken",
            SocketEnd::Silent => "silent",
            SocketEnd::Protocol => "protocol",
            SocketEnd::TooLarge => "too_large",
            SocketEnd::Unfinished => "unfinished",
            SocketEnd::OverCapacity => "over_capacity",
            SocketEnd::Slow => "slow",
            SocketEnd::Gap => "gap",
            SocketEnd::Leaving => "leaving",
        }
    }
}

/// The series of all sockets together.
pub(super) struct SocketMetrics {
    /// By place in [`Topic::KINDS`].
    subscriptions: [IntGauge; Topic::KINDS.len()],
    messages: [IntCounter; MessageDirection::ALL.len()],
    ends: [IntCounter; SocketEnd::ALL.len()],
}

impl SocketMetrics {
    pub(super) fn new(families: &ChainFamilies) -> SocketMetrics {
        SocketMetrics {
            subscriptions: Topic::KINDS
                .map(|kind| families.subscriptions.with_label_values(&[kind])),
            messages: MessageDirection::ALL
                .map(|way| families.socket_messages.with_label_values(&[way.as_str()])),
            ends: SocketEnd::ALL
                .map(|end| families.sockets_closed.with_label_values(&[end.as_str()])),
        }
    }
}

impl ChainMetrics {
    /// Counts an open socket while the result is held.
    pub fn begin_socket(&self) -> GaugeGuard {
        GaugeGuard::on(&self.families.sockets)
    }

    /// Counts a client's subscription while the result is held. `kind` is one of [`Topic::KINDS`].
    pub fn begin_subscription(&self, kind: &str) -> GaugeGuard {
        let at = Topic::KINDS.iter().position(|known| *known == kind);
        let last = Topic::KINDS.len() - 1;
        GaugeGuard::on(&self.sockets.subscriptions[at.unwrap_or(last)])
    }

    pub fn socket_message(&self, way: MessageDirection) {
        self.sockets.messages[way as usize].inc();
    }

    pub fn socket_ended(&self, end: SocketEnd) {
        self.sockets.ends[end as usize].inc();
    }
}

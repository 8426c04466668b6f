//! An open socket, and why one ends.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;

use crate::background::feeds::sockets::SocketRegistration;
use crate::background::feeds::sockets::subscriptions::Subscriptions;
use crate::clock;
use crate::node::socket::{SocketFault, UpstreamSocket};
use forebay_core::feed::socket_heads::SocketHeads;
use forebay_core::feed::takeover::{FeedSource, TakeoverReason};
use forebay_core::fleet::staleness::SocketStaleness;
use forebay_core::vocabulary::chain::BlockNumber;
use forebay_core::vocabulary::header::Header;

/// An open socket.
pub(super) struct SocketState {
    pub socket: UpstreamSocket,
    pub source: FeedSource,
    /// Since it is open to commands.
    pub place: Option<SocketRegistration>,
    pub subscriptions: Subscriptions,
    /// When the node was last heard.
    pub heard_at: Instant,
    pub staleness: SocketStaleness,
    pub heads: SocketHeads,
    /// The node is asked for the block that a head hints at, or will be.
    pub block_query: Option<BlockQuery>,
}

impl SocketState {
    pub(super) fn new(
        socket: UpstreamSocket,
        source: FeedSource,
        subscriptions: Subscriptions,
        told: u64,
    ) -> SocketState {
        let now = clock::now();
        SocketState {
            socket,
            source,
            place: None,
            subscriptions,
            heard_at: now,
            staleness: SocketStaleness::new(told),
            heads: SocketHeads::default(),
            block_query: None,
        }
    }
}

/// A block that is asked for by its number.
pub(super) struct BlockQuery {
    pub from: Instant,
    pub answer: BoxFuture<'static, BlockAnswer>,
}

/// What the node has under a number.
pub(super) struct BlockAnswer {
    pub number: BlockNumber,
    pub asked_at: Instant,
    pub block: Option<Arc<Header>>,
}

/// Why a socket ended.
pub(super) enum SocketFailure {
    Fault(SocketFault),
    Stale,
    /// It has no heads to tell.
    NoHeads,
}

impl SocketFailure {
    pub(super) fn loss(&self) -> TakeoverReason {
        match self {
            SocketFailure::Fault(_) | SocketFailure::NoHeads => TakeoverReason::Lost,
            SocketFailure::Stale => TakeoverReason::Stale,
        }
    }
}

//! What is said to a line, and by it.

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use crate::background::feeds::sockets::{FeedSource, TopicRequest};

/// What a line is to do.
#[derive(Debug)]
pub enum SocketCommand {
    Subscribe(TopicRequest),
    Unsubscribe(TopicRequest),
}

/// What a line says of a topic.
#[derive(Debug)]
pub struct TopicReport {
    pub teller: FeedSource,
    pub wish: TopicRequest,
    pub what: TopicEvent,
    /// The room that its bytes take until it is heard.
    pub room: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
pub enum TopicEvent {
    Taken,
    /// The node's error object, as JSON.
    Refused(Bytes),
    /// The node tells as much as it is asked for at the most.
    Full,
    /// The node says no at endless length, or takes it under an id by which its news can't be told
    /// apart.
    Useless,
    News(Bytes),
    /// The line is lost, and with it the subscription: why.
    Lost(SocketLoss),
}

/// How a line was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketLoss {
    Broken,
    /// It was silent while others moved.
    Stale,
}

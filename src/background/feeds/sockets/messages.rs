//! What is said to a socket, and by it.

use tokio::sync::OwnedSemaphorePermit;

use forebay_core::feed::takeover::{FeedSource, TopicEvent, TopicRequest};

/// What a socket is to do.
#[derive(Debug)]
pub enum SocketCommand {
    Subscribe(TopicRequest),
    Unsubscribe(TopicRequest),
}

/// What a socket says of a topic.
#[derive(Debug)]
pub struct TopicReport {
    pub source: FeedSource,
    pub request: TopicRequest,
    pub what: TopicEvent,
    /// The room that its bytes take until it is heard.
    pub room: Option<OwnedSemaphorePermit>,
}

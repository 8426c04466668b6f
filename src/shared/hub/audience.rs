//! The clients that listen to one topic, or wait for it.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use crate::shared::outbox::Outbox;
use forebay_core::feed::header_shape::{Beginning, HeaderShape};
use forebay_core::feed::subscription::{SubscriptionFailure, SubscriptionId, Topic};

/// News of a topic that are kept for clients that wait for it; and their bytes.
const EARLY_MAX: usize = 16;
const EARLY_BYTES_MAX: usize = 1 << 20;

/// The listeners of one topic.
#[derive(Debug)]
pub(super) struct TopicAudience {
    pub listeners: HashMap<SubscriptionId, TopicListener>,
    /// Clients that wait for the source.
    pub waiting: usize,
    /// What was told while they waited: the source may speak before they listen.
    pub early: Vec<Bytes>,
    pub source: watch::Sender<TopicSource>,
}

/// One subscription.
#[derive(Debug)]
pub(super) struct TopicListener {
    pub outbox: Arc<Outbox>,
    /// The block told last before it began: it hears the logs of later ones.
    pub since: u64,
    /// With which shape of heads, once it was told one.
    pub began: Option<Beginning>,
}

/// Whether a topic has a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TopicSource {
    Sought,
    Found,
    None(SubscriptionFailure),
}

impl TopicAudience {
    pub(super) fn new(topic: &Topic) -> TopicAudience {
        // Heads come from the fleet, and logs with them.
        let source = match topic {
            Topic::NewHeads | Topic::Logs(_) => TopicSource::Found,
            Topic::Passed(_) => TopicSource::Sought,
        };
        TopicAudience {
            listeners: HashMap::new(),
            waiting: 0,
            early: Vec::new(),
            source: watch::Sender::new(source),
        }
    }

    /// Tells the next head, to each in the shape that it began with.
    pub(super) fn tell_head(&mut self, header: &Bytes, shape: &mut HeaderShape) {
        let mut newest = None;
        // As a rule all began alike.
        let mut shown: Vec<(Beginning, Bytes)> = Vec::new();
        for (id, listener) in &mut self.listeners {
            let began = *(listener.began)
                .get_or_insert_with(|| *newest.get_or_insert_with(|| shape.begin(header)));
            let known = shown.iter().position(|(of, _)| *of == began);
            let at = known.unwrap_or_else(|| {
                shown.push((began, shape.cut(header, began)));
                shown.len() - 1
            });
            listener.outbox.tell(*id, &shown[at].1);
        }
    }

    /// Keeps news for clients that wait.
    pub(super) fn keep(&mut self, news: &Bytes) {
        let bytes: usize = self.early.iter().map(Bytes::len).sum();
        if self.early.len() < EARLY_MAX && bytes + news.len() <= EARLY_BYTES_MAX {
            self.early.push(news.clone());
        }
    }
}

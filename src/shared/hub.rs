//! Which clients listen to what: the subscriptions of all clients by topic, and the way to tell them.
//!
//! All clients that ask for the same share one topic, and a topic has one source: the heads that the fleet
//! agrees on, or one node's socket. Nothing here waits for a client: news go into its [`Outbox`].
//! Telling and subscribing exclude each other, so a subscription begins between two news, and its
//! `Begun` stands in the outbox before the first of them.

mod audience;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::outbox::Outbox;
use crate::shared::hub::audience::{TopicAudience, TopicListener, TopicSource};
use crate::shared::outbox::ServerClose;
use forebay_core::feed::header_shape::HeaderShape;
use forebay_core::feed::log_match::LogFilter;
use forebay_core::feed::subscription::{RelayedTopic, SubscriptionFailure, SubscriptionId, Topic};
use forebay_core::rpc::refusal::Refusal;
use forebay_core::vocabulary::client::Client;
use forebay_core::vocabulary::header::Header;

/// The most topics at once.
pub const TOPICS_MAX: usize = 10_000;
/// The most bytes of all topics together: filters of logs may be long.
pub const TOPICS_BYTES_MAX: usize = 64 << 20;
/// The longest that a client waits for a node to take a subscription.
pub const ASKING_TIME_MAX: Duration = Duration::from_secs(10);

/// All subscriptions.
#[derive(Debug, Default)]
pub struct Hub {
    register: Mutex<HubState>,
    /// Sent to when a topic comes or goes.
    news: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct HubState {
    topics: HashMap<Topic, TopicAudience>,
    by_id: HashMap<SubscriptionId, Topic>,
    /// By the address of the outbox, which stays as long as the outbox is held here.
    by_client: HashMap<usize, HashSet<SubscriptionId>>,
    topics_bytes: usize,
    /// Blocks told so far.
    turn: u64,
    shape: HeaderShape,
}

impl Hub {
    /// Subscribes `outbox` to `topic` under `id`. The outbox holds `Begun` from then on. A topic
    /// that one node tells may have to be asked for first.
    ///
    /// # Errors
    /// No node tells it, or there are too many topics.
    pub async fn subscribe(
        &self,
        topic: Topic,
        id: SubscriptionId,
        outbox: &Arc<Outbox>,
    ) -> Result<(), SubscriptionFailure> {
        let mut wait = self.wait(topic)?;
        let sought = |source: &TopicSource| *source != TopicSource::Sought;
        let found = tokio::time::timeout(ASKING_TIME_MAX, wait.source.wait_for(sought)).await;
        let found = match found {
            Ok(Ok(source)) => source.clone(),
            Ok(Err(_)) => TopicSource::None(SubscriptionFailure::Refused(Refusal::NoNode)),
            Err(_) => TopicSource::None(SubscriptionFailure::Refused(Refusal::Timeout)),
        };
        if let TopicSource::None(why) = found {
            return Err(why);
        }
        let waited = (&wait.topic, wait.from);
        self.register.lock().admit(waited, id, outbox);
        Ok(())
    }

    fn wait(&self, topic: Topic) -> Result<SourceWait<'_>, SubscriptionFailure> {
        let mut register = self.register.lock();
        let (source, from) = register.wait(&topic)?;
        drop(register);
        self.news.send_replace(());
        Ok(SourceWait {
            hub: self,
            topic,
            source,
            from,
        })
    }

    /// Ends one subscription of `outbox`; whether there was one.
    pub fn unsubscribe(&self, id: SubscriptionId, outbox: &Arc<Outbox>) -> bool {
        let was_there = self.register.lock().dismiss(id, outbox);
        self.news.send_replace(());
        was_there
    }

    /// Ends all subscriptions of `outbox`: its client is gone.
    pub fn leave(&self, outbox: &Arc<Outbox>) {
        let mut register = self.register.lock();
        for id in register.by_client.remove(&key(outbox)).unwrap_or_default() {
            register.forget(id);
        }
        drop(register);
        self.news.send_replace(());
    }

    /// Changes when a topic may have come or gone.
    pub fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// Whether no client listens or waits.
    pub fn is_idle(&self) -> bool {
        self.register.lock().topics.is_empty()
    }

    /// The topics that a node must tell.
    pub fn passed(&self) -> Vec<RelayedTopic> {
        let register = self.register.lock();
        let passed = register.topics.keys().filter_map(|topic| match topic {
            Topic::Passed(passed) => Some(passed.clone()),
            Topic::NewHeads | Topic::Logs(_) => None,
        });
        passed.collect()
    }

    /// The topics that clients listen to, or wait for.
    #[cfg(test)]
    pub fn topics(&self) -> Vec<Topic> {
        self.register.lock().topics.keys().cloned().collect()
    }

    /// Tells all listeners of `topic`; how many those are.
    pub fn tell(&self, topic: &Topic, result: &Bytes) -> usize {
        let mut register = self.register.lock();
        let Some(audience) = register.topics.get_mut(topic) else {
            return 0;
        };
        for (id, listener) in &audience.listeners {
            listener.outbox.tell(*id, result);
        }
        if audience.waiting > 0 {
            audience.keep(result);
        }
        audience.listeners.len()
    }

    /// The clients that listen to the chain: to heads or logs.
    pub fn followers(&self) -> HashSet<Client> {
        let register = self.register.lock();
        let is_chain = |(topic, _): &(&Topic, &TopicAudience)| !matches!(topic, Topic::Passed(_));
        let audiences = register.topics.iter().filter(is_chain);
        let listeners = audiences.flat_map(|(_, audience)| audience.listeners.values());
        listeners.map(|listener| listener.outbox.client).collect()
    }

    /// Tells the next block's header, and its turn among all blocks told.
    pub fn tell_head(&self, header: &Bytes) -> u64 {
        let mut register = self.register.lock();
        let HubState {
            topics,
            shape,
            turn,
            ..
        } = &mut *register;
        *turn += 1;
        if let Some(audience) = topics.get_mut(&Topic::NewHeads) {
            audience.tell_head(header, shape);
        }
        *turn
    }

    /// A block as a socket `told` it, and as the node answered when asked for it: what the answer has
    /// beyond that is left out, but for listeners that began with it.
    pub fn compare(&self, told: &Header, block: &Header) {
        self.register.lock().shape.compare(told, block);
    }

    /// The filters of all log listeners that hear the block of this turn.
    pub fn filters(&self, turn: u64) -> Vec<Arc<LogFilter>> {
        let register = self.register.lock();
        let heard = register
            .topics
            .iter()
            .filter_map(|(topic, audience)| match topic {
                Topic::Logs(filter) => {
                    let mut listeners = audience.listeners.values();
                    let is_heard = listeners.any(|listener| listener.since < turn);
                    is_heard.then(|| filter.clone())
                }
                Topic::NewHeads | Topic::Passed(_) => None,
            });
        heard.collect()
    }

    /// Tells logs of the block of this turn, in order, to the listeners of `filter`.
    pub fn tell_logs(&self, filter: &Arc<LogFilter>, turn: u64, logs: &[Bytes]) {
        let register = self.register.lock();
        let Some(audience) = register.topics.get(&Topic::Logs(filter.clone())) else {
            return;
        };
        let listeners = audience.listeners.iter();
        for (id, listener) in listeners.filter(|(_, listener)| listener.since < turn) {
            for log in logs {
                listener.outbox.tell(*id, log);
            }
        }
    }

    /// Listeners that hear the logs of this turn's block have missed some that can't be brought.
    pub fn close_logs(&self, turn: u64, why: &'static str) {
        self.close_where(why, |topic, listener| {
            matches!(topic, Topic::Logs(_)) && listener.since < turn
        });
    }

    /// Listeners to heads or logs have missed some that can't be brought. At once: a client that comes
    /// again meanwhile has missed nothing.
    pub fn close_chain(&self, why: &'static str) {
        self.close_where(why, |topic, _| !matches!(topic, Topic::Passed(_)));
    }

    fn close_where(&self, why: &'static str, is_meant: impl Fn(&Topic, &TopicListener) -> bool) {
        for (topic, audience) in &self.register.lock().topics {
            let listeners = audience.listeners.values();
            for listener in listeners.filter(|listener| is_meant(topic, listener)) {
                listener.outbox.close(ServerClose::Gap(why));
            }
        }
    }

    /// A node tells `topic` from now on, or none does.
    pub fn settle(&self, topic: &RelayedTopic, found: Result<(), SubscriptionFailure>) {
        let register = self.register.lock();
        if let Some(audience) = register.topics.get(&Topic::Passed(topic.clone())) {
            let found = match found {
                Ok(()) => TopicSource::Found,
                Err(why) => TopicSource::None(why),
            };
            audience.source.send_if_modified(|source| {
                let is_news = *source != found;
                *source = found;
                is_news
            });
        }
    }

    /// Listeners of `topic` have missed something that can't be brought.
    pub fn close(&self, topic: &Topic, why: &'static str) {
        let register = self.register.lock();
        let audience = register.topics.get(topic);
        let listeners = audience.map(|audience| audience.listeners.values());
        for listener in listeners.into_iter().flatten() {
            listener.outbox.close(ServerClose::Gap(why));
        }
    }
}

impl HubState {
    fn wait(
        &mut self,
        topic: &Topic,
    ) -> Result<(watch::Receiver<TopicSource>, usize), SubscriptionFailure> {
        if !self.topics.contains_key(topic) {
            let bytes = self.topics_bytes + topic.bytes();
            if self.topics.len() >= TOPICS_MAX || bytes > TOPICS_BYTES_MAX {
                return Err(SubscriptionFailure::Refused(Refusal::OverCapacity));
            }
            self.topics_bytes = bytes;
        }
        let audience = self
            .topics
            .entry(topic.clone())
            .or_insert_with(|| TopicAudience::new(topic));
        audience.waiting += 1;
        Ok((audience.source.subscribe(), audience.early.len()))
    }

    /// `from`: the first of the early news that the client has waited for.
    fn admit(&mut self, (topic, from): (&Topic, usize), id: SubscriptionId, outbox: &Arc<Outbox>) {
        let since = self.turn;
        let Some(audience) = self.topics.get_mut(topic) else {
            return;
        };
        audience.listeners.insert(
            id,
            TopicListener {
                outbox: outbox.clone(),
                since,
                began: None,
            },
        );
        outbox.begin(id);
        for news in audience.early.get(from..).unwrap_or_default() {
            outbox.tell(id, news);
        }
        self.by_id.insert(id, topic.clone());
        self.by_client.entry(key(outbox)).or_default().insert(id);
    }

    fn dismiss(&mut self, id: SubscriptionId, outbox: &Arc<Outbox>) -> bool {
        let Some(ids) = self.by_client.get_mut(&key(outbox)) else {
            return false;
        };
        let was_there = ids.remove(&id);
        if ids.is_empty() {
            self.by_client.remove(&key(outbox));
        }
        if was_there {
            self.forget(id);
        }
        was_there
    }

    fn forget(&mut self, id: SubscriptionId) {
        let Some(topic) = self.by_id.remove(&id) else {
            return;
        };
        if let Some(audience) = self.topics.get_mut(&topic) {
            audience.listeners.remove(&id);
        }
        self.sweep(&topic);
    }

    fn sweep(&mut self, topic: &Topic) {
        let is_empty =
            |audience: &TopicAudience| audience.listeners.is_empty() && audience.waiting == 0;
        if self.topics.get(topic).is_some_and(is_empty) {
            self.topics.remove(topic);
            self.topics_bytes = self.topics_bytes.saturating_sub(topic.bytes());
        }
    }
}

fn key(outbox: &Arc<Outbox>) -> usize {
    Arc::as_ptr(outbox).addr()
}

/// A client that waits for a topic's source. It may be dropped at any time.
struct SourceWait<'a> {
    hub: &'a Hub,
    topic: Topic,
    source: watch::Receiver<TopicSource>,
    /// So many early news were there before.
    from: usize,
}

impl Drop for SourceWait<'_> {
    fn drop(&mut self) {
        let mut register = self.hub.register.lock();
        if let Some(audience) = register.topics.get_mut(&self.topic) {
            audience.waiting -= 1;
            if audience.waiting == 0 {
                audience.early = Vec::new();
            }
        }
        register.sweep(&self.topic);
        drop(register);
        self.hub.news.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::outbox::OutboxItem;
    use crate::shared::outbox::OutboxItem::Begun;

    fn id(number: u64) -> SubscriptionId {
        SubscriptionId::read(&format!("0x{number:x}")).unwrap()
    }

    fn news(number: u64) -> OutboxItem {
        OutboxItem::News {
            subscription: id(number),
            result: Bytes::from_static(b"1"),
        }
    }

    /// A client that asks for a passed topic, and waits.
    async fn waits(
        hub: &Arc<Hub>,
        outbox: &Arc<Outbox>,
    ) -> tokio::task::JoinHandle<Result<(), SubscriptionFailure>> {
        let mut comes = hub.news();
        let (asked, outbox) = (hub.clone(), outbox.clone());
        let topic = Topic::Passed(RelayedTopic::Syncing);
        let asking = tokio::spawn(async move { asked.subscribe(topic, id(1), &outbox).await });
        while hub.topics().is_empty() {
            comes.changed().await.unwrap();
        }
        asking
    }

    #[tokio::test]
    async fn clients_that_ask_for_the_same_share_a_topic_until_the_last_is_gone() {
        let hub = Hub::default();
        let (one, other) = (Arc::<Outbox>::default(), Arc::<Outbox>::default());
        hub.subscribe(Topic::NewHeads, id(1), &one).await.unwrap();
        hub.subscribe(Topic::NewHeads, id(2), &one).await.unwrap();
        hub.subscribe(Topic::NewHeads, id(3), &other).await.unwrap();
        assert_eq!(hub.topics(), [Topic::NewHeads]);
        assert!(!hub.unsubscribe(id(1), &other), "it is another's");
        assert!(hub.unsubscribe(id(1), &one) && !hub.unsubscribe(id(1), &one));
        assert_eq!(hub.tell(&Topic::NewHeads, &Bytes::from_static(b"1")), 2);
        let begun = [one.take(), one.take(), one.take()];
        assert_eq!(
            begun,
            [Some(Begun(id(1))), Some(Begun(id(2))), Some(news(2))]
        );
        assert_eq!(
            (other.take(), other.take()),
            (Some(Begun(id(3))), Some(news(3)))
        );
        hub.leave(&one);
        hub.leave(&other);
        assert!(hub.topics().is_empty());
        assert_eq!(Arc::strong_count(&one), 1, "nothing is kept");
    }

    #[tokio::test]
    async fn a_passed_topic_waits_for_a_node_and_says_why_there_is_none() {
        let hub = Arc::new(Hub::default());
        let outbox = Arc::<Outbox>::default();
        for found in [Ok(()), Err(SubscriptionFailure::Refused(Refusal::NoNode))] {
            let asking = waits(&hub, &outbox).await;
            hub.settle(&RelayedTopic::Syncing, found.clone());
            assert_eq!(asking.await.unwrap(), found);
            hub.leave(&outbox);
            assert!(hub.topics().is_empty());
        }
    }

    #[tokio::test]
    async fn news_that_come_with_the_source_reach_the_client_that_waited_for_it() {
        let hub = Arc::new(Hub::default());
        let topic = Topic::Passed(RelayedTopic::Syncing);
        let outbox = Arc::<Outbox>::default();
        let asking = waits(&hub, &outbox).await;
        hub.settle(&RelayedTopic::Syncing, Ok(()));
        hub.tell(&topic, &Bytes::from_static(b"1"));
        assert_eq!(asking.await.unwrap(), Ok(()));
        let told = [outbox.take(), outbox.take(), outbox.take()];
        assert_eq!(told, [Some(Begun(id(1))), Some(news(1)), None]);
        hub.subscribe(topic, id(2), &outbox).await.unwrap();
        assert_eq!(outbox.take(), Some(Begun(id(2))), "once is enough");
        assert_eq!(outbox.take(), None);
    }

    #[test]
    fn a_client_that_begins_to_wait_gets_nothing_of_before() {
        let hub = Hub::default();
        let topic = Topic::Passed(RelayedTopic::Syncing);
        let tell = || hub.tell(&topic, &Bytes::from_static(b"1"));
        let one = hub.wait(topic.clone()).unwrap();
        tell();
        let two = hub.wait(topic.clone()).unwrap();
        let outboxes = [one, two].map(|wait| {
            let outbox = Arc::<Outbox>::default();
            let waited = (&wait.topic, wait.from);
            hub.register
                .lock()
                .admit(waited, id(wait.from as u64), &outbox);
            (wait, outbox)
        });
        let told = outboxes
            .each_ref()
            .map(|(_, outbox)| (outbox.take(), outbox.take()));
        let begun = |number| Some(Begun(id(number)));
        assert_eq!(told, [(begun(0), Some(news(0))), (begun(1), None)]);
    }

    #[tokio::test]
    async fn a_client_that_goes_while_it_waits_leaves_nothing() {
        let hub = Hub::default();
        let outbox = Arc::<Outbox>::default();
        let topic = Topic::Passed(RelayedTopic::Syncing);
        let asking = hub.subscribe(topic, id(1), &outbox);
        let waited = tokio::time::timeout(Duration::from_millis(1), asking).await;
        assert!(waited.is_err() && hub.topics().is_empty());
    }

    #[tokio::test]
    async fn clients_that_missed_some_of_the_chain_are_closed_and_no_others() {
        let hub = Hub::default();
        let logs = Topic::read(Some(r#"["logs",{}]"#)).unwrap();
        let syncing = Topic::Passed(RelayedTopic::Syncing);
        let clients = [Topic::NewHeads, logs, syncing].map(|topic| (topic, Arc::default()));
        for ((topic, outbox), number) in clients.iter().zip(1..) {
            hub.register.lock().wait(topic).unwrap();
            hub.register.lock().admit((topic, 0), id(number), outbox);
        }
        hub.close_chain("missed");
        let closed = clients.map(|(_, outbox)| outbox.is_closing());
        assert_eq!(closed, [true, true, false]);
    }

    #[tokio::test]
    async fn topics_have_a_limit() {
        let hub = Hub::default();
        let outbox = Arc::<Outbox>::default();
        let nth = |number: usize| {
            Topic::read(Some(&format!(
                r#"["logs",{{"address":"0x{number:040x}"}}]"#
            )))
        };
        for number in 0..TOPICS_MAX {
            let subscribed = hub.subscribe(nth(number).unwrap(), id(number as u64), &outbox);
            assert_eq!(subscribed.await, Ok(()));
        }
        let over = hub
            .subscribe(nth(TOPICS_MAX).unwrap(), id(0), &outbox)
            .await;
        assert_eq!(
            over,
            Err(SubscriptionFailure::Refused(Refusal::OverCapacity))
        );
    }
}

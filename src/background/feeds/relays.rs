//! Passes on what one node tells, and lets another take over: does what [`Relays`] says.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use crate::background::feeds::resources::FeedResources;
use crate::background::feeds::sockets::{OpenSockets, SocketCommand, TopicReport};
use crate::clock;
use forebay_core::feed::subscription::Topic;
use forebay_core::feed::takeover::{
    FeedSocket, FeedSource, RelayStep, Relays, TopicEvent, TopicRequest,
};

/// How often it is looked which node could take over.
const LOOK_EVERY: Duration = Duration::from_millis(250);

const NO_TELLER: &str = "no node tells this subscription any more: subscribe again";

/// Passes topics on.
pub struct RelayFeed {
    pub resources: Arc<FeedResources>,
    pub said: mpsc::Receiver<TopicReport>,
    pub open: watch::Receiver<OpenSockets>,
    pub relays: Relays,
    /// What is to be ended at sockets that took no commands.
    pub not_ended: Vec<(FeedSource, TopicRequest)>,
}

impl RelayFeed {
    /// Passes on, for ever.
    pub async fn run(&mut self) {
        let mut wanted = self.resources.hub.news();
        let mut fleet_news = self.resources.fleet.news();
        let (mut is_due, mut is_seeking) = (true, false);
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if std::mem::replace(&mut is_due, true) {
                self.follow();
                is_seeking = self.relays.is_seeking() || !self.not_ended.is_empty();
            }
            tokio::select! {
                said = self.said.recv() => match said {
                    Some(said) => {
                        is_due = !matches!(said.what, TopicEvent::News(_));
                        self.hear(said);
                    }
                    None => return,
                },
                changed = wanted.changed() => if changed.is_err() { return },
                changed = fleet_news.changed() => if changed.is_err() { return },
                changed = self.open.changed() => if changed.is_err() { return },
                _ = looks.tick(), if is_seeking => {}
            }
        }
    }

    /// Topics come and go, and so do nodes.
    fn follow(&mut self) {
        let open = self.open_sockets();
        // A socket says how it ends before it is gone.
        for _ in 0..self.said.len() {
            if let Ok(said) = self.said.try_recv() {
                self.hear(said);
            }
        }
        let wanted = self.resources.hub.passed().into_iter().collect();
        let view = &self.resources.fleet.snapshot().view;
        self.relays.follow(wanted, view, &open, clock::now());
        for (source, request) in std::mem::take(&mut self.not_ended) {
            self.end(source, request);
        }
        self.obey();
    }

    fn hear(&mut self, said: TopicReport) {
        let TopicReport {
            source,
            request,
            what,
            ..
        } = said;
        self.relays.hear(source, request, what, clock::now());
        self.obey();
    }

    fn obey(&mut self) {
        while let Some(step) = self.relays.next_step() {
            match step {
                RelayStep::Subscribe(source, request) => {
                    if !self.command(source, SocketCommand::Subscribe(request.clone())) {
                        self.relays.unsent(&request);
                    }
                }
                RelayStep::Unsubscribe(source, request) => self.end(source, request),
                RelayStep::Begin(topic) => self.resources.hub.settle(&topic, Ok(())),
                RelayStep::Tell(topic, news) => {
                    self.resources.hub.tell(&Topic::Passed(topic), &news);
                }
                RelayStep::End(topic, why) => {
                    self.resources
                        .hub
                        .close(&Topic::Passed(topic.clone()), NO_TELLER);
                    self.resources.hub.settle(&topic, Err(why));
                }
                RelayStep::Count(why) => self.resources.metrics.taken_over(why),
            }
        }
    }

    /// At once, or when the socket takes commands again. What ends with its socket needs none.
    fn end(&mut self, source: FeedSource, request: TopicRequest) {
        let is_sent = self.command(source, SocketCommand::Unsubscribe(request.clone()));
        if !is_sent
            && self
                .open_sockets()
                .iter()
                .any(|socket| socket.source == source)
        {
            self.not_ended.push((source, request));
        }
    }

    fn open_sockets(&self) -> Vec<FeedSocket> {
        let open = self.open.borrow();
        let sockets = open.iter().map(|(node, socket)| {
            let (node, epoch) = (*node, socket.epoch);
            FeedSocket {
                source: FeedSource { node, epoch },
                takes_commands: !socket.commands.is_closed() && socket.commands.capacity() > 0,
            }
        });
        sockets.collect()
    }

    /// Whether the node's socket takes it.
    fn command(&self, source: FeedSource, command: SocketCommand) -> bool {
        let open = self.open.borrow();
        let socket = open.get(&source.node);
        socket
            .filter(|socket| socket.epoch == source.epoch)
            .is_some_and(|socket| socket.commands.try_send(command).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::background::feeds::sockets::OpenSocket;
    use crate::shared::fleet_state::FleetState;
    use crate::shared::node_clients::ClientFactory;
    use crate::shared::outbox::{Outbox, OutboxItem};
    use bytes::Bytes;
    use forebay_core::feed::subscription::{RelayedTopic, SubscriptionFailure, SubscriptionId};
    use forebay_core::feed::takeover::TakeoverReason;
    use forebay_core::testing;
    use forebay_core::vocabulary::node::NodeRecord;
    use std::collections::HashMap;

    struct Scene {
        feed: RelayFeed,
        source: FeedSource,
        open: watch::Sender<OpenSockets>,
        commands: mpsc::Receiver<SocketCommand>,
        said: mpsc::Sender<TopicReport>,
    }

    /// One node, that takes commands.
    async fn scene() -> Scene {
        let resources = FeedResources::alone(FleetState::new(testing::fleet()));
        let (fleet, metrics) = (&resources.fleet, resources.metrics.clone());
        let connector = resources.connector.clone();
        let mut clients = ClientFactory::new(connector, metrics, fleet.places.clone(), 1);
        let node = NodeRecord::at("http://127.0.0.1:1").resolve(&|_| None);
        let upstreams = clients.call(vec![node.unwrap()], &[]);
        let (node, epoch) = (upstreams[0].id, 7);
        fleet.replace(upstreams).await;
        let good = testing::at(9);
        fleet.hear_round(&[(node, good)], &[]).await;
        let (said, saying) = mpsc::channel(8);
        let (commands, taken) = mpsc::channel(8);
        let socket = OpenSocket { epoch, commands };
        let (open, opened) = watch::channel(HashMap::from([(node, socket)]));
        let feed = RelayFeed {
            resources,
            said: saying,
            open: opened,
            relays: Relays::default(),
            not_ended: Vec::new(),
        };
        Scene {
            feed,
            source: FeedSource { node, epoch },
            open,
            commands: taken,
            said,
        }
    }

    fn request() -> TopicRequest {
        let topic = RelayedTopic::Syncing;
        TopicRequest { number: 1, topic }
    }

    impl Scene {
        /// A client asks, and the feed looks once.
        async fn ask(
            &mut self,
            id: &str,
            outbox: &Arc<Outbox>,
        ) -> tokio::task::JoinHandle<Result<(), SubscriptionFailure>> {
            let id = SubscriptionId::read(id).unwrap();
            let (hub, outbox) = (self.feed.resources.hub.clone(), outbox.clone());
            let mut comes = hub.news();
            let asking = tokio::spawn(async move {
                let topic = Topic::Passed(RelayedTopic::Syncing);
                hub.subscribe(topic, id, &outbox).await
            });
            comes.changed().await.unwrap();
            self.feed.follow();
            asking
        }

        async fn say(&mut self, what: TopicEvent) {
            let report = TopicReport {
                source: self.source,
                request: request(),
                what,
                room: None,
            };
            self.said.send(report).await.unwrap();
        }

        fn taken_over(&self, why: TakeoverReason) -> u64 {
            let text = self.feed.resources.metrics.text();
            let series = format!("{{chain=\"main\",reason=\"{}\"}} ", why.as_str());
            let prefix = format!("forebay_takeovers_total{series}");
            let value = text.lines().find_map(|line| line.strip_prefix(&prefix));
            value.and_then(|value| value.parse().ok()).unwrap_or(0)
        }
    }

    #[tokio::test]
    async fn a_client_waits_for_a_node_the_next_one_doesnt_and_both_hear_what_it_tells() {
        let (mut scene, outbox) = (scene().await, Arc::<Outbox>::default());
        let asking = scene.ask("0x1", &outbox).await;
        let command = scene.commands.try_recv();
        assert!(matches!(command, Ok(SocketCommand::Subscribe(it)) if it == request()));
        assert!(!asking.is_finished());
        scene.say(TopicEvent::Taken).await;
        scene.feed.follow();
        assert_eq!(asking.await.unwrap(), Ok(()));
        let next = Arc::<Outbox>::default();
        let asking = scene.ask("0x2", &next).await;
        assert_eq!(asking.await.unwrap(), Ok(()));
        let result = Bytes::from_static(b"true");
        scene.say(TopicEvent::News(result.clone())).await;
        scene.feed.follow();
        for (id, outbox) in [("0x1", outbox), ("0x2", next)] {
            let subscription = SubscriptionId::read(id).unwrap();
            let result = result.clone();
            let news = OutboxItem::News {
                subscription,
                result,
            };
            let told = [outbox.take(), outbox.take(), outbox.take()];
            assert_eq!(
                told,
                [Some(OutboxItem::Begun(subscription)), Some(news), None]
            );
        }
    }

    #[tokio::test]
    async fn a_socket_that_said_how_it_ends_and_is_gone_is_lost_for_that() {
        let mut scene = scene().await;
        let _asking = scene.ask("0x1", &Arc::default()).await;
        scene.say(TopicEvent::Taken).await;
        scene.say(TopicEvent::Lost(TakeoverReason::Stale)).await;
        scene.open.send_modify(OpenSockets::clear);
        scene.feed.follow();
        assert_eq!(scene.taken_over(TakeoverReason::Stale), 1);
        assert_eq!(scene.taken_over(TakeoverReason::Lost), 0);
    }

    #[tokio::test]
    async fn what_a_full_socket_was_not_told_to_end_it_is_told_later() {
        let (mut scene, outbox) = (scene().await, Arc::<Outbox>::default());
        let asking = scene.ask("0x1", &outbox).await;
        scene.say(TopicEvent::Taken).await;
        scene.feed.follow();
        assert_eq!(asking.await.unwrap(), Ok(()));
        assert!(scene.commands.try_recv().is_ok());
        let source = scene.source;
        let other = || {
            SocketCommand::Subscribe(TopicRequest {
                number: 9,
                ..request()
            })
        };
        while scene.feed.command(source, other()) {}
        scene.feed.resources.hub.leave(&outbox);
        scene.feed.follow();
        while scene.commands.try_recv().is_ok() {}
        scene.feed.follow();
        let command = scene.commands.try_recv();
        assert!(matches!(command, Ok(SocketCommand::Unsubscribe(it)) if it == request()));
        assert!(scene.commands.try_recv().is_err(), "once");
        scene.open.send_modify(OpenSockets::clear);
        scene.feed.end(source, request());
        assert!(scene.feed.not_ended.is_empty(), "it ended with its socket");
    }

    #[tokio::test]
    async fn a_socket_that_takes_no_commands_is_asked_for_nothing() {
        let mut scene = scene().await;
        scene.commands.close();
        let _asking = scene.ask("0x1", &Arc::default()).await;
        let (commands, mut taken) = mpsc::channel(8);
        let socket = OpenSocket { epoch: 8, commands };
        let node = scene.source.node;
        scene
            .open
            .send_modify(|open| drop(open.insert(node, socket)));
        scene.feed.follow();
        let command = taken.try_recv();
        assert!(
            matches!(command, Ok(SocketCommand::Subscribe(it)) if it == request()),
            "none was asked for before"
        );
    }

    #[tokio::test]
    async fn what_the_only_node_refuses_is_refused_with_its_words() {
        let mut scene = scene().await;
        let asking = scene.ask("0x1", &Arc::default()).await;
        let error = Bytes::from_static(b"{\"code\":-32601}");
        scene.say(TopicEvent::Refused(error.clone())).await;
        scene.feed.follow();
        let refused = asking.await.unwrap();
        assert_eq!(refused, Err(SubscriptionFailure::Node(error)));
    }
}

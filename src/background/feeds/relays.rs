//! Passes on what one node tells, and lets another take over when it can't any more.

mod relay;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use crate::background::feeds::relays::relay::TopicRelay;
use crate::background::feeds::sockets::{
    FeedSource, OpenSockets, SocketCommand, SocketLoss, TopicEvent, TopicReport, TopicRequest,
};
use crate::clock;
use crate::observe::metrics::{ChainMetrics, TakeoverReason};
use crate::shared::fleet_state::FleetState;
use crate::shared::hub::{Hub, SubscriptionFailure};
use forebay_core::feed::subscription::{RelayedTopic, Topic};
use forebay_core::feed::takeover::{RelayDeparture, may_tell, tellers};
use forebay_core::rpc::refusal::Refusal;
use forebay_core::vocabulary::node::NodeId;

/// The longest that listeners wait for another node to take over.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often it is looked who could take over.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The longest that a node may take to take a subscription: a client waits for two of them.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// So long a node that is unfit goes on with what nobody else took.
const STAY: Duration = Duration::from_secs(60);

const NOBODY: &str = "no node tells this subscription any more: subscribe again";

/// Passes topics on.
pub struct RelayFeed {
    pub pool: Arc<FleetState>,
    pub hub: Arc<Hub>,
    pub metrics: Arc<ChainMetrics>,
    pub said: mpsc::Receiver<TopicReport>,
    pub open: watch::Receiver<OpenSockets>,
    topics: HashMap<RelayedTopic, TopicRelay>,
    /// Wishes so far.
    wishes: u64,
}

impl RelayFeed {
    pub fn new(
        pool: Arc<FleetState>,
        hub: Arc<Hub>,
        metrics: Arc<ChainMetrics>,
        said: mpsc::Receiver<TopicReport>,
        open: watch::Receiver<OpenSockets>,
    ) -> RelayFeed {
        RelayFeed {
            pool,
            hub,
            metrics,
            said,
            open,
            topics: HashMap::new(),
            wishes: 0,
        }
    }

    /// Passes on, for ever.
    pub async fn run(&mut self) {
        let mut wanted = self.hub.news();
        let mut fleet = self.pool.news();
        let mut is_due = true;
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if std::mem::replace(&mut is_due, true) {
                self.follow();
            }
            let is_seeking = self.topics.values().any(|relay| !relay.is_taken);
            tokio::select! {
                said = self.said.recv() => match said {
                    Some(said) => {
                        is_due = !matches!(said.what, TopicEvent::News(_));
                        self.hear(said);
                    }
                    None => return,
                },
                changed = wanted.changed() => if changed.is_err() { return },
                changed = fleet.changed() => if changed.is_err() { return },
                changed = self.open.changed() => if changed.is_err() { return },
                _ = looks.tick(), if is_seeking => {}
            }
        }
    }

    /// Topics come and go, and so do nodes.
    fn follow(&mut self) {
        let wanted: HashSet<_> = self.hub.passed().into_iter().collect();
        let gone: Vec<_> = self
            .topics
            .keys()
            .filter(|topic| !wanted.contains(*topic))
            .cloned()
            .collect();
        for topic in gone {
            self.drop_topic(&topic);
        }
        for topic in wanted {
            let new = || TopicRelay::new(clock::now());
            let relay = self.topics.entry(topic.clone()).or_insert_with(new);
            // Its audience may be another than the one that it was asked for.
            if relay.is_taken || relay.former.is_some() {
                self.hub.settle(&topic, Ok(()));
            }
        }
        self.leave_lost();
        self.leave_unfit();
        self.leave_silent();
        self.seek();
    }

    /// Nodes whose line ended: with the list, even without a word.
    fn leave_lost(&mut self) {
        let told = self.topics.iter();
        let lost: Vec<_> = told
            .filter_map(|(topic, relay)| Some((topic.clone(), relay.teller?)))
            .filter(|(_, (teller, _))| !self.is_open(*teller))
            .collect();
        if lost.is_empty() {
            return;
        }
        // What a line said before it ended.
        for _ in 0..self.said.len() {
            if let Ok(said) = self.said.try_recv() {
                self.hear(said);
            }
        }
        for (topic, asked) in lost {
            let relay = self.topics.get(&topic);
            if relay.is_some_and(|relay| relay.teller == Some(asked)) {
                self.leave(&topic, TakeoverReason::Lost);
            }
        }
    }

    /// Nodes that were asked, and say neither yes nor no.
    fn leave_silent(&mut self) {
        let now = clock::now();
        let mut left = Vec::new();
        for (topic, relay) in &mut self.topics {
            let waited = now.saturating_duration_since(relay.asked_at);
            if relay.is_taken || waited < ANSWER_TIME_MAX {
                continue;
            }
            if let Some(asked) = relay.teller {
                relay.refuse(SubscriptionFailure::Refused(Refusal::Timeout));
                self.metrics.taken_over(TakeoverReason::Unanswered);
                left.push((topic.clone(), asked));
            }
        }
        for (topic, asked) in left {
            self.give_up_wish(asked, topic);
        }
    }

    fn leave_unfit(&mut self) {
        let (view, now) = (&self.pool.snapshot().view, clock::now());
        let tellers = self.tellers();
        let is_other = |relay: &TopicRelay| {
            let mut others = tellers.iter();
            // Not left for nobody: who is unfit may still tell more than no one.
            others.any(|teller| relay.stays_until <= now || !relay.refused.contains(&teller.node))
        };
        let unfit: Vec<_> = self
            .topics
            .iter()
            .filter_map(|(topic, relay)| {
                let asked = relay.teller?;
                let why = may_tell(view, asked.0.node).err()?;
                is_other(relay).then(|| (topic.clone(), asked, why))
            })
            .collect();
        for (topic, asked, why) in unfit {
            let Some(relay) = self.topics.get_mut(&topic) else {
                continue;
            };
            let told = relay.is_taken;
            relay.lose(now);
            if told {
                relay.former = Some((asked, of(why)));
            } else {
                self.give_up_wish(asked, topic);
            }
        }
    }

    fn leave(&mut self, topic: &RelayedTopic, why: TakeoverReason) {
        if let Some(relay) = self.topics.get_mut(topic) {
            relay.lose(clock::now());
            if relay.has_begun {
                self.metrics.taken_over(why);
            }
        }
    }

    /// Asks a node for each topic that none tells.
    fn seek(&mut self) {
        let tellers = self.tellers();
        let sought: Vec<_> = self
            .topics
            .iter()
            .filter(|(_, relay)| relay.teller.is_none())
            .map(|(topic, _)| topic.clone())
            .collect();
        for topic in sought {
            let Some(relay) = self.topics.get(&topic) else {
                continue;
            };
            let next = tellers
                .iter()
                .find(|teller| !relay.refused.contains(&teller.node))
                .copied();
            if !next.is_some_and(|teller| self.ask(teller, &topic)) {
                self.give_up(&topic);
            }
        }
    }

    /// Whether the node's line takes the order.
    fn ask(&mut self, teller: FeedSource, topic: &RelayedTopic) -> bool {
        self.wishes += 1;
        let number = self.wishes;
        let wish = TopicRequest {
            number,
            topic: topic.clone(),
        };
        if !self.order(teller, SocketCommand::Subscribe(wish)) {
            return false;
        }
        if let Some(relay) = self.topics.get_mut(topic) {
            relay.teller = Some((teller, number));
            relay.is_first = true;
            relay.asked_at = clock::now();
        }
        true
    }

    fn give_up_wish(&self, (teller, number): (FeedSource, u64), topic: RelayedTopic) {
        self.order(
            teller,
            SocketCommand::Unsubscribe(TopicRequest { number, topic }),
        );
    }

    /// Nobody else tells it: who told it before goes on, if he can. Those who ask are told so when
    /// they were refused or no line came, those who listen when it has lasted.
    fn give_up(&mut self, topic: &RelayedTopic) {
        let former = self.topics.get(topic).and_then(|relay| relay.former);
        let is_open = former.is_some_and(|((teller, _), _)| self.is_open(teller));
        let Some(relay) = self.topics.get_mut(topic) else {
            return;
        };
        let now = clock::now();
        if let Some((former, _)) = relay.former.take() {
            if is_open {
                relay.teller = Some(former);
                (relay.is_taken, relay.is_first) = (true, false);
                relay.stays_until = now + STAY;
            } else {
                relay.since = now;
            }
            return;
        }
        let patience = match relay.refusal {
            _ if relay.has_begun => PATIENCE,
            // A line may be on its way.
            None => ANSWER_TIME_MAX,
            Some(_) => Duration::ZERO,
        };
        if now.saturating_duration_since(relay.since) < patience {
            return;
        }
        let refusal = relay.refusal.take();
        self.hub.close(&Topic::Passed(topic.clone()), NOBODY);
        let why = refusal.unwrap_or(SubscriptionFailure::Refused(Refusal::NoNotifications));
        self.hub.settle(topic, Err(why));
        self.topics.remove(topic);
    }

    /// Nobody listens to it any more.
    fn drop_topic(&mut self, topic: &RelayedTopic) {
        let relay = self.topics.remove(topic);
        let asked = relay.map(|relay| [relay.teller, relay.former.map(|(former, _)| former)]);
        for asked in asked.into_iter().flatten().flatten() {
            self.give_up_wish(asked, topic.clone());
        }
    }

    /// Who may be asked, the best first.
    fn tellers(&self) -> Vec<FeedSource> {
        let open = self.open.borrow();
        let takes_orders = open.iter().filter(|(_, line)| !line.orders.is_closed());
        let nodes = takes_orders.map(|(node, _)| *node);
        let nodes = tellers(&self.pool.snapshot().view, nodes).into_iter();
        let teller = |node: NodeId| {
            let epoch = open.get(&node)?.epoch;
            Some(FeedSource { node, epoch })
        };
        nodes.filter_map(teller).collect()
    }

    fn is_open(&self, teller: FeedSource) -> bool {
        let open = self.open.borrow();
        let line = open.get(&teller.node);
        line.is_some_and(|line| line.epoch == teller.epoch)
    }

    fn order(&self, teller: FeedSource, order: SocketCommand) -> bool {
        let open = self.open.borrow();
        let line = open.get(&teller.node);
        line.filter(|line| line.epoch == teller.epoch)
            .is_some_and(|line| line.orders.try_send(order).is_ok())
    }

    fn hear(&mut self, said: TopicReport) {
        let TopicRequest { number, topic } = said.wish;
        let Some(relay) = self.topics.get_mut(&topic) else {
            return;
        };
        let by = Some((said.teller, number));
        let is_by_former = relay.former.map(|(former, _)| former) == by;
        if relay.teller != by && !(is_by_former && matches!(said.what, TopicEvent::News(_))) {
            return;
        }
        match said.what {
            TopicEvent::Taken => {
                relay.is_taken = true;
                relay.has_begun = true;
                let former = relay.former.take();
                self.hub.settle(&topic, Ok(()));
                if let Some((former, why)) = former {
                    self.metrics.taken_over(why);
                    self.give_up_wish(former, topic);
                }
            }
            TopicEvent::Refused(error) => {
                relay.refuse(SubscriptionFailure::Node(error));
            }
            TopicEvent::Full => {
                relay.refuse(SubscriptionFailure::Refused(Refusal::OverCapacity));
            }
            TopicEvent::Useless => {
                relay.refuse(SubscriptionFailure::Refused(Refusal::NoNotifications));
            }
            TopicEvent::News(result) => {
                let is_first = relay.teller == by && std::mem::take(&mut relay.is_first);
                if relay.memory.is_news(&topic, &result, is_first) {
                    self.hub.tell(&Topic::Passed(topic), &result);
                }
            }
            TopicEvent::Lost(SocketLoss::Stale) => self.leave(&topic, TakeoverReason::Stale),
            TopicEvent::Lost(SocketLoss::Broken) => self.leave(&topic, TakeoverReason::Lost),
        }
    }
}

fn of(why: RelayDeparture) -> TakeoverReason {
    match why {
        RelayDeparture::Drained => TakeoverReason::Drained,
        RelayDeparture::Unfit => TakeoverReason::Unfit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::background::feeds::sockets::OpenSocket;
    use crate::shared::outbox::{Outbox, OutboxItem};
    use bytes::Bytes;
    use forebay_core::feed::subscription::SubscriptionId;
    use forebay_core::fleet::HealthCriteria;
    use forebay_core::fleet::standing::Hysteresis;
    use forebay_core::fleet::tracker::Fleet;

    const TELLER: FeedSource = FeedSource {
        node: NodeId(1),
        epoch: 7,
    };

    struct Scene {
        relays: RelayFeed,
        hub: Arc<Hub>,
        open: watch::Sender<OpenSockets>,
        orders: mpsc::Receiver<SocketCommand>,
        _said: mpsc::Sender<TopicReport>,
    }

    /// A node takes orders; there are none else.
    fn scene() -> Scene {
        let pool = Arc::new(FleetState::new(Fleet::new(HealthCriteria {
            chain_id: None,
            block_time: Duration::from_secs(12),
            look: Duration::from_secs(5),
            lag_blocks_max: 10,
            hysteresis: Hysteresis { rise: 2, fall: 3 },
        })));
        let hub = Arc::new(Hub::default());
        let (told, said) = mpsc::channel(8);
        let (orders, taken) = mpsc::channel(8);
        let epoch = TELLER.epoch;
        let line = OpenSocket { epoch, orders };
        let (open, opened) = watch::channel(HashMap::from([(TELLER.node, line)]));
        Scene {
            relays: RelayFeed::new(pool, hub.clone(), ChainMetrics::alone(), said, opened),
            hub,
            open,
            orders: taken,
            _said: told,
        }
    }

    impl Scene {
        /// A client asks, and it is told, or asked for, since long ago.
        async fn ask(
            &mut self,
            is_taken: bool,
        ) -> tokio::task::JoinHandle<Result<(), SubscriptionFailure>> {
            let mut comes = self.hub.news();
            let hub = self.hub.clone();
            let asking = tokio::spawn(async move {
                let id = SubscriptionId::read("0x1").unwrap();
                let outbox = Arc::<Outbox>::default();
                let topic = Topic::Passed(RelayedTopic::Syncing);
                hub.subscribe(topic, id, &outbox).await
            });
            comes.changed().await.unwrap();
            let long_ago = clock::now().checked_sub(ANSWER_TIME_MAX).unwrap();
            let mut relay = TopicRelay::new(long_ago);
            relay.teller = Some((TELLER, 0));
            relay.is_taken = is_taken;
            relay.has_begun = is_taken;
            self.relays.topics.insert(RelayedTopic::Syncing, relay);
            asking
        }

        fn say(&mut self, number: u64, what: TopicEvent) {
            self.relays.hear(TopicReport {
                teller: TELLER,
                wish: wish_of(number),
                what,
                room: None,
            });
        }

        fn taken_over(&self, why: TakeoverReason) -> u64 {
            let text = self.relays.metrics.text();
            let series = format!("{{chain=\"main\",reason=\"{}\"}} ", why.as_str());
            let prefix = format!("forebay_takeovers_total{series}");
            let value = text.lines().find_map(|line| line.strip_prefix(&prefix));
            value.and_then(|value| value.parse().ok()).unwrap_or(0)
        }

        fn relay(&mut self) -> Option<&mut TopicRelay> {
            self.relays.topics.get_mut(&RelayedTopic::Syncing)
        }
    }

    fn wish_of(number: u64) -> TopicRequest {
        let topic = RelayedTopic::Syncing;
        TopicRequest { number, topic }
    }

    #[tokio::test]
    async fn an_answer_to_an_earlier_asking_is_not_the_answer_to_this_one() {
        let mut scene = scene();
        let _asking = scene.ask(false).await;
        scene.relay().unwrap().teller = Some((TELLER, 2));
        scene.say(1, TopicEvent::Refused(Bytes::from_static(b"{}")));
        scene.say(1, TopicEvent::Taken);
        let relay = scene.relay().unwrap();
        assert_eq!(relay.teller, Some((TELLER, 2)));
        assert!(relay.refused.is_empty() && !relay.is_taken);
        scene.say(2, TopicEvent::Taken);
        assert!(scene.relay().unwrap().is_taken);
    }

    #[tokio::test]
    async fn a_line_says_how_it_was_lost_and_a_subscription_without_a_name_is_refused() {
        let mut scene = scene();
        for (loss, why) in [
            (SocketLoss::Stale, TakeoverReason::Stale),
            (SocketLoss::Broken, TakeoverReason::Lost),
        ] {
            let _asking = scene.ask(true).await;
            scene.say(0, TopicEvent::Lost(loss));
            assert_eq!(scene.taken_over(why), 1, "{why:?}");
        }
        let _asking = scene.ask(false).await;
        scene.say(0, TopicEvent::Useless);
        assert_eq!(scene.relay().unwrap().refused, [TELLER.node]);
    }

    #[tokio::test]
    async fn who_comes_to_a_topic_that_is_told_already_doesnt_wait() {
        let mut scene = scene();
        let asking = scene.ask(true).await;
        scene.relays.follow();
        assert_eq!(asking.await.unwrap(), Ok(()));
    }

    #[tokio::test]
    async fn who_must_be_left_tells_on_until_another_has_taken_it() {
        let mut scene = scene();
        let asking = scene.ask(true).await;
        scene.relays.follow();
        asking.await.unwrap().unwrap();
        let outbox = Arc::<Outbox>::default();
        let topic = Topic::Passed(RelayedTopic::Syncing);
        let id = SubscriptionId::read("0x2").unwrap();
        scene.hub.subscribe(topic, id, &outbox).await.unwrap();
        let (former, next) = (
            (TELLER, 0),
            (
                FeedSource {
                    node: NodeId(2),
                    epoch: 1,
                },
                1,
            ),
        );
        let relay = scene.relay().unwrap();
        (relay.teller, relay.is_taken) = (Some(next), false);
        relay.former = Some((former, TakeoverReason::Drained));
        let news = |text: &'static str| TopicEvent::News(Bytes::from_static(text.as_bytes()));
        scene.say(0, news("1"));
        scene.relays.hear(TopicReport {
            teller: next.0,
            wish: wish_of(1),
            what: TopicEvent::Taken,
            room: None,
        });
        scene.say(0, news("2"));
        let order = scene.orders.try_recv();
        assert!(matches!(order, Ok(SocketCommand::Unsubscribe(wish)) if wish == wish_of(0)));
        assert_eq!(scene.taken_over(TakeoverReason::Drained), 1);
        let result = Bytes::from_static(b"1");
        let told = [outbox.take(), outbox.take(), outbox.take()];
        let subscription = id;
        let wanted = OutboxItem::News {
            subscription,
            result,
        };
        assert_eq!(told, [Some(OutboxItem::Begun(id)), Some(wanted), None]);
    }

    #[tokio::test]
    async fn who_must_be_left_goes_on_where_nobody_else_takes_it() {
        let mut scene = scene();
        let _asking = scene.ask(true).await;
        let relay = scene.relay().unwrap();
        let former = relay
            .teller
            .take()
            .map(|former| (former, TakeoverReason::Drained));
        (relay.former, relay.is_taken) = (former, false);
        relay.refused.push(NodeId(2));
        scene.relays.give_up(&RelayedTopic::Syncing);
        let relay = scene.relay().unwrap();
        assert_eq!((relay.teller, relay.former), (Some((TELLER, 0)), None));
        assert!(relay.is_taken && !relay.is_first && relay.stays_until > clock::now());
        assert_eq!(scene.taken_over(TakeoverReason::Drained), 0);
        assert!(scene.orders.try_recv().is_err(), "it was never given up");
    }

    #[tokio::test]
    async fn who_must_be_left_and_is_gone_gives_listeners_their_patience() {
        let mut scene = scene();
        let _asking = scene.ask(true).await;
        scene.open.send_modify(OpenSockets::clear);
        let relay = scene.relay().unwrap();
        let former = relay
            .teller
            .take()
            .map(|former| (former, TakeoverReason::Unfit));
        (relay.former, relay.is_taken) = (former, false);
        relay.since = clock::now().checked_sub(PATIENCE).unwrap();
        scene.relays.seek();
        let relay = scene.relay().unwrap();
        assert_eq!((relay.teller, relay.former), (None, None));
        assert!(relay.since.elapsed() < PATIENCE);
    }

    #[tokio::test]
    async fn who_asks_while_no_line_is_open_waits_for_one_and_is_refused_in_the_end() {
        let mut scene = scene();
        scene.open.send_modify(OpenSockets::clear);
        let asking = scene.ask(false).await;
        let relay = scene.relay().unwrap();
        (relay.teller, relay.since) = (None, clock::now());
        scene.relays.seek();
        assert!(scene.relay().is_some() && !asking.is_finished());
        let long_ago = clock::now().checked_sub(ANSWER_TIME_MAX).unwrap();
        scene.relay().unwrap().since = long_ago;
        scene.relays.seek();
        let why = SubscriptionFailure::Refused(Refusal::NoNotifications);
        assert_eq!(asking.await.unwrap(), Err(why));
    }

    #[tokio::test]
    async fn a_node_that_says_neither_yes_nor_no_is_left() {
        let mut scene = scene();
        let asking = scene.ask(false).await;
        scene.relays.follow();
        let order = scene.orders.try_recv();
        assert!(matches!(order, Ok(SocketCommand::Unsubscribe(wish)) if wish == wish_of(0)));
        assert_eq!(scene.taken_over(TakeoverReason::Unanswered), 1);
        let why = SubscriptionFailure::Refused(Refusal::Timeout);
        assert_eq!(asking.await.unwrap(), Err(why), "there is no other");
    }

    #[tokio::test]
    async fn a_line_that_is_gone_or_another_tells_nothing_more() {
        let mut scene = scene();
        let asking = scene.ask(true).await;
        scene.relays.follow();
        asking.await.unwrap().unwrap();
        assert_eq!(scene.relay().unwrap().teller, Some((TELLER, 0)));
        scene.open.send_modify(|open| {
            let line = open.get_mut(&TELLER.node).unwrap();
            line.epoch += 1;
        });
        scene.relays.follow();
        assert_eq!(scene.relay().unwrap().teller, None, "another line");
        scene.relay().unwrap().teller = Some((TELLER, 0));
        scene.open.send_modify(OpenSockets::clear);
        scene.relays.follow();
        let relay = scene.relay().unwrap();
        assert_eq!(relay.teller, None);
        relay.since = clock::now().checked_sub(PATIENCE).unwrap();
        scene.relays.seek();
        assert!(scene.relay().is_none(), "given up after some patience");
    }
}

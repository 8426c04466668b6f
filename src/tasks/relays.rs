//! Passes on what one node tells, and lets another take over when it can't any more.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use super::lines::{Open, Order, Said, What};
use crate::clock;
use crate::domain::node::NodeId;
use crate::domain::refusal::Refusal;
use crate::domain::relay::{self, Memory, Why};
use crate::domain::subscription::{Passed, Topic};
use crate::state::hub::{Hub, NotSubscribed};
use crate::state::pool::Pool;
use crate::telemetry::metrics::{Metrics, Takeover};

/// The longest that listeners wait for another node to take over.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often it is looked who could take over.
const LOOK_EVERY: Duration = Duration::from_millis(250);

const NOBODY: &str = "no node tells this subscription any more: subscribe again";

/// Passes topics on.
pub struct Relays {
    pub pool: Arc<Pool>,
    pub hub: Arc<Hub>,
    pub metrics: Arc<Metrics>,
    pub said: mpsc::Receiver<Said>,
    pub open: watch::Receiver<Open>,
    topics: HashMap<Passed, Relay>,
}

/// One topic.
struct Relay {
    /// Who tells it, or is asked to.
    node: Option<NodeId>,
    is_taken: bool,
    /// Clients listen: what is lost must be taken over.
    has_begun: bool,
    /// Nothing was said by this node yet.
    is_first: bool,
    /// Who refused, and what the first of them said.
    refused: Vec<NodeId>,
    refusal: Option<NotSubscribed>,
    /// Since when nobody tells it.
    since: Instant,
    memory: Memory,
}

impl Relay {
    fn new(now: Instant) -> Relay {
        Relay {
            node: None,
            is_taken: false,
            has_begun: false,
            is_first: true,
            refused: Vec::new(),
            refusal: None,
            since: now,
            memory: Memory::default(),
        }
    }

    fn lose(&mut self, now: Instant) {
        self.node = None;
        self.is_taken = false;
        self.since = now;
        self.refused.clear();
        self.refusal = None;
    }
}

impl Relays {
    pub fn new(
        pool: Arc<Pool>,
        hub: Arc<Hub>,
        metrics: Arc<Metrics>,
        said: mpsc::Receiver<Said>,
        open: watch::Receiver<Open>,
    ) -> Relays {
        Relays {
            pool,
            hub,
            metrics,
            said,
            open,
            topics: HashMap::new(),
        }
    }

    /// Passes on, for ever.
    pub async fn run(&mut self) {
        let mut wanted = self.hub.news();
        let mut fleet = self.pool.news();
        let mut is_due = true;
        loop {
            if std::mem::replace(&mut is_due, true) {
                self.follow();
            }
            let is_seeking = self.topics.values().any(|relay| relay.node.is_none());
            tokio::select! {
                said = self.said.recv() => match said {
                    Some(said) => {
                        is_due = !matches!(said.what, What::News(_));
                        self.hear(said);
                    }
                    None => return,
                },
                changed = wanted.changed() => if changed.is_err() { return },
                changed = fleet.changed() => if changed.is_err() { return },
                changed = self.open.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(LOOK_EVERY), if is_seeking => {}
            }
        }
    }

    /// Topics come and go, and so do nodes.
    fn follow(&mut self) {
        let wanted = self.hub.passed();
        let gone: Vec<_> = self
            .topics
            .keys()
            .filter(|topic| !wanted.contains(topic))
            .cloned()
            .collect();
        for topic in gone {
            if let Some(node) = self.topics.remove(&topic).and_then(|relay| relay.node) {
                self.order(node, Order::Unsubscribe(topic));
            }
        }
        for topic in wanted {
            self.topics
                .entry(topic)
                .or_insert_with(|| Relay::new(clock::now()));
        }
        let view = &self.pool.snapshot().view;
        let unfit: Vec<_> = self
            .topics
            .iter()
            .filter_map(|(topic, relay)| {
                let why = relay::may_tell(view, relay.node?).err()?;
                Some((topic.clone(), relay.node?, why))
            })
            .collect();
        for (topic, node, why) in unfit {
            // Not left for nobody: who is unfit may still tell more than no one.
            let others = relay::tellers(view, self.open.borrow().keys().copied());
            if others.is_empty() {
                continue;
            }
            self.order(node, Order::Unsubscribe(topic.clone()));
            self.leave(
                &topic,
                match why {
                    Why::Drained => Takeover::Drained,
                    Why::Unfit => Takeover::Unfit,
                },
            );
        }
        self.seek();
    }

    fn leave(&mut self, topic: &Passed, why: Takeover) {
        if let Some(relay) = self.topics.get_mut(topic) {
            relay.lose(clock::now());
            if relay.has_begun {
                self.metrics.taken_over(why);
            }
        }
    }

    /// Asks a node for each topic that none tells.
    fn seek(&mut self) {
        let tellers = relay::tellers(
            &self.pool.snapshot().view,
            self.open.borrow().keys().copied(),
        );
        let sought: Vec<_> = self
            .topics
            .iter()
            .filter(|(_, relay)| relay.node.is_none())
            .map(|(topic, _)| topic.clone())
            .collect();
        for topic in sought {
            let Some(relay) = self.topics.get(&topic) else {
                continue;
            };
            let next = tellers
                .iter()
                .find(|id| !relay.refused.contains(id))
                .copied();
            match next {
                Some(node) if self.order(node, Order::Subscribe(topic.clone())) => {
                    if let Some(relay) = self.topics.get_mut(&topic) {
                        relay.node = Some(node);
                        relay.is_first = true;
                    }
                }
                Some(_) | None => self.give_up(&topic),
            }
        }
    }

    /// Nobody tells it: those who ask are told at once, those who listen when it has lasted.
    fn give_up(&mut self, topic: &Passed) {
        let Some(relay) = self.topics.get(topic) else {
            return;
        };
        let waited = clock::now().saturating_duration_since(relay.since);
        let refusal = relay.refusal.clone();
        if relay.has_begun && waited < PATIENCE {
            return;
        }
        self.hub.close(&Topic::Passed(topic.clone()), NOBODY);
        let why = refusal.unwrap_or(NotSubscribed::Refused(Refusal::NoNotifications));
        self.hub.settle(topic, Err(why));
        self.topics.remove(topic);
    }

    fn order(&self, node: NodeId, order: Order) -> bool {
        let open = self.open.borrow();
        open.get(&node)
            .is_some_and(|line| line.try_send(order).is_ok())
    }

    fn hear(&mut self, said: Said) {
        let Some(relay) = self.topics.get_mut(&said.topic) else {
            return;
        };
        if relay.node != Some(said.node) {
            return;
        }
        match said.what {
            What::Taken => {
                relay.is_taken = true;
                relay.has_begun = true;
                self.hub.settle(&said.topic, Ok(()));
            }
            What::Refused(error) => {
                relay.refused.push(said.node);
                relay.refusal.get_or_insert(NotSubscribed::Node(error));
                relay.node = None;
            }
            What::Full => {
                let why = NotSubscribed::Refused(Refusal::OverCapacity);
                relay.refused.push(said.node);
                relay.refusal.get_or_insert(why);
                relay.node = None;
            }
            What::News(result) => {
                let is_first = std::mem::take(&mut relay.is_first);
                if relay.memory.is_news(&said.topic, &result, is_first) {
                    self.hub.tell(&Topic::Passed(said.topic), &result);
                }
            }
            What::Lost(why) => {
                let why = if why == "stale" {
                    Takeover::Stale
                } else {
                    Takeover::Lost
                };
                self.leave(&said.topic, why);
            }
        }
    }
}

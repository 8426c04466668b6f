//! One topic: which node tells it, and which nodes may not be asked for it.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::memory::RelayMemory;
use super::{
    ANSWER_TIME_MAX, FeedSource, PATIENCE, RelayScene, RelayStep, RelaySteps, STAY, TakeoverReason,
    TopicEvent, may_tell,
};
use crate::feed::subscription::{RelayedTopic, SubscriptionFailure};
use crate::rpc::refusal::Refusal;
use crate::vocabulary::node::NodeId;

/// A node, asked once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asking {
    pub source: FeedSource,
    pub number: u64,
}

/// Which node tells a topic, if one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carrier {
    /// A node is looked for.
    Sought,
    Asked {
        by: Asking,
        at: Instant,
    },
    Teller {
        by: Asking,
        /// It said nothing yet.
        is_first: bool,
        /// It is unfit, and the others didn't take it: until then it is left only for one that wasn't
        /// asked.
        stays_until: Option<Instant>,
    },
}

/// One topic.
#[derive(Debug)]
pub(super) struct Relay {
    carrier: Carrier,
    /// The node that told it so far, must be left, and tells on until another has taken it; and why.
    former: Option<(Asking, TakeoverReason)>,
    /// Clients listen: what is lost must be taken over.
    has_begun: bool,
    /// The nodes that refused, and what the first of them said.
    refused: Vec<NodeId>,
    refusal: Option<SubscriptionFailure>,
    /// Since when no node tells it; before any did, since when none was asked.
    since: Instant,
    memory: RelayMemory,
}

impl Relay {
    pub(super) fn new(now: Instant) -> Relay {
        Relay {
            carrier: Carrier::Sought,
            former: None,
            has_begun: false,
            refused: Vec::new(),
            refusal: None,
            since: now,
            memory: RelayMemory::default(),
        }
    }

    /// No node has taken it yet.
    pub(super) fn is_seeking(&self) -> bool {
        !matches!(self.carrier, Carrier::Teller { .. })
    }

    /// The node that tells it, or is asked to.
    fn asking(&self) -> Option<Asking> {
        match self.carrier {
            Carrier::Sought => None,
            Carrier::Asked { by, .. } | Carrier::Teller { by, .. } => Some(by),
        }
    }

    fn is_former(&self, by: Asking) -> bool {
        self.former.is_some_and(|(former, _)| former == by)
    }

    /// Whether it stays: not if no node tells it.
    pub(super) fn follow(
        &mut self,
        topic: &RelayedTopic,
        scene: &RelayScene<'_>,
        steps: &mut RelaySteps,
    ) -> bool {
        for by in [self.asking(), self.former.map(|(former, _)| former)] {
            if let Some(by) = by.filter(|by| !scene.is_open(by.source)) {
                self.lose(by, TakeoverReason::Lost, scene.now, steps);
            }
        }
        // Its audience may be another than the one that it was asked for.
        if !self.is_seeking() || self.former.is_some() {
            steps.push(RelayStep::Begin(topic.clone()));
        }
        self.leave_unfit(topic, scene, steps);
        self.leave_silent(topic, scene.now, steps);
        self.carrier != Carrier::Sought || self.seek(topic, scene, steps)
    }

    /// The node can't tell it any more.
    fn lose(&mut self, by: Asking, why: TakeoverReason, now: Instant, steps: &mut RelaySteps) {
        // To lose a node that was only asked to tell it is no takeover.
        let was_telling = self.is_former(by) || !self.is_seeking();
        if self.is_former(by) {
            self.former = None;
            self.since = now;
        } else if self.asking() == Some(by) {
            let silent_for = now.saturating_duration_since(self.since);
            let is_late = self.has_begun && self.is_seeking() && silent_for >= PATIENCE;
            self.seek_anew(now);
            if is_late {
                // Else a socket that breaks time after time would be asked for ever.
                self.refused.push(by.source.node);
            }
        } else {
            return;
        }
        if was_telling {
            steps.push(RelayStep::Count(why));
        }
    }

    /// A node that must be left, but only for another one: an unfit node may still tell more than none.
    fn leave_unfit(
        &mut self,
        topic: &RelayedTopic,
        scene: &RelayScene<'_>,
        steps: &mut RelaySteps,
    ) {
        let (Some(by), now) = (self.asking(), scene.now) else {
            return;
        };
        let Err(why) = may_tell(scene.view, by.source.node) else {
            return;
        };
        let (is_told, stays_until) = match self.carrier {
            Carrier::Teller { stays_until, .. } => (true, stays_until),
            Carrier::Asked { .. } | Carrier::Sought => (false, None),
        };
        let stays = stays_until.is_some_and(|until| now < until);
        let mut others = scene.tellers.iter();
        if !others.any(|other| !stays || !self.refused.contains(&other.node)) {
            return;
        }
        if is_told {
            self.former = Some((by, why));
        } else {
            steps.unsubscribe(by, topic);
        }
        self.seek_anew(now);
    }

    /// A node that was asked, and says neither yes nor no.
    fn leave_silent(&mut self, topic: &RelayedTopic, now: Instant, steps: &mut RelaySteps) {
        let Carrier::Asked { by, at } = self.carrier else {
            return;
        };
        if now.saturating_duration_since(at) >= ANSWER_TIME_MAX {
            self.refuse(by, SubscriptionFailure::Refused(Refusal::Timeout));
            steps.push(RelayStep::Count(TakeoverReason::Unanswered));
            steps.unsubscribe(by, topic);
        }
    }

    /// Asks the next node.
    fn seek(
        &mut self,
        topic: &RelayedTopic,
        scene: &RelayScene<'_>,
        steps: &mut RelaySteps,
    ) -> bool {
        let mut tellers = scene.tellers.iter();
        match tellers.find(|source| !self.refused.contains(&source.node)) {
            Some(source) => {
                let (by, at) = (steps.subscribe(*source, topic), scene.now);
                self.carrier = Carrier::Asked { by, at };
                true
            }
            None => self.give_up(topic, scene.now, steps),
        }
    }

    /// No other node tells it: the one that told it before goes on. Clients that ask are told so when they were
    /// refused or no socket came, clients that listen when it has lasted.
    fn give_up(&mut self, topic: &RelayedTopic, now: Instant, steps: &mut RelaySteps) -> bool {
        if let Some((by, _)) = self.former.take() {
            self.carrier = Carrier::Teller {
                by,
                is_first: false,
                stays_until: Some(now + STAY),
            };
            return true;
        }
        let patience = match self.refusal {
            _ if self.has_begun => PATIENCE,
            // A socket may be on its way.
            None => ANSWER_TIME_MAX,
            Some(_) => Duration::ZERO,
        };
        if now.saturating_duration_since(self.since) < patience {
            return true;
        }
        let none = SubscriptionFailure::Refused(Refusal::NoNotifications);
        let why = self.refusal.take().unwrap_or(none);
        steps.push(RelayStep::End(topic.clone(), why));
        false
    }

    /// No client listens to it any more.
    pub(super) fn leave(&self, topic: &RelayedTopic, steps: &mut RelaySteps) {
        let former = self.former.map(|(former, _)| former);
        for asked in [self.asking(), former].into_iter().flatten() {
            steps.unsubscribe(asked, topic);
        }
    }

    /// The socket didn't take the order: another is asked at the next look.
    pub(super) fn unsent(&mut self, number: u64) {
        if matches!(self.carrier, Carrier::Asked { by, .. } if by.number == number) {
            self.carrier = Carrier::Sought;
        }
    }

    pub(super) fn hear(
        &mut self,
        (topic, by): (RelayedTopic, Asking),
        event: TopicEvent,
        now: Instant,
        steps: &mut RelaySteps,
    ) {
        let no = SubscriptionFailure::Refused;
        let refusal = match event {
            TopicEvent::News(news) => {
                if self.is_news(&topic, by, &news) {
                    steps.push(RelayStep::Tell(topic, news));
                }
                return;
            }
            TopicEvent::Lost(why) => return self.lose(by, why, now, steps),
            TopicEvent::Taken => return self.take(topic, by, steps),
            TopicEvent::Refused(error) => SubscriptionFailure::Node(error),
            TopicEvent::Full => no(Refusal::OverCapacity),
            TopicEvent::Useless => no(Refusal::NoNotifications),
        };
        self.refuse(by, refusal);
    }

    fn is_asked(&self, by: Asking) -> bool {
        matches!(self.carrier, Carrier::Asked { by: asked, .. } if asked == by)
    }

    fn take(&mut self, topic: RelayedTopic, by: Asking, steps: &mut RelaySteps) {
        if !self.is_asked(by) {
            return;
        }
        self.carrier = Carrier::Teller {
            by,
            is_first: true,
            stays_until: None,
        };
        self.has_begun = true;
        if let Some((former, why)) = self.former.take() {
            steps.push(RelayStep::Count(why));
            steps.unsubscribe(former, &topic);
        }
        steps.push(RelayStep::Begin(topic));
    }

    /// The node that was asked doesn't take it: another is asked next.
    fn refuse(&mut self, by: Asking, why: SubscriptionFailure) {
        if self.is_asked(by) {
            self.carrier = Carrier::Sought;
            self.refused.push(by.source.node);
            self.refusal.get_or_insert(why);
        }
    }

    fn seek_anew(&mut self, now: Instant) {
        let was_told = !self.is_seeking();
        self.carrier = Carrier::Sought;
        // Clients that listen have missed news since the last node that told it was lost, and don't wait for nodes
        // that refused since to be asked again.
        if was_told || !self.has_begun {
            self.since = now;
            self.refused.clear();
            self.refusal = None;
        }
    }

    fn is_news(&mut self, topic: &RelayedTopic, by: Asking, news: &Bytes) -> bool {
        if let Carrier::Teller {
            by: source,
            is_first,
            ..
        } = &mut self.carrier
            && *source == by
        {
            let is_first = std::mem::take(is_first);
            return self.memory.is_news(topic, news, is_first);
        }
        self.is_former(by) && self.memory.is_news(topic, news, false)
    }
}

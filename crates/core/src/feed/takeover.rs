//! Topics that one node tells and we pass on: which node, when another takes over, and what was told
//! already.
//!
//! A topic is asked for at one node after another, the best first, until one takes it. From then on
//! - one node tells it, or one is asked, or one is looked for: no longer than [`PATIENCE`], then each that may
//!   tell it is asked once at the most, and the clients that listen are told that it is over;
//! - a node that must be left and could tell on does so until another has taken it, or where no other
//!   node does;
//! - what a node says to an earlier asking counts for nothing, and what it still tells then is given up.
//!
//! What happens comes in by [`Relays::follow`] and [`Relays::hear`]; what is to be done comes out of
//! [`Relays::next_step`].

mod memory;
mod relay;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;

use self::relay::{Asking, Relay};
use crate::feed::head_tracker::witnesses;
use crate::feed::subscription::{RelayedTopic, SubscriptionFailure};
use crate::fleet::view::FleetView;
use crate::vocabulary::node::NodeId;

/// The longest that listeners wait for another node to take over.
pub const PATIENCE: Duration = Duration::from_secs(15);
/// The longest that a node may take to take a subscription: a client waits for two of them.
pub const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);
/// So long a node that is unfit goes on with what no other node took.
pub const STAY: Duration = Duration::from_secs(60);

/// What tells a topic: a node, over this one of its sockets. The next socket knows nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FeedSource {
    /// The node that the socket leads to.
    pub node: NodeId,
    /// No other socket of this process has it.
    pub epoch: u64,
}

/// A socket that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedSocket {
    /// Where it leads to.
    pub source: FeedSource,
    /// It may be asked for more.
    pub takes_commands: bool,
}

/// A topic as it is asked for once. What a node still says to an earlier asking is not mistaken for
/// the answer to this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicRequest {
    /// No other request has it.
    pub number: u64,
    /// What is to be told.
    pub topic: RelayedTopic,
}

/// What a socket says of a topic.
#[derive(Clone, Debug)]
pub enum TopicEvent {
    /// The node has given the subscription an id.
    Taken,
    /// The node's error object, as JSON.
    Refused(Bytes),
    /// The node tells as much as it is asked for at the most.
    Full,
    /// The node says no at endless length, or takes it under an id by which its news can't be told
    /// apart.
    Useless,
    /// What is told: the notification's `result`, as JSON.
    News(Bytes),
    /// The socket is lost, and with it the subscription: [`TakeoverReason::Lost`], or
    /// [`TakeoverReason::Stale`].
    Lost(TakeoverReason),
}

/// Why a subscription was taken over from a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakeoverReason {
    /// Its socket broke.
    Lost,
    /// Its socket was silent while others moved.
    Stale,
    /// It lags, say.
    Unfit,
    /// Its weight is 0.
    Drained,
    /// It said neither yes nor no to a subscription, or didn't bring a block's logs.
    Unanswered,
}

impl TakeoverReason {
    /// Every reason, once.
    pub const ALL: [TakeoverReason; 5] = [
        TakeoverReason::Lost,
        TakeoverReason::Stale,
        TakeoverReason::Unfit,
        TakeoverReason::Drained,
        TakeoverReason::Unanswered,
    ];

    /// As metrics name it.
    pub fn as_str(self) -> &'static str {
        match self {
            TakeoverReason::Lost => "lost",
            TakeoverReason::Stale => "stale",
            TakeoverReason::Unfit => "unfit",
            TakeoverReason::Drained => "drained",
            TakeoverReason::Unanswered => "unanswered",
        }
    }
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RelayStep {
    /// Where the socket doesn't take the order, say so: [`Relays::unsent`].
    Subscribe(FeedSource, TopicRequest),
    /// Give it up, whether it was taken or not yet.
    Unsubscribe(FeedSource, TopicRequest),
    /// The clients that wait for the topic listen from now on.
    Begin(RelayedTopic),
    /// Hand it to all clients that listen: the notification's `result`, as JSON.
    Tell(RelayedTopic, Bytes),
    /// No node tells it: the clients that listen have missed something, those that wait are told why.
    End(RelayedTopic, SubscriptionFailure),
    /// A takeover has begun.
    Count(TakeoverReason),
}

/// All topics that are relayed.
#[derive(Debug, Default)]
pub struct Relays {
    topics: BTreeMap<RelayedTopic, Relay>,
    steps: RelaySteps,
}

/// What is to be done, in order.
#[derive(Debug, Default)]
struct RelaySteps {
    queue: VecDeque<RelayStep>,
    /// So far.
    requests: u64,
}

impl RelaySteps {
    fn push(&mut self, step: RelayStep) {
        self.queue.push_back(step);
    }

    fn subscribe(&mut self, source: FeedSource, topic: &RelayedTopic) -> Asking {
        self.requests += 1;
        let number = self.requests;
        let topic = topic.clone();
        self.push(RelayStep::Subscribe(source, TopicRequest { number, topic }));
        Asking { source, number }
    }

    fn unsubscribe(&mut self, asking: Asking, topic: &RelayedTopic) {
        let Asking { source, number } = asking;
        let topic = topic.clone();
        self.push(RelayStep::Unsubscribe(
            source,
            TopicRequest { number, topic },
        ));
    }
}

/// Which nodes can tell a topic at this moment.
#[derive(Debug)]
struct RelayScene<'a> {
    view: &'a FleetView,
    open: &'a [FeedSocket],
    /// The nodes' sockets that may be asked, the best first.
    tellers: Vec<FeedSource>,
    now: Instant,
}

impl RelayScene<'_> {
    fn is_open(&self, source: FeedSource) -> bool {
        self.open.iter().any(|socket| socket.source == source)
    }
}

impl Relays {
    /// Clients want these topics, and these sockets are open: as often as either changes, or the fleet
    /// does, and again and again while [`Relays::is_seeking`].
    pub fn follow(
        &mut self,
        wanted: HashSet<RelayedTopic>,
        view: &FleetView,
        open: &[FeedSocket],
        now: Instant,
    ) {
        let steps = &mut self.steps;
        self.topics.retain(|topic, relay| {
            let is_wanted = wanted.contains(topic);
            if !is_wanted {
                relay.leave(topic, steps);
            }
            is_wanted
        });
        for topic in wanted {
            self.topics.entry(topic).or_insert_with(|| Relay::new(now));
        }
        let scene = RelayScene {
            view,
            open,
            tellers: tellers(view, open),
            now,
        };
        self.topics
            .retain(|topic, relay| relay.follow(topic, &scene, steps));
    }

    /// What a socket says of what it was asked for.
    pub fn hear(
        &mut self,
        source: FeedSource,
        request: TopicRequest,
        event: TopicEvent,
        now: Instant,
    ) {
        let TopicRequest { number, topic } = request;
        if let Some(relay) = self.topics.get_mut(&topic) {
            let by = Asking { source, number };
            relay.hear((topic, by), event, now, &mut self.steps);
        }
    }

    /// The socket didn't take the order to ask for it.
    pub fn unsent(&mut self, request: &TopicRequest) {
        if let Some(relay) = self.topics.get_mut(&request.topic) {
            relay.unsent(request.number);
        }
    }

    /// What is to be done now, one after the other.
    pub fn next_step(&mut self) -> Option<RelayStep> {
        self.steps.queue.pop_front()
    }

    /// Whether time alone may change something: a topic waits for a node.
    pub fn is_seeking(&self) -> bool {
        self.topics.values().any(Relay::is_seeking)
    }
}

/// Whether `node` may go on telling.
fn may_tell(view: &FleetView, id: NodeId) -> Result<(), TakeoverReason> {
    if witnesses(view).contains(&id) {
        return Ok(());
    }
    let drains = view.node(id).is_some_and(|node| node.weight.drains());
    Err(if drains {
        TakeoverReason::Drained
    } else {
        TakeoverReason::Unfit
    })
}

/// The sockets that may be asked for a topic, the best first: of nodes whose word counts, the highest head first.
fn tellers(view: &FleetView, open: &[FeedSocket]) -> Vec<FeedSource> {
    let counted = witnesses(view);
    let mut tellers: Vec<_> = open
        .iter()
        .filter(|socket| socket.takes_commands && counted.contains(&socket.source.node))
        .filter_map(|socket| Some((view.node(socket.source.node)?.head, socket.source)))
        .collect();
    tellers.sort_by_key(|(head, source)| (std::cmp::Reverse(*head), source.node));
    tellers.into_iter().map(|(_, source)| source).collect()
}

#[cfg(test)]
mod tests;

//! A socket to every node that offers one: its heads are heard at once, and what it is
//! subscribed to is passed on.
//!
//! A node is called at its `ws_url`; an own node without one is tried once at its HTTP port, and if
//! that speaks no WebSocket it is left alone until its entry in the list changes.

mod messages;
mod node_socket;
mod subscriptions;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinHandle;

use crate::background::feeds::resources::FeedResources;
pub use crate::background::feeds::sockets::messages::{SocketCommand, TopicReport};
use crate::background::feeds::sockets::node_socket::NodeSocket;
use crate::observe::logs;
use crate::shared::hub::TOPICS_MAX;
use crate::shared::node_clients::Upstream;
use forebay_core::feed::head_tracker::NodeHead;
use forebay_core::feed::takeover::{FeedSource, TopicRequest};
use forebay_core::vocabulary::node::{NodeId, Role};

/// Bytes of news from nodes that wait to be passed on. A full room makes sockets wait.
pub const SAID_BYTES_MAX: usize = 64 << 20;
/// Commands that wait for a socket: to give all topics up, and to ask for as many others. It takes memory
/// only as it fills.
const COMMANDS_MAX: usize = 2 * TOPICS_MAX;

/// What all sockets share.
pub struct SocketContext {
    pub resources: Arc<FeedResources>,
    pub heads: mpsc::Sender<NodeHead>,
    pub said: mpsc::Sender<TopicReport>,
    /// A permit for each byte of news that may wait there.
    pub said_room: Arc<Semaphore>,
    /// The number of the block told last.
    pub told: Arc<AtomicU64>,
    /// Which sockets are open; the order goes by the node.
    pub open: watch::Sender<OpenSockets>,
    /// Sockets opened so far.
    pub epochs: AtomicU64,
}

/// The open sockets.
pub type OpenSockets = HashMap<NodeId, OpenSocket>;

/// One of them: commands sent to it are refused from when it ends.
pub struct OpenSocket {
    pub epoch: u64,
    pub commands: mpsc::Sender<SocketCommand>,
}

impl SocketContext {
    fn told(&self) -> u64 {
        self.told.load(Ordering::Relaxed)
    }

    /// Waits until `bytes` of news have room.
    async fn room(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let bytes = bytes.min(SAID_BYTES_MAX);
        let room = self.said_room.clone();
        // It is never closed.
        room.acquire_many_owned(u32::try_from(bytes).ok()?)
            .await
            .ok()
    }
}

/// An open socket's place among the others, left however the socket ends.
struct SocketRegistration {
    exchange: Arc<SocketContext>,
    source: FeedSource,
    commands: mpsc::Receiver<SocketCommand>,
}

impl SocketRegistration {
    fn take(exchange: &Arc<SocketContext>, source: FeedSource) -> SocketRegistration {
        let (commands, taken) = mpsc::channel(COMMANDS_MAX);
        let epoch = source.epoch;
        exchange.open.send_modify(|open| {
            open.insert(source.node, OpenSocket { epoch, commands });
        });
        SocketRegistration {
            exchange: exchange.clone(),
            source,
            commands: taken,
        }
    }

    /// Takes no more commands; the requests of those that are not obeyed any more.
    fn close(&mut self) -> Vec<TopicRequest> {
        self.commands.close();
        unheeded(&mut self.commands)
    }
}

impl Drop for SocketRegistration {
    fn drop(&mut self) {
        let FeedSource { node, epoch } = self.source;
        self.exchange.open.send_if_modified(|open| {
            let is_here = open.get(&node).is_some_and(|socket| socket.epoch == epoch);
            is_here && open.remove(&node).is_some()
        });
    }
}

/// Keeps a socket to every node of the list.
pub struct NodeSockets {
    pub exchange: Arc<SocketContext>,
}

/// A socket's task; it ends with this.
struct SocketTask {
    upstream: Arc<Upstream>,
    task: JoinHandle<()>,
}

impl Drop for SocketTask {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl NodeSockets {
    /// Follows the list, for ever.
    pub async fn run(&self) {
        let mut fleet = self.exchange.resources.fleet.news();
        let mut topics = self.exchange.resources.hub.news();
        let mut kept: HashMap<NodeId, SocketTask> = HashMap::new();
        loop {
            self.follow(&mut kept);
            tokio::select! {
                changed = fleet.changed() => if changed.is_err() { return },
                changed = topics.changed() => if changed.is_err() { return },
            }
        }
    }

    fn follow(&self, kept: &mut HashMap<NodeId, SocketTask>) {
        let snapshot = self.exchange.resources.fleet.snapshot();
        let is_wanted = self.exchange.resources.settings.say(|it| it.health.sockets)
            || !self.exchange.resources.hub.is_idle();
        let nodes = || snapshot.upstreams.iter().filter(|_| is_wanted);
        kept.retain(|_, socket| {
            let stays = nodes().any(|upstream| same_way(upstream, &socket.upstream));
            if !stays {
                let name = &socket.upstream.spec.name;
                self.exchange
                    .resources
                    .metrics
                    .hide_upstream_subscriptions(name);
            }
            stays
        });
        for upstream in nodes() {
            if offers_socket(upstream) && !kept.contains_key(&upstream.id) {
                let chain = self.exchange.resources.metrics.chain();
                let socket = NodeSocket::new(self.exchange.clone(), upstream.clone());
                let socket = SocketTask {
                    upstream: upstream.clone(),
                    task: tokio::spawn(logs::for_chain(chain.clone(), socket.run())),
                };
                kept.insert(upstream.id, socket);
            }
        }
    }
}

/// A paid leader isn't tried where no `ws_url` says that it has a socket.
fn offers_socket(upstream: &Upstream) -> bool {
    upstream.spec.ws_url.is_some() || upstream.spec.role == Role::Own
}

/// A changed weight leaves the socket as it is.
fn same_way(one: &Upstream, other: &Upstream) -> bool {
    let (left, right) = (&one.spec, &other.spec);
    one.id == other.id
        && left.name == right.name
        && left.url == right.url
        && left.ws_url == right.ws_url
        && left.headers == right.headers
        && offers_socket(one)
}

fn unheeded(commands: &mut mpsc::Receiver<SocketCommand>) -> Vec<TopicRequest> {
    let mut requests = Vec::new();
    while let Ok(command) = commands.try_recv() {
        match command {
            SocketCommand::Subscribe(request) => requests.push(request),
            SocketCommand::Unsubscribe(request) => requests.retain(|unheeded| *unheeded != request),
        }
    }
    requests
}

#[cfg(test)]
mod tests {
    use super::*;
    use forebay_core::feed::subscription::RelayedTopic;

    #[test]
    fn what_a_socket_was_told_to_ask_for_and_didnt_is_lost() {
        let (commands, mut taken) = mpsc::channel(4);
        let request = |number, topic| TopicRequest { number, topic };
        let pending = request(2, RelayedTopic::PendingTransactions { full: false });
        let again = request(3, RelayedTopic::Syncing);
        for command in [
            SocketCommand::Subscribe(request(1, RelayedTopic::Syncing)),
            SocketCommand::Subscribe(pending.clone()),
            SocketCommand::Unsubscribe(request(1, RelayedTopic::Syncing)),
            SocketCommand::Subscribe(again.clone()),
        ] {
            commands.try_send(command).unwrap();
        }
        assert_eq!(unheeded(&mut taken), [pending, again]);
    }
}

//! Clients that listen to what one node tells, and the sockets to the nodes.
//!
//! The real `Relays` decide; this file is their hands. What must hold is checked at every look.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use forebay_core::feed::head_tracker::witnesses;
use forebay_core::feed::subscription::RelayedTopic;
use forebay_core::feed::takeover::{
    FeedSocket, FeedSource, PATIENCE, RelayStep, Relays, TakeoverReason, TopicEvent, TopicRequest,
};
use forebay_core::vocabulary::node::NodeId;

use crate::simulation::pretend::Mood;
use crate::simulation::world::{Event, World};

/// How often it is looked which node tells.
const LOOK: Duration = Duration::from_secs(2);
const TOPIC: RelayedTopic = RelayedTopic::PendingTransactions { full: false };

/// What a node was asked for over its socket.
#[derive(Clone, Copy)]
struct Asked {
    socket: FeedSource,
    is_taken: bool,
}

#[derive(Default)]
pub struct Listeners {
    relays: Relays,
    sockets: BTreeMap<u32, FeedSource>,
    epochs: u64,
    asked: BTreeMap<u64, Asked>,
    transactions: u64,
    /// To the clients that listen now.
    told: BTreeSet<Bytes>,
    /// When a node was last asked, or told it.
    tended_at: Duration,
    /// How often it was over.
    pub ends: u32,
}

impl Listeners {
    /// Which nodes have taken it; as a rule one.
    pub fn tellers(&self) -> Vec<u32> {
        let taken = self.asked.values().filter(|asked| asked.is_taken);
        taken.map(|asked| asked.socket.node.0).collect()
    }
}

impl World {
    /// Sockets open and break, nodes answer and tell, and others take over.
    pub fn look(&mut self) {
        self.after(LOOK, Event::Look);
        self.change_sockets();
        self.listeners.transactions += 1;
        for (number, asked) in self.listeners.asked.clone() {
            self.speak(number, asked);
        }
        let sockets = self.listeners.sockets.values().map(|source| FeedSocket {
            source: *source,
            takes_commands: true,
        });
        let (open, now): (Vec<_>, _) = (sockets.collect(), self.instant());
        let relays = &mut self.listeners.relays;
        relays.follow([TOPIC].into(), &self.view, &open, now);
        self.obey();
        let is_tended = !self.listeners.asked.is_empty();
        if is_tended {
            self.listeners.tended_at = self.now;
        }
        let silence = self.now - self.listeners.tended_at;
        let is_told_of = silence <= PATIENCE + LOOK;
        self.oracle
            .must(is_told_of, "clients aren't told that no node tells it");
        let is_told_once = self.listeners.tellers().len() <= 1;
        self.oracle
            .must(is_told_once, "several nodes tell one topic");
    }

    /// A node that is dead or not in the list has no socket.
    fn change_sockets(&mut self) {
        let nodes = self.view.nodes.iter().map(|node| node.id.0);
        let alive: BTreeSet<_> = nodes
            .filter(|id| self.nodes[id].mood != Mood::Dead)
            .collect();
        self.listeners.sockets.retain(|id, _| alive.contains(id));
        let sockets = &self.listeners.sockets;
        let is_lost = |asked: &Asked| sockets.get(&asked.socket.node.0) != Some(&asked.socket);
        let mut lost = self.listeners.asked.clone();
        lost.retain(|_, asked| is_lost(asked));
        for (number, asked) in lost {
            self.listeners.asked.remove(&number);
            self.hear_socket(number, asked.socket, TopicEvent::Lost(TakeoverReason::Lost));
        }
        for id in alive {
            let listeners = &mut self.listeners;
            let (node, epoch) = (NodeId(id), listeners.epochs);
            listeners.epochs += 1;
            let socket = FeedSource { node, epoch };
            listeners.sockets.entry(id).or_insert(socket);
        }
    }

    /// What a node says to what it was asked for, or tells: this look's transaction and the last one's.
    fn speak(&mut self, number: u64, asked: Asked) {
        let event = match self.nodes[&asked.socket.node.0].mood {
            Mood::Stalled | Mood::Dead => return,
            _ if asked.is_taken => {
                let last = self.listeners.transactions;
                for transaction in [last - 1, last] {
                    let hash = Bytes::from(format!("\"0x{transaction:064x}\""));
                    self.hear_socket(number, asked.socket, TopicEvent::News(hash));
                }
                return;
            }
            Mood::Good
            | Mood::Slow(_)
            | Mood::HalfStalled
            | Mood::FailsCalls
            | Mood::FailsMethod(_) => TopicEvent::Taken,
            Mood::Throttles(_) | Mood::Fails | Mood::Shut => {
                TopicEvent::Refused(Bytes::from_static(b"{}"))
            }
            Mood::Junk => TopicEvent::Useless,
            Mood::Strange => TopicEvent::Full,
        };
        match self.listeners.asked.get_mut(&number) {
            Some(asked) if matches!(event, TopicEvent::Taken) => asked.is_taken = true,
            Some(_) | None => {
                self.listeners.asked.remove(&number);
            }
        }
        self.hear_socket(number, asked.socket, event);
    }

    fn hear_socket(&mut self, number: u64, socket: FeedSource, event: TopicEvent) {
        let topic = TOPIC;
        let (request, now) = (TopicRequest { number, topic }, self.instant());
        self.listeners.relays.hear(socket, request, event, now);
        self.obey();
    }

    fn obey(&mut self) {
        while let Some(step) = self.listeners.relays.next_step() {
            match step {
                RelayStep::Subscribe(socket, request) => self.subscribe(socket, request.number),
                RelayStep::Unsubscribe(_, request) => {
                    let asked = self.listeners.asked.remove(&request.number);
                    self.oracle
                        .must(asked.is_some(), "what no node has is given up");
                }
                RelayStep::Tell(_, news) => {
                    let is_news = self.listeners.told.insert(news);
                    self.oracle.must(is_news, "a transaction is told twice");
                }
                RelayStep::End(..) => {
                    let is_over = self.listeners.asked.is_empty();
                    self.oracle.must(is_over, "it is over, and a node has it");
                    self.listeners.told.clear();
                    self.listeners.tended_at = self.now;
                    self.listeners.ends += 1;
                }
                RelayStep::Begin(_) | RelayStep::Count(_) => {}
            }
        }
    }

    fn subscribe(&mut self, socket: FeedSource, number: u64) {
        let is_open = self.listeners.sockets.get(&socket.node.0) == Some(&socket);
        self.oracle
            .must(is_open, "a node is asked that has no such socket");
        let node = self.view.node(socket.node);
        let drains = node.is_none_or(|node| node.weight.drains());
        self.oracle
            .must(!drains, "a node is asked to tell that is drained");
        let is_stranger = self.oracle.is_known_stranger(socket.node);
        self.oracle
            .must(!is_stranger, "a stranger is asked to tell");
        let is_taken = false;
        self.listeners
            .asked
            .insert(number, Asked { socket, is_taken });
    }

    /// Whether one node tells, of those whose word counts.
    pub fn is_told_well(&self) -> bool {
        let witnesses = witnesses(&self.view);
        let is_witness = |id: &u32| witnesses.contains(&NodeId(*id));
        let tellers = self.listeners.tellers();
        tellers.len() == 1 && tellers.iter().all(is_witness)
    }
}

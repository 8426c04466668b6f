//! All that tells clients what they listen to, and the channels between its parts: sockets to nodes,
//! the heads, the logs, and what single nodes tell.

pub mod heads;
pub mod logs;
pub mod relays;
pub mod resources;
pub mod sockets;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::sync::{Mutex, Semaphore, mpsc, watch};

use crate::background::feeds::logs::LogFeed;
use crate::background::feeds::relays::RelayFeed;
use crate::background::feeds::resources::FeedResources;
use crate::background::feeds::sockets::{NodeSockets, SAID_BYTES_MAX, SocketContext};
use forebay_core::feed::head_tracker::NodeHead;
use forebay_core::feed::takeover::Relays;
use heads::HeadFeed;

/// Heads that wait to be judged. A full queue makes sockets wait, and rounds leave heads out.
const HEADS_MAX: usize = 1024;
/// What nodes said of topics that are passed on.
const SAID_MAX: usize = 4096;

/// All of it.
pub struct Feeds {
    sockets: NodeSockets,
    head_feed: Mutex<HeadFeed>,
    logs: Mutex<LogFeed>,
    relays: Mutex<RelayFeed>,
    heads: mpsc::Sender<NodeHead>,
}

impl Feeds {
    pub fn new(resources: FeedResources) -> Feeds {
        let (heads, heard) = mpsc::channel(HEADS_MAX);
        let (said, saying) = mpsc::channel(SAID_MAX);
        let (events, written) = mpsc::channel(heads::EVENTS_MAX);
        let (open, opened) = watch::channel(HashMap::new());
        let told = Arc::default();
        let resources = Arc::new(resources);
        let exchange = SocketContext {
            resources: resources.clone(),
            heads: heads.clone(),
            said,
            said_room: Arc::new(Semaphore::new(SAID_BYTES_MAX)),
            told: Arc::clone(&told),
            open,
            epochs: AtomicU64::default(),
        };
        let head_feed = HeadFeed {
            resources: resources.clone(),
            heads: heard,
            events,
            told,
        };
        let logs = LogFeed::new(resources.clone(), written);
        let relays = RelayFeed {
            resources,
            said: saying,
            open: opened,
            relays: Relays::default(),
            not_ended: Vec::new(),
        };
        Feeds {
            sockets: NodeSockets {
                exchange: Arc::new(exchange),
            },
            head_feed: Mutex::new(head_feed),
            logs: Mutex::new(logs),
            relays: Mutex::new(relays),
            heads,
        }
    }

    /// Where heads go that rounds bring.
    pub fn heads(&self) -> mpsc::Sender<NodeHead> {
        self.heads.clone()
    }

    /// Tells, for ever.
    pub async fn run(&self) {
        let (mut heads, mut logs) = (self.head_feed.lock().await, self.logs.lock().await);
        let mut relays = self.relays.lock().await;
        tokio::join!(self.sockets.run(), heads.run(), logs.run(), relays.run());
    }
}

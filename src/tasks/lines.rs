//! A line to every node that offers a socket: its heads are heard at once, and what it is
//! subscribed to is passed on.
//!
//! A node is called at its `ws_url`; an own node without one is tried once at its HTTP port, and if
//! that speaks no WebSocket it is left alone until its entry in the list changes.

mod ledger;
mod line;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use self::line::Line;
pub use self::line::{Order, Said, What};
use super::regimen::InForce;
use crate::domain::header::Header;
use crate::domain::node::{NodeId, Rung};
use crate::state::hub::Hub;
use crate::state::pool::Pool;
use crate::state::upstreams::Upstream;
use crate::telemetry::metrics::Metrics;
use crate::upstream::connector::Connector;

/// Orders that wait for a line.
const ORDERS_MAX: usize = 1024;

/// A node's head, as it told it.
pub type Head = (NodeId, Arc<Header>);

/// What all lines share.
pub struct Exchange {
    pub pool: Arc<Pool>,
    pub hub: Arc<Hub>,
    pub metrics: Arc<Metrics>,
    pub connector: Arc<Connector>,
    pub regimen: InForce,
    pub heads: mpsc::Sender<Head>,
    pub said: mpsc::Sender<Said>,
    /// The number of the block told last.
    pub told: Arc<AtomicU64>,
    /// Which lines are open; the order goes by the node.
    pub open: watch::Sender<Open>,
}

/// The open lines.
pub type Open = HashMap<NodeId, mpsc::Sender<Order>>;

impl Exchange {
    fn told(&self) -> u64 {
        self.told.load(Ordering::Relaxed)
    }
}

/// Keeps a line to every node of the list.
pub struct Lines {
    pub exchange: Arc<Exchange>,
}

/// A line's task; it ends with this.
struct Kept {
    upstream: Arc<Upstream>,
    task: JoinHandle<()>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Lines {
    /// Follows the list, for ever.
    pub async fn run(&self) {
        let mut fleet = self.exchange.pool.news();
        let mut topics = self.exchange.hub.news();
        let mut kept: HashMap<NodeId, Kept> = HashMap::new();
        loop {
            self.follow(&mut kept);
            tokio::select! {
                changed = fleet.changed() => if changed.is_err() { return },
                changed = topics.changed() => if changed.is_err() { return },
            }
        }
    }

    fn follow(&self, kept: &mut HashMap<NodeId, Kept>) {
        let snapshot = self.exchange.pool.snapshot();
        let is_wanted =
            self.exchange.regimen.say(|regimen| regimen.sockets) || !self.exchange.hub.is_idle();
        let nodes = || snapshot.upstreams.iter().filter(|_| is_wanted);
        kept.retain(|id, line| {
            let stays = nodes().any(|upstream| same_way(upstream, &line.upstream));
            if !stays {
                hang_up(&self.exchange, *id, &line.upstream);
            }
            stays
        });
        for upstream in nodes() {
            if offers_socket(upstream) && !kept.contains_key(&upstream.id) {
                let (orders, taken) = mpsc::channel(ORDERS_MAX);
                let line = Line::new(self.exchange.clone(), upstream.clone(), orders, taken);
                let line = Kept {
                    upstream: upstream.clone(),
                    task: tokio::spawn(line.run()),
                };
                kept.insert(upstream.id, line);
            }
        }
    }
}

/// A paid leader isn't tried where nobody said that it has a socket.
fn offers_socket(upstream: &Upstream) -> bool {
    upstream.spec.ws_url.is_some() || upstream.spec.rung == Rung::Own
}

/// A changed weight leaves the line as it is.
fn same_way(one: &Upstream, other: &Upstream) -> bool {
    let (left, right) = (&one.spec, &other.spec);
    one.id == other.id
        && left.name == right.name
        && left.url == right.url
        && left.ws_url == right.ws_url
        && left.headers == right.headers
        && offers_socket(one)
}

fn hang_up(exchange: &Exchange, id: NodeId, upstream: &Upstream) {
    exchange
        .open
        .send_if_modified(|open| open.remove(&id).is_some());
    exchange
        .metrics
        .hide_upstream_subscriptions(&upstream.spec.name);
}

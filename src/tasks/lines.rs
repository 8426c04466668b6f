//! A line to every node that offers a socket: its heads are heard at once, and what it is
//! subscribed to is passed on.
//!
//! A node is called at its `ws_url`; an own node without one is tried once at its HTTP port, and if
//! that speaks no WebSocket it is left alone until its entry in the list changes.

mod ledger;
mod line;
mod words;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinHandle;

use self::line::Line;
pub use self::words::{Loss, Order, Said, What};
use super::regimen::InForce;
use crate::domain::header::Header;
use crate::domain::node::{NodeId, Rung};
use crate::domain::subscription::Passed;
use crate::state::hub::{Hub, TOPICS_MAX};
use crate::state::pool::Pool;
use crate::state::upstreams::Upstream;
use crate::telemetry::metrics::Metrics;
use crate::upstream::connector::Connector;
use crate::upstream::probe::Prober;

/// Bytes of news from nodes that wait to be passed on. A full room makes lines wait.
pub const SAID_BYTES_MAX: usize = 64 << 20;
/// Orders that wait for a line: to give all topics up, and to ask for as many others. It takes memory
/// only as it fills.
const ORDERS_MAX: usize = 2 * TOPICS_MAX;

/// A node's head, as it told it.
pub type Head = (NodeId, Arc<Header>);

/// What all lines share.
pub struct Exchange {
    pub pool: Arc<Pool>,
    pub hub: Arc<Hub>,
    pub metrics: Arc<Metrics>,
    pub connector: Arc<Connector>,
    pub prober: Prober,
    pub regimen: InForce,
    pub heads: mpsc::Sender<Head>,
    pub said: mpsc::Sender<Said>,
    /// A permit for each byte of news that may wait there.
    pub said_room: Arc<Semaphore>,
    /// The number of the block told last.
    pub told: Arc<AtomicU64>,
    /// Which lines are open; the order goes by the node.
    pub open: watch::Sender<Open>,
    /// Lines opened so far.
    pub epochs: AtomicU64,
}

/// The open lines.
pub type Open = HashMap<NodeId, OpenLine>;

/// One of them: orders sent to it are refused from when it ends.
pub struct OpenLine {
    pub epoch: u64,
    pub orders: mpsc::Sender<Order>,
}

/// Who tells a topic: a node, over this one of its lines. The next line knows nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Teller {
    pub node: NodeId,
    pub epoch: u64,
}

/// A topic as it is asked for once. What a node still says to an earlier asking is not mistaken for
/// the answer to this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// No other wish has it.
    pub number: u64,
    pub topic: Passed,
}

impl Exchange {
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

/// An open line's place among the others, left however the line ends.
struct Place {
    exchange: Arc<Exchange>,
    teller: Teller,
    orders: mpsc::Receiver<Order>,
}

impl Place {
    fn take(exchange: &Arc<Exchange>, teller: Teller) -> Place {
        let (orders, taken) = mpsc::channel(ORDERS_MAX);
        let epoch = teller.epoch;
        exchange.open.send_modify(|open| {
            open.insert(teller.node, OpenLine { epoch, orders });
        });
        Place {
            exchange: exchange.clone(),
            teller,
            orders: taken,
        }
    }

    /// Takes no more orders; the wishes of those that nobody will obey.
    fn close(&mut self) -> Vec<Wish> {
        self.orders.close();
        unheeded(&mut self.orders)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Teller { node, epoch } = self.teller;
        self.exchange.open.send_if_modified(|open| {
            let is_here = open.get(&node).is_some_and(|line| line.epoch == epoch);
            is_here && open.remove(&node).is_some()
        });
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
        kept.retain(|_, line| {
            let stays = nodes().any(|upstream| same_way(upstream, &line.upstream));
            if !stays {
                let name = &line.upstream.spec.name;
                self.exchange.metrics.hide_upstream_subscriptions(name);
            }
            stays
        });
        for upstream in nodes() {
            if offers_socket(upstream) && !kept.contains_key(&upstream.id) {
                let line = Line::new(self.exchange.clone(), upstream.clone());
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

fn unheeded(orders: &mut mpsc::Receiver<Order>) -> Vec<Wish> {
    let mut wishes = Vec::new();
    while let Ok(order) = orders.try_recv() {
        match order {
            Order::Subscribe(wish) => wishes.push(wish),
            Order::Unsubscribe(wish) => wishes.retain(|unheeded| *unheeded != wish),
        }
    }
    wishes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_line_was_told_to_ask_for_and_didnt_is_lost() {
        let (orders, mut taken) = mpsc::channel(4);
        let wish = |number, topic| Wish { number, topic };
        let pending = wish(2, Passed::PendingTransactions { full: false });
        let again = wish(3, Passed::Syncing);
        for order in [
            Order::Subscribe(wish(1, Passed::Syncing)),
            Order::Subscribe(pending.clone()),
            Order::Unsubscribe(wish(1, Passed::Syncing)),
            Order::Subscribe(again.clone()),
        ] {
            orders.try_send(order).unwrap();
        }
        assert_eq!(unheeded(&mut taken), [pending, again]);
    }
}

//! Places at nodes: a call takes one before it is sent, waits for one where there is none, and is
//! turned away where that would take too long.
//!
//! Who gives a place back hands it to whoever is next in the line: newcomers don't overtake. Where
//! nobody waits none of this takes a lock.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{sleep_until, timeout_at};

use crate::clock;
use crate::shared::node_clients::Upstream;
use forebay_core::call::recent_writes::Client;
use forebay_core::fleet::load::Load;
use forebay_core::fleet::overload;
use forebay_core::fleet::wait_queue::{QueueTicket, WaitQueue};

/// How long a call waits for a place unless the settings say otherwise.
pub const PATIENCE: Duration = Duration::from_millis(100);
/// Places that are given by the clock are given this late at least: timers are no finer.
const TICK: Duration = Duration::from_millis(1);
/// The longest pause before it is looked again whether a node has room for what is due.
const TICK_MAX: Duration = Duration::from_millis(64);

/// The line of all who wait for a node of this pool.
pub struct PlaceQueue {
    waiting: AtomicUsize,
    line: Mutex<WaitQueue<PlaceRequest>>,
    hash: RandomState,
    /// Calls that were turned away.
    shed: AtomicU64,
}

/// One call in the line.
struct PlaceRequest {
    /// Whose places will do.
    loads: Vec<Arc<Load>>,
    say: oneshot::Sender<GrantedPlace>,
}

/// A place on its way to who waits for it; given back when dropped.
struct GrantedPlace {
    places: Arc<PlaceQueue>,
    load: Arc<Load>,
    /// `None`: it was taken.
    number: Option<u32>,
}

/// A node that a call may be sent to.
#[derive(Clone)]
pub struct NodeCandidate {
    pub upstream: Arc<Upstream>,
    pub load: Arc<Load>,
}

/// A place at a node; given back when dropped.
pub struct NodePlace {
    pub upstream: Arc<Upstream>,
    pub load: Arc<Load>,
    /// How many were taken with it.
    pub number: u32,
}

impl NodePlace {
    /// A place whether there is one or not, for what is never turned away.
    pub fn always(upstream: &Arc<Upstream>, load: &Arc<Load>) -> NodePlace {
        NodePlace {
            number: load.limiter.begin(),
            upstream: upstream.clone(),
            load: load.clone(),
        }
    }
}

impl Drop for NodePlace {
    fn drop(&mut self) {
        self.load.limiter.end();
        let places = &self.upstream.places;
        if places.waiting.load(Ordering::SeqCst) > 0 {
            places.let_in(&self.load);
        }
    }
}

impl Drop for GrantedPlace {
    fn drop(&mut self) {
        if self.number.take().is_some() {
            self.load.limiter.end();
            self.places.let_in(&self.load);
        }
    }
}

impl GrantedPlace {
    fn taken_at(mut self, nodes: &[NodeCandidate]) -> Option<NodePlace> {
        let is_it = |seat: &&NodeCandidate| Arc::ptr_eq(&seat.load, &self.load);
        let seat = nodes.iter().find(is_it)?.clone();
        Some(NodePlace {
            upstream: seat.upstream,
            load: seat.load,
            number: self.number.take()?,
        })
    }
}

impl Default for PlaceQueue {
    fn default() -> PlaceQueue {
        PlaceQueue {
            waiting: AtomicUsize::new(0),
            line: Mutex::new(WaitQueue::new(PATIENCE)),
            hash: RandomState::default(),
            shed: AtomicU64::new(0),
        }
    }
}

impl PlaceQueue {
    /// How long calls wait from now on.
    pub fn change(&self, patience: Duration) {
        self.line().change(patience);
    }

    /// Calls that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Calls that were turned away.
    pub fn shed(&self) -> u64 {
        self.shed.load(Ordering::Relaxed)
    }

    /// A place at a node if it has one and nobody waits.
    pub fn at_once(&self, upstream: &Arc<Upstream>, load: &Arc<Load>) -> Option<NodePlace> {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            return None;
        }
        let number = load.limiter.try_begin()?;
        Some(NodePlace {
            upstream: upstream.clone(),
            load: load.clone(),
            number,
        })
    }

    /// A place at one of `nodes`, waited for until `deadline` at most; `None`: in vain.
    pub async fn wait(
        self: &Arc<Self>,
        client: Client,
        nodes: &[NodeCandidate],
        deadline: Instant,
    ) -> Option<NodePlace> {
        let is_strict = nodes
            .iter()
            .all(|seat| seat.upstream.spec.in_flight_max.number().is_some());
        let (say, mut hear) = oneshot::channel();
        let caller = client.network().map_or(0, |of| self.hash.hash_one(of));
        let waiting = PlaceRequest {
            loads: nodes.iter().map(|seat| seat.load.clone()).collect(),
            say,
        };
        let ticket = self.join(caller, is_strict, waiting);
        let leaves = PlaceQueueGuard {
            places: self,
            ticket,
        };
        for seat in nodes {
            self.let_in(&seat.load);
        }
        loop {
            let Some(look) = self.patience(ticket, deadline) else {
                drop(leaves);
                // It may have been let in just now.
                let granted = hear.try_recv().ok();
                let place = granted.and_then(|granted| granted.taken_at(nodes));
                let place = place.or_else(|| at_silent(nodes, is_strict));
                if place.is_none() {
                    self.shed.fetch_add(1, Ordering::Relaxed);
                }
                return place;
            };
            match timeout_at(look.into(), &mut hear).await {
                Ok(Ok(granted)) => return granted.taken_at(nodes),
                Ok(Err(_)) => {
                    // Pushed out of a line that was full, or stands.
                    self.shed.fetch_add(1, Ordering::Relaxed);
                    return None;
                }
                Err(_) => {}
            }
        }
    }

    fn join(&self, caller: u64, is_strict: bool, waiting: PlaceRequest) -> QueueTicket {
        let mut line = self.line();
        let (ticket, left) = line.join(caller, is_strict, waiting, clock::now());
        self.waiting.store(line.len(), Ordering::SeqCst);
        drop(line);
        drop(left);
        ticket
    }

    /// When to look again; `None`: it has waited long enough.
    fn patience(&self, ticket: QueueTicket, deadline: Instant) -> Option<Instant> {
        let now = clock::now();
        let mut line = self.line();
        let until = line.may_wait_until(ticket, now).min(deadline);
        (now < until).then(|| line.look_again(ticket, now).min(until))
    }

    /// Gives the places that a node has to those who wait for one.
    fn let_in(self: &Arc<Self>, load: &Arc<Load>) {
        let now = clock::now();
        let mut line = self.line();
        let suits = |waiting: &PlaceRequest| {
            let is_it = |other: &Arc<Load>| Arc::ptr_eq(other, load);
            !waiting.say.is_closed() && waiting.loads.iter().any(is_it)
        };
        while let Some(left) = line.hopeless(now) {
            // It hears of that: nobody will say anything to it any more.
            drop(left);
        }
        while line.has(suits) {
            let Some(number) = load.limiter.try_begin_at(now) else {
                tick(self, load);
                break;
            };
            let Some(waiting) = line.next(suits, now) else {
                load.limiter.end();
                break;
            };
            let granted = GrantedPlace {
                places: self.clone(),
                load: load.clone(),
                number: Some(number),
            };
            if let Err(mut granted) = waiting.say.send(granted) {
                // Its caller has left. It isn't given back by its drop here, where the line is held.
                granted.number = None;
                load.limiter.end();
            }
        }
        self.waiting.store(line.len(), Ordering::SeqCst);
    }

    fn line(&self) -> MutexGuard<'_, WaitQueue<PlaceRequest>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives a node's places as they come due, where that goes by the clock.
fn tick(places: &Arc<PlaceQueue>, load: &Arc<Load>) {
    if load.limiter.next_place().is_none() || !load.limiter.watch() {
        return;
    }
    let Ok(runtime) = Handle::try_current() else {
        load.limiter.unwatch();
        return;
    };
    let (places, load) = (places.clone(), load.clone());
    // Who joins the line looks for a watch after it is counted: one of the two sees the other.
    let waits = |places: &PlaceQueue| places.waiting.load(Ordering::SeqCst) > 0;
    runtime.spawn(async move {
        let mut pause = TICK;
        while let Some(at) = load.limiter.next_place() {
            sleep_until(at.max(clock::now() + pause).into()).await;
            if !waits(&places) {
                break;
            }
            places.let_in(&load);
            // The node has no room for what is due: a call that ends lets the next one in.
            let is_due_still = load.limiter.next_place() == Some(at);
            pause = if is_due_still {
                (pause * 2).min(TICK_MAX)
            } else {
                TICK
            };
        }
        load.limiter.unwatch();
        if waits(&places) {
            // Who came meanwhile has seen that somebody watches.
            places.let_in(&load);
        }
    });
}

/// A place at a node that answers nobody: it isn't overloaded but broken, and whoever asks it is the one
/// to find out.
fn at_silent(nodes: &[NodeCandidate], is_strict: bool) -> Option<NodePlace> {
    let now = clock::now();
    let answers = |seat: &NodeCandidate| overload::answers(&seat.load.conduct, now);
    let first = nodes.first()?;
    let are_silent = !is_strict && !nodes.iter().any(answers);
    are_silent.then(|| NodePlace::always(&first.upstream, &first.load))
}

/// Leaves the line when dropped.
struct PlaceQueueGuard<'p> {
    places: &'p PlaceQueue,
    ticket: QueueTicket,
}

impl Drop for PlaceQueueGuard<'_> {
    fn drop(&mut self) {
        let mut line = self.places.line();
        let left = line.leave(self.ticket, clock::now());
        self.places.waiting.store(line.len(), Ordering::SeqCst);
        drop(line);
        drop(left);
    }
}

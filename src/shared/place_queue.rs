//! The line of calls that wait for a place at a node, and what hands the next place on: a call that gives
//! one back, or the clock.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::sleep_until;

use crate::clock;
use forebay_core::fleet::load::Load;
use forebay_core::fleet::wait_queue::{QueueTicket, WaitQueue};
use forebay_core::vocabulary::client::Client;

/// How long a call waits for a place unless the settings say otherwise.
pub(super) const PATIENCE: Duration = Duration::from_millis(100);
/// Places that are given by the clock are given this late at least: timers are no finer.
const TICK: Duration = Duration::from_millis(1);
/// The longest pause before it is looked again whether a node has room for what is due.
const TICK_MAX: Duration = Duration::from_millis(64);
/// How soon a call that waits looks again whether that makes sense.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The line of all calls that wait for a node of this fleet.
pub struct PlaceQueue {
    waiting: AtomicUsize,
    line: Mutex<WaitQueue<PlaceRequest>>,
    hash: RandomState,
    /// Calls that were turned away.
    shed: AtomicU64,
}

/// One call in the line.
pub(super) struct PlaceRequest {
    /// The loads of the nodes whose places will do.
    pub(super) loads: Vec<Arc<Load>>,
    pub(super) say: oneshot::Sender<GrantedPlace>,
}

/// A place on its way to the call that waits for it; given back when dropped.
pub(super) struct GrantedPlace {
    places: Arc<PlaceQueue>,
    pub(super) load: Arc<Load>,
    /// `None`: it was taken.
    pub(super) number: Option<u32>,
}

impl Drop for GrantedPlace {
    fn drop(&mut self) {
        if self.number.take().is_some() {
            self.load.limiter.end();
            self.places.let_in(&self.load);
        }
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
        self.line.lock().change(patience);
    }

    /// Calls that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Whether calls wait, for a call that has just given a place back or wants one at once.
    pub(super) fn has_waiting(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    /// One more call was turned away.
    pub(super) fn turned_away(&self) {
        self.shed.fetch_add(1, Ordering::Relaxed);
    }

    /// A number that is the same for all calls of one client.
    pub(super) fn caller(&self, client: Client) -> u64 {
        client.network().map_or(0, |of| self.hash.hash_one(of))
    }

    /// Calls that were turned away.
    pub fn shed(&self) -> u64 {
        self.shed.load(Ordering::Relaxed)
    }

    pub(super) fn join(&self, caller: u64, is_strict: bool, waiting: PlaceRequest) -> QueueTicket {
        let mut line = self.line.lock();
        let (ticket, left) = line.join(caller, is_strict, waiting, clock::now());
        self.waiting.store(line.len(), Ordering::SeqCst);
        drop(line);
        drop(left);
        ticket
    }

    /// When to look again; `None`: it has waited long enough.
    pub(super) fn patience(&self, ticket: QueueTicket, deadline: Instant) -> Option<Instant> {
        let now = clock::now();
        let line = self.line.lock();
        let until = line.may_wait_until(ticket).min(deadline);
        let look = line.look_again(ticket, now).min(now + LOOK_AGAIN);
        (now < until).then(|| look.min(until))
    }

    /// Forgets what the line was held up by: it isn't worth waiting any more.
    pub(super) fn forget(&self) {
        self.line.lock().forget(clock::now());
    }

    /// Gives the places that a node has to calls that wait for one.
    pub(super) fn let_in(self: &Arc<Self>, load: &Arc<Load>) {
        let now = clock::now();
        let mut line = self.line.lock();
        let suits = |waiting: &PlaceRequest| {
            let is_it = |other: &Arc<Load>| Arc::ptr_eq(other, load);
            !waiting.say.is_closed() && waiting.loads.iter().any(is_it)
        };
        while let Some(left) = line.hopeless(now) {
            // The call hears of that: nothing will be said to it any more.
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
    // A call that joins the line looks for a watch after it is counted: one of the two sees the other.
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
            // A call that came meanwhile saw this watch and began none.
            places.let_in(&load);
        }
    });
}

/// Leaves the line when dropped.
pub(super) struct PlaceQueueGuard<'p> {
    pub(super) places: &'p PlaceQueue,
    pub(super) ticket: QueueTicket,
}

impl Drop for PlaceQueueGuard<'_> {
    fn drop(&mut self) {
        let mut line = self.places.line.lock();
        let left = line.leave(self.ticket, clock::now());
        self.places.waiting.store(line.len(), Ordering::SeqCst);
        drop(line);
        drop(left);
    }
}

//! Look-ups of a transaction by its hash. Some nodes hold one back until they know more (evmd: for
//! seconds): then one of a hash is in flight a node, whoever asks again joins it, and it goes on when
//! all of them have left.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::timeout_at;

use super::engine::Engine;
use super::exchange::{Content, WHOLE_BYTES_MAX, Wanted};
use super::fan::{self, Heard, LONG_BYTES_MAX, Question};
use super::trail::Following;
use crate::clock;
use crate::domain::chain::BlockNumber;
use crate::domain::fleet::NodeView;
use crate::domain::held_back::HeldBack;
use crate::domain::node::NodeId;
use crate::domain::told;
use crate::domain::transaction::TxHash;
use crate::domain::verdict::{Class, Verdict};
use crate::state::afterwork::Piece;
use crate::state::places::Place;
use crate::state::pool::Pool;
use crate::state::taken::Taken;

/// One that was begun before there was another head is joined only once it has taken so long: an
/// answer of the moment before won't do.
const JOINED_AFTER: Duration = Duration::from_millis(500);
/// Under way at once; beyond it each asks for itself.
const OPEN_MAX: usize = 4_096;

/// By node and by the call as the node gets it.
type Key = (NodeId, Bytes);
type Seat = watch::Receiver<Option<Heard>>;

/// The look-ups under way.
#[derive(Debug, Default)]
pub struct Lookups {
    open: Mutex<HashMap<Key, Open>>,
    held_back: Mutex<HeldBack>,
}

#[derive(Debug)]
struct Open {
    begun_at: Instant,
    /// What clients were shown then.
    head: Option<BlockNumber>,
    seat: Seat,
}

/// What is looked up.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    pub method: &'a str,
    pub hash: TxHash,
    /// The call as a node gets it.
    pub body: &'a Bytes,
    /// A node's time.
    pub attempt: Duration,
    /// Where its client is told of it.
    pub following: Option<Following<'a>>,
}

/// One attempt, shared with all who ask the node the same. `place`: taken at it, for who begins; who
/// joins has it given back. `None`: it is to be made alone, in `place` if that is left.
pub async fn attempt<'a>(
    engine: &Engine,
    (node, place): (NodeId, &mut Option<Place>),
    wish: Wish<'_>,
    wanted: &Wanted<'a>,
) -> Option<(Verdict, Content<'a>)> {
    let asked = sit((engine, node), wish, || join(engine, (node, place), wish));
    let Ok(heard) = timeout_at(wanted.until.into(), asked).await else {
        return Some((Class::Timeout.into(), Content::Nothing));
    };
    let heard = heard?;
    let Some(answer) = heard.answer else {
        // Longer than what is shared.
        let is_too_long = heard.class == Class::RpcError;
        return (!is_too_long).then_some((heard.verdict, Content::Nothing));
    };
    let mut held = wanted.room.attempt();
    if !held.hold(answer.bytes().saturating_sub(WHOLE_BYTES_MAX)) {
        return Some((Class::RpcError.into(), Content::TooLarge));
    }
    Some((heard.verdict, Content::Whole(answer, held)))
}

/// What `node` says. `None`: it can't be shared. It is never turned away.
pub async fn ask(engine: &Engine, node: NodeId, wish: Wish<'_>) -> Option<Heard> {
    sit((engine, node), wish, || {
        join(engine, (node, &mut None), wish)
    })
    .await
}

/// What is heard in the seat that `join` finds.
async fn sit(
    (engine, node): (&Engine, NodeId),
    wish: Wish<'_>,
    join: impl FnOnce() -> Option<Seat>,
) -> Option<Heard> {
    let mut seat = join()?;
    let footprint = wish.following.and_then(|following| {
        let snapshot = engine.pool.snapshot();
        let upstream = snapshot.upstream(node)?;
        Some(following.begin(&upstream.spec.name))
    });
    let heard = seat.wait_for(Option::is_some).await.ok()?.clone()?;
    if let Some(footprint) = footprint {
        footprint.end(heard.class);
    }
    Some(heard)
}

fn join(
    engine: &Engine,
    (node, place): (NodeId, &mut Option<Place>),
    wish: Wish<'_>,
) -> Option<Seat> {
    let head = engine.pool.snapshot().view.served_head;
    let now = clock::now();
    let key = (node, wish.body.clone());
    let mut open = engine.lookups.open();
    if let Some(one) = open.get(&key) {
        let is_held_back = now.saturating_duration_since(one.begun_at) >= JOINED_AFTER;
        let seat = (one.head == head || is_held_back).then(|| one.seat.clone());
        drop(open);
        if seat.is_some() {
            // The one that it joins has its own.
            drop(place.take());
        }
        return seat;
    }
    let piece = engine.afterwork.begin(wish.body.len());
    let piece = piece.filter(|_| open.len() < OPEN_MAX)?;
    let (say, seat) = watch::channel(None);
    let begun = Open {
        begun_at: now,
        head,
        seat: seat.clone(),
    };
    open.insert(key.clone(), begun);
    drop(open);
    let question = Question {
        method: wish.method.into(),
        body: wish.body.clone(),
        until: now + wish.attempt,
        bytes_max: LONG_BYTES_MAX,
        trace: None,
        path: None,
    };
    let task = Task {
        asked: fan::ask(&engine.pool, &engine.gate, (node, place.take()), question),
        hash: wish.hash,
        pool: engine.pool.clone(),
        taken: engine.taken.clone(),
        lookups: engine.lookups.clone(),
        begun_at: now,
        node,
        say,
        _landing: Landing {
            lookups: engine.lookups.clone(),
            key,
        },
        _piece: piece,
    };
    tokio::spawn(task.run());
    Some(seat)
}

impl Lookups {
    /// See [`HeldBack::hear_of`].
    pub fn hear_of(&self, node: &NodeView, begun_at: Instant, now: Instant) {
        let conduct = &node.load.conduct;
        self.held_back().hear_of(conduct, begun_at, now);
    }

    /// See [`HeldBack::go_alone`].
    pub fn go_alone(&self, lookups: usize, now: Instant) -> bool {
        self.held_back().go_alone(lookups, now)
    }

    fn held_back(&self) -> MutexGuard<'_, HeldBack> {
        let lock = self.held_back.lock();
        lock.unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Key, Open>> {
        self.open
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// One look-up, which outlives those who asked for it.
struct Task {
    asked: BoxFuture<'static, Heard>,
    hash: TxHash,
    pool: Arc<Pool>,
    taken: Arc<Taken>,
    lookups: Arc<Lookups>,
    begun_at: Instant,
    node: NodeId,
    say: watch::Sender<Option<Heard>>,
    _landing: Landing,
    _piece: Piece,
}

/// Nobody joins any more.
struct Landing {
    lookups: Arc<Lookups>,
    key: Key,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.lookups.open().remove(&self.key);
    }
}

impl Task {
    async fn run(mut self) {
        let heard = (&mut self.asked).await;
        if let Some(node) = self.pool.snapshot().view.node(self.node) {
            self.lookups.hear_of(node, self.begun_at, clock::now());
        }
        let result = heard.answer.as_ref().and_then(|answer| answer.result());
        if let Some((block, number)) = result.and_then(told::block_named) {
            self.pool.told.block(block, number);
            self.pool.told.mined(self.hash, number);
            if let Some(mut pooled) = self.taken.pooled() {
                pooled.forget(self.hash);
            }
        }
        self.say.send_replace(Some(heard));
    }
}

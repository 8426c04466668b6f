//! Look-ups of a transaction by its hash. Some nodes hold one back until they know more (evmd: for
//! seconds): then one of a hash is in flight a node, a call that asks again joins it, and it goes on when
//! all of them have left.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::timeout_at;

use super::exchange::WHOLE_BYTES_MAX;
use crate::call::attempt::AttemptSpec;
use crate::call::exchange::AttemptContent;
use crate::call::fanout::{self, FanoutCall, LONG_BYTES_MAX, NodeAnswer};
use crate::call::trail::TrailContext;
use crate::clock;
use crate::shared::admission::Admission;
use crate::shared::background_sends::{BackgroundSend, BackgroundSends};
use crate::shared::fleet_state::FleetState;
use crate::shared::places::NodePlace;
use crate::shared::recent_writes::SharedWrites;
use forebay_core::call::held_lookups::{LastHoldback, OpenLookup};
use forebay_core::call::told_blocks;
use forebay_core::fleet::node_view::NodeView;
use forebay_core::rpc::classify::{AttemptClass, Verdict};
use forebay_core::rpc::transaction::TxHash;
use forebay_core::vocabulary::node::NodeId;

/// Under way at once; beyond it each asks for itself.
const OPEN_MAX: usize = 4_096;

/// By node and by the call as the node gets it.
type LookupKey = (NodeId, Bytes);
type LookupReceiver = watch::Receiver<Option<NodeAnswer>>;

/// The look-ups under way.
pub struct Lookups {
    fleet: Arc<FleetState>,
    admission: Arc<Admission>,
    background_sends: Arc<BackgroundSends>,
    recent_writes: Arc<SharedWrites>,
    open: Mutex<HashMap<LookupKey, (OpenLookup, LookupReceiver)>>,
    held_back: Mutex<LastHoldback>,
}

/// What is looked up.
#[derive(Clone, Copy, Debug)]
pub struct LookupRequest<'a> {
    pub method: &'a str,
    pub hash: TxHash,
    /// The call as a node gets it.
    pub body: &'a Bytes,
    /// A node's time.
    pub attempt: Duration,
    /// Where its client is told of it.
    pub trail: Option<TrailContext<'a>>,
}

impl Lookups {
    pub fn new(
        fleet: &Arc<FleetState>,
        admission: &Arc<Admission>,
        background_sends: &Arc<BackgroundSends>,
        recent_writes: &Arc<SharedWrites>,
    ) -> Lookups {
        Lookups {
            fleet: fleet.clone(),
            admission: admission.clone(),
            background_sends: background_sends.clone(),
            recent_writes: recent_writes.clone(),
            open: Mutex::default(),
            held_back: Mutex::default(),
        }
    }

    /// One attempt, shared with all that ask the node the same. `place`: taken at it, for the one that
    /// begins; one that joins has it given back. `None`: it is to be made alone, in `place` if that is left.
    pub async fn attempt<'a>(
        self: &Arc<Lookups>,
        (node, place): (NodeId, &mut Option<NodePlace>),
        request: LookupRequest<'_>,
        wanted: &AttemptSpec<'a>,
    ) -> Option<(Verdict, AttemptContent<'a>)> {
        let asked = self.sit((node, place), request);
        let Ok(heard) = timeout_at(wanted.until.into(), asked).await else {
            return Some((AttemptClass::Timeout.into(), AttemptContent::Nothing));
        };
        let heard = heard?;
        let Some(answer) = heard.answer else {
            // Longer than what is shared.
            let is_too_long = heard.verdict.class == AttemptClass::RpcError;
            return (!is_too_long).then_some((heard.verdict, AttemptContent::Nothing));
        };
        let mut held = wanted.answer_budget.attempt();
        if !held.hold(answer.bytes().saturating_sub(WHOLE_BYTES_MAX)) {
            return Some((AttemptClass::RpcError.into(), AttemptContent::TooLarge));
        }
        Some((heard.verdict, AttemptContent::Whole(answer, held)))
    }

    /// What `node` says. `None`: it can't be shared. It is never turned away.
    pub async fn ask(
        self: &Arc<Lookups>,
        node: NodeId,
        request: LookupRequest<'_>,
    ) -> Option<NodeAnswer> {
        self.sit((node, &mut None), request).await
    }

    /// What the one says that is joined, or begun.
    async fn sit(
        self: &Arc<Lookups>,
        (node, place): (NodeId, &mut Option<NodePlace>),
        request: LookupRequest<'_>,
    ) -> Option<NodeAnswer> {
        let mut receiver = self.join((node, place), request)?;
        let guard = request.trail.and_then(|trail| {
            let snapshot = self.fleet.snapshot();
            let upstream = snapshot.upstream(node)?;
            Some(trail.begin(&upstream.spec.name))
        });
        let heard = receiver.wait_for(Option::is_some).await.ok()?.clone()?;
        if let Some(guard) = guard {
            guard.end(heard.verdict.class);
        }
        Some(heard)
    }

    fn join(
        self: &Arc<Lookups>,
        (node, place): (NodeId, &mut Option<NodePlace>),
        request: LookupRequest<'_>,
    ) -> Option<LookupReceiver> {
        let head = self.fleet.snapshot().view.served_head;
        let now = clock::now();
        let key = (node, request.body.clone());
        let mut open = self.open.lock();
        if let Some((one, receiver)) = open.get(&key) {
            let receiver = one.may_be_joined(head, now).then(|| receiver.clone());
            drop(open);
            if receiver.is_some() {
                // The one that it joins has its own.
                drop(place.take());
            }
            return receiver;
        }
        let piece = self.background_sends.begin(request.body.len());
        let piece = piece.filter(|_| open.len() < OPEN_MAX)?;
        let (say, receiver) = watch::channel(None);
        let begun_at = now;
        let begun = OpenLookup { begun_at, head };
        open.insert(key.clone(), (begun, receiver.clone()));
        drop(open);
        let question = FanoutCall {
            method: request.method.into(),
            body: request.body.clone(),
            until: now + request.attempt,
            bytes_max: LONG_BYTES_MAX,
            trace: None,
            trail: None,
        };
        let task = LookupTask {
            asked: fanout::ask(&self.fleet, &self.admission, (node, place.take()), question),
            hash: request.hash,
            lookups: self.clone(),
            begun_at,
            node,
            say,
            _landing: LookupGuard {
                lookups: self.clone(),
                key,
            },
            _piece: piece,
        };
        tokio::spawn(task.run());
        Some(receiver)
    }

    /// See [`LastHoldback::hear_of`].
    pub fn hear_of(&self, node: &NodeView, begun_at: Instant, now: Instant) {
        let conduct = &node.load.conduct;
        self.held_back.lock().hear_of(conduct, begun_at, now);
    }

    /// See [`LastHoldback::go_alone`].
    pub fn go_alone(&self, lookups: usize, now: Instant) -> bool {
        self.held_back.lock().go_alone(lookups, now)
    }
}

/// One look-up, which outlives the calls that asked for it.
struct LookupTask {
    asked: BoxFuture<'static, NodeAnswer>,
    hash: TxHash,
    lookups: Arc<Lookups>,
    begun_at: Instant,
    node: NodeId,
    say: watch::Sender<Option<NodeAnswer>>,
    _landing: LookupGuard,
    _piece: BackgroundSend,
}

/// Once it is dropped, no call joins any more.
struct LookupGuard {
    lookups: Arc<Lookups>,
    key: LookupKey,
}

impl Drop for LookupGuard {
    fn drop(&mut self) {
        self.lookups.open.lock().remove(&self.key);
    }
}

impl LookupTask {
    async fn run(mut self) {
        let heard = (&mut self.asked).await;
        if let Some(node) = self.lookups.fleet.snapshot().view.node(self.node) {
            self.lookups.hear_of(node, self.begun_at, clock::now());
        }
        let result = heard.answer.as_ref().and_then(|answer| answer.result());
        if let Some((block, number)) = result.and_then(told_blocks::block_named) {
            self.lookups.fleet.told.block(block, number);
            self.lookups.fleet.told.mined(self.hash, number);
            if let Some(mut pooled) = self.lookups.recent_writes.pooled() {
                pooled.forget(self.hash);
            }
        }
        self.say.send_replace(Some(heard));
    }
}

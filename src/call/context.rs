//! What each way of answering a call is given: what all calls share, and what holds for this one.

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::call::fanout::FanoutCall;
use crate::call::lookups::Lookups;
use crate::call::policy::Policy;
use crate::call::request_context::RequestContext;
use crate::observe::metrics::ChainMetrics;
use crate::observe::spans::CallSpan;
use crate::observe::spans::Trace;
use crate::shared::admission::Admission;
use crate::shared::answer_budget::AnswerBudget;
use crate::shared::answer_cache::AnswerCache;
use crate::shared::background_sends::BackgroundSends;
use crate::shared::fleet_state::FleetState;
use crate::shared::hub::Hub;
use crate::shared::listener::SubscriptionBatch;
use crate::shared::recent_writes::SharedWrites;
use crate::shared::singleflight::Singleflight;
use crate::shared::sockets::SocketCounter;
use forebay_core::call::confirmation::SearchMemory;
use forebay_core::call::disputes::Disputes;
use forebay_core::call::leader_share::LeaderShare;
use forebay_core::call::retry_budget::RetryBudget;
use forebay_core::call::trail::AttemptKind;
use forebay_core::fleet::view::FleetView;
use forebay_core::method::block::TagPins;
use forebay_core::method::{MethodIndex, Treatment};
use forebay_core::vocabulary::client::Client;

/// What all calls of a chain share.
pub struct CallState {
    pub fleet: Arc<FleetState>,
    /// For the calls that begin now; each keeps the one it began with.
    pub policy: ArcSwap<Policy>,
    pub budget: RetryBudget,
    pub metrics: Arc<ChainMetrics>,
    pub admission: Arc<Admission>,
    pub singleflight: Singleflight,
    /// Answers that are kept; `None`: none is.
    pub cache: Option<Arc<AnswerCache>>,
    pub recent_writes: Arc<SharedWrites>,
    pub lookups: Arc<Lookups>,
    pub background_sends: Arc<BackgroundSends>,
    /// Refusals that no second node is asked about. Only a call that was refused takes the lock.
    pub disputes: Mutex<Disputes>,
    /// What the nodes that go back furthest were found to lack. Only a call that was told `null`
    /// takes the lock.
    pub searched: Mutex<SearchMemory>,
    /// What the leader may be asked of what no node is known to have. Only a call that is about to
    /// ask it takes the lock.
    pub leader_share: Mutex<LeaderShare>,
    /// Which clients listen to what.
    pub hub: Arc<Hub>,
    pub sockets: Arc<SocketCounter>,
}

/// How an answer is to be had.
#[derive(Clone, Copy)]
pub struct CallContext<'a> {
    pub policy: &'a Policy,
    /// When the request came.
    pub arrived_at: Instant,
    /// The longest answer.
    pub bytes_max: u64,
    pub may_stream: bool,
    pub client: Client,
    /// For what is held whole of the request's answers.
    pub answer_budget: &'a AnswerBudget<'a>,
    pub request_context: &'a RequestContext,
    /// The trace that the call's attempts belong to.
    pub trace: Option<Trace>,
    /// What tags stand for in all calls of a batch; `None`: as of when the call is planned.
    pub pins: Option<TagPins>,
    /// Where news can be sent: over a socket.
    pub subscriber: Option<&'a SubscriptionBatch<'a>>,
    /// Turns for calls of a batch that wait for what others bring: a call that must ask after all
    /// takes one. `None`: it has its turn.
    pub turns: Option<&'a Semaphore>,
    /// What was kept won't do.
    pub wants_fresh: bool,
    /// How many answers had been kept just before the call was planned first.
    pub kept_before: u64,
}

impl CallContext<'_> {
    /// The context of a call of `row`, whose attempts are parts of `span` where it is recorded, else
    /// of what its client told of.
    pub fn traced(self, span: Option<&CallSpan>, row: MethodIndex) -> Self {
        let parent = span.map(CallSpan::own).or(self.request_context.trace);
        CallContext {
            trace: parent.map(|parent| Trace { parent, row }),
            ..self
        }
    }

    /// What nodes are asked for its sake, `until` then: `body`, a call of `method`.
    pub fn fanout_call(
        &self,
        method: &str,
        body: Bytes,
        until: Instant,
        bytes_max: u64,
    ) -> FanoutCall {
        FanoutCall {
            method: method.into(),
            body,
            until,
            bytes_max: self.bytes_max.min(bytes_max),
            trace: self.trace,
            trail: self.request_context.part(AttemptKind::Lookup),
        }
    }

    /// By when a node that is asked for it `now` must have answered: as soon as a plain read.
    pub fn read_end(&self, now: Instant) -> Instant {
        let times = self.policy.usual_times();
        times.attempt_end(Treatment::Read, self.arrived_at, now)
    }
}

impl CallState {
    /// The context of calls that are planned as of `view`.
    pub fn as_of<'a>(&self, view: &FleetView, context: CallContext<'a>) -> CallContext<'a> {
        CallContext {
            pins: Some(self.pins(context, view)),
            kept_before: self.answers_kept(),
            ..context
        }
    }

    /// Answers that were kept so far.
    pub fn answers_kept(&self) -> u64 {
        self.cache
            .as_ref()
            .map_or(0, |cache| cache.store.kept_so_far())
    }

    /// What tags stand for, for this client.
    pub fn pins(&self, context: CallContext<'_>, view: &FleetView) -> TagPins {
        // What a subscriber may have been told, its calls find.
        let told = context.subscriber.and_then(|_| view.told.last());
        let floor = self.fleet.floor(context.client, view).max(told);
        context.policy.pins(view, floor)
    }

    /// Whether there is anything that would be cut off.
    pub fn has_work(&self) -> bool {
        self.admission.requests() > 0
            || self.admission.unsent_bytes() > 0
            || self.background_sends.pieces() > 0
            || self.sockets.open() > 0
    }
}

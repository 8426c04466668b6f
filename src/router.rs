//! Answers one call: a plan of the core's, carried out. Single calls and batches come here alike.

mod aiming;

use std::sync::{Arc, Mutex};
use std::time::Instant;

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;

use crate::call::exchange::StreamedAnswer;
use crate::call::forward::ForwardedCall;
use crate::call::lookups::Lookups;
use crate::call::policy::Policy;
use crate::call::request_context::{self, RequestContext};
use crate::call::{awaited_block, broadcast, coalesce, pending_nonce, pending_transaction};
use crate::client::health;
use crate::client::websocket::listener::SubscriptionBatch;
use crate::clock;
use crate::observe::metrics::{CallOutcome, MethodMetrics, Metrics, ResourceUse};
use crate::observe::spans::CallSpan;
use crate::shared::admission::Admission;
use crate::shared::answer_budget::AnswerBudget;
use crate::shared::background_sends::BackgroundSends;
use crate::shared::fleet_state::{FleetState, Snapshot};
use crate::shared::hub::{Hub, SubscriptionFailure};
use crate::shared::recent_writes::SharedWrites;
use crate::shared::singleflight::Singleflight;
use crate::shared::sockets::SocketCounter;
use forebay_core::call::confirmation::SearchMemory;
use forebay_core::call::disputes::Disputes;
use forebay_core::call::filter::{self, FilterUse};
use forebay_core::call::last_block::{BY_HASH, RECEIPT};
use forebay_core::call::leader_share::LeaderShare;
use forebay_core::call::nonce::{self, FILL};
use forebay_core::call::plan::{self, ForwardPlan, Plan};
use forebay_core::call::recent_writes::Client;
use forebay_core::call::retry_budget::RetryBudget;
use forebay_core::call::trail::FailedAttempts;
use forebay_core::fleet::FleetView;
use forebay_core::fleet::failure_rate::FailureRate;
use forebay_core::method::block::{ParamEdits, TagPins};
use forebay_core::method::{self, MethodIndex, Treatment};
use forebay_core::rpc::envelope::Call;
use forebay_core::rpc::refusal::Refusal;
use forebay_core::rpc::transaction::{self, Address};
use forebay_core::rpc::whole_answer::WholeAnswer;
use forebay_core::vocabulary::hex;
use forebay_core::wire::trace::Trace;

/// All that answering takes.
pub struct Router {
    pub pool: Arc<FleetState>,
    /// For the calls that begin now; each keeps the one it began with.
    pub policy: ArcSwap<Policy>,
    pub budget: RetryBudget,
    pub metrics: Arc<Metrics>,
    pub gate: Arc<Admission>,
    pub flights: Singleflight,
    pub taken: Arc<SharedWrites>,
    pub lookups: Arc<Lookups>,
    pub afterwork: Arc<BackgroundSends>,
    /// Refusals that no second node is asked about. Only who was refused takes the lock.
    pub disputes: Mutex<Disputes>,
    /// What who goes back furthest was found to lack. Only who was told `null` takes the lock.
    pub searched: Mutex<SearchMemory>,
    /// What the leader may be asked of what nobody is known to have. Only who is about to take the lock.
    pub leader_share: Mutex<LeaderShare>,
    /// Who listens to what.
    pub hub: Arc<Hub>,
    pub sockets: Arc<SocketCounter>,
}

/// How an answer is to be had.
#[derive(Clone, Copy, Debug)]
pub struct CallContext<'a> {
    pub policy: &'a Policy,
    /// When the packet came.
    pub arrived_at: Instant,
    /// The longest answer.
    pub bytes_max: u64,
    pub may_stream: bool,
    pub client: Client,
    /// For what is held whole of the packet's answers.
    pub room: &'a AnswerBudget<'a>,
    pub origin: &'a RequestContext,
    /// The trace that the call's attempts belong to.
    pub trace: Option<Trace>,
    /// What tags stand for in all calls of a batch; `None`: as of when the call is planned.
    pub pins: Option<TagPins>,
    /// Where news can be sent: over a socket.
    pub subscriber: Option<&'a SubscriptionBatch<'a>>,
    /// Turns for calls of a batch that wait for what others bring: whoever must ask after all takes
    /// one. `None`: it has its turn.
    pub turns: Option<&'a Semaphore>,
}

impl CallContext<'_> {
    /// The terms of a call of `row`, whose attempts are parts of `span` where it is recorded, else
    /// of what its client told of.
    pub fn traced(self, span: Option<&CallSpan>, row: MethodIndex) -> Self {
        let parent = span.map(CallSpan::own).or(self.origin.trace);
        CallContext {
            trace: parent.map(|parent| Trace { parent, row }),
            ..self
        }
    }
}

/// An answer, and who gave it.
pub struct ServedAnswer {
    pub answer: CallReply,
    /// `None`: given here.
    pub node: Option<Arc<str>>,
    /// Nodes asked.
    pub attempts: usize,
    pub failed: FailedAttempts,
}

pub enum CallReply {
    /// Given here, with the caller's id in it.
    Here(String),
    /// A node's; the caller's id is still to be put in.
    Whole(WholeAnswer),
    /// A node's, passed on as it comes, with the caller's id in it.
    Large(Box<StreamedAnswer>),
    Refused(Refusal),
}

/// Counts a call once, also when its caller leaves before the end.
pub(crate) struct CallCounter<'a> {
    pub method: &'a MethodMetrics,
    pub failing: &'a FailureRate,
    pub began_at: Instant,
    pub outcome: CallOutcome,
}

impl Drop for CallCounter<'_> {
    fn drop(&mut self) {
        let now = clock::now();
        let took = now.saturating_duration_since(self.began_at);
        self.method.called(self.outcome, took);
        match self.outcome {
            CallOutcome::Ok | CallOutcome::RpcError => self.failing.hear(false, now),
            CallOutcome::Failed => self.failing.hear(true, now),
            // What no node can answer says nothing of the nodes.
            CallOutcome::Refused | CallOutcome::Unanswerable | CallOutcome::Cancelled => {}
        }
    }
}

impl Router {
    /// The metrics as of now, for Prometheus.
    pub fn scrape(&self) -> String {
        let view = &self.pool.snapshot().view;
        let (now, unix_seconds) = (clock::now(), clock::unix_millis() / 1000);
        // A bench shows at once, not with the next round.
        self.metrics.show_fleet(view, now, unix_seconds);
        self.metrics.show_used(&ResourceUse {
            requests: self.gate.requests(),
            request_bytes: self.gate.bytes(),
            answer_bytes: self.gate.answers_bytes(),
            retry_budget: self.budget.tokens(now),
            queued: self.pool.places.waiting(),
            shed: self.pool.places.shed(),
            is_degraded: health::is_degraded(view, self.pool.failing.too_many(now)),
        });
        self.metrics.encode(view, unix_seconds)
    }

    /// Answers `call`. A notification is carried out as any call; its answer is the caller's to
    /// drop.
    pub async fn serve(&self, call: &Call<'_>, terms: CallContext<'_>) -> ServedAnswer {
        let snapshot = self.pool.snapshot();
        let pins = (terms.pins).unwrap_or_else(|| self.pins(terms, &snapshot.view));
        let (row, plan) = self.plan(call, &snapshot.view, terms.policy, &pins);
        let mut tally = CallCounter {
            method: self.metrics.method(row),
            failing: &self.pool.failing,
            began_at: clock::now(),
            outcome: CallOutcome::Cancelled,
        };
        let entry = terms.origin.entry(&call.method);
        let span = CallSpan::begin(terms.origin.trace.as_ref(), row);
        let terms = CallContext {
            pins: Some(pins),
            ..terms.traced(span.as_ref(), row)
        };
        let (mut served, outcome) = match plan {
            Plan::Answer(result) => {
                let reply = CallReply::with_result(call, &result);
                (ServedAnswer::here(reply), CallOutcome::Ok)
            }
            Plan::Refuse(why) => (
                ServedAnswer::here(CallReply::Refused(why)),
                CallOutcome::Refused,
            ),
            Plan::Ask(asking) => {
                // On the heap: what it takes to ask a node is not kept room for on idle
                // connections. As a rule it is made there, while `Box::pin` moves it there.
                let place = Box::new_uninit();
                let asked = Box::write(
                    place,
                    self.ask(call, (row, &asking), terms, (snapshot, pins)),
                );
                Box::into_pin(asked).await
            }
            Plan::Soon(absence) => {
                Box::pin(awaited_block::ask(self, call, (row, absence), terms)).await
            }
            Plan::Subscribe => Box::pin(subscribe(call, terms)).await,
            Plan::Unsubscribe => unsubscribe(call, terms),
        };
        tally.outcome = outcome;
        if let Some(span) = span {
            request_context::end_span(span, &served, outcome);
        }
        if let Some(entry) = entry {
            request_context::settle(entry, &mut served, call, outcome);
        }
        served
    }

    /// Plans a call. Where what it asks for was told to stand says whom to ask.
    pub(crate) fn plan(
        &self,
        call: &Call<'_>,
        view: &FleetView,
        policy: &Policy,
        pins: &TagPins,
    ) -> (MethodIndex, Plan) {
        let fails_open = policy.limits.fails_open;
        let (row, mut plan) = plan::plan(call, view, &policy.rules, pins, fails_open);
        if let Plan::Ask(asking) = &mut plan {
            let told = &self.pool.told;
            if let Some(hashed) = asking.hash {
                let number = told.number_of(hashed.hash);
                asking.stands_in(number.or_else(|| view.told.number_of(hashed.hash)), view);
            } else if is_lookup(&call.method) {
                let hash = call.params.and_then(transaction::hash_asked);
                asking.stands_in(hash.and_then(|hash| told.place_of(hash)), view);
            }
        }
        (row, plan)
    }

    /// What tags stand for, for this client.
    pub fn pins(&self, terms: CallContext<'_>, view: &FleetView) -> TagPins {
        // What a subscriber may have been told, its calls find.
        let told = terms.subscriber.and_then(|_| view.told.last());
        let floor = self.pool.floor(terms.client, view).max(told);
        terms.policy.pins(view, floor)
    }

    /// Asks nodes, in the way that the call wants.
    pub(crate) async fn ask(
        &self,
        call: &Call<'_>,
        (row, asking): (MethodIndex, &ForwardPlan),
        terms: CallContext<'_>,
        (snapshot, pins): (Arc<Snapshot>, TagPins),
    ) -> (ServedAnswer, CallOutcome) {
        let treatment = asking.treatment;
        if treatment == Treatment::Broadcast {
            // On the heap, as what follows: the future of the many plain reads stays small.
            return Box::pin(broadcast::send(self, call, terms)).await;
        }
        if treatment == Treatment::Once
            && filter::part_of(&call.method) == Some(FilterUse::Following)
        {
            return Box::pin(self.follow(call, terms, &snapshot.view)).await;
        }
        let head = pins.latest.or(snapshot.view.served_head);
        drop(snapshot);
        let is_sharable = method::listed(row).is_some_and(|method| method.may_be_shared);
        if is_sharable && !asking.is_pending {
            return coalesce::ask(self, call, (row, asking), terms, head).await;
        }
        if nonce::is_pending(&call.method, asking.is_pending)
            && let Some(counted) = Box::pin(pending_nonce::count(self, call, terms)).await
        {
            return counted;
        }
        let lacking = call.params.filter(|_| call.method == FILL);
        let filled = match lacking.and_then(nonce::missing) {
            Some(missing) => Box::pin(self.fill(asking, missing, terms)).await,
            None => None,
        };
        let asking = filled.as_ref().unwrap_or(asking);
        let mut errand = ForwardedCall::new(self, call, asking, terms, asking.body(call).into());
        errand.hedge(row);
        errand.aim_at(self.aim(call, asking, terms.client));
        let hash = call
            .params
            .filter(|_| is_lookup(&call.method))
            .and_then(transaction::hash_asked);
        let (served, outcome) = match hash {
            Some(hash) => {
                errand.set_out();
                errand.look_up(hash, None).await
            }
            None => errand.run().await,
        };
        if call.method == BY_HASH
            && let Some(answer) =
                Box::pin(pending_transaction::show(self, call, &served, terms)).await
        {
            return (ServedAnswer { answer, ..served }, outcome);
        }
        (served, outcome)
    }

    /// Writes the nonce that we know into a transaction that lacks it: the node that fills in the
    /// rest may not know yet what its sender sent last.
    async fn fill(
        &self,
        asking: &ForwardPlan,
        (sender, at): (Address, usize),
        terms: CallContext<'_>,
    ) -> Option<ForwardPlan> {
        let next = pending_nonce::next(self, sender, terms).await?;
        let nonce = format!("\"nonce\":{},", hex::quantity(next));
        Some(ForwardPlan {
            edits: ParamEdits::inserting(at, nonce),
            ..asking.clone()
        })
    }
}

/// Whether it asks for a transaction, or what became of it.
pub(crate) fn is_lookup(method: &str) -> bool {
    matches!(method, BY_HASH | RECEIPT)
}

/// Begins a subscription, where news can be sent.
async fn subscribe(call: &Call<'_>, terms: CallContext<'_>) -> (ServedAnswer, CallOutcome) {
    let Some(subscriber) = terms.subscriber else {
        return refused(Refusal::NeedsSocket);
    };
    match subscriber.subscribe(call).await {
        Ok(id) => told(CallReply::with_result(call, &format!("\"{id}\""))),
        Err(SubscriptionFailure::Refused(why)) => refused(why),
        Err(SubscriptionFailure::Node(error)) => {
            let error = String::from_utf8_lossy(&error);
            let reply = CallReply::with_error(call, &error);
            (ServedAnswer::here(reply), CallOutcome::RpcError)
        }
    }
}

/// Ends a subscription.
fn unsubscribe(call: &Call<'_>, terms: CallContext<'_>) -> (ServedAnswer, CallOutcome) {
    let Some(subscriber) = terms.subscriber else {
        return refused(Refusal::NeedsSocket);
    };
    match subscriber.listener.unsubscribe(call) {
        Ok(()) => told(CallReply::with_result(call, "true")),
        Err(why) => refused(why),
    }
}

pub(crate) fn told(reply: CallReply) -> (ServedAnswer, CallOutcome) {
    (ServedAnswer::here(reply), CallOutcome::Ok)
}

pub(crate) fn refused(why: Refusal) -> (ServedAnswer, CallOutcome) {
    (
        ServedAnswer::here(CallReply::Refused(why)),
        CallOutcome::Refused,
    )
}

impl CallReply {
    /// `result`, JSON as written, with the caller's id.
    pub fn with_result(call: &Call<'_>, result: &str) -> CallReply {
        let id = call.id.unwrap_or("null");
        CallReply::Here(format!(
            r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#
        ))
    }

    /// `error`, an object as written, with the caller's id.
    pub fn with_error(call: &Call<'_>, error: &str) -> CallReply {
        let id = call.id.unwrap_or("null");
        CallReply::Here(format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#))
    }
}

impl ServedAnswer {
    pub fn here(answer: CallReply) -> ServedAnswer {
        ServedAnswer {
            answer,
            node: None,
            attempts: 0,
            failed: None,
        }
    }
}

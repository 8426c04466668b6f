//! A call on its way through nodes: asks one after another as its `RetryPlanner` says, learns from what
//! they answer, and ends with an answer or a refusal.

mod as_written;
mod best_answer;
mod confirmation;
mod doubt;
mod ending;
mod feedback;
mod hedge;
mod held_lookup;
mod keeping;
mod leader_share;
mod place;
mod prepared;
mod renewal;
mod stepwise;
mod unindexed;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::watch;

use crate::call::answer::{CallReply, ServedAnswer};
use crate::call::context::{CallContext, CallState};
use crate::call::exchange::AttemptContent;
use crate::call::forward::best_answer::BestAnswer;
use crate::clock;
use crate::observe::access_log::shown_method;
use crate::observe::metrics::CallOutcome;
use crate::shared::answer_budget::AnswerReservation;
use crate::shared::node_clients::Upstream;
use crate::shared::singleflight::FlightOwner;
use crate::shared::snapshot::Snapshot;
use forebay_core::call::disputes::DoubtedRefusals;
use forebay_core::call::doubts::Doubts;
use forebay_core::call::leader_share::LeaderGrant;
use forebay_core::call::plan::ForwardPlan;
use forebay_core::call::retry::{
    self, AnswerReading, AnswerSigns, CallBudget, ReplyAction, RetryPlanner, RetryStep,
};
use forebay_core::call::tag_fallback::TagFallback;
use forebay_core::fleet::load::DeepRepeat;
use forebay_core::fleet::node_limits::QuerySize;
use forebay_core::fleet::node_view::NodeView;
use forebay_core::fleet::requirements::NodeRequirements;
use forebay_core::rpc::classify::{AttemptClass, Verdict};
use forebay_core::rpc::envelope::Call;
use forebay_core::rpc::refusal::Refusal;
use forebay_core::rpc::transaction::TxHash;
use forebay_core::rpc::whole_answer::WholeAnswer;

/// A call on its way.
pub struct ForwardedCall<'a> {
    pub(super) state: &'a CallState,
    pub(super) call: &'a Call<'a>,
    pub(super) plan: &'a ForwardPlan,
    /// Its tag came to nothing in the last answer.
    came_to_nothing: bool,
    tag_fallback: Option<Box<TagFallback>>,
    /// As it was planned anew, when the chain had gone back while it waited.
    renewed: Option<Box<ForwardPlan>>,
    pub(super) context: CallContext<'a>,
    /// The call as a node gets it: see [`ForwardPlan::body`].
    pub body: Bytes,
    /// See [`Policy::hedge`](super::policy::Policy::hedge).
    hedge: Option<f64>,
    pub(super) retry: RetryPlanner<'a>,
    /// A node's own error, or its `null`, for when no node says more.
    kept: Option<BestAnswer<'a>>,
    /// Told of the fleet's changes while the call waits for a block.
    news: Option<watch::Receiver<()>>,
    /// What the last attempt came to.
    last: Option<AttemptClass>,
    /// How much it asks for, where nodes may find it too much.
    breadth: Option<QuerySize>,
    refusals: DoubtedRefusals,
    /// Which nodes failed at it so far.
    failed: Vec<(Arc<str>, AttemptClass)>,
    used_fallback: bool,
    /// Of the leader's share.
    granted: LeaderGrant,
    /// Its place at a node that is asked because it goes back furthest.
    deep_repeat: Option<DeepRepeat>,
    /// The words of a node whose index of transactions isn't built so far; on the heap, as they are rare.
    unindexed: Option<Box<BestAnswer<'a>>>,
    /// A node that has all transactions said `null`.
    null_is_sure: bool,
    /// Of the transaction that it looks up, where it shares its attempts with others.
    hash: Option<TxHash>,
    /// The faults that it met.
    doubts: Doubts,
    /// When the present attempt began, and whether its fault would be one.
    began: (Instant, bool),
    /// Others wait for what it brings.
    flight: Option<&'a FlightOwner<'a>>,
}

/// Asks one node after another.
pub async fn ask(
    state: &CallState,
    call: &Call<'_>,
    plan: &ForwardPlan,
    context: CallContext<'_>,
) -> ServedAnswer {
    let body = plan.body(call).into();
    ForwardedCall::new(state, call, plan, context, body)
        .run()
        .await
}

/// The same, for the transaction `hash` or for what became of it.
pub async fn look_up(
    state: &CallState,
    call: &Call<'_>,
    (plan, hash): (&ForwardPlan, TxHash),
    context: CallContext<'_>,
) -> ServedAnswer {
    let body = plan.body(call).into();
    let mut forwarded = ForwardedCall::new(state, call, plan, context, body);
    forwarded.set_out();
    forwarded.look_up(hash, None).await
}

impl<'a> ForwardedCall<'a> {
    pub fn new(
        state: &'a CallState,
        call: &'a Call<'a>,
        plan: &'a ForwardPlan,
        context: CallContext<'a>,
        body: Bytes,
    ) -> ForwardedCall<'a> {
        let policy = context.policy;
        let times = policy.times(&call.method);
        let treatment = plan.treatment;
        let budget = CallBudget {
            attempts_max: policy.settings.calls.attempts_max,
            attempt: times.attempt_of(treatment),
            deadline: context.arrived_at + times.deadline_of(treatment),
            fails_open: policy.fails_open(),
            block_wait: plan.wait,
        };
        let needs = NodeRequirements {
            block: plan.block,
            method: &call.method,
            shortlist: plan.affinity.shortlist(),
            ..NodeRequirements::default()
        };
        let mut retry = RetryPlanner::new(treatment, budget, needs);
        let breadth = plan.is_range.then(|| {
            let breadth = QuerySize::read(call.params(), plan.block);
            retry.avoid(state.fleet.limited_for(&call.method, &breadth));
            breadth
        });
        ForwardedCall {
            state,
            call,
            plan,
            came_to_nothing: false,
            tag_fallback: None,
            renewed: None,
            context,
            body,
            hedge: (context.policy.hedge(&call.method)).filter(|_| plan.may_be_hedged),
            retry,
            kept: None,
            news: None,
            last: None,
            breadth,
            refusals: DoubtedRefusals::default(),
            failed: Vec::new(),
            used_fallback: false,
            granted: LeaderGrant::default(),
            deep_repeat: None,
            unindexed: None,
            null_is_sure: false,
            hash: None,
            doubts: Doubts::default(),
            began: (context.arrived_at, true),
            flight: None,
        }
    }

    /// Others wait for what it brings.
    pub fn owns(&mut self, flight: Option<&'a FlightOwner<'a>>) {
        self.flight = flight;
    }

    /// Goes from node to node until the call has its answer. Called once; by reference, as it is
    /// large to move.
    pub async fn run(&mut self) -> ServedAnswer {
        self.set_out();
        self.go_on(None).await
    }

    /// Goes on to the call's end, with `first` as the next step.
    async fn go_on(&mut self, first: Option<RetryStep>) -> ServedAnswer {
        let ended = self.finished(first).await;
        if self.is_settled(ended.outcome) {
            return ended;
        }
        // On the heap: it is rare.
        Box::pin(self.settle(ended)).await
    }

    async fn finished(&mut self, mut first: Option<RetryStep>) -> ServedAnswer {
        let mut body = std::mem::take(&mut self.body);
        loop {
            let now = clock::now();
            let step = match first.take() {
                Some(step) => step,
                None => self.next(now, &[]),
            };
            match step {
                RetryStep::Finish(ending) if self.came_to_nothing => {
                    // On the heap: hardly any call insists.
                    match Box::pin(self.insist(now)).await {
                        Some(again) => body = again.unwrap_or(body),
                        None => return self.finish(ending),
                    }
                }
                RetryStep::Finish(ending) => return self.finish(ending),
                RetryStep::WaitUntil(until) => {
                    self.wait(until).await;
                    if let Some(anew) = self.renew() {
                        body = anew;
                    }
                }
                RetryStep::Ask { node, until, tier } => {
                    self.charges(true, now);
                    if let Some(served) = self.ask(node, until, tier, &body).await {
                        return served;
                    }
                }
            }
        }
    }

    /// Waits for a change of the fleet. The first time it only begins to listen: what changed
    /// before is seen by looking once more.
    async fn wait(&mut self, until: Instant) {
        let Some(news) = &mut self.news else {
            self.state.metrics.block_wait();
            self.hurry();
            self.news = Some(self.state.fleet.news());
            return;
        };
        // Over in time or not, it is looked again.
        let until = tokio::time::Instant::from_std(until);
        let _ = tokio::time::timeout_at(until, news.changed()).await;
    }

    /// Hears what an attempt came to; `Some` when it ended the call. `as_of`: the fleet as
    /// it was when the node was asked.
    pub fn conclude(
        &mut self,
        (as_of, upstream, node): (&Snapshot, &Upstream, &NodeView),
        (verdict, content): (Verdict, AttemptContent<'a>),
    ) -> Option<ServedAnswer> {
        self.deep_repeat = None;
        let heard_at = clock::now();
        let verdict = self.weigh(verdict, node, &content);
        let is_stray = self.learn(verdict, node, &content, heard_at);
        let class = verdict.class;
        let (began, charges) = self.began;
        if charges && verdict.overload.is_none() {
            self.doubts.hear(node, class, began, heard_at);
        }
        let name = &upstream.spec.name;
        let has_answered = content.whole().is_some();
        match content {
            AttemptContent::TooLarge => {
                let refused = CallReply::Refused(Refusal::AnswerTooLarge);
                return Some(self.end(refused, name, CallOutcome::Failed));
            }
            AttemptContent::Large(mut large) => {
                large.copy = self.copied(node, heard_at);
                return Some(self.end(CallReply::Large(large), name, CallOutcome::Ok));
            }
            AttemptContent::Whole(answer, held) if verdict.overload.is_none() => {
                let took = heard_at.saturating_duration_since(began);
                let verdict = retry::verdict_after(took, verdict, &answer);
                let answer = if verdict.class == AttemptClass::Ok {
                    answer
                } else {
                    upstream.masked(answer, verdict, self.call.params())
                };
                let (heard, asked) = ((verdict, is_stray), (as_of, node, heard_at));
                if let Some(served) = self.hear(heard, (answer, held), asked) {
                    return Some(served);
                }
            }
            AttemptContent::Whole(..) | AttemptContent::Nothing => {
                let was_silent = !has_answered && self.was_silent(class, node);
                self.retry.hear_unanswered(node.id, verdict, was_silent);
            }
        }
        self.last = Some(class);
        if class != AttemptClass::Ok {
            self.failed.push((name.clone(), class));
        }
        let method = shown_method(&self.call.method);
        log::debug!("{method}: {} from {name}, going on", class.outcome());
        None
    }

    fn hear(
        &mut self,
        (verdict, is_stray): (Verdict, bool),
        (answer, held): (WholeAnswer, AnswerReservation<'a>),
        (as_of, said, heard_at): (&Snapshot, &NodeView, Instant),
    ) -> Option<ServedAnswer> {
        let class = verdict.class;
        let is_doubtful = |result| self.plan().is_doubtful(&self.call.method, result);
        let is_doubtful = class == AttemptClass::Ok && answer.result().is_some_and(is_doubtful);
        self.hear_of_index(verdict, &answer, said);
        self.came_to_nothing = self.is_nothing(verdict, &answer, said);
        let reading = AnswerReading::of(AnswerSigns {
            came_to_nothing: self.came_to_nothing,
            is_stray,
            is_doubtful,
        });
        let heard = match reading {
            AnswerReading::CameToNothing => {
                let is_null = answer.result() == Some(b"null");
                self.retry
                    .hear_came_to_nothing(is_null, self.is_too_old(&answer))
            }
            AnswerReading::Stray => self.retry.hear_stray(),
            AnswerReading::DoubtfulNull => self.hear_nothing(said),
            AnswerReading::Plain => self.retry.hear(verdict, true),
        };
        if heard == ReplyAction::Drop {
            return None;
        }
        let node = said.name.clone();
        let told = BestAnswer { answer, held, node };
        let kept = self.kept.take();
        let before = kept.filter(|kept| retry::says_more(&kept.answer, &told.answer));
        let is_told = heard == ReplyAction::Deliver && before.is_none();
        if is_told && reading == AnswerReading::Plain {
            self.keep(&told.answer, (as_of, said), heard_at);
        }
        let told = before.unwrap_or(told);
        if heard == ReplyAction::Keep {
            self.kept = Some(told);
            return None;
        }
        self.count_null_check(is_doubtful);
        Some(self.deliver(told))
    }

    /// Ends with a node's answer.
    fn deliver(&self, told: BestAnswer<'_>) -> ServedAnswer {
        let (outcome, node) = (CallOutcome::of(&told.answer), told.node.clone());
        self.end(told.reply(self.call), &node, outcome)
    }

    fn end(&self, answer: CallReply, node: &Arc<str>, outcome: CallOutcome) -> ServedAnswer {
        ServedAnswer::by(node.clone(), answer, outcome).after(self.retry.attempts())
    }
}

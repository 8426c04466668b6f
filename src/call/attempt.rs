//! What an attempt is to bring; and its count, for its node's load and for the metrics.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::call::patience::in_time;
use crate::call::trail::{TrailContext, TrailGuard};
use crate::clock;
use crate::node::client::ReuseRule;
use crate::observe::logs;
use crate::observe::spans::AttemptSpan;
use crate::observe::spans::Trace;
use crate::shared::answer_budget::AnswerBudget;
use crate::shared::fleet_state::FleetState;
use crate::shared::node_clients::Upstream;
use crate::shared::places::{NodeCandidate, NodePlace};
use forebay_core::fleet::attempt_report::{self, AttemptExtent, AttemptReport, NodeRest};
use forebay_core::fleet::conduct::Penalty;
use forebay_core::fleet::load::Load;
use forebay_core::fleet::node_view::NodeView;
use forebay_core::fleet::overload;
use forebay_core::rpc::classify::{AttemptClass, Rejection, Verdict};
use forebay_core::wire::trace::TraceParent;

/// What an attempt is to bring.
#[derive(Clone, Debug)]
pub struct AttemptSpec<'a> {
    /// The caller's id, put in place of ours.
    pub id: &'a str,
    /// The longest answer.
    pub bytes_max: u64,
    /// Whether a large answer may be passed on as it comes, or must be held whole.
    pub may_stream: bool,
    /// For what is held of a large answer that may not stream.
    pub answer_budget: &'a AnswerBudget<'a>,
    /// What the attempt is a part of.
    pub trace: Option<Trace>,
    /// Where its client is told of it.
    pub trail: Option<TrailContext<'a>>,
    pub reuse: ReuseRule,
    pub until: Instant,
    /// Whether the attempt ends when its node falls out.
    pub may_move: bool,
    /// Whether the node may take its time, as long as it answers others.
    pub may_be_held_back: bool,
}

/// Counts an attempt from its beginning to its end, also when it is dropped on the way: for the metrics as many
/// as it has calls, for its node's places one.
pub struct Attempt {
    placement: AttemptPlacement,
    calls: u32,
    began_at: Instant,
    /// Until its answer had begun: how fast the client takes the rest says nothing of the node.
    took: Option<Duration>,
    is_settled: bool,
    /// See [`AttemptSpec::may_be_held_back`].
    may_be_held_back: bool,
    /// Where it is recorded.
    span: Option<AttemptSpan>,
    /// Where its client is told of it, call by call.
    trail_guards: Vec<TrailGuard>,
}

/// What follows from an attempt for its node.
#[derive(Debug)]
struct NodeConsequence {
    penalty: Option<Penalty>,
    rest: Option<NodeRest>,
}

impl NodeConsequence {
    /// The node answers for its faults, and is left alone where it asked for it.
    async fn carry_out(self, fleet: &FleetState, (upstream, node): (&Upstream, &NodeView)) {
        if let Some(penalty) = self.penalty {
            fleet.sentence(upstream.id, penalty, "").await;
        }
        if let Some(rest) = self.rest {
            if let Some(shut) = rest.shut {
                alarm(upstream, node, shut);
            }
            fleet.throttle(upstream.id, rest.lasts, rest.shut).await;
        }
    }
}

/// An operator has to see to it: said once for each rest of the node.
fn alarm(upstream: &Upstream, node: &NodeView, shut: Rejection) {
    upstream.metrics.refused(shut);
    if !node.standing.rests(clock::now()) {
        let what = match shut {
            Rejection::Quota => "says that its quota is used up, or not paid for",
            Rejection::Auth => "refuses our credentials",
        };
        logs::of_chain(upstream.metrics.chain(), || {
            log::warn!(
                "node {} {what}: look at its key and plan",
                upstream.spec.name
            );
        });
    }
}

/// Where it stands with its node.
enum AttemptPlacement {
    Placed(NodePlace),
    /// The node has done its work: the place is free for another attempt.
    Left(NodeCandidate),
}

impl AttemptPlacement {
    fn upstream(&self) -> &Arc<Upstream> {
        match self {
            AttemptPlacement::Placed(place) => &place.upstream,
            AttemptPlacement::Left(candidate) => &candidate.upstream,
        }
    }

    fn load(&self) -> &Arc<Load> {
        match self {
            AttemptPlacement::Placed(place) => &place.load,
            AttemptPlacement::Left(candidate) => &candidate.load,
        }
    }

    /// How many places were taken with its own; `None` once it has none.
    fn number(&self) -> Option<u32> {
        match self {
            AttemptPlacement::Placed(place) => Some(place.number),
            AttemptPlacement::Left(_) => None,
        }
    }
}

impl Attempt {
    /// Makes an attempt for so many calls, which are one request: `exchange` sends it, with what the node is told, and
    /// reads the answer. Returns what came of that, or `None` where it took too long, and the attempt, to be
    /// [ended](Attempt::end) once the calls are judged.
    #[inline]
    pub async fn make<E: Future>(
        fleet: &FleetState,
        (upstream, node): (&Upstream, &NodeView),
        (place, calls): (NodePlace, usize),
        wanted: &AttemptSpec<'_>,
        exchange: impl FnOnce(Option<TraceParent>) -> E,
    ) -> (Attempt, Option<E::Output>) {
        let attempt = Attempt::begin(place, calls, wanted);
        let exchanged = pin!(exchange(attempt.told(wanted.trace.as_ref())));
        let lasts = (attempt.began_at, wanted.until);
        let came = in_time(fleet, (upstream, node), lasts, wanted.may_move, exchanged);
        let came = came.await;
        (attempt, came)
    }

    /// Ends it with what each of its calls came to, in their order: as its load and the metrics are told. What follows for its node
    /// is carried out.
    #[inline]
    pub async fn end<'v>(
        &mut self,
        verdicts: impl IntoIterator<Item = Option<&'v mut Verdict>>,
        fleet: &FleetState,
        asked: (&Upstream, &NodeView),
    ) {
        if let Some(consequence) = self.settle(verdicts) {
            consequence.carry_out(fleet, asked).await;
        }
    }

    fn begin(place: NodePlace, calls: usize, wanted: &AttemptSpec<'_>) -> Attempt {
        let (name, metrics) = (&place.upstream.spec.name, &place.upstream.metrics);
        let trace = wanted.trace.as_ref().filter(|_| calls == 1);
        let span = AttemptSpan::begin(trace, name, metrics.chain());
        let leave = |it: TrailContext<'_>| (0..calls).map(|_| it.begin(name)).collect();
        let trail_guards = wanted.trail.map(leave).unwrap_or_default();
        let calls = u32::try_from(calls).unwrap_or(u32::MAX).max(1);
        if calls > 1 {
            place.load.limiter.begin_with(calls - 1);
        }
        Attempt {
            placement: AttemptPlacement::Placed(place),
            calls,
            began_at: clock::now(),
            took: None,
            is_settled: false,
            may_be_held_back: wanted.may_be_held_back,
            span,
            trail_guards,
        }
    }

    /// What the node is told: of the attempt where it is recorded, else of what it is a part of.
    fn told(&self, trace: Option<&Trace>) -> Option<TraceParent> {
        let own = self.span.as_ref().map(AttemptSpan::own);
        own.or(trace.map(|trace| &trace.parent)).copied()
    }

    pub fn upstream(&self) -> &Upstream {
        self.placement.upstream()
    }

    /// The answer has begun, and goes to the client as it comes: however slowly that takes it, no other
    /// call waits for the place.
    pub fn commit(&mut self) {
        self.placement = AttemptPlacement::Left(NodeCandidate {
            upstream: self.placement.upstream().clone(),
            load: self.placement.load().clone(),
        });
        for guard in self.trail_guards.drain(..) {
            guard.end(AttemptClass::Ok);
        }
        self.took = Some(clock::now().saturating_duration_since(self.began_at));
    }

    /// Tells load and metrics what each of its calls came to; `None`: only what the call comes to later counts. For the
    /// metrics each is an attempt that took as long as all of them, for the load it is many answers at once, or one fault. What follows for the node is returned: a penalty, unless a call may have caused
    /// the fault (then the call's end tells), and a rest, where it asked for one. The verdicts tell from now on
    /// whether the node had too much to do.
    fn settle<'v>(
        &mut self,
        verdicts: impl IntoIterator<Item = Option<&'v mut Verdict>>,
    ) -> Option<NodeConsequence> {
        let now = clock::now();
        let took = self
            .took
            .unwrap_or_else(|| now.saturating_duration_since(self.began_at));
        self.is_settled = true;
        let conduct = &self.placement.load().conduct;
        let is_held_back =
            self.may_be_held_back && attempt_report::is_held_back(conduct, self.began_at, took);
        let mut report: Option<AttemptReport> = None;
        for (at, verdict) in verdicts.into_iter().enumerate() {
            let Some(verdict) = verdict else { continue };
            verdict.overload = overload::of(verdict, conduct, now);
            let of_call = AttemptReport::of_call(*verdict, is_held_back);
            report = Some(report.map_or(of_call, |report| report.and(of_call)));
            self.count(at, verdict.class, took);
            if let Some(span) = self.span.take() {
                span.end(verdict.class);
            }
        }
        let report = report.unwrap_or_default();
        let attempt = AttemptExtent {
            calls: self.calls,
            place: self.placement.number(),
            took,
        };
        let penalty = report.tell(self.placement.load(), attempt, now);
        let has_any = penalty.is_some() || report.rest.is_some();
        has_any.then_some(NodeConsequence {
            penalty,
            rest: report.rest,
        })
    }

    /// Counts one of its calls.
    fn count(&self, at: usize, class: AttemptClass, took: Duration) {
        self.upstream().metrics.attempted(class, took);
        if let Some(guard) = self.trail_guards.get(at) {
            guard.end(class);
        }
    }

    /// Ends one whose answer was being passed on. A node that broke it off is surely at fault.
    pub fn end_of_passing_on(&mut self, class: AttemptClass) -> Option<Penalty> {
        // What it has said by now lets it in, and it took the call.
        let _ = self.settle([Some(&mut class.into())]);
        let now = clock::now();
        let conduct = &self.placement.load().conduct;
        if !class.may_be_the_calls() {
            return None;
        }
        conduct.faulted("", now, now)
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.calls > 1 {
            self.placement.load().limiter.end_with(self.calls - 1);
        }
        if !self.is_settled {
            let took = clock::now().saturating_duration_since(self.began_at);
            for _ in 0..self.calls {
                self.upstream()
                    .metrics
                    .attempted(AttemptClass::Cancelled, took);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::access::NodeAccess;
    use crate::node::connector::Connector;
    use crate::observe::metrics::ChainMetrics;
    use crate::shared::fleet_state::FleetState;
    use crate::shared::node_clients::ClientFactory;
    use crate::shared::process_limits::ChainShare;
    use forebay_core::rpc::classify::{self, Overload};
    use forebay_core::testing;
    use forebay_core::vocabulary::caps::Caps;
    use forebay_core::vocabulary::node::NodeRecord;

    /// A node that is fit, and its load.
    async fn node() -> (Arc<Upstream>, Arc<Load>) {
        let fleet = FleetState::new(testing::fleet());
        let connector = Arc::new(Connector::new(&NodeAccess::plain()));
        let metrics = ChainMetrics::alone();
        let mut clients = ClientFactory::new(connector, metrics, fleet.places.clone(), 1);
        let spec = NodeRecord::at("http://127.0.0.1:1").resolve(&|_| None);
        let upstreams = clients.call(vec![spec.unwrap()], &[]);
        let upstream = upstreams[0].clone();
        fleet.replace(upstreams).await;
        let snapshot = fleet.snapshot();
        let load = snapshot.view.node(upstream.id).unwrap().load.clone();
        (upstream, load)
    }

    fn wanted<'a>(answer_budget: &'a AnswerBudget<'a>) -> AttemptSpec<'a> {
        AttemptSpec {
            id: "1",
            bytes_max: 1,
            may_stream: false,
            answer_budget,
            trace: None,
            trail: None,
            reuse: ReuseRule::Any,
            until: clock::now(),
            may_move: true,
            may_be_held_back: false,
        }
    }

    /// Else the node would never be doubted that hangs on calls while its probes are answered.
    #[tokio::test]
    async fn a_call_that_timed_out_at_a_node_that_answers_others_is_no_answer_of_its() {
        let all = ChainShare::alone(&Caps::ROOMY);
        let answer_budget = AnswerBudget::new(&all, 1);
        let wanted = wanted(&answer_budget);
        for calls in [1, 2] {
            let (upstream, load) = node().await;
            load.answered(1, Duration::from_millis(1), clock::now());
            let place = NodePlace::always(&upstream, &load);
            let mut attempt = Attempt::begin(place, calls, &wanted);
            let began_at = clock::now();
            let timeout = Verdict::from(AttemptClass::Timeout);
            let mut verdicts = vec![timeout; calls];
            let consequence = attempt.settle(verdicts.iter_mut().map(Some));
            for verdict in verdicts {
                assert_eq!(verdict.overload, Some(Overload::Waited), "{calls}");
            }
            assert!(consequence.is_none());
            assert!(!load.conduct.has_answered_since(began_at), "{calls}");
            let is_slow = load.latency() > Some(Duration::from_millis(100));
            assert!(is_slow, "{calls}");
        }
    }

    #[tokio::test]
    async fn a_node_that_turns_an_attempt_away_has_answered_none_of_its_calls() {
        let all = ChainShare::alone(&Caps::ROOMY);
        let answer_budget = AnswerBudget::new(&all, 1);
        let wanted = wanted(&answer_budget);
        let rests = classify::of_status(429, Some(Duration::from_secs(3))).unwrap();
        for (verdict, is_answer) in [(rests, false), (AttemptClass::Ok.into(), true)] {
            for calls in [1, 2] {
                let (upstream, load) = node().await;
                let began_at = clock::now();
                let place = NodePlace::always(&upstream, &load);
                let mut attempt = Attempt::begin(place, calls, &wanted);
                let mut verdicts = vec![verdict; calls];
                let consequence = attempt.settle(verdicts.iter_mut().map(Some));
                let told = consequence.map(|it| (it.penalty, it.rest.and_then(|rest| rest.lasts)));
                let wanted = (!is_answer).then_some((None, Some(Duration::from_secs(3))));
                assert_eq!(told, wanted, "{verdict:?} {calls}");
                let has_answered = load.conduct.has_answered_since(began_at);
                assert_eq!(has_answered, is_answer, "{verdict:?} {calls}");
            }
        }
    }
}

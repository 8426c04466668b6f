//! What an attempt is to bring; and its count, for its node's load and for the metrics.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::call::trail::{TrailContext, TrailGuard};
use crate::clock;
use crate::node::client::ReuseRule;
use crate::observe::spans::AttemptSpan;
use crate::observe::spans::Trace;
use crate::shared::answer_budget::AnswerBudget;
use crate::shared::node_clients::Upstream;
use crate::shared::places::{NodeCandidate, NodePlace};
use forebay_core::call::doubts;
use forebay_core::fleet::conduct::Penalty;
use forebay_core::fleet::load::Load;
use forebay_core::fleet::overload;
use forebay_core::rpc::classify::Overload;
use forebay_core::rpc::classify::{AttemptClass, Blame, Verdict};
use forebay_core::wire::trace::TraceParent;

/// Faster answers say how fast a node is.
const HELD_BACK_MIN: Duration = Duration::from_secs(1);

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
    pub room: &'a AnswerBudget<'a>,
    /// What the attempt is a part of.
    pub trace: Option<Trace>,
    /// Where its client is told of it.
    pub following: Option<TrailContext<'a>>,
    pub reuse: ReuseRule,
    pub until: Instant,
    /// Whether the attempt ends when its node falls out.
    pub may_move: bool,
    /// Whether the node may take its time, as long as it answers others.
    pub may_be_held_back: bool,
}

/// Counts an attempt from its beginning to its end, also when it is dropped on the way.
pub struct Attempt {
    stand: AttemptPlacement,
    began_at: Instant,
    /// Until its answer had begun: how fast the client takes the rest says nothing of the node.
    took: Option<Duration>,
    is_settled: bool,
    /// See [`AttemptSpec::may_be_held_back`].
    pub may_be_held_back: bool,
    /// Where it is recorded.
    span: Option<AttemptSpan>,
    /// Where its client is told of it.
    footprint: Option<TrailGuard>,
}

/// Where it stands with its node.
enum AttemptPlacement {
    Placed(NodePlace),
    /// The node has done its work: the place is somebody else's.
    Left(NodeCandidate),
}

impl AttemptPlacement {
    fn upstream(&self) -> &Arc<Upstream> {
        match self {
            AttemptPlacement::Placed(place) => &place.upstream,
            AttemptPlacement::Left(seat) => &seat.upstream,
        }
    }

    fn load(&self) -> &Arc<Load> {
        match self {
            AttemptPlacement::Placed(place) => &place.load,
            AttemptPlacement::Left(seat) => &seat.load,
        }
    }

    /// How many places were taken with its own; 0 once it has none.
    fn number(&self) -> u32 {
        match self {
            AttemptPlacement::Placed(place) => place.number,
            AttemptPlacement::Left(_) => 0,
        }
    }
}

impl Attempt {
    /// Begins an attempt as a part of `trace`.
    pub fn begin(
        place: NodePlace,
        trace: Option<&Trace>,
        following: Option<TrailContext<'_>>,
    ) -> Attempt {
        Attempt {
            span: AttemptSpan::begin(
                trace,
                &place.upstream.spec.name,
                place.upstream.metrics.chain(),
            ),
            footprint: following.map(|it| it.begin(&place.upstream.spec.name)),
            stand: AttemptPlacement::Placed(place),
            began_at: clock::now(),
            took: None,
            is_settled: false,
            may_be_held_back: false,
        }
    }

    /// What the node is told: of the attempt where it is recorded, else of what it is a part of.
    pub fn told(&self, trace: Option<&Trace>) -> Option<TraceParent> {
        let own = self.span.as_ref().map(AttemptSpan::own);
        own.or(trace.map(|trace| &trace.parent)).copied()
    }

    pub fn upstream(&self) -> &Upstream {
        self.stand.upstream()
    }

    pub fn began_at(&self) -> Instant {
        self.began_at
    }

    /// The answer has begun, and goes to the client as it comes: however slowly that takes it, no other
    /// call waits for the place.
    pub fn commit(&mut self) {
        self.stand = AttemptPlacement::Left(NodeCandidate {
            upstream: self.stand.upstream().clone(),
            load: self.stand.load().clone(),
        });
        if let Some(footprint) = self.footprint.take() {
            footprint.end(AttemptClass::Ok);
        }
        self.took = Some(clock::now().saturating_duration_since(self.began_at));
    }

    /// Tells load and metrics. Whose a fault is that the call may be the cause of is told at its end; of
    /// another it is said what follows. The verdict tells from now on whether the node had too much to do.
    pub fn settle(&mut self, verdict: &mut Verdict) -> Option<Penalty> {
        let now = clock::now();
        let took = self
            .took
            .unwrap_or_else(|| now.saturating_duration_since(self.began_at));
        self.is_settled = true;
        self.upstream().metrics.attempted(verdict.class, took);
        if let Some(span) = self.span.take() {
            span.end(verdict.class);
        }
        if let Some(footprint) = self.footprint.take() {
            footprint.end(verdict.class);
        }
        let load = self.stand.load();
        let is_held_back = self.may_be_held_back
            && took > HELD_BACK_MIN
            && load.conduct.has_answered_since(self.began_at);
        verdict.overload = overload::of(verdict, &load.conduct, now);
        match verdict.overload {
            Some(Overload::Refused) => {
                if let AttemptPlacement::Placed(place) = &self.stand {
                    load.limiter.refused(place.number, now);
                }
                return None;
            }
            Some(Overload::Waited) if is_held_back => return None,
            Some(Overload::Waited) => {
                load.limiter.timed_out(now);
                load.failed(took, now);
                return None;
            }
            None => {}
        }
        match verdict.blame() {
            Blame::Fault | Blame::None if is_held_back => {}
            Blame::Fault => {
                load.failed(took, now);
                let is_sure = !doubts::is_doubtful(verdict.class);
                return is_sure.then(|| load.conduct.faulted("", now, now))?;
            }
            Blame::None => load.answered(self.stand.number(), took, now),
            Blame::Rest(_) => load.waited(took, now),
        }
        None
    }

    /// The node broke off an answer that had begun: that is its own fault.
    pub fn broke_off(&self) -> Option<Penalty> {
        let now = clock::now();
        self.stand.load().conduct.faulted("", now, now)
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.is_settled {
            let took = clock::now().saturating_duration_since(self.began_at);
            self.upstream()
                .metrics
                .attempted(AttemptClass::Cancelled, took);
        }
    }
}

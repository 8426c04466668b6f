//! The same call to several nodes at once.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;

use super::exchange::{self, WHOLE_BYTES_MAX};
use crate::call::attempt::AttemptSpec;
use crate::call::exchange::AttemptContent;
use crate::call::trail::{RequestTrail, TrailContext};
use crate::clock;
use crate::node::client::ReuseRule;
use crate::observe::spans::Trace;
use crate::shared::admission::Admission;
use crate::shared::fleet_state::FleetState;
use crate::shared::places::NodePlace;
use crate::shared::snapshot::Snapshot;
use forebay_core::call::doubts::Doubts;
use forebay_core::call::last_block::{BY_HASH, RECEIPT};
use forebay_core::call::trail::AttemptKind;
use forebay_core::fleet::node_view::NodeView;
use forebay_core::rpc::classify::{AttemptClass, Lesson, Verdict};
use forebay_core::rpc::whole_answer::WholeAnswer;
use forebay_core::vocabulary::node::NodeId;

/// The longest answer where a hash or a count is expected.
pub const SHORT_BYTES_MAX: u64 = WHOLE_BYTES_MAX as u64;
/// The longest answer where a receipt or a transaction is.
pub const LONG_BYTES_MAX: u64 = 1 << 20;

/// What one node said.
#[derive(Clone, Debug)]
pub struct NodeAnswer {
    pub node: NodeId,
    pub name: Arc<str>,
    pub verdict: Verdict,
    pub answer: Option<WholeAnswer>,
}

impl NodeAnswer {
    /// The answer, where it is a good one.
    pub fn good(self) -> Option<WholeAnswer> {
        let is_good = self.verdict.class == AttemptClass::Ok;
        self.answer.filter(|_| is_good)
    }
}

/// What is asked: something that may be asked again.
#[derive(Clone, Debug)]
pub struct FanoutCall {
    pub method: Arc<str>,
    /// The call as a node gets it.
    pub body: Bytes,
    pub until: Instant,
    /// The longest answer: several are held at once, and none of them in the request's room. At
    /// most [`LONG_BYTES_MAX`].
    pub bytes_max: u64,
    /// See [`AttemptSpec::trace`].
    pub trace: Option<Trace>,
    /// Where its client is told of what came of it, and as what.
    pub trail: Option<(Arc<RequestTrail>, AttemptKind)>,
}

/// Answers as they come.
pub type Fanout = FuturesUnordered<BoxFuture<'static, NodeAnswer>>;

/// Asks `nodes`, until the result is dropped.
pub fn ask_all(
    fleet: &Arc<FleetState>,
    admission: &Arc<Admission>,
    nodes: &[NodeId],
    question: &FanoutCall,
) -> Fanout {
    let ask = |id: &NodeId| ask(fleet, admission, (*id, None), question.clone());
    nodes.iter().map(ask).collect()
}

/// Asks one node, in `place` where the question was given one there.
pub fn ask(
    fleet: &Arc<FleetState>,
    admission: &Arc<Admission>,
    (node, place): (NodeId, Option<NodePlace>),
    question: FanoutCall,
) -> BoxFuture<'static, NodeAnswer> {
    let asker = FanoutTask {
        fleet: fleet.clone(),
        admission: admission.clone(),
        snapshot: fleet.snapshot(),
        question,
    };
    asker.ask(node, place).boxed()
}

struct FanoutTask {
    fleet: Arc<FleetState>,
    admission: Arc<Admission>,
    snapshot: Arc<Snapshot>,
    question: FanoutCall,
}

impl FanoutTask {
    /// A fault counts where the node fails at other calls, too: whether another node answered this one
    /// isn't known here.
    async fn doubt(&self, node: &NodeView, class: AttemptClass, began: Instant) {
        let mut doubts = Doubts::default();
        doubts.hear(node, class, began, clock::now());
        if doubts.is_empty() {
            return;
        }
        let method = &self.question.method;
        let settled = doubts.settle(method, &self.snapshot.view, clock::now());
        for (id, sentence) in settled.sentences {
            self.fleet.sentence(id, sentence, method).await;
        }
    }

    async fn ask(self, id: NodeId, place: Option<NodePlace>) -> NodeAnswer {
        let snapshot = &self.snapshot;
        let (Some(upstream), Some(node)) = (snapshot.upstream(id), snapshot.view.node(id)) else {
            return NodeAnswer {
                node: id,
                name: Arc::default(),
                verdict: AttemptClass::NoConnection.into(),
                answer: None,
            };
        };
        let bytes_max = self.question.bytes_max.min(LONG_BYTES_MAX);
        let budget = self.admission.answer_budget(bytes_max);
        let trail = self.question.trail.as_ref();
        let wanted = AttemptSpec {
            id: "",
            bytes_max,
            may_stream: false,
            answer_budget: &budget,
            trace: self.question.trace,
            trail: trail.map(|(trail, kind)| TrailContext { trail, kind: *kind }),
            reuse: ReuseRule::Any,
            until: self.question.until,
            may_move: true,
            may_be_held_back: matches!(&*self.question.method, BY_HASH | RECEIPT),
        };
        let body = &self.question.body;
        let began = clock::now();
        let (verdict, content) =
            exchange::attempt(&self.fleet, (upstream, node), body, &wanted, place).await;
        let class = verdict.class;
        if verdict.overload.is_none() {
            self.doubt(node, class, began).await;
        }
        let method = &self.question.method;
        match verdict.lesson() {
            Lesson::AnswersMethod => node.unsupported.hear_well(method, clock::now()),
            Lesson::LacksMethod => self.fleet.learn_lack(id, method),
            Lesson::RestsMethod(rest) => self.fleet.rest_method(id, method, rest),
            // What data a call needs isn't known here, nor how much it asks for; calls and probes find out that a node
            // was away.
            Lesson::LacksData(_) | Lesson::Limits(_) | Lesson::WasAway | Lesson::Nothing => {}
        }
        let answer = match content {
            AttemptContent::Whole(answer, _) if class == AttemptClass::Ok => Some(answer),
            AttemptContent::Whole(answer, _) => Some(upstream.masked(answer, verdict, "")),
            AttemptContent::Nothing | AttemptContent::TooLarge | AttemptContent::Large(_) => None,
        };
        NodeAnswer {
            node: id,
            name: upstream.spec.name.clone(),
            verdict,
            answer,
        }
    }
}

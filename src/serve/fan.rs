//! The same call to several nodes at once.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;

use super::exchange::{self, Content, WHOLE_BYTES_MAX, Wanted};
use super::trail::{Following, Path};
use crate::clock;
use crate::domain::doubts::Doubts;
use crate::domain::fleet::NodeView;
use crate::domain::node::NodeId;
use crate::domain::seen::{BY_HASH, RECEIPT};
use crate::domain::trace::Trace;
use crate::domain::trail::Kind;
use crate::domain::verdict::{Class, Meaning, Verdict};
use crate::domain::whole::Whole;
use crate::state::gate::Gate;
use crate::state::places::Place;
use crate::state::pool::{Pool, Snapshot};
use crate::upstream::link::Reuse;

/// The longest answer where a hash or a count is expected.
pub const SHORT_BYTES_MAX: u64 = WHOLE_BYTES_MAX as u64;
/// The longest answer where a receipt or a transaction is.
pub const LONG_BYTES_MAX: u64 = 1 << 20;

/// What one node said.
#[derive(Clone, Debug)]
pub struct Heard {
    pub node: NodeId,
    pub name: Arc<str>,
    pub class: Class,
    pub verdict: Verdict,
    pub answer: Option<Whole>,
}

/// What is asked: something that may be asked again.
#[derive(Clone, Debug)]
pub struct Question {
    pub method: Arc<str>,
    /// The call as a node gets it.
    pub body: Bytes,
    pub until: Instant,
    /// The longest answer: several are held at once, and none of them in the request's room. At
    /// most [`LONG_BYTES_MAX`].
    pub bytes_max: u64,
    /// See [`Wanted::trace`].
    pub trace: Option<Trace>,
    /// Where its client is told of what came of it, and as what.
    pub path: Option<(Arc<Path>, Kind)>,
}

/// Answers as they come.
pub type Fan = FuturesUnordered<BoxFuture<'static, Heard>>;

/// Asks `nodes`; whoever lets go of the result stops asking.
pub fn ask_all(pool: &Arc<Pool>, gate: &Arc<Gate>, nodes: &[NodeId], question: &Question) -> Fan {
    let snapshot = pool.snapshot();
    let ask = |id: &NodeId| {
        let asker = Asker {
            pool: pool.clone(),
            gate: gate.clone(),
            snapshot: snapshot.clone(),
            question: question.clone(),
        };
        asker.ask(*id, None).boxed()
    };
    nodes.iter().map(ask).collect()
}

/// Asks one node, in `place` where the question was given one there.
pub fn ask(
    pool: &Arc<Pool>,
    gate: &Arc<Gate>,
    (node, place): (NodeId, Option<Place>),
    question: Question,
) -> BoxFuture<'static, Heard> {
    let asker = Asker {
        pool: pool.clone(),
        gate: gate.clone(),
        snapshot: pool.snapshot(),
        question,
    };
    asker.ask(node, place).boxed()
}

struct Asker {
    pool: Arc<Pool>,
    gate: Arc<Gate>,
    snapshot: Arc<Snapshot>,
    question: Question,
}

impl Asker {
    /// A fault counts where the node fails at other calls, too: whether another node answered this one
    /// isn't known here.
    async fn doubt(&self, node: &NodeView, class: Class, began: Instant) {
        let mut doubts = Doubts::default();
        doubts.hear(node, class, began, clock::now());
        if doubts.is_empty() {
            return;
        }
        let method = &self.question.method;
        let settled = doubts.settle(method, &self.snapshot.view, clock::now());
        for (id, sentence) in settled.sentences {
            self.pool.sentence(id, sentence, method).await;
        }
    }

    async fn ask(self, id: NodeId, place: Option<Place>) -> Heard {
        let snapshot = &self.snapshot;
        let (Some(upstream), Some(node)) = (snapshot.upstream(id), snapshot.view.node(id)) else {
            return Heard {
                node: id,
                name: Arc::default(),
                class: Class::NoConnection,
                verdict: Class::NoConnection.into(),
                answer: None,
            };
        };
        let bytes_max = self.question.bytes_max.min(LONG_BYTES_MAX);
        let room = self.gate.room(bytes_max);
        let following = self.question.path.as_ref();
        let wanted = Wanted {
            id: "",
            bytes_max,
            may_stream: false,
            room: &room,
            trace: self.question.trace,
            following: following.map(|(path, kind)| Following { path, kind: *kind }),
            reuse: Reuse::Any,
            until: self.question.until,
            may_move: true,
            may_be_held_back: matches!(&*self.question.method, BY_HASH | RECEIPT),
        };
        let body = &self.question.body;
        let began = clock::now();
        let (verdict, content) =
            exchange::attempt(&self.pool, upstream, node, body, &wanted, place).await;
        let class = verdict.class;
        if verdict.overload.is_none() {
            self.doubt(node, class, began).await;
        }
        let method = &self.question.method;
        match verdict.meaning {
            Some(Meaning::Unsupported) => self.pool.learn_lack(id, method),
            Some(Meaning::MethodThrottled) => self.pool.rest_method(id, method, verdict.rest),
            None if class == Class::Ok => node.hear_well(method, clock::now()),
            Some(_) | None => {}
        }
        let answer = match content {
            Content::Whole(answer, _) if class == Class::Ok => Some(answer),
            Content::Whole(answer, _) => {
                let answer = answer.masked(|bytes| upstream.redacted(bytes));
                Some(if verdict.meaning == Some(Meaning::Execution) {
                    answer
                } else {
                    answer.without_urls("")
                })
            }
            Content::Nothing | Content::TooLarge | Content::Large(_) => None,
        };
        Heard {
            node: id,
            name: upstream.spec.name.clone(),
            class,
            verdict,
            answer,
        }
    }
}

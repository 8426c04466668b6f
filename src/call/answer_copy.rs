//! Answers of nodes are kept, where they may be: at once, or as a copy of one that is passed on as it comes,
//! once its end has come.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::clock;
use crate::shared::answer_cache::{AnswerCache, GatheringRoom};
use crate::shared::fleet_state::FleetState;
use crate::shared::snapshot::Snapshot;
use forebay_core::call::cache::CachePlan;
use forebay_core::call::cache::generations::LostAnswers;
use forebay_core::call::cache::keeping::{self, AnswerMoment, KeptReply, NotKept};
use forebay_core::fleet::node_view::NodeView;
use forebay_core::rpc::whole_answer::WholeAnswer;

/// What has come so far, with the caller's id in it.
pub struct AnswerCopy {
    pub fleet: Arc<FleetState>,
    pub cache: Arc<AnswerCache>,
    pub plan: CachePlan,
    /// The call's.
    pub params: Box<str>,
    /// The node as it was when it was asked.
    pub asked: NodeView,
    pub room: GatheringRoom,
    pub bytes: Vec<u8>,
}

impl AnswerCopy {
    /// Takes another piece; `false` where there is no room for it.
    pub fn takes(&mut self, piece: &[u8]) -> bool {
        let has_room = self.room.hold(piece.len());
        if has_room {
            self.bytes.extend_from_slice(piece);
        }
        has_room
    }

    /// All of it has come.
    pub fn finish(self) {
        let Some(answer) = WholeAnswer::reread(Bytes::from(self.bytes)) else {
            return;
        };
        if answer.result().is_some() {
            let said = (&answer, &self.asked);
            let call = (&*self.cache, &self.plan, &*self.params);
            keep((&self.fleet, None), call, said, clock::now());
        }
    }
}

/// Keeps an answer to a call that was planned so, with these params, where it may be kept. `asked`: its node,
/// as it was when it was asked. `as_of`: the fleet as it was then, where that is known. `now`: when that has answered.
pub(super) fn keep(
    (fleet, as_of): (&FleetState, Option<&Snapshot>),
    (cache, plan, params): (&AnswerCache, &CachePlan, &str),
    (answer, asked): (&WholeAnswer, &NodeView),
    now: Instant,
) {
    let Some(reply) = KeptReply::of(answer) else {
        return;
    };
    let terms = fleet.with_latest(as_of, |view| {
        keeping::terms(plan, params, &reply, AnswerMoment { asked, view, now })
    });
    match terms {
        Ok(terms) => {
            cache.keep(plan, &terms, answer, now);
            if let Some(stored) = &cache.stored {
                stored.offer((plan, params), (&terms, answer), (&asked.name, fleet));
            }
        }
        Err(NotKept::Other) => {
            if let Some(stored) = &cache.stored {
                stored.lose(&LostAnswers::Node(asked.name.to_string()));
            }
            if cache.lose(asked.id) {
                log::warn!(
                    "node {} answered of another block than it was asked for by hash: nothing of \
                     what it has said before such an answer is given again",
                    asked.name
                );
            }
        }
        Err(NotKept::Fleeting | NotKept::Unknown) => {}
    }
}

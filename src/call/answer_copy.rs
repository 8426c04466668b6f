//! A copy of an answer that is passed on as it comes: kept once its end has come, where it may be kept.

use std::sync::Arc;

use bytes::Bytes;

use crate::clock;
use crate::shared::answer_cache::{AnswerCache, GatheringRoom};
use crate::shared::fleet_state::FleetState;
use forebay_core::call::cache::CachePlan;
use forebay_core::call::cache::keeping::{self, AnswerMoment, KeptReply};
use forebay_core::fleet::node_view::NodeView;
use forebay_core::rpc::whole_answer::WholeAnswer;

/// What has come so far, with the caller's id in it.
pub struct AnswerCopy {
    pub pool: Arc<FleetState>,
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
        let Some(result) = answer.result() else {
            return;
        };
        let now = clock::now();
        let snapshot = self.pool.snapshot();
        let moment = AnswerMoment {
            asked: &self.asked,
            view: &snapshot.view,
            now,
        };
        let reply = KeptReply::Result(result);
        if let Ok(terms) = keeping::terms(&self.plan, &self.params, &reply, moment) {
            self.cache.keep(&self.plan, terms, &answer, now);
        }
    }
}

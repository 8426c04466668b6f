//! What an attempt brought: which of several things that hold of it decides what is done next.

use crate::call::retry::{ReplyAction, RetryPlanner};
use crate::rpc::classify::Verdict;
use crate::vocabulary::node::NodeId;

/// What a whole answer is taken for: the first of these that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerReading {
    /// Its node has overlooked the block that we wrote in a tag's place, or it is of before that block.
    CameToNothing,
    /// It is of another branch than clients were told.
    Stray,
    /// It is a `null`, or as good as one, where another node may know more.
    DoubtfulNull,
    /// It means what its verdict says.
    Plain,
}

impl AnswerReading {
    /// By what holds of it.
    #[inline]
    pub fn of(came_to_nothing: bool, is_stray: bool, is_doubtful: bool) -> AnswerReading {
        match (came_to_nothing, is_stray, is_doubtful) {
            (true, _, _) => AnswerReading::CameToNothing,
            (false, true, _) => AnswerReading::Stray,
            (false, false, true) => AnswerReading::DoubtfulNull,
            (false, false, false) => AnswerReading::Plain,
        }
    }
}

impl RetryPlanner<'_> {
    /// Hears that an attempt at `node` brought no answer. `was_silent`: the node answered no other call either.
    pub fn hear_unanswered(
        &mut self,
        node: NodeId,
        verdict: Verdict,
        was_silent: bool,
    ) -> ReplyAction {
        if was_silent {
            self.hear_silence(verdict)
        } else if verdict.overload.is_some() {
            self.hear_overload(node, verdict)
        } else {
            self.hear(verdict, false)
        }
    }
}

//! What an attempt says of its node, for the calls that follow.

use super::{Content, Errand};
use crate::domain::chain::BlockNumber;
use crate::domain::fleet::NodeView;
use crate::domain::seen;
use crate::domain::verdict::{Class, Missing, Verdict};

impl Errand<'_> {
    /// What an answer says of its node: which block it has, which data or method it lacks. What a
    /// client is told is the least that it is shown from now on.
    pub(super) fn learn(&mut self, verdict: Verdict, node: &NodeView, content: &Content<'_>) {
        let pool = &self.engine.pool;
        match verdict.class {
            Class::Ok => {
                if let Some(head) = self.told(content) {
                    pool.see(node.id, head);
                }
            }
            Class::Unsupported => pool.learn_lack(node.id, &self.call.method),
            Class::MissingData => {
                let missing = verdict.missing().unwrap_or(Missing::Unsaid);
                if let Some(lost) = self.journey.miss(node, missing) {
                    pool.learn_depth(node.id, lost);
                }
            }
            Class::RpcError
            | Class::Throttled
            | Class::Shut
            | Class::NodeTimeout
            | Class::Timeout
            | Class::NoConnection
            | Class::Transport
            | Class::BadAnswer
            | Class::Unknown
            | Class::Cancelled => {}
        }
    }

    /// The block that the client is told of.
    fn told(&self, content: &Content<'_>) -> Option<BlockNumber> {
        if !seen::tells(&self.call.method, self.call.params) {
            return None;
        }
        match content {
            Content::Whole(answer, _) => answer.result().and_then(seen::block_told),
            Content::Large(large) => large.result_start().and_then(seen::block_told),
            Content::Nothing | Content::TooLarge => None,
        }
    }
}

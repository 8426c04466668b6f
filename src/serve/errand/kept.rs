//! A node's answer that its call may end with.

use std::sync::Arc;

use crate::domain::filter::{self, Part};
use crate::domain::jsonrpc::Call;
use crate::domain::refusal::Refusal;
use crate::domain::whole::Whole;
use crate::serve::engine::Reply;
use crate::state::room::Held;

pub(super) struct Kept<'a> {
    pub answer: Whole,
    /// Of the request's room; given back when another answer goes to the client.
    pub held: Held<'a>,
    pub node: Arc<str>,
}

impl Kept<'_> {
    /// Of two that were to confirm each other: `null` says nothing beside something.
    pub fn says_more_than(&self, other: &Kept<'_>) -> bool {
        let found = self.answer.result().is_some_and(|result| result != b"null");
        found && other.answer.result() == Some(b"null")
    }

    /// What the client gets. A new filter's id says which node has the filter.
    pub fn reply(self, call: &Call<'_>) -> Reply {
        self.held.keep();
        let is_new = filter::part_of(&call.method) == Some(Part::Making);
        let own = self.answer.result().filter(|_| is_new);
        let own = own.and_then(|own| std::str::from_utf8(own).ok());
        match own.map(|own| filter::wrap(&call.method, &self.node, own)) {
            None => Reply::Whole(self.answer),
            Some(Some(id)) => Reply::with_result(call, &id),
            Some(None) => Reply::Refused(Refusal::BadAnswer),
        }
    }
}

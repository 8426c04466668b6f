//! A node's answer that its call may end with.

use std::sync::Arc;

use crate::call::answer::CallReply;
use crate::shared::answer_budget::AnswerReservation;
use forebay_core::call::filter::{self, FilterUse};
use forebay_core::rpc::envelope::Call;
use forebay_core::rpc::refusal::Refusal;
use forebay_core::rpc::whole_answer::WholeAnswer;

pub(super) struct BestAnswer<'a> {
    pub answer: WholeAnswer,
    /// Of the request's room; given back when another answer goes to the client.
    pub held: AnswerReservation<'a>,
    pub node: Arc<str>,
}

impl BestAnswer<'_> {
    /// What the client gets. A new filter's id says which node has the filter.
    pub(super) fn reply(self, call: &Call<'_>) -> CallReply {
        self.held.keep();
        let is_new = filter::part_of(&call.method) == Some(FilterUse::Making);
        let own = self.answer.result().filter(|_| is_new);
        let own = own.and_then(|own| std::str::from_utf8(own).ok());
        match own.map(|own| filter::wrap(&call.method, &self.node, own)) {
            None => CallReply::Whole(self.answer),
            Some(Some(id)) => CallReply::with_result(call, &id),
            Some(None) => CallReply::Refused(Refusal::BadAnswer),
        }
    }
}

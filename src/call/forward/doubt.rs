//! What an answer means of this very call: a refusal may be the caller's own fault, or the node's.

use std::time::Instant;

use crate::call::forward::{AttemptContent, ForwardedCall};
use crate::clock;
use forebay_core::call::disputes::DisputeSubject;
use forebay_core::fleet::node_view::NodeView;
use forebay_core::rpc::answer::RpcError;
use forebay_core::rpc::classify::{AttemptClass, Meaning, Verdict};

impl ForwardedCall<'_> {
    /// A node answered well. A node that refused the call before, in words that might have been about the
    /// caller, lacks the method.
    pub(super) fn hear_well(&mut self, node: &NodeView, now: Instant) {
        let method = &self.call.method;
        node.unsupported.hear_well(method, now);
        if let Some(breadth) = &self.breadth {
            node.limits.hear_well(method, breadth);
        }
        for id in self.refusals.take() {
            self.state.fleet.learn_lack(id, method);
        }
    }

    /// What `verdict` means of this call at `node`.
    pub(super) fn weigh(
        &mut self,
        verdict: Verdict,
        node: &NodeView,
        content: &AttemptContent<'_>,
    ) -> Verdict {
        let verdict = self.retry.weigh(verdict, node);
        let Some(answer) = content.whole() else {
            return verdict;
        };
        let is_null = || answer.result() == Some(b"null");
        if verdict.class == AttemptClass::Ok && self.plan().is_never_null && is_null() {
            return Meaning::NoResult.into();
        }
        if verdict.meaning != Some(Meaning::Doubtful) || !self.plan().treatment.is_read() {
            return verdict;
        }
        match answer.error() {
            Some(error) => self.doubt(verdict, node, &error),
            None => verdict,
        }
    }

    /// A refusal that two nodes gave this caller alike is the caller's own.
    fn doubt(&mut self, verdict: Verdict, node: &NodeView, error: &RpcError<'_>) -> Verdict {
        let mut disputes = self.state.disputes.lock();
        let dispute = disputes.name(
            (self.context.client, DisputeSubject::Node),
            &self.call.method,
            error,
        );
        let is_callers = self
            .refusals
            .hear((node.id, dispute), &mut disputes, clock::now());
        if is_callers {
            Meaning::Invalid.into()
        } else {
            verdict
        }
    }
}

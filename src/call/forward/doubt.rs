//! What an answer means of this very call: a refusal may be the caller's own fault, or the node's.

use std::time::Instant;

use crate::call::forward::{AttemptContent, ForwardedCall};
use crate::clock;
use crate::shared::node_clients::Upstream;
use forebay_core::call::disputes::DisputeSubject;
use forebay_core::fleet::node_view::NodeView;
use forebay_core::rpc::answer::RpcError;
use forebay_core::rpc::classify::{AttemptClass, Meaning, Verdict};
use forebay_core::rpc::whole_answer::WholeAnswer;

impl ForwardedCall<'_> {
    /// A node answered well. A node that refused the call before, in words that might have been about the
    /// caller, lacks the method.
    pub(super) fn hear_well(&mut self, node: &NodeView, now: Instant) {
        let method = &self.call.method;
        node.hear_well(method, now);
        if let Some(breadth) = &self.breadth {
            node.hear_broad(method, breadth);
        }
        for (id, _) in self.doubted.drain(..) {
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
        let error = match verdict.meaning {
            Some(Meaning::Doubtful) if self.plan().treatment.is_read() => answer.error(),
            Some(_) | None => None,
        };
        match error {
            Some(error) => self.doubt(verdict, node, &error),
            None => verdict,
        }
    }

    /// A refusal that two nodes gave this caller alike is the caller's own.
    fn doubt(&mut self, verdict: Verdict, node: &NodeView, error: &RpcError<'_>) -> Verdict {
        let now = clock::now();
        let mut disputes = self.state.disputes();
        let dispute = disputes.name(
            (self.context.client, DisputeSubject::Node),
            &self.call.method,
            error,
        );
        if self.doubted.iter().any(|(_, doubted)| *doubted == dispute) {
            disputes.settle(dispute, now);
        }
        self.doubted.push((node.id, dispute));
        if disputes.is_settled(dispute, now) {
            Meaning::Invalid.into()
        } else {
            verdict
        }
    }

    /// A node's error, without what no client may see.
    pub(super) fn masked(
        &self,
        answer: WholeAnswer,
        verdict: Verdict,
        upstream: &Upstream,
    ) -> WholeAnswer {
        let answer = answer.masked(|bytes| upstream.redacted(bytes));
        if verdict.meaning == Some(Meaning::Execution) {
            // All of it is a contract's, or the EVM's.
            return answer;
        }
        answer.without_urls(self.call.params())
    }
}

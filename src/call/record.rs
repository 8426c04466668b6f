//! The record of a call: its count, its line in the log and its span, begun once and ended once.

use std::time::Instant;

use bytes::Bytes;

use crate::call::answer::{CallReply, ServedAnswer};
use crate::call::context::{CallContext, CallState};
use crate::clock;
use crate::observe::access_log::AccessLogEntry;
use crate::observe::metrics::{CallOutcome, MethodMetrics};
use crate::observe::spans::CallSpan;
use forebay_core::fleet::failure_rate::FailureRate;
use forebay_core::method::MethodIndex;
use forebay_core::rpc::envelope::Call;

/// What is kept of a call. Dropped before its end, its caller has left.
pub(crate) struct CallRecord<'a> {
    count: CallCount<'a>,
    entry: Option<AccessLogEntry>,
    span: Option<CallSpan>,
}

/// Counts a call once, also when its caller leaves before the end.
struct CallCount<'a> {
    method: &'a MethodMetrics,
    failing: &'a FailureRate,
    began_at: Instant,
    outcome: CallOutcome,
}

impl<'a> CallRecord<'a> {
    /// Begins the record of `call`, of `row`; and the context in which its attempts belong to it.
    pub(crate) fn begin<'c>(
        state: &'a CallState,
        call: &Call<'_>,
        row: MethodIndex,
        context: CallContext<'c>,
    ) -> (CallRecord<'a>, CallContext<'c>) {
        let record = CallRecord {
            count: CallCount {
                method: state.metrics.method(row),
                failing: &state.fleet.failing,
                began_at: clock::now(),
                outcome: CallOutcome::Cancelled,
            },
            entry: context.request_context.entry(&call.method),
            span: CallSpan::begin(
                context.request_context.trace.as_ref(),
                row,
                &state.fleet.chain,
            ),
        };
        let context = context.traced(record.span.as_ref(), row);
        (record, context)
    }

    /// Ends it by what came of the call. The line of an answer that is passed on as it comes goes with
    /// that.
    pub(crate) fn end(mut self, served: &mut ServedAnswer, call: &Call<'_>) {
        let outcome = served.outcome;
        self.count.outcome = outcome;
        if self.span.is_none() && self.entry.is_none() {
            return;
        }
        let code = match &served.answer {
            CallReply::Here(_) | CallReply::Large(_) | CallReply::Several(..) => None,
            CallReply::Whole(answer) => answer.error().map(|error| error.code),
            CallReply::Refused(why) => Some(why.code().into()),
        };
        if let Some(span) = self.span {
            span.end((outcome, code), served.node.clone(), served.attempts);
        }
        let Some(mut entry) = self.entry else { return };
        entry.served_by(served.node.clone(), served.attempts);
        entry.failed = served.failed.clone();
        let bytes = match &mut served.answer {
            CallReply::Here(answer) => answer.len(),
            CallReply::Several(pieces, _) => pieces.iter().map(Bytes::len).sum(),
            CallReply::Whole(answer) => call.id.map_or(0, |id| answer.bytes_with(id)),
            CallReply::Refused(why) => why.body(call.id).len(),
            CallReply::Large(large) => {
                large.entry = Some(Box::new(entry));
                return;
            }
        };
        entry.ended(outcome, code);
        entry.sent(bytes);
    }
}

impl Drop for CallCount<'_> {
    fn drop(&mut self) {
        let now = clock::now();
        let took = now.saturating_duration_since(self.began_at);
        self.method.called(self.outcome, took);
        match self.outcome {
            CallOutcome::Ok | CallOutcome::RpcError => self.failing.hear(false, now),
            CallOutcome::Failed => self.failing.hear(true, now),
            // What no node can answer says nothing of the nodes.
            CallOutcome::Refused | CallOutcome::Unanswerable | CallOutcome::Cancelled => {}
        }
    }
}

//! Where a request comes from: its request id, its trace, and the lines that its calls get in the
//! log, where the operator wants them.

use std::sync::Arc;
use std::time::Instant;

use crate::call::trail::{RequestTrail, TrailContext};
use crate::observe::access_log::{AccessLogEntry, CallOrigin};
use crate::observe::metrics::CallOutcome;
use forebay_core::call::trail::AttemptKind;
use forebay_core::rpc::refusal::Refusal;
use forebay_core::wire::trace::TraceParent;

/// Where a request comes from.
#[derive(Clone, Debug)]
pub struct RequestContext {
    /// As the client sent it.
    pub trace: Option<TraceParent>,
    /// Where the client is told of its attempts.
    pub trail: Option<Arc<RequestTrail>>,
    /// `None` where calls get no lines.
    client: Option<Arc<CallOrigin>>,
}

impl RequestContext {
    /// `client`: the client whose calls get lines in the log.
    pub fn new(
        trace: Option<TraceParent>,
        trail: Option<Arc<RequestTrail>>,
        client: Option<CallOrigin>,
    ) -> RequestContext {
        let client = client.map(Arc::new);
        RequestContext {
            trace,
            trail,
            client,
        }
    }

    /// Of no client in particular.
    #[cfg(test)]
    pub fn unknown() -> RequestContext {
        RequestContext::new(None, None, None)
    }

    /// Of the same client's next request over its socket.
    pub fn next(&self, arrived_at: Instant) -> RequestContext {
        let client = self.client.as_ref().map(|client| {
            let client = CallOrigin {
                arrived_at,
                ..CallOrigin::clone(client)
            };
            Arc::new(client)
        });
        RequestContext {
            trace: self.trace,
            trail: None,
            client,
        }
    }

    /// The same, for attempts that may outlive the call.
    pub fn part(&self, kind: AttemptKind) -> Option<(Arc<RequestTrail>, AttemptKind)> {
        let trail = self.trail.as_ref()?;
        Some((trail.clone(), kind))
    }

    /// What an attempt of `kind` is made for, where the client is told of it.
    pub fn follow(&self, kind: AttemptKind) -> Option<TrailContext<'_>> {
        let trail = self.trail.as_ref()?;
        Some(TrailContext { trail, kind })
    }

    /// The line of a call, where there are lines.
    pub fn entry(&self, method: &str) -> Option<AccessLogEntry> {
        let client = self.client.as_ref()?;
        Some(AccessLogEntry::begin(client, method))
    }

    /// A request in which no call could be read was refused.
    pub fn refused(&self, why: &Refusal) {
        if let Some(mut entry) = self.entry("") {
            entry.ended(CallOutcome::Refused, Some(why.code().into()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_lines_a_call_has_no_entry() {
        let request_context = RequestContext::unknown();
        assert!(request_context.entry("eth_call").is_none());
    }
}

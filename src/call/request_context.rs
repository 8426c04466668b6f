//! Where a packet comes from: its request id, its trace, and the lines that its calls get in the
//! log, where the operator wants them.
//!
//! Where no lines are wanted this costs two looks at the headers, and no memory.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use super::policy::Policy;
use crate::call::trail::{RequestTrail, TrailContext};
use crate::client::downstream::Downstream;
use crate::client::request_head::RequestHead;
use crate::clock;
use crate::observe::access_log::{AccessLogEntry, CallOrigin};
use crate::observe::metrics::CallOutcome;
use forebay_core::call::trail::AttemptKind;
use forebay_core::rpc::refusal::Refusal;
use forebay_core::vocabulary::chain::ChainName;
use forebay_core::wire::forwarded;
use forebay_core::wire::trace::{self, TraceParent};

/// Where a packet comes from.
#[derive(Clone, Debug)]
pub struct RequestContext {
    /// As the client sent it.
    pub trace: Option<TraceParent>,
    /// Where the client is told of its attempts.
    pub path: Option<Arc<RequestTrail>>,
    /// `None` where calls get no lines.
    client: Option<Arc<CallOrigin>>,
}

impl RequestContext {
    /// Reads it off the request of the client at `address`. A request without a usable id is given
    /// one where there are lines.
    pub fn of(
        caller: &mut impl Downstream,
        policy: &Policy,
        address: Option<IpAddr>,
        arrived_at: Instant,
        chain: &ChainName,
    ) -> RequestContext {
        let client = policy.log_calls.map(|share| {
            Arc::new(CallOrigin {
                chain: chain.clone(),
                share,
                request_id: named(caller),
                address,
                arrived_at,
            })
        });
        let asked = caller.asked();
        RequestContext {
            trace: asked.trace(),
            path: path(asked, policy, address),
            client,
        }
    }

    /// Of a socket, as its opening handshake says it.
    pub fn of_socket(
        asked: &RequestHead,
        share: Option<f64>,
        address: Option<IpAddr>,
        opened_at: Instant,
        chain: &ChainName,
    ) -> RequestContext {
        let request_id = || {
            let given = asked.request_id.clone();
            given.unwrap_or_else(|| trace::new_request_id([clock::roll(), clock::roll()]))
        };
        let client = share.map(|share| {
            Arc::new(CallOrigin {
                chain: chain.clone(),
                share,
                request_id: request_id(),
                address,
                arrived_at: opened_at,
            })
        });
        RequestContext {
            trace: asked.trace(),
            path: None,
            client,
        }
    }

    /// Of nobody in particular.
    #[cfg(test)]
    pub fn unknown() -> RequestContext {
        RequestContext {
            trace: None,
            path: None,
            client: None,
        }
    }

    /// Of the same client's next packet over its socket.
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
            path: None,
            client,
        }
    }

    /// The same, for attempts that may outlive the call.
    pub fn part(&self, kind: AttemptKind) -> Option<(Arc<RequestTrail>, AttemptKind)> {
        let path = self.path.as_ref()?;
        Some((path.clone(), kind))
    }

    /// What an attempt of `kind` is made for, where the client is told of it.
    pub fn follow(&self, kind: AttemptKind) -> Option<TrailContext<'_>> {
        let path = self.path.as_ref()?;
        Some(TrailContext { path, kind })
    }

    /// The line of a call, where there are lines.
    pub fn entry(&self, method: &str) -> Option<AccessLogEntry> {
        let client = self.client.as_ref()?;
        Some(AccessLogEntry::begin(client, method))
    }

    /// A packet in which no call could be read was refused.
    pub fn refused(&self, why: &Refusal) {
        if let Some(mut entry) = self.entry("") {
            entry.ended(CallOutcome::Refused, Some(why.code().into()));
        }
    }
}

/// Where the client asks to be told of its attempts, and may be.
fn path(
    asked: &RequestHead,
    policy: &Policy,
    address: Option<IpAddr>,
) -> Option<Arc<RequestTrail>> {
    let is_told = asked.wants_trail && forwarded::has(&policy.trail_for, address?);
    is_told.then(Arc::default)
}

/// The request's id, after it was given one if it has none.
fn named(caller: &mut impl Downstream) -> String {
    if let Some(id) = &caller.asked().request_id {
        return id.clone();
    }
    let id = trace::new_request_id([clock::roll(), clock::roll()]);
    // From here the answer's head takes it.
    caller.name(id.clone());
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_lines_a_call_has_no_entry() {
        let origin = RequestContext::unknown();
        assert!(origin.entry("eth_call").is_none());
    }
}

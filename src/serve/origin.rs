//! Where a packet comes from: its request id, its trace, and the lines that its calls get in the
//! log, where the operator wants them.
//!
//! Where no lines are wanted this costs two looks at the headers, and no memory.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, HeaderName, HeaderValue};
use pingora::proxy::Session;

use super::engine::{Reply, Served};
use super::policy::Policy;
use crate::clock;
use crate::domain::forwarded::TrustedProxies;
use crate::domain::jsonrpc::Call;
use crate::domain::refusal::Refusal;
use crate::domain::trace::{self, TraceParent};
use crate::telemetry::calls::{Client, Entry};
use crate::telemetry::metrics::CallOutcome;
use crate::telemetry::spans::CallSpan;

pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");

/// Where a packet comes from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// As the client sent it.
    pub trace: Option<TraceParent>,
    /// `None` where calls get no lines.
    client: Option<Arc<Client>>,
}

impl Origin {
    /// Reads it off the request of the client at `address`. A request without a usable id is given
    /// one where there are lines.
    pub fn of(
        session: &mut Session,
        policy: &Policy,
        address: Option<IpAddr>,
        arrived_at: Instant,
    ) -> Origin {
        let trace = trace_of(&session.req_header().headers);
        let client = policy.log_calls.map(|share| {
            Arc::new(Client {
                share,
                request_id: named(session),
                address,
                arrived_at,
            })
        });
        Origin { trace, client }
    }

    /// The line of a call, where there are lines.
    pub fn entry(&self, method: &str) -> Option<Entry> {
        let client = self.client.as_ref()?;
        Some(Entry::begin(client, method))
    }

    /// A packet in which no call could be read was refused.
    pub fn refused(&self, why: &Refusal) {
        if let Some(mut entry) = self.entry("") {
            entry.ended(CallOutcome::Refused, Some(why.code().into()));
        }
    }
}

/// The client's address: its peer's, or what trusted proxies say of it. `None`: the peer has none.
pub fn client_address(session: &Session, policy: &Policy) -> Option<IpAddr> {
    let peer = session.client_addr().and_then(|peer| peer.as_inet())?.ip();
    let headers = &session.req_header().headers;
    Some(forwarded(&policy.proxies, peer, headers))
}

/// The client's address as `peer` tells it, if it is to be believed.
pub fn forwarded(proxies: &TrustedProxies, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let values = headers.get_all(FORWARDED_FOR).iter();
    proxies.client(peer, values.map(HeaderValue::as_bytes))
}

/// The request's id, after it was given one if it has none.
fn named(session: &mut Session) -> String {
    if let Some(id) = request_id(&session.req_header().headers)
        && let Ok(id) = id.to_str()
    {
        return id.to_string();
    }
    let id = trace::new_request_id([clock::roll(), clock::roll()]);
    // From here the answer's head takes it. It can't fail: the value is plain.
    drop(session.req_header_mut().insert_header(REQUEST_ID, &id));
    id
}

/// The client's id for the request, if it is a usable one.
pub fn request_id(headers: &HeaderMap) -> Option<&HeaderValue> {
    let value = headers.get(REQUEST_ID)?;
    trace::request_id(value.as_bytes()).map(|_| value)
}

/// More than one is none (Trace Context §3.2).
fn trace_of(headers: &HeaderMap) -> Option<TraceParent> {
    let mut values = headers.get_all(TRACE_PARENT).iter();
    let value = values.next()?;
    let is_only = values.next().is_none();
    TraceParent::read(value.as_bytes()).filter(|_| is_only)
}

/// Ends a call's span by what came of it.
pub fn end_span(span: CallSpan, served: &Served, outcome: CallOutcome) {
    let span = span.end(outcome, served.node.clone(), served.attempts);
    span.with_code(match &served.answer {
        Reply::Here(_) | Reply::Large(_) => None,
        Reply::Whole(answer) => answer.error().map(|error| error.code),
        Reply::Refused(why) => Some(why.code().into()),
    });
}

/// Writes down what came of a call. The line of one that is passed on as it comes goes with it.
pub fn settle(mut entry: Entry, served: &mut Served, call: &Call<'_>, outcome: CallOutcome) {
    entry.served_by(served.node.clone(), served.attempts);
    match &mut served.answer {
        Reply::Here(answer) => {
            entry.ended(outcome, None);
            entry.sent(answer.len());
        }
        Reply::Whole(answer) => {
            entry.ended(outcome, answer.error().map(|error| error.code));
            entry.sent(answer.bytes());
        }
        Reply::Refused(why) => {
            entry.ended(outcome, Some(why.code().into()));
            entry.sent(why.body(call.id).len());
        }
        Reply::Large(large) => large.entry = Some(Box::new(entry)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn one_valid_trace_is_passed_on_and_two_are_none() {
        let mut headers = HeaderMap::new();
        assert_eq!(trace_of(&headers), None);
        headers.append(TRACE_PARENT, HeaderValue::from_static(TRACE));
        assert_eq!(trace_of(&headers), TraceParent::read(TRACE.as_bytes()));
        headers.append(TRACE_PARENT, HeaderValue::from_static(TRACE));
        assert_eq!(trace_of(&headers), None);
    }

    #[test]
    fn without_lines_a_call_has_no_entry() {
        let origin = Origin {
            trace: None,
            client: None,
        };
        assert!(origin.entry("eth_call").is_none());
    }
}

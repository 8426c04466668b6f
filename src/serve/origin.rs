//! Where a packet comes from: its request id, its trace, and the lines that its calls get in the
//! log, where the operator wants them.
//!
//! Where no lines are wanted this costs two looks at the headers, and no memory.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use super::asked::Asked;
use super::caller::Caller;
use super::engine::{Reply, Served};
use super::policy::Policy;
use super::trail::{Following, Path};
use crate::clock;
use crate::domain::forwarded;
use crate::domain::jsonrpc::Call;
use crate::domain::refusal::Refusal;
use crate::domain::trace::{self, TraceParent};
use crate::domain::trail::Kind;
use crate::telemetry::calls::{Client, Entry};
use crate::telemetry::metrics::CallOutcome;
use crate::telemetry::spans::CallSpan;

/// Where a packet comes from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// As the client sent it.
    pub trace: Option<TraceParent>,
    /// Where the client is told of its attempts.
    pub path: Option<Arc<Path>>,
    /// `None` where calls get no lines.
    client: Option<Arc<Client>>,
}

impl Origin {
    /// Reads it off the request of the client at `address`. A request without a usable id is given
    /// one where there are lines.
    pub fn of(
        caller: &mut impl Caller,
        policy: &Policy,
        address: Option<IpAddr>,
        arrived_at: Instant,
    ) -> Origin {
        let client = policy.log_calls.map(|share| {
            Arc::new(Client {
                share,
                request_id: named(caller),
                address,
                arrived_at,
            })
        });
        let asked = caller.asked();
        Origin {
            trace: asked.trace(),
            path: path(asked, policy, address),
            client,
        }
    }

    /// Of a socket, as its opening handshake says it.
    pub fn of_socket(
        asked: &Asked,
        share: Option<f64>,
        address: Option<IpAddr>,
        opened_at: Instant,
    ) -> Origin {
        let request_id = || {
            let given = asked.request_id.clone();
            given.unwrap_or_else(|| trace::new_request_id([clock::roll(), clock::roll()]))
        };
        let client = share.map(|share| {
            Arc::new(Client {
                share,
                request_id: request_id(),
                address,
                arrived_at: opened_at,
            })
        });
        Origin {
            trace: asked.trace(),
            path: None,
            client,
        }
    }

    /// Of nobody in particular.
    #[cfg(test)]
    pub fn unknown() -> Origin {
        Origin {
            trace: None,
            path: None,
            client: None,
        }
    }

    /// Of the same client's next packet over its socket.
    pub fn next(&self, arrived_at: Instant) -> Origin {
        let client = self.client.as_ref().map(|client| {
            let client = Client {
                arrived_at,
                ..Client::clone(client)
            };
            Arc::new(client)
        });
        Origin {
            trace: self.trace,
            path: None,
            client,
        }
    }

    /// The same, for attempts that may outlive the call.
    pub fn part(&self, kind: Kind) -> Option<(Arc<Path>, Kind)> {
        let path = self.path.as_ref()?;
        Some((path.clone(), kind))
    }

    /// What an attempt of `kind` is made for, where the client is told of it.
    pub fn follow(&self, kind: Kind) -> Option<Following<'_>> {
        let path = self.path.as_ref()?;
        Some(Following { path, kind })
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

/// Where the client asks to be told of its attempts, and may be.
fn path(asked: &Asked, policy: &Policy, address: Option<IpAddr>) -> Option<Arc<Path>> {
    let is_told = asked.wants_trail && forwarded::has(&policy.trail_for, address?);
    is_told.then(Arc::default)
}

/// The request's id, after it was given one if it has none.
fn named(caller: &mut impl Caller) -> String {
    if let Some(id) = &caller.asked().request_id {
        return id.clone();
    }
    let id = trace::new_request_id([clock::roll(), clock::roll()]);
    // From here the answer's head takes it.
    caller.name(id.clone());
    id
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
    entry.failed = served.failed.clone();
    match &mut served.answer {
        Reply::Here(answer) => {
            entry.ended(outcome, None);
            entry.sent(answer.len());
        }
        Reply::Whole(answer) => {
            entry.ended(outcome, answer.error().map(|error| error.code));
            entry.sent(call.id.map_or(0, |id| answer.bytes_with(id)));
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

    #[test]
    fn without_lines_a_call_has_no_entry() {
        let origin = Origin::unknown();
        assert!(origin.entry("eth_call").is_none());
    }
}

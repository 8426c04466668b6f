//! Where a request or socket comes from (its [`RequestContext`]), read off its head.
//!
//! Where no lines are wanted in the log this costs two looks at the headers, and no memory.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::call::policy::Policy;
use crate::call::request_context::RequestContext;
use crate::call::trail::RequestTrail;
use crate::client::downstream::Downstream;
use crate::client::request_head::RequestHead;
use crate::clock;
use crate::observe::access_log::CallOrigin;
use forebay_core::vocabulary::chain::ChainName;
use forebay_core::wire::{forwarded, trace};

/// Of the request of the client at `address`. One without a usable id is given one where there are lines.
pub(super) fn of_request(
    downstream: &mut impl Downstream,
    policy: &Policy,
    address: Option<IpAddr>,
    arrived_at: Instant,
    chain: &ChainName,
) -> RequestContext {
    let client = policy.settings.log.calls.map(|share| CallOrigin {
        chain: chain.clone(),
        share,
        request_id: request_id(downstream),
        address,
        arrived_at,
    });
    let head = downstream.head();
    RequestContext::new(head.trace(), trail(head, policy, address), client)
}

/// Of a socket, as its opening handshake says it.
pub(super) fn of_socket(
    head: &RequestHead,
    share: Option<f64>,
    address: Option<IpAddr>,
    opened_at: Instant,
    chain: &ChainName,
) -> RequestContext {
    let given = || head.request_id.clone().unwrap_or_else(new_request_id);
    let client = share.map(|share| CallOrigin {
        chain: chain.clone(),
        share,
        request_id: given(),
        address,
        arrived_at: opened_at,
    });
    RequestContext::new(head.trace(), None, client)
}

/// Where the client asks to be told of its attempts, and may be.
fn trail(
    head: &RequestHead,
    policy: &Policy,
    address: Option<IpAddr>,
) -> Option<Arc<RequestTrail>> {
    let is_told = head.wants_trail && forwarded::has(&policy.settings.listen.trail_for, address?);
    is_told.then(Arc::default)
}

/// The request's id, after it was given one if it has none.
fn request_id(downstream: &mut impl Downstream) -> String {
    if let Some(id) = &downstream.head().request_id {
        return id.clone();
    }
    let id = new_request_id();
    // From here the answer's head takes it.
    downstream.name(id.clone());
    id
}

fn new_request_id() -> String {
    trace::new_request_id([clock::roll(), clock::roll()])
}

//! What is answered to requests that are no calls, or calls of no chain that there is.

use crate::call::chains::Chains;
use crate::call::context::CallState;
use crate::client::health;
use crate::client::request_head::{RequestHead, RequestKind};
use crate::client::response::{ClientResponse, JSON, TEXT};
use forebay_core::rpc::refusal::Refusal;
use forebay_core::wire::chain_path::ChainKey;

pub const GREETING: &str =
    "Forebay: an Ethereum JSON-RPC endpoint. POST JSON-RPC 2.0 here, or open a WebSocket.\n";

/// To a client that asks for a WebSocket without `Upgrade` and `Connection`: a proxy in between took them.
const NO_UPGRADE: &str = "A WebSocket wants `Upgrade: websocket` and `Connection: Upgrade`: does a proxy pass them on?\n";

/// Where there is one chain alone.
const NOWHERE: &str = "not here: POST to / or /rpc\n";

/// The response to the request with `head`, which is for the chain that was `found`, if any.
pub fn response<'a>(
    (chains, is_leaving): (&Chains, bool),
    head: &RequestHead,
    found: Result<&CallState, &Refusal>,
) -> ClientResponse<'a> {
    match (head.kind, found) {
        (RequestKind::Health, _) if *head.chain() == ChainKey::Root => {
            let (status, body) = health::report_all(chains, is_leaving);
            ClientResponse::text(status, JSON, body)
        }
        (RequestKind::Preflight, _) => ClientResponse::nothing().preflight(),
        (RequestKind::NotFound, _) => nowhere(chains),
        // Each chain is told of by its own path.
        (RequestKind::Greeting, _) if *head.chain() == ChainKey::Root => greeting(chains),
        (_, Err(Refusal::ChainUnknown { .. })) if chains.now().is_alone() => nowhere(chains),
        (RequestKind::Call, Err(why)) => ClientResponse::refusal(why, None).served_by("local", 0),
        (_, Err(why)) => {
            let status = match why.status() {
                200 => 404,
                status => status,
            };
            ClientResponse::text(status, TEXT, format!("{}\n", why.sentence()))
        }
        (RequestKind::Health, Ok(state)) => {
            let (status, body) = health::report_of(state, is_leaving);
            ClientResponse::text(status, JSON, body)
        }
        (RequestKind::Call | RequestKind::Greeting, Ok(_)) => {
            ClientResponse::text(200, TEXT, GREETING)
        }
        (RequestKind::Upgrade, Ok(_)) => ClientResponse::text(426, TEXT, NO_UPGRADE),
        (RequestKind::MethodNotAllowed, Ok(_)) => {
            ClientResponse::text(405, TEXT, "POST JSON-RPC here\n")
                .allowing("POST, GET, HEAD, OPTIONS")
        }
    }
}

/// To a path that can't be a chain's.
fn nowhere<'a>(chains: &Chains) -> ClientResponse<'a> {
    let present = chains.now();
    match present.is_alone() {
        true => ClientResponse::text(404, TEXT, NOWHERE),
        false => {
            let told = format!("not here: POST to one of {}\n", present.paths());
            ClientResponse::text(404, TEXT, told)
        }
    }
}

fn greeting<'a>(chains: &Chains) -> ClientResponse<'a> {
    let present = chains.now();
    match present.is_alone() {
        true => ClientResponse::text(200, TEXT, GREETING),
        false => {
            let told = format!("{GREETING}Its chains: {}\n", present.paths());
            ClientResponse::text(200, TEXT, told)
        }
    }
}

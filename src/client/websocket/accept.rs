//! A connection becomes a socket, or its client is told why not (RFC 6455 §4.2.2).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::HOST;
use http::{Request, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use super::handshake::{Handshake, VERSION};
use crate::call::context::CallState;
use crate::client::endpoint::Endpoint;
use crate::client::request_context;
use crate::client::request_head::RequestHead;
use crate::client::response::{TEXT, retry_after};
use crate::client::websocket::handshake::HandshakeRefusal;
use crate::client::websocket::session::{Peer, WebsocketSession};
use crate::clock;
use crate::shared::chain_connection::ChainConnection;
use crate::shared::sockets::{SocketPlace, SocketShortage};

/// The client may take this long to take our answer.
const WRITE_TIME_MAX: Duration = Duration::from_secs(10);
const SWITCHING: u16 = 101;

/// Takes a connection over. `request` asked for it, `stream` begins with what
/// was read behind it; the connection ends with this.
pub async fn take<S: AsyncRead + AsyncWrite + Unpin + Send>(
    mut stream: S,
    request: Request<()>,
    address: Option<IpAddr>,
    endpoint: &Endpoint,
) {
    let (accept, state, peer) = match judge(&request, address, endpoint) {
        Ok(judged) => judged,
        Err(why) => return deny(&mut stream, why, endpoint).await,
    };
    drop(request);
    let mut place = None;
    if !ChainConnection::settle(&mut place, &state.admission) {
        return deny(&mut stream, HandshakeRefusal::Process, endpoint).await;
    }
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    if answered(&mut stream, SWITCHING, &answer, endpoint).await {
        let session = Box::pin(WebsocketSession::new(state, stream, peer)).await;
        session.run().await;
    }
}

fn judge(
    request: &Request<()>,
    address: Option<IpAddr>,
    endpoint: &Endpoint,
) -> Result<(String, Arc<CallState>, Peer), HandshakeRefusal> {
    let mut head = RequestHead::new("GET", request.uri().path());
    head.address = address;
    let mut handshake = Handshake::default();
    for (name, value) in request.headers() {
        if name == HOST {
            head.note_host(value.as_bytes());
        }
        head.note(name.as_str(), value.as_bytes());
        handshake.note(name.as_str(), value.as_bytes());
    }
    // In absolute form the target says the host (RFC 9112 §3.2.2).
    if let Some(authority) = request.uri().authority() {
        head.note_host(authority.as_str().as_bytes());
    }
    let accept = handshake.accept()?;
    let found = endpoint.chains.find(head.chain(), head.host());
    let state = found.map_err(HandshakeRefusal::Chain)?;
    let policy = state.policy.load();
    // A client that names no origin is no web page.
    if head.origin.is_some() && policy.origins.allowed(head.origin.as_deref()).is_none() {
        return Err(HandshakeRefusal::Origin);
    }
    // Behind a trusted proxy, the client's own.
    let address = head.client_address(&policy.proxies);
    let peer = Peer {
        place: place(&state, address)?,
        client: state.recent_writes.client(head.client.as_deref(), address),
        caller: state.admission.caller(address),
        request_context: request_context::of_socket(
            &head,
            policy.settings.log.calls,
            address,
            clock::now(),
            &state.fleet.chain,
        ),
    };
    drop(policy);
    Ok((accept, state, peer))
}

fn place(state: &CallState, address: Option<IpAddr>) -> Result<SocketPlace, HandshakeRefusal> {
    // After a hand-over it lives here until the process ends, as those that were open before.
    if state.admission.is_leaving() {
        return Err(HandshakeRefusal::Closing);
    }
    let place = state.sockets.admit(address);
    place.map_err(|full| match full {
        SocketShortage::Process => HandshakeRefusal::Process,
        SocketShortage::Address => HandshakeRefusal::Address,
    })
}

async fn deny<S: AsyncWrite + Unpin>(stream: &mut S, why: HandshakeRefusal, endpoint: &Endpoint) {
    let status = why.status();
    let reason = StatusCode::from_u16(status).ok();
    let reason = reason.and_then(|status| status.canonical_reason());
    let mut answer = format!(
        "HTTP/1.1 {status} {}\r\nContent-Type: {TEXT}\r\nContent-Length: {}\r\n",
        reason.unwrap_or_default(),
        why.sentence().len()
    );
    if let Some(seconds) = why.retry_after_seconds() {
        answer.push_str(&format!("Retry-After: {}\r\n", retry_after(seconds)));
    }
    match &why {
        // RFC 9110 §15.5.22 wants `Upgrade`, too.
        HandshakeRefusal::Version => answer.push_str(&format!(
            "Sec-WebSocket-Version: {VERSION}\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n"
        )),
        HandshakeRefusal::Malformed(_)
        | HandshakeRefusal::Origin
        | HandshakeRefusal::Process
        | HandshakeRefusal::Address
        | HandshakeRefusal::Closing
        | HandshakeRefusal::Chain(_) => answer.push_str("Connection: close\r\n"),
    }
    answer.push_str("\r\n");
    answer.push_str(&why.sentence());
    if answered(stream, status, &answer, endpoint).await {
        let _ = timeout(WRITE_TIME_MAX, stream.shutdown()).await;
    }
}

/// Writes the answer, and counts it; `false`: the client is gone.
async fn answered<S: AsyncWrite + Unpin>(
    stream: &mut S,
    status: u16,
    answer: &str,
    endpoint: &Endpoint,
) -> bool {
    let writing = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.flush().await
    };
    let written = timeout(WRITE_TIME_MAX, writing).await;
    let is_written = written.is_ok_and(|written| written.is_ok());
    if is_written {
        endpoint.metrics.http_response(status);
    }
    is_written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::replay::Replay;

    /// What a socket holds of its state, in bytes, beside what reads, tells and watches.
    const STATE_BYTES_MAX: usize = 2688;

    fn state_bytes<F>(
        _: impl FnOnce(Replay, Request<()>, Option<IpAddr>, &'static Endpoint) -> F,
    ) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_socket_holds_little() {
        let bytes = state_bytes(take);
        assert!(bytes <= STATE_BYTES_MAX, "{bytes}");
    }
}

//! A connection becomes a socket, or its client is told why not (RFC 6455 §4.2.2).

use std::net::IpAddr;
use std::time::Duration;

use http::{Request, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use super::handshake::{Denial, Handshake, VERSION};
use super::session::{Guest, Session};
use crate::clock;
use crate::serve::asked::Asked;
use crate::serve::endpoint::Endpoint;
use crate::serve::origin::Origin;
use crate::serve::outlet::{TEXT, retry_after};
use crate::state::sockets::{Full, Place};

/// The client may take this long to take our answer.
const WRITE_TIME_MAX: Duration = Duration::from_secs(10);
const SWITCHING: u16 = 101;

/// Takes a connection over. `head` is the request that asked for it, `stream` begins with what
/// was read behind it; the connection ends with this.
pub async fn take<S: AsyncRead + AsyncWrite + Unpin + Send>(
    mut stream: S,
    head: Request<()>,
    address: Option<IpAddr>,
    endpoint: &Endpoint,
) {
    let (accept, guest) = match judge(&head, address, endpoint) {
        Ok(judged) => judged,
        Err(why) => return deny(&mut stream, why, endpoint).await,
    };
    drop(head);
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    if answered(&mut stream, SWITCHING, &answer, endpoint).await {
        let session = Session::new(endpoint.engine.clone(), stream, guest).await;
        session.run().await;
    }
}

fn judge(
    head: &Request<()>,
    address: Option<IpAddr>,
    endpoint: &Endpoint,
) -> Result<(String, Guest), Denial> {
    let mut asked = Asked::default();
    asked.address = address;
    let mut handshake = Handshake::default();
    for (name, value) in head.headers() {
        asked.note(name.as_str(), value.as_bytes());
        handshake.note(name.as_str(), value.as_bytes());
    }
    let accept = handshake.accept()?;
    let engine = &endpoint.engine;
    let policy = engine.policy.load();
    // Whoever names no origin is no page.
    if asked.origin.is_some() && policy.origins.allowed(&asked).is_none() {
        return Err(Denial::Origin);
    }
    // Behind a trusted proxy, the client's own.
    let address = asked.client_address(&policy.proxies);
    let guest = Guest {
        place: place(endpoint, address)?,
        client: engine.taken.client(asked.client.as_deref(), address),
        caller: engine.gate.caller(address),
        origin: Origin::of_socket(&asked, policy.log_calls, address, clock::now()),
    };
    Ok((accept, guest))
}

fn place(endpoint: &Endpoint, address: Option<IpAddr>) -> Result<Place, Denial> {
    // After a hand-over it lives here until the process ends, as those that were open before.
    if endpoint.engine.gate.is_leaving() {
        return Err(Denial::Closing);
    }
    let place = endpoint.engine.sockets.admit(address);
    place.map_err(|full| match full {
        Full::House => Denial::House,
        Full::Address => Denial::Address,
    })
}

async fn deny<S: AsyncWrite + Unpin>(stream: &mut S, why: Denial, endpoint: &Endpoint) {
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
    match why {
        // RFC 9110 §15.5.22 wants `Upgrade`, too.
        Denial::Version => answer.push_str(&format!(
            "Sec-WebSocket-Version: {VERSION}\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n"
        )),
        Denial::Malformed(_)
        | Denial::Origin
        | Denial::House
        | Denial::Address
        | Denial::Closing => answer.push_str("Connection: close\r\n"),
    }
    answer.push_str("\r\n");
    answer.push_str(why.sentence());
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
        endpoint.engine.metrics.http_response(status);
    }
    is_written
}

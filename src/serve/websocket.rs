//! WebSockets: a connection that was handed over by its HTTP/1.1 session.

use std::net::IpAddr;

use tokio::io::AsyncWriteExt;

use super::endpoint::{Endpoint, GREETING};
use super::replay::Replay;

/// Takes a connection over. `head` is the request that asked for it, `stream` begins with what
/// was read behind it; the connection ends with this.
pub async fn take(
    mut stream: Replay,
    _head: http::Request<()>,
    _address: Option<IpAddr>,
    endpoint: &Endpoint,
) {
    endpoint.engine.metrics.http_response(200);
    let (kind, length) = ("text/plain; charset=utf-8", GREETING.len());
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{GREETING}"
    );
    drop(stream.write_all(answer.as_bytes()).await);
    drop(stream.shutdown().await);
}

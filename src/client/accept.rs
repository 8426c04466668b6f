//! Takes a connection, and shows it to the code that speaks its version of HTTP.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;
use pingora::apps::ServerApp;
use pingora::protocols::{ALPN, Stream};
use pingora::server::ShutdownWatch;
use tokio::time::timeout;

use super::endpoint::Endpoint;
use super::http1;
use super::http2;
use super::replay::Replay;
use super::websocket;
use crate::client::http1::Http1End;
use crate::client::http1::silence::{QUIET_TIME_MAX, SilentConnection};

/// So long a connection has that there is no place for.
const ANTEROOM_TIME_MAX: Duration = Duration::from_secs(2);
// It isn't listened to again after a silence.
const _: () = assert!(ANTEROOM_TIME_MAX.as_millis() < QUIET_TIME_MAX.as_millis());

#[derive(Clone)]
pub struct ClientAcceptor {
    endpoint: Arc<Endpoint>,
}

impl ClientAcceptor {
    pub fn new(endpoint: Arc<Endpoint>) -> ClientAcceptor {
        ClientAcceptor { endpoint }
    }
}

#[async_trait]
impl ServerApp for ClientAcceptor {
    /// On a task of its own: Pingora's has room for a TLS handshake, for as long as the connection
    /// is there.
    async fn process_new(self: &Arc<Self>, stream: Stream, _: &ShutdownWatch) -> Option<Stream> {
        let acceptor = self.clone();
        tokio::spawn(async move { acceptor.attend(stream).await });
        None
    }
}

impl ClientAcceptor {
    /// Stays with a connection to its end.
    async fn attend(&self, stream: Stream) {
        let _counted = self.endpoint.metrics.begin_connection();
        let peer = stream.get_socket_digest();
        let peer = peer.as_ref().and_then(|digest| digest.peer_addr());
        let address = peer.and_then(|address| address.as_inet());
        let address = address.map(|address| address.ip());
        let process = self.endpoint.entry.process();
        let Some(_place) = process.connect(process.caller(address)) else {
            return Box::pin(self.turn_away(stream, address)).await;
        };
        if stream.selected_alpn_proto() == Some(ALPN::H2) {
            let stream = Replay::new(stream, BytesMut::new());
            return http2::serve(stream, address, &self.endpoint).await;
        }
        let mut silent = SilentConnection::new(stream);
        // What is said is answered on the heap, and given back in silence: the task has room for no more than
        // a client that says nothing.
        while let Some(heard) = silent.hear().await {
            match Box::pin(http1::serve(silent, heard, address, &self.endpoint)).await {
                Http1End::Silent(again) => silent = again,
                Http1End::Over => return,
                Http1End::Http2(stream) => {
                    return http2::serve(stream, address, &self.endpoint).await;
                }
                Http1End::Websocket(socket) => {
                    let http1::WebsocketUpgrade { stream, head } = *socket;
                    let taken = websocket::take(stream, head, address, &self.endpoint);
                    return Box::pin(taken).await;
                }
            }
        }
    }

    /// There is no place for it: it hears of our health, or that it must come again. Beyond a few at
    /// once, no client hears anything.
    async fn turn_away(&self, stream: Stream, address: Option<IpAddr>) {
        let process = self.endpoint.entry.process();
        if let Some(_place) = process.wait(process.caller(address)) {
            let turned_away = http1::turn_away(stream, address, &self.endpoint);
            // Late or not, it is over.
            drop(timeout(ANTEROOM_TIME_MAX, turned_away).await);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a silent connection holds of its state, in bytes: the stream and the runtime add their own.
    const SILENT_BYTES_MAX: usize = 448;

    fn state_bytes<F>(_: impl FnOnce(&'static ClientAcceptor, Stream) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_silent_connection_holds_little() {
        let bytes = state_bytes(ClientAcceptor::attend);
        assert!(bytes <= SILENT_BYTES_MAX, "{bytes}");
    }
}

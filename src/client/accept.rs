//! The door: takes a connection, and shows it to whoever speaks its version of HTTP.

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

/// So long a connection has that there is no place for.
const ANTEROOM_TIME_MAX: Duration = Duration::from_secs(2);

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
        let door = self.clone();
        tokio::spawn(async move { door.attend(stream).await });
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
        let house = self.endpoint.entry.house();
        let Some(_place) = house.connect(house.caller(address)) else {
            return Box::pin(self.turn_away(stream, address)).await;
        };
        if stream.selected_alpn_proto() == Some(ALPN::H2) {
            let stream = Replay::new(stream, BytesMut::new());
            // On the heap, as all but HTTP/1.1: each connection's task has room for no more than that.
            return Box::pin(http2::serve(stream, address, &self.endpoint)).await;
        }
        match http1::serve(stream, address, &self.endpoint).await {
            Http1End::Over => {}
            Http1End::Http2(stream) => {
                Box::pin(http2::serve(stream, address, &self.endpoint)).await;
            }
            Http1End::Websocket(socket) => {
                let http1::WebsocketUpgrade { stream, head } = *socket;
                Box::pin(websocket::take(stream, head, address, &self.endpoint)).await;
            }
        }
    }

    /// There is no place for it: it hears of our health, or that it must come again. Beyond a few at
    /// once nobody hears anything.
    async fn turn_away(&self, stream: Stream, address: Option<IpAddr>) {
        let house = self.endpoint.entry.house();
        if let Some(_place) = house.wait(house.caller(address)) {
            let turned_away = http1::turn_away(stream, address, &self.endpoint);
            // Late or not, it is over.
            drop(timeout(ANTEROOM_TIME_MAX, turned_away).await);
        }
    }
}

//! The door: takes a connection, and shows it to whoever speaks its version of HTTP.
//!
//! HTTP/2 is Pingora's; HTTP/1.1 is [ours](super::http1), with and without TLS.

use std::sync::Arc;

use async_trait::async_trait;
use pingora::apps::ServerApp;
use pingora::protocols::{ALPN, Stream};
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;

use super::endpoint::Endpoint;
use super::http1::{self, End};
use super::http2::Proxy;
use super::websocket;

#[derive(Clone)]
pub struct Door {
    endpoint: Arc<Endpoint>,
    proxy: Arc<HttpProxy<Proxy>>,
    closing: ShutdownWatch,
}

impl Door {
    /// `proxy` is for HTTP/2: its clients are told to go elsewhere (RFC 9113 §6.8) as soon as the
    /// gate closes, long before Pingora's own shutdown, which comes when all is drained.
    pub fn new(endpoint: Arc<Endpoint>, proxy: HttpProxy<Proxy>) -> Door {
        Door {
            closing: endpoint.engine.gate.closing(),
            endpoint,
            proxy: Arc::new(proxy),
        }
    }
}

#[async_trait]
impl ServerApp for Door {
    /// On a task of its own: Pingora's has room for a TLS handshake, for as long as the connection
    /// is there.
    async fn process_new(self: &Arc<Self>, stream: Stream, _: &ShutdownWatch) -> Option<Stream> {
        let door = self.clone();
        tokio::spawn(async move { door.attend(stream).await });
        None
    }

    async fn cleanup(&self) {
        self.proxy.cleanup().await;
    }
}

impl Door {
    /// Stays with a connection to its end.
    async fn attend(&self, stream: Stream) {
        let _counted = self.endpoint.engine.metrics.begin_connection();
        if stream.selected_alpn_proto() == Some(ALPN::H2) {
            return self.go_on(stream).await;
        }
        match http1::serve(stream, &self.endpoint).await {
            End::Over => {}
            End::Http2(stream) => self.go_on(Box::new(stream)).await,
            End::Websocket(socket) => {
                let http1::Socket {
                    stream,
                    head,
                    address,
                } = *socket;
                Box::pin(websocket::take(stream, head, address, &self.endpoint)).await;
            }
        }
    }

    /// By HTTP/2.
    async fn go_on(&self, stream: Stream) {
        self.proxy.process_new(stream, &self.closing).await;
    }
}

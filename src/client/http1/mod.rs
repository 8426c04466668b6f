//! HTTP/1.1 (and 1.0), small and strict, for whatever is answered at the endpoint.
//!
//! In reading order: [`silence`] waits for a client to say something, [`head`] reads a request's head,
//! [`session`] is one connection and its requests one after another, [`answer`] writes what goes out.
//!
//! An idle connection holds little memory, a plain call is one read and one write, and no timer is
//! set for what doesn't wait.

mod answer;
pub mod head;
mod input_buffer;
pub mod session;
pub mod silence;

use std::net::IpAddr;

use bytes::BytesMut;
use pingora::protocols::Stream;

use super::endpoint::Endpoint;
use super::replay::Replay;
use crate::client::downstream::{ClientGone, Downstream as _};
use crate::client::http1::session::{Http1Session, SessionStep};
use crate::client::http1::silence::SilentConnection;
use crate::client::request_head::RequestKind;
use forebay_core::rpc::refusal::Refusal;

/// How a connection's HTTP/1.1 ends.
pub enum Http1End {
    Over,
    /// Its client says no more for now.
    Silent(SilentConnection),
    /// It was HTTP/2 all along (RFC 9113 §3.3).
    Http2(Replay),
    /// The client wants to go on by WebSocket (RFC 6455 §4.1), and may do so.
    Websocket(Box<WebsocketUpgrade>),
}

/// A connection that is a WebSocket from now on, if it is answered so.
pub struct WebsocketUpgrade {
    /// It begins with what was read behind the head.
    pub stream: Replay,
    pub head: http::Request<()>,
}

/// Answers the requests of a connection that was `heard` of, one after another.
pub async fn serve(
    silent: SilentConnection,
    heard: BytesMut,
    address: Option<IpAddr>,
    endpoint: &Endpoint,
) -> Http1End {
    let mut session = Http1Session::new(silent, heard, address, endpoint);
    loop {
        match session.next().await {
            SessionStep::Request => {}
            SessionStep::Refused(why) => {
                if endpoint.refuse_early(&mut session, why).await.is_ok() {
                    session.finish().await;
                }
                return Http1End::Over;
            }
            SessionStep::Http2 => return Http1End::Http2(session.into_replay()),
            SessionStep::Websocket(head) => {
                return Http1End::Websocket(Box::new(WebsocketUpgrade {
                    stream: session.into_replay(),
                    head: *head,
                }));
            }
            SessionStep::Silence => return Http1End::Silent(session.into_silent()),
            SessionStep::Over => return Http1End::Over,
        }
        match endpoint.serve(&mut session).await {
            Ok(()) if session.keeps() => {}
            Ok(()) => {
                session.finish().await;
                return Http1End::Over;
            }
            Err(ClientGone) => return Http1End::Over,
        }
    }
}

/// Answers one request of a connection that there is no place for: about our health, or with a no.
pub async fn turn_away(stream: Stream, address: Option<IpAddr>, endpoint: &Endpoint) {
    let silent = SilentConnection::new(stream);
    let mut session = Http1Session::new(silent, BytesMut::new(), address, endpoint);
    let SessionStep::Request = session.next().await else {
        return;
    };
    session.close();
    let answered = match session.head().kind {
        RequestKind::Health => endpoint.serve(&mut session).await,
        _ => {
            endpoint
                .refuse_early(&mut session, Refusal::OverCapacity)
                .await
        }
    };
    if answered.is_ok() {
        session.finish().await;
    }
}

//! A socket over a stream in memory, with clients that keep the rules and clients that don't.

mod calls;
mod limits;
mod protocol;
mod subscriptions;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::session::{CALLS_MAX, WAITING_MAX};
use crate::call::context::CallState;
use crate::call::fixtures;
use crate::call::fixtures::BODY_BYTES_MAX;
use crate::call::request_context::RequestContext;
use crate::client::websocket::connection::FRAME_BYTES_MAX;
use crate::client::websocket::session::{Peer, WebsocketSession};
use crate::config::settings::{Settings, SocketSettings};
use crate::shared::outbox;
use crate::shared::sockets;
use forebay_core::feed::subscription::Topic;
use forebay_core::rpc::refusal::Refusal;
use forebay_core::vocabulary::chain::ChainName;
use forebay_core::vocabulary::client::Client;

const VERSION: &str = r#"{"jsonrpc":"2.0","id":1,"method":"web3_clientVersion"}"#;
const SUBSCRIBE: &str =
    r#"{"jsonrpc":"2.0","id":"s","method":"eth_subscribe","params":["newHeads"]}"#;
const PING: Duration = Duration::from_secs(30);
const SUBSCRIPTIONS_MAX: usize = 3;
/// What the stream in memory holds of what a client has not read.
const PIPE_BYTES: usize = 8 << 10;

fn state(limits: sockets::SocketLimits) -> Arc<CallState> {
    fixtures::state_with(&ChainName::main(), limits)
}

/// A socket, and its client's side of the stream.
async fn open(state: &Arc<CallState>) -> (DuplexStream, JoinHandle<Arc<CallState>>) {
    state.fleet.hear_round(&[], &[]).await;
    let (client, server) = duplex(PIPE_BYTES);
    let peer = Peer {
        place: state.sockets.admit(None).unwrap(),
        client: Client::Unknown,
        caller: state.admission.caller(None),
        request_context: RequestContext::unknown(),
    };
    let session = WebsocketSession::new(state.clone(), server, peer).await;
    let state = state.clone();
    let socket = tokio::spawn(async move {
        session.run().await;
        state
    });
    (client, socket)
}

struct Scene {
    state: Arc<CallState>,
    client: WebSocketStream<DuplexStream>,
    socket: JoinHandle<Arc<CallState>>,
}

impl Scene {
    async fn set() -> Scene {
        Scene::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut SocketSettings)) -> Scene {
        let mut each = SocketSettings {
            subscriptions_max: SUBSCRIPTIONS_MAX,
            ping_interval: PING,
            ..Settings::default().sockets
        };
        change(&mut each);
        let limits = sockets::SocketLimits {
            sockets_max: 10,
            sockets_max_per_address: 10,
            each,
        };
        Scene::before(state(limits)).await
    }

    async fn before(state: Arc<CallState>) -> Scene {
        let (client, socket) = open(&state).await;
        let client = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
        Scene {
            state,
            client,
            socket,
        }
    }

    async fn another(&self) -> Scene {
        Scene::before(self.state.clone()).await
    }

    /// A client without a codec.
    async fn raw() -> (DuplexStream, JoinHandle<Arc<CallState>>) {
        let scene = Scene::set().await;
        (scene.client.into_inner(), scene.socket)
    }

    async fn ask(&mut self, message: Message) -> serde_json::Value {
        self.client.send(message).await.unwrap();
        self.next().await
    }

    /// The next text.
    async fn next(&mut self) -> serde_json::Value {
        loop {
            let next = self.client.next().await.unwrap().unwrap();
            if let Message::Text(text) = next {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    /// The code that it is closed with.
    async fn closed(&mut self) -> u16 {
        loop {
            let next = self.client.next().await.unwrap().unwrap();
            if let Message::Close(close) = next {
                return close.unwrap().code.into();
            }
        }
    }

    fn metric(&self, series: &str) -> f64 {
        let text = self.state.metrics.text();
        let prefix = format!("forebay_{series} ");
        let value = text.lines().find_map(|line| line.strip_prefix(&prefix));
        value.unwrap().parse().unwrap()
    }
}

/// A masked frame, as a client sends it.
fn frame(head: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![head];
    match payload.len() {
        short @ 0..126 => frame.push(0x80 | short as u8),
        long @ 126..0x1_0000 => {
            frame.push(0xfe);
            frame.extend_from_slice(&(long as u16).to_be_bytes());
        }
        longer => {
            frame.push(0xff);
            frame.extend_from_slice(&(longer as u64).to_be_bytes());
        }
    }
    let mask = [1, 2, 3, 4];
    frame.extend_from_slice(&mask);
    let masked = payload
        .iter()
        .enumerate()
        .map(|(at, byte)| byte ^ mask[at % 4]);
    frame.extend(masked);
    frame
}

/// A frame from the server: its first byte and its payload.
async fn read_frame(stream: &mut DuplexStream) -> (u8, Vec<u8>) {
    let head = stream.read_u8().await.unwrap();
    let length = match stream.read_u8().await.unwrap() {
        126 => u64::from(stream.read_u16().await.unwrap()),
        127 => stream.read_u64().await.unwrap(),
        short => u64::from(short),
    };
    let mut payload = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut payload).await.unwrap();
    (head, payload)
}

/// Of the paused clock.
fn seconds_since(then: tokio::time::Instant) -> u64 {
    let now = tokio::time::sleep(Duration::ZERO).deadline();
    now.duration_since(then).as_secs()
}

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

use super::session::{CALLS_MAX, Guest, Session, WAITING_MAX};
use super::wire::FRAME_BYTES_MAX;
use crate::clock;
use crate::domain::block::Consistency;
use crate::domain::fleet::{Fleet, Yardstick};
use crate::domain::forwarded::TrustedProxies;
use crate::domain::health::Hysteresis;
use crate::domain::method::{Rules, Times};
use crate::domain::quota::{Rates, RetryBudget};
use crate::domain::refusal::Refusal;
use crate::domain::sent::Client;
use crate::domain::subscription::Topic;
use crate::serve::engine::Engine;
use crate::serve::origin::Origin;
use crate::serve::outlet::Origins;
use crate::serve::policy::{Limits, Policy};
use crate::state::outbox;
use crate::state::pool::Pool;
use crate::state::sockets::{self, Sockets};
use crate::telemetry::metrics::Metrics;

const VERSION: &str = r#"{"jsonrpc":"2.0","id":1,"method":"web3_clientVersion"}"#;
const SUBSCRIBE: &str =
    r#"{"jsonrpc":"2.0","id":"s","method":"eth_subscribe","params":["newHeads"]}"#;
const BODY_BYTES_MAX: usize = 64 << 10;
const PING: Duration = Duration::from_secs(30);
const SUBSCRIPTIONS_MAX: usize = 3;
/// What the stream in memory holds of what a client has not read.
const PIPE_BYTES: usize = 8 << 10;

fn engine(limits: sockets::Limits) -> Arc<Engine> {
    let second = Duration::from_secs(1);
    let fleet = Fleet::new(Yardstick {
        chain_id: None,
        block_time: second,
        look: Duration::from_secs(5),
        lag_blocks_max: 10,
        hysteresis: Hysteresis { rise: 1, fall: 1 },
    });
    let policy = Policy {
        origins: Origins::new(vec!["*".to_string()]),
        proxies: TrustedProxies::new(vec![]),
        trail_for: vec![],
        log_calls: None,
        rules: Rules::new(vec![], vec![], vec![]),
        limits: Limits {
            times: Times {
                deadline: second,
                attempt: second,
                heavy: second,
            },
            attempts_max: 1,
            broadcast: 1,
            leader_share: 0.01,
            hedge: None,
            body_bytes_max: BODY_BYTES_MAX,
            batch_calls_max: 1000,
            answer_bytes_max: 1 << 20,
            fails_open: true,
            consistency: Consistency::None,
        },
    };
    let rates = Rates {
        per_call: 0.0,
        per_second: 0.0,
        burst: 0.0,
    };
    Arc::new(Engine {
        pool: Arc::new(Pool::new(fleet)),
        policy: arc_swap::ArcSwap::from_pointee(policy),
        budget: RetryBudget::new(rates, clock::now()),
        metrics: Arc::new(Metrics::new()),
        gate: Arc::default(),
        flights: Default::default(),
        taken: Arc::default(),
        lookups: Arc::default(),
        afterwork: Arc::default(),
        disputes: Default::default(),
        searched: Default::default(),
        leader_share: Default::default(),
        hub: Arc::default(),
        sockets: Arc::new(Sockets::new(limits)),
    })
}

/// A socket, and its client's side of the stream.
async fn open(engine: &Arc<Engine>) -> (DuplexStream, JoinHandle<Arc<Engine>>) {
    engine.pool.hear_round(&[], &[]).await;
    let (client, server) = duplex(PIPE_BYTES);
    let guest = Guest {
        place: engine.sockets.admit(None).unwrap(),
        client: Client::Unknown,
        caller: engine.gate.caller(None),
        origin: Origin::unknown(),
    };
    let session = Session::new(engine.clone(), server, guest).await;
    let engine = engine.clone();
    let socket = tokio::spawn(async move {
        session.run().await;
        engine
    });
    (client, socket)
}

struct Scene {
    engine: Arc<Engine>,
    client: WebSocketStream<DuplexStream>,
    socket: JoinHandle<Arc<Engine>>,
}

impl Scene {
    async fn set() -> Scene {
        Scene::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut sockets::Limits)) -> Scene {
        let mut limits = sockets::Limits {
            sockets_max: 10,
            sockets_max_per_address: 10,
            subscriptions_max: SUBSCRIPTIONS_MAX,
            messages_per_second: 1000,
            ping_interval: PING,
        };
        change(&mut limits);
        Scene::before(engine(limits)).await
    }

    async fn before(engine: Arc<Engine>) -> Scene {
        let (client, socket) = open(&engine).await;
        let client = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
        Scene {
            engine,
            client,
            socket,
        }
    }

    async fn another(&self) -> Scene {
        Scene::before(self.engine.clone()).await
    }

    /// A client without a codec.
    async fn raw() -> (DuplexStream, JoinHandle<Arc<Engine>>) {
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
        let text = self.engine.scrape();
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

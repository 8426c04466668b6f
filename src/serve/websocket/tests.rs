//! A socket over a stream in memory, with clients that keep the rules and clients that don't.

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

use super::session::{Guest, Session, WAITING_MAX};
use super::wire::FRAME_BYTES_MAX;
use crate::clock;
use crate::domain::block::Consistency;
use crate::domain::fleet::{Fleet, Yardstick};
use crate::domain::forwarded::TrustedProxies;
use crate::domain::health::Hysteresis;
use crate::domain::method::{Rules, Times};
use crate::domain::quota::{Rates, RetryBudget};
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

#[tokio::test]
async fn calls_are_answered_with_their_ids_whether_text_or_binary() {
    let mut scene = Scene::set().await;
    let answer = scene.ask(Message::text(VERSION)).await;
    assert_eq!(answer["id"], 1);
    assert!(answer["result"].as_str().unwrap().starts_with("forebay/"));
    let binary = Message::binary(VERSION.replace("1,", "\"b\","));
    assert_eq!(scene.ask(binary).await["id"], "b");
    let batch = format!("[{VERSION},7]");
    let answers = scene.ask(Message::text(batch)).await;
    assert_eq!(answers[0]["id"], 1);
    assert_eq!(answers[1]["error"]["code"], -32600);
    for (sent, code) in [("{", -32700), ("", -32700), ("[]", -32600), ("7", -32600)] {
        let answer = scene.ask(Message::text(sent)).await;
        assert_eq!(answer["error"]["code"], code, "{sent}");
        assert!(answer["id"].is_null());
    }
    assert_eq!(
        scene.ask(Message::text(VERSION)).await["id"],
        1,
        "it is still open"
    );
}

#[tokio::test]
async fn fragments_with_a_ping_in_between_are_one_message() {
    let (mut raw, socket) = Scene::raw().await;
    let (start, end) = VERSION.as_bytes().split_at(10);
    raw.write_all(&frame(0x01, start)).await.unwrap();
    raw.write_all(&frame(0x89, b"hello")).await.unwrap();
    assert_eq!(read_frame(&mut raw).await, (0x8a, b"hello".to_vec()));
    raw.write_all(&frame(0x00, b"")).await.unwrap();
    raw.write_all(&frame(0x80, end)).await.unwrap();
    let (head, answer) = read_frame(&mut raw).await;
    assert_eq!(head, 0x81);
    assert!(String::from_utf8(answer).unwrap().contains("forebay/"));
    drop(raw);
    socket.await.unwrap();
}

#[tokio::test]
async fn who_breaks_the_protocol_is_told_how_and_closed() {
    let unmasked = [&[0x81, VERSION.len() as u8][..], VERSION.as_bytes()].concat();
    let mut oversized = vec![0x81, 0xff];
    oversized.extend_from_slice(&(BODY_BYTES_MAX as u64 + 1).to_be_bytes());
    oversized.extend_from_slice(&[0; 4]);
    let half = vec![b' '; BODY_BYTES_MAX / 2 + 1];
    let in_two = [frame(0x01, &half), frame(0x80, &half)].concat();
    for (sent, code) in [
        (unmasked, 1002),
        (oversized, 1009),
        (in_two, 1009),
        (frame(0x81, b"\"\xff\""), 1007),
        (frame(0x80, b"{}"), 1002),
        (frame(0x83, b"{}"), 1002),
        (frame(0xc1, b"{}"), 1002),
        (frame(0x89, &[0; 126]), 1002),
        (frame(0x09, b""), 1002),
        (frame(0x88, b"\x03"), 1002),
    ] {
        let (mut raw, socket) = Scene::raw().await;
        let sending = raw.write_all(&sent);
        let _ = timeout(Duration::from_secs(5), sending).await;
        let (head, payload) = read_frame(&mut raw).await;
        assert_eq!(head, 0x88, "{code}");
        let told = u16::from_be_bytes([payload[0], payload[1]]);
        assert_eq!(told, code, "{:x?}", &sent[..sent.len().min(20)]);
        drop(raw);
        socket.await.unwrap();
    }
}

#[tokio::test]
async fn a_message_of_the_longest_length_is_read() {
    let mut scene = Scene::set().await;
    let longest = format!("{VERSION}{}", " ".repeat(BODY_BYTES_MAX - VERSION.len()));
    assert_eq!(scene.ask(Message::text(longest)).await["id"], 1);
}

#[tokio::test]
async fn a_clients_close_is_answered_with_its_code_and_everything_is_given_back() {
    let (mut raw, socket) = Scene::raw().await;
    raw.write_all(&frame(0x88, b"\x03\xe8bye")).await.unwrap();
    assert_eq!(read_frame(&mut raw).await, (0x88, b"\x03\xe8bye".to_vec()));
    let mut rest = Vec::new();
    raw.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty());
    let engine = socket.await.unwrap();
    assert_eq!(
        (
            engine.sockets.open(),
            engine.gate.requests(),
            engine.gate.bytes()
        ),
        (0, 0, 0)
    );
}

#[tokio::test]
async fn a_subscription_is_answered_before_its_news_and_quiet_after_its_end() {
    let mut scene = Scene::set().await;
    scene.client.send(Message::text(SUBSCRIBE)).await.unwrap();
    let told = || {
        scene
            .engine
            .hub
            .tell(&Topic::NewHeads, &Bytes::from_static(b"{\"n\":1}"))
    };
    while told() == 0 {
        tokio::task::yield_now().await;
    }
    let answer = scene.next().await;
    assert_eq!(answer["id"], "s");
    let id = answer["result"].clone();
    assert!(id.as_str().unwrap().starts_with("0x"));
    let news = scene.next().await;
    assert_eq!(news["method"], "eth_subscription");
    assert_eq!(news["params"]["subscription"], id);
    assert_eq!(news["params"]["result"]["n"], 1);
    let end = format!(r#"{{"jsonrpc":"2.0","id":2,"method":"eth_unsubscribe","params":[{id}]}}"#);
    assert_eq!(scene.ask(Message::text(&end)).await["result"], true);
    assert_eq!(
        scene
            .engine
            .hub
            .tell(&Topic::NewHeads, &Bytes::from_static(b"{}")),
        0
    );
    let again = scene.ask(Message::text(&end)).await;
    assert_eq!(again["error"]["message"], "subscription not found");
    assert_eq!(scene.metric("subscriptions{kind=\"newHeads\"}"), 0.0);
}

#[tokio::test]
async fn a_socket_has_so_many_subscriptions_and_leaves_none_behind() {
    let mut scene = Scene::set().await;
    for _ in 0..SUBSCRIPTIONS_MAX {
        let answer = scene.ask(Message::text(SUBSCRIBE)).await;
        assert!(answer["result"].is_string());
    }
    let refused = scene.ask(Message::text(SUBSCRIBE)).await;
    assert_eq!(
        (&refused["error"]["code"], &refused["id"]),
        (&(-32016).into(), &"s".into())
    );
    assert_eq!(scene.metric("subscriptions{kind=\"newHeads\"}"), 3.0);
    let batch = format!("[{}]", SUBSCRIBE.replace("newHeads", "nonsense\",\"more"));
    assert_eq!(
        scene.ask(Message::text(batch)).await[0]["error"]["code"],
        -32016
    );
    let Scene { client, socket, .. } = scene;
    drop(client);
    let engine = socket.await.unwrap();
    assert!(engine.hub.topics().is_empty());
    assert_eq!(engine.sockets.open(), 0);
}

#[tokio::test]
async fn a_lame_duck_takes_no_new_subscriptions_and_goes_on_with_the_old() {
    let mut scene = Scene::set().await;
    scene.ask(Message::text(SUBSCRIBE)).await;
    scene.engine.gate.close();
    let refused = scene.ask(Message::text(SUBSCRIBE)).await;
    assert_eq!(refused["error"]["code"], -32012);
    assert_eq!(scene.ask(Message::text(VERSION)).await["id"], 1);
    scene
        .engine
        .hub
        .tell(&Topic::NewHeads, &Bytes::from_static(b"{}"));
    assert_eq!(scene.next().await["method"], "eth_subscription");
    scene.engine.sockets.leave();
    assert_eq!(scene.closed().await, 1001);
    scene.socket.await.unwrap();
}

#[tokio::test]
async fn too_many_messages_a_second_are_refused_each_with_its_id() {
    let mut scene = Scene::with(|limits| limits.messages_per_second = 2).await;
    let batch = format!("[{VERSION},{}]", VERSION.replace("1,", "2,"));
    for message in [VERSION, VERSION, &batch] {
        scene.client.send(Message::text(message)).await.unwrap();
    }
    assert_eq!(scene.next().await["id"], 1);
    assert_eq!(scene.next().await["id"], 1);
    let refused = scene.next().await;
    for (at, id) in [(0, 1), (1, 2)] {
        assert_eq!(refused[at]["id"], id);
        assert_eq!(refused[at]["error"]["code"], -32016);
    }
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_closed_as_slow_and_others_are_told_all_the_same() {
    tokio::time::pause();
    let mut slow = Scene::set().await;
    let mut quick = slow.another().await;
    for scene in [&mut slow, &mut quick] {
        scene.ask(Message::text(SUBSCRIBE)).await;
    }
    let news = Bytes::from(format!("\"{}\"", "x".repeat(PIPE_BYTES - 2)));
    let bytes_before = quick.engine.gate.bytes();
    for _ in 0..outbox::NEWS_MAX.min(outbox::BYTES_MAX / PIPE_BYTES) + 10 {
        let told = quick.engine.hub.tell(&Topic::NewHeads, &news);
        assert!(told >= 1);
        assert_eq!(quick.next().await["method"], "eth_subscription");
    }
    assert_eq!(quick.engine.gate.bytes(), bytes_before);
    assert_eq!(slow.closed().await, 1013);
    assert_eq!(quick.metric("sockets_closed_total{reason=\"slow\"}"), 1.0);
    assert_eq!(quick.ask(Message::text(VERSION)).await["id"], 1);
}

#[tokio::test]
async fn a_client_is_pinged_and_without_a_pong_it_is_gone_within_two_pings() {
    tokio::time::pause();
    let (mut raw, socket) = Scene::raw().await;
    let began = tokio::time::sleep(Duration::ZERO).deadline();
    assert_eq!(read_frame(&mut raw).await, (0x89, Vec::new()));
    assert_eq!(seconds_since(began), 30);
    raw.write_all(&frame(0x8a, b"")).await.unwrap();
    assert_eq!(read_frame(&mut raw).await, (0x89, Vec::new()), "it lives");
    let mut rest = Vec::new();
    raw.read_to_end(&mut rest).await.unwrap();
    assert_eq!(seconds_since(began), 90);
    let engine = socket.await.unwrap();
    let text = engine.scrape();
    assert!(text.contains("forebay_sockets_closed_total{reason=\"silent\"} 1"));
}

#[tokio::test]
async fn a_message_whose_end_does_not_come_is_given_up() {
    tokio::time::pause();
    let (mut raw, socket) = Scene::raw().await;
    raw.write_all(&frame(0x01, b"{")).await.unwrap();
    for _ in 0..5 {
        let (head, payload) = read_frame(&mut raw).await;
        match head {
            0x89 => raw.write_all(&frame(0x8a, b"")).await.unwrap(),
            0x88 => {
                assert_eq!(payload[..2], 1008u16.to_be_bytes());
                drop(raw);
                let engine = socket.await.unwrap();
                assert_eq!(engine.gate.bytes(), 0);
                return;
            }
            other => panic!("{other:x}"),
        }
    }
    panic!("it is still open");
}

#[tokio::test]
async fn a_client_that_does_not_take_its_answers_is_read_no_further() {
    tokio::time::pause();
    let mut scene = Scene::with(|limits| limits.messages_per_second = 100_000).await;
    let mut sent = 0;
    let sending = async {
        loop {
            let sending = scene.client.send(Message::text(VERSION));
            if timeout(Duration::from_secs(1), sending).await.is_err() {
                return;
            }
            sent += 1;
        }
    };
    sending.await;
    let pipes = 2 * PIPE_BYTES / VERSION.len();
    let most = WAITING_MAX + super::session::CALLS_MAX + pipes + PIPE_BYTES / 50;
    assert!(sent > WAITING_MAX && sent < most, "{sent} of {most}");
    assert!(scene.engine.gate.requests() <= WAITING_MAX + super::session::CALLS_MAX);
    for _ in 0..sent {
        assert_eq!(scene.next().await["id"], 1, "it takes them at last");
    }
}

#[tokio::test]
async fn a_long_answer_comes_in_frames_of_bounded_length() {
    let (mut raw, _socket) = Scene::raw().await;
    let calls = vec![VERSION; 500].join(",");
    let packet = format!("[{calls}]");
    raw.write_all(&frame(0x81, packet.as_bytes()))
        .await
        .unwrap();
    let mut whole = Vec::new();
    let mut heads = Vec::new();
    loop {
        let (head, payload) = read_frame(&mut raw).await;
        assert!(payload.len() <= FRAME_BYTES_MAX);
        whole.extend_from_slice(&payload);
        heads.push(head);
        if head & 0x80 != 0 {
            break;
        }
    }
    assert!(heads.len() > 1 && heads[0] == 0x01, "{heads:x?}");
    assert!(heads[1..heads.len() - 1].iter().all(|head| *head == 0x00));
    assert_eq!(heads.last(), Some(&0x80));
    let answers: Vec<serde_json::Value> = serde_json::from_slice(&whole).unwrap();
    assert_eq!(answers.len(), 500);
}

// Stage-hands.

fn engine(limits: sockets::Limits) -> Arc<Engine> {
    let second = Duration::from_secs(1);
    let fleet = Fleet::new(Yardstick {
        chain_id: None,
        block_time: second,
        lag_blocks_max: 10,
        hysteresis: Hysteresis { rise: 1, fall: 1 },
    });
    let policy = Policy {
        origins: Origins::new(vec!["*".to_string()]),
        proxies: TrustedProxies::new(vec![]),
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
            hedge: None,
            body_bytes_max: BODY_BYTES_MAX,
            batch_calls_max: 1000,
            answer_bytes_max: 1 << 20,
            fails_open: true,
            consistency: Consistency::None,
            block_wait: second,
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
        afterwork: Arc::default(),
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
        origin: Origin::unknown(),
    };
    let session = Session::new(engine.clone(), server, Bytes::new(), guest).await;
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

//! Clients' sockets over the built balancer: real clients before a real node, and clients that
//! break the rules.

use std::net::SocketAddr;
use std::time::Duration;

use crate::support::{
    Client, Heard, Listener, PATIENCE, Pretend, QUICK, call, eventually, free_port, soon,
};
use forebay_fake::Fault;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

async fn works(client: Client) {
    let (_anvil, balancer) = client.works_through_us("ws").await;
    soon("nothing is left", async || {
        balancer.metric("forebay_sockets", &[]).await == Some(0.0)
            && balancer.metric("forebay_subscriptions", &[]).await == Some(0.0)
            && balancer.metric("forebay_requests_admitted", &[]).await == Some(0.0)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn viem_works() {
    works(Client::ViemSocket).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ethers_works() {
    works(Client::EthersSocket).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn web3_js_works() {
    works(Client::Web3JsSocket).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn web3_py_works() {
    works(Client::Web3PySocket).await;
}

/// Over `ws` and `wss`, on the listeners of HTTP.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_in_chromium_works_if_its_origin_may() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let signed = rcgen::generate_simple_self_signed(["localhost".to_string()]).unwrap();
    std::fs::write(path("cert.pem"), signed.cert.pem()).unwrap();
    std::fs::write(path("key.pem"), signed.signing_key.serialize_pem()).unwrap();
    let port = free_port();
    let https = format!(
        "https: [{{ address: \"127.0.0.1:{port}\", certificate: \"{}\", key: \"{}\" }}], metrics:",
        path("cert.pem"),
        path("key.pem")
    );
    // The greeting of another balancer is the page.
    let other = Pretend::set(&[1], "").await;
    let home = other.balancer.url();
    let origin = home.trim_end_matches('/').to_string();
    let beginning = QUICK.replacen("metrics:", &https, 1);
    let cors = format!("  cors: {{ origins: [\"{origin}\"] }}\n");
    let scene = Pretend::set_with(&[1], &beginning, &cors).await;
    let ws = format!("ws://{}/", scene.balancer.rpc.address);
    let wss = format!("wss://localhost:{port}/rpc");
    Client::ChromiumSocket
        .works_with_all(&[&ws, &wss, &home])
        .await;
    let ended = [("reason", "left")];
    let closed = scene
        .balancer
        .metric("forebay_sockets_closed_total", &ended)
        .await;
    assert_eq!(closed, Some(2.0), "with the closing handshake");
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_closed_as_slow_while_others_are_served() {
    let scene = Pretend::set(&[1], "").await;
    let bytes = 1 << 20;
    scene.nodes[0].set_fault_for(&["eth_call"], Fault::HugeResult { bytes });
    let mut slow = open(scene.balancer.rpc.address, None).await.unwrap();
    let mut quick = Listener::open(scene.balancer.rpc.address).await;
    for id in 0..30 {
        let params = format!("\"0x{id:02x}\"");
        let request = call(id, "eth_call").replace("\"0x01\"", &params);
        slow.send(Message::text(request)).await.unwrap();
    }
    let ended = [("reason", "slow")];
    eventually("it is closed", 2 * PATIENCE, async || {
        let answer = quick.ask("eth_getBalance", json!(["0x01", "latest"])).await;
        assert!(answer["result"].is_string());
        let closed = scene
            .balancer
            .metric("forebay_sockets_closed_total", &ended);
        closed.await == Some(1.0)
    })
    .await;
    // Now it takes what was on its way, and is told.
    let code = loop {
        match timeout(PATIENCE, slow.next()).await.expect("in time") {
            Some(Ok(Message::Close(close))) => break u16::from(close.unwrap().code),
            Some(Ok(_)) => {}
            end => panic!("{end:?}"),
        }
    };
    assert_eq!(code, 1013);
    soon("nothing of it is held", async || {
        scene
            .balancer
            .metric("forebay_answer_bytes_held", &[])
            .await
            == Some(0.0)
            && scene
                .balancer
                .metric("forebay_requests_admitted", &[])
                .await
                == Some(0.0)
    })
    .await;
}

#[tokio::test]
async fn calls_fail_over_and_are_counted_as_over_http() {
    let scene = Pretend::set(&[1, 1], "  log: { calls: 1.0 }\n").await;
    let mut client = Listener::open(scene.balancer.rpc.address).await;
    scene.nodes[0].refuse().await;
    for _ in 0..20 {
        let answer = client
            .ask("eth_getBalance", json!(["0x01", "latest"]))
            .await;
        assert!(answer["result"].is_string(), "{answer}");
    }
    let denied = client.ask("eth_sign", json!([])).await;
    assert_eq!(denied["error"]["code"], -32601);
    let labels = [("method", "eth_getBalance"), ("outcome", "ok")];
    let counted = scene.balancer.metric("forebay_calls_total", &labels);
    assert_eq!(counted.await, Some(20.0));
    let printed = scene.balancer.process.printed();
    let is_line = |line: &&str| line.contains("eth_getBalance") && line.contains("attempts");
    assert!(
        printed.lines().filter(is_line).count() >= 20,
        "each has its line"
    );
    scene.keeps_its_secrets().await;
}

#[tokio::test]
async fn several_calls_of_a_socket_go_on_at_once_and_are_answered_as_they_come() {
    let scene = Pretend::set(&[1], "").await;
    slow(&scene, Duration::from_millis(8));
    let mut socket = open(scene.balancer.rpc.address, None).await.unwrap();
    let began = forebay::clock::now();
    for id in 0..10 {
        // Each its own, or they would share one answer.
        let params = format!("\"0x{id:02x}\"");
        let request = call(id, "eth_getBalance").replace("\"0x01\"", &params);
        socket.send(Message::text(request)).await.unwrap();
    }
    socket
        .send(Message::text(call("\"quick\"", "eth_chainId")))
        .await
        .unwrap();
    assert_eq!(
        next(&mut socket).await["id"],
        "quick",
        "it waits for no other call"
    );
    for _ in 0..10 {
        assert!(next(&mut socket).await["result"].is_string());
    }
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "one after another"
    );
}

#[tokio::test]
async fn a_client_that_leaves_cancels_its_calls() {
    let scene = Pretend::set(&[1], "").await;
    scene.nodes[0].set_fault_for(&["eth_getBalance"], Fault::Stall);
    let mut socket = open(scene.balancer.rpc.address, None).await.unwrap();
    let request = call("1", "eth_getBalance");
    socket.send(Message::text(request)).await.unwrap();
    scene.becomes("a", "forebay_node_in_flight", &[], 1.0).await;
    drop(socket);
    let cancelled = [("outcome", "cancelled")];
    scene
        .becomes("a", "forebay_attempts_total", &cancelled, 1.0)
        .await;
    scene.becomes("a", "forebay_node_in_flight", &[], 0.0).await;
}

#[tokio::test]
async fn over_http_a_subscription_is_refused_in_a_word() {
    let scene = Pretend::set(&[1], "").await;
    for method in ["eth_subscribe", "eth_unsubscribe"] {
        let answer = scene.call(method).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json()["error"]["code"], -32601);
        let message = answer.json()["error"]["message"].to_string();
        assert!(message.contains("need a WebSocket"), "{message}");
    }
}

#[tokio::test]
async fn a_handshake_is_judged_by_the_standard_and_by_its_origin() {
    let more = "  cors: { origins: [\"https://app.example\"] }\n";
    let scene = Pretend::set(&[1], more).await;
    let address = scene.balancer.rpc.address;
    const GOOD: &str = "Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\n\
                        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n";
    for (path, headers, status) in [
        ("/", GOOD.to_string(), 101),
        ("/rpc?key=1", GOOD.to_string(), 101),
        ("/", format!("{GOOD}Origin: https://app.example\n"), 101),
        ("/", format!("{GOOD}Origin: https://other.example\n"), 403),
        ("/", format!("{GOOD}Origin: null\n"), 403),
        ("/", GOOD.replace("13", "8"), 426),
        ("/", GOOD.replace("ZQ==", "Z"), 400),
        ("/", GOOD.replace("Sec-WebSocket-Version: 13\n", ""), 400),
        ("/", GOOD.replace("websocket", "h2c"), 426),
        ("/other", GOOD.to_string(), 404),
    ] {
        let (told, answer) = handshake(address, path, &headers).await;
        assert_eq!(told, status, "{path} {headers}");
        let has = |header: &str| answer.to_ascii_lowercase().contains(header);
        match status {
            101 => assert!(has("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=")),
            426 => {
                let is_of_version = headers.contains("Version: 8");
                assert_eq!(has("sec-websocket-version: 13"), is_of_version);
                assert!(has("upgrade: websocket"));
            }
            _ => {}
        }
        assert!(!has("sec-websocket-protocol") && !has("sec-websocket-extensions"));
    }
    let counted = scene
        .balancer
        .metric("forebay_http_responses_total", &[("code", "101")]);
    assert_eq!(counted.await, Some(3.0));
}

#[tokio::test]
async fn what_a_client_may_not_send_closes_its_socket_with_the_code_for_it() {
    let more = "  calls: { body_bytes_max: 64KiB }\n";
    let scene = Pretend::set(&[1], more).await;
    let address = scene.balancer.rpc.address;
    let text = |payload: Vec<u8>| frame(0x81, &payload, true);
    for (sent, code) in [
        (frame(0x81, b"{}", false), 1002),
        (text(b"\"\xc3\x28\"".to_vec()), 1007),
        (text(vec![b' '; (64 << 10) + 1]), 1009),
    ] {
        let mut stream = raw(address).await;
        stream.write_all(&sent).await.unwrap();
        assert_eq!(close_code(&mut stream).await, code);
        let rest = timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await;
        assert_eq!(rest.expect("it ends").unwrap(), 0, "nothing follows");
    }
    // Of the longest length, it is no message to close for.
    let mut stream = raw(address).await;
    stream.write_all(&text(vec![b' '; 64 << 10])).await.unwrap();
    stream.write_all(&frame(0x89, b"hi", true)).await.unwrap();
    let mut answers = [read_frame(&mut stream).await, read_frame(&mut stream).await];
    answers.sort();
    assert!(String::from_utf8_lossy(&answers[0].1).contains("-32700"));
    assert_eq!(answers[1], (0x8a, b"hi".to_vec()));
    let ended = [("reason", "too_large")];
    let counted = scene
        .balancer
        .metric("forebay_sockets_closed_total", &ended);
    assert_eq!(counted.await, Some(1.0));
}

#[tokio::test]
async fn sockets_subscriptions_and_messages_have_their_limits() {
    let more = "  sockets: { sockets_max: 3, per_address_max: 2, subscriptions_max: 1, \
                messages_per_second: 5 }\n";
    let scene = Pretend::set(&[1], more).await;
    let address = scene.balancer.rpc.address;
    let mut one = Listener::open(address).await;
    let two = Listener::open(address).await;
    assert_eq!(
        refused(open(address, None).await),
        429,
        "the address is full"
    );
    let elsewhere = Some("127.0.0.2:0");
    let three = open(address, elsewhere).await.unwrap();
    assert_eq!(
        refused(open(address, elsewhere).await),
        503,
        "the process is full"
    );
    drop((two, three));
    // Their places are given back.
    scene.balancer.becomes("forebay_sockets", &[], 1.0).await;
    one.subscribe(json!(["newHeads"])).await;
    let over = one.ask("eth_subscribe", json!(["newHeads"])).await;
    assert_eq!(over["error"]["code"], -32016);
    let mut codes = Vec::new();
    for _ in 0..10 {
        let answer = one.ask("eth_chainId", json!([])).await;
        codes.push(answer["error"]["code"].as_i64());
    }
    assert!(
        codes.contains(&None) && codes.contains(&Some(-32016)),
        "{codes:?}"
    );
    sleep(Duration::from_millis(1100)).await;
    let answer = one.ask("eth_chainId", json!([])).await;
    assert!(
        answer["result"].is_string(),
        "the socket is open, and its time has come"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_are_pinged_and_one_that_answers_none_is_gone() {
    let more = "  sockets: { ping_interval: 1s }\n";
    let scene = Pretend::set(&[1], more).await;
    let mut lively = Listener::open(scene.balancer.rpc.address).await;
    let mut dead = raw(scene.balancer.rpc.address).await;
    let gone = async {
        assert_eq!(read_frame(&mut dead).await, (0x89, Vec::new()));
        dead.read_to_end(&mut Vec::new()).await.unwrap()
    };
    let lives = lively.next_within(Duration::from_secs(5));
    let (left, heard) = tokio::join!(timeout(PATIENCE, gone), lives);
    assert_eq!((left.unwrap(), heard), (0, None));
    assert!(lively.ask("eth_chainId", json!([])).await["result"].is_string());
    let ended = [("reason", "silent")];
    let counted = scene
        .balancer
        .metric("forebay_sockets_closed_total", &ended);
    assert_eq!(counted.await, Some(1.0));
}

#[tokio::test]
async fn a_lame_duck_opens_no_sockets_and_ends_the_old_with_a_reason_after_their_calls() {
    let (quick, _) = QUICK.split_once("  shutdown:").unwrap();
    let beginning = format!("{quick}  shutdown: {{ lame_duck: 1s, drain: 10s }}\n");
    let mut scene = Pretend::set_with(&[1], &beginning, "").await;
    let address = scene.balancer.rpc.address;
    let mut client = Listener::open(address).await;
    let mut other = Listener::open(address).await;
    slow(&scene, Duration::from_millis(40));
    scene.balancer.process.terminate();
    soon("no socket is opened", async || {
        open(address, None)
            .await
            .is_err_and(|why| refused(Err(why)) == 503)
    })
    .await;
    let subscribed = other.ask("eth_subscribe", json!(["newHeads"])).await;
    assert_eq!(subscribed["error"]["code"], -32012);
    let answer = client
        .ask("eth_getBalance", json!(["0x01", "latest"]))
        .await;
    assert!(
        answer["result"].is_string(),
        "it began before the drain: {answer}"
    );
    for client in [&mut client, &mut other] {
        let Some(Heard::Closed(code, reason)) = client.next_within(PATIENCE).await else {
            panic!("not closed");
        };
        assert_eq!(code, 1012);
        assert!(reason.contains("going away"), "{reason}");
    }
    drop((client, other));
    assert!(scene.balancer.process.ended(PATIENCE).await.success());
}

#[tokio::test]
async fn a_hand_over_lets_the_old_sockets_live_until_the_drain_is_nearly_over() {
    let (quick, _) = QUICK.split_once("  shutdown:").unwrap();
    let beginning = format!(
        "upgrade_sock: \"@FOLDER@/upgrade.sock\"\n{quick}  shutdown: {{ lame_duck: 1s, drain: 9s }}\n"
    );
    let mut scene = Pretend::set_with(&[1], &beginning, "").await;
    let address = scene.balancer.rpc.address;
    let mut client = Listener::open(address).await;
    let mut subscriber = Listener::open(address).await;
    subscriber.subscribe(json!(["newHeads"])).await;
    let began = forebay::clock::now();
    let mut old = scene.balancer.upgrade();
    let chain = scene.chain.clone();
    let told = tokio::spawn(async move {
        let mut last = began;
        chain.advance(1);
        loop {
            match subscriber.next_within(PATIENCE).await {
                Some(Heard::Closed(code, _)) => break (code, last),
                Some(_) => {
                    last = forebay::clock::now();
                    chain.advance(1);
                }
                None => panic!("neither heads nor an end"),
            }
        }
    });
    soon("the new process opens sockets", async || {
        open(address, None).await.is_ok()
    })
    .await;
    let heard = loop {
        if let Some(heard) = client.next_within(Duration::from_millis(300)).await {
            break heard;
        }
        let answer = client
            .ask("eth_getBalance", json!(["0x01", "latest"]))
            .await;
        assert!(
            answer["result"].is_string(),
            "it is served to its end: {answer}"
        );
    };
    assert!(matches!(heard, Heard::Closed(1012, _)), "{heard:?}");
    assert!(
        began.elapsed() >= Duration::from_secs(9),
        "{:?}",
        began.elapsed()
    );
    drop(client);
    let (code, last) = told.await.unwrap();
    assert_eq!(code, 1012);
    let last = last.duration_since(began);
    assert!(last >= Duration::from_secs(8), "the last head: {last:?}");
    old.ended(PATIENCE).await;
}

// Stage-hands.

/// The node takes some fifty of these pauses for a balance; its probes are as quick as ever.
fn slow(scene: &Pretend, pause: Duration) {
    let piece_bytes = 1;
    scene.nodes[0].set_fault_for(&["eth_getBalance"], Fault::Dribble { piece_bytes, pause });
}

type Socket = WebSocketStream<TcpStream>;

/// Opens a socket, from another loopback address if one is given.
async fn open(to: SocketAddr, from: Option<&str>) -> Result<Socket, tungstenite::Error> {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    if let Some(from) = from {
        socket.bind(from.parse().unwrap()).unwrap();
    }
    let stream = socket.connect(to).await?;
    let request = format!("ws://{to}/").into_client_request().unwrap();
    let shaken = timeout(PATIENCE, client_async(request, stream)).await;
    Ok(shaken.expect("a handshake in time")?.0)
}

/// The status of a refused handshake; 0 where there was none.
fn refused(opened: Result<Socket, tungstenite::Error>) -> u16 {
    match opened {
        Ok(_) => panic!("it is open"),
        Err(tungstenite::Error::Http(answer)) => answer.status().as_u16(),
        Err(_) => 0,
    }
}

async fn next(socket: &mut Socket) -> Value {
    loop {
        let message = timeout(PATIENCE, socket.next()).await;
        if let Message::Text(text) = message.expect("in time").unwrap().unwrap() {
            return serde_json::from_str(&text).unwrap();
        }
    }
}

/// The status and the whole head of the answer to a handshake.
async fn handshake(address: SocketAddr, path: &str, headers: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let headers = headers.replace('\n', "\r\n");
    let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.windows(4).any(|four| four == b"\r\n\r\n") {
        let read = timeout(PATIENCE, stream.read_buf(&mut answer)).await;
        assert!(read.expect("in time").unwrap() > 0, "no answer");
    }
    let answer = String::from_utf8(answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}

/// An open socket without a codec.
async fn raw(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 101 "));
    stream
}

fn frame(head: u8, payload: &[u8], is_masked: bool) -> Vec<u8> {
    let bit = if is_masked { 0x80 } else { 0 };
    let mut frame = vec![head];
    if payload.len() < 126 {
        frame.push(bit | u8::try_from(payload.len()).unwrap());
    } else {
        frame.push(bit | 127);
        frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
    }
    if is_masked {
        // Of zeros: the payload stays as it is.
        frame.extend_from_slice(&[0; 4]);
    }
    frame.extend_from_slice(payload);
    frame
}

/// A short frame of the balancer's: its first byte and its payload.
async fn read_frame(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let reading = async {
        let head = stream.read_u8().await.unwrap();
        let length = match stream.read_u8().await.unwrap() {
            126 => usize::from(stream.read_u16().await.unwrap()),
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).await.unwrap();
        (head, payload)
    };
    timeout(PATIENCE, reading).await.expect("a frame in time")
}

async fn close_code(stream: &mut TcpStream) -> u16 {
    let (head, payload) = read_frame(stream).await;
    assert_eq!(head, 0x88);
    u16::from_be_bytes([payload[0], payload[1]])
}

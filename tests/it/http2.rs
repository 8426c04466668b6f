//! HTTP/2 of clients that are rude, odd or late: heads and frames have limits, and no client is told to
//! go before its first answer.

use std::time::Duration;

use crate::support::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Frames, GOAWAY, HEADERS, POST,
    frame, header,
};
use crate::support::{PATIENCE, Pretend, QUICK, call, get, soon};
use forebay::client::http1::head::{HEAD_BYTES_MAX, HEADERS_MAX};
use forebay::client::http2::connection::STREAMS_MAX;
use forebay_core::wire::http2_frames::{HEAD_TIME_MAX, IDLE_FRAMES_MAX};
use tokio::net::TcpStream;

/// What a field counts for beside its name and value (RFC 9113 §6.5.2).
const FIELD_BYTES: usize = 32;

async fn scene() -> Pretend {
    Pretend::set(&[1], "").await
}

/// Posts a call with these headers; the answer's status.
async fn status(scene: &Pretend, headers: &[(&str, String)]) -> u16 {
    let stream = TcpStream::connect(scene.balancer.rpc.address).await;
    let (mut client, connection) = h2::client::handshake(stream.unwrap()).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut request = http::Request::post("http://x/");
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let (response, mut sending) = client
        .send_request(request.body(()).unwrap(), false)
        .unwrap();
    // An error says that the answer is there already.
    drop(sending.send_data(call("1", "eth_getBalance").into(), true));
    let status = response.await.unwrap().status().as_u16();
    connection.abort();
    status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_has_so_many_headers_and_not_one_more() {
    let scene = scene().await;
    for (headers, wanted) in [(HEADERS_MAX, 200), (HEADERS_MAX + 1, 431), (1500, 431)] {
        let headers = vec![("x", "y".to_string()); headers];
        assert_eq!(status(&scene, &headers).await, wanted);
    }
    scene.is_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_is_so_long_and_not_one_byte_longer() {
    let scene = scene().await;
    // What the client puts in by itself: method, scheme, authority and path.
    let own = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "x"),
        (":path", "/"),
    ];
    let own: usize = own
        .iter()
        .map(|(name, value)| name.len() + value.len() + FIELD_BYTES)
        .sum();
    let longest = HEAD_BYTES_MAX - 1 - own - FIELD_BYTES - "x".len();
    for (bytes, wanted) in [(longest, 200), (longest + 1, 431), (2 * longest, 431)] {
        let headers = [("x", "y".repeat(bytes))];
        assert_eq!(status(&scene, &headers).await, wanted, "{bytes}");
    }
    scene.is_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_has_its_time_with_all_its_continuations() {
    let scene = scene().await;
    let address = scene.balancer.rpc.address;
    let mut between = Frames::connect(address).await;
    let mut within = Frames::connect(address).await;
    let mut dribbles = Frames::connect(address).await;
    let began_at = forebay::clock::now();
    between.send(&frame(HEADERS, END_STREAM, 1, POST)).await;
    let last = frame(CONTINUATION, END_HEADERS, 1, &header("x", &"y".repeat(200)));
    within.send(&frame(HEADERS, END_STREAM, 1, POST)).await;
    within.send(&last[..20]).await;
    dribbles.send(&frame(HEADERS, END_STREAM, 1, POST)).await;
    let dribbling = async {
        for byte in &last {
            tokio::time::sleep(Duration::from_millis(200)).await;
            if !dribbles.try_send(&[*byte]).await {
                break;
            }
        }
        dribbles.next_of(HEADERS).await
    };
    let ended = async {
        let told = between.next_of(GOAWAY).await.expect("told to go");
        assert_eq!(told.code(), ENHANCE_YOUR_CALM);
        assert!(within.next_of(HEADERS).await.is_none());
        began_at.elapsed()
    };
    let (answered, took) = tokio::join!(dribbling, ended);
    assert!(answered.is_none());
    assert!(took > HEAD_TIME_MAX - Duration::from_secs(1), "{took:?}");
    assert!(took < HEAD_TIME_MAX + Duration::from_secs(3), "{took:?}");
    scene.is_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_of_many_streams_at_once_take_little_memory() {
    const CONNECTIONS: usize = 8;
    const GROWTH_MAX: f64 = 40e6;
    let scene = scene().await;
    let resident = async || {
        let name = "process_resident_memory_bytes";
        scene.balancer.metric(name, &[]).await.unwrap()
    };
    scene.is_well().await;
    let before = resident().await;
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut frames = Frames::connect(scene.balancer.rpc.address).await;
        // A header that the table keeps, and then only its number, again and again.
        let value = "y".repeat(3000);
        let kept = [&[0x40][..], &header("x", &value)[1..]].concat();
        let long = [POST, &kept, &[0xbe; 19]].concat();
        frames.send(&frame(HEADERS, END_HEADERS, 1, &long)).await;
        let again = [POST, &[0xbe; 20]].concat();
        for number in 1..STREAMS_MAX {
            let stream = 2 * number + 1;
            frames
                .send(&frame(HEADERS, END_HEADERS, stream, &again))
                .await;
        }
        open.push(frames);
    }
    let streams = f64::from(STREAMS_MAX) * CONNECTIONS as f64;
    soon("all wait for their bodies", async || {
        let inside = scene
            .balancer
            .metric("forebay_requests_in_flight", &[])
            .await;
        inside.unwrap() >= streams
    })
    .await;
    let grown = resident().await - before;
    let sent = streams * 20.0 * 3000.0;
    assert!(grown < GROWTH_MAX, "{grown} of {sent} bytes are kept");
    scene.is_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_do_nothing_end_a_connection() {
    let scene = scene().await;
    for (kind, carried) in [
        (DATA, &b""[..]),
        (2, &[0; 5]),
        (8, &[0, 0, 0, 1]),
        (0xee, b"?"),
    ] {
        let mut frames = Frames::connect(scene.balancer.rpc.address).await;
        frames.send(&frame(HEADERS, END_HEADERS, 1, POST)).await;
        let stream = if kind == 2 { 3 } else { 1 };
        let idle = frame(kind, 0, stream, carried);
        let many = idle.repeat(2 * IDLE_FRAMES_MAX as usize);
        frames.try_send(&many).await;
        let told = frames.next_of(GOAWAY).await.expect("told to go");
        assert_eq!(told.code(), ENHANCE_YOUR_CALM, "{kind}");
        assert!(frames.next_of(HEADERS).await.is_none());
    }
    scene.is_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_honest_client_may_open_its_windows_as_often_as_it_calls() {
    let scene = scene().await;
    let mut frames = Frames::connect(scene.balancer.rpc.address).await;
    let body = call("1", "web3_clientVersion");
    for number in 0..3000 {
        let stream = 2 * number + 1;
        let bytes = [
            frame(HEADERS, END_HEADERS, stream, POST),
            frame(DATA, END_STREAM, stream, body.as_bytes()),
            frame(8, 0, 0, &[0, 0, 1, 0]),
            frame(8, 0, stream, &[0, 0, 1, 0]),
        ];
        frames.send(&bytes.concat()).await;
        let answer = frames.next_of(HEADERS).await.expect("an answer");
        assert_eq!(answer.status(), 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_waits_for_our_word_gets_it() {
    let scene = scene().await;
    let mut frames = Frames::connect(scene.balancer.rpc.address).await;
    let head = [POST, &header("expect", "100-continue")].concat();
    frames.send(&frame(HEADERS, END_HEADERS, 1, &head)).await;
    let word = frames.next_of(HEADERS).await.unwrap();
    assert_eq!((word.status(), word.flags & END_STREAM), (100, 0));
    let body = call("1", "eth_getBalance");
    frames
        .send(&frame(DATA, END_STREAM, 1, body.as_bytes()))
        .await;
    assert_eq!(frames.next_of(HEADERS).await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_is_told_to_a_request_that_names_no_host_and_nothing_else_is() {
    let scene = scene().await;
    for (block, wanted) in [
        (&b"\x82\x86\x04\x07/health"[..], 200),
        (b"\x83\x86\x84", 400),
        (b"\x82\x86\x84", 400),
    ] {
        let mut frames = Frames::connect(scene.balancer.rpc.address).await;
        let flags = END_HEADERS | END_STREAM;
        frames.send(&frame(HEADERS, flags, 1, block)).await;
        let answer = frames.next_of(HEADERS).await.unwrap();
        assert_eq!(answer.status(), wanted, "{block:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_made_while_we_leave_is_told_to_go_after_its_first_answer() {
    let beginning = QUICK.replace("lame_duck: 300ms", "lame_duck: 20s");
    let mut scene = Pretend::set_with(&[1], &beginning, "").await;
    scene.balancer.process.terminate();
    soon("it leaves", async || {
        let health = get(scene.balancer.rpc.address, "/health", PATIENCE);
        health.await.is_ok_and(|health| health.status == 503)
    })
    .await;
    let body = call("1", "eth_getBalance");
    for _ in 0..15 {
        let mut frames = Frames::connect(scene.balancer.rpc.address).await;
        frames.send(&frame(HEADERS, END_HEADERS, 1, POST)).await;
        frames
            .send(&frame(DATA, END_STREAM, 1, body.as_bytes()))
            .await;
        let mut order = Vec::new();
        while let Some(frame) = frames.next().await {
            match frame.kind {
                HEADERS => order.push("head"),
                DATA if frame.flags & END_STREAM != 0 => order.push("end"),
                GOAWAY => order.push("go"),
                _ => {}
            }
            if order.len() == 3 {
                break;
            }
        }
        assert_eq!(order, ["head", "end", "go"]);
    }
    assert!(scene.balancer.process.is_running());
    // And one that asks for nothing is told, too.
    let mut idle = Frames::connect(scene.balancer.rpc.address).await;
    assert!(idle.next_of(GOAWAY).await.is_some());
}

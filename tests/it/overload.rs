//! More than there is room for: refusals in place of an end, and quiet clients are served meanwhile.

use std::net::SocketAddr;
use std::time::Duration;

use crate::support::frames::{
    DATA, END_HEADERS, END_STREAM, Frames, HEADERS, POST, SETTINGS, frame,
};
use crate::support::{Answer, PATIENCE, Pretend, Wire, call, request, soon};
use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

const LITTLE: &str = "  limits: { memory: 64MiB }\n";
/// Where a quiet client comes from: all other clients here come from 127.0.0.1.
const QUIET: &str = "127.0.0.2:0";

/// A call of a connection that ends with it.
fn last_call(method: &str) -> String {
    request("Connection: close\r\n", &call("1", method))
}

/// A call from an address of its own.
async fn quiet_call(to: SocketAddr) -> Answer {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(QUIET.parse().unwrap()).unwrap();
    let exchange = async {
        let mut stream = socket.connect(to).await?;
        let request = last_call("eth_getBalance");
        stream.write_all(request.as_bytes()).await?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await?;
        std::io::Result::Ok(bytes)
    };
    let bytes = timeout(PATIENCE, exchange).await.expect("in time").unwrap();
    Answer::parse(&bytes).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_no_client_reads_hold_no_place() {
    const CONNECTIONS: u32 = 4;
    const STREAMS: u32 = 100;
    let scene = Pretend::set(&[1], LITTLE).await;
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut frames = Frames::connect(scene.balancer.rpc.address).await;
        // The window of a stream is shut from its beginning (RFC 9113 §6.5.2).
        let shut = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
        frames.send(&shut).await;
        for number in 0..STREAMS {
            let stream = 2 * number + 1;
            let body = call("1", "eth_getBalance");
            frames
                .send(&frame(HEADERS, END_HEADERS, stream, POST))
                .await;
            let body = frame(DATA, END_STREAM, stream, body.as_bytes());
            frames.send(&body).await;
        }
        open.push(frames);
    }
    let metric = async |name: &str| scene.balancer.metric(name, &[]).await.unwrap();
    let waiting = f64::from(CONNECTIONS * STREAMS);
    soon("all wait to be taken", async || {
        metric("forebay_requests_in_flight").await >= waiting
            && metric("forebay_requests_admitted").await == 0.0
    })
    .await;
    // As many as there are places, and more.
    for _ in 0..20 {
        assert_eq!(quiet_call(scene.balancer.rpc.address).await.status, 200);
    }
    scene.is_well().await;
}

/// Of a connection to the node at `port`: what the system holds of its answers, in bytes, each.
fn held_of(port: u16) -> Vec<usize> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let waiting = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let (remote, queues) = (fields.get(2)?, fields.get(4)?);
        let (_, to) = remote.split_once(':')?;
        let (_, unread) = queues.split_once(':')?;
        let is_to_node = u16::from_str_radix(to, 16).ok()? == port;
        is_to_node.then(|| usize::from_str_radix(unread, 16).ok())?
    });
    waiting.filter(|bytes| *bytes > 0).collect()
}

/// A node's answer of so many bytes is asked for on `streams` streams of one connection, and not taken.
async fn stall(scene: &Pretend, streams: u32) -> Frames {
    let mut frames = Frames::connect(scene.balancer.rpc.address).await;
    let shut = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    frames.send(&shut).await;
    for number in 0..streams {
        let stream = 2 * number + 1;
        // Each is a call of its own.
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"eth_getCode","params":["{:#042x}","latest"]}}"#,
            number
        );
        frames
            .send(&frame(HEADERS, END_HEADERS, stream, POST))
            .await;
        frames
            .send(&frame(DATA, END_STREAM, stream, body.as_bytes()))
            .await;
    }
    frames
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_an_answer_that_its_client_does_not_take_the_system_holds_a_small_buffer() {
    /// What the system makes of the 256 KiB that we ask for (socket(7): it doubles them).
    const BUFFER_MAX: usize = 512 << 10;
    let scene = Pretend::set(&[1], "").await;
    let answer = format!("\"0x{}\"", "ab".repeat(16 << 20));
    scene.nodes[0].set_result("eth_getCode", &answer);
    let url = scene.nodes[0].url();
    let port = url.rsplit(':').next().unwrap().parse().unwrap();
    // While an answer is taken fast, the system makes more and more room for it, if it is left to itself.
    let socket = TcpSocket::new_v4().unwrap();
    // What isn't taken is to wait before us, not behind us.
    socket.set_recv_buffer_size(64 << 10).unwrap();
    let mut client = socket.connect(scene.balancer.rpc.address).await.unwrap();
    let asked = last_call("eth_getCode");
    client.write_all(asked.as_bytes()).await.unwrap();
    let mut taken = vec![0; 12 << 20];
    let reading = client.read_exact(&mut taken);
    timeout(PATIENCE, reading).await.expect("in time").unwrap();
    let mut before = Vec::new();
    soon("nothing more comes", async || {
        let held = held_of(port);
        let is_still = held.iter().any(|bytes| *bytes > 100 << 10) && held == before;
        before = held;
        tokio::time::sleep(Duration::from_millis(200)).await;
        is_still
    })
    .await;
    println!("held by the system: {before:?} bytes");
    assert!(
        before.iter().all(|bytes| *bytes <= BUFFER_MAX),
        "{before:?}"
    );
    scene.is_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_answers_that_are_not_taken_cost_a_quiet_client_nothing() {
    const CONNECTIONS: u32 = 10;
    const STREAMS: u32 = 100;
    let scene = Pretend::set(&[1], "").await;
    let answer = format!("\"0x{}\"", "ab".repeat(256 << 10));
    scene.nodes[0].set_result("eth_getCode", &answer);
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS {
        open.push(stall(&scene, STREAMS).await);
    }
    let stalled = async || {
        let in_flight = scene.balancer.metric("forebay_requests_in_flight", &[]);
        in_flight.await.unwrap_or_default()
    };
    soon("all wait to be taken", async || {
        stalled().await >= f64::from(CONNECTIONS * STREAMS)
    })
    .await;
    let mut slowest = Duration::ZERO;
    for _ in 0..100 {
        let began = forebay::clock::now();
        assert_eq!(quiet_call(scene.balancer.rpc.address).await.status, 200);
        slowest = slowest.max(began.elapsed());
    }
    println!(
        "{} answers stalled, the slowest quiet call took {slowest:?}",
        stalled().await
    );
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn less_memory_than_the_settings_say_is_told_at_the_start() {
    let more = "  limits: { memory: 8192GiB }\n  sockets: { sockets_max: 90000 }\n";
    let scene = Pretend::set(&[1], more).await;
    let printed = scene.balancer.process.printed();
    let line = printed
        .lines()
        .find(|line| line.contains("WARN  there are "));
    let line = line.unwrap_or_else(|| panic!("{printed}"));
    assert!(line.contains("less than the 8192.0 GiB that forebay.limits.memory says"));
    scene.is_well().await;
    let enough = Pretend::set(&[1], "  limits: { memory: 1GiB }\n").await;
    let printed = enough.balancer.process.printed();
    assert!(!printed.contains("less than the"), "{printed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_raised_to_the_hard_limit_and_health_is_told_when_connections_are_gone() {
    const FILES: u64 = 700;
    // Of this process, as of those that it starts.
    let limit = Rlimit {
        current: Some(FILES / 2),
        maximum: Some(FILES),
    };
    setrlimit(Resource::Nofile, limit).unwrap();
    let scene = Pretend::set(&[1], "").await;
    let address = scene.balancer.rpc.address;
    let printed = scene.balancer.process.printed();
    assert!(printed.contains("700 files may be open"), "{printed}");
    let mut open = Vec::new();
    for _ in 0..290 {
        open.extend(TcpStream::connect(address).await);
    }
    assert_eq!(quiet_call(address).await.status, 200);
    // As soon as those that say nothing have had their time. Each that ended since the others came left one more place.
    soon("a no is told", async || {
        open.extend(TcpStream::connect(address).await);
        let mut wire = Wire::connect(address).await;
        wire.send(last_call("eth_getBalance")).await;
        let refused = wire.answer().await;
        refused.is_some_and(|refused| refused.status == 429)
    })
    .await;
    for _ in 0..5 {
        assert_eq!(scene.balancer.get("/health").await.status, 200);
    }
    drop(open);
    soon("there is room again", async || {
        let answer = scene.post(&call("1", "eth_getBalance")).await;
        answer.status == 200
    })
    .await;
}

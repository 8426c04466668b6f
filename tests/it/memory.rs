//! What is held follows the memory that there is: whatever strangers pile up, refusals come before the end
//! of the process, and a quiet client's small calls are answered meanwhile.
//!
//! Strangers come from a few addresses, the quiet client from another. What the process has of its own, its
//! anonymous memory, is looked at all the time: code that is read from the file is no part of it.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::support::{Pretend, batch_of, call, eventually, soon};
use flate2::Compression;
use flate2::write::GzEncoder;
use forebay::clock;
use forebay_core::vocabulary::caps::Caps;
use forebay_fake::Fault;
use futures_util::future::join_all;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

const MIB: u64 = 1 << 20;
/// Each kind of attack is kept up so long.
const TIME: Duration = Duration::from_millis(1500);
/// Between two small calls of the quiet client, and the time that each may take.
const PAUSE: Duration = Duration::from_millis(15);
const CALL_TIME_MAX: Duration = Duration::from_secs(5);
/// It asks so many at least.
const ASKED_MIN: u64 = 10;
/// Of its calls, so many of a hundred are answered.
const ANSWERED_MIN: f64 = 99.0;
/// Strangers come from so many addresses.
const STRANGERS: usize = 4;
/// Without optimisation the task of a connection is several times as large as in a program that serves:
/// what it may take beyond, for each that there is room for, in bytes.
const DEBUG_BYTES_EACH: u64 = if cfg!(debug_assertions) { 96 << 10 } else { 0 };

/// What the process has of its own, in bytes.
fn own_bytes(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("it lives");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kibibytes
        .and_then(|number| number.trim().parse::<u64>().ok())
        .map_or(0, |number| number << 10)
}

/// A connection from an address of the loopback network.
async fn connect(from: [u8; 4], to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    // What isn't read stays with its sender.
    socket.set_recv_buffer_size(4096)?;
    socket.bind(SocketAddr::from((from, 0)))?;
    socket.connect(to).await
}

fn stranger(number: usize) -> [u8; 4] {
    [127, 0, 1, 1 + u8::try_from(number % STRANGERS).unwrap()]
}

fn post(body: &[u8], announced: usize, more: &str) -> Vec<u8> {
    let head = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {announced}\r\n{more}\r\n");
    [head.as_bytes(), body].concat()
}

/// Asks one small call after another, over a kept connection, and over new ones.
struct Quiet {
    ends: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    answered: Arc<AtomicU64>,
    clients: Vec<JoinHandle<()>>,
}

impl Quiet {
    fn start(to: SocketAddr) -> Quiet {
        let (ends, asked, answered) = (
            Arc::<AtomicBool>::default(),
            Arc::<AtomicU64>::default(),
            Arc::<AtomicU64>::default(),
        );
        let clients = [true, false].map(|keeps| {
            let (ends, asked, answered) = (ends.clone(), asked.clone(), answered.clone());
            tokio::spawn(async move {
                let mut kept = None;
                while !ends.load(Relaxed) {
                    asked.fetch_add(1, Relaxed);
                    if let Ok(Ok(stream)) = timeout(CALL_TIME_MAX, ask(kept.take(), to)).await {
                        answered.fetch_add(1, Relaxed);
                        kept = Some(stream).filter(|_| keeps);
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            })
        });
        Quiet {
            ends,
            asked,
            answered,
            clients: clients.into(),
        }
    }

    /// How many it asked, and how many of a hundred were answered.
    async fn end(self) -> (u64, f64) {
        self.ends.store(true, Relaxed);
        join_all(self.clients).await;
        let (asked, answered) = (self.asked.load(Relaxed), self.answered.load(Relaxed));
        (asked, 100.0 * answered as f64 / asked as f64)
    }
}

async fn ask(kept: Option<TcpStream>, to: SocketAddr) -> std::io::Result<TcpStream> {
    let mut stream = match kept {
        Some(stream) => stream,
        None => connect([127, 0, 0, 9], to).await?,
    };
    let body = call("1", "eth_getBalance");
    stream
        .write_all(&post(body.as_bytes(), body.len(), ""))
        .await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\"0x600d\"}") {
        if answer.len() > 4096 || stream.read_buf(&mut answer).await? == 0 {
            return Err(std::io::ErrorKind::InvalidData.into());
        }
    }
    Ok(stream)
}

#[derive(Clone, Copy, Debug)]
enum Attack {
    Bodies,
    PackedBodies,
    Heads,
    SlowReaders,
    Batches,
    Sockets,
    Idle,
}

const ATTACKS: [Attack; 7] = [
    Attack::Bodies,
    Attack::PackedBodies,
    Attack::Heads,
    Attack::SlowReaders,
    Attack::Batches,
    Attack::Sockets,
    Attack::Idle,
];

impl Attack {
    /// Together several times what there is room for.
    fn connections(self, caps: &Caps, idle: usize) -> usize {
        match self {
            Attack::Bodies | Attack::PackedBodies => 32,
            Attack::Heads => (3 * caps.bodies / (60 << 10)).min(caps.connections),
            Attack::SlowReaders => 64,
            Attack::Batches => 32,
            Attack::Sockets => (2 * caps.sockets).min(2000),
            Attack::Idle => idle,
        }
    }

    /// What each sends before it falls silent.
    fn says(self, caps: &Caps) -> Vec<u8> {
        let body_max = caps.body_max().min(5 << 20);
        let batch = |count: usize| batch_of((0..count).map(|id| call(id, "eth_call")));
        match self {
            // Of this length, and its last byte never comes.
            Attack::Bodies => post(&vec![b' '; body_max - 1], body_max, ""),
            Attack::PackedBodies => {
                let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
                packed.write_all(&vec![b' '; body_max]).unwrap();
                let packed = packed.finish().unwrap();
                post(
                    &packed[..packed.len() - 1],
                    packed.len(),
                    "Content-Encoding: gzip\r\n",
                )
            }
            Attack::Heads => {
                format!("GET / HTTP/1.1\r\nHost: x\r\nA: {}", "y".repeat(60_000)).into()
            }
            Attack::SlowReaders => {
                let body = call("1", "eth_getLogs");
                post(body.as_bytes(), body.len(), "")
            }
            Attack::Batches => {
                let body = batch(20);
                post(body.as_bytes(), body.len(), "")
            }
            Attack::Sockets => {
                b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                    .to_vec()
            }
            Attack::Idle => Vec::new(),
        }
    }
}

/// Begins an attack; it lasts while the connections are held.
async fn begin(attack: Attack, to: SocketAddr, caps: &Caps, idle: usize) -> Vec<JoinHandle<()>> {
    let says = Arc::new(attack.says(caps));
    let streams = (0..attack.connections(caps, idle)).map(|number| {
        let says = says.clone();
        tokio::spawn(async move {
            // What is refused is an answer, too: another comes in its place.
            while let Ok(mut stream) = connect(stranger(number), to).await {
                let _ = stream.write_all(&says).await;
                let mut head = [0; 16];
                let is_slow = matches!(
                    attack,
                    Attack::SlowReaders | Attack::Batches | Attack::Sockets
                );
                if stream.read(&mut head).await.is_ok_and(|bytes| bytes > 0)
                    && is_slow
                    && head.starts_with(b"HTTP/1.1 200") | head.starts_with(b"HTTP/1.1 101")
                {
                    std::future::pending::<()>().await;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        })
    });
    streams.collect()
}

/// All attacks on a process that has so much memory; each in turn, the quiet client beside.
async fn withstands(memory: u64, idle: usize) {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).unwrap();
    let caps = Caps::of(memory);
    let limits = format!("  limits: {{ memory: {memory} }}\n");
    let pretend = Pretend::set(&[1, 1], &limits).await;
    let to = pretend.balancer.rpc.address;
    let id = pretend.balancer.process.id();
    for node in &pretend.nodes {
        node.set_result("eth_getBalance", "\"0x600d\"");
        let huge = Fault::HugeResult { bytes: 200_000 };
        node.set_fault_for(&["eth_call", "eth_getLogs"], huge);
    }
    let peak = Arc::new(AtomicU64::new(0));
    let watching = peak.clone();
    let watch = tokio::spawn(async move {
        loop {
            watching.fetch_max(own_bytes(id), Relaxed);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let empty = own_bytes(id);
    let allowed =
        memory + DEBUG_BYTES_EACH * (caps.connections.min(idle) + caps.sockets.min(2000)) as u64;
    let mut answered = Vec::new();
    for attack in ATTACKS {
        peak.store(0, Relaxed);
        let strangers = begin(attack, to, &caps, idle).await;
        let quiet = Quiet::start(to);
        until(clock::now() + TIME).await;
        // On a machine that does much else it takes longer until it has asked some.
        soon("the quiet client has asked", async || {
            quiet.asked.load(Relaxed) >= ASKED_MIN
        })
        .await;
        let (asked, share) = quiet.end().await;
        for stranger in strangers {
            stranger.abort();
        }
        let peak = peak.load(Relaxed);
        println!(
            "{} MiB, {attack:?}: {share:.1} % of {asked} calls, {:.1} MiB at most of its own ({:.1} empty)",
            memory / MIB,
            peak as f64 / MIB as f64,
            empty as f64 / MIB as f64,
        );
        answered.push((attack, share, peak));
        // It goes on as before once they have left.
        eventually("there is room again", CALL_TIME_MAX, async || {
            ask(None, to).await.is_ok()
        })
        .await;
    }
    watch.abort();
    for (attack, share, peak) in answered {
        assert!(share >= ANSWERED_MIN, "{attack:?}: {share} % answered");
        assert!(peak <= allowed, "{attack:?}: {peak} bytes of {allowed}");
    }
}

async fn until(end: Instant) {
    tokio::time::sleep_until(end.into()).await;
}

/// By large ones the system would give it 2 MiB for each piece that some bytes of are touched.
#[tokio::test]
async fn memory_is_taken_by_small_pages() {
    let scene = Pretend::set(&[1], "").await;
    let status = format!("/proc/{}/status", scene.balancer.process.id());
    let status = std::fs::read_to_string(status).expect("it lives");
    let line = status.lines().find(|line| line.starts_with("THP_enabled"));
    assert_eq!(line, Some("THP_enabled:\t0"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_64_mib_nothing_piles_up_beyond_it() {
    withstands(64 * MIB, 1000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_256_mib_nothing_piles_up_beyond_it() {
    withstands(256 * MIB, 1500).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, with 10,000 idle connections: nextest run --test it memory:: --run-ignored all"]
async fn with_2_gib_nothing_piles_up_beyond_it() {
    withstands(2048 * MIB, 10_000).await;
}

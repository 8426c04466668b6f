//! One chain is flooded and its nodes die, while another's calls are measured.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use forebay_fake::Fault;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::stage::{ChainStage, call_of};
use crate::support::{Heard, Listener, PATIENCE, soon};

/// Calls that are measured, one each pause.
const MEASURED: usize = 200;
const PAUSE: Duration = Duration::from_millis(10);
/// What the process has room for with 64 MiB is some 200 requests; of them the chain that is flooded gets a
/// quarter for itself and three quarters of the half that is shared, some 125, and one caller three quarters of
/// what is left of them. Here are twice as many.
const SOCKETS: usize = 8;
const CALLS: usize = 32;
/// What a client of the flood waits before it calls again: of the machine's CPU some is to be left.
const FLOOD_PAUSE: Duration = Duration::from_millis(40);
/// The most that p99 may be, by that alone.
const RATIO_MAX: f64 = 1.5;
/// With 64 MiB there are 136, of which one of two chains may have 85, and one address three quarters.
const CONNECTIONS_TRIED: usize = 100;
/// Of the other's reserve of 34, within what the address may have.
const RESERVE_TRIED: usize = 10;

/// Times that it is measured until the machine has let it be measured well: what one chain does to another shows
/// each time.
const TRIES: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_and_dead_nodes_of_one_chain_cost_another_no_call() {
    let stage = ChainStage::with(
        "",
        "  limits: { memory: 64MiB }\n  calls: { deadline: 4s, attempt: 2s }\n",
        &[("ethereum", 1, ""), ("base", 8453, "")],
    )
    .await;
    let quiet = format!("{}/base", stage.balancer.url());
    let flood = Flood::begin(stage.balancer.rpc.address, "/ethereum");
    let mut ratios = Vec::new();
    let is_apart = |ratios: &[[f64; 2]]| {
        let of = |at: usize| ratios.iter().any(|ratio: &[f64; 2]| ratio[at] <= RATIO_MAX);
        of(0) && of(1)
    };
    while ratios.len() < TRIES && !is_apart(&ratios) {
        flood.rests(true);
        for node in stage.nodes("ethereum") {
            node.mend();
        }
        let alone = measured(&quiet).await;
        for node in stage.nodes("ethereum") {
            node.set_fault_for(&["eth_getBalance"], Fault::Stall);
        }
        flood.rests(false);
        flood.is_shed().await;
        let beside = measured(&quiet).await;
        // The nodes are dead altogether.
        for node in stage.nodes("ethereum") {
            node.set_fault(Fault::HangUp);
        }
        let with_dead = measured(&quiet).await;
        ratios.push([beside, with_dead].map(|p99| p99.as_secs_f64() / alone.as_secs_f64()));
    }
    let (sent, refused) = flood.end().await;
    assert!(refused > 0, "the flood was no flood: {sent} calls");
    assert!(
        is_apart(&ratios),
        "p99 beside a flood, and beside dead nodes, by that alone: {ratios:?}"
    );
}

/// A chain's connections are its own to use up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_of_one_chain_leave_another_its_reserve() {
    let stage = ChainStage::with(
        "",
        "  limits: { memory: 64MiB }\n",
        &[("ethereum", 1, ""), ("base", 8453, "")],
    )
    .await;
    let address = stage.balancer.rpc.address;
    let (mut held, mut is_full) = (Vec::new(), false);
    while !is_full && held.len() < CONNECTIONS_TRIED {
        let mut connection = Connection::open(address).await;
        is_full = !connection.answers("/ethereum").await;
        held.push(connection);
    }
    assert!(is_full, "{} connections of one chain", held.len());
    for _ in 0..RESERVE_TRIED {
        let mut connection = Connection::open(address).await;
        assert!(connection.answers("/base").await, "beside {}", held.len());
        held.push(connection);
    }
    // One that goes on to the full chain is told so, and what was its place is free again.
    let last = held.last_mut().unwrap();
    assert!(!last.answers("/ethereum").await);
    drop(held);
    soon("their places are free", async || {
        Connection::open(address).await.answers("/ethereum").await
    })
    .await;
}

/// One connection that stays open.
struct Connection {
    stream: TcpStream,
}

impl Connection {
    async fn open(address: SocketAddr) -> Connection {
        let stream = TcpStream::connect(address).await.unwrap();
        Connection { stream }
    }

    /// Whether a call is answered rather than refused for want of room.
    async fn answers(&mut self, path: &str) -> bool {
        let body = call_of("eth_chainId");
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        if self.stream.write_all(request.as_bytes()).await.is_err() {
            return false;
        }
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") {
            let read = self.stream.read_buf(&mut answer);
            let read = tokio::time::timeout(PATIENCE, read).await.unwrap();
            if !matches!(read, Ok(bytes) if bytes > 0) {
                return false;
            }
        }
        String::from_utf8_lossy(&answer).contains("\"result\"")
    }
}

/// The 99th of 100 of the calls at `url`, of which none fails.
async fn measured(url: &str) -> Duration {
    let client = client();
    let mut ticks = tokio::time::interval(PAUSE);
    let mut calls = tokio::task::JoinSet::new();
    for at in 0..MEASURED {
        ticks.tick().await;
        let (client, url) = (client.clone(), url.to_string());
        calls.spawn(async move {
            let began = forebay::clock::now();
            let answer = balance(&client, &url, at).await;
            assert!(answer.contains("result"), "{answer}");
            forebay::clock::now() - began
        });
    }
    let mut took = calls.join_all().await;
    took.sort_unstable();
    took[MEASURED * 99 / 100]
}

fn client() -> reqwest::Client {
    forebay::node::install_tls();
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE);
    client.build().unwrap()
}

fn balance_of(at: usize) -> String {
    let params = format!("[\"{at:#042x}\",\"latest\"]");
    call_of("eth_getBalance").replace("[]", &params)
}

async fn balance(client: &reqwest::Client, url: &str, at: usize) -> String {
    let body = balance_of(at);
    let sent = client.post(url).header("content-type", "application/json");
    let answer = sent.body(body).send().await.unwrap();
    answer.text().await.unwrap()
}

/// Clients that never stop: over few sockets, each with as many calls as one may have at once.
struct Flood {
    is_over: Arc<AtomicBool>,
    rests: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
    clients: Vec<tokio::task::JoinHandle<()>>,
}

impl Flood {
    fn begin(address: SocketAddr, path: &'static str) -> Flood {
        let mut flood = Flood {
            is_over: Arc::default(),
            rests: Arc::default(),
            sent: Arc::default(),
            refused: Arc::default(),
            clients: Vec::new(),
        };
        for _ in 0..SOCKETS {
            let (is_over, sent) = (flood.is_over.clone(), flood.sent.clone());
            let (refused, rests) = (flood.refused.clone(), flood.rests.clone());
            flood.clients.push(tokio::spawn(async move {
                let mut socket = Listener::open_at(address, path).await;
                for at in 0..CALLS {
                    socket.say(&balance_of(at)).await;
                }
                while !is_over.load(Ordering::Relaxed) {
                    let Some(Heard::Answer(answer)) = socket.next_within(PATIENCE).await else {
                        panic!("no answer");
                    };
                    let at = sent.fetch_add(1, Ordering::Relaxed);
                    if answer["error"]["code"] == -32012 {
                        refused.fetch_add(1, Ordering::Relaxed);
                    }
                    tokio::time::sleep(FLOOD_PAUSE).await;
                    while rests.load(Ordering::Relaxed) && !is_over.load(Ordering::Relaxed) {
                        tokio::time::sleep(FLOOD_PAUSE).await;
                    }
                    socket.say(&balance_of(at as usize)).await;
                }
            }));
        }
        flood
    }

    fn rests(&self, rests: bool) {
        self.rests.store(rests, Ordering::Relaxed);
    }

    /// Some of it finds no room.
    async fn is_shed(&self) {
        let before = self.refused.load(Ordering::Relaxed);
        soon("the flood is shed", async || {
            self.refused.load(Ordering::Relaxed) > before
        })
        .await;
    }

    /// Calls, and those of them that found no room.
    async fn end(self) -> (u64, u64) {
        self.is_over.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await.unwrap();
        }
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (count(&self.sent), count(&self.refused))
    }
}

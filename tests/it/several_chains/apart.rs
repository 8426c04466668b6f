//! One chain is flooded and its nodes die, while another's calls are measured.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use forebay_fake::Fault;

use super::stage::{ChainStage, call_of};
use crate::support::{Heard, Listener, PATIENCE};

/// Calls that are measured, one each pause.
const MEASURED: usize = 300;
const PAUSE: Duration = Duration::from_millis(10);
/// What the house has room for with 64 MiB is some 200 requests; of them the chain that is flooded gets a
/// quarter for itself and three quarters of the half that is shared, some 125, and one caller three quarters of
/// what is left of them. Here are twice as many.
const SOCKETS: usize = 8;
const CALLS: usize = 32;
/// So much a busy machine may add.
const NOISE: Duration = Duration::from_millis(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_and_dead_nodes_of_one_chain_cost_another_no_call() {
    let stage = ChainStage::with(
        "",
        "  limits: { memory: 64MiB }\n  calls: { deadline: 4s, attempt: 2s }\n",
        &[("ethereum", 1, ""), ("base", 8453, "")],
    )
    .await;
    let quiet = format!("{}/base", stage.balancer.url());
    let alone = measured(&quiet).await;
    let flood = Flood::begin(stage.balancer.rpc.address, "/ethereum");
    for node in stage.nodes("ethereum") {
        node.set_fault_for(&["eth_getBalance"], Fault::Stall);
    }
    flood.is_shed().await;
    let beside = measured(&quiet).await;
    // The nodes are dead altogether.
    for node in stage.nodes("ethereum") {
        node.set_fault(Fault::HangUp);
    }
    let with_dead = measured(&quiet).await;
    let (sent, refused) = flood.end().await;
    assert!(refused > 0, "the flood was no flood: {sent} calls");
    for (what, p99) in [("flooded", beside), ("dead", with_dead)] {
        let most = alone.mul_f64(1.5).max(alone + NOISE);
        assert!(p99 <= most, "{what}: p99 {p99:?}, {alone:?} alone");
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
    sent: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
    clients: Vec<tokio::task::JoinHandle<()>>,
}

impl Flood {
    fn begin(address: SocketAddr, path: &'static str) -> Flood {
        let mut flood = Flood {
            is_over: Arc::default(),
            sent: Arc::default(),
            refused: Arc::default(),
            clients: Vec::new(),
        };
        for _ in 0..SOCKETS {
            let (is_over, sent) = (flood.is_over.clone(), flood.sent.clone());
            let refused = flood.refused.clone();
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
                    // Not the machine is to be flooded.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    socket.say(&balance_of(at as usize)).await;
                }
            }));
        }
        flood
    }

    /// Some of it finds no room.
    async fn is_shed(&self) {
        crate::support::eventually("the flood is shed", PATIENCE, async || {
            self.refused.load(Ordering::Relaxed) > 0
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

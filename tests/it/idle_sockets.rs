//! What idle subscribers cost: resident memory for each, and CPU for each head told to all.
//!
//! A measurement, so no part of the everyday run: `./dev sockets [COUNT]`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::support::{Balancer, PATIENCE, QUICK, eventually, pretend_node};
use forebay::client::websocket::connection::codec;
use forebay_fake::FakeChain;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

const SUBSCRIBE: &str =
    r#"{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}"#;
/// The most that an idle subscriber may take of the process's memory.
const BYTES_MAX: f64 = 64_000.0;
/// Heads that are waited for.
const HEADS: u64 = 20;

fn count() -> u64 {
    let asked = std::env::var("SOCKETS").ok();
    asked.map_or(10_000, |count| count.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: ./dev sockets"]
async fn idle_subscribers_cost_little() {
    let count = count();
    let chain = FakeChain::running(1, 100, Duration::from_secs(1));
    let node = pretend_node(&chain).await;
    let balancer = Balancer::before(QUICK, "a", &node.url()).await;
    let metric = async |name: &str| balancer.metric(name, &[]).await.unwrap();
    let empty = metric("process_resident_memory_bytes").await;
    let heads = Arc::new(AtomicU64::new(0));
    for number in 0..count {
        let client = open(balancer.rpc.address, number).await;
        tokio::spawn(listen(client, heads.clone()));
    }
    eventually("all are subscribed", 4 * PATIENCE, async || {
        metric("forebay_subscriptions").await == count as f64
    })
    .await;
    let (before, told_before) = (cpu(&balancer).await, heads.load(Relaxed));
    eventually("heads are told", 4 * PATIENCE, async || {
        heads.load(Relaxed) >= told_before + HEADS * count
    })
    .await;
    let told = (heads.load(Relaxed) - told_before) as f64 / count as f64;
    let seconds = (cpu(&balancer).await - before) / told;
    let bytes = (metric("process_resident_memory_bytes").await - empty) / count as f64;
    println!(
        "{count} subscribers: {bytes:.0} bytes each, {:.1} ms of CPU a head ({:.1} us a client)",
        seconds * 1e3,
        seconds * 1e6 / count as f64
    );
    assert!(bytes < BYTES_MAX);
    let slow = [("reason", "slow")];
    let slow = balancer.metric("forebay_sockets_closed_total", &slow).await;
    assert_eq!(slow, Some(0.0));
}

async fn cpu(balancer: &Balancer) -> f64 {
    // In hundredths of a second; the metric has whole ones.
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", balancer.process.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}

/// From one of a few addresses: one has not enough ports for all.
async fn open(to: SocketAddr, number: u64) -> WebSocketStream<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    let from = format!("127.0.0.{}:0", 2 + number / 20_000);
    socket.bind(from.parse().unwrap()).unwrap();
    let stream = socket.connect(to).await.unwrap();
    let url = format!("ws://{to}/");
    let shaken = client_async_with_config(url, stream, Some(codec(1 << 20))).await;
    let mut client = shaken.unwrap().0;
    client.send(Message::text(SUBSCRIBE)).await.unwrap();
    client
}

async fn listen(mut client: WebSocketStream<TcpStream>, heads: Arc<AtomicU64>) {
    while let Some(Ok(message)) = client.next().await {
        if message.is_text() && message.to_text().unwrap().contains("eth_subscription") {
            heads.fetch_add(1, Relaxed);
        }
    }
}

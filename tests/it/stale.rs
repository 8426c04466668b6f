//! Send, receipt, nonce, call, over and over, while one of two real nodes is some blocks behind:
//! what a client has been shown once is never taken back.
//!
//! Bounded to a short run; `FOREBAY_STALE_ROUNDS=500 cargo test --test it stale:: -- --nocapture`
//! measures what README.md and `docs/guide/consistency.md` say.

use std::process::Command;

use serde_json::Value;

use crate::support::{Balancer, QUICK, RedisServer, RoundRobin, Twins, in_repository};

const ROUNDS: u32 = 60;
/// anvil's accounts, known to everyone: one for each run on the same chain.
const KEYS: [&str; 2] = [
    "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
];
/// viem and ethers.
pub const CLIENTS: u32 = SCRIPTS.len() as u32;
const SCRIPTS: [&str; 2] = ["stale_viem.mjs", "stale_ethers.mjs"];

/// What a client counted.
pub struct Count {
    pub calls: u64,
    pub stale: u64,
    pub told: String,
}

fn rounds() -> u32 {
    let told = std::env::var("FOREBAY_STALE_ROUNDS").ok();
    told.map_or(ROUNDS, |told| told.parse().unwrap())
}

/// Both clients, one after the other, at `url`, so many rounds each.
pub async fn measure(what: &str, url: &str, twins: &Twins, rounds: u32) -> Count {
    let mut count = Count {
        calls: 0,
        stale: 0,
        told: String::new(),
    };
    for (script, key) in SCRIPTS.into_iter().zip(KEYS) {
        let said = run(script, url, key, rounds).await;
        let stale = said["stale"].as_object().unwrap();
        let stale: u64 = stale.values().filter_map(Value::as_u64).sum();
        count.calls += said["calls"].as_u64().unwrap();
        count.stale += stale;
        count.told += &format!("{script}: {said}\n");
        let height = twins.height();
        println!("{what}, {script}: {said}, at block {height}");
    }
    let per_10_000 = count.stale * 10_000 / count.calls;
    let (stale, calls) = (count.stale, count.calls);
    println!("{what}: {stale} of {calls} answers stale, {per_10_000} of 10,000");
    count
}

async fn run(script: &str, url: &str, key: &str, rounds: u32) -> Value {
    let mut command = Command::new("node");
    command.arg(in_repository("tests/clients").join(script));
    command.args([url, &rounds.to_string(), key]);
    // On a thread of its own, so that servers inside the test go on.
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.unwrap().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {complaints}");
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn with_consistency(consistency: &str) -> Count {
    let twins = Twins::start().await;
    let mut yaml = format!("{QUICK}  consistency: {consistency}\n  nodes:\n");
    for (node, name) in twins.doors.iter().zip(["a", "b"]) {
        yaml += &format!("    - {{ url: \"{}\", name: {name} }}\n", node.url());
    }
    let balancer = Balancer::start(&yaml, &[]).await;
    measure(consistency, &balancer.url(), &twins, rounds()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_monotonic_consistency_no_answer_is_stale() {
    let count = with_consistency("monotonic").await;
    assert_eq!(count.stale, 0, "{}", count.told);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_pinned_consistency_no_answer_is_stale() {
    let count = with_consistency("pinned").await;
    assert_eq!(count.stale, 0, "{}", count.told);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_consistency_latest_is_whatever_a_node_says() {
    let count = with_consistency("none").await;
    assert!(count.stale > 0, "then the other tests show nothing");
}

/// So many balancers that share `store`, before the same nodes, and before them a plain round robin, so that
/// each call of a client goes to the next.
async fn with_several(what: &str, balancers: usize, store: &RedisServer) -> Count {
    let twins = Twins::start().await;
    // Each balancer learns of blocks by its own rounds.
    let mut yaml = QUICK.replace("interval: 400ms", "sockets: false, interval: 2s");
    yaml += &format!(
        "  shared: {{ kind: valkey, url: \"{}\" }}\n  nodes:\n",
        store.url()
    );
    for (node, name) in twins.doors.iter().zip(["a", "b"]) {
        yaml += &format!("    - {{ url: \"{}\", name: {name} }}\n", node.url());
    }
    let mut running = Vec::new();
    for _ in 0..balancers {
        running.push(Balancer::start(&yaml, &[]).await);
    }
    let addresses = running.iter().map(|it| it.rpc.address).collect();
    let round_robin = RoundRobin::over(addresses).await;
    measure(what, &round_robin.url(), &twins, rounds()).await
}

/// Of 10,000 answers: those of a moment in which one balancer has not heard the other yet.
const SEVERAL_STALE_MAX: u64 = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_balancers_that_share_a_store_tell_next_to_nothing_that_is_stale() {
    let store = RedisServer::start().await;
    let count = with_several("two with a store", 2, &store).await;
    let allowed = (count.calls * SEVERAL_STALE_MAX).div_ceil(10_000);
    assert!(count.stale <= allowed, "{}", count.told);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_round_robin_tells_what_is_stale() {
    let twins = Twins::start().await;
    let nodes = twins
        .doors
        .iter()
        .map(|door| door.listening.address)
        .collect();
    let round_robin = RoundRobin::over(nodes).await;
    let count = measure("round robin", &round_robin.url(), &twins, rounds()).await;
    assert!(count.stale > 0, "then the other tests show nothing");
}

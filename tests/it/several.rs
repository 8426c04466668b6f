//! What clients were told once stays told: over a restart, and by another balancer.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use forebay::registry::Registry;
use forebay::registry::embedded::EmbeddedRegistry;
use forebay_core::fleet::head_floor::{FloorWrite, HeadFloor};
use forebay_core::vocabulary::chain::{BlockNumber, ChainId};
use forebay_fake::FakeChain;
use rustix::process::Signal;

use crate::support::{
    Balancer, CREDENTIALS, DynamoServer, PATIENCE, Pretend, QUICK, call, on_table, post,
    pretend_node, read_quantity, soon,
};

/// A block takes 2 s.
fn beginning() -> String {
    QUICK.replace("block_time: 1s", "block_time: 2s")
}

async fn shown(balancer: &Balancer) -> u64 {
    let answer = balancer.ask("eth_blockNumber", serde_json::json!([])).await;
    read_quantity(&answer["result"]).unwrap_or_else(|| panic!("{answer}"))
}

/// The registry of a balancer, as another process has it.
fn registry(scene: &Pretend) -> EmbeddedRegistry {
    let path: PathBuf = scene.balancer.folder().join("forebay.db");
    EmbeddedRegistry::open(&path, Arc::new(|_| None)).unwrap()
}

async fn kept(registry: &EmbeddedRegistry) -> u64 {
    let floor = registry.floor().await.unwrap();
    floor.map_or(0, |floor| floor.number.0)
}

/// Another process has told clients of block `number`.
async fn tells(registry: &EmbeddedRegistry, number: u64, chain: u64) {
    let floor = HeadFloor {
        number: BlockNumber(number),
        hash: None,
        chain_id: Some(ChainId(chain)),
        raised_at: forebay::clock::unix_millis(),
    };
    let write = FloorWrite {
        floor,
        lowers: true,
    };
    assert!(registry.raise_floor(write).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_does_not_take_the_head_back() {
    let mut scene = Pretend::set_with(&[1, 1, 1], &beginning(), "").await;
    let registry = registry(&scene);
    for (turn, signal) in [Signal::KILL, Signal::TERM, Signal::KILL]
        .into_iter()
        .enumerate()
    {
        let head = 101 + turn as u64;
        scene.chain.set_head(head);
        scene.nodes.iter().for_each(|node| node.set_lag(0));
        soon("all have it", async || shown(&scene.balancer).await == head).await;
        soon("it is kept", async || kept(&registry).await == head).await;
        for node in &scene.nodes[1..] {
            node.set_lag(1);
        }
        scene.balancer.process.signal(signal);
        soon("it has ended", async || {
            !scene.balancer.process.is_running()
        })
        .await;
        scene.balancer.start_again().await;
        assert_eq!(shown(&scene.balancer).await, head, "{signal:?}");
    }
}

/// Calls while one process takes over from another, and answers that fell, see [`falls_until`]. Both accept for some
/// seconds, and a client's calls come to both in turn. A block takes `block_time`, and nodes have it at different
/// times. `meet`: whether the two can tell each other their heads.
async fn falls_over_an_upgrade(block_time: Duration, meet: bool) -> (u64, u64) {
    let beginning =
        format!("upgrade_sock: \"@FOLDER@/upgrade.sock\"\n{QUICK}").replace("version: 1\n", "");
    let beginning = beginning.replace(
        "block_time: 1s",
        &format!("block_time: {}ms", block_time.as_millis()),
    );
    let mut scene = Pretend::set_with(&[1, 1, 1], &format!("version: 1\n{beginning}"), "").await;
    if !meet {
        // Nothing can listen there.
        std::fs::create_dir(scene.balancer.folder().join("upgrade.sock.heads")).unwrap();
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let address = scene.balancer.rpc.address;
    // What one process tells the other has heard by then, on a busy machine, too.
    let moment = block_time / 5;
    let callers: Vec<_> = (0..4)
        .map(|_| tokio::spawn(falls_until(address, moment, is_over.clone())))
        .collect();
    let mut old = scene.balancer.upgrade();
    let mut turn = 0;
    while old.is_running() {
        scene.chain.advance(1);
        for (at, node) in scene.nodes.iter().enumerate() {
            node.set_lag((turn + at as u64 * 5) % 3);
        }
        turn += 1;
        tokio::time::sleep(block_time).await;
    }
    is_over.store(true, Relaxed);
    let (mut calls, mut falls) = (0, 0);
    for caller in callers {
        let (its_calls, its_falls) = caller.await.unwrap();
        calls += its_calls;
        falls += its_falls;
    }
    println!("blocks of {block_time:?}, met: {meet}: {calls} calls, {falls} falls, {turn} blocks");
    assert!(calls > 2_000, "{calls} calls alone");
    (calls, falls)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_takes_the_head_back_for_no_client() {
    let (calls, falls) = falls_over_an_upgrade(Duration::from_secs(1), true).await;
    assert_eq!(falls, 0, "falls in {calls} calls");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_that_cannot_meet_at_an_upgrade_show_two_heads() {
    let block_time = Duration::from_millis(250);
    let (calls, apart) = falls_over_an_upgrade(block_time, false).await;
    assert!(
        apart * 1_000 > calls,
        "then the other story shows nothing: {apart}"
    );
}

/// Calls over new connections, and how often their answers fell below what was told longer than `moment` before.
async fn falls_until(
    address: SocketAddr,
    moment: Duration,
    is_over: Arc<AtomicBool>,
) -> (u64, u64) {
    let (mut calls, mut falls, mut last) = (0, 0, 0);
    let mut told_at = forebay::clock::now();
    while !is_over.load(Relaxed) {
        let asked_at = forebay::clock::now();
        let answer = post(address, &call("1", "eth_blockNumber"), PATIENCE).await;
        let answer = answer.expect("an answer").json();
        let head = read_quantity(&answer["result"]).unwrap_or_else(|| panic!("{answer}"));
        calls += 1;
        falls += u64::from(head < last && asked_at > told_at + moment);
        if head > last {
            (last, told_at) = (head, forebay::clock::now());
        }
    }
    (calls, falls)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_shows_what_no_node_has_for_a_block_time_and_calls_wait_for_it() {
    let mut scene = Pretend::set_with(&[1, 1], &beginning(), "").await;
    soon("it is kept", async || kept(&registry(&scene)).await == 100).await;
    scene.balancer.process.kill();
    scene.nodes.iter().for_each(|node| node.set_lag(1));
    scene.balancer.start_again().await;
    assert_eq!(shown(&scene.balancer).await, 100);
    let waits = async {
        let answer = scene.call("eth_getBalance").await;
        assert!(answer.result().is_string());
    };
    let comes = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        scene.nodes[1].set_lag(0);
    };
    let began = forebay::clock::now();
    tokio::join!(waits, comes);
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(300), "{took:?}");
    assert_eq!(scene.nodes[0].calls_of("eth_getBalance"), 0);
    assert_eq!(shown(&scene.balancer).await, 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_begun_anew_makes_the_floor_void_and_so_does_another_chains_id() {
    let ours = beginning().replace("block_time", "id: 1, block_time");
    let mut scene = Pretend::set_with(&[1, 1], &ours, "").await;
    let registry = registry(&scene);
    soon("it is kept", async || kept(&registry).await == 100).await;
    scene.balancer.process.kill();
    scene.chain.set_head(3);
    scene.balancer.start_again().await;
    assert_eq!(shown(&scene.balancer).await, 3);
    scene.is_well().await;
    tells(&registry, 5, 2).await;
    soon("it is written over", async || kept(&registry).await == 3).await;
    assert_eq!(shown(&scene.balancer).await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_balancer_that_lies_lifts_the_head_for_a_block_time_within_reach_and_fails_no_call() {
    let scene = Pretend::set_with(&[1, 1], &beginning(), "").await;
    let registry = registry(&scene);
    soon("it is kept", async || kept(&registry).await == 100).await;
    tells(&registry, 1_000_000, 1).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(shown(&scene.balancer).await, 100, "beyond reach");
    tells(&registry, 103, 1).await;
    soon("it is shown", async || shown(&scene.balancer).await == 103).await;
    // It waits for the block, and then goes on with the head as it is.
    scene.is_well().await;
    assert_eq!(shown(&scene.balancer).await, 100);
    tells(&registry, 102, 1).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(shown(&scene.balancer).await, 100, "it is doubted");
    scene.chain.set_head(104);
    soon("it goes on", async || shown(&scene.balancer).await == 104).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_balancers_on_one_table_learn_each_others_heads() {
    let server = DynamoServer::dynoxide().await;
    let chain = FakeChain::still(1, 100);
    let node = pretend_node(&chain).await;
    let registry = server.registry();
    registry.init().await.unwrap();
    let node = forebay_core::testing::named("a", &node.url());
    registry.add(&node).await.unwrap();
    let quick = on_table(&server.url(), "");
    let slow = quick
        .replace("interval: 400ms", "interval: 60s")
        .replace("lease: 2s", "lease: 3m");
    assert_ne!(quick, slow);
    let one = Balancer::start(&quick, &CREDENTIALS).await;
    let other = Balancer::start(&slow, &CREDENTIALS).await;
    for head in [101, 102, 103] {
        chain.set_head(head);
        soon("the one sees it", async || shown(&one).await == head).await;
        soon("and the other hears of it", async || {
            shown(&other).await == head
        })
        .await;
    }
    // Each sees it at its nodes, too, and one a second is written.
    let mut kept = None;
    soon("the table has it", async || {
        kept = registry.floor().await.unwrap();
        kept.is_some_and(|floor| floor.number == BlockNumber(103))
    })
    .await;
    let floor = kept.unwrap();
    assert_eq!(floor.chain_id, Some(ChainId(1)));
    assert!(floor.hash.is_some());
}

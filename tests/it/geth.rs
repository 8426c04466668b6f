//! geth of today, several nodes of one chain, given blocks as a consensus client gives them: they lag,
//! reorganise, die, freeze, forget and come back behind a balancer, and no client notices.

mod behaviour;
mod history;
mod limits;
mod methods;
mod sockets;
mod stage;
mod writes;

use serde_json::json;

use self::stage::Stage;
use crate::support::{LARGE, number};

/// Beyond what a node may lag.
const TOO_FAR: u64 = 11;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_read_is_stale_or_null_while_a_node_lags_or_another_branch_is_told() {
    let mut stage = Stage::set(&[("a", &[]), ("b", &[])], "").await;
    stage.chain.grow(20).await;
    stage.shows_the_tip().await;

    stage.chain.node("b").behind = 3;
    stage.chain.grow(3).await;
    stage.shows_the_tip().await;
    stage.reads_are_of_the_tip(20).await;

    stage.chain.node("b").behind = 0;
    stage.chain.reorganise(2, &[]).await;
    stage.shows_the_tip().await;
    stage.reads_are_of_the_tip(20).await;

    // One alone is on another branch for a while.
    stage.chain.node("b").is_left_alone = true;
    stage.chain.reorganise(1, &[]).await;
    stage.shows_the_tip().await;
    stage.reads_are_of_the_tip(20).await;
    stage.chain.node("b").is_left_alone = false;
    stage.chain.tell().await;
    stage.reads_are_of_the_tip(20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_too_far_behind_leaves_and_returns_when_it_was_brought_up() {
    let nodes: &[(&str, &[&str])] = &[("a", &[]), ("b", &[]), ("c", &[])];
    let mut stage = Stage::set(nodes, "").await;
    stage.chain.node("c").behind = TOO_FAR;
    stage.chain.grow(2 * TOO_FAR).await;
    stage.becomes("c", 0.0).await;
    stage.reads_are_of_the_tip(10).await;
    stage.chain.node("c").behind = 0;
    stage.chain.tell().await;
    stage.becomes("c", 1.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_frozen_and_restarted_nodes_cost_no_call() {
    let mut stage = Stage::set(&[("a", &[]), ("b", &[])], "").await;
    stage.chain.grow(40).await;
    stage.shows_the_tip().await;
    let load = stage.load();

    // What it wrote down when it was asked to end it has again.
    for name in ["a", "b"] {
        let height = stage.chain.height();
        stage.chain.node(name).stop().await;
        stage.chain.node(name).start_again().await;
        assert_eq!(stage.chain.node(name).head().await, height);
        stage.chain.tell().await;
        stage.becomes(name, 1.0).await;
    }

    // Killed it has lost what it held in memory.
    let height = stage.chain.height();
    stage.chain.grow(TOO_FAR).await;
    stage.chain.node("a").process.kill();
    stage.chain.grow(1).await;
    stage.shows_the_tip().await;
    stage.chain.node("a").start_again().await;
    assert_eq!(stage.chain.node("a").head().await, height);
    stage.becomes("a", 0.0).await;
    stage.chain.tell().await;
    stage.becomes("a", 1.0).await;

    stage.chain.node("b").process.pause();
    stage.chain.node("b").is_left_alone = true;
    stage.chain.grow(1).await;
    stage.shows_the_tip().await;
    stage.chain.node("b").process.resume();
    stage.chain.node("b").is_left_alone = false;
    stage.chain.tell().await;
    stage.becomes("b", 1.0).await;

    let tally = load.stop().await;
    assert!(tally.calls > 100, "{tally:?}");
    assert_eq!(
        tally.wrong,
        Vec::<String>::new(),
        "of {} calls",
        tally.calls
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_over_geths_own_limits_are_answered_whole() {
    let limits: &[&str] = &[
        "--rpc.batch-request-limit=10",
        "--rpc.batch-response-max-size=100000",
    ];
    let mut stage = Stage::set(&[("a", limits), ("b", limits)], "").await;
    stage.chain.grow(2).await;
    stage.shows_the_tip().await;
    let many = (0..50).map(|at| {
        json!({"jsonrpc": "2.0", "id": at, "method": "eth_getBlockByNumber",
        "params": [format!("{:#x}", at % 3), false]})
    });
    let answers = stage.batch(many.collect()).await;
    for (at, answer) in answers.iter().enumerate() {
        assert_eq!(answer["id"], at);
        assert_eq!(
            number(&answer["result"]["number"]),
            at as u64 % 3,
            "{answer}"
        );
    }
    // 60 kB each, in hexadecimal.
    let bytes = 30_000;
    let large = (0..9).map(|at| json!({"jsonrpc": "2.0", "id": at, "method": "eth_call",
        "params": [{"to": LARGE, "data": format!("0x{bytes:064x}"), "nonce": format!("{at:#x}")}, "latest"]}));
    for answer in stage.batch(large.collect()).await {
        let result = answer["result"]
            .as_str()
            .unwrap_or_else(|| panic!("{answer}"));
        assert_eq!(result.len(), 2 + 2 * bytes);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn safe_and_final_are_what_the_nodes_agree_on_and_never_go_back() {
    let mut stage = Stage::set(&[("a", &[]), ("b", &[])], "").await;
    stage.chain.grow(30).await;
    let height = stage.chain.height();
    for name in ["a", "b"] {
        stage.chain.settle(name, 4, 8).await;
    }
    stage.tags_become(height - 4, height - 8).await;
    // A node alone that says otherwise.
    stage.chain.settle("b", 10, 20).await;
    stage.rounds_pass(2).await;
    stage.tags_become(height - 4, height - 8).await;
    for name in ["a", "b"] {
        stage.chain.settle(name, 1, 2).await;
    }
    stage.tags_become(height - 1, height - 2).await;
}

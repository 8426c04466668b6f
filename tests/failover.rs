//! Nodes die, freeze and leave under load, and no call fails.

mod support;

use std::time::Duration;

use support::{Load, Scene};

const CALLS: u64 = 6_000;
const CLIENTS: u64 = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_killed_under_load_costs_no_call() {
    let mut scene = Scene::set(&[1, 1, 1], "").await;
    let load = Load::start(&scene.balancer.url(), CALLS, CLIENTS);
    load.reaches(CALLS / 4).await;
    scene.own[1].process.kill();
    let killed_at = forebay::clock::now();
    let tally = load.finish().await;
    tally.no_call_failed();
    assert!(
        tally.of("b") > 0 && tally.of("a") > tally.of("b"),
        "{tally:?}"
    );
    let last = tally
        .last_repeat
        .map(|at| at.saturating_duration_since(killed_at));
    println!(
        "repeated {}, the last {last:?} after the kill",
        tally.repeated
    );
    assert_eq!(tally.of("leader"), 0, "own nodes are left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_node_costs_no_call() {
    let scene = Scene::set(&[1, 1, 1], "").await;
    let load = Load::start(&scene.balancer.url(), CALLS, CLIENTS);
    load.reaches(CALLS / 4).await;
    scene.own[1].process.pause();
    let tally = load.finish().await;
    scene.own[1].process.resume();
    tally.no_call_failed();
    assert!(tally.repeated > 0, "the calls in flight moved: {tally:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_removed_under_load_costs_no_call_and_an_added_one_joins() {
    let scene = Scene::set(&[1, 1], "").await;
    let load = Load::start(&scene.balancer.url(), CALLS, CLIENTS);
    load.reaches(CALLS / 4).await;
    scene.balancer.takes_out("b");
    support::eventually("b is gone", Duration::from_secs(10), async || {
        scene
            .balancer
            .metric("forebay_node_healthy", &[("node", "b")])
            .await
            .is_none()
    })
    .await;
    let before = load.done();
    let added = scene
        .balancer
        .command(&["backends", "add", &scene.own[1].url(), "--name", "back"])
        .status();
    assert!(added.unwrap().success());
    scene.becomes("back", 1.0).await;
    assert!(before < CALLS, "the load outlasts the change");
    let tally = load.finish().await;
    tally.no_call_failed();
    let more = Load::start(&scene.balancer.url(), 200, 4).finish().await;
    assert!(more.of("back") > 0 && more.of("b") == 0, "{more:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shares_follow_weights() {
    let scene = Scene::set(&[1, 2, 7], "").await;
    let tally = Load::start(&scene.balancer.url(), 1_000, 4).finish().await;
    tally.no_call_failed();
    for (node, wanted) in [("a", 100), ("b", 200), ("c", 700)] {
        assert!(tally.of(node).abs_diff(wanted) <= 50, "{tally:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_own_node_the_leader_serves_and_without_any_there_is_a_clear_no() {
    let mut scene = Scene::set(&[1, 1], "").await;
    for node in &mut scene.own {
        node.process.kill();
    }
    scene.becomes("a", 0.0).await;
    scene.becomes("b", 0.0).await;
    let tally = Load::start(&scene.balancer.url(), 100, 4).finish().await;
    tally.no_call_failed();
    assert_eq!(tally.of("leader"), 100);
    let health = support::get(scene.balancer.rpc.address, "/health", support::PATIENCE)
        .await
        .unwrap();
    assert_eq!(
        (health.status, health.json()["status"].as_str()),
        (200, Some("fallback"))
    );
    scene.leader.process.kill();
    scene.becomes("leader", 0.0).await;
    let answer = scene
        .balancer
        .post(r#"{"jsonrpc":"2.0","id":"x","method":"eth_gasPrice"}"#)
        .await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["error"]["code"], -32011);
    assert_eq!(answer.json()["id"], "x");
}

//! Nodes die, freeze and leave under load, and no call fails.

use std::time::Duration;

use crate::support::{Load, Pretend, QUICK, Scene, call, eventually, status_fault};
use forebay_fake::Fault;
use futures_util::future::join_all;
use serde_json::json;
use tokio::time::MissedTickBehavior;

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
async fn own_nodes_that_are_killed_together_cost_no_call() {
    const CALLS: u64 = 400;
    let mut scene = Scene::set(&[1, 1, 1], "").await;
    let load = Load::start(&scene.balancer.url(), CALLS, CLIENTS);
    load.reaches(CALLS / 4).await;
    for node in &mut scene.own {
        node.process.kill();
    }
    let tally = load.finish().await;
    println!(
        "{} of {CALLS} calls lost, {} by the leader",
        tally.failed,
        tally.of("leader")
    );
    tally.no_call_failed();
    assert!(tally.of("leader") > 0, "{tally:?}");
}

/// How many calls were lost of all that run, once they are over.
async fn lost_of(running: &mut Vec<Load>) -> u64 {
    let mut lost = 0;
    for load in running.drain(..) {
        lost += load.finish().await.failed;
    }
    lost
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blip_of_all_own_nodes_costs_no_call_and_the_leader_no_more_than_those_it_met() {
    const PER_SECOND: u64 = 1_000;
    const BLIP: Duration = Duration::from_millis(200);
    // A node whose probes are late is out, too: on a busy machine they are.
    let beginning = QUICK.replace(
        "interval: 400ms, timeout: 350ms",
        "interval: 3s, timeout: 2s",
    );
    let scene = Pretend::with_leader_and(&[1, 1, 1], &beginning, "").await;
    let leader = || scene.nodes[3].calls_of("eth_getBalance");
    let strike = |fault: Option<Fault>| {
        for node in &scene.nodes[..3] {
            node.change(|behaviour| behaviour.fault.clone_from(&fault));
        }
    };
    let url = scene.balancer.url();
    let (mut running, mut lost) = (Vec::new(), 0);
    let mut over_at = None;
    let mut pace = tokio::time::interval(Duration::from_millis(10));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for tick in 0..300 {
        pace.tick().await;
        if tick == 100 {
            // The calls before are over, however slow the machine is.
            lost += lost_of(&mut running).await;
            strike(Some(Fault::Reset));
            over_at = Some(forebay::clock::now() + BLIP);
        } else if over_at.is_some_and(|over_at| forebay::clock::now() >= over_at) {
            strike(None);
            over_at = None;
        }
        // As many clients, of one call each.
        let calls = PER_SECOND / 100;
        running.push(Load::start(&url, calls, calls));
    }
    lost += lost_of(&mut running).await;
    println!(
        "{lost} lost of 3000 calls, {} asked of the leader",
        leader()
    );
    assert_eq!(lost, 0);
    let met = PER_SECOND / 5;
    assert!(leader() <= 2 * met, "{} calls of the leader's", leader());
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

/// The calls that they have, those that wait for their places, and those that come before it is known.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_nodes_that_freeze_together_cost_no_call_single_or_in_batches() {
    let scene = Scene::set(&[1, 1], "").await;
    let load = Load::paced(&scene.balancer.url(), Duration::from_millis(5));
    load.reaches(200).await;
    scene.own.iter().for_each(|node| node.process.pause());
    let batch = async |at: u64| {
        tokio::time::sleep(Duration::from_millis(100 * at)).await;
        let call = |id: u64| {
            let address = format!("{:#042x}", id << 32 | at);
            json!({"jsonrpc": "2.0", "id": id, "method": "eth_getBalance", "params": [address, "latest"]})
        };
        let body = json!([call(1), call(2), call(3)]);
        scene.balancer.post(&body.to_string()).await.text()
    };
    let batches = join_all((0..40).map(batch)).await;
    scene.own.iter().for_each(|node| node.process.resume());
    let tally = load.stop().await;
    println!(
        "{} calls, {} lost, the slowest {:?}, {} by the leader",
        tally.calls(),
        tally.failed,
        tally.slowest,
        tally.of("leader")
    );
    tally.no_call_failed();
    assert!(tally.of("leader") > 0, "{tally:?}");
    for text in batches {
        assert_eq!(text.matches("\"result\"").count(), 3, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_removed_under_load_costs_no_call_and_an_added_one_joins() {
    let scene = Scene::set(&[1, 1], "").await;
    // Three commands take their time on a busy machine.
    let calls = 5 * CALLS;
    let load = Load::start(&scene.balancer.url(), calls, CLIENTS);
    load.reaches(CALLS / 4).await;
    scene.balancer.takes_out("b");
    eventually("b is gone", Duration::from_secs(10), async || {
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
    assert!(before < calls, "the load outlasts the change");
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
    let health = scene.balancer.get("/health").await;
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

/// Long rounds, so that nothing but its silence says that the node is gone.
const SELDOM: &str = "interval: 60s, timeout: 2s";
const SLOW: &str = "  calls: { attempt: 15s }\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_answers_no_call_is_left_after_five_seconds() {
    let beginning = QUICK.replace("interval: 400ms, timeout: 350ms", SELDOM);
    let scene = Pretend::set_with(&[1000, 1], &beginning, SLOW).await;
    scene.nodes[0].set_fault(Fault::Stall);
    let began = forebay::clock::now();
    let answer = scene.call("eth_getBalance").await;
    let took = began.elapsed();
    assert_eq!(answer.node(), "b");
    assert_eq!(answer.header("x-forebay-attempts"), Some("2"));
    let (least, most) = (Duration::from_millis(4900), Duration::from_secs(12));
    assert!(took >= least && took < most, "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_answers_others_meanwhile_is_waited_for() {
    let beginning = QUICK.replace("interval: 400ms, timeout: 350ms", SELDOM);
    let scene = Pretend::set_with(&[1000, 1], &beginning, "  calls: { attempt: 8s }\n").await;
    scene.nodes[0].set_fault_for(&["eth_getBalance"], Fault::Stall);
    let began = forebay::clock::now();
    let slow = async {
        let answer = scene.call("eth_getBalance").await;
        (answer, began.elapsed())
    };
    let others = async {
        loop {
            assert_eq!(scene.call("eth_getCode").await.status, 200);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let (answer, took) = tokio::select! {
        ended = slow => ended,
        () = others => unreachable!(),
    };
    assert_eq!(answer.node(), "b");
    assert!(took >= Duration::from_millis(7900), "{took:?}");
    assert_eq!(
        healthy(&scene).await,
        ["a", "b"],
        "it is no fault of the node"
    );
}

/// The nodes that are healthy, as the metrics say.
async fn healthy(pretend: &Pretend) -> Vec<&'static str> {
    let mut healthy = Vec::new();
    for name in ["a", "b", "c"] {
        let labels = [("node", name)];
        let metric = pretend.balancer.metric("forebay_node_healthy", &labels);
        if metric.await == Some(1.0) {
            healthy.push(name);
        }
    }
    healthy
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_callers_query_that_no_node_can_answer_benches_no_node() {
    let scene = Pretend::set(&[1, 1, 1], "").await;
    scene.all_fail(&["eth_getBlockReceipts"], status_fault(502));
    for _ in 0..60 {
        scene.is_well().await;
        let poison = scene.call("eth_getBlockReceipts").await;
        assert_eq!(poison.json()["error"]["code"], -32013, "{}", poison.text());
    }
    assert_eq!(healthy(&scene).await, ["a", "b", "c"]);
    let labels = [
        ("method", "eth_getBlockReceipts"),
        ("outcome", "unanswerable"),
    ];
    let counted = scene.balancer.metric("forebay_calls_total", &labels).await;
    assert!(counted > Some(50.0), "{counted:?}");
    let health = scene.balancer.get("/health").await.json();
    assert_eq!(health["status"], "ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_breaks_every_call_costs_few_repeats_and_no_call() {
    for fault in [
        status_fault(502),
        Fault::Reset,
        Fault::HalfBody,
        Fault::NotJson,
    ] {
        let scene = Pretend::set(&[1, 1, 1], "").await;
        let name = format!("{fault:?}");
        scene.nodes[1].set_fault_for(&["eth_getBalance"], fault);
        let broken_at = forebay::clock::now();
        let is_out = async || healthy(&scene).await == ["a", "c"];
        while !is_out().await {
            assert!(broken_at.elapsed() < Duration::from_secs(6), "{name}");
            for _ in 0..50 {
                scene.is_well().await;
            }
        }
        let heard = scene.nodes[1].calls_of("eth_getBalance");
        println!(
            "{name}: out after {:?}, {heard} repeats",
            broken_at.elapsed()
        );
        assert!(heard <= 60, "{name}: {heard}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_own_node_that_fails_leaves_its_calls_to_the_fallback() {
    let scene = Pretend::with_fallback(&[1]).await;
    scene.nodes[0].set_fault_for(&["eth_getBalance"], status_fault(502));
    eventually("it is out", Duration::from_secs(10), async || {
        scene.is_well().await;
        healthy(&scene).await.is_empty()
    })
    .await;
    for _ in 0..100 {
        scene.is_well().await;
    }
    let health = scene.balancer.get("/health").await.json();
    assert_eq!(health["status"], "fallback");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_whose_only_node_fails_is_degraded_and_says_how_much() {
    let scene = Pretend::set(&[1], "").await;
    scene.nodes[0].set_fault_for(&["eth_getBalance"], status_fault(502));
    for _ in 0..20 {
        scene.call("eth_getBalance").await;
    }
    let health = scene.balancer.get("/health").await;
    assert_eq!(health.status, 200);
    let health = health.json();
    assert_eq!(health["status"], "degraded");
    assert_eq!(health["why"], "20 of 20 calls of the last 30 s failed");
    assert_eq!(healthy(&scene).await, ["a"], "no node can stand in for it");
    let degraded = scene.balancer.metric("forebay_degraded", &[]).await;
    assert_eq!(degraded, Some(1.0));
    let a = [("node", "a")];
    let suspect = scene.balancer.metric("forebay_node_suspect", &a).await;
    assert_eq!(suspect, Some(1.0));
}

/// Alone and in a batch; another method keeps the times of all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_method_has_times_of_its_own() {
    let more = "  calls: { attempt: 5s, by_method: { \"eth_getC*\": { attempt: 300ms, deadline: 400ms } } }\n";
    let scene = Pretend::set(&[1, 1], more).await;
    scene.all_fail(&["eth_getCode", "eth_getBalance"], Fault::Stall);
    let soon = Duration::from_secs(3);
    let one = call("1", "eth_getCode");
    // Of another address: what is alike is asked once, and alone.
    let other = call("2", "eth_getCode").replace("0x01", "0x02");
    for body in [one.clone(), format!("[{one},{other}]")] {
        let began = forebay::clock::now();
        let answer = scene.post(&body).await;
        let took = forebay::clock::now() - began;
        assert!(answer.text().contains("-32015"), "{}", answer.text());
        assert!(took < soon, "{body}: {took:?}");
    }
    let began = forebay::clock::now();
    scene.post(&call("1", "eth_getBalance")).await;
    let took = forebay::clock::now() - began;
    assert!(took > soon, "{took:?}");
}

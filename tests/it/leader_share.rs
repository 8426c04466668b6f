//! What no node is known to have is asked of the leader within its share, and what the leader is known
//! to have whatever that is.

use std::time::Instant;

use crate::support::{Pretend, batch_of};
use forebay_fake::{FakeNode, FakeRpcError};
use serde_json::Value;

/// Not in the table.
const UNKNOWN: &str = "vendor_estimateFee";
const CALLS: u64 = 150;

/// As `client`.
async fn ask(scene: &Pretend, client: &str, method: &str, params: &str) -> Value {
    let body = format!(r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{params}}}"#);
    let headers = [("x-forebay-client", client)];
    scene.balancer.post_with("/", &headers, &body).await.json()
}

/// How often own nodes and the leader were asked.
fn asked(scene: &Pretend, method: &str) -> (u64, u64) {
    let leader = scene.nodes.last().unwrap().calls_of(method);
    (scene.heard(method) - leader, leader)
}

async fn withheld(scene: &Pretend) -> f64 {
    let metric = scene.balancer.metric("forebay_leader_withheld_total", &[]);
    metric.await.unwrap_or(0.0)
}

/// The most that the leader may be asked at one a second, of which one is there at the start.
fn share_since(began: Instant) -> u64 {
    began.elapsed().as_secs() + 2
}

/// Pretend nodes know neither of the methods that stories are about.
fn has_it(node: &FakeNode, method: &str) {
    node.set_result(method, r#""0x1""#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_method_costs_one_attempt_and_the_leader_its_share() {
    let scene = Pretend::with_leader(&[1, 1], "").await;
    let began = forebay::clock::now();
    for call in 0..CALLS {
        let answer = ask(&scene, "one", UNKNOWN, &format!("[{call}]")).await;
        assert_eq!(answer["error"]["code"], -32601, "{answer}");
    }
    let (own, leader) = asked(&scene, UNKNOWN);
    assert!(leader >= 1 && leader <= share_since(began), "{leader}");
    assert!(
        (CALLS..=CALLS + 2).contains(&own),
        "{own} attempts for {CALLS} calls"
    );
    let asked = scene.nodes[..2].iter().map(|node| node.calls_of(UNKNOWN));
    assert!(
        asked.clone().all(|asked| asked > CALLS / 10),
        "in turn: {:?}",
        asked.collect::<Vec<_>>()
    );
    assert_eq!(withheld(&scene).await, (CALLS - leader) as f64);

    // An update brought it to one of them.
    has_it(&scene.nodes[1], UNKNOWN);
    let (mut found, mut last) = (0, Value::Null);
    for call in 0..CALLS {
        last = ask(&scene, "one", UNKNOWN, &format!("[{call}]")).await;
        found += u64::from(last.get("result").is_some());
    }
    assert!(
        last.get("result").is_some() && found > CALLS / 2,
        "{found}: {last}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_method_of_the_table_that_own_nodes_lack_goes_on_to_the_leader() {
    let scene = Pretend::with_leader(&[1, 1], "").await;
    has_it(&scene.nodes[2], "trace_block");
    for call in 0..CALLS {
        let params = format!("[\"{:#x}\"]", call % 100);
        let answer = ask(&scene, "one", "trace_block", &params).await;
        assert!(answer.get("result").is_some(), "{answer}");
    }
    let (own, leader) = asked(&scene, "trace_block");
    assert!(leader == CALLS && own <= CALLS + 2, "{own} {leader}");
    assert_eq!(withheld(&scene).await, 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_state_that_own_nodes_pruned_is_the_leaders_to_tell() {
    let scene = Pretend::with_leader(&[1, 1], "").await;
    for node in &scene.nodes[..2] {
        node.change(|behaviour| behaviour.state_blocks = Some(10));
    }
    for call in 0..CALLS {
        let params = format!("[\"0x{call:040x}\",\"0x5\"]");
        let answer = ask(&scene, "one", "eth_getBalance", &params).await;
        assert!(answer["result"].is_string(), "{answer}");
    }
    assert_eq!(withheld(&scene).await, 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_hash_that_no_node_told_of_has_is_asked_of_the_leader_now_and_then() {
    for (method, object) in [
        ("eth_getTransactionReceipt", false),
        ("eth_getBalance", true),
    ] {
        let scene = Pretend::with_leader(&[1, 1], "").await;
        for node in &scene.nodes {
            node.set_result("eth_getTransactionReceipt", "null");
            node.change(|behaviour| {
                let error = FakeRpcError {
                    code: -32000,
                    message: "header for hash not found".into(),
                    data: None,
                };
                behaviour.errors.insert("eth_getBalance".into(), error);
            });
        }
        let (began, before) = (forebay::clock::now(), asked(&scene, method).1);
        for call in 0..CALLS {
            let hash = format!("\"0xff{call:062x}\"");
            let params = if object {
                format!("[\"0x01\",{{\"blockHash\":{hash}}}]")
            } else {
                format!("[{hash}]")
            };
            let answer = ask(&scene, "one", method, &params).await;
            let is_own_word = answer["error"]["message"] == "header for hash not found";
            assert!(
                is_own_word || answer.get("result") == Some(&Value::Null),
                "{answer}"
            );
        }
        let leader = asked(&scene, method).1 - before;
        assert!(
            leader >= 1 && leader <= share_since(began),
            "{method}: {leader}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_of_what_no_node_has_costs_the_leader_no_more_than_single_calls() {
    let scene = Pretend::with_leader(&[1, 1], "").await;
    let began = forebay::clock::now();
    let call = |at: u64| {
        format!(
            r#"{{"jsonrpc":"2.0","id":{at},"method":"eth_getBlockByHash","params":["0xff{at:062x}",false]}}"#
        )
    };
    for batch in 0..5 {
        let calls = (0..30).map(|at| call(30 * batch + at));
        let answer = scene.post(&batch_of(calls)).await;
        for answer in answer.json().as_array().unwrap() {
            assert_eq!(answer.get("result"), Some(&Value::Null), "{answer}");
        }
    }
    let (own, leader) = asked(&scene, "eth_getBlockByHash");
    assert!(own >= 2 * CALLS, "each is confirmed: {own}");
    assert!(leader <= share_since(began), "{leader}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_caller_that_asks_much_leaves_another_its_turn() {
    let scene = Pretend::with_leader(&[1, 1], "").await;
    has_it(&scene.nodes[2], UNKNOWN);
    let mut found = [0, 0];
    let began = forebay::clock::now();
    let mut call = 0;
    while began.elapsed().as_secs() < 5 {
        call += 1;
        let client = usize::from(call % 10 == 0);
        let (name, params) = (["one", "other"][client], format!("[{call}]"));
        let answer = ask(&scene, name, UNKNOWN, &params).await;
        found[client] += u32::from(answer.get("result").is_some());
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(found[0] >= 2 && found[1] >= 2, "{found:?}");
    let all = u64::from(found[0] + found[1]);
    assert!(all <= share_since(began), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_share_the_leader_is_asked_what_it_has_alone() {
    let scene = Pretend::with_leader(&[1, 1], "  calls: { leader_share: 0 }\n").await;
    has_it(&scene.nodes[2], UNKNOWN);
    has_it(&scene.nodes[2], "trace_block");
    for _ in 0..10 {
        let answer = ask(&scene, "one", UNKNOWN, "[]").await;
        assert_eq!(answer["error"]["code"], -32601, "{answer}");
        let answer = ask(&scene, "one", "trace_block", "[\"0x1\"]").await;
        assert!(answer.get("result").is_some(), "{answer}");
    }
    assert_eq!(asked(&scene, UNKNOWN).1, 0);
}

//! What a node is for: the methods and the recent blocks that an operator says it is to be asked for.

use serde_json::{Value, json};

use crate::support::Pretend;

const CALLS: u64 = 30;
const TRACE: &str = "trace_block";

/// How often each node is asked for `method` in so many calls.
async fn shares(scene: &Pretend, method: &str, params: &Value) -> (Vec<u64>, Value) {
    let asked = || scene.nodes.iter().map(|node| node.calls_of(method));
    let before: Vec<_> = asked().collect();
    let mut last = Value::Null;
    for call in 0..CALLS {
        let body = json!({"jsonrpc": "2.0", "id": call, "method": method, "params": params});
        last = scene.post(&body.to_string()).await.json();
    }
    let shares = asked().zip(before).map(|(now, before)| now - before);
    (shares.collect(), last)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_asked_for_what_it_serves_and_the_leader_for_what_no_own_node_does() {
    let scene = Pretend::with_leader(&[1, 1], "").await;
    scene.all_answer(TRACE, "[]");
    scene.all_answer("eth_getLogs", "[]");
    scene.limit("a", 901, &["--serves", "eth_*"]).await;
    scene
        .limit("b", 902, &["--serves", "eth_*,!eth_getLogs"])
        .await;
    // Each call asks for something else: none is kept or shared.
    let (asked, last) = shares(
        &scene,
        "eth_getLogs",
        &json!([{"fromBlock": "0x5", "toBlock": "0x6"}]),
    )
    .await;
    assert!(asked[0] > 0 && asked[1..] == [0, 0], "{asked:?}: {last}");
    let (asked, last) = shares(&scene, TRACE, &json!(["0x5"])).await;
    assert!(asked[..2] == [0, 0] && asked[2] > 0, "{asked:?}: {last}");
    assert_eq!(last["result"], json!([]));
    scene.limit("leader", 903, &["--serves", "!trace_*"]).await;
    let (asked, last) = shares(&scene, TRACE, &json!(["0x5"])).await;
    assert_eq!(
        (asked, &last["error"]["code"]),
        (vec![0, 0, 0], &json!(-32601))
    );
    assert_eq!(last["error"]["message"], "no node here serves this method");
    // The others of its batch are answered.
    let batch = json!([
        {"jsonrpc": "2.0", "id": 1, "method": TRACE, "params": ["0x5"]},
        {"jsonrpc": "2.0", "id": 2, "method": "eth_getBalance", "params": ["0x0000000000000000000000000000000000000001", "0x5"]},
    ]);
    let answers = scene.post(&batch.to_string()).await.json();
    assert_eq!(answers[0]["error"]["code"], -32601, "{answers}");
    assert!(answers[1].get("result").is_some(), "{answers}");
    // What it is for stands in the list.
    let listed = scene
        .balancer
        .command(&["backends", "list", "--json"])
        .output()
        .unwrap();
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let of = |name: &str| {
        let mut items = listed.as_array().unwrap().iter();
        items.find(|item| item["name"] == name).unwrap()["serves"].clone()
    };
    assert_eq!(of("b"), json!(["eth_*", "!eth_getLogs"]));
    scene.limit("leader", 904, &["--serves", "*"]).await;
    let (asked, _) = shares(&scene, TRACE, &json!(["0x5"])).await;
    assert!(asked[2] > 0, "{asked:?}");
    // A node that would be left nothing stays as it is.
    let refused = ["backends", "set", "a", "--serves", "!*"];
    let refused = scene.balancer.command(&refused).output().unwrap();
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no method"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_goes_only_to_nodes_that_serve_it() {
    let scene = Pretend::set(&[1, 1, 1], "").await;
    let send = "eth_sendRawTransaction";
    scene.limit("b", 902, &["--serves", "!eth_sendRaw*"]).await;
    scene.all_answer(send, &format!("\"0x{}\"", "ab".repeat(32)));
    let (asked, last) = shares(&scene, send, &json!(["0x02c0"])).await;
    assert!(
        asked[0] > 0 && asked[1] == 0 && asked[2] > 0,
        "{asked:?}: {last}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_block_is_asked_of_no_node_that_is_for_recent_ones() {
    let scene = Pretend::set(&[1, 1], "").await;
    scene.limit("a", 901, &["--recent-blocks", "10"]).await;
    let balance = |block: u64| {
        let address = "0x0000000000000000000000000000000000000001";
        json!([address, format!("{block:#x}")])
    };
    let method = "eth_getBalance";
    // The chain stands at 100: 91 is the tenth.
    let (asked, last) = shares(&scene, method, &balance(90)).await;
    assert!(asked[0] == 0 && asked[1] > 0, "{asked:?}: {last}");
    let (mut recent, mut tries) = (vec![0, 0], 0);
    while recent[0] == 0 && tries < 20 {
        (recent, _) = shares(&scene, method, &balance(91)).await;
        tries += 1;
    }
    assert!(recent[0] > 0, "{recent:?}");
}

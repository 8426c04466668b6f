//! What today's geth does that the balancer must be right before: held here, so that another version
//! that does otherwise is noticed.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::stage::Stage;
use crate::support::{Consensus, Heard, LOOPER, Listener, PATIENCE, Rpc, exchange, post, soon};

/// Long enough for what must not come to have come.
const SILENCE: Duration = Duration::from_millis(500);

async fn next_news(client: &mut Listener) -> Value {
    match client.next_within(PATIENCE).await {
        Some(Heard::News(_, news)) => news,
        other => panic!("no news: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn geth_tells_the_tip_alone_an_ancestor_and_its_logs_again_and_of_a_set_head_nothing() {
    let mut stage = Stage::set(&[("a", &[])], "").await;
    let node = stage.chain.node("a").rpc;
    let mut heads = Listener::open(node.address).await;
    heads.subscribe(json!(["newHeads"])).await;
    let mut logs = Listener::open(node.address).await;
    logs.subscribe(json!(["logs", {}])).await;

    stage.chain.grow(7).await;
    assert_eq!(next_news(&mut heads).await["hash"], *stage.chain.tip);
    assert_eq!(heads.next_within(SILENCE).await, None, "the six below");

    let raw = stage.chain.signed(0, 6).await;
    let block = stage.chain.mine(&[raw]).await;
    assert_eq!(next_news(&mut heads).await["hash"], *block);
    let log = next_news(&mut logs).await;
    stage.chain.grow(1).await;
    next_news(&mut heads).await;
    stage.chain.retreat(1).await;
    assert_eq!(next_news(&mut heads).await["hash"], *block, "gone back to");
    assert_eq!(
        next_news(&mut logs).await,
        log,
        "a second time, not as removed"
    );

    let below = format!("{:#x}", stage.chain.height() - 2);
    node.call("debug_setHead", json!([below])).await;
    assert_eq!(heads.next_within(SILENCE).await, None);
    assert_eq!(logs.next_within(SILENCE).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn geth_takes_a_precompile_away_for_a_null_and_no_kept_answer_is_given_for_it() {
    let mut stage = Stage::set(&[("a", &[])], "").await;
    stage.chain.grow(1).await;
    stage.shows_the_tip().await;
    let node = stage.chain.node("a").rpc;
    let sha256 = format!("0x{:040x}", 2);
    let called = json!({"to": sha256, "data": "0x01"});
    let asked = |overrides: Value| json!([called, "latest", overrides]);
    let (without, with) = (asked(json!({})), asked(json!({ &sha256: null })));
    let hash = node.call("eth_call", without.clone()).await;
    assert_ne!(hash, "0x");
    assert_eq!(node.call("eth_call", with.clone()).await, "0x");
    soon("an answer is kept", async || {
        let name = "forebay_cache_hits_total";
        assert_eq!(stage.rpc().call("eth_call", without.clone()).await, hash);
        let hits = stage.balancer.metric(name, &[("method", "eth_call")]);
        hits.await > Some(0.0)
    })
    .await;
    assert_eq!(stage.rpc().call("eth_call", with).await, "0x");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn geth_passes_on_receipts_answers_nonsense_before_it_closes_and_says_goodbye() {
    let mut stage = Stage::set(&[("a", &[])], "").await;
    let node = stage.chain.node("a").rpc;
    let mut client = Listener::open(stage.rpc().address).await;
    client.subscribe(json!(["transactionReceipts", {}])).await;
    let raw = stage.chain.signed(0, 4).await;
    let block = stage.chain.mine(&[raw]).await;
    let receipts = next_news(&mut client).await;
    assert_eq!(receipts[0]["blockHash"], *block, "{receipts}");

    let mut rude = Listener::open(node.address).await;
    rude.say("no JSON at all").await;
    let Some(Heard::Answer(answer)) = rude.next_within(PATIENCE).await else {
        panic!("no answer");
    };
    assert_eq!(answer["error"]["code"], -32700, "{answer}");
    let Some(Heard::Closed(1000, _)) = rude.next_within(PATIENCE).await else {
        panic!("not closed");
    };

    let mut listener = Listener::open(node.address).await;
    listener.subscribe(json!(["newHeads"])).await;
    stage.chain.node("a").process.signal(Signal::INT);
    let Some(Heard::Closed(1000, _)) = listener.next_within(PATIENCE).await else {
        panic!("no goodbye");
    };
}

/// The answers of a node to a batch.
async fn batch(node: Rpc, calls: &[Value]) -> Vec<Value> {
    let body = Value::from(calls.to_vec()).to_string();
    let answer = post(node.address, &body, PATIENCE).await.unwrap();
    answer.json().as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn geth_has_limits_of_its_own_for_batches_bodies_and_gas() {
    let limits: &[&str] = &[
        "--rpc.batch-request-limit=10",
        "--rpc.batch-response-max-size=2000",
    ];
    let mut stage = Stage::set(&[("a", limits)], "").await;
    let node = stage.chain.node("a").rpc;
    let call = |id: usize, method: &str, params: Value| json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
    let many: Vec<_> = (5..16)
        .map(|id| call(id, "eth_chainId", json!([])))
        .collect();
    let answers = batch(node, &many).await;
    assert_eq!(
        (answers.len(), &answers[0]["id"]),
        (1, &json!(5)),
        "{answers:?}"
    );
    assert_eq!(answers[0]["error"]["code"], -32600);

    let block = json!(["latest", false]);
    let large: Vec<_> = (0..5)
        .map(|id| call(id, "eth_getBlockByNumber", block.clone()))
        .collect();
    let answers = batch(node, &large).await;
    assert_eq!(answers.len(), 5);
    assert!(answers[0]["result"].is_object(), "{answers:?}");
    assert_eq!(answers[4]["error"]["code"], -32003, "{answers:?}");

    // The head of a request alone: it is refused before its body is read.
    let vast = format!(
        "POST / HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        node.address,
        6 << 20
    );
    let refused = exchange(node.address, vast.as_bytes(), PATIENCE)
        .await
        .unwrap();
    assert!(
        refused.starts_with(b"HTTP/1.1 413"),
        "{}",
        String::from_utf8_lossy(&refused)
    );

    // In chunks, where its length isn't told, it is read as far as the limit, and makes no sense there.
    let filling = "a".repeat(5 << 20);
    let body =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":["{filling}"]}}"#);
    let chunked = format!(
        "POST / HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        node.address,
        body.len()
    );
    let said = exchange(node.address, chunked.as_bytes(), PATIENCE).await;
    let said = String::from_utf8_lossy(&said.unwrap()).into_owned();
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    let (_, answer) = said.split_once("\r\n\r\n").unwrap();
    assert!(
        answer.is_empty() || answer.contains(r#""id":null,"error":{"code":-32700"#),
        "no answer to the call: {said}"
    );

    let estimate = json!([{"to": LOOPER}]);
    let said = stage.balancer.ask("eth_estimateGas", estimate).await;
    let words = said["error"]["message"].as_str().unwrap_or_default();
    assert!(
        words.contains("gas required exceeds allowance (16777216)"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_geth_that_no_consensus_client_told_anything_says_that_it_syncs_and_takes_transactions() {
    let mut chain = Consensus::start(&[("a", &[])]).await;
    let node = chain.node("a").rpc;
    let syncing = node.call("eth_syncing", json!([])).await;
    assert!(syncing.is_object(), "{syncing}");
    let raw = chain.signed(0, 1).await;
    let hash = node.call("eth_sendRawTransaction", json!([raw])).await;
    assert!(hash.is_string());
}

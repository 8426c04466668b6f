//! A call reaches a node that has its block, and no client sees the chain go back.

use std::time::Duration;

use crate::support::{
    Answer, Balancer, Geth, Pretend, QUICK, Scene, batch_of, call, error_fault, read_quantity, soon,
};
use forebay_fake::{FakeRpcError, Fault};
use futures_util::StreamExt as _;
use serde_json::{Value, json};

const READ: &str = "eth_getBalance";
const LOOKUP: &str = "eth_getTransactionReceipt";

async fn ask(scene: &Pretend, method: &str, params: &str) -> Answer {
    let body = format!(r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{params}}}"#);
    let answer = scene.post(&body).await;
    assert_eq!(answer.status, 200, "{method} {params}: {}", answer.text());
    answer
}

async fn node_of(scene: &Pretend, method: &str, params: &str) -> String {
    let answer = ask(scene, method, params).await;
    assert!(answer.result().is_string(), "{params}");
    answer.node().to_string()
}

fn heard(scene: &Pretend, method: &str) -> Vec<String> {
    let nodes = scene.nodes.iter().flat_map(|node| node.log());
    let bodies = nodes.map(|heard| heard.body);
    bodies.filter(|body| body.contains(method)).collect()
}

async fn metric(scene: &Pretend, name: &str, labels: &[(&str, &str)]) -> f64 {
    scene.balancer.metric(name, labels).await.unwrap_or(0.0)
}

fn error(code: i64, message: &str) -> FakeRpcError {
    FakeRpcError {
        code,
        message: message.to_string(),
        data: None,
    }
}

/// Each of them served some.
fn serve(names: [&str; 2], nodes: &[String]) {
    let all = names.map(|name| nodes.iter().any(|node| node == name));
    assert_eq!(all, [true; 2], "{nodes:?}");
}

/// b falls `lag` blocks behind a, and the balancer knows.
async fn b_behind(scene: &Pretend, lag: u64) {
    scene.nodes[1].set_lag(lag);
    let head = (100 - lag) as f64;
    scene
        .becomes("b", "forebay_node_block_number", &[], head)
        .await;
}

/// The same, and one round is all that there is.
fn unhurried() -> String {
    let patient = patient().replace("interval: 400ms", "interval: 60s");
    patient.replace("timeout: 350ms", "timeout: 2s")
}

/// Calls wait for a block longer than any test.
fn patient() -> String {
    QUICK.replace("block_time: 1s", "block_time: 60s")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_named_block_and_the_latest_are_asked_only_of_nodes_that_have_them() {
    let scene = Pretend::set(&[1, 1], "").await;
    b_behind(&scene, 3).await;
    for _ in 0..10 {
        for params in [r#"["0x1","0x64"]"#, r#"["0x1","latest"]"#, r#"["0x1"]"#] {
            assert_eq!(node_of(&scene, READ, params).await, "a", "{params}");
        }
    }
    for body in heard(&scene, READ) {
        assert!(body.contains(r#""params":["0x1","0x64"]"#), "{body}");
    }
    let mut nodes = Vec::new();
    for _ in 0..30 {
        nodes.push(node_of(&scene, READ, r#"["0x1","0x61"]"#).await);
    }
    serve(["a", "b"], &nodes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_consistency_a_tag_travels_as_it_is() {
    let scene = Pretend::set(&[1, 1], "  consistency: none\n").await;
    b_behind(&scene, 3).await;
    let mut nodes = Vec::new();
    for _ in 0..30 {
        nodes.push(node_of(&scene, READ, r#"["0x1", "latest"]"#).await);
    }
    serve(["a", "b"], &nodes);
    let bodies = heard(&scene, READ);
    let is_as_written = |body: &String| body.contains(r#"["0x1", "latest"]"#);
    assert!(bodies.iter().all(is_as_written), "{bodies:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_waits_for_its_block_and_is_answered_when_a_node_has_it() {
    let scene = Pretend::set_with(&[1, 1], &patient(), "").await;
    let call = ask(&scene, READ, r#"["0x1","0x66"]"#);
    let blocks = async {
        soon("the call waits", async || {
            metric(&scene, "forebay_block_waits_total", &[]).await == 1.0
        })
        .await;
        assert_eq!(scene.heard(READ), 0);
        scene.chain.advance(2);
    };
    let (answer, ()) = tokio::join!(call, blocks);
    assert!(answer.result().is_string());
    assert_eq!(scene.heard(READ), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_for_a_block_that_does_not_come_gets_the_nodes_error_after_one_block_time() {
    let scene = Pretend::set(&[1, 1], "").await;
    let began = forebay::clock::now();
    let answer = ask(&scene, READ, r#"["0x1","0x66"]"#).await;
    let took = began.elapsed();
    assert_eq!(answer.json()["error"]["message"], "header not found");
    assert!(took >= Duration::from_secs(1), "{took:?}");
}

/// It keeps blocks and receipts from `oldest` on, and says so.
fn keeps_from(scene: &Pretend, node: usize, oldest: u64) {
    let part = format!(r#"{{"disabled":false,"oldestBlock":"{oldest:#x}"}}"#);
    let said = format!(r#"{{"blocks":{part},"receipts":{part},"tx":{part}}}"#);
    scene.nodes[node].set_result("eth_capabilities", &said);
    scene.nodes[node].set_result("eth_getBlockReceipts", "null");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hash_that_no_node_has_is_taken_to_the_deepest_node_once_a_block_time() {
    // The archive has little weight, so that it is hardly asked by chance.
    let scene = Pretend::set_with(&[50, 50, 1], &patient(), "").await;
    for (node, oldest) in [(0, 90), (1, 90), (2, 0)] {
        keeps_from(&scene, node, oldest);
    }
    for name in ["a", "b"] {
        let metric = "forebay_node_oldest_block_number";
        scene.becomes(name, metric, &[], 90.0).await;
    }
    let hash = format!("0x{}", "77".repeat(32));
    let params = [format!("[\"{hash}\",false]"), format!("[\"{hash}\"]")];
    for at in 0..40 {
        let (method, params) = match at % 2 {
            0 => ("eth_getBlockByHash", &params[0]),
            _ => ("eth_getBlockReceipts", &params[1]),
        };
        let answer = ask(&scene, method, params).await;
        assert_eq!(answer.result(), Value::Null);
    }
    let asked = scene.nodes[2].calls_of("eth_getBlockByHash")
        + scene.nodes[2].calls_of("eth_getBlockReceipts");
    assert!((1..=12).contains(&asked), "{asked} times");
    // What it has is found each time, whichever node is asked first.
    let block = format!(r#"{{"number":"0x7","hash":"0x{}"}}"#, "88".repeat(32));
    scene.nodes[2].set_result("eth_getBlockByHash", &block);
    let params = format!("[\"0x{}\",false]", "88".repeat(32));
    for _ in 0..24 {
        let answer = ask(&scene, "eth_getBlockByHash", &params).await;
        assert_eq!(answer.result()["number"], "0x7");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_promised_and_lacks_it_is_not_asked_again() {
    let scene = Pretend::set(&[1, 1], "").await;
    for node in [0, 1] {
        keeps_from(&scene, node, 0);
        let name = ["a", "b"][node];
        let metric = "forebay_node_oldest_block_number";
        scene.becomes(name, metric, &[], 0.0).await;
    }
    scene.nodes[0].change(|behaviour| {
        behaviour.results.remove("eth_getBlockReceipts");
        let error = error(4444, "pruned history unavailable");
        behaviour
            .errors
            .insert("eth_getBlockReceipts".into(), error);
    });
    scene.nodes[1].set_result("eth_getBlockReceipts", "[]");
    for _ in 0..30 {
        let answer = ask(&scene, "eth_getBlockReceipts", r#"["0x5"]"#).await;
        assert!(answer.json()["result"].is_array(), "{}", answer.text());
    }
    let wasted = scene.nodes[0].calls_of("eth_getBlockReceipts");
    assert!(wasted <= 1, "asked {wasted} times");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_to_come_is_looked_for_once_however_often_it_is_asked_for() {
    let scene = Pretend::set_with(&[1, 1], &unhurried(), "").await;
    let looks = || {
        scene
            .nodes
            .iter()
            .map(|node| node.calls_of("eth_getBlockByNumber"))
    };
    let before: Vec<_> = looks().collect();
    let began = forebay::clock::now();
    for at in 0..20 {
        let params = format!("[\"{:#x}\",{}]", 0x65 + at % 2, at % 3 == 0);
        let answer = ask(&scene, "eth_getBlockByNumber", &params).await;
        assert_eq!(answer.result(), Value::Null, "{params}");
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(2), "a wait for each: {took:?}");
    let after: Vec<_> = looks().collect();
    let two_blocks: Vec<_> = before.iter().map(|before| before + 2).collect();
    assert_eq!(after, two_blocks);
    assert_eq!(metric(&scene, "forebay_block_waits_total", &[]).await, 20.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_call_names_is_found_at_once_though_no_round_has_seen_it() {
    let scene = Pretend::set_with(&[1, 1], &unhurried(), "").await;
    let began = forebay::clock::now();
    for (number, method, params) in [
        (0x65, "eth_getBlockByNumber", r#"["0x65",false]"#),
        (
            0x66,
            "eth_getLogs",
            r#"[{"fromBlock":"0x1","toBlock":"0x66"}]"#,
        ),
        (0x67, "eth_getBlockByNumber", r#"["0x67",true]"#),
        (0x68, READ, r#"["0x1","0x68"]"#),
    ] {
        scene.chain.advance(1);
        assert_eq!(scene.chain.head(), number);
        let answer = ask(&scene, method, params).await;
        assert!(!answer.result().is_null(), "{method}");
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_up_waits_a_second_for_a_look_and_no_longer() {
    let scene = Pretend::set_with(&[1, 1], &unhurried(), "").await;
    for node in &scene.nodes {
        node.set_fault(Fault::Stall);
    }
    let began = forebay::clock::now();
    let answer = ask(&scene, "eth_getBlockByNumber", r#"["0x65",false]"#).await;
    assert_eq!(answer.result(), Value::Null);
    let took = began.elapsed();
    let allowed = Duration::from_millis(900)..Duration::from_millis(1900);
    assert!(allowed.contains(&took), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_the_head_ranges_are_refused_and_lookups_are_null_without_asking() {
    let scene = Pretend::set(&[1, 1], "").await;
    for params in [
        r#"[{"fromBlock":"0x1","toBlock":"0x65"}]"#,
        r#"[{"fromBlock":"0x65"}]"#,
        r#"[{"fromBlock":"0x5","toBlock":"0x4"}]"#,
    ] {
        let answer = ask(&scene, "eth_getLogs", params).await;
        assert_eq!(answer.json()["error"]["code"], -32602, "{params}");
    }
    let answer = ask(&scene, "eth_getBlockByNumber", r#"["0x65",false]"#).await;
    assert_eq!(answer.text(), r#"{"jsonrpc":"2.0","id":7,"result":null}"#);
    assert_eq!(answer.node(), "local");
    assert_eq!(scene.heard("eth_getLogs"), 0);
    let answer = ask(
        &scene,
        "eth_getLogs",
        r#"[{"fromBlock":"0x1","toBlock":"0x64"}]"#,
    )
    .await;
    assert_eq!(answer.json()["result"], Value::Array(vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_only_node_with_the_served_head_dies_calls_wait_for_the_next_one() {
    let scene = Pretend::set_with(&[1, 1], &patient(), "").await;
    b_behind(&scene, 1).await;
    scene.nodes[0].refuse().await;
    let call = ask(&scene, READ, r#"["0x1","latest"]"#);
    let catching_up = async {
        soon("the call waits", async || {
            metric(&scene, "forebay_block_waits_total", &[]).await == 1.0
        })
        .await;
        scene.nodes[1].set_lag(0);
    };
    let (answer, ()) = tokio::join!(call, catching_up);
    assert!(answer.result().is_string());
    assert_eq!(answer.node(), "b");
    assert!(heard(&scene, READ).iter().all(|body| body.contains("0x64")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn null_is_believed_only_if_two_nodes_say_so() {
    let scene = Pretend::set(&[1, 1], "").await;
    let receipt = r#"{"blockNumber":"0x5","status":"0x1"}"#;
    scene.nodes[1].set_result(LOOKUP, receipt);
    for _ in 0..20 {
        let answer = ask(&scene, LOOKUP, r#"["0xab"]"#).await;
        assert_eq!(answer.result()["status"], "0x1");
    }
    let found = [("outcome", "found")];
    assert!(metric(&scene, "forebay_null_checks_total", &found).await >= 1.0);
    assert_eq!(metric(&scene, "forebay_failovers_total", &[]).await, 0.0);
    scene.nodes[1].set_result(LOOKUP, "null");
    let before = scene.heard(LOOKUP);
    let answer = ask(&scene, LOOKUP, r#"["0xab"]"#).await;
    assert_eq!(answer.text(), r#"{"jsonrpc":"2.0","id":7,"result":null}"#);
    assert_eq!(scene.heard(LOOKUP) - before, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_the_method_is_asked_for_it_once() {
    let scene = Pretend::set(&[1, 1], "").await;
    scene.nodes[0].change(|behaviour| {
        behaviour.missing_methods.insert("trace_block".into());
    });
    scene.nodes[1].set_result("trace_block", "[]");
    for _ in 0..30 {
        let answer = ask(&scene, "trace_block", r#"["0x5"]"#).await;
        assert_eq!(answer.result(), Value::Array(vec![]));
    }
    assert_eq!(scene.nodes[0].calls_of("trace_block"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_calls_of_a_batch_see_one_head() {
    let scene = Pretend::set(&[1, 1], "").await;
    for node in &scene.nodes {
        node.set_latency(Duration::from_millis(250));
    }
    // Each of its own: identical ones would share an answer.
    let one = |at: usize| call("1", READ).replace("0x01", &format!("0xba7c{at}"));
    let calls: Vec<_> = (0..48).map(one).collect();
    let number = call("2", "eth_blockNumber");
    let body = format!("[{},{number}]", calls.join(","));
    let moving = async {
        soon("the batch is on its way", async || scene.heard(READ) > 0).await;
        scene.chain.advance(1);
    };
    let (answer, ()) = tokio::join!(scene.post(&body), moving);
    let answers = answer.json();
    assert_eq!(
        answers[48]["result"], "0x64",
        "as it was when the batch came"
    );
    // They may have travelled together.
    let bodies = heard(&scene, "0xba7c").concat();
    let count = |what: &str| bodies.matches(what).count();
    assert_eq!(
        (count("0xba7c"), count(r#"","0x64"]"#)),
        (48, 48),
        "{bodies}"
    );
    soon("the head has moved", async || {
        ask(&scene, "eth_blockNumber", "[]").await.json()["result"] == "0x65"
    })
    .await;
}

/// How many answers, of so many `calls`, a batch gets that are of `bytes` each.
async fn answered(scene: &Pretend, calls: usize, bytes: usize) -> usize {
    // An id of ours has 15 digits.
    let own_bytes = r#"{"jsonrpc":"2.0","id":123456789012345,"result":""}"#.len();
    let result = format!("\"{}\"", "x".repeat(bytes - own_bytes));
    scene.nodes[0].set_result("eth_call", &result);
    let calls = vec![call("1", "eth_call"); calls];
    let answer = scene.post(&batch_of(&calls)).await.json();
    let answers = answer.as_array().into_iter().flatten();
    assert_eq!(answers.clone().count(), calls.len());
    let refused = |answer: &&Value| answer["error"]["code"] == -32020;
    calls.len() - answers.filter(refused).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_holds_answers_up_to_its_limit_and_not_one_byte_past_it() {
    let scene = Pretend::set(&[1], "  calls: { answer_bytes_max: 200KiB }\n").await;
    for chunked in [false, true] {
        scene.nodes[0].change(|behaviour| behaviour.shape.chunked = chunked);
        assert_eq!(answered(&scene, 4, 50 << 10).await, 4);
        assert_eq!(answered(&scene, 4, (50 << 10) + 1).await, 3);
        assert_eq!(answered(&scene, 2, 100 << 10).await, 2);
        assert_eq!(answered(&scene, 2, (100 << 10) + 1).await, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_breaks_off_takes_no_room_from_the_one_that_follows() {
    let scene = Pretend::set(&[1, 1], "  calls: { answer_bytes_max: 200KiB }\n").await;
    let result = format!("\"{}\"", "x".repeat(180 << 10));
    scene.all_answer("eth_call", &result);
    let broken = &scene.nodes[0];
    broken.set_fault_for(&["eth_call"], Fault::TruncatedChunks);
    let batch = format!("[{}]", call("1", "eth_call"));
    let mut asked = 0;
    while broken.calls_of("eth_call") == 0 {
        let answer = scene.post(&batch).await.json();
        assert!(answer[0]["result"].is_string(), "{}", answer[0]["error"]);
        asked += 1;
        assert!(asked < 50, "it is drawn some time");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_that_only_the_leader_has_is_asked_of_the_leader_and_nothing_else_is() {
    let scene = Scene::set(&[1, 1], "").await;
    scene.mine_everywhere(3).await;
    scene.own[0].mine(1).await;
    scene.leader.mine(2).await;
    scene.rounds_pass(2).await;
    let node = async |block: &str| {
        let address = "0x0000000000000000000000000000000000000001";
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"{READ}","params":["{address}",{block}]}}"#
        );
        let answer = scene.balancer.post(&body).await;
        assert!(answer.result().is_string(), "{block}");
        answer.node().to_string()
    };
    for _ in 0..10 {
        assert_eq!(node("\"0x5\"").await, "leader");
        assert_eq!(node("\"0x4\"").await, "a");
        assert_eq!(node("\"latest\"").await, "a");
        assert!(["a", "b"].contains(&&*node("\"0x3\"").await));
        assert!(["a", "b"].contains(&&*node("{\"blockNumber\":\"earliest\"}").await));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_never_sees_the_chain_go_back_though_nodes_are_never_at_the_same_block() {
    let scene = Scene::set(&[1, 1], "").await;
    let number_of = |answer: &Value| read_quantity(&answer["result"]["number"]);
    let mut seen = 0;
    for turn in 0..12 {
        // The two overtake each other.
        scene.own[turn % 2].mine(2).await;
        for _ in 0..10 {
            let params = json!(["latest", false]);
            let answer = scene.balancer.ask("eth_getBlockByNumber", params).await;
            let number = number_of(&answer);
            assert!(number >= Some(seen), "{seen}, then {answer}");
            seen = number.unwrap_or(seen);
        }
        if turn % 3 == 0 {
            scene.rounds_pass(1).await;
        }
    }
    scene.rounds_pass(2).await;
    let params = json!(["latest", false]);
    let answer = scene.balancer.ask("eth_getBlockByNumber", params).await;
    assert_eq!(number_of(&answer), Some(12));
}

const BY_HASH: &str = "eth_getTransactionByHash";

fn hash_of(scene: &Pretend, number: u64) -> String {
    scene.chain.block(number, None).hash
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_that_is_named_by_its_hash_is_asked_of_nodes_that_have_it() {
    let scene = Pretend::set(&[1, 1], "").await;
    b_behind(&scene, 3).await;
    let (newest, a, b) = (hash_of(&scene, 100), &scene.nodes[0], &scene.nodes[1]);
    for (method, params, has, lacks) in [
        (
            "eth_getLogs",
            format!(r#"[{{"blockHash":"{newest}"}}]"#),
            r#"[{"data":"0x1"}]"#,
            "[]",
        ),
        (
            "debug_getRawReceipts",
            format!(r#"["{newest}"]"#),
            r#"["0x02"]"#,
            "[]",
        ),
        (
            "eth_getUncleCountByBlockHash",
            format!(r#"["{newest}"]"#),
            "\"0x1\"",
            "null",
        ),
        (
            "eth_getBlockByHash",
            format!(r#"["{newest}",false]"#),
            r#"{"number":"0x64"}"#,
            "null",
        ),
    ] {
        a.set_result(method, has);
        b.set_result(method, lacks);
        for _ in 0..15 {
            let answer = ask(&scene, method, &params).await;
            let result = answer.json()["result"].to_string();
            assert_eq!(result, has, "{method}");
        }
        // To tell heads, the balancer may ask it for an earlier one.
        let is_of_it = |heard: &forebay_fake::RecordedRequest| {
            heard.body.contains(method) && heard.body.contains(&*newest)
        };
        assert_eq!(
            b.log().iter().filter(|it| is_of_it(it)).count(),
            0,
            "{method}"
        );
        // Nothing of the one that has it is believed where it may well be empty.
        if lacks == "[]" {
            a.set_result(method, lacks);
            let before = scene.heard(method);
            assert_eq!(
                ask(&scene, method, &params).await.json()["result"],
                json!([])
            );
            assert_eq!(scene.heard(method) - before, 1, "{method}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_from_a_node_that_may_lack_the_block_is_asked_about_once_more() {
    let scene = Pretend::set(&[1, 1], "").await;
    let params = format!(r#"[{{"blockHash":"0x{}"}}]"#, "ab".repeat(32));
    scene.nodes[0].set_result("eth_getLogs", "[]");
    scene.nodes[1].set_result("eth_getLogs", r#"[{"data":"0x1"}]"#);
    for _ in 0..15 {
        let answer = ask(&scene, "eth_getLogs", &params).await.json();
        assert_eq!(answer["result"][0]["data"], "0x1", "{answer}");
    }
    scene.nodes[1].set_result("eth_getLogs", "[]");
    let before = scene.heard("eth_getLogs");
    let answer = ask(&scene, "eth_getLogs", &params).await.json();
    assert_eq!(answer["result"], json!([]));
    assert_eq!(
        scene.heard("eth_getLogs") - before,
        2,
        "and no more than once"
    );
    let before = scene.heard("eth_getLogs");
    ask(
        &scene,
        "eth_getLogs",
        r#"[{"fromBlock":"0x1","toBlock":"0x2"}]"#,
    )
    .await;
    assert_eq!(
        scene.heard("eth_getLogs") - before,
        1,
        "by number it is known"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_was_told_mined_is_mined_from_then_on() {
    let scene = Pretend::set(&[1, 1], "").await;
    b_behind(&scene, 3).await;
    let (a, b) = (&scene.nodes[0], &scene.nodes[1]);
    let block = format!(
        r#""blockNumber":"0x64","blockHash":"{}""#,
        hash_of(&scene, 100)
    );
    a.set_result(LOOKUP, &format!("{{{block}}}"));
    a.set_result(BY_HASH, &format!("{{{block}}}"));
    b.set_result(LOOKUP, "null");
    b.set_result(BY_HASH, r#"{"blockNumber":null,"blockHash":null}"#);
    let [one, other, third] =
        ["ab", "cd", "ef"].map(|byte| format!(r#"["0x{}"]"#, byte.repeat(32)));
    let is_mined = async |tx: &str| {
        let answer = ask(&scene, BY_HASH, tx).await.json();
        answer["result"]["blockNumber"] == "0x64"
    };
    let receipt = ask(&scene, LOOKUP, &one).await.json();
    assert_eq!(receipt["result"]["blockNumber"], "0x64");
    let before = scene.heard(BY_HASH);
    for _ in 0..20 {
        assert!(is_mined(&one).await);
    }
    assert_eq!(
        scene.heard(BY_HASH) - before,
        20,
        "of nodes that have the block"
    );
    let batch = format!(
        "[{}]",
        [&one; 8]
            .map(|tx| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{BY_HASH}","params":{tx}}}"#))
            .join(",")
    );
    for answer in scene.post(&batch).await.json().as_array().unwrap() {
        assert_eq!(answer["result"]["blockNumber"], "0x64", "{answer}");
    }
    assert!(
        is_mined(&other).await,
        "what is pending here may be mined there"
    );
    // Its block was abandoned: it is pending again.
    scene.all_answer(BY_HASH, r#"{"blockNumber":null,"blockHash":null}"#);
    assert!(!is_mined(&one).await);
    a.set_result(BY_HASH, "null");
    for _ in 0..10 {
        let answer = ask(&scene, BY_HASH, &third).await.json();
        assert!(
            answer["result"].is_object(),
            "pending says more than null: {answer}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_we_write_into_a_call_never_makes_it_fail() {
    // It takes one parameter.
    let geth = Geth::start(0).await;
    let balancer = Balancer::before(QUICK, "old", &geth.url()).await;
    let to = format!(r#"[{{"to":"0x{}"}}]"#, "11".repeat(20));
    let estimate =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"eth_estimateGas","params":{to}}}"#);
    for _ in 0..10 {
        let answer = balancer.post(&estimate).await.json();
        assert_eq!(answer["result"], "0x5208", "{answer}");
    }
    let method = [("node", "old")];
    let attempts = balancer.metric("forebay_attempts_total", &method).await;
    assert_eq!(attempts, Some(11.0), "it is remembered");
    let batch = balancer
        .post(&format!("[{estimate},{estimate}]"))
        .await
        .json();
    assert_eq!(batch[1]["result"], "0x5208", "{batch}");
    let bad = estimate.replace("0x11", "x");
    let answer = balancer.post(&bad).await.json();
    assert!(answer["error"]["message"].is_string(), "{answer}");
}

/// A node's words may fit what we wrote as well as what the caller did.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callers_own_mistake_costs_no_further_attempts_once_it_is_known_as_such() {
    let scene = Pretend::set(&[1, 1], "").await;
    let refused = error(-32602, "Odd number of digits");
    for node in &scene.nodes {
        node.change(|behaviour| {
            for method in [READ, "eth_getCode"] {
                behaviour.errors.insert(method.into(), refused.clone());
            }
        });
    }
    for _ in 0..10 {
        let answer = ask(&scene, READ, r#"["0x1"]"#).await.json();
        assert_eq!(answer["error"]["message"], "Odd number of digits");
    }
    // The first as it was written, too, and of the other node.
    assert_eq!(scene.heard(READ), 10 + 2);
    let batch = batch_of((0..10).map(|at| {
        format!(r#"{{"jsonrpc":"2.0","id":{at},"method":"eth_getCode","params":["0x{at}"]}}"#)
    }));
    for most in [10 + 1 + 10, 10] {
        let before = scene.heard("eth_getCode");
        let answer = scene.post(&batch).await.json();
        for at in 0..10 {
            assert_eq!(answer[at]["error"]["code"], -32602, "{answer}");
        }
        assert_eq!(scene.heard("eth_getCode"), before + most);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_that_cannot_come_in_time_is_not_waited_for() {
    let scene = Pretend::set_with(&[1, 1], &patient(), "").await;
    for number in ["0x68", "0xffffffffff"] {
        let began = forebay::clock::now();
        let answer = ask(&scene, READ, &format!(r#"["0x1","{number}"]"#)).await;
        let took = began.elapsed();
        assert_eq!(answer.json()["error"]["message"], "header not found");
        assert!(took < Duration::from_secs(2), "{number}: {took:?}");
    }
    assert_eq!(metric(&scene, "forebay_block_waits_total", &[]).await, 0.0);
}

/// Asks for a client that calls itself so; the result, and which node gave it.
async fn ask_as(at: &Balancer, client: &str, method: &str, params: &str) -> (Value, String) {
    let headers = [("x-forebay-client", client)];
    let body = format!(r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{params}}}"#);
    let answer = at.post_with("/", &headers, &body).await;
    (answer.json()["result"].clone(), answer.node().to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_client_was_told_of_binds_its_own_calls_and_no_others() {
    let scene = Pretend::set(&[1, 1, 1], "").await;
    for node in &scene.nodes[1..] {
        node.set_lag(1);
    }
    scene.chain.advance(1);
    scene
        .becomes("a", "forebay_node_block_number", &[], 101.0)
        .await;
    let at = &scene.balancer;
    let (block, node) = ask_as(at, "one", "eth_getBlockByNumber", r#"["0x65",false]"#).await;
    assert_eq!((&block["number"], &*node), (&Value::from("0x65"), "a"));
    let mut nodes = Vec::new();
    for _ in 0..20 {
        let number = async |client| ask_as(at, client, "eth_blockNumber", "[]").await.0;
        assert_eq!(number("one").await, "0x65");
        assert_eq!(number("other").await, "0x64");
        let latest = r#"["0x1","latest"]"#;
        assert_eq!(ask_as(at, "one", READ, latest).await.1, "a");
        nodes.push(ask_as(at, "other", READ, latest).await.1);
    }
    serve(["b", "c"], &nodes);
    let batch = format!("[{}]", call("2", "eth_blockNumber"));
    assert_eq!(scene.post(&batch).await.json()[0]["result"], "0x64");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_that_the_leader_told_one_client_of_sends_no_other_client_there() {
    let scene = Scene::set(&[1, 1], "").await;
    scene.mine_everywhere(3).await;
    scene.leader.mine(1).await;
    scene.rounds_pass(2).await;
    let ask = async |client: &str, params: &str| {
        let asked = ask_as(&scene.balancer, client, "eth_getBlockByNumber", params);
        let (block, node) = asked.await;
        (block["number"].clone(), node)
    };
    let told = (Value::from("0x4"), "leader".to_string());
    assert_eq!(ask("poller", r#"["0x4",false]"#).await, told);
    for _ in 0..10 {
        assert_eq!(
            ask("poller", r#"["latest",false]"#).await,
            told,
            "it was told so"
        );
        let (number, node) = ask("other", r#"["latest",false]"#).await;
        assert_eq!(number, "0x3");
        assert_ne!(node, "leader");
    }
    scene.own[0].mine(1).await;
    scene.own[1].mine(1).await;
    scene.rounds_pass(2).await;
    for client in ["poller", "other"] {
        let (number, node) = ask(client, r#"["latest",false]"#).await;
        assert_eq!(number, "0x4");
        assert_ne!(node, "leader", "{client}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_waits_for_a_block_that_is_taken_back_goes_on_with_the_new_head() {
    let scene = Pretend::set_with(&[1, 1], &patient(), "").await;
    scene.chain.set_head(99);
    let name = "forebay_node_block_number";
    scene.becomes("a", name, &[], 99.0).await;
    let began = forebay::clock::now();
    let answer = ask(&scene, READ, r#"["0x1","latest"]"#).await;
    let took = began.elapsed();
    assert!(answer.result().is_string());
    assert!(took < Duration::from_secs(6), "{took:?}");
    let bodies = heard(&scene, READ);
    assert!(
        bodies.iter().all(|body| body.contains("\"0x63\"")),
        "{bodies:?}"
    );
    let number = ask(&scene, "eth_blockNumber", "[]").await;
    assert_eq!(number.json()["result"], "0x63");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_node_is_on_another_branch_blocks_and_receipts_are_those_of_the_told_one() {
    // No round comes that could tell which node is where.
    let beginning = QUICK.replace("interval: 400ms", "interval: 60s");
    let scene = Pretend::set_with(&[1, 1, 1], &beginning, "").await;
    let told = scene.chain.block(100, None).hash;
    let probes = scene.nodes[2].calls_of("eth_getBlockByNumber");
    scene.nodes[2].change(|behaviour| behaviour.forked_from = Some(100));
    for _ in 0..30 {
        let answer = ask(&scene, "eth_getBlockByNumber", r#"["0x64",false]"#).await;
        assert_eq!(answer.json()["result"]["hash"], told, "{}", answer.text());
    }
    let strayed = scene.nodes[2].calls_of("eth_getBlockByNumber") - probes;
    assert!(
        strayed <= 1,
        "it is passed over once that is known: {strayed}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn safe_and_finalized_are_the_same_block_whichever_node_serves() {
    let scene = Pretend::set(&[1, 1], "").await;
    b_behind(&scene, 3).await;
    for tag in ["safe", "finalized"] {
        let mut numbers = Vec::new();
        for _ in 0..20 {
            let params = format!(r#"["{tag}",false]"#);
            let answer = ask(&scene, "eth_getBlockByNumber", &params).await;
            numbers.push(answer.result()["number"].clone());
        }
        numbers.dedup();
        assert_eq!(numbers.len(), 1, "{tag}: {numbers:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tag_never_turns_into_nothing_where_one_url_stands_for_several_nodes() {
    let scene = Pretend::set_with(&[1], &patient(), "").await;
    let node = &scene.nodes[0];
    for (method, params, nothing) in [
        ("eth_getBlockByNumber", r#"["latest",false]"#, None),
        (
            READ,
            r#"["0x1","latest"]"#,
            Some(error(-32000, "header not found")),
        ),
        (
            "eth_getCode",
            r#"["0x1","latest"]"#,
            Some(error(-32602, "block height is 99 but requested was 100")),
        ),
    ] {
        let repeats = async || metric(&scene, "forebay_tag_repeats_total", &[]).await;
        let before = repeats().await;
        node.change(|behaviour| match nothing {
            None => drop(behaviour.results.insert(method.into(), "null".into())),
            Some(error) => drop(behaviour.errors.insert(method.into(), error)),
        });
        let call = ask(&scene, method, params);
        let another_machine = async {
            soon("it is asked again", async || {
                repeats().await >= before + 2.0
            })
            .await;
            node.change(|behaviour| {
                behaviour.results.remove(method);
                behaviour.errors.remove(method);
            });
        };
        let (answer, ()) = tokio::join!(call, another_machine);
        let result = answer.result();
        assert!(result.is_object() || result.is_string(), "{result}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_any_answer_that_names_a_block_its_client_is_shown_no_older_one() {
    // No round comes that could tell of the blocks.
    let beginning = QUICK.replace("interval: 400ms", "interval: 60s");
    let scene = Pretend::set_with(&[1, 1, 1], &beginning, "").await;
    let hash = format!("0x{}", "ab".repeat(32));
    let in_block = |number: u64| format!(r#"{{"blockNumber":"{number:#x}"}}"#);
    let by_hash = r#"[{"address":"0x1","blockHash":"0x2"}]"#;
    let fees = r#"{"oldestBlock":"0x66","gasUsedRatio":[0,0]}"#;
    for (number, method, params, result) in [
        (101, LOOKUP, r#"["0x1"]"#, in_block(101)),
        (102, "eth_getLogs", by_hash, format!("[{}]", in_block(102))),
        (
            103,
            "eth_feeHistory",
            r#"["0x1","0x67",[]]"#,
            fees.to_string(),
        ),
        (
            104,
            "trace_transaction",
            r#"["0x1"]"#,
            r#"[{"blockNumber":104}]"#.to_string(),
        ),
        (105, "eth_getFilterChanges", "", format!("[\"{hash}\"]")),
    ] {
        scene.all_answer(method, &result);
        scene.all_answer("eth_newBlockFilter", "\"0x1\"");
        let block = format!(r#"{{"number":"{number:#x}"}}"#);
        scene.all_answer("eth_getBlockByHash", &block);
        let at = &scene.balancer;
        let params = if params.is_empty() {
            let (id, _) = ask_as(at, method, "eth_newBlockFilter", "[]").await;
            format!("[{id}]")
        } else {
            params.to_string()
        };
        let (told, _) = ask_as(at, method, method, &params).await;
        assert!(!told.is_null(), "{method}");
        let (shown, _) = ask_as(at, method, "eth_blockNumber", "[]").await;
        assert_eq!(shown, format!("{number:#x}"), "{method}");
    }
}

/// What a node says of a state that it had in memory alone.
fn lost() -> Fault {
    error_fault(
        -32000,
        "missing trie node a8e4 (path ) state 0xa8e4 is not available, not found",
    )
}

#[tokio::test]
async fn a_restart_that_went_unnoticed_shows_by_the_first_state_that_is_missing() {
    let scene = Pretend::set(&[1, 1], "").await;
    let read = async |block: u64| {
        let params = format!(r#"["0x{:040x}","{block:#x}"]"#, 7);
        let answer = ask(&scene, "eth_getBalance", &params).await.json();
        assert!(answer["error"].is_null(), "at {block}: {answer}");
    };
    scene.nodes[0].set_fault_for(&["eth_getBalance"], lost());
    for _ in 0..3 {
        for block in 72..100 {
            read(block).await;
        }
    }
    let missed = |heard: &&forebay_fake::RecordedRequest| {
        // What we ask ourselves is the balance of the zero address.
        heard.body.contains("eth_getBalance") && heard.body.contains("07\"")
    };
    let missed = scene.nodes[0].log().iter().filter(missed).count();
    assert!(missed <= 1, "asked {missed} times for what it lost");
}

#[tokio::test]
async fn a_state_lost_near_the_head_is_asked_of_a_node_that_has_it_or_only_once() {
    let scene = Pretend::set(&[1, 1], "").await;
    let calls = async |block: u64, count: usize, at_once: usize| {
        let calls = (0..count).map(|at| {
            let params = format!(r#"[{{"data":"{at:#x}"}},"{block:#x}"]"#);
            let scene = &scene;
            async move { ask(scene, "eth_call", &params).await }
        });
        let calls = futures_util::stream::iter(calls).buffer_unordered(at_once);
        calls.collect::<Vec<_>>().await;
        let [a, b] = [0, 1].map(|node| scene.nodes[node].calls_of("eth_call"));
        (a, b)
    };
    // The balance of the zero address is what a node is asked for to learn whether it has a state.
    let of_state = ["eth_call", "eth_getBalance"];
    scene.nodes[0].set_fault_for(&of_state, lost());
    let (a, b) = calls(98, 100, 1).await;
    assert!(a <= 1, "it said so once: {a}");
    assert_eq!(b, 100);
    scene.nodes[1].set_fault_for(&of_state, lost());
    let (later_a, later_b) = calls(98, 1000, 20).await;
    let asked = later_a + later_b - a - b;
    assert!(
        (1000..=1200).contains(&asked),
        "{asked} attempts for 1000 calls"
    );
}

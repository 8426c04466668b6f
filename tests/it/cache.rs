//! Answers that are kept: given as the node gave them, never of a block that is no more, and only as
//! long as nothing speaks against their node.

mod differences;
mod shared;
mod sharing;
mod stage;

use std::ops::Range;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cache::stage::{BLOCKHASH, Stage, asked, block_of};
use crate::support::{Balancer, Pretend, QUICK, batch_of, call, soon};

/// A caller that wants a fresh answer.
const NO_CACHE: [(&str, &str); 1] = [("cache-control", "no-cache")];

/// The pretend nodes' scene with a cache, and what stands in `cache:` beside its memory.
fn keeping(more: &str) -> String {
    let beginning = QUICK.replace(
        "cache: { memory: 0 }",
        &format!("cache: {{ memory: 4MiB{more} }}"),
    );
    assert!(beginning.contains("4MiB"));
    beginning
}

async fn pretend(more: &str) -> Pretend {
    pretend_with(more, "").await
}

/// As [`pretend`]; `calls` is added to the configuration.
async fn pretend_with(more: &str, calls: &str) -> Pretend {
    let pretend = Pretend::set_with(&[1], &keeping(more), calls).await;
    // Until the head is told nothing is known of blocks.
    soon("the head is told", async || {
        pretend.call("eth_getBalance").await;
        said(&pretend, "eth_getBalance").await == "hit"
    })
    .await;
    pretend
}

async fn said(pretend: &Pretend, method: &str) -> String {
    let answer = pretend.call(method).await;
    answer
        .header("x-forebay-cache")
        .unwrap_or("nothing")
        .to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_time_no_node_is_asked_and_the_answer_says_so() {
    let pretend = pretend("").await;
    let before = pretend.heard("eth_getCode");
    for wanted in ["miss", "hit", "hit"] {
        let answer = pretend.post(&call("\"mine\"", "eth_getCode")).await;
        assert_eq!(answer.header("x-forebay-cache"), Some(wanted));
        assert_eq!(answer.node(), "a", "whose answer it is");
        assert_eq!(answer.json()["id"], "mine");
    }
    assert_eq!(pretend.heard("eth_getCode"), before + 1);
    for (method, wanted) in [("eth_chainId", "pass"), ("eth_gasPrice", "pass")] {
        assert_eq!(said(&pretend, method).await, wanted, "{method}");
        assert_eq!(said(&pretend, method).await, wanted, "{method}");
    }
    let otherwise = r#"{"params" : [ "0x01" ] , "id":7,"jsonrpc":"2.0","method":"eth_getCode"}"#;
    let answer = pretend.post(otherwise).await;
    assert_eq!(
        answer.header("x-forebay-cache"),
        Some("hit"),
        "written otherwise"
    );
    let metric =
        async |name: &str, labels: &[(&str, &str)]| pretend.balancer.metric(name, labels).await;
    let code = [("method", "eth_getCode")];
    assert_eq!(metric("forebay_cache_hits_total", &code).await, Some(3.0));
    assert_eq!(metric("forebay_cache_misses_total", &code).await, Some(1.0));
    assert!(metric("forebay_cache_entries", &[]).await >= Some(2.0));
    assert!(metric("forebay_cache_bytes", &[]).await > Some(300.0));
    assert_eq!(
        metric("forebay_cache_bytes_max", &[]).await,
        Some(4_194_304.0)
    );
}

/// What the answers to calls for the code of these addresses say of the cache, when all say the same.
async fn all_say(pretend: &Pretend, addresses: Range<u64>, wanted: &str) {
    for address in addresses {
        let call = call("1", "eth_getCode").replace("0x01", &format!("0x{address:040x}"));
        let answer = pretend.post(&call).await;
        assert_eq!(answer.header("x-forebay-cache"), Some(wanted), "{address}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_hardly_a_call_is_asked_again_answers_are_kept_from_the_second_time_on() {
    let pretend = pretend(", no_cache: heed").await;
    let entries = async || pretend.balancer.metric("forebay_cache_entries", &[]).await;
    all_say(&pretend, 0..1, "miss").await;
    all_say(&pretend, 0..1, "hit").await;
    all_say(&pretend, 1..1100, "miss").await;
    let before = entries().await;
    all_say(&pretend, 2000..2020, "miss").await;
    assert_eq!(entries().await, before, "they aren't kept");
    all_say(&pretend, 2000..2020, "miss").await;
    let heard = pretend.heard("eth_getCode");
    all_say(&pretend, 2000..2020, "hit").await;
    assert_eq!(pretend.heard("eth_getCode"), heard);
    assert_eq!(
        said(&pretend, "eth_getBalance").await,
        "hit",
        "another method's"
    );
    // A caller that wants a fresh one gets what others are given from then on.
    let fresh = call("1", "eth_getCode").replace("0x01", &format!("0x{:040x}", 3000));
    pretend.balancer.post_with("/", &NO_CACHE, &fresh).await;
    all_say(&pretend, 3000..3001, "hit").await;
    // More than one in 32 of the next 1,024 are asked again.
    for _ in 0..50 {
        all_say(&pretend, 2000..2020, "hit").await;
    }
    all_say(&pretend, 4000..4001, "miss").await;
    all_say(&pretend, 4000..4001, "hit").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_one_call_in_ten_is_asked_again_each_answer_is_kept_at_once() {
    let pretend = pretend("").await;
    for start in (0..2000).step_by(10) {
        all_say(&pretend, start..start + 10, "miss").await;
        all_say(&pretend, start..start + 1, "hit").await;
    }
    all_say(&pretend, 5000..5001, "miss").await;
    all_say(&pretend, 5000..5001, "hit").await;
}

/// They aren't written alike, so none waits for another's answer: they wait for the node. Its place may be had again a
/// moment before its answer is kept, but not for long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_wait_for_a_place_are_given_what_was_kept_meanwhile() {
    let pretend = pretend_with("", "  calls: { queue: 2s }\n").await;
    pretend.limit("a", 1, &[]).await;
    let before = pretend.heard("eth_getCode");
    pretend.nodes[0].set_latency(Duration::from_millis(200));
    let ask = async |address: &str| {
        let call = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"eth_getCode","params":["{address}","latest"]}}"#
        );
        let answer = pretend.post(&call).await;
        let said = answer.header("x-forebay-cache").map(str::to_string);
        (said.unwrap_or_default(), answer.text().to_string())
    };
    let later = async |address| {
        tokio::time::sleep(Duration::from_millis(50)).await;
        ask(address).await
    };
    let answers = tokio::join!(
        ask("0xabcd"),
        later("0xABCD"),
        later("0xaBCD"),
        later("0xAbCD")
    );
    let answers = [answers.0, answers.1, answers.2, answers.3];
    let hits = answers.iter().filter(|(said, _)| said == "hit").count();
    assert!(hits >= 2, "{answers:?}");
    assert!(answers.iter().all(|(_, text)| *text == answers[0].1));
    assert_eq!(pretend.heard("eth_getCode"), before + 4 - hits as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_a_hit_if_all_were_and_a_miss_if_one_was() {
    let pretend = pretend("").await;
    pretend.call("eth_getCode").await;
    let [code, balance, chain] =
        ["eth_getCode", "eth_getBalance", "eth_chainId"].map(|method| call("1", method));
    let [fresh, newest] = ["0x02", "0x03"].map(|address| code.replace("0x01", address));
    for (calls, wanted) in [
        (vec![&code, &balance], "hit"),
        (vec![&code, &chain], "pass"),
        (vec![&code, &chain, &fresh], "miss"),
        (vec![&newest, &code, &chain], "miss"),
        (vec![&code, &fresh], "hit"),
    ] {
        let answer = pretend.post(&batch_of(&calls)).await;
        assert_eq!(answer.header("x-forebay-cache"), Some(wanted), "{calls:?}");
        assert_eq!(answer.json().as_array().unwrap().len(), calls.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_no_memory_nothing_is_kept_or_said() {
    let pretend = Pretend::set(&[1], "").await;
    let before = pretend.heard("eth_getCode");
    for _ in 0..3 {
        assert_eq!(said(&pretend, "eth_getCode").await, "nothing");
    }
    assert_eq!(pretend.heard("eth_getCode"), before + 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_may_leave_methods_out_and_heed_clients_that_want_it_fresh() {
    let pretend = pretend(", never: [eth_getC*], no_cache: heed").await;
    for _ in 0..2 {
        assert_eq!(said(&pretend, "eth_getCode").await, "pass");
    }
    let balance = call("1", "eth_getBalance");
    for body in [balance.clone(), format!("[{balance}]")] {
        let before = pretend.heard("eth_getBalance");
        let answer = pretend.balancer.post_with("/", &NO_CACHE, &body).await;
        assert_eq!(answer.header("x-forebay-cache"), Some("pass"), "{body}");
        assert_eq!(pretend.heard("eth_getBalance"), before + 1, "{body}");
        assert_eq!(said(&pretend, "eth_getBalance").await, "hit");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_default_a_browsers_reload_is_given_what_is_kept() {
    let pretend = pretend("").await;
    let body = call("1", "eth_getBalance");
    let answer = pretend.balancer.post_with("/", &NO_CACHE, &body).await;
    assert_eq!(answer.header("x-forebay-cache"), Some("hit"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_block_has_a_state_of_its_own_and_a_reorg_takes_the_old_one_away() {
    let mut stage = Stage::begin(1).await;
    for _ in 0..5 {
        stage.grow().await;
    }
    stage.settle().await;
    let blockhash = json!([{"data": BLOCKHASH}]);
    let first = stage.asked_twice("eth_call", &blockhash).await;
    assert_eq!(first.0, "hit");
    stage.grow().await;
    stage.settle().await;
    let second = stage.asked_twice("eth_call", &blockhash).await;
    assert_ne!(first.1, second.1, "of the new block");
    let number = stage.head();
    let at = json!([{"data": BLOCKHASH}, format!("0x{:x}", number - 1)]);
    let old = stage.asked_twice("eth_call", &at).await;
    assert_eq!((old.0.as_str(), &old.1), ("hit", &first.1));
    stage.author.reorganise(&[&[7], &[8], &[9]]).await;
    stage.settle().await;
    let third = stage.asked_twice("eth_call", &blockhash).await;
    assert_eq!(third.0, "hit");
    assert_ne!(third.1, second.1, "of the other branch");
    assert_eq!(third.1, stage.truth("eth_call", &blockhash).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_is_given_while_its_block_is_on_the_chain() {
    let mut stage = Stage::begin(1).await;
    stage.grow().await;
    stage.grow().await;
    stage.settle().await;
    let tx = stage.transaction(stage.head());
    let receipt = json!([tx]);
    let (said, kept) = stage
        .asked_twice("eth_getTransactionReceipt", &receipt)
        .await;
    assert_eq!(said, "hit");
    assert_eq!(block_of(&kept), stage.author.chain.last().unwrap().hash);
    stage.author.reorganise(&[&[5]]).await;
    stage.settle().await;
    let (_, after) = stage
        .asked_twice("eth_getTransactionReceipt", &receipt)
        .await;
    assert_ne!(after, kept);
    assert_eq!(
        after,
        stage.truth("eth_getTransactionReceipt", &receipt).await
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_number_once_it_is_final_and_by_hash_for_ever() {
    let mut stage = Stage::begin(1).await;
    // anvil takes for final what is 64 blocks old.
    for _ in 0..75 {
        stage.grow_barely().await;
    }
    stage.settle().await;
    soon("the finalized block is known", async || {
        let known = "forebay_finalized_block_number";
        stage.balancer.metric(known, &[]).await > Some(4.0)
    })
    .await;
    for number in [1, 3] {
        let at = format!("0x{number:x}");
        let balance = json!([stage.saver(), at]);
        assert_eq!(stage.asked_twice("eth_getBalance", &balance).await.0, "hit");
        let block = json!([at, true]);
        let (said, _) = stage.asked_twice("eth_getBlockByNumber", &block).await;
        assert_eq!(said, "hit");
    }
    let hash = stage.author.chain[1].hash.clone();
    let by_hash = json!([hash, false]);
    assert_eq!(
        stage.asked_twice("eth_getBlockByHash", &by_hash).await.0,
        "hit"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn null_and_what_is_pending_are_never_kept() {
    let mut stage = Stage::begin(1).await;
    stage.grow().await;
    stage.settle().await;
    for (method, params, wanted) in [
        (
            "eth_getTransactionReceipt",
            json!([format!("0x{:064x}", 7)]),
            "miss",
        ),
        (
            "eth_getBlockByHash",
            json!([format!("0x{}", "ab".repeat(32)), false]),
            "miss",
        ),
        ("eth_getBlockByNumber", json!(["pending", false]), "pass"),
        ("eth_getBalance", json!([stage.saver(), "pending"]), "pass"),
        ("eth_getBlockByNumber", json!(["earliest", false]), "pass"),
        ("eth_gasPrice", json!([]), "pass"),
        (
            "eth_call",
            json!([{"data": "0x5b600056", "gas": "0x186a0"}]),
            "miss",
        ),
    ] {
        let (said, _) = stage.asked_twice(method, &params).await;
        assert_eq!(said, wanted, "{method} {params}");
    }
    let reverts = json!([{"data": "0x60006000fd"}]);
    let (said, body) = stage.asked_twice("eth_call", &reverts).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["error"]["code"], 3);
    assert_eq!(said, "hit", "a revert is of its block");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_asks_by_number_as_if_by_hash_makes_no_node_a_liar() {
    let mut stage = Stage::begin(1).await;
    stage.grow().await;
    stage.settle().await;
    let balance = json!([stage.saver()]);
    assert_eq!(stage.asked_twice("eth_getBalance", &balance).await.0, "hit");
    // anvil takes it for the number.
    let number = json!([format!("0x{:064x}", stage.head()), false]);
    let (said, block) = stage.asked_twice("eth_getBlockByNumber", &number).await;
    assert!(block.contains(&stage.author.chain.last().unwrap().hash));
    assert_eq!(said, "miss");
    let after = asked(&stage.balancer, "eth_getBalance", &balance).await;
    assert_eq!(after.header("x-forebay-cache"), Some("hit"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_removed_node_said_is_given_no_more() {
    let mut stage = Stage::begin(2).await;
    stage.grow().await;
    stage.settle().await;
    let hash = stage.author.chain[0].hash.clone();
    let params = json!([hash, false]);
    let (said, _) = stage.asked_twice("eth_getBlockByHash", &params).await;
    assert_eq!(said, "hit");
    let answer = asked(&stage.balancer, "eth_getBlockByHash", &params).await;
    let node = answer.header("x-forebay-node").unwrap().to_owned();
    stage.balancer.takes_out(&node);
    stage.becomes_unknown(&node).await;
    let answer = asked(&stage.balancer, "eth_getBlockByHash", &params).await;
    assert_ne!(answer.node(), node);
    assert_eq!(answer.header("x-forebay-cache"), Some("miss"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kept_answers_go_by_node_by_method_or_all() {
    let beginning = keeping("").replace("  listen: {", "  listen: { admin: \"@ADMIN@\",");
    let pretend = Pretend::set_with(&[1], &beginning, "").await;
    let is_kept = async |method: &str| {
        soon("the answer is kept", async || {
            said(&pretend, method).await == "hit"
        })
        .await;
    };
    for (arguments, wanted, code_after) in [
        (&["--method", "eth_getCode"][..], 0, "miss"),
        (&["--node", "a"], 0, "miss"),
        (&["--all"], 0, "miss"),
        (&["--method", "eth_getBalance"], 0, "hit"),
        (&["--node", "nobody"], 3, "hit"),
        (&["--method", "eth_nothing"], 1, "hit"),
        (&[], 2, "hit"),
        (&["--all", "--node", "a"], 2, "hit"),
    ] {
        is_kept("eth_getBalance").await;
        is_kept("eth_getCode").await;
        let arguments = [&["cache", "purge"], arguments].concat();
        pretend.balancer.ends(&arguments, wanted);
        assert_eq!(
            said(&pretend, "eth_getCode").await,
            code_after,
            "{arguments:?}"
        );
    }
    let printed = pretend.balancer.process.printed();
    assert!(printed.contains("kept answers were let go"));
}

/// A balancer before these nodes, with a cache, that it shares by the store there.
pub async fn before(nodes: &str, store: Option<&str>) -> Balancer {
    let shared = store.map(|url| format!("  shared: {{ kind: valkey, url: \"{url}\" }}\n"));
    let beginning = keeping("") + &shared.unwrap_or_default();
    Balancer::start(&format!("{beginning}  nodes:\n{nodes}"), &[]).await
}

/// Enough for a round to be over, and what follows of it.
pub const ROUND: Duration = Duration::from_millis(400);

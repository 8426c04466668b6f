//! Nodes that keep different amounts of the past.

use serde_json::json;

use super::stage::Stage;
use crate::support::{PATIENCE, RICH, SAVER, soon};

/// As `--gcmode archive` was done for years: all states, each by its hash.
const ARCHIVE: &[&str] = &["--gcmode=archive", "--state.scheme=hash"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_state_is_had_of_the_archive_beside_a_node_that_forgets() {
    let mut stage = Stage::set(&[("recent", &[]), ("archive", ARCHIVE)], "").await;
    stage.chain.grow(160).await;
    stage.shows_the_tip().await;
    let rpc = stage.rpc();
    let recent = stage.chain.node("recent").rpc;
    let old = json!([SAVER, "0x14"]);
    let said = recent
        .ask("eth_getBalance", old.clone(), PATIENCE)
        .await
        .unwrap();
    let words = said["error"]["message"].as_str().unwrap_or_default();
    assert!(words.starts_with("historical state"), "{said}");
    for block in (1..160).step_by(5) {
        let balance = rpc
            .call("eth_getBalance", json!([SAVER, format!("{block:#x}")]))
            .await;
        assert_eq!(
            balance,
            format!("{:#x}", block * 1_000_000_000_u64),
            "at {block}"
        );
    }
    // Once that is known, the node that forgets isn't asked.
    soon("it is known", async || {
        let before = attempts(&stage, "recent", "missing_data").await;
        for _ in 0..10 {
            rpc.call("eth_getBalance", old.clone()).await;
        }
        attempts(&stage, "recent", "missing_data").await == before
    })
    .await;
}

/// How often a node was asked and it came to that.
async fn attempts(stage: &Stage, node: &str, outcome: &str) -> f64 {
    let labels = [("node", node), ("outcome", outcome)];
    let counted = stage.balancer.metric("forebay_attempts_total", &labels);
    counted.await.unwrap_or(0.0)
}

/// Reads what [`SAVER`] has in each of these blocks.
async fn read_balances(stage: &Stage, blocks: std::ops::RangeInclusive<u64>) {
    for block in blocks {
        let at = json!([SAVER, format!("{block:#x}")]);
        let balance = stage.rpc().call("eth_getBalance", at).await;
        assert_eq!(
            balance,
            format!("{:#x}", block * 1_000_000_000),
            "at {block}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_lost_its_states_with_a_restart_fails_no_read_and_serves_what_comes() {
    // It writes down the states of its head and of the block before, when it ends.
    let hashed: &[&str] = &["--state.scheme=hash"];
    let mut stage = Stage::set(&[("forgetful", hashed), ("archive", ARCHIVE)], "").await;
    stage.chain.grow(60).await;
    stage.shows_the_tip().await;
    let head = stage.chain.height();
    read_balances(&stage, head - 28..=head).await;
    restart(&mut stage, "forgetful").await;
    let node = stage.chain.node("forgetful").rpc;
    let old = json!([SAVER, format!("{:#x}", head - 10)]);
    let said = node.ask("eth_getBalance", old, PATIENCE).await.unwrap();
    let words = said["error"]["message"].as_str().unwrap_or_default();
    assert!(words.ends_with("is not available"), "{said}");
    stage.becomes("forgetful", 1.0).await;
    // Whether its absence was noticed, and whether it was asked since what it has left, is chance.
    for _ in 0..3 {
        read_balances(&stage, head - 28..=head).await;
    }
    let known = attempts(&stage, "forgetful", "missing_data").await;
    assert!(known <= 1.0, "asked {known} times for what it lost");

    stage.chain.grow(20).await;
    stage.shows_the_tip().await;
    let served = attempts(&stage, "forgetful", "ok").await;
    read_balances(&stage, head + 1..=head + 20).await;
    assert!(
        attempts(&stage, "forgetful", "ok").await > served,
        "it has those"
    );
    assert_eq!(attempts(&stage, "forgetful", "missing_data").await, known);

    // Seen to be away and asked what it has left, it misses nothing.
    restart(&mut stage, "forgetful").await;
    stage.becomes("forgetful", 1.0).await;
    stage.rounds_pass(4).await;
    read_balances(&stage, head..=head + 20).await;
    assert_eq!(attempts(&stage, "forgetful", "missing_data").await, known);
}

/// Stops a node and starts it again.
async fn restart(stage: &mut Stage, name: &str) {
    stage.chain.node(name).stop().await;
    stage.chain.node(name).start_again().await;
    stage.chain.tell().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_that_one_node_has_no_index_of_is_had_of_another() {
    let short: &[&str] = &["--history.transactions=8"];
    // An index of a node that keeps them all begins at 0, and it says so.
    let long: &[&str] = &["--history.transactions=0"];
    let nodes = [("short", short), ("shorter", short), ("long", long)];
    let mut stage = Stage::set(&nodes, "").await;
    let raw = stage.chain.signed(0, 7).await;
    let block = stage.chain.mine(&[raw]).await;
    stage.chain.grow(40).await;
    stage.shows_the_tip().await;
    let rpc = stage.rpc();
    let short = stage.chain.node("short").rpc;
    let receipts = short.call("eth_getBlockReceipts", json!([block])).await;
    let hash = receipts[0]["transactionHash"].clone();
    assert!(hash.is_string(), "by block it has them: {receipts}");
    soon("its index ends before", async || {
        let receipt = short
            .ask("eth_getTransactionReceipt", json!([hash]), PATIENCE)
            .await;
        receipt.unwrap()["result"].is_null()
    })
    .await;
    let receipt = async || rpc.call("eth_getTransactionReceipt", json!([hash])).await;
    // The next round brings what they have of the index.
    soon("it is known which node has it", async || {
        let receipt = receipt().await;
        !receipt.is_null()
    })
    .await;
    for _ in 0..20 {
        let receipt = receipt().await;
        assert_eq!(receipt["blockHash"], *block);
        let transaction = rpc.call("eth_getTransactionByHash", json!([hash])).await;
        let from = transaction["from"].as_str().unwrap();
        assert!(from.eq_ignore_ascii_case(RICH));
    }
}

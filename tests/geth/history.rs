//! Nodes that keep different amounts of the past.

use serde_json::json;

use super::stage::Stage;
use super::support::{PATIENCE, RICH, SAVER, eventually};

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
    eventually("it is known", PATIENCE, async || {
        let before = missed(&stage).await;
        for _ in 0..10 {
            rpc.call("eth_getBalance", old.clone()).await;
        }
        missed(&stage).await == before
    })
    .await;
}

async fn missed(stage: &Stage) -> f64 {
    let labels = [("node", "recent"), ("outcome", "missing_data")];
    let missed = stage
        .balancer
        .metric("forebay_attempts_total", &labels)
        .await;
    missed.unwrap_or(0.0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_that_one_node_has_no_index_of_is_had_of_another() {
    let short: &[&str] = &["--history.transactions=8"];
    let mut stage = Stage::set(&[("short", short), ("long", &[])], "").await;
    let raw = stage.chain.signed(0, 7).await;
    let block = stage.chain.mine(&[raw]).await;
    stage.chain.grow(40).await;
    stage.shows_the_tip().await;
    let rpc = stage.rpc();
    let short = stage.chain.node("short").rpc;
    let receipts = short.call("eth_getBlockReceipts", json!([block])).await;
    let hash = receipts[0]["transactionHash"].clone();
    assert!(hash.is_string(), "by block it has them: {receipts}");
    eventually("its index ends before", PATIENCE, async || {
        let receipt = short
            .ask("eth_getTransactionReceipt", json!([hash]), PATIENCE)
            .await;
        receipt.unwrap()["result"].is_null()
    })
    .await;
    for _ in 0..20 {
        let receipt = rpc.call("eth_getTransactionReceipt", json!([hash])).await;
        assert_eq!(receipt["blockHash"], *block);
        let transaction = rpc.call("eth_getTransactionByHash", json!([hash])).await;
        assert!(
            transaction["from"]
                .as_str()
                .unwrap()
                .eq_ignore_ascii_case(RICH)
        );
    }
}

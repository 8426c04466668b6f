//! Transactions through the balancer to nodes that don't pass them to each other.

use std::time::Duration;

use serde_json::json;

use super::stage::Stage;
use crate::support::{Draft, RICH, Wallet, soon};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_sees_nonce_transaction_and_receipt_at_once_whatever_node_answers() {
    let mut stage = Stage::set(&[("a", &[]), ("b", &[])], "").await;
    let rpc = stage.rpc();
    for nonce in 0..10 {
        // One of them lags every now and then.
        stage.chain.node("b").behind = nonce % 3;
        let raw = stage.chain.signed(nonce, 9).await;
        let hash = rpc.call("eth_sendRawTransaction", json!([raw])).await;
        let pending = rpc
            .call("eth_getTransactionCount", json!([RICH, "pending"]))
            .await;
        assert_eq!(pending, format!("{:#x}", nonce + 1));
        let seen = rpc.call("eth_getTransactionByHash", json!([hash])).await;
        assert_eq!(seen["hash"], hash);
        let again = rpc.call("eth_sendRawTransaction", json!([raw])).await;
        assert_eq!(again, hash, "it is known already");

        let block = stage.chain.mine_waiting().await;
        soon("its receipt is there", async || {
            let receipt = rpc.call("eth_getTransactionReceipt", json!([hash])).await;
            receipt["blockHash"] == *block
        })
        .await;
        // What was seen once isn't taken back.
        for _ in 0..10 {
            let receipt = rpc.call("eth_getTransactionReceipt", json!([hash])).await;
            assert_eq!(receipt["blockHash"], *block);
            let count = rpc
                .call("eth_getTransactionCount", json!([RICH, "latest"]))
                .await;
            assert_eq!(count, format!("{:#x}", nonce + 1));
        }
    }
}

/// Of the stage.
const BLOCK_TIME: Duration = Duration::from_secs(1);
/// Without it geth writes down what was sent to it, and has it again after a restart.
const FORGETS: &[&str] = &["--txpool.nolocals"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_pools_have_dropped_is_shown_and_counted_no_more() {
    let mut stage = Stage::set(&[("a", FORGETS), ("b", FORGETS)], "").await;
    let rpc = stage.rpc();
    let wallet = Wallet::rich();
    let sent = wallet.sign(0, Draft::on(1337));
    let raw = json!([sent.raw]);
    rpc.call("eth_sendRawTransaction", raw).await;
    let shown = async || {
        let asked = json!([sent.hash]);
        rpc.call("eth_getTransactionByHash", asked).await
    };
    let pending = async || {
        let asked = json!([wallet.address, "pending"]);
        rpc.call("eth_getTransactionCount", asked).await
    };
    assert_eq!(
        (shown().await["hash"].clone(), pending().await),
        (json!(sent.hash), json!("0x1"))
    );
    for name in ["a", "b"] {
        stage.chain.node(name).stop().await;
        stage.chain.node(name).start_again().await;
    }
    stage.chain.tell().await;
    for name in ["a", "b"] {
        stage.becomes(name, 1.0).await;
    }
    soon("it is shown no more", async || shown().await.is_null()).await;
    assert_eq!(pending().await, "0x0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_of_its_nonce_has_replaced_is_gone_once_that_is_in_a_block() {
    let mut stage = Stage::set(&[("a", &[]), ("b", &[])], "").await;
    let rpc = stage.rpc();
    let wallet = Wallet::rich();
    let draft = Draft::on(1337);
    let first = wallet.sign(0, draft);
    let sent = json!([first.raw]);
    rpc.call("eth_sendRawTransaction", sent).await;
    let by_hash = json!([first.hash]);
    let shown = async || rpc.call("eth_getTransactionByHash", by_hash.clone()).await;
    assert_eq!(shown().await["hash"], *first.hash);
    // To each node itself, with a better price.
    let dearer = Draft {
        price: 2 * draft.price,
        ..draft
    };
    let other = wallet.sign(0, dearer);
    for name in ["a", "b"] {
        let node = stage.chain.node(name).rpc;
        node.call("eth_sendRawTransaction", json!([other.raw]))
            .await;
        let dropped = node.call("eth_getTransactionByHash", by_hash.clone());
        assert!(dropped.await.is_null(), "{name} has dropped it");
    }
    // Its nonce is counted, as that of what Avalanche builds a block of: it may be in one soon.
    let until = forebay::clock::now() + 3 * BLOCK_TIME;
    while forebay::clock::now() < until {
        assert_eq!(shown().await["hash"], *first.hash);
        tokio::time::sleep(BLOCK_TIME / 5).await;
    }
    stage.chain.mine_waiting().await;
    stage.shows_the_tip().await;
    assert!(shown().await.is_null(), "another has its nonce");
    let pending = json!([wallet.address, "pending"]);
    let next = rpc.call("eth_getTransactionCount", pending).await;
    assert_eq!(next, "0x1");
}

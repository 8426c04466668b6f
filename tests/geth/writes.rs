//! Transactions through the balancer to nodes that don't pass them to each other.

use serde_json::json;

use super::stage::Stage;
use super::support::{PATIENCE, RICH, eventually};

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
        eventually("its receipt is there", PATIENCE, async || {
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

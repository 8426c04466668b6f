//! Blocks that are made on one node and made again on others: same parent, transactions, time and
//! fee, and so the same hash.

use serde_json::{Value, json};

use super::{PATIENCE, Rpc, read_quantity};

pub const GENESIS: u64 = 1_700_000_000;
/// How anvil is started where its chain is to be another's, too.
pub const ANVIL: &[&str] = &[
    "--chain-id",
    "1",
    "--no-mining",
    "--timestamp",
    "1700000000",
];

/// A block as it is made again.
#[derive(Clone, Debug)]
pub struct Written {
    pub hash: String,
    pub number: u64,
    timestamp: u64,
    base_fee: Value,
    /// By their hashes, as they were sent.
    transactions: Vec<(String, Value)>,
    /// Its logs, as the node tells them.
    pub logs: Vec<Value>,
}

impl Written {
    pub async fn read(node: Rpc, number: u64) -> Written {
        let at = json!([quantity(number), false]);
        let block = node.call("eth_getBlockByNumber", at).await;
        let mut transactions = Vec::new();
        for hash in block["transactions"].as_array().unwrap() {
            let raw = node.call("eth_getRawTransactionByHash", json!([hash]));
            transactions.push((hash.as_str().unwrap().to_string(), raw.await));
        }
        let logs = json!([{"blockHash": block["hash"]}]);
        let logs = node.call("eth_getLogs", logs).await;
        Written {
            hash: block["hash"].as_str().unwrap().to_string(),
            number,
            timestamp: read_quantity(&block["timestamp"]).unwrap(),
            base_fee: block["baseFeePerGas"].clone(),
            transactions,
            logs: logs.as_array().unwrap().clone(),
        }
    }

    /// The hashes of its transactions.
    pub fn transactions(&self) -> impl Iterator<Item = &str> {
        self.transactions.iter().map(|(hash, _)| hash.as_str())
    }

    pub fn has(&self, transaction: &str) -> bool {
        self.transactions
            .iter()
            .any(|(hash, _)| hash == transaction)
    }

    /// Makes it on another node, which has its parent.
    pub async fn repeat(&self, node: Rpc) {
        for (_, raw) in &self.transactions {
            send(node, raw).await;
        }
        mine(node, self.timestamp, &self.base_fee).await;
        let latest = json!(["latest", false]);
        let made = node.call("eth_getBlockByNumber", latest).await;
        assert_eq!(made["hash"], self.hash, "not the same block: {made}");
    }
}

/// Sends a transaction. What a node has already it refuses: just as well.
pub async fn send(node: Rpc, raw: &Value) {
    let sent = node.ask("eth_sendRawTransaction", json!([raw]), PATIENCE);
    drop(sent.await);
}

/// The fee is set: after a reorg anvil goes on with that of the block taken back.
pub async fn mine(node: Rpc, timestamp: u64, base_fee: &Value) {
    set_base_fee(node, base_fee).await;
    node.call("evm_mine", json!([timestamp])).await;
}

pub async fn set_base_fee(node: Rpc, base_fee: &Value) {
    let fee = json!([base_fee]);
    node.call("anvil_setNextBlockBaseFeePerGas", fee).await;
}

pub fn quantity(number: u64) -> Value {
    json!(format!("{number:#x}"))
}

//! Anvils of one chain that its author writes block by block, reorgs and all; any of them may miss
//! some of it and be brought up again.

use serde_json::{Value, json};

use super::{Anvil, Rpc};

const GENESIS: u64 = 1_700_000_000;
const ANVIL: &[&str] = &[
    "--chain-id",
    "1",
    "--no-mining",
    "--timestamp",
    "1700000000",
];

/// A block as it is made again on another node.
#[derive(Clone, Debug)]
pub struct Written {
    pub hash: String,
    pub number: u64,
    timestamp: u64,
    transactions: Vec<Value>,
    /// Its logs, as the author tells them.
    pub logs: Vec<Value>,
}

/// The chain, and the node on which it is written.
pub struct Author {
    pub node: Anvil,
    sender: String,
    pub chain: Vec<Written>,
    /// Blocks made so far, also those that were taken back.
    made: u64,
}

/// Another node of the chain.
pub struct Mirror {
    pub node: Anvil,
    /// What it has, by hash.
    has: Vec<String>,
}

/// Bytecode that logs nothing but `topic`, when the contract is made.
fn logging(topic: u8) -> String {
    let topic = format!("{topic:02x}").repeat(32);
    format!("0x7f{topic}60006000a100")
}

impl Author {
    pub async fn begin() -> Author {
        let node = Anvil::start(ANVIL).await;
        let accounts = node.rpc.call("eth_accounts", json!([])).await;
        Author {
            sender: accounts[0].as_str().unwrap().to_string(),
            node,
            chain: Vec::new(),
            made: 0,
        }
    }

    /// The next block, with a log of each of these topics.
    pub async fn write(&mut self, topics: &[u8]) -> &Written {
        let rpc = self.node.rpc;
        let mut transactions = Vec::new();
        for topic in topics {
            let made = json!([{"from": self.sender, "data": logging(*topic), "gas": "0x30000", "gasPrice": "0x77359400"}]);
            let hash = rpc.call("eth_sendTransaction", made).await;
            transactions.push(rpc.call("eth_getRawTransactionByHash", json!([hash])).await);
        }
        self.made += 1;
        let timestamp = GENESIS + self.made;
        mine(rpc, timestamp).await;
        let block = rpc
            .call("eth_getBlockByNumber", json!(["latest", false]))
            .await;
        assert_eq!(
            block["transactions"].as_array().unwrap().len(),
            topics.len()
        );
        let logs = rpc
            .call("eth_getLogs", json!([{"blockHash": block["hash"]}]))
            .await;
        self.chain.push(Written {
            hash: block["hash"].as_str().unwrap().to_string(),
            number: self.chain.len() as u64 + 1,
            timestamp,
            transactions,
            logs: logs.as_array().unwrap().clone(),
        });
        self.chain.last().unwrap()
    }

    /// A transaction that waits, as it is sent.
    pub async fn pending(&self) -> Value {
        let rpc = self.node.rpc;
        let made = json!([{"from": self.sender, "to": self.sender, "gasPrice": "0x77359400"}]);
        let hash = rpc.call("eth_sendTransaction", made).await;
        rpc.call("eth_getRawTransactionByHash", json!([hash])).await
    }

    /// Takes the last `depth` blocks back, newest first.
    pub async fn take_back(&mut self, depth: usize) -> Vec<Written> {
        self.node.roll_back(depth as u64).await;
        let mut taken = self.chain.split_off(self.chain.len() - depth);
        taken.reverse();
        taken
    }
}

impl Mirror {
    pub async fn begin() -> Mirror {
        Mirror {
            node: Anvil::start(ANVIL).await,
            has: Vec::new(),
        }
    }

    /// Starts again with nothing, after it was killed.
    pub async fn restart(&mut self) {
        self.node.restart().await;
        self.has.clear();
    }

    /// Becomes as the author is.
    pub async fn follow(&mut self, chain: &[Written]) {
        let common = self
            .has
            .iter()
            .zip(chain)
            .take_while(|(has, block)| **has == block.hash)
            .count();
        if common < self.has.len() {
            self.node.roll_back((self.has.len() - common) as u64).await;
            self.has.truncate(common);
            // What was in the blocks taken back may wait in the pool again.
            self.node
                .rpc
                .call("anvil_dropAllTransactions", json!([]))
                .await;
        }
        for block in &chain[common..] {
            repeat(self.node.rpc, block).await;
            self.has.push(block.hash.clone());
        }
    }
}

async fn repeat(node: Rpc, block: &Written) {
    for raw in &block.transactions {
        node.call("eth_sendRawTransaction", json!([raw])).await;
    }
    mine(node, block.timestamp).await;
    let made = node
        .call("eth_getBlockByNumber", json!(["latest", false]))
        .await;
    assert_eq!(made["hash"], block.hash, "not the same block: {made}");
}

/// The fee is set: after a rollback anvil goes on with that of the block taken back.
async fn mine(node: Rpc, timestamp: u64) {
    let fee = json!(["0x3b9aca00"]);
    node.call("anvil_setNextBlockBaseFeePerGas", fee).await;
    node.call("evm_mine", json!([timestamp])).await;
}

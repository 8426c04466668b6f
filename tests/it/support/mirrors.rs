//! Anvils of one chain that its author writes block by block, reorgs and all; any of them may miss
//! some of it and be brought up again.

use serde_json::{Value, json};

use super::Anvil;
use super::written::{ANVIL, GENESIS, Written, mine, quantity, set_base_fee};

const BASE_FEE: u64 = 1_000_000_000;

/// The chain, and the node on which it is written.
pub struct Author {
    pub node: Anvil,
    pub sender: String,
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
        for topic in topics {
            let made = self.transaction(*topic);
            rpc.call("eth_sendTransaction", json!([made])).await;
        }
        self.made += 1;
        mine(rpc, GENESIS + self.made, &quantity(BASE_FEE)).await;
        let number = self.chain.len() as u64 + 1;
        self.chain.push(Written::read(rpc, number).await);
        self.chain.last().unwrap()
    }

    fn transaction(&self, topic: u8) -> Value {
        let data = logging(topic);
        json!({"from": self.sender, "data": data, "gas": "0x30000", "gasPrice": "0x77359400"})
    }

    /// The hash of a transaction that waits, and itself, as it is sent.
    pub async fn pending(&self) -> (Value, Value) {
        let rpc = self.node.rpc;
        let made = json!([{"from": self.sender, "to": self.sender, "gasPrice": "0x77359400"}]);
        let hash = rpc.call("eth_sendTransaction", made).await;
        let raw = rpc.call("eth_getRawTransactionByHash", json!([hash]));
        (hash.clone(), raw.await)
    }

    /// Puts as many other blocks, with logs of these topics, in the place of the last ones, which
    /// are returned.
    pub async fn reorganise(&mut self, blocks: &[&[u8]]) -> Vec<Written> {
        let transactions: Vec<_> = blocks
            .iter()
            .enumerate()
            .flat_map(|(at, topics)| topics.iter().map(move |topic| (at, *topic)))
            .map(|(at, topic)| json!([self.transaction(topic), at]))
            .collect();
        // Otherwise an empty block may be replaced by the very same.
        self.made += 1;
        set_base_fee(self.node.rpc, &quantity(BASE_FEE + self.made)).await;
        let reorg = json!([blocks.len(), transactions]);
        self.node.rpc.call("anvil_reorg", reorg).await;
        let fork = self.chain.len() - blocks.len();
        let taken = self.chain.split_off(fork);
        for before in &taken {
            let block = Written::read(self.node.rpc, before.number).await;
            assert_ne!(block.hash, before.hash, "no other block");
            self.chain.push(block);
        }
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
            block.repeat(self.node.rpc).await;
            self.has.push(block.hash.clone());
        }
    }
}

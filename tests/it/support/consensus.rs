//! A consensus client in our hand: it has blocks made, and tells geth nodes of one chain about them over
//! the engine API, each as far as a story wants. So there are real lag, reorgs, `safe` and `finalized`.
//!
//! Nodes have no peers: a transaction stays where it was sent until it is in a block.

use forebay::clock;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::blocks::{Blocks, Made, ZERO, choose};
use super::genesis::{EMITTER, RICH, SAVER, genesis};
use super::{Anvil, GethNode, number};

/// The genesis is so old. After six hours without blocks geth would build no index of its history.
const GENESIS_AGE_SECONDS: u64 = 10_000;
/// When the chain grows quickly nodes are told a new head after so many blocks.
const STRIDE: u64 = 32;

/// The chain, the node that makes its blocks, and the nodes that are told of them.
#[derive(Debug)]
pub struct Consensus {
    pub nodes: Vec<GethNode>,
    /// The hash of the newest block.
    pub tip: String,
    blocks: Blocks,
    /// Makes blocks on any parent; nothing else asks it.
    builder: GethNode,
    wallet: Anvil,
    /// Kept as long as the nodes: their databases are in it.
    _folder: TempDir,
}

impl Consensus {
    /// Nodes with these names and flags of geth's, all at the genesis.
    pub async fn start(nodes: &[(&'static str, &[&str])]) -> Consensus {
        let folder = TempDir::new().unwrap();
        let born_at = clock::unix_millis() / 1000 - GENESIS_AGE_SECONDS;
        let written = genesis(born_at).to_string();
        std::fs::write(folder.path().join("genesis.json"), written).unwrap();
        let start =
            |(name, flags): &(&'static str, &[&str])| GethNode::start(name, folder.path(), flags);
        let mut builder = start(&("builder", &[]));
        let mut nodes: Vec<_> = nodes.iter().map(start).collect();
        let wallet = Anvil::start(&["--chain-id", "1337"]).await;
        for node in nodes.iter_mut().chain([&mut builder]) {
            node.answers().await;
        }
        let first = json!(["0x0", false]);
        let first = builder.rpc.call("eth_getBlockByNumber", first).await;
        let tip = text(&first["hash"]);
        let mut blocks = Blocks::default();
        let made = Made {
            number: 0,
            parent: None,
            timestamp: born_at,
            root: ZERO.into(),
            payload: Value::Null,
            requests: Value::Null,
        };
        blocks.add(tip.clone(), made);
        Consensus {
            nodes,
            tip,
            blocks,
            builder,
            wallet,
            _folder: folder,
        }
    }

    pub fn node(&mut self, name: &str) -> &mut GethNode {
        let found = self.nodes.iter_mut().find(|node| node.name == name);
        found.unwrap_or_else(|| panic!("no node is called {name}"))
    }

    pub fn height(&self) -> u64 {
        self.blocks.get(&self.tip).number
    }

    /// The block so far below the tip, or the genesis.
    pub fn below(&self, blocks: u64) -> String {
        self.blocks.ancestor(&self.tip, blocks)
    }

    /// A raw transaction of [`RICH`] that has [`EMITTER`] log a topic of this byte.
    pub async fn signed(&self, nonce: u64, topic: u8) -> String {
        let transaction = json!({
            "from": RICH, "to": EMITTER, "data": format!("0x{}", format!("{topic:02x}").repeat(32)),
            "gas": "0x186a0", "gasPrice": "0x174876e800", "nonce": quantity(nonce), "chainId": "0x539",
        });
        let signed = self
            .wallet
            .rpc
            .call("eth_signTransaction", json!([transaction]));
        text(&signed.await)
    }

    /// A block on the tip with these raw transactions, and tells the nodes; its hash.
    pub async fn mine(&mut self, transactions: &[String]) -> String {
        self.tip = self.make(&self.tip.clone(), transactions, "").await;
        self.tell().await;
        self.tip.clone()
    }

    /// A block with what waits in the nodes' pools; its hash.
    pub async fn mine_waiting(&mut self) -> String {
        let mut waiting = Vec::new();
        for node in &mut self.nodes {
            if node.process.is_running() && !node.is_left_alone {
                waiting.extend(pool(node).await);
            }
        }
        waiting.sort();
        waiting.dedup();
        let recent: Vec<_> = (0..STRIDE).map(|blocks| self.below(blocks)).collect();
        let is_made = |raw: &String| {
            let mut lists = recent
                .iter()
                .map(|block| &self.blocks.get(block).payload["transactions"]);
            lists.any(|list| {
                list.as_array()
                    .is_some_and(|list| list.iter().any(|made| made == raw))
            })
        };
        // A node that lags still has in its pool what is in the chain.
        waiting.retain(|(_, raw)| !is_made(raw));
        let transactions: Vec<_> = waiting.into_iter().map(|(_, raw)| raw).collect();
        self.mine(&transactions).await
    }

    /// Many empty blocks.
    pub async fn grow(&mut self, blocks: u64) {
        for at in 1..=blocks {
            self.tip = self.make(&self.tip.clone(), &[], QUICK).await;
            if at % STRIDE == 0 || at == blocks {
                self.tell().await;
            }
        }
    }

    /// The newest `depth` blocks give way to one more, the first with these transactions; the tip that was.
    pub async fn reorganise(&mut self, depth: u64, transactions: &[String]) -> String {
        let mut at = self.below(depth);
        let note = format!("beside {}", self.tip);
        for index in 0..=depth {
            let transactions = if index == 0 { transactions } else { &[] };
            at = self.make(&at, transactions, &note).await;
        }
        let old = std::mem::replace(&mut self.tip, at);
        self.tell().await;
        old
    }

    /// All nodes go back by `depth` blocks.
    pub async fn retreat(&mut self, depth: u64) {
        self.tip = self.below(depth);
        self.tell_where(|_| true).await;
    }

    /// Brings every node that is up and not left alone to the tip, or as far behind it as it is kept. For
    /// that none goes back.
    pub async fn tell(&mut self) {
        self.tell_where(|is_behind| is_behind).await;
    }

    /// Those of which `goes` says so, told whether the node isn't at or above where it is to be.
    async fn tell_where(&mut self, goes: impl Fn(bool) -> bool) {
        for node in &mut self.nodes {
            if node.is_left_alone || !node.process.is_running() {
                continue;
            }
            let target = self.blocks.ancestor(&self.tip, node.behind);
            let at = node.at.as_ref();
            let is_behind = at.is_none_or(|at| !self.blocks.is_above(at, &target));
            if goes(is_behind) {
                self.blocks.bring(node, &target).await;
            }
        }
    }

    /// What is safe and final at `name`, whose head stays, so many blocks below the tip.
    pub async fn settle(&mut self, name: &str, safe: u64, finalized: u64) {
        let [safe, finalized] = [safe, finalized].map(|blocks| self.below(blocks));
        let node = self.node(name);
        let head = node.at.clone().expect("it was told a head");
        choose(node, &head, &safe, &finalized).await;
    }

    /// A block on `parent`, of which no node hears yet; another `note` makes another block. Its hash.
    async fn make(&mut self, parent: &str, transactions: &[String], note: &str) -> String {
        self.blocks.give(&mut self.builder, parent).await;
        // To the builder nothing is final: it goes back and forth.
        choose(&self.builder, parent, ZERO, ZERO).await;
        let above = self.blocks.get(parent);
        let number = above.number + 1;
        let earliest = above.timestamp + 1;
        let timestamp = if note == QUICK {
            earliest
        } else {
            earliest.max(clock::unix_millis() / 1000)
        };
        let root = root_of(parent, note);
        let gift = json!({
            "index": quantity(number), "validatorIndex": "0x1", "address": SAVER, "amount": "0x1",
        });
        let attributes = json!({
            "timestamp": quantity(timestamp), "prevRandao": root, "withdrawals": [gift],
            "suggestedFeeRecipient": "0x00000000000000000000000000000000000000cc",
            "parentBeaconBlockRoot": root,
        });
        let asked = json!([parent, attributes, transactions, "0x"]);
        let mut built = self.builder.rpc.call("testing_buildBlockV1", asked).await;
        let hash = text(&built["executionPayload"]["blockHash"]);
        let made = Made {
            number,
            parent: Some(parent.to_owned()),
            timestamp,
            root,
            payload: built["executionPayload"].take(),
            requests: built["executionRequests"].take(),
        };
        self.blocks.add(hash.clone(), made);
        hash
    }
}

/// The note of blocks that follow each other by a second, whatever the clock says.
const QUICK: &str = "quick";

/// What waits at `node` and could go into a block, with its nonces.
async fn pool(node: &GethNode) -> Vec<(u64, String)> {
    let content = node.rpc.call("txpool_content", json!([])).await;
    let senders = content["pending"].as_object().unwrap().values();
    let waiting = senders.flat_map(|sender| sender.as_object().unwrap().values());
    let mut raw = Vec::new();
    for transaction in waiting {
        let asked = json!([transaction["hash"]]);
        let bytes = node.rpc.call("eth_getRawTransactionByHash", asked).await;
        raw.push((number(&transaction["nonce"]), text(&bytes)));
    }
    raw
}

/// A hash that is another one for each parent and note.
fn root_of(parent: &str, note: &str) -> String {
    use sha3::{Digest, Keccak256};
    let digest = Keccak256::digest(format!("{parent}{note}"));
    digest
        .iter()
        .fold("0x".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

fn text(value: &Value) -> String {
    let text = value.as_str();
    text.unwrap_or_else(|| panic!("{value} is no text"))
        .to_owned()
}

fn quantity(number: u64) -> String {
    format!("{number:#x}")
}

//! The scene of these stories: geth nodes of one chain, and a balancer with a line to each of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::{Balancer, Consensus, PATIENCE, RICH, Rpc, SAVER, number, soon};

/// Health that decides soon, on a chain whose blocks come as fast as they go.
const QUICK: &str = "\
version: 1
threads: 2
forebay:
  chain: { id: 1337, block_time: 1s }
  listen: { http: [\"@HTTP@\"], metrics: \"@METRICS@\", admin: \"@ADMIN@\" }
  registry: { path: \"@FOLDER@/forebay.db\", refresh: 300ms, last_list: \"@FOLDER@/last-list.json\" }
  health: { interval: 500ms, timeout: 450ms, rise: 1, fall: 3 }
  shutdown: { lame_duck: 300ms, drain: 5s }
";
/// 1 gwei, of which each block gives one to [`SAVER`].
const GIFT: u64 = 1_000_000_000;

pub struct Stage {
    pub chain: Consensus,
    pub balancer: Balancer,
}

impl Stage {
    /// Own nodes with these names and flags of geth's, at block 1; `more` is added to the configuration.
    pub async fn set(nodes: &[(&'static str, &[&str])], more: &str) -> Stage {
        let mut chain = Consensus::start(nodes).await;
        // One that was told no head says that it syncs.
        chain.grow(1).await;
        let mut yaml = format!("{QUICK}{more}  nodes:\n");
        for node in &chain.nodes {
            let (url, ws_url, name) = (node.url(), node.ws_url(), node.name);
            yaml += &format!("    - {{ url: \"{url}\", ws_url: \"{ws_url}\", name: {name} }}\n");
        }
        let balancer = Balancer::start(&yaml, &[]).await;
        let stage = Stage { chain, balancer };
        for (name, _) in nodes {
            stage.becomes(name, 1.0).await;
        }
        stage
    }

    pub fn rpc(&self) -> Rpc {
        self.balancer.rpc
    }

    /// Waits until a node is healthy (1) or not (0).
    pub async fn becomes(&self, node: &str, healthy: f64) {
        self.balancer.node_becomes(node, healthy).await;
    }

    /// Waits for rounds from now on.
    pub async fn rounds_pass(&self, rounds: u32) {
        let node = self.chain.nodes[0].name;
        self.balancer.rounds_pass(node, rounds).await;
    }

    /// Waits until clients are told of the tip.
    pub async fn shows_the_tip(&self) {
        let what = format!("block {} is told", self.chain.height());
        soon(&what, async || {
            let latest = json!(["latest", false]);
            let block = self.rpc().call("eth_getBlockByNumber", latest).await;
            let height = self.rpc().number("eth_blockNumber").await;
            block["hash"] == *self.chain.tip && height == self.chain.height()
        })
        .await;
    }

    /// So many reads of each kind, by tag, number and hash: all of the tip.
    pub async fn reads_are_of_the_tip(&self, times: u32) {
        let (rpc, tip) = (self.rpc(), &self.chain.tip);
        let at = format!("{:#x}", self.chain.height());
        let saved = format!("{:#x}", self.chain.height() * GIFT);
        for _ in 0..times {
            for (method, params) in [
                ("eth_getBlockByNumber", json!(["latest", false])),
                ("eth_getBlockByNumber", json!([at, false])),
                ("eth_getBlockByHash", json!([tip, false])),
            ] {
                let block = rpc.call(method, params.clone()).await;
                assert_eq!(block["hash"], **tip, "{method} {params}");
            }
            for block in [json!("latest"), json!(at), json!({"blockHash": tip})] {
                let balance = rpc.call("eth_getBalance", json!([SAVER, block])).await;
                assert_eq!(balance, *saved, "at {block}");
            }
            let receipts = rpc.call("eth_getBlockReceipts", json!([tip])).await;
            assert!(receipts.is_array(), "{receipts}");
        }
    }

    /// What the tags `safe` and `finalized` are for clients.
    pub async fn tags_become(&self, safe: u64, finalized: u64) {
        let tagged = async |tag: &str| {
            let block = self
                .rpc()
                .call("eth_getBlockByNumber", json!([tag, false]))
                .await;
            number(&block["number"])
        };
        soon(
            &format!("{safe} is safe and {finalized} final"),
            async || (tagged("safe").await, tagged("finalized").await) == (safe, finalized),
        )
        .await;
    }

    /// The answers to a batch.
    pub async fn batch(&self, calls: Vec<Value>) -> Vec<Value> {
        let answer = self.balancer.post(&Value::from(calls).to_string()).await;
        match answer.json() {
            Value::Array(answers) => answers,
            other => panic!("no array: {other}"),
        }
    }

    /// Reads without an end, until it is stopped.
    pub fn load(&self) -> Load {
        let goes_on = Arc::new(AtomicBool::new(true));
        let task = tokio::spawn(read_on(self.rpc(), goes_on.clone()));
        Load { goes_on, task }
    }
}

/// Calls that are made beside a story.
pub struct Load {
    goes_on: Arc<AtomicBool>,
    task: JoinHandle<Tally>,
}

/// What became of them.
#[derive(Debug, Default)]
pub struct Tally {
    pub calls: u64,
    /// What wasn't answered with a result.
    pub wrong: Vec<String>,
}

impl Load {
    pub async fn stop(self) -> Tally {
        self.goes_on.store(false, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

async fn read_on(rpc: Rpc, goes_on: Arc<AtomicBool>) -> Tally {
    let reads = [
        ("eth_getBlockByNumber", json!(["latest", false])),
        ("eth_getBalance", json!([SAVER, "latest"])),
        ("eth_getTransactionCount", json!([RICH, "latest"])),
        ("eth_getBlockReceipts", json!(["latest"])),
    ];
    let mut tally = Tally::default();
    while goes_on.load(Ordering::Relaxed) {
        for (method, params) in &reads {
            let answer = rpc.ask(method, params.clone(), PATIENCE).await;
            tally.calls += 1;
            match answer {
                Ok(answer) if answer["result"].is_null() => tally.wrong.push(answer.to_string()),
                Ok(_) => {}
                Err(why) => tally.wrong.push(why),
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tally
}

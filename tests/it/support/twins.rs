//! Two real nodes of one chain, one of them always some blocks behind the other, and not always
//! the same one.
//!
//! A block is made on the node ahead and made again on the other. Transactions go from pool to pool,
//! as among peers.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::RwLock;
use tokio::task::JoinHandle;

use super::written::{ANVIL, GENESIS, Written, send};
use super::{Anvil, RoundRobin, Rpc};

/// How many blocks the other is behind, block after block.
const LAGS: [usize; 8] = [1, 2, 0, 3, 5, 1, 4, 2];
/// After so many blocks the other one goes ahead.
const TURN_BLOCKS: u64 = 12;
const TICK: Duration = Duration::from_millis(15);
/// A block comes after so many ticks even if nothing waits.
const IDLE_TICKS: u32 = 20;

pub struct Twins {
    /// The ways to the nodes: shut while a block is made again, so that nothing slips in.
    pub doors: [RoundRobin; 2],
    _nodes: [Anvil; 2],
    task: JoinHandle<()>,
    height: Arc<AtomicU64>,
}

impl Twins {
    pub async fn start() -> Twins {
        let nodes = [Anvil::start(ANVIL).await, Anvil::start(ANVIL).await];
        let doors = [
            RoundRobin::over(vec![nodes[0].rpc.address]).await,
            RoundRobin::over(vec![nodes[1].rpc.address]).await,
        ];
        let height = Arc::new(AtomicU64::new(0));
        let mut feeder = Feeder {
            nodes: [nodes[0].rpc, nodes[1].rpc],
            doors: [doors[0].door.clone(), doors[1].door.clone()],
            ahead: 0,
            height: 0,
            waiting: VecDeque::new(),
            known: HashMap::new(),
        };
        let told = height.clone();
        let task = tokio::spawn(async move {
            let mut idle = 0;
            loop {
                tokio::time::sleep(TICK).await;
                let waits = feeder.gossip().await;
                idle += 1;
                if waits || idle >= IDLE_TICKS {
                    idle = 0;
                    feeder.block().await;
                    told.store(feeder.height, Ordering::Relaxed);
                }
            }
        });
        Twins {
            doors,
            _nodes: nodes,
            task,
            height,
        }
    }

    /// Blocks made so far. A chain that has stopped fails its test.
    pub fn height(&self) -> u64 {
        assert!(!self.task.is_finished(), "no more blocks are made");
        self.height.load(Ordering::Relaxed)
    }
}

impl Drop for Twins {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Feeder {
    nodes: [Rpc; 2],
    doors: [Arc<RwLock<()>>; 2],
    ahead: usize,
    height: u64,
    /// Blocks that the one behind hasn't got.
    waiting: VecDeque<Written>,
    /// Transactions as sent, by hash.
    known: HashMap<String, Value>,
}

impl Feeder {
    /// Takes what waits in either pool to the node ahead; says whether anything waits there.
    async fn gossip(&mut self) -> bool {
        let (ahead, behind) = (self.nodes[self.ahead], self.nodes[1 - self.ahead]);
        let waiting = self.pool(behind).await;
        self.send(ahead, &waiting).await;
        !self.pool(ahead).await.is_empty()
    }

    /// The hashes of what waits in a pool.
    async fn pool(&mut self, node: Rpc) -> Vec<String> {
        let content = node.call("txpool_content", json!([])).await;
        let senders = ["pending", "queued"].into_iter();
        let hashes: Vec<String> = senders
            .filter_map(|part| content[part].as_object())
            .flat_map(|part| part.values().filter_map(Value::as_object))
            .flat_map(|nonces| nonces.values())
            .filter_map(|sent| sent["hash"].as_str().map(str::to_string))
            .collect();
        let mut waiting = Vec::new();
        for hash in hashes {
            if !self.known.contains_key(&hash) {
                let raw = node
                    .call("eth_getRawTransactionByHash", json!([hash]))
                    .await;
                if raw.is_null() {
                    continue;
                }
                self.known.insert(hash.clone(), raw);
            }
            waiting.push(hash);
        }
        waiting
    }

    /// Makes a block, and lets the other follow as far as it should.
    async fn block(&mut self) {
        if self.height.is_multiple_of(TURN_BLOCKS) {
            self.follow(0).await;
            self.ahead = 1 - self.ahead;
        }
        let ahead = self.nodes[self.ahead];
        self.height += 1;
        let time = json!([GENESIS + self.height]);
        ahead.call("evm_mine", time).await;
        let block = Written::read(ahead, self.height).await;
        self.waiting.push_back(block);
        let lag = LAGS[usize::try_from(self.height).unwrap() % LAGS.len()];
        self.follow(lag).await;
    }

    /// The one behind follows until it is `lag` blocks behind.
    async fn follow(&mut self, lag: usize) {
        while self.waiting.len() > lag {
            let block = self.waiting.pop_front().unwrap();
            self.repeat(&block).await;
        }
    }

    async fn repeat(&mut self, block: &Written) {
        let behind = self.nodes[1 - self.ahead];
        let door = self.doors[1 - self.ahead].clone();
        let _shut = door.write().await;
        let mut early = self.pool(behind).await;
        early.retain(|hash| !block.has(hash));
        if !early.is_empty() {
            // One by one, those that wait for an earlier nonce would stay.
            let nothing = json!([]);
            behind.call("anvil_dropAllTransactions", nothing).await;
        }
        block.repeat(behind).await;
        self.send(behind, &early).await;
    }

    async fn send(&self, node: Rpc, hashes: &[String]) {
        for hash in hashes {
            send(node, &self.known[hash]).await;
        }
    }
}

//! op-geth: a sequencer and replicas that pass transactions on to it, given blocks as a rollup's own
//! consensus client gives them (`specs/protocol/exec-engine.md`).

use std::sync::atomic::{AtomicU64, Ordering};

use forebay::clock;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::stage::{Endpoint, Place};
use crate::support::{EMITTER, GethNode, RICH, SAVER, deposit, number, part};

/// The chain's id.
pub const CHAIN: u64 = 1337;
/// As the balancer is told of that chain.
pub const SETTINGS: &str = "id: 1337, block_time: 1s";
const ZERO: &str = "0x0000000000000000000000000000000000000000000000000000000000000000";
/// Takes transactions without a chain's id, too.
const UNBOUND: &str = "--rpc.allow-unprotected-txs";
const GAS_LIMIT: &str = "0x3938700";

pub struct Rollup {
    pub sequencer: GethNode,
    /// Called `a` and `b`.
    pub replicas: [GethNode; 2],
    pub height: u64,
    tip: String,
    timestamp: AtomicU64,
    /// Kept as long as the nodes: their databases are in it.
    _folder: TempDir,
}

impl Rollup {
    /// With geth's own flags for the replicas, at block 1.
    pub async fn start(flags: [&[&str]; 2]) -> Rollup {
        let folder = TempDir::new().unwrap();
        let home = folder.path();
        let born_at = clock::unix_millis() / 1000 - 10_000;
        std::fs::write(home.join("genesis.json"), genesis(born_at).to_string()).unwrap();
        let program = part("op-geth");
        let mut sequencer = GethNode::start_as(program.clone(), "sequencer", home, &[UNBOUND]);
        sequencer.answers().await;
        let behind = format!("--rollup.sequencerhttp={}", sequencer.url());
        let replica = |name, flags: &[&str]| {
            let flags = [&[behind.as_str(), UNBOUND], flags].concat();
            GethNode::start_as(program.clone(), name, home, &flags)
        };
        let mut replicas = [replica("a", flags[0]), replica("b", flags[1])];
        for node in &mut replicas {
            node.answers().await;
        }
        let asked = Endpoint {
            address: sequencer.rpc.address,
            path: "/",
        };
        asked.introduce("op-geth").await;
        let first = json!(["0x0", false]);
        let first = sequencer.rpc.call("eth_getBlockByNumber", first).await;
        let mut rollup = Rollup {
            sequencer,
            replicas,
            height: 0,
            tip: first["hash"].as_str().unwrap().into(),
            timestamp: AtomicU64::new(born_at),
            _folder: folder,
        };
        rollup.grow(1).await;
        rollup
    }

    pub fn places(&self) -> [Place; 2] {
        [0, 1].map(|at| {
            let node = &self.replicas[at];
            Place {
                name: node.name,
                rpc: self.replica(at),
                ws_url: Some(node.ws_url()),
            }
        })
    }

    pub fn replica(&self, at: usize) -> Endpoint {
        Endpoint {
            address: self.replicas[at].rpc.address,
            path: "/",
        }
    }

    /// So many empty blocks, a second from one to the next.
    pub async fn grow(&mut self, blocks: u64) {
        for _ in 0..blocks {
            self.make(&[]).await;
        }
    }

    /// A block with what waits at the sequencer.
    pub async fn mine_waiting(&mut self) {
        let content = self.sequencer.rpc.call("txpool_content", json!([])).await;
        let senders = content["pending"].as_object().unwrap().values();
        let waiting = senders.flat_map(|sender| sender.as_object().unwrap().values());
        let mut raw = Vec::new();
        for transaction in waiting {
            let asked = json!([transaction["hash"]]);
            let call = self
                .sequencer
                .rpc
                .call("eth_getRawTransactionByHash", asked);
            raw.push((number(&transaction["nonce"]), call.await));
        }
        raw.sort_by_key(|(nonce, _)| *nonce);
        let raw: Vec<_> = raw.into_iter().map(|(_, raw)| raw).collect();
        self.make(&raw).await;
    }

    async fn make(&mut self, transactions: &[Value]) {
        let mut all = vec![json!(deposit(self.height + 1))];
        all.extend_from_slice(transactions);
        let timestamp = self.timestamp.fetch_add(1, Ordering::Relaxed) + 1;
        let attributes = json!({
            "timestamp": format!("{timestamp:#x}"), "prevRandao": ZERO, "withdrawals": [],
            "suggestedFeeRecipient": SAVER, "parentBeaconBlockRoot": ZERO,
            "transactions": all, "noTxPool": true, "gasLimit": GAS_LIMIT,
        });
        let mut begun = choose(&self.sequencer, &self.tip, attributes).await;
        let id = begun["payloadId"].take();
        let built = engine(&self.sequencer, "engine_getPayloadV3", json!([id])).await;
        let payload = &built["executionPayload"];
        let told = json!([payload, [], ZERO]);
        self.tip = payload["blockHash"].as_str().unwrap().into();
        self.height += 1;
        for node in [&self.sequencer].into_iter().chain(&self.replicas) {
            let said = engine(node, "engine_newPayloadV3", told.clone()).await;
            assert_eq!(said["status"], "VALID", "{}: {said}", node.name);
            choose(node, &self.tip, Value::Null).await;
        }
    }
}

async fn choose(node: &GethNode, head: &str, attributes: Value) -> Value {
    let state = json!({
        "headBlockHash": head, "safeBlockHash": ZERO, "finalizedBlockHash": ZERO,
    });
    let told = json!([state, attributes]);
    let said = engine(node, "engine_forkchoiceUpdatedV3", told).await;
    let status = &said["payloadStatus"]["status"];
    assert_eq!(*status, "VALID", "{}: {said}", node.name);
    said
}

async fn engine(node: &GethNode, method: &str, params: Value) -> Value {
    let said = node.engine(method, params).await;
    said.unwrap_or_else(|why| panic!("{why}"))
}

/// All forks up to Granite from the first block on.
fn genesis(born_at: u64) -> Value {
    let mut config = json!({
        "chainId": CHAIN, "terminalTotalDifficulty": 0, "terminalTotalDifficultyPassed": true,
        "bedrockBlock": 0,
        "optimism": {"eip1559Elasticity": 6, "eip1559Denominator": 50, "eip1559DenominatorCanyon": 250},
    });
    let by_block = "homestead eip150 eip155 eip158 byzantium constantinople petersburg istanbul \
                    muirGlacier berlin london arrowGlacier grayGlacier mergeNetsplit";
    for fork in by_block.split_whitespace() {
        config[format!("{fork}Block")] = json!(0);
    }
    for fork in [
        "regolith", "shanghai", "canyon", "cancun", "ecotone", "fjord", "granite",
    ] {
        config[format!("{fork}Time")] = json!(0);
    }
    json!({
        "config": config, "difficulty": "0x0", "gasLimit": GAS_LIMIT, "extraData": "0x",
        "timestamp": format!("{born_at:#x}"), "baseFeePerGas": "0x3b9aca00",
        "alloc": {
            (RICH): {"balance": "0x21e19e0c9bab2400000"},
            (EMITTER): {"balance": "0x0", "code": "0x366000600037600160005401600055600035366000a160005460005260206000f3"},
        },
    })
}

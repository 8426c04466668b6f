//! AvalancheGo with its C-chain, nodes of a local network of their own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::stage::{Endpoint, Place};
use crate::support::{Draft, PATIENCE, Process, RICH, Wallet, eventually, part, post_with, soon};

/// Of the local network's C-chain.
pub const CHAIN: u64 = 43112;
/// As the balancer is told of that chain.
pub const SETTINGS: &str = "id: 43112, block_time: 2s";
/// The local network's funded key, which is public (`genesis/genesis_local.go`).
const FUNDED: &str = "56289e99c94b6912bfc12adc093c9b51124f0dc54ac7a766b2bc5ccf558d8027";
/// Until a chain is there whose nodes look for each other first.
const START: Duration = Duration::from_secs(120);
/// Longer than it takes to write down what it holds in memory.
const FAREWELL: Duration = Duration::from_secs(30);
/// 10 AVAX, in wei.
const GIFT: u64 = 10_000_000_000_000_000_000;

/// One node; its ports stay the same over restarts.
pub struct AvalancheNode {
    pub name: &'static str,
    pub rpc: Endpoint,
    pub process: Process,
    info: Endpoint,
    arguments: Vec<String>,
    folder: PathBuf,
}

impl AvalancheNode {
    /// Looks for `peers`, an address and an id each; `keeps_all`: no state is forgotten.
    fn start(
        name: &'static str,
        folder: &Path,
        (of, keeps_all): (usize, bool),
        peers: (&str, &str),
    ) -> AvalancheNode {
        let rpc = Endpoint::new("/ext/bc/C/rpc");
        let staking = Endpoint::new("/").port();
        let data = folder.join(name);
        let configuration = data.join("configs/chains/C");
        std::fs::create_dir_all(&configuration).unwrap();
        let apis = json!([
            "eth",
            "eth-filter",
            "net",
            "web3",
            "internal-eth",
            "internal-blockchain",
            "internal-transaction",
            "internal-tx-pool",
            "internal-debug",
            "debug-tracer",
        ]);
        let settings = json!({"pruning-enabled": !keeps_all, "eth-apis": apis});
        std::fs::write(configuration.join("config.json"), settings.to_string()).unwrap();
        let arguments = [
            "--network-id=local".into(),
            "--sybil-protection-enabled=false".into(),
            "--public-ip=127.0.0.1".into(),
            "--http-host=127.0.0.1".into(),
            "--staking-host=127.0.0.1".into(),
            "--fd-limit=4096".into(),
            format!("--snow-sample-size={of}"),
            format!("--snow-quorum-size={of}"),
            format!("--http-port={}", rpc.port()),
            format!("--staking-port={staking}"),
            format!("--data-dir={}", data.display()),
            format!("--bootstrap-ips={}", peers.0),
            format!("--bootstrap-ids={}", peers.1),
        ];
        let process = begin(name, folder, &arguments);
        AvalancheNode {
            name,
            rpc,
            process,
            info: Endpoint {
                path: "/ext/info",
                ..rpc
            },
            arguments: arguments.into(),
            folder: folder.into(),
        }
    }

    pub fn place(&self) -> Place {
        let ws_url = format!("ws://{}/ext/bc/C/ws", self.rpc.address);
        Place {
            name: self.name,
            rpc: self.rpc,
            ws_url: Some(ws_url),
        }
    }

    /// Its address for other nodes, and its id.
    async fn peer(&mut self) -> (String, String) {
        let (process, info) = (&mut self.process, self.info);
        let mut id = Value::Null;
        eventually("it says its id", START, async || {
            assert!(process.is_running(), "it has ended");
            let answer = info.ask("info.getNodeID", json!([])).await;
            id = answer.unwrap_or_default()["result"]["nodeID"].take();
            id.is_string()
        })
        .await;
        let staking = self.arguments.iter();
        let mut staking = staking.filter_map(|it| it.strip_prefix("--staking-port="));
        let port = staking.next().unwrap();
        (format!("127.0.0.1:{port}"), id.as_str().unwrap().into())
    }

    /// Waits until its C-chain is there.
    pub async fn answers(&mut self) {
        let (process, rpc, name) = (&mut self.process, self.rpc, self.name);
        eventually(&format!("{name} answers"), START, async || {
            assert!(process.is_running(), "{name} has ended");
            rpc.answers().await
        })
        .await;
    }

    /// SIGTERM, and its end.
    pub async fn stop(&mut self) {
        self.process.terminate();
        self.process.ended(FAREWELL).await;
    }

    pub fn start_again(&mut self) {
        self.process = begin(self.name, &self.folder, &self.arguments);
    }

    /// What it says on its path, as it is: the status and the body.
    pub async fn raw(&self) -> Option<(u16, String)> {
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []});
        let headers = [("content-type", "application/json")];
        let (rpc, body) = (self.rpc, call.to_string());
        let answer = post_with(rpc.address, rpc.path, &headers, &body, PATIENCE).await;
        answer.ok().map(|answer| (answer.status, answer.text()))
    }
}

fn begin(name: &str, folder: &Path, arguments: &[String]) -> Process {
    let mut command = Command::new(part("avalanchego"));
    command.args(arguments).env("HOME", folder);
    Process::start(name, command, folder)
}

/// Two nodes that accept blocks together: `a`, which forgets old states, and `archive`.
pub struct Avalanche {
    pub a: AvalancheNode,
    pub archive: AvalancheNode,
    pub wallet: Wallet,
    pub next_nonce: u64,
    folder: TempDir,
}

impl Avalanche {
    pub async fn start() -> Avalanche {
        let folder = TempDir::new().unwrap();
        let home = folder.path();
        let mut a = AvalancheNode::start("a", home, (2, false), ("", ""));
        let (address, id) = a.peer().await;
        let mut archive = AvalancheNode::start("archive", home, (2, true), (&address, &id));
        a.answers().await;
        archive.answers().await;
        a.rpc.introduce("avalanchego").await;
        let mut avalanche = Avalanche {
            a,
            archive,
            wallet: Wallet::new(FUNDED),
            next_nonce: 0,
            folder,
        };
        // Into an account whose transactions count from 0.
        avalanche.transfer(RICH, GIFT).await;
        avalanche.wallet = Wallet::rich();
        avalanche.next_nonce = 0;
        avalanche
    }

    /// A third node that has no node to learn the chain from: it goes on bootstrapping.
    pub fn lost(&self) -> AvalancheNode {
        let nobody = Endpoint::new("/").address.to_string();
        let id = "NodeID-7Xhw2mDxuDS44j42TCB6U5579esbSt3Lg";
        AvalancheNode::start("lost", self.folder.path(), (2, false), (&nobody, id))
    }

    /// A third node, which has learnt the chain from `a`.
    pub async fn late(&mut self) -> AvalancheNode {
        let (address, id) = self.a.peer().await;
        let folder = self.folder.path();
        let mut late = AvalancheNode::start("late", folder, (2, false), (&address, &id));
        late.answers().await;
        late
    }

    pub fn places(&self) -> [Place; 2] {
        [self.a.place(), self.archive.place()]
    }

    /// The next transaction of the account's: its raw bytes and its hash.
    pub fn signed(&mut self) -> (String, String) {
        let signed = self.wallet.sign(self.next_nonce, Draft::on(CHAIN));
        self.next_nonce += 1;
        (signed.raw, signed.hash)
    }

    /// Waits until both have a block with it.
    async fn transfer(&mut self, to: &str, value: u64) {
        let draft = Draft {
            to,
            value,
            ..Draft::on(CHAIN)
        };
        let signed = self.wallet.sign(self.next_nonce, draft);
        self.next_nonce += 1;
        let sent = json!([signed.raw]);
        self.a.rpc.call("eth_sendRawTransaction", sent).await;
        self.has_mined(&signed.hash).await;
    }

    /// Waits until both have a block with the transaction of this hash.
    pub async fn has_mined(&self, hash: &str) {
        for node in [&self.a, &self.archive] {
            soon("it is in a block", async || {
                let asked = json!([hash]);
                let receipt = node.rpc.call("eth_getTransactionReceipt", asked).await;
                !receipt.is_null()
            })
            .await;
        }
    }

    /// So many blocks more, each of one transaction.
    pub async fn grow(&mut self, blocks: u64) {
        for _ in 0..blocks {
            let (raw, hash) = self.signed();
            let sent = json!([raw]);
            self.a.rpc.call("eth_sendRawTransaction", sent).await;
            self.has_mined(&hash).await;
        }
    }
}

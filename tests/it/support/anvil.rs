//! anvil: a real node whose chain obeys.

use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

use super::{Process, Rpc, part, soon};

/// A running anvil; killed on drop.
#[derive(Debug)]
pub struct Anvil {
    pub rpc: Rpc,
    pub process: Process,
    arguments: Vec<String>,
    folder: TempDir,
}

impl Anvil {
    /// With anvil's own `arguments`, such as `["--chain-id", "1", "--no-mining"]`, on a free port;
    /// it answers when this returns.
    pub async fn start(arguments: &[&str]) -> Anvil {
        let folder = TempDir::new().unwrap();
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let mut process = spawn(&arguments, 0, &folder);
        let mut port = None;
        soon("anvil says its port", async || {
            assert!(process.is_running(), "anvil has ended");
            port = port_told(&process.printed());
            port.is_some()
        })
        .await;
        Anvil {
            rpc: Rpc::on_port(port.unwrap()),
            process,
            arguments,
            folder,
        }
    }

    pub fn url(&self) -> String {
        self.rpc.url()
    }

    pub fn port(&self) -> u16 {
        self.rpc.address.port()
    }

    pub async fn head(&self) -> u64 {
        self.rpc.number("eth_blockNumber").await
    }

    /// Adds `blocks` blocks at once.
    pub async fn mine(&self, blocks: u64) {
        let blocks = format!("{blocks:#x}");
        self.rpc.call("anvil_mine", json!([blocks])).await;
    }

    pub async fn set_chain_id(&self, chain_id: u64) {
        self.rpc.call("anvil_setChainId", json!([chain_id])).await;
    }

    /// A second from block to block, whatever the clock says: then two anvils that are told the
    /// same have the same blocks.
    pub async fn tick_evenly(&self) {
        let set = "anvil_setBlockTimestampInterval";
        self.rpc.call(set, json!([1])).await;
    }

    /// Replaces the last `depth` blocks by empty ones of other hashes.
    pub async fn reorganise(&self, depth: u64) {
        self.rpc.call("anvil_reorg", json!([depth, []])).await;
    }

    /// Takes the last `depth` blocks away.
    pub async fn roll_back(&self, depth: u64) {
        self.rpc.call("anvil_rollback", json!([depth])).await;
    }

    /// Starts again on the same port after [`Process::kill`], at block 0.
    pub async fn restart(&mut self) {
        self.process.kill();
        self.process = spawn(&self.arguments, self.port(), &self.folder);
        let rpc = self.rpc;
        soon("anvil answers again", async || {
            assert!(self.process.is_running(), "anvil has ended");
            rpc.answers().await
        })
        .await;
    }
}

fn spawn(arguments: &[String], port: u16, folder: &TempDir) -> Process {
    let mut command = Command::new(part("anvil"));
    // It keeps old states in its user's home, and leaves them there when it is killed: gigabytes a day.
    command.arg("--cache-path").arg(folder.path());
    command.arg("--port").arg(port.to_string()).args(arguments);
    Process::start("anvil", command, folder.path())
}

/// From `Listening on 127.0.0.1:46707`, once the whole line is there.
fn port_told(printed: &str) -> Option<u16> {
    let (_, after) = printed.split_once("Listening on 127.0.0.1:")?;
    let (port, _) = after.split_once('\n')?;
    port.trim().parse().ok()
}

//! geth 1.8.23: the real RPC server of geth, old, on a chain of its own (id 1337).

use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{PATIENCE, Process, Rpc, eventually, free_port, part, soon};

/// A running `geth --dev`; killed on drop.
#[derive(Debug)]
pub struct Geth {
    pub rpc: Rpc,
    pub process: Process,
    socket_port: u16,
    /// Kept as long as the process: its database is in it.
    _folder: TempDir,
}

impl Geth {
    /// A block every `period_seconds`, or with 0 one for each transaction; it answers when this returns, after some 4 s.
    pub async fn start(period_seconds: u64) -> Geth {
        let folder = TempDir::new().unwrap();
        let (port, socket_port) = (free_port(), free_port());
        let mut command = Command::new(part("geth"));
        command
            .args(["--dev", "--nodiscover", "--maxpeers", "0", "--port", "0"])
            .args(["--dev.period", &period_seconds.to_string()])
            .arg("--datadir")
            .arg(folder.path().join("data"))
            .args(["--rpc", "--rpcaddr", "127.0.0.1"])
            .args(["--rpcport", &port.to_string()])
            .args(["--ws", "--wsaddr", "127.0.0.1", "--wsorigins", "*"])
            .args(["--wsport", &socket_port.to_string()]);
        let mut process = Process::start("geth", command, folder.path());
        let rpc = Rpc::on_port(port);
        eventually("geth answers", PATIENCE * 2, async || {
            assert!(process.is_running(), "geth has ended");
            rpc.answers().await
        })
        .await;
        Geth {
            rpc,
            process,
            socket_port,
            _folder: folder,
        }
    }

    /// Sends transactions until its head is `head`; for a geth without a period.
    pub async fn grow_to(&self, head: u64) {
        // It answers a moment before it has opened its wallet.
        let mut own = Value::Null;
        soon("geth has an account to send from", async || {
            own = self.rpc.call("eth_accounts", json!([])).await[0].clone();
            own.is_string()
        })
        .await;
        let nothing = json!([{"from": own, "to": own, "value": "0x0"}]);
        eventually("geth's chain grows", PATIENCE * 2, async || {
            for _ in 0..20 {
                self.rpc.call("eth_sendTransaction", nothing.clone()).await;
            }
            self.rpc.number("eth_blockNumber").await >= head
        })
        .await;
    }

    pub fn url(&self) -> String {
        self.rpc.url()
    }

    pub fn ws_url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.socket_port)
    }
}

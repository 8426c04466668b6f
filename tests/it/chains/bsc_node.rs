//! bsc: a chain of one Parlia validator with blocks of 450 ms, and a node that follows it.

use std::path::Path;
use std::process::Command;

use forebay::clock;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::stage::{Endpoint, Place};
use crate::support::{EMITTER, PATIENCE, Process, RICH, eventually, part};

/// The chain's id.
pub const CHAIN: u64 = 7714;
/// As the balancer is told of that chain.
pub const SETTINGS: &str = "id: 7714, block_time: 450ms";
/// The validator's key, and its address.
const KEY: &str = "00000000000000000000000000000000000000000000000000000000b5c0ffee";
const VALIDATOR: &str = "2960c4a56750886324d07af16825d0cee347f0cb";

/// One node.
pub struct BscNode {
    pub name: &'static str,
    /// HTTP, and WebSockets on the same port.
    pub rpc: Endpoint,
    pub process: Process,
}

impl BscNode {
    fn start(name: &'static str, folder: &Path) -> BscNode {
        let rpc = Endpoint::new("/");
        let data = folder.join(name);
        let data = data.to_str().unwrap();
        let word = folder.join("word").to_str().unwrap().to_owned();
        run(&[
            "--datadir",
            data,
            "init",
            folder.join("genesis.json").to_str().unwrap(),
        ]);
        let mut arguments: Vec<String> = [
            "--datadir",
            data,
            "--networkid",
            "7714",
            "--nodiscover",
            "--nat",
            "none",
            "--ipcdisable",
            "--cache",
            "64",
            "--verbosity",
            "3",
            "--http",
            "--http.addr",
            "127.0.0.1",
            "--ws",
            "--ws.addr",
            "127.0.0.1",
            "--ws.origins",
            "*",
            "--http.api",
            "eth,net,web3,debug,admin,parlia,txpool",
            "--ws.api",
            "eth,net,web3",
            "--syncmode",
            "full",
        ]
        .map(str::to_owned)
        .into();
        for (flag, value) in [
            ("--port", Endpoint::new("/").port()),
            ("--http.port", rpc.port()),
            ("--ws.port", rpc.port()),
        ] {
            arguments.extend([flag.to_owned(), value]);
        }
        if name == "validator" {
            let key = folder.join("key").to_str().unwrap().to_owned();
            run(&[
                "--datadir",
                data,
                "account",
                "import",
                "--password",
                &word,
                &key,
            ]);
            let account = format!("0x{VALIDATOR}");
            let mining = [
                "--mine",
                "--miner.etherbase",
                &account,
                "--unlock",
                &account,
                "--password",
                &word,
                "--allow-insecure-unlock",
            ];
            arguments.extend(mining.map(str::to_owned));
        }
        BscNode {
            name,
            rpc,
            process: begin(name, folder, &arguments),
        }
    }

    /// `is_polled`: the balancer doesn't know of its socket.
    pub fn place(&self, is_polled: bool) -> Place {
        let ws_url = format!("ws://{}", self.rpc.address);
        Place {
            name: self.name,
            rpc: self.rpc,
            ws_url: (!is_polled).then_some(ws_url),
        }
    }

    pub async fn answers(&mut self) {
        let (process, rpc, name) = (&mut self.process, self.rpc, self.name);
        eventually(&format!("{name} answers"), PATIENCE * 2, async || {
            assert!(process.is_running(), "{name} has ended");
            rpc.answers().await
        })
        .await;
    }
}

fn begin(name: &str, folder: &Path, arguments: &[String]) -> Process {
    let mut command = Command::new(part("bsc"));
    // It writes a file beside where it is started.
    command.args(arguments).current_dir(folder);
    Process::start(name, command, folder)
}

fn run(arguments: &[&str]) {
    let made = Command::new(part("bsc")).args(arguments).output().unwrap();
    let complaints = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{arguments:?}: {complaints}");
}

/// The validator, and a node that has it for a peer.
pub struct Bsc {
    pub validator: BscNode,
    pub follower: BscNode,
    /// Kept as long as the nodes: their databases are in it.
    _folder: TempDir,
}

impl Bsc {
    /// Both at block 3 or later.
    pub async fn start() -> Bsc {
        let folder = TempDir::new().unwrap();
        let home = folder.path();
        std::fs::write(home.join("genesis.json"), genesis().to_string()).unwrap();
        std::fs::write(home.join("key"), KEY).unwrap();
        std::fs::write(home.join("word"), "word\n").unwrap();
        let validator = BscNode::start("validator", home);
        let follower = BscNode::start("follower", home);
        let mut bsc = Bsc {
            validator,
            follower,
            _folder: folder,
        };
        bsc.validator.answers().await;
        bsc.follower.answers().await;
        bsc.validator.rpc.introduce("bsc").await;
        bsc.join().await;
        bsc
    }

    /// Waits until the follower follows.
    pub async fn join(&self) {
        let (validator, follower) = (self.validator.rpc, self.follower.rpc);
        let place = validator.call("admin_nodeInfo", json!([])).await;
        for method in ["admin_addTrustedPeer", "admin_addPeer"] {
            follower.call(method, json!([place["enode"]])).await;
        }
        eventually("the follower follows", PATIENCE * 2, async || {
            let (ahead, behind) = (validator.head().await, follower.head().await);
            ahead >= 3 && behind + 2 >= ahead
        })
        .await;
    }
}

/// All forks from the start. The system contracts are stand-ins: the first always answers with the list of
/// validators, the others do nothing.
fn genesis() -> Value {
    let word = |number: u64| format!("{number:064x}");
    let votes = "ab".repeat(48);
    let filler = "00".repeat(12);
    let validators = [
        word(64),
        word(128),
        word(1),
        format!("{filler}{VALIDATOR}"),
        word(1),
        word(32),
        word(48),
        format!("{votes}{}", "00".repeat(16)),
    ]
    .concat();
    let mut config = json!({"chainId": CHAIN, "parlia": {}});
    let by_block = "homestead eip150 eip155 eip158 byzantium constantinople petersburg istanbul \
                    muirGlacier ramanujan niels mirrorSync bruno euler gibbs nano moran planck luban \
                    plato berlin london hertz hertzfix";
    for fork in by_block.split_whitespace() {
        config[format!("{fork}Block")] = json!(0);
    }
    let by_time = "shanghai kepler feynman feynmanFix cancun haber haberFix bohr pascal prague lorentz \
                   maxwell fermi osaka mendel";
    for fork in by_time.split_whitespace() {
        config[format!("{fork}Time")] = json!(0);
    }
    let blobs = json!({"target": 3, "max": 6, "baseFeeUpdateFraction": 3_338_477});
    config["blobSchedule"] = json!({"cancun": blobs, "prague": blobs, "osaka": blobs});
    let code = |code: &str| json!({"balance": "0x0", "code": code});
    let mut alloc = json!({
        (VALIDATOR): {"balance": "0xde0b6b3a7640000"},
        (RICH): {"balance": "0x21e19e0c9bab2400000"},
        (EMITTER): code("0x366000600037600160005401600055600035366000a160005460005260206000f3"),
        "0000f90827f1c53a10cb7a02335b175320002935": code("0x00"),
    });
    let quiet = (0x1001..0x1009).chain(0x2000..0x2007).chain([0x3000]);
    for place in quiet {
        alloc[format!("{place:040x}")] = code("0x00");
    }
    let length = validators.len() / 2;
    let answers = format!("0x61{length:04x}80600c6000396000f3{validators}");
    alloc[format!("{:040x}", 0x1000)] = code(&answers);
    let born_at = clock::unix_millis() / 1000 - 10;
    json!({
        "config": config, "timestamp": format!("{born_at:#x}"), "gasLimit": "0x2625a00",
        "difficulty": "0x1", "alloc": alloc,
        "extraData": format!("0x{}01{VALIDATOR}{votes}04{}", "00".repeat(32), "00".repeat(65)),
    })
}

//! geth 1.17.10, a node of a chain whose blocks a consensus client gives it: see `consensus`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use forebay::clock;
use forebay_core::vocabulary::hex;
use ring::hmac;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::http::post_with;
use super::{PATIENCE, Process, Rpc, free_port, part, soon};

/// Longer than geth takes to write down what it holds in memory.
const FAREWELL: Duration = Duration::from_secs(20);

/// One geth. Its ports stay the same over restarts.
#[derive(Debug)]
pub struct GethNode {
    pub name: &'static str,
    /// HTTP, and WebSockets on the same port.
    pub rpc: Rpc,
    pub process: Process,
    /// Hears of no block, until it is told to be brought up.
    pub is_left_alone: bool,
    /// It is kept so many blocks behind.
    pub behind: u64,
    /// The block that it was last told to be the head.
    pub at: Option<String>,
    /// Blocks that it was given since it started.
    pub(super) has: HashSet<String>,
    engine: Rpc,
    program: PathBuf,
    folder: PathBuf,
    flags: Vec<String>,
}

/// The secret that the engine API asks for, in hexadecimal as geth reads it.
const SECRET: &str = "0x5ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2";

impl GethNode {
    /// Begins at the genesis of `genesis.json` in `folder`, with geth's own `flags` beside ours. It is
    /// up when [`GethNode::answers`] says so.
    pub fn start(name: &'static str, folder: &Path, flags: &[&str]) -> GethNode {
        GethNode::start_as(part("geth-1.17"), name, folder, flags)
    }

    /// As [`GethNode::start`], with another program that takes geth's flags.
    pub fn start_as(
        program: PathBuf,
        name: &'static str,
        folder: &Path,
        flags: &[&str],
    ) -> GethNode {
        std::fs::write(folder.join("secret"), SECRET).unwrap();
        let flags: Vec<_> = flags.iter().map(ToString::to_string).collect();
        let [rpc, engine] = [0; 2].map(|_| Rpc::on_port(free_port()));
        let process = begin(&program, name, folder, &flags, (rpc, engine));
        GethNode {
            name,
            rpc,
            process,
            is_left_alone: false,
            behind: 0,
            at: None,
            has: HashSet::new(),
            engine,
            program,
            folder: folder.to_path_buf(),
            flags,
        }
    }

    pub fn url(&self) -> String {
        self.rpc.url()
    }

    pub fn ws_url(&self) -> String {
        format!("ws://{}", self.rpc.address)
    }

    pub async fn answers(&mut self) {
        let (name, rpc) = (self.name, self.rpc);
        soon(&format!("{name} answers"), async || {
            assert!(self.process.is_running(), "{name} has ended");
            rpc.answers().await
        })
        .await;
    }

    /// Starts again what was killed or stopped, with what it had written down. Where that is nothing but
    /// the genesis, which it is on a short chain unless it was stopped once, it takes no block that it
    /// didn't have: it wants to sync with peers.
    pub async fn start_again(&mut self) {
        let ports = (self.rpc, self.engine);
        let (program, folder) = (&self.program, &self.folder);
        self.process = begin(program, self.name, folder, &self.flags, ports);
        self.has.clear();
        self.at = None;
        self.answers().await;
    }

    /// SIGTERM: it writes down what it has, and ends.
    pub async fn stop(&mut self) {
        self.process.signal(Signal::TERM);
        self.process.ended(FAREWELL).await;
    }

    pub async fn head(&self) -> u64 {
        let latest = json!(["latest", false]);
        let block = self.rpc.call("eth_getBlockByNumber", latest).await;
        super::number(&block["number"])
    }

    /// One call of the engine API; an error says why there is no result.
    pub async fn engine(&self, method: &str, params: Value) -> Result<Value, String> {
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let bearer = format!("Bearer {}", token());
        let headers = [
            ("content-type", "application/json"),
            ("authorization", bearer.as_str()),
        ];
        let body = call.to_string();
        let answer = post_with(self.engine.address, "/", &headers, &body, PATIENCE).await?;
        let mut answer = answer.json();
        match answer.get("error") {
            Some(error) => Err(format!("{}: {method}: {error}", self.name)),
            None => Ok(answer["result"].take()),
        }
    }
}

fn begin(
    program: &Path,
    name: &str,
    folder: &Path,
    flags: &[String],
    (rpc, engine): (Rpc, Rpc),
) -> Process {
    let data = folder.join(name);
    if !data.exists() {
        let scheme = flags
            .iter()
            .filter(|flag| flag.starts_with("--state.scheme="));
        let mut command = Command::new(program);
        command.arg("--datadir").arg(&data).args(scheme);
        command.arg("init").arg(folder.join("genesis.json"));
        let made = command.output().unwrap();
        let complaints = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "{name}: {complaints}");
    }
    let mut command = Command::new(program);
    command
        .arg("--datadir")
        .arg(&data)
        .args(["--networkid", "1337", "--nodiscover", "--maxpeers", "0"])
        .args(["--nat", "none", "--port", "0", "--ipcdisable"])
        // By snapshots it would wait for peers.
        .args(["--syncmode", "full", "--cache", "64", "--verbosity", "2"])
        .args(["--http", "--http.addr", "127.0.0.1", "--http.port"])
        .arg(rpc.address.port().to_string())
        .args([
            "--ws",
            "--ws.addr",
            "127.0.0.1",
            "--ws.origins",
            "*",
            "--ws.port",
        ])
        .arg(rpc.address.port().to_string())
        .args(["--authrpc.addr", "127.0.0.1", "--authrpc.port"])
        .arg(engine.address.port().to_string())
        .arg("--authrpc.jwtsecret")
        .arg(folder.join("secret"));
    let apis = "eth,net,web3,debug,txpool,admin,testing";
    command.args(["--http.api", apis, "--ws.api", apis]);
    command.args(flags);
    Process::start(name, command, folder)
}

/// A JSON Web Token of now, signed with HS256 (the engine API's authentication.md).
fn token() -> String {
    let encoded = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let claims = format!(r#"{{"iat":{}}}"#, clock::unix_millis() / 1000);
    let said = format!(
        "{}.{}",
        encoded(r#"{"alg":"HS256","typ":"JWT"}"#),
        encoded(&claims)
    );
    let secret = hex::data_of_any(SECRET).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
    let signature = BASE64_URL_SAFE_NO_PAD.encode(hmac::sign(&key, said.as_bytes()));
    format!("{said}.{signature}")
}

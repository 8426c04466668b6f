//! Redis and Valkey, as Debian has them: the store that balancers share. The program is also in the package of its
//! tools, which starts no server of its own; there it goes by what it is called.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Process, free_port, part, soon};

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Redis,
    Valkey,
}

/// A running server, in memory alone; killed on drop.
pub struct RedisServer {
    pub process: Process,
    engine: Engine,
    pub address: SocketAddr,
    more: Vec<String>,
    folder: TempDir,
}

impl RedisServer {
    pub async fn start() -> RedisServer {
        RedisServer::start_with(&[]).await
    }

    /// With `more` of its own options.
    pub async fn start_with(more: &[&str]) -> RedisServer {
        RedisServer::start_as(Engine::Redis, more).await
    }

    pub async fn start_as(engine: Engine, more: &[&str]) -> RedisServer {
        let folder = TempDir::new().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let more: Vec<_> = more.iter().map(ToString::to_string).collect();
        let process = begin(engine, address, &more, &folder);
        let mut server = RedisServer {
            process,
            engine,
            address,
            more,
            folder,
        };
        server.answers().await;
        server
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Again on its port, with nothing in it.
    pub async fn restart(&mut self) {
        self.process.kill();
        self.process = begin(self.engine, self.address, &self.more, &self.folder);
        self.answers().await;
    }

    async fn answers(&mut self) {
        let address = self.address;
        soon("redis answers", async || {
            assert!(self.process.is_running(), "redis has ended");
            ask(address, "PING").await.is_some()
        })
        .await;
    }

    /// What it says to a command of one line.
    pub async fn ask(&self, command: &str) -> String {
        ask(self.address, command).await.unwrap_or_default()
    }
}

fn begin(engine: Engine, address: SocketAddr, more: &[String], folder: &TempDir) -> Process {
    let mut command = match engine {
        Engine::Redis => {
            let mut redis = Command::new("redis-check-rdb");
            redis.arg0("redis-server");
            redis
        }
        Engine::Valkey => {
            let mut valkey = Command::new(part("valkey-server"));
            valkey.arg0("valkey-server");
            valkey
        }
    };
    command.current_dir(folder.path());
    command.args(["--port", &address.port().to_string(), "--bind", "127.0.0.1"]);
    command.args(["--save", "", "--appendonly", "no"]);
    command.args(more);
    Process::start("redis", command, folder.path())
}

async fn ask(address: SocketAddr, command: &str) -> Option<String> {
    let asked = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        stream
            .write_all(format!("{command}\r\n").as_bytes())
            .await
            .ok()?;
        let mut answer = vec![0; 64 << 10];
        let length = stream.read(&mut answer).await.ok()?;
        Some(String::from_utf8_lossy(&answer[..length]).into_owned())
    };
    let answer = tokio::time::timeout(Duration::from_secs(2), asked)
        .await
        .ok()?;
    answer.filter(|answer| !answer.is_empty())
}

//! The fixtures of the integration tests: real nodes, the built binary, raw sockets, patience.
//!
//! Everything waits with a deadline and fails with what it was waiting for. Every process started
//! here is killed by its own id when its handle is dropped; what it printed is shown when the test
//! has failed.

#![allow(unused_imports, reason = "each test file uses a part of this")]
mod anvil;
mod authority;
mod balancer;
mod blocks;
mod clients;
mod consensus;
mod console;
mod dynamo;
mod fault;
pub mod frames;
mod genesis;
mod geth;
mod geth_node;
mod http;
mod http2;
mod listener;
mod listening;
mod load;
mod mirrors;
mod ports;
mod pretend;
mod process;
mod prometheus;
mod redis;
mod relay;
mod round_robin;
mod rpc;
mod scene;
mod sluice;
mod steady;
mod tcp_gate;
mod tls;
mod twins;
mod wallet;
mod wire;
mod written;

pub use anvil::Anvil;
pub use authority::{Authority, TlsClient};
pub use balancer::{Balancer, said, sum};
pub use clients::Client;
pub use consensus::Consensus;
pub use console::Console;
pub use dynamo::{CREDENTIALS, DynamoServer, TABLE, on_table, registry};
pub use fault::{Fault, FaultProxy, read_request};
pub use genesis::{EMITTER, LARGE, LOOPER, REVERTER, RICH, SAVER};
pub use geth::Geth;
pub use geth_node::GethNode;
pub use http::{Answer, exchange, get, post, post_with, request};
pub use http2::{post_http2, post_http2_to, post_http2_with};
pub use listener::{Heard, Listener};
pub use load::{Load, Tally};
pub use mirrors::{Author, Mirror};
pub use ports::free_port;
pub use pretend::{Pretend, SECRET, batch_of, call, error_fault, pretend_node, status_fault};
pub use process::Process;
pub use prometheus::Prometheus;
pub use redis::{Engine, RedisServer};
pub use relay::Relay;
pub use round_robin::RoundRobin;
pub use rpc::{Rpc, number, read_quantity};
pub use scene::{QUICK, Scene};
pub use sluice::Sluice;
pub use steady::Steady;
pub use tcp_gate::TcpGate;
pub use tls::TlsDoor;
pub use twins::Twins;
pub use wallet::{AVALANCHE_HEADER, Draft, Kind, Wallet, deposit, header_hash};
pub use wire::Wire;
pub use written::{ANVIL, Written};

pub use forebay_core::testing::assert_says;
use std::path::PathBuf;
use std::time::Duration;

/// Enough for anything that works, on a machine that does much else.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// The pause between two looks.
const POLL: Duration = Duration::from_millis(20);

/// Looks until `holds`; panics with `what` when it doesn't within `deadline`.
pub async fn eventually(what: &str, deadline: Duration, mut holds: impl AsyncFnMut() -> bool) {
    let patience = async {
        while !holds().await {
            tokio::time::sleep(POLL).await;
        }
    };
    // Around all of it: a look that hangs must not outlast the deadline either.
    if tokio::time::timeout(deadline, patience).await.is_err() {
        panic!("not within {deadline:?}: {what}");
    }
}

/// Looks until `holds`, with [`PATIENCE`].
pub async fn soon(what: &str, holds: impl AsyncFnMut() -> bool) {
    eventually(what, PATIENCE, holds).await;
}

/// A program that a script in `tests/parts` brought.
pub fn part(name: &str) -> PathBuf {
    let path = in_repository(".parts/bin").join(name);
    assert!(
        path.exists(),
        "{} is missing: `./dev test` brings it, or `./dev chains`",
        path.display()
    );
    path
}

pub fn in_repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

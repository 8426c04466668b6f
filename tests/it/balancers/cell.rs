//! One cell of the measures: so many balancers, what they share, a chain's pace, and a load balancer before them.

use std::net::SocketAddr;
use std::time::Duration;

use super::callers::{Calls, Tally, call_all};
use super::front::Front;
use super::late_nodes::LateNodes;
use crate::support::{
    Balancer, CREDENTIALS, DynamoServer, Engine, PATIENCE, QUICK, RedisServer, on_table,
};

/// Blocks that pass before the first call: the block time is known by then.
const WARM_BLOCKS: u32 = 8;
const WARM_MAX: Duration = Duration::from_secs(40);
/// Blocks that a cell lasts at the least, and calls a second at the most.
const BLOCKS_MIN: u32 = 6;
const CALLS_A_SECOND: u32 = 400;

/// What balancers share beside the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    Nothing,
    Table,
    Engine,
}

/// What stands behind the balancers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// Pretend nodes, which have no sockets.
    Pretend,
    /// anvils whose sockets aren't opened.
    Anvils,
    AnvilsWithSockets,
}

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    pub balancers: usize,
    pub sharing: Sharing,
    pub block_time: Duration,
    pub behind: Behind,
    pub front: Front,
    pub calls: u32,
}

/// Balancers that run, and what they stand on.
#[derive(Default)]
pub struct RunningCell {
    pub balancers: Vec<Balancer>,
    nodes: Option<LateNodes>,
    table: Option<DynamoServer>,
    engine: Option<RedisServer>,
}

impl Sharing {
    pub fn as_str(self) -> &'static str {
        match self {
            Sharing::Nothing => "nothing",
            Sharing::Table => "a table",
            Sharing::Engine => "an engine",
        }
    }
}

impl Cell {
    pub fn name(&self) -> String {
        let sockets = match self.behind {
            Behind::Pretend | Behind::Anvils => "no sockets",
            Behind::AnvilsWithSockets => "sockets",
        };
        format!(
            "{} sharing {}, blocks of {:?}, {sockets}, {}",
            self.balancers,
            self.sharing.as_str(),
            self.block_time,
            self.front.as_str()
        )
    }

    fn lasts(&self) -> Duration {
        let calls = Duration::from_secs(1) * self.calls / CALLS_A_SECOND;
        calls.max(self.block_time * BLOCKS_MIN)
    }

    /// Runs all of it and says what came of it, on a line.
    pub async fn measure(&self) -> Tally {
        let running = self.start().await;
        let addresses = running.addresses();
        let front = self.front.start(&addresses).await;
        let tally = call_all(&running.calls(vec![front.rpc.address], self)).await;
        println!("{}", line(&self.name(), &tally));
        tally
    }

    /// Until the block time is known.
    pub async fn start(&self) -> RunningCell {
        let warm = (self.block_time * WARM_BLOCKS).min(WARM_MAX);
        let blocks = (self.lasts() + warm + PATIENCE).as_secs_f64() / self.block_time.as_secs_f64();
        let nodes = match self.behind {
            Behind::Pretend => LateNodes::pretend(self.block_time, blocks as u64 + 500).await,
            Behind::Anvils | Behind::AnvilsWithSockets => LateNodes::real(self.block_time).await,
        };
        let urls = nodes.urls.clone();
        let mut running = RunningCell {
            nodes: Some(nodes),
            ..RunningCell::default()
        };
        let yaml = running.yaml(self, &urls).await;
        for _ in 0..self.balancers {
            let balancer = Balancer::start(&yaml, &CREDENTIALS).await;
            running.balancers.push(balancer);
        }
        tokio::time::sleep(warm).await;
        running
    }
}

impl RunningCell {
    /// The configuration of each, over the nodes at `urls`, once what they share is up.
    pub async fn yaml(&mut self, cell: &Cell, urls: &[String]) -> String {
        let mut yaml = match cell.sharing {
            Sharing::Table => {
                let table = DynamoServer::dynoxide().await;
                table.registry().init().await.unwrap();
                let yaml = on_table(&table.url(), "");
                self.table = Some(table);
                yaml
            }
            Sharing::Nothing | Sharing::Engine => QUICK.to_string(),
        };
        let upgrade = "version: 1\nupgrade_sock: \"@FOLDER@/upgrade.sock\"\n";
        yaml = yaml.replace("version: 1\n", upgrade);
        let block_time = cell.block_time.as_millis();
        yaml = yaml.replace("block_time: 1s", &format!("block_time: {block_time}ms"));
        let has_sockets = cell.behind == Behind::AnvilsWithSockets;
        let rounds = format!("sockets: {has_sockets}, interval: 2s");
        yaml = yaml.replace("interval: 400ms", &rounds);
        // A lease is three rounds at the least.
        yaml = yaml.replace("lease: 2s", "lease: 6s");
        if cell.sharing == Sharing::Engine {
            let engine = RedisServer::start_as(Engine::Valkey, &[]).await;
            let url = engine.url();
            yaml += &format!("  shared: {{ kind: valkey, url: \"{url}\" }}\n");
            self.engine = Some(engine);
        }
        yaml += "  nodes:\n";
        for (url, name) in urls.iter().zip(["a", "b", "c"]) {
            yaml += &format!("    - {{ url: \"{url}\", name: {name} }}\n");
        }
        yaml
    }

    pub fn addresses(&self) -> Vec<SocketAddr> {
        let balancers = self.balancers.iter();
        balancers.map(|balancer| balancer.rpc.address).collect()
    }

    pub fn calls(&self, at: Vec<SocketAddr>, cell: &Cell) -> Calls {
        let nodes = self.nodes.as_ref().unwrap();
        Calls {
            at,
            calls: cell.calls,
            lasts: cell.lasts(),
            firsts: nodes.firsts.clone(),
            tell_state: nodes.tell_state,
        }
    }
}

/// A row of the report.
pub fn line(name: &str, tally: &Tally) -> String {
    let ((p50, p99), (age, oldest)) = (tally.took(), tally.age());
    let millis = |time: Duration| time.as_secs_f64() * 1000.0;
    format!(
        "| {name} | {} | {:.1} | {} / {} / {} | {:.0} / {:.0} | {:.1} / {:.1} | {}",
        tally.calls,
        tally.wrong_of_10_000(),
        tally.stale,
        tally.null,
        tally.refused,
        millis(age),
        millis(oldest),
        millis(p50),
        millis(p99),
        tally.first.as_deref().unwrap_or_default(),
    )
}

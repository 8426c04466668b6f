//! The usual scene: a leader, own nodes called a, b and c, and a balancer before them.

use super::written::ANVIL;
use super::{Anvil, Balancer};

pub struct Scene {
    pub leader: Anvil,
    pub own: Vec<Anvil>,
    pub balancer: Balancer,
}

/// Health that decides in tenths of a second, on a chain whose blocks come every second. No answer is
/// kept: stories about nodes count what these are asked.
pub const QUICK: &str = "\
version: 1
threads: 2
forebay:
  chain: { block_time: 1s }
  listen: { http: [\"@HTTP@\"], metrics: \"@METRICS@\" }
  registry: { path: \"@FOLDER@/forebay.db\", refresh: 300ms, last_list: \"@FOLDER@/last-list.json\" }
  health: { interval: 400ms, timeout: 350ms }
  shutdown: { lame_duck: 300ms, drain: 5s }
  cache: { memory: 0 }
";

impl Scene {
    /// Own nodes with these weights; `more` is added to the configuration.
    pub async fn set(weights: &[u16], more: &str) -> Scene {
        Scene::set_with(weights, &format!("{QUICK}{more}"), &[]).await
    }

    /// As [`Scene::set`], with another beginning of the configuration than [`QUICK`], and variables.
    pub async fn set_with(weights: &[u16], beginning: &str, env: &[(&str, &str)]) -> Scene {
        // One genesis for all, and even ticks, so that chains differ only where a test makes them.
        let leader = Anvil::start(ANVIL).await;
        let mut own = Vec::new();
        for _ in weights {
            own.push(Anvil::start(ANVIL).await);
        }
        for node in own.iter().chain([&leader]) {
            node.tick_evenly().await;
        }
        let mut yaml = format!(
            "{beginning}  nodes:\n    - {{ url: \"{}\", leader: true, name: leader }}\n",
            leader.url()
        );
        for ((node, weight), name) in own.iter().zip(weights).zip(["a", "b", "c", "d"]) {
            let url = node.url();
            yaml += &format!("    - {{ url: \"{url}\", weight: {weight}, name: {name} }}\n");
        }
        let balancer = Balancer::start(&yaml, env).await;
        let scene = Scene {
            leader,
            own,
            balancer,
        };
        for name in ["a", "b", "c", "d"].into_iter().take(weights.len()) {
            scene.becomes(name, 1.0).await;
        }
        scene.becomes("leader", 1.0).await;
        scene
    }

    /// Waits until a node is healthy (1) or not (0).
    pub async fn becomes(&self, node: &str, healthy: f64) {
        self.balancer.node_becomes(node, healthy).await;
    }

    /// Waits for so many rounds from now on.
    pub async fn rounds_pass(&self, rounds: u32) {
        self.balancer.rounds_pass("leader", rounds).await;
    }

    /// All own nodes and the leader move on together.
    pub async fn mine_everywhere(&self, blocks: u64) {
        self.leader.mine(blocks).await;
        for node in &self.own {
            node.mine(blocks).await;
        }
    }
}

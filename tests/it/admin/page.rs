//! The status page in a real Chromium, as an operator sees it.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use forebay_fake::{FakeChain, FakeNode};

use super::{SECRET, TOKEN, with, with_token};
use crate::support::{self, Balancer, Load, pretend_node, soon, status_fault};

/// Where the screenshots go, unless this variable names a folder (`docs/images` for the documents').
const SCREENSHOTS: &str = "FOREBAY_SCREENSHOTS";

struct Stage {
    _chain: Arc<FakeChain>,
    balancer: Balancer,
    nodes: Vec<FakeNode>,
}

/// A leader, two nodes that are well, one that falls behind, and one to be drained.
async fn stage() -> Stage {
    let chain = FakeChain::running(1, 21_000_000, Duration::from_millis(900));
    let mut yaml = format!("{}  nodes:\n", with_token());
    let mut nodes = Vec::new();
    for (name, more, millis) in [
        ("infura", "leader: true", 48),
        ("geth-1", "weight: 2", 9),
        ("geth-2", "weight: 2", 12),
        ("reth-1", "weight: 2", 6),
        ("besu-1", "weight: 1", 17),
    ] {
        let node = pretend_node(&chain).await;
        node.set_latency(Duration::from_millis(millis));
        let url = node.url();
        yaml += &format!("    - {{ url: \"{url}/{SECRET}\", name: {name}, {more} }}\n");
        nodes.push(node);
    }
    let balancer = Balancer::start(&yaml, &[]).await;
    Stage {
        _chain: chain,
        balancer,
        nodes,
    }
}

impl Stage {
    async fn becomes(&self, node: &str, healthy: f64) {
        self.balancer.node_becomes(node, healthy).await;
    }

    /// What gives the page something to show: a node that hiccups, and then falls behind.
    async fn live_through_something(&self) {
        for lag in [2, 5, 3, 1, 0] {
            self.nodes[2].set_lag(lag);
            self.rounds(4).await;
        }
        self.nodes[2].set_lag(13);
        self.becomes("geth-2", 0.0).await;
        with(&self.balancer, "POST", "/backends/besu-1/drain")
            .gives(200)
            .await;
        self.rounds(3).await;
    }

    async fn rounds(&self, count: u64) {
        let done = async || {
            let status = with(&self.balancer, "GET", "/status").gives(200).await;
            status["round"]["count"].as_u64().unwrap()
        };
        let wanted = done().await + count;
        soon("more rounds", async || done().await >= wanted).await;
    }
}

#[tokio::test]
async fn an_operator_reads_the_page_in_a_browser() {
    let stage = stage().await;
    stage.becomes("geth-2", 1.0).await;
    let load = Load::start(&stage.balancer.url(), 20_000, 3);
    stage.live_through_something().await;

    look(&stage.balancer, "all").await;
    drop(load);
}

#[tokio::test]
async fn thirty_nodes_are_read_on_a_phone() {
    let chain = FakeChain::running(1, 21_000_000, Duration::from_millis(900));
    // Thirty nodes and a browser take their time where much else is done.
    let patient = with_token().replace(
        "interval: 400ms, timeout: 350ms",
        "interval: 1s, timeout: 950ms",
    );
    let mut yaml = format!("{patient}  nodes:\n");
    let mut nodes = Vec::new();
    for number in 1..=30 {
        let node = pretend_node(&chain).await;
        let more = if number == 1 { ", leader: true" } else { "" };
        let url = node.url();
        yaml += &format!("    - {{ url: \"{url}/{SECRET}\", name: node-{number}{more} }}\n");
        nodes.push(node);
    }
    nodes[16].set_fault(status_fault(401));
    let balancer = Balancer::start(&yaml, &[]).await;
    let are_well = async |with_latency: bool| {
        let status = with(&balancer, "GET", "/status").gives(200).await;
        let nodes = status["nodes"].as_array().unwrap();
        let is_well = |node: &serde_json::Value| {
            let is_called = node["latency_ms"].is_number() || node["rung"] == "leader";
            node["part"] == "fine" && (is_called || !with_latency)
        };
        let others = nodes.iter().filter(|node| !is_well(node));
        let others: Vec<_> = others.map(|node| node["name"].as_str().unwrap()).collect();
        others == ["node-17"]
    };
    soon("all but one are well", async || are_well(false).await).await;
    let load = Load::start(&balancer.url(), 2_000, 3);
    load.finish().await.no_call_failed();
    soon("they have been called", async || are_well(true).await).await;
    look(&balancer, "many").await;
}

/// Lets Chromium look at the page.
async fn look(balancer: &Balancer, story: &str) {
    let folder = std::env::var(SCREENSHOTS).unwrap_or_else(|_| "target/screenshots".to_string());
    let folder = support::in_repository(&folder);
    let mut script = Command::new("node");
    script
        .arg(support::in_repository("tests/admin/page.mjs"))
        .arg(format!("http://{}/", balancer.admin.address))
        .arg(TOKEN)
        .arg(balancer.process.id().to_string())
        .arg(&folder)
        .arg(story);
    let output = tokio::task::spawn_blocking(move || script.output());
    let output = output.await.unwrap().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    let is_fine = output.status.success() && printed.lines().last() == Some("ok");
    assert!(is_fine, "{printed}{complaints}");
    assert!(!printed.contains(SECRET));
}

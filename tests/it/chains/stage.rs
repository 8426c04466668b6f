//! What all chains' stories share: an endpoint behind a path, and a balancer before nodes.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    Balancer, PATIENCE, eventually, free_port, get, number, part, post_with, soon,
};

/// How long an answer may take that isn't waited for.
const SOON: Duration = Duration::from_secs(2);

/// Where a node answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub address: SocketAddr,
    pub path: &'static str,
}

impl Endpoint {
    /// On a port of its own.
    pub fn new(path: &'static str) -> Endpoint {
        Endpoint {
            address: SocketAddr::from(([127, 0, 0, 1], free_port())),
            path,
        }
    }

    pub fn port(self) -> String {
        self.address.port().to_string()
    }

    /// The whole answer to one call; an error says why there is none.
    pub async fn ask(self, method: &str, params: Value) -> Result<Value, String> {
        self.ask_within(method, params, PATIENCE).await
    }

    async fn ask_within(
        self,
        method: &str,
        params: Value,
        deadline: Duration,
    ) -> Result<Value, String> {
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let headers = [("content-type", "application/json")];
        let body = call.to_string();
        let answer = post_with(self.address, self.path, &headers, &body, deadline).await?;
        serde_json::from_slice(&answer.body)
            .map_err(|_| format!("{} {}", answer.status, answer.text()))
    }

    /// The result of one call.
    pub async fn call(self, method: &str, params: Value) -> Value {
        let answer = self.ask(method, params).await;
        let mut answer = answer.unwrap_or_else(|why| panic!("{method}: {why}"));
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].take()
    }

    pub async fn answers(self) -> bool {
        let answer = self.ask_within("eth_chainId", json!([]), SOON).await;
        answer.is_ok_and(|answer| answer["result"].is_string())
    }

    pub async fn head(self) -> u64 {
        number(&self.call("eth_blockNumber", json!([])).await)
    }

    /// Prints what it is: as it was built, and as it says itself.
    pub async fn introduce(self, program: &str) {
        let built = std::fs::canonicalize(part(program)).unwrap();
        let built = built.file_name().unwrap().to_string_lossy().into_owned();
        let says = self.call("web3_clientVersion", json!([])).await;
        println!("{built}, which says {says}");
    }
}

/// A node as a balancer is told of it.
#[derive(Clone, Debug)]
pub struct Place {
    pub name: &'static str,
    pub rpc: Endpoint,
    /// `None`: it is polled.
    pub ws_url: Option<String>,
}

/// A balancer, whose nodes are all healthy.
pub struct Stage {
    pub balancer: Balancer,
    pub rpc: Endpoint,
}

impl Stage {
    /// `chain` is what stands in the braces of the configuration's `chain:`.
    pub async fn set(chain: &str, nodes: &[Place]) -> Stage {
        let stage = Stage::set_unready(chain, nodes).await;
        for place in nodes {
            stage.becomes(place.name, 1.0).await;
        }
        stage
    }

    /// Nodes may be as ill as they like, but for one.
    pub async fn set_unready(chain: &str, nodes: &[Place]) -> Stage {
        let mut yaml = format!(
            "version: 1\nthreads: 2\nforebay:\n  chain: {{ {chain} }}\n  \
             listen: {{ http: [\"@HTTP@\"], metrics: \"@METRICS@\", admin: \"@ADMIN@\" }}\n  \
             registry: {{ path: \"@FOLDER@/forebay.db\", refresh: 300ms, last_list: \"@FOLDER@/last-list.json\" }}\n  \
             health: {{ interval: 500ms, timeout: 450ms, rise: 1, fall: 3 }}\n  nodes:\n"
        );
        for Place { name, rpc, ws_url } in nodes {
            let (address, path) = (rpc.address, rpc.path);
            let ws_url = ws_url.as_ref();
            let ws_url = ws_url.map_or_else(String::new, |url| format!(", ws_url: \"{url}\""));
            yaml += &format!("    - {{ name: {name}, url: \"http://{address}{path}\"{ws_url} }}\n");
        }
        let balancer = Balancer::start(&yaml, &[]).await;
        let rpc = Endpoint {
            address: balancer.rpc.address,
            path: "/",
        };
        Stage { balancer, rpc }
    }

    /// Waits until a node is healthy (1) or not (0).
    pub async fn becomes(&self, node: &str, healthy: f64) {
        let what = format!("{node} is {healthy} healthy");
        eventually(&what, PATIENCE * 2, async || {
            self.is_healthy(node).await == Some(healthy)
        })
        .await;
    }

    pub async fn is_healthy(&self, node: &str) -> Option<f64> {
        let labels = [("node", node)];
        self.balancer.metric("forebay_node_healthy", &labels).await
    }

    /// How often a node was asked and it came to that; of all nodes where none is named.
    pub async fn attempts(&self, labels: &[(&str, &str)]) -> f64 {
        let counted = self.balancer.metric("forebay_attempts_total", labels);
        counted.await.unwrap_or(0.0)
    }

    /// Waits until clients are told of this block, or of a later one.
    pub async fn shows(&self, block: u64) {
        let what = format!("block {block} is told");
        soon(&what, async || self.rpc.head().await >= block).await;
    }

    /// Waits until it is in a block; its receipt.
    pub async fn receipt(&self, hash: &str) -> Value {
        let mut receipt = Value::Null;
        soon("a receipt", async || {
            let asked = json!([hash]);
            receipt = self.rpc.call("eth_getTransactionReceipt", asked).await;
            !receipt.is_null()
        })
        .await;
        receipt
    }

    /// What the admin API says of a node.
    pub async fn status_of(&self, node: &str) -> Value {
        let status = get(self.balancer.admin.address, "/status", PATIENCE).await;
        let status = status.unwrap().json();
        let nodes = status["nodes"].as_array().unwrap();
        let found = nodes.iter().find(|it| it["name"] == node);
        found.unwrap_or_else(|| panic!("{status}")).clone()
    }
}

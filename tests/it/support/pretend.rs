//! Pretend nodes called a, b, c in this process, and the built balancer before them. Every node
//! has a key in its path and one in a header, and neither may ever be seen outside.

use std::fmt::Display;
use std::sync::Arc;

use forebay_fake::{FakeChain, FakeConfig, FakeNode, Fault};

use super::{Answer, Balancer, QUICK};

/// What stands in the nodes' paths and headers.
pub const SECRET: &str = "s3cretkey";
const NAMES: [&str; 3] = ["a", "b", "c"];

pub struct Pretend {
    pub chain: Arc<FakeChain>,
    pub nodes: Vec<FakeNode>,
    pub balancer: Balancer,
}

impl Pretend {
    /// Own nodes with these weights, all healthy; `more` is added to the configuration.
    pub async fn set(weights: &[u16], more: &str) -> Pretend {
        Pretend::set_with(weights, QUICK, more).await
    }

    /// As [`Pretend::set`], and the last of them is a fallback node, named `spare`.
    pub async fn with_fallback(weights: &[u16]) -> Pretend {
        Pretend::with_one_more(weights, ("fallback", "spare"), QUICK, "").await
    }

    /// As [`Pretend::set`], and the last of them is the leader, named so.
    pub async fn with_leader(weights: &[u16], more: &str) -> Pretend {
        Pretend::with_leader_and(weights, QUICK, more).await
    }

    /// The same, with another beginning of the configuration than [`QUICK`].
    pub async fn with_leader_and(weights: &[u16], beginning: &str, more: &str) -> Pretend {
        Pretend::with_one_more(weights, ("leader", "leader"), beginning, more).await
    }

    async fn with_one_more(
        weights: &[u16],
        (role, name): (&str, &str),
        beginning: &str,
        more: &str,
    ) -> Pretend {
        let chain = FakeChain::still(1, 100);
        let other = pretend_node(&chain).await;
        let url = other.url();
        let item = format!("    - {{ url: \"{url}/v3/{SECRET}\", {role}: true, name: {name} }}\n");
        let mut pretend = Pretend::begin(chain, weights, beginning, more, &item).await;
        pretend.nodes.push(other);
        pretend.balancer.node_becomes(name, 1.0).await;
        pretend
    }

    /// As [`Pretend::set`], with another beginning of the configuration than [`QUICK`].
    pub async fn set_with(weights: &[u16], beginning: &str, more: &str) -> Pretend {
        Pretend::begin(FakeChain::still(1, 100), weights, beginning, more, "").await
    }

    async fn begin(
        chain: Arc<FakeChain>,
        weights: &[u16],
        beginning: &str,
        more: &str,
        others: &str,
    ) -> Pretend {
        let mut nodes = Vec::new();
        let mut yaml = format!("{beginning}{more}  nodes:\n{others}");
        for (name, weight) in NAMES.iter().zip(weights) {
            let node = pretend_node(&chain).await;
            yaml += &item(name, &node.url(), *weight);
            nodes.push(node);
        }
        let balancer = Balancer::start(&yaml, &[("FOREBAY_LOG", "debug")]).await;
        let pretend = Pretend {
            chain,
            nodes,
            balancer,
        };
        for name in NAMES.iter().take(weights.len()) {
            pretend.balancer.node_becomes(name, 1.0).await;
        }
        pretend
    }

    /// Waits until a node's metric is `wanted`.
    pub async fn becomes(&self, node: &str, name: &str, labels: &[(&str, &str)], wanted: f64) {
        let labels = [&[("node", node)], labels].concat();
        self.balancer.becomes(name, &labels, wanted).await;
    }

    /// Gives a node a fixed limit of calls in flight, and what else `more` says to `backends set`. The limit shows when the
    /// list has been read: where it is another than before, all of it is in force when this returns.
    pub async fn limit(&self, node: &str, in_flight_max: u32, more: &[&str]) {
        let limit = in_flight_max.to_string();
        let fixed = ["backends", "set", node, "--in-flight-max", &limit];
        self.balancer.obeys(&[&fixed[..], more].concat());
        let name = "forebay_node_in_flight_limit";
        self.becomes(node, name, &[], f64::from(in_flight_max))
            .await;
    }

    /// Posts `body` and looks that no secret comes back.
    pub async fn post(&self, body: &str) -> Answer {
        let answer = self.balancer.post(body).await;
        assert!(!format!("{:?}", answer.headers).contains(SECRET));
        assert!(!answer.text().contains(SECRET), "{}", answer.text());
        answer
    }

    /// The same with these header lines, and no look for secrets.
    pub async fn ask(&self, headers: &[(&str, &str)], body: &str) -> Answer {
        self.balancer.post_with("/", headers, body).await
    }

    /// One call with the id `"id"`.
    pub async fn call(&self, method: &str) -> Answer {
        self.post(&call("\"id\"", method)).await
    }

    /// All nodes answer calls of `method` with this result.
    pub fn all_answer(&self, method: &str, result: &str) {
        for node in &self.nodes {
            node.set_result(method, result);
        }
    }

    /// All nodes fail so at calls of these methods.
    pub fn all_fail(&self, methods: &[&str], fault: Fault) {
        for node in &self.nodes {
            node.set_fault_for(methods, fault.clone());
        }
    }

    /// Calls of `method` that all nodes have heard.
    pub fn heard(&self, method: &str) -> u64 {
        self.nodes.iter().map(|node| node.calls_of(method)).sum()
    }

    /// A good call is answered well.
    pub async fn is_well(&self) {
        let answer = self.call("eth_getBalance").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.result().is_string());
        assert_eq!(answer.json()["id"], "id");
    }

    /// Nothing that was printed or measured shows a key. The nodes did get theirs.
    pub async fn keeps_its_secrets(&self) {
        for node in &self.nodes {
            let log = node.log();
            let heard = log.last().expect("it was probed");
            assert!(heard.path.contains(SECRET), "{}", heard.path);
            assert!(format!("{:?}", heard.headers).contains(SECRET));
        }
        let (printed, metrics) = (
            self.balancer.process.printed(),
            self.balancer.metrics().await,
        );
        for text in [printed, metrics] {
            let line = text.lines().find(|line| line.contains(SECRET));
            assert_eq!(line, None);
        }
    }
}

fn item(name: &str, url: &str, weight: u16) -> String {
    format!(
        "    - {{ url: \"{url}/v3/{SECRET}\", weight: {weight}, name: {name}, \
         headers: {{ x-key: \"{SECRET}\" }} }}\n"
    )
}

/// A node that follows `chain`.
pub async fn pretend_node(chain: &Arc<FakeChain>) -> FakeNode {
    FakeNode::start(FakeConfig::following(chain)).await.unwrap()
}

/// The fault of a node that answers with this status.
pub fn status_fault(code: u16) -> Fault {
    let retry_after_seconds = None;
    Fault::Status {
        code,
        retry_after_seconds,
    }
}

/// The fault of a node that answers with this error.
pub fn error_fault(code: i64, message: &str) -> Fault {
    Fault::RpcError {
        code,
        message: message.to_owned(),
        data: None,
    }
}

/// One call as JSON, with the id as written.
pub fn call(id: impl Display, method: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":["0x01","latest"]}}"#)
}

/// Calls as one batch.
pub fn batch_of(calls: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let calls = calls.into_iter().map(|call| call.as_ref().to_owned());
    format!("[{}]", calls.collect::<Vec<_>>().join(","))
}

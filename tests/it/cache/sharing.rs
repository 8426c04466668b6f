//! Two balancers that share kept answers, the nodes before which they stand, and what the store has of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use forebay_fake::{FakeChain, FakeNode};
use serde_json::json;

use super::keeping;
use crate::support::{Answer, Balancer, RedisServer, pretend_node, soon};

/// Enough for an answer to be written behind.
const BEHIND: Duration = Duration::from_millis(50);

/// Two nodes on one chain, and two balancers before them that share a store.
pub struct Sharing {
    pub chain: Arc<FakeChain>,
    pub nodes: Vec<FakeNode>,
    pub one: Balancer,
    pub other: Balancer,
    /// Calls so far that were never made before.
    pub made: AtomicU64,
}

impl Sharing {
    pub async fn over(server: &RedisServer, chain_id: u64) -> Sharing {
        let chain = FakeChain::still(chain_id, 100);
        let (mut nodes, mut list) = (Vec::new(), String::new());
        for name in ["a", "b"] {
            let node = pretend_node(&chain).await;
            node.set_chain_id(chain_id);
            list += &format!("    - {{ url: \"{}\", name: {name} }}\n", node.url());
            nodes.push(node);
        }
        let beginning = keeping("").replace("  listen: {", "  listen: { admin: \"@ADMIN@\",");
        let url = server.url();
        let yaml =
            format!("{beginning}  shared: {{ kind: valkey, url: \"{url}\" }}\n  nodes:\n{list}");
        let sharing = Sharing {
            chain,
            nodes,
            one: Balancer::start(&yaml, &[]).await,
            other: Balancer::start(&yaml, &[]).await,
            made: AtomicU64::new(0),
        };
        sharing.meet().await;
        sharing
    }

    /// A call that was never made before.
    pub fn fresh(&self) -> String {
        let made = self.made.fetch_add(1, Ordering::Relaxed);
        let address = format!("0x{made:040x}");
        json!({"jsonrpc": "2.0", "id": 1, "method": "eth_getBalance", "params": [address, "latest"]})
            .to_string()
    }

    pub fn heard(&self) -> u64 {
        self.nodes
            .iter()
            .map(|it| it.calls_of("eth_getBalance"))
            .sum()
    }

    /// Returns when what one keeps the other finds, and the other way round.
    pub async fn meet(&self) {
        for (from, to) in [(&self.one, &self.other), (&self.other, &self.one)] {
            soon("they share", async || {
                let body = self.fresh();
                from.post(&body).await;
                // It is written behind.
                tokio::time::sleep(BEHIND).await;
                is_hit(&to.post(&body).await)
            })
            .await;
        }
    }

    /// So many calls that one has asked, and whose answers have come to the store.
    pub async fn stored(&self, server: &RedisServer, calls: u64) -> Vec<String> {
        let before = entries(server).await.len() as u64;
        let mut all = Vec::new();
        for _ in 0..calls {
            let body = self.fresh();
            self.one.post(&body).await;
            all.push(body);
        }
        soon("all are stored", async || {
            entries(server).await.len() as u64 >= before + calls
        })
        .await;
        all
    }

    /// Asked at one, and written to the store.
    pub async fn kept_by_one(&self) -> String {
        let body = self.fresh();
        self.one.post(&body).await;
        tokio::time::sleep(BEHIND).await;
        body
    }

    /// A call whose answer the one keeps and the other has found, and the node that gave it. One may come too
    /// late by chance.
    pub async fn kept_by_both(&self) -> (String, String) {
        for _ in 0..20 {
            let body = self.kept_by_one().await;
            let answer = self.other.post(&body).await;
            if is_hit(&answer) {
                let node = answer.header("x-forebay-node").unwrap();
                return (body, node.to_string());
            }
        }
        panic!("the other finds nothing of what the one keeps");
    }
}

/// What the entries are called that the store has.
pub async fn entries(server: &RedisServer) -> Vec<String> {
    let said = server.ask("KEYS forebay:main:answer:*").await;
    let lines = said.lines().filter(|line| line.starts_with("forebay:"));
    lines.map(str::to_string).collect()
}

pub fn is_hit(answer: &Answer) -> bool {
    assert!(answer.json().get("error").is_none(), "{}", answer.text());
    answer.header("x-forebay-cache") == Some("hit")
}

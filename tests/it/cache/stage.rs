//! A chain that its author writes, nodes that follow it, and a balancer that keeps answers.

use serde_json::{Value, json};

use crate::support::{Answer, Author, Balancer, Mirror, PATIENCE, RedisServer, post, soon};

/// Code that gives the hash of the block before the one that it runs at.
pub const BLOCKHASH: &str = "0x43600190034060005260206000f3";
const NAMES: [&str; 3] = ["a", "b", "c"];
/// Another account of anvil's, which gets something now and then.
const SAVER: &str = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8";

pub struct Stage {
    pub author: Author,
    pub mirrors: Vec<Mirror>,
    pub balancer: Balancer,
    /// One that shares what it keeps with the first, by this store.
    pub other: Option<(Balancer, RedisServer)>,
}

impl Stage {
    /// The author's own node is none of the balancer's.
    pub async fn begin(mirrors: usize) -> Stage {
        Stage::set(mirrors, None).await
    }

    /// With two balancers that share what they keep.
    pub async fn sharing(mirrors: usize) -> Stage {
        Stage::set(mirrors, Some(RedisServer::start().await)).await
    }

    async fn set(mirrors: usize, store: Option<RedisServer>) -> Stage {
        let author = Author::begin().await;
        let (mut all, mut nodes) = (Vec::new(), String::new());
        for name in NAMES.iter().take(mirrors) {
            let mirror = Mirror::begin().await;
            nodes += &format!("    - {{ url: \"{}\", name: {name} }}\n", mirror.node.url());
            all.push(mirror);
        }
        let url = store.as_ref().map(RedisServer::url);
        let balancer = super::before(&nodes, url.as_deref()).await;
        let other = match store {
            Some(store) => Some((super::before(&nodes, url.as_deref()).await, store)),
            None => None,
        };
        Stage {
            other,
            author,
            mirrors: all,
            balancer,
        }
    }

    pub fn balancers(&self) -> impl Iterator<Item = &Balancer> {
        let other = self.other.iter().map(|(other, _)| other);
        std::iter::once(&self.balancer).chain(other)
    }

    pub fn head(&self) -> u64 {
        self.author.chain.len() as u64
    }

    pub fn saver(&self) -> &'static str {
        SAVER
    }

    /// Another block, with two logs.
    pub async fn grow(&mut self) {
        let topic = (self.head() % 200) as u8;
        self.author.write(&[topic, topic + 1]).await;
    }

    /// Another block, with nothing in it.
    pub async fn grow_barely(&mut self) {
        self.author.write(&[]).await;
    }

    /// The first transaction of block `number`.
    pub fn transaction(&self, number: u64) -> String {
        let block = &self.author.chain[usize::try_from(number - 1).unwrap()];
        block.transactions().next().unwrap().to_string()
    }

    /// All nodes have the author's chain, and the balancer knows so.
    pub async fn settle(&mut self) {
        for mirror in &mut self.mirrors {
            mirror.follow(&self.author.chain).await;
        }
        for balancer in self.balancers() {
            self.is_told(balancer).await;
        }
    }

    async fn is_told(&self, balancer: &Balancer) {
        let last = self.author.chain.last().unwrap();
        let (hash, number) = (last.hash.clone(), last.number);
        let by_number = json!([format!("0x{number:x}"), false]);
        soon("the chain is told", async || {
            // Once it is told, the block is kept under the told hash.
            let answer = asked(balancer, "eth_getBlockByNumber", &by_number).await;
            let is_it = answer.json()["result"]["hash"] == hash.as_str();
            let is_kept = answer.header("x-forebay-cache") == Some("hit");
            let balance = json!([SAVER]);
            let state = asked(balancer, "eth_getBalance", &balance).await;
            let is_state_kept = state.header("x-forebay-cache") == Some("hit");
            is_it && is_kept && is_state_kept
        })
        .await;
        for name in NAMES.iter().take(self.mirrors.len()) {
            soon("all nodes are at the head", async || {
                let labels = [("node", *name)];
                let head = balancer.metric("forebay_node_block_number", &labels).await;
                let healthy = balancer.metric("forebay_node_healthy", &labels).await;
                head == Some(number as f64) && healthy == Some(1.0)
            })
            .await;
        }
    }

    /// What the second answer says of the cache, and itself; both are the same.
    pub async fn asked_twice(&self, method: &str, params: &Value) -> (String, String) {
        let first = asked(&self.balancer, method, params).await;
        let second = asked(&self.balancer, method, params).await;
        assert_eq!(first.text(), second.text(), "{method} {params}");
        let said = second.header("x-forebay-cache").unwrap_or("nothing");
        (said.to_string(), second.text())
    }

    /// What the author's own node says.
    pub async fn truth(&self, method: &str, params: &Value) -> String {
        let body = body(method, params);
        let answer = post(self.author.node.rpc.address, &body, PATIENCE).await;
        answer.unwrap().text()
    }

    pub async fn becomes_unknown(&self, node: &str) {
        soon("the node is no more", async || {
            let labels = [("node", node)];
            self.balancer
                .metric("forebay_node_healthy", &labels)
                .await
                .is_none()
        })
        .await;
    }
}

fn body(method: &str, params: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string()
}

pub async fn asked(balancer: &Balancer, method: &str, params: &Value) -> Answer {
    balancer.post(&body(method, params)).await
}

/// The hash of the block that a receipt names.
pub fn block_of(answer: &str) -> String {
    let answer: Value = serde_json::from_str(answer).unwrap();
    answer["result"]["blockHash"].as_str().unwrap().to_string()
}

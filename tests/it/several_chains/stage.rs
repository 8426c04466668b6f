//! Chains of pretend nodes, and the built balancer before all of them.

use std::collections::BTreeMap;
use std::fs;

use forebay_fake::{FakeChain, FakeNode};

use crate::support::{Answer, Balancer, PATIENCE, exchange, pretend_node, soon};

/// Of one process; `@CHAINS@` are the chains.
const BEGINNING: &str = "\
version: 1
threads: 2
forebay:
  listen: { http: [\"@HTTP@\"], metrics: \"@METRICS@\", admin: \"@ADMIN@\" }
  @REGISTRY@
  health: { interval: 400ms, timeout: 350ms@HEALTH@ }
  shutdown: { lame_duck: 300ms, drain: 5s }
@MORE@  chains:
@CHAINS@";
const REGISTRY: &str = "registry: { path: \"@FOLDER@/forebay.db\", refresh: 300ms, last_list: \"@FOLDER@/last-list.json\" }";

/// More of a chain that has no node.
pub const NODELESS: &str = "hosts: []";

pub struct StagedChain {
    id: u64,
    more: String,
    chain: std::sync::Arc<FakeChain>,
    pub nodes: Vec<FakeNode>,
}

pub struct ChainStage {
    chains: BTreeMap<String, StagedChain>,
    pub balancer: Balancer,
    text: String,
}

impl ChainStage {
    /// Chains by name and id, each with more of its own, and two nodes each; `health`: more for all of them.
    pub async fn set(health: &str, chains: &[(&str, u64, &str)]) -> ChainStage {
        ChainStage::with(health, "", chains).await
    }

    /// The same, with more that is the process's.
    pub async fn with(health: &str, more: &str, chains: &[(&str, u64, &str)]) -> ChainStage {
        let text = BEGINNING
            .replace("@HEALTH@", health)
            .replace("@REGISTRY@", REGISTRY)
            .replace("@MORE@", more);
        let stage = ChainStage::unready(&text, chains).await;
        for (name, ..) in chains {
            stage.until_well(name).await;
        }
        stage
    }

    /// The same with another registry, and not waited for.
    pub async fn before(registry: &str, chains: &[(&str, u64, &str)]) -> ChainStage {
        let text = BEGINNING
            .replace("@HEALTH@", "")
            .replace("@REGISTRY@", registry)
            .replace("@MORE@", "");
        ChainStage::unready(&text, chains).await
    }

    async fn unready(text: &str, chains: &[(&str, u64, &str)]) -> ChainStage {
        let mut staged = BTreeMap::new();
        for (name, id, more) in chains {
            staged.insert((*name).to_string(), StagedChain::begin(*id, more).await);
        }
        let yaml = text.replace("@CHAINS@", &written(&staged));
        let balancer = Balancer::start_unready(&yaml, &[]).await;
        let [path, rpc, metrics, admin] = [
            balancer.folder().display().to_string(),
            balancer.rpc.address.to_string(),
            balancer.metrics.address.to_string(),
            balancer.admin.address.to_string(),
        ];
        let text = text
            .replace("@FOLDER@", &path)
            .replace("@HTTP@", &rpc)
            .replace("@METRICS@", &metrics)
            .replace("@ADMIN@", &admin);
        ChainStage {
            chains: staged,
            balancer,
            text,
        }
    }

    /// All nodes of the chain are fit.
    pub async fn until_well(&self, name: &str) {
        let nodes = self.nodes(name).len();
        soon(&format!("{name} is well"), async || {
            let path = format!("/{name}/health");
            let text = self.balancer.get(&path).await.text();
            text.contains("\"ok\"") && text.contains(&format!("{nodes}"))
        })
        .await;
    }

    pub fn nodes(&self, name: &str) -> &[FakeNode] {
        &self.chains[name].nodes
    }

    pub async fn post_at(&self, path: &str) -> Answer {
        self.call_at(path, "eth_chainId").await
    }

    pub async fn call_at(&self, path: &str, method: &str) -> Answer {
        self.balancer.post_with(path, &[], &call_of(method)).await
    }

    pub async fn id_at(&self, path: &str) -> String {
        let answer = self.post_at(path).await;
        let id = answer.json()["result"].as_str().map(str::to_string);
        id.unwrap_or_else(|| panic!("{path}: {}", answer.text()))
    }

    /// By a request to this host.
    pub async fn post_to_host(&self, host: &str, path: &str) -> Answer {
        let body = call_of("eth_chainId");
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
             Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let bytes = exchange(self.balancer.rpc.address, request.as_bytes(), PATIENCE).await;
        Answer::parse(&bytes.unwrap()).unwrap()
    }

    pub async fn add(&mut self, name: &str, id: u64, more: &str) {
        let chain = StagedChain::begin(id, more).await;
        self.chains.insert(name.to_string(), chain);
        self.write();
    }

    /// One more node; its place.
    pub async fn add_node(&mut self, name: &str) -> usize {
        let chain = self.chains.get_mut(name).unwrap();
        chain.add_node().await;
        let place = chain.nodes.len() - 1;
        self.write();
        place
    }

    /// Takes the chain out of the file. Its nodes go on.
    pub fn remove(&mut self, name: &str) {
        self.write_without(name);
    }

    /// Makes the chain the default, all else being as it was written last.
    pub fn mark(&mut self, name: &str) {
        let before = fs::read_to_string(self.path()).unwrap();
        let from = format!("    {name}: {{ ");
        let to = format!("{from}default: true, ");
        fs::write(self.path(), before.replace(&from, &to)).unwrap();
    }

    fn path(&self) -> std::path::PathBuf {
        self.balancer.folder().join("pingora.yaml")
    }

    fn write(&self) {
        let text = self.text.replace("@CHAINS@", &written(&self.chains));
        fs::write(self.path(), text).unwrap();
    }

    fn write_without(&self, name: &str) {
        let own = self.chains.iter().filter(|(own, _)| *own != name);
        let text: String = own.map(|(name, chain)| chain.written(name)).collect();
        fs::write(self.path(), self.text.replace("@CHAINS@", &text)).unwrap();
    }
}

impl StagedChain {
    async fn begin(id: u64, more: &str) -> StagedChain {
        let mut chain = StagedChain {
            id,
            more: more.to_string(),
            chain: FakeChain::still(id, 100 + id % 97),
            nodes: Vec::new(),
        };
        if more != NODELESS {
            chain.add_node().await;
            chain.add_node().await;
        }
        chain
    }

    async fn add_node(&mut self) {
        let node = pretend_node(&self.chain).await;
        node.set_chain_id(self.id);
        self.nodes.push(node);
    }

    fn written(&self, name: &str) -> String {
        let nodes = self.nodes.iter().enumerate();
        let nodes: Vec<_> = nodes
            .map(|(at, node)| format!("{{ url: \"{}\", name: n{at} }}", node.url()))
            .collect();
        let (id, nodes) = (self.id, nodes.join(", "));
        let more = match self.more.as_str() {
            "" => String::new(),
            more => format!("{more}, "),
        };
        format!("    {name}: {{ id: {id}, block_time: 1s, {more}nodes: [{nodes}] }}\n")
    }
}

fn written(chains: &BTreeMap<String, StagedChain>) -> String {
    let chains = chains.iter();
    chains.map(|(name, chain)| chain.written(name)).collect()
}

pub fn call_of(method: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":[]}}"#)
}

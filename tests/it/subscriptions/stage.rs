//! The usual scene of these stories: an author, nodes that write its chain again behind sluices, and
//! a balancer before them; what a client must hear, and the ears that hear it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    Author, Balancer, Console, Heard, Listener, Mirror, PATIENCE, Sluice, Written, soon,
};

/// Health that decides in tenths of a second, on a chain whose blocks come as fast as they go.
pub const QUICK: &str = "\
version: 1
threads: 2
forebay:
  chain: { block_time: 200ms }
  listen: { http: [\"@HTTP@\"], metrics: \"@METRICS@\", admin: \"@ADMIN@\" }
  admin: { token: \"0123456789abcdef0123456789abcdef\" }
  registry: { path: \"@FOLDER@/forebay.db\", refresh: 300ms, last_list: \"@FOLDER@/last-list.json\" }
  health: { interval: 500ms, timeout: 450ms, rise: 1, fall: 2 }
  sockets: { per_address_max: 1000 }
  shutdown: { lame_duck: 300ms, drain: 5s }
";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const NAMES: [&str; 3] = ["a", "b", "c"];

/// Long enough for what must not come to have come.
pub const SILENCE: Duration = Duration::from_millis(700);

/// A balancer before nodes called a, b, c; all of them have a line to it when this returns.
pub async fn balancer(yaml: &str, urls: &[String]) -> Balancer {
    let balancer = balancer_without_lines(yaml, urls).await;
    let lines = urls.len() as f64;
    balancer
        .becomes("forebay_upstream_subscriptions", &[], lines)
        .await;
    balancer
}

async fn balancer_without_lines(yaml: &str, urls: &[String]) -> Balancer {
    let mut yaml = format!("{yaml}  nodes:\n");
    for (url, name) in urls.iter().zip(NAMES) {
        yaml += &format!("    - {{ url: \"{url}\", name: {name} }}\n");
    }
    Balancer::start(&yaml, &[("FOREBAY_LOG", "debug")]).await
}

/// What a client must hear from now on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// By their hashes.
    pub heads: Vec<String>,
    pub logs: Vec<Value>,
}

impl Record {
    pub fn write(&mut self, block: &Written) {
        self.heads.push(block.hash.clone());
        self.logs.extend(block.logs.iter().cloned());
    }

    /// In the order in which they were told. Of what was written before the client came it hears
    /// nothing.
    pub fn take_back(&mut self, taken: Vec<Written>) {
        let is_told = |block: &Written| self.heads.contains(&block.hash);
        let told: Vec<_> = taken.into_iter().filter(is_told).collect();
        let logs = told.into_iter().flat_map(|block| block.logs);
        self.logs.extend(logs.map(|mut log| {
            log["removed"] = json!(true);
            log
        }));
    }
}

/// A client that listens to heads and logs.
pub struct Ear {
    client: Listener,
    heads: String,
    pub heard: Record,
}

impl Ear {
    /// Logs are those that `filter` lets pass.
    pub async fn open(balancer: &Balancer, filter: Value) -> Ear {
        let mut client = Listener::open(balancer.rpc.address).await;
        let heads = client.subscribe(json!(["newHeads"])).await;
        client.subscribe(json!(["logs", filter])).await;
        Ear {
            client,
            heads,
            heard: Record::default(),
        }
    }

    /// The next thing; whether it was a head, or with what it was closed.
    pub async fn hear(&mut self) -> Result<bool, (u16, String)> {
        match self.client.next().await {
            Heard::News(id, head) if id == self.heads => {
                let hash = head["hash"].as_str().unwrap();
                self.heard.heads.push(hash.to_string());
                Ok(true)
            }
            Heard::News(_, log) => {
                self.heard.logs.push(log);
                Ok(false)
            }
            Heard::Answer(answer) => panic!("an answer to nothing: {answer}"),
            Heard::Closed(code, why) => Err((code, why)),
        }
    }

    /// Hears as much as is written, and that it is the same.
    pub async fn hears(&mut self, record: &Record) {
        let wanted = (record.heads.len(), record.logs.len());
        let all = async {
            while self.heard.heads.len() < wanted.0 || self.heard.logs.len() < wanted.1 {
                self.hear().await.unwrap();
            }
        };
        let is_all = tokio::time::timeout(PATIENCE, all).await.is_ok();
        assert_eq!(self.heard, *record, "all in time: {is_all}");
    }

    /// Hears as many heads in all.
    pub async fn hears_heads(&mut self, count: usize) {
        let all = async {
            while self.heard.heads.len() < count {
                self.hear().await.unwrap();
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, all).await;
        assert!(in_time.is_ok(), "{} of {count}", self.heard.heads.len());
    }

    /// Hears on until it is closed: with what.
    pub async fn is_closed(&mut self) -> (u16, String) {
        let closing = async {
            loop {
                if let Err(closed) = self.hear().await {
                    return closed;
                }
            }
        };
        let closed = tokio::time::timeout(PATIENCE * 2, closing).await;
        closed.expect("closed in time")
    }

    /// As [`Ear::hears`], and nothing more for a while.
    pub async fn hears_just(&mut self, record: &Record) {
        self.hears(record).await;
        self.hears_nothing().await;
    }

    pub async fn hears_nothing(&mut self) {
        let more = tokio::time::timeout(SILENCE, self.hear()).await;
        assert!(more.is_err(), "{more:?}: {:?}", self.heard);
    }
}

/// The author writes, the nodes follow when they are told to.
pub struct Stage {
    pub author: Author,
    pub mirrors: Vec<Mirror>,
    /// One before each of them.
    pub sluices: Vec<Sluice>,
    pub balancer: Balancer,
    pub record: Record,
}

impl Stage {
    /// As many nodes, all with a line.
    pub async fn set(nodes: usize, yaml: &str) -> Stage {
        let stage = Stage::set_without_lines(nodes, yaml).await;
        for name in &NAMES[..nodes] {
            stage.has_line_called(name).await;
        }
        stage
    }

    pub async fn set_without_lines(nodes: usize, yaml: &str) -> Stage {
        let (author, mirrors, sluices) = Stage::nodes(nodes).await;
        Stage::before(author, mirrors, sluices, yaml).await
    }

    /// As many nodes, of which only the first ones have sockets.
    pub async fn set_with_sockets(sockets: usize, nodes: usize) -> Stage {
        let (author, mirrors, sluices) = Stage::nodes(nodes).await;
        for sluice in &sluices[sockets..] {
            sluice.refuse_sockets();
        }
        let stage = Stage::before(author, mirrors, sluices, QUICK).await;
        for (name, has_socket) in NAMES.iter().zip((0..nodes).map(|at| at < sockets)) {
            soon("its line is open, or its head known", async || {
                let lines = stage.carried_by(name).await;
                let head = stage.of_node("forebay_node_block_number", name).await;
                (lines == Some(1.0)) == has_socket && head > Some(0.0)
            })
            .await;
        }
        stage
    }

    async fn before(
        author: Author,
        mirrors: Vec<Mirror>,
        sluices: Vec<Sluice>,
        yaml: &str,
    ) -> Stage {
        let balancer = balancer_without_lines(yaml, &urls(&sluices)).await;
        Stage {
            author,
            mirrors,
            sluices,
            balancer,
            record: Record::default(),
        }
    }

    async fn nodes(count: usize) -> (Author, Vec<Mirror>, Vec<Sluice>) {
        let mut author = Author::begin().await;
        for _ in 0..3 {
            author.write(&[]).await;
        }
        let (mut mirrors, mut sluices) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let mut mirror = Mirror::begin().await;
            mirror.follow(&author.chain).await;
            sluices.push(Sluice::before(mirror.node.port()).await);
            mirrors.push(mirror);
        }
        (author, mirrors, sluices)
    }

    pub async fn ear(&self) -> Ear {
        Ear::open(&self.balancer, json!({})).await
    }

    /// A client that listens to pending transactions, and the id of that.
    pub async fn pending(&self) -> (Listener, String) {
        let mut client = Listener::open(self.balancer.rpc.address).await;
        let id = client.subscribe(json!(["newPendingTransactions"])).await;
        (client, id)
    }

    /// The author writes a block, with logs of these topics.
    pub async fn write(&mut self, topics: &[u8]) {
        let block = self.author.write(topics).await;
        self.record.write(block);
    }

    /// The author writes, and all nodes follow.
    pub async fn write_everywhere(&mut self, topics: &[u8]) {
        self.write(topics).await;
        for at in 0..self.mirrors.len() {
            self.follow(at).await;
        }
    }

    /// The author puts other blocks, with logs of these topics, in the place of the last.
    pub async fn reorganise(&mut self, blocks: &[&[u8]]) {
        reorganise(&mut self.author, &mut self.record, blocks).await;
    }

    pub async fn follow(&mut self, at: usize) {
        self.mirrors[at].follow(&self.author.chain).await;
    }

    /// Sends a transaction to these nodes.
    pub async fn send(&self, raw: &Value, nodes: &[usize]) {
        for at in nodes {
            let node = self.mirrors[*at].node.rpc;
            node.call("eth_sendRawTransaction", json!([raw])).await;
        }
    }

    async fn of_node(&self, metric: &str, name: &str) -> Option<f64> {
        self.balancer.metric(metric, &[("node", name)]).await
    }

    async fn carried_by(&self, name: &str) -> Option<f64> {
        self.of_node("forebay_upstream_subscriptions", name).await
    }

    /// Waits until this node has a line.
    pub async fn has_line(&self, at: usize) {
        self.has_line_called(NAMES[at]).await;
    }

    pub async fn has_line_called(&self, name: &str) {
        soon("its line is open", async || {
            self.carried_by(name).await >= Some(1.0)
        })
        .await;
    }

    /// Which node tells what is passed on: its line carries more than the heads.
    pub async fn teller(&self) -> usize {
        let mut found = None;
        soon("a node tells it", async || {
            for (at, name) in NAMES.iter().enumerate() {
                if self.carried_by(name).await == Some(2.0) {
                    found = Some(at);
                }
            }
            found.is_some()
        })
        .await;
        found.unwrap()
    }

    /// Waits until subscriptions were taken over for these reasons, so often, and for no other.
    pub async fn taken_over(&self, reasons: &[(&str, f64)]) {
        let what = format!("taken over: {reasons:?}");
        let name = "forebay_takeovers_total";
        let all: f64 = reasons.iter().map(|(_, times)| times).sum();
        soon(&what, async || {
            let mut is_so = self.balancer.metric(name, &[]).await == Some(all);
            for (reason, times) in reasons {
                let told = self.balancer.metric(name, &[("reason", reason)]).await;
                is_so &= told == Some(*times);
            }
            is_so
        })
        .await;
    }

    /// A request to the admin listener.
    pub async fn admin(&self, method: &str, target: &str, body: Option<Value>) {
        let console = Console::new(self.balancer.admin.address, method, target).token(TOKEN);
        let console = match body {
            Some(body) => console.json(&body.to_string()),
            None => console,
        };
        let answer = console.ask().await;
        assert!(answer.status < 300, "{}", answer.text());
    }
}

pub async fn reorganise(author: &mut Author, record: &mut Record, blocks: &[&[u8]]) {
    record.take_back(author.reorganise(blocks).await);
    let fork = author.chain.len() - blocks.len();
    for block in &author.chain[fork..] {
        record.write(block);
    }
}

pub fn urls(sluices: &[Sluice]) -> Vec<String> {
    sluices.iter().map(Sluice::url).collect()
}

pub fn name(at: usize) -> &'static str {
    NAMES[at]
}

/// The next thing that this client hears must be this, and nothing that it has heard before.
pub async fn hears(client: &mut Listener, id: &str, wanted: &Value) {
    let heard = client.next_within(PATIENCE).await;
    assert_eq!(heard, Some(Heard::News(id.to_string(), wanted.clone())));
}

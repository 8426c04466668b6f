//! Many clients, two nodes that fail in turn, and the author of the chain, who never does.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a stage-hand that can't go on fails the test"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::support::{Author, Balancer, Heard, Listener, Mirror, PATIENCE, eventually};

/// Blocks from one mishap to the next.
const MISHAP_EVERY: usize = 3;
/// Blocks that a node misses while it is dead or frozen.
const DOWN_BLOCKS: usize = 2;
/// Clients listen to all logs, or to those of this topic alone.
const TOPIC: u8 = 7;

/// What becomes of a node, in turn.
#[derive(Clone, Copy, Debug)]
enum Mishap {
    Kill(usize),
    Freeze(usize),
    Reorg(usize),
}

const MISHAPS: [Mishap; 8] = [
    Mishap::Kill(0),
    Mishap::Reorg(1),
    Mishap::Freeze(1),
    Mishap::Reorg(3),
    Mishap::Kill(1),
    Mishap::Freeze(0),
    Mishap::Reorg(2),
    Mishap::Reorg(5),
];

/// What one client was told.
#[derive(Default)]
struct Told {
    heads: Vec<String>,
    logs: Vec<Value>,
    closed: Option<(u16, String)>,
}

pub struct Chaos {
    author: Author,
    mirrors: [Mirror; 2],
    down: [Option<Down>; 2],
    balancer: Balancer,
    clients: Vec<JoinHandle<Told>>,
    /// How many have been told so many heads.
    progress: Arc<Progress>,
    stop: tokio::sync::watch::Sender<bool>,
    /// What a client must hear: heads, and logs.
    heads: Vec<String>,
    logs: Vec<Value>,
}

#[derive(Clone, Copy)]
struct Down {
    is_frozen: bool,
    until: usize,
}

/// Heads and logs that all clients have heard.
#[derive(Default)]
struct Progress {
    heads: AtomicUsize,
    logs: AtomicUsize,
}

impl Chaos {
    pub async fn begin(clients: usize) -> Chaos {
        let mut author = Author::begin().await;
        let mut mirrors = [Mirror::begin().await, Mirror::begin().await];
        for _ in 0..3 {
            author.write(&[]).await;
        }
        for mirror in &mut mirrors {
            mirror.follow(&author.chain).await;
        }
        let urls = [mirrors[0].node.url(), mirrors[1].node.url()];
        let balancer = super::balancer(&urls).await;
        eventually("both lines are open", PATIENCE, async || {
            let open = balancer.metric("forebay_upstream_subscriptions", &[]).await;
            open == Some(2.0)
        })
        .await;
        let progress = Arc::<Progress>::default();
        let (stop, _) = tokio::sync::watch::channel(false);
        let mut listening = Vec::new();
        for number in 0..clients {
            let mut client = Listener::open(balancer.rpc.address).await;
            let heads = client.subscribe(json!(["newHeads"])).await;
            let filter = if is_picky(number) {
                json!({"topics": [[topic(TOPIC)]]})
            } else {
                json!({})
            };
            client.subscribe(json!(["logs", filter])).await;
            let (progress, stop) = (progress.clone(), stop.subscribe());
            listening.push(tokio::spawn(listen(client, heads, progress, stop)));
        }
        Chaos {
            author,
            mirrors,
            down: [None, None],
            balancer,
            clients: listening,
            progress,
            stop,
            heads: Vec::new(),
            logs: Vec::new(),
        }
    }

    /// Writes so many blocks, with a mishap every few.
    pub async fn write_blocks(&mut self, blocks: usize) {
        let mut mishaps = MISHAPS.into_iter().cycle();
        for number in 1..=blocks {
            self.raise(number).await;
            if number % MISHAP_EVERY == 0 {
                let mishap = mishaps.next().unwrap();
                self.strike(mishap, number).await;
            }
            self.write(number).await;
            self.spread(number).await;
        }
        self.raise(usize::MAX).await;
        self.spread(0).await;
    }

    async fn write(&mut self, number: usize) {
        let topics: &[u8] = match number % 4 {
            0 => &[],
            1 => &[1],
            2 => &[TOPIC, 1],
            _ => &[TOPIC, TOPIC, 2],
        };
        let block = self.author.write(topics).await;
        self.heads.push(block.hash.clone());
        self.logs.extend(block.logs.iter().cloned());
    }

    /// One node follows at once, the other a moment later, in turn.
    async fn spread(&mut self, number: usize) {
        for turn in [number, number + 1] {
            let at = turn % 2;
            if self.down[at].is_none() {
                self.mirrors[at].follow(&self.author.chain).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    async fn strike(&mut self, mishap: Mishap, number: usize) {
        match mishap {
            // Never both.
            Mishap::Kill(at) | Mishap::Freeze(at)
                if self.down[1 - at].is_some() || self.down[at].is_some() => {}
            Mishap::Kill(at) => {
                self.mirrors[at].node.process.kill();
                self.put_down(at, false, number);
            }
            Mishap::Freeze(at) => {
                self.mirrors[at].node.process.pause();
                self.put_down(at, true, number);
            }
            Mishap::Reorg(depth) => self.reorganise(depth, number).await,
        }
    }

    fn put_down(&mut self, at: usize, is_frozen: bool, number: usize) {
        let until = number + DOWN_BLOCKS;
        self.down[at] = Some(Down { is_frozen, until });
    }

    /// Who was down long enough comes back, to the same chain.
    async fn raise(&mut self, number: usize) {
        for at in 0..2 {
            let Some(down) = self.down[at].filter(|down| down.until <= number) else {
                continue;
            };
            if down.is_frozen {
                self.mirrors[at].node.process.resume();
            } else {
                self.mirrors[at].restart().await;
            }
            self.down[at] = None;
            self.mirrors[at].follow(&self.author.chain).await;
        }
    }

    /// What the author has told is told to all before he takes it back: he alone tells of a block
    /// that nobody else has heard of.
    async fn reorganise(&mut self, depth: usize, number: usize) {
        self.settle().await;
        for taken in self.author.take_back(depth).await.into_iter().rev() {
            let removed = taken.logs.into_iter().map(|mut log| {
                log["removed"] = json!(true);
                log
            });
            self.logs.extend(removed);
        }
        for more in 0..depth {
            self.write(number + more + 1).await;
        }
        self.spread(number).await;
    }

    /// Waits until every client has heard all.
    async fn settle(&self) {
        let heads = self.heads.len() * self.clients.len();
        let wanted = |number: usize| {
            let logs = self.logs.iter().filter(|log| wants(number, log));
            logs.count()
        };
        let logs: usize = (0..self.clients.len()).map(wanted).sum();
        let what = format!("all have heard {heads} heads and {logs} logs");
        eventually(&what, PATIENCE * 2, async || {
            assert!(
                self.clients.iter().all(|client| !client.is_finished()),
                "a client was closed"
            );
            self.progress.heads.load(Ordering::Relaxed) >= heads
                && self.progress.logs.load(Ordering::Relaxed) >= logs
        })
        .await;
    }

    /// Each client must have heard the same as the author told.
    pub async fn compare(&mut self) {
        self.settle().await;
        // And nothing more.
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.stop.send(true).unwrap();
        let metrics = self.balancer.metrics().await;
        for line in metrics.lines().filter(|line| {
            line.contains("gap")
                || line.contains("filled")
                || line.contains("takeover")
                || line.contains("reorgs_told")
        }) {
            eprintln!("{line}");
        }
        for (number, client) in self.clients.drain(..).enumerate() {
            let told = client.await.unwrap();
            assert_eq!(told.closed, None, "client {number}");
            assert_eq!(told.heads, self.heads, "heads of client {number}");
            let wanted: Vec<_> = self
                .logs
                .iter()
                .filter(|log| wants(number, log))
                .cloned()
                .collect();
            assert_eq!(told.logs, wanted, "logs of client {number}");
        }
    }
}

fn is_picky(number: usize) -> bool {
    number % 2 == 1
}

fn wants(number: usize, log: &Value) -> bool {
    !is_picky(number) || log["topics"][0] == topic(TOPIC)
}

fn topic(byte: u8) -> String {
    format!("0x{}", format!("{byte:02x}").repeat(32))
}

async fn listen(
    mut client: Listener,
    heads: String,
    progress: Arc<Progress>,
    mut stop: tokio::sync::watch::Receiver<bool>,
) -> Told {
    let mut told = Told::default();
    loop {
        let heard = tokio::select! {
            heard = client.next() => heard,
            _ = stop.changed() => return told,
        };
        match heard {
            Heard::News(id, head) if id == heads => {
                told.heads.push(head["hash"].as_str().unwrap().to_string());
                progress.heads.fetch_add(1, Ordering::Relaxed);
            }
            Heard::News(_, log) => {
                told.logs.push(log);
                progress.logs.fetch_add(1, Ordering::Relaxed);
            }
            Heard::Answer(answer) => panic!("an answer to nothing: {answer}"),
            Heard::Closed(code, why) => {
                told.closed = Some((code, why));
                return told;
            }
        }
    }
}

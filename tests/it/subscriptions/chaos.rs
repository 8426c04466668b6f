//! Many clients, two nodes that fail in turn, and the author of the chain, which never does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::stage::{Ear, QUICK, Record, Stage, name};
use super::topic;
use crate::support::{Heard, Listener, PATIENCE, eventually};

/// Blocks from one mishap to the next.
const MISHAP_EVERY: usize = 3;
/// Blocks from a node's mishap to its return.
const DOWN_BLOCKS: usize = 2;
/// Clients listen to all logs, or to those of this topic alone.
const TOPIC: u8 = 7;

/// What becomes of a node, or of the chain, in turn.
#[derive(Clone, Copy, Debug)]
enum Mishap {
    Kill(usize),
    Freeze(usize),
    Drain(usize),
    /// Its socket says nothing more, or is reset; the node is as well as before.
    Silence(usize),
    Reset(usize),
    Reorg(usize),
}

const MISHAPS: [Mishap; 13] = [
    Mishap::Kill(0),
    Mishap::Reorg(1),
    Mishap::Freeze(1),
    Mishap::Reorg(3),
    Mishap::Reset(1),
    Mishap::Kill(1),
    Mishap::Drain(0),
    Mishap::Reorg(2),
    Mishap::Silence(0),
    Mishap::Freeze(0),
    Mishap::Reset(0),
    Mishap::Drain(1),
    Mishap::Reorg(5),
];

/// What one client was told, and with what it was closed.
type Told = (Record, Option<(u16, String)>);

pub struct Chaos {
    /// The record is what a client must hear that listens to all logs.
    stage: Stage,
    down: [Option<Down>; 2],
    clients: Vec<JoinHandle<Told>>,
    /// A client that listens to pending transactions.
    pending: JoinHandle<Vec<Value>>,
    /// How many have been told so many heads.
    progress: Arc<Progress>,
    stop: tokio::sync::watch::Sender<bool>,
}

#[derive(Clone, Copy)]
struct Down {
    way: Way,
    until: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Killed,
    Frozen,
    Drained,
}

/// Heads and logs that all clients have heard.
#[derive(Default)]
struct Progress {
    heads: AtomicUsize,
    logs: AtomicUsize,
}

impl Chaos {
    pub async fn begin(clients: usize) -> Chaos {
        let stage = Stage::set(2, QUICK).await;
        let progress = Arc::<Progress>::default();
        let (stop, _) = tokio::sync::watch::channel(false);
        let mut listening = Vec::new();
        for number in 0..clients {
            let filter = if is_picky(number) {
                json!({"topics": [[topic(TOPIC)]]})
            } else {
                json!({})
            };
            let ear = Ear::open(&stage.balancer, filter).await;
            let (progress, stop) = (progress.clone(), stop.subscribe());
            listening.push(tokio::spawn(listen(ear, progress, stop)));
        }
        let (client, _) = stage.pending().await;
        let pending = tokio::spawn(overhear(client, stop.subscribe()));
        Chaos {
            stage,
            down: [None, None],
            clients: listening,
            pending,
            progress,
            stop,
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
            self.stage.write(topics(number)).await;
            self.spread(number).await;
        }
        self.raise(usize::MAX).await;
        self.spread(0).await;
    }

    /// One node follows at once, the other a moment later, in turn.
    async fn spread(&mut self, number: usize) {
        for turn in [number, number + 1] {
            let at = turn % 2;
            if self.down[at].is_none_or(|down| down.way == Way::Drained) {
                self.stage.follow(at).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    async fn strike(&mut self, mishap: Mishap, number: usize) {
        match mishap {
            Mishap::Kill(at) => self.put_down(at, Way::Killed, number).await,
            Mishap::Freeze(at) => self.put_down(at, Way::Frozen, number).await,
            Mishap::Drain(at) => self.put_down(at, Way::Drained, number).await,
            Mishap::Silence(at) => self.stage.sluices[at].freeze_sockets(),
            Mishap::Reset(at) => self.stage.sluices[at].reset_sockets(),
            Mishap::Reorg(depth) => self.reorganise(depth, number).await,
        }
    }

    /// Never both.
    async fn put_down(&mut self, at: usize, way: Way, number: usize) {
        if self.down.iter().any(Option::is_some) {
            return;
        }
        let process = &mut self.stage.mirrors[at].node.process;
        match way {
            Way::Killed => process.kill(),
            Way::Frozen => process.pause(),
            Way::Drained => self.turn(at, "drain").await,
        }
        let until = number + DOWN_BLOCKS;
        self.down[at] = Some(Down { way, until });
    }

    async fn turn(&self, at: usize, turn: &str) {
        let target = format!("/backends/{}/{turn}", name(at));
        self.stage.admin("POST", &target, None).await;
    }

    /// A node that was down long enough comes back, to the same chain.
    async fn raise(&mut self, number: usize) {
        for at in 0..2 {
            let Some(down) = self.down[at].filter(|down| down.until <= number) else {
                continue;
            };
            let mirror = &mut self.stage.mirrors[at];
            match down.way {
                Way::Killed => mirror.restart().await,
                Way::Frozen => mirror.node.process.resume(),
                Way::Drained => self.turn(at, "undrain").await,
            }
            self.down[at] = None;
            self.stage.follow(at).await;
        }
    }

    /// What the author has told is told to all before the author takes it back: it alone tells of a
    /// block that no other node has heard of.
    async fn reorganise(&mut self, depth: usize, number: usize) {
        self.settle().await;
        let blocks: Vec<_> = (1..=depth).map(|more| topics(number + more)).collect();
        self.stage.reorganise(&blocks).await;
        self.spread(number).await;
    }

    /// Waits until every client has heard all.
    async fn settle(&self) {
        let heads = self.stage.record.heads.len() * self.clients.len();
        let wanted = |number: usize| {
            let logs = self
                .stage
                .record
                .logs
                .iter()
                .filter(|log| wants(number, log));
            logs.count()
        };
        let logs: usize = (0..self.clients.len()).map(wanted).sum();
        let what = format!("all have heard {heads} heads and {logs} logs");
        eventually(&what, PATIENCE * 2, async || {
            assert!(
                self.clients.iter().all(|client| !client.is_finished())
                    && !self.pending.is_finished(),
                "a client was closed"
            );
            self.progress.heads.load(Ordering::Relaxed) >= heads
                && self.progress.logs.load(Ordering::Relaxed) >= logs
        })
        .await;
    }

    /// Each client must have heard the same as the author told. Of pending transactions some may be
    /// missed.
    pub async fn compare(&mut self) {
        self.settle().await;
        // And nothing more.
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.stop.send(true).unwrap();
        let metrics = self.stage.balancer.metrics().await;
        for line in metrics.lines().filter(|line| {
            line.contains("gap")
                || line.contains("filled")
                || line.contains("takeover")
                || line.contains("reorgs_told")
        }) {
            eprintln!("{line}");
        }
        for (number, client) in self.clients.drain(..).enumerate() {
            let (heard, closed) = client.await.unwrap();
            assert_eq!(closed, None, "client {number}");
            let mut record = self.stage.record.clone();
            record.logs.retain(|log| wants(number, log));
            assert_eq!(heard, record, "client {number}");
        }
        let pending = (&mut self.pending).await.unwrap();
        assert!(!pending.is_empty());
    }
}

/// The logs of a block, in turn.
fn topics(number: usize) -> &'static [u8] {
    match number % 4 {
        0 => &[],
        1 => &[1],
        2 => &[TOPIC, 1],
        _ => &[TOPIC, TOPIC, 2],
    }
}

fn is_picky(number: usize) -> bool {
    number % 2 == 1
}

fn wants(number: usize, log: &Value) -> bool {
    !is_picky(number) || log["topics"][0] == topic(TOPIC)
}

async fn listen(
    mut ear: Ear,
    progress: Arc<Progress>,
    mut stop: tokio::sync::watch::Receiver<bool>,
) -> Told {
    loop {
        let heard = tokio::select! {
            heard = ear.hear() => heard,
            _ = stop.changed() => return (ear.heard, None),
        };
        match heard {
            Ok(true) => progress.heads.fetch_add(1, Ordering::Relaxed),
            Ok(false) => progress.logs.fetch_add(1, Ordering::Relaxed),
            Err(closed) => return (ear.heard, Some(closed)),
        };
    }
}

/// The hashes of pending transactions: none comes twice.
async fn overhear(
    mut client: Listener,
    mut stop: tokio::sync::watch::Receiver<bool>,
) -> Vec<Value> {
    let mut told = Vec::new();
    loop {
        let heard = tokio::select! {
            heard = client.next() => heard,
            _ = stop.changed() => return told,
        };
        match heard {
            Heard::News(_, hash) if !told.contains(&hash) => told.push(hash),
            Heard::News(..) | Heard::Answer(_) | Heard::Closed(..) => {
                panic!("{heard:?} after {told:?}")
            }
        }
    }
}

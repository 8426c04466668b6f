//! Clients that call over and over, and count what they are told that is older than what they were told before.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::late_nodes::Firsts;
use crate::support::{Heard, Listener, PATIENCE, Rpc, read_quantity};

const CALLERS: u32 = 4;
const SUBSCRIBERS: u32 = 16;
/// Calls that a client makes in a row.
const ROW: u32 = 8;
const ACCOUNT: &str = "0x00000000000000000000000000000000000000aa";

/// What is to be called.
#[derive(Clone)]
pub struct Calls {
    /// The first for the first call of a row, and so on; one for all where a load balancer shares them out.
    pub at: Vec<SocketAddr>,
    pub calls: u32,
    pub lasts: Duration,
    pub firsts: Firsts,
    pub tell_state: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub calls: u64,
    pub stale: u64,
    pub null: u64,
    pub refused: u64,
    times: Vec<Duration>,
    ages: Vec<Duration>,
    pub first: Option<String>,
}

impl Tally {
    pub fn wrong(&self) -> u64 {
        self.stale + self.null + self.refused
    }

    pub fn wrong_of_10_000(&self) -> f64 {
        self.wrong() as f64 * 10_000.0 / self.calls.max(1) as f64
    }

    pub fn add(&mut self, other: Tally) {
        self.calls += other.calls;
        self.stale += other.stale;
        self.null += other.null;
        self.refused += other.refused;
        self.times.extend(other.times);
        self.ages.extend(other.ages);
        self.first = self.first.take().or(other.first);
    }

    /// The median and the 99th of a hundred calls.
    pub fn took(&self) -> (Duration, Duration) {
        (part(&self.times, 0.5), part(&self.times, 0.99))
    }

    /// The mean, and the 99th of a hundred, of how old a told head was: since when a node had the next one.
    pub fn age(&self) -> (Duration, Duration) {
        let count = u32::try_from(self.ages.len().max(1)).unwrap();
        let mean = self.ages.iter().sum::<Duration>() / count;
        (mean, part(&self.ages, 0.99))
    }

    fn wrong_one(&mut self, what: &str, seen: u64, answer: &Value) {
        match answer.get("result") {
            Some(Value::Null) => self.null += 1,
            Some(_) => self.stale += 1,
            None => self.refused += 1,
        }
        let told = answer.to_string();
        let told = told.chars().take(200).collect::<String>();
        self.first
            .get_or_insert_with(|| format!("{what} after {seen}: {told}"));
    }
}

fn part(times: &[Duration], part: f64) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let at = (sorted.len() as f64 * part) as usize;
    sorted
        .get(at.min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}

/// Calls, and waits until all is said.
pub async fn call_all(calls: &Calls) -> Tally {
    let calls = Arc::new(calls.clone());
    let running: Vec<_> = (0..CALLERS)
        .map(|number| tokio::spawn(Caller::new(calls.clone()).run(number)))
        .collect();
    let mut all = Tally::default();
    for one in running {
        all.add(one.await.unwrap());
    }
    all
}

/// As subscribers of heads at `at` that ask the others at once.
pub async fn follow_heads(calls: &Calls, at: SocketAddr) -> Tally {
    let calls = Arc::new(calls.clone());
    let following: Vec<_> = (0..SUBSCRIBERS)
        .map(|_| tokio::spawn(Caller::new(calls.clone()).follow(at)))
        .collect();
    let mut all = Tally::default();
    for one in following {
        all.add(one.await.unwrap());
    }
    all
}

/// Calls until it is over.
pub async fn call_until(calls: &Calls, is_over: &Arc<AtomicBool>) -> Tally {
    let calls = Arc::new(calls.clone());
    let running: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (mut caller, is_over) = (Caller::new(calls.clone()), is_over.clone());
            tokio::spawn(async move {
                while !is_over.load(Ordering::Relaxed) {
                    caller.row().await;
                }
                caller.tally
            })
        })
        .collect();
    let mut all = Tally::default();
    for one in running {
        all.add(one.await.unwrap());
    }
    all
}

struct Caller {
    calls: Arc<Calls>,
    seen: u64,
    turn: usize,
    tally: Tally,
}

impl Caller {
    fn new(calls: Arc<Calls>) -> Caller {
        Caller {
            calls,
            seen: 0,
            turn: 0,
            tally: Tally::default(),
        }
    }

    async fn run(mut self, number: u32) -> Tally {
        let rows = (self.calls.calls / CALLERS / ROW).max(1);
        let mut pace = tokio::time::interval(self.calls.lasts / rows);
        tokio::time::sleep(self.calls.lasts / rows * number / CALLERS).await;
        for _ in 0..rows {
            pace.tick().await;
            self.row().await;
        }
        self.tally
    }

    async fn follow(mut self, at: SocketAddr) -> Tally {
        let mut listener = Listener::open(at).await;
        listener.subscribe(json!(["newHeads"])).await;
        while self.tally.calls < u64::from(self.calls.calls / SUBSCRIBERS) {
            let Heard::News(_, head) = listener.next().await else {
                panic!("the socket is closed");
            };
            let told = read_quantity(&head["number"]).unwrap_or_else(|| panic!("no head: {head}"));
            if told > self.seen {
                self.seen = told;
                self.row().await;
            }
        }
        self.tally
    }

    async fn row(&mut self) {
        self.head().await;
        if self.seen == 0 {
            return;
        }
        // First what names no block, for what names one is learnt of it.
        self.state("latest").await;
        self.head().await;
        self.state("latest").await;
        self.latest_block().await;
        self.block().await;
        self.logs().await;
        let seen = format!("{:#x}", self.seen);
        self.state(&seen).await;
    }

    async fn head(&mut self) {
        let (answer, at) = self.ask("eth_blockNumber", json!([])).await;
        self.told("head", read_quantity(&answer["result"]), &answer, at);
    }

    async fn latest_block(&mut self) {
        let (answer, at) = self
            .ask("eth_getBlockByNumber", json!(["latest", false]))
            .await;
        self.told(
            "latest block",
            read_quantity(&answer["result"]["number"]),
            &answer,
            at,
        );
    }

    async fn block(&mut self) {
        let seen = format!("{:#x}", self.seen);
        let (answer, _) = self.ask("eth_getBlockByNumber", json!([seen, false])).await;
        if read_quantity(&answer["result"]["number"]) != Some(self.seen) {
            self.tally.wrong_one("block", self.seen, &answer);
        }
    }

    async fn state(&mut self, at: &str) {
        let (answer, _) = self
            .ask("eth_getTransactionCount", json!([ACCOUNT, at]))
            .await;
        let told = read_quantity(&answer["result"]);
        let tells = self.calls.tell_state;
        match told {
            Some(told) if !tells || told >= self.seen => {
                if tells {
                    self.seen = told;
                }
            }
            Some(_) | None => self.tally.wrong_one("state", self.seen, &answer),
        }
    }

    async fn logs(&mut self) {
        let seen = format!("{:#x}", self.seen);
        let range = json!([{"fromBlock": seen, "toBlock": seen}]);
        let (answer, _) = self.ask("eth_getLogs", range).await;
        if !answer["result"].is_array() {
            self.tally.wrong_one("logs", self.seen, &answer);
        }
    }

    /// All are told of block `told`, which must be no older than what was told before.
    fn told(&mut self, what: &str, told: Option<u64>, answer: &Value, at: Instant) {
        match told {
            Some(told) if told >= self.seen => self.seen = told,
            Some(_) | None => self.tally.wrong_one(what, self.seen, answer),
        }
        if let Some(told) = told {
            let firsts = self.calls.firsts.lock();
            let next = firsts.keys().filter(|number| **number > told).min();
            let age = next.map_or(Duration::ZERO, |next| {
                at.saturating_duration_since(firsts[next])
            });
            drop(firsts);
            self.tally.ages.push(age);
        }
    }

    /// The answer, and when it was asked for.
    async fn ask(&mut self, method: &str, params: Value) -> (Value, Instant) {
        let at = self.calls.at[self.turn % self.calls.at.len()];
        self.turn += 1;
        let began = forebay::clock::now();
        let answer = Rpc { address: at }.ask(method, params, PATIENCE).await;
        self.tally.calls += 1;
        self.tally.times.push(began.elapsed());
        (answer.unwrap_or_else(|why| json!({"error": why})), began)
    }
}

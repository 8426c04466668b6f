//! A bounded load: so many calls, from so many clients at once or so many a second, every answer
//! looked at.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::PATIENCE;

/// More than any test waits for.
const ENDLESS: u64 = u64::MAX / 2;

/// What came of a load.
#[derive(Debug, Default)]
pub struct Tally {
    pub served_by: BTreeMap<String, u64>,
    /// Calls that needed more than one node, and when the last of them was answered.
    pub repeated: u64,
    pub last_repeat: Option<Instant>,
    /// The first few failures, in words.
    pub failures: Vec<String>,
    pub failed: u64,
    /// The longest that an answer took.
    pub slowest: Duration,
}

/// A load that runs beside the test.
pub struct Load {
    done: Arc<AtomicU64>,
    tally: Arc<Mutex<Tally>>,
    clients: Vec<tokio::task::JoinHandle<()>>,
    begun: Arc<AtomicU64>,
    calls: u64,
}

impl Load {
    /// `calls` reads in all from `clients` at once, each with an id of its own.
    pub fn start(url: &str, calls: u64, clients: u64) -> Load {
        let (mut load, caller) = Load::prepared(url, calls);
        let run = |_| {
            let caller = caller.clone();
            tokio::spawn(async move { while caller.call().await {} })
        };
        load.clients = (0..clients).map(run).collect();
        load
    }

    /// A read each `pace`, whatever becomes of those before, until [`Load::stop`].
    pub fn paced(url: &str, pace: Duration) -> Load {
        let (mut load, caller) = Load::prepared(url, ENDLESS);
        let running = async move {
            let mut ticks = tokio::time::interval(pace);
            let mut calls = tokio::task::JoinSet::new();
            while !caller.is_over() {
                ticks.tick().await;
                let caller = caller.clone();
                calls.spawn(async move { caller.call().await });
                while calls.try_join_next().is_some() {}
            }
            calls.join_all().await;
        };
        load.clients = vec![tokio::spawn(running)];
        load
    }

    fn prepared(url: &str, calls: u64) -> (Load, Caller) {
        forebay::node::install_tls();
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE);
        let caller = Caller {
            client: client.build().unwrap(),
            url: url.to_string(),
            begun: Arc::default(),
            done: Arc::default(),
            tally: Arc::default(),
            calls,
        };
        let load = Load {
            done: caller.done.clone(),
            tally: caller.tally.clone(),
            clients: Vec::new(),
            begun: caller.begun.clone(),
            calls,
        };
        (load, caller)
    }

    /// Begins no more calls, and waits for those under way.
    pub async fn stop(self) -> Tally {
        self.begun.store(self.calls, Ordering::Relaxed);
        self.finish().await
    }

    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Waits until so many calls are answered.
    pub async fn reaches(&self, calls: u64) {
        let what = format!("{calls} calls are answered");
        super::eventually(&what, PATIENCE * 2, async || self.done() >= calls).await;
    }

    pub async fn finish(self) -> Tally {
        for client in self.clients {
            client.await.unwrap();
        }
        Arc::try_unwrap(self.tally).unwrap().into_inner()
    }
}

/// A client that calls for a load.
#[derive(Clone)]
struct Caller {
    client: reqwest::Client,
    url: String,
    begun: Arc<AtomicU64>,
    done: Arc<AtomicU64>,
    tally: Arc<Mutex<Tally>>,
    calls: u64,
}

impl Caller {
    fn is_over(&self) -> bool {
        self.begun.load(Ordering::Relaxed) >= self.calls
    }

    /// One call; `false` if all have been made.
    async fn call(&self) -> bool {
        let id = self.begun.fetch_add(1, Ordering::Relaxed);
        if id >= self.calls {
            return false;
        }
        let began = forebay::clock::now();
        let answered = call(&self.client, &self.url, id).await;
        let took = forebay::clock::now() - began;
        self.done.fetch_add(1, Ordering::Relaxed);
        self.tally.lock().add(answered, took);
        true
    }
}

impl Tally {
    fn add(&mut self, answered: Result<(String, bool), String>, took: Duration) {
        self.slowest = self.slowest.max(took);
        match answered {
            Ok((node, repeated)) => {
                *self.served_by.entry(node).or_default() += 1;
                if repeated {
                    self.repeated += 1;
                    self.last_repeat = Some(forebay::clock::now());
                }
            }
            Err(why) => {
                self.failed += 1;
                if self.failures.len() < 5 {
                    self.failures.push(why);
                }
            }
        }
    }

    pub fn of(&self, node: &str) -> u64 {
        self.served_by.get(node).copied().unwrap_or(0)
    }

    pub fn calls(&self) -> u64 {
        self.served_by.values().sum::<u64>() + self.failed
    }

    /// Panics with the first failures if there was one.
    pub fn no_call_failed(&self) {
        assert_eq!(self.failed, 0, "{:?}", self.failures);
    }
}

async fn call(client: &reqwest::Client, url: &str, id: u64) -> Result<(String, bool), String> {
    // Each asks for something else: what is alike in flight shares one node's answer.
    let address = format!("{id:#042x}");
    let body = json!({"jsonrpc": "2.0", "id": id, "method": "eth_getBalance", "params": [address, "latest"]});
    let answer = client
        .post(url)
        .header("content-type", "application/json")
        .body(body.to_string())
        .send()
        .await
        .map_err(|why| why.to_string())?;
    let header = |name: &str| {
        answer
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_string()
    };
    let (node, attempts) = (header("x-forebay-node"), header("x-forebay-attempts"));
    let body = answer.bytes().await.map_err(|why| why.to_string())?;
    let body: Value = serde_json::from_slice(&body).map_err(|why| why.to_string())?;
    if body["id"] == json!(id) && body["result"].is_string() {
        Ok((node, !attempts.is_empty()))
    } else {
        Err(body.to_string())
    }
}

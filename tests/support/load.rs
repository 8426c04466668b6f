//! A bounded load: so many calls, from so many clients at once, every answer looked at.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::{Value, json};

use super::PATIENCE;

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
        forebay::upstream::install_tls();
        let begun = Arc::new(AtomicU64::new(0));
        let done = Arc::new(AtomicU64::new(0));
        let tally = Arc::new(Mutex::new(Tally::default()));
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .unwrap();
        let run = |_| {
            let (client, url) = (client.clone(), url.to_string());
            let (begun, done, tally) = (begun.clone(), done.clone(), tally.clone());
            tokio::spawn(async move {
                loop {
                    let id = begun.fetch_add(1, Ordering::Relaxed);
                    if id >= calls {
                        return;
                    }
                    let answered = call(&client, &url, id).await;
                    done.fetch_add(1, Ordering::Relaxed);
                    tally.lock().unwrap().add(answered);
                }
            })
        };
        Load {
            clients: (0..clients).map(run).collect(),
            done,
            tally,
            begun,
            calls,
        }
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
        Arc::try_unwrap(self.tally).unwrap().into_inner().unwrap()
    }
}

impl Tally {
    fn add(&mut self, answered: Result<(String, bool), String>) {
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

//! The demo's own callers: a modest, steady load of mixed reads through the endpoint.
//!
//! Calls begin at a fixed pace, whether or not earlier ones are answered: a slow answer must show
//! as a pause, not as fewer calls.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::cli::demo::statistics::{LoadOutcome, LoadStatistics};
use crate::cli::health;
use crate::clock;

const REQUESTS_PER_SECOND: u32 = 40;
/// Requests under way at once; beyond it the pace gives way.
const IN_FLIGHT_MAX: usize = 400;
/// Each so many requests one is a batch.
const BATCH_EVERY: u64 = 20;
/// An answer that takes longer counts as failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// The reads, in turn: method and parameters.
const READS: [(&str, &str); 4] = [
    (
        "eth_getBalance",
        r#"["0x00000000219ab540356cbb839cbe05303d7705fa","latest"]"#,
    ),
    (
        "eth_call",
        r#"[{"to":"0x00000000219ab540356cbb839cbe05303d7705fa","data":"0xc5f2892f"},"latest"]"#,
    ),
    ("eth_getBlockByNumber", r#"["latest",false]"#),
    ("eth_chainId", "[]"),
];

/// Sends calls and tells the tally what came of them.
pub(super) struct LoadGenerator {
    client: reqwest::Client,
    url: String,
    pub(super) tally: Mutex<LoadStatistics>,
}

impl LoadGenerator {
    /// `chain`: the name in its path; empty: the default one.
    ///
    /// # Errors
    /// When the HTTP client can't be set up.
    pub(super) fn new(address: SocketAddr, chain: &str) -> reqwest::Result<LoadGenerator> {
        Ok(LoadGenerator {
            client: health::client(PATIENCE).build()?,
            url: format!("http://{address}/{chain}"),
            tally: Mutex::default(),
        })
    }

    /// Whether the balancer says that it is ready.
    pub(super) async fn finds_it_ready(&self) -> bool {
        let url = format!("{}/health", self.url.trim_end_matches('/'));
        let asked = self.client.get(url).send().await;
        asked.is_ok_and(|answer| answer.status().is_success())
    }

    /// Calls until the other end of `stop` is let go; then waits for what is under way.
    pub(super) async fn run(self: Arc<Self>, mut stop: oneshot::Receiver<()>) {
        let mut pace = interval(Duration::from_secs(1) / REQUESTS_PER_SECOND);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut under_way = JoinSet::new();
        let mut number = 0;
        loop {
            tokio::select! {
                _ = pace.tick() => {
                    while under_way.try_join_next().is_some() {}
                    if under_way.len() < IN_FLIGHT_MAX {
                        let caller = self.clone();
                        under_way.spawn(async move { caller.call(number).await });
                        number += 1;
                    }
                }
                _ = &mut stop => break,
            }
        }
        // Each has its own time limit; what is over that is counted already.
        drop(timeout(PATIENCE, under_way.join_all()).await);
    }

    async fn call(&self, number: u64) {
        let (body, calls) = request(number);
        let heard = self
            .ask(body, calls)
            .await
            .unwrap_or_else(|why| LoadOutcome {
                calls,
                trouble: Some(in_words(&why)),
                ..LoadOutcome::default()
            });
        self.tally.lock().hear(heard, clock::now());
    }

    async fn ask(&self, body: String, calls: u64) -> reqwest::Result<LoadOutcome> {
        let request = self.client.post(&self.url).body(body);
        let answer = request
            .header(CONTENT_TYPE, "application/json")
            .send()
            .await?;
        let status = answer.status();
        let nodes = nodes(answer.headers());
        let is_repeated = answer.headers().contains_key("x-forebay-attempts");
        let answered = results(&answer.bytes().await?, calls);
        let trouble = (answered < calls)
            .then(|| format!("HTTP {}, an answer without a result", status.as_u16()));
        Ok(LoadOutcome {
            calls,
            answered,
            nodes,
            is_repeated,
            trouble,
        })
    }
}

fn in_words(error: &reqwest::Error) -> String {
    let words = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection to the endpoint"
    } else {
        "the connection to the endpoint broke off"
    };
    words.to_string()
}

/// The body of request `number`, and how many calls it holds; ids count from 1.
fn request(number: u64) -> (String, u64) {
    let call = |id: u64, (method, params): (&str, &str)| {
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#)
    };
    if (number + 1).is_multiple_of(BATCH_EVERY) {
        let calls: Vec<_> = (1..).zip(READS).map(|(id, read)| call(id, read)).collect();
        return (format!("[{}]", calls.join(",")), READS.len() as u64);
    }
    let turn = usize::try_from(number).unwrap_or(0) % READS.len();
    (call(1, READS[turn]), 1)
}

/// `x-forebay-node`: one name, or several with commas.
fn nodes(headers: &HeaderMap) -> Vec<String> {
    let text = headers
        .get("x-forebay-node")
        .and_then(|value| value.to_str().ok());
    text.unwrap_or_default()
        .split(',')
        .map(|name| name.trim().to_string())
        .filter(|name| !name.is_empty())
        .collect()
}

#[derive(Deserialize)]
struct CallResponse {
    id: u64,
    #[serde(default)]
    result: Option<Box<RawValue>>,
}

/// How many of `calls` got a result that is not null, each at its place.
fn results(body: &[u8], calls: u64) -> u64 {
    let said: Vec<CallResponse> = if calls == 1 {
        serde_json::from_slice(body).into_iter().collect()
    } else {
        serde_json::from_slice(body).unwrap_or_default()
    };
    let good = (1..=calls)
        .zip(&said)
        .filter(|(id, said)| said.id == *id && said.result.is_some());
    good.count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_reads_take_their_turns_and_each_twentieth_request_is_a_batch() {
        for (number, method) in [(0, "eth_getBalance"), (1, "eth_call"), (7, "eth_chainId")] {
            let (body, calls) = request(number);
            assert_eq!(calls, 1);
            assert!(body.contains(method), "{body}");
            assert!(serde_json::from_str::<serde_json::Value>(&body).is_ok());
        }
        assert_eq!((request(18).1, request(19).1, request(20).1), (1, 4, 1));
        let batch: Vec<serde_json::Value> = serde_json::from_str(&request(19).0).unwrap();
        assert_eq!(batch[3]["id"], 4);
    }

    #[test]
    fn only_results_at_their_place_count() {
        for (body, calls, good) in [
            (r#"{"jsonrpc":"2.0","id":1,"result":"0x1"}"#, 1, 1),
            (r#"{"jsonrpc":"2.0","id":2,"result":"0x1"}"#, 1, 0),
            (r#"{"jsonrpc":"2.0","id":1,"result":null}"#, 1, 0),
            (r#"{"id":1,"error":{"code":-32011,"message":"no"}}"#, 1, 0),
            ("<html>", 1, 0),
            (r#"[{"id":1,"result":1},{"id":2,"result":1}]"#, 2, 2),
            (r#"[{"id":2,"result":1},{"id":1,"result":1}]"#, 2, 0),
            (r#"[{"id":1,"result":1}]"#, 2, 1),
            (r#"{"id":1,"result":1}"#, 2, 0),
        ] {
            assert_eq!(results(body.as_bytes(), calls), good, "{body}");
        }
    }

    #[test]
    fn a_batch_names_several_nodes() {
        let mut headers = HeaderMap::new();
        assert!(nodes(&headers).is_empty());
        headers.insert("x-forebay-node", "node-1, local".parse().unwrap());
        assert_eq!(nodes(&headers), ["node-1", "local"]);
    }
}

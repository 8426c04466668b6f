//! Traces arrive at a collector as OTLP over HTTP says: a span for each call, one for each attempt
//! below it, and nodes are told of theirs. Only with the feature `otlp`.

#![cfg(feature = "otlp")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::support::{Answer, PATIENCE, Pretend, SECRET, call, soon, status_fault};
use forebay_fake::Fault;
use parking_lot::Mutex;
use rustix::process::Signal;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_and_its_attempts_are_spans_of_the_callers_trace() {
    let collector = Collector::start().await;
    let scene = Pretend::set(&[1, 1], &exporting(&collector, "0")).await;
    // The node that is asked first fails, and the other answers.
    let stalls = |at: usize| scene.nodes[at].set_fault_for(&["eth_getBalance"], Fault::HangUp);
    stalls(0);
    let mut failed_over = None;
    while failed_over.is_none() {
        let answer = ask(&scene, &[("traceparent", &parent("01"))], "eth_getBalance").await;
        failed_over = answer.header("x-forebay-attempts").map(str::to_string);
    }
    let spans = collector
        .spans_until(|spans| {
            spans
                .iter()
                .any(|span| span.int("forebay.attempts") == Some(2))
        })
        .await;
    let of_call = spans
        .iter()
        .find(|span| span.int("forebay.attempts") == Some(2))
        .unwrap();
    assert_eq!((&*of_call.name, of_call.kind), ("call eth_getBalance", 2));
    assert_eq!((&*of_call.trace, &*of_call.parent), (TRACE, CALLER));
    assert_eq!(of_call.text("forebay.outcome"), Some("ok"));
    assert_eq!(of_call.text("forebay.node"), Some("b"));
    assert_eq!(of_call.text("forebay.chain"), Some("main"));
    let below = spans.iter().filter(|span| span.parent == of_call.id);
    let mut below: Vec<_> = below.collect();
    below.sort_by_key(|span| span.start);
    let told: Vec<_> = below
        .iter()
        .map(|span| {
            (
                span.text("forebay.node").unwrap(),
                span.text("forebay.outcome").unwrap(),
            )
        })
        .collect();
    assert_eq!(told, [("a", "transport"), ("b", "ok")]);
    for span in &below {
        assert_eq!((&*span.name, span.kind), ("attempt eth_getBalance", 3));
        assert_eq!(span.trace, TRACE);
        assert!(of_call.start <= span.start && span.start <= span.end && span.end <= of_call.end);
    }
    // Each node is told of its own attempt.
    for (node, span) in scene.nodes.iter().zip(&below) {
        let wanted = format!("00-{TRACE}-{}-01", span.id);
        let heard = node.log();
        assert!(
            heard
                .iter()
                .any(|heard| format!("{:?}", heard.headers).contains(&wanted)),
            "{wanted}"
        );
    }
    assert_eq!(below[0].status, 2, "the failed attempt is an error");
    assert_eq!((below[1].status, of_call.status), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_callers_do_not_record_is_passed_on_and_of_the_rest_a_share_is_recorded() {
    let collector = Collector::start().await;
    let scene = Pretend::set(&[1], &exporting(&collector, "1")).await;
    let unrecorded = parent("00");
    ask(&scene, &[("traceparent", &unrecorded)], "eth_getCode").await;
    let batch = format!(
        "[{},{}]",
        call("1", "eth_getBalance"),
        call("2", "admin_peers")
    );
    scene.post(&batch).await;
    let spans = collector.spans_until(|spans| spans.len() >= 3).await;
    let names: BTreeMap<_, _> = spans.iter().map(|span| (&*span.name, span)).collect();
    let (balance, attempt, denied) = (
        names["call eth_getBalance"],
        names["attempt eth_getBalance"],
        names["call other"],
    );
    assert_eq!((&*balance.parent, &*denied.parent), ("", ""));
    assert_eq!(
        (&attempt.parent, &attempt.trace),
        (&balance.id, &balance.trace)
    );
    assert_ne!(balance.trace, denied.trace);
    assert_eq!(denied.text("forebay.outcome"), Some("refused"));
    assert_eq!(denied.text("forebay.node"), Some("local"));
    assert_eq!(denied.int("rpc.jsonrpc.error_code"), Some(-32601));
    assert!(spans.iter().all(|span| span.trace != TRACE));
    let heard = scene.nodes[0].log();
    let heard = heard
        .iter()
        .find(|heard| heard.body.contains("eth_getCode"));
    assert!(format!("{:?}", heard.unwrap().headers).contains(&unrecorded));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_secret_is_in_any_span_and_the_collector_gets_its_header() {
    let collector = Collector::start().await;
    let scene = Pretend::set(&[1], &exporting(&collector, "1")).await;
    let odd = format!(
        r#"{{"jsonrpc":"2.0","id":"{SECRET}","method":"x_{SECRET}","params":["{SECRET}"]}}"#
    );
    let headers = [("x-forebay-client", SECRET)];
    scene.balancer.post_with("/", &headers, &odd).await;
    scene.nodes[0].set_fault(status_fault(401));
    scene.post(&call("1", "eth_getBalance")).await;
    let spans = collector
        .spans_until(|spans| {
            spans
                .iter()
                .any(|span| span.text("forebay.outcome") == Some("failed"))
        })
        .await;
    assert!(spans.iter().any(|span| span.name == "call other"));
    let requests = collector.heard.lock().clone();
    for (head, body) in &requests {
        assert!(!body.contains(SECRET), "{body}");
        assert!(head.starts_with("POST /base/v1/traces HTTP/1.1"), "{head}");
        assert!(head.contains("x-token: collectors-own"), "{head}");
    }
    let printed = scene.balancer.process.printed();
    assert!(
        !printed.contains("collectors-own") && !printed.contains("/base"),
        "{printed}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_gone_costs_calls_nothing_and_the_last_spans_go_out_at_the_end() {
    let collector = Collector::start().await;
    let mut scene = Pretend::set(&[1], &exporting(&collector, "1")).await;
    scene.is_well().await;
    collector.spans_until(|spans| !spans.is_empty()).await;
    *collector.status.lock() = 400;
    scene.is_well().await;
    soon("it is told and counted", async || {
        let labels = [("outcome", "failed")];
        let failed = scene.balancer.metric("forebay_trace_spans_total", &labels);
        let printed = scene.balancer.process.printed();
        failed.await == Some(2.0) && printed.contains("takes no traces: it answers 400")
    })
    .await;
    *collector.status.lock() = 200;
    let before = collector.spans().len();
    scene.is_well().await;
    scene.balancer.process.signal(Signal::INT);
    assert!(scene.balancer.process.ended(PATIENCE).await.success());
    assert_eq!(collector.spans().len(), before + 2);
}

// Stage-hands.

fn exporting(collector: &Collector, share: &str) -> String {
    format!(
        "  otlp: {{ endpoint: \"http://{}/base\", headers: {{ x-token: collectors-own }}, \
         service: tested, share: {share} }}\n",
        collector.address
    )
}

fn parent(flags: &str) -> String {
    format!("00-{TRACE}-{CALLER}-{flags}")
}

async fn ask(scene: &Pretend, headers: &[(&str, &str)], method: &str) -> Answer {
    let body = call("1", method);
    scene.balancer.post_with("/", headers, &body).await
}

/// An OTLP/HTTP receiver that keeps what it is given.
struct Collector {
    address: SocketAddr,
    /// Heads and bodies.
    heard: Arc<Mutex<Vec<(String, String)>>>,
    status: Arc<Mutex<u16>>,
}

#[derive(Debug)]
struct Span {
    name: String,
    trace: String,
    id: String,
    parent: String,
    kind: u64,
    start: u64,
    end: u64,
    status: u64,
    attributes: BTreeMap<String, Value>,
}

impl Span {
    fn read(span: &Value) -> Span {
        let text = |key: &str| span[key].as_str().unwrap().to_string();
        let nanos = |key: &str| text(key).parse().unwrap();
        let attributes = span["attributes"].as_array().unwrap().iter();
        let pair = |pair: &Value| {
            (
                pair["key"].as_str().unwrap().to_string(),
                pair["value"].clone(),
            )
        };
        let read = Span {
            name: text("name"),
            trace: text("traceId"),
            id: text("spanId"),
            parent: text("parentSpanId"),
            kind: span["kind"].as_u64().unwrap(),
            start: nanos("startTimeUnixNano"),
            end: nanos("endTimeUnixNano"),
            status: span["status"]["code"].as_u64().unwrap(),
            attributes: attributes.map(pair).collect(),
        };
        assert_eq!((read.trace.len(), read.id.len()), (32, 16), "{read:?}");
        read
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.attributes.get(key)?["stringValue"].as_str()
    }

    fn int(&self, key: &str) -> Option<i64> {
        self.attributes.get(key)?["intValue"].as_str()?.parse().ok()
    }
}

impl Collector {
    async fn start() -> Collector {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let collector = Collector {
            address: listener.local_addr().unwrap(),
            heard: Arc::default(),
            status: Arc::new(Mutex::new(200)),
        };
        let (heard, status) = (collector.heard.clone(), collector.status.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(receive(stream, heard.clone(), status.clone()));
            }
        });
        collector
    }

    fn spans(&self) -> Vec<Span> {
        let heard = self.heard.lock();
        let mut spans = Vec::new();
        for (_, body) in heard.iter() {
            let request: Value = serde_json::from_str(body).unwrap();
            let resource = &request["resourceSpans"][0];
            let service = &resource["resource"]["attributes"][0]["value"]["stringValue"];
            assert_eq!(service, "tested");
            let found = resource["scopeSpans"][0]["spans"].as_array().unwrap();
            spans.extend(found.iter().map(Span::read));
        }
        spans
    }

    async fn spans_until(&self, is_enough: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        soon("the spans are there", async || is_enough(&self.spans())).await;
        self.spans()
    }
}

/// Answers the requests of one connection; only what is answered with 200 counts.
async fn receive(
    mut stream: TcpStream,
    heard: Arc<Mutex<Vec<(String, String)>>>,
    status: Arc<Mutex<u16>>,
) {
    let mut bytes = Vec::new();
    loop {
        let Some((head, body, whole)) = taken_apart(&bytes) else {
            let read = tokio::time::timeout(Duration::from_secs(60), stream.read_buf(&mut bytes));
            match read.await {
                Ok(Ok(count)) if count > 0 => continue,
                _ => return,
            }
        };
        bytes.drain(..whole);
        let status = *status.lock();
        if status == 200 {
            heard.lock().push((head, body));
        }
        let answer = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}"
        );
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn taken_apart(bytes: &[u8]) -> Option<(String, String, usize)> {
    let text = String::from_utf8_lossy(bytes);
    let (head, rest) = text.split_once("\r\n\r\n")?;
    let head = head
        .to_ascii_lowercase()
        .replacen("post", "POST", 1)
        .replacen("http/1.1", "HTTP/1.1", 1);
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))?;
    let length: usize = length.parse().unwrap();
    let body = rest.get(..length)?.to_string();
    Some((head.clone(), body, head.len() + 4 + length))
}

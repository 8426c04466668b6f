//! A caller that asks, and may, is told what became of each attempt; any other is answered as if none
//! had asked.

use std::time::Duration;

use crate::support::{Answer, PATIENCE, Pretend, QUICK, batch_of, call, post_http2_with, soon};
use forebay_fake::Fault;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

const ASKS: (&str, &str) = ("x-forebay-trail", "1");
const LOCAL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber"}"#;
const METHOD: &str = "eth_getBalance";
/// The longest trail, in bytes.
const BYTES_MAX: usize = 4096;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_attempt_is_told_by_either_version_of_http() {
    let scene = set(&[1, 1], "127.0.0.0/8", "").await;
    scene.nodes[0].set_fault_for(&[METHOD], Fault::HangUp);
    for version in [1, 2] {
        // The node that is asked first fails: that may be either.
        soon("a call was asked of both", async || {
            let answer = match version {
                1 => scene.ask(&[ASKS], &call("1", METHOD)).await,
                _ => ask_http2(&scene, &[ASKS], &call("1", METHOD)).await,
            };
            assert_eq!(answer.status, 200, "{}", answer.text());
            let steps = steps(&answer);
            let of = |step: &Step| (step.node.clone(), step.kind.clone(), step.outcome.clone());
            let last = of(steps.last().unwrap());
            if steps.len() == 1 {
                assert_eq!(last, ("b".into(), "first".into(), "ok".into()));
                return false;
            }
            assert_eq!(
                of(&steps[0]),
                ("a".into(), "first".into(), "transport".into())
            );
            assert_eq!(last, ("b".into(), "repeat".into(), "ok".into()));
            assert_eq!(answer.header("x-forebay-attempts"), Some("2"));
            true
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_ask_or_may_not_is_told_nothing() {
    let scene = set(&[1], "203.0.113.0/24", "trusted_proxies: [127.0.0.0/8],").await;
    let body = call("1", METHOD);
    let from = |address| ("x-forwarded-for", address);
    let plain = scene.ask(&[], &body).await;
    assert_eq!(plain.header("x-forebay-trail"), None);
    for headers in [
        &[ASKS][..],
        &[ASKS, from("198.51.100.9")],
        // What stands before a proxy's word is any client's.
        &[ASKS, from("203.0.113.9, 198.51.100.9")],
        &[from("203.0.113.9")],
        &[("x-forebay-trail", "0"), from("203.0.113.9")],
    ] {
        let answer = scene.ask(headers, &body).await;
        let names = |answer: &Answer| {
            let names = answer.headers.iter().map(|(name, _)| name.clone());
            names.collect::<Vec<_>>()
        };
        assert_eq!(names(&answer), names(&plain), "{headers:?}");
        assert_eq!(answer.body, plain.body);
    }
    let told = scene.ask(&[ASKS, from("203.0.113.9")], &body).await;
    assert_eq!(steps(&told).len(), 1);
    let here = scene.ask(&[ASKS, from("203.0.113.9")], LOCAL).await;
    assert_eq!(here.header("x-forebay-trail"), Some("local"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_batch_all_attempts_are_told_as_far_as_there_is_room() {
    let scene = set(&[1], "127.0.0.0/8", "").await;
    let batch = |calls: usize| {
        let calls = (0..calls).map(|at| {
            format!(
                r#"{{"jsonrpc":"2.0","id":{at},"method":"{METHOD}","params":["{at:#042x}","latest"]}}"#
            )
        });
        batch_of(calls)
    };
    let few = scene.ask(&[ASKS], &batch(3)).await;
    let few = steps(&few);
    assert_eq!(few.len(), 3);
    assert!(
        few.iter()
            .all(|step| step.node == "a" && step.outcome == "ok")
    );
    for answer in [
        scene.ask(&[ASKS], &batch(600)).await,
        ask_http2(&scene, &[ASKS], &batch(600)).await,
    ] {
        let trail = answer.header("x-forebay-trail").unwrap();
        assert!(trail.len() <= BYTES_MAX, "{}", trail.len());
        let (shown, more) = trail.rsplit_once(", …+").unwrap();
        let shown = shown.split(", ").count();
        assert_eq!(shown + more.parse::<usize>().unwrap(), 600);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_that_are_under_way_or_given_up_are_told_as_such() {
    let hedging = "  calls: { hedge: on }\n";
    let scene = Pretend::set_with(&[1, 1], &beginning("127.0.0.0/8", ""), hedging).await;
    soon("both have shown what is slow", async || {
        scene.ask(&[ASKS], &call("1", "eth_getCode")).await;
        scene
            .nodes
            .iter()
            .all(|node| node.calls_of("eth_getCode") > 60)
    })
    .await;
    scene.nodes[0].set_fault_for(&["eth_getCode"], Fault::Stall);
    soon("a slow node was given up", async || {
        let steps = steps(&scene.ask(&[ASKS], &call("1", "eth_getCode")).await);
        let has = |node, kind, outcome| {
            let is =
                |step: &Step| (&*step.node, &*step.kind, &*step.outcome) == (node, kind, outcome);
            steps.iter().any(is)
        };
        has("a", "first", "cancelled") && has("b", "hedge", "ok")
    })
    .await;
    scene.nodes[0].set_fault_for(&["eth_sendRawTransaction"], Fault::Stall);
    let send = r#"{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransaction","params":["0x02c0"]}"#;
    let steps = steps(&scene.ask(&[ASKS], send).await);
    let sent = steps.iter().filter(|step| step.kind == "broadcast");
    let mut sent: Vec<_> = sent.map(|step| &*step.node).collect();
    sent.sort_unstable();
    assert_eq!(sent, ["a", "b"], "{steps:?}");
    let stalled = steps.iter().find(|step| step.node == "a").unwrap();
    assert_eq!(stalled.outcome, "pending");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_waited_for_an_identical_call_is_told_so_whatever_became_of_it() {
    let scene = set(&[1, 1], "127.0.0.0/8", "").await;
    // They answer others: it is the call that can't be answered.
    for at in 0..60 {
        let other = call("1", "eth_getCode").replace("0x01", &format!("{at:#042x}"));
        assert_eq!(scene.ask(&[], &other).await.status, 200);
    }
    for node in &scene.nodes {
        node.set_latency(Duration::from_millis(200));
        node.set_fault_for(&[METHOD], Fault::HangUp);
    }
    soon("one waited for another", async || {
        let body = call("1", METHOD);
        let (one, other) = tokio::join!(scene.ask(&[ASKS], &body), scene.ask(&[ASKS], &body));
        [one, other].iter().any(|answer| {
            let steps = steps(answer);
            let shared = steps.iter().find(|step| step.kind == "shared");
            shared.is_some_and(|step| {
                assert_eq!((&*step.node, &*step.outcome), ("local", "unanswerable"));
                true
            })
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_is_told_nothing() {
    let scene = set(&[1], "127.0.0.0/8", "").await;
    let address = scene.balancer.rpc.address;
    let opening = format!(
        "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         x-forebay-trail: 1\r\n\r\n"
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(opening.as_bytes()).await.unwrap();
    let mut opened = Vec::new();
    let read = async {
        while !opened.ends_with(b"\r\n\r\n") {
            opened.push(stream.read_u8().await.unwrap());
        }
    };
    timeout(PATIENCE, read).await.unwrap();
    let opened = String::from_utf8_lossy(&opened).to_ascii_lowercase();
    assert!(opened.starts_with("http/1.1 101"), "{opened}");
    assert!(!opened.contains("x-forebay-trail"), "{opened}");
}

// Stage-hands.

/// One attempt, as it was told.
#[derive(Debug)]
struct Step {
    node: String,
    kind: String,
    outcome: String,
}

fn steps(answer: &Answer) -> Vec<Step> {
    let trail = answer.header("x-forebay-trail");
    let trail = trail.unwrap_or_else(|| panic!("no trail: {:?}", answer.headers));
    let read = |step: &str| {
        let parts: Vec<_> = step.split(';').map(str::to_string).collect();
        let [node, kind, outcome, rest @ ..] = &parts[..] else {
            panic!("{trail}");
        };
        match (&**outcome, rest) {
            ("pending", []) => {}
            (_, [took]) => assert!(took.strip_suffix("ms").unwrap().parse::<u64>().is_ok()),
            _ => panic!("{trail}"),
        }
        Step {
            node: node.clone(),
            kind: kind.clone(),
            outcome: outcome.clone(),
        }
    };
    trail.split(", ").map(read).collect()
}

/// Trails for `networks`; `more` stands beside it.
fn beginning(networks: &str, more: &str) -> String {
    let trails = format!("metrics: \"@METRICS@\", {more} trail_for: [\"{networks}\"]");
    QUICK.replace("metrics: \"@METRICS@\"", &trails)
}

async fn set(weights: &[u16], networks: &str, more: &str) -> Pretend {
    Pretend::set_with(weights, &beginning(networks, more), "").await
}

async fn ask_http2(scene: &Pretend, headers: &[(&str, &str)], body: &str) -> Answer {
    let stream = TcpStream::connect(scene.balancer.rpc.address)
        .await
        .unwrap();
    let answer = post_http2_with(stream, headers, body.to_string()).await;
    answer.unwrap_or_else(|why| panic!("{body}: {why}"))
}

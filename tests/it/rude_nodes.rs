//! However rude a node is: reads and broadcasts succeed elsewhere, nothing runs twice that must
//! not, no key is told, and an answer that isn't whole never looks whole.

use std::time::Duration;

use crate::support::{
    Answer, Listener, PATIENCE, Pretend, batch_of, call, exchange, post, post_http2, request, soon,
    sum,
};
use forebay::clock;
use forebay_core::rpc::envelope::UpstreamCallId;
use forebay_fake::{AnswerShape, Fault};
use futures_util::StreamExt as _;
use serde_json::{Value, json};

const QUICK_CALLS: &str = "  calls: { attempt: 300ms, deadline: 2s, heavy: 2s }\n";
const READ: &str = "eth_getBalance";
const BROADCAST: &str = "eth_sendRawTransaction";
const UNKNOWN: &str = "zks_foo";
const METHODS: [&str; 3] = [READ, BROADCAST, UNKNOWN];
/// What the good node says to all three.
const GOOD: &str = "\"0x600d\"";

/// What becomes of a call that isn't in the method table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unlisted {
    /// No node can have executed it: it is asked elsewhere.
    Repeated,
    /// It may have run: this code is the answer, and no other node is asked.
    Told(i64),
}

use Unlisted::{Repeated, Told};

const BAD_ANSWER: Unlisted = Told(-32013);

fn status(code: u16, retry_after_seconds: Option<u64>) -> Fault {
    Fault::Status {
        code,
        retry_after_seconds,
    }
}

fn error(code: i64, message: &str, data: Option<&str>) -> Fault {
    Fault::RpcError {
        code,
        message: message.to_owned(),
        data: data.map(str::to_owned),
    }
}

/// Every way to be rude.
fn rudenesses() -> Vec<(Fault, Unlisted)> {
    let slow = Fault::Dribble {
        piece_bytes: 1,
        pause: Duration::from_millis(100),
    };
    let rate = r#"{"rate":{"backoff_seconds":1.5}}"#;
    vec![
        (Fault::Stall, Told(-32015)),
        (slow, Told(-32015)),
        (Fault::HangUp, BAD_ANSWER),
        (Fault::Reset, BAD_ANSWER),
        (status(500, None), BAD_ANSWER),
        (status(502, None), BAD_ANSWER),
        (status(503, Some(1)), BAD_ANSWER),
        (status(404, None), BAD_ANSWER),
        (status(413, None), Repeated),
        (status(429, None), Repeated),
        (status(429, Some(1)), Repeated),
        (status(401, None), Repeated),
        (status(402, None), Repeated),
        (status(403, None), Repeated),
        (Fault::Html, BAD_ANSWER),
        (Fault::NotJson, BAD_ANSWER),
        (Fault::EmptyBody, BAD_ANSWER),
        (Fault::HalfBody, BAD_ANSWER),
        (Fault::TruncatedChunks, BAD_ANSWER),
        (Fault::WrongId, BAD_ANSWER),
        (Fault::MissingId, BAD_ANSWER),
        (Fault::ArrayForOne, BAD_ANSWER),
        (
            error(-32005, "project ID request rate exceeded", Some(rate)),
            Repeated,
        ),
        (
            error(
                -32005,
                "daily request count exceeded, request rate limited",
                None,
            ),
            Repeated,
        ),
        (error(429, "slow down", None), Repeated),
        (error(-32000, "Too Many Requests", None), Repeated),
        (
            error(-32601, "the method does not exist/is not available", None),
            Repeated,
        ),
        (
            error(-32000, "Monthly capacity limit exceeded", None),
            Repeated,
        ),
    ]
}

/// A rude node and a good one; the first draw is as good as sure to fall on the rude one.
async fn rude_and_good(fault: &Fault) -> Pretend {
    let scene = Pretend::set(&[1000, 1], QUICK_CALLS).await;
    for method in METHODS {
        scene.all_answer(method, GOOD);
    }
    let [rude, _] = &scene.nodes[..] else {
        unreachable!("two nodes")
    };
    // So that all three calls are there before the first fault moves them.
    rude.set_latency(Duration::from_millis(100));
    rude.set_fault_for(&METHODS, fault.clone());
    scene
}

/// Asks a rude and a good node for all three methods at once; `false` when the dice spared the
/// rude one.
async fn meet(fault: &Fault, unlisted: Unlisted) -> bool {
    let scene = rude_and_good(fault).await;
    let [rude, good] = &scene.nodes[..] else {
        unreachable!("two nodes")
    };
    let (read, broadcast, unknown) =
        tokio::join!(scene.call(READ), scene.call(BROADCAST), scene.call(UNKNOWN));
    if METHODS.iter().any(|method| rude.calls_of(method) == 0) {
        return false;
    }
    let served = |what: &str, answer: &Answer, attempts: Option<&str>| {
        let shown = format!("{fault:?}, {what}: {answer:?}");
        assert_eq!(
            (answer.status, answer.header("x-forebay-node")),
            (200, Some("b")),
            "{shown}"
        );
        assert_eq!(answer.header("x-forebay-attempts"), attempts, "{shown}");
        assert_eq!(
            answer.text(),
            format!(r#"{{"jsonrpc":"2.0","id":"id","result":{GOOD}}}"#),
            "{shown}"
        );
        assert_eq!(
            (rude.calls_of(what), good.calls_of(what)),
            (1, 1),
            "{shown}"
        );
    };
    served(READ, &read, Some("2"));
    // Both nodes had it at once.
    served(BROADCAST, &broadcast, None);
    match unlisted {
        Repeated => served(UNKNOWN, &unknown, Some("2")),
        Told(code) => {
            assert_eq!(
                unknown.json()["error"]["code"],
                code,
                "{fault:?}: {unknown:?}"
            );
            assert_eq!(
                (rude.calls_of(UNKNOWN), good.calls_of(UNKNOWN)),
                (1, 0),
                "{fault:?}"
            );
        }
    }
    scene.keeps_its_secrets().await;
    true
}

async fn meet_all(which: impl Fn(usize) -> bool) {
    let rows = rudenesses()
        .into_iter()
        .enumerate()
        .filter(|(row, _)| which(*row));
    let meetings = futures_util::stream::iter(rows).map(|(_, (fault, unlisted))| async move {
        for _ in 0..5 {
            if meet(&fault, unlisted).await {
                return;
            }
        }
        panic!("{fault:?}: five times the rude node was spared");
    });
    meetings.buffer_unordered(3).collect::<Vec<()>>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_rudeness_costs_reads_and_broadcasts_nothing_and_unknown_methods_run_once() {
    meet_all(|row| row % 2 == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_other_rudeness_does_neither() {
    meet_all(|row| row % 2 == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_refuses_connections_costs_no_call_of_any_kind() {
    let scene = Pretend::set(&[1000, 1], QUICK_CALLS).await;
    scene.all_answer(UNKNOWN, GOOD);
    scene.nodes[0].refuse().await;
    for method in METHODS {
        let answer = scene.call(method).await;
        assert!(answer.result().is_string(), "{method}");
    }
    scene.keeps_its_secrets().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_closes_idle_connections_costs_nothing_visible() {
    let scene = Pretend::set(&[1], QUICK_CALLS).await;
    scene.nodes[0].change(|behaviour| behaviour.requests_per_connection = Some(1));
    scene.nodes[0].set_result(UNKNOWN, GOOD);
    for round in 0..20 {
        let answer = scene.call(METHODS[round % 3]).await;
        assert_eq!(
            (answer.status, answer.header("x-forebay-attempts")),
            (200, None)
        );
        assert!(answer.result().is_string());
    }
    let served = scene
        .balancer
        .metric(
            "forebay_attempts_total",
            &[("node", "a"), ("outcome", "ok")],
        )
        .await;
    assert_eq!(served, Some(20.0));
    let heard = METHODS.map(|method| scene.heard(method));
    assert_eq!(heard.iter().sum::<u64>(), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_bench_a_node_but_never_the_last_own_one_and_throttling_none() {
    let scene = Pretend::set(&[1, 1], QUICK_CALLS).await;
    let [a, b] = &scene.nodes[..] else {
        unreachable!("two nodes")
    };
    a.set_fault_for(&[READ], status(429, Some(1)));
    while a.calls_of(READ) == 0 {
        scene.is_well().await;
    }
    scene.balancer.node_becomes("a", 1.0).await;
    scene
        .becomes(
            "a",
            "forebay_node_state",
            &[("state", "fit"), ("reason", "throttled")],
            1.0,
        )
        .await;
    scene
        .becomes(
            "a",
            "forebay_node_state",
            &[("state", "fit"), ("reason", "none")],
            1.0,
        )
        .await;

    // Both are rude: every call asks both, and the first to have had enough goes. At first it may be the
    // call's own fault, which they answer well a moment before.
    for node in [a, b] {
        node.set_fault_for(&[READ], Fault::Html);
    }
    let benched = async || {
        let metrics = scene.balancer.metrics().await;
        let is_benched = |node: &str| {
            let labels = [("node", node), ("state", "benched"), ("reason", "faults")];
            sum(&metrics, "forebay_node_state", &labels) == Some(1.0)
        };
        ["a", "b"].map(is_benched)
    };
    for calls in 1..=4 {
        assert_eq!(scene.call(READ).await.json()["error"]["code"], -32013);
        let printed = scene.balancer.process.printed();
        assert!(!printed.contains("gets no calls"), "after {calls}");
    }
    soon("a node is benched", async || {
        assert_eq!(scene.call(READ).await.json()["error"]["code"], -32013);
        benched().await.contains(&true)
    })
    .await;
    let (last, name) = match benched().await {
        [true, false] => (b, "b"),
        [false, true] => (a, "a"),
        other => panic!("{other:?}: one of two is benched"),
    };
    scene.balancer.node_becomes(name, 1.0).await;
    last.mend();
    scene.is_well().await;
    scene.keeps_its_secrets().await;
}

/// The answer to `"id":"id"` with a result of so many bytes.
fn answer_of(result: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":"id","result":{result}}}"#)
}

/// A JSON string of so many bytes, no two of its pieces alike.
fn result_of(bytes: usize) -> String {
    // Printable ASCII from `#` on, without the backslash: a JSON string needs no escapes for it.
    let mixed = |place: u32| (place.wrapping_mul(2_654_435_761) >> 25) as u8;
    let letters = (0u32..).map(|place| match b'#' + mixed(place) % 90 {
        b'\\' => b'~',
        letter => letter,
    });
    let text = String::from_utf8(letters.take(bytes - 2).collect()).unwrap();
    format!("\"{text}\"")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_comes_late_is_never_the_next_calls() {
    let scene = Pretend::set(&[1, 1], QUICK_CALLS).await;
    let methods = ["eth_gasPrice", "eth_getBalance", "eth_getCode", "zks_foo"];
    for method in methods {
        scene.all_answer(method, &format!("\"{method}\""));
    }
    scene.nodes[0].set_fault_for(&methods, Fault::Late);
    let mut good = 0;
    for turn in 0..200 {
        let method = methods[turn % methods.len()];
        let answer = scene.call(method).await;
        let result = &answer.json()["result"];
        // An answer to something else is none: where a call can't be asked twice, its client is told so.
        let is_told_so = method == "zks_foo" && result.is_null();
        assert!(result == method || is_told_so, "{method}: {result}");
        good += usize::from(result == method);
    }
    assert!(good >= 150, "{good}");
    let batch = batch_of((0..methods.len()).map(|at| call(at, methods[at])));
    for _ in 0..20 {
        let answers = scene.post(&batch).await.json();
        for at in 0..methods.len() - 1 {
            assert_eq!(answers[at]["result"], methods[at], "{answers}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_of_every_size_and_shape_arrive_byte_for_byte() {
    let scene = Pretend::set(&[1], "").await;
    let node = &scene.nodes[0];
    let own_bytes = r#"{"jsonrpc":"2.0","id":,"result":}"#.len() + UpstreamCallId::DIGITS_MAX;
    let whole_bytes_max = 64 << 10;
    let extra = r#""usage":{"note":"a } and a ] in a \"string\"","units":[1,2]}"#;
    for bytes in [
        4,
        whole_bytes_max - own_bytes,
        whole_bytes_max - own_bytes + 1,
        10 << 20,
    ] {
        let result = if bytes == 4 {
            "null".to_owned()
        } else {
            result_of(bytes)
        };
        node.set_result("eth_call", &result);
        for (chunked, result_first, extra_members) in [
            (false, false, false),
            (true, false, true),
            (false, true, true),
            (true, true, false),
        ] {
            node.change(|behaviour| {
                behaviour.shape = AnswerShape {
                    chunked,
                    result_first,
                    extra_members,
                    ..AnswerShape::default()
                };
            });
            let members = if result_first {
                format!(r#""result":{result},"id":"id""#)
            } else {
                format!(r#""id":"id","result":{result}"#)
            };
            let extra = if extra_members {
                format!("{extra},")
            } else {
                String::new()
            };
            let wanted = format!(r#"{{"jsonrpc":"2.0",{extra}{members}}}"#);
            let got = scene.call("eth_call").await;
            assert_eq!(got.status, 200);
            // Not `assert_eq`: it would print them.
            assert!(
                got.text() == wanted,
                "{bytes} {chunked} {result_first} {extra_members}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_breaks_off_after_its_start_breaks_the_clients_connection() {
    let scene = Pretend::set(&[1, 1], QUICK_CALLS).await;
    scene.all_answer("eth_call", &result_of(1 << 20));
    let address = scene.balancer.rpc.address;
    let body = call("\"id\"", "eth_call");
    let request = request("", &body);
    for fault in [Fault::HalfBody, Fault::TruncatedChunks] {
        scene.all_fail(&["eth_call"], fault.clone());
        // It ends, with an error or in the middle of the chunks, and not by our patience.
        let began = clock::now();
        if let Ok(bytes) = exchange(address, request.as_bytes(), PATIENCE).await {
            assert!(bytes.len() > 64 << 10, "{fault:?}: it had begun");
            let parsed = Answer::parse(&bytes);
            assert!(parsed.is_err(), "{fault:?} looks whole");
        }
        assert!(began.elapsed() < Duration::from_secs(10));
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let answered = post_http2(stream, body.clone()).await;
        assert!(answered.is_err(), "{fault:?} looks whole over HTTP/2");
    }
    let bad = scene
        .balancer
        .metric("forebay_attempts_total", &[("outcome", "bad_answer")])
        .await;
    assert_eq!(bad, Some(4.0), "and it is counted as what it was");
    scene.is_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_over_the_limit_is_refused() {
    for (limit, bytes_max) in [("64KiB", 64 << 10), ("200KiB", 200 << 10)] {
        let scene =
            Pretend::set(&[1], &format!("  calls: {{ answer_bytes_max: {limit} }}\n")).await;
        let own_bytes = r#"{"jsonrpc":"2.0","id":,"result":}"#.len() + UpstreamCallId::DIGITS_MAX;
        let node = &scene.nodes[0];
        for chunked in [false, true] {
            node.change(|behaviour| behaviour.shape.chunked = chunked);
            let result = result_of(bytes_max - own_bytes);
            node.set_result("eth_call", &result);
            assert!(
                scene.call("eth_call").await.text() == answer_of(&result),
                "at {limit}"
            );
            node.set_result("eth_call", &result_of(bytes_max - own_bytes + 1));
            if chunked && bytes_max > 64 << 10 {
                // It has begun by then: it can only break.
                let body = call("\"id\"", "eth_call");
                let answered = post(scene.balancer.rpc.address, &body, PATIENCE).await;
                assert!(answered.is_err(), "{answered:?}");
            } else {
                let answer = scene.call("eth_call").await;
                assert_eq!(
                    (answer.status, answer.json()["error"]["code"].as_i64()),
                    (200, Some(-32020))
                );
            }
        }
        scene.is_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_the_pool_has_is_a_success_with_its_hash() {
    let scene = Pretend::set(&[1], "").await;
    // keccak-256 of the byte 0x01.
    let hash = "0x5fe7f977e71dba2ea1a68e21057beebb9be2ac30c6410aa38d4f3fbe41dcffd2";
    assert_eq!(
        scene.call(BROADCAST).await.json()["result"],
        hash,
        "the honest node agrees"
    );
    for said in [
        "already known",
        "known transaction: 5fe7f9",
        "ALREADY_EXISTS: already known",
        "Transaction with the same hash was already imported.",
    ] {
        scene.nodes[0].set_fault_for(&[BROADCAST], error(-32000, said, None));
        let answer = scene.call(BROADCAST).await;
        assert_eq!(answer.text(), answer_of(&format!("\"{hash}\"")), "{said}");
    }
    scene.nodes[0].set_fault_for(
        &[BROADCAST],
        error(-32000, "insufficient funds for gas * price + value", None),
    );
    let answer = scene.call(BROADCAST).await.json();
    assert_eq!(
        answer["error"]["message"],
        "insufficient funds for gas * price + value"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revert_is_handed_on_as_it_is_and_says_nothing_against_the_node() {
    let scene = Pretend::set(&[1, 1], QUICK_CALLS).await;
    let data = Some("\"0x08c379a0\"");
    let reason = error(3, "execution reverted: Too many requests", data);
    scene.all_fail(&["eth_call"], reason);
    for _ in 0..10 {
        let answer = scene.call("eth_call").await;
        assert_eq!(answer.header("x-forebay-attempts"), None);
        assert_eq!(
            answer.text(),
            r#"{"jsonrpc":"2.0","id":"id","error":{"code":3,"message":"execution reverted: Too many requests","data":"0x08c379a0"}}"#
        );
    }
    assert_eq!(scene.heard("eth_call"), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_batch_only_the_slow_call_times_out() {
    let scene = Pretend::set(&[1, 1], QUICK_CALLS).await;
    scene.all_fail(&["eth_call", UNKNOWN], Fault::Stall);
    let methods = [
        READ,
        "eth_call",
        "eth_chainId",
        UNKNOWN,
        "eth_gasPrice",
        "admin_peers",
    ];
    let calls = (0..methods.len()).map(|place| call(place, methods[place]));
    let began = clock::now();
    let answer = scene.post(&batch_of(calls)).await;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(answer.status, 200);
    let answer = answer.json();
    let seen: Vec<_> = answer
        .as_array()
        .unwrap()
        .iter()
        .map(|item| {
            (
                item["id"].as_u64(),
                item["error"]["code"].as_i64(),
                item["result"].is_string(),
            )
        })
        .collect();
    let timed_out = Some(-32015);
    assert_eq!(
        seen,
        [
            (Some(0), None, true),
            (Some(1), timed_out, false),
            (Some(2), None, true),
            (Some(3), timed_out, false),
            (Some(4), None, true),
            (Some(5), Some(-32601), false),
        ]
    );
    assert_eq!((scene.heard("eth_call"), scene.heard(UNKNOWN)), (2, 1));
}

/// An OP replica's own words when its sequencer is down.
const OF_A_REPLICA: &str =
    "Post \"http://sequencer.internal:8545/k3y\": dial tcp: connect: connection refused";
/// EIP-3668, in a contract's own words.
const OF_A_CONTRACT: &str = "execution reverted: ask http://gateway.example/{data}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn urls_behind_nodes_are_told_on_no_way_and_a_contracts_own_on_every_way() {
    let scene = Pretend::set(&[1, 1], "  log: { calls: 1 }\n").await;
    let all = |code: i64, message: &str, data: &str| {
        let methods = ["eth_call", "eth_estimateGas", BROADCAST];
        scene.all_fail(&methods, error(code, message, Some(data)));
    };
    let answers = async || {
        let mut answers = Vec::new();
        for method in ["eth_call", BROADCAST] {
            answers.push(scene.call(method).await.text());
        }
        let batch = [
            call("1", "eth_call"),
            call("2", "eth_estimateGas"),
            call("3", BROADCAST),
        ];
        let batch = scene.post(&batch_of(batch)).await;
        answers.extend(
            batch
                .json()
                .as_array()
                .unwrap()
                .iter()
                .map(Value::to_string),
        );
        let mut socket = Listener::open(scene.balancer.rpc.address).await;
        for method in ["eth_call", BROADCAST] {
            let params = json!(["0x01", "latest"]);
            answers.push(socket.ask(method, params).await.to_string());
        }
        answers
    };
    all(-32000, OF_A_REPLICA, r#""see wss://sequencer.internal/x""#);
    for answer in answers().await {
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let message = OF_A_REPLICA.replace("http://sequencer.internal:8545/k3y", "http://…");
        assert_eq!(answer["error"]["message"], message, "{answer}");
        assert_eq!(answer["error"]["data"], "see wss://…", "{answer}");
    }
    let printed = scene.balancer.process.printed();
    assert!(!printed.contains("sequencer.internal"), "{printed}");
    all(3, OF_A_CONTRACT, r#""0x556f1830""#);
    for answer in answers().await {
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let wanted = json!({"code": 3, "message": OF_A_CONTRACT, "data": "0x556f1830"});
        assert_eq!(answer["error"], wanted, "{answer}");
    }
}

// --- nodes that aren't there yet ------------------------------------------------------------------

/// AvalancheGo 1.14.2, api/server, while its P-chain bootstraps, and then while its C-chain does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_still_bootstraps_is_out_in_its_words_and_back_after_two_good_rounds() {
    let scene = Pretend::set(&[1, 1], "").await;
    let b = &scene.nodes[1];
    for (code, text, told) in [
        (
            404,
            "404 page not found",
            "the path may be wrong, or the chain isn't there yet",
        ),
        (
            503,
            "API call rejected because chain is not done bootstrapping",
            "the chain is still bootstrapping",
        ),
    ] {
        b.set_fault(Fault::Says {
            code,
            text: text.into(),
        });
        scene.balancer.node_becomes("b", 0.0).await;
        soon("it is told why", async || {
            let said = scene.balancer.process.printed();
            said.contains(&format!("HTTP {code}")) && said.contains(told)
        })
        .await;
        // No call is sent there meanwhile.
        for _ in 0..20 {
            let answer = scene.call("eth_getBalance").await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    }
    let rounds = async || {
        let name = "forebay_probe_duration_seconds_count";
        let rounds = scene.balancer.metric(name, &[("node", "b")]).await;
        rounds.unwrap_or(0.0)
    };
    let before = rounds().await;
    b.mend();
    scene.balancer.node_becomes("b", 1.0).await;
    let passed = rounds().await - before;
    assert!(passed >= 2.0, "{passed} rounds");
}

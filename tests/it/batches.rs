//! Reads of a client's batch go to a node together, in one request; what a node says to them so
//! is worth what it would have said to each, and a node that spoils a batch costs no call its answer.

use std::time::Duration;

use crate::support::{
    Anvil, Balancer, Geth, PATIENCE, Pretend, QUICK, Relay, Rpc, batch_of, call, error_fault, post,
    soon, status_fault,
};
use forebay_fake::Fault;
use serde_json::{Value, json};

/// Attempts and deadlines that a busy machine doesn't reach: a slow answer makes batches smaller.
const PATIENT: &str = "  calls: { attempt: 60s, deadline: 60s }\n";
const QUICK_CALLS: &str = "  calls: { attempt: 400ms, deadline: 3s }\n";
const READ: &str = "eth_getBalance";
const OTHER: &str = "eth_getCode";
const GOOD: &str = "\"0x600d\"";

// --- real nodes ---------------------------------------------------------------------------------

fn address(at: usize) -> String {
    format!("0x{:040x}", 0xba7c_0000 + at)
}

/// A hundred calls of many kinds.
fn mixed() -> Vec<(&'static str, Value)> {
    let one = |at: usize| match at % 10 {
        0 => ("net_listening", json!([])),
        1 | 2 => (READ, json!([address(at), "latest"])),
        3 => (OTHER, json!([address(at), "latest"])),
        4 => (
            "eth_getStorageAt",
            json!([address(at), format!("0x{at:x}"), "latest"]),
        ),
        5 => ("eth_getTransactionCount", json!([address(at), "latest"])),
        6 => (
            "eth_call",
            json!([{"to": address(at), "data": "0x"}, "latest"]),
        ),
        7 => ("eth_getTransactionReceipt", json!([format!("0x{at:064x}")])),
        8 => (
            "eth_getBlockByNumber",
            json!([format!("0x{:x}", at % 3), at > 50]),
        ),
        // An error of the call's own.
        _ => (READ, json!([format!("0x{at}"), "latest"])),
    };
    (0..100).map(one).collect()
}

/// The calls as a batch, with ids of all kinds; the one at `silent` has none.
fn batch(calls: &[(&str, Value)], silent: usize) -> (Vec<Value>, String) {
    let ids: Vec<Value> = (0..calls.len())
        .map(|at| match at % 3 {
            0 => json!(at),
            1 => json!(format!("id {at}")),
            // Twice the same is legal.
            _ => json!("twice"),
        })
        .collect();
    let calls = calls.iter().zip(&ids).enumerate();
    let written = calls.map(|(at, ((method, params), id))| {
        let mut call = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        if at == silent {
            call.as_object_mut().unwrap().remove("id");
        }
        call.to_string()
    });
    let body = batch_of(written);
    (ids, body)
}

/// A balancer before one node, whose requests are counted.
async fn before(port: u16) -> (Relay, Balancer) {
    let relay = Relay::before(port, "").await;
    let balancer = Balancer::before(&format!("{QUICK}{PATIENT}"), "real", &relay.url()).await;
    (relay, balancer)
}

/// A mixed batch of 100 comes to one request, and each answer is what the node says to the call.
/// `again`: of its ten own errors, what it is asked as the callers wrote them.
async fn a_hundred_calls_are_one_request(node: Rpc, again: f64) {
    let (relay, balancer) = before(node.address.port()).await;
    let calls = mixed();
    let silent = 41;
    let (ids, body) = batch(&calls, silent);
    let answers = balancer.post(&body).await.json();
    let answers = answers.as_array().unwrap();
    assert_eq!(answers.len(), 99, "a notification gets no answer");
    let heard = (0..100).filter(|at| *at != silent);
    for (answer, at) in answers.iter().zip(heard) {
        let (method, params) = &calls[at];
        let alone = node.ask(method, params.clone(), PATIENCE).await;
        let alone = alone.unwrap();
        assert_eq!(answer["id"], ids[at], "{answer}");
        assert_eq!(answer["result"], alone["result"], "{method} {params}");
        assert_eq!(answer["error"], alone["error"], "{method} {params}");
    }
    assert_eq!(relay.requests("ba7c"), 1, "all reads of it");
    let sent = balancer
        .metric("forebay_upstream_batch_calls_sum", &[])
        .await;
    // All but ten that are answered here, and four that another of them asks.
    assert_eq!(sent, Some(86.0));
    let attempts = balancer
        .metric("forebay_attempts_total", &[("node", "real")])
        .await;
    assert_eq!(attempts, Some(86.0 + again), "each is an attempt");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mixed_batch_of_a_hundred_is_one_request_to_anvil() {
    let anvil = Anvil::start(&["--chain-id", "1", "--no-mining"]).await;
    anvil.mine(3).await;
    // Its words don't say whose fault the error is: one of them goes there once more, as its caller wrote
    // it, and one among others.
    a_hundred_calls_are_one_request(anvil.rpc, 2.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mixed_batch_of_a_hundred_is_one_request_to_geth() {
    let geth = Geth::start(0).await;
    geth.grow_to(3).await;
    a_hundred_calls_are_one_request(geth.rpc, 0.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_falls_out_while_it_is_asked_is_waited_for_where_no_other_is_fit() {
    let geth = Geth::start(0).await;
    geth.grow_to(3).await;
    let (relay, balancer) = before(geth.rpc.address.port()).await;
    let balance = call("1", READ).replace("0x01", &address(1));
    let mixed_batch = format!("[{balance},{}]", balance.replace(READ, OTHER));
    geth.process.pause();
    let resumes = async {
        let healthy = async || {
            let labels = [("node", "real")];
            balancer.metric("forebay_node_healthy", &labels).await
        };
        soon("it is out", async || healthy().await == Some(0.0)).await;
        // Calls look now and then whether their node is fit.
        tokio::time::sleep(Duration::from_millis(500)).await;
        geth.process.resume();
    };
    let (answer, ()) = tokio::join!(balancer.post(&mixed_batch), resumes);
    let results: Vec<_> = answer
        .json()
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["result"].clone())
        .collect();
    assert_eq!(results, ["0x0", "0x"], "{}", answer.text());
    assert_eq!(relay.requests("ba7c"), 1);
}

// --- rude nodes ---------------------------------------------------------------------------------

/// Reads of both methods, none alike, between a call that is answered here and one that no node
/// may get.
fn mixed_batch(round: usize) -> String {
    let read = |at: usize| {
        let method = if at.is_multiple_of(2) { READ } else { OTHER };
        call(format!("\"{at}\""), method).replace("0x01", &address(round * 100 + at))
    };
    let mut calls: Vec<_> = (0..8).map(read).collect();
    calls.insert(3, call("null", "eth_chainId"));
    calls.insert(6, call("7", "admin_peers"));
    batch_of(calls)
}

/// What every such batch is to get.
fn assert_served(answers: &Value, what: &str) {
    let ids = [
        json!("0"),
        json!("1"),
        json!("2"),
        Value::Null,
        json!("3"),
        json!("4"),
        json!(7),
        json!("5"),
        json!("6"),
        json!("7"),
    ];
    let answers = answers.as_array().unwrap();
    assert_eq!(answers.len(), ids.len(), "{what}: {answers:?}");
    for (at, (answer, id)) in answers.iter().zip(ids).enumerate() {
        assert_eq!(answer["id"], id, "{what}: {answers:?}");
        match at {
            3 => assert_eq!(answer["result"], "0x1", "{what}"),
            6 => assert_eq!(answer["error"]["code"], -32601, "{what}"),
            _ => assert_eq!(answer["result"], "0x600d", "{what}: {answer}"),
        }
    }
}

/// A rude node, and good ones if there is more than one weight.
async fn rude(weights: &[u16], fault: Fault, calls: &str) -> Pretend {
    let scene = Pretend::set(weights, calls).await;
    scene.all_answer(READ, GOOD);
    scene.all_answer(OTHER, GOOD);
    scene.nodes[0].set_fault_for(&[READ, OTHER], fault);
    scene
}

async fn sent_together(scene: &Pretend) -> f64 {
    let name = "forebay_upstream_batch_calls_count";
    scene.balancer.metric(name, &[]).await.unwrap_or(0.0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_a_node_spoils_is_served_by_another() {
    for fault in [
        Fault::Stall,
        Fault::HangUp,
        Fault::Reset,
        Fault::Html,
        Fault::NotJson,
        Fault::EmptyBody,
        Fault::HalfBody,
        Fault::TruncatedChunks,
        Fault::WrongId,
        Fault::MissingId,
        Fault::ResultAndError,
        Fault::AnswersTwice,
        Fault::AnswersTooFew,
        Fault::ObjectForBatch,
        Fault::FirstForBatch,
        status_fault(400),
        status_fault(429),
        status_fault(500),
        status_fault(502),
        status_fault(403),
        error_fault(429, "slow down"),
        error_fault(-32005, "project ID request rate exceeded"),
        error_fault(-32601, "the method does not exist/is not available"),
        error_fault(-32000, "missing trie node 5fe7 (path )"),
    ] {
        let scene = rude(&[1000, 1], fault.clone(), QUICK_CALLS).await;
        let met = async || scene.nodes[0].calls_of(READ) > 0;
        for round in 0.. {
            let answers = scene.post(&mixed_batch(round)).await.json();
            assert_served(&answers, &format!("{fault:?}"));
            if met().await {
                break;
            }
            assert!(round < 5, "{fault:?}: the rude node was spared");
        }
        scene.keeps_its_secrets().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_refuses_batches_alone_serves_every_call_and_is_sent_one_batch() {
    for fault in [
        Fault::ObjectForBatch,
        Fault::FirstForBatch,
        status_fault(413),
        status_fault(400),
        status_fault(501),
    ] {
        let scene = Pretend::set(&[1], PATIENT).await;
        let node = &scene.nodes[0];
        node.set_result(READ, GOOD);
        node.set_result(OTHER, GOOD);
        node.change(|behaviour| behaviour.fault_spares_singles = true);
        node.set_fault_for(&[READ, OTHER], fault.clone());
        for round in 0..3 {
            let answers = scene.post(&mixed_batch(round)).await.json();
            assert_served(&answers, &format!("{fault:?}"));
        }
        assert_eq!(sent_together(&scene).await, 1.0, "{fault:?}");
        assert_eq!(scene.heard(READ), 4 + 3 * 4, "{fault:?}");
        let unsupported = [("node", "a"), ("outcome", "unsupported")];
        let attempts = scene
            .balancer
            .metric("forebay_attempts_total", &unsupported);
        let attempts = attempts.await.unwrap_or(0.0);
        assert_eq!(
            attempts, 0.0,
            "{fault:?}: they count as they are asked alone"
        );
        scene.is_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_for_which_its_node_has_no_place_goes_to_one_that_has() {
    let scene = Pretend::set(
        &[1, 1],
        "  calls: { attempt: 60s, deadline: 60s, queue: 400ms }\n",
    )
    .await;
    for (at, name) in ["a", "b"].into_iter().enumerate() {
        scene.nodes[at].set_fault_for(&["eth_call"], Fault::Stall);
        scene.limit(name, 1, &[]).await;
    }
    let address = scene.balancer.rpc.address;
    let occupant = |at: usize| {
        let params = json!([{"to": crate::batches::address(at), "data": "0x"}, "latest"]);
        let body = json!({"jsonrpc": "2.0", "id": at, "method": "eth_call", "params": params});
        tokio::spawn(async move {
            drop(post(address, &body.to_string(), PATIENCE).await);
        })
    };
    for round in 0..10 {
        let heard = scene.heard("eth_call");
        let [stays, leaves] = [occupant(2 * round), occupant(2 * round + 1)];
        soon("both are full", async || {
            scene.heard("eth_call") == heard + 2
        })
        .await;
        let body = mixed_batch(round);
        let (answers, ()) = tokio::join!(scene.post(&body), async {
            soon("it waits", async || {
                scene.balancer.metric("forebay_queued_calls", &[]).await > Some(0.0)
            })
            .await;
            // Which of the two nodes that frees is as likely the one that the batch waits for as not.
            leaves.abort();
        });
        for answer in answers.json().as_array().unwrap() {
            assert_ne!(answer["error"]["code"], -32012, "{round}: {answer}");
        }
        stays.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_may_answer_in_any_order_and_shape() {
    let scene = Pretend::set(&[1], PATIENT).await;
    let node = &scene.nodes[0];
    node.set_result(READ, GOOD);
    node.set_result(OTHER, GOOD);
    for (round, chunked) in [false, true, false].into_iter().enumerate() {
        node.change(|behaviour| {
            behaviour.shape.chunked = chunked;
            behaviour.shape.backwards = true;
            behaviour.shape.result_first = round > 0;
            behaviour.shape.extra_members = round > 1;
        });
        let answers = scene.post(&mixed_batch(round)).await.json();
        assert_served(&answers, "backwards");
    }
    assert_eq!((sent_together(&scene).await, scene.heard(READ)), (3.0, 12));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_does_not_know_is_asked_of_another_together_too() {
    let scene = Pretend::set(&[1, 1], PATIENT).await;
    let lookup = "eth_getTransactionReceipt";
    scene.all_answer(lookup, "null");
    let calls = (0..50).map(|at| call(at, lookup).replace("0x01", &format!("0x{at:064x}")));
    let answers = scene.post(&batch_of(calls)).await.json();
    let is_null = |answer: &Value| answer["result"].is_null() && answer["error"].is_null();
    assert!(answers.as_array().unwrap().iter().all(is_null), "{answers}");
    for node in &scene.nodes {
        assert_eq!(node.calls_of(lookup), 50);
    }
    assert_eq!(sent_together(&scene).await, 2.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_batch_goes_in_parts_and_answers_too_long_together_are_had_one_by_one() {
    let scene = Pretend::set(&[1], PATIENT).await;
    let node = &scene.nodes[0];
    let calls = |count: usize| {
        let calls = (0..count).map(|at| call(at, OTHER).replace("0x01", &address(at)));
        batch_of(calls)
    };
    node.set_result(OTHER, GOOD);
    let answers = scene.post(&calls(250)).await.text();
    assert_eq!(answers.matches(r#""result":"0x600d""#).count(), 250);
    assert_eq!(
        (sent_together(&scene).await, scene.heard(OTHER)),
        (3.0, 250)
    );

    // 18 MiB, over the limit for one answer to a batch.
    node.set_result(OTHER, &format!("\"{}\"", "x".repeat(2 << 20)));
    let answers = scene.post(&calls(9)).await.json();
    let length = |answer: &Value| answer["result"].as_str().map(str::len);
    let answers = answers.as_array().unwrap();
    assert!(answers.iter().all(|answer| length(answer) == Some(2 << 20)));
    let attempts = scene
        .balancer
        .metric("forebay_attempts_total", &[("outcome", "rpc_error")])
        .await;
    assert_eq!(attempts, Some(9.0), "too long together");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_ends_its_batch_and_counts_for_nothing_afterwards() {
    let scene = rude(&[1], Fault::Stall, PATIENT).await;
    let body = mixed_batch(0);
    let soon = Duration::from_millis(500);
    let left = post(scene.balancer.rpc.address, &body, soon).await;
    assert!(left.is_err());
    let labels = [("outcome", "cancelled")];
    scene
        .becomes("a", "forebay_attempts_total", &labels, 8.0)
        .await;
    scene.becomes("a", "forebay_node_in_flight", &[], 0.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn identical_reads_of_a_batch_are_asked_once() {
    let scene = Pretend::set(&[1], PATIENT).await;
    scene.nodes[0].set_latency(Duration::from_millis(100));
    let calls = (0..60).map(|at| call(at, if at % 3 == 0 { OTHER } else { READ }));
    let answers = scene.post(&batch_of(calls)).await.json();
    let answers = answers.as_array().unwrap();
    for (at, answer) in answers.iter().enumerate() {
        assert_eq!(answer["id"], at);
        assert!(answer["result"].is_string(), "{answer}");
    }
    assert_eq!((scene.heard(READ), scene.heard(OTHER)), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn identical_reads_whose_answer_cannot_be_shared_take_turns() {
    let scene = Pretend::set(&[1], PATIENT).await;
    let node = &scene.nodes[0];
    node.set_latency(Duration::from_millis(150));
    node.set_result(READ, &format!("\"{}\"", "x".repeat(100 << 10)));
    let body = batch_of((0..200).map(|at| call(at, READ)));
    let posted = scene.post(&body);
    tokio::pin!(posted);
    let mut most = 0.0_f64;
    let answers = loop {
        tokio::select! {
            answer = &mut posted => break answer.json(),
            () = tokio::time::sleep(Duration::from_millis(20)) => {
                let at_once = scene.balancer.metric("forebay_node_in_flight", &[("node", "a")]);
                most = most.max(at_once.await.unwrap_or(0.0));
            }
        }
    };
    let length = |answer: &Value| answer["result"].as_str().map(str::len);
    let answers = answers.as_array().unwrap();
    assert!(
        answers
            .iter()
            .all(|answer| length(answer) == Some(100 << 10))
    );
    assert_eq!(scene.heard(READ), 200);
    // One more: a probe.
    assert!((2.0..=17.0).contains(&most), "{most} at once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_wait_past_their_deadline_ask_no_node() {
    let calls = "  calls: { attempt: 2s, deadline: 2s }\n";
    let scene = Pretend::set(&[1], calls).await;
    let node = &scene.nodes[0];
    // So slow that each call goes alone.
    node.set_latency(Duration::from_millis(1200));
    scene.is_well().await;
    node.set_fault_for(&[OTHER], Fault::Stall);
    let calls = (0..60).map(|at| call(at, OTHER).replace("0x01", &address(at)));
    let answers = scene.post(&batch_of(calls)).await.json();
    let is_error = |answer: &Value| answer["error"].is_object();
    assert!(
        answers.as_array().unwrap().iter().all(is_error),
        "{answers}"
    );
    assert_eq!(scene.heard(OTHER), 16);
    let attempts = scene
        .balancer
        .metric("forebay_attempts_total", &[("outcome", "timeout")]);
    assert_eq!(attempts.await, Some(16.0), "those that have had their turn");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_whose_calls_were_all_refused_for_one_reason_has_its_status() {
    let scene = Pretend::set(&[1, 1], QUICK_CALLS).await;
    let send = "eth_sendRawTransaction";
    for (node, fault) in scene.nodes.iter().zip([Fault::Reset, Fault::NotJson]) {
        node.set_fault_for(&[READ, OTHER, send, "zks_foo"], fault);
    }
    let read = call("1", READ);
    for (calls, status) in [
        (vec![&*read, &call("2", OTHER)], 503),
        (vec![&*read], 503),
        (vec![&*read, &call("2", send)], 200),
        (vec![&*read, &call("2", "zks_foo")], 200),
        (vec![&*read, &call("2", "eth_chainId")], 200),
        (vec![&*read, &call("2", "admin_peers")], 200),
        (vec![&*read, "1"], 200),
    ] {
        let answer = scene.post(&batch_of(&calls)).await;
        assert_eq!(answer.status, status, "{calls:?}: {}", answer.text());
        assert_eq!(answer.json()[0]["error"]["code"], -32013);
    }
    let told_apart = scene
        .balancer
        .metric("forebay_try_again_responses_total", &[]);
    assert_eq!(told_apart.await, Some(2.0));
    scene.all_fail(&[READ, OTHER], status_fault(429));
    let answer = scene.post(&format!("[{read},{}]", call("2", OTHER))).await;
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (429, Some("01"))
    );
    assert_eq!(answer.json()[1]["error"]["code"], -32012);
}

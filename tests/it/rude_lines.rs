//! However rude a node is on its socket, its clients are told what they subscribed to: another node
//! takes over, or the line bears it.

use std::net::SocketAddr;
use std::time::Duration;

use crate::support::{Balancer, Heard, Listener, PATIENCE, QUICK, pretend_node, soon};
use forebay_fake::{FakeChain, FakeNode};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

/// Hex digits of a pending transaction's data: as no real node lets one in.
const INPUT_DIGITS: usize = 9 << 20;

/// What a node answers to `eth_subscribe`, but for its heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Good,
    /// Neither yes nor no.
    Silent,
    /// The id that its heads have.
    SameId,
    EndlessId,
    /// Not `syncing`, by an error that doesn't say to which call it is the answer.
    Unnamed,
    /// As before; and what it says of topics it says when it has been asked for two.
    UnnamedLate,
    /// Breaks within a second.
    Brittle,
}

/// How long one of [`Manner::Brittle`] lasts.
const BRITTLE_LASTS: Duration = Duration::from_millis(300);
/// So many states a node has that forgets, as geth has 128.
const KEPT: u64 = 64;

#[tokio::test]
async fn a_node_that_gives_no_answer_or_no_id_is_left_for_another() {
    for (manner, unanswered) in [
        (Manner::Silent, 1.0),
        (Manner::SameId, 0.0),
        (Manner::EndlessId, 0.0),
    ] {
        let (balancer, _nodes) = stage(&[manner, Manner::Good]).await;
        let mut client = Listener::open(balancer.rpc.address).await;
        client.subscribe(json!(["newPendingTransactions"])).await;
        carries(&balancer, "b", 2.0).await;
        carries(&balancer, "a", 1.0).await;
        let reason = [("reason", "unanswered")];
        let left = balancer.metric("forebay_takeovers_total", &reason).await;
        assert_eq!(left, Some(unanswered), "{manner:?}");
    }
}

#[tokio::test]
async fn a_transaction_of_many_mebibytes_is_told_and_ends_no_line() {
    let (balancer, _nodes) = stage(&[Manner::Good]).await;
    let mut client = Listener::open(balancer.rpc.address).await;
    let params = json!(["newPendingTransactions", true]);
    let id = client.subscribe(params).await;
    for transaction in [transaction(1, INPUT_DIGITS), transaction(2, 2)] {
        let heard = client.next_within(PATIENCE).await;
        assert!(heard == Some(Heard::News(id.clone(), transaction)));
    }
    carries(&balancer, "a", 2.0).await;
    let lost = [("reason", "lost")];
    let lost = balancer.metric("forebay_takeovers_total", &lost).await;
    assert_eq!(lost, Some(0.0));
}

#[tokio::test]
async fn an_error_that_names_no_call_is_heard_at_once() {
    let (balancer, _nodes) = stage(&[Manner::Unnamed, Manner::Unnamed]).await;
    let begun = forebay::clock::now();
    let mut client = Listener::open(balancer.rpc.address).await;
    let refused = client.ask("eth_subscribe", json!(["syncing"])).await;
    assert_eq!(refused["error"], unnamed()["error"], "the node's own");
    // Of both, one after the other.
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
    // One of two is enough.
    let (balancer, _nodes) = stage(&[Manner::Unnamed, Manner::Good]).await;
    let mut client = Listener::open(balancer.rpc.address).await;
    client.subscribe(json!(["syncing"])).await;
    carries(&balancer, "b", 2.0).await;
}

#[tokio::test]
async fn what_was_asked_for_in_the_same_moment_as_what_is_refused_without_a_name_lives_on() {
    let (balancer, _nodes) = stage(&[Manner::UnnamedLate]).await;
    let address = balancer.rpc.address;
    let (mut one, mut other) = (Listener::open(address).await, Listener::open(address).await);
    let params = json!(["newPendingTransactions", true]);
    let asked = tokio::join!(
        one.ask("eth_subscribe", json!(["syncing"])),
        other.subscribe(params)
    );
    let (refused, id) = asked;
    assert_eq!(refused["error"], unnamed()["error"]);
    for transaction in [transaction(1, INPUT_DIGITS), transaction(2, 2)] {
        let heard = other.next_within(PATIENCE).await;
        assert!(heard == Some(Heard::News(id.clone(), transaction)));
    }
    carries(&balancer, "a", 2.0).await;
    let lost = balancer.metric("forebay_takeovers_total", &[]).await;
    assert_eq!(lost, Some(0.0));
}

/// Of geth since 1.17.
#[tokio::test]
async fn receipts_are_told_as_any_topic_that_one_node_tells() {
    let (balancer, _nodes) = stage(&[Manner::Good]).await;
    let mut client = Listener::open(balancer.rpc.address).await;
    let id = client.subscribe(json!(["transactionReceipts"])).await;
    let heard = client.next_within(PATIENCE).await;
    assert_eq!(heard, Some(Heard::News(id, json!([{"status": "0x1"}]))));
}

/// While its socket breaks over and over a node may have been restarted each time: what it was known to have
/// stays the most that is asked of it.
#[tokio::test]
async fn a_socket_that_breaks_again_and_again_costs_no_read_and_few_questions() {
    let (balancer, nodes) = stage_at(1000, &[Manner::Brittle, Manner::Good]).await;
    let forgets = &nodes[0];
    forgets.change(|behaviour| behaviour.state_blocks = Some(KEPT));
    let questions = || forgets.calls_of("eth_getBalance");
    let rounds_pass = async |count: u64| {
        let rounds = || forgets.calls_of("eth_getBlockByNumber");
        let until = rounds() + count;
        soon("rounds pass", async || rounds() >= until).await;
    };
    let oldest = async || {
        let labels = [("node", "a")];
        balancer
            .metric("forebay_node_oldest_state_block_number", &labels)
            .await
    };
    soon("its depth is known", async || {
        let asked = questions();
        rounds_pass(4).await;
        let is_near = oldest().await >= Some((1000 - KEPT) as f64);
        is_near && questions() == asked
    })
    .await;
    let missed = async || {
        let labels = [("node", "a"), ("outcome", "missing_data")];
        let counted = balancer.metric("forebay_attempts_total", &labels).await;
        counted.unwrap_or(0.0)
    };
    let (before, asked) = (missed().await, questions());
    let begun = forebay::clock::now();
    let mut read = 0_u64;
    while begun.elapsed() < Duration::from_secs(10) {
        let block = format!("{:#x}", 1000 - read * 7 % 200);
        let code = balancer
            .rpc
            .call("eth_getCode", json!([address(read), block]));
        assert_eq!(code.await, "0x", "at {block}");
        read += 1;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(read > 200, "{read} reads");
    assert_eq!(missed().await, before, "of {read} reads");
    assert!(
        questions() - asked <= 6,
        "{} questions",
        questions() - asked
    );
}

fn address(number: u64) -> String {
    format!("0x{number:040x}")
}

/// Nodes called a, b with such lines, and the balancer before them.
async fn stage(manners: &[Manner]) -> (Balancer, Vec<FakeNode>) {
    stage_at(100, manners).await
}

/// The same, of a chain that stands at this block.
async fn stage_at(head: u64, manners: &[Manner]) -> (Balancer, Vec<FakeNode>) {
    let chain = FakeChain::still(1, head);
    let mut nodes = Vec::new();
    let mut yaml = format!("{QUICK}  nodes:\n");
    for (name, manner) in ["a", "b"].iter().zip(manners) {
        let node = pretend_node(&chain).await;
        let url = node.url();
        nodes.push(node);
        let line = line(*manner).await;
        yaml += &format!("    - {{ name: {name}, url: \"{url}\", ws_url: \"ws://{line}\" }}\n");
    }
    let balancer = Balancer::start(&yaml, &[]).await;
    for (name, _) in ["a", "b"].iter().zip(manners) {
        carries(&balancer, name, 1.0).await;
    }
    (balancer, nodes)
}

async fn carries(balancer: &Balancer, node: &str, subscriptions: f64) {
    let (carried, labels) = ("forebay_upstream_subscriptions", [("node", node)]);
    balancer.becomes(carried, &labels, subscriptions).await;
}

async fn line(manner: Manner) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let serving = tell(stream, manner);
                match manner {
                    Manner::Brittle => drop(tokio::time::timeout(BRITTLE_LASTS, serving).await),
                    _ => serving.await,
                }
            });
        }
    });
    address
}

async fn tell(stream: TcpStream, manner: Manner) {
    let mut socket = accept_async(stream).await.unwrap();
    // What it has to say of topics, until it has been asked for two.
    let mut holds_back = manner == Manner::UnnamedLate;
    let mut held = Vec::new();
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(text) = message else {
            continue;
        };
        let call: Value = serde_json::from_str(text.as_str()).unwrap();
        let is_for_heads = call["params"][0] == "newHeads";
        let is_plain = is_for_heads || call["method"] == "eth_unsubscribe";
        let result = match manner {
            _ if is_plain => json!("0x1"),
            Manner::Unnamed | Manner::UnnamedLate if call["params"][0] == "syncing" => Value::Null,
            Manner::Good | Manner::Unnamed | Manner::UnnamedLate | Manner::Brittle => json!("0x2"),
            Manner::Silent => continue,
            Manner::SameId => json!("0x1"),
            Manner::EndlessId => json!(format!("0x{}", "f".repeat(300))),
        };
        if result.is_null() {
            held.insert(0, unnamed());
        } else {
            held.push(json!({"jsonrpc": "2.0", "id": call["id"], "result": result}));
        }
        if call["params"] == json!(["newPendingTransactions", true]) {
            held.extend([news(1, INPUT_DIGITS), news(2, 2)]);
        }
        if call["params"][0] == "transactionReceipts" {
            held.push(news_of(&json!([{"status": "0x1"}])));
        }
        if holds_back && !is_plain {
            holds_back = false;
            continue;
        }
        for said in held.drain(..) {
            let text = Message::text(said.to_string());
            if socket.send(text).await.is_err() {
                return;
            }
        }
    }
}

/// As evmd v0.7.0 says no.
fn unnamed() -> Value {
    let error = json!({"code": -32600, "message": "syncing are not supported"});
    json!({"jsonrpc": "2.0", "id": null, "error": error})
}

fn news(number: u8, digits: usize) -> Value {
    news_of(&transaction(number, digits))
}

fn news_of(result: &Value) -> Value {
    json!({
        "jsonrpc": "2.0",
        "method": "eth_subscription",
        "params": { "subscription": "0x2", "result": result },
    })
}

fn transaction(number: u8, digits: usize) -> Value {
    let hash = format!("0x{number:064x}");
    json!({ "hash": hash, "input": format!("0x{}", "a".repeat(digits)) })
}

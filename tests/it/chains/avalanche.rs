//! Two AvalancheGo behind a balancer: blocks come when there are transactions, and a moment after they
//! were taken.

use std::time::Duration;

use forebay::clock;
use serde_json::{Value, json};

use super::avalanche_node::{Avalanche, AvalancheNode, SETTINGS};
use super::names;
use super::stage::{Endpoint, Stage};
use crate::support::{
    AVALANCHE_HEADER, Heard, Listener, PATIENCE, SAVER, eventually, header_hash, soon,
};

const SEND: &str = "eth_sendRawTransaction";
const COUNT: &str = "eth_getTransactionCount";
const BY_HASH: &str = "eth_getTransactionByHash";
/// Five minutes without a transaction, and so without a block.
const SILENCE: Duration = Duration::from_secs(300);
/// So often a node is started until it is met while it bootstraps.
const STARTS_MAX: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs AvalancheGo: ./dev chains"]
async fn what_was_just_taken_counts_is_shown_and_may_be_sent_again() {
    let mut avalanche = Avalanche::start().await;
    let stage = Stage::set(SETTINGS, &avalanche.places()).await;
    let address = avalanche.wallet.address.clone();
    let mut nowhere = 0;
    for nonce in 0..6 {
        let (raw, hash) = avalanche.signed();
        assert_eq!(stage.rpc.call(SEND, json!([raw])).await, *hash);
        let pending = json!([address, "pending"]);
        let next = format!("{:#x}", nonce + 1);
        let mined = async || {
            let asked = json!([hash]);
            let receipt = stage.rpc.call("eth_getTransactionReceipt", asked).await;
            !receipt.is_null()
        };
        let until = clock::now() + PATIENCE;
        while !mined().await {
            assert!(clock::now() < until, "it is in no block");
            assert_eq!(stage.rpc.call(COUNT, pending.clone()).await, next);
            let shown = stage.rpc.call(BY_HASH, json!([hash])).await;
            assert_eq!(shown["hash"], *hash, "{shown}");
            let again = stage.rpc.ask(SEND, json!([raw])).await.unwrap();
            assert_eq!(again["result"], *hash, "{again}");
            for node in [&avalanche.a, &avalanche.archive] {
                let itself = node.rpc.call(BY_HASH, json!([hash])).await;
                nowhere += i32::from(itself.is_null());
            }
        }
        let again = stage.rpc.ask(SEND, json!([raw])).await.unwrap();
        assert_eq!(again["result"], *hash, "in a block: {again}");
    }
    println!("6 of 6 counted, shown and sent again; a node showed nothing {nowhere} times");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs AvalancheGo: ./dev chains"]
async fn a_transaction_that_waits_for_a_frozen_node_may_be_sent_again() {
    let mut avalanche = Avalanche::start().await;
    let stage = Stage::set(SETTINGS, &avalanche.places()).await;
    let (raw, hash) = avalanche.signed();
    avalanche.archive.process.pause();
    assert_eq!(stage.rpc.call(SEND, json!([raw])).await, *hash);
    let until = clock::now() + Duration::from_secs(10);
    let mut sent = 0;
    while clock::now() < until {
        let again = stage.rpc.ask(SEND, json!([raw])).await.unwrap();
        assert_eq!(again["result"], *hash, "{again}");
        let shown = stage.rpc.call(BY_HASH, json!([hash])).await;
        assert_eq!(shown["hash"], *hash, "{shown}");
        sent += 1;
    }
    avalanche.archive.process.resume();
    stage.receipt(&hash).await;
    println!("sent again {sent} times while nothing was accepted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs AvalancheGo: ./dev chains"]
async fn a_node_that_lost_its_states_with_a_restart_fails_no_read() {
    let mut avalanche = Avalanche::start().await;
    let stage = Stage::set(SETTINGS, &avalanche.places()).await;
    avalanche.grow(12).await;
    let head = avalanche.a.rpc.head().await;
    stage.shows(head).await;
    let lost = [("outcome", "missing_data")];
    let reads = async |method: &str, from: u64, to: u64| {
        let before = stage.attempts(&lost).await;
        for block in from..=to {
            let block = format!("{block:#x}");
            let params = match method {
                "eth_getBalance" => json!([SAVER, block]),
                _ => json!([{"to": SAVER}, block]),
            };
            let answer = stage.rpc.ask(method, params).await.unwrap();
            assert!(answer.get("error").is_none(), "{method} {block}: {answer}");
        }
        stage.attempts(&lost).await - before
    };
    assert_eq!(reads("eth_getBalance", 1, head).await, 0.0);
    avalanche.a.stop().await;
    avalanche.a.start_again();
    avalanche.a.answers().await;
    let old = json!([SAVER, format!("{:#x}", head - 5)]);
    let itself = avalanche.a.rpc.ask("eth_getBalance", old).await.unwrap();
    println!("after a restart: {}", itself["error"]["message"]);
    assert!(itself["error"].is_object(), "it lost them: {itself}");
    stage.becomes("a", 1.0).await;
    let mut missed = Vec::new();
    for _ in 0..10 {
        let balances = reads("eth_getBalance", 1, head).await;
        missed.push(balances + reads("eth_callDetailed", 1, head).await);
    }
    println!(
        "0 of {} reads failed; asked twice in each pass over them: {missed:?}",
        20 * head
    );
    assert_eq!(missed[5..], [0.0; 5], "what it lacks is known by then");
    avalanche.grow(5).await;
    stage.shows(head + 5).await;
    let served = [("node", "a"), ("outcome", "ok")];
    let before = stage.attempts(&served).await;
    for _ in 0..3 {
        assert_eq!(reads("eth_getBalance", head + 1, head + 5).await, 0.0);
    }
    assert!(stage.attempts(&served).await > before, "what came it has");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs AvalancheGo: ./dev chains"]
async fn a_chain_without_transactions_is_well_and_heads_and_logs_are_told_as_they_are() {
    let mut avalanche = Avalanche::start().await;
    let stage = Stage::set(SETTINGS, &avalanche.places()).await;
    let (head, until) = (stage.rpc.head().await, clock::now() + SILENCE);
    while clock::now() < until {
        for node in ["a", "archive"] {
            assert_eq!(stage.is_healthy(node).await, Some(1.0), "{node}");
        }
        let balance = json!([SAVER, "latest"]);
        stage.rpc.call("eth_getBalance", balance).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(avalanche.a.rpc.head().await, head, "no block came");
    assert_eq!(stage.rpc.head().await, head);
    for node in ["a", "archive"] {
        let status = stage.status_of(node).await;
        assert_eq!(status["reason"], Value::Null, "{status}");
    }
    println!("both fit over {SILENCE:?} without a block");
    let mut client = Listener::open(stage.rpc.address).await;
    let heads = client.subscribe(json!(["newHeads"])).await;
    let a = Endpoint {
        path: "/ext/bc/C/ws",
        ..avalanche.a.rpc
    };
    let mut itself = Listener::open_at(a.address, a.path).await;
    itself.subscribe(json!(["newHeads"])).await;
    for _ in 0..3 {
        avalanche.grow(1).await;
        let Some(Heard::News(id, told)) = client.next_within(PATIENCE).await else {
            panic!("no head");
        };
        let Some(Heard::News(_, wanted)) = itself.next_within(PATIENCE).await else {
            panic!("no head of its own");
        };
        assert_eq!((id, &told), (heads.clone(), &wanted));
        assert_eq!(
            header_hash(&told, &AVALANCHE_HEADER),
            told["hash"],
            "{told}"
        );
    }
    let head = avalanche.a.rpc.head().await;
    stage.shows(head).await;
    let beyond = json!([{"fromBlock": "0x1", "toBlock": format!("{:#x}", head + 50)}]);
    let said = avalanche.a.rpc.ask("eth_getLogs", beyond.clone()).await;
    let said = said.unwrap();
    let told = stage.rpc.ask("eth_getLogs", beyond).await.unwrap();
    println!(
        "logs beyond the head: {} became {}",
        said["error"], told["error"]
    );
    let why = said["error"]["message"].to_string();
    assert!(why.contains("after last accepted block"), "{said}");
    assert_eq!(told["error"]["code"], -32602);
    // Up to the newest block, as told: whichever node is asked.
    for _ in 0..3 {
        avalanche.grow(1).await;
        let head = stage.rpc.head().await;
        let range = json!([{"fromBlock": "0x1", "toBlock": format!("{head:#x}")}]);
        let logs = stage.rpc.ask("eth_getLogs", range).await.unwrap();
        assert!(logs["result"].is_array(), "{logs}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs AvalancheGo: ./dev chains"]
async fn a_node_whose_chain_is_not_there_yet_is_out_and_told_as_that() {
    let avalanche = Avalanche::start().await;
    let lost = avalanche.lost();
    let mut said = None;
    eventually("it says something", PATIENCE * 2, async || {
        said = lost.raw().await;
        said.is_some()
    })
    .await;
    println!("while it starts: {said:?}");
    let [a, archive] = avalanche.places();
    let stage = Stage::set_unready(SETTINGS, &[a, archive, lost.place()]).await;
    stage.becomes("a", 1.0).await;
    stage.becomes("lost", 0.0).await;
    let status = stage.status_of("lost").await;
    println!("told as: {} {}", status["reason"], status["why"]);
    let why = status["why"].as_str().unwrap();
    assert!(
        why.contains("isn't there yet") || why.contains("bootstrapping"),
        "{status}"
    );
    for _ in 0..20 {
        stage
            .rpc
            .call("eth_getBalance", json!([SAVER, "latest"]))
            .await;
    }
}

/// What it says, until it says that it bootstraps, which takes it some 20 ms.
async fn says_until_it_bootstraps(node: &AvalancheNode) -> Vec<u16> {
    let (mut seen, until) = (Vec::new(), clock::now() + 4 * PATIENCE);
    while !seen.iter().any(|status| [200, 503].contains(status)) {
        assert!(clock::now() < until, "it said {seen:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
        if let Some((status, _)) = node.raw().await
            && seen.last() != Some(&status)
        {
            seen.push(status);
        }
    }
    seen
}

/// With the nodes frozen that it learns the chain from, it goes on bootstrapping.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs AvalancheGo: ./dev chains"]
async fn a_node_that_still_bootstraps_is_out_and_told_as_that_until_it_is_done() {
    let mut avalanche = Avalanche::start().await;
    avalanche.grow(2).await;
    let mut late = avalanche.late().await;
    let [a, archive] = avalanche.places();
    let stage = Stage::set(SETTINGS, &[a, archive, late.place()]).await;
    let mut told = None;
    for _ in 0..STARTS_MAX {
        late.stop().await;
        stage.becomes("late", 0.0).await;
        late.start_again();
        let seen = says_until_it_bootstraps(&late).await;
        for node in [&avalanche.a, &avalanche.archive] {
            node.process.pause();
        }
        told = late.raw().await.filter(|(status, _)| *status == 503);
        println!("while it starts it says {seen:?}, and then {told:?}");
        if told.is_some() {
            break;
        }
        for node in [&avalanche.a, &avalanche.archive] {
            node.process.resume();
        }
    }
    let (_, said) = told.expect("it goes on bootstrapping");
    assert!(said.contains("chain is not done bootstrapping"), "{said}");
    soon("it is told", async || {
        let why = stage.status_of("late").await["why"].clone();
        why.as_str().is_some_and(|why| why.contains("HTTP 503"))
    })
    .await;
    let status = stage.status_of("late").await;
    println!("told as: {} {}", status["reason"], status["why"]);
    let why = status["why"].as_str().unwrap();
    assert!(why.contains("still bootstrapping"), "{status}");
    assert_eq!(stage.is_healthy("late").await, Some(0.0));
    for node in [&avalanche.a, &avalanche.archive] {
        node.process.resume();
    }
    late.answers().await;
    let begun = clock::now();
    stage.becomes("late", 1.0).await;
    println!("fit {:?} after it answered", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs AvalancheGo: ./dev chains"]
async fn avalanche_go_answers_to_the_names_that_the_table_says_are_its() {
    let avalanche = Avalanche::start().await;
    names::are_right(avalanche.a.rpc, names::AVALANCHE).await;
}

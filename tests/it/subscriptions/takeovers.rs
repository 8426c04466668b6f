//! Another node takes over what one can tell no more: clients hear on, each thing once.

use std::time::Duration;

use serde_json::{Value, json};

use super::stage::{QUICK, SILENCE, Stage, hears, name, urls};
use crate::support::{Balancer, Heard, Listener, PATIENCE};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drained_node_hands_over_what_it_told() {
    let mut stage = Stage::set(2, QUICK).await;
    let mut ear = stage.ear().await;
    let (mut client, id) = stage.pending().await;
    let first = stage.teller().await;
    let (hash, raw) = stage.author.pending().await;
    stage.send(&raw, &[first]).await;
    hears(&mut client, &id, &hash).await;
    let drain = format!("/backends/{}/drain", name(first));
    stage.admin("POST", &drain, None).await;
    stage.taken_over(&[("drained", 1.0)]).await;
    assert_eq!(stage.teller().await, 1 - first);
    // The same again from the other node is no news.
    stage.send(&raw, &[1 - first]).await;
    let (hash, raw) = stage.author.pending().await;
    stage.send(&raw, &[1 - first]).await;
    hears(&mut client, &id, &hash).await;
    // What goes into the block was told already, but for the logs' own transactions.
    stage.write(&[1, 2]).await;
    stage.follow(1 - first).await;
    ear.hears(&stage.record).await;
    for log in &stage.record.logs {
        hears(&mut client, &id, &log["transactionHash"]).await;
    }
    // The drained node comes later, and says nothing new.
    stage.follow(first).await;
    ear.hears_just(&stage.record).await;
    assert!(client.next_within(SILENCE).await.is_none());
    stage.taken_over(&[("drained", 1.0)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_lags_is_left_though_it_goes_on_telling() {
    let yaml = QUICK.replace("fall: 2", "fall: 2, lag_blocks_max: 2");
    let mut stage = Stage::set(3, &yaml).await;
    let mut ear = stage.ear().await;
    let (mut client, id) = stage.pending().await;
    let first = stage.teller().await;
    let others: Vec<_> = (0..3).filter(|at| *at != first).collect();
    for (number, topics) in [&[1][..], &[], &[2, 3], &[1], &[]].into_iter().enumerate() {
        stage.write(topics).await;
        for at in &others {
            stage.follow(*at).await;
        }
        // Three behind at last.
        let so_far = stage.author.chain.len() - (number + 2) / 2;
        stage.mirrors[first]
            .follow(&stage.author.chain[..so_far])
            .await;
    }
    stage.taken_over(&[("unfit", 1.0)]).await;
    assert!(others.contains(&stage.teller().await));
    ear.hears(&stage.record).await;
    let (hash, raw) = stage.author.pending().await;
    stage.send(&raw, &others).await;
    hears_in_the_end(&mut client, &id, &hash).await;
    // It catches up, and takes nothing back.
    stage.follow(first).await;
    stage.write_everywhere(&[4]).await;
    ear.hears_just(&stage.record).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocks_logs_wait_for_a_node_that_has_it() {
    let mut stage = Stage::set(2, QUICK).await;
    let mut ear = stage.ear().await;
    stage.sluices[0].refuse("eth_getLogs");
    stage.write(&[1, 2]).await;
    stage.follow(0).await;
    while !ear.hear().await.unwrap() {}
    assert_eq!(ear.heard.heads, stage.record.heads);
    let more = tokio::time::timeout(SILENCE, ear.hear()).await;
    assert!(more.is_err(), "{more:?}");
    assert!(stage.sluices[0].asked("eth_getLogs") > 1, "again and again");
    assert_eq!(stage.sluices[1].asked("eth_getLogs"), 0, "it is behind");
    stage.taken_over(&[]).await;
    stage.follow(1).await;
    ear.hears_just(&stage.record).await;
    stage.taken_over(&[("unanswered", 1.0)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_falls_silent_is_replaced() {
    let mut stage = Stage::set(2, QUICK).await;
    let mut ear = stage.ear().await;
    let (mut client, id) = stage.pending().await;
    let first = stage.teller().await;
    // The node answers calls as before: polled, it is as fit as ever.
    stage.sluices[first].freeze_sockets();
    // Others move more than once: the first move may be what the line began with.
    for topics in [&[1][..], &[2, 2]] {
        stage.write_everywhere(topics).await;
        ear.hears_just(&stage.record).await;
    }
    stage.taken_over(&[("stale", 1.0)]).await;
    assert_eq!(stage.teller().await, 1 - first);
    let (hash, raw) = stage.author.pending().await;
    stage.send(&raw, &[1 - first]).await;
    hears(&mut client, &id, &hash).await;
    // Its next line is as good as the other's.
    stage.has_line(first).await;
    stage.mirrors[1 - first].node.process.kill();
    assert_eq!(stage.teller().await, first);
    stage.write(&[3]).await;
    stage.follow(first).await;
    ear.hears_just(&stage.record).await;
    stage.taken_over(&[("stale", 1.0), ("lost", 1.0)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drained_node_tells_on_while_the_other_says_nothing() {
    let stage = Stage::set(2, QUICK).await;
    let (mut client, id) = stage.pending().await;
    let first = stage.teller().await;
    stage.sluices[1 - first].freeze_sockets();
    let drain = format!("/backends/{}/drain", name(first));
    stage.admin("POST", &drain, None).await;
    // Before the other is given up, and after it.
    for pause in [1, 7] {
        tokio::time::sleep(Duration::from_secs(pause)).await;
        let (hash, raw) = stage.author.pending().await;
        stage.send(&raw, &[first]).await;
        hears(&mut client, &id, &hash).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_of_the_chain_makes_no_line_stale() {
    let mut stage = Stage::set(2, QUICK).await;
    let mut ear = stage.ear().await;
    let _client = stage.pending().await;
    let first = stage.teller().await;
    stage.write_everywhere(&[1]).await;
    // Longer than a line may be silent while others move; then the teller is a little late.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    stage.write(&[2]).await;
    stage.follow(1 - first).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    stage.follow(first).await;
    ear.hears_just(&stage.record).await;
    assert_eq!(stage.teller().await, first);
    stage.taken_over(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_only_nodes_line_is_reset_and_opened_again() {
    let mut stage = Stage::set(1, QUICK).await;
    let mut ear = stage.ear().await;
    let (mut client, id) = stage.pending().await;
    stage.write_everywhere(&[1]).await;
    ear.hears(&stage.record).await;
    hears(&mut client, &id, &stage.record.logs[0]["transactionHash"]).await;
    stage.sluices[0].reset_sockets();
    stage.taken_over(&[("lost", 1.0)]).await;
    // The line is down, the node isn't.
    stage.write_everywhere(&[2]).await;
    stage.write_everywhere(&[3, 3]).await;
    stage.teller().await;
    stage.write_everywhere(&[4]).await;
    ear.hears_just(&stage.record).await;
    // Pending transactions are told on, but for those while no node told them.
    let last = &stage.record.logs.last().unwrap()["transactionHash"];
    hears_in_the_end(&mut client, &id, last).await;
    assert!(client.next_within(SILENCE).await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pending_transactions_are_told_once_and_taken_over_until_no_node_is_left() {
    let mut stage = Stage::set_with_sockets(2, 3).await;
    let mut ear = stage.ear().await;
    let (mut client, id) = stage.pending().await;
    let mut other = Listener::open(stage.balancer.rpc.address).await;
    let same = other
        .subscribe(json!(["newPendingTransactions", false]))
        .await;
    let first = stage.teller().await;
    let last = 1 - first;
    for turn in 0..2 {
        let (hash, raw) = stage.author.pending().await;
        let told: &[usize] = if turn == 0 { &[0, 1] } else { &[last] };
        stage.send(&raw, told).await;
        hears(&mut client, &id, &hash).await;
        hears(&mut other, &same, &hash).await;
        if turn == 0 {
            stage.mirrors[first].node.process.kill();
            assert_eq!(stage.teller().await, last);
            stage.taken_over(&[("lost", 1.0)]).await;
        }
    }
    // The node that is left is taken from the list, and the third has no socket.
    stage.balancer.takes_out(name(last));
    for client in [&mut client, &mut other] {
        let Some(Heard::Closed(code, why)) = client.next_within(PATIENCE).await else {
            panic!("not closed")
        };
        assert_eq!(
            (code, why.contains("subscribe again")),
            (1012, true),
            "{why}"
        );
    }
    // A client that listens to heads and logs stays: those are polled.
    stage.write(&[1]).await;
    stage.follow(2).await;
    ear.hears(&stage.record).await;
    // The node comes back to the list, and tells.
    let node = json!({"name": name(last), "url": stage.sluices[last].url()});
    stage.admin("POST", "/backends", Some(node)).await;
    stage.has_line(last).await;
    let (mut client, id) = stage.pending().await;
    stage.follow(last).await;
    hears(&mut client, &id, &stage.record.logs[0]["transactionHash"]).await;
    ear.hears_just(&stage.record).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_tells_while_no_own_node_lives() {
    let mut stage = Stage::set(2, QUICK).await;
    let urls = urls(&stage.sluices);
    let leader = stage.author.node.rpc.address;
    let yaml = format!(
        "{QUICK}  nodes:
    - {{ url: \"http://{leader}\", ws_url: \"ws://{leader}\", leader: true, name: leader }}
    - {{ url: \"{}\", name: a }}
    - {{ url: \"{}\", name: b }}
",
        urls[0], urls[1]
    );
    stage.balancer = Balancer::start(&yaml, &[]).await;
    for name in ["leader", "a", "b"] {
        stage.has_line_called(name).await;
    }
    let mut ear = stage.ear().await;
    let (mut client, id) = stage.pending().await;
    let first = stage.teller().await;
    stage.write(&[1]).await;
    // The leader alone has it: that is not enough while own nodes serve.
    ear.hears_nothing().await;
    for at in [0, 1] {
        stage.follow(at).await;
    }
    ear.hears(&stage.record).await;
    stage.mirrors[1 - first].node.process.kill();
    stage.mirrors[first].node.process.kill();
    stage.taken_over(&[("lost", 1.0)]).await;
    stage.write(&[2, 3]).await;
    stage.write(&[]).await;
    ear.hears(&stage.record).await;
    let (hash, _) = stage.author.pending().await;
    hears_in_the_end(&mut client, &id, &hash).await;
    stage.mirrors[first].restart().await;
    stage.follow(first).await;
    stage.write(&[4]).await;
    stage.follow(first).await;
    ear.hears_just(&stage.record).await;
}

/// Hears this at last, and nothing twice before. Some may be missed while no node tells.
async fn hears_in_the_end(client: &mut Listener, id: &str, wanted: &Value) {
    let mut before = Vec::new();
    while before.last() != Some(wanted) {
        let Some(Heard::News(from, hash)) = client.next_within(PATIENCE).await else {
            panic!("not told, or closed: {before:?}");
        };
        assert!(from == id && !before.contains(&hash), "{hash} {before:?}");
        before.push(hash);
    }
}

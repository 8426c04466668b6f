//! What can't be promised any more ends with a close and its reason; nobody else is closed.

use serde_json::json;

use super::stage::{Ear, QUICK, Record, Stage};
use super::support::{Heard, Listener, PATIENCE, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_that_no_node_brings_close_those_who_listen_to_them_and_nobody_else() {
    let mut stage = Stage::set(2, QUICK).await;
    let mut ear = stage.ear().await;
    let mut heads = Listener::open(stage.balancer.rpc.address).await;
    let id = heads.subscribe(json!(["newHeads"])).await;
    stage.write_everywhere(&[1]).await;
    ear.hears(&stage.record).await;
    let told = stage.record.logs.clone();
    for sluice in &stage.sluices {
        sluice.refuse("eth_getLogs");
    }
    stage.write_everywhere(&[2]).await;
    stage.write_everywhere(&[]).await;
    let (code, why) = ear.is_closed().await;
    assert_eq!(code, 1012, "{why}");
    assert!(why.contains("the logs of a block can't be had"), "{why}");
    assert_eq!(
        ear.heard.heads, stage.record.heads,
        "heads don't wait for logs"
    );
    assert_eq!(ear.heard.logs, told, "and no log out of its turn");
    // Who comes now has missed nothing.
    for sluice in &stage.sluices {
        sluice.let_pass("eth_getLogs");
    }
    let (mut again, before) = (stage.ear().await, stage.record.clone());
    stage.write_everywhere(&[3, 4]).await;
    let mut record = stage.record.clone();
    record.heads.drain(..before.heads.len());
    record.logs.drain(..before.logs.len());
    again.hears_just(&record).await;
    // Nor has who listens to heads alone.
    let mut heard = Vec::new();
    while heard.len() < stage.record.heads.len() {
        let Some(Heard::News(_, head)) = heads.next_within(PATIENCE).await else {
            panic!(
                "closed, or no more heads: {heard:?} of {:?} ({id})",
                stage.record.heads
            );
        };
        heard.push(head["hash"].as_str().unwrap().to_string());
    }
    assert_eq!(heard, stage.record.heads);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_later_doesnt_wait_for_logs_that_nobody_hears() {
    let mut stage = Stage::set(1, QUICK).await;
    let mut gone = stage.ear().await;
    stage.write(&[1]).await;
    stage.sluices[0].refuse(&stage.record.heads[0]);
    stage.follow(0).await;
    gone.hears_heads(1).await;
    let hash = stage.record.heads.remove(0);
    stage.record.logs.clear();
    eventually("its logs are asked for", PATIENCE, async || {
        stage.sluices[0].asked(&hash) > 1
    })
    .await;
    drop(gone);
    let mut ear = stage.ear().await;
    stage.write_everywhere(&[2]).await;
    let soon = tokio::time::timeout(PATIENCE / 3, ear.hears(&stage.record));
    soon.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_no_node_has_a_socket_heads_and_logs_are_polled() {
    let mut stage = Stage::set_with_sockets(0, 2).await;
    let mut ear = stage.ear().await;
    let mut picky = Ear::open(&stage.balancer, json!({"topics": [super::topic(7)]})).await;
    let mut client = Listener::open(stage.balancer.rpc.address).await;
    let refused = client.ask("eth_subscribe", json!(["newPendingTransactions"]));
    let refused = refused.await;
    assert_eq!(refused["error"]["code"], -32601, "{refused}");
    for topics in [&[1][..], &[7, 2], &[], &[3, 3, 7]] {
        stage.write_everywhere(topics).await;
    }
    ear.hears(&stage.record).await;
    stage.reorganise(&[&[7], &[4]]).await;
    stage.write_everywhere(&[5]).await;
    ear.hears_just(&stage.record).await;
    let mut record = stage.record.clone();
    record
        .logs
        .retain(|log| log["topics"][0] == super::topic(7));
    picky.hears_just(&record).await;
    let filled = stage.balancer.metric("forebay_blocks_filled_total", &[]);
    assert!(filled.await > Some(0.0), "several blocks from look to look");
    // More blocks between two looks than may be fetched: that is a gap.
    stage.mirrors[1].node.process.kill();
    stage.mirrors[0].node.mine(200).await;
    let (code, why) = ear.is_closed().await;
    assert_eq!(code, 1012, "{why}");
    assert!(why.contains("blocks are missing"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_sockets_are_not_for_health_there_are_lines_while_clients_listen() {
    let yaml = QUICK.replace("fall: 2", "fall: 2, sockets: false");
    let mut stage = Stage::set_without_lines(2, &yaml).await;
    let lines = "forebay_upstream_subscriptions";
    assert_eq!(stage.balancer.metric(lines, &[]).await, None);
    for topics in [&[1][..], &[2, 2]] {
        let mut ear = stage.ear().await;
        stage.has_line(0).await;
        stage.has_line(1).await;
        stage.write_everywhere(topics).await;
        ear.hears_just(&stage.record).await;
        drop(ear);
        eventually("the lines are closed", PATIENCE, async || {
            stage.balancer.metric(lines, &[]).await.is_none()
        })
        .await;
        stage.record = Record::default();
    }
}

//! What can't be promised any more ends with a close and its reason; no other connection is closed.

use serde_json::json;

use super::stage::{QUICK, Stage};
use crate::support::{Heard, Listener, PATIENCE, soon};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_that_no_node_brings_close_the_clients_that_listen_to_them_and_no_others() {
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
    // A client that comes now has missed nothing.
    for sluice in &stage.sluices {
        sluice.let_pass("eth_getLogs");
    }
    let (mut again, before) = (stage.ear().await, stage.record.clone());
    stage.write_everywhere(&[3, 4]).await;
    let mut record = stage.record.clone();
    record.heads.drain(..before.heads.len());
    record.logs.drain(..before.logs.len());
    again.hears_just(&record).await;
    // Nor has one that listens to heads alone.
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
async fn a_client_that_comes_later_doesnt_wait_for_logs_that_no_client_hears() {
    let mut stage = Stage::set(1, QUICK).await;
    let mut gone = stage.ear().await;
    stage.write(&[1]).await;
    stage.sluices[0].refuse(&stage.record.heads[0]);
    stage.follow(0).await;
    gone.hears_heads(1).await;
    let hash = stage.record.heads.remove(0);
    stage.record.logs.clear();
    soon("its logs are asked for", async || {
        stage.sluices[0].asked(&hash) > 1
    })
    .await;
    drop(gone);
    let mut ear = stage.ear().await;
    stage.write_everywhere(&[2]).await;
    let soon = tokio::time::timeout(PATIENCE / 3, ear.hears(&stage.record));
    soon.await.unwrap();
}

//! Lines to nodes: over TLS too, none where a node has no socket, no longer than they are wanted.

use serde_json::json;

use super::stage::{self, Ear, QUICK, Record, Stage};
use super::topic;
use crate::support::{Balancer, Heard, Listener, PATIENCE, TlsDoor, soon};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_no_node_has_a_socket_heads_and_logs_are_polled() {
    let mut stage = Stage::set_with_sockets(0, 2).await;
    let mut ear = stage.ear().await;
    let mut picky = Ear::open(&stage.balancer, json!({"topics": [topic(7)]})).await;
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
    record.logs.retain(|log| log["topics"][0] == topic(7));
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
    // What one node must tell waits for the first line.
    let (mut client, id) = stage.pending().await;
    let (hash, raw) = stage.author.pending().await;
    stage.send(&raw, &[0, 1]).await;
    stage::hears(&mut client, &id, &hash).await;
    drop(client);
    soon("the lines are closed again", async || {
        stage.balancer.metric(lines, &[]).await.is_none()
    })
    .await;
    for topics in [&[1][..], &[2, 2]] {
        let mut ear = stage.ear().await;
        stage.has_line(0).await;
        stage.has_line(1).await;
        stage.write_everywhere(topics).await;
        ear.hears_just(&stage.record).await;
        drop(ear);
        soon("the lines are closed", async || {
            stage.balancer.metric(lines, &[]).await.is_none()
        })
        .await;
        stage.record = Record::default();
    }
}

#[tokio::test]
async fn a_node_is_asked_for_a_topic_once_and_until_the_last_client_leaves() {
    let stage = Stage::set(1, QUICK).await;
    let carried = async || {
        let name = "forebay_upstream_subscriptions";
        stage.balancer.metric(name, &[]).await
    };
    let mut clients = [stage.pending().await, stage.pending().await];
    let mut whole = Listener::open(stage.balancer.rpc.address).await;
    let asked = json!(["newPendingTransactions", true]);
    let id = whole.subscribe(asked).await;
    assert_eq!(carried().await, Some(3.0), "heads, hashes, transactions");
    let (hash, raw) = stage.author.pending().await;
    stage.send(&raw, &[0]).await;
    for (client, id) in &mut clients {
        stage::hears(client, id, &hash).await;
    }
    let Some(Heard::News(from, transaction)) = whole.next_within(PATIENCE).await else {
        panic!()
    };
    assert_eq!((&from, &transaction["hash"]), (&id, &hash));
    let unsubscribed = whole.ask("eth_unsubscribe", json!([id])).await;
    assert_eq!(unsubscribed["result"], true);
    let [(one, _), (other, _)] = clients;
    drop(one);
    soon("the node is told", async || carried().await == Some(2.0)).await;
    drop(other);
    soon("heads alone are left", async || {
        carried().await == Some(1.0)
    })
    .await;
}

/// Calls, probes and sockets alike trust `ca_file`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_listened_to_over_tls_if_its_certificate_is_trusted() {
    let mut stage = Stage::set(1, QUICK).await;
    let node = stage.mirrors[0].node.rpc.address;
    let doors = [TlsDoor::before(node).await, TlsDoor::before(node).await];
    let folder = tempfile::tempdir().unwrap();
    let trusted = folder.path().join("ca.pem");
    std::fs::write(&trusted, &doors[0].certificate).unwrap();
    let mut yaml = format!("ca_file: \"{}\"\n{QUICK}  nodes:\n", trusted.display());
    for (door, name) in doors.iter().zip(["trusted", "foreign"]) {
        let (url, ws_url) = (door.url("https"), door.url("wss"));
        yaml += &format!("    - {{ url: \"{url}\", ws_url: \"{ws_url}\", name: {name} }}\n");
    }
    stage.balancer = Balancer::start(&yaml, &[]).await;
    stage.has_line_called("trusted").await;
    let mut ear = stage.ear().await;
    let (mut client, id) = stage.pending().await;
    stage.write_everywhere(&[1, 2]).await;
    ear.hears(&stage.record).await;
    for log in &stage.record.logs {
        stage::hears(&mut client, &id, &log["transactionHash"]).await;
    }
    let printed = stage.balancer.process.printed();
    let is_told = |line: &&str| line.contains("no WebSocket to foreign") && line.contains("TLS");
    assert!(printed.lines().any(|line| is_told(&line)), "{printed}");
}

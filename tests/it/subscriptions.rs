//! Subscriptions that survive their node: real nodes die, freeze and reorganise while clients listen
//! over the balancer's sockets, and each of them hears everything once and in order.

mod chaos;
mod gaps;
mod lines;
mod reorgs;
mod stage;
mod takeovers;

use serde_json::json;

use self::chaos::Chaos;
use self::stage::{QUICK, SILENCE, Stage, balancer};
use crate::support::{Balancer, Geth, Heard, Listener, Mirror, soon};

/// A topic of logs.
fn topic(byte: u8) -> String {
    format!("0x{}", format!("{byte:02x}").repeat(32))
}

/// The blocks that one story writes; `FOREBAY_SUBSCRIPTIONS_BLOCKS` for more of them.
fn blocks() -> usize {
    let asked = std::env::var("FOREBAY_SUBSCRIPTIONS_BLOCKS").ok();
    asked.and_then(|blocks| blocks.parse().ok()).unwrap_or(60)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_hears_every_head_and_log_once_whatever_becomes_of_the_nodes() {
    let mut chaos = Chaos::begin(200).await;
    chaos.write_blocks(blocks()).await;
    chaos.compare().await;
}

#[tokio::test]
async fn a_subscriber_begins_at_the_block_told_last() {
    let mut stage = Stage::set(1, QUICK).await;
    let mut client = Listener::open(stage.balancer.rpc.address).await;
    let heads = client.subscribe(json!(["newHeads"])).await;
    let logs = client.subscribe(json!(["logs", {}])).await;
    assert!(client.next_within(SILENCE).await.is_none());
    stage.write_everywhere(&[1, 2]).await;
    let Heard::News(id, head) = client.next().await else {
        panic!()
    };
    assert_eq!((id, &head["hash"]), (heads, &json!(stage.record.heads[0])));
    for wanted in &stage.record.logs {
        let heard = client.next().await;
        assert_eq!(heard, Heard::News(logs.clone(), wanted.clone()));
    }
}

#[tokio::test]
async fn geths_own_subscriptions_are_passed_on_and_its_heads_told() {
    let geth = Geth::start(0).await;
    let mut yaml = QUICK.replace("block_time: 200ms", "block_time: 1s");
    yaml += &format!(
        "  nodes:\n    - {{ url: \"{}\", ws_url: \"{}\", name: geth }}\n",
        geth.url(),
        geth.ws_url()
    );
    let balancer = Balancer::start(&yaml, &[]).await;
    let mut client = Listener::open(balancer.rpc.address).await;
    let heads = client.subscribe(json!(["newHeads"])).await;
    soon("geth's line is open", async || {
        balancer.metric("forebay_upstream_subscriptions", &[]).await >= Some(1.0)
    })
    .await;
    let pending = client.subscribe(json!(["newPendingTransactions"])).await;
    client.subscribe(json!(["syncing"])).await;
    let refused = client
        .ask("eth_subscribe", json!(["nonsense", {"a": 1}]))
        .await;
    let why = refused["error"]["message"].to_string();
    assert!(why.contains("nonsense"), "{refused}");
    let accounts = geth.rpc.call("eth_accounts", json!([])).await;
    let nothing = json!([{"from": accounts[0], "to": accounts[0], "value": "0x0"}]);
    let hash = geth.rpc.call("eth_sendTransaction", nothing).await;
    let mut told = [client.next().await, client.next().await];
    told.sort_by_key(|heard| matches!(heard, Heard::News(id, _) if *id == heads));
    assert_eq!(told[0], Heard::News(pending, hash));
    let Heard::News(_, head) = &told[1] else {
        panic!()
    };
    let block = geth
        .rpc
        .call("eth_getBlockByHash", json!([head["hash"], false]))
        .await;
    for member in ["hash", "parentHash", "logsBloom", "number", "stateRoot"] {
        assert_eq!(head[member], block[member]);
    }
    assert!(head.get("transactions").is_none() && head.get("size").is_none());
}

#[tokio::test]
async fn a_topic_that_no_node_tells_is_refused() {
    let mirror = Mirror::begin().await;
    let balancer = balancer(QUICK, &[mirror.node.url()]).await;
    let mut client = Listener::open(balancer.rpc.address).await;
    let refused = client.ask("eth_subscribe", json!(["nonsense"])).await;
    assert!(refused["error"]["code"].is_i64(), "{refused}");
}

//! Subscriptions that survive their node: real nodes die, freeze and reorganise while clients listen
//! over the balancer's sockets, and each of them hears everything once and in order.

#[path = "subscriptions/chaos.rs"]
mod chaos;
#[path = "support/mod.rs"]
mod support;

use std::time::Duration;

use serde_json::json;

use self::chaos::Chaos;
use self::support::{Author, Balancer, Geth, Heard, Listener, Mirror, PATIENCE, eventually};

/// Health that decides in tenths of a second, on a chain whose blocks come as fast as they go.
const QUICK: &str = "\
version: 1
threads: 2
forebay:
  chain: { block_time: 200ms }
  listen: { http: [\"@HTTP@\"], metrics: \"@METRICS@\" }
  registry: { path: \"@FOLDER@/forebay.db\", last_list: \"@FOLDER@/last-list.json\" }
  health: { interval: 500ms, timeout: 450ms, rise: 1, fall: 2 }
  sockets: { per_address_max: 1000 }
  shutdown: { lame_duck: 300ms, drain: 5s }
  nodes:
";

/// A balancer before nodes called a, b, c.
async fn balancer(urls: &[String]) -> Balancer {
    let mut yaml = QUICK.to_string();
    for (url, name) in urls.iter().zip(["a", "b", "c"]) {
        yaml += &format!("    - {{ url: \"{url}\", name: {name} }}\n");
    }
    Balancer::start(&yaml, &[]).await
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
    let mut author = Author::begin().await;
    let mut mirror = Mirror::begin().await;
    author.write(&[1]).await;
    author.write(&[1]).await;
    mirror.follow(&author.chain).await;
    let balancer = balancer(&[mirror.node.url()]).await;
    eventually("the first head is told", PATIENCE, async || {
        let head = balancer.metric("forebay_upstream_subscriptions", &[]).await;
        head == Some(1.0)
    })
    .await;
    let mut client = Listener::open(balancer.rpc.address).await;
    let heads = client.subscribe(json!(["newHeads"])).await;
    let logs = client.subscribe(json!(["logs", {}])).await;
    assert!(
        client
            .next_within(Duration::from_millis(700))
            .await
            .is_none()
    );
    author.write(&[1, 2]).await;
    mirror.follow(&author.chain).await;
    let block = author.chain.last().unwrap();
    let Heard::News(id, head) = client.next().await else {
        panic!()
    };
    assert_eq!((id, &head["hash"]), (heads, &json!(block.hash)));
    for wanted in &block.logs {
        let heard = client.next().await;
        assert_eq!(heard, Heard::News(logs.clone(), wanted.clone()));
    }
}

#[tokio::test]
async fn geths_own_subscriptions_are_passed_on_and_its_heads_told() {
    let geth = Geth::start(0).await;
    let mut yaml = QUICK.replace("block_time: 200ms", "block_time: 1s");
    yaml += &format!(
        "    - {{ url: \"{}\", ws_url: \"{}\", name: geth }}\n",
        geth.url(),
        geth.ws_url()
    );
    let balancer = Balancer::start(&yaml, &[]).await;
    let mut client = Listener::open(balancer.rpc.address).await;
    let heads = client.subscribe(json!(["newHeads"])).await;
    eventually("geth's line is open", PATIENCE, async || {
        balancer.metric("forebay_upstream_subscriptions", &[]).await >= Some(1.0)
    })
    .await;
    let pending = client.subscribe(json!(["newPendingTransactions"])).await;
    let refused = client
        .ask("eth_subscribe", json!(["nonsense", {"a": 1}]))
        .await;
    assert!(
        refused["error"]["message"]
            .as_str()
            .unwrap()
            .contains("nonsense"),
        "{refused}"
    );
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
        .call("eth_getBlockByNumber", json!(["latest", false]))
        .await;
    for member in ["hash", "parentHash", "logsBloom", "number", "stateRoot"] {
        assert_eq!(head[member], block[member]);
    }
    assert!(head.get("transactions").is_none() && head.get("size").is_none());
}

/// Which of the nodes a and b tells what is passed on: its line carries more than the heads.
async fn teller(balancer: &Balancer) -> usize {
    let mut found = usize::MAX;
    eventually("a node tells it", PATIENCE, async || {
        for (at, name) in ["a", "b"].into_iter().enumerate() {
            let labels = [("node", name)];
            let carried = balancer
                .metric("forebay_upstream_subscriptions", &labels)
                .await;
            if carried == Some(2.0) {
                found = at;
            }
        }
        found < 2
    })
    .await;
    found
}

#[tokio::test]
async fn pending_transactions_are_told_once_and_taken_over_until_nobody_is_left() {
    let mut author = Author::begin().await;
    let mut mirrors = [Mirror::begin().await, Mirror::begin().await];
    author.write(&[]).await;
    for mirror in &mut mirrors {
        mirror.follow(&author.chain).await;
    }
    let balancer = balancer(&[mirrors[0].node.url(), mirrors[1].node.url()]).await;
    eventually("both lines are open", PATIENCE, async || {
        balancer.metric("forebay_upstream_subscriptions", &[]).await == Some(2.0)
    })
    .await;
    let mut client = Listener::open(balancer.rpc.address).await;
    let mut other = Listener::open(balancer.rpc.address).await;
    let pending = client.subscribe(json!(["newPendingTransactions"])).await;
    let same = other
        .subscribe(json!(["newPendingTransactions", false]))
        .await;
    let first = teller(&balancer).await;
    for turn in 0..2 {
        let raw = author.pending().await;
        let mut hash = json!(null);
        for (at, mirror) in mirrors.iter().enumerate() {
            if turn == 0 || at != first {
                hash = mirror
                    .node
                    .rpc
                    .call("eth_sendRawTransaction", json!([raw]))
                    .await;
            }
        }
        assert_eq!(
            client.next().await,
            Heard::News(pending.clone(), hash.clone())
        );
        assert_eq!(other.next().await, Heard::News(same.clone(), hash));
        if turn == 0 {
            mirrors[first].node.process.kill();
            assert_eq!(teller(&balancer).await, 1 - first);
            let lost = [("reason", "lost")];
            assert_eq!(
                balancer.metric("forebay_takeovers_total", &lost).await,
                Some(1.0)
            );
        }
    }
    mirrors[1 - first].node.process.kill();
    let Heard::Closed(code, why) = client.next().await else {
        panic!()
    };
    assert_eq!(
        (code, why.contains("subscribe again")),
        (1012, true),
        "{why}"
    );
}

#[tokio::test]
async fn a_topic_that_no_node_tells_is_refused() {
    let mirror = Mirror::begin().await;
    let balancer = balancer(&[mirror.node.url()]).await;
    let mut client = Listener::open(balancer.rpc.address).await;
    let refused = client.ask("eth_subscribe", json!(["nonsense"])).await;
    assert!(refused["error"]["code"].is_i64(), "{refused}");
}

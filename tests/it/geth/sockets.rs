//! What a subscriber hears while nodes come and go.

use serde_json::{Value, json};

use super::stage::Stage;
use crate::support::{Heard, Listener, PATIENCE};

/// A client that listens to heads and logs.
struct Ear {
    client: Listener,
    heads: String,
    logs: String,
}

impl Ear {
    async fn open(stage: &Stage) -> Ear {
        let mut client = Listener::open(stage.rpc().address).await;
        let heads = client.subscribe(json!(["newHeads"])).await;
        let logs = client.subscribe(json!(["logs", {}])).await;
        Ear {
            client,
            heads,
            logs,
        }
    }

    /// What it hears until the head of this hash was told, and as many logs.
    async fn hear(&mut self, until: &str, logs_wanted: usize) -> (Vec<Value>, Vec<Value>) {
        let (mut heads, mut logs) = (Vec::new(), Vec::new());
        let is_done = |heads: &[Value], logs: &[Value]| {
            heads.last().is_some_and(|head| head["hash"] == *until) && logs.len() >= logs_wanted
        };
        while !is_done(&heads, &logs) {
            match self.client.next_within(PATIENCE).await {
                Some(Heard::News(id, head)) if id == self.heads => heads.push(head),
                Some(Heard::News(id, log)) if id == self.logs => logs.push(log),
                other => panic!("{other:?} after {heads:?} {logs:?}, waiting for {until}"),
            }
        }
        (heads, logs)
    }
}

/// Each stands on the one before.
fn assert_linked(parent: &Value, heads: &[Value]) {
    let mut at = parent;
    for head in heads {
        assert_eq!(head["parentHash"], *at, "{heads:?}");
        at = &head["hash"];
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_hears_each_block_once_though_geth_tells_the_tip_alone() {
    let nodes: &[(&str, &[&str])] = &[("a", &[]), ("b", &[])];
    let mut stage = Stage::set(nodes, "").await;
    let mut ear = Ear::open(&stage).await;
    stage.chain.grow(10).await;
    let begin = stage.chain.tip.clone();
    ear.hear(&begin, 0).await;
    let mut nonce = 0;

    // Seven blocks at once, of which geth tells the last.
    stage.chain.grow(7).await;
    let tip = stage.chain.tip.clone();
    let (heads, _) = ear.hear(&tip, 0).await;
    assert_eq!(heads.len(), 7);
    assert_linked(&json!(begin), &heads);

    // A log, and a reorg that takes it back and puts another in its place.
    let raw = stage.chain.signed(nonce, 1).await;
    let before = stage.chain.tip.clone();
    let taken = stage.chain.mine(&[raw]).await;
    let (_, logs) = ear.hear(&taken, 1).await;
    assert_eq!((logs.len(), &logs[0]["blockHash"]), (1, &json!(taken)));
    let other = stage.chain.signed(nonce, 2).await;
    nonce += 1;
    stage.chain.reorganise(1, &[other]).await;
    let tip = stage.chain.tip.clone();
    let (heads, logs) = ear.hear(&tip, 2).await;
    assert_eq!((heads.len(), logs.len()), (2, 2), "{heads:?} {logs:?}");
    assert_linked(&json!(before), &heads);
    let removed: Vec<_> = logs.iter().map(|log| &log["removed"]).collect();
    assert_eq!(removed, [&json!(true), &json!(false)]);

    // Whichever is listened to: it is told to end, and dies.
    for name in ["a", "b"] {
        stage.chain.node(name).stop().await;
        stage.chain.node(name).start_again().await;
        stage.chain.tell().await;
        stage.becomes(name, 1.0).await;
        let before = stage.chain.tip.clone();
        stage.chain.node(name).process.kill();
        stage.chain.grow(2).await;
        let raw = stage.chain.signed(nonce, 3).await;
        nonce += 1;
        let tip = stage.chain.mine(&[raw]).await;
        let (heads, logs) = ear.hear(&tip, 1).await;
        assert_eq!(
            (heads.len(), logs.len()),
            (3, 1),
            "{name}: {heads:?} {logs:?}"
        );
        assert_linked(&json!(before), &heads);
        stage.chain.node(name).start_again().await;
        stage.chain.tell().await;
        stage.becomes(name, 1.0).await;
    }
}

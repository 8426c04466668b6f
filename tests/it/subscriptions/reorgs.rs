//! `anvil_reorg` itself under clients that listen: what they are told is what the node's own socket
//! and its chain say.

use serde_json::{Value, json};

use super::stage::{Ear, QUICK, Record, Stage, balancer, reorganise};
use crate::support::{
    Author, Balancer, Heard, Listener, Mirror, PATIENCE, Sluice, read_quantity, soon,
};

/// Depths, and the logs of the new blocks: with and without logs in those that are replaced.
const REORGS: [&[&[u8]]; 5] = [
    &[&[7], &[], &[8, 8]],
    &[&[], &[]],
    &[&[]],
    &[&[9], &[9]],
    &[&[], &[1], &[2, 3], &[], &[4]],
];

/// A client of ours, and one of the node's own.
struct Pair {
    ear: Ear,
    direct: Listener,
    record: Record,
}

impl Pair {
    async fn listen(author: &Author, balancer: &Balancer) -> Pair {
        let mut direct = Listener::open(author.node.rpc.address).await;
        direct.subscribe(json!(["newHeads"])).await;
        Pair {
            ear: Ear::open(balancer, json!({})).await,
            direct,
            record: Record::default(),
        }
    }

    /// The node's own socket tells the same heads, and its chain is what ours comes to.
    async fn compare(mut self, author: &Author) {
        self.ear.hears_just(&self.record).await;
        let mut direct = Vec::new();
        for _ in &self.record.heads {
            let Some(Heard::News(_, head)) = self.direct.next_within(PATIENCE).await else {
                panic!("the node tells no more: {direct:?}");
            };
            direct.push(head);
        }
        let hashes: Vec<_> = direct.iter().map(|head| &head["hash"]).collect();
        assert_eq!(json!(self.ear.heard.heads), json!(hashes));
        let last = branch(&direct);
        let from = last[0]["number"].clone();
        let rpc = author.node.rpc;
        for head in last {
            let at = json!([head["number"], false]);
            let block = rpc.call("eth_getBlockByNumber", at).await;
            assert_eq!(block["hash"], head["hash"]);
        }
        let head = rpc.call("eth_blockNumber", json!([])).await;
        assert_eq!(head, direct.last().unwrap()["number"]);
        let logs = rpc.call("eth_getLogs", json!([{"fromBlock": from}])).await;
        assert_eq!(json!(still_there(&self.ear.heard.logs)), logs);
    }
}

/// What is left of heads when those that others follow on are: each has its parent among them, or
/// the fork is before all that was told.
fn branch(told: &[Value]) -> Vec<&Value> {
    let number = |head: &Value| read_quantity(&head["number"]).unwrap();
    let mut branch: Vec<&Value> = Vec::new();
    for head in told {
        let is_parent = |other: &&Value| other["hash"] == head["parentHash"];
        let parent = branch.iter().rposition(is_parent);
        let is_before = branch
            .first()
            .is_none_or(|first| number(head) <= number(first));
        assert!(parent.is_some() || is_before, "{head}");
        branch.truncate(parent.map_or(0, |parent| parent + 1));
        branch.push(head);
    }
    branch
}

/// What is left of logs when those that were taken back are, each as it was told.
fn still_there(told: &[Value]) -> Vec<Value> {
    let mut left: Vec<Value> = Vec::new();
    for log in told {
        if log["removed"] == json!(true) {
            let mut taken = log.clone();
            taken["removed"] = json!(false);
            let at = left.iter().rposition(|other| *other == taken);
            left.remove(at.expect("one that was told"));
        } else {
            left.push(log.clone());
        }
    }
    left
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reorg_is_told_from_the_fork_on_with_the_logs_of_what_is_gone() {
    let mut author = begin().await;
    let balancer = balancer(QUICK, &[author.node.url()]).await;
    let mut pair = Pair::listen(&author, &balancer).await;
    for topics in [&[1][..], &[], &[2, 2]] {
        pair.record.write(author.write(topics).await);
    }
    for blocks in REORGS {
        pair.ear.hears(&pair.record).await;
        reorganise(&mut author, &mut pair.record, blocks).await;
        for topics in [&[5][..], &[]] {
            pair.record.write(author.write(topics).await);
        }
    }
    pair.compare(&author).await;
    let reorgs = balancer.metric("forebay_reorgs_told_total", &[]).await;
    assert_eq!(reorgs, Some(REORGS.len() as f64));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reorg_of_one_node_is_told_when_the_other_has_it() {
    let mut author = begin().await;
    let mut mirror = Mirror::begin().await;
    mirror.follow(&author.chain).await;
    let balancer = balancer(QUICK, &[author.node.url(), mirror.node.url()]).await;
    let mut pair = Pair::listen(&author, &balancer).await;
    for topics in [&[1][..], &[2, 2], &[3]] {
        pair.record.write(author.write(topics).await);
        mirror.follow(&author.chain).await;
    }
    for blocks in REORGS {
        // By then both nodes were heard, not only the one that told it first.
        pair.ear.hears_just(&pair.record).await;
        let before = pair.record.clone();
        reorganise(&mut author, &mut pair.record, blocks).await;
        // One node's word against the other's, for chains of one length.
        pair.ear.hears_just(&before).await;
        mirror.follow(&author.chain).await;
    }
    pair.compare(&author).await;
    let reorgs = balancer.metric("forebay_reorgs_told_total", &[]).await;
    assert_eq!(reorgs, Some(REORGS.len() as f64));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_from_before_a_reorg_that_come_after_it_take_nothing_back() {
    let patient = QUICK.replace("500ms, timeout: 450ms", "6s, timeout: 5900ms");
    let mut stage = Stage::set(2, &patient).await;
    let mut ear = stage.ear().await;
    for topics in [&[1][..], &[2, 2], &[3]] {
        stage.write_everywhere(topics).await;
    }
    ear.hears_just(&stage.record).await;
    stage
        .sluices
        .iter()
        .for_each(|sluice| sluice.hold("latest"));
    soon("a round's answers wait", async || {
        stage.sluices.iter().all(|sluice| sluice.waiting() > 0)
    })
    .await;
    stage.reorganise(REORGS[0]).await;
    for at in [0, 1] {
        stage.follow(at).await;
    }
    ear.hears(&stage.record).await;
    assert!(stage.sluices.iter().all(|sluice| sluice.waiting() > 0));
    stage.sluices.iter().for_each(Sluice::release);
    ear.hears_just(&stage.record).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reorg_deeper_than_what_is_remembered_ends_with_a_close() {
    let author = begin().await;
    let balancer = balancer(QUICK, &[author.node.url()]).await;
    let mut ear = Ear::open(&balancer, json!({})).await;
    author.node.mine(140).await;
    // All of it: what is gone before it was told is never told.
    ear.hears_heads(140).await;
    author.node.reorganise(100).await;
    ear.hears_heads(240).await;
    author.node.reorganise(135).await;
    let (code, why) = ear.is_closed().await;
    assert_eq!((code, ear.heard.heads.len()), (1012, 240), "{why}");
    assert!(why.contains("blocks are missing"), "{why}");
    // A client that comes then is told the new chain.
    let mut ear = Ear::open(&balancer, json!({})).await;
    author.node.mine(1).await;
    let heard = tokio::time::timeout(PATIENCE, ear.hear()).await;
    assert_eq!(heard, Ok(Ok(true)));
    let at = json!(["latest", false]);
    let latest = author.node.rpc.call("eth_getBlockByNumber", at).await;
    assert_eq!(json!(ear.heard.heads), json!([latest["hash"]]));
}

async fn begin() -> Author {
    let mut author = Author::begin().await;
    for _ in 0..6 {
        author.write(&[6]).await;
    }
    author
}

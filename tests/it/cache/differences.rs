//! No difference between what is given and what nodes say, over a chain that grows and is reorganised
//! and nodes that lag, stay on branches that are no more, and die.
//!
//! While it is troubled, calls fill the cache with whatever nodes say. Then all nodes come to one chain,
//! and every answer is held against a node that the balancer doesn't know. Bounded to some thousand
//! calls; `FOREBAY_CACHE_CALLS=200000 cargo nextest run --test it cache::differences` makes so many.

use forebay_core::vocabulary::chance::{Dice as _, SeededDice};
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use super::stage::{BLOCKHASH, Stage, asked};
use crate::support::Answer;

const CALLS: u64 = 3000;
/// After so many a chain is left for a new one, where more are wanted: a node that begins anew is brought all of its
/// blocks.
const CHAIN_CALLS: u64 = 10_000;
/// Blocks that are asked about.
const BLOCKS: u64 = 8;
/// Calls that are made side by side.
const BESIDE: usize = 8;

/// How many answers there were, and how many of them were kept ones.
#[derive(Default)]
struct Count {
    answers: u64,
    hits: u64,
}

impl Count {
    fn hear(&mut self, answer: &Answer) {
        self.answers += 1;
        self.hits += u64::from(answer.header("x-forebay-cache") == Some("hit"));
    }

    fn add(&mut self, other: &Count) {
        self.answers += other.answers;
        self.hits += other.hits;
    }
}

fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |told| told.parse().unwrap())
}

/// All kinds of calls about block `number` and its transactions. Not its history of fees: what anvil says of
/// the next block's fee is another thing once that block is there, as its author sets it.
fn calls(stage: &Stage, number: u64) -> Vec<(&'static str, Value)> {
    let at = format!("0x{number:x}");
    let from = format!("0x{:x}", number.saturating_sub(3));
    let block = &stage.author.chain[usize::try_from(number - 1).unwrap()];
    let (saver, hash) = (stage.saver(), &block.hash);
    let mut calls = vec![
        ("eth_getBlockByNumber", json!([at, true])),
        ("eth_getBlockByHash", json!([hash, false])),
        ("eth_getBlockReceipts", json!([at])),
        ("eth_getBlockTransactionCountByNumber", json!([at])),
        ("eth_getBlockTransactionCountByHash", json!([hash])),
        (
            "eth_getTransactionByBlockNumberAndIndex",
            json!([at, "0x0"]),
        ),
        (
            "eth_getTransactionByBlockHashAndIndex",
            json!([hash, "0x1"]),
        ),
        ("eth_call", json!([{"data": BLOCKHASH}, at])),
        (
            "eth_call",
            json!([{"data": BLOCKHASH}, {"blockHash": hash}]),
        ),
        ("eth_getBalance", json!([saver, at])),
        ("eth_getCode", json!([saver, at])),
        ("eth_getStorageAt", json!([saver, "0x0", at])),
        ("eth_getTransactionCount", json!([stage.author.sender, at])),
        ("eth_getProof", json!([saver, [], at])),
        ("eth_getLogs", json!([{"fromBlock": from, "toBlock": at}])),
        ("eth_getLogs", json!([{"blockHash": hash}])),
    ];
    for transaction in block.transactions() {
        calls.push(("eth_getTransactionByHash", json!([transaction])));
        calls.push(("eth_getTransactionReceipt", json!([transaction])));
    }
    calls
}

/// The chain grows or is reorganised, and some of the nodes follow.
async fn trouble(stage: &mut Stage, dice: &mut SeededDice) {
    match dice.roll() % 4 {
        0 if stage.head() > 6 => {
            let (first, second) = ((dice.roll() % 99) as u8, (dice.roll() % 99) as u8);
            match dice.roll() % 3 {
                0 => stage.author.reorganise(&[&[first]]).await,
                1 => stage.author.reorganise(&[&[first], &[second]]).await,
                _ => stage.author.reorganise(&[&[first], &[], &[second]]).await,
            };
        }
        _ => stage.grow().await,
    }
    for at in 0..stage.mirrors.len() {
        let chain = &stage.author.chain;
        let mirror = &mut stage.mirrors[at];
        match dice.roll() % 8 {
            0 => {
                mirror.restart().await;
                mirror.follow(chain).await;
            }
            1 | 2 => {}
            3 => mirror.follow(&chain[..chain.len() - 1]).await,
            _ => mirror.follow(chain).await,
        }
    }
}

/// Asks at random, whatever comes.
async fn ask(stage: &Stage, dice: &mut SeededDice, count: &mut Count) {
    for _ in 0..12 {
        let number = stage.head() - dice.roll() % BLOCKS.min(stage.head());
        let mut calls = calls(stage, number);
        calls.push(("eth_call", json!([{"data": BLOCKHASH}])));
        calls.push(("eth_getBlockByNumber", json!(["latest", false])));
        let (method, params) = &calls[usize::try_from(dice.roll()).unwrap_or(0) % calls.len()];
        for balancer in stage.balancers() {
            count.hear(&asked(balancer, method, params).await);
        }
    }
}

/// One call, twice to each balancer: each answer is what a node says.
async fn compare(stage: &Stage, (method, params): (&str, Value), seed: u64) -> Count {
    let (truth, mut count) = (stage.truth(method, &params).await, Count::default());
    for balancer in stage.balancers().chain(stage.balancers()) {
        let answer = asked(balancer, method, &params).await;
        let said = answer.header("x-forebay-cache").unwrap_or("nothing");
        let node = answer.header("x-forebay-node").unwrap_or("no node");
        assert_eq!(
            answer.text(),
            truth,
            "seed {seed}, at block {}: {said} from {node} for {method} {params}",
            stage.head()
        );
        count.hear(&answer);
    }
    count
}

/// As many calls as are told come to what a node says, over one chain after another.
async fn stands(begin: impl AsyncFn() -> Stage) {
    let (calls_wanted, seed) = (
        setting("FOREBAY_CACHE_CALLS", CALLS),
        setting("FOREBAY_SEED", 1),
    );
    let mut dice = SeededDice::new(seed);
    let (mut troubled, mut settled) = (Count::default(), Count::default());
    while troubled.answers + settled.answers < calls_wanted {
        let mut stage = begin().await;
        for _ in 0..BLOCKS {
            stage.grow().await;
        }
        stage.settle().await;
        let enough = calls_wanted.min(troubled.answers + settled.answers + CHAIN_CALLS);
        while troubled.answers + settled.answers < enough {
            stands_for_a_while(&mut stage, &mut dice, seed, [&mut troubled, &mut settled]).await;
        }
    }
    println!(
        "in trouble {} of {} answers were kept ones, then {} of {}, and none differed",
        troubled.hits, troubled.answers, settled.hits, settled.answers
    );
    assert!(
        settled.hits * 3 > settled.answers,
        "too few to show anything"
    );
}

/// Some trouble, and then what all nodes say alike.
async fn stands_for_a_while(
    stage: &mut Stage,
    dice: &mut SeededDice,
    seed: u64,
    [troubled, settled]: [&mut Count; 2],
) {
    for _ in 0..4 {
        trouble(stage, dice).await;
        ask(stage, dice, troubled).await;
        if dice.roll().is_multiple_of(3) {
            tokio::time::sleep(super::ROUND).await;
        }
    }
    stage.settle().await;
    let stage = &*stage;
    let blocks = stage.head() + 1 - BLOCKS..=stage.head();
    let calls = blocks.flat_map(|number| calls(stage, number));
    let compared = calls.map(|call| compare(stage, call, seed));
    let mut compared = futures_util::stream::iter(compared).buffer_unordered(BESIDE);
    while let Some(count) = compared.next().await {
        settled.add(&count);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_given_is_what_nodes_say() {
    stands(async || Stage::begin(3).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_balancers_share_is_what_nodes_say() {
    stands(async || Stage::sharing(3).await).await;
}

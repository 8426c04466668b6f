//! An OP sequencer, and behind a balancer two replicas that keep no pool of their own.

use serde_json::{Value, json};

use super::names;
use super::rollup::{CHAIN, Rollup, SETTINGS};
use super::stage::Stage;
use crate::support::{Draft, Kind, Wallet, soon};

const SEND: &str = "eth_sendRawTransaction";
const SYNC: &str = "eth_sendRawTransactionSync";
const COUNT: &str = "eth_getTransactionCount";
const BY_HASH: &str = "eth_getTransactionByHash";

/// States by their hashes: after a restart it has those of its head and of the block before.
const HASHED: &[&str] = &["--state.scheme=hash"];
const ARCHIVE: &[&str] = &["--state.scheme=hash", "--gcmode=archive"];

fn signed(wallet: &Wallet, nonce: u64, value: u64) -> (String, String) {
    let draft = Draft {
        value,
        ..Draft::on(CHAIN)
    };
    let signed = wallet.sign(nonce, draft);
    (signed.raw, signed.hash)
}

async fn pending(stage: &Stage, wallet: &Wallet) -> Value {
    let asked = json!([wallet.address, "pending"]);
    stage.rpc.call(COUNT, asked).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs op-geth: ./dev chains"]
async fn replicas_without_a_pool_count_and_show_what_was_just_taken() {
    let mut rollup = Rollup::start([&[], &[]]).await;
    let stage = Stage::set(SETTINGS, &rollup.places()).await;
    let wallet = Wallet::rich();
    let mut hashes = Vec::new();
    for nonce in 0..12 {
        let (raw, hash) = signed(&wallet, nonce, 1);
        assert_eq!(stage.rpc.call(SEND, json!([raw])).await, *hash);
        let next = format!("{:#x}", nonce + 1);
        assert_eq!(pending(&stage, &wallet).await, next);
        let shown = stage.rpc.call(BY_HASH, json!([hash])).await;
        assert_eq!(shown["hash"], *hash, "{shown}");
        assert_eq!(shown["blockNumber"], Value::Null);
        // The replicas themselves show nothing of it.
        let itself = rollup.replica(0).call(BY_HASH, json!([hash])).await;
        assert_eq!(itself, Value::Null);
        assert_eq!(stage.rpc.call(SEND, json!([raw])).await, *hash, "again");
        hashes.push(hash);
    }
    // A gap lifts nothing.
    let (raw, after_a_gap) = signed(&wallet, 14, 1);
    stage.rpc.call(SEND, json!([raw])).await;
    assert_eq!(pending(&stage, &wallet).await, "0xc");
    rollup.mine_waiting().await;
    stage.shows(rollup.height).await;
    for hash in &hashes {
        assert_eq!(stage.receipt(hash).await["transactionHash"], *hash.as_str());
        let shown = stage.rpc.call(BY_HASH, json!([hash])).await;
        assert!(shown["blockNumber"].is_string(), "{shown}");
    }
    // Another transaction with its nonce is in a block.
    let (replaced, gone) = signed(&wallet, 12, 1);
    stage.rpc.call(SEND, json!([replaced])).await;
    let draft = Draft {
        price: 90_000_000_000,
        ..Draft::on(CHAIN)
    };
    let other = wallet.sign(12, draft);
    rollup.sequencer.rpc.call(SEND, json!([other.raw])).await;
    rollup.mine_waiting().await;
    stage.shows(rollup.height).await;
    let seen = stage.receipt(&other.hash).await;
    assert_eq!(seen["transactionHash"], *other.hash);
    let latest = json!([wallet.address, "latest"]);
    assert_eq!(stage.rpc.call(COUNT, latest).await, "0xd");
    assert_eq!(
        stage.rpc.call(BY_HASH, json!([gone])).await,
        Value::Null,
        "its nonce is used up"
    );
    assert_eq!(pending(&stage, &wallet).await, "0xd");
    let shown = stage.rpc.call(BY_HASH, json!([after_a_gap])).await;
    assert_eq!(shown["hash"], *after_a_gap, "it waits on");
    println!("12 of 12 counted and shown right after they were sent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs op-geth: ./dev chains"]
async fn a_transaction_without_a_chains_id_counts_and_others_are_refused_in_the_nodes_words() {
    let rollup = Rollup::start([&[], &[]]).await;
    let stage = Stage::set(SETTINGS, &rollup.places()).await;
    let wallet = Wallet::rich();
    let blob = Draft {
        kind: Kind::Blob,
        ..Draft::on(CHAIN)
    };
    let foreign = Draft::on(CHAIN + 1);
    for draft in [blob, foreign] {
        let written = wallet.sign(0, draft);
        let refused = stage.rpc.ask(SEND, json!([written.raw])).await.unwrap();
        println!("{:?}: {}", draft.kind, refused["error"]);
        assert!(refused["error"]["code"].is_number(), "{refused}");
        assert_eq!(pending(&stage, &wallet).await, "0x0");
    }
    let unbound = Draft {
        kind: Kind::Unbound,
        ..Draft::on(CHAIN)
    };
    let written = wallet.sign(0, unbound);
    let taken = stage.rpc.call(SEND, json!([written.raw])).await;
    assert_eq!(taken, *written.hash);
    assert_eq!(pending(&stage, &wallet).await, "0x1");
    let shown = stage.rpc.call(BY_HASH, json!([written.hash])).await;
    assert_eq!(shown["from"], *wallet.address, "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs op-geth: ./dev chains"]
async fn a_caller_that_waits_for_a_receipt_is_told_that_time_is_up_or_gets_it() {
    let mut rollup = Rollup::start([&[], &[]]).await;
    let stage = Stage::set(SETTINGS, &rollup.places()).await;
    let wallet = Wallet::rich();
    for nonce in 0..20 {
        let (raw, hash) = signed(&wallet, nonce, 1);
        let answer = stage.rpc.ask(SYNC, json!([raw, 200])).await.unwrap();
        let error = &answer["error"];
        assert_eq!((&error["code"], &error["data"]), (&json!(4), &json!(hash)));
    }
    println!("20 of 20 were told that time is up");
    let (raw, hash) = signed(&wallet, 20, 1);
    let asked = json!([raw, 20_000]);
    let waits = stage.rpc.call(SYNC, asked);
    let mines = async {
        soon("it has come", async || {
            let known = rollup.sequencer.rpc.call(BY_HASH, json!([hash])).await;
            known.is_object()
        })
        .await;
        rollup.mine_waiting().await;
    };
    let (receipt, ()) = tokio::join!(waits, mines);
    assert_eq!(receipt["transactionHash"], *hash);
    let again = stage.rpc.call(SYNC, json!([raw, 2000])).await;
    assert_eq!(again["transactionHash"], *hash);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs op-geth: ./dev chains"]
async fn a_replicas_error_names_no_sequencer() {
    let mut rollup = Rollup::start([&[], &[]]).await;
    let stage = Stage::set(SETTINGS, &rollup.places()).await;
    rollup.sequencer.process.kill();
    let port = rollup.sequencer.rpc.address.port().to_string();
    let (raw, _) = signed(&Wallet::rich(), 0, 1);
    let itself = rollup.replica(0).ask(SEND, json!([raw])).await.unwrap();
    assert!(itself.to_string().contains(&port), "{itself}");
    let told = stage.rpc.ask(SEND, json!([raw])).await.unwrap();
    println!("{} became {}", itself["error"], told["error"]);
    assert!(told["error"].is_object());
    // What follows the URL may name a host's address, as the system says it; the URL is cut.
    let url = format!("http://127.0.0.1:{port}");
    assert!(!told.to_string().contains(&url), "{told}");
    assert!(told.to_string().contains("http://…"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs op-geth: ./dev chains"]
async fn a_replica_that_lost_its_states_with_a_restart_fails_no_read() {
    let mut rollup = Rollup::start([HASHED, ARCHIVE]).await;
    let stage = Stage::set(SETTINGS, &rollup.places()).await;
    rollup.grow(60).await;
    stage.shows(rollup.height).await;
    let head = rollup.height;
    let reads = async |from: u64, to: u64| {
        let before = stage.attempts(&[("outcome", "missing_data")]).await;
        let mut failed = Vec::new();
        for block in from..=to {
            let at = json!([crate::support::SAVER, format!("{block:#x}")]);
            let answer = stage.rpc.ask("eth_getBalance", at).await.unwrap();
            if !answer["result"].is_string() {
                failed.push(answer);
            }
        }
        let missed = stage.attempts(&[("outcome", "missing_data")]).await - before;
        (failed, missed)
    };
    assert_eq!(reads(head - 28, head).await, (vec![], 0.0));
    rollup.replicas[0].stop().await;
    rollup.replicas[0].start_again().await;
    stage.becomes("a", 1.0).await;
    let itself = rollup.replica(0);
    let old = json!([crate::support::SAVER, format!("{:#x}", head - 10)]);
    let said = itself.ask("eth_getBalance", old).await.unwrap();
    println!("after a restart: {}", said["error"]["message"]);
    assert!(said["error"].is_object(), "it lost them: {said}");
    let mut missed = Vec::new();
    for _ in 0..10 {
        let (failed, misses) = reads(head - 28, head).await;
        assert_eq!(failed, Vec::<Value>::new());
        missed.push(misses);
    }
    println!("0 of 290 reads failed; asked twice in each pass over them: {missed:?}");
    assert_eq!(missed[5..], [0.0; 5], "what it lacks is known by then");
    rollup.grow(20).await;
    stage.shows(rollup.height).await;
    let served = [("node", "a"), ("outcome", "ok")];
    let before = stage.attempts(&served).await;
    assert_eq!(reads(head + 1, head + 20).await, (vec![], 0.0));
    assert!(stage.attempts(&served).await > before, "what came it has");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs op-geth: ./dev chains"]
async fn op_geth_answers_to_the_names_that_the_table_says_are_its() {
    let rollup = Rollup::start([&[], &[]]).await;
    names::are_right(rollup.replica(0), names::OP_GETH).await;
}

//! Transactions, the nonces and lookups that follow them, filters, and reads that are alike:
//! over real nodes where they tell the truth best, over pretend ones where they must misbehave.

use std::time::Duration;

use crate::support::{
    Answer, Anvil, Draft, Kind, PATIENCE, Pretend, QUICK, Scene, Wallet, call, error_fault, post,
    soon, status_fault,
};
use forebay::clock;
use forebay_fake::{FakeNode, Fault};
use futures_util::StreamExt as _;
use serde_json::{Value, json};

/// anvil's first account, which it signs for.
const ACCOUNT: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
const SEND: &str = "eth_sendRawTransaction";
const BY_HASH: &str = "eth_getTransactionByHash";
/// keccak-256 of the byte 0x01, which the pretend nodes are sent.
const HASH: &str = "0x5fe7f977e71dba2ea1a68e21057beebb9be2ac30c6410aa38d4f3fbe41dcffd2";
const COUNT: &str = "eth_getTransactionCount";
const RECEIPT: &str = "eth_getTransactionReceipt";
const SYNC: &str = "eth_sendRawTransactionSync";
/// Signed by `SENDER` for chain 1 with the nonces 7 and 8, and their hashes.
const SIGNED: [(&str, &str); 2] = [
    (
        "0x02f86c0107843b9aca00847735940082c3509400000000000000000000000000000000000000bb0582abcdc001a0dee219576388fce9c089211e1bfe5b6cf7102f7102c2af101b0df588dd2983b3a07052bae39faefc07f20927a45b5217a5fd2b0be17ed6369df4874746d5c2dcd5",
        "0x61f0c89cd28bd2c713de287e403c729f706e52204b8f11b706b029aee8e8798b",
    ),
    (
        "0x02f86c0108843b9aca00847735940082c3509400000000000000000000000000000000000000bb0582abcdc001a0dbb47973ec182a0eacf4c9ac73dfa389a9e4fafc16f236e3be12e3598784c12ba00e072139193fb101b09b7e0f80d4937ee13ef1ed512e4c38fd7e9f71029b30b1",
        "0xbde1ecc21ddb71222139eb741ad4418ee55eddbcf395682fe1577f8316b158d7",
    ),
];
const SENDER: &str = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";
const QUICK_CALLS: &str = "  calls: { attempt: 500ms, deadline: 3s }\n";

async fn signed(node: &Anvil, nonce: u64) -> String {
    let transaction = json!({
        "from": ACCOUNT, "to": ACCOUNT, "value": "0x1", "gas": "0x5208",
        "gasPrice": "0x77359400", "nonce": format!("{nonce:#x}"), "chainId": "0x1",
    });
    let raw = node
        .rpc
        .call("eth_signTransaction", json!([transaction]))
        .await;
    raw.as_str().unwrap().to_owned()
}

async fn send(scene: &Scene, raw: &str) -> String {
    let hash = scene.balancer.rpc.call(SEND, json!([raw])).await;
    hash.as_str().unwrap().to_owned()
}

async fn has(node: &Anvil, hash: &str) -> bool {
    node.rpc.call(BY_HASH, json!([hash])).await.is_object()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_reaches_all_own_nodes_and_a_second_time_is_no_error() {
    let scene = Scene::set(&[1, 1, 1], "").await;
    let raw = signed(&scene.leader, 0).await;
    let hash = send(&scene, &raw).await;
    for node in &scene.own {
        soon("it is there", async || has(node, &hash).await).await;
    }
    assert!(!has(&scene.leader, &hash).await, "own nodes took it");
    assert_eq!(send(&scene, &raw).await, hash, "they know it");
    scene.mine_everywhere(1).await;
    assert_eq!(
        send(&scene, &raw).await,
        hash,
        "its nonce is used up, by itself"
    );
    let found = [("outcome", "found")];
    let lookups = scene.balancer.metric("forebay_write_lookups_total", &found);
    assert_eq!(lookups.await, Some(1.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_dies_or_freezes_costs_no_transaction_and_gets_it_when_it_thaws() {
    let mut scene = Scene::set(&[1, 1, 1], "").await;
    let raw = signed(&scene.leader, 0).await;
    scene.own[1].process.pause();
    let began = clock::now();
    let hash = send(&scene, &raw).await;
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "no call waited for it"
    );
    scene.own[1].process.resume();
    let thawed = &scene.own[1];
    soon("it heard of it later", async || has(thawed, &hash).await).await;
    scene.own[2].process.kill();
    let raw = signed(&scene.leader, 1).await;
    let hash = send(&scene, &raw).await;
    for node in &scene.own[..2] {
        soon("it is there", async || has(node, &hash).await).await;
    }
}

/// 50 transactions of one client; after each its nonce and itself must be seen.
async fn sees_its_own_writes(scene: &Scene) {
    for nonce in 0..50 {
        let raw = signed(&scene.leader, nonce).await;
        let hash = send(scene, &raw).await;
        let rpc = scene.balancer.rpc;
        let count = rpc.call("eth_getTransactionCount", json!([ACCOUNT, "pending"]));
        assert_eq!(count.await, format!("{:#x}", nonce + 1));
        let seen = rpc.call(BY_HASH, json!([hash])).await;
        assert_eq!(seen["hash"], hash, "the transaction {nonce}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_sees_its_transactions_and_their_nonces_at_once() {
    let scene = Scene::set(&[1, 1, 1], "").await;
    sees_its_own_writes(&scene).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_whose_transactions_go_to_one_node_alone_sees_them_too() {
    let scene = Scene::set(&[1, 1, 1], "  calls: { broadcast: 1 }\n").await;
    sees_its_own_writes(&scene).await;
    let mut holders = 0;
    for node in &scene.own {
        let count = node
            .rpc
            .call("eth_getTransactionCount", json!([ACCOUNT, "pending"]));
        holders += u32::from(count.await == "0x32");
    }
    assert_eq!(holders, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_is_followed_at_its_node_and_lost_with_it() {
    let mut scene = Scene::set(&[1, 1, 1], "").await;
    let rpc = scene.balancer.rpc;
    let mut filters = Vec::new();
    for _ in 0..12 {
        let body = call("1", "eth_newBlockFilter").replace(r#""0x01","latest""#, "");
        let made = post(rpc.address, &body, PATIENCE).await.unwrap();
        let node = made.header("x-forebay-node").unwrap().to_owned();
        let id = made.json()["result"].as_str().unwrap().to_owned();
        let is_quantity = id.starts_with("0x") && !id.starts_with("0x0");
        assert!(is_quantity && id.len() < 66, "a quantity: {id}");
        filters.push((node, id));
    }
    scene.mine_everywhere(1).await;
    let changes = async |id: &str| {
        let answer = rpc.ask("eth_getFilterChanges", json!([id]), PATIENCE).await;
        answer.unwrap()
    };
    for (_, id) in &filters {
        let blocks = changes(id).await["result"].as_array().map(Vec::len);
        assert_eq!(blocks, Some(1), "each filter has seen the block once");
    }
    let (node, id) = filters.swap_remove(0);
    assert_eq!(rpc.call("eth_uninstallFilter", json!([id])).await, true);
    assert!(
        changes(&id).await["error"].is_object(),
        "it is gone at its node"
    );
    let index = ["a", "b", "c"]
        .iter()
        .position(|name| **name == *node)
        .unwrap();
    scene.own[index].process.kill();
    let not_found = json!({"code": -32000, "message": "filter not found"});
    for (of, id) in &filters {
        let answer = changes(id).await;
        if *of == node {
            assert_eq!(answer["error"], not_found);
        } else {
            assert_eq!(answer["result"], json!([]));
        }
    }
    assert_eq!(changes("0x7").await["error"], not_found, "none of ours");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_and_a_used_nonce_are_looked_up_before_anything_is_said() {
    let faults = [
        (Fault::Stall, -32015),
        (Fault::Reset, -32013),
        (
            error_fault(-32000, "nonce too low: next nonce 5, tx nonce 1"),
            -32000,
        ),
    ];
    for (fault, code) in faults {
        let scene = Pretend::set(&[1, 1], QUICK_CALLS).await;
        scene.all_fail(&[SEND], fault.clone());
        scene.all_answer(BY_HASH, "null");
        let failed = scene.call(SEND).await.json();
        assert_eq!(failed["error"]["code"], code, "{fault:?}: {failed}");
        assert!(scene.heard(BY_HASH) >= 2, "it was looked up");
        let scene = Pretend::set(&[1, 1], QUICK_CALLS).await;
        scene.all_fail(&[SEND], fault.clone());
        scene.nodes[0].set_result(BY_HASH, "null");
        scene.nodes[1].set_result(BY_HASH, &format!(r#"{{"hash":"{HASH}"}}"#));
        let found = scene.call(SEND).await.json();
        assert_eq!(found["result"], HASH, "{fault:?}: {found}");
    }
}

/// Sends one of [`SIGNED`] by `method`.
async fn send_signed(scene: &Pretend, method: &str, at: usize) -> Value {
    send_with(scene, method, at, "").await
}

/// The same with more params.
async fn send_with(scene: &Pretend, method: &str, at: usize, more: &str) -> Value {
    let raw = SIGNED[at].0;
    ask(scene, method, &format!("[\"{raw}\"{more}]")).await
}

async fn ask(scene: &Pretend, method: &str, params: &str) -> Value {
    let body = format!(r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{params}}}"#);
    let answer = scene.post(&body).await;
    assert_eq!(answer.status, 200, "{method}: {}", answer.text());
    answer.json()
}

async fn by_hash(scene: &Pretend, at: usize) -> Value {
    ask(scene, BY_HASH, &format!("[\"{}\"]", SIGNED[at].1)).await["result"].clone()
}

async fn next_nonce(scene: &Pretend) -> String {
    let counted = ask(scene, COUNT, &format!("[\"{SENDER}\",\"pending\"]")).await;
    counted["result"].as_str().unwrap().to_owned()
}

/// No node shows anything of a transaction, and each counts so many of the sender's.
fn without_a_pool(scene: &Pretend, count: &str) {
    scene.all_answer(BY_HASH, "null");
    scene.all_answer(RECEIPT, "null");
    scene.all_answer(COUNT, &format!("\"{count}\""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_refusal_is_looked_up_once_at_the_node_that_refused() {
    let scene = Pretend::set(&[1, 1], QUICK_CALLS).await;
    without_a_pool(&scene, "0x7");
    let refusing = &scene.nodes[0];
    refusing.set_fault_for(&[SEND], error_fault(-32000, "transaction underpriced"));
    scene.nodes[1].set_fault_for(&[SEND], status_fault(429));
    let refused = send_signed(&scene, SEND, 0).await;
    assert_eq!(refused["error"]["message"], "transaction underpriced");
    assert_eq!((refusing.calls_of(BY_HASH), scene.heard(BY_HASH)), (1, 1));
    let undecodable = ask(&scene, SEND, "[\"0xc0ffee\"]").await;
    assert!(undecodable["error"].is_object());
    assert_eq!(scene.heard(BY_HASH), 1, "what can't be decoded isn't");
    refusing.set_result(BY_HASH, r#"{"blockNumber":null}"#);
    assert_eq!(send_signed(&scene, SEND, 0).await["result"], SIGNED[0].1);
    for (code, message) in [
        (-32602, "0x61f0: this transaction is already in the TxPool"),
        (-32602, "already known"),
    ] {
        refusing.set_fault_for(&[SEND], error_fault(code, message));
        refusing.set_result(BY_HASH, "null");
        assert_eq!(send_signed(&scene, SEND, 0).await["result"], SIGNED[0].1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_taken_counts_and_is_shown_though_no_node_keeps_a_pool() {
    let scene = Pretend::set(&[1, 1], QUICK_CALLS).await;
    without_a_pool(&scene, "0x7");
    assert_eq!(next_nonce(&scene).await, "0x7");
    assert_eq!(by_hash(&scene, 1).await, Value::Null);
    // A gap lifts nothing.
    send_signed(&scene, SEND, 1).await;
    assert_eq!(next_nonce(&scene).await, "0x7");
    assert_eq!(by_hash(&scene, 1).await["nonce"], "0x8");
    send_signed(&scene, SEND, 0).await;
    assert_eq!(next_nonce(&scene).await, "0x9");
    let shown = by_hash(&scene, 0).await;
    assert_eq!(
        (&shown["from"], &shown["blockNumber"]),
        (&json!(SENDER), &Value::Null)
    );
    assert_eq!(shown["hash"], SIGNED[0].1);
    // What others sent counts through the nodes.
    scene.nodes[1].set_result(COUNT, "\"0xa\"");
    assert_eq!(next_nonce(&scene).await, "0xa");
    // Another transaction with the nonce is in a block.
    without_a_pool(&scene, "0x8");
    assert_eq!(by_hash(&scene, 0).await, Value::Null);
    assert_eq!(next_nonce(&scene).await, "0x9", "the other waits on");
    scene.nodes[0].set_result(RECEIPT, r#"{"blockNumber":"0x64"}"#);
    scene.nodes[1].set_result(RECEIPT, r#"{"blockNumber":"0x64"}"#);
    ask(&scene, RECEIPT, &format!("[\"{}\"]", SIGNED[1].1)).await;
    assert_eq!(by_hash(&scene, 1).await, Value::Null, "it was told mined");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_alone_counts_what_was_taken_too_and_another_chains_is_not_kept() {
    let of_chain_1 = QUICK.replace("chain: {", "chain: { id: 1,");
    let scene = Pretend::set_with(&[1], &of_chain_1, QUICK_CALLS).await;
    without_a_pool(&scene, "0x7");
    let other = "0x02f86d818907843b9aca00847735940082c3509400000000000000000000000000000000000000bb0582abcdc001a07c2cd069497cf31bf61e5c84d0a7d0107836078767ee0864730d04b2d8e7d04ea05d7df833d8db20dcd7f4acfb4c31e82953746b108dd9033e9cd75efcf3b9d887";
    ask(&scene, SEND, &format!("[\"{other}\"]")).await;
    assert_eq!(next_nonce(&scene).await, "0x7");
    send_signed(&scene, SEND, 0).await;
    assert_eq!(next_nonce(&scene).await, "0x8");
}

/// Avalanche accepts a block at one node after the other: the one asked last may be the first to have it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_of_three_has_mined_is_never_null() {
    let scene = Pretend::set(&[1, 1, 1], QUICK_CALLS).await;
    without_a_pool(&scene, "0x7");
    send_signed(&scene, SEND, 0).await;
    let hash = SIGNED[0].1;
    let ahead = &scene.nodes[2];
    ahead.set_head(101);
    let of = scene.chain.block(101, None).hash;
    let mined = format!(r#"{{"hash":"{hash}","blockHash":"{of}","blockNumber":"0x65"}}"#);
    ahead.set_result(BY_HASH, &mined);
    ahead.set_result(COUNT, "\"0x8\"");
    for _ in 0..20 {
        assert_eq!(by_hash(&scene, 0).await["blockHash"], of);
    }
    // A count that was heard before tells as much.
    send_signed(&scene, SEND, 1).await;
    scene.all_answer(COUNT, "\"0x9\"");
    ask(&scene, COUNT, &format!("[\"{SENDER}\",\"latest\"]")).await;
    let mined = mined.replace(hash, SIGNED[1].1);
    ahead.set_result(BY_HASH, &mined);
    for _ in 0..20 {
        assert_eq!(by_hash(&scene, 1).await["blockHash"], of);
    }
    // Where no node has it, another transaction has its nonce.
    send_signed(&scene, SEND, 0).await;
    without_a_pool(&scene, "0x9");
    assert_eq!(by_hash(&scene, 0).await, Value::Null);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_any_chain_takes_and_what_carries_blobs_counts_and_is_shown_too() {
    let of_chain_1 = QUICK.replace("chain: {", "chain: { id: 1,");
    let scene = Pretend::set_with(&[1, 1], &of_chain_1, QUICK_CALLS).await;
    without_a_pool(&scene, "0x7");
    let wallet = Wallet::rich();
    assert_eq!(wallet.address, SENDER);
    for (nonce, kind) in [(7, Kind::Unbound), (8, Kind::Blob), (9, Kind::Dynamic)] {
        let draft = Draft {
            kind,
            ..Draft::on(1)
        };
        let written = wallet.sign(nonce, draft);
        let sent = match kind {
            Kind::Blob => with_blobs(&written.raw),
            Kind::Unbound | Kind::Dynamic => written.raw,
        };
        ask(&scene, SEND, &format!("[\"{sent}\"]")).await;
        assert_eq!(next_nonce(&scene).await, format!("{:#x}", nonce + 1));
        let asked = format!("[\"{}\"]", written.hash);
        let shown = ask(&scene, BY_HASH, &asked).await["result"].clone();
        assert_eq!(shown["hash"], written.hash, "{kind:?}: {shown}");
        assert_eq!(shown["from"], SENDER, "{kind:?}");
        let is_of_a_chain = kind != Kind::Unbound;
        assert_eq!(shown["chainId"].is_string(), is_of_a_chain, "{shown}");
    }
    // Of a type that isn't known here.
    let unknown = wallet
        .sign(10, Draft::on(1))
        .raw
        .replacen("0x02", "0x7d", 1);
    ask(&scene, SEND, &format!("[\"{unknown}\"]")).await;
    assert_eq!(next_nonce(&scene).await, "0xa");
}

/// As it is sent (EIP-4844, "Networking"): the transaction, and three lists, which are empty here.
fn with_blobs(raw: &str) -> String {
    let alone = raw.strip_prefix("0x03").unwrap();
    let length = alone.len() / 2 + 3;
    format!("0x03f9{length:04x}{alone}c0c0c0")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_used_nonce_of_what_was_taken_here_is_believed_only_when_a_block_has_it() {
    let scene = Pretend::set(&[1, 1], QUICK_CALLS).await;
    without_a_pool(&scene, "0x7");
    let too_low = error_fault(-32000, "nonce too low: next nonce 8, tx nonce 7");
    scene.all_fail(&[SEND], too_low.clone());
    let refused = send_signed(&scene, SEND, 0).await;
    assert_eq!(refused["error"]["code"], -32000, "no node took it");
    scene.nodes.iter().for_each(FakeNode::mend);
    send_signed(&scene, SEND, 0).await;
    let both = async || scene.heard(SEND) == 4;
    soon("both have it", both).await;
    scene.all_fail(&[SEND], too_low.clone());
    assert_eq!(send_signed(&scene, SEND, 0).await["result"], SIGNED[0].1);
    scene.nodes[1].set_result(COUNT, "\"0x8\"");
    scene.nodes[1].set_result(RECEIPT, r#"{"blockNumber":"0x64"}"#);
    assert_eq!(
        send_signed(&scene, SEND, 0).await["result"],
        SIGNED[0].1,
        "its own"
    );
    scene.nodes.iter().for_each(FakeNode::mend);
    send_signed(&scene, SEND, 1).await;
    scene.all_fail(&[SEND], too_low.clone());
    without_a_pool(&scene, "0x9");
    let refused = send_signed(&scene, SEND, 1).await;
    assert_eq!(refused["error"]["code"], -32000, "another has its nonce");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_of_what_is_pending_is_waited_for_by_all_together() {
    let scene = Pretend::set(&[1, 1], "  calls: { attempt: 2s, deadline: 20s }\n").await;
    without_a_pool(&scene, "0x7");
    scene.all_fail(&[SYNC], error_fault(-32000, "already known"));
    let began = clock::now();
    let answer = send_with(&scene, SYNC, 0, ",400").await;
    assert_eq!(answer["error"]["code"], 4, "{answer}");
    assert_eq!(answer["error"]["data"], SIGNED[0].1);
    assert!(began.elapsed() >= Duration::from_millis(400));
    let asked = scene.heard(RECEIPT);
    let many = (0..10).map(|_| send_with(&scene, SYNC, 0, r#","0x3a98""#));
    let mining = async {
        soon("all have looked", async || scene.heard(SYNC) >= 22).await;
        let looked = asked + 20;
        soon("they were looked up", async || {
            scene.heard(RECEIPT) >= looked
        })
        .await;
        scene.chain.advance(1);
        soon("they asked together", async || {
            scene.heard(RECEIPT) > looked
        })
        .await;
        scene.all_answer(RECEIPT, r#"{"blockNumber":"0x66","status":"0x1"}"#);
        scene.chain.advance(1);
        looked
    };
    let (answers, looked) = tokio::join!(futures_util::future::join_all(many), mining);
    for answer in answers {
        assert_eq!(answer["result"]["status"], "0x1", "{answer}");
    }
    let together = scene.heard(RECEIPT) - looked;
    assert!((2..=4).contains(&together), "{together} for ten callers");
}

fn receipt_of(at: usize) -> String {
    let hash = SIGNED[at].1;
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{RECEIPT}","params":["{hash}"]}}"#)
}

/// Eight polls, each told how many there were before; nodes answer other calls meanwhile.
async fn once_a_second(scene: &Pretend, poll: impl AsyncFn(usize)) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    let mut polls = futures_util::stream::FuturesUnordered::new();
    let mut begun = 0;
    while begun < 8 || !polls.is_empty() {
        tokio::select! {
            _ = ticks.tick(), if begun < 8 => {
                polls.push(poll(begun));
                begun += 1;
                for _ in 0..4 {
                    scene.call("eth_getBalance").await;
                }
            }
            Some(()) = polls.next() => {}
        }
    }
}

async fn no_node_is_benched(scene: &Pretend) {
    for name in ["a", "b"] {
        scene.balancer.node_becomes(name, 1.0).await;
    }
    let log = scene.balancer.process.printed();
    assert!(!log.contains("benched"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_up_that_nodes_hold_back_is_joined_and_no_fault_of_theirs() {
    let scene = Pretend::set(&[1, 1], "  calls: { attempt: 6s, deadline: 12s }\n").await;
    without_a_pool(&scene, "0x7");
    send_signed(&scene, SEND, 0).await;
    scene.all_fail(&[RECEIPT], Fault::Stall);
    let poll = async |_: usize| {
        let began = clock::now();
        let answer = scene.post(&receipt_of(0)).await;
        assert_eq!(answer.result(), Value::Null);
        let took = began.elapsed();
        assert!(took < Duration::from_secs(4), "{took:?}");
    };
    once_a_second(&scene, poll).await;
    let asked = scene.heard(RECEIPT);
    assert!(asked <= 4, "two open at once a node in its time: {asked}");
    soon("their time is over", async || {
        let timeouts = [("outcome", "timeout")];
        let timeouts = scene.balancer.metric("forebay_attempts_total", &timeouts);
        timeouts.await == Some(scene.heard(RECEIPT) as f64)
    })
    .await;
    no_node_is_benched(&scene).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_holds_look_ups_back_keeps_its_share_of_all_else() {
    let scene = Pretend::set(&[1, 1], "  calls: { attempt: 3s, deadline: 9s }\n").await;
    without_a_pool(&scene, "0x7");
    send_signed(&scene, SEND, 0).await;
    let holds_back = &scene.nodes[0];
    holds_back.set_fault_for(&[RECEIPT], Fault::Stall);
    let poll = receipt_of(0);
    let polls = (0..8).map(|at| {
        let (scene, poll) = (&scene, &poll);
        async move {
            tokio::time::sleep(Duration::from_millis(500) * at).await;
            let answer = scene.post(poll).await.json();
            assert_eq!(answer.get("result"), Some(&Value::Null), "{answer}");
        }
    });
    // Past the time of the first look-ups.
    let reads = async {
        for _ in 0..400 {
            scene.call("eth_getBalance").await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::join!(futures_util::future::join_all(polls), reads);
    let asked = [0, 1].map(|node| scene.nodes[node].calls_of("eth_getBalance"));
    let share = asked[0] as f64 / 400.0;
    assert!((0.35..=0.65).contains(&share), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn look_ups_in_batches_that_nodes_hold_back_are_joined_too() {
    let scene = Pretend::set(&[1, 1], "  calls: { attempt: 6s, deadline: 12s }\n").await;
    without_a_pool(&scene, "0x7");
    send_signed(&scene, SEND, 0).await;
    scene.all_fail(&[RECEIPT], Fault::Stall);
    let unsent = receipt_of(0).replace("0x61f0", "0xabcd");
    let batch = format!("[{},{unsent}]", receipt_of(0));
    let poll = async |at: usize| {
        let began = clock::now();
        let answer = scene.post(&batch).await.json();
        let took = began.elapsed();
        assert_eq!(answer[0].get("result"), Some(&Value::Null), "{answer}");
        // Of the other no node says anything.
        assert_eq!(answer[1]["error"]["code"], -32015, "{answer}");
        println!("poll {at}: {took:?}");
    };
    once_a_second(&scene, poll).await;
    // Before it is known, each batch asks for two; then two are open at once at a node in its time.
    let asked = scene.heard(RECEIPT);
    assert!(asked <= 3 * 2 + 2 * 2 * 3, "{asked}");
    no_node_is_benched(&scene).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_transaction_that_was_not_sent_here_the_first_null_counts_or_the_time_is_up() {
    let scene = Pretend::set(&[1, 1], "  calls: { attempt: 3s, deadline: 9s }\n").await;
    without_a_pool(&scene, "0x7");
    scene.nodes[0].set_fault_for(&[RECEIPT], Fault::Stall);
    let unknown = receipt_of(0).replace("0x61f0", "0xabcd");
    let asked = (0..6).map(|_| scene.post(&unknown));
    for answer in futures_util::future::join_all(asked).await {
        assert_eq!(answer.result(), Value::Null);
    }
    scene.nodes[1].set_fault_for(&[RECEIPT], Fault::Stall);
    let began = clock::now();
    let answer = scene.post(&receipt_of(0).replace("0x61f0", "0xbbbb")).await;
    assert_eq!(
        (answer.status, &answer.json()["error"]["code"]),
        (504, &json!(-32015))
    );
    let took = began.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mined_transaction_is_found_though_a_node_is_frozen_and_heard_of_though_its_caller_left()
{
    let scene = Pretend::set(&[1, 1], "  calls: { attempt: 6s, deadline: 12s }\n").await;
    without_a_pool(&scene, "0x7");
    send_signed(&scene, SEND, 0).await;
    assert!(by_hash(&scene, 0).await.is_object());
    let mined = r#"{"blockNumber":"0x64","blockHash":"0x6464646464646464646464646464646464646464646464646464646464646464"}"#;
    scene.all_answer(RECEIPT, mined);
    scene.all_fail(&[RECEIPT], slowly());
    let short = Duration::from_millis(500);
    let left = post(scene.balancer.rpc.address, &receipt_of(0), short).await;
    assert!(left.is_err(), "it left");
    soon("what came was heard", async || {
        by_hash(&scene, 0).await.is_null()
    })
    .await;
    without_a_pool(&scene, "0x9");
    scene.nodes.iter().for_each(FakeNode::mend);
    scene.all_answer(RECEIPT, mined);
    scene.nodes[0].set_fault_for(&[RECEIPT], Fault::Stall);
    let other = receipt_of(1);
    let asked = (0..6).map(|_| scene.post(&other));
    for answer in futures_util::future::join_all(asked).await {
        assert_eq!(answer.result()["blockNumber"], "0x64");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_waited_in_vain_is_told_before_those_that_only_know_it() {
    let scene = Pretend::set(&[1, 1, 1], QUICK_CALLS).await;
    without_a_pool(&scene, "0x7");
    scene.all_fail(&[SYNC], error_fault(-32000, "already known"));
    scene.nodes[2].set_latency(Duration::from_millis(100));
    let waited = "the transaction was added but wasn't processed in 1s";
    scene.nodes[2].set_fault_for(
        &[SYNC],
        Fault::RpcError {
            code: 4,
            message: waited.into(),
            data: Some(format!("\"{}\"", SIGNED[0].1)),
        },
    );
    let answer = send_signed(&scene, SYNC, 0).await;
    assert_eq!(answer["error"]["code"], 4, "{answer}");
    assert_eq!(answer["error"]["message"], waited, "its own words");
    assert_eq!(answer["error"]["data"], SIGNED[0].1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_waits_for_a_receipt_gets_the_one_that_is_there() {
    let scene = Pretend::set(&[1, 1], QUICK_CALLS).await;
    let timed_out = error_fault(
        4,
        "The transaction was added to the mempool but wasn't processed",
    );
    scene.all_fail(&[SYNC], timed_out.clone());
    let answer = scene.call(SYNC).await.json();
    assert_eq!(answer["error"]["code"], 4, "{answer}");
    let receipt = |block| format!(r#"{{"transactionHash":"{HASH}","blockNumber":"{block}"}}"#);
    scene.nodes[1].set_result(RECEIPT, &receipt("0x65"));
    for said in [timed_out, error_fault(-32000, "already known")] {
        scene.all_fail(&[SYNC], said.clone());
        let answer = scene.call(SYNC).await.json();
        assert_eq!(answer["result"]["transactionHash"], HASH, "{answer}");
    }
    assert_eq!(scene.call("eth_blockNumber").await.json()["result"], "0x65");
    scene.nodes[0].mend();
    scene.nodes[0].set_result(SYNC, &receipt("0x66"));
    scene.call(SYNC).await;
    assert_eq!(scene.call("eth_blockNumber").await.json()["result"], "0x66");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_lacks_the_sending_method_is_not_sent_it_again() {
    let scene = Pretend::set(&[1, 1], QUICK_CALLS).await;
    scene.nodes[0].change(|behaviour| {
        behaviour.missing_methods.insert(SYNC.into());
    });
    scene.nodes[1].set_result(SYNC, r#"{"status":"0x1"}"#);
    for _ in 0..10 {
        let answer = scene.call(SYNC).await.json();
        assert_eq!(answer["result"]["status"], "0x1", "{answer}");
    }
    // Its word may come after that of the other, which ends the call.
    let asked = scene.nodes[0].calls_of(SYNC);
    assert!((1..=3).contains(&asked), "{asked}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_that_takes_it_outweighs_all_that_refuse() {
    let scene = Pretend::set(&[1, 1, 1], QUICK_CALLS).await;
    scene.all_fail(&[SEND], error_fault(-32000, "transaction underpriced"));
    let refused = scene.call(SEND).await.json();
    assert_eq!(refused["error"]["message"], "transaction underpriced");
    assert_eq!(scene.heard(SEND), 3);
    scene.nodes[2].mend();
    // The one that takes it is the slowest of them.
    scene.nodes[2].set_latency(Duration::from_millis(200));
    assert_eq!(scene.call(SEND).await.json()["result"], HASH);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pending_nonce_is_the_highest_and_a_failing_node_does_no_harm() {
    let scene = Pretend::set(&[1, 1, 1], QUICK_CALLS).await;
    for (node, nonce) in scene.nodes.iter().zip(["\"0x5\"", "\"0x9\"", "\"0x7\""]) {
        node.set_result(COUNT, nonce);
    }
    let pending = call("7", COUNT).replace("latest", "pending");
    let as_object = pending.replace("\"pending\"", r#"{"blockNumber":"pending"}"#);
    for pending in [&pending, &as_object] {
        for _ in 0..5 {
            let answer = scene.post(pending).await;
            assert_eq!(answer.json()["result"], "0x9");
            assert_eq!(answer.header("x-forebay-attempts"), Some("3"));
        }
    }
    for fault in [Fault::Stall, Fault::Html, error_fault(-32000, "x")] {
        scene.nodes[2].set_fault_for(&[COUNT], fault);
        assert_eq!(scene.post(&pending).await.json()["result"], "0x9");
    }
    let heard = scene.heard(COUNT);
    scene.call(COUNT).await;
    assert_eq!(
        scene.heard(COUNT),
        heard + 1,
        "only pending ones are asked of all"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_fills_in_a_transaction_gets_the_nonce_that_we_know() {
    let fill = "eth_fillTransaction";
    let scene = Pretend::set(&[1, 1], QUICK_CALLS).await;
    without_a_pool(&scene, "0x7");
    scene.all_answer(fill, "{}");
    scene.nodes[1].set_result(COUNT, "\"0x8\"");
    send_signed(&scene, SEND, 1).await;
    let told = |wanted: &str| {
        let heard = scene.nodes.iter().flat_map(|node| node.log());
        let bodies = heard
            .map(|heard| heard.body)
            .filter(|body| body.contains(fill));
        let bodies: Vec<String> = bodies.collect();
        bodies.iter().filter(|body| body.contains(wanted)).count()
    };
    let lacking = format!(r#"[{{"from":"{SENDER}","to":null}}]"#);
    ask(&scene, fill, &lacking).await;
    assert_eq!(told(r#"[{"nonce":"0x9","from":"#), 1);
    let batch = format!(r#"[{{"jsonrpc":"2.0","id":1,"method":"{fill}","params":{lacking}}}]"#);
    scene.post(&batch).await;
    assert_eq!(told(r#"[{"nonce":"0x9","from":"#), 2);
    ask(
        &scene,
        fill,
        &format!(r#"[{{"from":"{SENDER}","nonce":"0x1"}}]"#),
    )
    .await;
    assert_eq!(told(r#""nonce":"0x1"}]"#), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_reads_the_pool_is_asked_of_the_node_that_took_this_clients_transaction() {
    let calls = "  calls: { broadcast: 1 }\n";
    let scene = Pretend::set(&[1, 1, 1], calls).await;
    scene.all_answer("eth_getTransactionBySenderAndNonce", "{}");
    scene.all_answer("eth_call", "\"0x\"");
    let raw = SIGNED[0].0;
    let sent = format!(r#"{{"jsonrpc":"2.0","id":7,"method":"{SEND}","params":["{raw}"]}}"#);
    let sent = scene.post(&sent).await;
    let holder = sent.header("x-forebay-node").unwrap().to_owned();
    for (method, params) in [
        ("eth_call", r#"[{},"pending"]"#.to_owned()),
        (
            "eth_getTransactionBySenderAndNonce",
            format!(r#"["{SENDER}","0x7"]"#),
        ),
    ] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{params}}}"#);
        for _ in 0..8 {
            let answer = scene.post(&body).await;
            assert_eq!(
                answer.header("x-forebay-node"),
                Some(holder.as_str()),
                "{method}"
            );
        }
    }
}

/// An answer that takes about a second and a half, of a node that is well.
fn slowly() -> Fault {
    Fault::Dribble {
        piece_bytes: 20,
        pause: Duration::from_millis(500),
    }
}

/// 100 identical calls at once, with ids of their own.
async fn a_hundred(scene: &Pretend, method: &str) -> Vec<Answer> {
    let calls = (0..100).map(|id| {
        let body = call(id, method);
        async move { scene.post(&body).await }
    });
    futures_util::future::join_all(calls).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn identical_reads_in_flight_are_asked_once_and_others_each() {
    let scene = Pretend::set(&[1], "").await;
    let node = &scene.nodes[0];
    node.set_result("zks_foo", "1");
    node.set_fault_for(&["eth_getBalance", "zks_foo"], slowly());
    let answers = a_hundred(&scene, "eth_getBalance").await;
    for (id, answer) in answers.iter().enumerate() {
        assert_eq!(answer.json()["id"], id);
        assert!(answer.result().is_string());
        assert_eq!(answer.node(), "a");
    }
    let asked = node.calls_of("eth_getBalance");
    println!("100 identical calls made {asked} upstream");
    assert!(asked <= 5, "{asked}");
    let shared = scene.balancer.metric("forebay_coalesced_calls_total", &[]);
    assert_eq!(shared.await, Some(100.0 - asked as f64));
    a_hundred(&scene, "zks_foo").await;
    assert_eq!(
        node.calls_of("zks_foo"),
        100,
        "what isn't in the table never"
    );
    node.set_fault_for(&["eth_call"], error_fault(3, "execution reverted"));
    for answer in a_hundred(&scene, "eth_call").await {
        assert_eq!(answer.json()["error"]["code"], 3, "errors, too");
    }
    node.set_fault_for(&["eth_getLogs"], Fault::HugeResult { bytes: 100_000 });
    for answer in a_hundred(&scene, "eth_getLogs").await {
        let length = answer.json()["result"].as_str().map(str::len);
        assert!(length > Some(64 << 10), "{length:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_of_what_is_pending_are_asked_each() {
    let scene = Pretend::set(&[1], "").await;
    let node = &scene.nodes[0];
    node.set_fault_for(&["eth_getBalance"], slowly());
    let pending = call("7", "eth_getBalance").replace("latest", "pending");
    let as_object = pending.replace("\"pending\"", r#"{"blockNumber":"pending"}"#);
    let calls = [&pending, &as_object].map(|body| (0..5).map(|_| scene.post(body)));
    futures_util::future::join_all(calls.into_iter().flatten()).await;
    assert_eq!(node.calls_of("eth_getBalance"), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_waits_is_served_though_the_one_that_asked_leaves() {
    let scene = Pretend::set(&[1], "").await;
    let node = &scene.nodes[0];
    node.set_fault_for(&["eth_getBalance"], slowly());
    let body = call("1", "eth_getBalance");
    let address = scene.balancer.rpc.address;
    let short = Duration::from_millis(500);
    let leader = async { post(address, &body, short).await };
    let follower = async {
        soon("the first has asked", async || {
            node.calls_of("eth_getBalance") == 1
        })
        .await;
        scene.post(&body).await
    };
    let (left, answer) = tokio::join!(leader, follower);
    assert!(left.is_err(), "it left");
    assert!(answer.result().is_string());
    assert_eq!(node.calls_of("eth_getBalance"), 2, "it was asked anew");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_its_node_is_slow_to_answer_is_asked_of_another_where_that_is_wanted() {
    let scene = Pretend::set(&[1, 1], "  calls: { hedge: on }\n").await;
    let read = async |at: u32| {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":["{at:#x}","latest"]}}"#
        );
        let began = clock::now();
        let answer = scene.post(&body).await;
        assert!(answer.result().is_string());
        began.elapsed()
    };
    for at in 0..200 {
        read(at).await;
    }
    // Too long for any patience but the attempt's own.
    scene.nodes[0].set_latency(Duration::from_secs(4));
    for at in 0..20 {
        let took = read(at).await;
        assert!(took < Duration::from_secs(2), "{took:?}");
    }
    let second = [("winner", "second")];
    let hedges = scene.balancer.metric("forebay_hedges_total", &second).await;
    assert!(hedges > Some(0.0), "{hedges:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_behind_one_address_are_told_apart_by_their_names() {
    let scene = Pretend::set(&[1, 1], "  calls: { broadcast: 1 }\n").await;
    let send_as = async |name: &str| {
        let (headers, body) = ([("x-forebay-client", name)], call("1", SEND));
        let answer = scene.balancer.post_with("/", &headers, &body).await;
        answer.header("x-forebay-node").unwrap().to_owned()
    };
    for name in ["alice", "bob", "carol", "dave", "eve"] {
        let first = send_as(name).await;
        for _ in 0..5 {
            assert_eq!(send_as(name).await, first, "{name}'s go to one node");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_waits_for_transactions_that_are_still_on_their_way() {
    let scene = Pretend::set(&[1, 1], "").await;
    scene.nodes[0].set_fault_for(&[SEND], slowly());
    assert_eq!(scene.call(SEND).await.json()["result"], HASH);
    let both = async || scene.heard(SEND) == 2;
    soon("both were sent it", both).await;
    let began = clock::now();
    scene.balancer.process.terminate();
    let mut process = scene.balancer.process;
    soon("it has ended", async || !process.is_running()).await;
    assert!(began.elapsed() > Duration::from_millis(700), "it waited");
}

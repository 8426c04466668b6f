//! Two nodes of BNB Smart Chain behind a balancer, with blocks of 450 ms.

use serde_json::{Value, json};

use super::bsc_node::{Bsc, CHAIN, SETTINGS};
use super::names;
use super::stage::Stage;
use crate::support::{Draft, EMITTER, Heard, Listener, PATIENCE, Wallet};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs bsc: ./dev chains"]
async fn heads_and_logs_are_told_once_in_order_and_in_one_shape_however_they_were_heard_of() {
    let bsc = Bsc::start().await;
    let nodes = [bsc.validator.place(false), bsc.follower.place(true)];
    let stage = Stage::set(SETTINGS, &nodes).await;
    let wallet = Wallet::rich();
    let mut client = Listener::open(stage.rpc.address).await;
    let heads = client.subscribe(json!(["newHeads"])).await;
    let logs = client
        .subscribe(json!(["logs", {"address": EMITTER}]))
        .await;
    let (mut told, mut seen) = (Vec::<Value>::new(), Vec::new());
    let mut sent = 0;
    while told.len() < 36 || seen.len() < 16 {
        if told.len() % 2 == 0 && sent < 16 {
            let topic = format!("0x{sent:064x}");
            let draft = Draft {
                to: EMITTER,
                data: &topic,
                value: 0,
                ..Draft::on(CHAIN)
            };
            let raw = wallet.sign(sent, draft).raw;
            stage.rpc.call("eth_sendRawTransaction", json!([raw])).await;
            sent += 1;
        }
        match client.next_within(PATIENCE).await {
            Some(Heard::News(id, head)) if id == heads => told.push(head),
            Some(Heard::News(id, log)) if id == logs => seen.push(log["topics"][0].clone()),
            heard => panic!("{heard:?}"),
        }
    }
    let members = |head: &Value| {
        head.as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    for pair in told.windows(2) {
        assert_eq!(pair[1]["parentHash"], pair[0]["hash"]);
        assert_eq!(members(&pair[1]), members(&pair[0]));
    }
    let wanted: Vec<_> = (0..16).map(|at| json!(format!("0x{at:064x}"))).collect();
    assert_eq!(seen, wanted);
    let shared = told
        .windows(2)
        .filter(|pair| pair[0]["timestamp"] == pair[1]["timestamp"]);
    let shared = shared.count();
    assert!(shared > 0, "blocks of 450 ms share their second");
    println!(
        "{} heads of {} members, {} logs; {shared} had the timestamp of the one before",
        told.len(),
        members(&told[0]).len(),
        seen.len()
    );
    // What is final is block 0 until validators vote.
    let tag = json!(["finalized", false]);
    let final_block = stage.rpc.call("eth_getBlockByNumber", tag).await;
    assert_eq!(final_block["number"], "0x0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs bsc: ./dev chains"]
async fn ranges_numbers_and_pending_logs_are_understood_in_its_own_words() {
    let bsc = Bsc::start().await;
    let nodes = [bsc.validator.place(false), bsc.follower.place(false)];
    let stage = Stage::set(SETTINGS, &nodes).await;
    let range = |from: u64, to: u64| json!([{"fromBlock": format!("{from:#x}"), "toBlock": format!("{to:#x}")}]);
    let head = bsc.validator.rpc.head().await;
    for (what, params) in [
        ("beyond the head", range(1, head + 1000)),
        ("turned round", range(3, 2)),
        (
            "pending",
            json!([{"fromBlock": "pending", "toBlock": "pending"}]),
        ),
    ] {
        let itself = bsc.validator.rpc.ask("eth_getLogs", params.clone()).await;
        let told = stage.rpc.ask("eth_getLogs", params).await.unwrap();
        println!("{what}: {} became {told}", itself.unwrap());
    }
    // Up to the newest block, as told: whichever node is asked has it.
    for _ in 0..40 {
        let head = stage.rpc.head().await;
        let logs = stage.rpc.ask("eth_getLogs", range(head - 1, head)).await;
        let logs = logs.unwrap();
        assert!(logs["result"].is_array(), "{logs}");
    }
    // Of the validators by a block as anywhere, and of what is final by the number of votes for it.
    let itself = bsc.validator.rpc;
    for method in [
        "parlia_getValidators",
        "parlia_getSnapshot",
        "parlia_getTurnLength",
    ] {
        let wanted = itself.call(method, json!(["0x2"])).await;
        assert_eq!(
            stage.rpc.call(method, json!(["0x2"])).await,
            wanted,
            "{method}"
        );
        let plain = itself.ask(method, json!([2])).await.unwrap();
        println!("{method} of 2: {}", plain["error"]["message"]);
        assert!(plain["error"].is_object(), "{plain}");
        for _ in 0..10 {
            for params in [json!([]), json!(["latest"])] {
                let answer = stage.rpc.ask(method, params).await.unwrap();
                assert!(answer.get("error").is_none(), "{method}: {answer}");
            }
        }
        let latest = stage
            .rpc
            .call("parlia_getSnapshot", json!(["latest"]))
            .await;
        let told = stage.rpc.head().await;
        assert!(latest["number"].as_u64().unwrap() + 2 >= told, "{latest}");
    }
    for method in ["eth_getFinalizedBlock", "eth_getFinalizedHeader"] {
        let params = match method {
            "eth_getFinalizedBlock" => json!([1, false]),
            _ => json!([1]),
        };
        let block = stage.rpc.ask(method, params).await.unwrap();
        let hex = itself.ask(method, json!(["0x1", false])).await.unwrap();
        println!("{method}: {block}; of \"0x1\": {}", hex["error"]["message"]);
        assert!(block["result"]["number"].is_string(), "{block}");
        assert!(hex["error"].is_object(), "{hex}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs bsc: ./dev chains"]
async fn bsc_answers_to_the_names_that_the_table_says_are_its() {
    let bsc = Bsc::start().await;
    names::are_right(bsc.validator.rpc, names::BSC).await;
}

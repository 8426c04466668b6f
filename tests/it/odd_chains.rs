//! Chains whose nodes tell other than Ethereum's do: numbers that skip, hashes that no block has,
//! blooms that lie, blocks with members of their own.

mod node;

use std::time::Duration;

use crate::support::{
    AVALANCHE_HEADER, Balancer, Heard, Listener, PATIENCE, QUICK, call, header_hash, read_quantity,
    soon,
};
use forebay_core::vocabulary::hex;
use node::{Manner, OddNode, PLAIN, hash};
use serde_json::{Value, json};
use sha3::{Digest as _, Keccak256};

/// Of [`QUICK`].
const QUICK_BLOCK_TIME: Duration = Duration::from_secs(1);
/// So soon after a node has a block its logs are told.
const LOGS_SOON: Duration = Duration::from_millis(300);
const ADDRESS: &str = "0xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

#[tokio::test]
async fn numbers_may_skip_and_one_node_may_err_and_no_node_is_asked_over_and_over() {
    let errs = Manner {
        by_hash: |block| {
            let number = read_quantity(&block["number"]);
            with(
                block,
                "number",
                json!(format!("{:#x}", number.unwrap() + 7)),
            )
        },
        ..PLAIN
    };
    for manners in [&[PLAIN, PLAIN][..], &[errs, PLAIN, PLAIN], &[errs]] {
        let mut scene = Scene::set(manners, &[1, 2, 1, 3]).await;
        let mut client = Listener::open(scene.balancer.rpc.address).await;
        let id = client.subscribe(json!(["newHeads"])).await;
        for step in [1, 2, 1, 4, 1] {
            let block = scene.mine(step, &[], None);
            scene.tell(&block);
            assert_eq!(hears(&mut client, &id).await["hash"], block["hash"]);
        }
        // All of them, and one before the first that no node has.
        let named = scene.chain.len() + 1;
        for node in &scene.nodes {
            let asked = node.asked("eth_getBlockByHash");
            assert!(asked <= 2 * named, "{asked} times for {named} blocks");
        }
    }
}

#[tokio::test]
async fn a_hash_that_no_block_has_is_a_hint_and_each_block_is_told_once_with_its_logs() {
    let cosmos = Manner {
        told: |block| {
            let told = with(block, "hash", made_up(&block["number"]));
            with(&told, "logsBloom", bloom(&[9]))
        },
        ..PLAIN
    };
    let mut scene = Scene::set(&[cosmos, cosmos], &[1]).await;
    let mut client = Listener::open(scene.balancer.rpc.address).await;
    let heads = client.subscribe(json!(["newHeads"])).await;
    let logs = client.subscribe(json!(["logs", {}])).await;
    let mut waited = Vec::new();
    for count in 0..8_usize {
        let block = scene.mine(1, &[1, 2], Some(&bloom(&[1, 2])));
        scene.tell(&block);
        let begun = forebay::clock::now();
        let mut told = [Vec::new(), Vec::new()];
        while told[0].is_empty() || told[1].len() < 2 {
            match client.next_within(PATIENCE).await {
                Some(Heard::News(id, news)) if id == heads => told[0].push(news["hash"].clone()),
                Some(Heard::News(id, log)) if id == logs => told[1].push(log["blockHash"].clone()),
                heard => panic!("{heard:?}"),
            }
        }
        waited.push(begun.elapsed());
        let own = block["hash"].clone();
        assert_eq!(told, [vec![own.clone()], vec![own.clone(), own.clone()]]);
        assert_eq!(
            scene.asked("eth_getLogs"),
            count + 1,
            "its bloom is its own"
        );
        let made_up = made_up(&block["number"]);
        assert_eq!(scene.asked(made_up.as_str().unwrap()), 0);
    }
    // A busy machine may be late for some.
    waited.sort();
    assert!(waited[2] < LOGS_SOON, "{waited:?}");
}

#[tokio::test]
async fn a_bloom_that_promises_too_much_stops_no_logs_and_is_believed_no_more() {
    for manners in [&[PLAIN, PLAIN][..], &[PLAIN]] {
        let mut scene = Scene::set(manners, &[1]).await;
        let mut client = Listener::open(scene.balancer.rpc.address).await;
        let id = client.subscribe(json!(["logs", {}])).await;
        for (topics, promised, asked) in [
            (&[1][..], &[1][..], 1),
            (&[], &[], 1),
            // The lie.
            (&[], &[7], 2),
            (&[2], &[2], 2),
            (&[], &[], 2),
            (&[3], &[3], 2),
        ] {
            let before = scene.asked("eth_getLogs");
            let begun = forebay::clock::now();
            let block = scene.mine(1, topics, Some(&bloom(promised)));
            scene.tell(&block);
            for topic in topics {
                let log = hears(&mut client, &id).await;
                assert_eq!(log["topics"][0], hash(*topic));
                assert_eq!(log["blockHash"], block["hash"]);
            }
            scene.is_asked_for_logs(before + asked).await;
            assert!(begun.elapsed() < PATIENCE / 3, "{:?}", begun.elapsed());
        }
    }
}

#[tokio::test]
async fn a_bloom_that_lacks_logs_loses_none() {
    let mut scene = Scene::set(&[PLAIN, PLAIN], &[1]).await;
    let mut client = Listener::open(scene.balancer.rpc.address).await;
    let filter = json!({"address": ADDRESS, "topics": [hash(2)]});
    let id = client.subscribe(json!(["logs", filter])).await;
    for (topics, counted) in [
        (&[1][..], Some(&[1][..])),
        (&[2], Some(&[1])),
        (&[1, 2], Some(&[])),
        (&[2], None),
        (&[1], Some(&[1])),
        (&[2], Some(&[])),
    ] {
        let bloom = counted.map(bloom);
        let block = scene.mine(1, topics, bloom.as_ref());
        scene.tell(&block);
        if topics.contains(&2) {
            assert_eq!(hears(&mut client, &id).await["blockHash"], block["hash"]);
        }
    }
}

/// Blooms were right so far, and the bloom of this block is empty, as is the answer of the node that has the
/// block, but not yet what a sync of the state logged in it.
#[tokio::test]
async fn logs_that_polygons_blooms_lack_are_told_though_one_node_has_none_yet() {
    let polygon = Manner {
        chain_id: 137,
        ..PLAIN
    };
    let mut scene = Scene::set(&[polygon, polygon], &[1]).await;
    let mut client = Listener::open(scene.balancer.rpc.address).await;
    let id = client.subscribe(json!(["logs", {}])).await;
    for _ in 0..3 {
        let block = scene.mine(1, &[1], Some(&bloom(&[1])));
        scene.tell(&block);
        assert_eq!(hears(&mut client, &id).await["blockHash"], block["hash"]);
    }
    let block = scene.write(1, None);
    let logs = logs_of(&block, &[2]);
    scene.nodes[0].has(&block, &[]);
    scene.nodes[1].has(&block, &logs);
    // It is known to have the block before the other is asked a second time, and believed.
    scene.nodes[1].tell(&block);
    let number = read_quantity(&block["number"]).unwrap();
    let (head, b) = ("forebay_node_block_number", [("node", "b")]);
    scene.balancer.becomes(head, &b, number as f64).await;
    scene.nodes[0].tell(&block);
    assert_eq!(hears(&mut client, &id).await["blockHash"], block["hash"]);
}

#[tokio::test]
async fn a_head_has_the_same_members_whichever_way_it_was_heard_of() {
    let short = Manner {
        told: |block| {
            let mut told = block.clone();
            told.as_object_mut().unwrap().remove("milliTimestamp");
            told
        },
        ..PLAIN
    };
    let polled = Manner {
        has_socket: false,
        ..PLAIN
    };
    let mut scene = Scene::set(&[short, polled], &[1]).await;
    let mut clients = Vec::new();
    for (at, is_polled) in [true, false, true, false, true].into_iter().enumerate() {
        if at < 2 {
            let mut client = Listener::open(scene.balancer.rpc.address).await;
            let id = client.subscribe(json!(["newHeads"])).await;
            clients.push((client, id));
        }
        let block = scene.write(1, None);
        if is_polled {
            scene.nodes[1].has(&block, &[]);
        } else {
            scene.nodes[0].has(&block, &[]);
            scene.nodes[0].tell(&block);
        }
        // Whose first head was a polled one, before anything was known, goes on with all that it had.
        for ((client, id), keeps) in clients.iter_mut().zip([true, false]) {
            let head = hears(client, id).await;
            assert_eq!(head["hash"], block["hash"]);
            let has = head.get("milliTimestamp").is_some();
            assert_eq!(has, is_polled && keeps, "polled: {is_polled}");
            assert_eq!(head["mixHash"], block["mixHash"]);
        }
        for node in &scene.nodes {
            node.has(&block, &[]);
        }
    }
}

/// Avalanche's headers have members that no other chain's have, and their hash is of all of them.
#[tokio::test]
async fn a_head_that_was_polled_has_all_that_its_hash_is_of() {
    let polled = Manner {
        has_socket: false,
        ..PLAIN
    };
    let mut scene = Scene::set(&[PLAIN, polled], &[1]).await;
    let mut client = Listener::open(scene.balancer.rpc.address).await;
    let id = client.subscribe(json!(["newHeads"])).await;
    for _ in 0..3 {
        let mut block = scene.write(1, Some(&bloom(&[1])));
        for (name, is_quantity) in AVALANCHE_HEADER {
            if block.get(name).is_none() {
                let value = if is_quantity { "0x7" } else { "0xaabb" };
                block[name] = json!(value);
            }
        }
        // What is no part of a header.
        block["blockExtraData"] = json!("0x");
        block["size"] = json!("0x300");
        block["hash"] = json!(header_hash(&block, &AVALANCHE_HEADER));
        *scene.chain.last_mut().unwrap() = block.clone();
        scene.nodes[1].has(&block, &[]);
        let head = hears(&mut client, &id).await;
        scene.nodes[0].has(&block, &[]);
        assert_eq!(header_hash(&head, &AVALANCHE_HEADER), head["hash"]);
        assert_eq!(head["hash"], block["hash"]);
    }
}

/// geth 1.17 after a reorg or a catch-up of any length, and where it is taken back to an ancestor.
#[tokio::test]
async fn a_node_that_tells_its_tip_alone_leaves_no_gap_and_takes_nothing_back() {
    let mut scene = Scene::set(&[PLAIN], &[1, 1]).await;
    let mut client = Listener::open(scene.balancer.rpc.address).await;
    let heads = client.subscribe(json!(["newHeads"])).await;
    let hears_all = async |client: &mut Listener, blocks: &[Value]| {
        for block in blocks {
            assert_eq!(hears(client, &heads).await["hash"], block["hash"]);
        }
    };
    let caught_up: Vec<_> = (0..5).map(|_| scene.mine(1, &[], None)).collect();
    scene.tell(&caught_up[4]);
    hears_all(&mut client, &caught_up).await;
    // Its ancestor's head is told again, and then another branch's.
    scene.nodes[0].lose(3);
    scene.chain.truncate(scene.chain.len() - 3);
    scene.tell(&caught_up[1]);
    scene.branch = 1;
    let others: Vec<_> = (0..4).map(|_| scene.mine(1, &[], None)).collect();
    scene.tell(&others[3]);
    hears_all(&mut client, &others).await;
    // It is stopped, and comes back.
    scene.nodes[0].hang_up();
    let more: Vec<_> = (0..2).map(|_| scene.mine(1, &[], None)).collect();
    hears_all(&mut client, &more).await;
}

#[tokio::test]
async fn a_head_of_one_node_among_three_is_told_when_calls_find_it() {
    let mut scene = Scene::set(&[PLAIN, PLAIN, PLAIN], &[1]).await;
    let mut client = Listener::open(scene.balancer.rpc.address).await;
    let id = client.subscribe(json!(["newHeads"])).await;
    for _ in 0..3 {
        let block = scene.write(1, None);
        scene.nodes[0].has(&block, &[]);
        scene.nodes[0].tell(&block);
        let early = client.next_within(QUICK_BLOCK_TIME + Duration::from_millis(500));
        assert_eq!(early.await, None, "one node's alone");
        scene.nodes[1].has(&block, &[]);
        scene.nodes[1].tell(&block);
        assert_eq!(hears(&mut client, &id).await["hash"], block["hash"]);
        let served = scene.balancer.rpc.call("eth_blockNumber", json!([])).await;
        assert_eq!(served, block["number"]);
        scene.nodes[2].has(&block, &[]);
    }
}

#[tokio::test]
async fn what_a_subscriber_is_told_before_all_are_served_it_its_own_calls_find_wherever_they_come()
{
    let heavy = Manner { weight: 3, ..PLAIN };
    let mut scene = Scene::set(&[PLAIN, PLAIN, heavy], &[1]).await;
    let at = scene.balancer.rpc.address;
    let mut client = Listener::open(at).await;
    let heads = client.subscribe(json!(["newHeads"])).await;
    let served = async |client: Option<&str>| {
        let name = client.map(|client| ("x-forebay-client", client));
        let headers: Vec<_> = name
            .into_iter()
            .chain([("content-type", "application/json")])
            .collect();
        let body = call("1", "eth_blockNumber");
        let answer = crate::support::post_with(at, "/", &headers, &body, PATIENCE).await;
        answer.unwrap().json()["result"].clone()
    };
    for _ in 0..3 {
        let before = scene.chain.last().unwrap()["number"].clone();
        let block = scene.write(1, None);
        for node in &scene.nodes[..2] {
            node.has(&block, &[]);
            node.tell(&block);
        }
        assert_eq!(hears(&mut client, &heads).await["hash"], block["hash"]);
        assert_eq!(served(None).await, block["number"], "known by its address");
        assert_eq!(
            served(Some("another")).await,
            before,
            "no other client is held to it"
        );
        let told = client.ask("eth_blockNumber", json!([])).await;
        assert_eq!(told["result"], block["number"]);
        scene.nodes[2].has(&block, &[]);
        scene.nodes[2].tell(&block);
        soon("all are served it", async || {
            served(Some("another")).await == block["number"]
        })
        .await;
    }
}

#[tokio::test]
async fn a_block_that_clients_were_told_and_no_node_told_is_asked_of_a_node_that_has_it() {
    let mut scene = Scene::set(&[PLAIN, PLAIN], &[1]).await;
    let mut client = Listener::open(scene.balancer.rpc.address).await;
    let heads = client.subscribe(json!(["newHeads"])).await;
    let blocks = [1, 1, 1].map(|step| scene.write(step, None));
    let [a, b] = [&scene.nodes[0], &scene.nodes[1]];
    let log = json!({"data": "0x1"});
    for block in &blocks {
        a.has(block, std::slice::from_ref(&log));
    }
    b.has(&blocks[0], &[]);
    // The one between is fetched, as clients that hear of the last must hear of it.
    a.tell(&blocks[2]);
    for block in &blocks {
        assert_eq!(hears(&mut client, &heads).await["hash"], block["hash"]);
    }
    let asked = json!([{"blockHash": blocks[1]["hash"]}]);
    for _ in 0..15 {
        let found = scene.balancer.rpc.call("eth_getLogs", asked.clone()).await;
        assert_eq!(found, json!([log]));
    }
    assert_eq!((a.asked("eth_getLogs"), b.asked("eth_getLogs")), (15, 0));
}

/// All blocks of these nodes have one timestamp, too, as two or three of BSC's have.
#[tokio::test]
async fn what_is_final_before_validators_vote_is_block_0_and_makes_nothing_else_final() {
    let mut scene = Scene::set(&[PLAIN, PLAIN], &[1, 1, 1]).await;
    let final_block = "forebay_finalized_block_number";
    scene.balancer.becomes(final_block, &[], 0.0).await;
    let rpc = scene.balancer.rpc;
    for tag in ["safe", "finalized"] {
        let told = rpc.call("eth_getBlockByNumber", json!([tag, false])).await;
        assert_eq!(told["number"], "0x0", "{tag}");
    }
    // What would be final else is taken back.
    let mut client = Listener::open(rpc.address).await;
    let heads = client.subscribe(json!(["newHeads"])).await;
    for _ in 0..3 {
        let block = scene.mine(1, &[], None);
        scene.tell(&block);
        assert_eq!(hears(&mut client, &heads).await["hash"], block["hash"]);
    }
    for node in &scene.nodes {
        node.lose(3);
    }
    scene.chain.truncate(scene.chain.len() - 3);
    scene.branch = 1;
    let others: Vec<_> = (0..4).map(|_| scene.mine(1, &[], None)).collect();
    scene.tell(&others[3]);
    for block in &others {
        assert_eq!(hears(&mut client, &heads).await["hash"], block["hash"]);
    }
    assert_eq!(scene.balancer.metric(final_block, &[]).await, Some(0.0));
}

/// BSC counts the votes of validators in a plain number, where others name a block.
#[tokio::test]
async fn plain_numbers_reach_the_node_as_they_were_written_and_blocks_as_the_served_one() {
    let scene = Scene::set(&[PLAIN], &[1]).await;
    let rpc = scene.balancer.rpc;
    let votes = json!([15, false]);
    let told = rpc.call("eth_getFinalizedBlock", votes).await;
    assert_eq!(told["number"], "0x0");
    assert_eq!(scene.asked("eth_getFinalizedBlock [15,false]"), 1);
    let refused = rpc.ask("eth_getFinalizedBlock", json!(["0xf", false]), PATIENCE);
    assert_eq!(refused.await.unwrap()["error"]["code"], -32602);
    assert_eq!(scene.asked("eth_getFinalizedBlock [\"0xf\",false]"), 1);
    for (params, wanted) in [
        (json!([]), "parlia_getSnapshot [\"0xa\"]"),
        (json!(["0x9"]), "parlia_getSnapshot [\"0x9\"]"),
        (json!([9]), "parlia_getSnapshot [9]"),
    ] {
        rpc.call("parlia_getSnapshot", params).await;
        assert_eq!(scene.asked(wanted), 1, "{wanted}");
    }
}

/// A chain, its nodes, and the balancer before them.
struct Scene {
    nodes: Vec<OddNode>,
    balancer: Balancer,
    chain: Vec<Value>,
    /// Blocks of another have other hashes.
    branch: u64,
}

impl Scene {
    /// Of a chain that has begun with these steps from number to number. All sockets are open.
    async fn set(manners: &[Manner], steps: &[u64]) -> Scene {
        let mut nodes = Vec::new();
        let mut yaml = format!("{QUICK}  nodes:\n");
        for (manner, name) in manners.iter().zip(["a", "b", "c"]) {
            let node = OddNode::begin(*manner).await;
            yaml += &format!(
                "    - {{ name: {name}, weight: {}, url: \"http://{}\" }}\n",
                manner.weight, node.address
            );
            nodes.push(node);
        }
        let mut chain = Vec::new();
        for step in steps {
            let block = next(&chain, 0, *step, None);
            for node in &nodes {
                node.has(&block, &[]);
            }
            chain.push(block);
        }
        let balancer = Balancer::start(&yaml, &[("FOREBAY_LOG", "debug")]).await;
        let lines = manners.iter().filter(|manner| manner.has_socket).count();
        let open = "forebay_upstream_subscriptions";
        balancer.becomes(open, &[], lines as f64).await;
        Scene {
            nodes,
            balancer,
            chain,
            branch: 0,
        }
    }

    /// The next block, that no node has yet.
    fn write(&mut self, step: u64, bloom: Option<&Value>) -> Value {
        let block = next(&self.chain, self.branch, step, bloom);
        self.chain.push(block.clone());
        block
    }

    /// The next block, with logs of these topics, is at all nodes.
    fn mine(&mut self, step: u64, topics: &[u64], bloom: Option<&Value>) -> Value {
        let block = self.write(step, bloom);
        let logs = logs_of(&block, topics);
        for node in &self.nodes {
            node.has(&block, &logs);
        }
        block
    }

    fn tell(&self, block: &Value) {
        for node in &self.nodes {
            node.tell(block);
        }
    }

    fn asked(&self, word: &str) -> usize {
        self.nodes.iter().map(|node| node.asked(word)).sum()
    }

    /// Waits until all nodes were asked for logs so often, and no more.
    async fn is_asked_for_logs(&self, count: usize) {
        let what = format!("{count} questions for logs");
        soon(&what, async || self.asked("eth_getLogs") >= count).await;
        assert_eq!(self.asked("eth_getLogs"), count);
    }
}

/// With these topics.
fn logs_of(block: &Value, topics: &[u64]) -> Vec<Value> {
    let log = |(at, topic): (usize, &u64)| {
        json!({
            "address": ADDRESS, "topics": [hash(*topic)], "data": "0x", "blockHash": block["hash"],
            "blockNumber": block["number"], "logIndex": format!("{at:#x}"),
            "transactionHash": hash(77), "transactionIndex": "0x0", "removed": false,
        })
    };
    topics.iter().enumerate().map(log).collect()
}

async fn hears(client: &mut Listener, id: &str) -> Value {
    match client.next_within(PATIENCE).await {
        Some(Heard::News(from, news)) if from == id => news,
        heard => panic!("{heard:?}"),
    }
}

fn next(chain: &[Value], branch: u64, step: u64, bloom: Option<&Value>) -> Value {
    let before = chain.last();
    let number = before.map_or(9, |block| read_quantity(&block["number"]).unwrap()) + step;
    let parent = before.map_or(json!(hash(1)), |block| block["hash"].clone());
    let mut block = json!({
        "number": format!("{number:#x}"), "hash": hash(1000 * (1 + branch) + number), "parentHash": parent,
        "timestamp": "0x1", "milliTimestamp": "0x3e8", "mixHash": hash(number), "transactions": [],
    });
    if let Some(bloom) = bloom {
        block["logsBloom"] = bloom.clone();
    }
    block
}

fn with(block: &Value, name: &str, value: Value) -> Value {
    let mut block = block.clone();
    block[name] = value;
    block
}

fn made_up(number: &Value) -> Value {
    let number = read_quantity(number).unwrap();
    json!(hash(0xee_0000 + number))
}

/// Of logs with these topics.
fn bloom(topics: &[u64]) -> Value {
    let mut bloom = [0_u8; 256];
    let mut values: Vec<_> = topics.iter().map(|topic| hash(*topic)).collect();
    values.extend((!topics.is_empty()).then(|| ADDRESS.to_string()));
    for value in values {
        let digest = Keccak256::digest(hex::data_of_any(&value).unwrap());
        for at in [0, 2, 4] {
            let bit = u16::from_be_bytes([digest[at], digest[at + 1]]) % 2048;
            bloom[255 - usize::from(bit / 8)] |= 1 << (bit % 8);
        }
    }
    let digits = bloom.map(|byte| format!("{byte:02x}"));
    json!(format!("0x{}", digits.concat()))
}

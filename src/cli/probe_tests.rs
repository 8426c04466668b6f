//! Rounds over nodes that play their parts, and what is printed of them.

use super::*;
use crate::node::mock::{MockNode, block, error, http, ok, result};
use forebay_core::testing::assert_says;
use forebay_core::vocabulary::node::{NodeRecord, Role, Weight};
use forebay_fake::{Behaviour, FakeChain, FakeConfig, FakeNode};

const PATIENCE: Duration = Duration::from_secs(20);

fn spec(mock: &MockNode, name: &str, role: Role) -> NodeSpec {
    let record = NodeRecord {
        name: Some(name.to_string()),
        role,
        ..mock.record()
    };
    record.resolve(&|_| None).unwrap()
}

async fn printed(nodes: &[NodeSpec], rejected: &[&str], settings: &Settings, json: bool) -> String {
    let rejected: Vec<_> = rejected.iter().map(|text| text.to_string()).collect();
    let mut out = Vec::new();
    let conf = ServerConf::default();
    let run = run((nodes, &rejected), settings, &conf, json, &mut out);
    tokio::time::timeout(PATIENCE, run).await.unwrap().unwrap();
    let out = String::from_utf8(out).unwrap();
    assert!(!out.contains("s3cret"), "{out}");
    out
}

/// Times differ from run to run: a row's words, without the latency.
fn words(row: &str) -> Vec<&str> {
    let mut words: Vec<_> = row.split_whitespace().collect();
    if let Some(unit) = words.iter().position(|word| *word == "ms") {
        words.drain(unit - 1..=unit);
    }
    words
}

#[tokio::test]
async fn ten_blocks_behind_is_fit_and_eleven_is_lagging() {
    let (leader, ten, eleven) = (
        MockNode::at(1000).await,
        MockNode::at(990).await,
        MockNode::at(989).await,
    );
    let nodes = [
        spec(&leader, "infura", Role::Leader),
        spec(&ten, "ten", Role::Own),
        spec(&eleven, "eleven", Role::Own),
    ];
    let table = printed(&nodes, &[], &Settings::default(), false).await;
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(
        lines[0],
        "reference 1000 (the leader's head); chain 1 (the leader's)"
    );
    assert_eq!(words(lines[1]), HEADINGS);
    assert_eq!(
        words(lines[2]),
        ["infura", "leader", "1000", "0", "-", "fit"]
    );
    assert_eq!(words(lines[3]), ["ten", "own", "990", "10", "-", "fit"]);
    assert_eq!(
        words(lines[4])[..6],
        ["eleven", "own", "989", "11", "-", "lagging"]
    );
    assert!(lines[4].ends_with("lagging  11 behind, at most 10 allowed"));
    assert_eq!(lines.len(), 5);
}

#[tokio::test]
async fn each_bad_node_says_what_is_wrong_with_it() {
    let chain = || ("eth_chainId", result("\"0x1\""));
    let script = async |head| MockNode::play(&[("eth_getBlockByNumber", head), chain()]).await;
    let foreign = [
        ("eth_getBlockByNumber", block(7)),
        ("eth_chainId", result("\"0x5\"")),
    ];
    let syncing = [
        ("eth_getBlockByNumber", block(999)),
        ("eth_syncing", result("{}")),
        chain(),
    ];
    let backoff = r#"{"code":-32005,"message":"x","data":{"rate":{"backoff_seconds":30}}}"#;
    let mocks = [
        (MockNode::at(1000).await, "fit", ""),
        (
            MockNode::play(&foreign).await,
            "wrong_chain",
            "on chain 5, not 1",
        ),
        (
            MockNode::play(&syncing).await,
            "syncing",
            "it says that it is still syncing",
        ),
        (
            MockNode::at(0).await,
            "height_zero",
            "its head is block 0, while the chain is further",
        ),
        (
            script(ok("<html>")).await,
            "bad_answer",
            r#"answered HTML, "<html>""#,
        ),
        (script(None).await, "silent", "timed out after 0.5 s"),
        (
            script(http("502 Bad", "", "")).await,
            "bad_answer",
            "HTTP 502",
        ),
        (
            script(error(backoff)).await,
            "rate_limited",
            r#"JSON-RPC error -32005, "x", asks for a rest of 30 s"#,
        ),
    ];
    let nodes: Vec<_> = mocks
        .iter()
        .map(|(mock, ..)| spec(mock, "node", Role::Own))
        .collect();
    let mut settings = Settings::default();
    settings.chain.id = Some(1);
    settings.health.timeout = Duration::from_millis(500);
    let table = printed(&nodes, &[], &settings, false).await;
    let lines: Vec<_> = table.lines().collect();
    assert!(
        lines[0].ends_with("as no leader is set); chain 1 (configured)"),
        "{table}"
    );
    for ((_, verdict, why), line) in mocks.iter().zip(&lines[2..]) {
        let wanted = format!("{verdict:12}  {why}");
        assert!(line.ends_with(wanted.trim_end()), "{wanted}\n{table}");
    }
}

#[tokio::test]
async fn json_has_the_agreed_shape_and_hosts_alone() {
    let (leader, behind) = (MockNode::at(1000).await, MockNode::at(900).await);
    let nodes = [
        spec(&leader, "infura", Role::Leader),
        spec(&behind, "geth-1", Role::Own),
    ];
    let rejected = ["http://a/…: the environment variable KEY is not set"];
    let json = printed(&nodes, &rejected, &Settings::default(), true).await;
    let mut json: serde_json::Value = serde_json::from_str(&json).unwrap();
    for node in json["nodes"].as_array_mut().unwrap() {
        let latency = node["latency_ms"].take();
        assert!(latency.as_f64().is_some_and(|latency| latency > 0.0));
    }
    let url = |mock: &MockNode| format!("http://{}/…", mock.address);
    let wanted = serde_json::json!({
        "reference": 1000, "reference_source": "leader", "chain_id": 1,
        "nodes": [
            {"name": "infura", "url": url(&leader), "role": "leader", "head": 1000, "lag": 0,
             "oldest_state": null, "latency_ms": null, "healthy": true, "reason": null,
             "failure": null, "why": null},
            {"name": "geth-1", "url": url(&behind), "role": "own", "head": 900, "lag": 100,
             "oldest_state": null, "latency_ms": null, "healthy": false, "reason": "lagging",
             "failure": null,
             "why": "100 behind, at most 10 allowed"},
        ],
        "rejected": rejected,
    });
    assert_eq!(json, wanted);
}

#[tokio::test]
async fn without_nodes_it_says_how_to_add_the_first() {
    let table = printed(&[], &[], &Settings::default(), false).await;
    assert!(table.contains("forebay backends add http"), "{table}");
    let json = printed(&[], &[], &Settings::default(), true).await;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["nodes"], serde_json::json!([]));
    assert_eq!(json["reference"], serde_json::Value::Null);
}

#[tokio::test]
async fn nodes_that_cannot_be_asked_stand_last() {
    let mock = MockNode::at(5).await;
    let nodes = [spec(&mock, "geth-1", Role::Own)];
    let table = printed(
        &nodes,
        &["item 3: no\u{1b} URL"],
        &Settings::default(),
        false,
    )
    .await;
    assert_eq!(table.lines().last(), Some("not asked: item 3: no? URL"));
    let alone = printed(&[], &["item 3"], &Settings::default(), false).await;
    assert_eq!(alone, "not asked: item 3\n");
}

#[tokio::test]
async fn a_drained_node_is_fit_and_gets_no_calls() {
    let mock = MockNode::at(5).await;
    let mut node = spec(&mock, "geth-1", Role::Own);
    node.weight = Weight::new(0).unwrap();
    let table = printed(&[node], &[], &Settings::default(), false).await;
    assert!(
        table.ends_with("fit      weight 0: it gets no calls\n"),
        "{table}"
    );
}

#[tokio::test]
async fn without_any_answer_there_is_no_reference() {
    let mock = MockNode::play(&[]).await;
    let nodes = [spec(&mock, "geth-1", Role::Own)];
    let table = printed(&nodes, &[], &Settings::default(), false).await;
    assert!(table.starts_with("no reference: no node has told its head; chain not checked"));
    assert_says(&table, "bad_answer  JSON-RPC error -32601");
}

#[tokio::test]
async fn how_far_back_a_nodes_state_goes_is_shown_where_it_is_known() {
    let chain = FakeChain::still(1, 21_000_000);
    let start = async |behaviour: Behaviour| {
        let config = FakeConfig {
            behaviour,
            ..FakeConfig::following(&chain)
        };
        FakeNode::start(config).await.unwrap()
    };
    let pruned = Behaviour {
        state_blocks: Some(128),
        ..Behaviour::default()
    };
    let with_capabilities = Behaviour {
        tells_capabilities: true,
        ..pruned.clone()
    };
    let silent = Behaviour {
        missing_methods: ["eth_getBalance".to_string()].into(),
        ..pruned.clone()
    };
    let fakes = [
        start(Behaviour::default()).await,
        start(pruned).await,
        start(with_capabilities).await,
        start(silent).await,
    ];
    let spec = |fake: &FakeNode| NodeRecord::at(&fake.url()).resolve(&|_| None).unwrap();
    let nodes: Vec<_> = fakes.iter().map(spec).collect();
    let table = printed(&nodes, &[], &Settings::default(), false).await;
    let states = ["all", "from 20999880", "from 20999873", "-"];
    for (line, state) in table.lines().skip(2).zip(states) {
        assert!(
            line.contains(&format!("  0    {state}  ")),
            "{state}\n{table}"
        );
    }
}

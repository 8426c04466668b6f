//! Every way a node can answer, or not answer, when it is asked for its head.

mod connections;
mod failures;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::node::fixtures::PATIENCE;
use crate::node::mock::{HASH, MockNode, MockResponse, block, error, http, ok, result};
use crate::node::probe_questions::QUESTIONS_AT_ONCE;
use forebay_core::fleet::standing::Reason;
use forebay_core::rpc::envelope::UpstreamCallId;
use forebay_core::testing::assert_says;
use forebay_core::vocabulary::chain::BlockHash;
use forebay_core::vocabulary::node::NodeRecord;

const WITH_CHAIN: ProbeRequest = ProbeRequest {
    chain_id: true,
    tags: false,
    passes_over_syncing: false,
    extras: ProbeExtras {
        capabilities: false,
        depth: None,
        tags: false,
        state: false,
        compare: None,
    },
};

async fn probe_for(spec: &NodeSpec, asked: ProbeRequest, timeout: Duration) -> ProbeReply {
    let prober = Prober::new(NodeAccess::plain()).unwrap();
    let probed = prober.probe(spec, asked, timeout);
    tokio::time::timeout(PATIENCE, probed).await.unwrap()
}

/// What comes of a node that answers by `script`, and is otherwise in order.
async fn probed(script: &[(&'static str, MockResponse)]) -> ProbeReply {
    let mut whole = vec![
        ("eth_getBlockByNumber", block(100)),
        ("eth_blockNumber", result("\"0x64\"")),
        ("eth_syncing", result("false")),
        ("eth_chainId", result("\"0x1\"")),
    ];
    whole.extend_from_slice(script);
    let mock = MockNode::play(&whole).await;
    probe_for(&mock.spec(), WITH_CHAIN, PATIENCE).await
}

fn at(head: u64) -> ProbeOutcome {
    ProbeOutcome::Answered {
        head: BlockNumber(head),
        chain_id: Some(ChainId(1)),
        syncing: false,
    }
}

/// A probe that failed: the metric's reason, and words for people.
async fn failure(head: MockResponse) -> (&'static str, String) {
    let probed = probed(&[
        ("eth_getBlockByNumber", head.clone()),
        ("eth_blockNumber", head),
    ])
    .await;
    assert_eq!(probed.probe, ProbeOutcome::Failed);
    (probed.failure.unwrap(), probed.why().unwrap().to_string())
}

#[tokio::test]
async fn a_good_node_tells_its_head_and_its_chain() {
    let probed = probed(&[]).await;
    assert_eq!(probed.probe, at(100));
    assert_eq!(probed.details.head_hash, BlockHash::read(HASH));
    assert_eq!(probed.details.head_timestamp, Some(5));
    assert_eq!((probed.why(), probed.failure), (None, None));
}

#[tokio::test]
async fn the_chain_is_asked_for_only_when_it_is_wanted() {
    let mock = MockNode::at(100).await;
    let probed = probe_for(&mock.spec(), ProbeRequest::default(), PATIENCE).await;
    assert!(matches!(
        probed.probe,
        ProbeOutcome::Answered { chain_id: None, .. }
    ));
    assert_eq!(mock.heard().len(), 2);
}

#[tokio::test]
async fn a_request_is_one_call_to_the_nodes_path_with_the_nodes_headers() {
    let mock = MockNode::at(100).await;
    let mut record = mock.record();
    record.headers = [("Authorization".to_string(), "Bearer t0ken".to_string())].into();
    let spec = record.resolve(&|_| None).unwrap();
    probe_for(&spec, WITH_CHAIN, PATIENCE).await;
    let heard = mock.heard();
    assert_eq!(heard.len(), 4);
    for request in &heard {
        assert!(
            request.starts_with("POST /v3/s3cret-key HTTP/1.1\r\n"),
            "{request}"
        );
        assert_says(request, "authorization: Bearer t0ken\r\n");
        assert_says(request, "content-type: application/json\r\n");
    }
    let latest = r#","method":"eth_getBlockByNumber","params":["latest",false]}"#;
    assert!(heard.iter().any(|request| request.ends_with(latest)));
}

#[tokio::test]
async fn a_node_syncs_when_it_answers_an_object() {
    for (said, wanted) in [
        (
            result(r#"{"currentBlock":"0x1","highestBlock":"0x9"}"#),
            true,
        ),
        (result("false"), false),
        (result("null"), false),
        (
            error(r#"{"code":-32601,"message":"no such method"}"#),
            false,
        ),
        (http("500 Broken", "", ""), false),
    ] {
        let probed = probed(&[("eth_syncing", said.clone())]).await;
        let ProbeOutcome::Answered { syncing, .. } = probed.probe else {
            panic!("{said:?}: {probed:?}");
        };
        assert_eq!(syncing, wanted, "{said:?}");
    }
}

#[tokio::test]
async fn a_node_at_its_head_that_builds_an_index_says_so() {
    // geth 1.17 after a snap sync; before one; on its way.
    for (said, is_at_head, indexes) in [
        (
            r#"{"currentBlock":"HEAD","highestBlock":"0x0","stateIndexRemaining":"0x5"}"#,
            true,
            true,
        ),
        (
            r#"{"currentBlock":"HEAD","highestBlock":"HEAD","txIndexRemainingBlocks":"0x0"}"#,
            true,
            false,
        ),
        (
            r#"{"currentBlock":"HEAD","highestBlock":"0xffffffff","stateIndexRemaining":"0x5"}"#,
            false,
            true,
        ),
        (
            r#"{"currentBlock":"0x1","highestBlock":"0x0"}"#,
            false,
            false,
        ),
        (r#"{"currentBlock":"HEAD"}"#, false, false),
        ("{}", false, false),
    ] {
        let said = said.replace("HEAD", "0x64");
        let probed = probed(&[("eth_syncing", result(&said))]).await;
        let sync = probed.details.sync.unwrap();
        assert_eq!(
            (sync.is_at_head, sync.indexes),
            (is_at_head, indexes),
            "{said}"
        );
    }
}

#[tokio::test]
async fn what_a_node_says_of_its_syncing_may_be_passed_over() {
    let asked = ProbeRequest {
        passes_over_syncing: true,
        ..WITH_CHAIN
    };
    let script = [
        ("eth_getBlockByNumber", block(100)),
        ("eth_syncing", result("{}")),
    ];
    let mock = MockNode::play(&script).await;
    let probed = probe_for(&mock.spec(), asked, PATIENCE).await;
    assert!(matches!(
        probed.probe,
        ProbeOutcome::Answered { syncing: false, .. }
    ));
}

#[tokio::test]
async fn a_node_without_a_block_is_asked_for_the_bare_number() {
    let long = format!("\"{}\"", "x".repeat(BLOCK_BYTES_MAX));
    for said in [
        result("null"),
        error(r#"{"code":-32601,"message":"no such method"}"#),
        error(r#"{"code":-32000,"message":"header not found"}"#),
        result(&long),
    ] {
        let script = [
            ("eth_getBlockByNumber", said),
            ("eth_blockNumber", result("\"0x63\"")),
        ];
        let probed = probed(&script).await;
        assert_eq!(probed.probe, at(99));
        assert_eq!(probed.details.head_hash, None);
    }
}

#[tokio::test]
async fn a_node_that_does_not_know_its_chain_has_a_head_all_the_same() {
    for said in [
        error(r#"{"code":-32601,"message":"no such method"}"#),
        http("503 Busy", "", ""),
        result("7"),
        result("\"1\""),
    ] {
        let probed = probed(&[("eth_chainId", said)]).await;
        assert!(matches!(
            probed.probe,
            ProbeOutcome::Answered { chain_id: None, .. }
        ));
    }
    let other = probed(&[("eth_chainId", result("\"0x5\""))]).await;
    let ProbeOutcome::Answered { chain_id, .. } = other.probe else {
        panic!("{other:?}");
    };
    assert_eq!(chain_id, Some(ChainId(5)));
}

#[tokio::test]
async fn a_head_is_a_hex_quantity_of_64_bits_at_most() {
    let maximum = u64::MAX;
    let block = |number: &str| result(&format!(r#"{{"number":{number}}}"#));
    let probed = probed(&[("eth_getBlockByNumber", block(r#""0xffffffffffffffff""#))]).await;
    assert_eq!(probed.probe, at(maximum));
    for bad in [
        r#""0x10000000000000000""#,
        r#""0x""#,
        r#""64""#,
        r#""0x+1""#,
        r#""0xg""#,
        r#""-0x1""#,
        r#""""#,
        "100",
        "null",
    ] {
        assert_eq!(failure(block(bad)).await.0, "bad_answer", "{bad}");
    }
}

#[tokio::test]
async fn an_answer_is_read_up_to_its_limit_and_no_further() {
    let frame = r#"{"jsonrpc":"2.0","id":,"result":"0x64","x":""}"#.len();
    let number = |bytes: usize| {
        let padding = "x".repeat(bytes - frame - UpstreamCallId::DIGITS_MAX);
        ok(&format!(
            r#"{{"jsonrpc":"2.0","id":1,"result":"0x64","x":"{padding}"}}"#
        ))
    };
    let null = ("eth_getBlockByNumber", result("null"));
    let whole = probed(&[null.clone(), ("eth_blockNumber", number(ANSWER_BYTES_MAX))]).await;
    assert_eq!(whole.probe, at(100));
    let over = probed(&[null, ("eth_blockNumber", number(ANSWER_BYTES_MAX + 1))]).await;
    assert_eq!(over.probe, ProbeOutcome::Failed);
    assert_eq!(over.failure, Some("bad_answer"));
    assert_eq!(over.why(), Some("an answer over 65536 bytes"));
}

#[tokio::test]
async fn a_full_block_is_read() {
    let hashes = vec![format!("\"{HASH}\""); 2857].join(",");
    let body = format!(r#"{{"number":"0x65","transactions":[{hashes}]}}"#);
    assert!(body.len() > ANSWER_BYTES_MAX);
    let probed = probed(&[("eth_getBlockByNumber", result(&body))]).await;
    assert_eq!(probed.probe, at(101));
}

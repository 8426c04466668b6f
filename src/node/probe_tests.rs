//! Every way a node can answer, or not answer, when it is asked for its head.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::node::mock::{HASH, MockNode, MockResponse, block, error, http, ok, result};
use crate::node::probe_questions::QUESTIONS_AT_ONCE;
use forebay_core::fleet::standing::Reason;
use forebay_core::rpc::envelope::UpstreamCallId;
use forebay_core::vocabulary::chain::BlockHash;
use forebay_core::vocabulary::node::NodeRecord;

const PATIENCE: Duration = Duration::from_secs(10);
const WITH_CHAIN: ProbeRequest = ProbeRequest {
    chain_id: true,
    tags: false,
    passes_over_syncing: false,
    inquiry: ProbeExtras {
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
    let actor = MockNode::play(&whole).await;
    probe_for(&actor.spec(), WITH_CHAIN, PATIENCE).await
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
    let actor = MockNode::at(100).await;
    let probed = probe_for(&actor.spec(), ProbeRequest::default(), PATIENCE).await;
    assert!(matches!(
        probed.probe,
        ProbeOutcome::Answered { chain_id: None, .. }
    ));
    assert_eq!(actor.heard().len(), 2);
}

#[tokio::test]
async fn a_request_is_one_call_to_the_nodes_path_with_the_nodes_headers() {
    let actor = MockNode::at(100).await;
    let mut record = actor.record();
    record.headers = [("Authorization".to_string(), "Bearer t0ken".to_string())].into();
    let spec = record.resolve(&|_| None).unwrap();
    probe_for(&spec, WITH_CHAIN, PATIENCE).await;
    let heard = actor.heard();
    assert_eq!(heard.len(), 4);
    for request in &heard {
        assert!(
            request.starts_with("POST /v3/s3cret-key HTTP/1.1\r\n"),
            "{request}"
        );
        assert!(
            request.contains("authorization: Bearer t0ken\r\n"),
            "{request}"
        );
        assert!(
            request.contains("content-type: application/json\r\n"),
            "{request}"
        );
    }
    let latest = r#","method":"eth_getBlockByNumber","params":["latest",false]}"#;
    assert!(heard.iter().any(|request| request.ends_with(latest)));
}

#[tokio::test]
async fn rounds_reuse_their_connections() {
    let actor = MockNode::at(100).await;
    let prober = Prober::new(NodeAccess::plain()).unwrap();
    for _ in 0..10 {
        let probed = prober.probe(&actor.spec(), WITH_CHAIN, PATIENCE).await;
        assert_eq!(probed.probe, at(100));
    }
    assert_eq!(actor.heard().len(), 40);
    // A connection goes back a moment after its answer, so now and then one more is opened.
    assert!(actor.connections() < 20, "{}", actor.connections());
}

/// All that a probe can ask.
fn everything() -> ProbeRequest {
    ProbeRequest {
        chain_id: true,
        tags: true,
        passes_over_syncing: false,
        inquiry: ProbeExtras {
            capabilities: true,
            depth: None,
            tags: true,
            state: true,
            compare: Some(BlockNumber(100)),
        },
    }
}

#[tokio::test]
async fn few_connections_stay_of_a_probe_that_asks_for_everything() {
    let actor = MockNode::at(100).await;
    let prober = Prober::new(NodeAccess::plain()).unwrap();
    for _ in 0..10 {
        let probed = prober.probe(&actor.spec(), everything(), PATIENCE).await;
        assert_eq!(probed.probe, at(100));
        assert_eq!(probed.details.finalized, Some(BlockNumber(100)));
    }
    assert_eq!(actor.heard().len(), 90);
    // One each, and now and then one more: a connection goes back a moment after its answer.
    let connections = actor.connections();
    assert!(connections <= QUESTIONS_AT_ONCE + 2, "{connections}");
}

#[tokio::test]
async fn questions_that_hang_take_no_more_than_their_turns() {
    let actor = MockNode::play(&[
        ("eth_getBlockByNumber", block(100)),
        ("eth_syncing", None),
        ("eth_chainId", result("\"0x1\"")),
        ("eth_getBalance", None),
        ("eth_capabilities", None),
    ])
    .await;
    let timeout = Duration::from_millis(500);
    let probed = probe_for(&actor.spec(), everything(), timeout).await;
    assert_eq!(probed.probe, at(100));
    // Those that came after the two that hang; the head was not among them.
    assert_eq!(probed.details.finalized, None);
    let asked = |method: &str| actor.heard().iter().any(|heard| heard.contains(method));
    assert!(asked("eth_getBalance") && !asked("eth_capabilities"));
}

#[tokio::test]
async fn one_question_that_hangs_keeps_no_other_from_its_answer() {
    let actor = MockNode::play(&[
        ("eth_getBlockByNumber", block(100)),
        ("eth_syncing", None),
        ("eth_chainId", result("\"0x1\"")),
        ("net_version", result("\"1\"")),
    ])
    .await;
    let timeout = Duration::from_millis(500);
    let probed = probe_for(&actor.spec(), everything(), timeout).await;
    assert_eq!(probed.probe, at(100));
    assert_eq!(probed.details.net_version.as_deref(), Some("1"));
    assert_eq!(probed.details.finalized, Some(BlockNumber(100)));
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
    let actor = MockNode::play(&script).await;
    let probed = probe_for(&actor.spec(), asked, PATIENCE).await;
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
async fn rude_answers_are_told_apart() {
    let own_error = r#"{"code":-32000,"message":"key s3cret-key is odd"}"#;
    for (said, reason, words) in [
        (
            ok("<html>Welcome</html>"),
            "bad_answer",
            r#"answered HTML, "<html>Welcome</html>""#,
        ),
        (ok(" "), "bad_answer", "answered nothing"),
        (
            ok("{"),
            "bad_answer",
            r#"answered something other than a JSON-RPC answer, "{""#,
        ),
        (
            ok(r#"{"id":2,"result":"0x1"}"#),
            "bad_answer",
            r#"answered another question's id, "{\"id\":2,\"result\":\"0x1\"}""#,
        ),
        (
            ok(r#"{"id":1}"#),
            "bad_answer",
            r#"answered neither a result nor an error, "{\"id\":1}""#,
        ),
        (
            result("\"0x64\""),
            "bad_answer",
            "answered something other than a block",
        ),
        (
            http("503 Busy", "", "<html>"),
            "http",
            r#"HTTP 503, "<html>""#,
        ),
        (
            http("401 No", "", r#"{"id":null,"result":null}"#),
            "http",
            r#"HTTP 401, "{\"id\":null,\"result\":null}""#,
        ),
        (
            error(own_error),
            "rpc_error",
            r#"JSON-RPC error -32000, "key … is odd""#,
        ),
        (
            http("403 No", "", r#"{"id":1,"error":{"code":-32000}}"#),
            "rpc_error",
            "JSON-RPC error -32000",
        ),
        (
            Some("SSH-2.0-OpenSSH\r\n".into()),
            "connect",
            "the connection broke off, or spoke no HTTP",
        ),
    ] {
        let wanted = (reason, words.to_string());
        assert_eq!(failure(said.clone()).await, wanted, "{said:?}");
    }
}

#[tokio::test]
async fn the_cause_of_a_failed_probe_is_a_reason_of_its_own() {
    let vhosts = "invalid host specified\n";
    let plain = "Client sent an HTTP request to an HTTPS server.\n";
    let starting = "API call rejected because chain is not done bootstrapping";
    let key = r#"{"code":-32000,"message":"invalid api key"}"#;
    let billing = r#"{"code":-32000,"message":"Monthly capacity limit exceeded"}"#;
    for (said, reason, hint) in [
        (http("401 No", "", "no"), Reason::Auth, ""),
        (http("403 No", "", vhosts), Reason::Auth, "--http.vhosts"),
        (http("402 Pay", "", ""), Reason::Quota, ""),
        (error(key), Reason::Auth, "invalid api key"),
        (error(billing), Reason::Quota, "Monthly capacity"),
        (http("429 Slow", "", ""), Reason::RateLimited, ""),
        (
            http("404 Not Found", "", ""),
            Reason::BadAnswer,
            "path may be wrong",
        ),
        (
            http("400 Bad", "", plain),
            Reason::BadAnswer,
            "begin with https",
        ),
        (
            http("503 Busy", "", starting),
            Reason::BadAnswer,
            "still bootstrapping",
        ),
        (ok("<html>Welcome</html>"), Reason::BadAnswer, "HTML"),
        (result("7"), Reason::BadAnswer, "other than a block"),
    ] {
        let head = ("eth_getBlockByNumber", said.clone());
        let trouble = probed(&[head, ("eth_blockNumber", said)])
            .await
            .details
            .trouble;
        let trouble = trouble.unwrap();
        assert_eq!(trouble.reason, reason, "{trouble:?}");
        assert!(trouble.words.contains(hint), "{trouble:?}");
    }
}

#[tokio::test]
async fn a_node_that_echoes_its_request_is_quoted_without_our_key() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "http://{}/v3/s3cret-key?k=0ther-key",
        listener.local_addr().unwrap()
    );
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 1024];
            let length = socket.read(&mut request).await.unwrap();
            let echo = String::from_utf8_lossy(&request[..length]).into_owned();
            let said = http("403 No", "Connection: close\r\n", &echo).unwrap();
            drop(socket.write_all(said.as_bytes()).await);
        }
    });
    let mut record = NodeRecord::at(&url);
    record.headers = [("x-key".to_string(), "th1rd-key".to_string())].into();
    let spec = record.resolve(&|_| None).unwrap();
    let probed = probe_for(&spec, WITH_CHAIN, PATIENCE).await;
    let why = probed.why().unwrap();
    assert!(why.starts_with("HTTP 403, \"POST "), "{why}");
    for secret in ["s3cret", "0ther", "th1rd"] {
        assert!(!why.contains(secret), "{why}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = MockNode::at(100).await;
    let location = format!("Location: http://{}/\r\n", elsewhere.address);
    let (reason, words) = failure(http("307 Elsewhere", &location, "")).await;
    assert_eq!((reason, &*words), ("http", "HTTP 307"));
    assert!(elsewhere.heard().is_empty());
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

#[tokio::test]
async fn a_node_that_asks_for_rest_is_throttled_for_as_long_as_it_says() {
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    let retry = "Retry-After: 7\r\n";
    let long = "x".repeat(BLOCK_BYTES_MAX + 1);
    let backoff = r#"{"code":-32005,"message":"x","data":{"rate":{"backoff_seconds":30}}}"#;
    for (said, rest, words) in [
        (
            http("429 Slow", retry, ""),
            seconds(7),
            "HTTP 429, asks for a rest of 7 s",
        ),
        (
            http("429 Slow", "", "<html>"),
            None,
            r#"HTTP 429, "<html>""#,
        ),
        (http("429 Slow", "", &long), None, "HTTP 429"),
        (
            http("429 Slow", "Retry-After: 9999\r\n", ""),
            seconds(300),
            "HTTP 429, asks for a rest of 300 s",
        ),
        (
            error(backoff),
            seconds(30),
            r#"JSON-RPC error -32005, "x", asks for a rest of 30 s"#,
        ),
        (
            error(r#"{"code":-32007,"message":"50/second"}"#),
            None,
            r#"JSON-RPC error -32007, "50/second""#,
        ),
    ] {
        let probed = probed(&[("eth_getBlockByNumber", said)]).await;
        assert_eq!(probed.probe, ProbeOutcome::Throttled(rest));
        assert_eq!(probed.failure, Some("throttled"));
        assert_eq!(probed.why(), Some(words));
    }
}

#[tokio::test]
async fn a_silent_node_is_given_up_after_its_timeout() {
    let actor = MockNode::play(&[("eth_getBlockByNumber", None)]).await;
    let timeout = Duration::from_millis(50);
    let probed = probe_for(&actor.spec(), WITH_CHAIN, timeout).await;
    assert_eq!(probed.probe, ProbeOutcome::Failed);
    assert_eq!(probed.failure, Some("timeout"));
    assert_eq!(probed.why(), Some("timed out after 0.05 s"));
    assert!(probed.took >= timeout && probed.took < PATIENCE / 2);
}

#[tokio::test]
async fn a_body_that_never_ends_is_given_up_too() {
    let half = Some("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".to_string());
    let actor = MockNode::play(&[("eth_getBlockByNumber", half)]).await;
    let probed = probe_for(&actor.spec(), WITH_CHAIN, Duration::from_millis(50)).await;
    assert_eq!(probed.failure, Some("timeout"));
}

#[tokio::test]
async fn a_head_counts_though_the_other_questions_hang() {
    let actor = MockNode::play(&[
        ("eth_getBlockByNumber", block(100)),
        ("eth_syncing", None),
        ("eth_chainId", None),
    ])
    .await;
    let probed = probe_for(&actor.spec(), WITH_CHAIN, Duration::from_millis(500)).await;
    let wanted = ProbeOutcome::Answered {
        head: BlockNumber(100),
        chain_id: None,
        syncing: false,
    };
    assert_eq!(probed.probe, wanted);
}

#[tokio::test]
async fn a_node_that_is_not_there_is_told_by_the_systems_words() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/s3cret-key", listener.local_addr().unwrap());
    drop(listener);
    let spec = NodeRecord::at(&url).resolve(&|_| None).unwrap();
    let probed = probe_for(&spec, WITH_CHAIN, PATIENCE).await;
    assert_eq!(probed.probe, ProbeOutcome::Failed);
    assert_eq!(probed.failure, Some("connect"));
    assert_eq!(probed.why(), Some("connection refused"));
}

#[tokio::test]
async fn a_name_without_an_address_is_told_without_its_path() {
    let record = NodeRecord::at("http://no-such-node.invalid/s3cret-key");
    let spec = record.resolve(&|_| None).unwrap();
    let probed = probe_for(&spec, WITH_CHAIN, PATIENCE).await;
    assert_eq!(probed.failure, Some("connect"));
    assert_eq!(probed.why(), Some("the host name can't be resolved"));
}

/// A server that nobody trusts, named localhost; gives its port.
async fn distrusted() -> u16 {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_string()]).unwrap();
    let key = made.signing_key.serialize_der().try_into().unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            drop(acceptor.accept(socket).await);
        }
    });
    port
}

#[tokio::test]
async fn a_certificate_that_nobody_signed_is_refused_and_told() {
    let url = format!("https://localhost:{}/s3cret-key", distrusted().await);
    let spec = NodeRecord::at(&url).resolve(&|_| None).unwrap();
    let probed = probe_for(&spec, WITH_CHAIN, PATIENCE).await;
    assert_eq!(probed.failure, Some("connect"));
    let why = probed.why().unwrap();
    assert!(why.starts_with("TLS: invalid peer certificate"), "{why}");
    assert!(!why.contains("s3cret"), "{why}");
}

#[tokio::test]
async fn half_a_body_is_no_answer() {
    let half = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 100\r\n\r\n{";
    let (reason, words) = failure(Some(half.to_string())).await;
    assert_eq!(reason, "connect");
    assert_eq!(words, "the answer ended early");
}

#[tokio::test]
async fn a_renewed_prober_asks_over_new_connections() {
    use forebay_fake::{FakeChain, FakeConfig, FakeNode};
    let node = FakeNode::start(FakeConfig::following(&FakeChain::still(1, 100)));
    let node = node.await.unwrap();
    let spec = NodeRecord::at(&node.url()).resolve(&|_| None).unwrap();
    let prober = Prober::new(NodeAccess::plain()).unwrap();
    let round = async || {
        let probed = prober.probe(&spec, ProbeRequest::default(), PATIENCE).await;
        assert_eq!(probed.failure, None);
        node.connections()
    };
    round().await;
    let kept = round().await;
    assert_eq!(round().await, kept, "over the connections that there are");
    prober.renew();
    assert!(round().await > kept);
}

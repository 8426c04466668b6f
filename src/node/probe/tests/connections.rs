//! How many connections a probe takes, and what hangs on one that is slow.

use super::*;

#[tokio::test]
async fn rounds_reuse_their_connections() {
    let mock = MockNode::at(100).await;
    let prober = Prober::new(NodeAccess::plain()).unwrap();
    for _ in 0..10 {
        let probed = prober.probe(&mock.spec(), WITH_CHAIN, PATIENCE).await;
        assert_eq!(probed.probe, at(100));
    }
    assert_eq!(mock.heard().len(), 40);
    // A connection goes back a moment after its answer, so now and then one more is opened.
    assert!(mock.connections() < 20, "{}", mock.connections());
}

/// All that a probe can ask.
fn everything() -> ProbeRequest {
    ProbeRequest {
        chain_id: true,
        tags: true,
        passes_over_syncing: false,
        extras: ProbeExtras {
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
    let mock = MockNode::at(100).await;
    let prober = Prober::new(NodeAccess::plain()).unwrap();
    for _ in 0..10 {
        let probed = prober.probe(&mock.spec(), everything(), PATIENCE).await;
        assert_eq!(probed.probe, at(100));
        assert_eq!(probed.details.finalized, Some(BlockNumber(100)));
    }
    assert_eq!(mock.heard().len(), 90);
    // One each, and now and then one more: a connection goes back a moment after its answer.
    let connections = mock.connections();
    assert!(connections <= QUESTIONS_AT_ONCE + 2, "{connections}");
}

#[tokio::test]
async fn questions_that_hang_take_no_more_than_their_turns() {
    let mock = MockNode::play(&[
        ("eth_getBlockByNumber", block(100)),
        ("eth_syncing", None),
        ("eth_chainId", result("\"0x1\"")),
        ("eth_getBalance", None),
        ("eth_capabilities", None),
    ])
    .await;
    let timeout = Duration::from_millis(500);
    let probed = probe_for(&mock.spec(), everything(), timeout).await;
    assert_eq!(probed.probe, at(100));
    // Those that came after the two that hang; the head was not among them.
    assert_eq!(probed.details.finalized, None);
    let asked = |method: &str| mock.heard().iter().any(|heard| heard.contains(method));
    assert!(asked("eth_getBalance") && !asked("eth_capabilities"));
}

#[tokio::test]
async fn one_question_that_hangs_keeps_no_other_from_its_answer() {
    let mock = MockNode::play(&[
        ("eth_getBlockByNumber", block(100)),
        ("eth_syncing", None),
        ("eth_chainId", result("\"0x1\"")),
        ("net_version", result("\"1\"")),
    ])
    .await;
    let timeout = Duration::from_millis(500);
    let probed = probe_for(&mock.spec(), everything(), timeout).await;
    assert_eq!(probed.probe, at(100));
    assert_eq!(probed.details.net_version.as_deref(), Some("1"));
    assert_eq!(probed.details.finalized, Some(BlockNumber(100)));
}

#[tokio::test]
async fn a_head_counts_though_the_other_questions_hang() {
    let mock = MockNode::play(&[
        ("eth_getBlockByNumber", block(100)),
        ("eth_syncing", None),
        ("eth_chainId", None),
    ])
    .await;
    let probed = probe_for(&mock.spec(), WITH_CHAIN, Duration::from_millis(500)).await;
    let wanted = forebay_core::testing::at(100);
    assert_eq!(probed.probe, wanted);
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

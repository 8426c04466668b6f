//! What a probe asks beside the head: how deep the node goes, which blocks it has, what it calls
//! its network. An answer that doesn't come, or can't be read, is none: only the head decides
//! whether a node is well.

use std::sync::Arc;

use serde::Deserialize;

use super::probed_head::{ANSWER_BYTES_MAX, BLOCK_BYTES_MAX, ProbedHead, read_block};
use crate::node::probe_questions::{ProbeQuestions, QuestionSlot};
use crate::node::rpc::{RpcFailure, RpcQuery};
use forebay_core::fleet::depth::{Depth, DepthFinding, DepthQuestion, HistoryResource};
use forebay_core::fleet::report::CapabilityReport;
use forebay_core::rpc::classify::AttemptClass;
use forebay_core::vocabulary::chain::{BlockHash, BlockNumber};
use forebay_core::vocabulary::hex;

/// A longer name of a network is none, in bytes.
const NET_VERSION_BYTES_MAX: usize = 64;

const CAPABILITIES: RpcQuery<Depth> = RpcQuery {
    method: "eth_capabilities",
    params: "[]",
    answer_bytes_max: ANSWER_BYTES_MAX,
    read: read_capabilities,
};
const NET_VERSION: RpcQuery<Arc<str>> = RpcQuery {
    method: "net_version",
    params: "[]",
    answer_bytes_max: ANSWER_BYTES_MAX,
    read: read_net_version,
};

pub(super) async fn capabilities(slot: &QuestionSlot<'_>) -> CapabilityReport {
    let told = slot.ask(&CAPABILITIES).await;
    told.map_or(CapabilityReport::Untold, CapabilityReport::Told)
}

/// It isn't always the chain's id.
pub(super) async fn net_version(node: &ProbeQuestions<'_>) -> Option<Arc<str>> {
    node.ask(&NET_VERSION).await.ok()
}

/// The number of the block that `tag` (`safe`, `finalized`) names now.
pub(super) async fn tagged(node: &ProbeQuestions<'_>, tag: &str) -> Option<BlockNumber> {
    let params = format!(r#"["{tag}",false]"#);
    let block = node.ask(&block_at(&params)).await.ok()??;
    Some(block.number)
}

/// The hash of block `number`, if the node has it.
pub(super) async fn compared(
    node: &ProbeQuestions<'_>,
    number: BlockNumber,
) -> Option<(BlockNumber, BlockHash)> {
    let params = format!(r#"["{:#x}",false]"#, number.0);
    let block = node.ask(&block_at(&params)).await.ok()??;
    Some((block.number, block.hash?)).filter(|(told, _)| *told == number)
}

fn block_at(params: &str) -> RpcQuery<'_, Option<ProbedHead>> {
    RpcQuery {
        method: "eth_getBlockByNumber",
        params,
        answer_bytes_max: BLOCK_BYTES_MAX,
        read: read_block,
    }
}

/// Whether a node at `head` has what is asked for, by the cheapest call that needs it.
pub(super) async fn found(
    slot: &QuestionSlot<'_>,
    question: DepthQuestion,
    head: BlockNumber,
) -> DepthFinding {
    let number = question.place.at(head).0;
    let zero = "0x0000000000000000000000000000000000000000";
    let (method, params) = match question.resource {
        HistoryResource::State => ("eth_getBalance", format!(r#"["{zero}","{number:#x}"]"#)),
        HistoryResource::Proofs => ("eth_getProof", format!(r#"["{zero}",[],"{number:#x}"]"#)),
        HistoryResource::Blocks => (
            "eth_getBlockTransactionCountByNumber",
            format!(r#"["{number:#x}"]"#),
        ),
    };
    let asked = RpcQuery {
        method,
        params: &params,
        answer_bytes_max: ANSWER_BYTES_MAX,
        read: |result| Ok(result != "null"),
    };
    let has = match slot.ask(&asked).await {
        Ok(has) => Some(has),
        Err(RpcFailure::RpcError {
            class: AttemptClass::MissingData,
            ..
        }) => Some(false),
        Err(_) => None,
    };
    DepthFinding { question, has }
}

/// As much as we use of it (execution-apis `src/eth/capabilities.yaml`).
#[derive(Deserialize)]
struct RawCapabilities {
    #[serde(default)]
    state: RawResource,
    #[serde(default)]
    stateproofs: RawResource,
    #[serde(default)]
    tx: RawResource,
    #[serde(default)]
    blocks: RawResource,
    #[serde(default)]
    receipts: RawResource,
    #[serde(default)]
    logs: RawResource,
}

/// Without its oldest block a resource is whole with some clients and unknown with others; one
/// that is disabled is there all the same with some. So neither says anything.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawResource {
    #[serde(default)]
    disabled: bool,
    #[serde(default)]
    oldest_block: Option<String>,
}

impl RawResource {
    fn oldest(&self) -> Option<BlockNumber> {
        let oldest = self.oldest_block.as_deref().filter(|_| !self.disabled)?;
        hex::quantity_in(oldest).map(BlockNumber)
    }
}

fn read_capabilities(result: &str) -> Result<Depth, RpcFailure> {
    let not_told = |_| RpcFailure::BadAnswer("answered something other than capabilities");
    let raw: RawCapabilities = serde_json::from_str(result).map_err(not_told)?;
    Ok(Depth {
        blocks_from: raw.blocks.oldest(),
        state_from: raw.state.oldest(),
        proofs_from: raw.stateproofs.oldest(),
        receipts_from: raw.receipts.oldest(),
        logs_from: raw.logs.oldest(),
        transactions_from: raw.tx.oldest(),
    })
}

fn read_net_version(result: &str) -> Result<Arc<str>, RpcFailure> {
    let not_a_name = RpcFailure::BadAnswer("answered something other than a network's name");
    let text: String = serde_json::from_str(result).map_err(|_| not_a_name.clone())?;
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if text.is_empty() || text.len() > NET_VERSION_BYTES_MAX || !is_plain {
        return Err(not_a_name);
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::node::access::NodeAccess;
    use crate::node::fixtures::PATIENCE;
    use crate::node::mock::{HASH, MockNode, MockResponse, block, error, ok, result};
    use crate::node::probe::{ProbeReply, ProbeRequest, Prober};
    use forebay_core::fleet::depth::DepthPoint;
    use forebay_core::fleet::report::ProbeExtras;

    async fn probed(script: &[(&'static str, MockResponse)], asked: ProbeRequest) -> ProbeReply {
        let mut whole = vec![("eth_getBlockByNumber", block(1000))];
        whole.extend_from_slice(script);
        let mock = MockNode::play(&whole).await;
        let prober = Prober::new(NodeAccess::plain()).unwrap();
        prober.probe(&mock.spec(), asked, PATIENCE).await
    }

    fn request(extras: ProbeExtras) -> ProbeRequest {
        ProbeRequest {
            extras,
            ..ProbeRequest::default()
        }
    }

    #[tokio::test]
    async fn what_a_node_says_that_it_has_is_read_and_the_rest_is_not_known() {
        let told = |json: &str| result(json);
        let from = |number: u64| Some(BlockNumber(number));
        let whole = r#"{"head":{"number":"0x13f8e3a"},
            "state":{"disabled":false,"oldestBlock":"0x64","deleteStrategy":{"type":"window"}},
            "stateproofs":{"disabled":false,"oldestBlock":"0xc8"},
            "tx":{"disabled":false,"oldestBlock":"0x1"},
            "logs":{"oldestBlock":"0x9"},"receipts":{"oldestBlock":"0x7"},
            "blocks":{"disabled":false,"oldestBlock":"0x0"}}"#;
        let told_whole = CapabilityReport::Told(Depth {
            blocks_from: from(0),
            state_from: from(100),
            proofs_from: from(200),
            receipts_from: from(7),
            logs_from: from(9),
            transactions_from: from(1),
        });
        let nothing = CapabilityReport::Told(Depth::default());
        for (said, wanted) in [
            (told(whole), told_whole),
            (
                told(r#"{"state":{"disabled":true,"oldestBlock":"0x1"}}"#),
                nothing,
            ),
            (
                told(r#"{"state":{"disabled":false},"blocks":{"oldestBlock":"7"}}"#),
                nothing,
            ),
            (told("null"), CapabilityReport::Untold),
            (told(r#"{"state":7}"#), CapabilityReport::Untold),
            (
                error(r#"{"code":-32601,"message":"x"}"#),
                CapabilityReport::Untold,
            ),
            (ok("<html>"), CapabilityReport::Untold),
        ] {
            let extras = ProbeExtras {
                capabilities: true,
                ..ProbeExtras::default()
            };
            let script = [("eth_capabilities", said.clone())];
            let probed = probed(&script, request(extras)).await;
            assert_eq!(probed.details.capabilities, wanted, "{said:?}");
        }
    }

    #[tokio::test]
    async fn a_block_that_is_asked_for_is_there_or_missing_or_nothing_is_said() {
        let missing = |message: &str| error(&format!(r#"{{"code":-32000,"message":"{message}"}}"#));
        for (said, wanted) in [
            (result("\"0x0\""), Some(true)),
            (result("null"), Some(false)),
            (missing("missing trie node 0a1b (path )"), Some(false)),
            (
                missing("historical state 0a1b is not available"),
                Some(false),
            ),
            (
                error(r#"{"code":4444,"message":"pruned history unavailable"}"#),
                Some(false),
            ),
            (error(r#"{"code":-32601,"message":"no such method"}"#), None),
            (missing("something else"), None),
            (ok("<html>"), None),
        ] {
            for (resource, method) in [
                (HistoryResource::State, "eth_getBalance"),
                (HistoryResource::Proofs, "eth_getProof"),
                (
                    HistoryResource::Blocks,
                    "eth_getBlockTransactionCountByNumber",
                ),
            ] {
                let place = DepthPoint::Behind(120);
                let question = DepthQuestion { resource, place };
                let extras = ProbeExtras {
                    depth: Some(question),
                    ..ProbeExtras::default()
                };
                let probed = probed(&[(method, said.clone())], request(extras)).await;
                let has = wanted;
                assert_eq!(
                    probed.details.depth,
                    Some(DepthFinding { question, has }),
                    "{said:?}"
                );
            }
        }
    }

    #[tokio::test]
    async fn a_compared_block_counts_only_with_the_number_that_was_asked_for() {
        for (number, is_told) in [(1000, true), (999, false)] {
            let extras = ProbeExtras {
                compare: Some(BlockNumber(number)),
                ..ProbeExtras::default()
            };
            let probed = probed(&[], request(extras)).await;
            let hash = BlockHash::read(HASH).unwrap();
            let wanted = is_told.then_some((BlockNumber(number), hash));
            assert_eq!(probed.details.compared, wanted);
        }
    }

    #[tokio::test]
    async fn tags_and_the_networks_name_are_asked_for_where_they_are_wanted() {
        let asked = ProbeRequest {
            chain_id: true,
            tags: true,
            ..ProbeRequest::default()
        };
        for (said, wanted) in [
            (result("\"1337\""), Some("1337")),
            (result("\"\""), None),
            (result("\"a b\""), None),
            (
                result(&format!("\"{}\"", "1".repeat(64))),
                Some(&*"1".repeat(64)),
            ),
            (result(&format!("\"{}\"", "1".repeat(65))), None),
            (result("1"), None),
        ] {
            let details = probed(&[("net_version", said)], asked).await.details;
            assert_eq!(details.net_version.as_deref(), wanted);
            assert_eq!(details.safe, Some(BlockNumber(1000)));
            assert_eq!(details.finalized, Some(BlockNumber(1000)));
        }
        let details = probed(&[("net_version", result("\"1\""))], ProbeRequest::default())
            .await
            .details;
        assert_eq!((details.net_version, details.safe), (None, None));
    }

    #[tokio::test]
    async fn a_node_that_stalls_on_it_has_told_its_head_all_the_same() {
        let extras = ProbeExtras {
            capabilities: true,
            ..ProbeExtras::default()
        };
        let script = [
            ("eth_getBlockByNumber", block(1000)),
            ("eth_syncing", result("false")),
            ("eth_capabilities", None),
        ];
        let mock = MockNode::play(&script).await;
        let prober = Prober::new(NodeAccess::plain()).unwrap();
        let timeout = Duration::from_millis(300);
        let probed = prober.probe(&mock.spec(), request(extras), timeout).await;
        assert_eq!(probed.why(), None);
        assert_eq!(probed.details.capabilities, CapabilityReport::Untold);
    }
}

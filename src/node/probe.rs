//! Asking a node for its head: what the rounds of probing are made of.
//!
//! A probe is single calls, two as a rule, and no more than two side by side, each with a connection that is
//! kept for the next round. Only the head decides whether the node answered. A node that syncs without saying
//! so, or doesn't know its chain, still has a head to be judged by.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::clock;
use crate::node::access::{NodeAccess, QueryClients};
use crate::node::probe_extras;
use crate::node::probe_questions::{ProbeQuestions, QuestionSlot};
use crate::node::probed_head::{
    ANSWER_BYTES_MAX, BLOCK_BYTES_MAX, ProbedHead, read_block, read_quantity,
};
use crate::node::rpc::{RpcFailure, RpcQuery};
use crate::node::syncing::SyncingStatus;
use forebay_core::fleet::ProbeOutcome;
use forebay_core::fleet::depth::{DepthFinding, DepthQuestion};
use forebay_core::fleet::report::{CapabilityReport, ProbeDetails, ProbeExtras};
use forebay_core::vocabulary::chain::{BlockNumber, ChainId};
use forebay_core::vocabulary::header::Header;
use forebay_core::vocabulary::node::NodeSpec;

const LATEST: RpcQuery<Option<ProbedHead>> = RpcQuery {
    method: "eth_getBlockByNumber",
    params: r#"["latest",false]"#,
    answer_bytes_max: BLOCK_BYTES_MAX,
    read: read_block,
};
const NUMBER: RpcQuery<u64> = RpcQuery {
    method: "eth_blockNumber",
    params: "[]",
    answer_bytes_max: ANSWER_BYTES_MAX,
    read: read_quantity,
};
const SYNCING: RpcQuery<Option<SyncingStatus>> = RpcQuery {
    method: "eth_syncing",
    params: "[]",
    answer_bytes_max: ANSWER_BYTES_MAX,
    read: |result| Ok(SyncingStatus::read(result)),
};
/// The balance of the zero address, at the node's head.
const STATE: RpcQuery<()> = RpcQuery {
    method: "eth_getBalance",
    params: r#"["0x0000000000000000000000000000000000000000","latest"]"#,
    answer_bytes_max: ANSWER_BYTES_MAX,
    read: |result| read_quantity(result).map(drop),
};
const CHAIN_ID: RpcQuery<u64> = RpcQuery {
    method: "eth_chainId",
    params: "[]",
    answer_bytes_max: ANSWER_BYTES_MAX,
    read: read_quantity,
};

/// What is asked beside the head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProbeRequest {
    /// And what the node calls its network.
    pub chain_id: bool,
    /// The block tags `safe` and `finalized`.
    pub tags: bool,
    /// Not to hear it when the node says that it is syncing.
    pub passes_over_syncing: bool,
    pub extras: ProbeExtras,
}

/// What one probe brought; why it brought no more is its details' failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeReply {
    pub probe: ProbeOutcome,
    /// From asking to the head, or to the failure.
    pub took: Duration,
    /// Why there is no head, as a word for scripts: timeout, connect, http, bad_answer, rpc_error, throttled.
    pub failure: Option<&'static str>,
    /// Of the head, where the node showed it.
    pub header: Option<Arc<Header>>,
    pub details: ProbeDetails,
}

/// Asks nodes. A clone shares its connections.
#[derive(Clone)]
pub struct Prober {
    query_clients: Arc<ArcSwap<QueryClients>>,
    access: Arc<NodeAccess>,
}

impl ProbeReply {
    /// Why there is no head, for people: "connection refused", "timed out after 2 s".
    pub fn why(&self) -> Option<&str> {
        let probe_failure = self.details.probe_failure.as_ref();
        probe_failure.map(|probe_failure| &*probe_failure.words)
    }
}

impl Prober {
    /// Reaches nodes by `access`.
    ///
    /// # Errors
    /// When TLS can't be set up.
    pub fn new(access: Arc<NodeAccess>) -> Result<Prober, reqwest::Error> {
        Ok(Prober {
            query_clients: Arc::new(ArcSwap::from_pointee(access.query_clients()?)),
            access,
        })
    }

    pub(super) fn query_clients(&self) -> Arc<QueryClients> {
        self.query_clients.load_full()
    }

    /// Asks over new connections, to the addresses that names have now, from here on: one that was
    /// kept says nothing of where calls go. What is under way goes on.
    pub fn renew(&self) {
        match self.access.query_clients() {
            Ok(query_clients) => self.query_clients.store(Arc::new(query_clients)),
            Err(why) => log::warn!("probes go on over the connections that they have: {why:?}"),
        }
    }

    /// Asks `spec` for its head and whether it syncs. It takes no longer than `timeout`.
    ///
    /// Without its chain's id being asked for, or told, an answer's `chain_id` is `None`.
    pub async fn probe(
        &self,
        spec: &NodeSpec,
        asked: ProbeRequest,
        timeout: Duration,
    ) -> ProbeReply {
        let node = &ProbeQuestions::new(self.query_clients(), spec);
        // In this order they get their slots.
        let head = head_and_depth(node, asked.extras.depth, timeout);
        let syncing = within(timeout, node.ask(&SYNCING));
        let chain_id = async {
            if !asked.chain_id {
                return None;
            }
            within(timeout, node.ask(&CHAIN_ID)).await.ok()
        };
        let state = async { asked.extras.state && within(timeout, node.ask(&STATE)).await.is_ok() };
        let details = details(node, asked, timeout);
        let ((head, took, depth), syncing, chain_id, has_state, details) =
            tokio::join!(head, syncing, chain_id, state, details);
        match head {
            Ok(head) => {
                let syncing = syncing
                    .ok()
                    .flatten()
                    .filter(|_| !asked.passes_over_syncing);
                let details = ProbeDetails {
                    sync: syncing.map(|syncing| syncing.of(&head, has_state)),
                    head_hash: head.hash,
                    parent_hash: head.header.as_ref().map(|header| header.parent),
                    head_timestamp: head.timestamp,
                    depth,
                    ..details
                };
                let probe = ProbeOutcome::Answered {
                    head: head.number,
                    chain_id: chain_id.map(ChainId),
                    syncing: details.sync.is_some(),
                };
                ProbeReply {
                    probe,
                    took,
                    failure: None,
                    header: head.header,
                    details,
                }
            }
            Err(failure) => failed(&failure, took),
        }
    }

    /// Whether `spec`, at `head`, has what is asked for. It takes no longer than `timeout`.
    pub async fn found(
        &self,
        spec: &NodeSpec,
        question: DepthQuestion,
        head: BlockNumber,
        timeout: Duration,
    ) -> DepthFinding {
        let node = ProbeQuestions::new(self.query_clients(), spec);
        found(&node.slot().await, question, head, timeout).await
    }

    /// The head of `spec`, and nothing else; `None`: it doesn't say. It takes no longer than `timeout`.
    pub async fn head_now(&self, spec: &NodeSpec, timeout: Duration) -> Option<ProbedHead> {
        let node = ProbeQuestions::new(self.query_clients(), spec);
        within(timeout, head(&node.slot().await)).await.ok()
    }
}

/// A node that has no block to show, or too long a one, is asked for the bare number.
async fn head(slot: &QuestionSlot<'_>) -> Result<ProbedHead, RpcFailure> {
    match slot.ask(&LATEST).await {
        Ok(Some(head)) => Ok(head),
        Ok(None) | Err(RpcFailure::RpcError { .. } | RpcFailure::TooLarge(_)) => {
            let number = slot.ask(&NUMBER).await?;
            Ok(ProbedHead {
                number: BlockNumber(number),
                hash: None,
                timestamp: None,
                header: None,
            })
        }
        Err(failure) => Err(failure),
    }
}

/// The head, how long it took, and what was found of the history below it. Blocks behind the head are counted
/// from the head as it is now.
async fn head_and_depth(
    node: &ProbeQuestions<'_>,
    depth: Option<DepthQuestion>,
    timeout: Duration,
) -> (
    Result<ProbedHead, RpcFailure>,
    Duration,
    Option<DepthFinding>,
) {
    let started = clock::now();
    // One slot for all of it: what others ask never keeps the head waiting.
    let slot = node.slot().await;
    let head = within(timeout, head(&slot)).await;
    let took = clock::now().saturating_duration_since(started);
    let depth = match (&head, depth) {
        (Ok(head), Some(question)) => {
            let left = timeout.saturating_sub(took);
            Some(found(&slot, question, head.number, left).await)
        }
        (Ok(_), None) | (Err(_), _) => None,
    };
    (head, took, depth)
}

async fn found(
    slot: &QuestionSlot<'_>,
    question: DepthQuestion,
    head: BlockNumber,
    timeout: Duration,
) -> DepthFinding {
    let found = probe_extras::found(slot, question, head);
    let late = DepthFinding {
        question,
        has: None,
    };
    tokio::time::timeout(timeout, found).await.unwrap_or(late)
}

/// What doesn't hang on the head.
async fn details(
    node: &ProbeQuestions<'_>,
    asked: ProbeRequest,
    timeout: Duration,
) -> ProbeDetails {
    let compared = async {
        let number = asked.extras.compare?;
        wanted(true, timeout, probe_extras::compared(node, number)).await
    };
    let tagged = |tag| wanted(asked.tags, timeout, probe_extras::tagged(node, tag));
    let net_version = wanted(asked.chain_id, timeout, probe_extras::net_version(node));
    // Last: of what is asked here, nodes know it least.
    let capabilities = async {
        if !asked.extras.capabilities {
            return CapabilityReport::NotAsked;
        }
        // One that didn't get its slot hasn't been silent.
        let began_at = clock::now();
        let Ok(slot) = tokio::time::timeout(timeout, node.slot()).await else {
            return CapabilityReport::NotAsked;
        };
        let left = timeout.saturating_sub(clock::now().saturating_duration_since(began_at));
        let told = tokio::time::timeout(left, probe_extras::capabilities(&slot));
        told.await.unwrap_or(CapabilityReport::Untold)
    };
    let (compared, safe, finalized, net_version, capabilities) = tokio::join!(
        compared,
        tagged("safe"),
        tagged("finalized"),
        net_version,
        capabilities
    );
    ProbeDetails {
        net_version,
        capabilities,
        compared,
        safe,
        finalized,
        ..ProbeDetails::default()
    }
}

async fn wanted<T>(
    is_wanted: bool,
    timeout: Duration,
    answer: impl Future<Output = Option<T>>,
) -> Option<T> {
    if !is_wanted {
        return None;
    }
    tokio::time::timeout(timeout, answer).await.ok()?
}

pub(super) async fn within<T>(
    timeout: Duration,
    answer: impl Future<Output = Result<T, RpcFailure>>,
) -> Result<T, RpcFailure> {
    let late = |_| RpcFailure::Timeout(timeout);
    tokio::time::timeout(timeout, answer).await.map_err(late)?
}

fn failed(failure: &RpcFailure, took: Duration) -> ProbeReply {
    let probe = match failure {
        RpcFailure::Throttled { rest, .. } => ProbeOutcome::Throttled(*rest),
        RpcFailure::Timeout(_)
        | RpcFailure::Connect { .. }
        | RpcFailure::Http { .. }
        | RpcFailure::NoAnswer { .. }
        | RpcFailure::BadAnswer(_)
        | RpcFailure::TooLarge(_)
        | RpcFailure::RpcError { .. } => ProbeOutcome::Failed,
    };
    ProbeReply {
        probe,
        took,
        failure: Some(failure.reason()),
        header: None,
        details: ProbeDetails {
            probe_failure: Some(failure.probe_failure()),
            ..ProbeDetails::default()
        },
    }
}

#[cfg(test)]
mod tests;

//! What a pretend node does when it is asked: what it says it is, and how it misbehaves.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::capacity::Capacity;

/// Everything that can be set while the node runs. The default is honest and at the head.
#[derive(Clone, Debug)]
pub struct Behaviour {
    pub chain_id: u64,
    pub head: FakeHead,
    /// Blocks from this number on have hashes that no other node knows.
    pub forked_from: Option<u64>,
    pub syncing: bool,
    /// State is kept of so many blocks, the head among them; `None`: of all.
    pub state_blocks: Option<u64>,
    /// It knows `eth_capabilities`.
    pub tells_capabilities: bool,
    /// Waited before each answer, after the request has been read.
    pub latency: Duration,
    /// How much it does at a time; `None`: everything.
    pub capacity: Option<Capacity>,
    pub fault: Option<Fault>,
    /// Only requests with a call of one of these methods meet the fault; `None`: all do.
    pub fault_methods: Option<BTreeSet<String>>,
    /// And of those only batches do.
    pub fault_spares_singles: bool,
    /// Methods that the node says it doesn't have.
    pub missing_methods: BTreeSet<String>,
    /// JSON texts answered as results, by method, above all that the node would say itself.
    pub results: BTreeMap<String, String>,
    /// Errors by method, above all that the node would say itself.
    pub errors: BTreeMap<String, FakeRpcError>,
    /// What has been so since some block, below `results` and `errors`.
    pub facts: Vec<FixedResult>,
    /// The connection is closed, unannounced, after so many answers; a client that finds it in
    /// its pool learns so only by using it.
    pub requests_per_connection: Option<u32>,
    pub shape: AnswerShape,
}

impl Default for Behaviour {
    fn default() -> Behaviour {
        Behaviour {
            chain_id: 1,
            head: FakeHead::Behind(0),
            forked_from: None,
            syncing: false,
            state_blocks: None,
            tells_capabilities: false,
            latency: Duration::ZERO,
            capacity: None,
            fault: None,
            fault_methods: None,
            fault_spares_singles: false,
            missing_methods: BTreeSet::new(),
            results: BTreeMap::new(),
            errors: BTreeMap::new(),
            facts: Vec::new(),
            requests_per_connection: None,
            shape: AnswerShape::default(),
        }
    }
}

impl Behaviour {
    /// The latest fact of `method`, and of its first parameter, that holds at `height`.
    pub(super) fn known(&self, method: &str, of: Option<&str>, height: u64) -> Option<&str> {
        let facts = self.facts.iter().filter(|fact| fact.method == method);
        let hold = facts.filter(|fact| fact.since <= height);
        hold.filter(|fact| fact.of.is_none() || fact.of.as_deref() == of)
            .max_by_key(|fact| fact.since)
            .map(|fact| fact.result.as_str())
    }

    /// The fault that a request with calls of `methods` meets.
    pub(super) fn fault_for(&self, methods: &[String], is_batch: bool) -> Option<Fault> {
        if self.fault_spares_singles && !is_batch {
            return None;
        }
        let only = match &self.fault_methods {
            None => return self.fault.clone(),
            Some(only) => only,
        };
        let met = methods.iter().any(|method| only.contains(method));
        if met { self.fault.clone() } else { None }
    }
}

/// A result that holds from a block on: a node that hasn't got there yet doesn't know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedResult {
    pub method: String,
    /// Only where this is the first parameter; `None`: always.
    pub of: Option<String>,
    /// The block it begins with.
    pub since: u64,
    /// JSON text.
    pub result: String,
}

/// A JSON-RPC error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FakeRpcError {
    pub code: i64,
    pub message: String,
    /// JSON text.
    pub data: Option<String>,
}

/// Where a node stands on its chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FakeHead {
    /// Follows the chain, so many blocks behind.
    Behind(u64),
    /// Says this number, whatever the chain does.
    At(u64),
}

impl FakeHead {
    pub(super) fn on(self, chain_head: u64) -> u64 {
        match self {
            FakeHead::Behind(lag) => chain_head.saturating_sub(lag),
            FakeHead::At(number) => number,
        }
    }
}

/// Legal ways of answering that a careless reader gets wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnswerShape {
    /// `Transfer-Encoding: chunked`, in several chunks, instead of a length.
    pub chunked: bool,
    /// `result` (or `error`) stands before `id`.
    pub result_first: bool,
    /// Further members beside the known ones, with braces in strings.
    pub extra_members: bool,
    /// The answers to a batch come in the opposite order.
    pub backwards: bool,
    /// Answers are packed by gzip, whether the client asks for it or not.
    pub packed: bool,
}

/// The ways to be rude. Refusing connections is [`super::FakeNode::refuse`].
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Reads the request and never answers; the connection stays open.
    Stall,
    /// Reads the request and closes, orderly, without an answer.
    HangUp,
    /// Reads the request and resets the connection.
    Reset,
    /// Another HTTP status, with a short text as its body.
    Status {
        code: u16,
        /// For a `Retry-After` header.
        retry_after_seconds: Option<u64>,
    },
    /// This text, with this status, as an answer to a single call; `$id` in it is the call's id.
    Says {
        code: u16,
        text: String,
    },
    /// 200 with a page for people.
    Html,
    /// `Content-Length` is twice what is sent; then the connection closes.
    HalfBody,
    /// Chunked, closed before the last chunk.
    TruncatedChunks,
    /// 200 and `application/json`, but no JSON.
    NotJson,
    /// 200 with no body.
    EmptyBody,
    WrongId,
    /// Each request is answered as the one before it on its connection should have been.
    Late,
    MissingId,
    /// An array of one answer where a single call was asked.
    ArrayForOne,
    /// One error object where a batch was asked.
    ObjectForBatch,
    /// An array of one error, for the first call of a batch, as geth refuses one.
    FirstForBatch,
    /// Of a batch the first call is answered twice.
    AnswersTwice,
    /// Of a batch the last call is not answered.
    AnswersTooFew,
    ResultAndError,
    /// Every call is answered with this error.
    RpcError {
        code: i64,
        message: String,
        /// JSON text.
        data: Option<String>,
    },
    /// Every result is a JSON string of so many bytes.
    HugeResult {
        bytes: usize,
    },
    /// The body comes in pieces with pauses between them.
    Dribble {
        piece_bytes: usize,
        pause: Duration,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_for_some_methods_spares_the_others() {
        let behaviour = Behaviour {
            fault: Some(Fault::Stall),
            fault_methods: Some(BTreeSet::from(["eth_call".to_owned()])),
            ..Behaviour::default()
        };
        let met = |method: &str| {
            let methods = [method.to_owned()];
            behaviour.fault_for(&methods, false).is_some()
        };
        assert!(met("eth_call"));
        assert!(!met("eth_chainId"));
    }

    #[test]
    fn a_head_behind_a_young_chain_is_zero() {
        assert_eq!(FakeHead::Behind(10).on(10), 0);
        assert_eq!(FakeHead::Behind(10).on(9), 0);
        assert_eq!(FakeHead::At(5).on(9), 5);
    }
}

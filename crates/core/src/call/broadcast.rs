//! A raw transaction sent to several nodes at once: which word settles it, when its hash must be
//! looked up, and which refusal is told.
//!
//! The first node that takes it decides. A node that says nothing may well have it, and one that
//! refuses it may do so because it has it: so "failed" is never said before such a node was asked for it.

mod rounds;

use std::time::Duration;

use serde_json::value::RawValue;

use crate::rpc::answer::RpcError;
use crate::rpc::classify::{self, AttemptClass};
use crate::rpc::refusal::Refusal;
use crate::vocabulary::hex;

pub use self::rounds::{BroadcastRound, BroadcastRounds, RoundLimits};

/// What the method answers when all is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BroadcastForm {
    /// The transaction's hash, as soon as a node has taken it.
    Hash,
    /// The receipt, once the transaction is in a block (EIP-7966).
    Receipt,
}

impl BroadcastForm {
    /// What `method` answers, which sends a raw transaction.
    pub fn of(method: &str) -> BroadcastForm {
        if method == "eth_sendRawTransactionSync" {
            BroadcastForm::Receipt
        } else {
            BroadcastForm::Hash
        }
    }

    /// The method that finds, by the hash, what this form answers.
    pub fn lookup(self) -> &'static str {
        match self {
            BroadcastForm::Hash => "eth_getTransactionByHash",
            BroadcastForm::Receipt => "eth_getTransactionReceipt",
        }
    }
}

/// The code of a transaction that came into no block within its time (EIP-7966).
pub const UNMINED: i64 = 4;
/// From this rank on a refusal tells of the transaction; below, of the node alone.
const TELLS_OF_TRANSACTION: u8 = 2;

/// A node that has waited in vain tells more than one that has the transaction only.
const UNMINED_RANK: u8 = 5;

/// What one node has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BroadcastReply {
    /// It answered with a result: it has taken the transaction.
    Accepted,
    /// Its pool has it already.
    Known,
    /// Another transaction has its nonce, or it is itself in a block.
    Spent,
    /// The node has taken it, and it came into no block within its time (EIP-7966).
    Unmined,
    /// A refusal of the node's own, with how much it tells. Even "invalid": a node that doesn't
    /// know this type of transaction yet says so, too.
    Refused(u8),
    /// The node can't have taken it.
    Untaken,
    /// It isn't known whether the node has it.
    Silent,
}

/// Reads what came of an attempt; `error` is the node's, if it said one.
pub fn word(class: AttemptClass, error: Option<&RpcError<'_>>) -> BroadcastReply {
    let Some(error) = error else {
        return wordless(class);
    };
    if classify::is_already_known(error) {
        return BroadcastReply::Known;
    }
    if classify::is_nonce_too_low(error) {
        return BroadcastReply::Spent;
    }
    match class {
        AttemptClass::RpcError | AttemptClass::Unknown if error.code == UNMINED => {
            BroadcastReply::Unmined
        }
        AttemptClass::RpcError => BroadcastReply::Refused(3),
        // Some text that no table knows: it speaks of the transaction, or of the node.
        AttemptClass::Unknown => BroadcastReply::Refused(2),
        AttemptClass::Limit | AttemptClass::Unsupported | AttemptClass::MissingData => {
            BroadcastReply::Refused(1)
        }
        AttemptClass::Ok
        | AttemptClass::RequestSize
        | AttemptClass::Throttled
        | AttemptClass::Shut
        | AttemptClass::NodeTimeout
        | AttemptClass::Timeout
        | AttemptClass::NoConnection
        | AttemptClass::Transport
        | AttemptClass::BadAnswer
        | AttemptClass::Cancelled => wordless(class),
    }
}

fn wordless(class: AttemptClass) -> BroadcastReply {
    if class == AttemptClass::Ok {
        BroadcastReply::Accepted
    } else if class.is_unexecuted() {
        BroadcastReply::Untaken
    } else {
        BroadcastReply::Silent
    }
}

/// What to do with a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BroadcastAction {
    /// The client gets this node's answer.
    Deliver,
    /// The client gets the hash, which is known here.
    DeliverHash,
    /// It says more than what was kept before.
    Keep,
    /// Nothing: it says no more than what was kept before.
    Drop,
}

/// One transaction's words so far.
#[derive(Clone, Copy, Debug)]
pub struct Broadcast {
    form: BroadcastForm,
    knows_hash: bool,
    kept: Option<u8>,
    in_doubt: bool,
    /// A node refuses it because of its nonce.
    is_spent: bool,
    /// A pool has it.
    is_known: bool,
}

impl Broadcast {
    /// `knows_hash`: whether its hash could be computed.
    pub fn new(form: BroadcastForm, knows_hash: bool) -> Broadcast {
        Broadcast {
            form,
            knows_hash,
            kept: None,
            in_doubt: false,
            is_spent: false,
            is_known: false,
        }
    }

    /// Takes a node's word, and says what becomes of the answer that it came with.
    pub fn hear(&mut self, word: BroadcastReply) -> BroadcastAction {
        match word {
            BroadcastReply::Accepted => BroadcastAction::Deliver,
            BroadcastReply::Known if self.form == BroadcastForm::Hash && self.knows_hash => {
                BroadcastAction::DeliverHash
            }
            // A receipt is waited for; without a hash the node's word is all there is.
            BroadcastReply::Known => {
                self.is_known = true;
                self.doubt(4)
            }
            BroadcastReply::Spent => {
                self.is_spent = true;
                self.doubt(4)
            }
            BroadcastReply::Unmined if self.form == BroadcastForm::Receipt => {
                self.doubt(UNMINED_RANK)
            }
            BroadcastReply::Unmined => self.keep(3),
            BroadcastReply::Refused(rank) => self.keep(rank),
            BroadcastReply::Untaken => BroadcastAction::Drop,
            BroadcastReply::Silent => {
                self.in_doubt = true;
                BroadcastAction::Drop
            }
        }
    }

    fn doubt(&mut self, rank: u8) -> BroadcastAction {
        self.in_doubt = true;
        self.keep(rank)
    }

    /// The first of two that say as much stays.
    fn keep(&mut self, rank: u8) -> BroadcastAction {
        if self.kept.is_some_and(|kept| kept >= rank) {
            return BroadcastAction::Drop;
        }
        self.kept = Some(rank);
        BroadcastAction::Keep
    }

    /// Whether a node may have it, once no node is left to speak: then it must be looked up.
    pub fn is_in_doubt(&self) -> bool {
        self.in_doubt && self.knows_hash
    }

    /// Whether a node says that its nonce is used up: perhaps by itself.
    pub fn is_spent(&self) -> bool {
        self.is_spent && self.knows_hash
    }

    /// Whether its receipt is to be waited for: a pool has it, and no node has waited.
    pub fn waits(&self) -> bool {
        self.is_known && self.knows_hash && self.kept != Some(UNMINED_RANK)
    }

    /// Whether others may be sent it: none has refused it for what it is.
    pub fn goes_on(&self) -> bool {
        self.kept.is_none_or(|rank| rank < TELLS_OF_TRANSACTION)
    }
}

/// A receipt is waited for so long where its call doesn't say (geth: `--rpc.txsync.defaulttimeout`).
const SYNC_TIME: Duration = Duration::from_secs(20);

/// How long the call of [`BroadcastForm::Receipt`] with `params` waits: its second one is a number of
/// milliseconds, or a quantity, as Polygon's nodes take; 0 or none: so long as nodes do by themselves.
fn sync_time(params: &str) -> Duration {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum TimeoutParam {
        Number(u64),
        Quantity(String),
    }
    let params: Vec<&RawValue> = serde_json::from_str(params).unwrap_or_default();
    let second = params
        .get(1)
        .and_then(|it| serde_json::from_str(it.get()).ok());
    let millis = match second {
        Some(TimeoutParam::Number(millis)) => Some(millis),
        Some(TimeoutParam::Quantity(text)) => hex::quantity_in(&text),
        None => None,
    };
    let millis = millis.filter(|millis| *millis > 0);
    millis.map_or(SYNC_TIME, Duration::from_millis)
}

/// What is said where no node has said anything fit for a client's eyes.
fn refusal(heard: &[AttemptClass]) -> Refusal {
    let any = |classes: &[AttemptClass]| heard.iter().any(|class| classes.contains(class));
    if heard.is_empty() {
        Refusal::NoNode
    } else if any(&[AttemptClass::Timeout, AttemptClass::NodeTimeout]) {
        Refusal::Timeout
    } else if any(&[AttemptClass::Throttled]) {
        Refusal::RateLimited { seconds: 1 }
    } else if heard.iter().all(|class| class.is_unexecuted()) {
        Refusal::Unserved
    } else {
        Refusal::BadAnswer
    }
}

#[cfg(test)]
#[path = "broadcast_tests.rs"]
mod tests;

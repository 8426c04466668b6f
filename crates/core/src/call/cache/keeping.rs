//! What an answer must be to be kept.
//!
//! One that names its block is held against the told chain, and against the hash that was asked for. One
//! that doesn't is kept only from a node that is known to have that very block, both when it was asked
//! and when it answered.

use std::time::Instant;

use crate::call::cache::giving::{KeptCondition, KeptTerms};
use crate::call::cache::kept_block::KeptBlock;
use crate::call::cache::naming::{self, NamedBlock};
use crate::call::cache::subject::CachePlan;
use crate::fleet::node_view::NodeView;
use crate::fleet::view::FleetView;
use crate::method::retention::{Retention, is_added_to};
use crate::rpc::answer::RpcError;
use crate::rpc::whole_answer::WholeAnswer;
use crate::vocabulary::block_ref::BlockData;
use crate::vocabulary::chain::{BlockHash, BlockNumber};

/// What a node said to a call.
#[derive(Clone, Debug)]
pub enum KeptReply<'a> {
    /// The result, as the node wrote it.
    Result(&'a [u8]),
    /// The error: kept only where it says that a contract reverted the call.
    Error(RpcError<'a>),
}

impl<'a> KeptReply<'a> {
    /// `None`: it is neither a result nor an error that can be read.
    #[inline]
    pub fn of(answer: &'a WholeAnswer) -> Option<KeptReply<'a>> {
        match answer.result() {
            Some(result) => Some(KeptReply::Result(result)),
            None => answer.error().map(KeptReply::Error),
        }
    }
}

/// The moment of an answer.
#[derive(Clone, Copy, Debug)]
pub struct AnswerMoment<'a> {
    /// The node as it was when it was asked.
    pub asked: &'a NodeView,
    /// The fleet when it has answered.
    pub view: &'a FleetView,
    /// When the node has answered.
    pub now: Instant,
}

/// Why an answer isn't kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotKept {
    /// It is no answer that lasts.
    Fleeting,
    /// It isn't known of which block it is, or whether that is on the chain.
    Unknown,
    /// It is of another block than the one whose hash was asked for: its node can't be believed.
    Other,
}

/// The code of an execution that the contract reverted (geth `internal/ethapi/errors.go`).
const REVERTED: i64 = 3;

/// On which terms the answer to a call with these `params` is kept.
///
/// # Errors
/// Why it isn't.
#[inline]
pub fn terms(
    plan: &CachePlan,
    params: &str,
    reply: &KeptReply<'_>,
    moment: AnswerMoment<'_>,
) -> Result<KeptTerms, NotKept> {
    let result = match (reply, plan.retention) {
        (KeptReply::Result(b"null"), _) => return Err(NotKept::Fleeting),
        (KeptReply::Result(result), _) => *result,
        (KeptReply::Error(error), Retention::State) if is_revert(error) => b"",
        (KeptReply::Error(_), _) => return Err(NotKept::Fleeting),
    };
    let (number, condition) = match plan.retention {
        Retention::Never => return Err(NotKept::Fleeting),
        Retention::Block(naming) => block(plan, naming::named(result, naming), moment)?,
        Retention::Logs => logs(plan, result, moment)?,
        Retention::Transaction(naming) => {
            if !naming::is_of_transaction(result, params) {
                return Err(NotKept::Unknown);
            }
            transaction(naming::named(result, naming), moment)?
        }
        Retention::State => unsaid(plan, moment)?,
    };
    let chain = moment.view.chain_id.or(moment.view.nodes_chain);
    let is_final = Some(number) <= moment.view.finalized_head;
    if !is_final && chain.is_some_and(|chain| is_added_to(chain.0)) {
        return Err(NotKept::Fleeting);
    }
    Ok(KeptTerms {
        node: moment.asked.id,
        losses: moment.asked.evidence.losses,
        number,
        condition,
    })
}

type ConditionResult = Result<(BlockNumber, KeptCondition), NotKept>;

fn is_revert(error: &RpcError<'_>) -> bool {
    error.code == REVERTED && error.data.is_some_and(|data| data.starts_with("\"0x"))
}

fn block(plan: &CachePlan, named: NamedBlock, moment: AnswerMoment<'_>) -> ConditionResult {
    let (number, hash) = match named {
        NamedBlock::Unsaid => return unsaid(plan, moment),
        NamedBlock::Unclear => return Err(NotKept::Unknown),
        NamedBlock::One(number, hash) => (number, hash),
    };
    let is_what_was_asked = match plan.block {
        KeptBlock::Told(wanted, wanted_hash) => (number, hash) == (wanted, wanted_hash),
        KeptBlock::Hashed(wanted) => hash == wanted,
        KeptBlock::Final(wanted) => number == wanted && moment.is_on_the_branch(number),
        KeptBlock::Named => false,
    };
    match is_what_was_asked && may_be_told(number, hash, moment) {
        true => Ok((number, KeptCondition::Always)),
        false => Err(not_this(plan, hash)),
    }
}

/// Whether clients were told no other block of that number, as far as is remembered.
fn may_be_told(number: BlockNumber, hash: BlockHash, moment: AnswerMoment<'_>) -> bool {
    let told = moment.view.told.hash_at(number);
    told.is_none_or(|told| told == hash)
}

/// Of an answer that names the block `hash`, which isn't the one that it should be of, or isn't told.
fn not_this(plan: &CachePlan, hash: BlockHash) -> NotKept {
    match plan.block {
        KeptBlock::Told(_, wanted) | KeptBlock::Hashed(wanted)
            if plan.is_by_hash && hash != wanted =>
        {
            NotKept::Other
        }
        // One that was asked for by its hash, and was taken back, say.
        KeptBlock::Told(..) | KeptBlock::Hashed(_) | KeptBlock::Final(_) | KeptBlock::Named => {
            NotKept::Unknown
        }
    }
}

/// Each log must be of a block of the range, and on the told chain as far as that is remembered. Those of one
/// block name it. Of others that none is missing is only known of a node that has the last block, and no index
/// to build.
fn logs(plan: &CachePlan, result: &[u8], moment: AnswerMoment<'_>) -> ConditionResult {
    let found = found_in(plan, result, moment)?;
    let is_of_one = match plan.block {
        KeptBlock::Told(..) | KeptBlock::Hashed(_) => plan.from.is_none(),
        KeptBlock::Final(_) | KeptBlock::Named => false,
    };
    if let Some(number) = found.filter(|_| is_of_one) {
        return Ok((number, KeptCondition::Always));
    }
    let (number, condition) = unsaid(plan, moment)?;
    // One that keeps fewer blocks says nothing of those before.
    let from = plan.from.unwrap_or(number);
    match moment.asked.has(BlockData::Logs, from) {
        true => Ok((number, condition)),
        false => Err(NotKept::Unknown),
    }
}

/// The block of the last log, if there is any.
fn found_in(
    plan: &CachePlan,
    result: &[u8],
    moment: AnswerMoment<'_>,
) -> Result<Option<BlockNumber>, NotKept> {
    let mut found = None;
    for named in naming::of_logs(result) {
        let (number, hash) = named.ok_or(NotKept::Unknown)?;
        let is_what_was_asked = match (plan.block, plan.from) {
            (KeptBlock::Hashed(wanted), _) => hash == wanted,
            (KeptBlock::Told(wanted, wanted_hash), None) => (number, hash) == (wanted, wanted_hash),
            (KeptBlock::Told(last, _) | KeptBlock::Final(last), from) => {
                (from.unwrap_or(last)..=last).contains(&number)
            }
            (KeptBlock::Named, _) => false,
        };
        if !is_what_was_asked || !may_be_told(number, hash, moment) {
            return Err(not_this(plan, hash));
        }
        found = Some(number);
    }
    Ok(found)
}

fn transaction(named: NamedBlock, moment: AnswerMoment<'_>) -> ConditionResult {
    let NamedBlock::One(number, hash) = named else {
        // It is in no block yet.
        return Err(NotKept::Fleeting);
    };
    let view = moment.view;
    let is_final = Some(number) <= view.finalized_head;
    match view.told.hash_at(number) {
        Some(told) if told != hash => Err(NotKept::Unknown),
        Some(_) if is_final => Ok((number, KeptCondition::Always)),
        Some(_) => Ok((number, KeptCondition::WhileTold(hash))),
        None if is_final && moment.is_on_the_branch(number) => Ok((number, KeptCondition::Always)),
        None => Err(NotKept::Unknown),
    }
}

/// Of an answer that doesn't say of which block it is.
#[inline]
fn unsaid(plan: &CachePlan, moment: AnswerMoment<'_>) -> ConditionResult {
    let (number, is_still_told) = match &plan.block {
        KeptBlock::Told(number, hash) => (*number, moment.view.told.tells(*number, hash)),
        KeptBlock::Final(number) => (*number, true),
        KeptBlock::Hashed(_) | KeptBlock::Named => return Err(NotKept::Unknown),
    };
    if !is_still_told || !moment.is_on_the_branch(number) {
        return Err(NotKept::Unknown);
    }
    let condition = match Some(number) <= moment.view.finalized_head {
        true => KeptCondition::Always,
        false => KeptCondition::WhileSteady {
            strays: moment.asked.evidence.strays,
        },
    };
    Ok((number, condition))
}

impl AnswerMoment<'_> {
    /// Whether the node is known to have had the told block `number` when it was asked, and still when it
    /// had answered, and to have been nowhere else in between.
    #[inline]
    fn is_on_the_branch(&self, number: BlockNumber) -> bool {
        let Some(node) = self.view.node(self.asked.id) else {
            return false;
        };
        let has_it = |node: &NodeView, known_up_to| {
            node.remark.is_none() && !node.wavers(self.now) && Some(number) <= known_up_to
        };
        // As a rule nothing was heard of the fleet meanwhile.
        let is_same = std::ptr::eq(self.asked, node);
        let had_it = || has_it(self.asked, self.asked.known_up_to_by(&self.view.told));
        let is_steady = self.asked.evidence.strays == node.evidence.strays;
        is_steady && has_it(node, node.known_up_to) && (is_same || had_it())
    }
}

#[cfg(test)]
#[path = "keeping_tests.rs"]
mod tests;

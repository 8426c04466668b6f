//! What attempts say of their nodes, for the calls that follow, and of the call itself.

use std::time::Instant;

use super::CallOutcome;
use crate::call::forward::{AttemptContent, CallReply, ForwardedCall, ServedAnswer};
use crate::clock;
use forebay_core::call::last_block::{self, BY_HASH, RECEIPT};
use forebay_core::call::pending_transactions::PoolEvidence;
use forebay_core::call::retry::FailureOutcome;
use forebay_core::call::told_blocks;
use forebay_core::fleet::node_view::NodeView;
use forebay_core::rpc::classify::{AttemptClass, Lesson, Verdict};
use forebay_core::rpc::refusal::Refusal;
use forebay_core::rpc::transaction;
use forebay_core::rpc::whole_answer::WholeAnswer;
use forebay_core::vocabulary::chain::BlockNumber;
use forebay_core::vocabulary::hex;
use forebay_core::vocabulary::node::{NodeId, Role};

impl ForwardedCall<'_> {
    /// Whether there is nothing more to a call that came to `outcome`.
    pub fn is_settled(&self, outcome: CallOutcome) -> bool {
        outcome != CallOutcome::Failed && self.doubts.is_empty() && self.unindexed.is_none()
    }

    /// The call has `ended`, and it shows whether the faults that it met were the nodes' or its own.
    pub async fn settle(&mut self, mut ended: ServedAnswer) -> ServedAnswer {
        if self.unindexed.is_some() {
            ended = Box::pin(self.doubt_null(ended)).await;
        }
        let has_failed = ended.outcome == CallOutcome::Failed;
        let fleet = &self.state.fleet;
        let settled = {
            let view = &fleet.snapshot().view;
            self.doubts.settle(&self.call.method, view, clock::now())
        };
        for (id, sentence) in settled.sentences {
            Box::pin(fleet.sentence(id, sentence, &self.call.method)).await;
        }
        if has_failed {
            self.failed(ended, settled.is_own)
        } else {
            ended
        }
    }

    /// Whether an attempt that brought nothing was made at a node that is silent.
    pub(super) fn was_silent(&self, class: AttemptClass, node: &NodeView) -> bool {
        let snapshot = self.state.fleet.snapshot();
        let (began, _) = self.began;
        let met = |node: &NodeView| node.is_silence(class, began, clock::now());
        snapshot.view.node(node.id).is_some_and(met)
    }

    /// What is said, and counted, of a call that no node has answered.
    fn failed(&self, mut served: ServedAnswer, is_own: bool) -> ServedAnswer {
        let failed = self.retry.failed(is_own);
        if let CallReply::Refused(why @ Refusal::Unserved) = &mut served.answer {
            *why = failed.refusal();
        }
        served.outcome = match failed {
            FailureOutcome::Unanswerable => CallOutcome::Unanswerable,
            FailureOutcome::PerhapsDone | FailureOutcome::ForNow => CallOutcome::Failed,
        };
        served
    }

    /// What an answer says of its node: which block it has, which data or method it lacks. What a
    /// client is told is the least that it is shown from now on. Returns whether the answer is of
    /// another branch than clients were told.
    pub(super) fn learn(
        &mut self,
        verdict: Verdict,
        node: &NodeView,
        content: &AttemptContent<'_>,
        heard_at: Instant,
    ) -> bool {
        let fleet = &self.state.fleet;
        match verdict.lesson() {
            Lesson::AnswersMethod => {
                self.hear_well(node, heard_at);
                let conduct = &node.load.conduct;
                if conduct.tells_methods() {
                    conduct.answered_method(&self.call.method, heard_at);
                }
                let told = self.told(node, content);
                if let Some(head) = told {
                    fleet.see(self.context.client, node.id, head);
                }
                self.hear_of_waiting(node.id, told, content);
                self.remember(content);
                let is_stray = self.strays(content);
                if is_stray {
                    fleet.see_astray(node.id);
                }
                return is_stray;
            }
            Lesson::LacksMethod => fleet.learn_lack(node.id, &self.call.method),
            Lesson::RestsMethod(rest) => fleet.rest_method(node.id, &self.call.method, rest),
            Lesson::LacksData(missing) => {
                let error = content.whole().and_then(WholeAnswer::error);
                let words = error.map(|error| error.message);
                if let Some(gap) = self.retry.miss(node, missing, &words.unwrap_or_default()) {
                    fleet.learn_depth(node.id, gap);
                }
            }
            Lesson::Limits(limit) => {
                if let Some(breadth) = self.breadth {
                    (node.limits).learn(&self.call.method, limit, &breadth, heard_at);
                }
            }
            Lesson::WasAway => {
                if !node.is_doubted {
                    fleet.doubt_depth(node.id);
                }
            }
            Lesson::Nothing => {}
        }
        false
    }

    /// Whether an answer is of another branch than clients were told.
    fn strays(&self, content: &AttemptContent<'_>) -> bool {
        let result = content.whole().and_then(WholeAnswer::result);
        let of = result.and_then(|result| last_block::branch_told(self.call, result));
        of.is_some_and(|(number, hash)| {
            let told = self.state.fleet.told_chain().hash_at(number);
            told.is_some_and(|told| told != hash)
        })
    }

    /// What an answer says of transactions that were taken through us and wait for a block.
    fn hear_of_waiting(
        &self,
        node: NodeId,
        block: Option<BlockNumber>,
        content: &AttemptContent<'_>,
    ) {
        let params = self.call.params;
        let Some(result) = content.whole().and_then(WholeAnswer::result) else {
            return;
        };
        match &*self.call.method {
            BY_HASH | RECEIPT => {
                let (Some(hash), Some(mut pooled)) = (
                    params.and_then(transaction::hash_asked),
                    self.state.recent_writes.pooled(),
                ) else {
                    return;
                };
                if block.is_some() {
                    pooled.forget(hash);
                } else if self.call.method == BY_HASH {
                    let look = (node, PoolEvidence::ByHash, result != b"null");
                    let block_time = self.state.fleet.snapshot().view.block_time;
                    pooled.looked(hash, look, block_time, clock::now());
                }
            }
            "eth_getTransactionCount" if !self.plan().is_pending => {
                let sender = params.and_then(transaction::address_asked);
                if let (Some(sender), Some(count)) = (sender, hex::read_quantity(result))
                    && let Some(mut pooled) = self.state.recent_writes.pooled()
                {
                    pooled.counted(sender, count);
                }
            }
            _ => {}
        }
    }

    /// Where what the client is told of stands.
    fn remember(&self, content: &AttemptContent<'_>) {
        if !last_block::tells(&self.call.method, self.call.params) {
            return;
        }
        let told = content.result_start().and_then(told_blocks::block_named);
        let Some((hash, number)) = told else {
            return;
        };
        let memory = &self.state.fleet.told;
        memory.block(hash, number);
        if matches!(&*self.call.method, BY_HASH | RECEIPT)
            && let Some(hash) = self.call.params.and_then(transaction::hash_asked)
        {
            memory.mined(hash, number);
            self.state.fleet.tell_mined(hash, number);
        }
    }

    /// The block that the client is told of.
    fn told(&self, node: &NodeView, content: &AttemptContent<'_>) -> Option<BlockNumber> {
        let result = content.result_start()?;
        let is_own = node.role == Role::Own;
        let plan = self.plan();
        last_block::told(self.call, plan.treatment, plan.block, result, is_own)
    }
}

//! What attempts say of their nodes, for the calls that follow, and of the call itself.

use super::{CallOutcome, Content, Errand, Reply, Served};
use crate::clock;
use crate::domain::chain::BlockNumber;
use crate::domain::fleet::NodeView;
use crate::domain::journey::{self, Failed};
use crate::domain::node::{NodeId, Rung};
use crate::domain::nonce;
use crate::domain::pooled::Way;
use crate::domain::refusal::Refusal;
use crate::domain::seen::{self, BY_HASH, RECEIPT};
use crate::domain::told;
use crate::domain::transaction;
use crate::domain::verdict::{Class, Meaning, Missing, Verdict};
use crate::domain::whole::Whole;

impl Errand<'_> {
    /// Whether there is nothing more to a call that came to `outcome`.
    pub fn is_settled(&self, outcome: CallOutcome) -> bool {
        outcome != CallOutcome::Failed && self.doubts.is_empty() && self.unindexed.is_none()
    }

    /// The call has `ended`, and it shows whose the faults were that it met.
    pub async fn settle(&mut self, mut ended: (Served, CallOutcome)) -> (Served, CallOutcome) {
        if self.unindexed.is_some() {
            ended = Box::pin(self.doubt_null(ended)).await;
        }
        let has_failed = ended.1 == CallOutcome::Failed;
        let pool = &self.engine.pool;
        let settled = {
            let view = &pool.snapshot().view;
            self.doubts.settle(&self.call.method, view, clock::now())
        };
        for (id, sentence) in settled.sentences {
            Box::pin(pool.sentence(id, sentence, &self.call.method)).await;
        }
        if has_failed {
            self.failed(ended.0, settled.is_own)
        } else {
            ended
        }
    }

    /// What is said, and counted, of a call that no node has answered.
    fn failed(&self, mut served: Served, is_own: bool) -> (Served, CallOutcome) {
        let failed = self.journey.failed(is_own);
        if let Reply::Refused(why @ Refusal::Unserved) = &mut served.answer {
            *why = failed.refusal();
        }
        let outcome = match failed {
            Failed::Unanswerable => CallOutcome::Unanswerable,
            Failed::PerhapsDone | Failed::ForNow => CallOutcome::Failed,
        };
        (served, outcome)
    }

    /// What a verdict comes to by how long the attempt took.
    pub(super) fn finally(&self, verdict: Verdict, answer: &Whole) -> Verdict {
        let (began, _) = self.began;
        let ran_out = |took| {
            let error = answer.error();
            error.is_some_and(|error| journey::is_time_limit(&error.message, took))
        };
        let took = || clock::now().saturating_duration_since(began);
        if verdict.class == Class::NodeTimeout && ran_out(took()) {
            let class = Class::RpcError;
            Verdict { class, ..verdict }
        } else {
            verdict
        }
    }

    /// What an answer says of its node: which block it has, which data or method it lacks. What a
    /// client is told is the least that it is shown from now on. Returns whether the answer is of
    /// another branch than clients were told.
    pub(super) fn learn(
        &mut self,
        verdict: Verdict,
        node: &NodeView,
        content: &Content<'_>,
    ) -> bool {
        let pool = &self.engine.pool;
        match verdict.class {
            Class::Ok => {
                self.hear_well(node);
                let conduct = &node.load.conduct;
                if conduct.tells_methods() {
                    conduct.answered_method(&self.call.method, clock::now());
                }
                let told = self.told(node, content);
                if let Some(head) = told {
                    pool.see(self.terms.client, node.id, head);
                }
                self.hear_of_waiting(node.id, told, content);
                self.remember(content);
                let is_stray = self.strays(content);
                if is_stray {
                    pool.see_astray(node.id);
                }
                return is_stray;
            }
            Class::Unsupported if verdict.meaning == Some(Meaning::UnsupportedForm) => {}
            Class::Unsupported => pool.learn_lack(node.id, &self.call.method),
            Class::MissingData => {
                let missing = verdict.missing().unwrap_or(Missing::Unsaid);
                let words = match content {
                    Content::Whole(answer, _) => answer.error().map(|error| error.message),
                    Content::Large(_) | Content::Nothing | Content::TooLarge => None,
                };
                if let Some(gap) = self.journey.miss(node, missing, &words.unwrap_or_default()) {
                    pool.learn_depth(node.id, gap);
                }
            }
            Class::NoConnection => {
                if !node.is_doubted {
                    pool.doubt_depth(node.id);
                }
            }
            Class::Limit => {
                let told = verdict.ceiling.zip(self.breadth);
                if let Some((ceiling, breadth)) = told {
                    node.learn_limit(&self.call.method, ceiling, &breadth, clock::now());
                }
            }
            Class::Throttled if verdict.meaning == Some(Meaning::MethodThrottled) => {
                pool.rest_method(node.id, &self.call.method, verdict.rest);
            }
            Class::RpcError
            | Class::RequestSize
            | Class::Throttled
            | Class::Shut
            | Class::NodeTimeout
            | Class::Timeout
            | Class::Transport
            | Class::BadAnswer
            | Class::Unknown
            | Class::Cancelled => {}
        }
        false
    }

    /// Whether an answer is of another branch than clients were told.
    fn strays(&self, content: &Content<'_>) -> bool {
        let Content::Whole(answer, _) = content else {
            return false;
        };
        let of = (answer.result()).and_then(|result| seen::branch_told(self.call, result));
        of.is_some_and(|(number, hash)| {
            let told = self.engine.pool.told_chain().hash_at(number);
            told.is_some_and(|told| told != hash)
        })
    }

    /// What an answer says of transactions that were taken through us and wait for a block.
    fn hear_of_waiting(&self, node: NodeId, block: Option<BlockNumber>, content: &Content<'_>) {
        let params = self.call.params;
        let Content::Whole(answer, _) = content else {
            return;
        };
        let Some(result) = answer.result() else {
            return;
        };
        match &*self.call.method {
            BY_HASH | RECEIPT => {
                let (Some(hash), Some(mut pooled)) = (
                    params.and_then(transaction::hash_asked),
                    self.engine.taken.pooled(),
                ) else {
                    return;
                };
                if block.is_some() {
                    pooled.forget(hash);
                } else if self.call.method == BY_HASH {
                    let look = (node, Way::ByHash, result != b"null");
                    let block_time = self.engine.pool.snapshot().view.pace;
                    pooled.looked(hash, look, block_time, clock::now());
                }
            }
            "eth_getTransactionCount" if !self.asking().is_pending => {
                let sender = params.and_then(transaction::address_asked);
                if let (Some(sender), Some(count)) = (sender, nonce::read(result))
                    && let Some(mut pooled) = self.engine.taken.pooled()
                {
                    pooled.counted(sender, count);
                }
            }
            _ => {}
        }
    }

    /// Where what the client is told of stands.
    fn remember(&self, content: &Content<'_>) {
        if !seen::tells(&self.call.method, self.call.params) {
            return;
        }
        let result = match content {
            Content::Whole(answer, _) => answer.result(),
            Content::Large(large) => large.result_start(),
            Content::Nothing | Content::TooLarge => None,
        };
        let Some((hash, number)) = result.and_then(told::block_named) else {
            return;
        };
        let memory = &self.engine.pool.told;
        memory.block(hash, number);
        if matches!(&*self.call.method, BY_HASH | RECEIPT)
            && let Some(hash) = self.call.params.and_then(transaction::hash_asked)
        {
            memory.mined(hash, number);
        }
    }

    /// The block that the client is told of.
    fn told(&self, node: &NodeView, content: &Content<'_>) -> Option<BlockNumber> {
        let result = match content {
            Content::Whole(answer, _) => answer.result(),
            Content::Large(large) => large.result_start(),
            Content::Nothing | Content::TooLarge => None,
        };
        let is_own = node.rung == Rung::Own;
        seen::told(self.call, self.asking(), result?, is_own)
    }
}

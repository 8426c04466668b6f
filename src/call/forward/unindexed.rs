//! A transaction of which a node said that its index isn't built so far.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;

use crate::call::fanout::{self, FanoutCall, LONG_BYTES_MAX};
use crate::call::forward::best_answer::BestAnswer;
use crate::call::forward::{CallReply, ForwardedCall, ServedAnswer};
use crate::clock;
use forebay_core::call::last_block::{BY_HASH, RECEIPT};
use forebay_core::call::nonce::NODES_MAX;
use forebay_core::call::trail::AttemptKind;
use forebay_core::call::unindexed::{self, NullTrust};
use forebay_core::fleet::node_view::NodeView;
use forebay_core::fleet::spread::{FanoutScope, spread};
use forebay_core::rpc::classify::{MissingKind, Verdict};
use forebay_core::rpc::envelope::Call;
use forebay_core::rpc::transaction::{self, TxHash};
use forebay_core::rpc::whole_answer::WholeAnswer;
use forebay_core::vocabulary::tier::Tier;

/// It is asked for what nodes hold in memory.
const PATIENCE: Duration = Duration::from_secs(2);

impl<'a> ForwardedCall<'a> {
    /// Hears what `said` told of the transaction: words of its index, or `null`.
    pub(super) fn hear_of_index(
        &mut self,
        verdict: Verdict,
        answer: &WholeAnswer,
        said: &NodeView,
    ) {
        if verdict.missing() == Some(MissingKind::Unindexed) && self.transaction().is_some() {
            self.unindexed = Some(Box::new(BestAnswer {
                answer: answer.clone(),
                held: self.context.answer_budget.attempt(),
                node: said.name.clone(),
            }));
        }
        self.null_is_sure |= answer.result() == Some(b"null") && unindexed::has_all(said);
    }

    /// What is said where the call has `ended` with `null`.
    pub(super) async fn doubt_null(&mut self, ended: ServedAnswer) -> ServedAnswer {
        let is_null =
            matches!(&ended.answer, CallReply::Whole(answer) if answer.result() == Some(b"null"));
        let words = self.unindexed.take().filter(|_| is_null);
        let (Some(words), Some(hash)) = (words, self.transaction()) else {
            return ended;
        };
        let was_taken = !self.state.recent_writes.holders(hash).is_empty();
        let is_receipt = self.call.method == RECEIPT;
        let believed = match unindexed::null(self.null_is_sure, was_taken, is_receipt) {
            NullTrust::Believed => true,
            NullTrust::Doubted => false,
            NullTrust::OfWhatIsPending => self.is_pending(hash).await,
        };
        if believed {
            ended
        } else {
            self.deliver(*words)
        }
    }

    /// The transaction that it looks up.
    pub(super) fn transaction(&self) -> Option<TxHash> {
        let looks_up = matches!(&*self.call.method, BY_HASH | RECEIPT);
        let params = self.call.params.filter(|_| looks_up)?;
        transaction::hash_asked(params)
    }

    /// Whether an own node shows the transaction as pending.
    async fn is_pending(&self, hash: TxHash) -> bool {
        let state = self.state;
        let now = clock::now();
        let scope = FanoutScope {
            nodes_max: NODES_MAX,
            method: BY_HASH,
            first: &[],
            passed: &[],
        };
        let nodes = {
            let view = &state.fleet.snapshot().view;
            spread(view, Tier::Own, scope, now, &mut clock::roll)
        };
        let params = format!("[\"{hash}\"]");
        let call = Call::new(None, BY_HASH, Some(&params));
        let question = FanoutCall {
            method: BY_HASH.into(),
            body: Bytes::from(call.for_node()),
            until: self.retry.deadline().min(now + PATIENCE),
            bytes_max: LONG_BYTES_MAX,
            trace: self.context.trace,
            trail: self.context.request_context.part(AttemptKind::Lookup),
        };
        let mut heard = fanout::ask_all(&state.fleet, &state.admission, &nodes, &question);
        while let Some(heard) = heard.next().await {
            let result = heard.answer.as_ref().and_then(|answer| answer.result());
            if let Some(result) = result.filter(|result| *result != b"null") {
                return unindexed::is_pending(result);
            }
        }
        false
    }
}

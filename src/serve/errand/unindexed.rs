//! A transaction of which a node said that its index isn't built so far.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;

use super::kept::Kept;
use super::{CallOutcome, Errand, Reply, Served};
use crate::clock;
use crate::domain::broadcast::{Spread, spread};
use crate::domain::fleet::NodeView;
use crate::domain::jsonrpc::Call;
use crate::domain::nonce::NODES_MAX;
use crate::domain::seen::{BY_HASH, RECEIPT};
use crate::domain::select::Ladder;
use crate::domain::trail::Kind;
use crate::domain::transaction::{self, TxHash};
use crate::domain::unindexed::{self, Null};
use crate::domain::verdict::{Missing, Verdict};
use crate::domain::whole::Whole;
use crate::serve::fan::{self, LONG_BYTES_MAX, Question};

/// It is asked for what nodes hold in memory.
const PATIENCE: Duration = Duration::from_secs(2);

impl<'a> Errand<'a> {
    /// Hears what `said` told of the transaction: words of its index, or `null`.
    pub(super) fn hear_of_index(&mut self, verdict: Verdict, answer: &Whole, said: &NodeView) {
        if verdict.missing() == Some(Missing::Unindexed) && self.transaction().is_some() {
            self.unindexed = Some(Box::new(Kept {
                answer: answer.clone(),
                held: self.terms.room.attempt(),
                node: said.name.clone(),
            }));
        }
        self.null_is_sure |= answer.result() == Some(b"null") && unindexed::has_all(said);
    }

    /// What is said where the call has `ended` with `null`.
    pub(super) async fn doubt_null(
        &mut self,
        ended: (Served, CallOutcome),
    ) -> (Served, CallOutcome) {
        let is_null =
            matches!(&ended.0.answer, Reply::Whole(answer) if answer.result() == Some(b"null"));
        let words = self.unindexed.take().filter(|_| is_null);
        let (Some(words), Some(hash)) = (words, self.transaction()) else {
            return ended;
        };
        let was_taken = !self.engine.taken.holders(hash).is_empty();
        let is_receipt = self.call.method == RECEIPT;
        let believed = match unindexed::null(self.null_is_sure, was_taken, is_receipt) {
            Null::Believed => true,
            Null::Doubted => false,
            Null::OfWhatIsPending => self.is_pending(hash).await,
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
        let engine = self.engine;
        let now = clock::now();
        let wish = Spread {
            nodes_max: NODES_MAX,
            method: BY_HASH,
            first: &[],
            passed: &[],
        };
        let nodes = {
            let view = &engine.pool.snapshot().view;
            spread(view, Ladder::Own, wish, now, &mut clock::roll)
        };
        let params = format!("[\"{hash}\"]");
        let call = Call {
            id: None,
            method: BY_HASH.into(),
            params: Some(&params),
        };
        let question = Question {
            method: BY_HASH.into(),
            body: Bytes::from(call.for_node()),
            until: self.journey.deadline().min(now + PATIENCE),
            bytes_max: LONG_BYTES_MAX,
            trace: self.terms.trace,
            path: self.terms.origin.part(Kind::Lookup),
        };
        let mut heard = fan::ask_all(&engine.pool, &engine.gate, &nodes, &question);
        while let Some(heard) = heard.next().await {
            let result = heard.answer.as_ref().and_then(|answer| answer.result());
            if let Some(result) = result.filter(|result| *result != b"null") {
                return unindexed::is_pending(result);
            }
        }
        false
    }
}

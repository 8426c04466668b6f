//! What nodes are asked before a client is told that its transaction was refused: whether they have
//! it, and what used up its nonce.

use futures_util::StreamExt as _;

use super::held;
use crate::call::answer::ServedAnswer;
use crate::call::broadcast::BroadcastCall;
use crate::call::fanout::{self, Fanout, NodeAnswer};
use crate::call::pending_nonce;
use crate::clock;
use crate::observe::metrics::{CallOutcome, LookupOutcome, TransactionOutcome};
use forebay_core::call::broadcast::BroadcastForm;
use forebay_core::call::last_block::RECEIPT;
use forebay_core::call::nonce::NonceUse;
use forebay_core::rpc::classify::AttemptClass;
use forebay_core::rpc::transaction::TxHash;
use forebay_core::vocabulary::node::NodeId;

/// Why nodes say that a transaction's nonce is used up.
enum SpentBy {
    /// Its own receipt.
    Itself(NodeAnswer),
    /// Another transaction; or it isn't known.
    Another,
    /// Nothing, as far as blocks say.
    Nothing,
}

impl BroadcastCall<'_> {
    /// Looks for the transaction where a node may have it: then it was no failure.
    pub(super) async fn doubt(&mut self) -> Option<(ServedAnswer, TransactionOutcome)> {
        let tx = self.tx.clone()?;
        let nodes = {
            let view = &self.state.fleet.snapshot().view;
            let doubted = (&self.broadcast, tx.signed.is_some());
            (self.rounds).possible_holders(doubted, view, clock::now(), &mut clock::roll)
        };
        if nodes.is_empty() {
            return None;
        }
        if let Some(ended) = self.look_up(tx.hash, &nodes).await {
            return Some(ended);
        }
        if self.broadcast.is_spent() {
            match self.spent(&nodes, tx.hash).await {
                SpentBy::Another => {}
                SpentBy::Itself(receipt) => {
                    return Some((self.reply(receipt)?, TransactionOutcome::Known));
                }
                SpentBy::Nothing => return self.stands(tx.hash).await,
            }
        }
        if self.broadcast.waits() {
            return self.stands(tx.hash).await;
        }
        None
    }

    /// It is as good as taken: the hash, or the receipt once there is one.
    async fn stands(&self, hash: TxHash) -> Option<(ServedAnswer, TransactionOutcome)> {
        match self.form {
            BroadcastForm::Hash => {
                let reply = self.hash_reply()?;
                let served = ServedAnswer::here(reply).after(self.rounds.count());
                Some((served, TransactionOutcome::Known))
            }
            BroadcastForm::Receipt => Some((self.wait(hash).await, TransactionOutcome::Known)),
        }
    }

    /// Asks `nodes` for what this form answers.
    async fn look_up(
        &self,
        hash: TxHash,
        nodes: &[NodeId],
    ) -> Option<(ServedAnswer, TransactionOutcome)> {
        let found = self.find(self.form.lookup(), hash, nodes).await;
        let metrics = &self.state.metrics;
        metrics.looked_up(
            found
                .as_ref()
                .map_or(LookupOutcome::Missing, |_| LookupOutcome::Found),
        );
        let found = found?;
        let sent = self.tx.as_ref().map(|tx| tx.sent());
        let recent_writes = &self.state.recent_writes;
        recent_writes.remember(sent.as_ref(), self.context.client, found.node);
        let name = &found.name;
        recent_writes
            .tell(sent.as_ref(), self.context.client, name)
            .await;
        Some((self.reply(found)?, TransactionOutcome::Known))
    }

    /// What is found of the transaction, as this form answers it.
    pub(super) fn reply(&self, found: NodeAnswer) -> Option<ServedAnswer> {
        let reply = match self.form {
            BroadcastForm::Hash => self.hash_reply()?,
            BroadcastForm::Receipt => {
                let answer = found.answer?;
                self.see(found.node, &answer);
                held(answer, self.context.answer_budget)
            }
        };
        Some(self.served(reply, &found.name, CallOutcome::Ok))
    }

    /// The first of `nodes` that knows the transaction.
    pub(super) async fn find(
        &self,
        method: &'static str,
        hash: TxHash,
        nodes: &[NodeId],
    ) -> Option<NodeAnswer> {
        let mut fanout = self.ask(method, &format!("[\"{hash}\"]"), nodes);
        while let Some(heard) = fanout.next().await {
            let result = heard.answer.as_ref().and_then(|answer| answer.result());
            if heard.verdict.class == AttemptClass::Ok
                && result.is_some_and(|found| found != b"null")
            {
                return Some(heard);
            }
        }
        None
    }

    /// What used up the nonce of the transaction, as a node says. One that was taken through us is
    /// in no block while blocks have none of its sender's with its nonce, whatever a node says.
    async fn spent(&self, nodes: &[NodeId], hash: TxHash) -> SpentBy {
        let recent_writes = &self.state.recent_writes;
        if let Some(signed) = self.tx.as_ref().and_then(|tx| tx.signed) {
            recent_writes.name(signed.sender);
        }
        let claim = recent_writes
            .pooled()
            .and_then(|pooled| pooled.claim(hash, clock::now()));
        let Some((sender, nonce)) = claim else {
            return SpentBy::Another;
        };
        let counts = pending_nonce::latest(self.state, sender, nodes, self.context).await;
        let receipt = match NonceUse::of(nonce, &counts) {
            NonceUse::Unsaid => return SpentBy::Another,
            NonceUse::Free => return SpentBy::Nothing,
            NonceUse::Taken(ahead) => self.find(RECEIPT, hash, &ahead).await,
        };
        if let Some(mut pooled) = recent_writes.pooled() {
            pooled.forget(hash);
        }
        receipt.map_or(SpentBy::Another, SpentBy::Itself)
    }

    fn ask(&self, method: &'static str, params: &str, nodes: &[NodeId]) -> Fanout {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
        let attempt = self.context.policy.settings.calls.attempt;
        let until = self.deadline.min(clock::now() + attempt);
        // A transaction alone may be longer than `SHORT_BYTES_MAX`.
        let bytes_max = fanout::LONG_BYTES_MAX;
        let question = (self.context).fanout_call(method, body.into(), until, bytes_max);
        fanout::ask_all(&self.state.fleet, &self.state.admission, nodes, &question)
    }
}

//! What nodes are asked before a client is told that its transaction was refused: whether they have
//! it, and what used up its nonce.

use std::time::Instant;

use bytes::Bytes;
use futures_util::StreamExt as _;

use super::held;
use crate::call::answer::ServedAnswer;
use crate::call::broadcast::BroadcastCall;
use crate::call::fanout::{self, Fanout, FanoutCall, NodeAnswer};
use crate::call::pending_nonce;
use crate::clock;
use crate::observe::metrics::{CallOutcome, LookupOutcome, TransactionOutcome};
use forebay_core::call::broadcast::BroadcastForm;
use forebay_core::call::last_block::RECEIPT;
use forebay_core::call::trail::AttemptKind;
use forebay_core::fleet::spread::{FanoutScope, NODES_MAX, spread};
use forebay_core::rpc::classify::AttemptClass;
use forebay_core::rpc::transaction::TxHash;
use forebay_core::vocabulary::node::NodeId;
use forebay_core::vocabulary::tier::Tier;

/// What used up a transaction's nonce.
enum NonceUse {
    /// Its own receipt.
    ByItself(NodeAnswer),
    /// Another transaction; or it isn't known.
    ByAnother,
    /// Nothing, as far as blocks say.
    Nowhere,
}

impl BroadcastCall<'_> {
    /// Looks for the transaction where a node may have it: then it was no failure.
    pub(super) async fn doubt(&mut self) -> Option<(ServedAnswer, TransactionOutcome)> {
        let tx = self.tx.clone()?;
        let nodes = if self.broadcast.is_in_doubt() {
            self.askable()
        } else if tx.signed.is_some() {
            std::mem::take(&mut self.refused_by)
        } else {
            Vec::new()
        };
        if nodes.is_empty() {
            return None;
        }
        if let Some(ended) = self.look_up(tx.hash, &nodes).await {
            return Some(ended);
        }
        if self.broadcast.is_spent() {
            match self.spent(&nodes, tx.hash).await {
                NonceUse::ByAnother => {}
                NonceUse::ByItself(receipt) => {
                    return Some((self.reply(receipt)?, TransactionOutcome::Known));
                }
                NonceUse::Nowhere => return self.stands(tx.hash).await,
            }
        }
        if self.broadcast.waits() {
            return self.stands(tx.hash).await;
        }
        None
    }

    /// Those that were sent it, and the own fit nodes.
    fn askable(&self) -> Vec<NodeId> {
        let scope = FanoutScope {
            nodes_max: NODES_MAX,
            method: self.form.lookup(),
            first: &[],
            passed: &self.asked,
        };
        let view = &self.state.fleet.snapshot().view;
        let others = spread(view, Tier::Own, scope, clock::now(), &mut clock::roll);
        let mut nodes = self.asked.clone();
        nodes.extend(others);
        nodes
    }

    /// It is as good as taken: the hash, or the receipt once there is one.
    async fn stands(&self, hash: TxHash) -> Option<(ServedAnswer, TransactionOutcome)> {
        match self.form {
            BroadcastForm::Hash => {
                let reply = self.hash_reply()?;
                let served = ServedAnswer::here(reply).after(self.volleys);
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
    async fn spent(&self, nodes: &[NodeId], hash: TxHash) -> NonceUse {
        let recent_writes = &self.state.recent_writes;
        if let Some(signed) = self.tx.as_ref().and_then(|tx| tx.signed) {
            recent_writes.name(signed.sender);
        }
        let claim = recent_writes
            .pooled()
            .and_then(|pooled| pooled.claim(hash, clock::now()));
        let Some((sender, nonce)) = claim else {
            return NonceUse::ByAnother;
        };
        let counts = pending_nonce::latest(self.state, sender, nodes, self.context).await;
        let Some(highest) = counts.iter().map(|(_, count)| *count).max() else {
            return NonceUse::ByAnother;
        };
        if highest <= nonce {
            return NonceUse::Nowhere;
        }
        let ahead = counts.iter().filter(|(_, count)| *count == highest);
        let ahead: Vec<NodeId> = ahead.map(|(node, _)| *node).collect();
        let receipt = self.find(RECEIPT, hash, &ahead).await;
        if let Some(mut pooled) = recent_writes.pooled() {
            pooled.forget(hash);
        }
        receipt.map_or(NonceUse::ByAnother, NonceUse::ByItself)
    }

    fn ask(&self, method: &'static str, params: &str, nodes: &[NodeId]) -> Fanout {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
        let question = FanoutCall {
            method: method.into(),
            body: Bytes::from(body),
            until: self.lookup_end(),
            // A transaction alone may be longer than `SHORT_BYTES_MAX`.
            bytes_max: self.context.bytes_max.min(fanout::LONG_BYTES_MAX),
            trace: self.context.trace,
            trail: self.context.request_context.part(AttemptKind::Lookup),
        };
        fanout::ask_all(&self.state.fleet, &self.state.admission, nodes, &question)
    }

    fn lookup_end(&self) -> Instant {
        let attempt = self.context.policy.settings.calls.attempt;
        self.deadline.min(clock::now() + attempt)
    }
}

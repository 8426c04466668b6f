//! A look-up that nodes hold back: what is said when no node has answered for a while.

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::{timeout, timeout_at};

use crate::call::answer::CallReply;
use crate::call::forward::best_answer::BestAnswer;
use crate::call::forward::{ForwardedCall, ServedAnswer};
use crate::call::{lookups, pending_transaction};
use forebay_core::call::held_lookups;
use forebay_core::call::retry::RetryStep;
use forebay_core::call::trail::AttemptKind;
use forebay_core::fleet::requirements::{NodeQuery, NodeRequirements};
use forebay_core::method::Treatment;
use forebay_core::rpc::refusal::Refusal;
use forebay_core::rpc::transaction::TxHash;
use forebay_core::vocabulary::tier::Tier;

fn is_timeout(served: &ServedAnswer) -> bool {
    matches!(served.answer, CallReply::Refused(Refusal::Timeout))
}

impl<'a> ForwardedCall<'a> {
    /// Goes on to the end, for a look-up of `hash`, with `first` as the next step.
    pub async fn look_up(&mut self, hash: TxHash, first: Option<RetryStep>) -> ServedAnswer {
        let body = self.body.clone();
        self.hash = Some(hash);
        match timeout(held_lookups::HELD_AFTER, self.go_on(first)).await {
            // One that it joined was held back for a node's whole time.
            Ok(ended) if !is_timeout(&ended) => return ended,
            Ok(_) | Err(_) => {}
        }
        // On the heap: it is rare.
        Box::pin(self.go_on_held_back(hash, body)).await
    }

    /// A transaction that was taken here is in no block while its sender's nonce isn't used up. Of any
    /// other the first `null` counts; else it is waited for, at one more node at most.
    async fn go_on_held_back(&mut self, hash: TxHash, body: Bytes) -> ServedAnswer {
        if self.retry.tried().is_empty() {
            // It waits for a node that has the block which it was told to be in.
            self.body = body;
            return self.go_on(None).await;
        }
        let waiting = pending_transaction::look(self.state, hash, self.context).await;
        if let pending_transaction::TransactionStatus::InNoBlock {
            shown,
            counted: true,
        } = &waiting
        {
            let reply = pending_transaction::reply(self.call, shown.as_deref());
            return ServedAnswer::here(reply).after(self.retry.attempts());
        }
        let believes_null = matches!(waiting, pending_transaction::TransactionStatus::Unknown);
        let kept = self
            .kept
            .take()
            .filter(|kept| kept.answer.result().is_some());
        if let Some(kept) = kept.filter(|_| believes_null) {
            return self.deliver(kept);
        }
        let (times, arrived_at) = (
            self.context.policy.times(&self.call.method),
            self.context.arrived_at,
        );
        let request = lookups::LookupRequest {
            method: &self.call.method,
            hash,
            body: &body,
            attempt: times.attempt_of(Treatment::Read),
            trail: self.trail(|_| AttemptKind::Lookup),
        };
        let mut nodes = self.retry.tried().to_vec();
        if nodes.len() == 1 {
            let needs = NodeRequirements {
                method: &self.call.method,
                shortlist: self.plan.affinity.shortlist(),
                ..NodeRequirements::default()
            };
            let another = NodeQuery::new(&[Tier::Own], &nodes, needs);
            let another = self.state.fleet.draw(&another);
            nodes.extend(another.map(|(node, _)| node));
        }
        let state = self.state;
        let asked = nodes.iter().map(|node| state.lookups.ask(*node, request));
        let mut asked: FuturesUnordered<_> = asked.collect();
        let until = times.attempt_end(Treatment::Read, arrived_at, arrived_at);
        while let Ok(Some(heard)) = timeout_at(until.into(), asked.next()).await {
            let Some(heard) = heard else { continue };
            let node = heard.name.clone();
            let Some(answer) = heard.good() else { continue };
            if answer.result() != Some(b"null") || believes_null {
                return self.deliver(BestAnswer {
                    held: self.context.answer_budget.attempt(),
                    answer,
                    node,
                });
            }
        }
        self.end_unserved(Refusal::Timeout)
    }
}

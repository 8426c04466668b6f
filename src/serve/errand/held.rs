//! A look-up that nodes hold back: what is said when nobody has answered for a while.

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::{timeout, timeout_at};

use super::kept::Kept;
use super::{CallOutcome, Errand, Served};
use crate::domain::block::Needs;
use crate::domain::held_back;
use crate::domain::journey::Step;
use crate::domain::method::Treatment;
use crate::domain::refusal::Refusal;
use crate::domain::select::Ladder;
use crate::domain::trail::Kind;
use crate::domain::transaction::TxHash;
use crate::domain::verdict::Class;
use crate::serve::engine::Reply;
use crate::serve::{lookups, waiting};

fn is_timeout(served: &Served) -> bool {
    matches!(served.answer, Reply::Refused(Refusal::Timeout))
}

impl<'a> Errand<'a> {
    /// Goes on to the end, for a look-up of `hash`, with `first` as the next step.
    pub async fn look_up(&mut self, hash: TxHash, first: Option<Step>) -> (Served, CallOutcome) {
        let body = self.body.clone();
        self.hash = Some(hash);
        match timeout(held_back::HELD_AFTER, self.go_on(first)).await {
            // One that it joined was held back for a node's whole time.
            Ok(ended) if !is_timeout(&ended.0) => return ended,
            Ok(_) | Err(_) => {}
        }
        // On the heap: it is rare.
        Box::pin(self.go_on_held_back(hash, body)).await
    }

    /// A transaction that was taken here is in no block while its sender's nonce isn't used up. Of any
    /// other the first `null` counts; else it is waited for, at one more node at most.
    async fn go_on_held_back(&mut self, hash: TxHash, body: Bytes) -> (Served, CallOutcome) {
        if self.journey.tried().is_empty() {
            // It waits for a node that has the block which it was told to be in.
            self.body = body;
            return self.go_on(None).await;
        }
        let waiting = waiting::look(self.engine, hash, self.terms).await;
        if let waiting::Look::InNoBlock {
            shown,
            counted: true,
        } = &waiting
        {
            let reply = waiting::reply(self.call, shown.as_deref());
            return self.end_here(reply);
        }
        let believes_null = matches!(waiting, waiting::Look::Unknown);
        let kept = self
            .kept
            .take()
            .filter(|kept| kept.answer.result().is_some());
        if let Some(kept) = kept.filter(|_| believes_null) {
            return self.deliver(kept);
        }
        let (times, arrived_at) = (&self.terms.policy.limits.times, self.terms.arrived_at);
        let wish = lookups::Wish {
            method: &self.call.method,
            hash,
            body: &body,
            attempt: times.attempt_of(Treatment::Read),
            following: self.following(|_| Kind::Lookup),
        };
        let mut nodes = self.journey.tried().to_vec();
        if nodes.len() == 1 {
            let needs = Needs {
                method: &self.call.method,
                ..Needs::default()
            };
            nodes.extend(self.aim.draw(self.engine, Ladder::Own, &nodes, &needs));
        }
        let engine = self.engine;
        let asked = nodes.iter().map(|node| lookups::ask(engine, *node, wish));
        let mut asked: FuturesUnordered<_> = asked.collect();
        let until = times.attempt_end(Treatment::Read, arrived_at, arrived_at);
        while let Ok(Some(heard)) = timeout_at(until.into(), asked.next()).await {
            let Some(heard) = heard else { continue };
            let Some(answer) = heard.answer.filter(|_| heard.class == Class::Ok) else {
                continue;
            };
            if answer.result() != Some(b"null") || believes_null {
                return self.deliver(Kept {
                    held: self.terms.room.attempt(),
                    answer,
                    node: heard.name,
                });
            }
        }
        self.end_unserved(Refusal::Timeout)
    }

    fn end_here(&self, answer: Reply) -> (Served, CallOutcome) {
        let served = Served {
            answer,
            node: None,
            attempts: self.journey.attempts(),
            failed: None,
        };
        (served, CallOutcome::Ok)
    }
}

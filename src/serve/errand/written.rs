//! One attempt: with the call as we wrote it or, at a node that refuses what we wrote into it, as its
//! caller did.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::Errand;
use crate::clock;
use crate::domain::answer::{Answer, Outcome};
use crate::domain::fleet::NodeView;
use crate::domain::jsonrpc::Call;
use crate::domain::method::Repeat;
use crate::domain::quota::RetryBudget;
use crate::domain::route::Asking;
use crate::domain::trail::Kind;
use crate::domain::transaction::TxHash;
use crate::domain::verdict::{Blame, Class, Verdict};
use crate::serve::engine::Engine;
use crate::serve::exchange::{self, Content, Wanted};
use crate::serve::lookups;
use crate::serve::trail::Following;
use crate::state::pool::Pool;
use crate::state::upstreams::Upstream;
use crate::upstream::link::Reuse;

/// One attempt, ready to be made.
#[derive(Clone, Copy)]
pub(super) struct Try<'t, 'a> {
    pub pool: &'t Arc<Pool>,
    pub upstream: &'t Arc<Upstream>,
    pub node: &'t NodeView,
    pub body: &'t [u8],
    pub wanted: &'t Wanted<'a>,
    /// Where `body` is the call with something changed in it.
    pub edited: Option<Edited<'t>>,
    /// Where others may look the same up.
    pub lookup: Option<Lookup<'t>>,
}

/// A look-up that is shared.
#[derive(Clone, Copy)]
pub(super) struct Lookup<'t> {
    pub engine: &'t Engine,
    pub method: &'t str,
    pub hash: TxHash,
    pub attempt: Duration,
}

/// A call that we wrote something into.
#[derive(Clone, Copy)]
pub(super) struct Edited<'t> {
    pub call: &'t Call<'t>,
    pub asking: &'t Asking,
    pub budget: &'t RetryBudget,
}

impl<'a> Try<'_, 'a> {
    pub async fn make(self) -> (Verdict, Content<'a>) {
        if let Some(lookup) = self.lookup
            && let Some(came) = Box::pin(self.join(lookup)).await
        {
            return came;
        }
        let Some(edited) = self.edited else {
            return self.send(self.body).await;
        };
        let (method, memory) = (&*edited.call.method, &self.node.as_written);
        if !memory.is_empty() && memory.has(method, clock::now()) {
            return self.send_as_written(edited).await;
        }
        let came = self.send(self.body).await;
        if !edited.is_refused(&came) || !edited.budget.withdraw(clock::now()) {
            return came;
        }
        let again = self.send_as_written(edited).await;
        if again.0.blame() == Blame::None && !edited.is_refused(&again) {
            memory.learn(method, clock::now());
        }
        again
    }

    /// The attempt that others may have begun.
    async fn join(&self, lookup: Lookup<'_>) -> Option<(Verdict, Content<'a>)> {
        let body = Bytes::copy_from_slice(self.body);
        let wish = lookups::Wish {
            method: lookup.method,
            hash: lookup.hash,
            body: &body,
            attempt: lookup.attempt,
            following: self.wanted.following,
        };
        lookups::attempt(lookup.engine, self.node.id, wish, self.wanted).await
    }

    async fn send(&self, body: &[u8]) -> (Verdict, Content<'a>) {
        exchange::attempt(self.pool, self.upstream, self.node, body, self.wanted).await
    }

    async fn send_as_written(&self, edited: Edited<'_>) -> (Verdict, Content<'a>) {
        let body = edited.call.for_node();
        let wanted = &Wanted {
            following: self.wanted.following.map(Following::again),
            ..self.wanted.clone()
        };
        // On the heap: it is rare.
        Box::pin(Try { wanted, ..*self }.send(&body)).await
    }
}

impl Edited<'_> {
    /// Whether the node may have refused the call for what we wrote into it. One that wants to be left
    /// alone, or doesn't let us in, isn't asked again.
    fn is_refused(&self, (verdict, content): &(Verdict, Content<'_>)) -> bool {
        let Content::Whole(answer, _) = content else {
            return false;
        };
        if verdict.blame() != Blame::None {
            return false;
        }
        let error = answer.error();
        error.is_some_and(|error| self.asking.is_to_blame(&error))
    }
}

impl<'a> Errand<'a> {
    /// What an attempt is made for after one that came to something, where its client is told of it.
    pub(super) fn following(
        &self,
        kind: impl FnOnce(Option<Class>) -> Kind,
    ) -> Option<Following<'a>> {
        let path = self.terms.origin.path.as_ref()?;
        let kind = kind(self.last);
        Some(Following { path, kind })
    }

    pub(super) fn wanted(&self, until: Instant, following: Option<Following<'a>>) -> Wanted<'a> {
        let repeats_freely = self.journey.repeat() == Repeat::Freely;
        Wanted {
            id: Bytes::copy_from_slice(self.call.id.unwrap_or("null").as_bytes()),
            bytes_max: self.terms.bytes_max,
            may_stream: self.terms.may_stream,
            room: self.terms.room,
            trace: self.terms.trace,
            following,
            reuse: if repeats_freely {
                Reuse::Any
            } else {
                Reuse::Surely
            },
            until,
            may_move: repeats_freely,
            may_be_held_back: false,
        }
    }

    /// Where it looks a transaction up.
    pub(super) fn lookup(&self) -> Option<Lookup<'a>> {
        let hash = self.hash?;
        Some(Lookup {
            engine: self.engine,
            method: &self.call.method,
            hash,
            attempt: self
                .terms
                .policy
                .limits
                .times
                .attempt_of(self.asking.treatment),
        })
    }

    pub(super) fn edited(&self) -> Option<Edited<'a>> {
        let is_edited = self.renewed.is_none() && !self.asking.edits.is_empty();
        is_edited.then_some(Edited {
            call: self.call,
            asking: self.asking,
            budget: &self.engine.budget,
        })
    }

    /// Whether `answer` may be an error of what we wrote into the call.
    pub fn is_to_blame(&self, answer: &Answer<'_>) -> bool {
        match &answer.outcome {
            Outcome::Error(error) => self.asking().is_to_blame(error),
            Outcome::Result(_) => false,
        }
    }
}

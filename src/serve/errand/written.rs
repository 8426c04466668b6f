//! One attempt: with the call as we wrote it or, at a node that refuses what we wrote into it, as its
//! caller did.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::Errand;
use crate::clock;
use crate::domain::answer::{Answer, Outcome, RpcError};
use crate::domain::disputes::Matter;
use crate::domain::fleet::NodeView;
use crate::domain::jsonrpc::Call;
use crate::domain::method::Repeat;
use crate::domain::route::Asking;
use crate::domain::sent::Client;
use crate::domain::trail::Kind;
use crate::domain::transaction::TxHash;
use crate::domain::verdict::{Blame, Class, Verdict};
use crate::serve::engine::Engine;
use crate::serve::exchange::{self, Content, Wanted};
use crate::serve::lookups;
use crate::serve::trail::Following;
use crate::state::places::Place;
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
    pub engine: &'t Engine,
    pub client: Client,
}

impl<'a> Try<'_, 'a> {
    pub async fn make(self, mut place: Option<Place>) -> (Verdict, Content<'a>) {
        if let Some(lookup) = self.lookup
            && let Some(came) = Box::pin(self.join(lookup, &mut place)).await
        {
            return came;
        }
        let Some(edited) = self.edited else {
            return self.send(self.body, place).await;
        };
        let (method, memory) = (&*edited.call.method, &self.node.as_written);
        if !memory.is_empty() && memory.has(method, clock::now()) {
            return self.send_as_written(edited, place).await;
        }
        let came = self.send(self.body, place).await;
        let Some(refusal) = edited.refusal(&came) else {
            return came;
        };
        if edited.is_settled(&refusal) || !edited.engine.budget.withdraw(clock::now()) {
            return came;
        }
        let again = self.send_as_written(edited, None).await;
        edited.hear_as_written(&refusal, self.node, &again);
        again
    }

    /// The attempt that others may have begun. It takes `place` where it begins one, and gives it back
    /// where it joins one.
    async fn join(
        &self,
        lookup: Lookup<'_>,
        place: &mut Option<Place>,
    ) -> Option<(Verdict, Content<'a>)> {
        let body = Bytes::copy_from_slice(self.body);
        let wish = lookups::Wish {
            method: lookup.method,
            hash: lookup.hash,
            body: &body,
            attempt: lookup.attempt,
            following: self.wanted.following,
        };
        lookups::attempt(lookup.engine, (self.node.id, place), wish, self.wanted).await
    }

    async fn send(&self, body: &[u8], place: Option<Place>) -> (Verdict, Content<'a>) {
        let (pool, upstream, node) = (self.pool, self.upstream, self.node);
        exchange::attempt(pool, upstream, node, body, self.wanted, place).await
    }

    async fn send_as_written(
        &self,
        edited: Edited<'_>,
        place: Option<Place>,
    ) -> (Verdict, Content<'a>) {
        let body = edited.call.for_node();
        let wanted = &Wanted {
            following: self.wanted.following.map(Following::again),
            ..self.wanted.clone()
        };
        // On the heap: it is rare.
        Box::pin(Try { wanted, ..*self }.send(&body, place)).await
    }
}

impl Edited<'_> {
    /// What the node may have refused the call with for what we wrote into it. One that wants to be left
    /// alone, or doesn't let us in, isn't asked again.
    fn refusal<'c>(&self, (verdict, content): &'c (Verdict, Content<'_>)) -> Option<RpcError<'c>> {
        let Content::Whole(answer, _) = content else {
            return None;
        };
        let error = answer.error().filter(|_| verdict.blame() == Blame::None);
        error.filter(|error| self.asking.is_to_blame(error))
    }

    /// Whether the caller was refused so of late as it wrote its call, too: it isn't what we wrote.
    fn is_settled(&self, refusal: &RpcError<'_>) -> bool {
        let disputes = self.engine.disputes();
        let matter = (self.client, Matter::Edits);
        let dispute = disputes.name(matter, &self.call.method, refusal);
        disputes.is_settled(dispute, clock::now())
    }

    /// Hears what became of the call as its caller wrote it, at a node that had given that `refusal`.
    fn hear_as_written(
        &self,
        refusal: &RpcError<'_>,
        node: &NodeView,
        came: &(Verdict, Content<'_>),
    ) {
        let (method, now) = (&*self.call.method, clock::now());
        if self.refusal(came).is_some() {
            let mut disputes = self.engine.disputes();
            let matter = (self.client, Matter::Edits);
            let dispute = disputes.name(matter, method, refusal);
            disputes.settle(dispute, now);
        } else if came.0.blame() == Blame::None {
            node.as_written.learn(method, now);
        }
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
            id: self.call.id.unwrap_or("null"),
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
            engine: self.engine,
            client: self.terms.client,
        })
    }

    /// Whether `answer` may be an error of what we wrote into the call.
    pub fn is_to_blame(&self, answer: &Answer<'_>) -> bool {
        let Outcome::Error(error) = &answer.outcome else {
            return false;
        };
        let is_settled = |edited: Edited<'_>| edited.is_settled(error);
        self.asking().is_to_blame(error) && !self.edited().is_some_and(is_settled)
    }

    /// Where `answer` may be such an error: asks the node for the call as its caller wrote it, so that
    /// this is known of it and of all that are refused so.
    pub async fn try_as_written(
        &self,
        (upstream, node): (&Arc<Upstream>, &NodeView),
        answer: &Answer<'_>,
        until: Instant,
    ) {
        let (Outcome::Error(error), Some(edited)) = (&answer.outcome, self.edited()) else {
            return;
        };
        let engine = self.engine;
        if engine.budget.withdraw(clock::now()) {
            let following = self.following(|_| Kind::Repeat);
            let (body, wanted) = (self.call.for_node(), self.wanted(until, following));
            let asked = exchange::attempt(&engine.pool, upstream, node, &body, &wanted, None);
            edited.hear_as_written(error, node, &asked.await);
        }
    }
}

//! One attempt: with the call as we wrote it or, at a node that refuses what we wrote into it, as its
//! caller did.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::call::attempt::AttemptSpec;
use crate::call::context::CallState;
use crate::call::exchange::{self, AttemptContent};
use crate::call::lookups::{LookupRequest, Lookups};
use crate::call::trail::TrailContext;
use crate::clock;
use crate::shared::fleet_state::FleetState;
use crate::shared::node_clients::Upstream;
use crate::shared::places::NodePlace;
use forebay_core::call::disputes::DisputeSubject;
use forebay_core::call::plan::ForwardPlan;
use forebay_core::fleet::node_view::NodeView;
use forebay_core::rpc::answer::RpcError;
use forebay_core::rpc::classify::{Blame, Verdict};
use forebay_core::rpc::envelope::Call;
use forebay_core::rpc::transaction::TxHash;
use forebay_core::vocabulary::client::Client;

/// One attempt, ready to be made.
#[derive(Clone, Copy)]
pub(super) struct PreparedAttempt<'t, 'a> {
    pub fleet: &'t Arc<FleetState>,
    pub upstream: &'t Arc<Upstream>,
    pub node: &'t NodeView,
    pub body: &'t [u8],
    pub wanted: &'t AttemptSpec<'a>,
    /// Where `body` is the call with something changed in it.
    pub edited: Option<EditedCall<'t>>,
    /// Where others may look the same up.
    pub lookup: Option<SharedLookup<'t>>,
}

/// A look-up that is shared.
#[derive(Clone, Copy)]
pub(super) struct SharedLookup<'t> {
    pub lookups: &'t Arc<Lookups>,
    pub method: &'t str,
    pub hash: TxHash,
    pub attempt: Duration,
}

/// A call that we wrote something into.
#[derive(Clone, Copy)]
pub(super) struct EditedCall<'t> {
    pub call: &'t Call<'t>,
    pub plan: &'t ForwardPlan,
    pub state: &'t CallState,
    pub client: Client,
}

impl<'a> PreparedAttempt<'_, 'a> {
    pub(super) async fn make(self, mut place: Option<NodePlace>) -> (Verdict, AttemptContent<'a>) {
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
        if edited.is_settled(&refusal) || !edited.state.budget.withdraw(clock::now()) {
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
        lookup: SharedLookup<'_>,
        place: &mut Option<NodePlace>,
    ) -> Option<(Verdict, AttemptContent<'a>)> {
        let body = Bytes::copy_from_slice(self.body);
        let request = LookupRequest {
            method: lookup.method,
            hash: lookup.hash,
            body: &body,
            attempt: lookup.attempt,
            trail: self.wanted.trail,
        };
        lookup
            .lookups
            .attempt((self.node.id, place), request, self.wanted)
            .await
    }

    async fn send(&self, body: &[u8], place: Option<NodePlace>) -> (Verdict, AttemptContent<'a>) {
        let asked = (self.upstream, self.node);
        exchange::attempt(self.fleet, asked, body, self.wanted, place).await
    }

    async fn send_as_written(
        &self,
        edited: EditedCall<'_>,
        place: Option<NodePlace>,
    ) -> (Verdict, AttemptContent<'a>) {
        let body = edited.call.for_node();
        let wanted = &AttemptSpec {
            trail: self.wanted.trail.map(TrailContext::again),
            ..self.wanted.clone()
        };
        // On the heap: it is rare.
        Box::pin(PreparedAttempt { wanted, ..*self }.send(&body, place)).await
    }
}

impl EditedCall<'_> {
    /// What the node may have refused the call with for what we wrote into it. One that wants to be left
    /// alone, or doesn't let us in, isn't asked again.
    fn refusal<'c>(
        &self,
        (verdict, content): &'c (Verdict, AttemptContent<'_>),
    ) -> Option<RpcError<'c>> {
        let error = content.whole()?.error();
        let error = error.filter(|_| verdict.blame() == Blame::None);
        error.filter(|error| self.plan.is_to_blame(error))
    }

    /// Whether the caller was refused so of late as it wrote its call, too: it isn't what we wrote.
    pub(super) fn is_settled(&self, refusal: &RpcError<'_>) -> bool {
        let disputes = self.state.disputes.lock();
        let matter = (self.client, DisputeSubject::Edits);
        let dispute = disputes.name(matter, &self.call.method, refusal);
        disputes.is_settled(dispute, clock::now())
    }

    /// Hears what became of the call as its caller wrote it, at a node that had given that `refusal`.
    pub(super) fn hear_as_written(
        &self,
        refusal: &RpcError<'_>,
        node: &NodeView,
        came: &(Verdict, AttemptContent<'_>),
    ) {
        let (method, now) = (&*self.call.method, clock::now());
        if self.refusal(came).is_some() {
            let mut disputes = self.state.disputes.lock();
            let matter = (self.client, DisputeSubject::Edits);
            let dispute = disputes.name(matter, method, refusal);
            disputes.settle(dispute, now);
        } else if came.0.blame() == Blame::None {
            node.as_written.learn(method, now);
        }
    }
}

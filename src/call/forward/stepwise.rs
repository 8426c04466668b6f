//! What an errand does where its call travels with others: its steps are taken from outside, one
//! at a time.

use std::time::Instant;

use super::CallOutcome;
use crate::call::forward::{AttemptContent, ForwardedCall, ServedAnswer};
use crate::clock;
use crate::shared::node_clients::Upstream;
use forebay_core::call::retry::RetryStep;
use forebay_core::fleet::node_view::NodeView;
use forebay_core::fleet::requirements::NodeRequirements;
use forebay_core::rpc::classify::{AttemptClass, Verdict};
use forebay_core::rpc::transaction::TxHash;
use forebay_core::vocabulary::node::NodeId;
use forebay_core::vocabulary::tier::Tier;

impl<'a> ForwardedCall<'a> {
    pub fn method(&self) -> &str {
        &self.call.method
    }

    /// Sets out; [`ForwardedCall::run`] does so by itself.
    pub fn set_out(&self) {
        self.engine.budget.deposit();
    }

    /// The next step; `draw` picks the node.
    pub fn step(
        &mut self,
        now: Instant,
        mut draw: impl FnMut(Tier, &[NodeId], &NodeRequirements<'a>) -> Option<NodeId>,
    ) -> RetryStep {
        let (budget, leave) = (&self.engine.budget, self.leave());
        let draw = |tier, passed: &[NodeId], needs: &NodeRequirements<'a>| match &leave {
            None => draw(tier, passed, needs),
            Some(leave) => leave.draw(passed, |passed| draw(tier, passed, needs)),
        };
        let step = self.journey.next(now, draw, || budget.withdraw(now));
        self.note(leave);
        step
    }

    /// The node of the last step, `node`, is about to be asked, until then.
    pub fn depart(&mut self, tier: Tier, node: &NodeView, now: Instant) -> Instant {
        self.count(tier);
        self.digging = self.journey.digs(node.id).then(|| node.load.dig());
        self.journey.attempt_end(now)
    }

    /// Hears what the last step came to; `Some` when it ended the errand.
    pub fn arrive(
        &mut self,
        asked: (&Upstream, &NodeView),
        came: (Verdict, AttemptContent<'a>),
    ) -> Option<(ServedAnswer, CallOutcome)> {
        self.conclude(asked, came)
    }

    /// The attempt that is heard of next began at `began`; `charges`: it answers for its fault, if it
    /// meets one.
    pub fn charges(&mut self, charges: bool, began: Instant) {
        self.began = (began, charges);
    }

    /// The node of the last step was removed this very moment.
    pub fn stranded(&mut self) {
        self.journey.hear(AttemptClass::NoConnection, false);
    }

    /// There was no place for the last step.
    pub fn turn_away(&mut self) {
        self.journey.turn_away();
    }

    /// When the call is over.
    pub fn deadline(&self) -> Instant {
        self.journey.deadline()
    }

    /// The last step doesn't count.
    pub fn take_back(&mut self) {
        self.journey.take_back();
    }

    /// Until when an attempt may last that begins now.
    pub fn attempt_end(&self) -> Instant {
        self.journey.attempt_end(clock::now())
    }

    /// Goes on alone, with `step` as the next step; `hash`: of the transaction that it looks up.
    pub async fn part(
        mut self,
        hash: Option<TxHash>,
        step: Option<RetryStep>,
    ) -> (ServedAnswer, CallOutcome) {
        match hash {
            Some(hash) => Box::pin(self.look_up(hash, step)).await,
            None => self.go_on(step).await,
        }
    }
}

//! A call's steps, one at a time: the code that takes them may choose the node, or ask it for several calls at once.

use std::time::Instant;

use crate::call::forward::{ForwardedCall, ServedAnswer};
use forebay_core::call::retry::RetryStep;
use forebay_core::fleet::node_view::NodeView;
use forebay_core::fleet::requirements::{NodeQuery, Shortlist};
use forebay_core::rpc::classify::AttemptClass;
use forebay_core::rpc::transaction::TxHash;
use forebay_core::vocabulary::node::NodeId;
use forebay_core::vocabulary::tier::Tier;

impl<'a> ForwardedCall<'a> {
    /// Sets out; [`ForwardedCall::run`] does so by itself.
    pub fn set_out(&self) {
        self.state.budget.deposit();
    }

    /// The next step; it goes to the first of `joins` that a draw might have come to as well, if there is
    /// one. Where there are any, no node is tied to the call.
    pub fn next(&mut self, now: Instant, joins: &[NodeId]) -> RetryStep {
        let (state, leave) = (self.state, self.leave());
        let draw = |query: &NodeQuery<'_>| {
            let mut query = *query;
            if !joins.is_empty() {
                query.needs.shortlist = Shortlist::Join(joins);
            }
            match &leave {
                None => state.fleet.draw(&query),
                Some(leave) => leave.draw(query),
            }
        };
        let step = self.retry.next(now, draw, || state.budget.withdraw(now));
        // What it was granted stands for the rest of the call.
        if let Some(leave) = leave {
            self.granted = leave.granted.get();
        }
        step
    }

    /// The node of the last step, `node`, is about to be asked.
    pub fn depart(&mut self, node: &NodeView) {
        let metrics = &self.state.metrics;
        match self.last {
            // It is asked whether it knows more than `null`.
            Some(AttemptClass::Ok) | None => {}
            Some(class) => metrics.failed_over(class),
        }
        let is_fallback = self.retry.tier() == Tier::Fallback;
        if is_fallback && !std::mem::replace(&mut self.used_fallback, true) {
            metrics.fallback_call();
        }
        self.deep_repeat = self.retry.digs(node.id).then(|| node.load.dig());
    }

    /// The attempt that is heard of next began at `began`; `charges`: it answers for its fault, if it
    /// meets one.
    pub fn charges(&mut self, charges: bool, began: Instant) {
        self.began = (began, charges);
    }

    /// The node of the last step was removed this very moment.
    pub fn stranded(&mut self) {
        self.retry.hear(AttemptClass::NoConnection, false);
    }

    /// Goes on alone to the end, with `first` as the next step; `hash`: of the transaction that it looks up.
    pub async fn go_on_alone(
        &mut self,
        hash: Option<TxHash>,
        first: Option<RetryStep>,
    ) -> ServedAnswer {
        match hash {
            Some(hash) => Box::pin(self.look_up(hash, first)).await,
            None => self.go_on(first).await,
        }
    }
}

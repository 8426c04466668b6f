//! Calls that a node may have refused for what we wrote into them: whether the fault is ours.

use std::sync::Arc;
use std::time::Instant;

use crate::call::upstream_batch::member::BoxedMember;
use crate::clock;
use crate::shared::node_clients::Upstream;
use forebay_core::fleet::node_view::NodeView;
use forebay_core::rpc::answer::Outcome;
use forebay_core::rpc::batch::MemberOutcome;

/// Calls of one group that are asked once more as they were written, before the others go on.
const TRIALS_MAX: usize = 4;

pub(super) fn is_error(outcome: &MemberOutcome<'_>) -> bool {
    matches!(outcome, MemberOutcome::Answered(_, answer) if matches!(answer.outcome, Outcome::Error(_)))
}

/// Of the calls that may have been refused for what we wrote into them, one of each kind is asked as its
/// caller wrote it: that says of all of them whether they are to go on so.
pub(super) async fn run(
    (members, outcomes): (&[BoxedMember<'_>], &[MemberOutcome<'_>]),
    (upstream, node): (&Arc<Upstream>, &NodeView),
    until: Instant,
) {
    let mut trials = 0;
    for (member, outcome) in members.iter().zip(outcomes) {
        let MemberOutcome::Answered(_, answer) = outcome else {
            continue;
        };
        // What was tried before may have settled it.
        let forwarded = &member.forwarded;
        let is_known = node.as_written.has(&forwarded.call.method, clock::now());
        if trials < TRIALS_MAX && !is_known && forwarded.is_to_blame(answer) {
            trials += 1;
            let tried = forwarded.try_as_written((upstream, node), answer, until);
            tried.await;
        }
    }
}

//! Calls that a node may have refused for what we wrote into them: whose fault it is.

use std::sync::Arc;
use std::time::Instant;

use crate::call::upstream_batch::member::BoxedMember;
use crate::clock;
use crate::shared::node_clients::Upstream;
use forebay_core::fleet::node_view::NodeView;
use forebay_core::rpc::answer::Outcome;
use forebay_core::rpc::batch::MemberOutcome;

/// Calls of one convoy that are asked once more as they were written, before the others go on.
const TRIALS_MAX: usize = 4;

pub(super) fn is_error(lot: &MemberOutcome<'_>) -> bool {
    matches!(lot, MemberOutcome::Answered(_, answer) if matches!(answer.outcome, Outcome::Error(_)))
}

/// Of those who may be refused for what we wrote into their calls, one of each kind is asked as its
/// caller wrote it: that says of all of them whether they are to go on so.
pub(super) async fn run(
    (riders, lots): (&[BoxedMember<'_>], &[MemberOutcome<'_>]),
    (upstream, node): (&Arc<Upstream>, &NodeView),
    until: Instant,
) {
    let mut trials = 0;
    for (rider, lot) in riders.iter().zip(lots) {
        let MemberOutcome::Answered(_, answer) = lot else {
            continue;
        };
        // What was tried before may have settled it.
        let method = rider.errand.method();
        let is_known = node.as_written.has(method, clock::now());
        if trials < TRIALS_MAX && !is_known && rider.errand.is_to_blame(answer) {
            trials += 1;
            let errand = &rider.errand;
            errand.try_as_written((upstream, node), answer, until).await;
        }
    }
}

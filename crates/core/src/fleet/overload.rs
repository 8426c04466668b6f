//! Overload: that a node has too much to do, as opposed to being broken.
//!
//! The signs are the same: answers that don't come, 503s, rate limits. A node that answered something
//! well a moment ago has too much to do: that benches no node, and is what its limit of calls in flight
//! is learnt from.

use crate::rpc::classify::{AttemptClass, Meaning, Overload, Verdict};
use std::time::{Duration, Instant};

use super::conduct::Conduct;

/// A node that answered a call or a probe well so lately isn't broken.
pub(crate) const LATELY: Duration = Duration::from_secs(2);

/// A connection that broke under a call of this age, at a node that meanwhile answered no call, was
/// silent before: what breaks at the first word does so sooner.
pub(crate) const WORDLESS: Duration = Duration::from_millis(100);

/// What `verdict` would be a sign of at a node that answers others.
fn sign(verdict: &Verdict) -> Option<Overload> {
    let is_nodes = verdict.meaning != Some(Meaning::MethodThrottled);
    match verdict.class {
        AttemptClass::Throttled if is_nodes && verdict.rest.is_none() => Some(Overload::Refused),
        AttemptClass::Transport if verdict.meaning == Some(Meaning::Busy) => {
            Some(Overload::Refused)
        }
        AttemptClass::Timeout => Some(Overload::Waited),
        AttemptClass::Ok
        | AttemptClass::RpcError
        | AttemptClass::Limit
        | AttemptClass::RequestSize
        | AttemptClass::Throttled
        | AttemptClass::Shut
        | AttemptClass::Unsupported
        | AttemptClass::MissingData
        | AttemptClass::NodeTimeout
        | AttemptClass::NoConnection
        | AttemptClass::Transport
        | AttemptClass::BadAnswer
        | AttemptClass::Unknown
        | AttemptClass::Cancelled => None,
    }
}

/// Whether `verdict` says that a node that does so has too much to do.
pub fn of(verdict: &Verdict, conduct: &Conduct, now: Instant) -> Option<Overload> {
    let sign = sign(verdict)?;
    answers(conduct, now).then_some(sign)
}

/// Whether a node answered a call well a moment ago.
pub fn answers_calls(conduct: &Conduct, now: Instant) -> bool {
    let then = now.checked_sub(LATELY);
    then.is_some_and(|then| conduct.has_answered_since(then))
}

/// Whether a node answered anything well a moment ago.
pub fn answers(conduct: &Conduct, now: Instant) -> bool {
    let then = now.checked_sub(LATELY);
    then.is_some_and(|then| conduct.was_heard_since(then))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::ProbeOutcome;
    use crate::fleet::node_view::NodeView;
    use crate::rpc::classify;
    use crate::vocabulary::node::NodeId;

    #[test]
    fn what_a_node_that_answers_others_refuses_is_overload_and_else_it_is_not() {
        let start = crate::testing::now();
        let conduct = Conduct::new(start);
        let busy = classify::of_status(503, None).unwrap();
        let limited = classify::of_status(429, None).unwrap();
        let rests = classify::of_status(429, Some(Duration::from_secs(3))).unwrap();
        let broken = classify::of_status(502, None).unwrap();
        let waited = Verdict::from(AttemptClass::Timeout);
        let heard = start + Duration::from_secs(10);
        let of = |verdict: &Verdict, after: u64| {
            of(verdict, &conduct, heard + Duration::from_millis(after))
        };
        assert_eq!(of(&busy, 0), None, "it never answered anything");
        conduct.heard(heard);
        for (verdict, wanted) in [
            (busy, Some(Overload::Refused)),
            (limited, Some(Overload::Refused)),
            (waited, Some(Overload::Waited)),
            (rests, None),
            (broken, None),
            (AttemptClass::NoConnection.into(), None),
        ] {
            assert_eq!(of(&verdict, 2000), wanted, "{verdict:?}");
            assert_eq!(of(&verdict, 2001), None, "{verdict:?}");
        }
    }

    /// Three nodes: fit, fit and with a probe that failed, and out by such.
    fn nodes(now: Instant) -> Vec<NodeView> {
        let members = (0..3).map(|id| crate::testing::called(id, "node"));
        let mut fleet = crate::testing::fleet_of(members, now);
        let well = crate::testing::at(7);
        for probes in [
            [well; 3],
            [well, well, ProbeOutcome::Failed],
            [well, well, ProbeOutcome::Failed],
            [well, ProbeOutcome::Failed, ProbeOutcome::Failed],
        ] {
            fleet.hear_round(&[0, 1, 2].map(|id| (NodeId(id), probes[id as usize])), now);
        }
        fleet.view().nodes
    }

    #[test]
    fn a_node_that_answers_no_call_is_silent_and_one_that_answers_others_is_not() {
        let start = crate::testing::now();
        let nodes = nodes(start);
        assert!(nodes[1].standing.is_healthy() && !nodes[2].standing.is_healthy());
        for (class, node, began, ended, wanted) in [
            (AttemptClass::Timeout, 0, 1, 2000, false),
            (AttemptClass::Timeout, 0, 1, 2001, true),
            (AttemptClass::Timeout, 1, 0, 2000, false),
            (AttemptClass::Timeout, 1, 0, 2001, true),
            (AttemptClass::Timeout, 2, 1, 2, true),
            (AttemptClass::Timeout, 0, 0, 8000, false),
            (AttemptClass::Transport, 0, 1500, 1599, false),
            (AttemptClass::Transport, 0, 1500, 1600, true),
            (AttemptClass::Transport, 0, 0, 2000, false),
            (AttemptClass::Transport, 0, 1500, 2001, true),
            (AttemptClass::Transport, 2, 1, 2, false),
            (AttemptClass::BadAnswer, 2, 1, 8000, false),
            (AttemptClass::NodeTimeout, 2, 1, 8000, false),
        ] {
            let at = |millis| start + Duration::from_millis(millis);
            let is_silence = nodes[node].is_silence(class, at(began), at(ended));
            assert_eq!(is_silence, wanted, "{class:?} {node} {began} {ended}");
        }
    }
}

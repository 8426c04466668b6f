//! What an attempt says of the node that it went to: of one call, or of several that were one request.

use std::time::{Duration, Instant};

use super::conduct::Conduct;
use super::overload;
use crate::rpc::classify::{AttemptClass, Blame, Overload, Verdict};

/// Faster answers say how fast a node is.
const HELD_BACK_MIN: Duration = Duration::from_secs(1);

/// Whether a node that may wait with its answer on purpose did so, in an attempt that began at `began_at` and
/// took `took`: it answers others meanwhile.
pub fn is_held_back(conduct: &Conduct, began_at: Instant, took: Duration) -> bool {
    took > HELD_BACK_MIN && conduct.has_answered_since(began_at)
}

/// What an attempt says of its node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttemptReport {
    /// The node had too much to do for one of the calls.
    pub overload: Option<Overload>,
    /// It is at fault for one of the calls, as far as that is sure.
    pub fault: Option<AttemptClass>,
    /// It asked to be left alone, and answered none.
    pub is_turned_away: bool,
    /// What it took says nothing of the node.
    pub is_silent: bool,
}

impl AttemptReport {
    /// Of a node that behaved as `conduct` says before the attempt came to `verdict`, which tells from now on
    /// whether the node had too much to do. `is_held_back`: the node may have waited with its answer on purpose.
    pub fn of_call(
        verdict: &mut Verdict,
        conduct: &Conduct,
        is_held_back: bool,
        now: Instant,
    ) -> AttemptReport {
        verdict.overload = overload::of(verdict, conduct, now);
        let blame = verdict.blame();
        AttemptReport {
            overload: verdict
                .overload
                .filter(|met| !is_held_back || *met == Overload::Refused),
            fault: (blame == Blame::Fault && !is_held_back).then_some(verdict.class),
            is_turned_away: matches!(blame, Blame::Rest(_)),
            is_silent: is_held_back && !matches!(blame, Blame::Rest(_)),
        }
    }

    /// Of both calls, which were one request.
    #[must_use]
    pub fn and(self, other: AttemptReport) -> AttemptReport {
        AttemptReport {
            overload: self.overload.or(other.overload),
            fault: self.fault.or(other.fault),
            is_turned_away: self.is_turned_away && other.is_turned_away,
            is_silent: self.is_silent && other.is_silent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::classify;

    const LATELY: Duration = Duration::from_millis(1);

    /// Of a node that answered a moment before.
    fn of(verdict: impl Into<Verdict>, is_held_back: bool) -> AttemptReport {
        let start = crate::testing::now();
        let conduct = Conduct::new(start);
        conduct.heard(start);
        AttemptReport::of_call(&mut verdict.into(), &conduct, is_held_back, start + LATELY)
    }

    fn busy() -> AttemptReport {
        of(classify::of_status(503, None).unwrap(), false)
    }

    fn turned_away() -> AttemptReport {
        of(
            classify::of_status(429, Some(Duration::from_secs(3))).unwrap(),
            false,
        )
    }

    #[test]
    fn one_fault_among_answers_is_the_nodes_and_one_answer_among_rests_is_an_answer() {
        let (fine, broken) = (
            of(AttemptClass::Ok, false),
            of(AttemptClass::BadAnswer, false),
        );
        assert_eq!(fine, AttemptReport::default());
        assert_eq!(broken.fault, Some(AttemptClass::BadAnswer));
        assert_eq!(busy().overload, Some(Overload::Refused));
        assert_eq!(busy().fault, None, "it has too much to do");
        assert!(turned_away().is_turned_away);
        for (one, other) in [(fine, broken), (broken, fine)] {
            assert_eq!(one.and(other), broken);
        }
        for (one, other) in [(fine, turned_away()), (turned_away(), fine)] {
            assert_eq!(one.and(other), fine);
        }
        assert_eq!(turned_away().and(turned_away()), turned_away());
        let both = busy().and(broken);
        assert_eq!((both.overload, both.fault), (busy().overload, broken.fault));
    }

    #[test]
    fn what_a_node_holds_back_says_nothing_of_it_but_for_what_it_refuses() {
        for class in [
            AttemptClass::Ok,
            AttemptClass::BadAnswer,
            AttemptClass::Timeout,
        ] {
            let report = of(class, true);
            let silent = AttemptReport {
                is_silent: true,
                ..AttemptReport::default()
            };
            assert_eq!(report, silent, "{class:?}");
        }
        let refused = of(classify::of_status(503, None).unwrap(), true);
        assert_eq!(refused.overload, Some(Overload::Refused));
    }

    #[test]
    fn a_node_that_answers_others_holds_back_what_takes_long() {
        let start = crate::testing::now();
        let conduct = Conduct::new(start);
        let (short, long) = (HELD_BACK_MIN, HELD_BACK_MIN + LATELY);
        assert!(!is_held_back(&conduct, start, long), "it answered none");
        conduct.answered(1, start + LATELY);
        assert!(is_held_back(&conduct, start, long));
        assert!(!is_held_back(&conduct, start, short));
    }
}

//! What an attempt says of the node that it went to: of one call, or of several that were one request.

use std::time::{Duration, Instant};

use super::conduct::{Conduct, Penalty};
use super::load::Load;
use crate::rpc::classify::{AttemptClass, Blame, Overload, Rejection, Verdict};

/// Faster answers say how fast a node is.
const HELD_BACK_MIN: Duration = Duration::from_secs(1);

/// Whether a node that may wait with its answer on purpose did so, in an attempt that began at `began_at` and
/// took `took`: it answers others meanwhile.
#[inline]
pub fn is_held_back(conduct: &Conduct, began_at: Instant, took: Duration) -> bool {
    took > HELD_BACK_MIN && conduct.has_answered_since(began_at)
}

/// How a node took an attempt, its faults aside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NodeReply {
    /// It answered, be it with an error.
    #[default]
    Answered,
    /// It asked to be left alone.
    TurnedAway,
    /// It held its answer back: how long that took, and that it failed, says nothing of it.
    HeldBack,
}

/// A node is to be left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeRest {
    /// For so long, as it says; `None`: it doesn't say.
    pub lasts: Option<Duration>,
    /// It doesn't let us in.
    pub shut: Option<Rejection>,
}

/// What an attempt says of its node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttemptReport {
    /// The node had too much to do for one of the calls.
    pub overload: Option<Overload>,
    /// What one of the calls met as a fault: the node's, or, as [`doubts`](crate::call::doubts) may find at the call's
    /// end, the call's own.
    pub fault: Option<AttemptClass>,
    /// Of several calls that of all of them, else `Answered`.
    pub reply: NodeReply,
    /// What the first call was told that the node turned away; it counts whatever became of the others.
    pub rest: Option<NodeRest>,
}

/// How large an attempt was, and how long.
#[derive(Clone, Copy, Debug)]
pub struct AttemptExtent {
    /// Calls that were one request.
    pub calls: u32,
    /// How many places of the node were taken with its own; `None`: it had left its place before it ended.
    pub place: Option<u32>,
    /// Until its answer had come, or had begun where it is passed on as it comes.
    pub took: Duration,
}

impl AttemptReport {
    /// Of one call. `is_held_back`: the node may have waited with its answer on purpose.
    #[inline]
    pub fn of_call(verdict: Verdict, is_held_back: bool) -> AttemptReport {
        let blame = verdict.blame();
        let is_told = |met: &Overload| !is_held_back || *met == Overload::Refused;
        let rest = match blame {
            Blame::Rest(lasts) => Some(NodeRest {
                lasts,
                shut: verdict.shut(),
            }),
            Blame::None | Blame::Fault => None,
        };
        AttemptReport {
            overload: verdict.overload.filter(is_told),
            fault: (blame == Blame::Fault && !is_held_back).then_some(verdict.class),
            reply: match (rest, is_held_back) {
                (Some(_), _) => NodeReply::TurnedAway,
                (None, true) => NodeReply::HeldBack,
                (None, false) => NodeReply::Answered,
            },
            rest,
        }
    }

    /// Of both calls, which were one request.
    #[inline]
    #[must_use]
    pub fn and(self, other: AttemptReport) -> AttemptReport {
        let is_alike = self.reply == other.reply;
        AttemptReport {
            overload: self.overload.or(other.overload),
            fault: self.fault.or(other.fault),
            reply: if is_alike {
                self.reply
            } else {
                NodeReply::Answered
            },
            rest: self.rest.or(other.rest),
        }
    }

    /// Tells the node's load of it. Of a fault that is surely the node's, what follows is returned; another is told
    /// of at its call's end.
    pub fn tell(&self, load: &Load, attempt: AttemptExtent, now: Instant) -> Option<Penalty> {
        let took = attempt.took;
        match (self.overload, attempt.place) {
            (Some(Overload::Refused), Some(place)) => load.limiter.refused(place, now),
            (Some(Overload::Waited), _) => load.limiter.timed_out(now),
            (Some(Overload::Refused), None) | (None, _) => {}
        }
        match (self.fault, self.overload, self.reply) {
            (Some(class), ..) => {
                load.failed(took, now);
                let is_sure = !class.may_be_the_calls();
                return is_sure.then(|| load.conduct.faulted("", now, now))?;
            }
            (None, Some(Overload::Waited), _) => load.failed(took, now),
            (None, Some(Overload::Refused), _) | (None, None, NodeReply::HeldBack) => {}
            (None, None, NodeReply::TurnedAway) => load.waited(took, now),
            (None, None, NodeReply::Answered) if attempt.calls > 1 => {
                load.answered_many(took, attempt.calls, now);
            }
            (None, None, NodeReply::Answered) => {
                load.answered(attempt.place.unwrap_or_default(), took, now);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::classify::{self, Meaning};

    const LATELY: Duration = Duration::from_millis(1);

    fn of(verdict: impl Into<Verdict>, is_held_back: bool) -> AttemptReport {
        AttemptReport::of_call(verdict.into(), is_held_back)
    }

    fn overloaded(class: AttemptClass, overload: Overload, is_held_back: bool) -> AttemptReport {
        let verdict = Verdict {
            overload: Some(overload),
            ..class.into()
        };
        of(verdict, is_held_back)
    }

    fn rests() -> Verdict {
        classify::of_status(429, Some(Duration::from_secs(3))).unwrap()
    }

    #[test]
    fn one_fault_among_answers_is_a_fault_and_one_answer_among_rests_is_an_answer() {
        let (fine, broken) = (
            of(AttemptClass::Ok, false),
            of(AttemptClass::BadAnswer, false),
        );
        let turned_away = of(rests(), false);
        let busy = overloaded(AttemptClass::Transport, Overload::Refused, false);
        assert_eq!(fine, AttemptReport::default());
        assert_eq!(broken.fault, Some(AttemptClass::BadAnswer));
        assert_eq!((busy.overload, busy.fault), (Some(Overload::Refused), None));
        assert_eq!(turned_away.reply, NodeReply::TurnedAway);
        for (one, other) in [(fine, broken), (broken, fine)] {
            assert_eq!(one.and(other), broken);
        }
        let rest = Some(NodeRest {
            lasts: Some(Duration::from_secs(3)),
            shut: None,
        });
        for (one, other) in [(fine, turned_away), (turned_away, fine)] {
            let answered = AttemptReport { rest, ..fine };
            assert_eq!(one.and(other), answered, "and rests all the same");
        }
        let shut = of(Meaning::Shut(Rejection::Auth), false);
        assert_eq!(shut.rest.and_then(|rest| rest.shut), Some(Rejection::Auth));
        assert_eq!(turned_away.and(shut), turned_away, "the first says it");
        assert_eq!(turned_away.and(turned_away), turned_away);
        let both = busy.and(broken);
        assert_eq!((both.overload, both.fault), (busy.overload, broken.fault));
    }

    #[test]
    fn what_a_node_holds_back_says_nothing_of_it_but_for_what_it_refuses() {
        let held_back = AttemptReport {
            reply: NodeReply::HeldBack,
            ..AttemptReport::default()
        };
        for class in [
            AttemptClass::Ok,
            AttemptClass::BadAnswer,
            AttemptClass::Timeout,
        ] {
            assert_eq!(of(class, true), held_back, "{class:?}");
        }
        let waited = overloaded(AttemptClass::Timeout, Overload::Waited, true);
        assert_eq!(waited, held_back);
        let refused = overloaded(AttemptClass::Transport, Overload::Refused, true);
        assert_eq!(refused.overload, Some(Overload::Refused));
        assert_eq!(of(rests(), true).reply, NodeReply::TurnedAway);
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

    #[test]
    fn only_a_fault_that_no_call_can_be_the_cause_of_is_punished_at_once() {
        let start = crate::testing::now();
        let (now, place) = (start + Duration::from_secs(5), Some(1));
        let told = |report: AttemptReport, place| {
            let load = Load::new(start);
            let attempt = AttemptExtent {
                calls: 1,
                place,
                took: LATELY,
            };
            let penalties = (0..20)
                .filter_map(|_| report.tell(&load, attempt, now))
                .count();
            (penalties > 0, load)
        };
        for (class, is_sure) in [
            (AttemptClass::NoConnection, true),
            (AttemptClass::Transport, false),
            (AttemptClass::Timeout, false),
            (AttemptClass::Ok, false),
        ] {
            let (is_punished, load) = told(of(class, false), place);
            assert_eq!(is_punished, is_sure, "{class:?}");
            let is_answer = class == AttemptClass::Ok;
            assert_eq!(load.conduct.has_answered_since(now), is_answer, "{class:?}");
        }
        for report in [of(AttemptClass::Ok, true), of(rests(), false)] {
            let (is_punished, load) = told(report, place);
            assert!(
                !is_punished && !load.conduct.has_answered_since(now),
                "{report:?}"
            );
        }
        let refused = overloaded(AttemptClass::Transport, Overload::Refused, false);
        for (place, is_narrowed) in [(Some(8), true), (None, false)] {
            let (is_punished, load) = told(refused, place);
            let fresh = Load::new(start).limiter.limit();
            assert_eq!(load.limiter.limit() < fresh, is_narrowed, "{place:?}");
            assert!(!is_punished);
        }
    }
}

//! How nodes have failed a call, whether that was the call's own fault, and whether it may be tried again:
//! the one rule of the refusal, its HTTP status, and what is counted.

use crate::method::RepeatRule;
use crate::rpc::classify::AttemptClass;
use crate::rpc::refusal::Refusal;

/// How nodes have failed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct AttemptFailures {
    first: Option<AttemptClass>,
    /// Not all of them as the first.
    differ: bool,
    may_have_run: bool,
}

impl AttemptFailures {
    pub(super) fn add(&mut self, class: AttemptClass) {
        self.differ |= *self.first.get_or_insert(class) != class;
        self.may_have_run |= !class.is_unexecuted();
    }

    /// `is_own`: the nodes that were asked answer other calls, so that what all of them failed at alike is
    /// the call's own.
    pub(super) fn end(self, repeat: RepeatRule, is_own: bool) -> FailureOutcome {
        if is_own && !self.differ {
            FailureOutcome::Unanswerable
        } else if self.may_have_run && repeat == RepeatRule::IfUnexecuted {
            FailureOutcome::PerhapsDone
        } else {
            FailureOutcome::ForNow
        }
    }
}

/// How a call ended that no node has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureOutcome {
    /// Every node fails at it: trying again would not help.
    Unanswerable,
    /// A node may have carried it out: trying again might do harm.
    PerhapsDone,
    /// Trying again may help.
    ForNow,
}

impl FailureOutcome {
    /// What the client is told: [`Refusal::Unserved`] where it should try again.
    pub fn refusal(self) -> Refusal {
        match self {
            FailureOutcome::Unanswerable | FailureOutcome::PerhapsDone => Refusal::BadAnswer,
            FailureOutcome::ForNow => Refusal::Unserved,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::RepeatRule::{Freely, IfUnexecuted};
    use AttemptClass::{BadAnswer, NoConnection, Timeout, Transport};
    use FailureOutcome::{ForNow, PerhapsDone, Unanswerable};

    #[test]
    fn a_caller_that_may_try_again_is_told_so_where_that_helps_and_does_no_harm() {
        for (repeat, heard, is_own, wanted) in [
            (Freely, &[Transport, BadAnswer][..], true, ForNow),
            (Freely, &[Transport, Transport], false, ForNow),
            (Freely, &[Transport, Transport], true, Unanswerable),
            (Freely, &[Transport], true, Unanswerable),
            (Freely, &[Transport], false, ForNow),
            (Freely, &[Timeout, Transport, BadAnswer], true, ForNow),
            (Freely, &[NoConnection, NoConnection], false, ForNow),
            (IfUnexecuted, &[NoConnection, NoConnection], false, ForNow),
            (IfUnexecuted, &[NoConnection, Transport], false, PerhapsDone),
            (IfUnexecuted, &[NoConnection, Transport], true, PerhapsDone),
            (IfUnexecuted, &[BadAnswer], false, PerhapsDone),
            (IfUnexecuted, &[BadAnswer], true, Unanswerable),
            (Freely, &[], false, ForNow),
        ] {
            let mut failures = AttemptFailures::default();
            for class in heard {
                failures.add(*class);
            }
            let end = failures.end(repeat, is_own);
            let status = if wanted == ForNow { 503 } else { 200 };
            let told = (end, end.refusal().status());
            assert_eq!(told, (wanted, status), "{repeat:?} {heard:?} {is_own}");
        }
    }
}

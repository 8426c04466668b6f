//! How nodes have failed a call, and whether it may be tried again.

use crate::domain::method::Repeat;
use crate::domain::refusal::Refusal;
use crate::domain::verdict::Class;

/// How nodes have failed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Failures {
    first: Option<Class>,
    count: u32,
    /// Not all of them as the first.
    differ: bool,
    may_have_run: bool,
}

impl Failures {
    pub fn add(&mut self, class: Class) {
        self.count = self.count.saturating_add(1);
        self.differ |= *self.first.get_or_insert(class) != class;
        self.may_have_run |= !class.is_unexecuted();
    }

    /// Trying again helps unless every node fails at this very call while these `answer_others` (of
    /// one node alone nobody knows), and does no harm unless one may have carried it out.
    pub fn refusal(self, repeat: Repeat, answer_others: bool) -> Refusal {
        let does_harm = self.may_have_run && repeat == Repeat::IfUnexecuted;
        let is_alike = self.may_have_run && !self.differ && self.count > 1;
        if does_harm || (is_alike && answer_others) {
            Refusal::BadAnswer
        } else {
            Refusal::Unserved
        }
    }
}

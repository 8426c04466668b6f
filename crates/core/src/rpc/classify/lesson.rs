//! What a reply teaches of its node, for the calls that follow.

use std::time::Duration;

use super::attempt_class::AttemptClass;
use super::ceiling::AnnouncedLimit;
use super::meaning::{Meaning, MissingKind};
use super::verdict::Verdict;

/// What a verdict teaches of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lesson {
    /// It answers the method.
    AnswersMethod,
    /// It doesn't have the method.
    LacksMethod,
    /// It takes no more calls of the method, for so long where it says so.
    RestsMethod(Option<Duration>),
    /// It doesn't have the data; which way they lie.
    LacksData(MissingKind),
    /// It gives no more than this.
    Limits(AnnouncedLimit),
    /// It took no connection: what it had may be gone once it is back.
    WasAway,
    /// Nothing that outlasts the call.
    Nothing,
}

impl Verdict {
    /// What it teaches of the node.
    #[inline]
    pub fn lesson(&self) -> Lesson {
        match self.class {
            AttemptClass::Ok => Lesson::AnswersMethod,
            AttemptClass::Unsupported => match self.meaning {
                Some(Meaning::UnsupportedForm) => Lesson::Nothing,
                Some(_) | None => Lesson::LacksMethod,
            },
            AttemptClass::MissingData => {
                Lesson::LacksData(self.missing().unwrap_or(MissingKind::Unsaid))
            }
            AttemptClass::NoConnection => Lesson::WasAway,
            AttemptClass::Limit => self.ceiling.map_or(Lesson::Nothing, Lesson::Limits),
            AttemptClass::Throttled => match self.meaning {
                Some(Meaning::MethodThrottled) => Lesson::RestsMethod(self.rest),
                Some(_) | None => Lesson::Nothing,
            },
            AttemptClass::RpcError
            | AttemptClass::RequestSize
            | AttemptClass::Shut
            | AttemptClass::NodeTimeout
            | AttemptClass::Timeout
            | AttemptClass::Transport
            | AttemptClass::BadAnswer
            | AttemptClass::Unknown
            | AttemptClass::Cancelled => Lesson::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_lacks_is_remembered_and_what_it_says_of_one_call_is_not() {
        let rest = Some(Duration::from_secs(3));
        let resting = Verdict {
            rest,
            ..Meaning::MethodThrottled.into()
        };
        for (verdict, wanted) in [
            (AttemptClass::Ok.into(), Lesson::AnswersMethod),
            (Meaning::Unsupported.into(), Lesson::LacksMethod),
            (Meaning::NoResult.into(), Lesson::LacksMethod),
            (Meaning::UnsupportedForm.into(), Lesson::Nothing),
            (resting, Lesson::RestsMethod(rest)),
            (Meaning::Throttled.into(), Lesson::Nothing),
            (
                Meaning::Missing(MissingKind::Older).into(),
                Lesson::LacksData(MissingKind::Older),
            ),
            (
                AttemptClass::MissingData.into(),
                Lesson::LacksData(MissingKind::Unsaid),
            ),
            (AttemptClass::NoConnection.into(), Lesson::WasAway),
            (Meaning::Range.into(), Lesson::Nothing),
            (AttemptClass::Timeout.into(), Lesson::Nothing),
            (Meaning::Execution.into(), Lesson::Nothing),
        ] {
            assert_eq!(verdict.lesson(), wanted, "{verdict:?}");
        }
    }
}

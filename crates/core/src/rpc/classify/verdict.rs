//! A reply, once understood.

use std::time::Duration;

use super::attempt_class::{AttemptClass, Blame};
use super::ceiling::AnnouncedLimit;
use super::meaning::{Meaning, MissingKind, Rejection};
use crate::rpc::answer::AnswerFault;

/// What a node that has too much to do did with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overload {
    /// Refused it at once.
    Refused,
    /// Let it wait in vain.
    Waited,
}

/// A reply, once understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What becomes of the call.
    pub class: AttemptClass,
    /// What the node's error means; `None` where it gave none.
    pub meaning: Option<Meaning>,
    /// How long the node asks to be left alone.
    pub rest: Option<Duration>,
    /// Said of [`AttemptClass::Limit`].
    pub ceiling: Option<AnnouncedLimit>,
    /// The node has too much to do, and isn't broken.
    pub overload: Option<Overload>,
}

impl Verdict {
    /// What it says against the node.
    pub fn blame(&self) -> Blame {
        if self.overload.is_some() {
            return Blame::None;
        }
        match self.meaning {
            Some(Meaning::MethodThrottled) => Blame::None,
            Some(_) | None => self.class.blame(self.rest),
        }
    }

    /// Which way the data lies that the node doesn't have. Said of [`AttemptClass::MissingData`], and of
    /// a range that ends beyond the node's head.
    pub fn missing(&self) -> Option<MissingKind> {
        match self.meaning? {
            Meaning::Missing(missing) => Some(missing),
            Meaning::FutureRange => Some(MissingKind::Newer),
            Meaning::Execution
            | Meaning::Invalid
            | Meaning::Doubtful
            | Meaning::AlreadyKnown
            | Meaning::NonceTooLow
            | Meaning::PoolRefusal
            | Meaning::Range
            | Meaning::OddRange
            | Meaning::RequestSize
            | Meaning::ResponseSize
            | Meaning::Throttled
            | Meaning::MethodThrottled
            | Meaning::Shut(_)
            | Meaning::Unsupported
            | Meaning::UnsupportedForm
            | Meaning::NoResult
            | Meaning::NodeTimeout
            | Meaning::Busy
            | Meaning::Unknown => None,
        }
    }

    /// Why the node refuses our credentials: an operator has to see to it. Said of [`AttemptClass::Shut`].
    pub fn shut(&self) -> Option<Rejection> {
        match self.meaning {
            Some(Meaning::Shut(shut)) => Some(shut),
            Some(_) | None => None,
        }
    }
}

impl From<AttemptClass> for Verdict {
    fn from(class: AttemptClass) -> Verdict {
        Verdict {
            class,
            meaning: None,
            rest: None,
            ceiling: None,
            overload: None,
        }
    }
}

impl From<Meaning> for Verdict {
    fn from(meaning: Meaning) -> Verdict {
        Verdict {
            meaning: Some(meaning),
            ..meaning.class().into()
        }
    }
}

impl From<AnswerFault> for Verdict {
    fn from(_: AnswerFault) -> Verdict {
        AttemptClass::BadAnswer.into()
    }
}

//! What came for the calls of a batch, as far as it says something of the node.

use crate::domain::convoy::Lot;
use crate::domain::overload::Overload;
use crate::domain::verdict::{Blame, Class, Verdict};

/// Whether a single call may have spoilt it for all of them.
pub(super) fn is_spoilt(lot: &Lot<'_>) -> bool {
    let spoils = |class| matches!(class, Class::Timeout | Class::Transport | Class::BadAnswer);
    matches!(lot, Lot::Unanswered(verdict) if verdict.overload != Some(Overload::Refused) && spoils(verdict.class))
}

pub(super) fn is_fault(lot: &Lot<'_>) -> bool {
    let (Lot::Answered(verdict, ..) | Lot::Unanswered(verdict)) = lot else {
        return false;
    };
    verdict.blame() == Blame::Fault
}

/// Whether the node asked to be left alone.
pub(super) fn turned_away(lot: &Lot<'_>) -> Option<Verdict> {
    let (Lot::Answered(verdict, ..) | Lot::Unanswered(verdict)) = lot else {
        return None;
    };
    let rests = matches!(verdict.blame(), Blame::Rest(_));
    rests.then_some(*verdict)
}

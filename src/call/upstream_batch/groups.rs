//! What came for the calls of a batch, as far as it says something of the node.

use forebay_core::rpc::batch::MemberOutcome;
use forebay_core::rpc::classify::{AttemptClass, Blame, Overload, Verdict};

/// Whether a single call may have spoilt it for all of them.
pub(super) fn is_spoilt(lot: &MemberOutcome<'_>) -> bool {
    let spoils = |class| {
        matches!(
            class,
            AttemptClass::Timeout | AttemptClass::Transport | AttemptClass::BadAnswer
        )
    };
    matches!(lot, MemberOutcome::Unanswered(verdict) if verdict.overload != Some(Overload::Refused) && spoils(verdict.class))
}

pub(super) fn is_fault(lot: &MemberOutcome<'_>) -> bool {
    let (MemberOutcome::Answered(verdict, ..) | MemberOutcome::Unanswered(verdict)) = lot else {
        return false;
    };
    verdict.blame() == Blame::Fault
}

/// Whether the node asked to be left alone.
pub(super) fn turned_away(lot: &MemberOutcome<'_>) -> Option<Verdict> {
    let (MemberOutcome::Answered(verdict, ..) | MemberOutcome::Unanswered(verdict)) = lot else {
        return None;
    };
    let rests = matches!(verdict.blame(), Blame::Rest(_));
    rests.then_some(*verdict)
}

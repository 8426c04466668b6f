//! Answers that another node may contradict: it is asked about them once more.

use crate::call::confirmation::Confirmers;
use crate::call::leader_share::OwnShortfall;
use crate::call::retry::{ReplyAction, RetryPlanner};
use crate::fleet::requirements::NodePreference;
use crate::method::RepeatRule;
use crate::rpc::classify::{AttemptClass, Meaning};
use crate::vocabulary::block_ref::BlockRange;
use crate::vocabulary::node::NodeId;
use crate::vocabulary::tier::Tier;

/// What is asked about once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DoubtedAnswer {
    Null,
    Branch,
}

impl RetryPlanner<'_> {
    /// Hears that an attempt came to `null`, where another node may know more: that one is asked
    /// as well, and free of charge. `find` says which nodes to ask first, given the tier, the blocks
    /// and the nodes asked so far; where it names none, any of the freshest is asked.
    pub fn hear_null(
        &mut self,
        find: impl FnOnce(Tier, Option<BlockRange>, &[NodeId]) -> Confirmers,
    ) -> ReplyAction {
        if self.doubted == Some(DoubtedAnswer::Null) && !self.confirmers.is_empty() {
            self.uncounted += 1;
            self.is_free = true;
            return ReplyAction::Keep;
        }
        let heard = self.doubt(DoubtedAnswer::Null);
        if heard == ReplyAction::Keep {
            let found = find(self.tier, self.needs.block, &self.tried);
            (self.confirmers, self.digger) = (found.nodes, found.digger);
            return heard;
        }
        let is_theirs = self.doubted == Some(DoubtedAnswer::Null) && self.tier == Tier::Own;
        if !is_theirs || self.asks_beyond {
            return heard;
        }
        self.asks_beyond = true;
        self.uncounted += 1;
        self.is_free = true;
        ReplyAction::Keep
    }

    /// What own nodes said, all in all, where another may know more.
    pub fn own_word(&self) -> Option<OwnShortfall> {
        let told = self.most_telling.filter(|_| self.asked_own)?;
        match told.class {
            AttemptClass::MissingData => Some(OwnShortfall::NoData),
            AttemptClass::Limit => Some(OwnShortfall::TooMuch),
            AttemptClass::Unsupported if told.meaning == Some(Meaning::NoResult) => {
                Some(OwnShortfall::NoResult)
            }
            AttemptClass::Unsupported => Some(OwnShortfall::NoMethod),
            AttemptClass::Ok => {
                (self.doubted == Some(DoubtedAnswer::Null)).then_some(OwnShortfall::Nothing)
            }
            AttemptClass::RpcError
            | AttemptClass::RequestSize
            | AttemptClass::Throttled
            | AttemptClass::Shut
            | AttemptClass::NodeTimeout
            | AttemptClass::Timeout
            | AttemptClass::NoConnection
            | AttemptClass::Transport
            | AttemptClass::BadAnswer
            | AttemptClass::Unknown
            | AttemptClass::Cancelled => None,
        }
    }

    /// Hears that an answer was of another branch than clients were told: another node is asked, too,
    /// once.
    pub fn hear_stray(&mut self) -> ReplyAction {
        self.doubt(DoubtedAnswer::Branch)
    }

    fn doubt(&mut self, what: DoubtedAnswer) -> ReplyAction {
        let is_settled = self.doubted.is_some() || self.tier == Tier::LastResort;
        if is_settled || self.treatment.repeat() != RepeatRule::Freely {
            return ReplyAction::Deliver;
        }
        self.doubted = Some(what);
        self.uncounted += 1;
        self.is_free = true;
        self.needs.preference = NodePreference::Freshest;
        self.most_telling = Some(AttemptClass::Ok.into());
        self.kept = true;
        ReplyAction::Keep
    }
}

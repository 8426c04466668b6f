//! Answers that another node may contradict: it is asked about them once more.

use super::{Journey, Use};
use crate::domain::block::{Need, Wish};
use crate::domain::confirmation::Confirmers;
use crate::domain::leader_share::Word;
use crate::domain::method::Repeat;
use crate::domain::node::NodeId;
use crate::domain::select::Ladder;
use crate::domain::verdict::{Class, Meaning};

/// What is asked about once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubted {
    Null,
    Branch,
}

impl Journey<'_> {
    /// Hears that an attempt came to `null`, where another node may know more: that one is asked
    /// as well, and free of charge. `find` says whom to ask first, given the ladder, the blocks and
    /// who was asked; where it names nobody it is anyone of the freshest.
    pub fn hear_null(
        &mut self,
        find: impl FnOnce(Ladder, Option<Need>, &[NodeId]) -> Confirmers,
    ) -> Use {
        if self.doubted == Some(Doubted::Null) && !self.confirmers.is_empty() {
            self.uncounted += 1;
            self.is_free = true;
            return Use::Keep;
        }
        let heard = self.doubt(Doubted::Null);
        if heard == Use::Keep {
            let found = find(self.ladder, self.needs.block, &self.tried);
            (self.confirmers, self.digger) = (found.nodes, found.digger);
            return heard;
        }
        let is_theirs = self.doubted == Some(Doubted::Null) && self.ladder == Ladder::Own;
        if !is_theirs || self.asks_beyond {
            return heard;
        }
        self.asks_beyond = true;
        self.uncounted += 1;
        self.is_free = true;
        Use::Keep
    }

    /// What own nodes said, all in all, where another may know more.
    pub fn own_word(&self) -> Option<Word> {
        let told = self.telling.filter(|_| self.asked_own)?;
        match told.class {
            Class::MissingData => Some(Word::NoData),
            Class::Limit => Some(Word::TooMuch),
            Class::Unsupported if told.meaning == Some(Meaning::NoResult) => Some(Word::NoResult),
            Class::Unsupported => Some(Word::NoMethod),
            Class::Ok => (self.doubted == Some(Doubted::Null)).then_some(Word::Nothing),
            Class::RpcError
            | Class::RequestSize
            | Class::Throttled
            | Class::Shut
            | Class::NodeTimeout
            | Class::Timeout
            | Class::NoConnection
            | Class::Transport
            | Class::BadAnswer
            | Class::Unknown
            | Class::Cancelled => None,
        }
    }

    /// Hears that an answer was of another branch than clients were told: another node is asked, too,
    /// once.
    pub fn hear_stray(&mut self) -> Use {
        self.doubt(Doubted::Branch)
    }

    fn doubt(&mut self, what: Doubted) -> Use {
        let is_settled = self.doubted.is_some() || self.ladder == Ladder::LastResort;
        if is_settled || self.treatment.repeat() != Repeat::Freely {
            return Use::Deliver;
        }
        self.doubted = Some(what);
        self.uncounted += 1;
        self.is_free = true;
        self.needs.wish = Wish::Freshest;
        self.telling = Some(Class::Ok.into());
        self.kept = true;
        Use::Keep
    }
}

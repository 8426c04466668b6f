//! Answers that another node may contradict: it is asked about them once more.

use super::{Journey, Use};
use crate::domain::block::Wish;
use crate::domain::method::Repeat;
use crate::domain::select::Ladder;
use crate::domain::verdict::Class;

/// What is asked about once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubted {
    Null,
    Branch,
}

impl Journey<'_> {
    /// Hears that an attempt came to `null`, where another node may know more: that one is asked
    /// as well, once, and free of charge.
    pub fn hear_null(&mut self) -> Use {
        self.doubt(Doubted::Null)
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
        self.telling = Some(Class::Ok);
        self.kept = true;
        Use::Keep
    }
}

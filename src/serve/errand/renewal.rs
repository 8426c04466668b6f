//! A call whose tags we wrote as numbers: what becomes of it where a number turns out to be none.
//!
//! When the chain has gone back while it waited, the block that its tags stood for is no more: it is
//! planned anew. Where nodes say that there is no such block, it insists.

use std::time::Instant;

use bytes::Bytes;

use super::Errand;
use crate::clock;
use crate::domain::block::Edits;
use crate::domain::confirmation::Confirmers;
use crate::domain::fleet::NodeView;
use crate::domain::insistence::{self, Move};
use crate::domain::journey::Use;
use crate::domain::method::Repeat;
use crate::domain::route::{Asking, Plan};
use crate::domain::verdict::{Class, Meaning, Verdict};
use crate::domain::whole::Whole;

impl Errand<'_> {
    /// The call with what its tags stand for now, where that has gone back since it was planned.
    pub(super) fn renew(&mut self) -> Option<Bytes> {
        let pins = self
            .terms
            .pins
            .filter(|_| !self.asking().edits.is_empty())?;
        let snapshot = self.engine.pool.snapshot();
        let view = &snapshot.view;
        if view.falls == pins.falls {
            return None;
        }
        let pins = self.engine.pins(self.terms, view);
        self.terms.pins = Some(pins);
        let (_, plan) = self.engine.plan(self.call, view, self.terms.policy, &pins);
        let Plan::Ask(asking) = plan else { return None };
        self.journey.speak_of(asking.block, asking.wait);
        let body = asking.body(self.call).into();
        self.renewed = Some(Box::new(asking));
        Some(body)
    }

    /// Brings a round forward that looks for the blocks it waits for.
    pub(super) fn hurry(&self) {
        let pool = &self.engine.pool;
        let highest = pool.snapshot().view.highest_head;
        let need = self.asking().block;
        if need.is_some_and(|need| Some(need.to) > highest) {
            pool.early.hurry_beyond(highest);
        } else {
            pool.hurry();
        }
    }

    /// Whether a tag that we wrote came to nothing, or the tag itself to what is too old.
    pub(super) fn is_nothing(&self, verdict: Verdict, answer: &Whole, node: &NodeView) -> bool {
        let may_repeat = self.journey.repeat() == Repeat::Freely;
        let is_ours = may_repeat && !self.asking().edits.is_empty();
        let answers_it = || node.was_well(&self.call.method, clock::now());
        let is_nothing = || {
            let answers_it = verdict.meaning == Some(Meaning::NoResult) && answers_it();
            insistence::is_nothing(verdict, answer, answers_it)
        };
        (is_ours && is_nothing()) || self.is_too_old(answer)
    }

    fn is_too_old(&self, answer: &Whole) -> bool {
        let insistence = self.insistence.as_deref();
        insistence.is_some_and(|it| it.is_too_old(answer.result()))
    }

    /// Keeps such an answer for when nothing better comes; but what is too old is told to nobody.
    pub(super) fn keep_nothing(&mut self, answer: &Whole) -> Use {
        if answer.result() == Some(b"null") {
            self.journey.hear_null(|_, _, _| Confirmers::default());
        } else {
            self.journey.hear(Class::MissingData, true);
        }
        if self.is_too_old(answer) {
            Use::Drop
        } else {
            Use::Keep
        }
    }

    /// What to ask once more, instead of ending with nothing: `Some(None)` the same again.
    pub(super) async fn insist(&mut self, now: Instant) -> Option<Option<Bytes>> {
        let patience = self.engine.pool.snapshot().view.block_wait;
        let (need, is_alone) = (self.asking().block, self.journey.is_alone());
        let mut insistence = self.insistence.take().unwrap_or_default();
        let next = insistence.next(patience, need, is_alone, now);
        self.insistence = Some(insistence);
        if next == Move::GiveUp || !self.engine.budget.withdraw(now) {
            // The block is there: `null` would be wrong.
            let kept = self.kept.take();
            self.kept = kept.filter(|kept| kept.answer.result() != Some(b"null"));
            return None;
        }
        self.engine.metrics.tag_repeat();
        self.journey.begin_anew();
        self.granted = self.granted.again();
        match next {
            Move::Again(at) => {
                tokio::time::sleep_until(at.into()).await;
                Some(None)
            }
            Move::AsWritten => {
                let asking = Asking {
                    block: None,
                    wait: None,
                    edits: Edits::default(),
                    ..self.asking().clone()
                };
                self.journey.speak_of(None, None);
                let body = asking.body(self.call).into();
                self.renewed = Some(Box::new(asking));
                Some(Some(body))
            }
            Move::GiveUp => None,
        }
    }

    /// How nodes are asked, as of now.
    pub(super) fn asking(&self) -> &Asking {
        self.renewed.as_deref().unwrap_or(self.asking)
    }
}

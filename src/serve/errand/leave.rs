//! Leave to ask the leader, or another fallback node, for what own nodes said that they lack.

use std::cell::Cell;
use std::sync::PoisonError;
use std::time::Instant;

use super::Errand;
use crate::clock;
use crate::domain::block::{Need, Needs, Place, Reads};
use crate::domain::journey::Step;
use crate::domain::leader_share::{self, Question, Word};
use crate::domain::method;
use crate::domain::node::{NodeId, Rung};
use crate::domain::sent::Client;
use crate::domain::transaction;
use crate::serve::engine::Engine;

/// What a call was granted of the leader's share.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Granted {
    #[default]
    NotAsked,
    /// To ask this node.
    Of(NodeId),
    Withheld,
}

impl Granted {
    /// When all nodes may be asked once more: what was granted was for one of them once.
    pub(super) fn again(self) -> Granted {
        match self {
            Granted::NotAsked => Granted::NotAsked,
            Granted::Of(_) | Granted::Withheld => Granted::Withheld,
        }
    }
}

/// What becomes of draws once own nodes have said that they lack what is asked for.
pub(super) struct Leave<'t> {
    engine: &'t Engine,
    client: Client,
    share: f64,
    question: Question<'t>,
    word: Word,
    tried: Vec<NodeId>,
    granted: Cell<Granted>,
}

impl<'a> Errand<'a> {
    /// `None`: own nodes haven't said so.
    pub(super) fn leave(&self) -> Option<Leave<'a>> {
        let word = self.journey.own_word()?;
        let asking = self.asking();
        let params = self.call.params.unwrap_or_default();
        let row = method::find(&self.call.method);
        let place = row.map_or(Place::Nowhere, |row| row.place);
        let question = Question {
            method: &self.call.method,
            params: self.call.params,
            is_listed: row.is_some(),
            block: asking.block.or_else(|| self.told_of_transaction(place)),
            is_of_a_tag: leader_share::names_a_tag(place, params),
        };
        Some(Leave {
            engine: self.engine,
            client: self.terms.client,
            share: self.terms.policy.limits.leader_share,
            question,
            word,
            tried: self.journey.tried().to_vec(),
            granted: Cell::new(self.granted),
        })
    }

    /// The block of the transaction whose hash comes first, where it was told of.
    fn told_of_transaction(&self, place: Place) -> Option<Need> {
        let params = self.call.params.filter(|_| place == Place::Nowhere)?;
        let hash = transaction::hash_asked(params)?;
        let number = self.engine.pool.told.place_of(hash)?;
        Some(Need {
            from: number,
            to: number,
            reads: Reads::Head,
        })
    }

    /// The next step.
    pub(super) fn next(&mut self, now: Instant) -> Step {
        let (engine, leave) = (self.engine, self.leave());
        let draw = |ladder, passed: &[NodeId], needs: &Needs<'_>| {
            let draw = |passed: &[NodeId]| self.aim.draw(engine, ladder, passed, needs);
            match &leave {
                None => draw(passed),
                Some(leave) => leave.draw(passed, draw),
            }
        };
        let step = self.journey.next(now, draw, || engine.budget.withdraw(now));
        self.note(leave);
        step
    }

    /// What `leave` was asked for stands for the rest of the call.
    pub(super) fn note(&mut self, leave: Option<Leave<'_>>) {
        if let Some(leave) = leave {
            self.granted = leave.granted.get();
        }
    }
}

impl Leave<'_> {
    /// Draws by `draw`, given whom to pass, until somebody may be asked.
    pub fn draw(
        &self,
        passed: &[NodeId],
        mut draw: impl FnMut(&[NodeId]) -> Option<NodeId>,
    ) -> Option<NodeId> {
        let mut passed = passed.to_vec();
        loop {
            let drawn = draw(&passed)?;
            if self.lets(drawn) {
                return Some(drawn);
            }
            passed.push(drawn);
        }
    }

    fn lets(&self, id: NodeId) -> bool {
        let now = clock::now();
        let view = &self.engine.pool.snapshot().view;
        let Some(node) = view.node(id) else {
            return false;
        };
        if node.rung == Rung::Own {
            return leader_share::may_say_more(node, self.question, self.word, now);
        }
        let all = (view, &self.tried[..]);
        leader_share::is_known_to_have(node, self.question, self.word, all, now) || self.takes(id)
    }

    /// Takes one call of the share, or none for the rest of the call.
    fn takes(&self, id: NodeId) -> bool {
        match self.granted.get() {
            Granted::Of(node) => return node == id,
            Granted::Withheld => return false,
            Granted::NotAsked => {}
        }
        let now = clock::now();
        let pool = &self.engine.pool;
        let per_second = pool.failing.calls_per_second(now) * self.share;
        let rates = (
            per_second.max(leader_share::PER_SECOND_MIN),
            pool.snapshot().view.pace,
        );
        let is_granted = self.share > 0.0 && {
            let left = self.engine.leader_share.lock();
            let mut left = left.unwrap_or_else(PoisonError::into_inner);
            left.take(self.client, self.question, rates, now)
        };
        self.granted.set(if is_granted {
            Granted::Of(id)
        } else {
            self.engine.metrics.leader_withheld();
            Granted::Withheld
        });
        is_granted
    }
}

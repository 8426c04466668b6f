//! Leave to ask the leader, or another fallback node, for what own nodes said that they lack.

use std::cell::Cell;
use std::sync::PoisonError;
use std::time::Instant;

use crate::call::forward::ForwardedCall;
use crate::clock;
use crate::router::Router;
use forebay_core::call::leader_share::{self, OwnShortfall, ShareQuery};
use forebay_core::call::recent_writes::Client;
use forebay_core::call::retry::RetryStep;
use forebay_core::method;
use forebay_core::method::block::{BlockData, BlockParam, BlockRange, NodeRequirements};
use forebay_core::rpc::transaction;
use forebay_core::vocabulary::node::{NodeId, Role};

/// What a call was granted of the leader's share.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum LeaderGrant {
    #[default]
    NotAsked,
    /// To ask this node.
    Of(NodeId),
    Withheld,
}

impl LeaderGrant {
    /// When all nodes may be asked once more: what was granted was for one of them once.
    pub(super) fn again(self) -> LeaderGrant {
        match self {
            LeaderGrant::NotAsked => LeaderGrant::NotAsked,
            LeaderGrant::Of(_) | LeaderGrant::Withheld => LeaderGrant::Withheld,
        }
    }
}

/// What becomes of draws once own nodes have said that they lack what is asked for.
pub(super) struct LeaderAccess<'t> {
    engine: &'t Router,
    client: Client,
    share: f64,
    question: ShareQuery<'t>,
    word: OwnShortfall,
    tried: Vec<NodeId>,
    granted: Cell<LeaderGrant>,
}

impl<'a> ForwardedCall<'a> {
    /// `None`: own nodes haven't said so.
    pub(super) fn leave(&self) -> Option<LeaderAccess<'a>> {
        let word = self.journey.own_word()?;
        let asking = self.asking();
        let params = self.call.params.unwrap_or_default();
        let row = method::find(&self.call.method);
        let place = row.map_or(BlockParam::Nowhere, |row| row.place);
        let question = ShareQuery {
            method: &self.call.method,
            params: self.call.params,
            is_listed: row.is_some(),
            block: asking.block.or_else(|| self.told_of_transaction(place)),
            is_of_a_tag: leader_share::names_a_tag(place, params),
        };
        Some(LeaderAccess {
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
    fn told_of_transaction(&self, place: BlockParam) -> Option<BlockRange> {
        let params = self.call.params.filter(|_| place == BlockParam::Nowhere)?;
        let hash = transaction::hash_asked(params)?;
        let number = self.engine.pool.told.place_of(hash)?;
        Some(BlockRange {
            from: number,
            to: number,
            reads: BlockData::Head,
        })
    }

    /// The next step.
    pub(super) fn next(&mut self, now: Instant) -> RetryStep {
        let (engine, leave) = (self.engine, self.leave());
        let draw = |ladder, passed: &[NodeId], needs: &NodeRequirements<'_>| {
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
    pub(super) fn note(&mut self, leave: Option<LeaderAccess<'_>>) {
        if let Some(leave) = leave {
            self.granted = leave.granted.get();
        }
    }
}

impl LeaderAccess<'_> {
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
        if node.rung == Role::Own {
            return leader_share::may_say_more(node, self.question, self.word, now);
        }
        let all = (view, &self.tried[..]);
        leader_share::is_known_to_have(node, self.question, self.word, all, now) || self.takes(id)
    }

    /// Takes one call of the share, or none for the rest of the call.
    fn takes(&self, id: NodeId) -> bool {
        match self.granted.get() {
            LeaderGrant::Of(node) => return node == id,
            LeaderGrant::Withheld => return false,
            LeaderGrant::NotAsked => {}
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
            LeaderGrant::Of(id)
        } else {
            self.engine.metrics.leader_withheld();
            LeaderGrant::Withheld
        });
        is_granted
    }
}

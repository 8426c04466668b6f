//! Leave to ask the leader, or another fallback node: which nodes it lets draws come to.

use std::cell::Cell;
use std::sync::PoisonError;

use crate::call::context::CallState;
use crate::clock;
use forebay_core::call::leader_share::{self, OwnShortfall, ShareQuery};
use forebay_core::fleet::requirements::NodeQuery;
use forebay_core::vocabulary::client::Client;
use forebay_core::vocabulary::node::{NodeId, Role};
use forebay_core::vocabulary::tier::Tier;

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
    pub state: &'t CallState,
    pub client: Client,
    pub share: f64,
    pub question: ShareQuery<'t>,
    pub word: OwnShortfall,
    pub tried: Vec<NodeId>,
    pub granted: Cell<LeaderGrant>,
}

impl LeaderAccess<'_> {
    /// Draws until a node is found that may be asked.
    pub(super) fn draw(&self, query: NodeQuery<'_>) -> Option<(NodeId, Tier)> {
        let mut passed = query.passed.to_vec();
        loop {
            let query = NodeQuery {
                passed: &passed,
                ..query
            };
            let (node, tier) = self.state.fleet.draw(&query)?;
            if self.lets(node) {
                return Some((node, tier));
            }
            passed.push(node);
        }
    }

    fn lets(&self, id: NodeId) -> bool {
        let now = clock::now();
        let view = &self.state.fleet.snapshot().view;
        let Some(node) = view.node(id) else {
            return false;
        };
        if node.role == Role::Own {
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
        let fleet = &self.state.fleet;
        let per_second = fleet.failing.calls_per_second(now) * self.share;
        let rates = (
            per_second.max(leader_share::PER_SECOND_MIN),
            fleet.snapshot().view.block_time,
        );
        let is_granted = self.share > 0.0 && {
            let left = self.state.leader_share.lock();
            let mut left = left.unwrap_or_else(PoisonError::into_inner);
            left.take(self.client, self.question, rates, now)
        };
        self.granted.set(if is_granted {
            LeaderGrant::Of(id)
        } else {
            self.state.metrics.leader_withheld();
            LeaderGrant::Withheld
        });
        is_granted
    }
}

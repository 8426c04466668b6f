//! Leave to ask the leader, or another fallback node, for what own nodes said that they lack.

use std::cell::Cell;

use crate::call::context::CallState;
use crate::call::forward::ForwardedCall;
use crate::clock;
use forebay_core::call::leader_share::{
    self, LeaderGrant, OwnLack, ShareAccess, ShareQuery, ShareRate,
};
use forebay_core::fleet::requirements::NodeQuery;
use forebay_core::method;
use forebay_core::method::block::BlockParam;
use forebay_core::rpc::transaction;
use forebay_core::vocabulary::block_ref::{BlockData, BlockRange};
use forebay_core::vocabulary::client::Client;
use forebay_core::vocabulary::node::NodeId;
use forebay_core::vocabulary::tier::Tier;

/// Which nodes draws may come to once own nodes have said that they lack what is asked for.
pub(super) struct LeaderAccess<'t> {
    state: &'t CallState,
    client: Client,
    share: f64,
    lack: OwnLack<'t>,
    pub granted: Cell<LeaderGrant>,
}

impl<'a> ForwardedCall<'a> {
    /// `None`: own nodes haven't said so.
    pub(super) fn leave(&self) -> Option<LeaderAccess<'a>> {
        let word = self.retry.own_word()?;
        let plan = self.plan();
        let params = self.call.params.unwrap_or_default();
        let row = method::find(&self.call.method);
        let place = row.map_or(BlockParam::Nowhere, |row| row.place);
        let question = ShareQuery {
            method: &self.call.method,
            params: self.call.params,
            is_listed: row.is_some(),
            block: plan.block.or_else(|| self.told_of_transaction(place)),
            is_of_a_tag: leader_share::names_a_tag(place, params),
        };
        Some(LeaderAccess {
            state: self.state,
            client: self.context.client,
            share: self.context.policy.settings.calls.leader_share,
            lack: OwnLack {
                question,
                word,
                tried: self.retry.tried().to_vec(),
            },
            granted: Cell::new(self.granted),
        })
    }

    /// The block of the transaction whose hash comes first, where it was told of.
    fn told_of_transaction(&self, place: BlockParam) -> Option<BlockRange> {
        let params = self.call.params.filter(|_| place == BlockParam::Nowhere)?;
        let hash = transaction::hash_asked(params)?;
        let number = self.state.fleet.told.place_of(hash)?;
        Some(BlockRange {
            from: number,
            to: number,
            reads: BlockData::Head,
        })
    }
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
        let view = &self.state.fleet.snapshot().view;
        match (self.lack).access(id, view, self.granted.get(), clock::now()) {
            ShareAccess::Open => true,
            ShareAccess::ByShare => {
                let is_granted = self.takes();
                self.granted.set(if is_granted {
                    LeaderGrant::Of(id)
                } else {
                    self.state.metrics.leader_withheld();
                    LeaderGrant::Withheld
                });
                is_granted
            }
            ShareAccess::Closed => false,
        }
    }

    fn takes(&self) -> bool {
        let (fleet, now) = (&self.state.fleet, clock::now());
        let rate = ShareRate {
            calls_per_second: fleet.failing.calls_per_second(now),
            share: self.share,
            block_time: fleet.snapshot().view.block_time,
        };
        let mut left = self.state.leader_share.lock();
        left.take(self.client, self.lack.question, rate, now)
    }
}

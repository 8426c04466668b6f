//! Leave to ask the leader, or another fallback node, for what own nodes said that they lack.

use std::cell::Cell;

use crate::call::forward::ForwardedCall;
use crate::call::forward::leader_access::LeaderAccess;
use forebay_core::call::leader_share::{self, ShareQuery};
use forebay_core::method;
use forebay_core::method::block::BlockParam;
use forebay_core::rpc::transaction;
use forebay_core::vocabulary::block_ref::{BlockData, BlockRange};

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
            question,
            word,
            tried: self.retry.tried().to_vec(),
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

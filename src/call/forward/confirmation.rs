//! Nothing was found where another node may know more.

use crate::call::forward::ForwardedCall;
use crate::clock;
use forebay_core::call::confirmation::{ConfirmationQuery, Confirmers};
use forebay_core::call::plan::Affinity;
use forebay_core::call::retry::ReplyAction;
use forebay_core::call::unindexed;
use forebay_core::fleet::node_view::NodeView;
use forebay_core::rpc::transaction::TxHash;
use forebay_core::vocabulary::block_ref::LookupTarget;
use forebay_core::vocabulary::chain::BlockHash;

/// What is looked for: a hash, whichever method asks for it, else the call itself.
#[derive(Clone, Copy, Debug, Hash)]
enum ConfirmationSubject<'a> {
    Block(BlockHash),
    Transaction(TxHash),
    Call(&'a str, Option<&'a str>),
}

impl<'a> ForwardedCall<'a> {
    /// Hears that `said` found nothing. A node that goes back further is asked next, unless it was asked within
    /// a block time and found nothing, either.
    pub(super) fn hear_nothing(&mut self, said: &NodeView) -> ReplyAction {
        let (state, name, method) = (self.state, self.name(), &*self.call.method);
        if self.retry.digs(said.id) {
            state.searched.lock().note(name, clock::now());
        }
        let (holding, is_for_any_node) = (
            self.plan().holding,
            matches!(self.plan.affinity, Affinity::Any),
        );
        let is_sure = self.null_is_sure;
        self.retry.hear_null(|tier, block, tried| {
            let sought = ConfirmationQuery {
                method,
                holding,
                block,
                tier,
                tried,
            };
            if !is_for_any_node {
                return Confirmers::default();
            }
            let view = &state.fleet.snapshot().view;
            let mut found = state.fleet.confirmers(said, sought);
            let is_searched = || (state.searched.lock()).knows(name, view.block_time, clock::now());
            if found.digger.is_some() && is_searched() {
                found = Confirmers::default();
            }
            if holding == LookupTarget::Transactions
                && !is_sure
                && let Some(builder) = unindexed::builder(view, method, tried)
            {
                found.ask_first(builder);
            }
            found
        })
    }

    fn name(&self) -> ConfirmationSubject<'a> {
        let block = self
            .plan()
            .hash
            .as_ref()
            .map(|hashed| ConfirmationSubject::Block(hashed.hash));
        let transaction = || self.transaction().map(ConfirmationSubject::Transaction);
        let call = self.call;
        let found = block.or_else(transaction);
        found.unwrap_or(ConfirmationSubject::Call(&call.method, call.params))
    }
}

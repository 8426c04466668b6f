//! Whom a call is for: anyone who will do, or those who have what it asks for.

use crate::call::context::CallState;
use crate::clock;
use forebay_core::call::broadcast::{FanoutScope, spread};
use forebay_core::call::last_block::BY_HASH;
use forebay_core::call::nonce::FILL;
use forebay_core::call::plan::ForwardPlan;
use forebay_core::call::recent_writes::Client;
use forebay_core::fleet::select::Tier;
use forebay_core::method::block::NodeRequirements;
use forebay_core::rpc::envelope::Call;
use forebay_core::rpc::transaction;
use forebay_core::vocabulary::node::NodeId;

/// Whom a call is for.
pub enum Affinity {
    Anyone,
    /// Any of these rather than others: they have what it asks for.
    Rather(Vec<NodeId>),
    /// This one alone: it has the filter that the call names.
    Only(NodeId),
}

impl Affinity {
    /// A transaction that was sent through here is asked of the nodes that took it, and what reads
    /// the pool of those that took this client's.
    pub fn of(
        state: &CallState,
        call: &Call<'_>,
        asking: &ForwardPlan,
        client: Client,
    ) -> Affinity {
        let params = call.params;
        let holders = match &*call.method {
            BY_HASH => params
                .and_then(transaction::hash_asked)
                .map(|hash| state.taken.holders(hash)),
            "eth_getTransactionBySenderAndNonce" => params
                .and_then(transaction::nonce_asked)
                .map(|(sender, nonce)| state.taken.holders_of(sender, nonce)),
            _ if asking.is_pending || call.method == FILL => Some(state.taken.holders_for(client)),
            _ => None,
        };
        match holders {
            Some(holders) if !holders.is_empty() => Affinity::Rather(holders),
            Some(_) | None => Affinity::Anyone,
        }
    }

    /// Draws a node that is not among `passed`.
    pub fn draw(
        &self,
        engine: &CallState,
        ladder: Tier,
        passed: &[NodeId],
        needs: &NodeRequirements<'_>,
    ) -> Option<NodeId> {
        let holders = match self {
            Affinity::Anyone => return engine.pool.draw(ladder, passed, needs),
            Affinity::Only(node) => {
                let is_open = ladder == Tier::Own && !passed.contains(node);
                return is_open.then_some(*node);
            }
            Affinity::Rather(holders) => holders,
        };
        let wish = FanoutScope {
            nodes_max: 1,
            method: needs.method,
            first: holders,
            passed,
        };
        let view = &engine.pool.snapshot().view;
        let drawn = spread(view, ladder, wish, clock::now(), &mut clock::roll);
        let meets = |node: &NodeId| {
            let node = view.node(*node);
            node.is_some_and(|node| needs.block.is_none_or(|need| need.is_met_by(node)))
        };
        let holder = drawn
            .into_iter()
            .find(|node| holders.contains(node) && meets(node));
        holder.or_else(|| engine.pool.draw(ladder, passed, needs))
    }
}

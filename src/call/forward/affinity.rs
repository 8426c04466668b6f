//! Whom a call is for: anyone who will do, or those who have what it asks for.

use crate::clock;
use crate::router::Router;
use forebay_core::call::broadcast::{FanoutScope, spread};
use forebay_core::fleet::select::Tier;
use forebay_core::method::block::NodeRequirements;
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
    /// Draws a node that is not among `passed`.
    pub fn draw(
        &self,
        engine: &Router,
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

//! Whom a call is for: anyone who will do, or those who have what it asks for.

use crate::clock;
use crate::domain::block::Needs;
use crate::domain::broadcast::{Spread, spread};
use crate::domain::node::NodeId;
use crate::domain::select::Ladder;
use crate::serve::engine::Engine;

/// Whom a call is for.
pub enum Aim {
    Anyone,
    /// Any of these rather than others: they have what it asks for.
    Rather(Vec<NodeId>),
    /// This one alone: it has the filter that the call names.
    Only(NodeId),
}

impl Aim {
    /// Draws a node that is not among `passed`.
    pub fn draw(
        &self,
        engine: &Engine,
        ladder: Ladder,
        passed: &[NodeId],
        needs: &Needs<'_>,
    ) -> Option<NodeId> {
        let holders = match self {
            Aim::Anyone => return engine.pool.draw(ladder, passed, needs),
            Aim::Only(node) => {
                let is_open = ladder == Ladder::Own && !passed.contains(node);
                return is_open.then_some(*node);
            }
            Aim::Rather(holders) => holders,
        };
        let wish = Spread {
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

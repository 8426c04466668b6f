//! Draws from the nodes that a call is for: any that will do, or those that have what it asks for.

use crate::call::context::CallState;
use crate::clock;
use forebay_core::call::broadcast::{FanoutScope, spread};
use forebay_core::call::plan::Affinity;
use forebay_core::fleet::requirements::NodeRequirements;
use forebay_core::vocabulary::node::NodeId;
use forebay_core::vocabulary::tier::Tier;

/// Draws a node for a call of this `affinity` that is not among `passed`.
pub(super) fn draw(
    affinity: &Affinity,
    engine: &CallState,
    tier: Tier,
    passed: &[NodeId],
    needs: &NodeRequirements<'_>,
) -> Option<NodeId> {
    let holders = match affinity {
        Affinity::Anyone => return engine.pool.draw(tier, passed, needs),
        Affinity::Only(node) => {
            let is_open = tier == Tier::Own && !passed.contains(node);
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
    let drawn = spread(view, tier, wish, clock::now(), &mut clock::roll);
    let meets = |node: &NodeId| {
        let node = view.node(*node);
        node.is_some_and(|node| needs.block.is_none_or(|need| node.meets(need)))
    };
    let holder = drawn
        .into_iter()
        .find(|node| holders.contains(node) && meets(node));
    holder.or_else(|| engine.pool.draw(tier, passed, needs))
}

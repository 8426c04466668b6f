//! Which node a call goes to, and who is asked after it.

use crate::clock;
use crate::shared::fleet_state::FleetState;
use forebay_core::call::confirmation::{self, ConfirmationQuery, Confirmers};
use forebay_core::fleet::node_view::NodeView;
use forebay_core::fleet::requirements::NodeRequirements;
use forebay_core::fleet::select::{self, Draw};
use forebay_core::vocabulary::node::NodeId;
use forebay_core::vocabulary::tier::Tier;

impl FleetState {
    /// Draws a node on `tier` that is not among `passed` and has what the call needs.
    pub fn draw(
        &self,
        tier: Tier,
        passed: &[NodeId],
        needs: &NodeRequirements<'_>,
    ) -> Option<NodeId> {
        let (present, now) = (self.present.load(), clock::now());
        let takes = |node: &NodeView| node.is_in_order() || select::take(node, needs.caution, now);
        let view = &present.view;
        let draw = Draw {
            view,
            tier,
            passed,
            needs,
            now,
        };
        loop {
            let id = draw.node(&mut clock::roll)?;
            // Who is refused here won't be drawn again: it ends.
            if view.node(id).is_none_or(takes) {
                return Some(id);
            }
        }
    }

    /// Whom to ask after `said` found nothing.
    pub fn confirmers(&self, said: &NodeView, sought: ConfirmationQuery<'_>) -> Confirmers {
        let view = &self.snapshot().view;
        confirmation::confirmers(view, said, sought, clock::now(), &mut clock::roll)
    }
}

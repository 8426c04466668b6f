//! Which node a call goes to, and which nodes are asked after it.

use crate::clock;
use crate::shared::fleet_state::FleetState;
use forebay_core::call::confirmation::{self, ConfirmationQuery, Confirmers};
use forebay_core::fleet::node_view::NodeView;
use forebay_core::fleet::requirements::NodeQuery;
use forebay_core::vocabulary::node::NodeId;
use forebay_core::vocabulary::tier::Tier;

impl FleetState {
    /// Draws a node from the fleet as it is now.
    pub fn draw(&self, query: &NodeQuery<'_>) -> Option<(NodeId, Tier)> {
        let view = &self.present.load().view;
        view.draw(query, clock::now(), &mut clock::roll)
    }

    /// The nodes to ask after `said` found nothing.
    pub fn confirmers(&self, said: &NodeView, sought: ConfirmationQuery<'_>) -> Confirmers {
        let view = &self.snapshot().view;
        confirmation::confirmers(view, said, sought, clock::now(), &mut clock::roll)
    }
}

//! What calls see: the fleet at one moment, and the way to its nodes.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::shared::node_clients::{Upstream, Upstreams};
use forebay_core::fleet::view::FleetView;
use forebay_core::vocabulary::node::NodeId;

/// What calls see: the fleet at one moment, and the way to its nodes.
#[derive(Default)]
pub struct Snapshot {
    pub view: FleetView,
    /// How many were shown before it: see [`FleetState::is_latest`](super::fleet_state::FleetState::is_latest).
    pub(super) number: u64,
    pub upstreams: Upstreams,
}

impl Snapshot {
    pub fn upstream(&self, id: NodeId) -> Option<&Arc<Upstream>> {
        // They stand in the order of the list, as the view's nodes do.
        let place = self.view.sampler.place(id);
        let found = place.and_then(|place| self.upstreams.get(place));
        let is_it = |upstream: &&Arc<Upstream>| upstream.id == id;
        let found = found.filter(is_it);
        found.or_else(|| self.upstreams.iter().find(is_it))
    }
}

/// The latest one.
pub(super) type CurrentSnapshot = Arc<ArcSwap<Snapshot>>;

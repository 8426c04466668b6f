//! Whose head counts.

use crate::fleet::view::FleetView;
use crate::vocabulary::node::{NodeId, Role};

/// The nodes whose word on the head is good: those that carry the served head. They live, and they
/// serve, on the best rung that has any; where nobody serves, all that live on our chain.
pub fn witnesses(view: &FleetView) -> Vec<NodeId> {
    let rung = Role::ALL.into_iter().find(|rung| {
        let mut nodes = view.nodes.iter();
        nodes.any(|node| node.rung == *rung && node.serves() && node.lives)
    });
    let counts = view.nodes.iter().filter(|node| match rung {
        Some(rung) => node.rung == rung && node.serves() && node.lives,
        None => node.is_last_resort(),
    });
    counts.map(|node| node.id).collect()
}

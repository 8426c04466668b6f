//! The nodes whose head counts.

use crate::fleet::view::FleetView;
use crate::vocabulary::node::{NodeId, Role};

/// The nodes whose word on the head is good: those that carry the served head. They live, and they
/// serve, on those of the best role that has any; where no node serves, all that live on our chain.
pub fn witnesses(view: &FleetView) -> Vec<NodeId> {
    let role = Role::ALL.into_iter().find(|role| {
        let mut nodes = view.nodes.iter();
        nodes.any(|node| node.role == *role && node.serves() && node.lives)
    });
    let counts = view.nodes.iter().filter(|node| match role {
        Some(role) => node.role == role && node.serves() && node.lives,
        None => node.is_last_resort(),
    });
    counts.map(|node| node.id).collect()
}

//! Nodes of a list that was replaced though they weren't taken away: what stood in for a registry that
//! was out of reach, or what a table had before it lost its nodes. They serve on beside the new list until one of
//! that is fit, for until then it has no node that has been probed.

use std::sync::Arc;

use crate::shared::snapshot::Snapshot;
use forebay_core::vocabulary::node::{NodeSpec, Role};

/// Those that serve on.
#[derive(Default)]
pub struct RetainedNodes {
    kept: Vec<NodeSpec>,
    /// The registry came back without its nodes: whatever it has next is no whole list.
    is_after_loss: bool,
}

impl RetainedNodes {
    /// The registry has no node, though its nodes weren't taken away.
    pub fn hear_loss(&mut self) {
        self.is_after_loss = true;
    }

    /// A list is to be taken: the nodes that serve now are to serve on, if it `replaces` them unasked.
    pub fn hear_list(&mut self, replaces: bool, present: &Snapshot) {
        if std::mem::take(&mut self.is_after_loss) || replaces {
            let upstreams = present.upstreams.iter();
            self.kept = upstreams.map(|upstream| upstream.spec.clone()).collect();
        }
    }

    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// `list`, and beside it those that are still needed.
    pub fn beside(&mut self, mut list: Vec<NodeSpec>, present: &Snapshot) -> Vec<NodeSpec> {
        if self.kept.is_empty() || list.is_empty() || has_fit(&list, present) {
            self.kept.clear();
            return list;
        }
        for former in &self.kept {
            let identity = former.url.identity();
            if list.iter().all(|spec| spec.url.identity() != identity) {
                let former = beside_others(former, &list);
                list.push(former);
            }
        }
        list
    }
}

fn has_fit(list: &[NodeSpec], present: &Snapshot) -> bool {
    let nodes = present.view.nodes.iter().zip(present.upstreams.iter());
    let mut fit = nodes.filter(|(node, _)| node.serves());
    fit.any(|(_, upstream)| {
        let identity = upstream.spec.url.identity();
        list.iter().any(|spec| spec.url.identity() == identity)
    })
}

/// There is one leader, and one node of each name: those of the list.
fn beside_others(former: &NodeSpec, list: &[NodeSpec]) -> NodeSpec {
    let mut spec = former.clone();
    if list.iter().any(|other| other.role == Role::Leader) && spec.role == Role::Leader {
        spec.role = Role::Fallback;
    }
    if list.iter().any(|other| other.name == spec.name) {
        spec.name = Arc::from(format!("former-{}", spec.name));
    }
    spec
}

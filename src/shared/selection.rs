//! Pingora's view of how nodes are drawn: its `BackendSelection`, by weight and then by load, as the
//! fleet stands at that moment.
//!
//! Calls draw from the view itself (`FleetView::draw`), which knows what each of them needs; a key of
//! bytes, all that Pingora hands a selection, says nothing of that.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use pingora::lb::selection::{BackendIter, BackendSelection};
use pingora::lb::{Backend, Extensions};
use pingora::protocols::l4::socket::SocketAddr;

use crate::clock;
use crate::shared::snapshot::CurrentSnapshot;
use forebay_core::fleet::requirements::{NodeQuery, NodeRequirements};
use forebay_core::vocabulary::node::NodeId;
use forebay_core::vocabulary::tier::Tier;

/// The selection.
pub struct WeightedSelection {
    backends: Vec<Backend>,
    present: CurrentSnapshot,
}

impl WeightedSelection {
    fn backend(&self, id: NodeId) -> Option<&Backend> {
        let mut known = self.backends.iter();
        known.find(|backend| id_of(backend) == Some(id))
    }
}

impl BackendSelection for WeightedSelection {
    type Iter = WeightedIterator;
    type Config = CurrentSnapshot;

    fn build_with_config(backends: &BTreeSet<Backend>, present: &CurrentSnapshot) -> Self {
        WeightedSelection {
            backends: backends.iter().cloned().collect(),
            present: present.clone(),
        }
    }

    fn build(backends: &BTreeSet<Backend>) -> Self {
        WeightedSelection::build_with_config(backends, &CurrentSnapshot::default())
    }

    fn iter(self: &Arc<Self>, _key: &[u8]) -> WeightedIterator {
        WeightedIterator {
            selection: self.clone(),
            passed: Vec::new(),
        }
    }
}

/// One own fit node after another, never the same twice.
pub struct WeightedIterator {
    selection: Arc<WeightedSelection>,
    passed: Vec<NodeId>,
}

impl BackendIter for WeightedIterator {
    fn next(&mut self) -> Option<&Backend> {
        let view = &self.selection.present.load().view;
        loop {
            let any = NodeRequirements::default();
            let query = NodeQuery::new(&[Tier::Own], &self.passed, any);
            let (id, _) = view.draw(&query, clock::now(), &mut clock::roll)?;
            self.passed.push(id);
            // A node that joined after this selection was built is in the next one.
            if self.selection.backend(id).is_some() {
                return self.selection.backend(id);
            }
        }
    }
}

/// A node as Pingora tells it apart: by an address made of its id.
pub(super) fn backend_of(id: NodeId) -> Backend {
    let address = SocketAddrV4::new(Ipv4Addr::from(id.0), 0);
    Backend {
        addr: SocketAddr::Inet(address.into()),
        weight: 1,
        // What stands here would be cloned with every draw.
        ext: Extensions::new(),
    }
}

pub(super) fn id_of(backend: &Backend) -> Option<NodeId> {
    let std::net::SocketAddr::V4(address) = backend.addr.as_inet()? else {
        return None;
    };
    Some(NodeId(u32::from(*address.ip())))
}

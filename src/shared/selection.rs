//! Pingora's view of how nodes are drawn: its `BackendSelection`, by weight and then by load, as the
//! fleet stands at that moment.
//!
//! Calls draw from the view itself (`Pool::draw`), which knows what each of them needs; a key of
//! bytes, all that Pingora hands a selection, says nothing of that.

use std::collections::BTreeSet;
use std::sync::Arc;

use pingora::lb::Backend;
use pingora::lb::selection::{BackendIter, BackendSelection};

use crate::clock;
use crate::shared::fleet_state::{CurrentSnapshot, id_of};
use forebay_core::fleet::select::{self, Tier};
use forebay_core::method::block::NodeRequirements;
use forebay_core::vocabulary::node::NodeId;

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
            let (now, dice) = (clock::now(), &mut clock::roll);
            let needs = NodeRequirements::default();
            let id = select::draw(view, Tier::Own, &self.passed, &needs, now, dice)?;
            self.passed.push(id);
            // A node that joined after this selection was built is in the next one.
            if self.selection.backend(id).is_some() {
                return self.selection.backend(id);
            }
        }
    }
}

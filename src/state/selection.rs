//! Pingora's view of how nodes are drawn: its `BackendSelection`, by weight and then by load, as the
//! fleet stands at that moment.
//!
//! Calls draw from the view itself (`Pool::draw`), which knows what each of them needs; a key of
//! bytes, all that Pingora hands a selection, says nothing of that.

use std::collections::BTreeSet;
use std::sync::Arc;

use pingora::lb::Backend;
use pingora::lb::selection::{BackendIter, BackendSelection};

use super::pool::{Present, id_of};
use crate::clock;
use crate::domain::block::Needs;
use crate::domain::node::NodeId;
use crate::domain::select::{self, Ladder};

/// The selection.
pub struct ByWeightAndLoad {
    backends: Vec<Backend>,
    present: Present,
}

impl ByWeightAndLoad {
    fn backend(&self, id: NodeId) -> Option<&Backend> {
        let mut known = self.backends.iter();
        known.find(|backend| id_of(backend) == Some(id))
    }
}

impl BackendSelection for ByWeightAndLoad {
    type Iter = Draws;
    type Config = Present;

    fn build_with_config(backends: &BTreeSet<Backend>, present: &Present) -> Self {
        ByWeightAndLoad {
            backends: backends.iter().cloned().collect(),
            present: present.clone(),
        }
    }

    fn build(backends: &BTreeSet<Backend>) -> Self {
        ByWeightAndLoad::build_with_config(backends, &Present::default())
    }

    fn iter(self: &Arc<Self>, _key: &[u8]) -> Draws {
        Draws {
            selection: self.clone(),
            passed: Vec::new(),
        }
    }
}

/// One own fit node after another, never the same twice.
pub struct Draws {
    selection: Arc<ByWeightAndLoad>,
    passed: Vec<NodeId>,
}

impl BackendIter for Draws {
    fn next(&mut self) -> Option<&Backend> {
        let view = &self.selection.present.load().view;
        loop {
            let (now, dice) = (clock::now(), &mut clock::roll);
            let needs = Needs::default();
            let id = select::draw(view, Ladder::Own, &self.passed, &needs, now, dice)?;
            self.passed.push(id);
            // A node that joined after this selection was built is in the next one.
            if self.selection.backend(id).is_some() {
                return self.selection.backend(id);
            }
        }
    }
}

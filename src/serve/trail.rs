//! A call's trail, as its attempts leave it: several at once, and some of them after it was told.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::clock;
use crate::domain::trail::{Kind, Place, Trail};
use crate::domain::verdict::Class;

/// Of all calls of a request.
#[derive(Debug, Default)]
pub struct Path(Mutex<Trail>);

impl Path {
    fn trail(&self) -> MutexGuard<'_, Trail> {
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The value of the header, as of now.
    pub fn written(&self) -> String {
        self.trail().written()
    }
}

/// What an attempt is made for, where somebody wants to know of it.
#[derive(Clone, Copy, Debug)]
pub struct Following<'a> {
    pub path: &'a Arc<Path>,
    pub kind: Kind,
}

impl Following<'_> {
    /// An attempt on `node` begins.
    pub fn begin(self, node: &Arc<str>) -> Footprint {
        Footprint {
            path: self.path.clone(),
            place: self.path.trail().begin(node, self.kind),
            began_at: clock::now(),
        }
    }

    /// Takes note of what has ended already.
    pub fn note(self, node: &Arc<str>, outcome: &'static str, took: Duration) {
        let mut trail = self.path.trail();
        let place = trail.begin(node, self.kind);
        trail.end(place, outcome, took);
    }

    /// For another attempt in place of this one.
    pub fn again(self) -> Self {
        Following {
            kind: Kind::Repeat,
            ..self
        }
    }
}

/// An attempt under way. Dropped before it has ended, nobody waits for it any more.
#[derive(Debug)]
pub struct Footprint {
    path: Arc<Path>,
    place: Place,
    began_at: Instant,
}

impl Footprint {
    pub fn end(&self, class: Class) {
        let took = clock::now().saturating_duration_since(self.began_at);
        self.path.trail().end(self.place, class.outcome(), took);
    }
}

impl Drop for Footprint {
    fn drop(&mut self) {
        self.end(Class::Cancelled);
    }
}

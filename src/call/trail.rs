//! A call's trail, as its attempts leave it: several at once, and some of them after it was told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::clock;
use forebay_core::call::trail::{AttemptKind, AttemptTrail, TrailIndex};
use forebay_core::rpc::classify::AttemptClass;

/// Of all calls of a request.
#[derive(Debug, Default)]
pub struct RequestTrail(Mutex<AttemptTrail>);

impl RequestTrail {
    /// The value of the header, as of now.
    pub fn written(&self) -> String {
        self.0.lock().written()
    }
}

/// What an attempt is made for, where the client wants to know of it.
#[derive(Clone, Copy, Debug)]
pub struct TrailContext<'a> {
    pub trail: &'a Arc<RequestTrail>,
    pub kind: AttemptKind,
}

impl TrailContext<'_> {
    /// An attempt on `node` begins.
    pub fn begin(self, node: &Arc<str>) -> TrailGuard {
        TrailGuard {
            trail: self.trail.clone(),
            place: self.trail.0.lock().begin(node, self.kind),
            began_at: clock::now(),
        }
    }

    /// Takes note of what has ended already.
    pub fn note(self, node: &Arc<str>, outcome: &'static str, took: Duration) {
        let mut trail = self.trail.0.lock();
        let place = trail.begin(node, self.kind);
        trail.end(place, outcome, took);
    }

    /// For another attempt in place of this one.
    pub fn again(self) -> Self {
        TrailContext {
            kind: AttemptKind::Repeat,
            ..self
        }
    }
}

/// An attempt under way. If this is dropped before it has ended, nothing waits for it any more.
#[derive(Debug)]
pub struct TrailGuard {
    trail: Arc<RequestTrail>,
    place: TrailIndex,
    began_at: Instant,
}

impl TrailGuard {
    pub fn end(&self, class: AttemptClass) {
        let took = clock::now().saturating_duration_since(self.began_at);
        self.trail.0.lock().end(self.place, class.outcome(), took);
    }
}

impl Drop for TrailGuard {
    fn drop(&mut self) {
        self.end(AttemptClass::Cancelled);
    }
}

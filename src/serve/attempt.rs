//! Counts an attempt for its node's load and for the metrics.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock;
use crate::domain::fleet::NodeView;
use crate::domain::load::Load;
use crate::domain::verdict::{Blame, Class, Verdict};
use crate::state::upstreams::Upstream;

/// Counts an attempt from its beginning to its end, also when it is dropped on the way.
pub struct Attempt {
    pub upstream: Arc<Upstream>,
    load: Arc<Load>,
    began_at: Instant,
    /// Until its answer had begun: how fast the client takes the rest says nothing of the node.
    took: Option<Duration>,
    is_settled: bool,
}

impl Attempt {
    pub fn begin(upstream: &Arc<Upstream>, node: &NodeView) -> Attempt {
        node.load.begin();
        Attempt {
            upstream: upstream.clone(),
            load: node.load.clone(),
            began_at: clock::now(),
            took: None,
            is_settled: false,
        }
    }

    pub fn began_at(&self) -> Instant {
        self.began_at
    }

    /// The answer has begun, and goes to the client as it comes.
    pub fn commit(&mut self) {
        self.took = Some(clock::now().saturating_duration_since(self.began_at));
    }

    /// Tells load and metrics; says whether the node has failed time after time.
    pub fn settle(&mut self, verdict: Verdict) -> bool {
        let now = clock::now();
        let took = self
            .took
            .unwrap_or_else(|| now.saturating_duration_since(self.began_at));
        self.is_settled = true;
        self.upstream.metrics.attempted(verdict.class, took);
        match verdict.class.blame(verdict.rest) {
            Blame::Fault => self.load.faulted(took, now),
            Blame::None | Blame::Rest(_) => {
                self.load.answered(took, now);
                false
            }
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.load.end();
        if !self.is_settled {
            let took = clock::now().saturating_duration_since(self.began_at);
            self.upstream.metrics.attempted(Class::Cancelled, took);
        }
    }
}

//! Writes health back into the registry: when it changed, and every [`AT_MOST_EVERY`] otherwise.
//!
//! Of several balancers on one registry, the one that holds the lease writes for all.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock;
use crate::observe::metrics::ChainMetrics;
use crate::registry::{Registry, RegistryError, StoredHealth};
use crate::shared::fleet_state::FleetState;
use forebay_core::fleet::node_view::NodeView;
use forebay_core::fleet::standing::HealthState;
use forebay_core::vocabulary::node::NodeId;

const AT_MOST_EVERY: Duration = Duration::from_secs(30);

/// Knows what was written, and when.
pub struct HealthWriter {
    pub registry: Arc<dyn Registry>,
    pub fleet: Arc<FleetState>,
    pub metrics: Arc<ChainMetrics>,
    pub written: HashMap<NodeId, WrittenHealth>,
    /// The log was told that health can't be written.
    pub is_told: bool,
}

/// The verdict that was last written for a node.
pub struct WrittenHealth {
    at: Instant,
    is_healthy: bool,
    reason: Option<String>,
}

impl WrittenHealth {
    fn says(&self, health: &StoredHealth) -> bool {
        self.is_healthy == health.is_healthy && self.reason == health.reason
    }
}

impl HealthWriter {
    pub async fn write(&mut self) {
        // Of nodes that the registry may not have.
        if self.fleet.list_from.is().stands_in() {
            return;
        }
        match self.registry.holds_lease().await {
            Ok(true) => self.write_due().await,
            // The balancer that holds it next begins with all of them.
            Ok(false) => {
                self.written.clear();
                self.hear(None);
            }
            Err(why) => self.hear(Some(("lease", why))),
        }
    }

    async fn write_due(&mut self) {
        let snapshot = self.fleet.snapshot();
        let now = clock::now();
        let mut healths = Vec::new();
        let mut changed = Vec::new();
        for (node, upstream) in snapshot.view.nodes.iter().zip(snapshot.upstreams.iter()) {
            let health = health_of(node, now);
            if node.standing.state != HealthState::Unproven && self.is_due(node.id, &health, now) {
                let written = WrittenHealth {
                    at: now,
                    is_healthy: health.is_healthy,
                    reason: health.reason.clone(),
                };
                let before = self.written.insert(node.id, written);
                if before.is_none_or(|before| !before.says(&health)) {
                    changed.push(node.id);
                }
                healths.push((upstream.spec.url.as_written().to_string(), health));
            }
        }
        self.written
            .retain(|id, _| snapshot.view.node(*id).is_some());
        if healths.is_empty() {
            return;
        }
        match self.registry.record_health(&healths).await {
            Ok(()) => self.hear(None),
            Err(why) => {
                // A verdict that can't be read yet is due again at once; the others as ever, or
                // a table that throttles would be written to more often than one that doesn't.
                for id in changed {
                    self.written.remove(&id);
                }
                self.hear(Some(("record_health", why)));
            }
        }
    }

    /// Said once when it begins and once when it is over; the metric counts each time.
    fn hear(&mut self, error: Option<(&'static str, RegistryError)>) {
        let Some((operation, why)) = error else {
            if std::mem::take(&mut self.is_told) {
                log::info!("health is written back again");
            }
            return;
        };
        self.metrics.registry_failed(operation);
        if !std::mem::replace(&mut self.is_told, true) {
            log::warn!("{why}; health is not written back, and calls don't need it");
        }
    }

    fn is_due(&self, id: NodeId, health: &StoredHealth, now: Instant) -> bool {
        self.written.get(&id).is_none_or(|written| {
            let is_old = now.saturating_duration_since(written.at) >= AT_MOST_EVERY;
            is_old || !written.says(health)
        })
    }
}

fn health_of(node: &NodeView, now: Instant) -> StoredHealth {
    StoredHealth {
        is_healthy: node.standing.is_healthy(),
        block_number: node.head.map(|head| head.0),
        lag: node.lag().map(|lag| lag.0),
        reason: node.reason(now).map(|reason| reason.as_str().to_string()),
        checked_at: Some(clock::unix_millis()),
    }
}

//! What all feeds of a chain work with.

use std::sync::Arc;

use crate::background::pacing::CurrentSettings;
use crate::node::connector::Connector;
use crate::node::probe::Prober;
use crate::observe::metrics::ChainMetrics;
use crate::shared::fleet_state::FleetState;
use crate::shared::hub::Hub;
use forebay_core::fleet::awaited_blocks::OtherBalancers;

/// One of them for each chain.
pub struct FeedResources {
    pub fleet: Arc<FleetState>,
    pub hub: Arc<Hub>,
    pub metrics: Arc<ChainMetrics>,
    pub connector: Arc<Connector>,
    pub prober: Prober,
    pub settings: CurrentSettings,
    pub others: OtherBalancers,
}

#[cfg(test)]
impl FeedResources {
    /// Of one balancer, with nobody to tell.
    pub fn alone(fleet: FleetState) -> Arc<FeedResources> {
        let access = crate::node::access::NodeAccess::plain();
        Arc::new(FeedResources {
            fleet: Arc::new(fleet),
            hub: Arc::default(),
            metrics: ChainMetrics::alone(),
            connector: Arc::new(Connector::new(&access)),
            prober: Prober::new(access).unwrap(),
            settings: CurrentSettings::new(Arc::default()).1,
            others: OtherBalancers::None,
        })
    }
}

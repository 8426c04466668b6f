//! The store that balancers share, where there is one: opened here, kept up by a service of its own, and used
//! by each chain.

use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;

use crate::config::settings::{Settings, SharedKind};
use crate::observe::metrics::ProcessMetrics;
use crate::shared::store::{SharedStore, StoreConfig};
use forebay_core::vocabulary::caps::Caps;
use forebay_core::vocabulary::node::Secret;

/// What may wait to be written to the store, in bytes; and the part of the memory for requests' bodies that
/// it may be.
const QUEUE_BYTES_MAX: usize = 4 << 20;
const QUEUE_PART: usize = 16;

/// The store, and by what balancers know clients there.
#[derive(Clone)]
pub(super) struct SharedParts {
    pub store: Arc<SharedStore>,
    pub secret: Arc<str>,
    /// Of answers that wait to be written to it, in bytes, for each chain.
    pub answer_bytes_max: usize,
}

/// Connects nothing yet. `None`: there is none.
pub(super) fn open(
    settings: &Settings,
    caps: &Caps,
    metrics: &Arc<ProcessMetrics>,
    ca_file: Option<&str>,
) -> anyhow::Result<Option<SharedParts>> {
    let url = settings.shared.url.clone();
    let url = url.filter(|_| settings.shared.kind == SharedKind::Valkey);
    let Some(url) = url else { return Ok(None) };
    let secret = password(&url).unwrap_or_default().into();
    let config = StoreConfig {
        url,
        ca_file: ca_file.map(String::from),
        queue_bytes_max: QUEUE_BYTES_MAX.min(caps.bodies / QUEUE_PART),
    };
    let store = SharedStore::new(&config, metrics.clone());
    let store = Arc::new(store.context("forebay.shared")?);
    Ok(Some(SharedParts {
        store,
        secret,
        answer_bytes_max: config.queue_bytes_max / settings.all_chains().count().max(1),
    }))
}

/// What all balancers have alike, and nothing else has: they may call the store by different names.
fn password(url: &Secret) -> Option<String> {
    let url = url::Url::parse(url.reveal()).ok()?;
    url.password().map(str::to_string)
}

/// Keeps it up.
pub(super) struct StoreService(pub Arc<SharedStore>);

/// Until the process ends: calls are answered as long.
#[async_trait]
impl BackgroundService for StoreService {
    async fn start(&self, _: ShutdownWatch) {
        self.0.run().await;
    }
}

//! Follows the registry: what is written there serves here, within one refresh.
//!
//! Whatever goes wrong with the registry shrinks nothing: the list stays as it was last read.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::clock;
use crate::domain::node::{NodeRecord, NodeSpec};
use crate::registry::{Environment, Listing, Registry, RegistryError, last_list};
use crate::state::pool::Pool;
use crate::state::upstreams::{Roll, Upstream};
use crate::telemetry::metrics::Metrics;
use crate::upstream::resolver;

/// Reads the registry and hands its list to the pool.
pub struct Roster {
    pub registry: Arc<dyn Registry>,
    pub environment: Environment,
    pub pool: Arc<Pool>,
    pub metrics: Arc<Metrics>,
    pub roll: Roll,
    /// Written into a registry in which nothing was ever written.
    pub seeds: Vec<NodeRecord>,
    /// The registry has heard of the seeds.
    pub is_seeded: bool,
    pub last_list: PathBuf,
    pub refresh: Duration,
    /// What was said in the log, so that it is said once.
    pub told: Told,
}

/// What the log was told of already.
#[derive(Default)]
pub struct Told {
    outage: bool,
    warnings: BTreeSet<String>,
    rejected: BTreeSet<String>,
    unresolved: BTreeSet<String>,
}

impl Roster {
    /// The first list: from the registry, or from the disk when it is out of reach. Says whether
    /// there is one: without it nobody knows whom to ask.
    pub async fn begin(&mut self) -> bool {
        self.metrics.registry_awaited(clock::unix_millis() / 1000);
        let last_list = match self.read().await {
            Ok(listing) if listing.is_credible() => {
                self.take(listing).await;
                return true;
            }
            // As new as it looks, if there never was another list.
            Ok(listing) => match self.last_list().await {
                Ok(records) if !records.is_empty() => {
                    self.hear_outage("list", &emptied());
                    Ok(records)
                }
                Ok(_) | Err(_) => {
                    self.take(listing).await;
                    return true;
                }
            },
            Err((operation, why)) => {
                let is_news = self.hear_outage(operation, &why);
                let last_list = self.last_list().await;
                if let (Err(why), true) = (&last_list, is_news) {
                    log::error!("there is no last list to serve from either: {why}");
                }
                last_list
            }
        };
        let Ok(records) = last_list else { return false };
        self.take_last_list(&records).await;
        true
    }

    /// Reads the list anew; says whether it changed.
    pub async fn refresh(&mut self) -> bool {
        match self.read().await {
            Ok(listing) if listing.is_credible() || self.has_no_node() => self.take(listing).await,
            Ok(_) => {
                self.hear_outage("list", &emptied());
                false
            }
            Err((operation, why)) => {
                self.hear_outage(operation, &why);
                false
            }
        }
    }

    fn has_no_node(&self) -> bool {
        self.pool.snapshot().upstreams.is_empty()
    }

    /// The list, after a registry in which nothing was ever written has got the seeds.
    async fn read(&mut self) -> Result<Listing, (&'static str, RegistryError)> {
        if !self.is_seeded {
            match self.registry.seed(&self.seeds).await {
                Ok(_) => self.is_seeded = true,
                Err(why @ RegistryError::OutOfReach { .. }) => return Err(("seed", why)),
                Err(why) => {
                    self.is_seeded = true;
                    self.metrics.registry_failed("seed");
                    log::error!("the nodes of the configuration are not taken: {why}");
                }
            }
        }
        let listing = self.registry.list().await;
        listing.map_err(|why| ("list", why))
    }

    /// Once when an outage begins; the metric counts each time. Says whether it begins.
    fn hear_outage(&mut self, operation: &'static str, why: &RegistryError) -> bool {
        self.metrics.registry_failed(operation);
        let is_news = !std::mem::replace(&mut self.told.outage, true);
        if is_news {
            log::error!("{why}; the list stays as it was");
        }
        is_news
    }

    async fn last_list(&self) -> Result<Vec<NodeRecord>, String> {
        let path = self.last_list.clone();
        let loaded = tokio::task::spawn_blocking(move || last_list::load(&path)).await;
        let loaded = loaded.map_err(|why| why.to_string())?;
        loaded.map_err(|why| why.to_string())
    }

    async fn take_last_list(&mut self, records: &[NodeRecord]) {
        let count = records.len();
        log::warn!("serving from the last list on disk, {count} nodes");
        let (specs, rejected) = self.resolve(records);
        self.tell_rejected(rejected);
        self.apply(specs).await;
    }

    async fn take(&mut self, listing: Listing) -> bool {
        if std::mem::take(&mut self.told.outage) {
            log::info!("the registry is in reach again");
        }
        let records: Vec<_> = listing.items.into_iter().map(|item| item.record).collect();
        let (specs, unresolved) = self.resolve(&records);
        let rejected: Vec<_> = listing.rejected.into_iter().chain(unresolved).collect();
        self.metrics
            .registry_read(clock::unix_millis() / 1000, rejected.len());
        self.tell_rejected(rejected);
        let warnings: BTreeSet<_> = listing.warnings.into_iter().collect();
        for warning in warnings.difference(&self.told.warnings) {
            log::warn!("{warning}");
        }
        self.told.warnings = warnings;
        let is_new = self.apply(specs).await;
        if is_new {
            self.save(records).await;
        }
        is_new
    }

    fn resolve(&self, records: &[NodeRecord]) -> (Vec<NodeSpec>, Vec<String>) {
        let mut specs: Vec<NodeSpec> = Vec::with_capacity(records.len());
        let mut rejected = Vec::new();
        for (place, record) in (1..).zip(records) {
            let name = record
                .name
                .clone()
                .unwrap_or_else(|| format!("number {place}"));
            match record.resolve(&*self.environment) {
                Err(why) => rejected.push(format!("{name}: {why}")),
                Ok(spec) => {
                    let identity = spec.url.identity();
                    if specs.iter().any(|other| other.url.identity() == identity) {
                        rejected.push(format!("{name}: another node has the same URL"));
                    } else if specs.iter().any(|other| other.name == spec.name) {
                        rejected.push(format!("{name}: another node has the same name"));
                    } else {
                        specs.push(spec);
                    }
                }
            }
        }
        (specs, rejected)
    }

    fn tell_rejected(&mut self, rejected: Vec<String>) {
        let rejected: BTreeSet<_> = rejected.into_iter().collect();
        for sentence in rejected.difference(&self.told.rejected) {
            log::warn!("a node of the registry is passed over: {sentence}");
        }
        self.told.rejected = rejected;
    }

    async fn apply(&mut self, specs: Vec<NodeSpec>) -> bool {
        let present = self.pool.snapshot();
        let wanted = self.roll.call(specs, &present.upstreams);
        let is_same = |(one, other): (&Arc<Upstream>, &Arc<Upstream>)| Arc::ptr_eq(one, other);
        if wanted.len() == present.upstreams.len()
            && wanted.iter().zip(present.upstreams.iter()).all(is_same)
        {
            return false;
        }
        // A new node's name is resolved before it can be drawn.
        let is_new = |upstream: &&Arc<Upstream>| present.upstream(upstream.id).is_none();
        resolve_names(wanted.iter().filter(is_new), &mut self.told.unresolved).await;
        self.pool.replace(wanted.clone()).await;
        for old in present.upstreams.iter() {
            self.let_go(old, &wanted);
        }
        let names: Vec<_> = wanted.iter().map(|upstream| &*upstream.spec.name).collect();
        log::info!("the list has {} nodes: {}", names.len(), names.join(", "));
        true
    }

    /// A node that left keeps what it has in flight, and nothing else.
    fn let_go(&self, old: &Upstream, wanted: &[Arc<Upstream>]) {
        if !wanted
            .iter()
            .any(|upstream| Arc::ptr_eq(&upstream.link, &old.link))
        {
            old.link.close_idle();
        }
        if !wanted
            .iter()
            .any(|upstream| upstream.spec.name == old.spec.name)
        {
            self.metrics.forget_node(&old.spec.name);
        }
    }

    async fn save(&self, records: Vec<NodeRecord>) {
        let path = self.last_list.clone();
        match tokio::task::spawn_blocking(move || last_list::save(&path, &records)).await {
            Ok(Ok(_)) => {}
            Ok(Err(why)) => log::warn!("the last list could not be written: {why}"),
            Err(why) => log::warn!("writing the last list failed: {why}"),
        }
    }

    /// Resolves all names anew. A name that stops resolving keeps its last addresses.
    pub async fn resolve_again(&mut self) {
        let snapshot = self.pool.snapshot();
        resolve_names(snapshot.upstreams.iter(), &mut self.told.unresolved).await;
    }
}

/// A list without a node that nobody emptied.
fn emptied() -> RegistryError {
    RegistryError::OutOfReach {
        operation: "list",
        why: "it came back without a node that can be read, and nobody took them away with \
              `forebay backends remove`"
            .to_string(),
    }
}

async fn resolve_names(
    upstreams: impl Iterator<Item = &Arc<Upstream>>,
    told: &mut BTreeSet<String>,
) {
    let lookups = upstreams.filter_map(|upstream| {
        let (host, port) = upstream.link.needs_resolving()?;
        Some(async move { (host, upstream, resolver::resolve(host, port).await) })
    });
    for (host, upstream, found) in futures_util::future::join_all(lookups).await {
        match found {
            Ok(addresses) if !addresses.is_empty() => {
                upstream.link.set_addresses(addresses);
                if told.remove(host) {
                    log::info!("{host} resolves again");
                }
            }
            Ok(_) => tell_unresolved(host, "no address", told),
            Err(why) => tell_unresolved(host, &why.to_string(), told),
        }
    }
}

fn tell_unresolved(host: &str, why: &str, told: &mut BTreeSet<String>) {
    if told.insert(host.to_string()) {
        log::warn!("{host} does not resolve ({why}); its last addresses stay");
    }
}

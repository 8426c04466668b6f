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
    pub last_list: PathBuf,
    pub refresh: Duration,
    /// What was said in the log, so that it is said once.
    pub told: Told,
}

/// What the log was told of already.
#[derive(Default)]
pub struct Told {
    outage: bool,
    rejected: BTreeSet<String>,
    unresolved: BTreeSet<String>,
}

impl Roster {
    /// The first list: from the registry, or from the disk when it is out of reach.
    pub async fn begin(&mut self) {
        if let Err(why) = self.registry.seed(&self.seeds).await {
            self.hear_outage("seed", &why);
        }
        let registry = self.registry.clone();
        match registry.list().await {
            Ok(listing) => {
                self.take(listing).await;
            }
            Err(why) => {
                self.hear_outage("list", &why);
                self.take_last_list().await;
            }
        }
    }

    /// Reads the list anew; says whether it changed.
    pub async fn refresh(&mut self) -> bool {
        let registry = self.registry.clone();
        match registry.list().await {
            Ok(listing) => self.take(listing).await,
            Err(why) => {
                self.hear_outage("list", &why);
                false
            }
        }
    }

    /// Once when an outage begins; the metric counts each time.
    fn hear_outage(&mut self, operation: &'static str, why: &RegistryError) {
        self.metrics.registry_failed(operation);
        if !std::mem::replace(&mut self.told.outage, true) {
            log::error!("{why}; the list stays as it was");
        }
    }

    async fn take_last_list(&mut self) {
        let path = self.last_list.clone();
        let loaded = tokio::task::spawn_blocking(move || last_list::load(&path)).await;
        match loaded {
            Ok(Ok(records)) => {
                log::warn!(
                    "serving from the last list on disk, {} nodes",
                    records.len()
                );
                let (specs, rejected) = self.resolve(&records);
                self.tell_rejected(rejected);
                self.apply(specs).await;
            }
            Ok(Err(why)) => log::error!("there is no last list to serve from either: {why}"),
            Err(why) => log::error!("reading the last list failed: {why}"),
        }
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

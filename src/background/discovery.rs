//! Follows the registry: what is written there serves here, within one refresh.
//!
//! Whatever goes wrong with the registry shrinks nothing: the list stays as it was last read.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::scrutiny;
use crate::background::following::ConfigFollower;
use crate::background::pacing::CurrentSettings;
use crate::background::resolving::resolve_names;
use crate::background::retained_nodes::RetainedNodes;
use crate::clock;
use crate::observe::events::nodes_in_words;
use crate::observe::metrics::ChainMetrics;
use crate::registry::file_turns;
use crate::registry::last_list::{self, LastListError, LastListFile};
use crate::registry::validation::resolve_all;
use crate::registry::{Environment, Listing, Registry, RegistryError};
use crate::shared::fleet_state::FleetState;
use crate::shared::list_source::ListSource;
use crate::shared::node_clients::{ClientFactory, Upstream};
use forebay_core::vocabulary::node::{NodeRecord, NodeSpec};

/// So long the first list is waited for before something else is served: a process that starts is
/// needed.
const FIRST_PATIENCE: Duration = Duration::from_secs(3);

/// Reads the registry and hands its list to the fleet.
pub struct NodeDiscovery {
    pub registry: Arc<dyn Registry>,
    pub environment: Environment,
    pub fleet: Arc<FleetState>,
    pub metrics: Arc<ChainMetrics>,
    pub clients: ClientFactory,
    pub settings: CurrentSettings,
    pub following: ConfigFollower,
    pub last_list: LastListFile,
    /// Nodes that serve beside the list until one of it is fit.
    pub leftovers: RetainedNodes,
    /// Of this process: no node is there.
    pub listeners: Vec<SocketAddr>,
    /// What was said in the log, so that it is said once.
    pub told: ReportedIssues,
}

/// What the log was told of already.
#[derive(Default)]
pub struct ReportedIssues {
    outage: bool,
    /// The last list could not be written: it is due until it can.
    unsaved: bool,
    leftovers: bool,
    warnings: BTreeSet<String>,
    rejected: BTreeSet<String>,
    unresolved: BTreeSet<String>,
}

/// Why there is no list from the registry.
enum ListFailure {
    /// Nothing was ever written there.
    New,
    Unbelievable(RegistryError),
    /// With the operation that failed.
    OutOfReach(&'static str, RegistryError),
}

/// A list that may be served.
#[derive(Default)]
struct CheckedList {
    records: Vec<NodeRecord>,
    /// Those of `records` that can be used here.
    specs: Vec<NodeSpec>,
    rejected: usize,
    warnings: BTreeSet<String>,
    is_lost: bool,
}

impl NodeDiscovery {
    /// The first list: from the registry, or, when it is out of reach or says nothing that can be
    /// believed, from the disk, or from the configuration. Says whether there is one: without it there is no
    /// node to ask.
    pub async fn begin(&mut self) -> bool {
        self.metrics.registry_awaited(clock::unix_millis() / 1000);
        let file = self.last_list.clone();
        // It fails where nothing is to be done.
        drop(file_turns::take_turn(move || last_list::tidy(&file)).await);
        let read = tokio::time::timeout(FIRST_PATIENCE, self.read()).await;
        let no_list = match read.unwrap_or_else(|_| Err(("list", late()))) {
            Ok(listing) if listing.is_unwritten => ListFailure::New,
            Ok(listing) => match self.weigh(listing) {
                Ok(weighed) => {
                    self.take(weighed).await;
                    return true;
                }
                Err(why) => ListFailure::Unbelievable(why),
            },
            Err((operation, why)) => ListFailure::OutOfReach(operation, why),
        };
        self.begin_without(no_list).await
    }

    async fn begin_without(&mut self, no_list: ListFailure) -> bool {
        let last_list = self.last_list().await;
        let has_node = matches!(&last_list, Ok(Some(records)) if !records.is_empty());
        let is_news = match &no_list {
            // As new as it looks, if there never was another list.
            ListFailure::New if !has_node => {
                if let Err(why) = last_list {
                    log::error!("the last list can't be read; the registry is new: {why}");
                }
                self.take(CheckedList::default()).await;
                return true;
            }
            ListFailure::New => self.hear_outage("list", &emptied()),
            ListFailure::Unbelievable(why) => self.hear_outage("list", why),
            ListFailure::OutOfReach(operation, why) => self.hear_outage(operation, why),
        };
        let why = match last_list {
            // Written without a node, it was when the last one had been taken away.
            Ok(Some(records)) if has_node || matches!(no_list, ListFailure::OutOfReach(..)) => {
                return self.take_stand_in(&records, ListSource::LastList).await;
            }
            Ok(Some(_)) => "it has no node".to_string(),
            Ok(None) => format!("{} is not there", self.last_list.path().display()),
            Err(why) => why,
        };
        let nodes = self.settings.say(|settings| settings.nodes.clone());
        if !nodes.is_empty() {
            log::warn!("there is no last list to serve from either: {why}");
            return self.take_stand_in(&nodes, ListSource::Configuration).await;
        }
        if is_news {
            log::error!(
                "there is no last list to serve from either, and no node in the configuration: {why}"
            );
        }
        false
    }

    /// Reads the list anew; says whether it changed.
    pub async fn refresh(&mut self) -> bool {
        let read = match self.read().await {
            Ok(listing) => self.weigh(listing).map_err(|why| ("list", why)),
            Err(error) => Err(error),
        };
        match read {
            Ok(weighed) => self.take(weighed).await,
            Err((operation, why)) => {
                self.hear_outage(operation, &why);
                false
            }
        }
    }

    fn has_no_node(&self) -> bool {
        self.fleet.snapshot().upstreams.is_empty()
    }

    /// The list, after the registry has heard of the configuration's nodes.
    async fn read(&mut self) -> Result<Listing, (&'static str, RegistryError)> {
        let nodes = self.settings.say(|settings| settings.nodes.clone());
        self.following.heed(&*self.registry, &nodes).await?;
        let out = |why| ("list", why);
        let listing = self.registry.list().await.map_err(out)?;
        let admitted = {
            let present = self.fleet.snapshot();
            let admitting = self
                .following
                .admit_fit(&*self.registry, &listing.items, &present);
            admitting.await.map_err(|why| ("follow", why))?
        };
        let listing = match admitted {
            true => self.registry.list().await.map_err(out)?,
            false => listing,
        };
        self.following.compare(&listing.items, &*self.environment);
        Ok(listing)
    }

    /// Once when an outage begins; the metric counts each time. Says whether it begins.
    fn hear_outage(&mut self, operation: &'static str, why: &RegistryError) -> bool {
        self.metrics.registry_failed(operation);
        self.fleet.list_from.hear_outage();
        self.following.hear_outage();
        let is_news = !std::mem::replace(&mut self.told.outage, true);
        if is_news {
            log::error!("{why}; the list stays as it was");
        }
        is_news
    }

    /// `None`: there is none on the disk.
    async fn last_list(&self) -> Result<Option<Vec<NodeRecord>>, String> {
        let file = self.last_list.clone();
        let loaded = file_turns::take_turn(move || last_list::load(&file)).await;
        match loaded.map_err(|why| why.to_string())? {
            Ok(records) => Ok(Some(records)),
            Err(LastListError::Absent(_)) => Ok(None),
            Err(why @ (LastListError::File { .. } | LastListError::Malformed { .. })) => {
                Err(why.to_string())
            }
        }
    }

    /// Says whether it can be served from.
    async fn take_stand_in(&mut self, records: &[NodeRecord], from: ListSource) -> bool {
        let (specs, rejected) = resolve_all(records, &*self.environment);
        self.tell_rejected(rejected);
        if specs.is_empty() && !records.is_empty() {
            return false;
        }
        let count = nodes_in_words(specs.len());
        let source = match from {
            ListSource::Configuration => "the nodes of the configuration",
            ListSource::LastList | ListSource::Registry | ListSource::Memory => {
                "the last list on disk"
            }
        };
        log::warn!(
            "serving from {source}, {count}, until the registry answers; health is not written"
        );
        self.fleet.list_from.set(from);
        self.apply(specs).await;
        true
    }

    /// What of a list can be served here, if the list is to be believed: one without a usable
    /// node would leave none to ask, so it must be known to be meant.
    fn weigh(&mut self, listing: Listing) -> Result<CheckedList, RegistryError> {
        let is_new = listing.is_unwritten && self.has_no_node();
        if !listing.is_credible() && !is_new {
            if !self.has_no_node() {
                self.leftovers.hear_loss();
            }
            self.tell_rejected(listing.rejected);
            return Err(emptied());
        }
        let hidden = listing.items.iter().filter_map(scrutiny::shows_variable);
        let warnings = listing.warnings.into_iter().chain(hidden).collect();
        let records: Vec<_> = listing.items.into_iter().map(|item| item.record).collect();
        let (specs, unresolved) = resolve_all(&records, &*self.environment);
        let (specs, ours) = scrutiny::apart_from_ours(specs, &self.listeners);
        let rejected = [listing.rejected, unresolved, ours].concat();
        let count = rejected.len();
        self.tell_rejected(rejected);
        if specs.is_empty() && !records.is_empty() {
            return Err(unusable());
        }
        Ok(CheckedList {
            records,
            specs,
            rejected: count,
            warnings,
            is_lost: listing.is_lost,
        })
    }

    async fn take(&mut self, weighed: CheckedList) -> bool {
        let replaces = weighed.is_lost || self.fleet.list_from.is().stands_in();
        self.leftovers.hear_list(replaces, &self.fleet.snapshot());
        self.fleet.list_from.set(ListSource::Registry);
        if std::mem::take(&mut self.told.outage) {
            log::info!("the registry is in reach again");
        }
        self.metrics
            .registry_read(clock::unix_millis() / 1000, weighed.rejected);
        for warning in weighed.warnings.difference(&self.told.warnings) {
            log::warn!("{warning}");
        }
        self.told.warnings = weighed.warnings;
        let specs = self.leftovers.beside(weighed.specs, &self.fleet.snapshot());
        self.tell_leftovers();
        let is_new = self.apply(specs).await;
        if is_new || self.told.unsaved {
            self.save(weighed.records).await;
        }
        is_new
    }

    fn tell_leftovers(&mut self) {
        let are_there = !self.leftovers.is_empty();
        self.fleet.has_leftovers.store(are_there, Ordering::Relaxed);
        if are_there != std::mem::replace(&mut self.told.leftovers, are_there) {
            match are_there {
                true => log::warn!(
                    "the list is another than before, and nobody took the former nodes away: they \
                     serve beside it until one of it is fit"
                ),
                false => log::info!("the list serves by itself"),
            }
        }
    }

    fn tell_rejected(&mut self, rejected: Vec<String>) {
        let rejected: BTreeSet<_> = rejected.into_iter().collect();
        for sentence in rejected.difference(&self.told.rejected) {
            log::warn!("a node of the registry is passed over: {sentence}");
        }
        self.told.rejected = rejected;
    }

    async fn apply(&mut self, specs: Vec<NodeSpec>) -> bool {
        let present = self.fleet.snapshot();
        let wanted = self.clients.call(specs, &present.upstreams);
        let is_same = |(one, other): (&Arc<Upstream>, &Arc<Upstream>)| Arc::ptr_eq(one, other);
        if wanted.len() == present.upstreams.len()
            && wanted.iter().zip(present.upstreams.iter()).all(is_same)
        {
            return false;
        }
        // The name of a node is resolved before it can be drawn, also where only the way to it is new.
        let is_new = |wanted: &&Arc<Upstream>| !has_way_to(&present.upstreams, wanted);
        resolve_names(wanted.iter().filter(is_new), &mut self.told.unresolved).await;
        self.fleet.replace(wanted.clone()).await;
        for old in present.upstreams.iter() {
            self.let_go(old, &wanted);
        }
        let names: Vec<_> = wanted.iter().map(|upstream| &*upstream.spec.name).collect();
        log::info!(
            "the list has {}: {}",
            nodes_in_words(names.len()),
            names.join(", ")
        );
        true
    }

    /// A node that left keeps what it has in flight, and nothing else.
    fn let_go(&self, old: &Upstream, wanted: &[Arc<Upstream>]) {
        if !has_way_to(wanted, old) {
            old.link.close_idle();
        }
        if !wanted
            .iter()
            .any(|upstream| upstream.spec.name == old.spec.name)
        {
            self.metrics.forget_node(&old.spec.name);
        }
    }

    /// Said once when it begins to fail and once when it is over.
    async fn save(&mut self, records: Vec<NodeRecord>) {
        let file = self.last_list.clone();
        let saving = file_turns::take_turn(move || last_list::save(&file, &records));
        let saved = saving.await.map_err(|why| why.to_string());
        let saved = saved.and_then(|saved| saved.map_err(|why| why.to_string()));
        let was_unsaved = std::mem::replace(&mut self.told.unsaved, saved.is_err());
        match saved {
            Err(why) if !was_unsaved => log::warn!(
                "the last list is not written, and is tried again: a start without the registry \
                 would serve an older one: {why}"
            ),
            Ok(_) if was_unsaved => log::info!("the last list is written again"),
            Err(_) | Ok(_) => {}
        }
    }

    /// Resolves all names anew. A name that stops resolving keeps its last addresses.
    /// Says whether one has moved.
    pub async fn resolve_again(&mut self) -> bool {
        let snapshot = self.fleet.snapshot();
        resolve_names(snapshot.upstreams.iter(), &mut self.told.unresolved).await
    }
}

fn out_of_reach(why: impl Into<String>) -> RegistryError {
    RegistryError::OutOfReach {
        operation: "list",
        why: why.into(),
    }
}

/// The registry takes longer than a process that starts can wait.
fn late() -> RegistryError {
    out_of_reach(format!("no answer within {FIRST_PATIENCE:?}"))
}

/// A list without a node, though its nodes weren't taken away.
fn emptied() -> RegistryError {
    out_of_reach(
        "it came back without a node that can be read, and nobody took them away with \
         `forebay backends remove`",
    )
}

/// A list of nodes of which none can be served here.
fn unusable() -> RegistryError {
    out_of_reach("none of its nodes can be used here; are the variables in their URLs set?")
}

/// Whether one of `upstreams` is reached by the same way as `node`.
fn has_way_to(upstreams: &[Arc<Upstream>], node: &Upstream) -> bool {
    let mut ways = upstreams.iter().map(|upstream| &upstream.link);
    ways.any(|way| Arc::ptr_eq(way, &node.link))
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use std::path::PathBuf;

    use crate::node::access::NodeAccess;

    use super::*;
    use crate::node::connector::Connector;
    use crate::registry::embedded::EmbeddedRegistry;
    use forebay_core::testing;

    /// A registry in a file, and the processes that follow it.
    struct ListOnDisk {
        folder: tempfile::TempDir,
        registry: Arc<EmbeddedRegistry>,
        key: Arc<Mutex<Option<String>>>,
    }

    impl ListOnDisk {
        fn new() -> ListOnDisk {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("forebay.db");
            ListOnDisk {
                registry: Arc::new(EmbeddedRegistry::open(&path, Arc::new(|_| None)).unwrap()),
                folder,
                key: Arc::default(),
            }
        }

        fn set_key(&self, key: Option<&str>) {
            *self.key.lock() = key.map(str::to_string);
        }

        async fn add(&self, url: &str) {
            self.registry.add(&NodeRecord::at(url)).await.unwrap();
        }

        /// A process that has just started.
        fn discovery(&self) -> NodeDiscovery {
            let metrics = ChainMetrics::alone();
            let connector = Arc::new(Connector::new(&NodeAccess::plain()));
            let key = self.key.clone();
            let fleet = Arc::new(FleetState::new(testing::fleet()));
            let places = fleet.places.clone();
            NodeDiscovery {
                registry: self.registry.clone(),
                environment: Arc::new(move |_| key.lock().clone()),
                fleet,
                clients: ClientFactory::new(connector, metrics.clone(), places, 1),
                metrics,
                settings: CurrentSettings::new(Arc::default()).1,
                following: ConfigFollower::default(),
                last_list: LastListFile::new(&self.last_list(), None),
                leftovers: RetainedNodes::default(),
                listeners: Vec::new(),
                told: ReportedIssues::default(),
            }
        }

        fn last_list(&self) -> PathBuf {
            self.folder.path().join("last_list.json")
        }

        fn damage_all_rows(&self) {
            let path = self.folder.path().join("forebay.db");
            let connection = rusqlite::Connection::open(path).unwrap();
            connection
                .execute_batch("UPDATE nodes SET weight = 1001")
                .unwrap();
        }
    }

    fn count(discovery: &NodeDiscovery) -> usize {
        discovery.fleet.snapshot().upstreams.len()
    }

    #[tokio::test]
    async fn a_list_of_which_nothing_can_be_used_here_changes_nothing() {
        let list = ListOnDisk::new();
        list.add("http://127.0.0.1:1/${KEY}").await;
        let mut fresh = list.discovery();
        assert!(!fresh.begin().await && !list.last_list().exists());
        list.set_key(Some("k"));
        assert!(fresh.begin().await);
        assert_eq!(count(&fresh), 1);
        let saved = std::fs::read(list.last_list()).unwrap();
        list.set_key(None);
        assert!(!fresh.refresh().await);
        assert_eq!(count(&fresh), 1);
        assert!(!list.discovery().begin().await, "neither list has a node");
        assert_eq!(std::fs::read(list.last_list()).unwrap(), saved);
    }

    #[tokio::test]
    async fn a_new_task_goes_on_to_the_last_list_when_the_list_cannot_be_used() {
        let list = ListOnDisk::new();
        list.add("http://127.0.0.1:1").await;
        assert!(list.discovery().begin().await);
        list.registry.remove("http://127.0.0.1:1").await.unwrap();
        list.add("http://127.0.0.1:2/${KEY}").await;
        let mut next = list.discovery();
        assert!(next.begin().await);
        assert_eq!(count(&next), 1);
    }

    #[tokio::test]
    async fn a_last_list_that_cannot_be_written_is_written_as_soon_as_it_can() {
        let list = ListOnDisk::new();
        list.add("http://127.0.0.1:1").await;
        std::fs::create_dir(list.last_list()).unwrap();
        let mut discovery = list.discovery();
        assert!(discovery.begin().await);
        assert!(!discovery.refresh().await && list.last_list().is_dir());
        std::fs::remove_dir(list.last_list()).unwrap();
        assert!(!discovery.refresh().await, "it is the same list");
        assert!(list.last_list().is_file());
    }

    #[tokio::test]
    async fn damaged_rows_empty_no_fleet_and_let_no_new_task_begin() {
        let list = ListOnDisk::new();
        list.add("http://127.0.0.1:1").await;
        let mut running = list.discovery();
        assert!(running.begin().await);
        list.damage_all_rows();
        assert!(!running.refresh().await);
        assert_eq!(count(&running), 1);
        std::fs::remove_file(list.last_list()).unwrap();
        assert!(!list.discovery().begin().await);
        std::fs::write(list.last_list(), "{").unwrap();
        assert!(!list.discovery().begin().await);
    }

    #[tokio::test]
    async fn a_registry_that_is_new_or_emptied_on_purpose_is_begun_with() {
        let list = ListOnDisk::new();
        let mut running = list.discovery();
        assert!(running.begin().await);
        list.add("http://127.0.0.1:1").await;
        assert!(running.refresh().await);
        list.registry.remove("http://127.0.0.1:1").await.unwrap();
        assert!(running.refresh().await);
        assert_eq!(count(&running), 0);
        assert!(list.discovery().begin().await);
    }
}

//! Carries out what is asked of the nodes: in the registry, and said in the log.
//!
//! The registry rules; this process reads it again at once after a change of its own, others
//! within their `registry.refresh`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Serialize;
use url::Url;

use crate::admin::auth::Credential;
use crate::admin::error::AdminError;
use crate::admin::requests::{self, NodeChange};
use crate::admin::routes::DrainAction;
use crate::clock;
use crate::observe::logs;
use crate::registry::item_json::ItemJson;
use crate::registry::validation::{EnvironmentLookup, identity_of, name_of};
use crate::registry::{Environment, NodeEdit, Registry, RegistryItem};
use crate::shared::fleet_state::FleetState;
use crate::shared::snapshot::Snapshot;
use forebay_core::fleet::node_view::NodeView;
use forebay_core::vocabulary::node::{NodeRecord, NodeSpec, NodeUrl, Weight};
use forebay_core::vocabulary::target::{self, OwnAddresses};

/// Between two looks whether a drained node is idle.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The caller of a request, as the log says it.
#[derive(Clone, Copy, Debug)]
pub struct AdminCaller {
    pub address: Option<IpAddr>,
    pub credential: Credential,
}

impl fmt::Display for AdminCaller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => write!(f, "{address}")?,
            None => f.write_str("an unknown address")?,
        }
        f.write_str(match self.credential {
            Credential::Open => ", no token being set",
            Credential::Token => " with the token",
        })
    }
}

/// What answers the requests of one chain.
pub struct AdminHandlers {
    pub registry: Arc<dyn Registry>,
    pub environment: Environment,
    pub fleet: Arc<FleetState>,
    /// Of this process: no node is there.
    pub listeners: Vec<SocketAddr>,
    /// Whether an address is one of this machine.
    pub is_local: fn(IpAddr) -> bool,
}

/// A node that was taken out of service.
#[derive(Debug, Serialize)]
pub(super) struct DrainedNode {
    #[serde(flatten)]
    pub item: ItemJson,
    /// Attempts that it has not answered yet, of this process.
    pub in_flight: u32,
}

impl AdminHandlers {
    /// # Errors
    /// The registry can't be read.
    pub async fn list(&self, reveal: bool) -> Result<Vec<ItemJson>, AdminError> {
        let listing = self.registry.list().await?;
        let leftovers = self.leftovers(&listing.items);
        let leftovers = leftovers.iter().map(|item| ItemJson {
            is_leftover: true,
            ..self.shown(item, reveal)
        });
        let items = listing.items.iter().map(|item| self.shown(item, reveal));
        Ok(items.chain(leftovers).collect())
    }

    /// Whether a node with the same URL and headers is on this chain's list.
    pub fn has(&self, record: &NodeRecord) -> bool {
        let snapshot = self.fleet.snapshot();
        let resolved = record.resolve(&*self.environment);
        resolved.is_ok_and(|wanted| {
            let mut upstreams = snapshot.upstreams.iter();
            upstreams.any(|upstream| upstream.spec.is_same_node(&wanted))
        })
    }

    /// What a node of the list is once it has other headers, where `change` gives it some.
    pub(crate) fn with_headers(&self, change: &NodeChange) -> Option<NodeRecord> {
        let headers = change.edit.headers.clone()?;
        let snapshot = self.fleet.snapshot();
        let mut specs = snapshot.upstreams.iter().map(|upstream| &upstream.spec);
        let identity = identity_of(&change.key, &*self.environment);
        let spec = specs.find(|it| it.url.identity() == identity || *it.name == *change.key)?;
        Some(NodeRecord {
            headers,
            ..NodeRecord::at(spec.url.as_written())
        })
    }

    /// The nodes that serve beside the registry's: it has lost them.
    fn leftovers(&self, items: &[RegistryItem]) -> Vec<RegistryItem> {
        if !self.fleet.has_leftovers.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let snapshot = self.fleet.snapshot();
        let specs = snapshot.upstreams.iter().map(|upstream| &upstream.spec);
        let is_left = |spec: &&NodeSpec| {
            let url = spec.url.as_written();
            items.iter().all(|item| item.record.url != url)
        };
        let item = |spec: &NodeSpec| {
            let record = NodeRecord {
                name: Some(spec.name.to_string()),
                weight: spec.weight,
                in_flight_max: spec.in_flight_max,
                purpose: spec.purpose.clone(),
                role: spec.role,
                ..NodeRecord::at(spec.url.as_written())
            };
            RegistryItem::new(record, String::new())
        };
        specs.filter(is_left).map(item).collect()
    }

    /// # Errors
    /// The registry refuses it or can't be used.
    pub async fn add(
        &self,
        record: &NodeRecord,
        caller: AdminCaller,
    ) -> Result<RegistryItem, AdminError> {
        self.judge(record)?;
        let item = self.registry.add(record).await?;
        let (role, weight) = (item.record.role.as_str(), item.record.weight.get());
        self.tell(
            &item,
            &format!("added ({role} node, weight {weight})"),
            caller,
        );
        Ok(item)
    }

    fn judge(&self, record: &NodeRecord) -> Result<(), AdminError> {
        let ours = OwnAddresses {
            listeners: &self.listeners,
            is_local: &self.is_local,
        };
        target::check(record, false, ours, &*self.environment).map_err(AdminError::input)
    }

    /// # Errors
    /// No such node, or the registry refuses the change or can't be used.
    pub async fn change(
        &self,
        change: &NodeChange,
        caller: AdminCaller,
    ) -> Result<RegistryItem, AdminError> {
        if let Some(socket) = &change.edit.ws_url {
            self.judge(&target::socket_alone(socket))?;
        }
        let item = self.registry.set(&change.key, &change.edit).await?;
        let what = format!("changed: {}", requests::in_words(&change.edit));
        self.tell(&item, &what, caller);
        Ok(item)
    }

    /// # Errors
    /// No such node, or the registry can't be used.
    pub async fn remove(&self, key: &str, caller: AdminCaller) -> Result<RegistryItem, AdminError> {
        let item = self.registry.remove(key).await?;
        self.tell(&item, "removed", caller);
        Ok(item)
    }

    /// Takes a node out of service or puts it back. One that is there already stays as it is.
    ///
    /// # Errors
    /// No such node, or the registry can't be used.
    pub async fn turn(
        &self,
        action: DrainAction,
        name: &str,
        caller: AdminCaller,
    ) -> Result<RegistryItem, AdminError> {
        let item = self.find(name).await?;
        let Some(weight) = weight_after(action, &item) else {
            return Ok(item);
        };
        let edit = NodeEdit {
            weight: Some(weight),
            ..NodeEdit::default()
        };
        let item = self.registry.set(&item.record.url, &edit).await?;
        let what = match action {
            DrainAction::Drain => "drained: no new calls".to_string(),
            DrainAction::Cordon => "cordoned: no new calls".to_string(),
            DrainAction::Undrain => format!("undrained: weight {} again", weight.get()),
        };
        self.tell(&item, &what, caller);
        Ok(item)
    }

    async fn find(&self, name: &str) -> Result<RegistryItem, AdminError> {
        let listing = self.registry.list().await?;
        let mut items = listing.items.into_iter();
        let found = items.find(|item| self.name(&item.record) == name);
        found.ok_or(AdminError::NoSuchNode)
    }

    /// Waits until a drained node has no call in flight here, or the time is over.
    pub async fn wait_until_idle(&self, item: &RegistryItem, patience: Duration) -> u32 {
        let deadline = clock::now() + patience;
        loop {
            let snapshot = self.fleet.snapshot();
            let node = node_of(&snapshot, &item.record);
            let is_taken = node.is_none_or(|node| node.weight.drains());
            let in_flight = node.map_or(0, |node| node.load.in_flight());
            if (is_taken && in_flight == 0) || clock::now() >= deadline {
                return in_flight;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// An item as a caller may see it, with what is known of its health by now.
    pub fn shown(&self, item: &RegistryItem, reveal: bool) -> ItemJson {
        let lookup: EnvironmentLookup<'_> = &*self.environment;
        let mut json = ItemJson::of(item, lookup);
        if !reveal {
            json.url = masked(&json.url, lookup);
            json.ws_url = json.ws_url.map(|url| masked(&url, lookup));
        }
        let snapshot = self.fleet.snapshot();
        if let Some(node) = node_of(&snapshot, &item.record) {
            json.is_healthy = node.standing.is_healthy();
            json.block_number = node.head.map(|head| head.0);
            json.lag = node.lag().map(|lag| lag.0);
            let reason = node.reason(clock::now());
            json.reason = reason.map(|reason| reason.as_str().to_string());
        }
        json
    }

    fn name(&self, record: &NodeRecord) -> String {
        name_of(record.name.as_deref(), &record.url, &*self.environment)
    }

    /// Says which caller did what, and has the list read at once.
    fn tell(&self, item: &RegistryItem, what: &str, caller: AdminCaller) {
        let name = self.name(&item.record);
        let text = format!("node {name} was {what}; by {caller}");
        logs::of_chain(&self.fleet.chain, || log::info!("admin: {text}"));
        self.fleet.journal.note_changed(Some(name.into()), text);
        self.fleet.list_is_due.notify_one();
    }
}

/// The weight that an action gives a node; `None` when it is there already.
fn weight_after(action: DrainAction, item: &RegistryItem) -> Option<Weight> {
    let drains = item.record.weight.drains();
    match action {
        DrainAction::Drain | DrainAction::Cordon => (!drains).then_some(Weight::NONE),
        DrainAction::Undrain => drains.then(|| item.former_weight.unwrap_or(Weight::ONE)),
    }
}

/// The node that a record describes, as this process knows it.
fn node_of<'a>(snapshot: &'a Snapshot, record: &NodeRecord) -> Option<&'a NodeView> {
    let mut upstreams = snapshot.upstreams.iter();
    let found = upstreams.find(|upstream| upstream.spec.url.as_written() == record.url)?;
    snapshot.view.node(found.id)
}

/// A URL as far as its host. Where a variable hides the host, the whole of it is hidden.
fn masked(url: &str, lookup: EnvironmentLookup<'_>) -> String {
    if let Ok(url) = NodeUrl::http(url, lookup).or_else(|_| NodeUrl::socket(url, lookup)) {
        return url.to_string();
    }
    // The environment lacks a variable of it; a host that is written out may be told.
    let host = Url::parse(url).ok();
    let host = host
        .as_ref()
        .filter(|url| !url.authority().contains(['$', '{', '%', '@']));
    match host {
        Some(url) if url.has_host() => format!("{}://{}/…", url.scheme(), url.authority()),
        Some(_) | None => "…".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    fn weight(weight: u64) -> Weight {
        Weight::new(weight).unwrap()
    }

    fn item(present: u64, former: Option<u64>) -> RegistryItem {
        let record = NodeRecord {
            weight: weight(present),
            ..NodeRecord::at("http://a")
        };
        RegistryItem {
            former_weight: former.map(weight),
            ..RegistryItem::new(record, String::new())
        }
    }

    #[test]
    fn a_drained_node_has_no_weight_and_its_former_one_returns() {
        for (action, item, wanted) in [
            (DrainAction::Drain, item(7, None), Some(0)),
            (DrainAction::Cordon, item(7, None), Some(0)),
            (DrainAction::Drain, item(0, Some(7)), None),
            (DrainAction::Undrain, item(0, Some(7)), Some(7)),
            (DrainAction::Undrain, item(0, None), Some(1)),
            (DrainAction::Undrain, item(7, None), None),
        ] {
            assert_eq!(
                weight_after(action, &item),
                wanted.map(weight),
                "{action:?}"
            );
        }
    }

    #[test]
    fn a_masked_url_ends_with_its_host() {
        let environment = |name: &str| (name == "KEY").then(|| "s3cret".to_string());
        for (url, wanted) in [
            ("http://10.0.0.11:8545", "http://10.0.0.11:8545"),
            ("https://a.example/v3/${KEY}", "https://a.example/…"),
            ("https://a.example/v3/${NOPE}", "https://a.example/…"),
            ("https://a.example:8443?k=v", "https://a.example:8443/…"),
            ("ws://a.example/s3cret", "ws://a.example/…"),
            ("http://user:s3cret@a.example", "…"),
            ("https://${KEY}.example/x", "https://s3cret.example/…"),
            ("https://${NOPE}.example/x", "…"),
            ("${NOPE}", "…"),
            ("data:s3cret", "…"),
            ("s3cret", "…"),
        ] {
            assert_eq!(masked(url, &environment), wanted, "{url}");
        }
    }

    #[test]
    fn the_log_names_the_caller() {
        let address = Some(IpAddr::from([127, 0, 0, 1]));
        let caller = |credential| {
            AdminCaller {
                address,
                credential,
            }
            .to_string()
        };
        assert_eq!(caller(Credential::Token), "127.0.0.1 with the token");
        assert_eq!(caller(Credential::Open), "127.0.0.1, no token being set");
    }
}

//! The registry in DynamoDB: one table for several balancers, and a small one beside it.
//!
//! The node table may be the 2018 original's, as it is (see [`row`]). The state table holds the
//! list's revision, so that an unchanged list costs one small read, and which balancer writes health down.
//! Nothing that goes wrong here is more than an error to the caller: what serves, serves on.

mod changes;
mod error;
mod lease;
mod listing;
mod requests;
mod row;
mod state_table;
mod tables;

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::stream::{self, StreamExt as _};
use tokio::sync::Mutex;

use super::{Environment, Listing, Registry, RegistryError, SharedHead};
use crate::clock;
use crate::registry::dynamo::changes::{ListSnapshot, TableChange, TableWrite};
use crate::registry::dynamo::error::DynamoError;
use crate::registry::dynamo::requests::{DynamoTables, holds, number, text};
use crate::registry::dynamo::row::DynamoRow;
use crate::registry::dynamo::state_table::Revision;
use crate::registry::validation::EnvironmentLookup;
use crate::registry::{NodeEdit, RegistryItem, StoredHealth};
use forebay_core::fleet::head_floor::{FloorWrite, HeadFloor};
use forebay_core::vocabulary::chance::Dice as _;
use forebay_core::vocabulary::lease::LeaseParticipant;
use forebay_core::vocabulary::node::NodeRecord;

/// The longest that a call takes: a list of many pages, or a change among many others.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// A list is read whole this often, whatever its revision: people edit tables in a console.
const WHOLE_EVERY: Duration = Duration::from_secs(50);
/// Between two tries of a change that met another; drawn by chance up to this, which doubles with
/// each try up to [`PAUSE_MAX`].
const FIRST_PAUSE_MAX: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// Writes of one transaction beside the list's revision; DynamoDB takes 100.
const WRITES_MAX: usize = 99;
/// Between two looks for another balancer's floor. A look is half a read unit, on demand 0.125 dollars a
/// million (us-east-1, 2026): 33 cents a month and balancer. A raise is a write unit, 0.625 dollars a
/// million, and there is one a second for all: 1.64 dollars.
const FLOOR_EVERY: Duration = Duration::from_millis(500);
/// Health of so many nodes is written at once.
const HEALTHS_AT_ONCE: usize = 8;

/// Where the list is, and how long the lease of the balancer that writes health down lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DynamoConfig {
    pub table: String,
    /// `None`: AWS, in the region that the SDK finds.
    pub endpoint: Option<String>,
    pub lease: Duration,
}

/// The registry in a table.
pub struct DynamoRegistry {
    store: DynamoTables,
    environment: Environment,
    me: String,
    /// The last list that was read whole.
    listed: Mutex<Option<CachedListing>>,
    /// The last version of a list that could be believed.
    seen: AtomicU64,
    /// One change at a time: two of one process need not cross.
    changing: Mutex<()>,
    tenancy: Mutex<LeaseParticipant>,
}

struct CachedListing {
    revision: Revision,
    read_at: Instant,
    listing: Listing,
}

impl DynamoRegistry {
    /// Sends no request yet, and needs no runtime. `environment` resolves `${NAME}` in URLs.
    pub fn new(place: &DynamoConfig, environment: Environment) -> DynamoRegistry {
        let me = own_name();
        DynamoRegistry {
            store: DynamoTables::new(&place.table, place.endpoint.clone()),
            environment,
            tenancy: Mutex::new(LeaseParticipant::new(me.clone(), place.lease)),
            me,
            listed: Mutex::default(),
            seen: AtomicU64::new(0),
            changing: Mutex::default(),
        }
    }

    /// The same over a client that was made elsewhere, with credentials of its own.
    pub fn over(client: Client, place: &DynamoConfig, environment: Environment) -> DynamoRegistry {
        DynamoRegistry {
            store: DynamoTables::over(client, &place.table),
            ..DynamoRegistry::new(place, environment)
        }
    }

    /// The registry of another chain, in tables of its own: its list, lease, revision and shared head have
    /// nothing to do with this one's. One client asks for both.
    #[must_use]
    pub fn beside(&self, place: &DynamoConfig) -> DynamoRegistry {
        DynamoRegistry {
            store: self.store.beside(&place.table),
            ..DynamoRegistry::new(place, self.environment.clone())
        }
    }

    /// Makes the tables where they are missing; a sentence on each thing done, found or left.
    ///
    /// # Errors
    /// [`RegistryError::OutOfReach`], also when a table of that name has another key.
    pub async fn init(&self) -> Result<Vec<String>, RegistryError> {
        tables::init(&self.store)
            .await
            .map_err(|why| RegistryError::OutOfReach {
                operation: "init",
                why,
            })
    }

    fn lookup(&self) -> EnvironmentLookup<'_> {
        &*self.environment
    }

    fn out_of_reach(&self, operation: &'static str, error: &DynamoError) -> RegistryError {
        let DynamoTables { nodes, state, .. } = &self.store;
        RegistryError::OutOfReach {
            operation,
            why: match operation {
                "list" | "record_health" => format!("table {nodes}: {error}"),
                "lease" | "share" | "floor" => format!("table {state}: {error}"),
                _ => format!("tables {nodes} and {state}: {error}"),
            },
        }
    }

    /// `work`, within [`PATIENCE`], its error told.
    async fn call<T>(
        &self,
        operation: &'static str,
        work: impl Future<Output = Result<T, DynamoError>>,
    ) -> Result<T, RegistryError> {
        tokio::time::timeout(PATIENCE, work)
            .await
            .unwrap_or(Err(DynamoError::TimedOut))
            .map_err(|error| self.out_of_reach(operation, &error))
    }

    async fn read(&self) -> Result<ListSnapshot, DynamoError> {
        // The revision first: a change in between is then seen at the next look.
        let revision = state_table::revision(&self.store).await?;
        self.read_rows(revision).await
    }

    async fn read_rows(&self, revision: Revision) -> Result<ListSnapshot, DynamoError> {
        let rows = self.store.scan().await?.into_iter().map(DynamoRow::new);
        Ok(ListSnapshot {
            revision,
            rows: listing::in_order(rows.collect()),
        })
    }

    async fn look(&self) -> Result<Listing, DynamoError> {
        let mut listed = self.listed.lock().await;
        let revision = state_table::revision(&self.store).await?;
        if let Some(listed) = &*listed
            && listed.revision == revision
            && revision != Revision::Unkept
            && clock::now().saturating_duration_since(listed.read_at) < WHOLE_EVERY
        {
            return Ok(listed.listing.clone());
        }
        let read_at = clock::now();
        let snapshot = self.read_rows(revision).await?;
        let mut listing = listing::of(&snapshot, self.lookup());
        // An empty list that no change emptied is looked at again at once.
        *listed = listing.is_credible().then(|| CachedListing {
            revision,
            read_at,
            listing: listing.clone(),
        });
        if listing.is_credible() {
            let version = revision.version();
            listing.is_lost = self.seen.swap(version, Ordering::Relaxed) > version;
        }
        Ok(listing)
    }

    /// Decides and writes, again and again until no other change came between; within [`PATIENCE`], the
    /// changes before it included.
    async fn change<T>(
        &self,
        operation: &'static str,
        decide: impl Fn(&ListSnapshot) -> Result<TableChange<T>, RegistryError>,
    ) -> Result<T, RegistryError> {
        let told = |error| self.out_of_reach(operation, &error);
        let changing = async {
            let _one = self.changing.lock().await;
            let deadline = clock::now() + PATIENCE - PAUSE_MAX;
            let mut pause_max = FIRST_PAUSE_MAX;
            loop {
                let snapshot = self.read().await.map_err(told)?;
                let change = decide(&snapshot)?;
                let writing = self.write(snapshot.revision, change.writes, change.is_emptied);
                match writing.await {
                    Ok(()) => {
                        self.listed.lock().await.take();
                        return Ok(change.outcome);
                    }
                    Err(DynamoError::Conflict | DynamoError::Crossed)
                        if clock::now() < deadline =>
                    {
                        let chance = (&mut clock::roll as &mut dyn FnMut() -> u64).fraction();
                        tokio::time::sleep(pause_max.mul_f64(chance)).await;
                        pause_max = (pause_max * 2).min(PAUSE_MAX);
                    }
                    Err(error) => return Err(told(error)),
                }
            }
        };
        let changed = tokio::time::timeout(PATIENCE, changing).await;
        changed.unwrap_or_else(|_| Err(told(DynamoError::TimedOut)))
    }

    /// All of `writes` with a new revision. More than one transaction holds (a long seed) are
    /// several, each with its revision.
    async fn write(
        &self,
        mut revision: Revision,
        writes: Vec<TableWrite>,
        is_emptied: bool,
    ) -> Result<(), DynamoError> {
        let mut writes = writes.into_iter().peekable();
        while writes.peek().is_some() {
            let some = writes.by_ref().take(WRITES_MAX);
            let some = some.map(|write| write.request(&self.store));
            let mut requests = some.collect::<Result<Vec<_>, _>>()?;
            let next = state_table::next_revision(&self.store, revision, is_emptied, &self.me)?;
            requests.push(next);
            self.store.transact(requests).await?;
            revision = Revision::At {
                version: revision.version().saturating_add(1),
                is_emptied,
            };
        }
        Ok(())
    }

    /// Writes one node's health, unless we have written one as new.
    async fn write_health(&self, url: &str, health: &StoredHealth) -> Result<(), DynamoError> {
        let update = self.store.node_update(url).await?;
        holds(health_update(update, health, &self.me))
            .await
            .map(drop)
    }
}

/// What no other process is called: the machine, the process, and a chance.
fn own_name() -> String {
    let machine = fs::read_to_string("/etc/hostname").unwrap_or_default();
    let machine: String = machine.trim().chars().take(64).collect();
    let chance = clock::roll() & 0xffff_ffff;
    format!("{machine}-{}-{chance:08x}", std::process::id())
}

/// The number of a node that gave none stays as it was, as it did with the original. What another
/// wrote is replaced whatever its time: that clock may be ahead of ours. So is what we wrote at a time
/// that is still to come: our clock has been set back since.
fn health_update(
    update: UpdateItemFluentBuilder,
    health: &StoredHealth,
    me: &str,
) -> UpdateItemFluentBuilder {
    let names = ["block_number", "lag", "reason"];
    let values = [
        health.block_number.map(number),
        health.lag.map(number),
        health.reason.as_ref().map(text),
    ];
    let mut update = update
        .condition_expression(
            "attribute_exists(#url) AND (attribute_not_exists(checked_at) \
             OR attribute_not_exists(checked_by) OR checked_by <> :me OR checked_at < :at \
             OR checked_at > :now)",
        )
        .expression_attribute_names("#url", "url")
        .expression_attribute_values(":at", number(health.checked_at.unwrap_or(0)))
        .expression_attribute_values(":now", number(clock::unix_millis()))
        .expression_attribute_values(":healthy", AttributeValue::Bool(health.is_healthy))
        .expression_attribute_values(":me", text(me));
    let mut set = "SET is_healthy = :healthy, checked_at = :at, checked_by = :me".to_string();
    let mut remove = Vec::new();
    for (name, value) in names.into_iter().zip(values) {
        match value {
            Some(value) => {
                set += &format!(", #{name} = :{name}");
                update = update
                    .expression_attribute_names(format!("#{name}"), name)
                    .expression_attribute_values(format!(":{name}"), value);
            }
            None if name == "block_number" => {}
            None => {
                update = update.expression_attribute_names(format!("#{name}"), name);
                remove.push(format!("#{name}"));
            }
        }
    }
    if !remove.is_empty() {
        set += &format!(" REMOVE {}", remove.join(", "));
    }
    update.update_expression(set)
}

#[async_trait]
impl Registry for DynamoRegistry {
    async fn list(&self) -> Result<Listing, RegistryError> {
        self.call("list", self.look()).await
    }

    async fn seed(&self, records: &[NodeRecord]) -> Result<bool, RegistryError> {
        if records.is_empty() {
            return Ok(false);
        }
        let decide = |snapshot: &ListSnapshot| changes::seed(snapshot, records, self.lookup());
        self.change("seed", decide).await
    }

    async fn add(&self, record: &NodeRecord) -> Result<RegistryItem, RegistryError> {
        let decide = |snapshot: &ListSnapshot| changes::add(snapshot, record, self.lookup());
        self.change("add", decide).await
    }

    async fn set(&self, key: &str, edit: &NodeEdit) -> Result<RegistryItem, RegistryError> {
        let decide = |snapshot: &ListSnapshot| changes::set(snapshot, key, edit, self.lookup());
        self.change("set", decide).await
    }

    async fn remove(&self, key: &str) -> Result<RegistryItem, RegistryError> {
        let decide = |snapshot: &ListSnapshot| changes::remove(snapshot, key, self.lookup());
        self.change("remove", decide).await
    }

    async fn record_health(&self, healths: &[(String, StoredHealth)]) -> Result<(), RegistryError> {
        let writes = stream::iter(healths.to_vec())
            .map(async |(url, health)| self.write_health(&url, &health).await)
            .buffer_unordered(HEALTHS_AT_ONCE);
        let written = writes.fold(Ok(()), async |so_far, one| so_far.and(one));
        self.call("record_health", written).await
    }

    async fn holds_lease(&self) -> Result<bool, RegistryError> {
        self.call("lease", self.keep_lease()).await
    }

    async fn shared_head(&self, leader: &str) -> Result<Option<SharedHead>, RegistryError> {
        let read = state_table::shared_head(&self.store, leader);
        self.call("share", read).await
    }

    async fn share_head(&self, leader: &str, head: SharedHead) -> Result<(), RegistryError> {
        let write = state_table::share_head(&self.store, leader, head, &self.me);
        self.call("share", write).await
    }

    async fn floor(&self) -> Result<Option<HeadFloor>, RegistryError> {
        self.call("floor", state_table::floor(&self.store)).await
    }

    async fn raise_floor(&self, write: FloorWrite) -> Result<bool, RegistryError> {
        let write = state_table::raise_floor(&self.store, write, &self.me);
        self.call("floor", write).await
    }

    fn floor_every(&self) -> Duration {
        FLOOR_EVERY
    }
}

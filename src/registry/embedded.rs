//! The registry in a file of its own: SQLite, for one machine.
//!
//! The nodes of chains other than the default one stand in tables of their own, which earlier releases pass
//! over. Several processes may have the file open (the server and the command line): every change is
//! one transaction that takes the write lock before it looks. The file holds URLs with the
//! credentials in them, so it is made readable by its owner alone, and no error quotes it.
//! SQLite blocks, so the work is done on the threads for files; a call that was given up for its time writes
//! nothing afterwards.

mod changes;
mod configured_nodes;
mod floor;
mod opening;
mod table;

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use tokio::sync::Mutex;

use super::{Environment, Listing, Registry, RegistryError, SharedHead};
use crate::clock;
use crate::registry::embedded::changes::ChangeError;
use crate::registry::embedded::table::ChainTables;
use crate::registry::file_turns::take_turn;
use crate::registry::validation::EnvironmentLookup;
use crate::registry::{FollowReport, NodeEdit, RegistryItem, StoredHealth};
use forebay_core::fleet::head_floor::{FloorWrite, HeadFloor};
use forebay_core::vocabulary::chain::ChainName;
use forebay_core::vocabulary::node::NodeRecord;

/// The longest that opening or a call takes, waiting for other processes included.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Between two looks for another process's floor: one that takes over tells it by itself.
const FLOOR_EVERY: Duration = Duration::from_secs(5);

/// The embedded registry, of one chain. Clones, and those of other chains, share one connection.
#[derive(Clone)]
pub struct EmbeddedRegistry {
    path: PathBuf,
    /// `None`: the default one, whose nodes earlier releases know.
    chain: Option<ChainName>,
    /// `None` until the file can be opened, and once it has shown itself damaged.
    database: Arc<Mutex<Option<OpenDatabase>>>,
    environment: Environment,
    patience: Duration,
}

/// The connection, and the last lists read over it, each with the version of the file it was read at.
struct OpenDatabase {
    connection: Connection,
    listed: HashMap<Option<ChainName>, (i64, Listing)>,
    /// Which file it is.
    inode: Option<u64>,
}

impl OpenDatabase {
    /// Opens the file at `path`, and makes its folder and file where there are none.
    fn open(path: &Path) -> Result<OpenDatabase, String> {
        let why = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
        opening::create(path).map_err(|error| why(&error))?;
        let connection = opening::connect(path).map_err(|unfit| why(&unfit))?;
        Ok(OpenDatabase {
            connection,
            listed: HashMap::new(),
            inode: fs::metadata(path).ok().map(|found| found.ino()),
        })
    }

    /// Whether another file stands there now: one that was repaired, or a copy that was put back.
    fn is_replaced(&self, path: &Path) -> bool {
        let found = fs::metadata(path).ok().filter(fs::Metadata::is_file);
        found.is_some_and(|found| self.inode.is_some_and(|inode| found.ino() != inode))
    }
}

/// The database, opened anew where that is needed.
fn ready<'a>(
    slot: &'a mut Option<OpenDatabase>,
    path: &Path,
) -> Result<&'a mut OpenDatabase, ChangeError> {
    if slot
        .as_ref()
        .is_some_and(|database| database.is_replaced(path))
    {
        *slot = None;
    }
    match slot {
        Some(database) => Ok(database),
        None => Ok(slot.insert(OpenDatabase::open(path).map_err(ChangeError::File)?)),
    }
}

impl EmbeddedRegistry {
    /// Opens the registry at `path`, and makes its folder and file where there are none. Blocks
    /// for about [`PATIENCE`] at most; needs no runtime. `environment` resolves `${NAME}` in URLs.
    ///
    /// # Errors
    /// [`RegistryError::OutOfReach`] when the file can't be used: no permission, corrupt, made
    /// by a newer program or by another one.
    pub fn open(path: &Path, environment: Environment) -> Result<EmbeddedRegistry, RegistryError> {
        let database = OpenDatabase::open(path).map_err(|why| out_of_reach("open", &why))?;
        Ok(EmbeddedRegistry {
            database: Arc::new(Mutex::new(Some(database))),
            ..EmbeddedRegistry::later(path, environment)
        })
    }

    /// The same at a file that can't be opened now: each call tries.
    pub fn later(path: &Path, environment: Environment) -> EmbeddedRegistry {
        EmbeddedRegistry {
            path: path.to_path_buf(),
            chain: None,
            database: Arc::default(),
            environment,
            patience: PATIENCE,
        }
    }

    /// The registry of `chain` in the same file; `None`: of the default one.
    #[must_use]
    pub fn of_chain(&self, chain: Option<&ChainName>) -> EmbeddedRegistry {
        EmbeddedRegistry {
            chain: chain.cloned(),
            ..self.clone()
        }
    }

    /// What nodes can still be read of a damaged file, up to where it can't be read any further: by
    /// chain, the default one first.
    pub fn salvage(path: &Path) -> Vec<(Option<ChainName>, Vec<NodeRecord>)> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let Ok(connection) = Connection::open_with_flags(path, flags) else {
            return vec![(None, Vec::new())];
        };
        let others = table::chains(&connection).into_iter().map(Some);
        let chains = std::iter::once(None).chain(others);
        let nodes_of = |chain: Option<ChainName>| {
            let tables = ChainTables::new(&connection, chain.as_ref());
            let rows = table::rows_while_readable(tables);
            let items = rows.iter().filter_map(|row| row.item(&|_| None).ok());
            let records = items.map(|item| item.record).collect();
            (chain, records)
        };
        chains.map(nodes_of).collect()
    }

    /// Does `work` on a thread that may block, within the time for a call.
    async fn call<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut OpenDatabase, Instant, EnvironmentLookup<'_>) -> Result<T, ChangeError>
        + Send
        + 'static,
    ) -> Result<T, RegistryError> {
        let deadline = clock::now() + self.patience;
        let environment = self.environment.clone();
        let path = self.path.clone();
        let done = async {
            let mut slot = self.database.clone().lock_owned().await;
            let turn = take_turn(move || {
                let left = deadline.saturating_duration_since(clock::now());
                let database = ready(&mut slot, &path)?;
                database.connection.busy_timeout(left)?;
                let done = work(database, deadline, &*environment);
                if matches!(&done, Err(ChangeError::Store(why)) if is_damage(why)) {
                    *slot = None;
                }
                done
            });
            turn.await
                .map_err(|why| out_of_reach(operation, &why))?
                .map_err(|stop| match stop {
                    ChangeError::Refused(refused) => refused,
                    ChangeError::Damaged { .. } => RegistryError::Damaged(stop.to_string()),
                    ChangeError::Store(_) | ChangeError::File(_) | ChangeError::Late => {
                        out_of_reach(operation, &stop)
                    }
                })
        };
        tokio::time::timeout(self.patience, done)
            .await
            .unwrap_or_else(|_| Err(out_of_reach(operation, &ChangeError::Late)))
    }

    /// Does `work` as one change to the file: all of it, or nothing.
    async fn change<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(ChainTables<'_>, EnvironmentLookup<'_>) -> Result<T, ChangeError>
        + Send
        + 'static,
    ) -> Result<T, RegistryError> {
        let chain = self.chain.clone();
        self.call(operation, move |database, deadline, lookup| {
            database.listed.remove(&chain);
            let immediate = TransactionBehavior::Immediate;
            let change = database.connection.transaction_with_behavior(immediate)?;
            let outcome = work(ChainTables::new(&change, chain.as_ref()), lookup)?;
            // The caller has been told by then that nothing was done.
            if clock::now() >= deadline {
                return Err(ChangeError::Late);
            }
            change.commit()?;
            Ok(outcome)
        })
        .await
    }
}

fn out_of_reach(operation: &'static str, why: &dyn std::fmt::Display) -> RegistryError {
    RegistryError::OutOfReach {
        operation,
        why: why.to_string(),
    }
}

/// Nothing more can be had of a connection that says so.
fn is_damage(why: &rusqlite::Error) -> bool {
    matches!(
        why.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

#[async_trait]
impl Registry for EmbeddedRegistry {
    async fn list(&self) -> Result<Listing, RegistryError> {
        let chain = self.chain.clone();
        self.call("list", move |database, _, lookup| {
            // Read before the rows: a change in between is then seen at the next call.
            let version = database
                .connection
                .pragma_query_value(None, "data_version", |row| row.get(0))?;
            if let Some((at, listing)) = database.listed.get(&chain)
                && *at == version
            {
                return Ok(listing.clone());
            }
            let tables = ChainTables::new(&database.connection, chain.as_ref());
            let listing = changes::list(tables, lookup)?;
            database.listed.insert(chain, (version, listing.clone()));
            Ok(listing)
        })
        .await
    }

    async fn seed(&self, records: &[NodeRecord]) -> Result<bool, RegistryError> {
        let records = records.to_vec();
        self.change("seed", move |tables, lookup| {
            changes::seed(tables, &records, lookup)
        })
        .await
    }

    async fn follow(&self, nodes: &[NodeRecord]) -> Result<Option<FollowReport>, RegistryError> {
        let nodes = nodes.to_vec();
        let followed = self.change("follow", move |tables, lookup| {
            configured_nodes::follow(tables, &nodes, lookup)
        });
        followed.await.map(Some)
    }

    async fn list_following(&self, nodes: &[NodeRecord]) -> Result<Listing, RegistryError> {
        let (nodes, chain) = (nodes.to_vec(), self.chain.clone());
        self.call("list", move |database, _, lookup| {
            // Taken back at its end.
            let look = database.connection.transaction()?;
            let tables = ChainTables::new(&look, chain.as_ref());
            configured_nodes::follow(tables, &nodes, lookup)?;
            changes::list(tables, lookup)
        })
        .await
    }

    async fn admit(&self, url: &str) -> Result<(), RegistryError> {
        let url = url.to_string();
        self.change("follow", move |tables, _| {
            configured_nodes::admit(tables, &url)
        })
        .await
    }

    async fn add(&self, record: &NodeRecord) -> Result<RegistryItem, RegistryError> {
        let record = record.clone();
        self.change("add", move |tables, lookup| {
            changes::add(tables, &record, lookup)
        })
        .await
    }

    async fn set(&self, key: &str, edit: &NodeEdit) -> Result<RegistryItem, RegistryError> {
        let (key, edit) = (key.to_string(), edit.clone());
        self.change("set", move |tables, lookup| {
            changes::set(tables, &key, &edit, lookup)
        })
        .await
    }

    async fn remove(&self, key: &str) -> Result<RegistryItem, RegistryError> {
        let key = key.to_string();
        self.change("remove", move |tables, lookup| {
            changes::remove(tables, &key, lookup)
        })
        .await
    }

    async fn record_health(&self, healths: &[(String, StoredHealth)]) -> Result<(), RegistryError> {
        let healths = healths.to_vec();
        self.change("record_health", move |tables, _| {
            changes::record_health(tables, &healths)
        })
        .await
    }

    /// One server to a file: no other one writes.
    async fn holds_lease(&self) -> Result<bool, RegistryError> {
        Ok(true)
    }

    async fn shared_head(&self, _leader: &str) -> Result<Option<SharedHead>, RegistryError> {
        Ok(None)
    }

    async fn share_head(&self, _leader: &str, _head: SharedHead) -> Result<(), RegistryError> {
        Ok(())
    }

    async fn floor(&self) -> Result<Option<HeadFloor>, RegistryError> {
        let chain = self.chain.clone();
        self.call("floor", move |database, _, _| {
            Ok(floor::read(&database.connection, chain.as_ref())?)
        })
        .await
    }

    /// The list stays as it is: no change of it is noted.
    async fn raise_floor(&self, write: FloorWrite) -> Result<bool, RegistryError> {
        let chain = self.chain.clone();
        self.call("floor", move |database, _, _| {
            let immediate = TransactionBehavior::Immediate;
            let change = database.connection.transaction_with_behavior(immediate)?;
            let is_written = floor::raise(&change, chain.as_ref(), &write)?;
            change.commit()?;
            Ok(is_written)
        })
        .await
    }

    /// Another process has the file while one is replaced by the next.
    fn floor_every(&self) -> Duration {
        FLOOR_EVERY
    }
}

#[cfg(test)]
#[path = "embedded/chains_tests.rs"]
mod chains_tests;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::process::{Child, Command};
    use std::sync::Barrier;
    use std::thread;

    use super::opening::PAUSE;
    use super::*;
    use forebay_core::testing::{assert_says, leader, named};
    use forebay_core::vocabulary::node::Weight;

    /// A test that takes longer than this hangs.
    const DEADLINE: Duration = Duration::from_secs(60);

    pub(super) struct Home {
        folder: tempfile::TempDir,
    }

    impl Home {
        pub(super) fn new() -> Home {
            let folder = tempfile::tempdir().unwrap();
            Home { folder }
        }

        pub(super) fn path(&self) -> PathBuf {
            self.folder.path().join("data/forebay.db")
        }

        pub(super) fn open(&self) -> EmbeddedRegistry {
            let environment = |name: &str| (name == "KEY").then(|| "s3cret".to_string());
            EmbeddedRegistry::open(&self.path(), Arc::new(environment)).unwrap()
        }

        /// The file, as another program has it.
        pub(super) fn connection(&self) -> Connection {
            let connection = Connection::open(self.path()).unwrap();
            connection.busy_timeout(PATIENCE).unwrap();
            connection
        }

        pub(super) fn by_hand(&self, sql: &str) {
            self.connection().execute_batch(sql).unwrap();
        }
    }

    fn to_weight(weight: u64) -> NodeEdit {
        NodeEdit {
            weight: Some(Weight::new(weight).unwrap()),
            ..NodeEdit::default()
        }
    }

    pub(super) async fn urls(registry: &EmbeddedRegistry) -> Vec<String> {
        let listing = registry.list().await.unwrap();
        assert_eq!(listing.rejected, [""; 0]);
        let items = listing.items.into_iter();
        items.map(|item| item.record.url).collect()
    }

    fn why(outcome: Result<impl Sized, RegistryError>) -> String {
        outcome.err().unwrap().to_string()
    }

    #[test]
    fn opening_makes_the_folder_and_a_file_for_its_owner_alone_without_a_runtime() {
        let home = Home::new();
        let _open = home.open();
        for name in ["forebay.db", "forebay.db-wal", "forebay.db-shm"] {
            let file = fs::metadata(home.path().with_file_name(name)).unwrap();
            assert_eq!(file.permissions().mode() & 0o777, 0o600, "{name}");
        }
    }

    #[tokio::test]
    async fn an_unchanged_list_is_not_read_again() {
        let home = Home::new();
        let registry = home.open();
        registry.add(&NodeRecord::at("http://a")).await.unwrap();
        registry.list().await.unwrap();
        // A mark in the remembered list shows whether it was that one.
        let mark = "remembered".to_string();
        let mut slot = registry.database.lock().await;
        let database = slot.as_mut().unwrap();
        database
            .listed
            .get_mut(&None)
            .unwrap()
            .1
            .rejected
            .push(mark.clone());
        drop(slot);
        assert_eq!(registry.list().await.unwrap().rejected, [mark]);
        home.by_hand("UPDATE nodes SET weight = 7");
        let listing = registry.list().await.unwrap();
        assert_eq!(listing.items[0].record.weight.get(), 7);
        assert!(listing.rejected.is_empty());
    }

    /// SQLite knows no larger one.
    #[tokio::test]
    async fn a_block_number_beyond_the_largest_of_a_file_is_written_as_that() {
        let home = Home::new();
        let registry = home.open();
        registry.add(&NodeRecord::at("http://a/")).await.unwrap();
        let health = |block_number| StoredHealth {
            block_number: Some(block_number),
            checked_at: Some(11),
            ..StoredHealth::default()
        };
        let written = [("http://a/".to_string(), health(u64::MAX))];
        registry.record_health(&written).await.unwrap();
        let listing = home.open().list().await.unwrap();
        assert_eq!(listing.items[0].health, health(i64::MAX as u64));
    }

    #[tokio::test]
    async fn rows_that_are_no_nodes_are_passed_over_and_named_without_their_urls() {
        let home = Home::new();
        let registry = home.open();
        for name in ["weight", "rung", "headers", "array", "text", "good"] {
            let url = format!("http://{name}/s3cret");
            registry.add(&named(name, &url)).await.unwrap();
        }
        home.by_hand(
            "UPDATE nodes SET weight = 1001 WHERE name = 'weight';
             UPDATE nodes SET rung = 'chief' WHERE name = 'rung';
             UPDATE nodes SET headers = '{\"a\": \"s3cret\"' WHERE name = 'headers';
             UPDATE nodes SET headers = '[\"s3cret\"]', name = 'http://array/s3cret' WHERE name = 'array';
             UPDATE nodes SET name = CAST(x'ff' AS TEXT) WHERE name = 'text';
             INSERT INTO nodes (url, identity, when_added) VALUES
                 ('ftp://host/s3cret', 'a', ''), ('//s3cret', 'b', ''), ('', 'c', '');",
        );
        let listing = registry.list().await.unwrap();
        let urls: Vec<_> = listing.items.iter().map(|item| &item.record.url).collect();
        assert_eq!(urls, ["http://good/s3cret"]);
        let starts = [
            "weight: the weight",
            "rung: the rung",
            "headers: the headers",
            "array:80: the headers",
            "text:80: the name",
            "host: the scheme",
            "row 8: not a URL",
            "row 9: the URL is empty",
        ];
        assert_eq!(listing.rejected.len(), starts.len());
        for (sentence, start) in listing.rejected.iter().zip(starts) {
            assert!(sentence.starts_with(start), "{sentence}");
            assert!(!sentence.contains("s3cret"), "{sentence}");
        }
        let damaged = why(registry.set("headers", &to_weight(2)).await);
        assert_says(&damaged, "the row of headers is damaged");
        registry.set("weight", &to_weight(2)).await.unwrap();
        for key in [
            "rung", "headers", "array:80", "text:80", "host", "row 8", "row 9",
        ] {
            registry.remove(key).await.unwrap();
        }
        let listing = registry.list().await.unwrap();
        assert_eq!((listing.items.len(), listing.rejected.len()), (2, 0));
    }

    #[tokio::test]
    async fn rows_that_cannot_be_read_are_no_sign_that_nodes_were_taken_away() {
        let home = Home::new();
        let registry = home.open();
        for name in ["a", "b"] {
            let url = format!("http://{name}");
            registry.add(&named(name, &url)).await.unwrap();
        }
        home.by_hand("UPDATE nodes SET weight = 1001");
        let listing = registry.list().await.unwrap();
        assert!(listing.items.is_empty() && !listing.is_credible() && !listing.is_unwritten);
        home.by_hand("UPDATE nodes SET weight = 1 WHERE name = 'b'");
        registry.remove("b").await.unwrap();
        assert!(registry.list().await.unwrap().is_emptied);
        registry.add(&named("c", "http://c")).await.unwrap();
        home.by_hand("UPDATE nodes SET weight = 1001");
        assert!(!registry.list().await.unwrap().is_credible());
    }

    #[tokio::test]
    async fn damaged_health_does_not_cost_the_node() {
        let home = Home::new();
        let registry = home.open();
        registry.add(&NodeRecord::at("http://a")).await.unwrap();
        home.by_hand("UPDATE nodes SET block_number = -1, lag = -1, checked_at = -1");
        let listing = registry.list().await.unwrap();
        assert_eq!(listing.items[0].health, StoredHealth::default());
    }

    #[test]
    fn a_file_that_cannot_be_used_is_told_and_left_as_it_is() {
        let open = |path: &Path| why(EmbeddedRegistry::open(path, Arc::new(|_| None)));
        let home = Home::new();
        drop(home.open());
        home.by_hand("PRAGMA user_version = 2");
        let newer = open(&home.path());
        assert_says(&newer, "forebay.db: its layout is 2, newer than 1");

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("forebay.db");
        let text = "not a database, ".repeat(1000);
        fs::write(&path, &text).unwrap();
        let corrupt = open(&path);
        assert_says(&corrupt, "forebay.db: file is not a database");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);

        fs::remove_file(&path).unwrap();
        let foreign = Connection::open(&path).unwrap();
        foreign.execute_batch("CREATE TABLE cats (name)").unwrap();
        let told = open(&path);
        assert!(told.contains("a database of something else"), "{told}");
        let mode = foreign.pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0));
        assert_eq!(mode.unwrap(), "delete");

        assert!(open(folder.path()).contains("the registry can't be used: open: "));
        assert!(open(&path.join("below/a/file")).contains("open: "));
    }

    #[tokio::test]
    async fn a_file_that_becomes_corrupt_is_told_and_does_not_panic() {
        let home = Home::new();
        let registry = home.open();
        registry.add(&NodeRecord::at("http://a")).await.unwrap();
        drop(registry);
        let size = fs::metadata(home.path()).unwrap().len();
        let mut bytes = fs::read(home.path()).unwrap();
        bytes[4096..].fill(0x5a);
        fs::write(home.path(), &bytes).unwrap();
        assert!(size > 4096);
        let outcome = match EmbeddedRegistry::open(&home.path(), Arc::new(|_| None)) {
            Ok(registry) => registry.list().await.map(|_| ()),
            Err(why) => Err(why),
        };
        assert!(why(outcome).contains("it is damaged"));
    }

    #[tokio::test]
    async fn a_call_that_waits_too_long_is_out_of_reach_and_writes_nothing_later() {
        let home = Home::new();
        let registry = home.open();
        let holder = Connection::open(home.path()).unwrap();
        holder.execute_batch("BEGIN IMMEDIATE").unwrap();
        let late = hasty(&registry, 200).add(&NodeRecord::at("http://a")).await;
        assert!(matches!(
            late,
            Err(RegistryError::OutOfReach {
                operation: "add",
                ..
            })
        ));
        // Reading goes on beside a writer.
        assert!(urls(&registry).await.is_empty());
        holder.execute_batch("COMMIT").unwrap();
        assert!(urls(&registry).await.is_empty());
        registry.add(&NodeRecord::at("http://a")).await.unwrap();
    }

    #[tokio::test]
    async fn a_call_behind_one_that_hangs_is_given_up_in_time() {
        let home = Home::new();
        let registry = home.open();
        let held = registry.database.clone().lock_owned().await;
        let late = why(hasty(&registry, 50).list().await);
        assert!(
            late.ends_with("list: no answer within the time for a call"),
            "{late}"
        );
        drop(held);
        registry.list().await.unwrap();
    }

    #[tokio::test]
    async fn a_change_that_ends_after_its_time_is_rolled_back() {
        let home = Home::new();
        let registry = home.open();
        // No time at all: the change is begun, and given up while it runs.
        let late = hasty(&registry, 0).add(&NodeRecord::at("http://a")).await;
        assert!(matches!(late, Err(RegistryError::OutOfReach { .. })));
        // This waits for the connection, so for the end of the change.
        assert!(urls(&registry).await.is_empty());
    }

    fn hasty(registry: &EmbeddedRegistry, millis: u64) -> EmbeddedRegistry {
        EmbeddedRegistry {
            patience: Duration::from_millis(millis),
            ..registry.clone()
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_two_hundred_concurrent_adds_none_is_lost() {
        let home = Home::new();
        let registries: Vec<_> = (0..4).map(|_| home.open()).collect();
        let mut adds = tokio::task::JoinSet::new();
        for number in 0..200 {
            let mut registry = registries[number % 4].clone();
            registry.patience = DEADLINE;
            adds.spawn(async move {
                let record = NodeRecord::at(&format!("http://node-{number}"));
                registry.add(&record).await
            });
        }
        let added = tokio::time::timeout(DEADLINE, adds.join_all()).await;
        assert!(added.unwrap().iter().all(Result::is_ok));
        for registry in &registries {
            assert_eq!(urls(registry).await.len(), 200);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_many_registries_that_add_the_same_node_or_a_leader_one_wins() {
        let home = Home::new();
        let mut adds = tokio::task::JoinSet::new();
        for number in 0..16 {
            let registry = home.open();
            adds.spawn(async move {
                let same = registry.add(&NodeRecord::at("http://same")).await;
                let url = format!("http://leader-{number}");
                [same, registry.add(&leader(&url)).await]
            });
        }
        let outcomes = tokio::time::timeout(DEADLINE, adds.join_all()).await;
        for kind in 0..2 {
            let won = outcomes.iter().flatten().filter(|pair| pair[kind].is_ok());
            assert_eq!(won.count(), 1);
        }
        assert_eq!(urls(&home.open()).await.len(), 2);
    }

    fn seeds() -> Vec<NodeRecord> {
        let urls = (0..20).map(|number| format!("http://seed-{number}"));
        urls.map(|url| NodeRecord::at(&url)).collect()
    }

    fn block_on<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(work)
    }

    #[test]
    fn of_eight_threads_that_open_and_seed_a_new_file_at_once_one_seeds() {
        for _ in 0..10 {
            let home = Home::new();
            let start = Barrier::new(8);
            let outcomes: Vec<bool> = thread::scope(|scope| {
                let seed = || {
                    start.wait();
                    let registry = home.open();
                    block_on(registry.seed(&seeds())).unwrap()
                };
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(seed)).collect();
                threads.into_iter().map(|it| it.join().unwrap()).collect()
            });
            assert_eq!(outcomes.iter().filter(|seeded| **seeded).count(), 1);
            assert_eq!(block_on(urls(&home.open())).len(), 20);
        }
    }

    const SEED_PATH: &str = "FOREBAY_TEST_SEED_PATH";
    const SEEDED: i32 = 10;
    const NOT_SEEDED: i32 = 11;

    /// Not a test: one of the processes of the test below.
    #[test]
    #[ignore = "started by the test with two processes"]
    fn process_that_seeds() {
        let path = PathBuf::from(std::env::var(SEED_PATH).unwrap());
        let registry = EmbeddedRegistry::open(&path, Arc::new(|_| None)).unwrap();
        let seeded = block_on(registry.seed(&seeds())).unwrap();
        std::process::exit(if seeded { SEEDED } else { NOT_SEEDED });
    }

    #[test]
    fn of_two_processes_that_seed_at_once_one_does() {
        let home = Home::new();
        let start = || {
            Command::new(std::env::current_exe().unwrap())
                .args([
                    "--exact",
                    "--ignored",
                    "registry::embedded::tests::process_that_seeds",
                ])
                .env(SEED_PATH, home.path())
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap()
        };
        let codes = [start(), start()].map(|child| exit_code(child).unwrap());
        assert!(
            codes == [SEEDED, NOT_SEEDED] || codes == [NOT_SEEDED, SEEDED],
            "{codes:?}"
        );
        assert_eq!(block_on(urls(&home.open())).len(), 20);
    }

    fn exit_code(mut child: Child) -> Option<i32> {
        let deadline = clock::now() + DEADLINE;
        while clock::now() < deadline {
            if let Some(status) = child.try_wait().unwrap() {
                return status.code();
            }
            thread::sleep(PAUSE);
        }
        child.kill().unwrap();
        None
    }

    #[test]
    fn an_edit_does_not_print_its_secrets() {
        let edit = NodeEdit {
            ws_url: Some("ws://a/s3cret".to_string()),
            headers: Some([("a".to_string(), "s3cret".to_string())].into()),
            ..NodeEdit::default()
        };
        assert!(!format!("{edit:?}").contains("s3cret"));
    }

    #[tokio::test]
    async fn a_drained_node_keeps_its_former_weight_also_in_a_file_without_the_column() {
        let home = Home::new();
        drop(home.open());
        home.by_hand("ALTER TABLE nodes DROP COLUMN former_weight");
        home.by_hand("ALTER TABLE history DROP COLUMN emptied_at");
        let registry = home.open();
        registry.add(&named("a", "http://a")).await.unwrap();
        for (weight, former) in [(7, None), (0, Some(7)), (0, Some(7)), (5, None)] {
            let item = registry.set("a", &to_weight(weight)).await.unwrap();
            let former = former.map(|weight| Weight::new(weight).unwrap());
            assert_eq!(item.former_weight, former, "after {weight}");
            let listed = registry.list().await.unwrap();
            assert_eq!(listed.items[0].former_weight, former, "after {weight}");
        }
    }
}

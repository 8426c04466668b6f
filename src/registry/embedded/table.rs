//! The file's layout, and one row of it.
//!
//! A row is read as it is found, however it was edited by hand; [`EmbeddedRow::item`] is where it must
//! make sense. Columns are named once, in `COLUMNS`.

mod cells;

use std::collections::BTreeMap;

use rusqlite::{Connection, TransactionBehavior, params};
use thiserror::Error;

use crate::clock;
use crate::registry::validation::{EnvironmentLookup, identity_of, unset_variables};
use crate::registry::{ItemOrigin, RegistryItem, StoredHealth, last_list, node_list};
use forebay_core::vocabulary::node::{InFlightMax, NodeRecord, NodeSpecError, Role, Weight};

pub use self::cells::headers_text;
use self::cells::{natural, rung, text, weight, whole};

/// The layout that this program reads and writes, as `PRAGMA user_version`.
pub const VERSION: i64 = 1;

/// Marks a file as ours (`PRAGMA application_id`): "Fore" in ASCII.
const OURS: i64 = 0x466f_7265;

/// `history` has a row from the first write on: a registry that was emptied is not a new one.
/// `emptied_at` stands in it when the last change took the last node away, and `is_older` until a file
/// made before there were `in_file` and `pending` has followed a configuration. `in_file` is the record
/// as the configuration had it last; a node without one was added by command.
const LAYOUT: &str = "
CREATE TABLE nodes (
    url TEXT NOT NULL PRIMARY KEY,
    identity TEXT NOT NULL UNIQUE,
    name TEXT UNIQUE,
    rung TEXT NOT NULL DEFAULT 'own',
    weight INTEGER NOT NULL DEFAULT 1,
    ws_url TEXT,
    headers TEXT NOT NULL DEFAULT '{}',
    when_added TEXT NOT NULL,
    is_healthy INTEGER NOT NULL DEFAULT 0,
    block_number INTEGER,
    lag INTEGER,
    reason TEXT,
    checked_at INTEGER,
    former_weight INTEGER,
    in_file TEXT,
    pending INTEGER,
    in_flight_max INTEGER
) STRICT;
CREATE UNIQUE INDEX one_leader ON nodes (rung) WHERE rung = 'leader';
CREATE TABLE history (
    first_written TEXT NOT NULL, emptied_at TEXT, is_older INTEGER NOT NULL DEFAULT 0
) STRICT;
PRAGMA application_id = 0x466f7265;
PRAGMA user_version = 1;
";

/// What a file of the same layout may lack: programs that don't know it pass it over.
const LATER_COLUMNS: [(&str, &str, &str); 6] = [
    ("nodes", "former_weight", "INTEGER"),
    ("history", "emptied_at", "TEXT"),
    ("nodes", "in_file", "TEXT"),
    ("nodes", "pending", "INTEGER"),
    ("nodes", "in_flight_max", "INTEGER"),
    ("history", "is_older", "INTEGER NOT NULL DEFAULT 1"),
];

const COLUMNS: &str = "SELECT rowid, url, identity, name, rung, weight, ws_url, headers, \
    when_added, is_healthy, block_number, lag, reason, checked_at, former_weight, in_file, pending, in_flight_max FROM nodes ORDER BY rowid";

/// Why a file can't be used as a registry.
#[derive(Debug, Error)]
pub enum DatabaseError {
    #[error(transparent)]
    Store(#[from] rusqlite::Error),
    #[error("its layout is {0}, newer than {VERSION}, which this program knows; update forebay")]
    Newer(i64),
    #[error("it is a database of something else")]
    Foreign,
    #[error("it is damaged: {0}")]
    Damaged(String),
}

/// What a file is found to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum DatabaseContent {
    Empty,
    Ours,
}

/// Puts the layout into a new file and checks that of an old one.
pub fn prepare(connection: &mut Connection) -> Result<(), DatabaseError> {
    // In one transaction: another process may be writing the layout at this moment.
    let look = connection.transaction()?;
    let found = examine(&look)?;
    look.finish()?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    if found == DatabaseContent::Ours && has_all_columns(connection)? {
        return Ok(());
    }
    let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if examine(&change)? == DatabaseContent::Empty {
        change.execute_batch(LAYOUT)?;
    }
    for (table, column, kind) in LATER_COLUMNS {
        if !has_column(&change, table, column)? {
            let add = format!("ALTER TABLE {table} ADD COLUMN {column} {kind}");
            change.execute_batch(&add)?;
        }
    }
    Ok(change.commit()?)
}

/// Whether the file is whole: SQLite itself finds out only where it reads.
pub fn look_over(connection: &Connection) -> Result<(), DatabaseError> {
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    match found.as_str() {
        "ok" => Ok(()),
        _ => Err(DatabaseError::Damaged(found.replace('\n', " "))),
    }
}

fn has_all_columns(connection: &Connection) -> rusqlite::Result<bool> {
    for (table, column, _) in LATER_COLUMNS {
        if !has_column(connection, table, column)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn has_column(connection: &Connection, table: &str, column: &str) -> rusqlite::Result<bool> {
    let found = "SELECT count(*) FROM pragma_table_info(?1) WHERE name = ?2";
    connection.query_row(found, [table, column], |row| Ok(row.get::<_, i64>(0)? == 1))
}

/// Whether anything was ever written.
pub fn is_written(connection: &Connection) -> rusqlite::Result<bool> {
    let written = "SELECT EXISTS (SELECT 1 FROM history) OR EXISTS (SELECT 1 FROM nodes)";
    connection.query_row(written, [], |row| row.get(0))
}

/// Whether the last change took the last node away.
pub fn is_emptied(connection: &Connection) -> rusqlite::Result<bool> {
    let emptied = "SELECT EXISTS (SELECT 1 FROM history WHERE emptied_at IS NOT NULL)";
    connection.query_row(emptied, [], |row| row.get(0))
}

/// Whether it was written before registries followed the configuration, and has followed none yet.
pub fn is_older(connection: &Connection) -> rusqlite::Result<bool> {
    let older = "SELECT EXISTS (SELECT 1 FROM history WHERE is_older = 1)";
    connection.query_row(older, [], |row| row.get(0))
}

/// Notes that something was written, and when the last node was taken away, if it was now.
pub fn note_write(connection: &Connection, emptied_at: Option<&str>) -> rusqlite::Result<()> {
    connection.execute(
        "INSERT INTO history (first_written, is_older) SELECT ?1, 0 WHERE NOT EXISTS (SELECT 1 FROM history)",
        [clock::iso_8601()],
    )?;
    connection.execute("UPDATE history SET emptied_at = ?1", [emptied_at])?;
    Ok(())
}

fn examine(connection: &Connection) -> Result<DatabaseContent, DatabaseError> {
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let things = number("SELECT count(*) FROM sqlite_schema")?;
    let owner = number("PRAGMA application_id")?;
    match (owner, number("PRAGMA user_version")?) {
        (OURS, VERSION) => Ok(DatabaseContent::Ours),
        (OURS, newer) if newer > VERSION => Err(DatabaseError::Newer(newer)),
        (0, 0) if things == 0 => Ok(DatabaseContent::Empty),
        _ => Err(DatabaseError::Foreign),
    }
}

/// Why a row is no node.
#[derive(Debug, Error)]
pub enum EmbeddedRowError {
    #[error("the weight is not a number from 0 to 1000")]
    Weight,
    #[error("the most calls in flight are not a number from 1 to 10000")]
    InFlightMax,
    #[error("the rung is none of own, leader, fallback")]
    Rung,
    #[error("the headers are not a JSON object of texts")]
    Headers,
    #[error(transparent)]
    Record(#[from] NodeSpecError),
}

/// One node as it stands in the file.
#[derive(Clone)]
pub struct EmbeddedRow {
    pub rowid: i64,
    pub url: String,
    identity: String,
    pub name: Option<String>,
    pub rung: String,
    pub weight: Option<i64>,
    pub ws_url: Option<String>,
    pub headers: String,
    pub when_added: String,
    pub former_weight: Option<i64>,
    /// `None`: `auto`.
    pub in_flight_max: Option<i64>,
    /// As it stands in the file.
    in_file: Option<String>,
    pub is_pending: bool,
    health: StoredHealth,
}

/// All rows, in the order of their adding.
pub fn rows(connection: &Connection) -> rusqlite::Result<Vec<EmbeddedRow>> {
    let mut statement = connection.prepare(COLUMNS)?;
    statement.query_map([], EmbeddedRow::read)?.collect()
}

/// The rows of a damaged file, up to the first that can't be read.
pub fn rows_while_readable(connection: &Connection) -> Vec<EmbeddedRow> {
    let mut found = Vec::new();
    // Without the order: sorting needs all of them.
    let rows = COLUMNS.trim_end_matches(" ORDER BY rowid");
    let Ok(mut statement) = connection.prepare(rows) else {
        return found;
    };
    let Ok(mut rows) = statement.query([]) else {
        return found;
    };
    while let Ok(Some(row)) = rows.next() {
        found.extend(EmbeddedRow::read(row));
    }
    found
}

impl EmbeddedRow {
    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<EmbeddedRow> {
        Ok(EmbeddedRow {
            rowid: row.get(0)?,
            url: text(row, 1)?.unwrap_or_default(),
            identity: text(row, 2)?.unwrap_or_default(),
            name: text(row, 3)?,
            rung: text(row, 4)?.unwrap_or_default(),
            weight: whole(row, 5)?,
            ws_url: text(row, 6)?,
            headers: text(row, 7)?.unwrap_or_default(),
            when_added: text(row, 8)?.unwrap_or_default(),
            health: StoredHealth {
                is_healthy: whole(row, 9)? == Some(1),
                block_number: whole(row, 10)?.and_then(natural),
                lag: whole(row, 11)?.and_then(natural),
                reason: text(row, 12)?,
                checked_at: whole(row, 13)?.and_then(natural),
            },
            former_weight: whole(row, 14)?,
            in_file: text(row, 15)?,
            is_pending: whole(row, 16)? == Some(1),
            in_flight_max: whole(row, 17)?,
        })
    }

    /// What the row means. Variables may be unset: another process may have them.
    pub fn item(&self, lookup: EnvironmentLookup<'_>) -> Result<RegistryItem, EmbeddedRowError> {
        let weight = self
            .weight
            .and_then(weight)
            .ok_or(EmbeddedRowError::Weight)?;
        let headers: BTreeMap<String, String> =
            serde_json::from_str(&self.headers).map_err(|_| EmbeddedRowError::Headers)?;
        let record = NodeRecord {
            url: self.url.clone(),
            ws_url: self.ws_url.clone(),
            name: self.name.clone(),
            weight,
            rung: rung(&self.rung).ok_or(EmbeddedRowError::Rung)?,
            in_flight_max: in_flight_max(self.in_flight_max)?,
            headers,
        };
        unset_variables(&record, lookup)?;
        Ok(self.item_of(record))
    }

    /// What can be said of a row that is no node, for the one who takes it away.
    pub fn remains(&self) -> RegistryItem {
        self.item_of(NodeRecord {
            name: self.name.clone(),
            ..NodeRecord::at(&self.url)
        })
    }

    fn item_of(&self, record: NodeRecord) -> RegistryItem {
        RegistryItem {
            record,
            when_added: self.when_added.clone(),
            former_weight: self.former_weight.and_then(weight),
            origin: self.origin(),
            health: self.health.clone(),
        }
    }

    fn origin(&self) -> ItemOrigin {
        self.in_file()
            .map_or(ItemOrigin::Registry, |record| ItemOrigin::File {
                weight: record.weight,
                rung: record.rung,
                is_pending: self.is_pending,
            })
    }

    /// What the configuration said of it last.
    pub fn in_file(&self) -> Option<NodeRecord> {
        last_list::record_of(self.in_file.as_deref()?).ok()
    }

    /// The weight and role of the file are its own from now on.
    pub fn admit(&mut self) {
        if let Some(record) = self.in_file().filter(|_| self.is_pending) {
            self.weight = Some(record.weight.get().into());
            self.rung = record.rung.as_str().to_string();
        }
        self.is_pending = false;
    }

    pub fn set_weight(&mut self, next: Weight) {
        let (present, former) = (self.weight, self.former_weight);
        let present = present.and_then(weight).unwrap_or(next);
        let former = present.former_after(next, former.and_then(weight));
        self.weight = Some(next.get().into());
        self.former_weight = former.map(|former| former.get().into());
    }
}

impl node_list::StoredNode for EmbeddedRow {
    fn url(&self) -> &str {
        &self.url
    }

    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn is_leader(&self) -> bool {
        self.rung == Role::Leader.as_str()
    }

    /// The row's own identity is taken as stored and as it is now: variables may have been set or
    /// changed since.
    fn is_at(&self, url: &str, identity: &str, lookup: EnvironmentLookup<'_>) -> bool {
        let stored = self.url == url || self.identity == identity;
        stored || identity_of(&self.url, lookup) == identity
    }

    fn mark(&self) -> String {
        format!("row {}", self.rowid)
    }
}

pub fn insert(
    connection: &Connection,
    item: &RegistryItem,
    identity: &str,
) -> rusqlite::Result<usize> {
    let record = &item.record;
    connection.execute(
        "INSERT INTO nodes (url, identity, name, rung, weight, ws_url, headers, when_added, \
         in_flight_max) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            record.url,
            identity,
            record.name,
            record.rung.as_str(),
            record.weight.get(),
            record.ws_url,
            headers_text(&record.headers),
            item.when_added,
            record.in_flight_max.number(),
        ],
    )
}

fn in_flight_max(most: Option<i64>) -> Result<InFlightMax, EmbeddedRowError> {
    let Some(most) = most else {
        return Ok(InFlightMax::Auto);
    };
    let most = u64::try_from(most).unwrap_or_default();
    InFlightMax::fixed(most).map_err(|_| EmbeddedRowError::InFlightMax)
}

//! The file's layout: made in a new file, checked and completed in an old one.

use rusqlite::{Connection, TransactionBehavior};
use thiserror::Error;

/// The layout that this program reads and writes, as `PRAGMA user_version`.
pub(super) const VERSION: i64 = 1;

/// Marks a file as ours (`PRAGMA application_id`): "Fore" in ASCII.
const OURS: i64 = 0x466f_7265;

/// What is kept of a node beside its URL, its identity and its name.
macro_rules! node_columns {
    () => {
        "
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
        in_flight_max INTEGER,
        serves TEXT,
        recent_blocks INTEGER"
    };
}

/// `history` has a row from the first write on: a registry that was emptied is not a new one.
/// `emptied_at` stands in it when the last change took the last node away, and `is_older` until a file
/// made before there were `in_file` and `pending` has followed a configuration. `in_file` is the record
/// as the configuration had it last; a node without one was added by command.
const LAYOUT: &str = concat!(
    "
CREATE TABLE nodes (
    url TEXT NOT NULL PRIMARY KEY,
    identity TEXT NOT NULL UNIQUE,
    name TEXT UNIQUE,
",
    node_columns!(),
    "
) STRICT;
CREATE UNIQUE INDEX one_leader ON nodes (rung) WHERE rung = 'leader';
CREATE TABLE history (
    first_written TEXT NOT NULL, emptied_at TEXT, is_older INTEGER NOT NULL DEFAULT 0
) STRICT;
PRAGMA application_id = 0x466f7265;
PRAGMA user_version = 1;
"
);

/// The same of the other chains' nodes. Earlier releases know nothing of these tables, and leave them as they
/// are.
const CHAINS_LAYOUT: &str = concat!(
    "
CREATE TABLE chain_nodes (
    chain TEXT NOT NULL,
    url TEXT NOT NULL,
    identity TEXT NOT NULL,
    name TEXT,
",
    node_columns!(),
    ",
    UNIQUE (chain, url),
    UNIQUE (chain, identity),
    UNIQUE (chain, name)
) STRICT;
CREATE UNIQUE INDEX one_leader_a_chain ON chain_nodes (chain) WHERE rung = 'leader';
CREATE TABLE chain_history (
    chain TEXT NOT NULL PRIMARY KEY,
    first_written TEXT NOT NULL, emptied_at TEXT, is_older INTEGER NOT NULL DEFAULT 0
) STRICT;
"
);

/// What a file of the same layout may lack: programs that don't know it pass it over.
const LATER_COLUMNS: [(&str, &str, &str); 10] = [
    ("nodes", "former_weight", "INTEGER"),
    ("history", "emptied_at", "TEXT"),
    ("nodes", "in_file", "TEXT"),
    ("nodes", "pending", "INTEGER"),
    ("nodes", "in_flight_max", "INTEGER"),
    ("nodes", "serves", "TEXT"),
    ("nodes", "recent_blocks", "INTEGER"),
    ("chain_nodes", "serves", "TEXT"),
    ("chain_nodes", "recent_blocks", "INTEGER"),
    ("history", "is_older", "INTEGER NOT NULL DEFAULT 1"),
];

/// Why a file can't be used as a registry.
#[derive(Debug, Error)]
pub(crate) enum DatabaseError {
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
pub(crate) fn prepare(connection: &mut Connection) -> Result<(), DatabaseError> {
    // In one transaction: another process may be writing the layout at this moment.
    let look = connection.transaction()?;
    let found = examine(&look)?;
    look.finish()?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    if found == DatabaseContent::Ours && has_all_columns(connection)? && has_chains(connection)? {
        return Ok(());
    }
    let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if examine(&change)? == DatabaseContent::Empty {
        change.execute_batch(LAYOUT)?;
    }
    if !has_chains(&change)? {
        change.execute_batch(CHAINS_LAYOUT)?;
    }
    for (table, column, kind) in LATER_COLUMNS {
        if !has_column(&change, table, column)? {
            let add = format!("ALTER TABLE {table} ADD COLUMN {column} {kind}");
            change.execute_batch(&add)?;
        }
    }
    Ok(change.commit()?)
}

fn has_chains(connection: &Connection) -> rusqlite::Result<bool> {
    has_column(connection, "chain_history", "chain")
}

/// Whether the file is whole: SQLite itself finds out only where it reads.
pub(crate) fn look_over(connection: &Connection) -> Result<(), DatabaseError> {
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

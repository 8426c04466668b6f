//! One row of the file, and what its tables say as a whole. `layout` makes them; `chain_tables` are those of one
//! chain among all.
//!
//! A row is read as it is found, however it was edited by hand; [`EmbeddedRow::item`] is where it must
//! make sense. What is read is named in `COLUMNS`, what is written in [`insert`] and [`update`].

mod cells;
mod chain_tables;
mod layout;

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, params};
use thiserror::Error;

use crate::clock;
use crate::registry::validation::{EnvironmentLookup, identity_of, unset_variables};
use crate::registry::{ItemOrigin, RegistryItem, StoredHealth, last_list, node_list};
use forebay_core::vocabulary::chain::ChainName;
use forebay_core::vocabulary::node::{
    InFlightMax, NodePurpose, NodeRecord, NodeSpecError, RecentBlocks, Role, Weight,
};

pub(super) use self::cells::{headers_text, recent_blocks_number, serves_text};
use self::cells::{natural, role, text, weight, whole};
pub(super) use self::chain_tables::ChainTables;
pub(super) use self::layout::{DatabaseError, look_over, prepare};

const COLUMNS: &str = "SELECT rowid, url, identity, name, rung, weight, ws_url, headers, \
    when_added, is_healthy, block_number, lag, reason, checked_at, former_weight, in_file, pending, \
    in_flight_max, serves, recent_blocks FROM {nodes} WHERE {here}";

/// Whether anything was ever written.
pub(super) fn is_written(tables: ChainTables<'_>) -> rusqlite::Result<bool> {
    tables.holds(
        "SELECT EXISTS (SELECT 1 FROM {history} WHERE {here}) \
         OR EXISTS (SELECT 1 FROM {nodes} WHERE {here})",
    )
}

/// Whether the last change took the last node away.
pub(super) fn is_emptied(tables: ChainTables<'_>) -> rusqlite::Result<bool> {
    tables.holds("SELECT EXISTS (SELECT 1 FROM {history} WHERE emptied_at IS NOT NULL AND {here})")
}

/// Whether it was written before registries followed the configuration, and has followed none yet.
pub(super) fn is_older(tables: ChainTables<'_>) -> rusqlite::Result<bool> {
    tables.holds("SELECT EXISTS (SELECT 1 FROM {history} WHERE is_older = 1 AND {here})")
}

/// It has followed the configuration.
pub(super) fn note_following(tables: ChainTables<'_>) -> rusqlite::Result<()> {
    let noted = tables.execute("UPDATE {history} SET is_older = 0 WHERE {here}", []);
    noted.map(drop)
}

/// Notes that something was written, and when the last node was taken away, if it was now.
pub(super) fn note_write(
    tables: ChainTables<'_>,
    emptied_at: Option<&str>,
) -> rusqlite::Result<()> {
    tables.execute(
        "INSERT INTO {history} ({chain}first_written, is_older) \
         SELECT {name}?1, 0 WHERE NOT EXISTS (SELECT 1 FROM {history} WHERE {here})",
        [clock::iso_8601()],
    )?;
    tables.execute(
        "UPDATE {history} SET emptied_at = ?1 WHERE {here}",
        [emptied_at],
    )?;
    Ok(())
}

/// Why a row is no node.
#[derive(Debug, Error)]
pub(super) enum EmbeddedRowError {
    #[error("the weight is not a number from 0 to 1000")]
    Weight,
    #[error("the most calls in flight are not a number from 1 to 10000")]
    InFlightMax,
    #[error("the methods that it serves are not names and globs with commas between them")]
    Serves,
    #[error("the newest blocks that it has are not a number from 1 on")]
    RecentBlocks,
    #[error("the rung is none of own, leader, fallback")]
    Role,
    #[error("the headers are not a JSON object of texts")]
    Headers,
    #[error(transparent)]
    Record(#[from] NodeSpecError),
}

/// One node as it stands in the file.
#[derive(Clone)]
pub(super) struct EmbeddedRow {
    pub rowid: i64,
    pub url: String,
    pub identity: String,
    pub name: Option<String>,
    pub role: String,
    pub weight: Option<i64>,
    pub ws_url: Option<String>,
    pub headers: String,
    pub when_added: String,
    pub former_weight: Option<i64>,
    /// `None`: `auto`.
    pub in_flight_max: Option<i64>,
    /// With commas between them; `None`: all.
    pub serves: Option<String>,
    /// `None`: as many as there are.
    pub recent_blocks: Option<i64>,
    /// As it stands in the file.
    pub in_file: Option<String>,
    pub is_pending: bool,
    health: StoredHealth,
}

/// All rows, in the order of their adding.
pub(super) fn rows(tables: ChainTables<'_>) -> rusqlite::Result<Vec<EmbeddedRow>> {
    let mut statement = tables.prepare(&format!("{COLUMNS} ORDER BY rowid"))?;
    statement.query_map([], EmbeddedRow::read)?.collect()
}

/// The chains beside the default one that something was ever written of. A text written in by hand that is
/// no name of a chain is passed over; a damaged file tells as many as can be read.
pub(super) fn chains(connection: &Connection) -> Vec<ChainName> {
    let mut found = BTreeSet::new();
    for table in ["chain_history", "chain_nodes"] {
        let names = format!("SELECT chain FROM {table}");
        let Ok(mut statement) = connection.prepare(&names) else {
            continue;
        };
        let Ok(mut rows) = statement.query([]) else {
            continue;
        };
        while let Ok(Some(row)) = rows.next() {
            let name = text(row, 0).ok().flatten();
            found.extend(name.and_then(|name| name.parse::<ChainName>().ok()));
        }
    }
    found.into_iter().collect()
}

/// The rows of a damaged file, up to the first that can't be read.
pub(super) fn rows_while_readable(tables: ChainTables<'_>) -> Vec<EmbeddedRow> {
    let mut found = Vec::new();
    // Without an order: sorting needs all of them.
    let Ok(mut statement) = tables.prepare(COLUMNS) else {
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
    /// Whether it says of its node what `other` says.
    pub(super) fn says_as(&self, other: &EmbeddedRow) -> bool {
        self.url == other.url
            && self.name == other.name
            && self.weight == other.weight
            && self.role == other.role
            && self.ws_url == other.ws_url
            && self.headers == other.headers
            && self.in_flight_max == other.in_flight_max
            && self.serves == other.serves
            && self.recent_blocks == other.recent_blocks
    }

    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<EmbeddedRow> {
        Ok(EmbeddedRow {
            rowid: row.get(0)?,
            url: text(row, 1)?.unwrap_or_default(),
            identity: text(row, 2)?.unwrap_or_default(),
            name: text(row, 3)?,
            role: text(row, 4)?.unwrap_or_default(),
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
            serves: text(row, 18)?,
            recent_blocks: whole(row, 19)?,
        })
    }

    /// What the row means. Variables may be unset: another process may have them.
    pub(super) fn item(
        &self,
        lookup: EnvironmentLookup<'_>,
    ) -> Result<RegistryItem, EmbeddedRowError> {
        let weight = self
            .weight
            .and_then(weight)
            .ok_or(EmbeddedRowError::Weight)?;
        let headers: BTreeMap<String, String> =
            serde_json::from_str(&self.headers).map_err(|_| EmbeddedRowError::Headers)?;
        let in_flight_max = self.in_flight_max.map(|most| {
            let most = natural(most).unwrap_or_default();
            InFlightMax::fixed(most).map_err(|_| EmbeddedRowError::InFlightMax)
        });
        let record = NodeRecord {
            url: self.url.clone(),
            ws_url: self.ws_url.clone(),
            name: self.name.clone(),
            weight,
            role: role(&self.role).ok_or(EmbeddedRowError::Role)?,
            in_flight_max: in_flight_max.transpose()?.unwrap_or_default(),
            purpose: self.purpose()?,
            headers,
        };
        unset_variables(&record, lookup)?;
        Ok(self.item_of(record))
    }

    fn purpose(&self) -> Result<NodePurpose, EmbeddedRowError> {
        let serves = self.serves.as_deref().map(str::parse).transpose();
        let recent = self.recent_blocks.map(|blocks| {
            let blocks = natural(blocks).unwrap_or_default();
            RecentBlocks::newest(blocks).map_err(|_| EmbeddedRowError::RecentBlocks)
        });
        Ok(NodePurpose {
            serves: serves
                .map_err(|_| EmbeddedRowError::Serves)?
                .unwrap_or_default(),
            recent_blocks: recent.transpose()?.unwrap_or_default(),
        })
    }

    /// What can be said of a row that is no node, for the caller that takes it away.
    pub(super) fn remains(&self) -> RegistryItem {
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
                role: record.role,
                is_pending: self.is_pending,
            })
    }

    /// What the configuration said of it last.
    pub(super) fn in_file(&self) -> Option<NodeRecord> {
        last_list::record_of(self.in_file.as_deref()?).ok()
    }

    /// The weight and role of the file are its own from now on.
    pub(super) fn admit(&mut self) {
        if let Some(record) = self.in_file().filter(|_| self.is_pending) {
            self.weight = Some(record.weight.get().into());
            self.role = record.role.as_str().to_string();
        }
        self.is_pending = false;
    }

    pub(super) fn set_weight(&mut self, next: Weight) {
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
        self.role == Role::Leader.as_str()
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

/// `in_file`: as the configuration has it, and whether it is pending; `None`: no configuration names it.
pub(super) fn insert(
    tables: ChainTables<'_>,
    record: &NodeRecord,
    identity: &str,
    when_added: &str,
    in_file: Option<(String, bool)>,
) -> rusqlite::Result<()> {
    let (in_file, is_pending) = in_file.unzip();
    let inserted = tables.execute(
        "INSERT INTO {nodes} ({chain}url, identity, name, rung, weight, ws_url, headers, when_added, \
         in_file, pending, in_flight_max, serves, recent_blocks) \
         VALUES ({name}?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        params![
            record.url,
            identity,
            record.name,
            record.role.as_str(),
            record.weight.get(),
            record.ws_url,
            headers_text(&record.headers),
            when_added,
            in_file,
            is_pending,
            record.in_flight_max.number(),
            serves_text(&record.purpose.serves),
            recent_blocks_number(record.purpose.recent_blocks),
        ],
    );
    inserted.map(drop)
}

/// Writes `row` anew, but for when it was added, and its health; a text as it was read, though it wasn't valid UTF-8.
pub(super) fn update(tables: ChainTables<'_>, row: &EmbeddedRow) -> rusqlite::Result<()> {
    let updated = tables.execute(
        "UPDATE {nodes} SET url = ?2, identity = ?3, name = ?4, rung = ?5, weight = ?6, ws_url = ?7, \
         headers = ?8, former_weight = ?9, in_file = ?10, pending = ?11, in_flight_max = ?12, \
         serves = ?13, recent_blocks = ?14 WHERE rowid = ?1",
        params![
            row.rowid,
            row.url,
            row.identity,
            row.name,
            row.role,
            row.weight,
            row.ws_url,
            row.headers,
            row.former_weight,
            row.in_file,
            row.is_pending,
            row.in_flight_max,
            row.serves,
            row.recent_blocks,
        ],
    );
    updated.map(drop)
}

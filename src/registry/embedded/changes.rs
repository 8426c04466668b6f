//! What each call of the registry does to the file, inside one transaction each.

use rusqlite::{ErrorCode, params};
use thiserror::Error;

use super::table;
use crate::clock;
use crate::registry::embedded::table::{ChainTables, EmbeddedRow, EmbeddedRowError};
use crate::registry::node_list::{StoredNode as _, find, newcomer};
use crate::registry::validation::EnvironmentLookup;
use crate::registry::{Listing, NodeEdit, RegistryError, RegistryItem, StoredHealth};
use forebay_core::vocabulary::node::{NodeRecord, Role};

/// Why a call wrote nothing.
#[derive(Debug, Error)]
pub(super) enum ChangeError {
    #[error(transparent)]
    Store(#[from] rusqlite::Error),
    #[error(transparent)]
    Refused(#[from] RegistryError),
    /// The row stands, but is no node.
    #[error("the row of {label} is damaged: {why}; remove the node and add it again")]
    Damaged {
        label: String,
        why: EmbeddedRowError,
    },
    /// It can't be opened, and why.
    #[error("{0}")]
    File(String),
    #[error("no answer within the time for a call")]
    Late,
}

pub(super) fn list(
    tables: ChainTables<'_>,
    lookup: EnvironmentLookup<'_>,
) -> Result<Listing, ChangeError> {
    let mut listing = Listing::default();
    for row in table::rows(tables)? {
        match row.item(lookup) {
            Ok(item) => listing.items.push(item),
            Err(why) => listing
                .rejected
                .push(format!("{}: {why}", row.label(lookup))),
        }
    }
    let is_bare = listing.items.is_empty() && listing.rejected.is_empty();
    let is_written = table::is_written(tables)?;
    // Rows that can't be read are no sign that nodes were taken away.
    listing.is_emptied =
        listing.items.is_empty() && is_written && (is_bare || table::is_emptied(tables)?);
    listing.is_unwritten = is_bare && !is_written;
    Ok(listing)
}

/// Writes `records` unless something was ever written; none at all leave the registry new.
pub(super) fn seed(
    tables: ChainTables<'_>,
    records: &[NodeRecord],
    lookup: EnvironmentLookup<'_>,
) -> Result<bool, ChangeError> {
    if table::is_written(tables)? || records.is_empty() {
        return Ok(false);
    }
    for record in records {
        add(tables, record, lookup)?;
    }
    Ok(true)
}

pub(super) fn add(
    tables: ChainTables<'_>,
    record: &NodeRecord,
    lookup: EnvironmentLookup<'_>,
) -> Result<RegistryItem, ChangeError> {
    let (item, identity) = newcomer(&table::rows(tables)?, record, lookup)?;
    table::insert(tables, &item.record, &identity, &item.when_added, None).map_err(exists)?;
    table::note_write(tables, None)?;
    Ok(item)
}

/// A row may hold an identity from before a variable changed, unseen by [`newcomer`]. The table's own
/// keys refuse it.
pub(super) fn exists(why: rusqlite::Error) -> ChangeError {
    match why.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) => RegistryError::Exists.into(),
        Some(_) | None => why.into(),
    }
}

pub(super) fn set(
    tables: ChainTables<'_>,
    key: &str,
    edit: &NodeEdit,
    lookup: EnvironmentLookup<'_>,
) -> Result<RegistryItem, ChangeError> {
    let mut row = find(&table::rows(tables)?, key, lookup)?.clone();
    row.admit();
    apply(&mut row, edit);
    let item = row.item(lookup).map_err(|why| match why {
        EmbeddedRowError::Record(fault) => ChangeError::Refused(fault.into()),
        why @ (EmbeddedRowError::Weight
        | EmbeddedRowError::InFlightMax
        | EmbeddedRowError::Serves
        | EmbeddedRowError::RecentBlocks
        | EmbeddedRowError::Role
        | EmbeddedRowError::Headers) => ChangeError::Damaged {
            label: row.label(lookup),
            why,
        },
    })?;
    if edit.role == Some(Role::Leader) {
        tables.execute(
            "UPDATE {nodes} SET rung = 'own' WHERE rung = 'leader' AND rowid <> ?1 AND {here}",
            params![row.rowid],
        )?;
    }
    table::update(tables, &row)?;
    Ok(item)
}

fn apply(row: &mut EmbeddedRow, edit: &NodeEdit) {
    if let Some(weight) = edit.weight {
        row.set_weight(weight);
    }
    if let Some(former) = edit.former_weight {
        row.former_weight = Some(former.get().into());
    }
    if let Some(role) = edit.role {
        row.role = role.as_str().to_string();
    }
    if let Some(ws_url) = &edit.ws_url {
        row.ws_url = Some(ws_url.clone()).filter(|ws_url| !ws_url.is_empty());
    }
    if let Some(most) = edit.in_flight_max {
        row.in_flight_max = most.number().map(i64::from);
    }
    if let Some(serves) = &edit.serves {
        row.serves = table::serves_text(serves);
    }
    if let Some(recent) = edit.recent_blocks {
        row.recent_blocks = table::recent_blocks_number(recent);
    }
    if let Some(headers) = &edit.headers {
        row.headers = table::headers_text(headers);
    }
}

pub(super) fn remove(
    tables: ChainTables<'_>,
    key: &str,
    lookup: EnvironmentLookup<'_>,
) -> Result<RegistryItem, ChangeError> {
    let row = find(&table::rows(tables)?, key, lookup)?.clone();
    if row.in_file().is_some() {
        return Err(RegistryError::InFile(row.label(lookup)).into());
    }
    tables.execute("DELETE FROM {nodes} WHERE rowid = ?1", params![row.rowid])?;
    note_removal(tables, lookup)?;
    Ok(row.item(lookup).unwrap_or_else(|_| row.remains()))
}

/// What can't be read is no node that would be left.
pub(super) fn note_removal(
    tables: ChainTables<'_>,
    lookup: EnvironmentLookup<'_>,
) -> Result<(), ChangeError> {
    let rows = table::rows(tables)?;
    let is_emptied = rows.iter().all(|other| other.item(lookup).is_err());
    let emptied_at = is_emptied.then(clock::iso_8601);
    Ok(table::note_write(tables, emptied_at.as_deref())?)
}

/// An older observation replaces no newer one, unless that one is of a time which is still to come: then
/// the clock has been set back since.
pub(super) fn record_health(
    tables: ChainTables<'_>,
    healths: &[(String, StoredHealth)],
) -> Result<(), ChangeError> {
    let mut statement = tables.prepare(
        "UPDATE {nodes} SET is_healthy = ?2, block_number = ?3, lag = ?4, reason = ?5, \
         checked_at = ?6 WHERE url = ?1 AND {here} AND (checked_at IS NULL OR checked_at < ?6 OR checked_at > ?7)",
    )?;
    let now = storable(clock::unix_millis());
    for (url, health) in healths {
        statement.execute(params![
            url,
            health.is_healthy,
            health.block_number.map(storable),
            health.lag.map(storable),
            health.reason,
            health.checked_at.map(storable),
            now,
        ])?;
    }
    Ok(())
}

/// SQLite's numbers end at 2^63 − 1.
fn storable(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

//! Changes to the list: what is to be written, decided over the list as it was read.
//!
//! All of a change goes into one transaction with a new revision of the list, so two changes never
//! cross: the second finds another revision, reads again and decides again. That is what keeps a
//! name, a leader and a node written in two ways one, in a table that knows only its key.

use aws_sdk_dynamodb::types::{Delete, Put, TransactWriteItem, Update};

use super::row::patch;
use crate::registry::dynamo::error::DynamoError;
use crate::registry::dynamo::requests::{DynamoTables, number, text};
use crate::registry::dynamo::row::{AttributePatch, DynamoRow, DynamoRowError};
use crate::registry::dynamo::state_table::{Revision, malformed};
use crate::registry::node_list::{StoredNode as _, find, newcomer};
use crate::registry::validation::EnvironmentLookup;
use crate::registry::{NodeEdit, RegistryError, RegistryItem};
use forebay_core::vocabulary::node::{NodeRecord, Role};

/// The list as it was read: its revision first, then its rows, in order.
pub(super) struct ListSnapshot {
    pub revision: Revision,
    pub rows: Vec<DynamoRow>,
}

/// One write to the node table.
pub(super) enum TableWrite {
    Put(DynamoRow),
    Patch(DynamoRow, AttributePatch),
    Delete(DynamoRow),
}

impl TableWrite {
    /// The same as a request. Its condition fails when the item changed since it was read.
    pub(super) fn request(self, store: &DynamoTables) -> Result<TransactWriteItem, DynamoError> {
        let request = TransactWriteItem::builder();
        let request = match self {
            TableWrite::Put(row) => request.put(
                Put::builder()
                    .table_name(&store.nodes)
                    .set_item(Some(row.attributes))
                    .condition_expression("attribute_not_exists(#url)")
                    .expression_attribute_names("#url", "url")
                    .build()
                    .map_err(|_| malformed())?,
            ),
            TableWrite::Patch(row, patch) => request.update(update(store, &row, patch)?),
            TableWrite::Delete(row) => request.delete(
                Delete::builder()
                    .table_name(&store.nodes)
                    .key("url", text(row.url()))
                    .condition_expression("attribute_exists(#url)")
                    .expression_attribute_names("#url", "url")
                    .build()
                    .map_err(|_| malformed())?,
            ),
        };
        Ok(request.build())
    }
}

/// Only what is patched is written; the rest may change meanwhile, health above all.
fn update(
    store: &DynamoTables,
    row: &DynamoRow,
    patch: AttributePatch,
) -> Result<Update, DynamoError> {
    let (mut set, mut remove) = (vec!["#version = :next".to_string()], Vec::new());
    let next = row.version().unwrap_or(0).saturating_add(1);
    let mut update = Update::builder()
        .table_name(&store.nodes)
        .key("url", text(row.url()))
        .expression_attribute_names("#url", "url")
        .expression_attribute_names("#version", "version")
        .expression_attribute_values(":next", number(next));
    update = match row.version_found() {
        Some(version) => update
            .condition_expression("attribute_exists(#url) AND #version = :seen")
            .expression_attribute_values(":seen", version.clone()),
        None => {
            update.condition_expression("attribute_exists(#url) AND attribute_not_exists(#version)")
        }
    };
    for (name, value) in patch {
        update = update.expression_attribute_names(format!("#{name}"), name);
        match value {
            Some(value) => {
                set.push(format!("#{name} = :{name}"));
                update = update.expression_attribute_values(format!(":{name}"), value);
            }
            None => remove.push(format!("#{name}")),
        }
    }
    let mut expression = format!("SET {}", set.join(", "));
    if !remove.is_empty() {
        expression = format!("{expression} REMOVE {}", remove.join(", "));
    }
    let update = update.update_expression(expression);
    update.build().map_err(|_| malformed())
}

/// A change that was decided: what to write, whether no node is left, and what came of it.
pub(super) struct TableChange<T> {
    pub writes: Vec<TableWrite>,
    pub is_emptied: bool,
    pub outcome: T,
}

impl<T> TableChange<T> {
    /// One that leaves nodes, or finds none.
    fn of(writes: Vec<TableWrite>, outcome: T) -> TableChange<T> {
        TableChange {
            writes,
            is_emptied: false,
            outcome,
        }
    }
}

/// All of `records`, unless something was ever written.
pub(super) fn seed(
    snapshot: &ListSnapshot,
    records: &[NodeRecord],
    lookup: EnvironmentLookup<'_>,
) -> Result<TableChange<bool>, RegistryError> {
    let is_new =
        !records.is_empty() && snapshot.revision.is_unwritten() && snapshot.rows.is_empty();
    let mut rows = Vec::new();
    for record in records.iter().filter(|_| is_new) {
        let (item, _) = newcomer(&rows, record, lookup)?;
        rows.push(DynamoRow::of(&item));
    }
    let writes = rows.into_iter().map(TableWrite::Put);
    Ok(TableChange::of(writes.collect(), is_new))
}

pub(super) fn add(
    snapshot: &ListSnapshot,
    record: &NodeRecord,
    lookup: EnvironmentLookup<'_>,
) -> Result<TableChange<RegistryItem>, RegistryError> {
    let (item, _) = newcomer(&snapshot.rows, record, lookup)?;
    let writes = vec![TableWrite::Put(DynamoRow::of(&item))];
    Ok(TableChange::of(writes, item))
}

pub(super) fn set(
    snapshot: &ListSnapshot,
    key: &str,
    edit: &NodeEdit,
    lookup: EnvironmentLookup<'_>,
) -> Result<TableChange<RegistryItem>, RegistryError> {
    let row = find(&snapshot.rows, key, lookup)?;
    let patch = row.patch(edit);
    let item = row.patched(&patch).item(lookup).map_err(|why| match why {
        DynamoRowError::Record(fault) => fault.into(),
        why @ DynamoRowError::Attribute(..) => damaged(row, &why, lookup),
    })?;
    let mut writes = vec![TableWrite::Patch(row.clone(), patch)];
    if edit.role == Some(Role::Leader) {
        let others = snapshot.rows.iter();
        let others = others.filter(|other| other.is_leader() && other.url() != row.url());
        writes.extend(others.map(|other| TableWrite::Patch(other.clone(), own())));
    }
    Ok(TableChange::of(writes, item))
}

fn own() -> AttributePatch {
    patch(&NodeEdit {
        role: Some(Role::Own),
        ..NodeEdit::default()
    })
}

fn damaged(row: &DynamoRow, why: &DynamoRowError, lookup: EnvironmentLookup<'_>) -> RegistryError {
    RegistryError::Damaged(format!(
        "the item of {} is damaged: {why}; mend it, or remove the node and add it again",
        row.label(lookup)
    ))
}

pub(super) fn remove(
    snapshot: &ListSnapshot,
    key: &str,
    lookup: EnvironmentLookup<'_>,
) -> Result<TableChange<RegistryItem>, RegistryError> {
    let row = find(&snapshot.rows, key, lookup)?;
    // What can't be read is no node that would be left.
    let is_none = |other: &DynamoRow| other.url() == row.url() || other.item(lookup).is_err();
    let writes = vec![TableWrite::Delete(row.clone())];
    let removed = row.item(lookup).unwrap_or_else(|_| row.remains());
    Ok(TableChange {
        is_emptied: snapshot.rows.iter().all(is_none),
        ..TableChange::of(writes, removed)
    })
}

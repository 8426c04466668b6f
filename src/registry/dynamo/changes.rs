//! Changes to the list: what is to be written, decided over the list as it was read.
//!
//! All of a change goes into one transaction with a new edition of the list, so two changes never
//! cross: the second finds another edition, reads again and decides again. That is what keeps a
//! name, a leader and a node written in two ways one, in a table that knows only its key.

use aws_sdk_dynamodb::types::{Delete, Put, TransactWriteItem, Update};

use super::ledger::{Edition, malformed};
use super::row::{Misread, Patch, Row, patch};
use super::store::{Store, number, text};
use super::trouble::Trouble;
use crate::domain::node::{NodeRecord, Rung};
use crate::registry::reading::Lookup;
use crate::registry::rows::{Row as _, find, newcomer};
use crate::registry::{Edit, Item, RegistryError};

/// The list as it was read: its edition first, then its rows, in order.
pub struct Book {
    pub edition: Edition,
    pub rows: Vec<Row>,
}

/// One write to the node table.
pub enum Write {
    Put(Row),
    Patch(Row, Patch),
    Delete(Row),
}

impl Write {
    /// The same as a request. Its condition fails when the item changed since it was read.
    pub fn request(self, store: &Store) -> Result<TransactWriteItem, Trouble> {
        let request = TransactWriteItem::builder();
        let request = match self {
            Write::Put(row) => request.put(
                Put::builder()
                    .table_name(&store.nodes)
                    .set_item(Some(row.into_attributes()))
                    .condition_expression("attribute_not_exists(#url)")
                    .expression_attribute_names("#url", "url")
                    .build()
                    .map_err(|_| malformed())?,
            ),
            Write::Patch(row, patch) => request.update(update(store, &row, patch)?),
            Write::Delete(row) => request.delete(
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
fn update(store: &Store, row: &Row, patch: Patch) -> Result<Update, Trouble> {
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
pub struct Change<T> {
    pub writes: Vec<Write>,
    pub is_emptied: bool,
    pub outcome: T,
}

/// All of `records`, unless something was ever written.
pub fn seed(
    book: &Book,
    records: &[NodeRecord],
    lookup: Lookup<'_>,
) -> Result<Change<bool>, RegistryError> {
    let mut change = Change {
        writes: Vec::new(),
        is_emptied: false,
        outcome: false,
    };
    let is_new = match book.edition {
        Edition::Unkept | Edition::New => book.rows.is_empty(),
        Edition::At { .. } => false,
    };
    if !is_new || records.is_empty() {
        return Ok(change);
    }
    let mut rows = Vec::new();
    for record in records {
        let (item, _) = newcomer(&rows, record, lookup)?;
        rows.push(Row::of(&item));
    }
    change.writes = rows.into_iter().map(Write::Put).collect();
    change.outcome = true;
    Ok(change)
}

pub fn add(
    book: &Book,
    record: &NodeRecord,
    lookup: Lookup<'_>,
) -> Result<Change<Item>, RegistryError> {
    let (item, _) = newcomer(&book.rows, record, lookup)?;
    Ok(Change {
        writes: vec![Write::Put(Row::of(&item))],
        is_emptied: false,
        outcome: item,
    })
}

pub fn set(
    book: &Book,
    key: &str,
    edit: &Edit,
    lookup: Lookup<'_>,
) -> Result<Change<Item>, RegistryError> {
    let row = find(&book.rows, key, lookup)?;
    let patch = row.patch(edit);
    let item = row.patched(&patch).item(lookup).map_err(|why| match why {
        Misread::Record(fault) => fault.into(),
        why @ Misread::Attribute(..) => damaged(row, &why, lookup),
    })?;
    let mut writes = vec![Write::Patch(row.clone(), patch)];
    if edit.rung == Some(Rung::Leader) {
        let others = book.rows.iter();
        let others = others.filter(|other| other.is_leader() && other.url() != row.url());
        writes.extend(others.map(|other| Write::Patch(other.clone(), own())));
    }
    Ok(Change {
        writes,
        is_emptied: false,
        outcome: item,
    })
}

fn own() -> Patch {
    patch(&Edit {
        rung: Some(Rung::Own),
        ..Edit::default()
    })
}

fn damaged(row: &Row, why: &Misread, lookup: Lookup<'_>) -> RegistryError {
    RegistryError::OutOfReach {
        operation: "set",
        why: format!(
            "the item of {} is damaged: {why}; mend it, or remove the node and add it again",
            row.label(lookup)
        ),
    }
}

pub fn remove(book: &Book, key: &str, lookup: Lookup<'_>) -> Result<Change<Item>, RegistryError> {
    let row = find(&book.rows, key, lookup)?;
    // What can't be read is no node that would be left.
    let is_none = |other: &Row| other.url() == row.url() || other.item(lookup).is_err();
    Ok(Change {
        writes: vec![Write::Delete(row.clone())],
        is_emptied: book.rows.iter().all(is_none),
        outcome: row.item(lookup).unwrap_or_else(|_| row.remains()),
    })
}

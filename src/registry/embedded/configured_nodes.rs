//! The configuration's nodes in the file: added, changed and taken away as it says.
//!
//! What a command says of such a node stands until that key of the configuration changes: each row
//! keeps the record as it was read last, and only what differs from that is taken over. Nodes that were
//! added by command stand beside them. In a registry from before it followed any configuration, the
//! weights and roles are those said by command, and a node that it lacks may have been taken away on
//! purpose: it is let in pending.

use super::changes::{exists, note_removal};
use super::table::{self, headers_text, recent_blocks_number, serves_text};
use crate::clock;
use crate::registry::embedded::changes::ChangeError;
use crate::registry::embedded::table::{ChainTables, EmbeddedRow};
use crate::registry::last_list::text_of;
use crate::registry::node_list::StoredNode as _;
use crate::registry::validation::{EnvironmentLookup, identity_of, name_of, unset_variables};
use crate::registry::{FollowReport, RegistryError};
use forebay_core::vocabulary::node::{NodeRecord, Role, Weight};

pub(super) fn follow(
    tables: ChainTables<'_>,
    records: &[NodeRecord],
    lookup: EnvironmentLookup<'_>,
) -> Result<FollowReport, ChangeError> {
    let mut followed = FollowReport::default();
    let rows = table::rows(tables)?;
    let was_followed = rows.iter().any(|row| row.in_file().is_some());
    let is_older = table::is_older(tables)?;
    if records.is_empty() && !was_followed && !is_older {
        return Ok(followed);
    }
    let (pairs, gone) = pair(records, rows, lookup);
    for row in gone {
        tables.execute("DELETE FROM {nodes} WHERE rowid = ?1", [row.rowid])?;
        followed.removed.push(row.label(lookup));
    }
    // Names and the lead may be exchanged among them.
    let free = "UPDATE {nodes} SET name = NULL WHERE in_file IS NOT NULL AND {here}";
    tables.execute(free, [])?;
    for (record, row) in pairs {
        let name = name_of(record.name.as_deref(), &record.url, lookup);
        match write(tables, record, row, is_older, lookup) {
            Ok(FollowOutcome::Added) => followed.added.push(name),
            Ok(FollowOutcome::Pending) => followed.pending.push(name),
            Ok(FollowOutcome::Changed) => followed.changed.push(name),
            Ok(FollowOutcome::Unchanged) => {}
            Err(ChangeError::Refused(why)) => followed.refused.push(format!("{name}: {why}")),
            Err(stop) => return Err(stop),
        }
    }
    table::note_following(tables)?;
    note_removal(tables, lookup)?;
    Ok(followed)
}

/// Each record with its row, if it has one, and the rows that the configuration no longer has.
/// Nodes that hand the lead on come first.
fn pair<'a>(
    records: &'a [NodeRecord],
    mut rows: Vec<EmbeddedRow>,
    lookup: EnvironmentLookup<'_>,
) -> (Vec<(&'a NodeRecord, Option<EmbeddedRow>)>, Vec<EmbeddedRow>) {
    let mut pairs = Vec::new();
    for record in records {
        let identity = identity_of(&record.url, lookup);
        let at_url = rows
            .iter()
            .position(|row| row.is_at(record.url.trim(), &identity, lookup));
        // By its name, where its URL was changed in the file; a record that has the row's URL now comes first.
        let named = || {
            let is_elsewhere = |row: &EmbeddedRow| {
                let identity = identity_of(&row.url, lookup);
                let is_at = |other: &NodeRecord| identity_of(&other.url, lookup) == identity;
                records.iter().any(is_at)
            };
            rows.iter().position(|row| {
                row.in_file().is_some()
                    && record.name.is_some()
                    && row.name == record.name
                    && !is_elsewhere(row)
            })
        };
        let row = at_url.or_else(named).map(|at| rows.remove(at));
        pairs.push((record, row));
    }
    pairs.sort_by_key(|(record, _)| record.role == Role::Leader);
    rows.retain(|row| row.in_file().is_some());
    (pairs, rows)
}

enum FollowOutcome {
    Added,
    Pending,
    Changed,
    Unchanged,
}

fn write(
    tables: ChainTables<'_>,
    record: &NodeRecord,
    row: Option<EmbeddedRow>,
    is_older: bool,
    lookup: EnvironmentLookup<'_>,
) -> Result<FollowOutcome, ChangeError> {
    unset_variables(record, lookup).map_err(RegistryError::from)?;
    let is_other = |other: &&EmbeddedRow| row.as_ref().is_none_or(|row| row.rowid != other.rowid);
    let others = table::rows(tables)?;
    let mut others = others.iter().filter(is_other);
    let name = name_of(record.name.as_deref(), &record.url, lookup);
    // Those of the file have names of their own; they may not have been written yet.
    let mut by_command = others.clone().filter(|other| other.in_file().is_none());
    if by_command.any(|other| other.label(lookup) == name) {
        return Err(RegistryError::NameTaken(name).into());
    }
    // A leader by command stays one; the node is an own one beside it.
    let has_leader = others.any(|other| other.is_leader());
    let wanted = |role: Role| match role {
        Role::Leader if has_leader => Role::Own,
        Role::Own | Role::Leader | Role::Fallback => role,
    };
    let Some(row) = row else {
        let (weight, role) = match is_older {
            true => (Weight::NONE, Role::Own),
            false => (record.weight, wanted(record.role)),
        };
        let first = NodeRecord {
            url: record.url.trim().to_string(),
            weight,
            role,
            ..record.clone()
        };
        let identity = identity_of(&record.url, lookup);
        let in_file = Some((text_of(record), is_older));
        table::insert(tables, &first, &identity, &clock::iso_8601(), in_file).map_err(exists)?;
        return Ok(match is_older {
            true => FollowOutcome::Pending,
            false => FollowOutcome::Added,
        });
    };
    let mut next = followed(&row, record, wanted(record.role));
    next.url = record.url.trim().to_string();
    next.identity = identity_of(&record.url, lookup);
    next.name.clone_from(&record.name);
    next.in_file = Some(text_of(record));
    table::update(tables, &next).map_err(exists)?;
    Ok(match next.says_as(&row) {
        true => FollowOutcome::Unchanged,
        false => FollowOutcome::Changed,
    })
}

/// `row` with what the file says otherwise of its node than when it was read last; all of it, where it said nothing yet, but
/// for what a command may say. `role`: what it may be.
fn followed(row: &EmbeddedRow, record: &NodeRecord, role: Role) -> EmbeddedRow {
    let said = row.in_file();
    // What a command may say of a node stands where the file hasn't said anything yet.
    let before = said.as_ref().unwrap_or(record);
    let mut next = row.clone();
    if before.weight != record.weight {
        next.set_weight(record.weight);
    }
    if before.role != record.role {
        next.role = role.as_str().to_string();
    }
    if said.is_none() || before.ws_url != record.ws_url {
        next.ws_url.clone_from(&record.ws_url);
    }
    if said.is_none() || before.headers != record.headers {
        next.headers = headers_text(&record.headers);
    }
    if before.in_flight_max != record.in_flight_max {
        next.in_flight_max = record.in_flight_max.number().map(i64::from);
    }
    if before.purpose.serves != record.purpose.serves {
        next.serves = serves_text(&record.purpose.serves);
    }
    if before.purpose.recent_blocks != record.purpose.recent_blocks {
        next.recent_blocks = recent_blocks_number(record.purpose.recent_blocks);
    }
    if row.is_pending {
        next.weight = Some(0);
        next.role = Role::Own.as_str().to_string();
    }
    next
}

/// A pending node comes in, as the file has it.
pub(super) fn admit(tables: ChainTables<'_>, url: &str) -> Result<(), ChangeError> {
    let rows = table::rows(tables)?;
    let Some(row) = rows.iter().find(|row| row.url == url && row.is_pending) else {
        return Ok(());
    };
    let mut row = row.clone();
    row.admit();
    if row.is_leader() && rows.iter().any(|other| other.is_leader()) {
        row.role = Role::Own.as_str().to_string();
    }
    Ok(table::update(tables, &row)?)
}

#[cfg(test)]
#[path = "configured_nodes_tests.rs"]
mod tests;

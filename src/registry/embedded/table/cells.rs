//! Cells of a table that others may have written into, too: nothing in them stops the reading.

use std::collections::BTreeMap;

use rusqlite::types::ValueRef;

use forebay_core::vocabulary::node::{RecentBlocks, Role, ServedMethods, Weight};

/// A text, bytes that are none replaced; anything else counts as nothing.
pub(super) fn text(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Option<String>> {
    Ok(match row.get_ref(column)? {
        ValueRef::Text(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Blob(_) => None,
    })
}

/// A whole number; anything else counts as nothing.
pub(super) fn whole(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Option<i64>> {
    Ok(match row.get_ref(column)? {
        ValueRef::Integer(number) => Some(number),
        ValueRef::Null | ValueRef::Real(_) | ValueRef::Text(_) | ValueRef::Blob(_) => None,
    })
}

/// A map of texts as JSON; such a map always has one.
pub(crate) fn headers_text(headers: &BTreeMap<String, String>) -> String {
    serde_json::Value::from_iter(
        headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str())),
    )
    .to_string()
}

/// Globs with commas between them; `None`: all methods.
pub(crate) fn serves_text(serves: &ServedMethods) -> Option<String> {
    (!serves.is_all()).then(|| serves.to_string())
}

/// `None`: as many as there are.
pub(crate) fn recent_blocks_number(recent: RecentBlocks) -> Option<i64> {
    recent
        .number()
        .and_then(|blocks| i64::try_from(blocks).ok())
}

pub(super) fn role(text: &str) -> Option<Role> {
    Role::ALL.into_iter().find(|role| role.as_str() == text)
}

pub(super) fn weight(number: i64) -> Option<Weight> {
    Weight::new(natural(number)?).ok()
}

pub(super) fn natural(number: i64) -> Option<u64> {
    u64::try_from(number).ok()
}

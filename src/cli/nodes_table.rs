//! The nodes of the registry as a table for people.

use std::io::{self, Write};

use super::table::{self, HOW_TO_BEGIN};
use crate::registry::item_json::ItemJson;
use crate::registry::{ItemOrigin, RegistryItem};
use forebay_core::vocabulary::node::{Role, Weight};

pub(super) const HEADINGS: [&str; 9] = [
    "NAME", "URL", "ROLE", "WEIGHT", "HEALTHY", "BLOCK", "LAG", "REASON", "ADDED",
];

/// Writes a row a node, those that the registry has lost last; or how to begin where there is none.
pub(super) fn write(
    out: &mut dyn Write,
    items: &[RegistryItem],
    (shown, leftovers): (&[ItemJson], &[ItemJson]),
) -> io::Result<()> {
    if items.is_empty() && leftovers.is_empty() {
        return writeln!(out, "{HOW_TO_BEGIN}");
    }
    let mut rows = vec![HEADINGS.map(str::to_string)];
    rows.extend(
        items
            .iter()
            .zip(shown)
            .map(|(item, shown)| cells(item, shown)),
    );
    rows.extend(leftovers.iter().map(cells_of_leftover));
    table::write(out, &rows)
}

fn cells_of_leftover(shown: &ItemJson) -> [String; HEADINGS.len()] {
    let number = |number: Option<u64>| number.map_or("-".to_string(), |number| number.to_string());
    let role = match (shown.is_leader, shown.is_fallback) {
        (true, _) => Role::Leader,
        (_, true) => Role::Fallback,
        (false, false) => Role::Own,
    };
    let healthy = if shown.is_healthy { "yes" } else { "no" };
    [
        shown.name.clone(),
        shown.url.clone(),
        role.as_str().to_string(),
        shown.weight.to_string(),
        healthy.to_string(),
        number(shown.block_number),
        number(shown.lag),
        shown.reason.clone().unwrap_or_else(|| "-".to_string()),
        "lost".to_string(),
    ]
}

fn cells(item: &RegistryItem, shown: &ItemJson) -> [String; HEADINGS.len()] {
    let number = |number: Option<u64>| number.map_or("-".to_string(), |number| number.to_string());
    let healthy = match (item.health.checked_at, shown.is_healthy) {
        (None, _) => "-",
        (Some(_), true) => "yes",
        (Some(_), false) => "no",
    };
    [
        shown.name.clone(),
        shown.url.clone(),
        over(item.record.role.as_str(), item, |role, _| {
            role.as_str().to_string()
        }),
        over(&shown.weight.to_string(), item, |_, weight| {
            weight.get().to_string()
        }),
        healthy.to_string(),
        number(shown.block_number),
        number(shown.lag),
        shown.reason.clone().unwrap_or_else(|| "-".to_string()),
        shown.when_added.clone(),
    ]
}

/// What holds, and beside it what the file says, where that is something else.
fn over(holds: &str, item: &RegistryItem, says: impl Fn(Role, Weight) -> String) -> String {
    let ItemOrigin::File {
        weight,
        role,
        is_pending,
    } = item.origin
    else {
        return holds.to_string();
    };
    match says(role, weight) {
        file if file == holds => file,
        file if is_pending => format!("{holds} (pending: {file})"),
        file => format!("{holds} (file: {file})"),
    }
}

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
    let listed = items.iter().map(Some).zip(shown);
    let lost = leftovers.iter().map(|shown| (None, shown));
    rows.extend(listed.chain(lost).map(|(item, shown)| cells(item, shown)));
    table::write(out, &rows)
}

/// `item`: as the registry has it; `None`: it has lost it.
fn cells(item: Option<&RegistryItem>, shown: &ItemJson) -> [String; HEADINGS.len()] {
    let number = |number: Option<u64>| number.map_or("-".to_string(), |number| number.to_string());
    let role = Role::of(shown.is_leader, shown.is_fallback);
    let is_checked = item.is_none_or(|item| item.health.checked_at.is_some());
    let healthy = match (is_checked, shown.is_healthy) {
        (false, _) => "-",
        (true, true) => "yes",
        (true, false) => "no",
    };
    [
        shown.name.clone(),
        shown.url.clone(),
        over(role.as_str(), item, |role, _| role.as_str().to_string()),
        over(&shown.weight.to_string(), item, |_, weight| {
            weight.get().to_string()
        }),
        healthy.to_string(),
        number(shown.block_number),
        number(shown.lag),
        shown.reason.clone().unwrap_or_else(|| "-".to_string()),
        item.map_or("lost".to_string(), |_| shown.when_added.clone()),
    ]
}

/// What holds, and beside it what the file says, where that is something else.
fn over(holds: &str, item: Option<&RegistryItem>, says: impl Fn(Role, Weight) -> String) -> String {
    let Some(ItemOrigin::File {
        weight,
        role,
        is_pending,
    }) = item.map(|item| item.origin)
    else {
        return holds.to_string();
    };
    match says(role, weight) {
        file if file == holds => file,
        file if is_pending => format!("{holds} (pending: {file})"),
        file => format!("{holds} (file: {file})"),
    }
}

//! What is said of keys and values, and where they stand.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;

use super::finding::{Findings, shown};
use super::suggestion;
use super::yaml::YamlEntry;

pub(super) fn quoted(written: &str) -> String {
    match written {
        "" => "an empty text".to_string(),
        _ if written.contains("${") => format!("what `{}` stands for", shown(written)),
        _ => format!("`{}`", shown(written)),
    }
}

/// What to say of an unknown key.
pub(super) fn unknown_key(key: &str, known: &[&str]) -> String {
    match suggestion::nearest(key, known.iter().copied()) {
        Some(near) => format!("unknown key; did you mean `{near}`?"),
        None => "unknown key".to_string(),
    }
}

pub(super) fn report_doubles(findings: &Findings, path: &str, entries: &[YamlEntry]) {
    let keys = entries.iter().map(|entry| (entry, &entry.key));
    for (again, first) in doubles(keys) {
        let message = format!("written twice, first on line {}", first.line);
        findings.error(again.line, &below(path, &again.key), message);
    }
}

/// Each later place of what stood before, with the first place of it.
pub(super) fn doubles<P: Copy, T: Eq + Hash>(all: impl IntoIterator<Item = (P, T)>) -> Vec<(P, P)> {
    let mut first = HashMap::new();
    let mut found = Vec::new();
    for (place, what) in all {
        match first.entry(what) {
            Entry::Occupied(before) => found.push((place, *before.get())),
            Entry::Vacant(none) => {
                none.insert(place);
            }
        }
    }
    found
}

/// The path of `key` under `path`.
pub(super) fn below(path: &str, key: &str) -> String {
    let key = shown(key);
    match path {
        "" => key,
        _ => format!("{path}.{key}"),
    }
}

//! What is said of keys and values, and where they stand.

use std::collections::HashMap;

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
    let mut first: HashMap<&str, usize> = HashMap::new();
    for entry in entries {
        match first.get(entry.key.as_str()) {
            Some(line) => {
                let message = format!("written twice, first on line {line}");
                findings.error(entry.line, &below(path, &entry.key), message);
            }
            None => {
                first.insert(&entry.key, entry.line);
            }
        }
    }
}

/// The path of `key` under `path`.
pub(super) fn below(path: &str, key: &str) -> String {
    let key = shown(key);
    match path {
        "" => key,
        _ => format!("{path}.{key}"),
    }
}

//! What holds for a list of nodes, whatever it is written in: which node may stand beside which, what each
//! is known by, and which node a key means. Rows may be damaged by hand, and are rows nevertheless.

use url::Url;

use super::RegistryError;
use crate::clock;
use crate::registry::RegistryItem;
use crate::registry::validation::{
    EnvironmentLookup, UNKNOWN, identity_of, name_of, unset_variables,
};
use forebay_core::vocabulary::node::{NodeRecord, Role};

/// A node as it is written down.
pub(super) trait StoredNode {
    fn url(&self) -> &str;
    /// The name that it was given.
    fn name(&self) -> Option<&str>;
    fn is_leader(&self) -> bool;
    /// Whether this is the node at `url`, whose identity is `identity`.
    fn is_at(&self, url: &str, identity: &str, lookup: EnvironmentLookup<'_>) -> bool;
    /// What tells it apart where it has neither a name nor a host; nothing of its URL.
    fn mark(&self) -> String;

    /// What the node is known by, also where its row is damaged: its name if that is one, else
    /// its host, else its mark. Never more of the URL.
    fn label(&self, lookup: EnvironmentLookup<'_>) -> String {
        let given = self.name().filter(|name| is_plain(name));
        let known = name_of(given, self.url(), lookup);
        if known != UNKNOWN {
            return known;
        }
        let url = Url::parse(self.url()).ok();
        let host = url.as_ref().and_then(Url::host_str);
        host.map_or_else(|| self.mark(), str::to_string)
    }
}

fn is_plain(name: &str) -> bool {
    let mut record = NodeRecord::at("http://stand-in");
    record.name = Some(name.to_string());
    record.resolve(&|_| None).is_ok()
}

/// `record` as a new item, if it can stand beside `rows`; and its identity.
///
/// # Errors
/// Any fault of the record; its URL, its name or the lead is taken.
pub(super) fn newcomer(
    rows: &[impl StoredNode],
    record: &NodeRecord,
    lookup: EnvironmentLookup<'_>,
) -> Result<(RegistryItem, String), RegistryError> {
    unset_variables(record, lookup)?;
    let mut record = record.clone();
    record.url = record.url.trim().to_string();
    let identity = identity_of(&record.url, lookup);
    if let Some(refused) = clash(rows, &record, &identity, lookup) {
        return Err(refused);
    }
    Ok((RegistryItem::new(record, clock::iso_8601()), identity))
}

/// Why `record` can't stand beside `rows`.
fn clash(
    rows: &[impl StoredNode],
    record: &NodeRecord,
    identity: &str,
    lookup: EnvironmentLookup<'_>,
) -> Option<RegistryError> {
    let url = &record.url;
    if rows.iter().any(|row| row.is_at(url, identity, lookup)) {
        return Some(RegistryError::Exists);
    }
    let name = name_of(record.name.as_deref(), url, lookup);
    if rows.iter().any(|row| row.label(lookup) == name) {
        return Some(RegistryError::NameTaken(name));
    }
    let leader = rows.iter().find(|row| row.is_leader());
    let leader = leader.filter(|_| record.role == Role::Leader)?;
    Some(RegistryError::SecondLeader(leader.label(lookup)))
}

/// The row that `key` means: by URL first, then by what it is known by.
///
/// # Errors
/// [`RegistryError::Unknown`].
pub(super) fn find<'a, R: StoredNode>(
    rows: &'a [R],
    key: &str,
    lookup: EnvironmentLookup<'_>,
) -> Result<&'a R, RegistryError> {
    let key = key.trim();
    let identity = identity_of(key, lookup);
    let at_url = rows.iter().find(|row| row.is_at(key, &identity, lookup));
    let named = || rows.iter().find(|row| row.label(lookup) == key);
    at_url.or_else(named).ok_or(RegistryError::Unknown)
}

//! `forebay.chains`: several chains, each by its name.
//!
//! A chain's settings are read off one tree, in which what stands under the chain lies over what stands under
//! `forebay` for all of them: so every key that can differ means the same in both places. What is found there
//! is told at the chain's own key, and once where all chains share it.

use std::collections::HashMap;

use super::field::{Field, ReadContext, Section, unknown_key};
use super::finding::{Finding, Findings, shown};
use super::host_name;
use super::registry::TABLE_BYTES;
use super::server::FOREBAY;
use super::settings::{NamedChain, RegistryKind, Settings, table};
use super::yaml::{YamlEntry, YamlNode, YamlValue};
use super::{advice, chain_places, from_file, known_chain};
use forebay_core::vocabulary::chain::ChainName;

/// The most chains of one process.
pub(super) const CHAINS_MAX: usize = 200;
/// The group, under `forebay`.
pub(super) const CHAINS: &str = "chains";
/// What only a chain has, and where the same is written where there is one chain alone; and what it means.
pub(super) const OWN_KEYS: [(&str, Option<&str>, &str); 5] = [
    (
        "id",
        Some("chain.id"),
        "nodes with another chain id are kept out; the path of calls, too. Left out: that of a known chain of this name, else the leader's",
    ),
    (
        "block_time",
        Some("chain.block_time"),
        "the time between two blocks, to begin with. Left out: a known chain's own, else 12s",
    ),
    (
        "nodes",
        Some("nodes"),
        "the chain's nodes, as under `nodes`; a node is one chain's",
    ),
    (
        "default",
        None,
        "`true`: it answers at `/`, too. Of one chain alone it is so without",
    ),
    (
        "hosts",
        None,
        "the host names by which its clients come, without port; up to 100",
    ),
];
/// Groups and keys of all chains that one may have otherwise.
pub(super) const SHARED_KEYS: [&str; 7] = [
    "registry",
    "health",
    "calls",
    "consistency",
    "methods",
    "cache",
    "cors",
];
/// Keys below these that are the process's all the same.
pub(super) const PROCESS_KEYS: [&str; 7] = [
    "registry.kind",
    "registry.path",
    "registry.endpoint",
    "registry.last_list",
    "health.required",
    "cache.memory",
    "cache.shared",
];
/// The most host names of one chain.
pub(super) const HOSTS_MAX: usize = 100;

/// Whether a setting can differ by chain; its key is as in the table.
pub(super) fn is_a_chains(key: &str) -> bool {
    let group = key.split('.').next().unwrap_or_default();
    let is_shared = SHARED_KEYS.contains(&group) && !PROCESS_KEYS.contains(&key);
    is_shared || own_key(key).is_some()
}

/// What the setting `key` is called under a chain.
pub(super) fn key_in_chain(key: &str) -> &str {
    own_key(key).unwrap_or(key)
}

pub(super) fn own_key(key: &str) -> Option<&'static str> {
    let own = OWN_KEYS.iter().find(|(_, alone, _)| *alone == Some(key));
    own.map(|(own, ..)| *own)
}

/// Reads the chains into `settings`, which hold what they share; and judges what names them.
pub(super) fn read(context: &ReadContext<'_>, forebay: &Field<'_>, settings: &mut Settings) {
    let section = forebay.group();
    let field = section.field(CHAINS);
    let entries = field.entries();
    if entries.len() > CHAINS_MAX {
        field.error(format!("more than {CHAINS_MAX} chains"));
        return;
    }
    if !entries.is_empty() {
        for key in ["chain", "nodes"] {
            if section.has(key) {
                section.field(key).error(
                    "means one chain alone, and can't stand beside `chains`: write it in the chain",
                );
            }
        }
    }
    for entry in entries {
        let chain = field.below(entry);
        match entry.key.parse::<ChainName>() {
            Err(why) => chain.error(why.to_string()),
            // A second one of a name was told of where the text was read.
            Ok(name) if settings.chains.iter().any(|before| before.name == name) => {}
            Ok(name) => settings
                .chains
                .push(one(context, &chain, name, &entry.node)),
        }
    }
    chain_places::keep_apart(settings);
    judge(context, settings);
    judge_required(context, &section, settings);
}

/// One chain.
fn one(
    context: &ReadContext<'_>,
    chain: &Field<'_>,
    name: ChainName,
    node: &YamlNode,
) -> NamedChain {
    let entries = chain.entries();
    if !chain.is_written() {
        chain.error("has no `nodes`: write a group of keys");
    }
    refuse_others(chain, entries);
    let section = chain.group();
    let is_default = section.field("default").boolean().unwrap_or(false);
    let hosts = section.field("hosts").list(host_name::read);
    let hosts = hosts.unwrap_or_default();
    if hosts.len() > HOSTS_MAX {
        let field = section.field("hosts");
        field.error(format!("more than {HOSTS_MAX} names"));
    }
    let known = known_chain::id_of(name.as_str(), node);
    let tree = tree_of(context.root.entry(FOREBAY), node, known);
    let settings = read_tree(context, chain, (&tree, node));
    NamedChain {
        name,
        is_default,
        hosts,
        settings,
    }
}

/// Tells the keys that are no chain's.
fn refuse_others<'a>(chain: &Field<'a>, entries: &'a [YamlEntry]) {
    let known = [&OWN_KEYS.map(|(key, ..)| key)[..], &SHARED_KEYS].concat();
    let of_process = from_file::keys_below(&table(), "");
    for entry in entries {
        let key = entry.key.as_str();
        let field = chain.below(entry);
        if known.contains(&key) {
            refuse_below(&field, entry);
        } else if of_process.contains(&key) {
            field.error(process_key(key));
        } else {
            field.error(unknown_key(key, &known));
        }
    }
}

fn refuse_below<'a>(field: &Field<'a>, group: &'a YamlEntry) {
    for entry in entries_of(Some(&group.node)) {
        let key = format!("{}.{}", group.key, entry.key);
        if PROCESS_KEYS.contains(&key.as_str()) {
            field.below(entry).error(process_key(&key));
        }
    }
}

fn process_key(key: &str) -> String {
    format!("is the process's, the same for all chains: write `forebay.{key}`")
}

/// What `own`, a chain, says over what all chains share and is `known` of it, as a file would say it of one
/// chain alone.
fn tree_of(forebay: Option<&YamlEntry>, own: &YamlNode, known: Option<YamlEntry>) -> YamlNode {
    let shared = forebay.map(|entry| &entry.node);
    let is_shared = |entry: &&YamlEntry| ![CHAINS, "chain", "nodes"].contains(&entry.key.as_str());
    let mut entries: Vec<YamlEntry> = entries_of(shared)
        .iter()
        .filter(is_shared)
        .cloned()
        .collect();
    let mut chain: Vec<YamlEntry> = known.into_iter().collect();
    for entry in entries_of(Some(own)) {
        match entry.key.as_str() {
            "default" | "hosts" => {}
            "id" | "block_time" => chain.push(entry.clone()),
            "nodes" => entries.push(entry.clone()),
            key if SHARED_KEYS.contains(&key) => lay_over(&mut entries, entry),
            // It was told of.
            _ => {}
        }
    }
    let line = own.line;
    let mapping = |entries| YamlNode {
        line,
        value: YamlValue::Mapping(entries),
    };
    entries.push(YamlEntry {
        key: "chain".to_string(),
        line,
        node: mapping(chain),
    });
    mapping(vec![YamlEntry {
        key: FOREBAY.to_string(),
        line,
        node: mapping(entries),
    }])
}

fn entries_of(node: Option<&YamlNode>) -> &[YamlEntry] {
    match node.map(|node| &node.value) {
        Some(YamlValue::Mapping(entries)) => entries,
        Some(YamlValue::Scalar { .. } | YamlValue::Sequence(_)) | None => &[],
    }
}

/// A group's keys come over those of the same group; anything else comes in its place. What stands there
/// twice stays so, for its reader to tell.
fn lay_over(entries: &mut Vec<YamlEntry>, own: &YamlEntry) {
    if own.node.is_null() {
        return;
    }
    let place = entries.iter_mut().find(|entry| entry.key == own.key);
    match (place, &own.node.value) {
        (None, _) => entries.push(own.clone()),
        (Some(place), YamlValue::Mapping(owns)) => {
            let mut all = entries_of(Some(&place.node)).to_vec();
            for (at, entry) in owns.iter().enumerate() {
                match owns[..at].iter().any(|other| other.key == entry.key) {
                    true => all.push(entry.clone()),
                    false => lay_over(&mut all, entry),
                }
            }
            place.line = own.line;
            place.node = YamlNode {
                line: own.node.line,
                value: YamlValue::Mapping(all),
            };
        }
        (Some(place), YamlValue::Scalar { .. } | YamlValue::Sequence(_)) => *place = own.clone(),
    }
}

/// Reads a chain's tree, and tells what is found there at the keys of `chain`.
fn read_tree(
    context: &ReadContext<'_>,
    chain: &Field<'_>,
    (tree, own): (&YamlNode, &YamlNode),
) -> Settings {
    let findings = Findings::default();
    let inner = ReadContext {
        lookup: context.lookup,
        root: tree,
        findings: &findings,
        recorder: None,
    };
    let node = tree.entry(FOREBAY).map(|entry| &entry.node);
    let forebay = Field::new(&inner, FOREBAY.to_string(), chain.line, node);
    let settings = from_file::settings(&inner, &forebay);
    advice::on_settings(&inner, &settings);
    for finding in findings.into_sorted() {
        tell(context, chain, own, &finding);
    }
    settings
}

/// Tells what was found, unless it was found of all chains.
fn tell(context: &ReadContext<'_>, chain: &Field<'_>, own: &YamlNode, found: &Finding) {
    let Finding {
        severity,
        line,
        key,
        message,
    } = found;
    if context.findings.has(*line, message) {
        return;
    }
    let rest = key.strip_prefix("forebay.").unwrap_or_default();
    let rest = rest.strip_prefix("chain.").unwrap_or(rest);
    let first = rest.split(['.', '[']).next().unwrap_or_default();
    let line = match own.entry(first) {
        Some(_) if own.holds(rest) => *line,
        // What doesn't fit to it stands for all.
        Some(_) => own.line_of(rest),
        None => chain.line,
    };
    let key = match rest {
        "" => chain.path.clone(),
        rest => format!("{}.{rest}", chain.path),
    };
    context
        .findings
        .tell(*severity, line, &key, message.clone());
}

/// What two chains can't both have.
fn judge(context: &ReadContext<'_>, settings: &Settings) {
    let mut taken: HashMap<(&str, String), String> = HashMap::new();
    let mut take = |kind, what: String, path: String, again: &str| {
        match taken.get(&(kind, what.clone())) {
            // Twice in one chain it was told of.
            Some(first) if kind == "node" && list_of(first) == list_of(&path) => return true,
            Some(first) => context.error(&path, format!("{again} {first}")),
            None => return taken.insert((kind, what), path).is_none(),
        }
        false
    };
    for chain in &settings.chains {
        let path = format!("forebay.{CHAINS}.{}", chain.name);
        if let Some(id) = chain.settings.chain.id {
            let again = "two chains can't have one id, and it is that of";
            take("id", id.to_string(), format!("{path}.id"), again);
        }
        if chain.is_default {
            let again = "one chain is the default, and that is";
            take("default", String::new(), format!("{path}.default"), again);
        }
        if settings.registry.kind == RegistryKind::Dynamo {
            let table = &chain.settings.registry.table;
            let at = format!("{path}.registry.table");
            if !TABLE_BYTES.contains(&table.len()) {
                context.error(
                    &at,
                    format!("`{table}` is no table's name: up to 249 letters"),
                );
            }
            let again = "a table, or the one with -state beside it, is one chain's, and that is";
            if take("table", table.clone(), at.clone(), again) {
                take("table", format!("{table}-state"), at, again);
            }
        }
        for (at, host) in chain.hosts.iter().enumerate() {
            let again = "a host leads to one chain, and it is";
            take("host", host.clone(), format!("{path}.hosts[{at}]"), again);
        }
        for (at, record) in chain.settings.nodes.iter().enumerate() {
            let Ok(spec) = record.resolve(context.lookup) else {
                continue;
            };
            let headers = spec.headers.iter();
            let headers: Vec<_> = headers
                .map(|(name, value)| format!("{name}: {}", value.reveal()))
                .collect();
            let way = format!("{} {headers:?}", spec.url.identity());
            let again = "a node (by its URL and headers) is one chain's, and it is";
            let path = format!("{path}.nodes[{at}]");
            take("node", way, path, again);
        }
    }
}

/// The path of a list, of that of an item.
fn list_of(path: &str) -> &str {
    path.split_once('[').map_or(path, |(list, _)| list)
}

/// Whether `health.required` names chains.
fn judge_required(context: &ReadContext<'_>, section: &Section<'_>, settings: &Settings) {
    let names: Vec<_> = settings
        .all_chains()
        .map(|(name, _)| name.to_string())
        .collect();
    for (at, wanted) in settings.health.required.iter().enumerate() {
        if !names.contains(wanted) {
            let path = format!("{}.health.required[{at}]", section.path);
            let message = format!(
                "there is no chain `{}`; the chains are {}",
                shown(wanted),
                names.join(", ")
            );
            context.error(&path, message);
        }
    }
}

#[cfg(test)]
#[path = "chains_tests.rs"]
mod tests;

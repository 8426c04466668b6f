//! What becomes of chains when the configuration was read again: they come and go, and each setting of one
//! that stays is weighed as if it were alone.

use super::chains::{CHAINS, is_a_chains, key_in_chain};
use super::setting::Fate;
use super::settings::{NamedChain, Settings, table};
use forebay_core::vocabulary::chain::ChainName;

/// Keys that are told of, and which of them hold at once.
#[derive(Debug, Default)]
pub(super) struct ChainChanges {
    pub applied: Vec<String>,
    pub waiting: Vec<String>,
}

/// Why the chains of `wanted` can't take the place of those in force: another one than before would be the
/// default, which answers at `/` and whose nodes are written down where one chain's are.
pub fn refusal(running: &Settings, wanted: &Settings) -> Option<String> {
    if running.chains.is_empty() || wanted.chains.is_empty() {
        return None;
    }
    let (before, after) = (default_of(running), default_of(wanted));
    let called = |name: Option<&ChainName>| {
        name.map_or("none of the chains".to_string(), |name| {
            format!("the chain {name}")
        })
    };
    (before != after).then(|| {
        format!(
            "{} is the default, at `/` and where nodes are written down, and it would be {}: that needs a \
             restart, or `default: true` where it was",
            called(before),
            called(after)
        )
    })
}

fn default_of(settings: &Settings) -> Option<&ChainName> {
    let mut names = settings.chains.iter().map(|chain| &chain.name);
    names.find(|name| settings.stored_as(name).is_none())
}

/// Weighs the chains of `settings`, which were read, with those in force; what can't hold yet is put back.
/// `told`: keys that are told of as of all chains.
pub(super) fn weigh(running: &Settings, settings: &mut Settings, told: &[String]) -> ChainChanges {
    let mut changes = ChainChanges::default();
    if running.chains.is_empty() != settings.chains.is_empty() {
        changes.waiting.push(format!("forebay.{CHAINS}"));
        settings.chains.clone_from(&running.chains);
        settings.chain.clone_from(&running.chain);
        settings.nodes.clone_from(&running.nodes);
        return changes;
    }
    for gone in &running.chains {
        if !settings.chains.iter().any(|chain| chain.name == gone.name) {
            changes.applied.push(path_of(&gone.name));
        }
    }
    for chain in &mut settings.chains {
        let before = running
            .chains
            .iter()
            .find(|before| before.name == chain.name);
        match before {
            None => changes.applied.push(path_of(&chain.name)),
            Some(before) => weigh_one(before, chain, told, &mut changes),
        }
    }
    changes
}

fn path_of(name: &ChainName) -> String {
    format!("forebay.{CHAINS}.{name}")
}

fn weigh_one(
    before: &NamedChain,
    chain: &mut NamedChain,
    told: &[String],
    changes: &mut ChainChanges,
) {
    let path = path_of(&chain.name);
    let (running, wanted) = (&before.settings, chain.settings.clone());
    for setting in table() {
        if !is_a_chains(setting.key) || !setting.value.differs(running, &wanted) {
            continue;
        }
        let list = match setting.when.fate(running, &wanted) {
            Fate::Untold => continue,
            Fate::Applies => &mut changes.applied,
            Fate::Waits => {
                setting.value.keep(running, &mut chain.settings);
                &mut changes.waiting
            }
        };
        if told.contains(&setting.told_key()) {
            continue;
        }
        let steps = key_in_chain(setting.key).split('.').take(2);
        let key = format!("{path}.{}", steps.collect::<Vec<_>>().join("."));
        if list.last() != Some(&key) {
            list.push(key);
        }
    }
    let own = [
        ("default", before.is_default != chain.is_default),
        ("hosts", before.hosts != chain.hosts),
    ];
    let differing = own.iter().filter(|(_, differs)| *differs);
    let differing = differing.map(|(key, _)| format!("{path}.{key}"));
    changes.applied.extend(differing);
}

//! How the chains are printed: each with what it has of its own, or otherwise than all.

use serde_json::{Value as Json, json};

use super::chains::{CHAINS, is_a_chains, key_in_chain};
use super::settings::{NamedChain, Settings, table};

/// What is printed of `settings`, the chains put into `tree`: what means one chain alone is left out then.
pub(super) fn of_all(mut tree: Json, settings: &Settings) -> Json {
    if let Json::Object(entries) = &mut tree
        && !settings.chains.is_empty()
    {
        entries.remove("chain");
        entries.remove("nodes");
    }
    for chain in &settings.chains {
        tree[CHAINS][chain.name.as_str()] = shown(settings, chain);
    }
    tree
}

/// What a chain has of its own, and otherwise than all.
fn shown(all: &Settings, chain: &NamedChain) -> Json {
    let mut tree = json!({ "default": chain.is_default, "hosts": chain.hosts });
    for setting in table() {
        let key = setting.key;
        let Some(value) = setting.value.shown(&chain.settings) else {
            continue;
        };
        let is_own = key_in_chain(key) != key || key == "nodes";
        let differs = is_own || setting.value.differs(all, &chain.settings);
        if is_a_chains(key) && differs {
            let steps = key_in_chain(key).split('.');
            *steps.fold(&mut tree, |at, step| &mut at[step]) = value;
        }
    }
    tree
}

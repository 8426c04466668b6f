//! The chains of the settings, one alone or several, and where the nodes of each are written down.

use super::settings::Settings;
use forebay_core::vocabulary::chain::{ChainName, default_place};

impl Settings {
    /// Under which name the nodes of the chain called `name` are written down; `None`: as those of the
    /// default one, where they stood before there were several.
    pub fn stored_as(&self, name: &ChainName) -> Option<&ChainName> {
        let chain = self.chains.iter().find(|chain| chain.name == *name)?;
        let default = default_place(self.chains.iter().map(|chain| chain.is_default));
        let is_default = default.is_some_and(|at| self.chains[at].name == *name);
        (!is_default).then_some(&chain.name)
    }

    /// Every chain with its settings; one alone is called `main`.
    pub fn all_chains(&self) -> impl Iterator<Item = (ChainName, &Settings)> {
        let alone = self.chains.is_empty();
        let alone = alone.then(|| (ChainName::main(), self));
        let named = self.chains.iter();
        let named = named.map(|chain| (chain.name.clone(), &chain.settings));
        alone.into_iter().chain(named)
    }
}

/// Nodes of chains other than the default stand where a balancer that knows of one chain alone doesn't look: in a
/// table of their own, unless the chain names one. In the embedded registry they have rows of their own.
pub(super) fn keep_apart(settings: &mut Settings) {
    let shared = settings.registry.table.clone();
    let chains = settings.chains.iter();
    let stored: Vec<_> = chains
        .map(|chain| settings.stored_as(&chain.name).cloned())
        .collect();
    for (chain, stored_as) in settings.chains.iter_mut().zip(stored) {
        let table = &mut chain.settings.registry.table;
        if let Some(name) = stored_as.filter(|_| *table == shared) {
            *table = format!("{shared}-{name}");
        }
    }
}

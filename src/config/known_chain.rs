//! What is taken for a chain that is known by its name or id, where its settings don't say otherwise.

use super::field::Section;
use super::settings::Settings;
use super::yaml::{YamlEntry, YamlNode, YamlValue};
use forebay_core::vocabulary::chain::ChainId;
use forebay_core::vocabulary::known_chains::{named, with_id};

/// The `id` of the chain `name`, as its group would say it, where that says none.
pub(super) fn id_of(name: &str, own: &YamlNode) -> Option<YamlEntry> {
    let chain = named(name).filter(|_| own.entry("id").is_none())?;
    let value = YamlValue::Scalar {
        text: chain.id.to_string(),
        quoted: false,
    };
    let line = own.line;
    Some(YamlEntry {
        key: "id".to_string(),
        line,
        node: YamlNode { line, value },
    })
}

/// The time between two blocks goes by the id, where `forebay` says none.
pub(super) fn fit(forebay: &Section<'_>, settings: &mut Settings) {
    let is_written = forebay.field("chain").group().has("block_time");
    let known = settings.chain.id.and_then(|id| with_id(ChainId(id)));
    if let (false, Some(time)) = (is_written, known.and_then(|chain| chain.block_time)) {
        settings.chain.block_time = time;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::config::tests::{finds, reading};

    /// The id and the milliseconds from block to block of each chain.
    fn chains(text: &str) -> Vec<(Option<u64>, u128)> {
        let settings = reading(&format!("forebay: {text}")).settings.unwrap();
        let chains = settings.all_chains();
        chains
            .map(|(_, settings)| {
                let chain = &settings.chain;
                (chain.id, chain.block_time.as_millis())
            })
            .collect()
    }

    #[test]
    fn a_chain_called_as_a_known_one_has_its_id_and_time_unless_it_says_otherwise() {
        assert_eq!(
            chains("{chains: {base: {nodes: []}}}"),
            [(Some(8453), 2000)]
        );
        for (own, wanted) in [
            ("id: 5", (Some(5), 12_000)),
            ("id: 42161", (Some(42_161), 250)),
            ("block_time: 3s", (Some(8453), 3000)),
            ("id: 42161, block_time: 1s", (Some(42_161), 1000)),
        ] {
            assert_eq!(
                chains(&format!("{{chains: {{base: {{{own}}}}}}}")),
                [wanted],
                "{own}"
            );
        }
        assert_eq!(chains("{chains: {mine: {nodes: []}}}"), [(None, 12_000)]);
    }

    #[test]
    fn of_one_chain_alone_the_time_goes_by_its_id() {
        assert_eq!(chains("{chain: {id: 100}}"), [(Some(100), 5000)]);
        assert_eq!(
            chains("{chain: {id: 100, block_time: 1s}}"),
            [(Some(100), 1000)]
        );
        assert_eq!(chains("{}"), [(None, 12_000)]);
        let default = crate::config::settings::Settings::default();
        assert_eq!(default.chain.block_time, Duration::from_secs(12));
    }

    #[test]
    fn two_names_of_one_chain_are_two_chains_with_one_id() {
        finds(
            "{chains: {gnosis: {nodes: []}, xdai: {nodes: []}}}",
            "two chains can't have one id",
        );
    }
}

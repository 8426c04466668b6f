//! `serves` and `recent_blocks` of a node: what it is for.

use super::field::{Field, Section};
use forebay_core::vocabulary::glob::may_be_method;
use forebay_core::vocabulary::node::{NodePurpose, RECENT_BLOCKS_MAX, RecentBlocks, ServedMethods};

pub(super) fn read(section: &Section<'_>) -> NodePurpose {
    NodePurpose {
        serves: serves(&section.field("serves")),
        recent_blocks: recent_blocks(&section.field("recent_blocks")),
    }
}

fn serves(field: &Field<'_>) -> ServedMethods {
    let form = "a method's name or a glob, as in `debug_trace*` or `!eth_getLogs`";
    let globs = field.list(|item| {
        Some(item.parsed(form, |text| {
            let name = text.strip_prefix('!').unwrap_or(text);
            let is_fine = may_be_method(name) && !name.contains(['!', ',']);
            is_fine.then(|| text.to_string())
        }))
    });
    // What is wrong with single ones has been said.
    let Some(globs) = globs.and_then(|globs| globs.into_iter().collect()) else {
        return ServedMethods::default();
    };
    ServedMethods::new(globs).unwrap_or_else(|why| {
        field.error(why.to_string());
        ServedMethods::default()
    })
}

fn recent_blocks(field: &Field<'_>) -> RecentBlocks {
    let form = format!("`all` or a number from 1 to {RECENT_BLOCKS_MAX}");
    let read = field.parsed(&form, |text| text.parse().ok());
    read.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::{finds, finds_nothing, reading};

    fn node(rest: &str) -> String {
        format!("{{nodes: [{{url: http://l, leader: true}}, {{url: http://a, {rest}}}]}}")
    }

    #[test]
    fn a_node_may_be_for_some_methods_and_for_recent_blocks() {
        let text = node("serves: [\"eth_*\", \"!eth_getLogs\"], recent_blocks: 128");
        let nodes = reading(&format!("forebay: {text}")).settings.unwrap().nodes;
        let purpose = &nodes[1].purpose;
        assert!(purpose.serves.has("eth_call") && !purpose.serves.has("eth_getLogs"));
        assert_eq!(purpose.recent_blocks, RecentBlocks::Newest(128));
        assert_eq!(nodes[0].purpose, NodePurpose::default());
        for fine in [
            "recent_blocks: all",
            "recent_blocks: 1",
            "serves: [\"*\"]",
            "serves: [\"!debug_*\"]",
            "serves: [unheard_of]",
            "serves: [eth_getLogs, \"debug_trace*\"]",
        ] {
            finds_nothing(&node(fine));
        }
    }

    #[test]
    fn what_leaves_a_node_nothing_is_a_mistake() {
        for nothing in [
            "serves: [\"!*\"]",
            "serves: [eth_call, \"!eth_*\"]",
            "serves: [engine_newPayloadV4]",
            "serves: [\"engine_*\", \"admin_*\"]",
        ] {
            finds(
                &node(nothing),
                "error: forebay.nodes[1].serves: what `serves` takes out leaves the node no method",
            );
        }
        finds_nothing(&format!(
            "{}, methods: {{allow: [\"engine_*\"]}}}}",
            node("serves: [\"engine_*\"]").trim_end_matches('}')
        ));
        finds(
            &node("serves: []"),
            "`serves` is 1 to 64 methods' names or globs",
        );
        finds(
            &node("serves: [a b]"),
            "serves[0]: expected a method's name or a glob",
        );
        for blocks in ["0", "-1", "1000000001", "many"] {
            finds(
                &node(&format!("recent_blocks: {blocks}")),
                "recent_blocks: expected `all` or a number from 1 to 1000000000",
            );
        }
    }

    #[test]
    fn a_glob_that_matches_nothing_known_is_warned_of() {
        finds(
            &node("serves: [\"eth_*\", \"!none_*\"]"),
            "warning: forebay.nodes[1].serves[1]: matches no method that is known",
        );
    }

    #[test]
    fn each_chains_nodes_are_looked_at() {
        let text =
            "{chains: {one: {id: 1, nodes: [{url: http://l, leader: true, serves: [\"!*\"]}]}}}";
        finds(
            text,
            "forebay.chains.one.nodes[0].serves: what `serves` takes out",
        );
    }
}

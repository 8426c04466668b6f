//! Filters, which live in one node: the id that a client holds says which.
//!
//! A client's id is `0x`, a digit for the form, twelve for the node and then the node's own id. It
//! is a hex quantity, as clients expect, and nothing needs to be remembered: it means the same
//! after a restart, and to another balancer with the same nodes. A node is known by a short hash
//! of its name, so nothing of its URL is in it.

use serde_json::value::RawValue;
use sha3::{Digest, Keccak256};

use crate::fleet::node_view::NodeView;
use crate::fleet::view::FleetView;
use crate::vocabulary::hex::are_digits;
use crate::vocabulary::node::NodeId;

/// What calls have to do with filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterUse {
    /// Its answer is a node's id for a new filter.
    Making,
    /// It names a filter, first in its params.
    Following,
}

/// Digits that stand for a node: whole bytes.
const NODE_DIGITS: usize = 12;
/// A node's own id, in bytes as written.
const ID_BYTES_MAX: usize = 128;

/// What `method` has to do with filters.
pub fn part_of(method: &str) -> Option<FilterUse> {
    match method {
        "eth_newFilter" | "eth_newBlockFilter" | "eth_newPendingTransactionFilter" => {
            Some(FilterUse::Making)
        }
        "eth_getFilterChanges" | "eth_getFilterLogs" | "eth_uninstallFilter" => {
            Some(FilterUse::Following)
        }
        _ => None,
    }
}

/// How a node's own id is written in a client's: its digits, or, where it isn't a hex number in
/// quotes, all its JSON as hex.
const DIGITS: char = '1';
const BYTES: char = '2';
/// The same of a filter whose changes are blocks' hashes.
const BLOCKS_DIGITS: char = '5';
const BLOCKS_BYTES: char = '6';

/// The id for the client, as JSON; `own` is the id, as JSON, at the node that made the filter by `method`.
/// `None` for one that is too long.
pub fn wrap(method: &str, node: &str, own: &str) -> Option<String> {
    if own.len() > ID_BYTES_MAX {
        return None;
    }
    let digits = own
        .strip_prefix("\"0x")
        .and_then(|rest| rest.strip_suffix('"'))
        .filter(|digits| !digits.is_empty() && are_digits(digits));
    let mark = mark_of(node);
    let is_of_blocks = method == "eth_newBlockFilter";
    let form = match digits {
        Some(_) if is_of_blocks => BLOCKS_DIGITS,
        Some(_) => DIGITS,
        None if is_of_blocks => BLOCKS_BYTES,
        None => BYTES,
    };
    let own = digits.map_or_else(|| hex::encode(own), str::to_string);
    Some(format!("\"0x{form}{mark}{own}\""))
}

/// A filter that a client named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterReference {
    mark: String,
    /// Its changes are blocks' hashes.
    pub is_of_blocks: bool,
    /// The params with the node's own id in them.
    pub params: String,
}

/// Reads the filter that `params` name; `None` where that is none of ours.
pub fn unwrap(params: &str) -> Option<FilterReference> {
    let params: Vec<&RawValue> = serde_json::from_str(params).ok()?;
    let (id, rest) = params.split_first()?;
    let digits = id.get().strip_prefix("\"0x")?.strip_suffix('"')?;
    let form = digits.chars().next()?;
    if !are_digits(digits) {
        return None;
    }
    let mark = digits.get(1..=NODE_DIGITS)?.to_ascii_lowercase();
    let digits = digits.get(1 + NODE_DIGITS..)?;
    let own = match form {
        DIGITS | BLOCKS_DIGITS if !digits.is_empty() => format!("\"0x{digits}\""),
        // Only what is JSON may go to a node.
        BYTES | BLOCKS_BYTES => String::from_utf8(hex::decode(digits).ok()?)
            .ok()
            .filter(|own| serde_json::from_str::<&RawValue>(own).is_ok())?,
        _ => return None,
    };
    let rest = rest.iter().flat_map(|param| [",", param.get()]);
    let params = ["[", &own].into_iter().chain(rest).chain(["]"]).collect();
    Some(FilterReference {
        mark,
        is_of_blocks: matches!(form, BLOCKS_DIGITS | BLOCKS_BYTES),
        params,
    })
}

impl FilterReference {
    /// The node that has the filter, if it is there to be asked. One that lags or is drained still
    /// has its filters; one that is gone, silent or on another chain has lost them.
    pub fn node(&self, view: &FleetView) -> Option<NodeId> {
        let has_it = |node: &&NodeView| {
            let is_there = node.lives && !node.is_on_another_chain;
            is_there && mark_of(&node.name) == self.mark
        };
        view.nodes.iter().find(has_it).map(|node| node.id)
    }
}

fn mark_of(node: &str) -> String {
    let digest = Keccak256::new_with_prefix("forebay filter ").chain_update(node);
    hex::encode(&digest.finalize()[..NODE_DIGITS / 2])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn back(node: &str, own: &str) -> Option<FilterReference> {
        let id = wrap("eth_newFilter", node, own)?;
        assert!(
            id.starts_with("\"0x") && id[3..id.len() - 1].bytes().all(|b| b.is_ascii_hexdigit())
        );
        unwrap(&format!(" [ {id} ]"))
    }

    #[test]
    fn the_nodes_own_id_comes_back_byte_for_byte() {
        let long = format!("\"0x{}\"", "9".repeat(ID_BYTES_MAX - 4));
        for own in [
            "\"0x1\"",
            "\"0x00aB\"",
            "\"0x\"",
            "7",
            "\"filter-1\"",
            "\"\\u00e9\"",
            "{\"a\":[1]}",
            &long,
        ] {
            let followed = back("geth-1", own).expect(own);
            assert_eq!(followed.params, format!("[{own}]"));
        }
        let longer = format!("{long}1");
        assert_eq!(wrap("eth_newFilter", "geth-1", &longer), None);
    }

    #[test]
    fn an_id_is_a_quantity_that_means_the_same_tomorrow() {
        // Written down: clients keep ids over a restart of the balancer.
        let wrap = |node, own| wrap("eth_newFilter", node, own);
        assert_eq!(wrap("geth-1", "\"0x1f\"").unwrap(), "\"0x1a31c4b81f3a61f\"");
        assert_ne!(wrap("geth-1", "\"0x1\""), wrap("geth-2", "\"0x1\""));
    }

    #[test]
    fn ids_that_are_none_of_ours_are_told() {
        for params in [
            "[]",
            "{}",
            "[1]",
            "[\"0x1\"]",
            "[\"0x1a31c4b81f3a6\"]",
            "[\"0x3a31c4b81f3a61f\"]",
            "[\"0x1éa31c4b81f31f\"]",
            "[\"0x1a31c4b81f3a6zz\"]",
            // Bytes that are no JSON: nothing may be put into a node's call by them.
            "[\"0x2a31c4b81f3a62c5d\"]",
            "[\"0x2a31c4b81f3a62\"]",
        ] {
            assert_eq!(unwrap(params), None, "{params}");
        }
    }

    #[test]
    fn what_follows_the_id_stays() {
        let id = wrap("eth_newFilter", "a", "\"0x5\"").unwrap();
        let followed = unwrap(&format!("[{id}, {{\"b\": 1}}]")).unwrap();
        assert_eq!(followed.params, "[\"0x5\",{\"b\": 1}]");
    }

    #[test]
    fn an_id_says_whether_its_changes_are_blocks() {
        for (method, wanted) in [("eth_newBlockFilter", true), ("eth_newFilter", false)] {
            for own in ["\"0x5\"", "7"] {
                let id = wrap(method, "a", own).unwrap();
                let followed = unwrap(&format!("[{id}]")).unwrap();
                assert_eq!(followed.is_of_blocks, wanted, "{method}");
                assert_eq!(followed.params, format!("[{own}]"));
            }
        }
    }

    proptest! {
        #[test]
        fn no_params_panic(params in r#"\[?"?(0x)?[0-9a-fé",{}]{0,40}"?\]?"#) {
            let _ = unwrap(&params);
        }
    }
}

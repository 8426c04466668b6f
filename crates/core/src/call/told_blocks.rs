//! What clients were told: in which block a transaction stands, and which number a block's hash has.
//! So that the next call is answered by a node that has the block.
//!
//! What is remembered is no truth but a hint which node to ask: a chain that was reorganised is told by the
//! nodes as it is then.

use std::collections::HashMap;
use std::hash::Hash;

use crate::json::scanner;
use crate::vocabulary::chain::{BlockHash, BlockNumber};
use crate::vocabulary::hex;

/// The latest things, up to a number.
#[derive(Debug)]
pub struct RecentMap<K, V> {
    half_max: usize,
    young: HashMap<K, V>,
    /// What came before the young ones.
    old: HashMap<K, V>,
}

impl<K: Hash + Eq, V: Copy> RecentMap<K, V> {
    /// At least the latest half of `max`, and never more.
    pub fn new(max: usize) -> RecentMap<K, V> {
        RecentMap {
            half_max: max / 2,
            young: HashMap::new(),
            old: HashMap::new(),
        }
    }

    /// Remembers `value` of `key`, in place of what was remembered before.
    pub fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= self.half_max && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    /// What was remembered of `key` last; `None`: nothing, or so long ago that it is forgotten.
    pub fn get(&self, key: &K) -> Option<V> {
        let found = self.young.get(key).or_else(|| self.old.get(key));
        found.copied()
    }
}

/// The block that `result`, the start of a block, a receipt or a transaction, names: by its hash and
/// its number.
pub fn block_named(result: &[u8]) -> Option<(BlockHash, BlockNumber)> {
    let begin = scanner::skip_space(result, 0);
    let (mut own, mut its) = ((None, None), (None, None));
    for (key, value) in scanner::members(result, begin) {
        let written = result.get(value)?;
        match result.get(key)? {
            b"\"hash\"" => own.0 = BlockHash::read_json(written),
            b"\"number\"" => own.1 = number(written),
            b"\"blockHash\"" => its.0 = BlockHash::read_json(written),
            b"\"blockNumber\"" => its.1 = number(written),
            _ => continue,
        }
        for pair in [own, its] {
            if let (Some(hash), Some(number)) = pair {
                return Some((hash, number));
            }
        }
    }
    None
}

fn number(written: &[u8]) -> Option<BlockNumber> {
    hex::read_quantity(written).map(BlockNumber)
}

/// Whether `result`, of a transaction, says that it is in no block yet.
pub fn is_in_no_block(result: &[u8]) -> bool {
    let begin = scanner::skip_space(result, 0);
    let mut members = scanner::members(result, begin);
    members.any(|(key, value)| {
        result.get(key) == Some(&b"\"blockNumber\""[..]) && result.get(value) == Some(&b"null"[..])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_known_and_never_more_than_so_many() {
        let mut recent = RecentMap::new(10);
        for key in 0..1000 {
            recent.insert(key, key);
            assert!(recent.young.len() + recent.old.len() <= 10);
            for latest in (key - 4).max(0)..=key {
                assert_eq!(recent.get(&latest), Some(latest));
            }
        }
        assert_eq!(recent.get(&980), None);
        recent.insert(999, 7);
        assert_eq!(recent.get(&999), Some(7));
    }

    #[test]
    fn a_block_is_named_by_its_hash_and_its_number() {
        let digits = "ab".repeat(32);
        let tx = "cd".repeat(32);
        for (result, is_named) in [
            (format!(r#"{{"hash":"0x{digits}","number":"0x10"}}"#), true),
            (
                format!(r#"{{"number":"0x10","x":{{}},"hash":"0x{digits}"}}"#),
                true,
            ),
            (
                format!(r#"{{"hash":"0x{tx}","blockNumber":"0x10","blockHash":"0x{digits}"}}"#),
                true,
            ),
            (format!(r#"{{"hash":"0x{digits}","number":null}}"#), false),
            (
                format!(r#"{{"hash":"0x{tx}","blockNumber":"0x10","blockHash":null}}"#),
                false,
            ),
            ("null".into(), false),
        ] {
            let named = block_named(result.as_bytes());
            let wanted = (BlockHash([0xab; 32]), BlockNumber(16));
            assert_eq!(named, is_named.then_some(wanted), "{result}");
        }
    }

    #[test]
    fn a_transaction_without_a_block_is_told_from_one_with() {
        for (result, wanted) in [
            (r#"{"blockHash":null,"blockNumber":null}"#, true),
            (r#"{"blockNumber": null}"#, true),
            (r#"{"blockNumber":"0x1","x":{"blockNumber":null}}"#, false),
            ("null", false),
            ("{}", false),
        ] {
            assert_eq!(is_in_no_block(result.as_bytes()), wanted, "{result}");
        }
    }
}

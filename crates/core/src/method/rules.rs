//! The method table by name, and as the operator changed it.

use std::collections::HashMap;
use std::sync::LazyLock;

use foldhash::fast::FixedState;

use crate::method::row::Method;
use crate::method::table::TABLE;
use crate::method::treatment::Treatment::{self, Denied, Heavy, Once, Read};
use crate::vocabulary::glob::matches;

/// Where each method stands in [`TABLE`].
static PLACES: LazyLock<HashMap<&str, usize, FixedState>> = LazyLock::new(|| {
    let places = TABLE.iter().enumerate();
    places.map(|(row, method)| (method.name, row)).collect()
});

/// The index of a method in [`TABLE`]: for metrics, one handle a row. `None`: not in the table.
pub type MethodIndex = Option<u16>;

/// The method of a row.
pub fn listed(row: MethodIndex) -> Option<&'static Method> {
    TABLE.get(usize::from(row?))
}

/// The row of this name.
pub fn find(name: &str) -> Option<&'static Method> {
    PLACES.get(name).and_then(|row| TABLE.get(*row))
}

/// Where the row of this name stands.
pub fn row_of(name: &str) -> MethodIndex {
    PLACES.get(name).and_then(|row| u16::try_from(*row).ok())
}

/// Whether the table has a method of this name.
pub fn is_listed(name: &str) -> bool {
    PLACES.contains_key(name)
}

/// Namespaces that are denied where the table doesn't say otherwise.
const DENIED: &[&str] = &[
    "admin_*",
    "clique_*",
    "debug_*",
    "engine_*",
    "eth_sign*",
    "miner_*",
    "perm_*",
    "personal_*",
    "plugins_*",
    "testing_*",
    "txpool_*",
];

/// Of the denied namespaces, what is open and heavy.
const OPEN_HEAVY: &[&str] = &["debug_getRaw*", "debug_trace*", "trace_*"];

/// The built-in table, as the operator changed it.
#[derive(Clone, Debug, Default)]
pub struct MethodRules {
    allow: Vec<String>,
    deny: Vec<String>,
    heavy: Vec<String>,
    reads: Vec<String>,
    /// One a row of [`TABLE`], settings included.
    rows: Vec<Treatment>,
}

impl MethodRules {
    /// Names and globs; `deny` outranks `allow`, which outranks the built-in table.
    pub fn new(allow: Vec<String>, deny: Vec<String>, heavy: Vec<String>) -> MethodRules {
        let mut rules = MethodRules {
            allow,
            deny,
            heavy,
            ..MethodRules::default()
        };
        let rows = TABLE
            .iter()
            .map(|row| rules.changed(row.name, row.treatment));
        rules.rows = rows.collect();
        rules
    }

    /// Names and globs of methods that the table doesn't have: they are reads.
    pub fn with_reads(self, reads: Vec<String>) -> MethodRules {
        MethodRules { reads, ..self }
    }

    /// The method's row and its treatment.
    pub fn look_up(&self, method: &str) -> (MethodIndex, Treatment) {
        match PLACES.get(method) {
            Some(&row) => {
                let treatment = self.rows.get(row).copied().unwrap_or(TABLE[row].treatment);
                (u16::try_from(row).ok(), treatment)
            }
            None => (None, self.changed(method, unlisted(method))),
        }
    }

    fn changed(&self, method: &str, treatment: Treatment) -> Treatment {
        let among = |globs: &[String]| globs.iter().any(|glob| matches(glob, method));
        if among(&self.deny) {
            return Denied;
        }
        let opened = match treatment {
            Denied if among(&self.allow) => reopened(method),
            Treatment::Unknown if among(&self.reads) => Read,
            other => other,
        };
        let reads = matches!(opened, Read | Heavy | Treatment::Unknown);
        if reads && among(&self.heavy) {
            Heavy
        } else {
            opened
        }
    }
}

/// What a denied method is once it is allowed: what signs or changes the node is done once.
fn reopened(method: &str) -> Treatment {
    match PLACES.get(method) {
        Some(&row) => TABLE[row].once_allowed,
        None if method.starts_with("txpool_") => Read,
        None => Once,
    }
}

fn unlisted(method: &str) -> Treatment {
    if OPEN_HEAVY.iter().any(|glob| matches(glob, method)) {
        Heavy
    } else if DENIED.iter().any(|glob| matches(glob, method)) {
        Denied
    } else {
        Treatment::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::block::BlockParam;
    use crate::method::treatment::Treatment::Broadcast;

    fn rules(allow: &[&str], deny: &[&str], heavy: &[&str]) -> MethodRules {
        let owned = |globs: &[&str]| globs.iter().map(ToString::to_string).collect();
        MethodRules::new(owned(allow), owned(deny), owned(heavy))
    }

    #[test]
    fn every_row_is_found_and_none_stands_twice() {
        let rules = rules(&[], &[], &[]);
        for (row, method) in TABLE.iter().enumerate() {
            let row = u16::try_from(row).ok();
            assert_eq!(
                rules.look_up(method.name),
                (row, method.treatment),
                "{}",
                method.name
            );
            assert_eq!(listed(row), Some(method));
        }
        assert_eq!(listed(None), None);
    }

    #[test]
    fn what_administers_a_node_is_denied_and_what_traces_is_open() {
        let rules = rules(&[], &[], &[]);
        for denied in [
            "admin_peers",
            "personal_sign",
            "miner_start",
            "engine_newPayloadV3",
            "clique_propose",
            "debug_setHead",
            "eth_signTypedData_v3",
            "txpool_content",
            "eth_sendTransaction",
            "eth_resend",
            "testing_commitBlockV1",
            "perm_addNodesToAllowlist",
            "debug_executionWitness",
            "debug_intermediateRoots",
            "debug_traceBlockFromFile",
        ] {
            assert_eq!(rules.look_up(denied).1, Denied, "{denied}");
        }
        for open in ["debug_traceBadBlock", "trace_something"] {
            assert_eq!(rules.look_up(open).1, Heavy, "{open}");
        }
        assert_eq!(rules.look_up("bor_madeUp").1, Treatment::Unknown);
        assert_eq!(rules.look_up("ETH_SIGN").1, Treatment::Unknown);
    }

    #[test]
    fn what_reads_state_though_it_is_denied_is_heavy_once_it_is_allowed() {
        let rules = rules(&["debug_*", "eth_sendTransaction"], &[], &[]);
        for (method, wanted) in [
            ("debug_executionWitness", Heavy),
            ("debug_intermediateRoots", Heavy),
            ("debug_setHead", Once),
            ("eth_sendTransaction", Once),
        ] {
            assert_eq!(rules.look_up(method).1, wanted, "{method}");
        }
        let place = |method| listed(rules.look_up(method).0).map(|method| method.place);
        assert_ne!(place("debug_executionWitness"), Some(BlockParam::Nowhere));
    }

    #[test]
    fn settings_change_the_table_and_deny_has_the_last_word() {
        let rules = rules(
            &["txpool_*", "admin_peers"],
            &["eth_getLogs", "admin_*"],
            &["eth_call"],
        );
        assert_eq!(rules.look_up("txpool_status").1, Read);
        assert_eq!(rules.look_up("eth_getLogs").1, Denied);
        assert_eq!(rules.look_up("admin_peers").1, Denied);
        assert_eq!(rules.look_up("eth_call").1, Heavy);
    }

    #[test]
    fn what_the_table_lacks_is_made_a_read_and_what_it_has_is_not() {
        let globs = |globs: &[&str]| globs.iter().map(ToString::to_string).collect();
        let reads = globs(&[
            "bor_*",
            "eth_newFilter",
            "admin_*",
            "eth_sendRawTransaction",
        ]);
        let rules = rules(&[], &["bor_secret"], &["bor_heavy"]).with_reads(reads);
        for (method, wanted) in [
            ("bor_getAuthor", Read),
            ("bor_heavy", Heavy),
            ("bor_secret", Denied),
            ("zks_foo", Treatment::Unknown),
            ("eth_newFilter", Once),
            ("admin_peers", Denied),
            ("eth_sendRawTransaction", Broadcast),
        ] {
            assert_eq!(rules.look_up(method).1, wanted, "{method}");
        }
    }

    #[test]
    fn only_what_reads_is_hedged_shared_or_asked_again() {
        for method in TABLE {
            let reads = matches!(method.treatment, Read | Heavy | Treatment::Local(_));
            let risks = [
                method.asks_again_on_null,
                method.may_be_hedged,
                method.may_be_shared,
            ];
            assert!(reads || risks == [false; 3], "{}", method.name);
            assert!(
                method.treatment != Heavy || !method.may_be_hedged,
                "{}",
                method.name
            );
        }
    }

    #[test]
    fn a_write_is_never_made_heavy() {
        let rules = rules(&[], &[], &["*"]);
        assert_eq!(rules.look_up("eth_sendRawTransaction").1, Broadcast);
    }
}

//! Which reads may share an answer, and which may be asked twice at once.

use super::method::{Row, TABLE, Treatment};

/// Methods that are asked to see a change which has just been made: an answer that was asked for
/// a moment earlier won't do.
const FRESH: &[&str] = &["eth_getTransactionByHash", "eth_getTransactionCount"];

/// Whether identical calls in flight may share one answer: reads of the method table.
pub fn may_share(row: Row, treatment: Treatment) -> bool {
    let name = row.and_then(|row| TABLE.get(usize::from(row)));
    let is_shared = name.is_some_and(|(name, _)| !FRESH.contains(name));
    is_shared && matches!(treatment, Treatment::Read | Treatment::Heavy)
}

/// Whether a slow call may be asked of a second node meanwhile: light reads of the method table.
pub fn may_hedge(row: Row, treatment: Treatment) -> bool {
    row.is_some() && treatment == Treatment::Read
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::method::Rules;

    #[test]
    fn reads_of_the_table_are_shared_and_light_ones_hedged() {
        let rules = Rules::new(vec![], vec![], vec![]);
        for (method, shared, hedged) in [
            ("eth_call", true, true),
            ("eth_getLogs", true, false),
            ("debug_traceBlock", true, false),
            ("eth_getTransactionByHash", false, true),
            ("eth_getTransactionCount", false, true),
            ("eth_sendRawTransaction", false, false),
            ("eth_newFilter", false, false),
            ("eth_getFilterChanges", false, false),
            ("zks_foo", false, false),
            ("trace_somethingNew", false, false),
        ] {
            let (row, treatment) = rules.look_up(method);
            assert_eq!(may_share(row, treatment), shared, "{method}");
            assert_eq!(may_hedge(row, treatment), hedged, "{method}");
        }
    }
}

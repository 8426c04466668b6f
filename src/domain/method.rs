//! The method table: what each method is to us, as data.
//!
//! Sources: execution-apis (`src/eth`, `src/debug`), geth's and Erigon's namespaces. A method
//! that is not in the table is passed on as it is and repeated only where no node can have
//! executed it.

use std::time::Duration;

/// How a method is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// Answered here when we know the answer; else as a read.
    Local(Local),
    /// May be repeated on any node.
    Read,
    /// As a read, with a longer time of its own.
    Heavy,
    /// Changes the chain's state by its very bytes, so that sending them again is harmless.
    Broadcast,
    /// Changes a node's state: never repeated once a node may have executed it.
    Once,
    /// Not in the table: as `Once`.
    Unknown,
    Denied,
}

/// What is answered without asking a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Local {
    ChainId,
    NetVersion,
    BlockNumber,
    Syncing,
    ClientVersion,
    Listening,
    Accounts,
}

/// When an attempt may be made again on another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Always.
    Freely,
    /// Only if the node can't have executed it.
    IfUnexecuted,
}

impl Treatment {
    pub fn repeat(self) -> Repeat {
        match self {
            Treatment::Local(_) | Treatment::Read | Treatment::Heavy | Treatment::Broadcast => {
                Repeat::Freely
            }
            Treatment::Once | Treatment::Unknown | Treatment::Denied => Repeat::IfUnexecuted,
        }
    }
}

use Treatment::{Broadcast, Denied, Heavy, Once, Read};

/// The index of a method in [`TABLE`]: for metrics, one handle a row. `None`: not in the table.
pub type Row = Option<u16>;

/// Sorted by name.
pub const TABLE: &[(&str, Treatment)] = &[
    ("debug_getBadBlocks", Denied),
    ("debug_getRawBlock", Read),
    ("debug_getRawHeader", Read),
    ("debug_getRawReceipts", Read),
    ("debug_getRawTransaction", Read),
    ("debug_storageRangeAt", Heavy),
    ("debug_traceBlock", Heavy),
    ("debug_traceBlockByHash", Heavy),
    ("debug_traceBlockByNumber", Heavy),
    ("debug_traceCall", Heavy),
    ("debug_traceTransaction", Heavy),
    ("eth_accounts", Treatment::Local(Local::Accounts)),
    ("eth_blobBaseFee", Read),
    ("eth_blockNumber", Treatment::Local(Local::BlockNumber)),
    ("eth_call", Read),
    ("eth_capabilities", Read),
    ("eth_chainId", Treatment::Local(Local::ChainId)),
    ("eth_coinbase", Read),
    ("eth_createAccessList", Read),
    ("eth_estimateGas", Read),
    ("eth_feeHistory", Read),
    ("eth_gasPrice", Read),
    ("eth_getBalance", Read),
    ("eth_getBlockByHash", Read),
    ("eth_getBlockByNumber", Read),
    ("eth_getBlockReceipts", Read),
    ("eth_getBlockTransactionCountByHash", Read),
    ("eth_getBlockTransactionCountByNumber", Read),
    ("eth_getCode", Read),
    ("eth_getFilterChanges", Once),
    ("eth_getFilterLogs", Once),
    ("eth_getLogs", Heavy),
    ("eth_getProof", Read),
    ("eth_getStorageAt", Read),
    ("eth_getTransactionByBlockHashAndIndex", Read),
    ("eth_getTransactionByBlockNumberAndIndex", Read),
    ("eth_getTransactionByHash", Read),
    ("eth_getTransactionCount", Read),
    ("eth_getTransactionReceipt", Read),
    ("eth_getUncleByBlockHashAndIndex", Read),
    ("eth_getUncleByBlockNumberAndIndex", Read),
    ("eth_getUncleCountByBlockHash", Read),
    ("eth_getUncleCountByBlockNumber", Read),
    ("eth_hashrate", Read),
    ("eth_maxPriorityFeePerGas", Read),
    ("eth_mining", Read),
    ("eth_newBlockFilter", Once),
    ("eth_newFilter", Once),
    ("eth_newPendingTransactionFilter", Once),
    ("eth_protocolVersion", Read),
    ("eth_sendRawTransaction", Broadcast),
    ("eth_sendRawTransactionConditional", Broadcast),
    ("eth_sendRawTransactionSync", Broadcast),
    ("eth_sendTransaction", Denied),
    ("eth_sign", Denied),
    ("eth_signTransaction", Denied),
    ("eth_signTypedData", Denied),
    ("eth_signTypedData_v4", Denied),
    ("eth_simulateV1", Heavy),
    ("eth_submitHashrate", Once),
    ("eth_submitWork", Once),
    ("eth_syncing", Treatment::Local(Local::Syncing)),
    ("eth_uninstallFilter", Once),
    ("net_listening", Treatment::Local(Local::Listening)),
    ("net_peerCount", Read),
    ("net_version", Treatment::Local(Local::NetVersion)),
    ("trace_block", Heavy),
    ("trace_call", Heavy),
    ("trace_callMany", Heavy),
    ("trace_filter", Heavy),
    ("trace_get", Heavy),
    ("trace_rawTransaction", Heavy),
    ("trace_replayBlockTransactions", Heavy),
    ("trace_replayTransaction", Heavy),
    ("trace_transaction", Heavy),
    ("web3_clientVersion", Treatment::Local(Local::ClientVersion)),
    ("web3_sha3", Read),
];

/// Namespaces that are denied where the table doesn't say otherwise.
const DENIED: &[&str] = &[
    "admin_*",
    "clique_*",
    "debug_*",
    "engine_*",
    "eth_sign*",
    "miner_*",
    "personal_*",
    "txpool_*",
];

/// Of the denied namespaces, what is open and heavy.
const OPEN_HEAVY: &[&str] = &["debug_getRaw*", "debug_trace*", "trace_*"];

/// The built-in table, as the operator changed it.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    allow: Vec<String>,
    deny: Vec<String>,
    heavy: Vec<String>,
    /// One a row of [`TABLE`], settings included.
    rows: Vec<Treatment>,
}

impl Rules {
    /// Names and globs; `deny` outranks `allow`, which outranks the built-in table.
    pub fn new(allow: Vec<String>, deny: Vec<String>, heavy: Vec<String>) -> Rules {
        let mut rules = Rules {
            allow,
            deny,
            heavy,
            rows: Vec::new(),
        };
        rules.rows = TABLE
            .iter()
            .map(|(name, treatment)| rules.changed(name, *treatment))
            .collect();
        rules
    }

    /// The method's row and its treatment.
    pub fn look_up(&self, method: &str) -> (Row, Treatment) {
        match TABLE.binary_search_by(|(name, _)| (*name).cmp(method)) {
            Ok(row) => {
                let treatment = self.rows.get(row).copied().unwrap_or(TABLE[row].1);
                (u16::try_from(row).ok(), treatment)
            }
            Err(_) => (None, self.changed(method, unlisted(method))),
        }
    }

    fn changed(&self, method: &str, treatment: Treatment) -> Treatment {
        let among = |globs: &[String]| globs.iter().any(|glob| matches(glob, method));
        if among(&self.deny) {
            return Denied;
        }
        let opened = match treatment {
            Denied if among(&self.allow) => reopened(method),
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
    if method.starts_with("txpool_") {
        Read
    } else {
        Once
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

/// Whether `text` is what `glob` describes; `*` stands for any run of bytes, also an empty one.
pub fn matches(glob: &str, text: &str) -> bool {
    let mut parts = glob.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

/// How long a call may take, in all and on one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    pub deadline: Duration,
    pub attempt: Duration,
    pub heavy: Duration,
}

impl Times {
    pub fn deadline_of(&self, treatment: Treatment) -> Duration {
        match treatment {
            Heavy => self.heavy.max(self.deadline),
            Treatment::Local(_) | Read | Broadcast | Once | Treatment::Unknown | Denied => {
                self.deadline
            }
        }
    }

    pub fn attempt_of(&self, treatment: Treatment) -> Duration {
        match treatment {
            Heavy => self.heavy,
            Treatment::Local(_) | Read | Broadcast | Once | Treatment::Unknown | Denied => {
                self.attempt
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(allow: &[&str], deny: &[&str], heavy: &[&str]) -> Rules {
        let owned = |globs: &[&str]| globs.iter().map(ToString::to_string).collect();
        Rules::new(owned(allow), owned(deny), owned(heavy))
    }

    #[test]
    fn the_table_is_sorted_so_that_every_row_is_found() {
        let rules = rules(&[], &[], &[]);
        for (row, (name, treatment)) in TABLE.iter().enumerate() {
            assert_eq!(
                rules.look_up(name),
                (u16::try_from(row).ok(), *treatment),
                "{name}"
            );
        }
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
        ] {
            assert_eq!(rules.look_up(denied).1, Denied, "{denied}");
        }
        for open in ["debug_traceBadBlock", "trace_something"] {
            assert_eq!(rules.look_up(open).1, Heavy, "{open}");
        }
        assert_eq!(rules.look_up("bor_getAuthor").1, Treatment::Unknown);
        assert_eq!(rules.look_up("ETH_SIGN").1, Treatment::Unknown);
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
    fn a_write_is_never_made_heavy() {
        let rules = rules(&[], &[], &["*"]);
        assert_eq!(rules.look_up("eth_sendRawTransaction").1, Broadcast);
    }

    #[test]
    fn globs_match_as_written() {
        for (glob, text, wanted) in [
            ("eth_call", "eth_call", true),
            ("eth_call", "eth_callMany", false),
            ("*", "", true),
            ("eth_*", "eth_", true),
            ("*_call", "eth_call", true),
            ("e*_*l", "eth_call", true),
            ("e*z*l", "eth_call", false),
            ("a*a", "a", false),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(glob, text), wanted, "{glob} {text}");
        }
    }
}

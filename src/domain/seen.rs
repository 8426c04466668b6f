//! Which block an answer tells its client of.
//!
//! A client that has seen a receipt in block 7 must not be told then that the head is 6.

use super::chain::BlockNumber;
use super::json;

pub const BY_HASH: &str = "eth_getTransactionByHash";
pub const RECEIPT: &str = "eth_getTransactionReceipt";

/// Methods whose result names the block it is of.
const TELLING: &[&str] = &[
    "eth_getBlockByHash",
    "eth_getBlockByNumber",
    "eth_getTransactionByHash",
    "eth_getTransactionReceipt",
];

/// Whether results of `method` may name a block that is there. The pending one isn't yet.
pub fn tells(method: &str, params: Option<&str>) -> bool {
    TELLING.contains(&method) && !params.is_some_and(|params| params.contains("\"pending\""))
}

/// The block that `result`, of a method that tells, is of, if it says so. The start of a result
/// does: in blocks the number stands before the transactions.
pub fn block_told(result: &[u8]) -> Option<BlockNumber> {
    let begin = json::skip_space(result, 0);
    let told = json::members(result, begin)
        .find(|(key, _)| matches!(&result[key.clone()], b"\"number\"" | b"\"blockNumber\""));
    let (_, value) = told?;
    let digits = result[value].strip_prefix(b"\"0x")?.strip_suffix(b"\"")?;
    let digits = std::str::from_utf8(digits).ok()?;
    u64::from_str_radix(digits, 16).ok().map(BlockNumber)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipts_transactions_and_blocks_tell_of_their_block() {
        for (method, result, wanted) in [
            (
                "eth_getTransactionReceipt",
                r#"{"blockNumber":"0x10","logs":[{"number":1}]}"#,
                Some(16),
            ),
            ("eth_getTransactionByHash", r#"{"blockNumber":null}"#, None),
            (
                "eth_getBlockByNumber",
                r#"{"number":"0xff","transactions":[{}]}"#,
                Some(255),
            ),
            ("eth_getBlockByNumber", r#"{"number":null}"#, None),
            ("eth_getTransactionReceipt", "null", None),
            (
                "eth_getBlockByHash",
                r#"{"number":"0x1ffffffffffffffff"}"#,
                None,
            ),
        ] {
            assert!(tells(method, None));
            assert_eq!(
                block_told(result.as_bytes()).map(|block| block.0),
                wanted,
                "{method} {result}"
            );
        }
        let start = br#"{"hash":"0x1","number":"0x10","transactions":[{"a"#;
        assert_eq!(block_told(start), Some(BlockNumber(16)));
        assert!(!tells("eth_call", None));
        assert!(!tells("eth_getBlockByNumber", Some(r#"["pending",true]"#)));
    }
}

//! Which block an answer tells its client of.
//!
//! A client that has seen a receipt in block 7 must not be told then that the head is 6.

use std::borrow::Cow;

use serde::Deserialize;

use super::chain::BlockNumber;

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

/// The block that `result`, of a method that tells, is of, if it says so.
pub fn block_told(result: &str) -> Option<BlockNumber> {
    #[derive(Deserialize)]
    struct Telling<'a> {
        #[serde(borrow, default)]
        number: Option<Cow<'a, str>>,
        #[serde(borrow, default, rename = "blockNumber")]
        block_number: Option<Cow<'a, str>>,
    }
    let telling: Telling = serde_json::from_str(result).ok()?;
    let number = telling.block_number.or(telling.number)?;
    u64::from_str_radix(number.strip_prefix("0x")?, 16)
        .ok()
        .map(BlockNumber)
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
                block_told(result).map(|block| block.0),
                wanted,
                "{method} {result}"
            );
        }
        assert!(!tells("eth_call", None));
        assert!(!tells("eth_getBlockByNumber", Some(r#"["pending",true]"#)));
    }
}

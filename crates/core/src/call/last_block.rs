//! Which block an answer tells its client of.
//!
//! A client that has seen a receipt in block 7 must not be told then that the head is 6.

use crate::json::scanner;
use crate::method::Treatment;
use crate::rpc::envelope::Call;
use crate::vocabulary::block_ref::BlockRange;
use crate::vocabulary::chain::{BlockHash, BlockNumber};
use crate::vocabulary::hex;

/// The method that looks up a transaction.
pub const BY_HASH: &str = "eth_getTransactionByHash";
/// The method that looks up what became of a transaction.
pub const RECEIPT: &str = "eth_getTransactionReceipt";

/// Whether `method` asks for a transaction, or what became of it.
pub fn is_lookup(method: &str) -> bool {
    matches!(method, BY_HASH | RECEIPT)
}

/// What the results of a method say of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ResultNaming {
    /// One block, or something in one: `number` or `blockNumber` says which.
    One,
    /// Things in blocks, one after another.
    Many,
    /// Blocks from `oldestBlock` on, with a `gasUsedRatio` each.
    Fees,
}

/// Methods whose result names the block it is of (execution-apis `src/eth`; Erigon's `trace`). What
/// `eth_simulateV1` names is no block of the chain.
const TELLING: &[(&str, ResultNaming)] = &[
    ("eth_feeHistory", ResultNaming::Fees),
    ("eth_getBlockByHash", ResultNaming::One),
    ("eth_getBlockByNumber", ResultNaming::One),
    ("eth_getBlockReceipts", ResultNaming::Many),
    ("eth_getFilterChanges", ResultNaming::Many),
    ("eth_getFilterLogs", ResultNaming::Many),
    ("eth_getHeaderByHash", ResultNaming::One),
    ("eth_getHeaderByNumber", ResultNaming::One),
    ("eth_getLogs", ResultNaming::Many),
    ("eth_getTransactionByBlockHashAndIndex", ResultNaming::One),
    ("eth_getTransactionByBlockNumberAndIndex", ResultNaming::One),
    ("eth_getTransactionByHash", ResultNaming::One),
    ("eth_getTransactionReceipt", ResultNaming::One),
    ("eth_sendRawTransactionSync", ResultNaming::One),
    ("trace_block", ResultNaming::Many),
    ("trace_filter", ResultNaming::Many),
    ("trace_transaction", ResultNaming::Many),
];

/// Methods whose result says on which branch its block is.
const BY_ORDER: &[&str] = &[
    "eth_getBlockByNumber",
    "eth_getHeaderByNumber",
    "eth_getTransactionReceipt",
];

/// The block that the answer `result` to `call` tells of. The start of a long result does: in blocks
/// the number stands before the transactions. `is_own`: an own node gave it.
pub fn told(
    call: &Call<'_>,
    treatment: Treatment,
    block: Option<BlockRange>,
    result: &[u8],
    is_own: bool,
) -> Option<BlockNumber> {
    if matches!(result, b"null" | b"[]") {
        return None;
    }
    // What an answer is of, its client takes to be there. Other ranges may end in what is to come; and
    // a client that asks ahead of the own nodes isn't sent to the leader for all that follows.
    if let Some(need) = block.filter(|_| is_own)
        && (need.from == need.to || call.method == "eth_getLogs")
        && treatment != Treatment::Once
    {
        return Some(need.to);
    }
    let (_, names) = TELLING.iter().find(|(name, _)| *name == call.method)?;
    // The pending block isn't there yet.
    if call
        .params
        .is_some_and(|params| params.contains("\"pending\""))
    {
        return None;
    }
    match names {
        ResultNaming::One => block_told(result),
        ResultNaming::Many => last_told(result),
        ResultNaming::Fees => fees_told(result),
    }
}

/// The last of the blocks whose hashes a filter tells, where it tells any.
pub fn newest_hash(result: &[u8]) -> Option<BlockHash> {
    let last = scanner::elements(result, scanner::skip_space(result, 0)).last()?;
    let text = std::str::from_utf8(&result[last]).ok()?;
    BlockHash::read(text.trim_matches('"'))
}

/// Whether a result of `method` is a block, or something in one. The pending one isn't yet.
pub fn tells(method: &str, params: Option<&str>) -> bool {
    let is_one = TELLING.contains(&(method, ResultNaming::One));
    is_one && !params.is_some_and(|params| params.contains("\"pending\""))
}

/// The number and hash of the block that `result` is of, where it was asked for by the chain's order
/// and not by the hash itself.
pub fn branch_told(call: &Call<'_>, result: &[u8]) -> Option<(BlockNumber, BlockHash)> {
    if !BY_ORDER.contains(&&*call.method) {
        return None;
    }
    let begin = scanner::skip_space(result, 0);
    let hash = member(result, begin, &["blockHash", "hash"])?;
    let hash = std::str::from_utf8(&result[hash]).ok()?.trim_matches('"');
    Some((block_told(result)?, BlockHash::read(hash)?))
}

/// The block that an object is of, if it says so.
pub fn block_told(result: &[u8]) -> Option<BlockNumber> {
    number_of(
        result,
        scanner::skip_space(result, 0),
        &["number", "blockNumber"],
    )
}

/// The highest that the elements of an array are of. They stand in the order of the chain.
fn last_told(result: &[u8]) -> Option<BlockNumber> {
    let mut elements = scanner::elements(result, scanner::skip_space(result, 0));
    let of = |at: std::ops::Range<usize>| number_of(result, at.start, &["blockNumber"]);
    let first = elements.next()?;
    let last = elements.last().unwrap_or(first.clone());
    of(last).max(of(first))
}

/// The newest of a history of fees.
fn fees_told(result: &[u8]) -> Option<BlockNumber> {
    let begin = scanner::skip_space(result, 0);
    let oldest = number_of(result, begin, &["oldestBlock"])?;
    let ratios = member(result, begin, &["gasUsedRatio"])?;
    let blocks = scanner::elements(result, ratios.start).count() as u64;
    Some(BlockNumber(
        oldest.0.saturating_add(blocks.saturating_sub(1)),
    ))
}

fn member(text: &[u8], at: usize, keys: &[&str]) -> Option<std::ops::Range<usize>> {
    let is_it = |key: &std::ops::Range<usize>| {
        let key = text.get(key.start + 1..key.end - 1);
        keys.iter().any(|wanted| key == Some(wanted.as_bytes()))
    };
    scanner::members(text, at)
        .find(|(key, _)| is_it(key))
        .map(|(_, value)| value)
}

fn number_of(text: &[u8], at: usize, keys: &[&str]) -> Option<BlockNumber> {
    hex::read_number(&text[member(text, at, keys)?]).map(BlockNumber)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::MethodRules;
    use crate::vocabulary::block_ref::{BlockData, BlockRange};

    fn told_by(method: &str, params: &str, need: Option<u64>, result: &str) -> Option<u64> {
        let call = Call::new(None, method, Some(params));
        let number = need.map(BlockNumber);
        let treatment = MethodRules::new(vec![], vec![], vec![]).look_up(method).1;
        let block = number.map(|number| BlockRange {
            from: number,
            to: number,
            reads: BlockData::State,
        });
        told(&call, treatment, block, result.as_bytes(), true).map(|block| block.0)
    }

    #[test]
    fn every_answer_that_names_a_block_tells_of_it() {
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
            (
                "eth_getBlockByHash",
                r#"{"hash":"0x1","number":"0x10","transactions":[{"a"#,
                Some(16),
            ),
            ("eth_getLogs", "[]", None),
            (
                "eth_getFilterChanges",
                r#"[{"blockNumber":"0x10"},{"blockNumber":"0x12"}]"#,
                Some(18),
            ),
            ("eth_getFilterChanges", r#"["0xabcd"]"#, None),
            (
                "eth_getLogs",
                r#"[{"blockNumber":"0x10"},{"blockNumber":"0x11"},{"block"#,
                Some(17),
            ),
            (
                "trace_block",
                r#"[{"action":{},"blockNumber":21}]"#,
                Some(21),
            ),
            (
                "eth_feeHistory",
                r#"{"oldestBlock":"0x10","baseFeePerGas":["0x1","0x1","0x1"],"gasUsedRatio":[0.5,1]}"#,
                Some(17),
            ),
            ("eth_simulateV1", r#"[{"number":"0x99"}]"#, None),
            ("eth_gasPrice", r#"{"number":"0x99"}"#, None),
        ] {
            assert_eq!(
                told_by(method, "[]", None, result),
                wanted,
                "{method} {result}"
            );
        }
        let pending = r#"["pending",true]"#;
        assert_eq!(
            told_by("eth_getBlockByNumber", pending, None, r#"{"number":"0x1"}"#),
            None
        );
    }

    #[test]
    fn the_newest_block_of_a_filter_is_its_last() {
        let [one, other] = ["0a", "0b"].map(|byte| format!("\"0x{}\"", byte.repeat(32)));
        let newest = newest_hash(format!("[{one}, {other}]").as_bytes());
        assert_eq!(newest, Some(BlockHash([11; 32])));
        assert_eq!(newest_hash(b"[]"), None);
        assert_eq!(newest_hash(b"[{}]"), None);
    }

    #[test]
    fn a_block_by_number_and_a_receipt_say_on_which_branch_they_are() {
        let hash = format!("0x{}", "ab".repeat(32));
        let block = format!(r#"{{"hash":"{hash}","number":"0x10"}}"#);
        let receipt = format!(r#"{{"blockHash":"{hash}","blockNumber":"0x10"}}"#);
        let wanted = BlockHash::read(&hash).map(|hash| (BlockNumber(16), hash));
        for (method, result, wanted) in [
            ("eth_getBlockByNumber", &*block, wanted),
            ("eth_getTransactionReceipt", &receipt, wanted),
            ("eth_getBlockByHash", &block, None),
            ("eth_getBlockByNumber", "null", None),
            (
                "eth_getBlockByNumber",
                r#"{"hash":null,"number":"0x1"}"#,
                None,
            ),
        ] {
            let call = Call::new(None, method, None);
            assert_eq!(branch_told(&call, result.as_bytes()), wanted, "{method}");
        }
    }

    #[test]
    fn what_is_answered_for_a_block_tells_that_it_is_there() {
        for (method, result, wanted) in [
            ("eth_getBalance", "\"0x0\"", Some(16)),
            ("eth_call", "\"0x\"", Some(16)),
            ("eth_getBlockTransactionCountByNumber", "\"0x0\"", Some(16)),
            ("eth_getBlockTransactionCountByNumber", "null", None),
            ("eth_newFilter", "\"0x1\"", None),
        ] {
            assert_eq!(told_by(method, "[]", Some(16), result), wanted, "{method}");
        }
    }
}

//! Which block a result says that it is of.

use std::ops::Range;

use crate::json::scanner;
use crate::method::retention::BlockNaming;
use crate::vocabulary::chain::{BlockHash, BlockNumber};
use crate::vocabulary::hex;

/// What a result says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NamedBlock {
    One(BlockNumber, BlockHash),
    /// It has no place to say it: it is no such thing, or empty.
    Unsaid,
    /// It says it in no form that is known, or of several blocks.
    Unclear,
}

/// Reads it off `result`, which is well formed.
pub(super) fn named(result: &[u8], naming: BlockNaming) -> NamedBlock {
    let begin = scanner::skip_space(result, 0);
    match naming {
        BlockNaming::Unsaid => NamedBlock::Unsaid,
        BlockNaming::Itself => of_object(result, begin, [b"\"number\"", b"\"hash\""]),
        BlockNaming::Inside => of_object(result, begin, INSIDE),
        BlockNaming::Each => {
            if result.get(begin) != Some(&b'[') {
                return NamedBlock::Unclear;
            }
            let mut of_all = NamedBlock::Unsaid;
            for at in scanner::elements(result, begin) {
                let one = of_object(result, at.start, INSIDE);
                match of_all {
                    NamedBlock::Unsaid => of_all = one,
                    before if before != one => return NamedBlock::Unclear,
                    NamedBlock::One(..) | NamedBlock::Unclear => {}
                }
                if of_all == NamedBlock::Unclear {
                    return NamedBlock::Unclear;
                }
            }
            of_all
        }
    }
}

const INSIDE: [&[u8]; 2] = [b"\"blockNumber\"", b"\"blockHash\""];

/// The blocks that the elements of `result`, an array of logs, say that they are of; `None` for one that
/// doesn't, and for what is no array.
pub(super) fn of_logs(result: &[u8]) -> impl Iterator<Item = Option<(BlockNumber, BlockHash)>> {
    let begin = scanner::skip_space(result, 0);
    let is_none = result.get(begin) != Some(&b'[');
    let each =
        scanner::elements(result, begin).map(|at| match of_object(result, at.start, INSIDE) {
            NamedBlock::One(number, hash) => Some((number, hash)),
            NamedBlock::Unsaid | NamedBlock::Unclear => None,
        });
    is_none.then_some(None).into_iter().chain(each)
}

/// Whether the transaction's hash that stands in `result` under `key`, or in each of its elements, is the
/// one that `asked` begins with, in whichever case.
pub(super) fn is_of_transaction(result: &[u8], asked: &str) -> bool {
    let asked = scanner::elements(asked.as_bytes(), 0)
        .next()
        .map(|at| &asked.as_bytes()[at]);
    let Some(asked) = asked else { return false };
    let begin = scanner::skip_space(result, 0);
    let is_it = |at: usize| {
        let found = member(result, at, &[b"\"transactionHash\"", b"\"hash\""]);
        found.is_some_and(|found| result[found].eq_ignore_ascii_case(asked))
    };
    match result.get(begin) {
        Some(b'[') => scanner::elements(result, begin).all(|at| is_it(at.start)),
        Some(_) | None => is_it(begin),
    }
}

fn of_object(text: &[u8], at: usize, [number_key, hash_key]: [&[u8]; 2]) -> NamedBlock {
    if text.get(at) != Some(&b'{') {
        return NamedBlock::Unclear;
    }
    let (mut number, mut hash) = (None, None);
    for (key, value) in scanner::members(text, at) {
        let (key, value) = (&text[key], &text[value]);
        if key == number_key {
            number = number.or_else(|| hex::read_number(value).map(BlockNumber));
        } else if key == hash_key {
            hash = hash.or_else(|| BlockHash::read_json(value));
        }
        if let (Some(number), Some(hash)) = (number, hash) {
            return NamedBlock::One(number, hash);
        }
    }
    NamedBlock::Unclear
}

/// The first of `keys` that the object at `at` has.
fn member(text: &[u8], at: usize, keys: &[&[u8]]) -> Option<Range<usize>> {
    let found = |wanted: &&[u8]| {
        let mut members = scanner::members(text, at);
        members.find(|(key, _)| &&text[key.clone()] == wanted)
    };
    keys.iter().find_map(found).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(byte: u8) -> BlockHash {
        BlockHash([byte; 32])
    }

    #[test]
    fn a_result_says_which_block_it_is_of() {
        use BlockNaming::{Each, Inside, Itself};
        use NamedBlock::{One, Unclear, Unsaid};
        let (a, b) = (hash(0xaa), hash(0xbb));
        let inside = |number: &str, hash: BlockHash| {
            format!(r#"{{"blockNumber":{number},"x":1,"blockHash":"{hash}"}}"#)
        };
        let one = One(BlockNumber(16), a);
        for (naming, result, wanted) in [
            (Itself, format!(r#" {{"number":"0x10","hash":"{a}"}}"#), one),
            (Itself, inside("\"0x10\"", a), Unclear),
            (Itself, r#"{"number":null,"hash":null}"#.into(), Unclear),
            (Inside, inside("\"0x10\"", a), one),
            (
                Inside,
                r#"{"blockNumber":null,"blockHash":null}"#.into(),
                Unclear,
            ),
            (Each, "[]".into(), Unsaid),
            (Each, format!("[{}]", inside("16", a)), one),
            (
                Each,
                format!("[{},{}]", inside("16", a), inside("16", a)),
                one,
            ),
            (
                Each,
                format!("[{},{}]", inside("16", a), inside("16", b)),
                Unclear,
            ),
            (Each, format!("[{},1]", inside("16", a)), Unclear),
            (Each, "{}".into(), Unclear),
            (BlockNaming::Unsaid, "\"0x1\"".into(), Unsaid),
        ] {
            assert_eq!(
                named(result.as_bytes(), naming),
                wanted,
                "{naming:?} {result}"
            );
        }
        let logs = format!("[{},{{}}]", inside("\"0x1\"", b));
        let found: Vec<_> = of_logs(logs.as_bytes()).collect();
        assert_eq!(found, [Some((BlockNumber(1), b)), None]);
        assert_eq!(of_logs(b"[]").count(), 0);
        assert_eq!(of_logs(b"{}").collect::<Vec<_>>(), [None]);
    }

    #[test]
    fn a_receipt_is_of_the_transaction_that_was_asked_for() {
        let asked = r#"["0xAB"]"#;
        for (result, wanted) in [
            (r#"{"transactionHash":"0xab"}"#, true),
            (r#"{"hash":"0xab"}"#, true),
            (r#"{"hash":"0xab","transactionHash":"0xcd"}"#, false),
            (
                r#"[{"transactionHash":"0xab"},{"transactionHash":"0xab"}]"#,
                true,
            ),
            (
                r#"[{"transactionHash":"0xab"},{"transactionHash":"0xac"}]"#,
                false,
            ),
            ("{}", false),
            ("1", false),
        ] {
            assert_eq!(
                is_of_transaction(result.as_bytes(), asked),
                wanted,
                "{result}"
            );
        }
        assert!(!is_of_transaction(br#"{"hash":"0xab"}"#, "[]"));
    }
}

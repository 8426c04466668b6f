//! Block parameters, read in place and rewritten.
//!
//! Of a call that is changed every byte stays but for the block parameter itself; what can be read
//! in two ways is left as it is.

use std::borrow::Cow;
use std::ops::Range;

use crate::json::element_offsets::ElementOffsets;
use crate::json::scanner;
use crate::method::block::edits::{Around, EditText, ParamEdit, ParamEdits};
use crate::method::block::{BlockParam, BlockParamForm, TagPins};
use crate::vocabulary::block_ref::{BlockData, BlockRange, HashedBlock};
use crate::vocabulary::chain::{BlockHash, BlockNumber};
use crate::vocabulary::hex;

/// What a call says of blocks, with the tags pinned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct BlockRefs {
    pub need: Option<BlockRange>,
    /// A block that is named by its hash instead.
    pub hash: Option<HashedBlock>,
    /// A range whose end stands before its beginning, both written as numbers.
    pub is_reversed: bool,
    /// Reads what is pending, which is another thing from one moment to the next.
    pub is_pending: bool,
    /// Every block that it names is known by its number or its hash, and they stand in order: no node
    /// can take it for other blocks.
    pub is_exact: bool,
    pub edits: ParamEdits,
}

/// A block as a call names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BlockName {
    Number(BlockNumber),
    Latest,
    Safe,
    Finalized,
    Pending,
    Hash(BlockHash),
    /// Nothing at all, or nothing that we know.
    Other,
}

fn numbered(named: BlockName, pins: &TagPins) -> Option<BlockNumber> {
    match named {
        BlockName::Number(number) => Some(number),
        BlockName::Latest => pins.latest,
        BlockName::Safe => pins.safe,
        BlockName::Finalized => pins.finalized,
        BlockName::Pending | BlockName::Hash(_) | BlockName::Other => None,
    }
}

/// A name, and where its number would be written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct BlockArgument {
    named: BlockName,
    at: Range<usize>,
    /// What is written before and after the number.
    around: &'static Around,
}

impl BlockArgument {
    fn written(named: BlockName, at: Range<usize>) -> BlockArgument {
        BlockArgument {
            named,
            at,
            around: &("", ""),
        }
    }

    /// A tag becomes the number that it is pinned to.
    fn edit(&self, pins: &TagPins) -> Option<ParamEdit> {
        match self.named {
            BlockName::Number(_) | BlockName::Pending | BlockName::Hash(_) | BlockName::Other => {
                None
            }
            BlockName::Latest | BlockName::Safe | BlockName::Finalized => {
                numbered(self.named, pins).map(|number| self.as_number(number))
            }
        }
    }

    fn as_number(&self, number: BlockNumber) -> ParamEdit {
        ParamEdit {
            at: self.at.clone(),
            with: EditText::Number(number, self.around),
        }
    }
}

/// Reads what `params`, whose elements stand where `elements` says, say at `place`.
pub(crate) fn read(
    place: BlockParam,
    (params, elements): (Option<&str>, &ElementOffsets),
    pins: &TagPins,
) -> BlockRefs {
    let params = params.unwrap_or_default();
    match place {
        BlockParam::Nowhere => BlockRefs::default(),
        BlockParam::At { index, reads, form } => {
            let pins = match form {
                BlockParamForm::Given | BlockParamForm::OrLatest => *pins,
                BlockParamForm::Plain => TagPins::default(),
            };
            read_one((params, elements), index, form == BlockParamForm::OrLatest)
                .map(|argument| one(&argument, reads, &pins))
                .unwrap_or_default()
        }
        BlockParam::Hash { index, reads } => (elements.get(index))
            .map(|at| hashed(named(&params[at]), reads))
            .unwrap_or_default(),
        BlockParam::Range {
            index,
            missing_is_latest,
            is_of_now,
        } => {
            let filter = elements.get(index);
            let filter = filter.filter(|at| params[at.clone()].starts_with('{'));
            let Some(at) = filter.map(|at| at.start) else {
                return BlockRefs::default();
            };
            if let Some(named) = read_filters_hash(params, at) {
                return hashed(named, BlockData::Receipts);
            }
            let pins = if is_of_now { *pins } else { TagPins::default() };
            let missing = if missing_is_latest {
                BlockName::Latest
            } else {
                BlockName::Other
            };
            read_range(params, at, missing)
                .map(|(from, to)| range(&from, &to, &pins))
                .unwrap_or_default()
        }
    }
}

/// Of one block, by its hash alone.
fn hashed(named: BlockName, reads: BlockData) -> BlockRefs {
    let mut block_refs = BlockRefs::default();
    if let BlockName::Hash(hash) = named {
        block_refs.hash = Some(HashedBlock { hash, reads });
        block_refs.is_exact = true;
    }
    block_refs
}

fn one(argument: &BlockArgument, reads: BlockData, pins: &TagPins) -> BlockRefs {
    let need = numbered(argument.named, pins).map(|number| BlockRange {
        from: number,
        to: number,
        reads,
    });
    let hashed = hashed(argument.named, reads);
    BlockRefs {
        need,
        is_pending: argument.named == BlockName::Pending,
        is_exact: need.is_some() || hashed.is_exact,
        edits: ParamEdits::of(argument.edit(pins), None),
        ..hashed
    }
}

fn range(from: &BlockArgument, to: &BlockArgument, pins: &TagPins) -> BlockRefs {
    let (low, high) = (numbered(from.named, pins), numbered(to.named, pins));
    let is_written = |argument: &BlockArgument| matches!(argument.named, BlockName::Number(_));
    let is_reversed = is_written(from) && is_written(to) && low > high;
    let need = low.or(high).map(|any| {
        let (low, high) = (low.unwrap_or(any), high.unwrap_or(any));
        BlockRange {
            from: low.min(high),
            to: low.max(high),
            reads: BlockData::Logs,
        }
    });
    // From a block that only some have, to the latest: for them that is the latest one, too.
    let pins = match low {
        Some(low)
            if to.named == BlockName::Latest && pins.latest.is_some_and(|latest| low > latest) =>
        {
            TagPins {
                latest: Some(low),
                ..*pins
            }
        }
        Some(_) | None => *pins,
    };
    BlockRefs {
        need,
        hash: None,
        is_reversed,
        is_pending: [from, to].iter().any(|end| end.named == BlockName::Pending),
        is_exact: low.zip(high).is_some_and(|(low, high)| low <= high),
        edits: ParamEdits::of(from.edit(&pins), to.edit(&pins)),
    }
}

fn read_one(
    (params, elements): (&str, &ElementOffsets),
    index: usize,
    may_be_missing: bool,
) -> Option<BlockArgument> {
    if let Some(element) = elements.get(index) {
        return Some(named_at(params, element, may_be_missing));
    }
    let before = match index.checked_sub(1) {
        Some(before) => Some(elements.get(before)?),
        None => None,
    };
    let end = before.as_ref().map_or(1, |before| before.end);
    let is_next = params.starts_with('[') && may_be_missing;
    is_next.then_some(BlockArgument {
        named: BlockName::Latest,
        at: end..end,
        around: if before.is_some() {
            &(",", "")
        } else {
            &("", "")
        },
    })
}

/// The block that one parameter names: text, a number, or an object (EIP-1898).
fn named_at(params: &str, at: Range<usize>, null_is_latest: bool) -> BlockArgument {
    let value = &params[at.clone()];
    match value.as_bytes().first() {
        Some(b'{') => {
            let mut found = [const { None }; 2];
            let is_clear =
                find_members(params, at.start, &["blockNumber", "blockHash"], &mut found);
            match found {
                [Some(number), None] if is_clear => {
                    let named = named(&params[number.clone()]);
                    let is_hash = matches!(named, BlockName::Hash(_));
                    BlockArgument::written(if is_hash { BlockName::Other } else { named }, number)
                }
                [None, Some(hash)] if is_clear => {
                    let named = named(&params[hash]);
                    let is_hash = matches!(named, BlockName::Hash(_));
                    BlockArgument::written(if is_hash { named } else { BlockName::Other }, at)
                }
                _ => BlockArgument::written(BlockName::Other, at),
            }
        }
        Some(_) if value == "null" && null_is_latest => {
            BlockArgument::written(BlockName::Latest, at)
        }
        Some(_) | None => BlockArgument::written(named(value), at),
    }
}

/// The block that a filter names by its hash alone.
fn read_filters_hash(params: &str, filter: usize) -> Option<BlockName> {
    match filters_ends(params, filter)? {
        [None, None, Some(hash)] => Some(named(&params[hash])),
        _ => None,
    }
}

/// Where the blocks of the filter at `filter` stand: the first, the last, the one of a hash.
fn filters_ends(params: &str, filter: usize) -> Option<[Option<Range<usize>>; 3]> {
    let mut found = [const { None }; 3];
    let keys = ["fromBlock", "toBlock", "blockHash"];
    find_members(params, filter, &keys, &mut found).then_some(found)
}

fn read_range(
    params: &str,
    filter: usize,
    missing: BlockName,
) -> Option<(BlockArgument, BlockArgument)> {
    let [from, to, None] = filters_ends(params, filter)? else {
        return None;
    };
    let inside = filter + 1;
    let text = params.as_bytes();
    let is_bare = text.get(scanner::skip_space(text, inside)) == Some(&b'}');
    let end = |found: Option<Range<usize>>, around: &'static Around| match found {
        Some(at) if &params[at.clone()] != "null" => {
            BlockArgument::written(named(&params[at.clone()]), at)
        }
        Some(at) => BlockArgument::written(missing, at),
        None => BlockArgument {
            named: missing,
            at: inside..inside,
            around,
        },
    };
    // An empty object lacks both.
    let around_to: &Around = if is_bare {
        &("\"toBlock\":", "")
    } else {
        &("\"toBlock\":", ",")
    };
    Some((end(from, &("\"fromBlock\":", ",")), end(to, around_to)))
}

/// Finds the values of `keys` in the object at `at`; `false` if it can be read in two ways: by a
/// decoder that ignores case, or because a key stands twice.
fn find_members(text: &str, at: usize, keys: &[&str], found: &mut [Option<Range<usize>>]) -> bool {
    let text = text.as_bytes();
    let mut is_clear = true;
    for (key, value) in scanner::members(text, at) {
        let key = &text[key.start + 1..key.end - 1];
        let is_plain = key.is_ascii() && !key.contains(&b'\\');
        let known = keys
            .iter()
            .position(|known| key.eq_ignore_ascii_case(known.as_bytes()));
        is_clear &= is_plain;
        let Some(slot) = known else { continue };
        is_clear &= key == keys[slot].as_bytes();
        is_clear &= found[slot].replace(value).is_none();
    }
    is_clear
}

/// A tag or a number, as written in JSON.
fn named(text: &str) -> BlockName {
    let Some(inner) = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
    else {
        return text.parse().map_or(BlockName::Other, number);
    };
    let inner = if inner.contains('\\') {
        serde_json::from_str(text).map_or(Cow::Borrowed(""), Cow::Owned)
    } else {
        Cow::Borrowed(inner)
    };
    match &*inner {
        "latest" => BlockName::Latest,
        "safe" => BlockName::Safe,
        "finalized" => BlockName::Finalized,
        "pending" => BlockName::Pending,
        "earliest" => number(0),
        other => {
            // As long as a hash it is one, also with zeros in front (geth rpc/types.go).
            if let Some(hash) = BlockHash::read(other) {
                return BlockName::Hash(hash);
            }
            hex::behind_prefix(other)
                .and_then(hex::digits)
                .map_or(BlockName::Other, number)
        }
    }
}

fn number(number: u64) -> BlockName {
    BlockName::Number(BlockNumber(number))
}

#[cfg(test)]
#[path = "params_tests.rs"]
mod tests;

//! An entry: its terms in a fixed form, and behind them an answer.

use std::ops::Range;

use bytes::Bytes;

use forebay_core::call::cache::KeptTerms;
use forebay_core::call::cache::giving::KeptCondition;
use forebay_core::rpc::answer::AnswerOffsets;
use forebay_core::rpc::whole_answer::WholeAnswer;
use forebay_core::vocabulary::chain::{BlockHash, BlockNumber};
use forebay_core::vocabulary::node::NodeId;

/// An entry as it is read.
pub(super) struct KeptEntry {
    pub terms: KeptTerms,
    pub sequence: u64,
    pub answer: WholeAnswer,
}

/// The terms are numbers of eight bytes each, little-endian, in the order of [`written`] and [`KeptEntry::read`].
const HEAD_NUMBERS: usize = 11;
const HEAD_BYTES: usize = HEAD_NUMBERS * size_of::<u64>();
/// Where some of them stand: the node's beside how often it was found elsewhere, the row's beside the kind.
const CHAIN: usize = 6;
const NODE: usize = 7;
const ROW: usize = 10;
/// What the answer may be given under, as one number.
const ALWAYS: u32 = 0;
const WHILE_TOLD: u32 = 1;
const WHILE_STEADY: u32 = 2;
/// Added where the answer is an error.
const IS_ERROR: u32 = 0x80;

/// Everything of an entry, in one piece. `None`: the answer has no id to be replaced.
#[inline]
pub(super) fn written(
    (chain, row): (u64, u16),
    terms: &KeptTerms,
    sequence: u64,
    answer: &WholeAnswer,
) -> Option<Bytes> {
    let (bytes, places) = answer.parts();
    let id = places.id.as_ref()?;
    let (kind, condition) = match terms.condition {
        KeptCondition::Always => (ALWAYS, [0; 4]),
        KeptCondition::WhileTold(BlockHash(hash)) => (WHILE_TOLD, numbers_of(&hash)?),
        KeptCondition::WhileSteady { strays } => (WHILE_STEADY, [strays, 0, 0, 0]),
    };
    let kind = kind | if places.is_error { IS_ERROR } else { 0 };
    let range = |at: &Range<usize>| Some(pair(at.start.try_into().ok()?, at.end.try_into().ok()?));
    let [first, second, third, fourth] = condition;
    let head: [u64; HEAD_NUMBERS] = [
        first,
        second,
        third,
        fourth,
        terms.number.0,
        sequence,
        chain,
        pair(terms.node.0, terms.losses),
        range(id)?,
        range(&places.outcome)?,
        pair(row.into(), kind),
    ];
    // Without room to spare it is counted from its first hit on (bytes 1.12): most are never given.
    let mut entry = Vec::with_capacity(HEAD_BYTES + bytes.len());
    entry.extend_from_slice(head.map(u64::to_le_bytes).as_flattened());
    entry.extend_from_slice(bytes);
    Some(Bytes::from(entry))
}

impl KeptEntry {
    pub(super) fn read(entry: Bytes) -> Option<KeptEntry> {
        let head: [u64; HEAD_NUMBERS] = numbers_of(&entry)?;
        let [
            condition @ ..,
            number,
            sequence,
            _chain,
            node,
            id,
            outcome,
            kind,
        ] = head;
        let (node, losses) = parts(node);
        let (_row, kind) = parts(kind);
        let range = |at: u64| {
            let (start, end) = parts(at);
            start as usize..end as usize
        };
        let terms = KeptTerms {
            node: NodeId(node),
            losses,
            number: BlockNumber(number),
            condition: match kind & !IS_ERROR {
                ALWAYS => KeptCondition::Always,
                WHILE_TOLD => {
                    let hash = condition.map(u64::to_le_bytes);
                    KeptCondition::WhileTold(BlockHash(*hash.as_flattened().first_chunk()?))
                }
                _ => KeptCondition::WhileSteady {
                    strays: condition[0],
                },
            },
        };
        let places = AnswerOffsets {
            id: Some(range(id)),
            outcome: range(outcome),
            is_error: kind & IS_ERROR != 0,
        };
        Some(KeptEntry {
            terms,
            sequence,
            answer: WholeAnswer::of_parts(entry.slice(HEAD_BYTES..), places),
        })
    }
}

/// The numbers that `bytes` begin with.
fn numbers_of<const COUNT: usize>(bytes: &[u8]) -> Option<[u64; COUNT]> {
    let (numbers, _) = bytes.as_chunks();
    Some(numbers.first_chunk::<COUNT>()?.map(u64::from_le_bytes))
}

fn pair(first: u32, second: u32) -> u64 {
    u64::from(first) | u64::from(second) << u32::BITS
}

fn parts(pair: u64) -> (u32, u32) {
    (pair as u32, (pair >> u32::BITS) as u32)
}

/// The number of an entry's head that stands there.
fn number_at(entry: &[u8], place: usize) -> Option<u64> {
    Some(numbers_of::<HEAD_NUMBERS>(entry)?[place])
}

/// The node that gave an entry's answer.
pub(super) fn node_of(entry: &[u8]) -> Option<NodeId> {
    Some(NodeId(parts(number_at(entry, NODE)?).0))
}

/// The row of its method.
pub(super) fn row_of(entry: &[u8]) -> Option<u16> {
    parts(number_at(entry, ROW)?).0.try_into().ok()
}

/// The chain that it is of.
pub(super) fn chain_of(entry: &[u8]) -> Option<u64> {
    number_at(entry, CHAIN)
}

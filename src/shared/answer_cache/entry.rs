//! An entry: its terms in a fixed form, and behind them an answer.

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
    /// In milliseconds since the cache was made.
    pub kept_at: u64,
    pub answer: WholeAnswer,
}

/// How many bytes the terms take.
const HEAD_BYTES: usize = 91;
/// What the answer may be given under, as one byte.
const ALWAYS: u8 = 0;
const WHILE_TOLD: u8 = 1;
const WHILE_STEADY: u8 = 2;
/// Added where the answer is an error.
const IS_ERROR: u8 = 0x80;

/// Everything of an entry, in one piece. `None`: the answer has no id to be replaced.
pub(super) fn written(
    (chain, row): (u64, u16),
    terms: &KeptTerms,
    sequence: u64,
    kept_at: u64,
    answer: &WholeAnswer,
) -> Option<Bytes> {
    let (bytes, places) = answer.parts();
    let id = places.id.as_ref()?;
    let (kind, condition) = match terms.condition {
        KeptCondition::Always => (ALWAYS, [0; 32]),
        KeptCondition::WhileTold(BlockHash(hash)) => (WHILE_TOLD, hash),
        KeptCondition::WhileSteady { strays } => {
            let mut condition = [0; 32];
            condition[..8].copy_from_slice(&strays.to_le_bytes());
            (WHILE_STEADY, condition)
        }
    };
    let kind = kind | if places.is_error { IS_ERROR } else { 0 };
    let mut head = [0; HEAD_BYTES];
    let room = &mut &mut head[..];
    put(room, condition);
    put(room, terms.number.0.to_le_bytes());
    put(room, sequence.to_le_bytes());
    put(room, kept_at.to_le_bytes());
    put(room, terms.node.0.to_le_bytes());
    put(room, terms.losses.to_le_bytes());
    for place in [id.start, id.end, places.outcome.start, places.outcome.end] {
        put(room, u32::try_from(place).ok()?.to_le_bytes());
    }
    put(room, row.to_le_bytes());
    put(room, chain.to_le_bytes());
    put(room, [kind]);
    debug_assert!(room.is_empty());
    // With room to spare it is counted from now on (bytes 1.12): a hit takes no memory.
    let mut entry = Vec::with_capacity(HEAD_BYTES + bytes.len() + 1);
    entry.extend_from_slice(&head);
    entry.extend_from_slice(bytes);
    Some(Bytes::from(entry))
}

impl KeptEntry {
    pub(super) fn read(entry: Bytes) -> Option<KeptEntry> {
        let mut head = entry.get(..HEAD_BYTES)?;
        let condition: [u8; 32] = take(&mut head)?;
        let [number, sequence, kept_at] = [(); 3].map(|()| take(&mut head).map(u64::from_le_bytes));
        let [node, losses] = [(); 2].map(|()| take(&mut head).map(u32::from_le_bytes));
        let places = [(); 4].map(|()| take(&mut head).map(u32::from_le_bytes));
        let [id_start, id_end, start, end] = places.map(|place| place.map_or(0, |it| it as usize));
        let _row_and_chain: [u8; 10] = take(&mut head)?;
        let [kind] = take(&mut head)?;
        let strays = condition
            .first_chunk()
            .map(|strays| u64::from_le_bytes(*strays));
        let terms = KeptTerms {
            node: NodeId(node?),
            losses: losses?,
            number: BlockNumber(number?),
            condition: match kind & !IS_ERROR {
                ALWAYS => KeptCondition::Always,
                WHILE_TOLD => KeptCondition::WhileTold(BlockHash(condition)),
                _ => KeptCondition::WhileSteady { strays: strays? },
            },
        };
        let places = AnswerOffsets {
            id: Some(id_start..id_end),
            outcome: start..end,
            is_error: kind & IS_ERROR != 0,
        };
        Some(KeptEntry {
            terms,
            sequence: sequence?,
            kept_at: kept_at?,
            answer: WholeAnswer::of_parts(entry.slice(HEAD_BYTES..), places),
        })
    }
}

fn put<const BYTES: usize>(room: &mut &mut [u8], bytes: [u8; BYTES]) {
    let Some((place, rest)) = std::mem::take(room).split_first_chunk_mut() else {
        debug_assert!(false, "a head has more than {HEAD_BYTES} bytes");
        return;
    };
    *place = bytes;
    *room = rest;
}

fn take<const BYTES: usize>(head: &mut &[u8]) -> Option<[u8; BYTES]> {
    let (taken, rest) = head.split_first_chunk()?;
    *head = rest;
    Some(*taken)
}

/// The node that gave an entry's answer.
pub(super) fn node_of(entry: &Bytes) -> Option<NodeId> {
    let bytes = entry.get(56..60)?;
    Some(NodeId(u32::from_le_bytes(bytes.try_into().ok()?)))
}

/// The row of its method.
pub(super) fn row_of(entry: &Bytes) -> Option<u16> {
    let bytes = entry.get(80..82)?;
    Some(u16::from_le_bytes(bytes.try_into().ok()?))
}

/// The chain that it is of.
pub(super) fn chain_of(entry: &Bytes) -> Option<u64> {
    let bytes = entry.get(82..90)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

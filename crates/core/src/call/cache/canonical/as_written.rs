//! Params as they are written: most come in their canonical form but for the block, and nothing is written anew.

use std::ops::Range;

use wide::u8x16;

use super::plain_block::is_plain_block;
use super::{BLOCK, BlockPlace, are_all, is_settled_byte};
use crate::json::element_offsets::ElementOffsets;

/// Clients that write capitals or spaces, as in addresses with a checksum, do so within the first bytes.
const LOOKED_AT_BYTES: usize = 32;
/// An address, with the `0x` before it.
const ADDRESS_BYTES: usize = 2 + 2 * 20;
const CHUNK_BYTES: usize = size_of::<u8x16>();
/// Digits and small letters stand in the second and the last of ASCII's quarters, beside signs: these bits tell those
/// quarters from the others, and from what isn't ASCII.
const QUARTER: u8 = 0xa0;
const PLAIN_QUARTER: u8 = 0x20;

/// Params that may be written in their canonical form, but for a block whose place is known.
#[derive(Debug)]
pub(in crate::call::cache) struct ParamsAsWritten<'a> {
    text: &'a str,
    elements: &'a ElementOffsets,
    /// The index of its element, and where that stands.
    block: Option<(usize, Range<usize>)>,
}

impl<'a> ParamsAsWritten<'a> {
    /// `elements`: where the first of them stand. `None`: they are hardly in that form as they stand, or it isn't known, or
    /// nodes may read the block in two ways.
    #[inline]
    pub(in crate::call::cache) fn of(
        params: Option<&'a str>,
        elements: &'a ElementOffsets,
        place: BlockPlace,
    ) -> Option<ParamsAsWritten<'a>> {
        let text = params?;
        // There may be more of them than are known.
        let bytes = text.as_bytes();
        let is_known_whole = bytes.get(elements.iter().last()?.end..) == Some(b"]");
        if !is_known_whole || !may_be_canonical(bytes) {
            return None;
        }
        let block = match place {
            BlockPlace::Nowhere => None,
            BlockPlace::Element { index, may_lack } => {
                let at = elements.get(index)?;
                // As most name it.
                let is_latest = &bytes[at.clone()] == b"\"latest\"";
                (is_latest || is_plain_block(text, at.clone(), may_lack)).then_some(())?;
                Some((index, at))
            }
            BlockPlace::Filter { .. } => return None,
        };
        Some(ParamsAsWritten {
            text,
            elements,
            block,
        })
    }

    /// What stands before the block, what is written for that, and what stands behind. Where that isn't their canonical
    /// form, it is that of no others: what is written as a form has it itself.
    pub(in crate::call::cache) fn pieces(&self) -> [&'a [u8]; 3] {
        let bytes = self.text.as_bytes();
        match &self.block {
            Some((_, at)) => [&bytes[..at.start], BLOCK, &bytes[at.end..]],
            None => [bytes, b"", b""],
        }
    }

    /// Whether that is known to be their canonical form.
    #[inline]
    pub(in crate::call::cache) fn are_canonical(&self) -> bool {
        self.are_usual() || self.are_all_canonical()
    }

    /// Whether they are a call, written as most are, and its block: `[{"to":"0x…","data":"0x…"},…]`.
    fn are_usual(&self) -> bool {
        let (Some((1, block)), Some(call)) = (&self.block, self.elements.get(0)) else {
            return false;
        };
        // A bracket, a comma, another bracket, and nothing else around them.
        let is_close = call.start == 1 && block.start == call.end + 1;
        is_close && block.end + 1 == self.text.len() && is_usual_call(&self.text.as_bytes()[call])
    }

    fn are_all_canonical(&self) -> bool {
        let bytes = self.text.as_bytes();
        let mut end = 0;
        self.elements.iter().enumerate().all(|(index, at)| {
            // A bracket or a comma, and nothing else.
            let is_next = at.start == end + 1;
            end = at.end;
            let is_block = || {
                self.block
                    .as_ref()
                    .is_some_and(|(block, _)| *block == index)
            };
            is_next && (is_block() || is_canonical(bytes, at))
        })
    }
}

/// By a quick look, which may miss some: `to` is the shortest member of a call, so one that has it and begins with another
/// isn't sorted.
#[inline]
fn may_be_canonical(text: &[u8]) -> bool {
    let is_sorted = !text.starts_with(b"[{") || text.starts_with(b"[{\"to\"");
    is_sorted
        && match text.first_chunk() {
            Some(begin) => is_usual_begin(begin),
            None => {
                let mut begin = [0; LOOKED_AT_BYTES];
                begin[..text.len()].copy_from_slice(text);
                is_usual_begin(&begin)
            }
        }
}

/// Whether there are neither spaces nor capitals.
#[inline]
fn is_usual_begin(begin: &[u8; LOOKED_AT_BYTES]) -> bool {
    let (chunks, _) = begin.as_chunks();
    let strange = chunks.iter().map(strange_bytes);
    strange.fold(u8x16::ZERO, |all, chunk| all | chunk) == u8x16::ZERO
}

/// Spaces and capitals.
#[inline]
fn strange_bytes(chunk: &[u8; CHUNK_BYTES]) -> u8x16 {
    let bytes = u8x16::new(*chunk);
    let letters = bytes - u8x16::splat(b'A');
    let are_capitals = letters.min(u8x16::splat(b'Z' - b'A')).simd_eq(letters);
    are_capitals | bytes.simd_eq(u8x16::splat(b' '))
}

/// Whether the value at `at` is known to be written as its canonical form is.
fn is_canonical(text: &[u8], at: Range<usize>) -> bool {
    let end = match text.get(at.start) {
        Some(b'{') => object_end(text, at.start),
        Some(b'"') => string_end(text, at.start),
        Some(b'[') => are_all(&text[at.clone()], |byte| {
            is_settled_byte(byte) & (byte > b' ') & (byte != b'{')
        })
        .then_some(at.end),
        Some(_) => Some(at.end),
        None => None,
    };
    end == Some(at.end)
}

fn string_end(text: &[u8], at: usize) -> Option<usize> {
    let (_, behind) = split_plain(text.get(at + 1..)?);
    Some(text.len() - behind.strip_prefix(b"\"")?.len())
}

fn is_usual_call(object: &[u8]) -> bool {
    let to = object.strip_prefix(b"{\"to\":\"");
    let Some((to, rest)) = to.and_then(|rest| rest.split_first_chunk::<ADDRESS_BYTES>()) else {
        return false;
    };
    let data = rest.strip_prefix(b"\",\"data\":\"");
    let data = data.and_then(|rest| rest.strip_suffix(b"\"}"));
    data.is_some_and(|data| are_plain(to) && are_plain(data))
}

/// Whether all of `text` [is plain](is_plain).
#[inline]
fn are_plain(text: &[u8]) -> bool {
    let (chunks, _) = text.as_chunks();
    let Some(last) = text.last_chunk() else {
        return text.iter().all(|byte| is_plain(*byte));
    };
    // Some of the last bytes are looked at twice.
    let last = flipped(last);
    let (mut lowest, mut bits) = (last, last);
    for chunk in chunks {
        let bytes = flipped(chunk);
        lowest = lowest.min(bytes);
        bits |= bytes;
    }
    are_plain_flipped(lowest, bits).to_bitmask() == u32::from(u16::MAX)
}

/// Where the object ends that begins at `at`, if its values are plain strings and its members stand in their order.
fn object_end(text: &[u8], at: usize) -> Option<usize> {
    let mut rest = text.get(at..)?.strip_prefix(b"{\"")?;
    let mut before: &[u8] = b"";
    loop {
        let (key, behind) = split_plain(rest);
        if (before.len(), before) >= (key.len(), key) {
            return None;
        }
        before = key;
        let (_, behind) = split_plain(behind.strip_prefix(b"\":\"")?);
        match behind.strip_prefix(b"\",\"") {
            Some(next) => rest = next,
            None => return Some(text.len() - behind.strip_prefix(b"\"}")?.len()),
        }
    }
}

/// The plain bytes that `text` begins with, and what stands behind.
fn split_plain(text: &[u8]) -> (&[u8], &[u8]) {
    let (chunks, rest) = text.as_chunks();
    for (at, chunk) in chunks.iter().enumerate() {
        let others = !plain_bytes(chunk);
        if others != 0 {
            return text.split_at(at * CHUNK_BYTES + others.trailing_zeros() as usize);
        }
    }
    let others = rest.iter().skip_while(|byte| is_plain(**byte));
    text.split_at(text.len() - others.count())
}

/// Whether a string may have it in its canonical form: digits, small letters, and the signs beside them.
fn is_plain(byte: u8) -> bool {
    byte >= b'0' && byte & QUARTER == PLAIN_QUARTER
}

/// A bit for each byte that [is plain](is_plain), the lowest for the first.
#[inline]
fn plain_bytes(bytes: &[u8; CHUNK_BYTES]) -> u16 {
    let bytes = flipped(bytes);
    are_plain_flipped(bytes, bytes).to_bitmask() as u16
}

/// Bytes with the bit of the plain quarter flipped: plain ones have no bit of [`QUARTER`] then, and aren't below the
/// flipped `0`.
#[inline]
fn flipped(bytes: &[u8; CHUNK_BYTES]) -> u8x16 {
    u8x16::new(*bytes) ^ u8x16::splat(PLAIN_QUARTER)
}

/// For each lane: whether flipped bytes are plain, of which `lowest` is the lowest, and `bits` are all that any of them
/// has.
#[inline]
fn are_plain_flipped(lowest: u8x16, bits: u8x16) -> u8x16 {
    let are_high = lowest
        .max(u8x16::splat(b'0' ^ PLAIN_QUARTER))
        .simd_eq(lowest);
    are_high & (bits & u8x16::splat(QUARTER)).simd_eq(u8x16::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_looked_at_alike_alone_and_together() {
        for byte in 0..=u8::MAX {
            for at in 0..CHUNK_BYTES {
                let mut chunk = [b'"'; CHUNK_BYTES];
                chunk[at] = byte;
                assert_eq!(
                    plain_bytes(&chunk),
                    u16::from(is_plain(byte)) << at,
                    "{byte}"
                );
            }
            let is_settled = byte > b' ' && byte != b'"' && is_settled_byte(byte);
            assert!(!is_plain(byte) || is_settled, "{byte}");
        }
        assert!((b'0'..=b'9').chain(b'a'..=b'z').all(is_plain));
    }

    #[test]
    fn a_text_is_plain_if_each_of_its_bytes_is_whatever_its_length() {
        for length in 0..70 {
            let mut text = vec![b'0'; length];
            assert!(are_plain(&text), "{length}");
            for at in 0..length {
                for byte in 0..=u8::MAX {
                    text[at] = byte;
                    assert_eq!(are_plain(&text), is_plain(byte), "{length} {at} {byte}");
                }
                // What isn't plain for the one reason beside what isn't for the other.
                for (byte, other) in [(b'/', b'A'), (b'P', b' ')] {
                    text[at] = byte;
                    let last = length - 1;
                    let before = std::mem::replace(&mut text[last], other);
                    assert!(!are_plain(&text), "{length} {at} {byte} {other}");
                    text[last] = before;
                }
                text[at] = b'z';
            }
        }
    }

    #[test]
    fn a_quick_look_sees_the_first_bytes_whatever_the_length() {
        let by_bytes = |text: &[u8]| {
            let begin = &text[..text.len().min(LOOKED_AT_BYTES)];
            let is_usual = |byte: &u8| *byte != b' ' && !byte.is_ascii_uppercase();
            (!begin.starts_with(b"[{") || begin.starts_with(b"[{\"to\""))
                && begin.iter().all(is_usual)
        };
        for length in 0..=40 {
            for begin in [&b"[\"0x\""[..], b"[{\"to\":", b"[{\"from"] {
                let mut text: Vec<_> = begin.iter().copied().cycle().take(length).collect();
                assert_eq!(may_be_canonical(&text), by_bytes(&text), "{length}");
                for at in 0..length {
                    let before = text[at];
                    for byte in 0..=u8::MAX {
                        text[at] = byte;
                        let wanted = by_bytes(&text);
                        assert_eq!(may_be_canonical(&text), wanted, "{length} {at} {byte}");
                    }
                    text[at] = before;
                }
            }
        }
    }

    #[test]
    fn plain_strings_end_at_their_quotes_wherever_these_stand() {
        for length in 0..70 {
            for behind in 0..40 {
                let [plain, other] = ["", "A"].map(|more| {
                    let digits = "a".repeat(length);
                    let text = format!("[\"{digits}{more}\"{}", "\"".repeat(behind));
                    string_end(text.as_bytes(), 1)
                });
                assert_eq!((plain, other), (Some(length + 3), None));
            }
            let open = format!("[\"{}", "a".repeat(length));
            assert_eq!(string_end(open.as_bytes(), 1), None);
        }
    }

    #[test]
    fn params_of_any_length_are_known_to_be_in_their_form() {
        for length in (0..40).chain([1023, 1024, 1025, 100_000]) {
            for (place, wanted) in [("\"to\"", true), ("\"to\" ", false)] {
                let digits = "a".repeat(length);
                let params = format!(r#"[{{{place}:"0x1","data":"{digits}"}},"0x7"]"#);
                let elements = ElementOffsets::of(&params);
                let written = ParamsAsWritten::of(Some(&params), &elements, BlockPlace::Nowhere);
                let are_known = written.is_some_and(|written| written.are_canonical());
                assert_eq!(are_known, wanted, "{length}");
            }
        }
    }
}

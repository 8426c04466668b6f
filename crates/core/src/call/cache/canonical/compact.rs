//! Texts without white space and escapes, as most clients write params: one look at all of it finds its quotes, and
//! by these the ends of its strings.

use std::cmp::Ordering;
use std::ops::Range;

use wide::{i8x16, u8x16};

/// Longer texts are read as any other.
const BYTES_MAX: usize = 1024;
/// An object that has more members isn't taken for flat.
const MEMBERS_MAX: usize = 8;
const WORD_BITS: usize = u64::BITS as usize;
const CHUNK_BYTES: usize = size_of::<u8x16>();

/// What is known of such a text.
#[derive(Debug)]
pub(super) struct CompactText {
    /// A bit for each byte that is a quote, the lowest for the first.
    quotes: [u64; BYTES_MAX / WORD_BITS],
    /// Some of its letters are capitals.
    pub(super) has_capitals: bool,
}

impl CompactText {
    /// `None`: it is longer than [`BYTES_MAX`], or has a space, a backslash, a control character, or a byte that isn't
    /// ASCII.
    pub(super) fn of(text: &[u8]) -> Option<CompactText> {
        if text.len() > BYTES_MAX {
            return None;
        }
        let mut quotes = [0; BYTES_MAX / WORD_BITS];
        let (mut visible, mut backslashes) = (i8x16::splat(-1), i8x16::splat(0));
        let mut capitals = u8x16::splat(0);
        let mut look = |word: &mut u64, bytes: &[u8; WORD_BITS]| {
            let (chunks, _) = bytes.as_chunks::<CHUNK_BYTES>();
            for (at, chunk) in chunks.iter().enumerate() {
                let bytes = u8x16::new(*chunk);
                // Bytes that aren't ASCII are below zero.
                let signed = i8x16::new(chunk.map(u8::cast_signed));
                let is = |byte: u8| signed.simd_eq(i8x16::splat(byte.cast_signed()));
                visible &= signed.simd_gt(i8x16::splat(b' '.cast_signed()));
                backslashes |= is(b'\\');
                capitals |= (bytes - u8x16::splat(b'A')).simd_le(u8x16::splat(b'Z' - b'A'));
                *word |= u64::from(is(b'"').to_bitmask()) << (at * CHUNK_BYTES);
            }
        };
        let (words, rest) = text.as_chunks();
        let mut quoted = quotes.iter_mut();
        for (bytes, word) in words.iter().zip(quoted.by_ref()) {
            look(word, bytes);
        }
        if let (Some(word), false) = (quoted.next(), rest.is_empty()) {
            match text.last_chunk() {
                // Some of it for the second time.
                Some(last) => {
                    look(word, last);
                    *word >>= WORD_BITS - rest.len();
                }
                None => {
                    let mut last = [b'0'; WORD_BITS];
                    last[..rest.len()].copy_from_slice(rest);
                    look(word, &last);
                }
            }
        }
        (visible.all() && !backslashes.any()).then_some(CompactText {
            quotes,
            has_capitals: capitals.any(),
        })
    }

    /// Where the string ends that begins at `at`, behind its quote.
    #[inline]
    pub(super) fn string_end(&self, at: usize) -> Option<usize> {
        let mut place = (at + 1) / WORD_BITS;
        let mut bits = self.quotes.get(place)? >> ((at + 1) % WORD_BITS) << ((at + 1) % WORD_BITS);
        while bits == 0 {
            place += 1;
            bits = *self.quotes.get(place)?;
        }
        Some(place * WORD_BITS + bits.trailing_zeros() as usize + 1)
    }
}

/// An object whose values are strings, its members by their keys' order.
#[derive(Debug)]
pub(super) struct FlatObject {
    members: [FlatMember; MEMBERS_MAX],
    count: usize,
    /// Where it ends.
    pub(super) end: usize,
}

/// Where its key begins, with its quotes, the colon stands, and its value ends.
#[derive(Clone, Copy, Debug, Default)]
struct FlatMember {
    start: u16,
    colon: u16,
    end: u16,
}

impl FlatMember {
    fn key(self) -> Range<usize> {
        usize::from(self.start)..usize::from(self.colon)
    }

    fn order(self, other: FlatMember, text: &[u8]) -> Ordering {
        let key = |member: FlatMember| text.get(member.key()).unwrap_or_default();
        by_key(key(self), key(other))
    }
}

impl FlatObject {
    /// Of the object that begins at `at`. `None`: it is none, is empty, has more members, values that are no strings, or two
    /// keys that are alike but for their case.
    pub(super) fn of(text: &[u8], at: usize, compact: &CompactText) -> Option<FlatObject> {
        let mut found = FlatObject {
            members: [FlatMember::default(); MEMBERS_MAX],
            count: 0,
            end: at,
        };
        loop {
            let start = found.end + 1;
            let colon = compact.string_end(start)?;
            if text.get(start) != Some(&b'"') || text.get(colon..colon + 2) != Some(b":\"") {
                return None;
            }
            found.end = compact.string_end(colon + 1)?;
            let place = |at: usize| u16::try_from(at).ok();
            found.add(
                FlatMember {
                    start: place(start)?,
                    colon: place(colon)?,
                    end: place(found.end)?,
                },
                text,
            )?;
            match text.get(found.end)? {
                b',' => {}
                b'}' => {
                    found.end += 1;
                    return Some(found);
                }
                _ => return None,
            }
        }
    }

    /// Puts a member in its place.
    fn add(&mut self, member: FlatMember, text: &[u8]) -> Option<()> {
        let mut place = self.count;
        *self.members.get_mut(place)? = member;
        while let Some(before) = place.checked_sub(1) {
            match self.members[before].order(member, text) {
                Ordering::Less => break,
                Ordering::Equal => return None,
                Ordering::Greater => self.members.swap(before, place),
            }
            place = before;
        }
        self.count += 1;
        Some(())
    }

    /// Where the keys and values of its members stand.
    pub(super) fn members(&self) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        let members = self.members.iter().take(self.count);
        members.map(|member| {
            (
                member.key(),
                usize::from(member.colon) + 1..usize::from(member.end),
            )
        })
    }
}

/// How two members stand to each other, by their keys with quotes, whatever their case: the shorter first, as
/// many clients write them.
pub(super) fn by_key(one: &[u8], other: &[u8]) -> Ordering {
    (one.len().cmp(&other.len())).then_with(|| {
        let one = one.iter().map(u8::to_ascii_lowercase);
        one.cmp(other.iter().map(u8::to_ascii_lowercase))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_end_at_their_quotes_wherever_these_stand() {
        for length in [0, 1, 13, 14, 15, 61, 62, 63, 64, 200, BYTES_MAX - 2] {
            let text = format!("\"{}\"", "a".repeat(length));
            let compact = CompactText::of(text.as_bytes()).unwrap();
            assert_eq!(compact.string_end(0), Some(length + 2));
            assert_eq!(compact.string_end(length + 1), None, "nothing is behind it");
            assert!(!compact.has_capitals);
        }
        let long = "a".repeat(BYTES_MAX + 1);
        assert!(CompactText::of(long.as_bytes()).is_none());
    }

    #[test]
    fn each_byte_counts_wherever_it_stands() {
        for at in [0, 7, 15, 16, 17, 31, 40] {
            let with = |byte: u8| {
                let mut text = [b'x'; 41];
                text[at] = byte;
                CompactText::of(&text).map(|compact| compact.has_capitals)
            };
            for byte in 0..=u8::MAX {
                let is_compact = byte.is_ascii() && byte > b' ' && byte != b'\\';
                let wanted = is_compact.then_some(byte.is_ascii_uppercase());
                assert_eq!(with(byte), wanted, "{byte} at {at}");
            }
        }
    }
}

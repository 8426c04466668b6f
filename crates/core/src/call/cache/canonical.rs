//! Params as they are meant: different meanings are never written alike, and equal ones are, as clients write them.
//!
//! White space, the order of members and the case of hexadecimal digits mean nothing; nor does a member
//! of the call's own object that is `null`. What the block is called is left out: what it stands for is
//! part of the key apart. What can be read in two ways (keys twice, or alike but for their case, escapes)
//! has no canonical form.
//!
//! The form is JSON without white space, its members sorted, its hexadecimal digits small. Of the commas only
//! those after numbers are there: every other value shows where it ends. So most params are written as they
//! came, in a few pieces.

use std::ops::Range;

use smallvec::SmallVec;

use crate::json::scanner;
use crate::vocabulary::chain::BlockHash;

/// Where params name the blocks that are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlockPlace {
    Nowhere,
    /// This element. `may_lack`: it may be left out or `null`.
    Element {
        index: usize,
        may_lack: bool,
    },
    /// Members of the filter that is this element.
    Filter {
        index: usize,
    },
}

/// A member of an object: where its key stands, with its quotes, and its value.
type Member = (Range<usize>, Range<usize>);
type MemberList = SmallVec<[Member; 12]>;

const FILTER_BLOCKS: [&[u8]; 3] = [b"\"fromBlock\"", b"\"toBlock\"", b"\"blockHash\""];

/// Writes `params` to `out`, piece by piece; every value's end shows in what is written. `None`: there
/// is no canonical form.
pub(super) fn write(
    params: Option<&str>,
    place: BlockPlace,
    out: &mut impl FnMut(&[u8]),
) -> Option<()> {
    let text = params.unwrap_or("[]");
    let mut writer = CanonicalWriter {
        text,
        is_settled: are_all(text.as_bytes(), is_settled),
        out,
    };
    let mut count = 0;
    each_element(text.as_bytes(), 0, |at| {
        let end = match place {
            BlockPlace::Element { index, may_lack } if index == count => {
                let end = scanner::value_end(text.as_bytes(), at)?;
                is_plain_block(text, at..end, may_lack).then_some(())?;
                writer.block();
                end
            }
            BlockPlace::Filter { index } if index == count => {
                writer.object(at, ObjectKind::Filter)?
            }
            BlockPlace::Nowhere | BlockPlace::Element { .. } | BlockPlace::Filter { .. } => {
                writer.value(at, ObjectKind::Own)?
            }
        };
        count += 1;
        Some(end)
    })?;
    match place {
        BlockPlace::Element { index, may_lack } if index >= count => {
            if index > count || !may_lack {
                return None;
            }
            writer.block();
        }
        BlockPlace::Filter { index } if index >= count => return None,
        BlockPlace::Nowhere | BlockPlace::Element { .. } | BlockPlace::Filter { .. } => {}
    }
    Some(())
}

/// Which object it is: of what stands deeper every member counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ObjectKind {
    /// An element of the params.
    Own,
    /// A filter of logs.
    Filter,
    Inner,
}

/// Hands each element of the array at `at` on, by its place; `element` says where it ends. Where the
/// array ends.
fn each_element(
    bytes: &[u8],
    at: usize,
    mut element: impl FnMut(usize) -> Option<usize>,
) -> Option<usize> {
    if bytes.get(at) != Some(&b'[') {
        return None;
    }
    let mut at = scanner::skip_space(bytes, at + 1);
    if bytes.get(at) == Some(&b']') {
        return Some(at + 1);
    }
    loop {
        let end = scanner::skip_space(bytes, element(at)?);
        match bytes.get(end)? {
            b',' => at = scanner::skip_space(bytes, end + 1),
            b']' => return Some(end + 1),
            _ => return None,
        }
    }
}

struct CanonicalWriter<'a, Out> {
    text: &'a str,
    /// None of its strings need be looked at: each is in its canonical form.
    is_settled: bool,
    out: &'a mut Out,
}

impl<Out: FnMut(&[u8])> CanonicalWriter<'_, Out> {
    /// In the place of the block.
    fn block(&mut self) {
        (self.out)(b"B");
    }

    /// Writes the value that begins at `at`; where it ends.
    fn value(&mut self, at: usize, kind: ObjectKind) -> Option<usize> {
        let bytes = self.text.as_bytes();
        match bytes.get(at)? {
            b'[' => {
                (self.out)(b"[");
                let end = each_element(bytes, at, |at| self.value(at, ObjectKind::Inner))?;
                (self.out)(b"]");
                Some(end)
            }
            b'{' => self.object(at, kind),
            first => {
                let end = scanner::value_end(bytes, at)?;
                let value = bytes.get(at..end)?;
                match first {
                    b'"' => self.string(value)?,
                    b'n' | b't' | b'f' => (self.out)(value),
                    _ => {
                        (self.out)(value);
                        (self.out)(b",");
                    }
                }
                Some(end)
            }
        }
    }

    /// Writes the object that begins at `at`; where it ends.
    fn object(&mut self, at: usize, kind: ObjectKind) -> Option<usize> {
        let bytes = self.text.as_bytes();
        if bytes.get(at) != Some(&b'{') {
            return None;
        }
        let mut members = MemberList::new();
        let mut end = at + 1;
        for (key, value) in scanner::members(bytes, at) {
            end = value.end;
            let name = bytes.get(key.clone())?;
            if !self.is_settled && (!name.is_ascii() || name.contains(&b'\\')) {
                return None;
            }
            let is_block = kind == ObjectKind::Filter && FILTER_BLOCKS.contains(&name);
            if is_block {
                if !is_plain_block(self.text, value, true) {
                    return None;
                }
                continue;
            }
            members.push((key, value));
        }
        let end = scanner::skip_space(bytes, end);
        if bytes.get(end) != Some(&b'}') {
            return None;
        }
        // All of them: nodes heed the last of two that are alike, also where it says nothing.
        sort(bytes, &mut members)?;
        (self.out)(b"{");
        for (key, value) in members {
            if !is_left_out(&bytes[key.clone()], &bytes[value.clone()], kind) {
                self.member(key, value, kind)?;
            }
        }
        (self.out)(b"}");
        Some(end + 1)
    }

    fn member(&mut self, key: Range<usize>, value: Range<usize>, kind: ObjectKind) -> Option<()> {
        let bytes = self.text.as_bytes();
        let is_text = bytes.get(value.start) == Some(&b'"');
        let is_address = kind == ObjectKind::Filter && &bytes[key.clone()] == b"\"address\"";
        if is_text && self.is_settled && !is_address && key.end + 1 == value.start {
            (self.out)(&bytes[key.start..value.end]);
            return Some(());
        }
        self.string(&bytes[key])?;
        (self.out)(b":");
        let is_single = is_text && is_address;
        if is_single {
            (self.out)(b"[");
        }
        self.value(value.start, ObjectKind::Inner)?;
        if is_single {
            (self.out)(b"]");
        }
        Some(())
    }

    /// A string, with its quotes.
    fn string(&mut self, quoted: &[u8]) -> Option<()> {
        if self.is_settled {
            (self.out)(quoted);
            return Some(());
        }
        let inner = quoted.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        match inner.strip_prefix(b"0x") {
            Some(digits) if are_all(digits, |byte| byte.is_ascii_hexdigit()) => {
                for part in quoted.chunks(PIECE_BYTES) {
                    let mut piece = [0; PIECE_BYTES];
                    let piece = &mut piece[..part.len()];
                    piece.copy_from_slice(part);
                    piece.make_ascii_lowercase();
                    (self.out)(piece);
                }
            }
            Some(_) | None if inner.contains(&b'\\') => return None,
            Some(_) | None => (self.out)(quoted),
        }
        Some(())
    }
}

/// Sorts members by their keys. `None`: two of them are alike, but for their case.
fn sort(bytes: &[u8], members: &mut MemberList) -> Option<()> {
    let lower = |(key, _): &Member| bytes[key.clone()].iter().map(u8::to_ascii_lowercase);
    let order = |one: &Member, other: &Member| lower(one).cmp(lower(other));
    if let [one, other] = &mut members[..] {
        if order(one, other).is_gt() {
            std::mem::swap(one, other);
        }
    } else {
        members.sort_by(order);
    }
    let mut pairs = members.windows(2);
    pairs
        .all(|pair| order(&pair[0], &pair[1]).is_lt())
        .then_some(())
}

/// Whether a member says no more than if it weren't there.
fn is_left_out(key: &[u8], value: &[u8], kind: ObjectKind) -> bool {
    match kind {
        ObjectKind::Inner => false,
        ObjectKind::Own => value == b"null",
        ObjectKind::Filter => value == b"null" || (key == b"\"topics\"" && value == b"[]"),
    }
}

/// Strings with large digits are written in pieces of so many bytes.
const PIECE_BYTES: usize = 64;

/// Whether a byte is as it is in the canonical form, wherever it stands.
fn is_settled(byte: u8) -> bool {
    byte.is_ascii() & (byte != b'\\') & !byte.is_ascii_uppercase()
}

/// Sixteen at a time, the last ones twice: params are mostly digits, and each call's are looked at.
fn are_all(text: &[u8], holds: impl Fn(u8) -> bool) -> bool {
    let hold = |bytes: &[u8; 16]| bytes.iter().fold(true, |hold, byte| hold & holds(*byte));
    match (text.as_chunks(), text.last_chunk()) {
        ((chunks, _), Some(last)) => chunks.iter().all(hold) && hold(last),
        (_, None) => text.iter().all(|byte| holds(*byte)),
    }
}

/// Whether a block is named as every node reads it: by a tag that was written as a number, or by a
/// number or a hash in its one form. What `earliest` is differs between nodes.
fn is_plain_block(text: &str, at: Range<usize>, may_lack: bool) -> bool {
    let Some(value) = text.get(at.clone()) else {
        return false;
    };
    match value.as_bytes().first() {
        Some(b'"') => is_plain_name(value),
        Some(b'{') => {
            let mut names = 0;
            let mut members = scanner::members(text.as_bytes(), at.start);
            let are_plain = members.all(|(key, value)| match &text[key] {
                "\"blockHash\"" | "\"blockNumber\"" => {
                    names += 1;
                    is_plain_name(&text[value])
                }
                // Where it is asked for, what was kept by hash may be of a block that is gone.
                "\"requireCanonical\"" => &text[value] == "false",
                _ => false,
            });
            are_plain && names == 1
        }
        Some(_) => may_lack && value == "null",
        None => false,
    }
}

/// See [`is_plain_block`]; with its quotes.
fn is_plain_name(name: &str) -> bool {
    let inner = name.strip_prefix('"');
    let Some(inner) = inner.and_then(|name| name.strip_suffix('"')) else {
        return false;
    };
    if matches!(inner, "latest" | "safe" | "finalized") {
        return true;
    }
    let is_number = |digits: &str| {
        (1..=16).contains(&digits.len())
            && (digits == "0" || !digits.starts_with('0'))
            && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
    };
    inner.strip_prefix("0x").is_some_and(is_number) || BlockHash::read(inner).is_some()
}

#[cfg(test)]
#[path = "canonical_tests.rs"]
mod tests;

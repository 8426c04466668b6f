//! Params as they are meant: different meanings are never written alike, and equal ones are, as clients write them.
//!
//! White space, the order of members and the case of hexadecimal digits mean nothing; nor does a member
//! of a transaction to be called that is `null`. Any other `null` counts: an account that overrides nothing is
//! no precompile any more. What the block is called is left out: what it stands for is part of the key apart.
//! What can be read in two ways (keys twice, or alike but for their case, escapes) has no canonical form.
//!
//! The form is JSON without white space, its members sorted, its hexadecimal digits small, with a bare `B` for
//! the block. Most params come in it but for that, and are looked for first as they are written.

mod as_written;
mod compact;
mod plain_block;

use std::ops::Range;

use smallvec::SmallVec;

pub(super) use self::as_written::ParamsAsWritten;
use self::compact::{CompactText, FlatObject, by_key};
use self::plain_block::is_plain_block;

use crate::json::scanner;

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

/// Members of a transaction that is called (execution-apis `src/schemas/transaction.yaml`): each may be left out.
const CALLED: [&[u8]; 16] = [
    b"\"accessList\"",
    b"\"authorizationList\"",
    b"\"blobVersionedHashes\"",
    b"\"chainId\"",
    b"\"data\"",
    b"\"from\"",
    b"\"gas\"",
    b"\"gasPrice\"",
    b"\"input\"",
    b"\"maxFeePerBlobGas\"",
    b"\"maxFeePerGas\"",
    b"\"maxPriorityFeePerGas\"",
    b"\"nonce\"",
    b"\"to\"",
    b"\"type\"",
    b"\"value\"",
];

/// What stands in the place of the block.
const BLOCK: &[u8] = b"B";

/// Writes `params` to `out`, piece by piece. `None`: there is no canonical form.
pub(super) fn write(
    params: Option<&str>,
    place: BlockPlace,
    out: &mut impl FnMut(&[u8]),
) -> Option<()> {
    let text = params.unwrap_or("[]");
    let compact = CompactText::of(text.as_bytes());
    let is_settled = match &compact {
        Some(compact) => !compact.has_capitals,
        None => are_all(text.as_bytes(), is_settled_byte),
    };
    let mut writer = CanonicalWriter {
        text,
        compact: compact.as_ref(),
        is_settled,
        out,
    };
    let mut count = 0;
    (writer.out)(b"[");
    writer.each_element(0, |writer, at| {
        let end = match place {
            BlockPlace::Element { index, may_lack } if index == count => {
                let end = writer.value_end(at)?;
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
            writer.comma(count > 0);
            writer.block();
        }
        BlockPlace::Filter { index } if index >= count => return None,
        BlockPlace::Nowhere | BlockPlace::Element { .. } | BlockPlace::Filter { .. } => {}
    }
    (writer.out)(b"]");
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

struct CanonicalWriter<'a, Out> {
    text: &'a str,
    compact: Option<&'a CompactText>,
    /// None of its strings need be looked at: each is in its canonical form.
    is_settled: bool,
    out: &'a mut Out,
}

impl<Out: FnMut(&[u8])> CanonicalWriter<'_, Out> {
    /// Hands each element of the array at `at` on, by its place, with commas between them; `element` says
    /// where it ends. Where the array ends.
    fn each_element(
        &mut self,
        at: usize,
        mut element: impl FnMut(&mut Self, usize) -> Option<usize>,
    ) -> Option<usize> {
        let bytes = self.text.as_bytes();
        if bytes.get(at) != Some(&b'[') {
            return None;
        }
        let mut at = self.skip_space(at + 1);
        if bytes.get(at) == Some(&b']') {
            return Some(at + 1);
        }
        loop {
            let end = element(self, at)?;
            let end = self.skip_space(end);
            match bytes.get(end)? {
                b',' => at = self.skip_space(end + 1),
                b']' => return Some(end + 1),
                _ => return None,
            }
            self.comma(true);
        }
    }

    fn block(&mut self) {
        (self.out)(BLOCK);
    }

    fn comma(&mut self, is_due: bool) {
        if is_due {
            (self.out)(b",");
        }
    }

    /// Writes the value that begins at `at`; where it ends.
    fn value(&mut self, at: usize, kind: ObjectKind) -> Option<usize> {
        let bytes = self.text.as_bytes();
        match bytes.get(at)? {
            b'[' => {
                (self.out)(b"[");
                let end = self.each_element(at, |this, at| this.value(at, ObjectKind::Inner))?;
                (self.out)(b"]");
                Some(end)
            }
            b'{' => self.object(at, kind),
            first => {
                let end = self.value_end(at)?;
                let value = bytes.get(at..end)?;
                match first {
                    b'"' => self.string(value)?,
                    _ => (self.out)(value),
                }
                Some(end)
            }
        }
    }

    fn value_end(&self, at: usize) -> Option<usize> {
        let bytes = self.text.as_bytes();
        match self.compact {
            Some(compact) if bytes.get(at) == Some(&b'"') => compact.string_end(at),
            Some(_) | None => scanner::value_end(bytes, at),
        }
    }

    /// The first byte from `at` on that is no white space.
    fn skip_space(&self, at: usize) -> usize {
        match self.compact {
            Some(_) => at,
            None => scanner::skip_space(self.text.as_bytes(), at),
        }
    }

    /// The member that begins at `at`.
    fn member_at(&self, at: usize) -> Option<Member> {
        let bytes = self.text.as_bytes();
        let key = at..self.value_end(at)?;
        let colon = self.skip_space(key.end);
        if bytes.get(at) != Some(&b'"') || bytes.get(colon) != Some(&b':') {
            return None;
        }
        let value = self.skip_space(colon + 1);
        Some((key, value..self.value_end(value)?))
    }

    /// The members of the object that begins at `at`, sorted, but for the blocks of a filter; where it ends.
    fn members(&self, at: usize, kind: ObjectKind) -> Option<(MemberList, usize)> {
        let bytes = self.text.as_bytes();
        let mut members = MemberList::new();
        let are_plain = self.compact.is_some() || self.is_settled;
        let mut at = self.skip_space(at + 1);
        if bytes.get(at) == Some(&b'}') {
            return Some((members, at + 1));
        }
        loop {
            let (key, value) = self.member_at(at)?;
            let end = self.skip_space(value.end);
            let name = bytes.get(key.clone())?;
            if !are_plain && (!name.is_ascii() || name.contains(&b'\\')) {
                return None;
            }
            if kind == ObjectKind::Filter && FILTER_BLOCKS.contains(&name) {
                is_plain_block(self.text, value, true).then_some(())?;
            } else {
                members.push((key, value));
            }
            match bytes.get(end)? {
                b',' => at = self.skip_space(end + 1),
                b'}' => {
                    // All of them: nodes heed the last of two that are alike, also where it says nothing.
                    self.sort(&mut members)?;
                    return Some((members, end + 1));
                }
                _ => return None,
            }
        }
    }

    /// Sorts members by their keys. `None`: two of them are alike, but for their case.
    fn sort(&self, members: &mut MemberList) -> Option<()> {
        let bytes = self.text.as_bytes();
        let order = |(one, _): &Member, (other, _): &Member| {
            by_key(&bytes[one.clone()], &bytes[other.clone()])
        };
        members.sort_by(order);
        let mut pairs = members.windows(2);
        pairs
            .all(|pair| order(&pair[0], &pair[1]).is_lt())
            .then_some(())
    }

    /// Writes the object that begins at `at`; where it ends.
    fn object(&mut self, at: usize, kind: ObjectKind) -> Option<usize> {
        let bytes = self.text.as_bytes();
        if bytes.get(at) != Some(&b'{') {
            return None;
        }
        let compact = self.compact.filter(|_| kind != ObjectKind::Filter);
        if let Some(flat) = compact.and_then(|compact| FlatObject::of(bytes, at, compact)) {
            self.flat(&flat)?;
            return Some(flat.end);
        }
        let (members, end) = self.members(at, kind)?;
        let is_said =
            |(key, value): &Member| !is_left_out(&bytes[key.clone()], &bytes[value.clone()], kind);
        (self.out)(b"{");
        for (count, (key, value)) in members.into_iter().filter(is_said).enumerate() {
            self.comma(count > 0);
            self.member(key, value, kind)?;
        }
        (self.out)(b"}");
        Some(end)
    }

    fn flat(&mut self, object: &FlatObject) -> Option<()> {
        let bytes = self.text.as_bytes();
        (self.out)(b"{");
        for (count, (key, value)) in object.members().enumerate() {
            self.comma(count > 0);
            if self.is_settled {
                (self.out)(&bytes[key.start..value.end]);
            } else {
                self.string(&bytes[key])?;
                (self.out)(b":");
                self.string(&bytes[value])?;
            }
        }
        (self.out)(b"}");
        Some(())
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

/// Whether a member says no more than if it weren't there.
fn is_left_out(key: &[u8], value: &[u8], kind: ObjectKind) -> bool {
    match kind {
        ObjectKind::Inner => false,
        ObjectKind::Own => value == b"null" && CALLED.contains(&key),
        ObjectKind::Filter => value == b"null" || (key == b"\"topics\"" && value == b"[]"),
    }
}

/// Strings with large digits are written in pieces of so many bytes.
const PIECE_BYTES: usize = 64;

/// Whether a byte is as it is in the canonical form, wherever it stands.
fn is_settled_byte(byte: u8) -> bool {
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

#[cfg(test)]
#[path = "canonical_tests.rs"]
mod tests;

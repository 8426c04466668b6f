//! Params as they are meant: equal meanings are written alike, different ones never.
//!
//! White space, the order of members and the case of hexadecimal digits mean nothing; nor does a member
//! of the call's own object that is `null`. What the block is called is left out: what it stands for is
//! part of the key apart. What can be read in two ways (keys twice, or alike but for their case, escapes)
//! has no canonical form.

use std::ops::Range;

use smallvec::SmallVec;

use crate::json::scanner;
use crate::vocabulary::chain::BlockHash;

/// Where params name the blocks that are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockPlace {
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

/// Members of an object, by their places.
type MemberList = SmallVec<[(Range<usize>, Range<usize>); 12]>;

const FILTER_BLOCKS: [&[u8]; 3] = [b"\"fromBlock\"", b"\"toBlock\"", b"\"blockHash\""];

/// Writes `params` to `out`, piece by piece; every value's end shows in what is written. `None`: there
/// is no canonical form.
pub fn write(params: Option<&str>, place: BlockPlace, out: &mut impl FnMut(&[u8])) -> Option<()> {
    let text = params.unwrap_or("[]").as_bytes();
    if text.first() != Some(&b'[') {
        return None;
    }
    let mut count = 0;
    for at in scanner::elements(text, 0) {
        match place {
            BlockPlace::Element { index, may_lack } if index == count => {
                if !is_plain_block(text, at, may_lack) {
                    return None;
                }
                out(b"B");
            }
            BlockPlace::Filter { index } if index == count => {
                write_object(text, at.start, ObjectKind::Filter, out)?;
            }
            BlockPlace::Nowhere | BlockPlace::Element { .. } | BlockPlace::Filter { .. } => {
                write_value(text, at, ObjectKind::Own, out)?;
            }
        }
        count += 1;
    }
    match place {
        BlockPlace::Element { index, may_lack } if index >= count => {
            if index > count || !may_lack {
                return None;
            }
            out(b"B");
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

fn write_value(
    text: &[u8],
    at: Range<usize>,
    kind: ObjectKind,
    out: &mut impl FnMut(&[u8]),
) -> Option<()> {
    let value = text.get(at.clone())?;
    match value.first()? {
        b'"' => write_text(value, out),
        b'[' => {
            out(b"[");
            for element in scanner::elements(text, at.start) {
                write_value(text, element, ObjectKind::Inner, out)?;
            }
            out(b"]");
            Some(())
        }
        b'{' => write_object(text, at.start, kind, out),
        b'n' | b't' | b'f' => {
            out(&value[..1]);
            Some(())
        }
        _ => {
            write_sized(b"#", value, out);
            Some(())
        }
    }
}

fn write_object(
    text: &[u8],
    at: usize,
    kind: ObjectKind,
    out: &mut impl FnMut(&[u8]),
) -> Option<()> {
    if text.get(at) != Some(&b'{') {
        return None;
    }
    let mut members = MemberList::new();
    for (key, value) in scanner::members(text, at) {
        let name = text.get(key.clone())?;
        if !name.is_ascii() || name.contains(&b'\\') {
            return None;
        }
        let is_block = kind == ObjectKind::Filter && FILTER_BLOCKS.contains(&name);
        if is_block {
            if !is_plain_block(text, value, true) {
                return None;
            }
            continue;
        }
        if is_left_out(name, text.get(value.clone())?, kind) {
            continue;
        }
        members.push((key, value));
    }
    let lower = |key: &Range<usize>| text[key.clone()].iter().map(u8::to_ascii_lowercase);
    members.sort_by(|(one, _), (other, _)| lower(one).cmp(lower(other)));
    let is_twice = |pair: &[(Range<usize>, Range<usize>)]| lower(&pair[0].0).eq(lower(&pair[1].0));
    if members.windows(2).any(is_twice) {
        return None;
    }
    out(b"{");
    for (key, value) in members {
        let is_address = kind == ObjectKind::Filter && &text[key.clone()] == b"\"address\"";
        let is_single = is_address && text.get(value.start) == Some(&b'"');
        write_text(&text[key], out)?;
        if is_single {
            out(b"[");
        }
        write_value(text, value, ObjectKind::Inner, out)?;
        if is_single {
            out(b"]");
        }
    }
    out(b"}");
    Some(())
}

/// Whether a member says no more than if it weren't there.
fn is_left_out(key: &[u8], value: &[u8], kind: ObjectKind) -> bool {
    match kind {
        ObjectKind::Inner => false,
        ObjectKind::Own => value == b"null",
        ObjectKind::Filter => value == b"null" || (key == b"\"topics\"" && value == b"[]"),
    }
}

/// Text with its quotes.
fn write_text(text: &[u8], out: &mut impl FnMut(&[u8])) -> Option<()> {
    let inner = text.get(1..text.len().checked_sub(1)?)?;
    if inner.contains(&b'\\') {
        return None;
    }
    match inner.strip_prefix(b"0x") {
        Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => {
            write_digits(digits, out);
        }
        Some(_) | None => write_sized(b"s", inner, out),
    }
    Some(())
}

fn write_sized(kind: &[u8; 1], value: &[u8], out: &mut impl FnMut(&[u8])) {
    out(kind);
    out(&(value.len() as u64).to_le_bytes());
    out(value);
}

/// In lower case, a piece at a time.
fn write_digits(digits: &[u8], out: &mut impl FnMut(&[u8])) {
    out(b"x");
    out(&(digits.len() as u64).to_le_bytes());
    if !digits.iter().any(u8::is_ascii_uppercase) {
        return out(digits);
    }
    let mut piece = [0; 64];
    for digits in digits.chunks(piece.len()) {
        let piece = &mut piece[..digits.len()];
        piece.copy_from_slice(digits);
        piece.make_ascii_lowercase();
        out(piece);
    }
}

/// Whether a block is named as every node reads it: by a tag that was written as a number, or by a
/// number or a hash in its one form. What `earliest` is differs between nodes.
fn is_plain_block(text: &[u8], at: Range<usize>, may_lack: bool) -> bool {
    let value = &text[at.clone()];
    match value.first() {
        Some(b'"') => is_plain_name(value),
        Some(b'{') => {
            let mut names = 0;
            let are_plain = scanner::members(text, at.start).all(|(key, value)| match &text[key] {
                b"\"blockHash\"" | b"\"blockNumber\"" => {
                    names += 1;
                    is_plain_name(&text[value])
                }
                // Where it is asked for, what was kept by hash may be of a block that is gone.
                b"\"requireCanonical\"" => &text[value] == b"false",
                _ => false,
            });
            are_plain && names == 1
        }
        Some(_) => may_lack && value == b"null",
        None => false,
    }
}

/// See [`is_plain_block`]; with its quotes.
fn is_plain_name(name: &[u8]) -> bool {
    let inner = name
        .strip_prefix(b"\"")
        .and_then(|name| name.strip_suffix(b"\""));
    let Some(inner) = inner.and_then(|inner| std::str::from_utf8(inner).ok()) else {
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

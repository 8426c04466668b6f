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
    let text = params.unwrap_or("[]");
    let mut count = 0;
    each_element(text, 0, |at| {
        let end = match place {
            BlockPlace::Element { index, may_lack } if index == count => {
                let end = scanner::value_end(text.as_bytes(), at)?;
                is_plain_block(text, at..end, may_lack).then_some(())?;
                out(b"B");
                end
            }
            BlockPlace::Filter { index } if index == count => {
                write_object(text, at, ObjectKind::Filter, out)?
            }
            BlockPlace::Nowhere | BlockPlace::Element { .. } | BlockPlace::Filter { .. } => {
                write_value(text, at, ObjectKind::Own, out)?
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

/// Hands each element of the array at `at` on, by its place; `element` says where it ends. Where the
/// array ends.
fn each_element(
    text: &str,
    at: usize,
    mut element: impl FnMut(usize) -> Option<usize>,
) -> Option<usize> {
    let bytes = text.as_bytes();
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

/// Writes the value that begins at `at`; where it ends.
fn write_value(
    text: &str,
    at: usize,
    kind: ObjectKind,
    out: &mut impl FnMut(&[u8]),
) -> Option<usize> {
    match text.as_bytes().get(at)? {
        b'"' => {
            let end = scanner::value_end(text.as_bytes(), at)?;
            write_text(text.as_bytes().get(at..end)?, out)?;
            Some(end)
        }
        b'[' => {
            out(b"[");
            let end = each_element(text, at, |at| write_value(text, at, ObjectKind::Inner, out))?;
            out(b"]");
            Some(end)
        }
        b'{' => write_object(text, at, kind, out),
        first => {
            let end = scanner::value_end(text.as_bytes(), at)?;
            match first {
                b'n' | b't' | b'f' => out(&[*first]),
                _ => write_sized(b'#', text.as_bytes().get(at..end)?, out),
            }
            Some(end)
        }
    }
}

/// Writes the object that begins at `at`; where it ends.
fn write_object(
    text: &str,
    at: usize,
    kind: ObjectKind,
    out: &mut impl FnMut(&[u8]),
) -> Option<usize> {
    let bytes = text.as_bytes();
    if bytes.get(at) != Some(&b'{') {
        return None;
    }
    let mut members = MemberList::new();
    let mut end = at + 1;
    for (key, value) in scanner::members(bytes, at) {
        end = value.end;
        let name = bytes.get(key.clone())?;
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
        if is_left_out(name, bytes.get(value.clone())?, kind) {
            continue;
        }
        members.push((key, value));
    }
    let lower = |key: &Range<usize>| bytes[key.clone()].iter().map(u8::to_ascii_lowercase);
    members.sort_by(|(one, _), (other, _)| lower(one).cmp(lower(other)));
    let is_twice = |pair: &[(Range<usize>, Range<usize>)]| lower(&pair[0].0).eq(lower(&pair[1].0));
    if members.windows(2).any(is_twice) {
        return None;
    }
    out(b"{");
    for (key, value) in members {
        let is_address = kind == ObjectKind::Filter && &bytes[key.clone()] == b"\"address\"";
        let is_single = is_address && bytes.get(value.start) == Some(&b'"');
        write_text(&bytes[key], out)?;
        if is_single {
            out(b"[");
        }
        match bytes.get(value.start)? {
            b'"' => write_text(&bytes[value], out)?,
            _ => _ = write_value(text, value.start, ObjectKind::Inner, out)?,
        }
        if is_single {
            out(b"]");
        }
    }
    out(b"}");
    let end = scanner::skip_space(bytes, end);
    (bytes.get(end) == Some(&b'}')).then_some(end + 1)
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
    let inner = text.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    match inner.strip_prefix(b"0x") {
        Some(digits) if are_all(digits, is_low_digit) => write_sized(b'x', digits, out),
        Some(digits) if are_all(digits, |byte| byte.is_ascii_hexdigit()) => {
            write_size(b'x', digits, out);
            for digits in digits.chunks(PIECE_BYTES) {
                let mut piece = [0; PIECE_BYTES];
                let piece = &mut piece[..digits.len()];
                piece.copy_from_slice(digits);
                piece.make_ascii_lowercase();
                out(piece);
            }
        }
        Some(_) | None if inner.contains(&b'\\') => return None,
        Some(_) | None => write_sized(b's', inner, out),
    }
    Some(())
}

fn write_sized(kind: u8, value: &[u8], out: &mut impl FnMut(&[u8])) {
    write_size(kind, value, out);
    out(value);
}

/// What comes, and how long it is: in two bytes, or in ten that begin as no two do.
fn write_size(kind: u8, value: &[u8], out: &mut impl FnMut(&[u8])) {
    match u8::try_from(value.len()) {
        Ok(bytes) if bytes < u8::MAX => out(&[kind, bytes]),
        Ok(_) | Err(_) => {
            let mut size = [u8::MAX; 10];
            size[0] = kind;
            size[2..].copy_from_slice(&(value.len() as u64).to_le_bytes());
            out(&size);
        }
    }
}

/// Digits with large letters are written in pieces of so many.
const PIECE_BYTES: usize = 64;

/// A hexadecimal digit without large letters.
fn is_low_digit(byte: u8) -> bool {
    byte.is_ascii_digit() | matches!(byte, b'a'..=b'f')
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

//! Params that come in their canonical form, but for the block.

use std::ops::Range;

use super::compact::CompactText;
use super::plain_block::is_plain_block;
use super::{BLOCK, BlockPlace};
use crate::json::element_places::ElementPlaces;

/// Of `text`, what stands before the block, what is written for that, and what stands behind. `None`: it isn't
/// known to be in its canonical form.
pub(super) fn pieces<'a>(
    text: &'a str,
    compact: &CompactText,
    elements: &ElementPlaces,
    place: BlockPlace,
) -> Option<[&'a [u8]; 3]> {
    let mut block = None;
    let mut end = None;
    for (index, at) in elements.iter().enumerate() {
        end = Some(at.end);
        let is_settled = match place {
            BlockPlace::Element {
                index: of,
                may_lack,
            } if of == index => {
                block = Some(at.clone());
                is_plain_block(text, at, may_lack)
            }
            BlockPlace::Nowhere | BlockPlace::Element { .. } | BlockPlace::Filter { .. } => {
                is_canonical(text.as_bytes(), at, compact)
            }
        };
        if !is_settled {
            return None;
        }
    }
    // There may be more of them than are known.
    (text.get(end?..) == Some("]")).then_some(())?;
    let bytes = text.as_bytes();
    match (place, block) {
        (BlockPlace::Nowhere, _) => Some([bytes, b"", b""]),
        (BlockPlace::Element { .. }, Some(at)) => {
            Some([&bytes[..at.start], BLOCK, &bytes[at.end..]])
        }
        (BlockPlace::Element { .. } | BlockPlace::Filter { .. }, _) => None,
    }
}

/// Whether the value at `at` of a text without capitals is known to be written as its canonical form is.
fn is_canonical(text: &[u8], at: Range<usize>, compact: &CompactText) -> bool {
    match text.get(at.start) {
        Some(b'{') => object_end(text, at.start, compact) == Some(at.end),
        Some(b'[') => !text[at].contains(&b'{'),
        Some(_) => true,
        None => false,
    }
}

/// Where the object ends that begins at `at`, if its values are strings and its members stand in their order.
fn object_end(text: &[u8], at: usize, compact: &CompactText) -> Option<usize> {
    let mut end = at;
    let mut before: &[u8] = b"";
    loop {
        let start = end + 1;
        let colon = compact.string_end(start)?;
        if text.get(start) != Some(&b'"') || text.get(colon..colon + 2) != Some(b":\"") {
            return None;
        }
        let key = text.get(start..colon)?;
        if (before.len(), before) >= (key.len(), key) {
            return None;
        }
        before = key;
        end = compact.string_end(colon + 1)?;
        match text.get(end)? {
            b',' => {}
            b'}' => return Some(end + 1),
            _ => return None,
        }
    }
}

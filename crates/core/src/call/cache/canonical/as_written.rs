//! Params as they are written: most come in their canonical form but for the block, and nothing is written anew.

use std::ops::Range;

use super::compact::CompactText;
use super::plain_block::is_plain_block;
use super::{BLOCK, BlockPlace, are_all};
use crate::json::element_places::ElementPlaces;

/// Clients that write capitals or spaces, as in addresses with a checksum, do so within the first bytes.
const LOOKED_AT_BYTES: usize = 64;

/// Params that may be written in their canonical form, but for a block whose place is known.
#[derive(Debug)]
pub(in crate::call::cache) struct ParamsAsWritten<'a> {
    text: &'a str,
    elements: &'a ElementPlaces,
    /// The index of its element, and where that stands.
    block: Option<(usize, Range<usize>)>,
}

impl<'a> ParamsAsWritten<'a> {
    /// `elements`: where the first of them stand. `None`: they are hardly in that form as they stand, or it isn't known, or
    /// nodes may read the block in two ways.
    pub(in crate::call::cache) fn of(
        params: Option<&'a str>,
        elements: &'a ElementPlaces,
        place: BlockPlace,
    ) -> Option<ParamsAsWritten<'a>> {
        let text = params?;
        // There may be more of them than are known.
        let is_known_whole = text.get(elements.iter().last()?.end..) == Some("]");
        if !is_known_whole || !may_be_canonical(text.as_bytes()) {
            return None;
        }
        let block = match place {
            BlockPlace::Nowhere => None,
            BlockPlace::Element { index, may_lack } => {
                let at = elements.get(index)?;
                is_plain_block(text, at.clone(), may_lack).then_some(())?;
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
    pub(in crate::call::cache) fn are_canonical(&self) -> bool {
        let bytes = self.text.as_bytes();
        let Some(compact) = CompactText::of(bytes).filter(|compact| !compact.has_capitals) else {
            return false;
        };
        let is_block = |at: usize| self.block.as_ref().is_some_and(|(index, _)| *index == at);
        let mut elements = self.elements.iter().enumerate();
        elements.all(|(index, at)| is_block(index) || is_canonical(bytes, at, &compact))
    }
}

/// By a quick look, which may miss some: `to` is the shortest member of a call, so one that has it and begins with another
/// isn't sorted.
fn may_be_canonical(text: &[u8]) -> bool {
    let begin = &text[..text.len().min(LOOKED_AT_BYTES)];
    (!begin.starts_with(b"[{") || begin.starts_with(b"[{\"to\""))
        && are_all(begin, |byte| byte != b' ' && !byte.is_ascii_uppercase())
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

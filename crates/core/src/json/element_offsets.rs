//! Where the first elements of an array stand, found while it was checked.

use std::ops::Range;

use crate::json::scanner;

/// No element that is asked for stands behind so many others; a test asks the table of methods.
pub(crate) const ELEMENTS_MAX: usize = 3;

/// From the beginning of the array on; of what is no array, nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ElementOffsets {
    first: [(u32, u32); ELEMENTS_MAX],
    count: u32,
}

impl ElementOffsets {
    /// Of `text`, which is well formed.
    pub(crate) fn of(text: &str) -> ElementOffsets {
        let mut offsets = ElementOffsets::default();
        for at in scanner::elements(text.as_bytes(), 0).take(ELEMENTS_MAX) {
            offsets.add(at);
        }
        offsets
    }

    /// The next element stands at `at`. What is too far behind isn't remembered.
    pub(crate) fn add(&mut self, at: Range<usize>) {
        let offset = u32::try_from(at.start).ok().zip(u32::try_from(at.end).ok());
        if let (Some(next), Some(offset)) = (self.first.get_mut(self.count as usize), offset) {
            *next = offset;
            self.count += 1;
        }
    }

    /// Where the first elements stand, in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Range<usize>> {
        let known = self.first.iter().take(self.count as usize);
        known.map(|&(start, end)| start as usize..end as usize)
    }

    /// Where the element of this index stands, one of the first three; `None`: there is none.
    pub(crate) fn get(&self, index: usize) -> Option<Range<usize>> {
        let known = self.first.get(..self.count as usize)?;
        let (start, end) = *known.get(index)?;
        Some(start as usize..end as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_elements_are_where_they_were_written() {
        let text = r#"[ "a]" ,{"b":[1]},3, 4]"#;
        let offsets = ElementOffsets::of(text);
        let found: Vec<_> = (0..5)
            .map(|index| offsets.get(index).map(|at| &text[at]))
            .collect();
        let wanted = [Some(r#""a]""#), Some(r#"{"b":[1]}"#), Some("3"), None, None];
        assert_eq!(found, wanted);
        for none in ["[]", "{}", ""] {
            assert_eq!(ElementOffsets::of(none).get(0), None);
        }
        let mut far = ElementOffsets::default();
        far.add(0..usize::MAX);
        assert_eq!(far.get(0), None);
    }
}

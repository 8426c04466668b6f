//! Changes of params: what is written in place of a tag.

use std::ops::Range;

use crate::vocabulary::chain::BlockNumber;
use crate::vocabulary::hex;

/// Changes of the params that a call travels with: none, or up to two, in the order of their
/// places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParamEdits {
    first: Option<ParamEdit>,
    /// On the heap: few calls have two, and plans are moved.
    second: Option<Box<ParamEdit>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ParamEdit {
    pub at: Range<usize>,
    pub with: EditText,
}

/// What is written before and after a number.
pub(super) type Around = (&'static str, &'static str);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum EditText {
    /// A block's.
    Number(BlockNumber, &'static Around),
    Text(String),
}

impl ParamEdits {
    /// `text` stands at `at` as well.
    pub fn inserting(at: usize, text: String) -> ParamEdits {
        let edit = ParamEdit {
            at: at..at,
            with: EditText::Text(text),
        };
        ParamEdits::of(Some(edit), None)
    }

    /// Whether the params travel as the caller wrote them.
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Appends `params`, as changed.
    pub fn write(&self, params: &str, out: &mut Vec<u8>) {
        let text = params.as_bytes();
        let mut from = 0;
        for edit in self.first.iter().chain(self.second.as_deref()) {
            out.extend_from_slice(text.get(from..edit.at.start).unwrap_or_default());
            edit.with.write(out);
            from = edit.at.end;
        }
        out.extend_from_slice(text.get(from..).unwrap_or_default());
    }

    pub(super) fn of(first: Option<ParamEdit>, second: Option<ParamEdit>) -> ParamEdits {
        let (first, second) = match (first, second) {
            (Some(first), Some(second)) if first.at.start > second.at.start => {
                (Some(second), Some(first))
            }
            (None, second) => (second, None),
            in_order => in_order,
        };
        ParamEdits {
            first,
            second: second.map(Box::new),
        }
    }
}

impl EditText {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            EditText::Text(text) => out.extend_from_slice(text.as_bytes()),
            EditText::Number(BlockNumber(number), (before, after)) => {
                out.extend_from_slice(before.as_bytes());
                out.extend_from_slice(hex::Quantity::of(*number).bytes());
                out.extend_from_slice(after.as_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(at: Range<usize>, with: &str) -> Option<ParamEdit> {
        let with = EditText::Text(with.into());
        Some(ParamEdit { at, with })
    }

    #[test]
    fn none_one_and_two_are_written_in_the_order_of_their_places() {
        let (early, late) = (|| edit(1..2, "x"), || edit(3..4, "yz"));
        for (first, second, wanted) in [
            (None, None, "abcde"),
            (early(), None, "axcde"),
            (None, early(), "axcde"),
            (late(), None, "abcyze"),
            (None, late(), "abcyze"),
            (early(), late(), "axcyze"),
            (late(), early(), "axcyze"),
            // At one place in the order in which they are told.
            (edit(5..5, "1"), edit(5..5, "2"), "abcde12"),
        ] {
            let is_none = first.is_none() && second.is_none();
            let edits = ParamEdits::of(first, second);
            let mut out = Vec::new();
            edits.write("abcde", &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), wanted);
            assert_eq!(edits.is_empty(), is_none, "{wanted}");
            assert_eq!(edits == ParamEdits::default(), is_none, "{wanted}");
        }
    }
}

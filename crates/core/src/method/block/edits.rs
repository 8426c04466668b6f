//! Changes of params: what is written in place of a tag.

use std::ops::Range;

use crate::vocabulary::chain::BlockNumber;
use crate::vocabulary::hex;

/// Changes of the params that a call travels with: none, or up to two, in the order of their
/// places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParamEdits([Option<ParamEdit>; 2]);

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
        self.0.iter().all(Option::is_none)
    }

    /// Appends `params`, as changed.
    pub fn write(&self, params: &str, out: &mut Vec<u8>) {
        let text = params.as_bytes();
        let mut from = 0;
        for edit in self.0.iter().flatten() {
            out.extend_from_slice(text.get(from..edit.at.start).unwrap_or_default());
            edit.with.write(out);
            from = edit.at.end;
        }
        out.extend_from_slice(text.get(from..).unwrap_or_default());
    }

    pub(super) fn of(first: Option<ParamEdit>, second: Option<ParamEdit>) -> ParamEdits {
        let is_in_order = match (&first, &second) {
            (Some(first), Some(second)) => first.at.start <= second.at.start,
            (None, _) | (_, None) => true,
        };
        ParamEdits(if is_in_order {
            [first, second]
        } else {
            [second, first]
        })
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

//! Changes of params: what is written in place of a tag.

use std::ops::Range;

use smallvec::SmallVec;

/// Changes of the params that a call travels with: none, or up to two, in the order of their
/// places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParamEdits([Option<ParamEdit>; 2]);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ParamEdit {
    pub at: Range<usize>,
    pub with: EditText,
}

/// Takes no memory of its own for a block's number alone.
pub(super) type EditText = SmallVec<[u8; 24]>;

impl ParamEdits {
    /// `text` stands at `at` as well.
    pub fn inserting(at: usize, text: String) -> ParamEdits {
        let edit = ParamEdit {
            at: at..at,
            with: SmallVec::from_vec(text.into_bytes()),
        };
        ParamEdits::of(Some(edit), None)
    }

    /// Whether the params travel as the caller wrote them.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    /// `params` in pieces, as changed.
    pub fn pieces<'a>(&'a self, params: &'a str) -> [&'a [u8]; 5] {
        let text = params.as_bytes();
        let mut pieces: [&[u8]; 5] = [&[]; 5];
        let mut from = 0;
        for (edit, at) in self.0.iter().flatten().zip([0, 2]) {
            pieces[at] = text.get(from..edit.at.start).unwrap_or_default();
            pieces[at + 1] = &edit.with;
            from = edit.at.end;
        }
        pieces[4] = text.get(from..).unwrap_or_default();
        pieces
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

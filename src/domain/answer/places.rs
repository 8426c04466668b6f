//! Where the parts of an answer stand in its bytes, and how it is written with its caller's id.

use std::ops::Range;

/// Where the parts of an answer stand in its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::domain) struct Places {
    /// The answer without the white space around it.
    pub all: Range<usize>,
    /// `None`: it has none.
    pub id: Option<Range<usize>>,
    /// The result or the error.
    pub outcome: Range<usize>,
    pub is_error: bool,
}

impl Places {
    /// Appends the answer that stands in `bytes`, with the caller's `id` in place of ours.
    pub fn write(&self, bytes: &[u8], id: &str, out: &mut Vec<u8>) {
        let part = |at: Range<usize>| bytes.get(at).unwrap_or_default();
        out.reserve(self.all.len() + id.len() + 40);
        match &self.id {
            Some(place) => {
                out.extend_from_slice(part(self.all.start..place.start));
                out.extend_from_slice(id.as_bytes());
                out.extend_from_slice(part(place.end..self.all.end));
            }
            None => {
                out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
                out.extend_from_slice(id.as_bytes());
                out.extend_from_slice(br#","error":"#);
                out.extend_from_slice(part(self.outcome.clone()));
                out.push(b'}');
            }
        }
    }
}

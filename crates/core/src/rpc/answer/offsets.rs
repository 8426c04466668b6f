//! Where the parts of an answer stand: found once, and used when it is sent.

use std::ops::Range;

/// Where the parts of an answer stand in its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerOffsets {
    /// `None`: it has none.
    pub id: Option<Range<usize>>,
    /// The result or the error.
    pub outcome: Range<usize>,
    /// Whether `outcome` is an error.
    pub is_error: bool,
}

/// What stands around the id of an answer that has none, and around its error.
const ENVELOPE: [&[u8]; 3] = [br#"{"jsonrpc":"2.0","id":"#, br#","error":"#, b"}"];

impl AnswerOffsets {
    /// How many bytes [`AnswerOffsets::write`] writes of an answer of so many.
    pub fn bytes_with(&self, bytes: usize, id: &str) -> usize {
        match &self.id {
            Some(place) => (bytes + id.len()).saturating_sub(place.len()),
            None => {
                let envelope: usize = ENVELOPE.iter().map(|part| part.len()).sum();
                envelope + id.len() + self.outcome.len()
            }
        }
    }

    /// Appends the answer that stands in `bytes`, with the caller's `id` in place of ours.
    pub fn write(&self, bytes: &[u8], id: &str, out: &mut Vec<u8>) {
        out.reserve(self.bytes_with(bytes.len(), id));
        match &self.id {
            Some(place) => {
                out.extend_from_slice(bytes.get(..place.start).unwrap_or_default());
                out.extend_from_slice(id.as_bytes());
                out.extend_from_slice(bytes.get(place.end..).unwrap_or_default());
            }
            None => {
                let [opening, middle, closing] = ENVELOPE;
                let outcome = bytes.get(self.outcome.clone()).unwrap_or_default();
                for part in [opening, id.as_bytes(), middle, outcome, closing] {
                    out.extend_from_slice(part);
                }
            }
        }
    }
}

//! A node's answer that is there to its end: read once when it is judged, and carried with what
//! was found until it is sent.

use bytes::Bytes;

use super::answer::{Answer, Places, RpcError, read_error};

/// What came with an answer is let go of, if it is longer than this and mostly something else.
const SPARSE_BYTES_MIN: usize = 64 << 10;

/// Whether so little of `bytes` that came is `used` that no answer is to hold it all in memory.
pub fn is_sparse(bytes: usize, used: usize) -> bool {
    bytes > SPARSE_BYTES_MIN && used < bytes / 2
}

/// A whole, well-formed answer. Its id is still ours.
#[derive(Clone, Debug)]
pub struct Whole {
    bytes: Bytes,
    places: Places,
}

impl Whole {
    /// `answer` out of `bytes`, which it was read from.
    pub fn new(bytes: &Bytes, answer: &Answer<'_>) -> Whole {
        let end = answer.at.end.min(bytes.len());
        Whole {
            bytes: bytes.slice(answer.at.start.min(end)..end),
            places: answer.places.clone(),
        }
    }

    /// How many bytes it holds.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The result, as written; `None` for an error.
    pub fn result(&self) -> Option<&[u8]> {
        let written = self.bytes.get(self.places.outcome.clone());
        written.filter(|_| !self.places.is_error)
    }

    /// The node's error; `None` for a result.
    pub fn error(&self) -> Option<RpcError<'_>> {
        let written = self.bytes.get(self.places.outcome.clone())?;
        let written = std::str::from_utf8(written).ok();
        let error = written.filter(|_| self.places.is_error)?;
        read_error(error).ok()
    }

    /// The answer with other bytes of the same length: words of the node's are masked, say.
    pub fn masked(self, mask: impl FnOnce(Bytes) -> Bytes) -> Whole {
        Whole {
            bytes: mask(self.bytes),
            places: self.places,
        }
    }

    /// The same answer, that shares no memory with others which came with it.
    pub fn apart(self) -> Whole {
        Whole {
            bytes: Bytes::copy_from_slice(&self.bytes),
            places: self.places,
        }
    }

    /// Appends the answer with the caller's `id` in place of ours.
    pub fn write_to(&self, id: &str, out: &mut Vec<u8>) {
        self.places.write(&self.bytes, id, out);
    }

    /// How many bytes [`Whole::write_to`] writes.
    pub fn bytes_with(&self, id: &str) -> usize {
        self.places.bytes_with(self.bytes.len(), id)
    }

    /// What stands before and after the id, uncopied; `None` for one without an id.
    pub fn around_id(&self) -> Option<(Bytes, Bytes)> {
        let id = self.places.id.as_ref()?;
        let fits = id.start <= id.end && id.end <= self.bytes.len();
        fits.then(|| {
            let before = self.bytes.slice(..id.start);
            (before, self.bytes.slice(id.end..))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::jsonrpc::OwnId;

    fn whole(body: &'static str) -> Whole {
        let bytes = Bytes::from_static(body.as_bytes());
        Whole::new(&bytes, &Answer::read(&bytes, OwnId::FIRST).unwrap())
    }

    #[test]
    fn it_remembers_where_its_parts_stand() {
        let result = whole(" {\"result\":{\"id\":1} ,\"id\":1} \n");
        assert_eq!(result.result(), Some(&b"{\"id\":1}"[..]));
        assert_eq!(result.error(), None);
        let mut out = Vec::new();
        result.write_to("\"long\"", &mut out);
        assert_eq!(result.bytes_with("\"long\""), out.len());
        let (before, after) = result.around_id().unwrap();
        assert_eq!(
            (&before[..], &after[..]),
            (&b"{\"result\":{\"id\":1} ,\"id\":"[..], &b"}"[..])
        );
        let error = whole(r#"{"error":{"code":-32005,"message":"slow \"down\""}}"#);
        assert_eq!(error.result(), None);
        assert_eq!(error.error().unwrap().message, "slow \"down\"");
        assert!(error.around_id().is_none());
        let mut out = Vec::new();
        error.write_to("\"a\"", &mut out);
        assert_eq!(error.bytes_with("\"a\""), out.len());
    }

    #[test]
    fn masking_leaves_the_rest_in_its_place() {
        let masked = whole(r#"{"id":1,"error":{"code":1,"message":"key"}}"#);
        let masked = masked.masked(|bytes| {
            let text = String::from_utf8_lossy(&bytes).replace("key", "***");
            Bytes::from(text)
        });
        assert_eq!(masked.error().unwrap().message, "***");
        let mut out = Vec::new();
        masked.write_to("7", &mut out);
        assert_eq!(masked.bytes_with("7"), out.len());
        assert_eq!(out, br#"{"id":7,"error":{"code":1,"message":"***"}}"#);
    }
}

//! A node's answer that is there to its end: read once when it is judged, and carried with what
//! was found until it is sent.

use std::time::Duration;

use bytes::Bytes;

use super::answer::{Answer, RpcError, read_error};
use crate::rpc::answer::{AnswerFault, AnswerOffsets};
use crate::rpc::classify::{self, Verdict};
use crate::rpc::envelope::UpstreamCallId;
use crate::rpc::url_mask;

/// What came with an answer is let go of, if it is longer than this and mostly something else.
const SPARSE_BYTES_MIN: usize = 64 << 10;

/// Whether so little of `bytes` that came is `used` that no answer is to hold it all in memory.
pub fn is_sparse(bytes: usize, used: usize) -> bool {
    bytes > SPARSE_BYTES_MIN && used < bytes / 2
}

/// A whole, well-formed answer. Its id is still ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WholeAnswer {
    bytes: Bytes,
    places: AnswerOffsets,
}

impl WholeAnswer {
    /// `answer` out of `bytes`, which it was read from. An error in an odd shape is written anew, so
    /// that clients understand it.
    pub fn new(bytes: &Bytes, answer: &Answer<'_>) -> WholeAnswer {
        if let Some(whole) = answer
            .rewritten()
            .and_then(|it| WholeAnswer::reread(it.into()))
        {
            return whole;
        }
        let end = answer.at.end.min(bytes.len());
        WholeAnswer {
            bytes: bytes.slice(answer.at.start.min(end)..end),
            places: answer.places.clone(),
        }
    }

    /// The answer out of its `bytes`, of which it is known where its parts stand.
    pub fn of_parts(bytes: Bytes, places: AnswerOffsets) -> WholeAnswer {
        WholeAnswer { bytes, places }
    }

    /// Judges what came with `status` to a call whose id is `own`, and is there to its end.
    ///
    /// # Errors
    ///
    /// What is no answer to that call: what its status and its body come to, else a fault of the node's; and what was
    /// wrong with it.
    #[inline]
    pub fn judge(
        body: &Bytes,
        status: u16,
        retry_after: Option<Duration>,
        own: UpstreamCallId,
    ) -> Result<(Verdict, WholeAnswer), (Verdict, AnswerFault)> {
        let answer = Answer::read(body, own).map_err(|bad| {
            let by_body = classify::of_body(status, retry_after, body);
            (by_body.unwrap_or(bad.into()), bad)
        })?;
        let verdict = classify::of_outcome(&answer.outcome, status, retry_after);
        let whole = WholeAnswer::new(body, &answer);
        if is_sparse(body.len(), whole.bytes()) {
            return Ok((verdict, whole.apart()));
        }
        Ok((verdict, whole))
    }

    /// Its bytes, and where its parts stand in them.
    pub fn parts(&self) -> (&[u8], &AnswerOffsets) {
        (&self.bytes, &self.places)
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
        if !self.places.is_error {
            return None;
        }
        let written = self.bytes.get(self.places.outcome.clone())?;
        let error = std::str::from_utf8(written).ok()?;
        read_error(error).ok().map(|(error, _)| error)
    }

    /// The answer with other bytes of the same length: words of the node's are masked, say.
    pub fn masked(self, mask: impl FnOnce(Bytes) -> Bytes) -> WholeAnswer {
        WholeAnswer {
            bytes: mask(self.bytes),
            places: self.places,
        }
    }

    /// An error with its URLs cut, but for those that stand in `own`, the caller's params.
    pub fn without_urls(self, own: &str) -> WholeAnswer {
        let text = std::str::from_utf8(&self.bytes).ok();
        let cut = text
            .filter(|_| self.places.is_error)
            .and_then(|text| url_mask::cut(text, own));
        cut.and_then(|cut| WholeAnswer::reread(cut.into()))
            .unwrap_or(self)
    }

    /// The answer that `bytes` are, with whichever id.
    pub fn reread(bytes: Bytes) -> Option<WholeAnswer> {
        let (answer, _) = Answer::read_any(&bytes).ok()?;
        Some(WholeAnswer {
            bytes: bytes.slice(answer.at),
            places: answer.places,
        })
    }

    /// The same answer, that shares no memory with others which came with it.
    pub fn apart(self) -> WholeAnswer {
        WholeAnswer {
            bytes: Bytes::copy_from_slice(&self.bytes),
            places: self.places,
        }
    }

    /// Appends the answer with the caller's `id` in place of ours.
    pub fn write_to(&self, id: &str, out: &mut Vec<u8>) {
        self.places.write(&self.bytes, id, out);
    }

    /// How many bytes [`WholeAnswer::write_to`] writes.
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
    use crate::rpc::classify::AttemptClass;
    use crate::testing::whole_answer as whole;

    #[test]
    fn an_answer_is_judged_by_what_it_says_and_what_is_none_by_its_status() {
        let own = UpstreamCallId::FIRST;
        let mut digits = itoa::Buffer::new();
        let id = std::str::from_utf8(own.write(&mut digits))
            .unwrap()
            .to_string();
        let judge = |body: String, status| {
            WholeAnswer::judge(&Bytes::from(body), status, None, own)
                .map_err(|(verdict, _)| verdict.class)
        };
        let answer = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"0x1"}}"#);
        let (verdict, whole) = judge(answer.clone(), 500).unwrap();
        assert_eq!(
            (verdict.class, whole.result()),
            (AttemptClass::Ok, Some(&b"\"0x1\""[..]))
        );
        let page = || "<html>".to_string();
        assert_eq!(judge(page(), 200), Err(AttemptClass::BadAnswer));
        assert_eq!(judge(page(), 429), Err(AttemptClass::Throttled));
        let foreign = Bytes::from(answer.replace(&id, "17"));
        let judged = WholeAnswer::judge(&foreign, 200, None, own);
        assert_eq!(judged.unwrap_err().1, AnswerFault::WrongId);
        let sparse = answer + &" ".repeat(2 * SPARSE_BYTES_MIN);
        let (_, whole) = judge(sparse, 200).unwrap();
        assert!(whole.bytes() < 100, "it holds no white space");
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
    fn an_error_in_an_odd_shape_is_written_anew() {
        for (body, wanted) in [
            (
                r#"{"id":1,"error":{"code":"-32000","message":"no","data":{"a":[1.0]}}}"#,
                r#"{"code":-32000,"message":"no","data":{"a":[1.0]}}"#,
            ),
            (
                r#"{"id":"1","error":"execution \"reverted\""}"#,
                r#"{"code":-32000,"message":"execution \"reverted\""}"#,
            ),
            (
                r#"{"error":{"code":3,"message":null,"data":"0x08c379a0"},"id":1}"#,
                r#"{"code":3,"message":"","data":"0x08c379a0"}"#,
            ),
            (
                r#"{"id":1,"result":"0x","error":{"code":-32000,"message":"revert"}}"#,
                r#"{"code":-32000,"message":"revert"}"#,
            ),
        ] {
            let mut out = Vec::new();
            whole(body).write_to("7", &mut out);
            let wanted = format!(r#"{{"jsonrpc":"2.0","id":7,"error":{wanted}}}"#);
            assert_eq!(String::from_utf8(out).unwrap(), wanted, "{body}");
        }
        let marked = whole("\u{feff}{\"id\":1,\"result\":7}");
        assert_eq!(
            marked.result(),
            Some(&b"7"[..]),
            "with a mark of the order of its bytes"
        );
    }

    #[test]
    fn urls_are_cut_in_errors_and_stay_in_results() {
        let error =
            whole(r#"{"error":{"code":-32000,"message":"Post \"http://a/b\": no"},"id":1}"#);
        let error = error.without_urls("[]");
        assert_eq!(error.error().unwrap().message, "Post \"http://…\": no");
        let mut out = Vec::new();
        error.write_to("\"id\"", &mut out);
        assert_eq!(out.len(), error.bytes_with("\"id\""));
        assert!(String::from_utf8(out).unwrap().ends_with(r#","id":"id"}"#));
        let result = whole(r#"{"id":1,"result":"http://a/b"}"#).without_urls("[]");
        assert_eq!(result.result(), Some(&b"\"http://a/b\""[..]));
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

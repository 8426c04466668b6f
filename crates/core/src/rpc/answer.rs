//! A node's answer: read whole and judged, or, when it is large, passed on as it comes.
//!
//! Nothing of an answer is encoded anew. Its id, which is ours, is cut out and the caller's bytes
//! are put in its place; every other byte stays.

mod error;
mod offsets;
mod raw;
mod splicer;

use std::borrow::Cow;
use std::ops::Range;
use std::str::Utf8Error;

use bytes::Bytes;

use self::error::is_no_error;
pub(crate) use self::error::read_error;
use self::raw::RawAnswer;
pub use self::splicer::Splicer;
use crate::json::grammar::{InvalidJson, Scanner};
pub use crate::rpc::answer::offsets::AnswerOffsets;
use crate::rpc::envelope::UpstreamCallId;

/// What makes an answer unusable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerFault {
    /// It isn't JSON in UTF-8, or was cut off.
    NotJson,
    /// Its id is not that of the call: it may be the late answer to another one.
    WrongId,
    /// Neither a result nor an error.
    NoOutcome,
}

impl From<InvalidJson> for AnswerFault {
    fn from(_: InvalidJson) -> AnswerFault {
        AnswerFault::NotJson
    }
}

impl From<Utf8Error> for AnswerFault {
    fn from(_: Utf8Error) -> AnswerFault {
        AnswerFault::NotJson
    }
}

/// A whole answer to one call, borrowed from the bytes that came.
#[derive(Clone, Debug)]
pub struct Answer<'a> {
    text: &'a str,
    /// Where it stands in what came.
    pub(crate) at: Range<usize>,
    pub(crate) places: AnswerOffsets,
    /// What the node says to the call.
    pub outcome: Outcome<'a>,
    /// As JSON-RPC has it; else it is understood, and no client's to puzzle over.
    is_plain: bool,
}

/// What a node says to a call: a JSON-RPC 2.0 response has one of the two (§5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// The result, as written.
    Result(&'a str),
    /// The error, read: its text decides what becomes of the call.
    Error(RpcError<'a>),
}

/// A node's error (JSON-RPC 2.0, §5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcError<'a> {
    /// As told; −32000 where the node sent none that can be read.
    pub code: i64,
    /// A string, its escapes resolved; anything else as written; empty where the node sent none.
    pub message: Cow<'a, str>,
    /// As written.
    pub data: Option<&'a str>,
}

/// A mark of the order of bytes, which says nothing in UTF-8.
pub const MARK: &str = "\u{feff}";

/// `start` of an answer without the mark.
pub fn unmarked(start: Bytes) -> Bytes {
    match start.strip_prefix(MARK.as_bytes()) {
        Some(rest) => start.slice_ref(rest),
        None => start,
    }
}

impl<'a> Answer<'a> {
    /// The answer to the call that was sent as `own`.
    ///
    /// # Errors
    /// See [`AnswerFault`]. An error may come without an id: it is ours all the same, as it came on
    /// our connection; a result may not.
    pub fn read(bytes: &'a [u8], own: UpstreamCallId) -> Result<Answer<'a>, AnswerFault> {
        let (answer, id) = Answer::read_any(bytes)?;
        let is_error = matches!(answer.outcome, Outcome::Error(_));
        let is_ours = id.map_or(is_error, |id| own.is(id));
        is_ours.then_some(answer).ok_or(AnswerFault::WrongId)
    }

    /// An answer to whichever call, and the id that it carries.
    ///
    /// # Errors
    /// It is not JSON, or has no outcome.
    pub(crate) fn read_any(bytes: &'a [u8]) -> Result<(Answer<'a>, Option<&'a str>), AnswerFault> {
        // All of it: a decoder of bytes would pass over what it doesn't look into.
        let mut scanner = Scanner::after(MARK, std::str::from_utf8(bytes)?);
        let answer = Answer::take(&mut scanner);
        scanner.end()?;
        answer
    }

    /// The next answer, and its id; after an answer without an outcome others may be taken.
    ///
    /// # Errors
    /// It is not JSON, or has no outcome.
    pub(crate) fn take(
        scanner: &mut Scanner<'a>,
    ) -> Result<(Answer<'a>, Option<&'a str>), AnswerFault> {
        scanner.peek();
        let start = scanner.at();
        let raw = RawAnswer::take(scanner)?;
        let text = scanner.since(start)?;
        let said = |value: &&str| *value != "null";
        let has_result = raw.result.is_some_and(|result| result != "null");
        let is_error = |error: &&str| said(error) && !(has_result && is_no_error(error));
        let (id, error) = (raw.id.filter(said), raw.error.filter(is_error));
        let (written, outcome, is_plain) = match (raw.result, error) {
            (Some(result), None) => (result, Outcome::Result(result), true),
            // Whatever else stands beside it, it has failed.
            (result, Some(written)) => {
                let (error, is_plain) = read_error(written)?;
                let is_alone = result.is_none_or(|result| result == "null");
                (written, Outcome::Error(error), is_plain && is_alone)
            }
            (None, None) => return Err(AnswerFault::NoOutcome),
        };
        let places = AnswerOffsets {
            id: id.map(|id| place_in(text, id)),
            outcome: place_in(text, written),
            is_error: matches!(outcome, Outcome::Error(_)),
        };
        let answer = Answer {
            text,
            at: start..scanner.at(),
            places,
            outcome,
            is_plain,
        };
        Ok((answer, id))
    }

    /// How long it is, in bytes.
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    /// With an id of ours, in the shape that JSON-RPC has; `None`: it has it.
    pub(crate) fn rewritten(&self) -> Option<String> {
        let Outcome::Error(error) = &self.outcome else {
            return None;
        };
        let data = error.data.map(|data| format!(r#","data":{data}"#));
        (!self.is_plain).then(|| {
            format!(
                r#"{{"jsonrpc":"2.0","id":1,"error":{{"code":{},"message":{}{}}}}}"#,
                error.code,
                serde_json::Value::from(&*error.message),
                data.unwrap_or_default(),
            )
        })
    }

    /// Appends the answer with the caller's `id` in place of ours.
    pub fn write_to(&self, id: &str, out: &mut Vec<u8>) {
        self.places.write(self.text.as_bytes(), id, out);
    }
}

/// Where `part`, borrowed from `whole`, stands in it.
fn place_in(whole: &str, part: &str) -> Range<usize> {
    let start = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
    start..start + part.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(body: &str) -> Result<Answer<'_>, AnswerFault> {
        Answer::read(body.as_bytes(), UpstreamCallId::FIRST)
    }

    fn whole(body: &str, id: &str) -> Result<String, AnswerFault> {
        let mut out = Vec::new();
        read(body)?.write_to(id, &mut out);
        Ok(String::from_utf8(out).unwrap())
    }

    fn spliced(body: &str, id: &str, cuts: &[usize]) -> Result<String, AnswerFault> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let mut splicer =
            Splicer::new(Bytes::copy_from_slice(id.as_bytes()), UpstreamCallId::FIRST);
        let mut out = Vec::new();
        let mut from = 0;
        for cut in cuts
            .iter()
            .map(|cut| cut % (body.len() + 1))
            .chain([body.len()])
        {
            if cut > from {
                splicer.feed(&body.slice(from..cut), &mut out)?;
                from = cut;
            }
        }
        splicer.finish()?;
        Ok(String::from_utf8(out.concat()).unwrap())
    }

    const GOOD: &[&str] = &[
        r#"{"jsonrpc":"2.0","id":1,"result":"0x1"}"#,
        r#"{"jsonrpc":"2.0","result":{"id":1,"a":["}\"",{"id":[1]}]},"id":1}"#,
        r#"{ "id" : 1 , "result" : null , "jsonrpc":"2.0" }"#,
        r#"{"id":1,"result":1e3,"extra":{"result":2},"jsonrpc":"2.0"}"#,
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":3,"message":"x","data":"0x"}}"#,
        r#"{"id":1,"result":"é\\\"id\":9"}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"a":1},"error":null}"#,
        r#"{"error":null,"id":1,"result":[1]}"#,
        r#"{"id":1,"result":null,"error":{"code":3,"message":"x"}}"#,
    ];

    #[test]
    fn only_the_id_changes() {
        for body in GOOD {
            let wanted = body.replacen("\"id\":1,", "\"id\":\"é\",", 1);
            let wanted = if body.contains(r#""id" : 1"#) {
                body.replace(r#""id" : 1"#, r#""id" : "é""#)
            } else if body.ends_with("\"id\":1}") {
                format!("{}\"é\"}}", &body[..body.len() - 2])
            } else {
                wanted
            };
            assert_eq!(whole(body, "\"é\"").unwrap(), wanted);
            assert_eq!(spliced(body, "\"é\"", &[]).unwrap(), wanted);
        }
    }

    #[test]
    fn an_id_may_come_back_in_another_dress() {
        for body in [
            r#"{"id":"1","result":7}"#,
            r#"{"result":7,"id":1.0}"#,
            r#"{"result":7,"id":"1","a":1}"#,
        ] {
            let wanted = body.replace("\"1\"", "9").replace("1.0", "9");
            assert_eq!(whole(body, "9").unwrap(), wanted);
            assert_eq!(spliced(body, "9", &[3, 11]).unwrap(), wanted);
        }
    }

    #[test]
    fn an_error_is_understood_whatever_its_shape() {
        for (error, code, message) in [
            (r#"{"code":"-32005","message":"x"}"#, -32005, "x"),
            (r#"{"code":"CALL_EXCEPTION","message":"x"}"#, -32000, "x"),
            (r#"{"message":"x"}"#, -32000, "x"),
            (r#"{"code":null,"message":"x"}"#, -32000, "x"),
            (r#"{"code":3}"#, 3, ""),
            (r#"{"code":3.0,"message":"x"}"#, 3, "x"),
            (r#"{"code":3.5,"message":"x"}"#, -32000, "x"),
            (
                r#"{"code":99999999999999999999,"message":"x"}"#,
                -32000,
                "x",
            ),
            (r#"{"code":3,"message":null}"#, 3, ""),
            (r#"{"code":3,"message":{"a":1}}"#, 3, r#"{"a":1}"#),
            (r#""x\ny""#, -32000, "x\ny"),
            ("{}", -32000, ""),
        ] {
            for beside in ["", r#","result":"0x""#, r#","result":null"#] {
                let body = format!(r#"{{"id":1,"error":{error}{beside}}}"#);
                let answer = read(&body).unwrap();
                let Outcome::Error(error) = &answer.outcome else {
                    panic!("{body}");
                };
                assert_eq!((error.code, &*error.message), (code, message), "{body}");
                assert!(answer.rewritten().is_some(), "{body}");
            }
        }
        for none in ["null", "false", "\"\""] {
            let body = format!(r#"{{"id":1,"error":{none},"result":"0x"}}"#);
            let answer = read(&body).unwrap();
            assert_eq!(answer.outcome, Outcome::Result("\"0x\""), "{body}");
        }
        let plain = r#"{"id":1,"error":{"code":3,"message":"x"},"result":null}"#;
        assert_eq!(read(plain).unwrap().rewritten(), None);
    }

    #[test]
    fn a_bad_answer_is_told_from_a_good_one_in_both_ways_of_reading() {
        for bad in [
            "",
            "<html>",
            "[]",
            "{}",
            r#"{"id":1}"#,
            r#"{"id":2,"result":1}"#,
            r#"{"id":"2","result":1}"#,
            r#"{"id":"01","result":1}"#,
            r#"{"id":1.5,"result":1}"#,
            r#"{"result":1}"#,
            r#"{"id":1,"result":1"#,
            r#"{"id":1,"result":1}x"#,
            r#"{"id":1,"result":"a}"#,
            r#"{"id":1,"result":1,"result":2}"#,
            r#"[{"id":1,"result":1}]"#,
            r#"{"id":1,"error":null}"#,
            r#"{"id":1,"error":null,"error":null,"result":1}"#,
            r#"{"id":11111111111111111111,"result":1}"#,
        ] {
            assert!(whole(bad, "7").is_err(), "{bad}");
            assert!(spliced(bad, "7", &[]).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_neither_an_object_nor_a_text_is_no_error() {
        for error in ["7", "true", "[]"] {
            let body = format!(r#"{{"id":1,"error":{error}}}"#);
            let fault = read(&body).err();
            assert_eq!(fault, Some(AnswerFault::NoOutcome), "{body}");
        }
    }

    #[test]
    fn an_answer_is_utf8_wherever_one_looks() {
        for bad in [
            &b"{\"jsonrpc\":\"2.0\xe7\",\"id\":1,\"result\":1}"[..],
            b"{\"id\":1,\"result\":\"\xe7\"}",
        ] {
            let fault = Answer::read(bad, UpstreamCallId::FIRST).err();
            assert_eq!(fault, Some(AnswerFault::NotJson));
        }
    }

    #[test]
    fn an_error_without_an_id_is_ours_all_the_same() {
        for body in [
            r#"{"jsonrpc":"2.0","error":{"code":-32005,"message":"slow down"},"id":null}"#,
            r#"{"error":{"code":-32005,"message":"slow down"}}"#,
        ] {
            let wanted =
                r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32005,"message":"slow down"}}"#;
            assert_eq!(whole(body, "7").unwrap(), wanted);
        }
    }

    #[test]
    fn an_error_shows_its_code_message_and_data() {
        let body =
            r#"{"id":1,"error":{"code":3,"message":"execution\u0020reverted","data":"0x08"}}"#;
        let Outcome::Error(error) = read(body).unwrap().outcome else {
            panic!("no error");
        };
        assert_eq!((error.code, &*error.message), (3, "execution reverted"));
        assert_eq!(error.data, Some("\"0x08\""));
    }

    #[test]
    fn a_result_is_known_from_its_first_byte() {
        let mut splicer = Splicer::new(Bytes::from_static(b"7"), UpstreamCallId::FIRST);
        let mut out = Vec::new();
        for (piece, has_result) in [(&b"{\"id\":1,\"result\":"[..], false), (b"\"0x", true)] {
            splicer.feed(&Bytes::from_static(piece), &mut out).unwrap();
            assert_eq!(splicer.has_result(), has_result);
        }
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_an_answer_is_cut(
            which in 0..GOOD.len(),
            mut cuts in proptest::collection::vec(0usize..200, 0..20),
        ) {
            cuts.sort_unstable_by_key(|cut| cut % (GOOD[which].len() + 1));
            prop_assert_eq!(spliced(GOOD[which], "77", &cuts), spliced(GOOD[which], "77", &[]));
        }

        #[test]
        fn no_bytes_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Answer::read(&body, UpstreamCallId::FIRST);
            let mut splicer = Splicer::new(Bytes::from_static(b"1"), UpstreamCallId::FIRST);
            let _ = splicer.feed(&Bytes::from(body), &mut Vec::new());
            let _ = splicer.finish();
        }

        #[test]
        fn json_like_text_never_panics(body in r#"[{}\[\]",:a-zid0-9\\ ]{0,80}"#) {
            let _ = read(&body);
            let mut splicer = Splicer::new(Bytes::from_static(b"1"), UpstreamCallId::FIRST);
            let _ = splicer.feed(&Bytes::from(body), &mut Vec::new());
            let _ = splicer.finish();
        }
    }
}

//! A node's answer: read whole and judged, or, when it is large, passed on as it comes.
//!
//! Nothing of an answer is encoded anew. Its id, which is ours, is cut out and the caller's bytes
//! are put in its place; every other byte stays.

mod places;
mod raw;

use std::borrow::Cow;
use std::ops::Range;
use std::str::Utf8Error;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

pub(super) use self::places::Places;
use self::raw::RawAnswer;
use super::grammar::{NotJson, Scanner};
use super::jsonrpc::OwnId;

/// What makes an answer unusable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadAnswer {
    NotJson,
    WrongId,
    /// Neither a result nor an error, or both.
    NoOutcome,
}

impl From<NotJson> for BadAnswer {
    fn from(_: NotJson) -> BadAnswer {
        BadAnswer::NotJson
    }
}

impl From<Utf8Error> for BadAnswer {
    fn from(_: Utf8Error) -> BadAnswer {
        BadAnswer::NotJson
    }
}

/// A whole answer to one call, borrowed from the bytes that came.
#[derive(Clone, Debug)]
pub struct Answer<'a> {
    text: &'a str,
    /// Where it stands in what came.
    pub(super) at: Range<usize>,
    pub(super) places: Places,
    pub outcome: Outcome<'a>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// The result, as written.
    Result(&'a str),
    Error(RpcError<'a>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcError<'a> {
    pub code: i64,
    pub message: Cow<'a, str>,
    /// As written.
    pub data: Option<&'a str>,
}

#[derive(Deserialize)]
struct RawError<'a> {
    code: serde_json::Number,
    #[serde(borrow, default)]
    message: Cow<'a, str>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

impl<'a> Answer<'a> {
    /// The answer to the call that was sent as `own`.
    ///
    /// # Errors
    /// See [`BadAnswer`]. An error may come without an id: it is ours all the same, as it came on
    /// our connection; a result may not.
    pub fn read(bytes: &'a [u8], own: OwnId) -> Result<Answer<'a>, BadAnswer> {
        let (answer, id) = Answer::read_any(bytes)?;
        let is_error = matches!(answer.outcome, Outcome::Error(_));
        let is_ours = id.map_or(is_error, |id| own.is(id));
        is_ours.then_some(answer).ok_or(BadAnswer::WrongId)
    }

    /// An answer to whichever call, and the id that it carries.
    ///
    /// # Errors
    /// It is not JSON, or has no outcome.
    pub(super) fn read_any(bytes: &'a [u8]) -> Result<(Answer<'a>, Option<&'a str>), BadAnswer> {
        // All of it: a decoder of bytes would pass over what it doesn't look into.
        let mut scanner = Scanner::new(std::str::from_utf8(bytes)?);
        let answer = Answer::take(&mut scanner);
        scanner.end()?;
        answer
    }

    /// The next answer, and its id; after an answer without an outcome others may be taken.
    ///
    /// # Errors
    /// It is not JSON, or has no outcome.
    pub(super) fn take(
        scanner: &mut Scanner<'a>,
    ) -> Result<(Answer<'a>, Option<&'a str>), BadAnswer> {
        scanner.peek();
        let start = scanner.at();
        let raw = RawAnswer::take(scanner)?;
        let text = scanner.since(start)?;
        let said = |value: &&str| *value != "null";
        let (id, error) = (raw.id.filter(said), raw.error.filter(said));
        let (written, outcome) = match (raw.result, error) {
            (Some(result), None) => (result, Outcome::Result(result)),
            (None | Some("null"), Some(error)) => (error, Outcome::Error(read_error(error)?)),
            (Some(_), Some(_)) | (None, None) => return Err(BadAnswer::NoOutcome),
        };
        let places = Places {
            id: id.map(|id| place_in(text, id)),
            outcome: place_in(text, written),
            is_error: matches!(outcome, Outcome::Error(_)),
        };
        let answer = Answer {
            text,
            at: start..scanner.at(),
            places,
            outcome,
        };
        Ok((answer, id))
    }

    /// How long it is, in bytes.
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    /// Appends the answer with the caller's `id` in place of ours.
    pub fn write_to(&self, id: &str, out: &mut Vec<u8>) {
        self.places.write(self.text.as_bytes(), id, out);
    }
}

/// An error as written, taken apart.
///
/// # Errors
/// It is none.
pub(super) fn read_error(raw: &str) -> Result<RpcError<'_>, BadAnswer> {
    let error: RawError = serde_json::from_str(raw).map_err(|_| BadAnswer::NoOutcome)?;
    Ok(RpcError {
        code: error.code.as_i64().unwrap_or(0),
        message: error.message,
        data: error.data.map(RawValue::get),
    })
}

/// Where `part`, borrowed from `whole`, stands in it.
fn place_in(whole: &str, part: &str) -> Range<usize> {
    let start = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
    start..start + part.len()
}

/// The longest key at the top level of an answer that is looked at.
const KEY_BYTES_MAX: usize = 64;

/// Passes an answer on piece by piece, with the caller's id in place of ours.
///
/// It follows strings and nesting, not the whole grammar: enough to know where the answer ends,
/// so that one that was cut off is noticed.
#[derive(Debug)]
pub struct Splicer {
    caller_id: Bytes,
    own: OwnId,
    place: Place,
    depth: u32,
    in_string: bool,
    escaped: bool,
    key: Vec<u8>,
    id: Vec<u8>,
    saw_id: bool,
    result: Seen,
    error: Seen,
}

/// What has been seen of a member. A node may write `"error":null` beside a result, or
/// `"result":null` beside an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Not,
    Null,
    Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Start,
    BeforeFirstKey,
    BeforeKey,
    InKey,
    BeforeColon,
    BeforeValue,
    InValue,
    InId,
    Done,
}

impl Splicer {
    /// For the answer to the call that was sent as `own`, and came as `caller_id`.
    pub fn new(caller_id: Bytes, own: OwnId) -> Splicer {
        Splicer {
            caller_id,
            own,
            place: Place::Start,
            depth: 0,
            in_string: false,
            escaped: false,
            key: Vec::new(),
            id: Vec::new(),
            saw_id: false,
            result: Seen::Not,
            error: Seen::Not,
        }
    }

    /// A result has begun, and no error.
    pub fn has_result(&self) -> bool {
        self.result != Seen::Not && self.error != Seen::Value
    }

    pub fn has_error(&self) -> bool {
        self.error == Seen::Value
    }

    /// Takes the next piece; what is to be sent on is appended to `out`.
    ///
    /// # Errors
    /// See [`BadAnswer`].
    pub fn feed(&mut self, piece: &Bytes, out: &mut Vec<Bytes>) -> Result<(), BadAnswer> {
        let mut kept_from = 0;
        let mut at = 0;
        while let Some(&byte) = piece.get(at) {
            match self.place {
                Place::InValue => {
                    at = self.pass_value(piece, at);
                    continue;
                }
                Place::InId => {
                    if self.take_id_byte(byte)? {
                        out.push(self.caller_id.clone());
                        kept_from = at;
                        continue;
                    }
                }
                Place::BeforeValue if !byte.is_ascii_whitespace() => {
                    if self.begin_value(byte)? {
                        out.push(piece.slice(kept_from..at));
                    }
                    continue;
                }
                _ => self.step(byte)?,
            }
            at += 1;
        }
        if self.place != Place::InId {
            out.push(piece.slice(kept_from..));
        }
        Ok(())
    }

    /// Between values. `byte` is not part of a value.
    fn step(&mut self, byte: u8) -> Result<(), BadAnswer> {
        if self.place != Place::InKey && byte.is_ascii_whitespace() {
            return Ok(());
        }
        self.place = match (self.place, byte) {
            (Place::Start, b'{') => Place::BeforeFirstKey,
            (Place::BeforeFirstKey, b'}') => Place::Done,
            (Place::BeforeFirstKey | Place::BeforeKey, b'"') => {
                self.key.clear();
                Place::InKey
            }
            (Place::InKey, b'"') if !self.escaped => Place::BeforeColon,
            (Place::InKey, byte) => {
                self.escaped = byte == b'\\' && !self.escaped;
                if self.key.len() < KEY_BYTES_MAX {
                    self.key.push(byte);
                }
                Place::InKey
            }
            (Place::BeforeColon, b':') => Place::BeforeValue,
            _ => return Err(BadAnswer::NotJson),
        };
        Ok(())
    }

    /// At the first byte of a value; says whether it is the id's.
    fn begin_value(&mut self, byte: u8) -> Result<bool, BadAnswer> {
        if matches!(byte, b',' | b'}' | b']' | b':') {
            return Err(BadAnswer::NotJson);
        }
        // No other value begins like `null`.
        let now = if byte == b'n' {
            Seen::Null
        } else {
            Seen::Value
        };
        let was_seen = match &self.key[..] {
            b"id" => std::mem::replace(&mut self.saw_id, true),
            b"result" => std::mem::replace(&mut self.result, now) != Seen::Not,
            b"error" => std::mem::replace(&mut self.error, now) != Seen::Not,
            _ => false,
        };
        if was_seen {
            return Err(BadAnswer::NoOutcome);
        }
        let is_id = self.key == b"id";
        self.place = if is_id { Place::InId } else { Place::InValue };
        Ok(is_id)
    }

    /// Says whether the id is over; `byte` then belongs to what follows.
    fn take_id_byte(&mut self, byte: u8) -> Result<bool, BadAnswer> {
        if byte != b',' && byte != b'}' && !byte.is_ascii_whitespace() {
            self.id.push(byte);
            let fits = self.id.len() <= OwnId::DIGITS_MAX;
            return if fits {
                Ok(false)
            } else {
                Err(BadAnswer::WrongId)
            };
        }
        if !std::str::from_utf8(&self.id).is_ok_and(|id| self.own.is(id)) {
            return Err(BadAnswer::WrongId);
        }
        self.place = Place::InValue;
        Ok(true)
    }

    /// Goes through a value from `at`; returns where it or the piece ends.
    fn pass_value(&mut self, piece: &[u8], mut at: usize) -> usize {
        while at < piece.len() {
            if self.in_string {
                at = self.pass_string(piece, at);
                continue;
            }
            match piece[at] {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' if self.depth == 0 => {
                    self.place = Place::Done;
                    return at + 1;
                }
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                b',' if self.depth == 0 => {
                    self.place = Place::BeforeKey;
                    return at + 1;
                }
                _ => {}
            }
            at += 1;
        }
        at
    }

    fn pass_string(&mut self, piece: &[u8], at: usize) -> usize {
        if self.escaped {
            self.escaped = false;
            return at + 1;
        }
        match memchr::memchr2(b'"', b'\\', &piece[at..]) {
            None => piece.len(),
            Some(found) => {
                let is_end = piece[at + found] == b'"';
                self.in_string = !is_end;
                self.escaped = !is_end;
                at + found + 1
            }
        }
    }

    /// To be called when the node has sent everything.
    ///
    /// # Errors
    /// When the answer was cut off, or is none.
    pub fn finish(&self) -> Result<(), BadAnswer> {
        let has_one_outcome = match self.error {
            Seen::Value => self.result != Seen::Value,
            Seen::Not | Seen::Null => self.result != Seen::Not,
        };
        match (self.place, self.saw_id, has_one_outcome) {
            (Place::Done, true, true) => Ok(()),
            (Place::Done, false, _) => Err(BadAnswer::WrongId),
            (Place::Done, true, false) => Err(BadAnswer::NoOutcome),
            _ => Err(BadAnswer::NotJson),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(body: &str, id: &str) -> Result<String, BadAnswer> {
        let mut out = Vec::new();
        Answer::read(body.as_bytes(), OwnId::FIRST)?.write_to(id, &mut out);
        Ok(String::from_utf8(out).unwrap())
    }

    fn spliced(body: &str, id: &str, cuts: &[usize]) -> Result<String, BadAnswer> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let mut splicer = Splicer::new(Bytes::copy_from_slice(id.as_bytes()), OwnId::FIRST);
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
    fn a_bad_answer_is_told_from_a_good_one_in_both_ways_of_reading() {
        for bad in [
            "",
            "<html>",
            "[]",
            "{}",
            r#"{"id":1}"#,
            r#"{"id":2,"result":1}"#,
            r#"{"id":"1","result":1}"#,
            r#"{"result":1}"#,
            r#"{"id":1,"result":1"#,
            r#"{"id":1,"result":1}x"#,
            r#"{"id":1,"result":"a}"#,
            r#"{"id":1,"result":1,"result":2}"#,
            r#"{"id":1,"result":1,"error":{"code":1,"message":"x"}}"#,
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
    fn an_answer_is_utf8_wherever_one_looks() {
        for bad in [
            &b"{\"jsonrpc\":\"2.0\xe7\",\"id\":1,\"result\":1}"[..],
            b"{\"id\":1,\"result\":\"\xe7\"}",
        ] {
            assert_eq!(
                Answer::read(bad, OwnId::FIRST).err(),
                Some(BadAnswer::NotJson)
            );
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
            br#"{"id":1,"error":{"code":3,"message":"execution\u0020reverted","data":"0x08"}}"#;
        let Outcome::Error(error) = Answer::read(body, OwnId::FIRST).unwrap().outcome else {
            panic!("no error");
        };
        assert_eq!((error.code, &*error.message), (3, "execution reverted"));
        assert_eq!(error.data, Some("\"0x08\""));
    }

    #[test]
    fn a_result_is_known_from_its_first_byte() {
        let mut splicer = Splicer::new(Bytes::from_static(b"7"), OwnId::FIRST);
        let mut out = Vec::new();
        splicer
            .feed(&Bytes::from_static(b"{\"id\":1,\"result\":"), &mut out)
            .unwrap();
        assert!(!splicer.has_result());
        splicer
            .feed(&Bytes::from_static(b"\"0x"), &mut out)
            .unwrap();
        assert!(splicer.has_result());
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
            let _ = Answer::read(&body, OwnId::FIRST);
            let mut splicer = Splicer::new(Bytes::from_static(b"1"), OwnId::FIRST);
            let _ = splicer.feed(&Bytes::from(body), &mut Vec::new());
            let _ = splicer.finish();
        }

        #[test]
        fn json_like_text_never_panics(body in r#"[{}\[\]",:a-zid0-9\\ ]{0,80}"#) {
            let _ = Answer::read(body.as_bytes(), OwnId::FIRST);
            let mut splicer = Splicer::new(Bytes::from_static(b"1"), OwnId::FIRST);
            let _ = splicer.feed(&Bytes::from(body), &mut Vec::new());
            let _ = splicer.finish();
        }
    }
}

//! The envelope of JSON-RPC 2.0: what arrived, taken apart with ids and params left as bytes, and
//! the envelope that a node gets instead.
//!
//! A call's id and params are never decoded, so they can't be changed. Whatever a decoder in
//! front of us or behind us could read in two ways (double keys, keys in another case) is refused.

use std::borrow::Cow;

use super::refusal::Refusal;
use crate::json::element_offsets::ElementOffsets;
use crate::json::grammar::{InvalidJson, RawString, Scanner};

/// How deep the arrays and objects of one call may be nested, the call itself included.
pub const DEPTH_MAX: usize = 64;

/// One call, borrowed from the body it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call<'a> {
    /// A string, a number or null, byte for byte; `None` for a notification.
    pub id: Option<&'a str>,
    /// Its name, escapes resolved: borrowed where there were none.
    pub method: Cow<'a, str>,
    /// An array or an object, byte for byte.
    pub params: Option<&'a str>,
    /// Where the params have elements, should they be an array.
    pub(crate) elements: ElementOffsets,
}

/// One place in a request: a call, or why it isn't one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestItem<'a> {
    /// A call that nodes can be asked for.
    Call(Call<'a>),
    /// No call: it is answered here.
    Refused {
        /// Its id byte for byte; `None`: it has none, or none that can be read, and the answer says
        /// `null`.
        id: Option<&'a str>,
        /// What is answered.
        why: Refusal,
    },
}

/// What one body holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RpcRequest<'a> {
    /// One call that stood alone: its answer does, too.
    Single(RequestItem<'a>),
    /// At least one item, in the order they came.
    Batch(Vec<RequestItem<'a>>),
}

impl<'a> RpcRequest<'a> {
    /// Takes a body apart. A batch may have `calls_max` calls.
    ///
    /// # Errors
    /// What refuses the request as a whole: bad JSON, an empty or oversized batch.
    pub fn read(body: &'a [u8], calls_max: usize) -> Result<RpcRequest<'a>, Refusal> {
        let text = std::str::from_utf8(body).map_err(|_| Refusal::BadJson)?;
        let mut scanner = Scanner::new(text);
        if scanner.peek() == Some(b'[') {
            return batch(scanner, calls_max).map(RpcRequest::Batch);
        }
        let single = item(&mut scanner)?;
        scanner.end()?;
        Ok(RpcRequest::Single(single))
    }
}

impl From<InvalidJson> for Refusal {
    fn from(_: InvalidJson) -> Refusal {
        Refusal::BadJson
    }
}

/// The items of a batch. That it has too many, or none, is said only of what is JSON to its end.
fn batch(mut scanner: Scanner<'_>, calls_max: usize) -> Result<Vec<RequestItem<'_>>, Refusal> {
    let mut items = Vec::new();
    let mut count = 0;
    scanner.array(|scanner| {
        count += 1;
        if count > calls_max {
            return scanner.value().map(|_| ());
        }
        items.push(item(scanner)?);
        Ok(())
    })?;
    scanner.end()?;
    match count {
        0 => Err(Refusal::InvalidRequest("the batch is empty")),
        _ if count > calls_max => Err(Refusal::BatchTooLarge { calls_max }),
        _ => Ok(items),
    }
}

fn item<'a>(scanner: &mut Scanner<'a>) -> Result<RequestItem<'a>, InvalidJson> {
    if scanner.peek() != Some(b'{') {
        scanner.value()?;
        return Ok(RequestItem::Refused {
            id: None,
            why: Refusal::InvalidRequest("a call must be an object"),
        });
    }
    let envelope = Envelope::read(scanner)?;
    let id = envelope.id.filter(|id| is_id(id));
    Ok(match envelope.call() {
        Ok(call) => RequestItem::Call(call),
        Err(why) => RequestItem::Refused { id, why },
    })
}

fn is_id(raw: &str) -> bool {
    matches!(raw.as_bytes().first(), Some(b'"' | b'-' | b'0'..=b'9')) || raw == "null"
}

/// The top level of a call, as written.
#[derive(Default)]
struct Envelope<'a> {
    jsonrpc: Option<&'a str>,
    id: Option<&'a str>,
    method: Option<&'a str>,
    params: Option<&'a str>,
    /// Of params under a key without escapes, should they be an array.
    elements: Option<ElementOffsets>,
    is_ambiguous: bool,
    /// How deep arrays and objects nest in it, itself included.
    depth: usize,
}

impl<'a> Envelope<'a> {
    fn read(scanner: &mut Scanner<'a>) -> Result<Envelope<'a>, InvalidJson> {
        let mut envelope = Envelope::default();
        scanner.object(|key, scanner| {
            let (value, depth) = match scanner.peek() {
                Some(b'[') if key.raw == "\"params\"" => envelope.array(scanner)?,
                _ => scanner.value()?,
            };
            envelope.depth = envelope.depth.max(depth + 1);
            envelope.put(key, value);
            Ok(())
        })?;
        Ok(envelope)
    }

    /// Takes params that are an array: as written, and how deep they nest.
    fn array(&mut self, scanner: &mut Scanner<'a>) -> Result<(&'a str, usize), InvalidJson> {
        let begin = scanner.at();
        let mut depth_max = 0;
        let mut offsets = ElementOffsets::default();
        scanner.array(|scanner| {
            scanner.peek();
            let at = scanner.at();
            let (_, depth) = scanner.value()?;
            depth_max = depth_max.max(depth);
            offsets.add(at - begin..scanner.at() - begin);
            Ok::<_, InvalidJson>(())
        })?;
        self.elements = Some(offsets);
        Ok((scanner.since(begin)?, depth_max + 1))
    }

    fn put(&mut self, key: RawString<'_>, value: &'a str) {
        if let Some(slot) = self.slot(key.raw) {
            self.is_ambiguous |= slot.replace(value).is_some();
            return;
        }
        // Not as nearly all write it.
        let name = key.text();
        let quoted = name.as_ref().map(|name| format!("\"{name}\""));
        match quoted.and_then(|quoted| self.slot(&quoted)) {
            Some(slot) => self.is_ambiguous |= slot.replace(value).is_some(),
            None => self.is_ambiguous |= name.is_none_or(|name| folds_onto_ours(&name)),
        }
    }

    /// The place of the value under this key, with its quotes.
    fn slot(&mut self, key: &str) -> Option<&mut Option<&'a str>> {
        match key {
            "\"jsonrpc\"" => Some(&mut self.jsonrpc),
            "\"id\"" => Some(&mut self.id),
            "\"method\"" => Some(&mut self.method),
            "\"params\"" => Some(&mut self.params),
            _ => None,
        }
    }

    fn call(self) -> Result<Call<'a>, Refusal> {
        let invalid = |why| Err(Refusal::InvalidRequest(why));
        if self.is_ambiguous {
            return invalid("a key stands twice, or in another case");
        }
        if self.depth > DEPTH_MAX {
            return invalid("nested too deep");
        }
        let is_version_2 =
            |raw| raw == r#""2.0""# || text(raw).is_some_and(|version| version == "2.0");
        if !self.jsonrpc.is_some_and(is_version_2) {
            return invalid("`jsonrpc` must be \"2.0\"");
        }
        if self.id.is_some_and(|id| !is_id(id)) {
            return invalid("`id` must be a string, a number or null");
        }
        let Some(method) = self.method.and_then(text) else {
            return invalid("`method` must be a string");
        };
        let params = self.params.filter(|raw| *raw != "null");
        if params.is_some_and(|raw| !raw.starts_with(['[', '{'])) {
            return Err(Refusal::InvalidParams(
                "`params` must be an array or an object",
            ));
        }
        Ok(Call {
            id: self.id,
            method,
            params,
            elements: (self.elements)
                .unwrap_or_else(|| params.map(ElementOffsets::of).unwrap_or_default()),
        })
    }
}

/// The meaning of a JSON string; `None` for anything else.
fn text(raw: &str) -> Option<Cow<'_, str>> {
    RawString::of(raw)?.text()
}

/// Whether a decoder that ignores case, as Go's does, would take `key` for one of ours. Beyond
/// ASCII it folds `ſ` onto s and `K` (Kelvin) onto k; no key of ours has a k.
fn folds_onto_ours(key: &str) -> bool {
    let folded = key.replace('ſ', "s");
    ["jsonrpc", "id", "method", "params"]
        .iter()
        .any(|ours| folded.eq_ignore_ascii_case(ours))
}

/// What stands before the id in a call for a node, and so before another one put in its place.
pub const BEFORE_ID: &[u8] = br#"{"jsonrpc":"2.0","id":"#;

/// The id of a call on its way to a node: each has its own, so that an answer to another call, late
/// or sent twice, is known for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpstreamCallId(u64);

/// Ids are drawn from here on, and counted on from there: all have as many digits, which JavaScript's
/// numbers hold.
const DRAWN_MIN: u64 = 100_000_000_000_000;
/// So many may be drawn.
const DRAWN: u64 = 1 << 47;

impl UpstreamCallId {
    /// As calls are written before they are sent.
    pub const FIRST: UpstreamCallId = UpstreamCallId(1);
    /// Digits of an id at most.
    pub const DIGITS_MAX: usize = 15;

    /// Where the ids of one way to a node begin: another balancer before the same node begins
    /// elsewhere.
    pub fn drawn(dice: u64) -> UpstreamCallId {
        UpstreamCallId(DRAWN_MIN + dice % DRAWN)
    }

    /// The one so many calls later.
    pub fn after(self, calls: u64) -> UpstreamCallId {
        UpstreamCallId(self.0.wrapping_add(calls))
    }

    /// How many calls after this one an id stands, as a node writes it.
    pub fn calls_to(self, said: &str) -> Option<usize> {
        usize::try_from(number_in(said)?.checked_sub(self.0)?).ok()
    }

    /// Whether a node names this one.
    pub fn is(self, said: &str) -> bool {
        let mut digits = itoa::Buffer::new();
        said.as_bytes() == self.write(&mut digits) || odd_number_in(said) == Some(self.0)
    }

    /// In digits.
    pub fn write(self, buffer: &mut itoa::Buffer) -> &[u8] {
        buffer.format(self.0).as_bytes()
    }
}

/// The number that stands in an id of ours.
fn number_in(written: &str) -> Option<u64> {
    plain_number_in(written).or_else(|| odd_number_in(written))
}

/// As nearly all nodes give it back.
fn plain_number_in(written: &str) -> Option<u64> {
    let digits = written.as_bytes();
    let first = *digits.first()?;
    if first == b'0' || digits.len() > UpstreamCallId::DIGITS_MAX {
        return None;
    }
    digits.iter().try_fold(0, |number: u64, digit| {
        digit
            .is_ascii_digit()
            .then(|| number * 10 + u64::from(digit - b'0'))
    })
}

/// Some nodes give it back as a string, or as 1.0.
#[cold]
fn odd_number_in(written: &str) -> Option<u64> {
    let bare = written
        .strip_prefix('"')
        .and_then(|id| id.strip_suffix('"'));
    let id = bare.unwrap_or(written);
    let whole = id.trim_end_matches('0').strip_suffix('.').unwrap_or(id);
    let is_written_by_us =
        whole.bytes().all(|byte| byte.is_ascii_digit()) && !whole.starts_with('0');
    whole.parse().ok().filter(|_| is_written_by_us)
}

/// A call as [`Call::for_node`] writes it, with another id of the same call: in parts, one after
/// another.
pub fn numbered<'a>(call: &'a [u8], id: &'a [u8]) -> [&'a [u8]; 3] {
    let after_id = call.get(BEFORE_ID.len() + 1..).unwrap_or_default();
    [BEFORE_ID, id, after_id]
}

impl<'a> Call<'a> {
    /// `params`, if any, is an array or an object, well formed.
    pub fn new(
        id: Option<&'a str>,
        method: impl Into<Cow<'a, str>>,
        params: Option<&'a str>,
    ) -> Call<'a> {
        Call {
            id,
            method: method.into(),
            params,
            elements: params.map(ElementOffsets::of).unwrap_or_default(),
        }
    }

    /// The envelope that a node gets, written anew with [`UpstreamCallId::FIRST`], up to the params, with room for
    /// them.
    /// After them follows `}`.
    pub fn opening(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(96 + self.method.len() + self.params().len());
        out.extend_from_slice(br#"{"jsonrpc":"2.0","id":1,"method":"#);
        let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
        if self.method.bytes().all(plain) {
            out.push(b'"');
            out.extend_from_slice(self.method.as_bytes());
            out.push(b'"');
        } else {
            out.extend_from_slice(
                serde_json::Value::from(&*self.method)
                    .to_string()
                    .as_bytes(),
            );
        }
        out.extend_from_slice(br#","params":"#);
        out
    }

    /// The params as a node gets them: as they came.
    pub fn params(&self) -> &str {
        self.params.unwrap_or("[]")
    }

    /// The call as a node gets it, but for its [id](numbered): an envelope written anew, the params as they came.
    pub fn for_node(&self) -> Vec<u8> {
        let mut out = self.opening();
        out.extend_from_slice(self.params().as_bytes());
        out.push(b'}');
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn call(body: &str) -> Result<Call<'_>, Refusal> {
        match RpcRequest::read(body.as_bytes(), 10)? {
            RpcRequest::Single(RequestItem::Call(call)) => Ok(call),
            RpcRequest::Single(RequestItem::Refused { why, .. }) => Err(why),
            RpcRequest::Batch(_) => panic!("a batch"),
        }
    }

    fn code(body: &str) -> i32 {
        call(body).expect_err(body).code()
    }

    #[test]
    fn a_call_goes_out_with_an_id_of_its_own() {
        let plain = call(r#"{"jsonrpc":"2.0","id":"a","method":"m","params":[{"id":1}]}"#);
        let plain = plain.unwrap().for_node();
        let id = UpstreamCallId::drawn(u64::MAX).after(7);
        let sent = numbered(&plain, id.write(&mut itoa::Buffer::new())).concat();
        let sent = String::from_utf8(sent).unwrap();
        let (_, rest) = sent.split_once("\"id\":").unwrap();
        let (digits, rest) = rest.split_once(',').unwrap();
        assert_eq!(rest, r#""method":"m","params":[{"id":1}]}"#);
        assert!(
            digits.len() <= UpstreamCallId::DIGITS_MAX && id.is(digits),
            "{digits}"
        );
        assert!(!id.after(1).is(digits) && !UpstreamCallId::FIRST.is(digits));
        assert_eq!(UpstreamCallId::drawn(u64::MAX).calls_to(digits), Some(7));
        assert_eq!(id.after(1).calls_to(digits), None);
        for other in [
            "", "-1", "+1", "1e0", "01x", "01", "null", "\"1", "\"\"", ".0", "{}",
        ] {
            assert!(!UpstreamCallId::FIRST.is(other), "{other}");
        }
        for dressed in ["\"1\"", "1.0", "1.00"] {
            assert!(UpstreamCallId::FIRST.is(dressed), "{dressed}");
        }
        assert_eq!(UpstreamCallId::FIRST.calls_to("\"10\""), Some(9));
        assert_eq!(UpstreamCallId::FIRST.calls_to("10.0"), Some(9));
    }

    #[test]
    fn ids_come_back_byte_for_byte() {
        for id in [
            "1",
            "9007199254740993",
            "1e3",
            "-0",
            "null",
            r#""a\u0041 ""#,
            "\"\"",
            "1.50",
        ] {
            let body = format!(r#" {{"jsonrpc":"2.0","id" : {id} ,"method":"m"}} "#);
            assert_eq!(call(&body).unwrap().id, Some(id));
        }
        assert_eq!(call(r#"{"jsonrpc":"2.0","method":"m"}"#).unwrap().id, None);
    }

    #[test]
    fn escapes_in_keys_and_methods_mean_what_they_mean() {
        let call = call(r#"{"jsonrp\u0063":"2.0","id":1,"m\u0065thod":"eth\u005fcall"}"#).unwrap();
        assert_eq!(call.method, "eth_call");
    }

    #[test]
    fn what_two_decoders_could_read_in_two_ways_is_refused() {
        for extra in [
            r#""method":"a""#,
            r#""Method":"a""#,
            r#""m\u0065thod":"a""#,
            r#""PARAMS":[]"#,
            r#""paramſ":[]"#,
            r#""Id":2"#,
            r#""id":2"#,
            r#""jsonRPC":"2.0""#,
        ] {
            let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":[],{extra}}}"#);
            assert_eq!(code(&body), -32600, "{extra}");
        }
        let unknown = r#"{"jsonrpc":"2.0","id":1,"method":"m","extra":{"method":1}}"#;
        assert!(call(unknown).is_ok());
    }

    #[test]
    fn a_refused_call_keeps_its_id() {
        let body = br#"{"jsonrpc":"2.0","id":"x","method":7}"#;
        let Ok(RpcRequest::Single(RequestItem::Refused { id, .. })) = RpcRequest::read(body, 1)
        else {
            panic!("not refused");
        };
        assert_eq!(id, Some("\"x\""));
    }

    #[test]
    fn bad_calls_get_their_codes() {
        for (body, wanted) in [
            ("", -32700),
            ("{", -32700),
            ("nonsense", -32700),
            (r#"{"a":1}x"#, -32700),
            ("[1", -32700),
            ("7", -32600),
            ("\"a\"", -32600),
            ("null", -32600),
            (r#"{"jsonrpc":"1.0","id":1,"method":"m"}"#, -32600),
            (r#"{"id":1,"method":"m"}"#, -32600),
            (r#"{"jsonrpc":"2.0","id":1}"#, -32600),
            (r#"{"jsonrpc":"2.0","id":{},"method":"m"}"#, -32600),
            (r#"{"jsonrpc":"2.0","id":true,"method":"m"}"#, -32600),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"m","params":"x"}"#,
                -32602,
            ),
        ] {
            assert_eq!(code(body), wanted, "{body}");
        }
        assert_eq!(RpcRequest::read(b"\xff\xfe", 1), Err(Refusal::BadJson));
    }

    #[test]
    fn a_batch_is_one_to_its_limit_and_each_place_is_judged_alone() {
        let one = r#"{"jsonrpc":"2.0","id":1,"method":"m"}"#;
        let body = format!("[{one},7,{{}}]");
        let Ok(RpcRequest::Batch(items)) = RpcRequest::read(body.as_bytes(), 3) else {
            panic!("no batch");
        };
        assert!(matches!(items[0], RequestItem::Call(_)));
        assert!(matches!(items[1], RequestItem::Refused { .. }));
        assert!(matches!(items[2], RequestItem::Refused { .. }));
        let refused = |body: &str| RpcRequest::read(body.as_bytes(), 3).unwrap_err();
        assert_eq!(refused("[]").code(), -32600);
        assert_eq!(
            refused("[1,2,3,4]"),
            Refusal::BatchTooLarge { calls_max: 3 }
        );
        assert_eq!(refused("[1,2,3,4"), Refusal::BadJson);
        assert!(matches!(
            RpcRequest::read(b"[1]", 3),
            Ok(RpcRequest::Batch(_))
        ));
    }

    #[test]
    fn nesting_is_taken_to_its_limit_and_no_further() {
        let nested = |depth: usize| {
            let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"[[","params":{open}"]]\"["{close}}}"#)
        };
        assert!(call(&nested(DEPTH_MAX)).is_ok());
        assert_eq!(code(&nested(DEPTH_MAX + 1)), -32600);
        assert_eq!(code(&nested(100_000)), -32600);
    }

    #[test]
    fn a_node_gets_our_envelope_and_the_callers_params() {
        let body =
            r#"{"params": [ 1e3 ,"\u00e9"], "method":"a\"b", "id":"theirs","jsonrpc":"2.0"}"#;
        let sent = String::from_utf8(call(body).unwrap().for_node()).unwrap();
        assert_eq!(
            sent,
            r#"{"jsonrpc":"2.0","id":1,"method":"a\"b","params":[ 1e3 ,"\u00e9"]}"#
        );
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = RpcRequest::read(&body, 3);
        }

        #[test]
        fn json_like_text_never_panics(body in r#"[\[\]{}",:a-z0-9\\u]{0,80}"#) {
            let _ = RpcRequest::read(body.as_bytes(), 3);
        }

        #[test]
        fn n_calls_make_n_items_in_order(ids in proptest::collection::vec(any::<u32>(), 1..20)) {
            let calls: Vec<_> = ids.iter()
                .map(|id| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"m"}}"#))
                .collect();
            let body = format!("[{}]", calls.join(","));
            let Ok(RpcRequest::Batch(items)) = RpcRequest::read(body.as_bytes(), 20) else {
                return Err(TestCaseError::fail("no batch"));
            };
            let back: Vec<_> = items.iter().map(|item| match item {
                RequestItem::Call(call) => call.id.unwrap_or_default().to_string(),
                RequestItem::Refused { .. } => String::new(),
            }).collect();
            prop_assert_eq!(back, ids.iter().map(u32::to_string).collect::<Vec<_>>());
        }
    }
}

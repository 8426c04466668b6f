//! What must hold whatever the bytes are. Each check panics when it does not.

use std::fs;

use bytes::{Bytes, BytesMut};
use forebay::client::http1::head::{HEAD_BYTES_MAX, Http1HeadReader as Heads};
use forebay::client::request_head::RequestKind;
use forebay::node::body::BodyReader;
use forebay::node::response_head::{ResponseFraming, ResponseHead, ResponseHeadReader};
use forebay::registry::last_list::{self, LastListFile};
use forebay_core::rpc::answer::{Answer, AnswerFault, Outcome, Splicer};
use forebay_core::rpc::classify::{self, AttemptClass, Blame, FailoverRule};
use forebay_core::rpc::envelope::{Call, RequestItem, RpcRequest, UpstreamCallId};
use forebay_core::wire::framing::{self, BodyExtent};
use serde_json::value::RawValue;
use tempfile::TempDir;

/// Calls of one batch.
const CALLS_MAX: usize = 8;

/// A client's body: what is taken for a call goes to a node with its params as they came, and
/// its id is bytes of the body.
pub fn packet(bytes: &[u8]) {
    let Ok(packet) = RpcRequest::read(bytes, CALLS_MAX) else {
        return;
    };
    let items = match packet {
        RpcRequest::Single(item) => vec![item],
        RpcRequest::Batch(items) => items,
    };
    assert!((1..=CALLS_MAX).contains(&items.len()));
    let is_json = serde_json::from_slice::<&RawValue>(bytes).is_ok();
    for item in &items {
        match item {
            RequestItem::Call(call) => {
                assert!(is_json, "a call out of no JSON");
                one_call(bytes, call);
            }
            RequestItem::Refused { id, why } => {
                id.iter().for_each(|id| an_id(bytes, id));
                let said = why.body(*id);
                serde_json::from_str::<&RawValue>(&said).unwrap();
            }
        }
    }
}

fn one_call(body: &[u8], call: &Call<'_>) {
    call.id.iter().for_each(|id| an_id(body, id));
    let sent = call.for_node();
    let Ok(RpcRequest::Single(RequestItem::Call(heard))) = RpcRequest::read(&sent, 1) else {
        panic!("a node can't read what it is sent");
    };
    assert_eq!(heard.id.map(|id| UpstreamCallId::FIRST.is(id)), Some(true));
    assert_eq!(heard.method, call.method);
    assert_eq!(heard.params, Some(call.params.unwrap_or("[]")));
}

/// A string, a number or null, and a part of what was sent.
fn an_id(body: &[u8], id: &str) {
    assert!(memchr::memmem::find(body, id.as_bytes()).is_some());
    let raw: &RawValue = serde_json::from_str(id).unwrap();
    assert!(!raw.get().starts_with(['{', '[', 't', 'f']), "{id}");
}

/// A node's answer: whole or in pieces, the caller's id is put in and nothing else changes; and
/// a revert says nothing of the node.
pub fn answer(bytes: &[u8]) {
    const ID: &str = "\"é\"";
    let whole = Answer::read(bytes, UpstreamCallId::FIRST).map(|answer| {
        let mut out = Vec::new();
        answer.write_to(ID, &mut out);
        out
    });
    let streamed = spliced(bytes, ID, bytes.len());
    for step in [1, 3, 7] {
        let cut = spliced(bytes, ID, step);
        assert_eq!(cut.is_ok(), streamed.is_ok(), "cut at {step}");
        if let (Ok(cut), Ok(streamed)) = (&cut, &streamed) {
            assert_eq!(cut, streamed);
        }
    }
    let Ok(whole) = whole else { return };
    let text: &RawValue = serde_json::from_slice(&whole).unwrap();
    assert!(text.get().contains(ID));
    if let Ok(streamed) = streamed {
        assert_eq!(streamed.trim_ascii(), whole);
    }
    if let Ok(Answer {
        outcome: Outcome::Error(error),
        ..
    }) = Answer::read(bytes, UpstreamCallId::FIRST)
    {
        an_error(&error);
    }
}

fn an_error(error: &forebay_core::rpc::answer::RpcError<'_>) {
    for status in [200, 400, 401, 402, 403, 404, 413, 429, 500, 504] {
        let verdict = classify::of_error(error, status, None);
        let message = error.message.to_lowercase();
        if error.code == 3 || message.starts_with("execution reverted") {
            assert_eq!(verdict.class, AttemptClass::RpcError, "{error:?}");
            assert_eq!(verdict.class.elsewhere(), FailoverRule::Never);
            assert_eq!(verdict.blame(), Blame::None);
        }
        assert_eq!(
            verdict.shut().is_some(),
            verdict.class == AttemptClass::Shut
        );
        assert!(verdict.rest.is_none_or(|rest| rest.as_secs() <= 300));
    }
}

fn spliced(bytes: &[u8], id: &str, step: usize) -> Result<Vec<u8>, AnswerFault> {
    let mut splicer = Splicer::new(Bytes::copy_from_slice(id.as_bytes()), UpstreamCallId::FIRST);
    let mut out = Vec::new();
    for piece in bytes.chunks(step.max(1)) {
        splicer.feed(&Bytes::copy_from_slice(piece), &mut out)?;
    }
    splicer.finish()?;
    Ok(out.concat())
}

/// A node's HTTP response: it reads the same at once and byte by byte.
pub fn response(bytes: &[u8]) {
    let at_once = read(bytes, bytes.len());
    for step in [1, 2, 5] {
        let cut = read(bytes, step);
        assert_eq!(cut.is_ok(), at_once.is_ok(), "cut at {step}");
        if let (Ok(cut), Ok(at_once)) = (&cut, &at_once) {
            assert_eq!(cut, at_once);
        }
    }
    if let Ok((Some(head), body, _)) = at_once {
        assert!((200..600).contains(&head.status));
        assert!(body.len() <= bytes.len());
    }
}

/// The head, the body's bytes, and whether it ended.
type Response = (Option<ResponseHead>, Vec<u8>, bool);

fn read(bytes: &[u8], step: usize) -> Result<Response, &'static str> {
    let mut reader = ResponseHeadReader::default();
    let mut buffer = BytesMut::new();
    let mut body: Option<(ResponseHead, BodyReader)> = None;
    let mut data = Vec::new();
    for piece in bytes.chunks(step.max(1)) {
        buffer.extend_from_slice(piece);
        if body.is_none() {
            let head = reader.take(&mut buffer).map_err(|why| why.0)?;
            body = head.map(|head| (head.clone(), BodyReader::new(head.framing)));
        }
        if let Some((_, body)) = &mut body {
            while let Some(piece) = body.take(&mut buffer).map_err(|why| why.0)? {
                data.extend_from_slice(&piece);
            }
        }
    }
    let ended = body.as_mut().is_some_and(|(_, body)| body.close());
    Ok((body.map(|(head, _)| head), data, ended))
}

/// What a client sends: its requests read the same at once and byte by byte, and nobody who reads
/// more strictly sees other ones.
pub fn request(bytes: &[u8]) {
    let at_once = requests(bytes, bytes.len());
    for step in [1, 2, 5] {
        assert_eq!(requests(bytes, step), at_once, "cut at {step}");
    }
    let mut buffer = BytesMut::from(bytes);
    let Ok(Some(head)) = Heads::default().take(&mut buffer) else {
        return;
    };
    let read = &bytes[..bytes.len() - buffer.len()];
    let head_bytes = read.trim_ascii_start();
    assert_eq!(framing::check(head_bytes), Ok(()));
    assert!(read.len() <= HEAD_BYTES_MAX + 2 && read.ends_with(b"\r\n\r\n"));
    let lower = head_bytes.to_ascii_lowercase();
    let says = |name: &[u8]| memchr::memmem::find(&lower, name).is_some();
    match head.extent {
        BodyExtent::Nothing => assert!(!says(b"\r\ntransfer-encoding:")),
        BodyExtent::Length(length) => {
            assert_eq!(head.asked.body_bytes, Some(length));
            assert!(says(b"\r\ncontent-length:") && !says(b"\r\ntransfer-encoding:"));
        }
        BodyExtent::Chunked => {
            assert!(says(b"\r\ntransfer-encoding:") && !says(b"\r\ncontent-length:"));
        }
    }
}

/// Wishes and bodies of all requests, and how it ends.
type Requests = (Vec<(RequestKind, Vec<u8>)>, Result<(), String>);

fn requests(bytes: &[u8], step: usize) -> Requests {
    let (mut heads, mut buffer) = (Heads::default(), BytesMut::new());
    let (mut told, mut body) = (Vec::new(), BodyReader::Ended);
    for piece in bytes.chunks(step.max(1)) {
        buffer.extend_from_slice(piece);
        if let Err(why) = go_on(&mut heads, &mut body, &mut buffer, &mut told) {
            return (told, Err(why));
        }
    }
    (told, Ok(()))
}

fn go_on(
    heads: &mut Heads,
    body: &mut BodyReader,
    buffer: &mut BytesMut,
    told: &mut Vec<(RequestKind, Vec<u8>)>,
) -> Result<(), String> {
    loop {
        while let Some(piece) = body.take(buffer).map_err(|why| why.to_string())? {
            told.last_mut().unwrap().1.extend_from_slice(&piece);
        }
        if !body.is_ended() {
            return Ok(());
        }
        let Some(head) = heads.take(buffer).map_err(|why| why.sentence())? else {
            return Ok(());
        };
        told.push((head.asked.wish, Vec::new()));
        *body = BodyReader::new(match head.extent {
            BodyExtent::Nothing => ResponseFraming::Nothing,
            BodyExtent::Length(length) => ResponseFraming::Length(length),
            BodyExtent::Chunked => ResponseFraming::Chunked,
        });
    }
}

/// The last list on disk: what was read is written the same, and resolving it shows no secret.
pub fn list(bytes: &[u8]) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("list.json");
    fs::write(&path, bytes).unwrap();
    let Ok(records) = last_list::load(&LastListFile::new(&path, None)) else {
        return;
    };
    let copy = LastListFile::new(&folder.path().join("copy.json"), None);
    last_list::save(&copy, &records).unwrap();
    assert!(last_list::load(&copy).unwrap() == records);
    // What stands up to the host is shown by design.
    let shows_key = |url: &String| url.splitn(4, '/').take(3).any(|part| part.contains("${"));
    for record in &records {
        if shows_key(&record.url) || record.ws_url.as_ref().is_some_and(shows_key) {
            continue;
        }
        let lookup = |name: &str| (name == "KEY").then(|| "s3cretkey-s3cretkey".to_string());
        match record.resolve(&lookup) {
            Ok(spec) => {
                assert!(!format!("{spec:?}{record:?}").contains("s3cretkey"));
                assert!(!spec.url.identity().is_empty());
                assert_eq!(spec.weight, record.weight);
            }
            Err(fault) => assert!(!fault.to_string().contains("s3cretkey"), "{fault}"),
        }
    }
}

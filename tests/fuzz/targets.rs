//! What must hold whatever the bytes are. Each check panics when it does not.

use std::fs;

use bytes::{Bytes, BytesMut};
use forebay::domain::answer::{Answer, BadAnswer, Outcome, Splicer};
use forebay::domain::framing::{self, Extent};
use forebay::domain::jsonrpc::{Call, Item, OwnId, Packet};
use forebay::domain::verdict::{self, Blame, Class, Elsewhere};
use forebay::registry::last_list;
use forebay::serve::asked::Wish;
use forebay::serve::http1::head::{HEAD_BYTES_MAX, HeadReader as Heads};
use forebay::upstream::body::Body;
use forebay::upstream::head::{Framing, Head, HeadReader};
use serde_json::value::RawValue;
use tempfile::TempDir;

/// Calls of one batch.
const CALLS_MAX: usize = 8;

/// A client's body: what is taken for a call goes to a node with its params as they came, and
/// its id is bytes of the body.
pub fn packet(bytes: &[u8]) {
    let Ok(packet) = Packet::read(bytes, CALLS_MAX) else {
        return;
    };
    let items = match packet {
        Packet::Single(item) => vec![item],
        Packet::Batch(items) => items,
    };
    assert!((1..=CALLS_MAX).contains(&items.len()));
    let is_json = serde_json::from_slice::<&RawValue>(bytes).is_ok();
    for item in &items {
        match item {
            Item::Call(call) => {
                assert!(is_json, "a call out of no JSON");
                one_call(bytes, call);
            }
            Item::Refused { id, why } => {
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
    let Ok(Packet::Single(Item::Call(heard))) = Packet::read(&sent, 1) else {
        panic!("a node can't read what it is sent");
    };
    assert_eq!(heard.id.map(|id| OwnId::FIRST.is(id)), Some(true));
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
    let whole = Answer::read(bytes, OwnId::FIRST).map(|answer| {
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
    }) = Answer::read(bytes, OwnId::FIRST)
    {
        an_error(&error);
    }
}

fn an_error(error: &forebay::domain::answer::RpcError<'_>) {
    for status in [200, 400, 401, 402, 403, 404, 413, 429, 500, 504] {
        let verdict = verdict::of_error(error, status, None);
        let message = error.message.to_lowercase();
        if error.code == 3 || message.starts_with("execution reverted") {
            assert_eq!(verdict.class, Class::RpcError, "{error:?}");
            assert_eq!(verdict.class.elsewhere(), Elsewhere::Never);
            assert_eq!(verdict.blame(), Blame::None);
        }
        assert_eq!(verdict.shut().is_some(), verdict.class == Class::Shut);
        assert!(verdict.rest.is_none_or(|rest| rest.as_secs() <= 300));
    }
}

fn spliced(bytes: &[u8], id: &str, step: usize) -> Result<Vec<u8>, BadAnswer> {
    let mut splicer = Splicer::new(Bytes::copy_from_slice(id.as_bytes()), OwnId::FIRST);
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
type Response = (Option<Head>, Vec<u8>, bool);

fn read(bytes: &[u8], step: usize) -> Result<Response, &'static str> {
    let mut reader = HeadReader::default();
    let mut buffer = BytesMut::new();
    let mut body: Option<(Head, Body)> = None;
    let mut data = Vec::new();
    for piece in bytes.chunks(step.max(1)) {
        buffer.extend_from_slice(piece);
        if body.is_none() {
            let head = reader.take(&mut buffer).map_err(|why| why.0)?;
            body = head.map(|head| (head.clone(), Body::new(head.framing)));
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
        Extent::Nothing => assert!(!says(b"\r\ntransfer-encoding:")),
        Extent::Length(length) => {
            assert_eq!(head.asked.body_bytes, Some(length));
            assert!(says(b"\r\ncontent-length:") && !says(b"\r\ntransfer-encoding:"));
        }
        Extent::Chunked => {
            assert!(says(b"\r\ntransfer-encoding:") && !says(b"\r\ncontent-length:"));
        }
    }
}

/// Wishes and bodies of all requests, and how it ends.
type Requests = (Vec<(Wish, Vec<u8>)>, Result<(), String>);

fn requests(bytes: &[u8], step: usize) -> Requests {
    let (mut heads, mut buffer) = (Heads::default(), BytesMut::new());
    let (mut told, mut body) = (Vec::new(), Body::Ended);
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
    body: &mut Body,
    buffer: &mut BytesMut,
    told: &mut Vec<(Wish, Vec<u8>)>,
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
        *body = Body::new(match head.extent {
            Extent::Nothing => Framing::Nothing,
            Extent::Length(length) => Framing::Length(length),
            Extent::Chunked => Framing::Chunked,
        });
    }
}

/// The last list on disk: what was read is written the same, and resolving it shows no secret.
pub fn list(bytes: &[u8]) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("list.json");
    fs::write(&path, bytes).unwrap();
    let Ok(records) = last_list::load(&path) else {
        return;
    };
    let copy = folder.path().join("copy.json");
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

//! HTTP/1.1 of nodes and of clients. Each check panics when what must hold does not.

use bytes::BytesMut;
use forebay::client::http1::head::{HEAD_BYTES_MAX, Http1HeadReader as Heads};
use forebay::client::request_head::RequestKind;
use forebay::node::body::BodyReader;
use forebay::node::response_head::{ResponseFraming, ResponseHead, ResponseHeadReader};
use forebay_core::wire::framing::{self, BodyExtent};

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

/// What a client sends: its requests read the same at once and byte by byte, and no server that reads
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
            assert_eq!(head.request.body_bytes, Some(length));
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
        told.push((head.request.kind, Vec::new()));
        *body = BodyReader::new(match head.extent {
            BodyExtent::Nothing => ResponseFraming::Nothing,
            BodyExtent::Length(length) => ResponseFraming::Length(length),
            BodyExtent::Chunked => ResponseFraming::Chunked,
        });
    }
}

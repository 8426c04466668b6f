//! The head of a request: found, parsed and judged strictly (RFC 9112).
//!
//! Whatever two readers could read in two ways is refused. The verdict does not depend on how the
//! bytes were cut.

use std::mem::MaybeUninit;

use bytes::{Buf, BytesMut};
use http::header::{HeaderName, HeaderValue};
use httparse::{ParserConfig, Request, Status};

use crate::client::request_head::{HeadOptions, RequestHead};
use forebay_core::rpc::refusal::Refusal;
use forebay_core::wire::framing::{BodyExtent, RequestFields};
use forebay_core::wire::header_list::lists;

/// The longest head, in bytes, its empty line included.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;
/// The most headers in a head.
pub const HEADERS_MAX: usize = 256;

/// What of a head matters to us.
#[derive(Debug)]
pub struct Http1Head {
    pub request: RequestHead,
    pub extent: BodyExtent,
    /// Whether the client wants the connection to go on.
    pub keeps: bool,
    /// The head itself where it asks for a WebSocket.
    pub websocket: Option<Box<http::Request<()>>>,
}

/// Finds heads at the front of a growing buffer.
#[derive(Debug, Default)]
pub struct Http1HeadReader {
    /// Bytes that need no second look.
    scanned: usize,
    line_start: usize,
    /// As they are when the head has come: a connection may be idle for long before.
    pub options: HeadOptions,
}

impl Http1HeadReader {
    /// Takes a head off the front of `buffer`. `None` when bytes are missing: call again with the
    /// same buffer, grown.
    ///
    /// # Errors
    /// Any departure from a plain HTTP/1.0 or 1.1 request head. After that, nothing is certain.
    pub fn take(&mut self, buffer: &mut BytesMut) -> Result<Option<Http1Head>, Refusal> {
        // An empty line before a request is a habit of old clients (RFC 9112 §2.2).
        while self.scanned == 0 && buffer.starts_with(b"\r\n") {
            buffer.advance(2);
        }
        let Some(end) = self.find_end(buffer)? else {
            return Ok(None);
        };
        let head = parse(&buffer[..end], self.options)?;
        buffer.advance(end);
        *self = Http1HeadReader::default();
        Ok(Some(head))
    }

    fn find_end(&mut self, bytes: &[u8]) -> Result<Option<usize>, Refusal> {
        let bytes = &bytes[..bytes.len().min(HEAD_BYTES_MAX)];
        while let Some(offset) = memchr::memchr(b'\n', &bytes[self.scanned..]) {
            let feed = self.scanned + offset;
            if feed == 0 || bytes[feed - 1] != b'\r' {
                return Err(Refusal::Framing("a line feed without a carriage return"));
            }
            self.scanned = feed + 1;
            if feed == self.line_start + 1 {
                return Ok(Some(feed + 1));
            }
            self.line_start = feed + 1;
        }
        // With one byte an empty line may begin, that is passed over.
        if bytes.len() > 1 {
            self.scanned = bytes.len();
        }
        if bytes.len() == HEAD_BYTES_MAX {
            return Err(Refusal::HeadTooLarge);
        }
        Ok(None)
    }
}

fn parse(bytes: &[u8], options: HeadOptions) -> Result<Http1Head, Refusal> {
    let mut room = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut request = Request::new(&mut []);
    let parsed =
        ParserConfig::default().parse_request_with_uninit_headers(&mut request, bytes, &mut room);
    match parsed {
        Ok(Status::Complete(length)) if length == bytes.len() => {}
        Ok(_) => return Err(Refusal::Framing("a stray empty line")),
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::HeadTooLarge),
        Err(_) => return Err(Refusal::Framing("the head is unreadable")),
    }
    judge(&request, options).map_err(Refusal::Framing)
}

fn judge(request: &Request<'_, '_>, options: HeadOptions) -> Result<Http1Head, &'static str> {
    let path = path_of(request.path.unwrap_or_default());
    let mut head = RequestHead::new(request.method.unwrap_or_default(), path);
    head.is_http_1_0 = request.version == Some(0);
    let mut fields = RequestFields::default();
    let mut hosts = 0;
    let mut wishes = ConnectionOptions::default();
    for header in request.headers.iter() {
        let (name, value) = (header.name, header.value.trim_ascii());
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
        match name.len() {
            4 if is("host") => {
                hosts += 1;
                if options.hosts {
                    head.note_host(value);
                }
            }
            7 if is("upgrade") => wishes.websocket |= lists(value, b"websocket"),
            10 if is("connection") => wishes.note(value),
            14 if is("content-length") => fields.length(value)?,
            15 if options.packs && is("accept-encoding") => head.accepts.note(value),
            17 if is("transfer-encoding") => fields.coding(value)?,
            _ => head.note(name, value),
        }
    }
    // In absolute form the target says the host (RFC 9112 §3.2.2).
    if options.hosts
        && let Some(authority) = authority_of(request.path.unwrap_or_default())
    {
        head.note_host(authority.as_bytes());
    }
    if hosts > 1 || (hosts == 0 && !head.is_http_1_0) {
        return Err("not exactly one Host");
    }
    let extent = fields.judge(head.is_http_1_0)?;
    head.body_bytes = match extent {
        BodyExtent::Nothing => Some(0),
        BodyExtent::Length(length) => Some(length),
        BodyExtent::Chunked => None,
    };
    let may_upgrade = request.method == Some("GET") && head.kind.is_at_endpoint();
    let upgrades = may_upgrade && wishes.upgrade && wishes.websocket && !head.is_http_1_0;
    let websocket = (upgrades && extent == BodyExtent::Nothing).then(|| whole(request));
    Ok(Http1Head {
        keeps: !wishes.close && (!head.is_http_1_0 || wishes.keep_alive),
        request: head,
        extent,
        websocket: websocket.flatten().map(Box::new),
    })
}

/// What a client wants of its connection.
#[derive(Default)]
struct ConnectionOptions {
    close: bool,
    keep_alive: bool,
    upgrade: bool,
    websocket: bool,
}

impl ConnectionOptions {
    fn note(&mut self, connection: &[u8]) {
        self.close |= lists(connection, b"close");
        self.keep_alive |= lists(connection, b"keep-alive");
        self.upgrade |= lists(connection, b"upgrade");
    }
}

/// The path of a request's target, in origin form or in absolute form (RFC 9112 §3.2).
fn path_of(target: &str) -> &str {
    let path = if target.starts_with('/') {
        target
    } else {
        let authority = target.split_once("://").map_or("", |(_, rest)| rest);
        authority
            .find('/')
            .map_or(if authority.is_empty() { target } else { "/" }, |at| {
                &authority[at..]
            })
    };
    let end = path.find(['?', '#']).unwrap_or(path.len());
    &path[..end]
}

/// The authority of a request's target, in absolute form.
fn authority_of(target: &str) -> Option<&str> {
    let (_, rest) = target
        .split_once("://")
        .filter(|_| !target.starts_with('/'))?;
    rest.split(['/', '?', '#']).next()
}

/// The head with all its headers.
fn whole(request: &Request<'_, '_>) -> Option<http::Request<()>> {
    let mut whole = http::Request::new(());
    *whole.uri_mut() = request.path?.parse().ok()?;
    for header in request.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        let value = HeaderValue::from_bytes(header.value).ok()?;
        whole.headers_mut().append(name, value);
    }
    Some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::request_head::RequestKind;

    fn read(text: &str) -> Result<Option<Http1Head>, Refusal> {
        Http1HeadReader::default().take(&mut BytesMut::from(text))
    }

    fn head(lines: &str) -> Http1Head {
        read(&format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n"))
            .unwrap()
            .unwrap()
    }

    fn refused(text: &str) -> Refusal {
        read(text).expect_err(text)
    }

    #[test]
    fn a_plain_head_is_taken_and_the_rest_is_left() {
        let mut buffer =
            BytesMut::from("\r\nPOST /rpc?x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}");
        let head = Http1HeadReader::default()
            .take(&mut buffer)
            .unwrap()
            .unwrap();
        assert_eq!(
            (head.request.kind, head.extent),
            (RequestKind::Call, BodyExtent::Length(2))
        );
        assert!(head.keeps && head.websocket.is_none());
        assert_eq!(buffer, "{}");
        assert_eq!(
            self::head("Transfer-Encoding: chunked\r\n").extent,
            BodyExtent::Chunked
        );
    }

    #[test]
    fn the_host_is_the_targets_where_that_has_one() {
        let host = |target: &str, hosts| {
            let mut reader = Http1HeadReader {
                options: HeadOptions {
                    hosts,
                    ..HeadOptions::default()
                },
                ..Http1HeadReader::default()
            };
            let text = format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n");
            let head = reader
                .take(&mut BytesMut::from(&text[..]))
                .unwrap()
                .unwrap();
            head.request.host().map(<[u8]>::to_vec)
        };
        assert_eq!(host("/", true).as_deref(), Some(&b"a"[..]));
        assert_eq!(host("/x?u=http://c/", true).as_deref(), Some(&b"a"[..]));
        assert_eq!(host("http://b:80/x", true).as_deref(), Some(&b"b:80"[..]));
        assert_eq!(host("http://b", true).as_deref(), Some(&b"b"[..]));
        assert_eq!(host("http://b/", false), None);
    }

    #[test]
    fn a_head_may_come_byte_by_byte() {
        let text = "\r\nGET /health HTTP/1.1\r\nHost: a\r\nConnection: foo, Close\r\n\r\n";
        let (mut reader, mut buffer) = (Http1HeadReader::default(), BytesMut::new());
        for (at, byte) in text.bytes().enumerate() {
            buffer.extend_from_slice(&[byte]);
            let taken = reader.take(&mut buffer).unwrap();
            assert_eq!(taken.is_some(), at + 1 == text.len(), "{at}");
            if let Some(head) = taken {
                assert_eq!(
                    (head.request.kind, head.keeps),
                    (RequestKind::Health, false)
                );
            }
        }
    }

    #[test]
    fn every_way_to_be_rude_in_a_head_is_refused() {
        for text in [
            "POST / HTTP/1.1\nHost: a\n\n",
            "\nPOST / HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\nB: c\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nB: c\r\n\td\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nB : c\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nB: c\rd\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nB: \0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "POST / HTTP/1.1\r\n\r\n",
            "POST / HTTP/2.0\r\nHost: a\r\n\r\n",
            "POST /\r\n\r\n",
            "POST  / HTTP/1.1\r\nHost: a\r\n\r\n",
            "hello\r\n\r\n",
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        ] {
            assert!(matches!(refused(text), Refusal::Framing(_)), "{text:?}");
        }
    }

    #[test]
    fn heads_have_limits_of_bytes_and_headers() {
        let sized = |bytes: usize| {
            let rest = "POST / HTTP/1.1\r\nHost: a\r\nB: \r\n\r\n".len();
            let long = "x".repeat(bytes - rest);
            read(&format!("POST / HTTP/1.1\r\nHost: a\r\nB: {long}\r\n\r\n"))
        };
        assert!(sized(HEAD_BYTES_MAX).is_ok());
        assert_eq!(
            sized(HEAD_BYTES_MAX + 1).unwrap_err(),
            Refusal::HeadTooLarge
        );
        let many = |headers: usize| {
            let more = "B: c\r\n".repeat(headers - 1);
            read(&format!("POST / HTTP/1.1\r\nHost: a\r\n{more}\r\n"))
        };
        assert!(many(HEADERS_MAX).is_ok());
        assert_eq!(many(HEADERS_MAX + 1).unwrap_err(), Refusal::HeadTooLarge);
    }

    #[test]
    fn whether_a_connection_goes_on_is_said_by_version_and_header() {
        let keeps = |version: &str, lines: &str| {
            let text = format!("GET / HTTP/{version}\r\nHost: a\r\n{lines}\r\n");
            read(&text).unwrap().unwrap().keeps
        };
        assert!(keeps("1.1", "") && !keeps("1.0", ""));
        assert!(keeps("1.0", "Connection: Keep-Alive\r\n"));
        assert!(!keeps("1.1", "Connection: close\r\n"));
        assert!(!keeps(
            "1.1",
            "Connection: keep-alive\r\nConnection: a,close\r\n"
        ));
    }

    #[test]
    fn a_path_is_found_in_every_form_of_a_target() {
        for (target, path) in [
            ("/rpc", "/rpc"),
            ("/?a=/b", "/"),
            ("*", "*"),
            ("http://a:1/rpc?x", "/rpc"),
            ("http://a", "/"),
            ("http://a?x=/", "/"),
            ("a:443", "a:443"),
        ] {
            assert_eq!(path_of(target), path, "{target}");
        }
    }

    #[test]
    fn a_websocket_is_asked_for_by_both_headers_at_the_endpoint() {
        let asks = |start: &str, lines: &str| {
            let text = format!("{start}\r\nHost: a\r\nX: y\r\n{lines}\r\n");
            let head = read(&text).unwrap().unwrap();
            head.websocket
                .map(|head| head.headers()["x"].to_str().unwrap() == "y")
        };
        let both = "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n";
        assert_eq!(asks("GET / HTTP/1.1", both), Some(true));
        assert_eq!(asks("GET /rpc?key=1 HTTP/1.1", both), Some(true));
        for (start, lines) in [
            ("GET /health HTTP/1.1", both),
            ("POST / HTTP/1.1", both),
            ("GET / HTTP/1.0", both),
            ("GET / HTTP/1.1", "Upgrade: websocket\r\n"),
            ("GET / HTTP/1.1", "Connection: upgrade\r\nUpgrade: h2c\r\n"),
            ("GET / HTTP/1.1", "Connection: upgrade\r\n"),
        ] {
            assert_eq!(asks(start, lines), None, "{start} {lines}");
        }
    }
}

//! The head of a response: found, parsed and judged strictly (RFC 9112).
//!
//! Two readers that disagree on where an answer ends can be made to swap answers, so whatever
//! could be read in two ways is refused. The verdict does not depend on how the bytes were cut.

use std::mem::MaybeUninit;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use httparse::{ParserConfig, Response, Status};

use crate::clock;
use crate::node::fault::MalformedHttp;
use forebay_core::wire::coding::{Coding, Encoding};
use forebay_core::wire::header_list::lists;

/// The longest head, in bytes, its empty line included.
pub const HEAD_BYTES_MAX: usize = 32 * 1024;
/// The most headers in a head.
pub const HEADERS_MAX: usize = 64;
/// The most interim (1xx) heads before the final one.
pub const INTERIM_HEADS_MAX: u8 = 8;
/// The longest rest that a node can ask for by `Retry-After`.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How the end of a body is found (RFC 9112, 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseFraming {
    /// There is none, whatever the headers say: 204 and 304.
    Nothing,
    /// This many bytes.
    Length(u64),
    Chunked,
    /// The end of the connection is the end of the body.
    UntilClose,
}

/// What of a head matters to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// 200 to 599.
    pub status: u16,
    pub framing: ResponseFraming,
    /// Whether the connection may carry another exchange.
    pub keeps: bool,
    /// `Retry-After` in seconds, at most [`RETRY_AFTER_MAX`]. A date is passed over.
    pub retry_after: Option<Duration>,
    /// What the body is packed with, although we asked for it as it is.
    pub coding: Option<Coding>,
}

/// Finds one final head at the front of a growing buffer.
#[derive(Debug, Default)]
pub struct ResponseHeadReader {
    /// Bytes that need no second look.
    scanned: usize,
    line_start: usize,
    interim: u8,
}

impl ResponseHeadReader {
    /// Takes the final head off the front of `buffer`; interim heads are taken off and dropped.
    /// `None` when bytes are missing: call again with the same buffer, grown.
    ///
    /// # Errors
    /// Any departure from a plain HTTP/1.0 or 1.1 response head.
    pub fn take(&mut self, buffer: &mut BytesMut) -> Result<Option<ResponseHead>, MalformedHttp> {
        while let Some(end) = self.find_end(buffer)? {
            let head = parse(&buffer[..end])?;
            buffer.advance(end);
            (self.scanned, self.line_start) = (0, 0);
            if head.is_some() {
                return Ok(head);
            }
            self.interim += 1;
            if self.interim > INTERIM_HEADS_MAX {
                return Err(MalformedHttp("too many interim responses"));
            }
        }
        Ok(None)
    }

    fn find_end(&mut self, bytes: &[u8]) -> Result<Option<usize>, MalformedHttp> {
        let bytes = &bytes[..bytes.len().min(HEAD_BYTES_MAX)];
        let opening = b"HTTP/1.";
        let known = bytes.len().min(opening.len());
        if bytes[..known] != opening[..known] {
            return Err(MalformedHttp("not HTTP/1"));
        }
        while let Some(offset) = memchr::memchr(b'\n', &bytes[self.scanned..]) {
            let feed = self.scanned + offset;
            if feed == 0 || bytes[feed - 1] != b'\r' {
                return Err(MalformedHttp("bare line feed in the head"));
            }
            self.scanned = feed + 1;
            if feed == self.line_start + 1 {
                return Ok(Some(feed + 1));
            }
            self.line_start = feed + 1;
        }
        self.scanned = bytes.len();
        if bytes.len() == HEAD_BYTES_MAX {
            return Err(MalformedHttp("head too long"));
        }
        Ok(None)
    }
}

/// Parses one whole head; `None` for an interim one.
fn parse(bytes: &[u8]) -> Result<Option<ResponseHead>, MalformedHttp> {
    let mut room = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut response = Response::new(&mut []);
    let parsed =
        ParserConfig::default().parse_response_with_uninit_headers(&mut response, bytes, &mut room);
    match parsed {
        Ok(Status::Complete(length)) if length == bytes.len() => {}
        Ok(_) => return Err(MalformedHttp("stray empty line in the head")),
        Err(httparse::Error::TooManyHeaders) => return Err(MalformedHttp("too many headers")),
        Err(_) => return Err(MalformedHttp("unreadable head")),
    }
    let mut fields = ResponseFields::default();
    for header in response.headers.iter() {
        fields.note(header.name, header.value)?;
    }
    fields.judge(response.code.unwrap_or(0), response.version == Some(1))
}

/// What the headers say, before it is weighed.
#[derive(Default)]
struct ResponseFields {
    length: Option<u64>,
    chunked: bool,
    close: bool,
    retry_after: Option<Duration>,
    encoding: Encoding,
}

/// The value of `Retry-After`: seconds, or a date (RFC 9110 §10.2.3).
pub fn rest_asked(value: &[u8]) -> Option<Duration> {
    let by_date = || clock::until_http_date(std::str::from_utf8(value).ok()?);
    let rest = digits(value).map(Duration::from_secs).or_else(by_date)?;
    Some(rest.min(RETRY_AFTER_MAX))
}

impl ResponseFields {
    fn note(&mut self, name: &str, value: &[u8]) -> Result<(), MalformedHttp> {
        let value = value.trim_ascii();
        // Most headers are none of ours: their length alone says so.
        match name.len() {
            10 if name.eq_ignore_ascii_case("connection") => {
                self.close |= lists(value, b"close");
            }
            11 if name.eq_ignore_ascii_case("retry-after") => {
                self.retry_after = rest_asked(value);
            }
            14 if name.eq_ignore_ascii_case("content-length") => {
                let length = digits(value).ok_or(MalformedHttp("unreadable content length"))?;
                if self.length.is_some_and(|known| known != length) {
                    return Err(MalformedHttp("several content lengths"));
                }
                self.length = Some(length);
            }
            16 if name.eq_ignore_ascii_case("content-encoding") => {
                self.encoding = self.encoding.and(value);
            }
            17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(MalformedHttp("transfer encoding other than chunked"));
                }
                self.chunked = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn judge(self, status: u16, is_http_1_1: bool) -> Result<Option<ResponseHead>, MalformedHttp> {
        if self.chunked && self.length.is_some() {
            return Err(MalformedHttp("both a content length and chunked"));
        }
        if self.chunked && !is_http_1_1 {
            return Err(MalformedHttp("chunked in HTTP/1.0"));
        }
        let framed = self.chunked || self.length.is_some();
        match status {
            101 => return Err(MalformedHttp("another protocol, unasked")),
            100..200 if framed => return Err(MalformedHttp("interim response with a body")),
            100..200 => return Ok(None),
            200..600 => {}
            _ => return Err(MalformedHttp("status out of range")),
        }
        let bodiless = matches!(status, 204 | 304);
        let framing = match self.length {
            _ if bodiless => ResponseFraming::Nothing,
            Some(length) => ResponseFraming::Length(length),
            None if self.chunked => ResponseFraming::Chunked,
            None => ResponseFraming::UntilClose,
        };
        let coding = match self.encoding {
            Encoding::Identity => None,
            Encoding::One(coding) => Some(coding),
            Encoding::Other => return Err(MalformedHttp("encoded in a way that we don't know")),
        };
        // A body where none may be: there is no telling what this node sends next.
        let odd = bodiless && (self.chunked || self.length.is_some_and(|length| length > 0));
        let endless = framing == ResponseFraming::UntilClose;
        Ok(Some(ResponseHead {
            status,
            framing,
            keeps: is_http_1_1 && !self.close && !odd && !endless,
            retry_after: self.retry_after,
            coding,
        }))
    }
}

/// A number of decimal digits alone: no sign, no blank, no overflow.
fn digits(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0u64, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<ResponseHead>, MalformedHttp> {
        ResponseHeadReader::default().take(&mut BytesMut::from(text))
    }

    fn head(headers: &str) -> ResponseHead {
        read(&format!("HTTP/1.1 200 OK\r\n{headers}\r\n"))
            .unwrap()
            .unwrap()
    }

    #[test]
    fn every_way_to_be_rude_in_a_head_is_refused() {
        let feed = "bare line feed in the head";
        for (text, why) in [
            ("SSH-2.0-OpenSSH", "not HTTP/1"),
            ("HTTP/2 200\r\n\r\n", "not HTTP/1"),
            ("\r\nHTTP/1.1 200 OK\r\n\r\n", "not HTTP/1"),
            ("HTTP/1.2 200 OK\r\n\r\n", "unreadable head"),
            ("HTTP/1.1 20 OK\r\n\r\n", "unreadable head"),
            ("HTTP/1.1 2000 OK\r\n\r\n", "unreadable head"),
            ("HTTP/1.1 099 OK\r\n\r\n", "status out of range"),
            ("HTTP/1.1 600 OK\r\n\r\n", "status out of range"),
            ("HTTP/1.1 101 Up\r\n\r\n", "another protocol, unasked"),
            (
                "HTTP/1.1 100 Go\r\nContent-Length: 1\r\n\r\n",
                "interim response with a body",
            ),
            ("HTTP/1.1 200 OK\n\n", feed),
            ("HTTP/1.1 200 OK\r\nA: b\n\r\n", feed),
            ("HTTP/1.1 200 OK\r\nA: b\r\n\n", feed),
            ("HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n", "unreadable head"),
            ("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "unreadable head"),
            ("HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "unreadable head"),
            ("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "unreadable head"),
            ("HTTP/1.1 200 OK\r\nA: \0\r\n\r\n", "unreadable head"),
            (
                "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                "chunked in HTTP/1.0",
            ),
        ] {
            assert_eq!(read(text), Err(MalformedHttp(why)), "{text:?}");
        }
    }

    #[test]
    fn every_rude_header_is_refused() {
        for (why, rude) in [
            (
                "several content lengths",
                &["Content-Length: 5\r\nContent-Length: 6"][..],
            ),
            (
                "unreadable content length",
                &[
                    "Content-Length: 5, 5",
                    "Content-Length: +5",
                    "Content-Length: -5",
                    "Content-Length: 0x5",
                    "Content-Length:",
                    "Content-Length: 18446744073709551616",
                ],
            ),
            (
                "transfer encoding other than chunked",
                &[
                    "Transfer-Encoding: gzip, chunked",
                    "Transfer-Encoding: identity",
                    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
                ],
            ),
            (
                "both a content length and chunked",
                &["Content-Length: 5\r\nTransfer-Encoding: chunked"],
            ),
            (
                "encoded in a way that we don't know",
                &[
                    "Content-Encoding: br",
                    "Content-Encoding: gzip\r\nContent-Encoding: gzip",
                ],
            ),
        ] {
            for headers in rude {
                let text = format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n");
                assert_eq!(read(&text), Err(MalformedHttp(why)), "{headers:?}");
            }
        }
    }

    #[test]
    fn the_framing_is_read_from_the_headers_in_any_case() {
        use ResponseFraming::{Chunked, Length, UntilClose};
        for (headers, framing, keeps) in [
            ("content-length: 7", Length(7), true),
            ("CONTENT-LENGTH:7 \r\nContent-Length: 7", Length(7), true),
            ("Transfer-Encoding: Chunked", Chunked, true),
            (
                "Content-Encoding: identity\r\nContent-Length: 0",
                Length(0),
                true,
            ),
            (
                "Content-Length: 7\r\nConnection: x, Close",
                Length(7),
                false,
            ),
            ("Content-Length: 7\r\nConnection: closed", Length(7), true),
            ("A: b", UntilClose, false),
        ] {
            let head = head(&format!("{headers}\r\n"));
            assert_eq!((head.framing, head.keeps), (framing, keeps), "{headers:?}");
        }
        let none = head("");
        assert_eq!((none.framing, none.keeps), (UntilClose, false));
    }

    #[test]
    fn an_answer_in_http_1_0_is_read_but_its_connection_not_kept() {
        let text = "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n";
        let head = read(text).unwrap().unwrap();
        assert_eq!(
            (head.framing, head.keeps),
            (ResponseFraming::Length(2), false)
        );
    }

    #[test]
    fn no_content_and_not_modified_have_no_body() {
        for (line, headers, keeps) in [
            ("204 No Content", "", true),
            ("204 No Content", "Content-Length: 0\r\n", true),
            ("204 No Content", "Content-Length: 5\r\n", false),
            ("304 Not Modified", "Transfer-Encoding: chunked\r\n", false),
        ] {
            let head = read(&format!("HTTP/1.1 {line}\r\n{headers}\r\n"))
                .unwrap()
                .unwrap();
            assert_eq!(
                (head.framing, head.keeps),
                (ResponseFraming::Nothing, keeps),
                "{line}"
            );
        }
    }

    #[test]
    fn a_wish_to_rest_is_in_seconds_and_at_most_a_day() {
        let rest = |value: &str| head(&format!("Retry-After: {value}\r\n")).retry_after;
        assert_eq!(rest("7"), Some(Duration::from_secs(7)));
        assert_eq!(rest("86400"), Some(RETRY_AFTER_MAX));
        assert_eq!(rest("86401"), Some(RETRY_AFTER_MAX));
        assert_eq!(rest("18446744073709551615"), Some(RETRY_AFTER_MAX));
        assert_eq!(rest("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert_eq!(rest("Wed, 21 Oct 2499 07:28:00 GMT"), Some(RETRY_AFTER_MAX));
        assert_eq!(rest("tomorrow"), None);
    }

    #[test]
    fn a_head_is_at_most_32_kib_and_64_headers_long() {
        let sized = |bytes: usize| {
            let bare = "HTTP/1.1 200 OK\r\nA: \r\n\r\n".len();
            let text = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "x".repeat(bytes - bare));
            assert_eq!(text.len(), bytes);
            read(&text)
        };
        assert!(sized(HEAD_BYTES_MAX).unwrap().is_some());
        assert_eq!(
            sized(HEAD_BYTES_MAX + 1),
            Err(MalformedHttp("head too long"))
        );
        let many = |headers: usize| {
            read(&format!(
                "HTTP/1.1 200 OK\r\n{}\r\n",
                "A: b\r\n".repeat(headers)
            ))
        };
        assert!(many(HEADERS_MAX).unwrap().is_some());
        assert_eq!(
            many(HEADERS_MAX + 1),
            Err(MalformedHttp("too many headers"))
        );
    }

    #[test]
    fn interim_heads_are_skipped_up_to_eight() {
        let after = |interim: usize| {
            let early = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n".repeat(interim);
            let mut buffer = BytesMut::from(&*format!("{early}HTTP/1.1 200 OK\r\n\r\nrest"));
            let head = ResponseHeadReader::default().take(&mut buffer);
            (head.map(|head| head.unwrap().status), buffer)
        };
        let (status, rest) = after(8);
        assert_eq!((status, &rest[..]), (Ok(200), &b"rest"[..]));
        assert_eq!(after(9).0, Err(MalformedHttp("too many interim responses")));
    }
}

//! As much of HTTP/1.1 as the two ends need: where a message ends.

use std::io::{self, Read};

const HEADERS_MAX: usize = 64;
const READ_BYTES: usize = 64 << 10;

/// Bytes that came, until they make a message.
#[derive(Default)]
pub(crate) struct Inbox {
    bytes: Vec<u8>,
}

pub(crate) enum Came {
    /// Nothing that can be read now, or less than a message.
    Nothing,
    Closed,
    Message,
}

/// A message that is there to its end. Shapes: `body` within the inbox.
pub(crate) struct Message<'a> {
    /// Of an answer.
    pub status: u16,
    pub body: &'a [u8],
    /// Of all of it.
    pub length: usize,
}

impl Inbox {
    /// Reads once.
    pub(crate) fn read(&mut self, from: &mut impl Read) -> io::Result<Came> {
        let held = self.bytes.len();
        self.bytes.resize(held + READ_BYTES, 0);
        let got = from.read(self.bytes.get_mut(held..).unwrap_or_default());
        self.bytes.truncate(held + *got.as_ref().unwrap_or(&0));
        match got {
            Ok(0) => Ok(Came::Closed),
            Ok(_) => Ok(Came::Message),
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => Ok(Came::Nothing),
            Err(why) => Err(why),
        }
    }

    pub(crate) fn request(&self) -> io::Result<Option<Message<'_>>> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(&self.bytes).map_err(io::Error::other)? {
            httparse::Status::Partial => Ok(None),
            httparse::Status::Complete(head) => self.message(0, head, request.headers),
        }
    }

    /// Of a request for a WebSocket its key, and its length.
    pub(crate) fn upgrade(&self) -> io::Result<Option<(String, usize)>> {
        if !self.bytes.starts_with(b"GET ") {
            return Ok(None);
        }
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(length) =
            request.parse(&self.bytes).map_err(io::Error::other)?
        else {
            return Ok(None);
        };
        let is_key = |name: &str| name.eq_ignore_ascii_case("sec-websocket-key");
        let key = request.headers.iter().find(|header| is_key(header.name));
        Ok(key.map(|key| (String::from_utf8_lossy(key.value).into_owned(), length)))
    }

    pub(crate) fn answer(&self) -> io::Result<Option<Message<'_>>> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut answer = httparse::Response::new(&mut headers);
        match answer.parse(&self.bytes).map_err(io::Error::other)? {
            httparse::Status::Partial => Ok(None),
            httparse::Status::Complete(head) => {
                self.message(answer.code.unwrap_or(0), head, answer.headers)
            }
        }
    }

    fn message(
        &self,
        status: u16,
        head: usize,
        headers: &[httparse::Header<'_>],
    ) -> io::Result<Option<Message<'_>>> {
        let Framing::Length(length) = framing(headers)? else {
            return Err(io::Error::other("a small message in chunks"));
        };
        let length = head + usize::try_from(length).unwrap_or(usize::MAX);
        let body = self.bytes.get(head..length);
        Ok(body.map(|body| Message {
            status,
            body,
            length,
        }))
    }

    /// What was read and not let go of.
    pub(crate) fn held(&self) -> &[u8] {
        &self.bytes
    }

    /// Lets go of a message of this length.
    pub(crate) fn drop_first(&mut self, length: usize) {
        self.bytes.drain(..length.min(self.bytes.len()));
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
}

pub(crate) fn framing(headers: &[httparse::Header<'_>]) -> io::Result<Framing> {
    for header in headers {
        let value = std::str::from_utf8(header.value).unwrap_or_default().trim();
        if header.name.eq_ignore_ascii_case("content-length") {
            return value.parse().map(Framing::Length).map_err(io::Error::other);
        }
        if header.name.eq_ignore_ascii_case("transfer-encoding") {
            return Ok(Framing::Chunked);
        }
    }
    Ok(Framing::Length(0))
}

/// Counts the bytes of a long body as they pass.
pub(crate) struct Counter {
    framing: Framing,
    pub bytes: u64,
    chunk: Chunk,
    pub is_whole: bool,
}

/// Where in the chunks we are.
#[derive(Clone, Copy, Debug)]
enum Chunk {
    /// In its length, as far as it was read.
    Size(u64),
    /// In the rest of that line, up to `\n`.
    Line(u64),
    Data(u64),
    /// In the line end after the data.
    End,
    /// After the last chunk.
    Trailer,
}

impl Counter {
    pub(crate) fn new(framing: Framing) -> Counter {
        Counter {
            framing,
            bytes: 0,
            chunk: Chunk::Size(0),
            is_whole: framing == Framing::Length(0),
        }
    }

    pub(crate) fn take(&mut self, piece: &[u8]) -> io::Result<()> {
        match self.framing {
            Framing::Length(length) => {
                self.bytes += piece.len() as u64;
                self.is_whole = self.bytes == length;
                if self.bytes > length {
                    return Err(io::Error::other("more came than was said"));
                }
            }
            Framing::Chunked => {
                let mut at = 0;
                while let Some(&byte) = piece.get(at) {
                    at += self.step(byte, (piece.len() - at) as u64)?;
                }
            }
        }
        Ok(())
    }

    /// Takes `byte`, or of `left` as many as belong to the chunk; says how many.
    fn step(&mut self, byte: u8, left: u64) -> io::Result<usize> {
        self.chunk = match (self.chunk, byte) {
            (Chunk::Size(size) | Chunk::Line(size), b'\n') if size == 0 => Chunk::Trailer,
            (Chunk::Size(size) | Chunk::Line(size), b'\n') => Chunk::Data(size),
            (Chunk::Line(size), _) | (Chunk::Size(size), b'\r' | b';') => Chunk::Line(size),
            (Chunk::Size(size), digit) => {
                let digit = char::from(digit).to_digit(16);
                let digit = digit.ok_or_else(|| io::Error::other("no length of a chunk"))?;
                Chunk::Size(size * 16 + u64::from(digit))
            }
            (Chunk::Data(size), _) => {
                let taken = size.min(left);
                self.bytes += taken;
                self.chunk = if taken == size {
                    Chunk::End
                } else {
                    Chunk::Data(size - taken)
                };
                return usize::try_from(taken).map_err(io::Error::other);
            }
            (Chunk::End, b'\n') => Chunk::Size(0),
            (Chunk::End, _) => Chunk::End,
            (Chunk::Trailer, b'\n') => {
                self.is_whole = true;
                Chunk::Trailer
            }
            (Chunk::Trailer, _) => Chunk::Trailer,
        };
        Ok(1)
    }
}

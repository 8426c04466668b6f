//! As much of HTTP/2 (RFC 9113) as a caller needs: calls as streams of one connection, and of an answer
//! its status and its body.

use std::io;

use super::line::Heard;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEAD_BYTES: usize = 9;
/// Kinds of frames.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
/// Flags of them.
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
/// Bytes that may come unasked, and when the next so many are asked for.
const WINDOW: u32 = 1 << 30;
const FIRST_WINDOW: u32 = 65_535;
/// HPACK's `:status: 200`: the index 8 of the static table.
const STATUS_200: u8 = 0x88;

pub(crate) struct Caller {
    authority: String,
    scheme: u8,
    path: String,
    next_stream: u32,
    /// What may be sent, of all streams together.
    may_send: u64,
    /// What came since the window was last opened.
    came: u32,
    open: Vec<Heard>,
}

impl Caller {
    pub(crate) fn new(authority: &str, path: &str, is_tls: bool, out: &mut Vec<u8>) -> Caller {
        out.extend_from_slice(PREFACE);
        frame(SETTINGS, 0, 0, &[], out);
        window_update(WINDOW - FIRST_WINDOW, out);
        Caller {
            authority: authority.to_owned(),
            // HPACK's `:scheme`.
            scheme: if is_tls { 0x87 } else { 0x86 },
            path: path.to_owned(),
            next_stream: 1,
            may_send: u64::from(FIRST_WINDOW),
            came: 0,
            open: Vec::new(),
        }
    }

    /// Begins a stream with a call, and says its number.
    pub(crate) fn request(&mut self, body: &[u8], out: &mut Vec<u8>) -> io::Result<u32> {
        let stream = self.next_stream;
        self.next_stream += 2;
        let headers = self.headers(stream == 1, body.len());
        frame(HEADERS, END_HEADERS, stream, &headers, out);
        let left = self.may_send.checked_sub(body.len() as u64);
        self.may_send = left.ok_or_else(|| io::Error::other("the server takes no more"))?;
        frame(DATA, END_STREAM, stream, body, out);
        self.open.push(Heard {
            id: stream,
            status: 0,
            body: Vec::new(),
        });
        Ok(stream)
    }

    /// As real callers have it: what is the same each time is in the table after the first.
    fn headers(&self, is_first: bool, length: usize) -> Vec<u8> {
        let mut out = vec![0x83, self.scheme];
        if self.path == "/" {
            out.push(0x84);
        } else {
            literal(&[0x04], &self.path, &mut out);
        }
        if is_first {
            // With indexing, by the names' numbers in the static table.
            literal(&[0x40 | 1], &self.authority, &mut out);
            literal(&[0x40 | 31], "application/json", &mut out);
            literal(&[0x40 | 58], "ends", &mut out);
            literal(&[0x40 | 19], "*/*", &mut out);
        } else {
            out.extend((62..=65).rev().map(|index| 0x80 | index));
        }
        // `content-length`, without indexing.
        literal(&[0x0f, 28 - 15], &length.to_string(), &mut out);
        out
    }

    /// Takes the first frame of `bytes`: how long it was, and an answer if it was the end of one. `None`
    /// while it isn't whole.
    pub(crate) fn take(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> io::Result<Option<(usize, Option<Heard>)>> {
        let Some(&[a, b, c, kind, flags, s0, s1, s2, s3]) = bytes.first_chunk::<HEAD_BYTES>()
        else {
            return Ok(None);
        };
        let end = HEAD_BYTES + u32::from_be_bytes([0, a, b, c]) as usize;
        let Some(payload) = bytes.get(HEAD_BYTES..end) else {
            return Ok(None);
        };
        let stream = u32::from_be_bytes([s0, s1, s2, s3]);
        let unlike = |what: &str| Err(io::Error::other(format!("{what} of stream {stream}")));
        match kind {
            SETTINGS if flags & ACK == 0 => frame(SETTINGS, ACK, 0, &[], out),
            PING if flags & ACK == 0 => frame(PING, ACK, 0, payload, out),
            WINDOW_UPDATE if stream == 0 => {
                let more = payload.first_chunk().copied().map(u32::from_be_bytes);
                self.may_send += u64::from(more.unwrap_or(0));
            }
            RST_STREAM => return unlike("a reset"),
            GOAWAY => return unlike("the end"),
            HEADERS | DATA if flags & PADDED != 0 => return unlike("padding"),
            HEADERS if flags & END_HEADERS == 0 => return unlike("half the headers"),
            HEADERS | DATA => {
                let Some(at) = self.open.iter().position(|open| open.id == stream) else {
                    return unlike("an answer to nothing");
                };
                self.note(at, kind, payload, out);
                if flags & END_STREAM != 0 {
                    return Ok(Some((end, Some(self.open.swap_remove(at)))));
                }
            }
            _ => {}
        }
        Ok(Some((end, None)))
    }

    fn note(&mut self, at: usize, kind: u8, payload: &[u8], out: &mut Vec<u8>) {
        let Some(open) = self.open.get_mut(at) else {
            return;
        };
        if kind == HEADERS {
            // A change of the table's size may come first.
            let first = payload.iter().find(|byte| **byte >> 5 != 1);
            open.status = if first == Some(&STATUS_200) { 200 } else { 0 };
            return;
        }
        open.body.extend_from_slice(payload);
        self.came += u32::try_from(payload.len()).unwrap_or(0);
        if self.came > WINDOW / 2 {
            window_update(self.came, out);
            self.came = 0;
        }
    }
}

fn window_update(bytes: u32, out: &mut Vec<u8>) {
    frame(WINDOW_UPDATE, 0, 0, &bytes.to_be_bytes(), out);
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(length.to_be_bytes().get(1..).unwrap_or_default());
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// HPACK: a name by its number, and a value of less than 127 bytes.
fn literal(name: &[u8], value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    out.push(u8::try_from(value.len()).unwrap_or(0));
    out.extend_from_slice(value.as_bytes());
}

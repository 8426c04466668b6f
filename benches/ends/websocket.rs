//! As much of WebSocket (RFC 6455) as the two ends need: a message is one frame.

use std::io;

use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

const TEXT: u8 = 0x1;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;
const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
/// Lengths that mean: the length follows, in two bytes; in eight.
const TWO_BYTES: u8 = 126;
const EIGHT_BYTES: u8 = 127;
/// Of a caller's frames. A mask keeps proxies of old from taking bytes for HTTP; here are none.
const MASK: [u8; 4] = *b"mask";

/// A node's yes to a caller that asks with this key.
pub(crate) fn welcome(key: &str) -> Vec<u8> {
    let accept = derive_accept_key(key.as_bytes());
    let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
    format!("{head}Sec-WebSocket-Accept: {accept}\r\n\r\n").into_bytes()
}

pub(crate) enum Frame {
    Text(Vec<u8>),
    Ping(Vec<u8>),
    /// Nothing that must be looked at.
    Pong,
}

/// The first frame of `bytes`, and how long it is there; `None` while it isn't whole.
pub(crate) fn first(bytes: &[u8]) -> io::Result<Option<(Frame, usize)>> {
    let [kind, length, ..] = *bytes else {
        return Ok(None);
    };
    let (length, head) = match length & !MASKED {
        EIGHT_BYTES => return Err(io::Error::other("a long frame")),
        TWO_BYTES => match bytes.get(2..4) {
            Some(&[high, low]) => (usize::from(u16::from_be_bytes([high, low])), 4),
            _ => return Ok(None),
        },
        length => (usize::from(length), 2),
    };
    let mask_bytes = if bytes.get(1).is_some_and(|byte| byte & MASKED != 0) {
        MASK.len()
    } else {
        0
    };
    let start = head + mask_bytes;
    let Some(payload) = bytes.get(start..start + length) else {
        return Ok(None);
    };
    let mut payload = payload.to_vec();
    if let Some(&[a, b, c, d]) = bytes.get(head..start) {
        mask(&mut payload, [a, b, c, d]);
    }
    let frame = match (kind & FIN, kind & 0x0f) {
        (FIN, TEXT) => Frame::Text(payload),
        (FIN, PING) => Frame::Ping(payload),
        (FIN, PONG) => Frame::Pong,
        _ => return Err(io::Error::other(format!("a frame of kind {kind:#x}"))),
    };
    Ok(Some((frame, start + length)))
}

pub(crate) enum From {
    Caller,
    Node,
}

pub(crate) fn text(payload: &[u8], from: &From, out: &mut Vec<u8>) {
    write(TEXT, payload, from, out);
}

pub(crate) fn pong(payload: &[u8], from: &From, out: &mut Vec<u8>) {
    write(PONG, payload, from, out);
}

fn write(kind: u8, payload: &[u8], from: &From, out: &mut Vec<u8>) {
    let masked = match from {
        From::Caller => MASKED,
        From::Node => 0,
    };
    out.push(FIN | kind);
    // Calls and their answers are short.
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length), _) if length < TWO_BYTES => out.push(masked | length),
        (_, length) => {
            out.push(masked | TWO_BYTES);
            out.extend_from_slice(&length.unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    match from {
        From::Node => out.extend_from_slice(payload),
        From::Caller => {
            out.extend_from_slice(&MASK);
            let start = out.len();
            out.extend_from_slice(payload);
            mask(out.get_mut(start..).unwrap_or_default(), MASK);
        }
    }
}

fn mask(payload: &mut [u8], mask: [u8; 4]) {
    for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

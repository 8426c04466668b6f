//! HTTP/2 frame by frame, for what no client would send.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::PATIENCE;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const SETTINGS: u8 = 4;
pub const GOAWAY: u8 = 7;
pub const CONTINUATION: u8 = 9;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
/// RFC 9113 §7.
pub const ENHANCE_YOUR_CALM: u32 = 0xb;

/// `POST /` to the host `x`, as an HPACK block.
pub const POST: &[u8] = b"\x83\x86\x84\x01\x01x";

pub struct Frames {
    stream: TcpStream,
}

/// A frame as it came.
#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub carried: Vec<u8>,
}

impl Frame {
    /// The error code of a GOAWAY.
    pub fn code(&self) -> u32 {
        u32::from_be_bytes(self.carried[4..8].try_into().unwrap())
    }

    /// The status of an answer whose head begins with one of HPACK's own or with a literal.
    pub fn status(&self) -> u16 {
        match self.carried[0] {
            0x88 => 200,
            0x89 => 204,
            0x8c => 400,
            0x8d => 404,
            0x8e => 500,
            // A literal of name 8, Huffman's digits or plain ones.
            _ => {
                let length = usize::from(self.carried[1] & 0x7f);
                let digits = &self.carried[2..2 + length];
                if self.carried[1] & 0x80 == 0 {
                    return std::str::from_utf8(digits).unwrap().parse().unwrap();
                }
                huffman_digits(digits)
            }
        }
    }
}

/// Three digits by HPACK's code: 0 to 2 have five bits (0, 1, 2), the others six (0x19 to 0x1f).
fn huffman_digits(bytes: &[u8]) -> u16 {
    let bits: Vec<u8> = bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1))
        .collect();
    let number = |bits: &[u8]| bits.iter().fold(0u8, |sum, bit| sum << 1 | bit);
    let (mut at, mut status) = (0, 0u16);
    for _ in 0..3 {
        let five = number(&bits[at..at + 5]);
        let (digit, width) = if five <= 2 {
            (five, 5)
        } else {
            (number(&bits[at..at + 6]) - 0x19 + 3, 6)
        };
        status = status * 10 + u16::from(digit);
        at += width;
    }
    status
}

/// A header that no table keeps.
pub fn header(name: &str, value: &str) -> Vec<u8> {
    let mut block = vec![0];
    for text in [name, value] {
        length(text.len(), &mut block);
        block.extend_from_slice(text.as_bytes());
    }
    block
}

/// RFC 7541 §5.1, with a prefix of 7 bits.
fn length(bytes: usize, out: &mut Vec<u8>) {
    if bytes < 127 {
        return out.push(u8::try_from(bytes).unwrap());
    }
    out.push(127);
    let mut rest = bytes - 127;
    while rest >= 128 {
        out.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    out.push(u8::try_from(rest).unwrap());
}

pub fn frame(kind: u8, flags: u8, stream: u32, carried: &[u8]) -> Vec<u8> {
    let length = u32::try_from(carried.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend_from_slice(carried);
    bytes
}

impl Frames {
    /// A connection on which both sides have said what they begin with.
    pub async fn connect(address: SocketAddr) -> Frames {
        let mut frames = Frames {
            stream: TcpStream::connect(address).await.unwrap(),
        };
        frames.stream.set_nodelay(true).unwrap();
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        frames.send(preface).await;
        frames.send(&frame(SETTINGS, 0, 0, b"")).await;
        let first = frames.next().await.expect("settings");
        assert_eq!(first.kind, SETTINGS);
        frames.send(&frame(SETTINGS, 1, 0, b"")).await;
        frames
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// As [`Frames::send`]; `false`: the other side has closed.
    pub async fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// The next frame; `None`: the connection has ended.
    pub async fn next(&mut self) -> Option<Frame> {
        let reading = async {
            let mut head = [0; 9];
            self.stream.read_exact(&mut head).await.ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut carried = vec![0; usize::try_from(length).unwrap()];
            self.stream.read_exact(&mut carried).await.ok()?;
            Some(Frame {
                kind: head[3],
                flags: head[4],
                carried,
            })
        };
        let read = timeout(PATIENCE, reading).await;
        read.expect("a frame or the end, in time")
    }

    /// The next frame of that kind; `None`: the connection ended before.
    pub async fn next_of(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }
}

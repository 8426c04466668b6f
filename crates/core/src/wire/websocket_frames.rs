//! The frames of a client's WebSocket, seen as they pass: how many do nothing (RFC 6455 §5.2). Whole
//! messages have a limit of their own.

use std::time::Instant;

use crate::vocabulary::rate_limit::TokenBucket;
use crate::wire::http2_frames::IDLE_FRAMES_MAX;

/// The longest head: two bytes, a length of eight, a mask.
const HEAD_BYTES_MAX: usize = 14;
const FINAL: u8 = 0x80;
const OPCODE: u8 = 0x0f;
/// Opcodes from here on are those of control frames.
const CONTROL: u8 = 8;
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;

/// Where in its frames a socket is.
#[derive(Debug)]
pub struct WebsocketFrames {
    head: [u8; HEAD_BYTES_MAX],
    known: usize,
    /// Of the payload at hand.
    left: u64,
    bucket: TokenBucket,
}

impl WebsocketFrames {
    /// Of a socket whose handshake is over: frames come next.
    pub fn new(now: Instant) -> WebsocketFrames {
        WebsocketFrames {
            head: [0; HEAD_BYTES_MAX],
            known: 0,
            left: 0,
            bucket: TokenBucket::new(IDLE_FRAMES_MAX, now),
        }
    }

    /// Looks at the next bytes that came at `now`; `false`: too many frames did nothing.
    pub fn read(&mut self, mut bytes: &[u8], now: Instant) -> bool {
        while !bytes.is_empty() {
            if self.left > 0 {
                let within = usize::try_from(self.left).unwrap_or(usize::MAX);
                let taken = within.min(bytes.len());
                self.left -= taken as u64;
                bytes = &bytes[taken..];
                continue;
            }
            self.head[self.known] = bytes[0];
            self.known += 1;
            bytes = &bytes[1..];
            if self.known == self.head_bytes() {
                self.left = self.payload();
                self.known = 0;
                if self.is_idle() && !self.bucket.take(now) {
                    return false;
                }
            }
        }
        true
    }

    fn head_bytes(&self) -> usize {
        if self.known < 2 {
            return 2;
        }
        let extended = match self.head[1] & LENGTH {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if self.head[1] & MASKED == 0 { 0 } else { 4 };
        2 + extended + mask
    }

    fn payload(&self) -> u64 {
        let [_, second, a, b, rest @ ..] = self.head;
        match second & LENGTH {
            126 => u64::from(u16::from_be_bytes([a, b])),
            127 => {
                let [c, d, e, f, g, h, ..] = rest;
                u64::from_be_bytes([a, b, c, d, e, f, g, h])
            }
            short => u64::from(short),
        }
    }

    /// Of a message that is whole the pace of messages takes care.
    fn is_idle(&self) -> bool {
        let is_control = self.head[0] & OPCODE >= CONTROL;
        is_control || (self.left == 0 && self.head[0] & FINAL == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn frame(first: u8, payload: usize) -> Vec<u8> {
        let mut bytes = vec![first];
        match payload {
            0..126 => bytes.push(MASKED | u8::try_from(payload).unwrap()),
            126..65536 => {
                bytes.push(MASKED | 126);
                bytes.extend(u16::try_from(payload).unwrap().to_be_bytes());
            }
            _ => {
                bytes.push(MASKED | 127);
                bytes.extend((payload as u64).to_be_bytes());
            }
        }
        bytes.extend(vec![0; 4 + payload]);
        bytes
    }

    #[test]
    fn so_many_frames_that_do_nothing_pass_in_a_second_and_not_one_more() {
        let now = crate::testing::now();
        for idle in [frame(0, 0), frame(1, 0), frame(0x89, 5), frame(0x8a, 0)] {
            let mut fragments = WebsocketFrames::new(now);
            let mut passed = 0;
            while fragments.read(&idle, now) {
                passed += 1;
            }
            assert_eq!(passed, IDLE_FRAMES_MAX, "{idle:?}");
            assert!(fragments.read(&idle, now + Duration::from_secs(1)));
        }
    }

    #[test]
    fn messages_and_their_parts_cost_nothing() {
        let now = crate::testing::now();
        let mut fragments = WebsocketFrames::new(now);
        let parts = [frame(1, 3), frame(0, 200), frame(0, 70_000), frame(0x80, 0)];
        let bytes = [parts.concat(), frame(0x81, 0), frame(0x82, 9)].concat();
        for _ in 0..2000 {
            assert!(fragments.read(&bytes, now));
        }
        assert_eq!((fragments.known, fragments.left), (0, 0));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 1..9usize) {
            let now = crate::testing::now();
            let mut fragments = WebsocketFrames::new(now);
            for piece in bytes.chunks(cut) {
                fragments.read(piece, now);
            }
        }
    }
}

//! Frames of clients, and bodies that are packed: they read the same however they are cut.

use bytes::Bytes;
use forebay_core::testing;
use forebay_core::wire::coding::{Coding, Decompressor};
use forebay_core::wire::http2_frames::Http2Frames;
use forebay_core::wire::websocket_frames::WebsocketFrames;

/// More is not unpacked of one input: a few bytes may become gigabytes.
const UNPACKED_BYTES_MAX: usize = 1 << 20;

/// A client's WebSocket.
pub fn websocket(bytes: &[u8]) {
    let now = testing::now();
    let at_once = WebsocketFrames::new(now).read(bytes, now);
    for step in [1, 2, 5] {
        let mut frames = WebsocketFrames::new(now);
        let mut pieces = bytes.chunks(step);
        assert_eq!(pieces.all(|piece| frames.read(piece, now)), at_once);
    }
}

/// A client's HTTP/2, its preface included.
pub fn http2(bytes: &[u8]) {
    let now = testing::now();
    let at_once = Http2Frames::new(now).read(bytes, || now);
    assert!(at_once.is_none_or(|end| end <= bytes.len()));
    for step in [1, 2, 5] {
        let mut frames = Http2Frames::new(now);
        let mut pieces = bytes.chunks(step).enumerate();
        let end = pieces.find_map(|(index, piece)| {
            let end = frames.read(piece, || now);
            end.map(|end| index * step + end)
        });
        assert_eq!(end, at_once, "cut at {step}");
    }
}

/// A packed body.
pub fn packed(bytes: &[u8]) {
    for coding in [Coding::Gzip, Coding::Deflate, Coding::Zstd] {
        let at_once = unpacked(coding, bytes, bytes.len());
        for step in [1, 7] {
            assert_eq!(
                unpacked(coding, bytes, step),
                at_once,
                "{coding:?} cut at {step}"
            );
        }
    }
}

/// What came out of it; `None`: it is badly packed.
fn unpacked(coding: Coding, bytes: &[u8], step: usize) -> Option<Vec<u8>> {
    let mut unpacker = Decompressor::new(coding).unwrap();
    let mut out = Vec::new();
    for piece in bytes.chunks(step.max(1)) {
        unpacker.feed(Bytes::copy_from_slice(piece));
        while let Some(piece) = unpacker.give().ok()? {
            out.extend_from_slice(&piece);
            if out.len() > UNPACKED_BYTES_MAX {
                return Some(Vec::new());
            }
        }
    }
    unpacker.end().ok()?;
    Some(out)
}

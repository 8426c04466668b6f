//! Packing an answer as it goes out, step by step.

use bytes::{Buf, Bytes};
use flate2::{Compress, Compression, FlushCompress, Status};
use zstd::stream::raw::{CParameter, Encoder, InBuffer, Operation as _, OutBuffer};

use super::{Coding, STEP_BYTES_MAX};

/// What a packer holds beside what goes in and comes out, about, in bytes.
pub const PACKER_BYTES: usize = 512 << 10;
/// Of a piece that goes in this much is looked at in one step.
const INPUT_BYTES_MAX: usize = 256 << 10;
/// Hexadecimal digits give little more for more work.
const ZSTD_LEVEL: i32 = 1;
/// As a power of two: what is held of the past.
const ZSTD_WINDOW: u32 = 17;
const DEFLATE_WINDOW: u8 = 15;

/// The packer broke: what it gave so far is no whole body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompressionError;

/// Packs one body: [`feed`](Packer::feed) it a piece, [`give`](Packer::give) what comes out of it until
/// nothing does; after the last, [`finish`](Packer::finish), and give again.
pub struct Compressor {
    engine: CompressorEngine,
    input: Bytes,
    is_full: bool,
    is_last: bool,
    has_ended: bool,
}

enum CompressorEngine {
    Gzip(Compress),
    Zstd(Encoder<'static>),
}

impl Compressor {
    /// `None` where it can't be, and for codings that no client asks for.
    pub fn new(coding: Coding) -> Option<Compressor> {
        let engine = match coding {
            Coding::Gzip => {
                CompressorEngine::Gzip(Compress::new_gzip(Compression::fast(), DEFLATE_WINDOW))
            }
            Coding::Deflate => return None,
            Coding::Zstd => {
                let mut encoder = Encoder::new(ZSTD_LEVEL).ok()?;
                encoder
                    .set_parameter(CParameter::WindowLog(ZSTD_WINDOW))
                    .ok()?;
                CompressorEngine::Zstd(encoder)
            }
        };
        Some(Compressor {
            engine,
            input: Bytes::new(),
            is_full: false,
            is_last: false,
            has_ended: false,
        })
    }

    /// Takes the next piece, once nothing more comes of the one before.
    pub fn feed(&mut self, piece: Bytes) {
        debug_assert!(self.input.is_empty(), "what was fed before is lost");
        self.input = piece;
    }

    /// Nothing more will be fed.
    pub fn finish(&mut self) {
        self.is_last = true;
    }

    /// What comes next, at most [`STEP_BYTES_MAX`] of it; `None` when the next piece is needed, or all
    /// is out.
    ///
    /// # Errors
    /// See [`CompressionError`].
    pub fn give(&mut self) -> Result<Option<Bytes>, CompressionError> {
        while !self.has_ended && (self.is_full || self.is_last || !self.input.is_empty()) {
            let (taken, mut given) = self.step()?;
            self.input.advance(taken);
            self.is_full = given.len() == STEP_BYTES_MAX;
            if !given.is_empty() {
                // It may wait for its client, and is counted by its length.
                given.shrink_to_fit();
                return Ok(Some(given.into()));
            }
            if taken == 0 && !self.has_ended {
                return if self.input.is_empty() && !self.is_last {
                    Ok(None)
                } else {
                    Err(CompressionError)
                };
            }
        }
        Ok(None)
    }

    fn step(&mut self) -> Result<(usize, Vec<u8>), CompressionError> {
        let input = &self.input[..self.input.len().min(INPUT_BYTES_MAX)];
        let ends = self.is_last && input.len() == self.input.len();
        match &mut self.engine {
            CompressorEngine::Gzip(compress) => {
                let mut out = Vec::with_capacity(STEP_BYTES_MAX);
                let before = compress.total_in();
                let flush = match ends {
                    true => FlushCompress::Finish,
                    false => FlushCompress::None,
                };
                let status = compress.compress_vec(input, &mut out, flush);
                self.has_ended = status.map_err(|_| CompressionError)? == Status::StreamEnd;
                let taken = usize::try_from(compress.total_in() - before);
                Ok((taken.map_err(|_| CompressionError)?, out))
            }
            CompressorEngine::Zstd(encoder) => {
                let mut out = vec![0; STEP_BYTES_MAX];
                let mut room = OutBuffer::around(&mut out[..]);
                let mut source = InBuffer::around(input);
                encoder
                    .run(&mut source, &mut room)
                    .map_err(|_| CompressionError)?;
                let taken = source.pos();
                if ends && taken == input.len() {
                    let left = encoder
                        .finish(&mut room, true)
                        .map_err(|_| CompressionError)?;
                    self.has_ended = left == 0;
                }
                let given = room.pos();
                out.truncate(given);
                Ok((taken, out))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::coding::Decompressor;

    fn pack(coding: Coding, pieces: &[&[u8]]) -> Vec<u8> {
        let mut packer = Compressor::new(coding).unwrap();
        let mut packed = Vec::new();
        let mut drain = |packer: &mut Compressor| {
            while let Some(given) = packer.give().unwrap() {
                assert!((1..=STEP_BYTES_MAX).contains(&given.len()));
                packed.extend_from_slice(&given);
                let held = given.try_into_mut().unwrap().capacity();
                assert!(held <= packed.len(), "{held} bytes are held");
            }
        };
        for piece in pieces {
            packer.feed(Bytes::copy_from_slice(piece));
            drain(&mut packer);
        }
        packer.finish();
        drain(&mut packer);
        packed
    }

    fn unpack(coding: Coding, packed: Vec<u8>) -> Vec<u8> {
        assert!(!packed.is_empty(), "nothing would be a whole body, too");
        let mut unpacker = Decompressor::new(coding).unwrap();
        let mut text = Vec::new();
        unpacker.feed(packed.into());
        while let Some(given) = unpacker.give().unwrap() {
            text.extend_from_slice(&given);
        }
        unpacker.end().unwrap();
        text
    }

    #[test]
    fn what_is_packed_can_be_unpacked_and_is_shorter() {
        let plain = vec![b'0'; 3 << 20];
        // Nothing to be gained, and more comes out than a step may give.
        let noise: Vec<u8> = (0..1_000_000u64)
            .map(|number| (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8)
            .collect();
        for coding in [Coding::Gzip, Coding::Zstd] {
            for pieces in [
                &[][..],
                &[&b""[..]],
                &[b"{", b"}"],
                &[&plain],
                &[&noise, &plain[..9]],
            ] {
                let text = pieces.concat();
                let packed = pack(coding, pieces);
                assert!(text.len() < 100_000 || packed.len() < text.len() * 11 / 10);
                assert!(unpack(coding, packed) == text, "{coding:?} {}", text.len());
            }
            assert!(pack(coding, &[&plain]).len() < plain.len() / 100);
        }
    }
}

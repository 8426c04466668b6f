//! Unpacking a body as it comes: step by step, so that no input makes much of little at once.

use bytes::{Buf, Bytes};
use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{DParameter, Decoder, Operation as _};

use super::{Coding, STEP_BYTES_MAX};

/// What an unpacker holds beside what goes in and comes out, about, in bytes: a window of gzip's.
pub const UNPACKER_BYTES: usize = 48 << 10;
/// The smallest room for a step, in bytes.
const STEP_BYTES_MIN: usize = 1 << 10;
/// The window of zstd's that has to be understood, as a power of two (RFC 9659 §3).
const ZSTD_WINDOW: u32 = 23;
/// How a frame of zstd begins (RFC 8878 §3.1.1). The library may read the formats of before the standard, too, each by
/// code of its own that nobody looks after: another package's feature is enough (pingora-header-serde 0.9.1 wants
/// all of zstd-safe's). No client sends them.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The window of all that deflates, as a power of two.
const DEFLATE_WINDOW: u8 = 15;

/// Why a body can't be unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecompressionError(pub &'static str);

const BROKEN: DecompressionError = DecompressionError("what it is packed with is broken");
const CUT: DecompressionError = DecompressionError("it is cut off");
const SURPLUS: DecompressionError = DecompressionError("bytes follow its end");

/// Unpacks one body: [`feed`](Unpacker::feed) it a piece, [`give`](Unpacker::give) what comes out of it
/// until nothing does, and so on until the [`end`](Unpacker::end).
pub struct Decompressor {
    engine: DecompressorEngine,
    input: Bytes,
    /// The last step filled its room: more may come without more going in.
    is_full: bool,
    has_begun: bool,
    has_ended: bool,
}

enum DecompressorEngine {
    /// Its first byte tells whether it has a header.
    UntoldDeflate,
    Flate(Decompress),
    Zstd {
        decoder: Decoder<'static>,
        /// How many bytes of it were taken, up to its magic number's.
        begun: usize,
    },
}

impl Decompressor {
    /// `None` where there is no memory for it.
    pub fn new(coding: Coding) -> Option<Decompressor> {
        let engine = match coding {
            Coding::Gzip => DecompressorEngine::Flate(Decompress::new_gzip(DEFLATE_WINDOW)),
            Coding::Deflate => DecompressorEngine::UntoldDeflate,
            Coding::Zstd => {
                let mut decoder = Decoder::new().ok()?;
                decoder
                    .set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW))
                    .ok()?;
                DecompressorEngine::Zstd { decoder, begun: 0 }
            }
        };
        Some(Decompressor {
            engine,
            input: Bytes::new(),
            is_full: false,
            has_begun: false,
            has_ended: false,
        })
    }

    /// Takes the next piece, once nothing more comes of the one before.
    pub fn feed(&mut self, piece: Bytes) {
        debug_assert!(self.input.is_empty(), "what was fed before is lost");
        self.has_begun |= !piece.is_empty();
        self.input = piece;
    }

    /// What comes next, at most [`STEP_BYTES_MAX`] of it; `None` when the next piece is needed.
    ///
    /// # Errors
    /// It is broken, or goes on behind its end.
    pub fn give(&mut self) -> Result<Option<Bytes>, DecompressionError> {
        while self.is_full || !self.input.is_empty() {
            if self.has_ended {
                return if self.input.is_empty() {
                    Ok(None)
                } else {
                    Err(SURPLUS)
                };
            }
            let room = self.input.len().saturating_mul(4);
            let room = room.clamp(STEP_BYTES_MIN, STEP_BYTES_MAX);
            let (taken, given) = self.step(room)?;
            self.input.advance(taken);
            self.is_full = given.len() == room && !self.has_ended;
            match (given.is_empty(), taken) {
                (false, _) => return Ok(Some(given.into())),
                (true, 0) if self.has_ended => {}
                // It goes nowhere.
                (true, 0) => {
                    return if self.input.is_empty() {
                        Ok(None)
                    } else {
                        Err(BROKEN)
                    };
                }
                (true, _) => {}
            }
        }
        Ok(None)
    }

    /// The body has ended, as far as was sent. One without a byte is one without a word.
    ///
    /// # Errors
    /// What came of it isn't all.
    pub fn end(&self) -> Result<(), DecompressionError> {
        if self.has_ended || !self.has_begun {
            Ok(())
        } else {
            Err(CUT)
        }
    }

    /// How much went in, and what came out, of `room` bytes at most.
    fn step(&mut self, room: usize) -> Result<(usize, Vec<u8>), DecompressionError> {
        if let (DecompressorEngine::UntoldDeflate, Some(first)) = (&self.engine, self.input.first())
        {
            // The method, 8, stands in the lower half (RFC 1950 §2.2). Of what has no header such a byte
            // begins a stored block, which no sender puts first.
            let has_header = first & 0x0f == 8;
            self.engine = DecompressorEngine::Flate(Decompress::new(has_header));
        }
        match &mut self.engine {
            DecompressorEngine::UntoldDeflate => Ok((0, Vec::new())),
            DecompressorEngine::Flate(decompress) => {
                let mut out = Vec::with_capacity(room);
                let before = decompress.total_in();
                let stepped =
                    decompress.decompress_vec(&self.input, &mut out, FlushDecompress::None);
                self.has_ended = stepped.map_err(|_| BROKEN)? == Status::StreamEnd;
                let taken = usize::try_from(decompress.total_in() - before);
                Ok((taken.unwrap_or(self.input.len()), out))
            }
            DecompressorEngine::Zstd { decoder, begun } => {
                let mut told = self.input.iter().zip(&ZSTD_MAGIC[*begun..]);
                if told.any(|(byte, wanted)| byte != wanted) {
                    return Err(BROKEN);
                }
                let mut out = vec![0; room];
                let status = decoder.run_on_buffers(&self.input, &mut out);
                let status = status.map_err(|_| BROKEN)?;
                out.truncate(status.bytes_written);
                *begun = (*begun + status.bytes_read).min(ZSTD_MAGIC.len());
                self.has_ended = status.remaining == 0;
                Ok((status.bytes_read, out))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use proptest::prelude::*;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(text: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn bare(text: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn zstandard(text: &[u8]) -> Vec<u8> {
        zstd::encode_all(text, 3).unwrap()
    }

    /// Unpacks `packed` cut into pieces of so many bytes; no step may give more than it should.
    fn unpack(
        coding: Coding,
        packed: &[u8],
        piece_bytes: usize,
    ) -> Result<Vec<u8>, DecompressionError> {
        let mut unpacker = Decompressor::new(coding).unwrap();
        let mut text = Vec::new();
        for piece in packed.chunks(piece_bytes) {
            unpacker.feed(Bytes::copy_from_slice(piece));
            while let Some(given) = unpacker.give()? {
                assert!((1..=STEP_BYTES_MAX).contains(&given.len()));
                text.extend_from_slice(&given);
            }
        }
        unpacker.end()?;
        Ok(text)
    }

    type Pack = fn(&[u8]) -> Vec<u8>;
    const PACKS: [(Coding, Pack); 4] = [
        (Coding::Gzip, gzip),
        (Coding::Deflate, zlib),
        (Coding::Deflate, bare),
        (Coding::Zstd, zstandard),
    ];

    #[test]
    fn what_was_packed_comes_out_whatever_the_pieces() {
        let long: Vec<u8> = (0..300_000u32)
            .flat_map(|number| number.to_le_bytes())
            .collect();
        for text in [&b""[..], b"{}", &[b'0'; 1 << 20], &long] {
            for (coding, pack) in PACKS {
                for piece_bytes in [1, 7, 4096, usize::MAX] {
                    if piece_bytes < 7 && text.len() > 2 {
                        continue;
                    }
                    let unpacked = unpack(coding, &pack(text), piece_bytes).unwrap();
                    assert!(unpacked == text, "{coding:?} {} {piece_bytes}", text.len());
                }
            }
        }
    }

    #[test]
    fn a_cut_a_broken_and_a_longer_stream_are_told_from_a_whole_one() {
        let text = br#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;
        for (coding, pack) in PACKS {
            let packed = pack(text);
            for cut in 1..packed.len() {
                let unpacked = unpack(coding, &packed[..cut], usize::MAX);
                assert_eq!(unpacked, Err(CUT), "{coding:?} {cut}");
            }
            for extra in [&b"\0"[..], &packed] {
                let longer = [&packed[..], extra].concat();
                for piece_bytes in [1, packed.len(), usize::MAX] {
                    assert_eq!(
                        unpack(coding, &longer, piece_bytes),
                        Err(SURPLUS),
                        "{coding:?}"
                    );
                }
            }
        }
        assert_eq!(unpack(Coding::Gzip, b"{\"jsonrpc\"", 99), Err(BROKEN));
        assert_eq!(unpack(Coding::Zstd, b"{\"jsonrpc\"", 99), Err(BROKEN));
        let mut wrong_sum = gzip(text);
        let at = wrong_sum.len() - 8;
        wrong_sum[at] ^= 1;
        assert_eq!(unpack(Coding::Gzip, &wrong_sum, 99), Err(BROKEN));
    }

    #[test]
    fn what_zstd_was_before_the_standard_is_not_read() {
        for version in [0x1e, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27] {
            let packed = [version, 0xb5, 0x2f, 0xfd, 0, 0, 0, 0];
            for piece_bytes in [1, 3, 8] {
                assert_eq!(unpack(Coding::Zstd, &packed, piece_bytes), Err(BROKEN));
            }
        }
    }

    #[test]
    fn a_body_without_a_byte_is_no_cut_one() {
        for (coding, _) in PACKS {
            assert_eq!(unpack(coding, b"", 1), Ok(Vec::new()));
        }
    }

    #[test]
    fn a_window_beyond_what_zstd_may_ask_for_is_refused() {
        let packed = |window: u32| {
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
            encoder.window_log(window).unwrap();
            encoder.include_contentsize(false).unwrap();
            encoder.write_all(&vec![b'0'; 1 << 20]).unwrap();
            encoder.finish().unwrap()
        };
        assert!(unpack(Coding::Zstd, &packed(ZSTD_WINDOW), 4096).is_ok());
        assert_eq!(
            unpack(Coding::Zstd, &packed(ZSTD_WINDOW + 1), 4096),
            Err(BROKEN)
        );
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(bytes in proptest::collection::vec(any::<u8>(), 0..300), cut in 1usize..300) {
            for (coding, pack) in PACKS {
                let _ = unpack(coding, &bytes, cut);
                // Mutated in one place.
                let mut packed = pack(&bytes);
                let at = cut % packed.len();
                packed[at] ^= 1 << (cut % 8);
                let _ = unpack(coding, &packed, cut);
            }
        }
    }
}

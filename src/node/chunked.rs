//! The chunked coding (RFC 9112, 7.1), decoded strictly and without copying.
//!
//! Extensions and trailers are passed over within bounds. Once broken, it stays broken.

use bytes::{Buf, Bytes, BytesMut};

use crate::node::fault::MalformedHttp;

/// The most hexadecimal digits of a chunk's size: as many as 64 bits hold.
pub const SIZE_DIGITS_MAX: u8 = 16;
/// The longest extension of one chunk, in bytes.
pub const EXTENSION_BYTES_MAX: usize = 1024;
/// The longest trailer section, in bytes.
pub const TRAILER_BYTES_MAX: usize = 8 * 1024;

/// What the next byte is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ChunkState {
    #[default]
    Size,
    Extension,
    SizeFeed,
    Data,
    DataReturn,
    DataFeed,
    TrailerStart,
    Trailer,
    TrailerFeed,
    LastFeed,
    Nothing,
    Broken(MalformedHttp),
}

/// Where in a chunked body we are.
#[derive(Debug, Default)]
pub struct ChunkedDecoder {
    expected: ChunkState,
    /// Of the chunk at hand, in bytes; while its size is being read, what was read of it.
    left: u64,
    digits: u8,
    /// Bytes of the extension or the trailers so far.
    passed: usize,
}

impl ChunkedDecoder {
    /// Takes data off the front of `buffer`, and all framing that follows it there. `None`: the
    /// body has ended, or bytes are missing.
    ///
    /// # Errors
    /// Any departure from the coding; and again at every further call.
    pub fn take(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, MalformedHttp> {
        self.pass_framing(buffer);
        if let ChunkState::Broken(malformed) = self.expected {
            return Err(malformed);
        }
        if self.expected != ChunkState::Data || buffer.is_empty() {
            return Ok(None);
        }
        let within = usize::try_from(self.left).unwrap_or(usize::MAX);
        let data = buffer.split_to(within.min(buffer.len())).freeze();
        self.left -= data.len() as u64;
        if self.left == 0 {
            self.expected = ChunkState::DataReturn;
        }
        self.pass_framing(buffer);
        Ok(Some(data))
    }

    /// Whether the last chunk and the trailers have been taken.
    pub fn is_ended(&self) -> bool {
        self.expected == ChunkState::Nothing
    }

    fn pass_framing(&mut self, buffer: &mut BytesMut) {
        let mut passed = 0;
        for &byte in buffer.iter() {
            if let ChunkState::Data | ChunkState::Nothing | ChunkState::Broken(_) = self.expected {
                break;
            }
            self.expected = match self.after(byte) {
                Ok(expected) => expected,
                Err(malformed) => ChunkState::Broken(malformed),
            };
            passed += 1;
        }
        buffer.advance(passed);
    }

    fn after(&mut self, byte: u8) -> Result<ChunkState, MalformedHttp> {
        let line_end = MalformedHttp("bad line end in the chunked coding");
        match (self.expected, byte) {
            (ChunkState::Size, b';') if self.digits > 0 => {
                self.passed = 0;
                Ok(ChunkState::Extension)
            }
            (ChunkState::Size, b'\r') if self.digits > 0 => Ok(ChunkState::SizeFeed),
            (ChunkState::Size, byte) => self.size_digit(byte),
            (ChunkState::Extension, b'\r') => Ok(ChunkState::SizeFeed),
            (ChunkState::Extension, byte) => {
                self.pass(byte, EXTENSION_BYTES_MAX, "chunk extension too long")?;
                Ok(ChunkState::Extension)
            }
            (ChunkState::SizeFeed, b'\n') if self.left == 0 => {
                self.passed = 0;
                Ok(ChunkState::TrailerStart)
            }
            (ChunkState::SizeFeed, b'\n') => Ok(ChunkState::Data),
            (ChunkState::DataReturn, b'\r') => Ok(ChunkState::DataFeed),
            (ChunkState::DataFeed, b'\n') => {
                self.digits = 0;
                Ok(ChunkState::Size)
            }
            (ChunkState::TrailerStart, b'\r') => Ok(ChunkState::LastFeed),
            (ChunkState::Trailer, b'\r') => Ok(ChunkState::TrailerFeed),
            (ChunkState::TrailerStart | ChunkState::Trailer, byte) => {
                self.pass(byte, TRAILER_BYTES_MAX, "trailers too long")?;
                Ok(ChunkState::Trailer)
            }
            (ChunkState::TrailerFeed, b'\n') => Ok(ChunkState::TrailerStart),
            (ChunkState::LastFeed, b'\n') => Ok(ChunkState::Nothing),
            (ChunkState::SizeFeed | ChunkState::DataReturn | ChunkState::DataFeed, _)
            | (ChunkState::TrailerFeed | ChunkState::LastFeed, _) => Err(line_end),
            (same @ (ChunkState::Data | ChunkState::Nothing | ChunkState::Broken(_)), _) => {
                Ok(same)
            }
        }
    }

    fn size_digit(&mut self, byte: u8) -> Result<ChunkState, MalformedHttp> {
        let digit = char::from(byte).to_digit(16);
        let digit = digit.ok_or(MalformedHttp("unreadable chunk size"))?;
        if self.digits == SIZE_DIGITS_MAX {
            return Err(MalformedHttp("chunk size too long"));
        }
        // `left` is 0 at the first digit: the chunk before was taken to its end.
        self.left = self.left << 4 | u64::from(digit);
        self.digits += 1;
        Ok(ChunkState::Size)
    }

    fn pass(&mut self, byte: u8, most: usize, too_long: &'static str) -> Result<(), MalformedHttp> {
        if byte.is_ascii_control() && byte != b'\t' {
            return Err(MalformedHttp("control byte in the chunked coding"));
        }
        self.passed += 1;
        if self.passed > most {
            return Err(MalformedHttp(too_long));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(text: &str) -> Result<(String, bool, usize), MalformedHttp> {
        let mut buffer = BytesMut::from(text);
        let mut decoder = ChunkedDecoder::default();
        let mut data = Vec::new();
        while let Some(piece) = decoder.take(&mut buffer)? {
            data.extend_from_slice(&piece);
        }
        let text = String::from_utf8(data).unwrap();
        Ok((text, decoder.is_ended(), buffer.len()))
    }

    #[test]
    fn chunks_are_joined_and_what_follows_is_left() {
        let text = "5\r\nhello\r\n00A;x=\"y\"\r\n, upstream\r\n0\r\nSum: 1\r\n\r\nnext";
        let text = text.replace(", upstream", ", stream!!");
        assert_eq!(decode(&text), Ok(("hello, stream!!".into(), true, 4)));
        assert_eq!(decode("0\r\n\r\n"), Ok((String::new(), true, 0)));
        assert_eq!(decode("5\r\nhel"), Ok(("hel".into(), false, 0)));
    }

    #[test]
    fn every_way_to_be_rude_in_chunks_is_refused() {
        let line_end = "bad line end in the chunked coding";
        for (text, why) in [
            ("\r\n", "unreadable chunk size"),
            (";x\r\n", "unreadable chunk size"),
            ("g\r\n", "unreadable chunk size"),
            ("-1\r\n", "unreadable chunk size"),
            ("0x1\r\n", "unreadable chunk size"),
            ("1 \r\na\r\n", "unreadable chunk size"),
            ("1\na\r\n", "unreadable chunk size"),
            ("1\r\na\r\n\r\n", "unreadable chunk size"),
            ("1\ra\r\n", line_end),
            ("1\r\nab\r\n", line_end),
            ("1\r\na\n0\r\n\r\n", line_end),
            ("1\r\na\r0\r\n\r\n", line_end),
            ("1;x\n", "control byte in the chunked coding"),
            ("1;\0\r\n", "control byte in the chunked coding"),
            ("1;x\rx", line_end),
            ("0\r\n\n", "control byte in the chunked coding"),
            ("0\r\nA: b\n\r\n", "control byte in the chunked coding"),
            ("0\r\nA: b\rc", line_end),
            ("0\r\n\rx", line_end),
        ] {
            assert_eq!(decode(text), Err(MalformedHttp(why)), "{text:?}");
        }
    }

    #[test]
    fn sizes_extensions_and_trailers_have_limits() {
        assert!(decode("ffffffffffffffff\r\na").is_ok());
        let sized = |digits: usize| decode(&format!("{}1\r\na", "0".repeat(digits - 1)));
        assert_eq!(sized(16), Ok(("a".into(), false, 0)));
        let padded = format!("{0}1\r\na\r\n{0}1\r\nb\r\n", "0".repeat(15));
        assert_eq!(decode(&padded), Ok(("ab".into(), false, 0)));
        assert_eq!(sized(17), Err(MalformedHttp("chunk size too long")));
        let extended = |bytes: usize| decode(&format!("1;{}\r\na\r\n", "x".repeat(bytes)));
        assert!(extended(EXTENSION_BYTES_MAX).is_ok());
        assert_eq!(
            extended(EXTENSION_BYTES_MAX + 1),
            Err(MalformedHttp("chunk extension too long"))
        );
        let trailed = |bytes: usize| {
            let half = "x".repeat(bytes / 2);
            decode(&format!(
                "0\r\n{half}\r\n{half}{}\r\n\r\n",
                "x".repeat(bytes % 2)
            ))
        };
        assert_eq!(trailed(TRAILER_BYTES_MAX), Ok((String::new(), true, 0)));
        assert_eq!(
            trailed(TRAILER_BYTES_MAX + 1),
            Err(MalformedHttp("trailers too long"))
        );
    }

    #[test]
    fn the_end_is_known_with_the_last_data_when_it_is_at_hand() {
        let mut decoder = ChunkedDecoder::default();
        let mut buffer = BytesMut::from("1\r\na\r\n0\r\n\r\n");
        assert_eq!(decoder.take(&mut buffer), Ok(Some(Bytes::from("a"))));
        assert!(decoder.is_ended());
    }
}

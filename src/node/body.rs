//! A body as its framing delimits it: bytes in, pieces out, and where it ends.

use bytes::{Bytes, BytesMut};

use crate::node::chunked::ChunkedDecoder;
use crate::node::fault::MalformedHttp;
use crate::node::response_head::ResponseFraming;

/// What is still to come of a body.
#[derive(Debug)]
pub enum BodyReader {
    /// This many bytes, at least one.
    Length(u64),
    Chunked(ChunkedDecoder),
    UntilClose,
    Ended,
}

impl BodyReader {
    pub fn new(framing: ResponseFraming) -> BodyReader {
        match framing {
            ResponseFraming::Nothing | ResponseFraming::Length(0) => BodyReader::Ended,
            ResponseFraming::Length(length) => BodyReader::Length(length),
            ResponseFraming::Chunked => BodyReader::Chunked(ChunkedDecoder::default()),
            ResponseFraming::UntilClose => BodyReader::UntilClose,
        }
    }

    /// Takes the next piece off the front of `buffer`, uncopied. `None`: the body has ended, or
    /// bytes are missing. The end is noticed with the last piece when it is at hand.
    ///
    /// # Errors
    /// A broken chunked coding.
    pub fn take(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, MalformedHttp> {
        match self {
            BodyReader::Chunked(decoder) => {
                let piece = decoder.take(buffer)?;
                if decoder.is_ended() {
                    *self = BodyReader::Ended;
                }
                Ok(piece)
            }
            BodyReader::Ended => Ok(None),
            BodyReader::Length(_) | BodyReader::UntilClose if buffer.is_empty() => Ok(None),
            BodyReader::UntilClose => Ok(Some(buffer.split().freeze())),
            BodyReader::Length(left) => {
                let within = usize::try_from(*left).unwrap_or(usize::MAX);
                let piece = buffer.split_to(within.min(buffer.len())).freeze();
                *left -= piece.len() as u64;
                if *left == 0 {
                    *self = BodyReader::Ended;
                }
                Ok(Some(piece))
            }
        }
    }

    /// Notes that the connection has ended; true if that is a proper end.
    pub fn close(&mut self) -> bool {
        if let BodyReader::UntilClose = self {
            *self = BodyReader::Ended;
        }
        self.is_ended()
    }

    pub fn is_ended(&self) -> bool {
        matches!(self, BodyReader::Ended)
    }

    /// Bytes still to come, where the head has said it.
    pub fn left(&self) -> Option<u64> {
        match self {
            BodyReader::Length(left) => Some(*left),
            BodyReader::Ended => Some(0),
            BodyReader::Chunked(_) | BodyReader::UntilClose => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::{Index, select};

    use super::*;
    use crate::node::response_head::{ResponseHead, ResponseHeadReader};

    /// All that can be told of an answer.
    #[derive(Debug, Default, PartialEq)]
    struct Told {
        head: Option<ResponseHead>,
        body: Vec<u8>,
        ended: bool,
        /// Bytes after the end.
        surplus: usize,
        malformed: Option<MalformedHttp>,
    }

    /// Reads `pieces` one after another, as a connection would bring them.
    fn tell(pieces: &[&[u8]]) -> Told {
        let (mut told, mut buffer) = (Told::default(), BytesMut::new());
        let (mut heads, mut body) = (ResponseHeadReader::default(), None);
        for piece in pieces {
            buffer.extend_from_slice(piece);
            if let Err(malformed) = go_on(&mut heads, &mut body, &mut buffer, &mut told) {
                told.malformed = Some(malformed);
                return told;
            }
        }
        told.surplus = buffer.len();
        told
    }

    fn go_on(
        heads: &mut ResponseHeadReader,
        body: &mut Option<BodyReader>,
        buffer: &mut BytesMut,
        told: &mut Told,
    ) -> Result<(), MalformedHttp> {
        if body.is_none() {
            told.head = heads.take(buffer)?;
            *body = told.head.as_ref().map(|head| BodyReader::new(head.framing));
        }
        let Some(body) = body else {
            return Ok(());
        };
        while let Some(piece) = body.take(buffer)? {
            told.body.extend_from_slice(&piece);
        }
        told.ended = body.is_ended();
        Ok(())
    }

    fn cut<'a>(bytes: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        ends.push(bytes.len());
        ends.sort_unstable();
        let starts = std::iter::once(0).chain(ends.clone());
        starts
            .zip(ends)
            .map(|(from, to)| &bytes[from..to])
            .collect()
    }

    const FRAGMENTS: &[&str] = &[
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.0 503 No\r\n",
        "HTTP/1.1 204 None\r\n",
        "Content-Length: 11\r\n",
        "Content-Length: 3\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Connection: close\r\n",
        "Retry-After: 3\r\n",
        "\r\n",
        "\n",
        "\r",
        "5\r\nhello\r\n",
        "b;x=y\r\nhello world\r\n",
        "0\r\n\r\n",
        "0\r\nT: u\r\n\r\n",
        "ffffffffffffffffff",
        "{\"result\":1}",
    ];

    fn rubbish() -> impl Strategy<Value = Vec<u8>> {
        let fragment = prop_oneof![
            9 => select(FRAGMENTS).prop_map(|text| text.as_bytes().to_vec()),
            1 => vec(any::<u8>(), 0..20),
        ];
        vec(fragment, 0..12).prop_map(|fragments| fragments.concat())
    }

    proptest! {
        #[test]
        fn however_bytes_are_cut_they_tell_the_same(
            bytes in rubbish(),
            cuts in vec(any::<Index>(), 0..12),
        ) {
            prop_assert_eq!(tell(&cut(&bytes, &cuts)), tell(&[&bytes]));
        }

        #[test]
        fn bytes_one_by_one_tell_the_same_as_all_at_once(
            proper in select(&["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n", ""][..]),
            rest in rubbish(),
        ) {
            let bytes = [proper.as_bytes(), &rest].concat();
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(tell(&single), tell(&[&bytes]));
        }

        #[test]
        fn any_bytes_at_all_are_survived(bytes in vec(any::<u8>(), 0..200)) {
            tell(&[&bytes]);
            tell(&[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &bytes]);
        }

        #[test]
        fn what_was_chunked_comes_out_whole(
            pieces in vec(vec(any::<u8>(), 1..40), 0..8),
            cuts in vec(any::<Index>(), 0..12),
        ) {
            let mut bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            for piece in &pieces {
                bytes.extend(format!("{:x}\r\n", piece.len()).into_bytes());
                bytes.extend_from_slice(piece);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\n\r\n");
            let told = tell(&cut(&bytes, &cuts));
            prop_assert!(told.ended && told.surplus == 0);
            prop_assert_eq!(told.body, pieces.concat());
        }
    }

    #[test]
    fn only_an_unframed_body_may_end_with_its_connection() {
        assert!(BodyReader::new(ResponseFraming::UntilClose).close());
        assert!(BodyReader::new(ResponseFraming::Nothing).close());
        assert!(!BodyReader::new(ResponseFraming::Length(1)).close());
        assert!(!BodyReader::new(ResponseFraming::Chunked).close());
    }
}

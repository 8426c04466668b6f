//! Answers as they go out piece by piece: a node's as it comes, or packed on its way.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::call::streamed_answer::{BrokenAnswer, StreamedAnswer};
use crate::shared::admission::HeldBytes;
use forebay_core::wire::coding::Compressor;

/// A body whose length only its end tells.
pub enum BodyStream<'a> {
    /// A node's answer.
    Large(Box<StreamedAnswer>),
    Packed(Box<CompressedBody<'a>>),
}

/// A body that is packed as it goes out.
pub struct CompressedBody<'a> {
    source: CompressionSource,
    packer: Compressor,
    /// What the packer holds.
    _load: HeldBytes<'a>,
}

/// What is packed.
pub enum CompressionSource {
    Pieces(VecDeque<Bytes>),
    Large(Box<StreamedAnswer>),
}

impl BodyStream<'_> {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// It breaks off here: the client's connection must break, too.
    pub async fn next(&mut self) -> Result<Option<Bytes>, BrokenAnswer> {
        match self {
            BodyStream::Large(large) => large.next().await,
            BodyStream::Packed(packed) => packed.next().await,
        }
    }
}

impl<'a> CompressedBody<'a> {
    /// `load`: what the packer holds.
    pub fn new(
        source: CompressionSource,
        packer: Compressor,
        load: HeldBytes<'a>,
    ) -> CompressedBody<'a> {
        CompressedBody {
            source,
            packer,
            _load: load,
        }
    }

    async fn next(&mut self) -> Result<Option<Bytes>, BrokenAnswer> {
        let mut is_over = false;
        loop {
            let given = self.packer.give();
            if let Some(piece) = given.map_err(|_| BrokenAnswer)? {
                return Ok(Some(piece));
            }
            if is_over {
                return Ok(None);
            }
            let fed = match &mut self.source {
                CompressionSource::Pieces(pieces) => pieces.pop_front(),
                CompressionSource::Large(large) => large.next().await?,
            };
            match fed {
                Some(piece) => self.packer.feed(piece),
                None => {
                    self.packer.finish();
                    is_over = true;
                }
            }
        }
    }
}

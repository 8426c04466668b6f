//! Answers as they go out piece by piece, and packed for clients that ask for it (`listen.compression`).

use std::collections::VecDeque;

use bytes::Bytes;

use crate::call::exchange::{BrokenAnswer, StreamedAnswer};
use crate::client::request_head::RequestHead;
use crate::client::response::{ClientResponse, ResponseBody};
use crate::shared::admission::{Admission, HeldBytes};
use forebay_core::wire::coding::{Coding, Compressor, PACKER_BYTES};

/// A shorter body is sent as it is, in bytes: there is little to be gained.
pub const PACKED_BYTES_MIN: usize = 1 << 10;
/// A body up to this length is packed at once, so that its length can be told.
const AT_ONCE_BYTES_MAX: usize = 64 << 10;

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

enum CompressionSource {
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

impl CompressedBody<'_> {
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

/// Packs an answer, where the client asks for it and it is worth it, and there is room for the work.
pub fn pack<'a>(
    gate: &'a Admission,
    asked: &RequestHead,
    mut outgoing: ClientResponse<'a>,
) -> ClientResponse<'a> {
    if !outgoing.may_have_body() {
        return outgoing;
    }
    outgoing.varies = true;
    let is_short = |bytes| bytes < PACKED_BYTES_MIN;
    // HTTP/1.0 has no chunks, and the answer to HEAD no body.
    if outgoing.body.bytes().is_some_and(is_short) || asked.is_http_1_0 || asked.is_for_head {
        return outgoing;
    }
    let tools = asked.accepts.best().and_then(|coding| {
        let load = gate.load(PACKER_BYTES)?;
        Some((coding, Compressor::new(coding)?, load))
    });
    let Some((coding, packer, load)) = tools else {
        return outgoing;
    };
    outgoing.with_body(|body| packed(body, packer, load, coding))
}

/// The body, packed, and with what; or as it was.
fn packed<'a>(
    body: ResponseBody<'a>,
    mut packer: Compressor,
    load: HeldBytes<'a>,
    coding: Coding,
) -> (ResponseBody<'a>, Option<Coding>) {
    let bytes = body.bytes();
    let source = match body {
        ResponseBody::Text(text) => CompressionSource::Pieces([text.into_owned().into()].into()),
        ResponseBody::Pieces(pieces) => CompressionSource::Pieces(pieces.into()),
        ResponseBody::Whole(answer, id) => {
            let mut text = Vec::with_capacity(answer.bytes_with(id));
            answer.write_to(id, &mut text);
            CompressionSource::Pieces([text.into()].into())
        }
        ResponseBody::Flow(BodyStream::Large(large)) => CompressionSource::Large(large),
        ResponseBody::Flow(flow @ BodyStream::Packed(_)) => {
            return (ResponseBody::Flow(flow), None);
        }
    };
    match (source, bytes) {
        (CompressionSource::Pieces(pieces), Some(bytes)) if bytes <= AT_ONCE_BYTES_MAX => {
            match at_once(&mut packer, &pieces) {
                Some(packed) => (ResponseBody::Pieces(packed), Some(coding)),
                None => (ResponseBody::Pieces(pieces.into()), None),
            }
        }
        (source, _) => {
            let packed = CompressedBody {
                source,
                packer,
                _load: load,
            };
            (
                ResponseBody::Flow(BodyStream::Packed(Box::new(packed))),
                Some(coding),
            )
        }
    }
}

/// `None` where the packer broke.
fn at_once(packer: &mut Compressor, pieces: &VecDeque<Bytes>) -> Option<Vec<Bytes>> {
    let mut packed = Vec::new();
    for piece in pieces {
        packer.feed(piece.clone());
        while let Some(given) = packer.give().ok()? {
            packed.push(given);
        }
    }
    packer.finish();
    while let Some(given) = packer.give().ok()? {
        packed.push(given);
    }
    Some(packed)
}

//! Answers packed for clients that ask for it (`listen.compression`).

use std::collections::VecDeque;

use bytes::Bytes;

use crate::client::body_stream::{BodyStream, CompressedBody, CompressionSource};
use crate::client::request_head::RequestHead;
use crate::client::response::{ClientResponse, ResponseBody};
use crate::shared::admission::{Admission, HeldBytes};
use forebay_core::wire::coding::{Coding, Compressor, PACKER_BYTES};

/// A shorter body is sent as it is, in bytes: there is little to be gained.
pub const PACKED_BYTES_MIN: usize = 1 << 10;
/// A body up to this length is packed at once, so that its length can be told.
const AT_ONCE_BYTES_MAX: usize = 64 << 10;

/// Packs an answer, where the client asks for it and it is worth it, and there is room for the work.
pub fn pack<'a>(
    admission: &'a Admission,
    head: &RequestHead,
    mut response: ClientResponse<'a>,
) -> ClientResponse<'a> {
    if !response.may_have_body() {
        return response;
    }
    response.varies = true;
    let is_short = |bytes| bytes < PACKED_BYTES_MIN;
    // HTTP/1.0 has no chunks, and the answer to HEAD no body.
    if response.body.bytes().is_some_and(is_short) || head.is_http_1_0 || head.is_for_head {
        return response;
    }
    let tools = head.accepts.best().and_then(|coding| {
        let load = admission.load(PACKER_BYTES)?;
        Some((coding, Compressor::new(coding)?, load))
    });
    let Some((coding, packer, load)) = tools else {
        return response;
    };
    response.with_body(|body| packed(body, packer, load, coding))
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
            let packed = CompressedBody::new(source, packer, load);
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

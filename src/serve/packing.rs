//! Answers as they go out piece by piece, and packed for clients that ask for it (`listen.compression`).

use std::collections::VecDeque;

use bytes::Bytes;

use super::asked::Asked;
use super::exchange::{Broken, Large};
use super::outlet::{Body, Outgoing};
use crate::domain::coding::{Coding, PACKER_BYTES, Packer};
use crate::state::gate::{Gate, Load};

/// A shorter body is sent as it is, in bytes: there is little to be gained.
pub const PACKED_BYTES_MIN: usize = 1 << 10;
/// A body up to this length is packed at once, so that its length can be told.
const AT_ONCE_BYTES_MAX: usize = 64 << 10;

/// A body whose length only its end tells.
pub enum Flow<'a> {
    /// A node's answer.
    Large(Box<Large>),
    Packed(Box<Packed<'a>>),
}

/// A body that is packed as it goes out.
pub struct Packed<'a> {
    source: Source,
    packer: Packer,
    /// What the packer holds.
    _load: Load<'a>,
}

enum Source {
    Pieces(VecDeque<Bytes>),
    Large(Box<Large>),
}

impl Flow<'_> {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// It breaks off here: the client's connection must break, too.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        match self {
            Flow::Large(large) => large.next().await,
            Flow::Packed(packed) => packed.next().await,
        }
    }
}

impl Packed<'_> {
    async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        let mut is_over = false;
        loop {
            let given = self.packer.give();
            if let Some(piece) = given.map_err(|_| Broken)? {
                return Ok(Some(piece));
            }
            if is_over {
                return Ok(None);
            }
            let fed = match &mut self.source {
                Source::Pieces(pieces) => pieces.pop_front(),
                Source::Large(large) => large.next().await?,
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
pub fn pack<'a>(gate: &'a Gate, asked: &Asked, mut outgoing: Outgoing<'a>) -> Outgoing<'a> {
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
        Some((coding, Packer::new(coding)?, load))
    });
    let Some((coding, packer, load)) = tools else {
        return outgoing;
    };
    outgoing.with_body(|body| packed(body, packer, load, coding))
}

/// The body, packed, and with what; or as it was.
fn packed<'a>(
    body: Body<'a>,
    mut packer: Packer,
    load: Load<'a>,
    coding: Coding,
) -> (Body<'a>, Option<Coding>) {
    let bytes = body.bytes();
    let source = match body {
        Body::Text(text) => Source::Pieces([text.into_owned().into()].into()),
        Body::Pieces(pieces) => Source::Pieces(pieces.into()),
        Body::Whole(answer, id) => {
            let mut text = Vec::with_capacity(answer.bytes_with(id));
            answer.write_to(id, &mut text);
            Source::Pieces([text.into()].into())
        }
        Body::Flow(Flow::Large(large)) => Source::Large(large),
        Body::Flow(flow @ Flow::Packed(_)) => return (Body::Flow(flow), None),
    };
    match (source, bytes) {
        (Source::Pieces(pieces), Some(bytes)) if bytes <= AT_ONCE_BYTES_MAX => {
            match at_once(&mut packer, &pieces) {
                Some(packed) => (Body::Pieces(packed), Some(coding)),
                None => (Body::Pieces(pieces.into()), None),
            }
        }
        (source, _) => {
            let packed = Packed {
                source,
                packer,
                _load: load,
            };
            (Body::Flow(Flow::Packed(Box::new(packed))), Some(coding))
        }
    }
}

/// `None` where the packer broke.
fn at_once(packer: &mut Packer, pieces: &VecDeque<Bytes>) -> Option<Vec<Bytes>> {
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

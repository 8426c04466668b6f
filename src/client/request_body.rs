//! A request's way in: its head judged, its body read whole, within limits of size and time.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use crate::client::downstream::{Downstream, RequestBodyError};
use crate::client::request_head::RequestHead;
use crate::clock;
use crate::shared::admission::Permit;
use forebay_core::rpc::refusal::Refusal;
use forebay_core::wire::coding::{
    Coding, DecompressionError, Decompressor, Encoding, UNPACKER_BYTES,
};

/// A body must be there this long after its head.
pub const BODY_TIME_MAX: Duration = Duration::from_secs(10);
/// The most of a body that is gathered before it is handed over.
pub const PIECE_BYTES_MAX: usize = 64 << 10;
/// After an early refusal this much of a body is read, this long: closing on unread bytes would
/// reset the connection before the client has our answer.
pub const DRAIN_BYTES_MAX: usize = 8 << 20;
pub const DRAIN_TIME_MAX: Duration = Duration::from_secs(1);

/// Judges what can be judged of a call before its body is read.
///
/// # Errors
/// A wrong content type, a coding other than gzip, a body announced too large.
pub fn judge_head(head: &RequestHead, bytes_max: usize) -> Result<(), Refusal> {
    if !head.is_json() {
        return Err(Refusal::ContentType);
    }
    let bytes_max = match head.encoding {
        Encoding::Identity => bytes_max,
        Encoding::One(Coding::Gzip) => packed_bytes_max(bytes_max),
        Encoding::One(Coding::Deflate | Coding::Zstd) | Encoding::Other => {
            return Err(Refusal::ContentEncoding);
        }
    };
    match head.body_bytes {
        Some(length) if length > bytes_max as u64 => Err(Refusal::BodyTooLarge { bytes_max }),
        _ => Ok(()),
    }
}

/// How long a body may be that is packed, in bytes: what can't be made shorter becomes longer, by five
/// bytes in 16 KiB and 18 around all (RFC 1951 §3.2.4, RFC 1952 §2.3).
fn packed_bytes_max(bytes_max: usize) -> usize {
    bytes_max.saturating_add(bytes_max / 1024 + (4 << 10))
}

/// Why there is no body.
#[derive(Debug)]
pub enum MissingBody {
    Refused(Refusal),
    /// The client left.
    Gone,
}

impl From<DecompressionError> for MissingBody {
    fn from(bad: DecompressionError) -> MissingBody {
        MissingBody::Refused(Refusal::BadPacking(bad.0))
    }
}

impl From<RequestBodyError> for MissingBody {
    fn from(fault: RequestBodyError) -> MissingBody {
        match fault {
            RequestBodyError::Gone => MissingBody::Gone,
            RequestBodyError::Malformed(why) => MissingBody::Refused(Refusal::Framing(why)),
            RequestBodyError::Late => MissingBody::Refused(Refusal::BodyTooSlow),
        }
    }
}

/// What is held of a body, as the admission counts it: it grows as the body comes, so that what is refused is
/// never all in memory.
struct BodyReservation<'b, 'g> {
    permit: &'b mut Permit<'g>,
    held: usize,
    bytes_max: usize,
}

impl BodyReservation<'_, '_> {
    fn to(&mut self, bytes: usize) -> Result<(), MissingBody> {
        if bytes > self.bytes_max {
            return Err(MissingBody::Refused(Refusal::BodyTooLarge {
                bytes_max: self.bytes_max,
            }));
        }
        let has_room = self.permit.hold(bytes.saturating_sub(self.held));
        self.held = self.held.max(bytes);
        has_room
            .then_some(())
            .ok_or(MissingBody::Refused(Refusal::OverCapacity))
    }
}

/// Reads the body whole, and unpacked.
///
/// # Errors
/// See [`MissingBody`].
pub async fn read_body(
    downstream: &mut impl Downstream,
    permit: &mut Permit<'_>,
    bytes_max: usize,
    arrived_at: Instant,
) -> Result<Bytes, MissingBody> {
    let until = arrived_at + BODY_TIME_MAX;
    let mut growth = BodyReservation {
        permit,
        held: 0,
        bytes_max,
    };
    if downstream.head().encoding != Encoding::Identity {
        // On the heap, as all that is rare.
        return Box::pin(read_packed(downstream, growth, until)).await;
    }
    let announced = downstream.head().body_bytes.unwrap_or(0);
    let announced = usize::try_from(announced).unwrap_or(usize::MAX);
    // Before it is gathered, where its length is known.
    growth.to(announced.min(PIECE_BYTES_MAX))?;
    let Some(first) = downstream.piece(until).await? else {
        return Ok(Bytes::new());
    };
    growth.to(first.len())?;
    if downstream.has_ended() {
        return Ok(first);
    }
    // No larger than it is said to be, and not copied as it grows; what isn't sent takes no memory.
    let mut body = BytesMut::with_capacity(announced.max(first.len()).min(bytes_max));
    body.extend_from_slice(&first);
    drop(first);
    loop {
        growth.to(announced.min(body.len() + PIECE_BYTES_MAX))?;
        let Some(piece) = downstream.piece(until).await? else {
            return Ok(body.freeze());
        };
        growth.to(body.len() + piece.len())?;
        body.extend_from_slice(&piece);
    }
}

/// Reads a body that gzip packed, unpacking it as it comes: what is held, and counted, is unpacked.
async fn read_packed(
    downstream: &mut impl Downstream,
    mut growth: BodyReservation<'_, '_>,
    until: Instant,
) -> Result<Bytes, MissingBody> {
    let over_capacity = || MissingBody::Refused(Refusal::OverCapacity);
    let bytes_max = growth.bytes_max;
    if !growth.permit.hold(UNPACKER_BYTES) {
        return Err(over_capacity());
    }
    let mut unpacker = Decompressor::new(Coding::Gzip).ok_or_else(over_capacity)?;
    let (mut body, mut packed) = (BytesMut::new(), 0);
    while let Some(piece) = downstream.piece(until).await? {
        packed += piece.len();
        if packed > packed_bytes_max(bytes_max) {
            return Err(MissingBody::Refused(Refusal::BodyTooLarge { bytes_max }));
        }
        unpacker.feed(piece);
        while let Some(piece) = unpacker.give()? {
            growth.to(body.len() + piece.len())?;
            body.extend_from_slice(&piece);
            // A little that is packed may be a lot: others have their turn meanwhile.
            tokio::task::consume_budget().await;
        }
    }
    unpacker.end()?;
    Ok(body.freeze())
}

/// Reads what is left of a body that isn't wanted, within limits.
pub async fn drain(downstream: &mut impl Downstream) {
    if downstream.has_ended() {
        return;
    }
    let until = clock::now() + DRAIN_TIME_MAX;
    let mut drained = 0;
    while let Ok(Some(piece)) = downstream.piece(until).await {
        drained += piece.len();
        if drained > DRAIN_BYTES_MAX {
            return;
        }
    }
}

//! A request's way in: its head judged, its body read whole, within limits of size and time.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::asked::Asked;
use super::caller::{BodyFault, Caller};
use crate::clock;
use crate::domain::refusal::Refusal;
use crate::state::gate::Pass;

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
/// A wrong content type, a body announced too large.
pub fn judge_head(asked: &Asked, bytes_max: usize) -> Result<(), Refusal> {
    if !asked.is_json() {
        return Err(Refusal::ContentType);
    }
    match asked.body_bytes {
        Some(length) if length > bytes_max as u64 => Err(Refusal::BodyTooLarge { bytes_max }),
        _ => Ok(()),
    }
}

/// Why there is no body.
#[derive(Debug)]
pub enum NoBody {
    Refused(Refusal),
    /// The client left.
    Gone,
}

impl From<BodyFault> for NoBody {
    fn from(fault: BodyFault) -> NoBody {
        match fault {
            BodyFault::Gone => NoBody::Gone,
            BodyFault::Malformed(why) => NoBody::Refused(Refusal::Framing(why)),
            BodyFault::Late => NoBody::Refused(Refusal::BodyTooSlow),
        }
    }
}

/// Reads the body whole.
///
/// # Errors
/// See [`NoBody`].
pub async fn read_body(
    caller: &mut impl Caller,
    pass: &mut Pass<'_>,
    bytes_max: usize,
    arrived_at: Instant,
) -> Result<Bytes, NoBody> {
    let until = arrived_at + BODY_TIME_MAX;
    let announced = caller.asked().body_bytes.unwrap_or(0);
    let announced = usize::try_from(announced).unwrap_or(usize::MAX);
    let mut held = 0;
    // As it comes: what is refused is never all in memory.
    let mut hold = |bytes: usize| {
        if bytes > bytes_max {
            return Err(NoBody::Refused(Refusal::BodyTooLarge { bytes_max }));
        }
        let has_room = pass.hold(bytes.saturating_sub(held));
        held = held.max(bytes);
        has_room
            .then_some(())
            .ok_or(NoBody::Refused(Refusal::OverCapacity))
    };
    // Before it is gathered, where its length is known.
    hold(announced.min(PIECE_BYTES_MAX))?;
    let Some(first) = caller.piece(until).await? else {
        return Ok(Bytes::new());
    };
    hold(first.len())?;
    if caller.has_ended() {
        return Ok(first);
    }
    // No larger than it is said to be, and not copied as it grows; what isn't sent takes no memory.
    let mut body = BytesMut::with_capacity(announced.max(first.len()).min(bytes_max));
    body.extend_from_slice(&first);
    drop(first);
    loop {
        hold(announced.min(body.len() + PIECE_BYTES_MAX))?;
        let Some(piece) = caller.piece(until).await? else {
            return Ok(body.freeze());
        };
        hold(body.len() + piece.len())?;
        body.extend_from_slice(&piece);
    }
}

/// Reads what is left of a body that nobody wants, within limits.
pub async fn drain(caller: &mut impl Caller) {
    if caller.has_ended() {
        return;
    }
    let until = clock::now() + DRAIN_TIME_MAX;
    let mut drained = 0;
    while let Ok(Some(piece)) = caller.piece(until).await {
        drained += piece.len();
        if drained > DRAIN_BYTES_MAX {
            return;
        }
    }
}

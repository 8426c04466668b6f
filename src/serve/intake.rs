//! A request's way in: its head judged, its body read whole, within limits of size and time.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use http::{HeaderMap, Method, Version};
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use crate::domain::framing;
use crate::domain::refusal::Refusal;
use crate::state::gate::Pass;

/// A body must be there this long after its head.
pub const BODY_TIME_MAX: Duration = Duration::from_secs(10);
/// After an early refusal this much of a body is read, this long: closing on unread bytes would
/// reset the connection before the client has our answer.
const DRAIN_BYTES_MAX: usize = 8 << 20;
const DRAIN_TIME_MAX: Duration = Duration::from_secs(1);

/// What a request wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// JSON-RPC.
    Call,
    Health,
    /// A word for whoever looks with a browser.
    Greeting,
    Preflight,
    NotFound,
    MethodNotAllowed,
}

/// Reads the wish off method and path.
pub fn wish(method: &Method, path: &str) -> Wish {
    let is_endpoint = matches!(path, "/" | "/rpc");
    match (method, path) {
        (&Method::POST, _) if is_endpoint => Wish::Call,
        (&Method::OPTIONS, _) if is_endpoint || path == "/health" => Wish::Preflight,
        (&Method::GET | &Method::HEAD, "/health") => Wish::Health,
        (&Method::GET | &Method::HEAD, _) if is_endpoint => Wish::Greeting,
        (_, "/health") => Wish::MethodNotAllowed,
        _ if is_endpoint => Wish::MethodNotAllowed,
        _ => Wish::NotFound,
    }
}

/// Judges whether the request ends where everybody takes it to end.
///
/// # Errors
/// Ambiguous framing.
pub fn judge_framing(session: &Session) -> Result<(), Refusal> {
    match session.as_http1() {
        Some(_) => framing::check(&session.to_h1_raw()).map_err(Refusal::Framing),
        None => Ok(()),
    }
}

/// Judges what else can be judged of a call before its body is read.
///
/// # Errors
/// A wrong content type, a body announced too large.
pub fn judge_head(session: &Session, bytes_max: usize) -> Result<(), Refusal> {
    let headers = &session.req_header().headers;
    if !is_json(headers) {
        return Err(Refusal::ContentType);
    }
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok());
    match announced.and_then(|length| length.trim().parse::<u64>().ok()) {
        Some(length) if length > bytes_max as u64 => Err(Refusal::BodyTooLarge { bytes_max }),
        _ => Ok(()),
    }
}

/// `application/json`, with or without parameters; or nothing said.
fn is_json(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_none_or(|value| {
        let essence = value
            .as_bytes()
            .split(|byte| *byte == b';')
            .next()
            .unwrap_or_default();
        essence
            .trim_ascii()
            .eq_ignore_ascii_case(b"application/json")
    })
}

/// Whether the client waits for our word before it sends its body. One that speaks HTTP/1.0
/// can't mean it (RFC 9110 §10.1.1).
pub fn expects_continue(head: &RequestHeader) -> bool {
    let expects = head
        .headers
        .get(EXPECT)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    expects && head.version > Version::HTTP_10
}

/// Why there is no body.
#[derive(Debug)]
pub enum NoBody {
    Refused(Refusal),
    /// The client left, or broke its own framing.
    Gone(Box<pingora::Error>),
}

impl From<Box<pingora::Error>> for NoBody {
    fn from(why: Box<pingora::Error>) -> NoBody {
        NoBody::Gone(why)
    }
}

/// Reads the body whole.
///
/// # Errors
/// See [`NoBody`].
pub async fn read_body(
    session: &mut Session,
    pass: &mut Pass<'_>,
    bytes_max: usize,
    arrived_at: Instant,
) -> Result<Bytes, NoBody> {
    let until = tokio::time::Instant::from_std(arrived_at + BODY_TIME_MAX);
    tokio::time::timeout_at(until, gather(session, pass, bytes_max))
        .await
        .unwrap_or(Err(NoBody::Refused(Refusal::BodyTooSlow)))
}

async fn gather(
    session: &mut Session,
    pass: &mut Pass<'_>,
    bytes_max: usize,
) -> Result<Bytes, NoBody> {
    let Some(first) = session.as_downstream_mut().read_request_body().await? else {
        return Ok(Bytes::new());
    };
    // As it comes: what is refused is never all in memory.
    let mut hold = |held: usize, piece: usize| {
        if held + piece > bytes_max {
            return Err(NoBody::Refused(Refusal::BodyTooLarge { bytes_max }));
        }
        let has_room = pass.hold(piece);
        has_room
            .then_some(())
            .ok_or(NoBody::Refused(Refusal::OverCapacity))
    };
    hold(0, first.len())?;
    if session.as_downstream_mut().is_body_done() {
        return Ok(first);
    }
    let mut body = BytesMut::from(first);
    while let Some(piece) = session.as_downstream_mut().read_request_body().await? {
        hold(body.len(), piece.len())?;
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}

/// Reads what is left of a refused body, within limits.
pub async fn drain(session: &mut Session) {
    let _ = tokio::time::timeout(DRAIN_TIME_MAX, async {
        let mut drained = 0;
        while let Ok(Some(piece)) = session.as_downstream_mut().read_request_body().await {
            drained += piece.len();
            if drained > DRAIN_BYTES_MAX {
                return;
            }
        }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn method_and_path_say_what_is_wanted() {
        for (method, path, wanted) in [
            (Method::POST, "/", Wish::Call),
            (Method::POST, "/rpc", Wish::Call),
            (Method::POST, "/other", Wish::NotFound),
            (Method::GET, "/", Wish::Greeting),
            (Method::GET, "/health", Wish::Health),
            (Method::HEAD, "/health", Wish::Health),
            (Method::POST, "/health", Wish::MethodNotAllowed),
            (Method::PUT, "/", Wish::MethodNotAllowed),
            (Method::DELETE, "/rpc", Wish::MethodNotAllowed),
            (Method::OPTIONS, "/", Wish::Preflight),
        ] {
            assert_eq!(wish(&method, path), wanted, "{method} {path}");
        }
    }

    #[test]
    fn json_is_taken_with_parameters_and_unsaid() {
        let said = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(value));
            is_json(&headers)
        };
        assert!(is_json(&HeaderMap::new()));
        assert!(said("application/json") && said("Application/JSON ; charset=utf-8"));
        assert!(!said("text/plain") && !said("application/jsonx") && !said(""));
    }
}

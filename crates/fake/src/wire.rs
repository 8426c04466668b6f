//! HTTP/1.1 as a pretend node speaks it: one connection, one request after another.
//!
//! Strict where it is cheap (a request needs a length), rude only where it has been told to be.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::behaviour::{Behaviour, Fault};
use crate::answer::{FakeRequest, Responder};
use crate::behaviour::AnswerShape;
use crate::state::{FakeNodeState, LOG_BODY_BYTES_MAX, RecordedRequest};

/// The longest head of a request.
const HEAD_BYTES_MAX: usize = 64 * 1024;
const HEADERS_MAX: usize = 100;
/// The longest body; the balancer's own limit is far below.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// An answer in chunks comes in so many.
const CHUNKS: usize = 3;

/// A request, read whole.
struct FakeHttpRequest {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// What happens after a request.
enum FakeReply {
    Stall,
    HangUp,
    Reset,
    Answer(FakeHttpResponse),
}

struct FakeHttpResponse {
    status: u16,
    content_type: &'static str,
    retry_after_seconds: Option<u64>,
    body: Vec<u8>,
    is_packed: bool,
    framing: FakeFraming,
    /// It comes in place of the next.
    is_late: bool,
    /// Bytes a piece, and the pause after each.
    pace: Option<(usize, Duration)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum FakeFraming {
    Length,
    /// Announces twice what it sends, and closes.
    LengthTooLarge,
    Chunked,
    /// Closes before the last chunk.
    ChunkedCutOff,
}

impl FakeFraming {
    fn is_whole(self) -> bool {
        match self {
            FakeFraming::Length | FakeFraming::Chunked => true,
            FakeFraming::LengthTooLarge | FakeFraming::ChunkedCutOff => false,
        }
    }
}

/// Serves a connection to its end. Whatever breaks it is the client's matter.
pub(super) async fn serve(mut stream: TcpStream, shared: Arc<FakeNodeState>) {
    // Without it, a piece of a dribbled answer may wait for an acknowledgement.
    let _ = stream.set_nodelay(true);
    let mut unread = Vec::new();
    let mut answered = 0;
    let mut previous = None;
    while let Ok(Some(request)) = read_request(&mut stream, &mut unread).await {
        let wants_close = request.wants_close();
        let (reply, behaviour, is_work) = decide(request, &shared);
        tokio::time::sleep(behaviour.latency).await;
        let refused = match &behaviour.capacity {
            Some(capacity) if is_work => capacity.work().await.err(),
            Some(_) | None => None,
        };
        let reply = match refused {
            Some(status) => FakeReply::Answer(FakeHttpResponse::plain(status, "too much to do\n")),
            None => reply,
        };
        let mut answer = match reply {
            FakeReply::Stall => return std::future::pending().await,
            FakeReply::HangUp => return,
            FakeReply::Reset => {
                // Closing with zero linger sends RST; if it can't be set, a plain close must do.
                let _ = stream.set_zero_linger();
                return;
            }
            FakeReply::Answer(answer) => answer,
        };
        if answer.is_late {
            let due = previous.replace(answer.body.clone());
            answer.body = due.unwrap_or(answer.body);
        }
        let written = write_answer(&mut stream, &answer).await;
        answered += 1;
        let had_enough = behaviour.requests_per_connection == Some(answered);
        if written.is_err() || wants_close || had_enough || !answer.framing.is_whole() {
            return;
        }
    }
}

/// What nodes are asked unasked.
const PROBED: [&str; 7] = [
    "eth_getBlockByNumber",
    "eth_blockNumber",
    "eth_chainId",
    "eth_syncing",
    "eth_capabilities",
    "net_version",
    "eth_getBlockTransactionCountByNumber",
];

/// Notes the request and works out its reply, by the behaviour of this very moment.
fn decide(request: FakeHttpRequest, shared: &FakeNodeState) -> (FakeReply, Behaviour, bool) {
    let behaviour = shared.behaviour.lock().clone();
    let asked = FakeRequest::read(&request.body);
    let methods = asked.methods();
    let fault = behaviour.fault_for(&methods, asked.is_batch());
    let text = if request.method == "POST" {
        let speaker = Responder {
            chain: &shared.chain,
            behaviour: &behaviour,
            fault: fault.as_ref(),
        };
        Some(speaker.answer(&asked))
    } else {
        None
    };
    shared.diary.lock().note(request.heard(), &methods);
    let reply = match text {
        Some(text) => reply(text.into_bytes(), fault, behaviour.shape),
        None => FakeReply::Answer(FakeHttpResponse::plain(405, "only POST is answered\n")),
    };
    let is_work = methods
        .iter()
        .any(|method| !PROBED.contains(&method.as_str()));
    (reply, behaviour, is_work)
}

/// Bends an honest answer as `fault` wants it.
fn reply(body: Vec<u8>, fault: Option<Fault>, shape: AnswerShape) -> FakeReply {
    let mut answer = FakeHttpResponse::json(body);
    if shape.chunked {
        answer.framing = FakeFraming::Chunked;
    }
    match fault {
        Some(Fault::Stall) => return FakeReply::Stall,
        Some(Fault::HangUp) => return FakeReply::HangUp,
        Some(Fault::Reset) => return FakeReply::Reset,
        Some(Fault::Status {
            code,
            retry_after_seconds,
        }) => {
            answer = FakeHttpResponse::plain(code, &format!("{code} {}\n", reason(code)));
            answer.retry_after_seconds = retry_after_seconds;
        }
        Some(Fault::Says { code, .. }) => answer.status = code,
        Some(Fault::Html) => {
            answer.content_type = "text/html; charset=utf-8";
            answer.body = b"<!doctype html><title>Welcome</title><p>It works.".to_vec();
        }
        Some(Fault::HalfBody) => answer.framing = FakeFraming::LengthTooLarge,
        Some(Fault::TruncatedChunks) => answer.framing = FakeFraming::ChunkedCutOff,
        Some(Fault::NotJson) => answer.body = br#"{"jsonrpc":"2.0","id":"#.to_vec(),
        Some(Fault::EmptyBody) => answer.body.clear(),
        Some(Fault::Late) => answer.is_late = true,
        Some(Fault::Dribble { piece_bytes, pause }) => {
            answer.pace = Some((piece_bytes.max(1), pause));
        }
        // These are in the text already.
        Some(
            Fault::WrongId
            | Fault::MissingId
            | Fault::ArrayForOne
            | Fault::ObjectForBatch
            | Fault::FirstForBatch
            | Fault::AnswersTwice
            | Fault::AnswersTooFew
            | Fault::ResultAndError
            | Fault::RpcError { .. }
            | Fault::HugeResult { .. },
        )
        | None => {}
    }
    if shape.packed {
        answer.pack();
    }
    FakeReply::Answer(answer)
}

impl FakeHttpResponse {
    fn json(body: Vec<u8>) -> FakeHttpResponse {
        FakeHttpResponse {
            status: 200,
            content_type: "application/json",
            retry_after_seconds: None,
            body,
            is_packed: false,
            framing: FakeFraming::Length,
            is_late: false,
            pace: None,
        }
    }

    fn plain(status: u16, text: &str) -> FakeHttpResponse {
        FakeHttpResponse {
            status,
            content_type: "text/plain; charset=utf-8",
            ..FakeHttpResponse::json(text.as_bytes().to_vec())
        }
    }

    fn pack(&mut self) {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        // Memory takes all that it is given.
        if packed.write_all(&self.body).is_ok()
            && let Ok(packed) = packed.finish()
        {
            self.body = packed;
            self.is_packed = true;
        }
    }

    fn head(&self) -> String {
        let framing = match self.framing {
            FakeFraming::Length => format!("content-length: {}", self.body.len()),
            FakeFraming::LengthTooLarge => format!("content-length: {}", self.body.len() * 2),
            FakeFraming::Chunked | FakeFraming::ChunkedCutOff => {
                "transfer-encoding: chunked".to_owned()
            }
        };
        let retry_after = match self.retry_after_seconds {
            Some(seconds) => format!("retry-after: {seconds}\r\n"),
            None => String::new(),
        };
        let encoding = match self.is_packed {
            true => "content-encoding: gzip\r\n",
            false => "",
        };
        format!(
            "HTTP/1.1 {} {}\r\ncontent-type: {}\r\n{encoding}{retry_after}{framing}\r\n\r\n",
            self.status,
            reason(self.status),
            self.content_type,
        )
    }

    /// The body as it goes over the wire.
    fn framed(&self) -> Vec<u8> {
        match self.framing {
            FakeFraming::Length | FakeFraming::LengthTooLarge => self.body.clone(),
            FakeFraming::Chunked => chunks(&self.body, true),
            FakeFraming::ChunkedCutOff => chunks(&self.body, false),
        }
    }
}

fn chunks(body: &[u8], whole: bool) -> Vec<u8> {
    let mut framed = Vec::with_capacity(body.len() + 64);
    for chunk in body.chunks(body.len().div_ceil(CHUNKS).max(1)) {
        framed.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        framed.extend_from_slice(chunk);
        framed.extend_from_slice(b"\r\n");
    }
    if whole {
        framed.extend_from_slice(b"0\r\n\r\n");
    }
    framed
}

fn reason(status: u16) -> &'static str {
    let status = http::StatusCode::from_u16(status).ok();
    status
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Unknown")
}

async fn write_answer(stream: &mut TcpStream, answer: &FakeHttpResponse) -> io::Result<()> {
    let mut bytes = answer.head().into_bytes();
    let body = answer.framed();
    let Some((piece_bytes, pause)) = answer.pace else {
        bytes.extend_from_slice(&body);
        return stream.write_all(&bytes).await;
    };
    stream.write_all(&bytes).await?;
    for piece in body.chunks(piece_bytes) {
        stream.write_all(piece).await?;
        tokio::time::sleep(pause).await;
    }
    Ok(())
}

impl FakeHttpRequest {
    fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(key, _)| key == name);
        found.next().map(|(_, value)| value.as_str())
    }

    fn wants_close(&self) -> bool {
        self.header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// Bytes of body that follow the head.
    fn body_bytes(&self) -> io::Result<usize> {
        let Some(length) = self.header("content-length") else {
            // A GET may go without; a chunked request is more than we care to read.
            let chunked = self.header("transfer-encoding").is_some();
            return if chunked { Err(malformed()) } else { Ok(0) };
        };
        match length.parse() {
            Ok(bytes) if bytes <= BODY_BYTES_MAX => Ok(bytes),
            _ => Err(malformed()),
        }
    }

    fn heard(self) -> RecordedRequest {
        let kept = &self.body[..self.body.len().min(LOG_BODY_BYTES_MAX)];
        RecordedRequest {
            body: String::from_utf8_lossy(kept).into_owned(),
            path: self.path,
            headers: self.headers,
        }
    }
}

/// The next request; `None` when the client has closed between two.
async fn read_request(
    stream: &mut TcpStream,
    unread: &mut Vec<u8>,
) -> io::Result<Option<FakeHttpRequest>> {
    let (mut request, head_bytes) = loop {
        if let Some(parsed) = parse_head(unread)? {
            break parsed;
        }
        if unread.len() > HEAD_BYTES_MAX {
            return Err(malformed());
        }
        if stream.read_buf(unread).await? == 0 {
            return Ok(None);
        }
    };
    let end = head_bytes + request.body_bytes()?;
    while unread.len() < end {
        if stream.read_buf(unread).await? == 0 {
            return Ok(None);
        }
    }
    request.body = unread[head_bytes..end].to_vec();
    unread.drain(..end);
    Ok(Some(request))
}

/// A head and its length in bytes; `None` while it isn't all there.
fn parse_head(bytes: &[u8]) -> io::Result<Option<(FakeHttpRequest, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Request::new(&mut headers);
    let head_bytes = match head.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(malformed()),
    };
    let pairs = head.headers.iter().map(|header| {
        let value = String::from_utf8_lossy(header.value).into_owned();
        (header.name.to_ascii_lowercase(), value)
    });
    let request = FakeHttpRequest {
        method: head.method.unwrap_or_default().to_owned(),
        path: head.path.unwrap_or_default().to_owned(),
        headers: pairs.collect(),
        body: Vec::new(),
    };
    Ok(Some((request, head_bytes)))
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not a request that we read")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(framing: FakeFraming) -> FakeHttpResponse {
        FakeHttpResponse {
            framing,
            ..FakeHttpResponse::json(b"0123456789".to_vec())
        }
    }

    #[test]
    fn a_whole_chunked_body_ends_with_the_last_chunk_and_a_cut_one_does_not() {
        let whole = String::from_utf8(answer(FakeFraming::Chunked).framed()).unwrap();
        assert_eq!(whole, "4\r\n0123\r\n4\r\n4567\r\n2\r\n89\r\n0\r\n\r\n");
        let cut = String::from_utf8(answer(FakeFraming::ChunkedCutOff).framed()).unwrap();
        assert_eq!(format!("{cut}0\r\n\r\n"), whole);
        assert_eq!(chunks(b"", true), b"0\r\n\r\n");
    }

    #[test]
    fn a_half_body_announces_twice_its_length() {
        assert!(
            answer(FakeFraming::Length)
                .head()
                .contains("length: 10\r\n")
        );
        let half = answer(FakeFraming::LengthTooLarge);
        assert!(half.head().contains("length: 20\r\n"));
        assert_eq!(half.framed().len(), 10);
    }

    #[test]
    fn a_head_is_read_only_when_it_is_all_there() {
        let text = b"POST /v3/key HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}";
        assert!(parse_head(&text[..20]).unwrap().is_none());
        let (request, length) = parse_head(text).unwrap().unwrap();
        assert_eq!((request.path.as_str(), length), ("/v3/key", text.len() - 2));
        assert_eq!(request.body_bytes().unwrap(), 2);
        assert!(parse_head(b"\x00\r\n\r\n").is_err());
    }

    #[test]
    fn a_body_at_the_limit_is_read_and_one_byte_more_is_not() {
        let request = |length: usize| FakeHttpRequest {
            method: "POST".to_owned(),
            path: "/".to_owned(),
            headers: vec![("content-length".to_owned(), length.to_string())],
            body: Vec::new(),
        };
        let at_limit = request(BODY_BYTES_MAX).body_bytes();
        assert_eq!(at_limit.unwrap(), BODY_BYTES_MAX);
        assert!(request(BODY_BYTES_MAX + 1).body_bytes().is_err());
    }
}

//! HTTP/1.1 by hand: whatever bytes a test wants to send, and the answer taken apart.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// An answer, read whole. `body` is free of chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// In the order of the wire, names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header of this name (in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(key, _)| key == name);
        found.next().map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }

    /// The result of a call; panics with the answer where there is none.
    pub fn result(&self) -> serde_json::Value {
        let mut json = self.json();
        let result = json.get_mut("result").map(serde_json::Value::take);
        result.unwrap_or_else(|| panic!("no result: {json}"))
    }

    /// The node that gave it; empty if none did.
    pub fn node(&self) -> &str {
        self.header("x-forebay-node").unwrap_or_default()
    }

    /// Takes apart what came over the wire; an error says what is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Answer, String> {
        let (mut answer, head_bytes) = Answer::head_of(bytes)?;
        answer.body = answer.unframed(&bytes[head_bytes..])?;
        Ok(answer)
    }

    /// The same for the answer to a HEAD; `body` is whatever came after it.
    pub fn parse_head(bytes: &[u8]) -> Result<Answer, String> {
        let (mut answer, head_bytes) = Answer::head_of(bytes)?;
        answer.body = bytes[head_bytes..].to_vec();
        Ok(answer)
    }

    fn head_of(bytes: &[u8]) -> Result<(Answer, usize), String> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Response::new(&mut headers);
        let parsed = head.parse(bytes).map_err(|error| error.to_string())?;
        let httparse::Status::Complete(head_bytes) = parsed else {
            return Err("the head is cut off".to_owned());
        };
        let pairs = head.headers.iter().map(|header| {
            let value = String::from_utf8_lossy(header.value).into_owned();
            (header.name.to_ascii_lowercase(), value)
        });
        let answer = Answer {
            status: head.code.unwrap_or_default(),
            headers: pairs.collect(),
            body: Vec::new(),
        };
        Ok((answer, head_bytes))
    }

    fn unframed(&self, rest: &[u8]) -> Result<Vec<u8>, String> {
        if self.header("transfer-encoding").is_some() {
            return unchunked(rest);
        }
        let Some(length) = self.header("content-length") else {
            return Ok(rest.to_vec());
        };
        let length: usize = length.parse().map_err(|_| "a length that is no number")?;
        let body = rest.get(..length).ok_or("the body is cut off")?;
        Ok(body.to_vec())
    }
}

fn unchunked(mut rest: &[u8]) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    loop {
        let size = httparse::parse_chunk_size(rest).map_err(|error| error.to_string())?;
        let httparse::Status::Complete((head_bytes, size)) = size else {
            return Err("a chunk is cut off".to_owned());
        };
        if size == 0 {
            return Ok(body);
        }
        let end = head_bytes + usize::try_from(size).unwrap();
        body.extend_from_slice(rest.get(head_bytes..end).ok_or("a chunk is cut off")?);
        rest = rest.get(end + 2..).ok_or("a chunk is cut off")?;
    }
}

/// A POST over HTTP/1.1 that keeps the connection, with these header lines more.
pub fn request(more: &str, body: &str) -> String {
    let length = body.len();
    format!("POST / HTTP/1.1\r\nHost: x\r\n{more}Content-Length: {length}\r\n\r\n{body}")
}

/// Sends raw bytes on a connection of their own and reads until the server closes, or an answer
/// is complete. What has come is given back even if it is cut off.
///
/// # Errors
/// When there is no connection, it breaks, or the deadline passes.
pub async fn exchange(
    address: SocketAddr,
    bytes: &[u8],
    deadline: Duration,
) -> Result<Vec<u8>, String> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(bytes).await?;
        let mut answer = Vec::new();
        while stream.read_buf(&mut answer).await? > 0 {
            let framed = answer_is_framed(&answer);
            if framed && Answer::parse(&answer).is_ok() {
                break;
            }
        }
        Ok::<_, std::io::Error>(answer)
    };
    match timeout(deadline, exchange).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {deadline:?}")),
    }
}

/// Whether the head says where the body ends; if not, the close does.
fn answer_is_framed(bytes: &[u8]) -> bool {
    let head = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    let head = head.split("\r\n\r\n").next().unwrap_or_default();
    head.contains("\r\ncontent-length:") || head.contains("\r\ntransfer-encoding:")
}

pub async fn get(address: SocketAddr, path: &str, deadline: Duration) -> Result<Answer, String> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    Answer::parse(&exchange(address, request.as_bytes(), deadline).await?)
}

/// A JSON body on `/`.
pub async fn post(address: SocketAddr, body: &str, deadline: Duration) -> Result<Answer, String> {
    let headers = [("content-type", "application/json")];
    post_with(address, "/", &headers, body, deadline).await
}

pub async fn post_with(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
    deadline: Duration,
) -> Result<Answer, String> {
    let headers: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         content-length: {length}\r\n{headers}\r\n{body}"
    );
    Answer::parse(&exchange(address, request.as_bytes(), deadline).await?)
}

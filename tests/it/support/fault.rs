//! Stands between a balancer and DynamoDB: counts what is asked, and goes wrong on request.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::listening::Listening;

/// How it goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Every answer comes so late.
    Late(Duration),
    /// The connection is reset instead of an answer.
    Reset,
    /// The answer breaks off in the middle.
    Cut,
    /// The second page of a scan breaks off.
    CutSecondPage,
    /// 400 `ProvisionedThroughputExceededException`
    Throttled,
    /// 500 `InternalServerError`
    Broken,
    /// 400 `AccessDeniedException`
    Denied,
    /// 400 `ResourceNotFoundException`
    NoTable,
    /// Scans find nothing.
    Empty,
}

pub struct FaultProxy {
    listening: Listening,
    fault: Arc<Mutex<Fault>>,
    asked: Arc<Mutex<BTreeMap<String, u64>>>,
}

impl FaultProxy {
    pub async fn before(server: SocketAddr) -> FaultProxy {
        let fault = Arc::new(Mutex::new(Fault::None));
        let asked = Arc::new(Mutex::new(BTreeMap::new()));
        let shared = (fault.clone(), asked.clone());
        let listening = Listening::serving(move |client| {
            let (fault, asked) = shared.clone();
            async move { one_request(client, server, &fault, &asked).await }
        });
        FaultProxy {
            listening: listening.await,
            fault,
            asked,
        }
    }

    pub fn url(&self) -> String {
        self.listening.url()
    }

    pub fn go_wrong(&self, fault: Fault) {
        *self.fault.lock() = fault;
    }

    /// How often each operation was asked for since the last look.
    pub fn counted(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut self.asked.lock())
    }

    /// How often `operation` was asked for since the last [`FaultProxy::counted`].
    pub fn asked(&self, operation: &str) -> u64 {
        let asked = self.asked.lock();
        asked.get(operation).copied().unwrap_or(0)
    }
}

async fn one_request(
    mut client: TcpStream,
    server: SocketAddr,
    fault: &Mutex<Fault>,
    asked: &Mutex<BTreeMap<String, u64>>,
) -> io::Result<()> {
    let request = read_request(&mut client).await?;
    let operation = operation_of(&request);
    // By kind, so that a lease's beats are told from health.
    let text = String::from_utf8_lossy(&request).into_owned();
    let item = ["\"pen\"", "\"list\"", "\"floor\"", "\"head-"]
        .into_iter()
        .find(|item| text.contains(item));
    let kind = match item {
        Some(item) => format!(
            "{operation} {}",
            item.trim_matches('"').trim_end_matches('-')
        ),
        None => operation.clone(),
    };
    *asked.lock().entry(kind).or_default() += 1;
    let fault = *fault.lock();
    if let Some(refusal) = refusal(fault, &operation) {
        client.write_all(refusal.as_bytes()).await?;
        return client.shutdown().await;
    }
    if fault == Fault::Reset {
        // Unread bytes, or none: with no linger the system answers with a reset.
        reset(client);
        return Ok(());
    }
    let answer = send_on(server, &request).await?;
    if let Fault::Late(pause) = fault {
        tokio::time::sleep(pause).await;
    }
    let is_cut = match fault {
        Fault::Cut => true,
        Fault::CutSecondPage => text.contains("ExclusiveStartKey"),
        _ => false,
    };
    let end = if is_cut {
        answer.len() / 2
    } else {
        answer.len()
    };
    client.write_all(&answer[..end]).await?;
    client.shutdown().await
}

/// Closes at once, with a reset.
pub(super) fn reset(client: TcpStream) {
    let _ = client.set_zero_linger();
    drop(client);
}

fn refusal(fault: Fault, operation: &str) -> Option<String> {
    let (status, body) = match fault {
        Fault::Throttled => (
            "400 Bad Request",
            error("ProvisionedThroughputExceededException"),
        ),
        Fault::Denied => ("400 Bad Request", error("AccessDeniedException")),
        Fault::NoTable => ("400 Bad Request", error("ResourceNotFoundException")),
        Fault::Broken => ("500 Internal Server Error", error("InternalServerError")),
        Fault::Empty if operation == "Scan" => (
            "200 OK",
            "{\"Items\":[],\"Count\":0,\"ScannedCount\":0}".to_string(),
        ),
        Fault::None
        | Fault::Late(_)
        | Fault::Reset
        | Fault::Cut
        | Fault::CutSecondPage
        | Fault::Empty => return None,
    };
    let length = body.len();
    Some(format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/x-amz-json-1.0\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    ))
}

fn error(code: &str) -> String {
    format!("{{\"__type\":\"com.amazonaws.dynamodb.v20120810#{code}\",\"message\":\"s3cretkey\"}}")
}

/// The head and the body, by its Content-Length.
pub async fn read_request(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        if client.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length:"))
                .map_or(0, |length| length.trim().parse::<usize>().unwrap());
            if bytes.len() >= head.len() + 4 + length {
                return Ok(bytes);
            }
        }
    }
}

/// `Scan` from `x-amz-target: DynamoDB_20120810.Scan`.
fn operation_of(request: &[u8]) -> String {
    let text = String::from_utf8_lossy(request);
    let target = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("x-amz-target").then_some(value)
    });
    let operation = target.and_then(|target| target.rsplit('.').next());
    operation.unwrap_or("other").trim().to_string()
}

/// Each request on a connection of its own: its end is the answer's.
pub(super) async fn send_on(server: SocketAddr, request: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let line_ends = request.windows(2).position(|pair| pair == b"\r\n");
    let (line, rest) = request.split_at(line_ends.unwrap_or(0));
    stream.write_all(line).await?;
    stream.write_all(b"\r\nconnection: close").await?;
    stream.write_all(rest).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer)
}

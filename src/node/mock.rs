//! A mock for tests: a node on a real socket that answers each method by a script.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use forebay_core::vocabulary::node::{NodeRecord, NodeSpec};

/// A whole HTTP response, after which the connection is closed if it says so; `None` keeps silent
/// until the client leaves.
pub type MockResponse = Option<String>;

/// A playing node. Methods that its script doesn't name it doesn't know.
pub struct MockNode {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    heard: Arc<Mutex<Vec<String>>>,
}

pub fn result(json: &str) -> MockResponse {
    ok(&format!(r#"{{"jsonrpc":"2.0","id":1,"result":{json}}}"#))
}

pub fn error(json: &str) -> MockResponse {
    ok(&format!(r#"{{"jsonrpc":"2.0","id":1,"error":{json}}}"#))
}

pub fn ok(body: &str) -> MockResponse {
    http("200 OK", "", body)
}

/// `headers`: whole lines, each with its end.
pub fn http(status: &str, headers: &str, body: &str) -> MockResponse {
    let length = body.len();
    Some(format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    ))
}

/// A block's hash, in the case that no client writes it in.
pub const HASH: &str = "0xABababababababababababababababababababababababababababababababab";

pub fn block(number: u64) -> MockResponse {
    result(&format!(
        r#"{{"number":"{number:#x}","hash":"{HASH}","timestamp":"0x5","transactions":["{HASH}"]}}"#
    ))
}

impl MockNode {
    pub async fn play(script: &[(&'static str, MockResponse)]) -> MockNode {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mock = MockNode {
            address: listener.local_addr().unwrap(),
            connections: Arc::default(),
            heard: Arc::default(),
        };
        let script: Arc<HashMap<_, _>> = Arc::new(script.iter().cloned().collect());
        let (connections, heard) = (mock.connections.clone(), mock.heard.clone());
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(perform(socket, script.clone(), heard.clone()));
            }
        });
        mock
    }

    /// At `number` on chain 1, and not syncing.
    pub async fn at(number: u64) -> MockNode {
        MockNode::play(&[
            ("eth_getBlockByNumber", block(number)),
            ("eth_syncing", result("false")),
            ("eth_chainId", result("\"0x1\"")),
        ])
        .await
    }

    pub fn record(&self) -> NodeRecord {
        NodeRecord::at(&format!("http://{}/v3/s3cret-key", self.address))
    }

    pub fn spec(&self) -> NodeSpec {
        self.record().resolve(&|_| None).unwrap()
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Head and body of each request so far.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().clone()
    }
}

async fn perform(
    mut socket: TcpStream,
    script: Arc<HashMap<&'static str, MockResponse>>,
    heard: Arc<Mutex<Vec<String>>>,
) {
    let (reading, mut writing) = socket.split();
    let mut reading = BufReader::new(reading);
    while let Some((head, body)) = request(&mut reading).await {
        let call: serde_json::Value = serde_json::from_str(&body).unwrap();
        heard.lock().push(format!("{head}{body}"));
        let method = call["method"].as_str().unwrap();
        let unknown = || error(r#"{"code":-32601,"message":"the method does not exist"}"#);
        let Some(said) = script.get(method).cloned().unwrap_or_else(unknown) else {
            drop(reading.read_u8().await);
            return;
        };
        let said = with_id(&said, &call["id"].to_string());
        let written = writing.write_all(said.as_bytes()).await;
        if written.is_err() || said.contains("Connection: close") {
            return;
        }
    }
}

/// With the call's id in place of 1, and a length that goes with it.
fn with_id(said: &str, id: &str) -> String {
    let Some((head, body)) = said.split_once("\r\n\r\n") else {
        return said.to_string();
    };
    let own = body.replacen("\"id\":1,", &format!("\"id\":{id},"), 1);
    let (before, after) = (body.len(), own.len());
    let length = |bytes: usize| format!("Content-Length: {bytes}");
    let head = head.replace(&length(before), &length(after));
    format!("{head}\r\n\r\n{own}")
}

/// Head and body of the next request; `None` once the client has left.
async fn request(reading: &mut (impl AsyncBufReadExt + Unpin)) -> Option<(String, String)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reading.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let lower = head.to_ascii_lowercase();
    let (_, length) = lower.split_once("content-length: ").unwrap();
    let length = length.split("\r\n").next().unwrap().parse().unwrap();
    let mut body = vec![0; length];
    reading.read_exact(&mut body).await.ok()?;
    Some((head, String::from_utf8(body).unwrap()))
}

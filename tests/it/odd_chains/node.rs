//! A node of a chain that is odd as its story says: HTTP and WebSocket on one port, one call a
//! connection.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::{SinkExt as _, StreamExt as _};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::support::read_request;

/// A hash that is one's own, and no number.
pub fn hash(seed: u64) -> String {
    format!("0xb10c{seed:060x}")
}

/// How a node tells what it has.
#[derive(Clone, Copy)]
pub struct Manner {
    /// From a block to what the socket tells of it.
    pub told: fn(&Value) -> Value,
    /// From a block to what it says when it is asked for it by its hash.
    pub by_hash: fn(&Value) -> Value,
    pub has_socket: bool,
    pub weight: u16,
    pub chain_id: u64,
}

pub const PLAIN: Manner = Manner {
    told: |block| block.clone(),
    by_hash: |block| block.clone(),
    has_socket: true,
    weight: 1,
    chain_id: 1,
};

#[derive(Default)]
struct Books {
    blocks: Vec<Value>,
    logs: BTreeMap<String, Vec<Value>>,
    asked: BTreeMap<String, usize>,
}

pub struct OddNode {
    pub address: SocketAddr,
    manner: Manner,
    books: Arc<Mutex<Books>>,
    news: broadcast::Sender<Value>,
}

impl OddNode {
    pub async fn begin(manner: Manner) -> OddNode {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let node = OddNode {
            address: listener.local_addr().unwrap(),
            manner,
            books: Arc::default(),
            news: broadcast::Sender::new(64),
        };
        let (books, news) = (node.books.clone(), node.news.clone());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, manner, books.clone(), news.clone()));
            }
        });
        node
    }

    /// Has this block, and these logs of it.
    pub fn has(&self, block: &Value, logs: &[Value]) {
        let mut books = self.books.lock();
        let hash = block["hash"].as_str().unwrap().to_string();
        books.logs.insert(hash, logs.to_vec());
        books.blocks.push(block.clone());
    }

    /// Has so many of the last blocks no more.
    pub fn lose(&self, count: usize) {
        let mut books = self.books.lock();
        let left = books.blocks.len() - count;
        books.blocks.truncate(left);
    }

    /// Closes its sockets as geth does when it is stopped.
    pub fn hang_up(&self) {
        drop(self.news.send(Value::Null));
    }

    /// Tells of it.
    pub fn tell(&self, block: &Value) {
        // An error says that no connection listens.
        drop(self.news.send((self.manner.told)(block)));
    }

    /// Calls with `word` in them.
    pub fn asked(&self, word: &str) -> usize {
        let books = self.books.lock();
        let asked = books.asked.iter().filter(|(call, _)| call.contains(word));
        asked.map(|(_, count)| count).sum()
    }
}

async fn serve(
    mut stream: TcpStream,
    manner: Manner,
    books: Arc<Mutex<Books>>,
    news: broadcast::Sender<Value>,
) {
    let mut first = [0; 3];
    if stream.peek(&mut first).await.is_err() {
        return;
    }
    if first == *b"GET" {
        if manner.has_socket {
            listen(stream, news.subscribe()).await;
        }
        return;
    }
    let Ok(request) = read_request(&mut stream).await else {
        return;
    };
    let text = String::from_utf8_lossy(&request);
    let Some((_, body)) = text.split_once("\r\n\r\n") else {
        return;
    };
    let call: Value = serde_json::from_str(body).unwrap();
    let mut answer = answer(&call, manner, &mut books.lock());
    answer["jsonrpc"] = json!("2.0");
    answer["id"] = call["id"].clone();
    let body = answer.to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    // The client that asked may be gone.
    drop(stream.write_all((head + &body).as_bytes()).await);
}

fn answer(call: &Value, manner: Manner, books: &mut Books) -> Value {
    let (method, params) = (call["method"].as_str().unwrap(), &call["params"]);
    *books.asked.entry(format!("{method} {params}")).or_default() += 1;
    let newest = books.blocks.last().cloned().unwrap_or_default();
    let with = |name: &str, value: &Value| {
        let mut blocks = books.blocks.iter();
        blocks.find(|block| block[name] == *value).cloned()
    };
    match method {
        "eth_chainId" => json!({"result": format!("{:#x}", manner.chain_id)}),
        "net_version" => json!({"result": manner.chain_id.to_string()}),
        "eth_syncing" => json!({"result": false}),
        "eth_blockNumber" => json!({"result": newest["number"]}),
        "eth_getBlockByNumber" if params[0] == "latest" => json!({"result": newest}),
        // BSC's, until validators have voted.
        "eth_getBlockByNumber" if params[0] == "safe" || params[0] == "finalized" => {
            json!({"result": {"number": "0x0", "hash": hash(0)}})
        }
        "eth_getBlockByNumber" if params[0] == "0x0" => {
            json!({"result": {"number": "0x0", "hash": hash(0)}})
        }
        // consensus/parlia/api.go, internal/ethapi/api.go
        "parlia_getSnapshot" => json!({"result": {"number": 9}}),
        "eth_getFinalizedBlock" if params[0].is_number() => json!({"result": {"number": "0x0"}}),
        "eth_getFinalizedBlock" => {
            let message =
                "invalid argument 0: json: cannot unmarshal string into Go value of type int64";
            json!({"error": {"code": -32602, "message": message}})
        }
        "eth_getBlockByNumber" => json!({"result": with("number", &params[0])}),
        "eth_getBlockByHash" => {
            json!({"result": with("hash", &params[0]).map(|block| (manner.by_hash)(&block))})
        }
        "eth_getLogs" => {
            let logs = params[0]["blockHash"]
                .as_str()
                .and_then(|hash| books.logs.get(hash));
            match logs {
                Some(logs) => json!({"result": logs}),
                None => json!({"error": {"code": -32000, "message": "block not found"}}),
            }
        }
        _ => json!({"error": {"code": -32601, "message": "the method is not available"}}),
    }
}

async fn listen(stream: TcpStream, mut news: broadcast::Receiver<Value>) {
    let Ok(mut socket) = accept_async(stream).await else {
        return;
    };
    loop {
        let said = tokio::select! {
            heard = socket.next() => match heard {
                Some(Ok(Message::Text(text))) => {
                    let call: Value = serde_json::from_str(text.as_str()).unwrap();
                    json!({"jsonrpc": "2.0", "id": call["id"], "result": "0x1"})
                }
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => return,
            },
            block = news.recv() => {
                let Ok(block) = block else { return };
                if block.is_null() {
                    let (code, reason) = (CloseCode::Normal, "".into());
                    drop(socket.close(Some(CloseFrame { code, reason })).await);
                    return;
                }
                let params = json!({"subscription": "0x1", "result": block});
                json!({"jsonrpc": "2.0", "method": "eth_subscription", "params": params})
            }
        };
        if socket.send(Message::text(said.to_string())).await.is_err() {
            return;
        }
    }
}

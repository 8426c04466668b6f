//! A client on a WebSocket, and what it was told.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::PATIENCE;

/// What a socket says.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// By the id of the subscription.
    News(String, Value),
    Answer(Value),
    /// With its code and reason.
    Closed(u16, String),
}

/// An open socket.
pub struct Listener {
    stream: WebSocketStream<TcpStream>,
    calls: u64,
    /// News that came before an answer that was waited for.
    early: Vec<Heard>,
}

impl Listener {
    pub async fn open(address: SocketAddr) -> Listener {
        Listener::open_at(address, "/").await
    }

    pub async fn open_at(address: SocketAddr, path: &str) -> Listener {
        let stream = TcpStream::connect(address).await.unwrap();
        let url = format!("ws://{address}{path}");
        let shaken = tokio::time::timeout(PATIENCE, client_async(url, stream)).await;
        let (stream, _) = shaken.expect("a handshake in time").expect("a handshake");
        Listener {
            stream,
            calls: 0,
            early: Vec::new(),
        }
    }

    /// The whole answer to one call.
    pub async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.calls += 1;
        let id = self.calls;
        let call = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.stream
            .send(Message::text(call.to_string()))
            .await
            .unwrap();
        loop {
            match self.read().await {
                Heard::Answer(answer) if answer["id"] == id => return answer,
                Heard::Closed(code, why) => panic!("closed with {code} {why}"),
                heard => self.early.push(heard),
            }
        }
    }

    /// Says this text, whatever it is.
    pub async fn say(&mut self, text: &str) {
        self.stream.send(Message::text(text)).await.unwrap();
    }

    /// Subscribes; the id.
    pub async fn subscribe(&mut self, params: Value) -> String {
        let answer = self.ask("eth_subscribe", params).await;
        let id = answer["result"].as_str();
        id.unwrap_or_else(|| panic!("not subscribed: {answer}"))
            .to_string()
    }

    /// The next thing that it says, however long that takes.
    pub async fn next(&mut self) -> Heard {
        if self.early.is_empty() {
            return self.read().await;
        }
        self.early.remove(0)
    }

    /// The next thing within `patience`.
    pub async fn next_within(&mut self, patience: Duration) -> Option<Heard> {
        tokio::time::timeout(patience, self.next()).await.ok()
    }

    async fn read(&mut self) -> Heard {
        loop {
            let message = match self.stream.next().await {
                Some(Ok(message)) => message,
                Some(Err(why)) => return Heard::Closed(0, why.to_string()),
                None => return Heard::Closed(0, "the end".into()),
            };
            match message {
                Message::Text(text) => {
                    let mut value: Value = serde_json::from_str(text.as_str()).unwrap();
                    if value.get("id").is_some() {
                        return Heard::Answer(value);
                    }
                    let id = value["params"]["subscription"]
                        .as_str()
                        .unwrap()
                        .to_string();
                    return Heard::News(id, value["params"]["result"].take());
                }
                Message::Close(frame) => {
                    let (code, why) = frame.map_or((1005, String::new()), |frame| {
                        (frame.code.into(), frame.reason.as_str().to_string())
                    });
                    return Heard::Closed(code, why);
                }
                // Pings are answered when the stream is next read.
                Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_) => {}
            }
        }
    }
}

//! A steady load of 200 calls a second over TLS in every way there is: kept and new connections of
//! HTTP/1.1, HTTP/2, and a WebSocket.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::{Answer, PATIENCE, TlsClient, call, eventually};

/// Between two calls of each of the four.
const PACE: Duration = Duration::from_millis(20);

type Stream = TlsStream<TcpStream>;

/// So often a connection that is over at once is opened anew for one call.
const REOPENED_MAX: usize = 30;

/// One way to call.
enum Way {
    Kept(Option<Box<Stream>>),
    New,
    Http2(Option<h2::client::SendRequest<Bytes>>),
    Socket(Option<Box<WebSocketStream<Stream>>>),
}

pub struct Steady {
    shared: Arc<Shared>,
    running: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    done: AtomicU64,
    is_over: AtomicBool,
    failed: Mutex<Vec<String>>,
}

impl Steady {
    pub fn start(client: &TlsClient, port: u16) -> Steady {
        let shared = Arc::new(Shared::default());
        let ways = [
            Way::Kept(None),
            Way::New,
            Way::Http2(None),
            Way::Socket(None),
        ];
        let running = ways.map(|mut way| {
            let (shared, client) = (shared.clone(), client.clone());
            tokio::spawn(async move {
                let mut pace = tokio::time::interval(PACE);
                while !shared.is_over.load(Ordering::Relaxed) {
                    pace.tick().await;
                    let called = tokio::time::timeout(PATIENCE, way.call(&client, port)).await;
                    let called = called.unwrap_or_else(|_| Err("no answer".to_string()));
                    shared.done.fetch_add(1, Ordering::Relaxed);
                    if let Err(why) = called {
                        shared.failed.lock().push(format!("{}: {why}", way.name()));
                        way.forget();
                    }
                }
            })
        });
        Steady {
            shared,
            running: running.into(),
        }
    }

    pub fn done(&self) -> u64 {
        self.shared.done.load(Ordering::Relaxed)
    }

    pub async fn reaches(&self, calls: u64) {
        let what = format!("{calls} calls are answered");
        eventually(&what, PATIENCE * 2, async || self.done() >= calls).await;
    }

    /// The calls made, and what became of those that were lost.
    pub async fn end(self) -> (u64, Vec<String>) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        for task in self.running {
            task.await.unwrap();
        }
        let failed = std::mem::take(&mut *self.shared.failed.lock());
        (self.shared.done.load(Ordering::Relaxed), failed)
    }
}

impl Way {
    fn name(&self) -> &'static str {
        match self {
            Way::Kept(_) => "kept",
            Way::New => "new",
            Way::Http2(_) => "HTTP/2",
            Way::Socket(_) => "WebSocket",
        }
    }

    fn forget(&mut self) {
        match self {
            Way::Kept(kept) => *kept = None,
            Way::New => {}
            Way::Http2(kept) => *kept = None,
            Way::Socket(kept) => *kept = None,
        }
    }

    /// One call. A connection whose end was announced is opened anew, as clients do: what was sent when
    /// it was over already was not taken.
    async fn call(&mut self, client: &TlsClient, port: u16) -> Result<(), String> {
        let mut answer = self.answer(client, port).await?;
        // While two processes accept, the next connection may be to the one that goes as well.
        for _ in 0..REOPENED_MAX {
            if answer.is_none() {
                self.forget();
                answer = self.answer(client, port).await?;
            }
        }
        let answer = answer.ok_or("over, again and again")?;
        let answer: Value = serde_json::from_slice(&answer).map_err(|why| why.to_string())?;
        match answer["result"].is_string() {
            true => Ok(()),
            false => Err(answer.to_string()),
        }
    }

    /// `None`: the connection was over.
    async fn answer(&mut self, client: &TlsClient, port: u16) -> Result<Option<Vec<u8>>, String> {
        // A whole address: real nodes look.
        let body = call("1", "eth_getBalance").replace("0x01", &format!("{:#042x}", 1));
        let open = async |alpn: &[&[u8]]| {
            let opened = client.connect(port, alpn).await;
            opened.map_err(|why| why.to_string())
        };
        match self {
            Way::New => {
                let answer = over_http1(&mut open(&[]).await?, &body).await?;
                Ok(Some(answer.body))
            }
            Way::Kept(kept) => {
                if kept.is_none() {
                    *kept = Some(Box::new(open(&[]).await?));
                }
                let answer = over_http1(kept.as_mut().unwrap(), &body).await?;
                if answer.header("connection") == Some("close") {
                    *kept = None;
                }
                Ok(Some(answer.body))
            }
            Way::Http2(kept) => {
                if kept.is_none() {
                    let made = h2::client::handshake(open(&[b"h2"]).await?).await;
                    let (sender, connection) = made.map_err(|why| why.to_string())?;
                    tokio::spawn(connection);
                    *kept = Some(sender);
                }
                match kept.clone().unwrap().ready().await {
                    Ok(sender) => {
                        match over_http2(sender, body.into()).await {
                            // Told to go before this was sent.
                            Err(why) if why.is_go_away() && why.is_remote() => Ok(None),
                            answered => answered.map(Some).map_err(|why| why.to_string()),
                        }
                    }
                    // Told to go (RFC 9113 §6.8).
                    Err(_) => Ok(None),
                }
            }
            Way::Socket(kept) => {
                if kept.is_none() {
                    let stream = open(&[]).await?;
                    let made = tokio_tungstenite::client_async("wss://localhost/", stream).await;
                    *kept = Some(Box::new(made.map_err(|why| why.to_string())?.0));
                }
                over_socket(kept.as_mut().unwrap(), body).await
            }
        }
    }
}

async fn over_socket(
    socket: &mut WebSocketStream<Stream>,
    body: String,
) -> Result<Option<Vec<u8>>, String> {
    if socket.send(Message::text(body)).await.is_err() {
        return Ok(None);
    }
    loop {
        match socket.next().await {
            None | Some(Ok(Message::Close(_))) => return Ok(None),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(message)) => return Ok(Some(message.into_data().to_vec())),
            Some(Err(why)) => return Err(why.to_string()),
        }
    }
}

async fn over_http1(stream: &mut Stream, body: &str) -> Result<Answer, String> {
    let request = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let sent = stream.write_all(request.as_bytes()).await;
    sent.map_err(|why| why.to_string())?;
    let mut bytes = Vec::new();
    loop {
        let read = stream.read_buf(&mut bytes).await;
        if read.map_err(|why| why.to_string())? == 0 {
            return Err("closed".to_string());
        }
        let Ok(answer) = Answer::parse(&bytes) else {
            continue;
        };
        let length = answer
            .header("content-length")
            .and_then(|it| it.parse().ok());
        if length == Some(answer.body.len()) {
            return Ok(answer);
        }
    }
}

async fn over_http2(
    mut sender: h2::client::SendRequest<Bytes>,
    body: Bytes,
) -> Result<Vec<u8>, h2::Error> {
    let request = http::Request::post("https://localhost/");
    let request = request.header("content-type", "application/json").body(());
    let (response, mut sending) = sender.send_request(request.unwrap(), false)?;
    sending.send_data(body, true)?;
    let mut incoming = response.await?.into_body();
    let mut body = Vec::new();
    while let Some(piece) = incoming.data().await {
        let piece = piece?;
        incoming.flow_control().release_capacity(piece.len())?;
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

//! A WebSocket to a node: our calls over it, and what it tells unasked.
//!
//! Pingora opens the stream, TLS included, as it does for calls. Nothing of a URL after its host,
//! and no text of the node's, gets into a fault.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderName, HeaderValue, Uri};
use pingora::protocols::Stream;
use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::ClientRequestBuilder;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use url::Url;

use super::access::{host_of, socket_headers};
use super::connector::Connector;
use super::fault::SendFault;
use forebay_core::vocabulary::node::NodeSpec;

/// The longest message that is taken from a node, in bytes: what any real one has to say. A pending
/// transaction may have 128 KiB, with blobs 1 MiB, and has twice that in hex; the receipts of a block
/// have several MiB. geth's own client takes 32 MiB.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// The longest that a node may take to open a socket.
pub const OPEN_TIME_MAX: Duration = Duration::from_secs(5);
/// The longest that a node may take to take a message of ours.
const SEND_TIME_MAX: Duration = Duration::from_secs(5);

/// Why there is no socket, or no more.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SocketFault {
    #[error("the host name can't be resolved")]
    Unresolved,
    #[error(transparent)]
    NoStream(SendFault),
    #[error("no socket in time")]
    Timeout,
    /// It speaks HTTP, and no WebSocket.
    #[error("HTTP {0} instead of a WebSocket")]
    Http(u16),
    #[error("no WebSocket handshake")]
    NoHandshake,
    #[error("the socket was closed")]
    Closed,
    #[error("a message over {MESSAGE_BYTES_MAX} bytes")]
    TooLarge,
    #[error("a message that is none of the protocol")]
    Protocol,
    #[error("its headers can't be sent")]
    Headers,
}

impl SocketFault {
    /// Whether the node has spoken, and has no WebSocket there.
    pub fn is_refusal(&self) -> bool {
        match self {
            SocketFault::Http(status) => *status < 500 && *status != 429,
            SocketFault::NoHandshake => true,
            SocketFault::Unresolved
            | SocketFault::NoStream(_)
            | SocketFault::Timeout
            | SocketFault::Closed
            | SocketFault::TooLarge
            | SocketFault::Protocol
            | SocketFault::Headers => false,
        }
    }
}

/// What a node says over its socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketMessage {
    /// To our call `id`: its result, or its error object, as JSON.
    Answer {
        id: u64,
        outcome: Result<Bytes, Bytes>,
    },
    /// An error that says to no call of ours that it is the answer: its `id` is null, or there is none.
    Unnamed(Bytes),
    /// Of a subscription, by the node's own id for it.
    News { subscription: String, result: Bytes },
    /// A sign of life, or something that we don't know.
    Nothing,
}

/// An open socket. Dropping it closes it.
pub struct UpstreamSocket {
    stream: WebSocketStream<Stream>,
    calls: u64,
}

impl UpstreamSocket {
    /// Opens a socket at `url` (`ws`, `wss`, or `http`, `https` where that port may do both), with
    /// the headers of `spec`.
    ///
    /// # Errors
    /// See [`SocketFault`].
    pub async fn open(
        connector: &Connector,
        spec: &NodeSpec,
        url: &Url,
    ) -> Result<UpstreamSocket, SocketFault> {
        let opening = UpstreamSocket::open_patiently(connector, spec, url);
        let opened = tokio::time::timeout(OPEN_TIME_MAX, opening).await;
        opened.map_err(|_| SocketFault::Timeout)?
    }

    async fn open_patiently(
        connector: &Connector,
        spec: &NodeSpec,
        url: &Url,
    ) -> Result<UpstreamSocket, SocketFault> {
        let (host, port) = host_of(url).ok_or(SocketFault::Unresolved)?;
        let addresses = connector.names().addresses(&host, port).await;
        let addresses = addresses.map_err(|_| SocketFault::Unresolved)?;
        let is_tls = matches!(url.scheme(), "https" | "wss");
        let stream = connector
            .open_stream(addresses, is_tls.then_some(host.as_str()))
            .await
            .map_err(SocketFault::NoStream)?;
        let request = request(spec, url)?;
        let mut config = WebSocketConfig::default();
        config.max_message_size = Some(MESSAGE_BYTES_MAX);
        config.max_frame_size = Some(MESSAGE_BYTES_MAX);
        let shaken =
            tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await;
        let (stream, _) = shaken.map_err(|why| fault_of(&why))?;
        Ok(UpstreamSocket { stream, calls: 0 })
    }

    /// The id under which the answer to the next call comes.
    pub fn next_call(&self) -> u64 {
        self.calls + 1
    }

    /// Calls `method` with `params`, a JSON array.
    ///
    /// # Errors
    /// The socket is closed.
    pub async fn call(&mut self, method: &str, params: &str) -> Result<(), SocketFault> {
        self.calls += 1;
        let id = self.calls;
        let text =
            format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#);
        self.send(Message::text(text)).await
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    /// The socket is closed.
    pub async fn ping(&mut self) -> Result<(), SocketFault> {
        self.send(Message::Ping(Bytes::new())).await
    }

    async fn send(&mut self, message: Message) -> Result<(), SocketFault> {
        let sent = tokio::time::timeout(SEND_TIME_MAX, self.stream.send(message)).await;
        sent.map_err(|_| SocketFault::Timeout)?
            .map_err(|why| fault_of(&why))
    }

    /// The next thing that the node says. May be dropped halfway: nothing is lost.
    ///
    /// # Errors
    /// The socket is closed, or says what is no WebSocket.
    pub async fn hear(&mut self) -> Result<SocketMessage, SocketFault> {
        match self.stream.next().await {
            Some(Ok(Message::Text(text))) => Ok(read(text.as_str())),
            Some(Ok(Message::Binary(bytes))) => {
                Ok(std::str::from_utf8(&bytes).map_or(SocketMessage::Nothing, read))
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {
                Ok(SocketMessage::Nothing)
            }
            Some(Ok(Message::Close(_))) | None => Err(SocketFault::Closed),
            Some(Err(why)) => Err(fault_of(&why)),
        }
    }
}

fn request(spec: &NodeSpec, url: &Url) -> Result<http::Request<()>, SocketFault> {
    let mut url = url.clone();
    let scheme = match url.scheme() {
        "https" | "wss" => "wss",
        _ => "ws",
    };
    // From one special scheme to another: always taken.
    url.set_scheme(scheme).map_err(|()| SocketFault::Headers)?;
    let uri: Uri = url.as_str().parse().map_err(|_| SocketFault::Headers)?;
    let request = ClientRequestBuilder::new(uri).into_client_request();
    let mut request = request.map_err(|_| SocketFault::Headers)?;
    for (name, value) in socket_headers(spec) {
        let name: HeaderName = name.parse().map_err(|_| SocketFault::Headers)?;
        let value = HeaderValue::from_str(value).map_err(|_| SocketFault::Headers)?;
        request.headers_mut().insert(name, value);
    }
    Ok(request)
}

/// In words of our own: a node's text may repeat the key in its URL.
fn fault_of(why: &tungstenite::Error) -> SocketFault {
    match why {
        tungstenite::Error::Http(answer) => SocketFault::Http(answer.status().as_u16()),
        tungstenite::Error::Protocol(protocol) => match protocol {
            tungstenite::error::ProtocolError::ResetWithoutClosingHandshake
            | tungstenite::error::ProtocolError::HandshakeIncomplete => SocketFault::Closed,
            tungstenite::error::ProtocolError::MissingConnectionUpgradeHeader
            | tungstenite::error::ProtocolError::MissingUpgradeWebSocketHeader
            | tungstenite::error::ProtocolError::SecWebSocketAcceptKeyMismatch
            | tungstenite::error::ProtocolError::WrongHttpVersion => SocketFault::NoHandshake,
            _ => SocketFault::Protocol,
        },
        tungstenite::Error::Capacity(_) => SocketFault::TooLarge,
        tungstenite::Error::Utf8(_) => SocketFault::Protocol,
        tungstenite::Error::HttpFormat(_) => SocketFault::NoHandshake,
        _ => SocketFault::Closed,
    }
}

#[derive(Deserialize)]
struct RawMessage<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    params: Option<RawParams<'a>>,
}

#[derive(Deserialize)]
struct RawParams<'a> {
    /// geth's are strings, others' numbers.
    #[serde(borrow)]
    subscription: &'a RawValue,
    #[serde(borrow)]
    result: &'a RawValue,
}

fn read(text: &str) -> SocketMessage {
    let bytes = |raw: &RawValue| Bytes::copy_from_slice(raw.get().as_bytes());
    let Ok(raw) = serde_json::from_str::<RawMessage<'_>>(text) else {
        return SocketMessage::Nothing;
    };
    let error = raw.error.filter(|error| error.get() != "null");
    match (raw.id.map(RawValue::get), raw.params, error) {
        (None | Some("null"), Some(params), _) => SocketMessage::News {
            subscription: params.subscription.get().to_string(),
            result: bytes(params.result),
        },
        (None | Some("null"), None, Some(error)) => SocketMessage::Unnamed(bytes(error)),
        (None | Some("null"), None, None) => SocketMessage::Nothing,
        (Some(id), _, error) => {
            call_of(id).map_or(SocketMessage::Nothing, |id| SocketMessage::Answer {
                id,
                outcome: match error {
                    Some(error) => Err(bytes(error)),
                    None => Ok(raw.result.map_or(Bytes::from_static(b"null"), bytes)),
                },
            })
        }
    }
}

/// Our call's id; some nodes send it back as a string.
fn call_of(id: &str) -> Option<u64> {
    let bare = id.strip_prefix('"').and_then(|id| id.strip_suffix('"'));
    bare.unwrap_or(id).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::access::NodeAccess;
    use forebay_core::vocabulary::node::NodeRecord;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_message_is_taken_up_to_its_limit_and_one_past_it_has_a_fault_of_its_own() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let node = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
            for length in [MESSAGE_BYTES_MAX, MESSAGE_BYTES_MAX + 1] {
                let news = |result: &str| {
                    format!(r#"{{"params":{{"subscription":1,"result":"{result}"}}}}"#)
                };
                let news = news(&"f".repeat(length - news("").len()));
                // The second may find that we are gone.
                let _ = socket.send(Message::text(news)).await;
            }
            socket
        });
        let spec = NodeRecord::at(&url).resolve(&|_| None).unwrap();
        let connector = Connector::new(&NodeAccess::plain());
        let opened = UpstreamSocket::open(&connector, &spec, spec.url.reveal()).await;
        let mut socket = opened.unwrap_or_else(|why| panic!("{why}"));
        let heard = socket.hear().await;
        assert!(matches!(heard, Ok(SocketMessage::News { result, .. }) if result.len() > 15 << 20));
        assert_eq!(socket.hear().await, Err(SocketFault::TooLarge));
        drop(socket);
        node.await.unwrap();
    }

    #[test]
    fn answers_and_news_are_told_apart() {
        let error = || Bytes::from_static(b"{\"code\":1}");
        let unnamed = || SocketMessage::Unnamed(error());
        let answer = |outcome| SocketMessage::Answer { id: 7, outcome };
        let result = |json: &'static str| answer(Ok(Bytes::from_static(json.as_bytes())));
        let news = SocketMessage::News {
            subscription: "\"0x5\"".into(),
            result: Bytes::from_static(b"{\"a\" : 1}"),
        };
        let told =
            r#"{"method":"eth_subscription","params":{"subscription":"0x5","result":{"a" : 1}}}"#;
        for (text, wanted) in [
            (
                r#"{"jsonrpc":"2.0","id":7,"result":"0x1"}"#,
                result("\"0x1\""),
            ),
            (r#"{"id":"7","result":1,"error":null}"#, result("1")),
            (r#"{"id":7,"result":1}"#, result("1")),
            (r#"{"id":7,"error":{"code":1}}"#, answer(Err(error()))),
            (told, news),
            (r#"{"id":null,"error":{"code":1}}"#, unnamed()),
            (r#"{"error":{"code":1}}"#, unnamed()),
            ("", SocketMessage::Nothing),
            ("[]", SocketMessage::Nothing),
            ("{}", SocketMessage::Nothing),
            ("1", SocketMessage::Nothing),
            (r#"{"params":[]}"#, SocketMessage::Nothing),
            (r#"{"id":"x"}"#, SocketMessage::Nothing),
            (r#"{"id":null,"result":1}"#, SocketMessage::Nothing),
        ] {
            assert_eq!(read(text), wanted, "{text}");
        }
    }

    #[test]
    fn the_handshake_has_the_nodes_path_and_headers() {
        let mut record = NodeRecord::at("https://a.example/key?x=y");
        record.headers.insert("X-Key".into(), "k".into());
        let spec = record.resolve(&|_| None).unwrap();
        let request = request(&spec, spec.url.reveal()).unwrap();
        assert_eq!(request.uri(), "wss://a.example/key?x=y");
        assert_eq!(request.headers()["x-key"], "k");
        assert_eq!(request.headers()["upgrade"], "websocket");
        assert_eq!(request.headers()["host"], "a.example");
    }
}

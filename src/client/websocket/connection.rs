//! A socket's wire: messages in, messages out, and the closing handshake (RFC 6455).
//!
//! A writer with a message takes the line, says all of it and gives the line back; pings and
//! closes go between the frames of a long one (§5.4). Nothing is buffered but one frame.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt as _, StreamExt as _};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::client::websocket::close::CloseReason;
use crate::client::websocket::metered_stream::MeteredStream;

/// What is read at once; every socket keeps as much.
const READ_BUFFER_BYTES: usize = 2 << 10;
/// The longest frame that is sent: a longer message is sent in several. A socket keeps as much once
/// it has sent one.
pub const FRAME_BYTES_MAX: usize = 16 << 10;
/// One frame, and pongs beside it.
const WRITE_BUFFER_BYTES_MAX: usize = 2 * FRAME_BYTES_MAX;
/// The client may take this long to take a frame.
pub const WRITE_TIME_MAX: Duration = Duration::from_secs(20);
/// The client may take this long to take our close and to answer it.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(3);
/// After a close for a message that can't be read this much is read and dropped: closing on unread
/// bytes would reset the connection before the client has our close.
const DRAIN_BYTES_MAX: usize = 8 << 20;

/// How messages are read and written; the echo that conformance is tested with has it, too.
pub fn codec(message_bytes_max: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
        .max_message_size(Some(message_bytes_max))
        .max_frame_size(Some(message_bytes_max))
        .accept_unmasked_frames(false)
}

/// What a client says.
#[derive(Debug, PartialEq, Eq)]
pub struct ClientMessage {
    pub payload: Bytes,
    pub kind: MessageKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    Text,
    Binary,
}

/// A socket's wire. One reads; many may say something.
pub struct WebsocketConnection<S> {
    /// Never held across an `await`.
    socket: Mutex<WebSocketStream<MeteredStream<S>>>,
    /// For a message's length.
    line: tokio::sync::Mutex<()>,
    /// For a frame's length.
    turn: tokio::sync::Mutex<()>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebsocketConnection<S> {
    /// Over a stream whose opening handshake is done.
    pub async fn new(stream: MeteredStream<S>, message_bytes_max: usize) -> WebsocketConnection<S> {
        let codec = Some(codec(message_bytes_max));
        let socket = WebSocketStream::from_raw_socket(stream, Role::Server, codec).await;
        WebsocketConnection {
            socket: Mutex::new(socket),
            line: tokio::sync::Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// The next message. Pings are answered on the way.
    ///
    /// # Errors
    /// There is none any more.
    pub async fn next(&self) -> Result<ClientMessage, CloseReason> {
        loop {
            let next = poll_fn(|cx| self.socket.lock().poll_next_unpin(cx)).await;
            let message = match next {
                Some(Ok(message)) => message,
                Some(Err(_)) if self.metered(|metered| metered.has_no_room) => {
                    return Err(CloseReason::OverCapacity);
                }
                Some(Err(_)) if self.metered(|metered| metered.is_restless) => {
                    return Err(CloseReason::Restless);
                }
                Some(Err(why)) => return Err(CloseReason::of_error(&why)),
                None => return Err(CloseReason::Left),
            };
            let (payload, kind) = match message {
                Message::Text(text) => (text.into(), MessageKind::Text),
                Message::Binary(payload) => (payload, MessageKind::Binary),
                Message::Ping(payload) | Message::Pong(payload) => {
                    self.metered(|metered| metered.end_control(payload.len()));
                    continue;
                }
                // The answer goes out with the next look.
                Message::Close(_) | Message::Frame(_) => continue,
            };
            self.metered(MeteredStream::end_message);
            return Ok(ClientMessage { payload, kind });
        }
    }

    /// Takes the line: what is said with it comes before what others say.
    pub async fn line(&self) -> WriteTurn<'_, S> {
        WriteTurn {
            wire: self,
            _held: self.line.lock().await,
        }
    }

    /// # Errors
    /// The client is gone, or doesn't take it.
    pub async fn ping(&self) -> Result<(), CloseReason> {
        self.send(Message::Ping(Bytes::new())).await
    }

    /// When the client was last heard of.
    pub fn heard_at(&self) -> Instant {
        self.metered(|metered| metered.heard_at)
    }

    /// When the message that is not whole yet began.
    pub fn began_at(&self) -> Option<Instant> {
        self.metered(|metered| metered.began_at())
    }

    /// Closes the socket (§7.1), within a time of its own, and lets the connection go.
    pub async fn close(self, ending: &CloseReason) {
        let told = async {
            if let Some(frame) = ending.close_frame() {
                self.send(Message::Close(Some(frame))).await?;
            }
            Ok::<(), CloseReason>(())
        };
        let is_told = timeout(CLOSE_TIME_MAX, told)
            .await
            .is_ok_and(|told| told.is_ok());
        let mut socket = self.socket.into_inner();
        let rest = async {
            match ending {
                CloseReason::Broken | CloseReason::Silent => {}
                _ if !is_told => {}
                _ if ending.leaves_codec_whole() => {
                    // Until the client's own close; what else it says is dropped.
                    while let Some(Ok(message)) = socket.next().await {
                        drop(message);
                        socket.get_mut().end_message();
                    }
                }
                _ => {
                    // Nothing more is said here: so the client ends the connection, too.
                    let _ = socket.get_mut().shutdown().await;
                    drain(socket.get_mut()).await;
                }
            }
            let _ = socket.get_mut().shutdown().await;
        };
        let _ = timeout(CLOSE_TIME_MAX, rest).await;
    }

    async fn send(&self, message: Message) -> Result<(), CloseReason> {
        let _turn = self.turn.lock().await;
        let sent = async {
            poll_fn(|cx| self.socket.lock().poll_ready_unpin(cx)).await?;
            self.socket.lock().start_send_unpin(message)?;
            poll_fn(|cx| self.socket.lock().poll_flush_unpin(cx)).await
        };
        match timeout(WRITE_TIME_MAX, sent).await {
            Ok(sent) => sent.map_err(|why| CloseReason::of_error(&why)),
            Err(_) => Err(CloseReason::Slow),
        }
    }

    fn metered<T>(&self, look: impl FnOnce(&mut MeteredStream<S>) -> T) -> T {
        look(self.socket.lock().get_mut())
    }
}

/// The right to say the next message.
pub struct WriteTurn<'a, S> {
    wire: &'a WebsocketConnection<S>,
    _held: tokio::sync::MutexGuard<'a, ()>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WriteTurn<'_, S> {
    /// Says one text, given in pieces: in one frame, or in several if it is long.
    ///
    /// # Errors
    /// The client is gone, or doesn't take it.
    pub async fn say(&self, pieces: Vec<Bytes>) -> Result<(), CloseReason> {
        self.send(pieces, MessageKind::Text).await
    }

    /// As [`WriteTurn::say`], of either kind.
    ///
    /// # Errors
    /// The client is gone, or doesn't take it.
    pub async fn send(&self, pieces: Vec<Bytes>, kind: MessageKind) -> Result<(), CloseReason> {
        let mut code = match kind {
            MessageKind::Text => Data::Text,
            MessageKind::Binary => Data::Binary,
        };
        let mut rest = VecDeque::from(pieces);
        loop {
            let payload = next_frame(&mut rest);
            let is_last = rest.is_empty();
            let frame = Frame::message(payload, OpCode::Data(code), is_last);
            self.wire.send(Message::Frame(frame)).await?;
            if is_last {
                return Ok(());
            }
            code = Data::Continue;
        }
    }
}

/// Takes the next frame's payload off `rest`, in which no empty piece is left at the front.
fn next_frame(rest: &mut VecDeque<Bytes>) -> Bytes {
    let mut taken: Vec<Bytes> = Vec::new();
    let mut room = FRAME_BYTES_MAX;
    while let Some(piece) = rest.front_mut() {
        if room == 0 && !piece.is_empty() {
            break;
        }
        let part = piece.split_to(piece.len().min(room));
        room -= part.len();
        if piece.is_empty() {
            rest.pop_front();
        }
        if !part.is_empty() {
            taken.push(part);
        }
    }
    if taken.len() == 1 {
        return taken.swap_remove(0);
    }
    let mut payload = BytesMut::with_capacity(FRAME_BYTES_MAX - room);
    for part in taken {
        payload.extend_from_slice(&part);
    }
    payload.freeze()
}

/// Reads and drops what a client still sends.
async fn drain<S: AsyncRead + Unpin>(stream: &mut MeteredStream<S>) {
    let mut buffer = vec![0; READ_BUFFER_BYTES];
    let mut drained = 0;
    while drained < DRAIN_BYTES_MAX {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(count) => drained += count,
        }
        stream.end_message();
    }
}

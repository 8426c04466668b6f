//! One connection to a server, kept in hand: bytes as a test wants them, answers one by one.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Answer, PATIENCE};

pub struct Wire {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Wire {
    pub async fn connect(address: SocketAddr) -> Wire {
        Wire::over(TcpStream::connect(address).await.unwrap())
    }

    pub fn over(stream: TcpStream) -> Wire {
        stream.set_nodelay(true).unwrap();
        Wire {
            stream,
            unread: Vec::new(),
        }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Sends as far as the server takes it, a byte after each pause, until it answers or closes.
    pub async fn dribble(&mut self, bytes: &[u8], pause: Duration) {
        for byte in bytes {
            tokio::select! {
                read = self.stream.read_buf(&mut self.unread) => return drop(read),
                () = tokio::time::sleep(pause) => {}
            }
            if self.stream.write_all(&[*byte]).await.is_err() {
                return;
            }
        }
    }

    /// The next answer; its body must have a length. `None` when the server closes before it.
    pub async fn answer(&mut self) -> Option<Answer> {
        let reading = async {
            loop {
                if let Some(length) = message_bytes(&self.unread) {
                    let message: Vec<u8> = self.unread.drain(..length).collect();
                    return Some(Answer::parse(&message).unwrap());
                }
                match self.stream.read_buf(&mut self.unread).await {
                    Ok(0) | Err(_) => return None,
                    Ok(_) => {}
                }
            }
        };
        let answer = timeout(PATIENCE, reading).await;
        answer.expect("an answer or the end, in time")
    }

    /// Whether the server closes, having said nothing more.
    pub async fn is_over(&mut self) -> bool {
        let read = timeout(PATIENCE, self.stream.read_buf(&mut self.unread)).await;
        let read = read.expect("the end in time");
        self.unread.is_empty() && matches!(read, Ok(0) | Err(_))
    }
}

/// How long the first message is, once it is all there.
fn message_bytes(bytes: &[u8]) -> Option<usize> {
    let head_bytes = memchr::memmem::find(bytes, b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..head_bytes]).to_ascii_lowercase();
    let length = head
        .split_once("\r\ncontent-length: ")
        .and_then(|(_, rest)| rest.split("\r\n").next()?.parse::<usize>().ok())
        .unwrap_or(0);
    let whole = head_bytes + length;
    (bytes.len() >= whole).then_some(whole)
}

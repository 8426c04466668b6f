//! What a plain round robin does: each request to the next node, whatever it asks. Over one node it
//! is a door before that node, which can be held shut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::RwLock;

use super::listening::Listening;
use super::{PATIENCE, http};

pub struct RoundRobin {
    pub listening: Listening,
    /// Requests wait while a test holds it for writing.
    pub door: Arc<RwLock<()>>,
}

impl RoundRobin {
    pub async fn over(nodes: Vec<SocketAddr>) -> RoundRobin {
        let (nodes, turn) = (Arc::new(nodes), Arc::new(AtomicUsize::new(0)));
        let door = Arc::new(RwLock::new(()));
        let through = door.clone();
        let listening = Listening::serving(move |client| {
            let (nodes, turn, door) = (nodes.clone(), turn.clone(), through.clone());
            async move { serve(client, &nodes, &turn, &door).await }
        });
        RoundRobin {
            listening: listening.await,
            door,
        }
    }

    pub fn url(&self) -> String {
        self.listening.url()
    }
}

async fn serve(
    client: TcpStream,
    nodes: &[SocketAddr],
    turn: &AtomicUsize,
    door: &RwLock<()>,
) -> std::io::Result<()> {
    let mut client = BufReader::new(client);
    loop {
        let mut length = 0;
        let mut line = String::new();
        while client.read_line(&mut line).await? > 2 {
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            line.clear();
        }
        let mut body = vec![0; length];
        client.read_exact(&mut body).await?;
        if length == 0 {
            return Ok(());
        }
        let node = nodes[turn.fetch_add(1, Ordering::Relaxed) % nodes.len()];
        let body = String::from_utf8_lossy(&body);
        let through = door.read().await;
        let answer = http::post(node, &body, PATIENCE).await.unwrap();
        drop(through);
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            answer.body.len()
        );
        client.write_all(head.as_bytes()).await?;
        client.write_all(&answer.body).await?;
    }
}

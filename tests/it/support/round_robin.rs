//! What a plain round robin does: each request to the next node, whatever it asks. Over one node it
//! is a door before that node, which can be held shut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::RwLock;
use tokio::task::JoinHandle;

use super::{PATIENCE, http};

pub struct RoundRobin {
    pub address: SocketAddr,
    /// Requests wait while a test holds it for writing.
    pub door: Arc<RwLock<()>>,
    task: JoinHandle<()>,
}

impl RoundRobin {
    pub async fn over(nodes: Vec<SocketAddr>) -> RoundRobin {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (nodes, turn) = (Arc::new(nodes), Arc::new(AtomicUsize::new(0)));
        let door = Arc::new(RwLock::new(()));
        let through = door.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (nodes, turn, door) = (nodes.clone(), turn.clone(), through.clone());
                // Whichever side ends it, it is over.
                tokio::spawn(async move { drop(serve(client, &nodes, &turn, &door).await) });
            }
        });
        RoundRobin {
            address,
            door,
            task,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for RoundRobin {
    fn drop(&mut self) {
        self.task.abort();
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

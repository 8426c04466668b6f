//! Stands before a node: adds headers to its answers, counts its connections, and remembers how
//! each request begins.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::listening::Listening;

/// A request up to this length is read at once, if it was written so.
const PIECE_BYTES: usize = 64 << 10;

pub struct Relay {
    listening: Listening,
    open: Arc<AtomicUsize>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Relay {
    /// Before the node on `port`; `headers` are whole lines, put at the head of each answer.
    pub async fn before(port: u16, headers: &'static str) -> Relay {
        let open = Arc::new(AtomicUsize::new(0));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (counted, noted) = (open.clone(), asked.clone());
        let listening = Listening::serving(move |client| {
            let (counted, noted) = (counted.clone(), noted.clone());
            async move {
                counted.fetch_add(1, Ordering::SeqCst);
                let _ = relay(client, port, headers, &noted).await;
                counted.fetch_sub(1, Ordering::SeqCst);
            }
        });
        Relay {
            listening: listening.await,
            open,
            asked,
        }
    }

    /// Requests with `word` in their first piece.
    pub fn requests(&self, word: &str) -> usize {
        let asked = self.asked.lock();
        asked.iter().filter(|start| start.contains(word)).count()
    }

    pub fn url(&self) -> String {
        self.listening.url()
    }

    /// Connections that are open now.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

async fn relay(
    mut client: TcpStream,
    port: u16,
    headers: &str,
    noted: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut node = TcpStream::connect(("127.0.0.1", port)).await?;
    let (mut asked, mut said) = (Vec::with_capacity(PIECE_BYTES), Vec::new());
    loop {
        tokio::select! {
            read = client.read_buf(&mut asked) => {
                if read? == 0 {
                    return Ok(());
                }
                if asked.starts_with(b"POST ") {
                    let start = String::from_utf8_lossy(&asked).into_owned();
                    noted.lock().push(start);
                }
                node.write_all(&asked).await?;
                asked.clear();
            }
            read = node.read_buf(&mut said) => {
                if read? == 0 {
                    return Ok(());
                }
                // The pretend node writes a head at once, and it is the start of a piece.
                let text = String::from_utf8_lossy(&said).into_owned();
                let status = "HTTP/1.1 200 OK\r\n";
                let said_more = text.replacen(status, &format!("{status}{headers}"), 1);
                client.write_all(said_more.as_bytes()).await?;
                said.clear();
            }
        }
    }
}

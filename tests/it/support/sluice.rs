//! Stands before a node, and lets through what it is told to: calls one by one, sockets byte by byte.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::fault::{read_request, reset, send_on};
use super::listening::Listening;

/// What it keeps back, and what came by.
#[derive(Default)]
struct Gates {
    are_sockets_refused: bool,
    refused: BTreeSet<String>,
    asked: Vec<String>,
}

/// What becomes of the sockets that are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    None,
    Freeze,
    Reset,
}

pub struct Sluice {
    listening: Listening,
    gates: Arc<Mutex<Gates>>,
    turns: watch::Sender<Turn>,
    held: watch::Sender<BTreeSet<String>>,
    /// Each answer that is held holds this, too.
    waiting: Arc<()>,
}

impl Sluice {
    pub async fn before(port: u16) -> Sluice {
        let node = SocketAddr::from(([127, 0, 0, 1], port));
        let gates = Arc::<Mutex<Gates>>::default();
        let (turns, held) = (watch::Sender::new(Turn::None), watch::Sender::default());
        let waiting = Arc::new(());
        let waits = Arc::downgrade(&waiting);
        let (gated, turned, holds) = (gates.clone(), turns.clone(), held.clone());
        let listening = Listening::serving(move |client| {
            let (gates, turns) = (gated.clone(), turned.clone());
            let held = (holds.subscribe(), waits.clone());
            async move { pass(client, node, &gates, &turns, held).await }
        });
        Sluice {
            listening: listening.await,
            gates,
            turns,
            held,
            waiting,
        }
    }

    pub fn url(&self) -> String {
        self.listening.url()
    }

    /// From now on the node has no sockets.
    pub fn refuse_sockets(&self) {
        self.gates.lock().are_sockets_refused = true;
    }

    /// From now on calls with `word` in them get an error.
    pub fn refuse(&self, word: &str) {
        self.gates.lock().refused.insert(word.to_string());
    }

    /// From now on such calls pass again.
    pub fn let_pass(&self, word: &str) {
        self.gates.lock().refused.remove(word);
    }

    /// From now on the node's answers to calls with `word` in them wait.
    pub fn hold(&self, word: &str) {
        self.held.send_modify(|held| {
            held.insert(word.to_string());
        });
    }

    /// How many answers wait.
    pub fn waiting(&self) -> usize {
        Arc::strong_count(&self.waiting) - 1
    }

    /// All answers that wait pass, and those that come.
    pub fn release(&self) {
        self.held.send_modify(BTreeSet::clear);
    }

    /// Nothing passes any more on the sockets that are open now, either way.
    pub fn freeze_sockets(&self) {
        self.turns.send_replace(Turn::Freeze);
    }

    /// The sockets that are open now are reset.
    pub fn reset_sockets(&self) {
        self.turns.send_replace(Turn::Reset);
    }

    /// Calls with `word` in them.
    pub fn asked(&self, word: &str) -> usize {
        let gates = self.gates.lock();
        gates
            .asked
            .iter()
            .filter(|call| call.contains(word))
            .count()
    }
}

async fn pass(
    mut client: TcpStream,
    node: SocketAddr,
    gates: &Mutex<Gates>,
    turns: &watch::Sender<Turn>,
    (mut held, waiting): (watch::Receiver<BTreeSet<String>>, Weak<()>),
) -> io::Result<()> {
    let request = read_request(&mut client).await?;
    let text = String::from_utf8_lossy(&request).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    if head.to_ascii_lowercase().contains("\r\nupgrade: websocket") {
        // Before anything else is awaited: a socket that is being opened counts as open.
        let turns = turns.subscribe();
        if gates.lock().are_sockets_refused {
            let refusal =
                "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            return client.write_all(refusal.as_bytes()).await;
        }
        let mut node = TcpStream::connect(node).await?;
        node.write_all(&request).await?;
        return tunnel(client, node, turns).await;
    }
    let has_one_of = |words: &BTreeSet<String>| words.iter().any(|word| body.contains(word));
    let refusal = {
        let mut gates = gates.lock();
        gates.asked.push(body.to_string());
        has_one_of(&gates.refused).then(|| refusal(body))
    };
    let answer = match refusal {
        Some(refusal) => refusal.into_bytes(),
        None => send_on(node, &request).await?,
    };
    if has_one_of(&held.borrow_and_update()) {
        let (_waits, mut at_end) = (waiting.upgrade(), [0]);
        tokio::select! {
            // An error says that the sluice is gone, and with it the scene.
            _ = held.wait_for(|words| !has_one_of(words)) => {}
            Ok(0) | Err(_) = client.peek(&mut at_end) => return Ok(()),
        }
    }
    client.write_all(&answer).await?;
    client.shutdown().await
}

async fn tunnel(
    mut client: TcpStream,
    mut node: TcpStream,
    mut turns: watch::Receiver<Turn>,
) -> io::Result<()> {
    tokio::select! {
        ended = tokio::io::copy_bidirectional(&mut client, &mut node) => return ended.map(drop),
        _ = turns.changed() => {}
    }
    let is_reset = |turn: &Turn| *turn == Turn::Reset;
    // An error says that the sluice is gone, and with it the scene.
    drop(turns.wait_for(is_reset).await);
    reset(client);
    Ok(())
}

fn refusal(call: &str) -> String {
    let call: Value = serde_json::from_str(call).unwrap();
    let error = json!({"code": -32000, "message": "not today"});
    let body = json!({"jsonrpc": "2.0", "id": call["id"], "error": error}).to_string();
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

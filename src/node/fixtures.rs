//! Fixtures for tests: a node on a real socket that plays a script, byte for byte.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use pingora::server::configuration::ServerConf;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::access::NodeAccess;
use super::connector::Connector;
use crate::node::client::NodeClient;
use forebay_core::vocabulary::node::NodeRecord;

/// What every wait in these tests is bounded by.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

pub(super) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// One line of a connection's script. After the last the client's close is awaited.
#[derive(Clone)]
pub(super) enum ScriptLine {
    /// Reads one whole request.
    Hear,
    Say(Vec<u8>),
    /// Lets what was said go out by itself. No test depends on whether that succeeds.
    Pause,
    Close,
}

pub(super) fn say(text: &str) -> ScriptLine {
    ScriptLine::Say(text.as_bytes().to_vec())
}

/// [`OK`] to each of so many requests.
pub(super) fn polite_lines(requests: usize) -> Vec<ScriptLine> {
    vec![vec![ScriptLine::Hear, say(OK)]; requests].concat()
}

/// A playing node. Connection n plays script n, those after the last play the last.
pub(super) struct ScriptedNode {
    pub address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    heard: Arc<Mutex<Vec<String>>>,
    /// Has a permit for every connection that has ended.
    ended: Arc<Semaphore>,
}

impl ScriptedNode {
    pub(super) async fn play(scripts: Vec<Vec<ScriptLine>>) -> ScriptedNode {
        ScriptedNode::open(scripts, None).await
    }

    pub(super) async fn play_tls(
        scripts: Vec<Vec<ScriptLine>>,
        acceptor: TlsAcceptor,
    ) -> ScriptedNode {
        ScriptedNode::open(scripts, Some(acceptor)).await
    }

    /// Answers [`OK`] to whatever comes, many times on each connection.
    pub(super) async fn polite() -> ScriptedNode {
        ScriptedNode::play(vec![polite_lines(20)]).await
    }

    async fn open(scripts: Vec<Vec<ScriptLine>>, acceptor: Option<TlsAcceptor>) -> ScriptedNode {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stage = ScriptedNode {
            address: listener.local_addr().unwrap(),
            accepted: Arc::default(),
            heard: Arc::default(),
            ended: Arc::new(Semaphore::new(0)),
        };
        let (accepted, heard) = (stage.accepted.clone(), stage.heard.clone());
        let ended = stage.ended.clone();
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let turn = accepted.fetch_add(1, Ordering::SeqCst);
                let script = scripts[turn.min(scripts.len() - 1)].clone();
                let (heard, ended) = (heard.clone(), ended.clone());
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    match acceptor {
                        None => perform(socket, script, &heard).await,
                        Some(acceptor) => {
                            if let Ok(session) = acceptor.accept(socket).await {
                                perform(session, script, &heard).await;
                            }
                        }
                    }
                    ended.add_permits(1);
                });
            }
        });
        stage
    }

    pub(super) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// The requests so far, whole.
    pub(super) fn heard(&self) -> Vec<String> {
        self.heard.lock().clone()
    }

    /// Waits until one more connection has ended, on either side's wish.
    pub(super) async fn one_ended(&self) {
        within(self.ended.acquire()).await.unwrap().forget();
    }

    pub(super) fn link(&self) -> NodeClient {
        link(
            &format!("http://{}/rpc", self.address),
            &ServerConf::default(),
        )
    }
}

pub(super) fn link(url: &str, conf: &ServerConf) -> NodeClient {
    let spec = NodeRecord::at(url).resolve(&|_| None).unwrap();
    NodeClient::new(
        &spec,
        Arc::new(Connector::new(&NodeAccess::new(conf).unwrap())),
        4,
    )
}

/// A server's side of TLS for `localhost`, and its certificate as PEM.
pub(super) fn certificate() -> (TlsAcceptor, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_string()]).unwrap();
    let key = made.signing_key.serialize_der().try_into().unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), made.cert.pem())
}

pub(super) async fn within<F: Future>(future: F) -> F::Output {
    timeout(PATIENCE, future).await.expect("in time")
}

async fn perform<S>(mut socket: S, script: Vec<ScriptLine>, heard: &Mutex<Vec<String>>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    for line in script {
        match line {
            ScriptLine::Hear => match hear(&mut socket).await {
                Some(request) => heard.lock().push(request),
                None => return,
            },
            ScriptLine::Say(bytes) => {
                if socket.write_all(&bytes).await.is_err() || socket.flush().await.is_err() {
                    return;
                }
            }
            ScriptLine::Pause => tokio::time::sleep(Duration::from_millis(20)).await,
            ScriptLine::Close => {
                let _ = socket.shutdown().await;
                return;
            }
        }
    }
    let mut rest = Vec::new();
    let _ = socket.read_to_end(&mut rest).await;
}

/// One request, head and body; `None` when the client has left.
async fn hear(socket: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let (_, length) = head.rsplit_once("Content-Length: ").unwrap();
            if body.len() >= length.parse().unwrap() {
                return Some(text.into_owned());
            }
        }
    }
}

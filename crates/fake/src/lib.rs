//! A pretend Ethereum node over HTTP/1.1: it lags, lies, stalls and dies on request.
//!
//! For `forebay demo` and for tests. Several nodes may follow one [`FakeChain`], each with its own lag.
//! What a node does is a [`Behaviour`] that may be changed while it runs; a change holds from the
//! next request on. A node listens on 127.0.0.1 only.
//!
//! In reading order, none naming one that follows: `clock`, `capacity`, `chain`, `behaviour`, `answer` (what
//! a call is told), `state` (what a node's connections share), `wire` (its HTTP), and the node itself here.

mod answer;
mod behaviour;
mod capacity;
mod chain;
mod clock;
mod state;
mod wire;

pub use crate::behaviour::{AnswerShape, FakeHead, FakeRpcError, FixedResult};
pub use crate::chain::{FakeBlock, FakeChain};
pub use behaviour::{Behaviour, Fault};
pub use capacity::Capacity;
pub use state::{LOG_BODY_BYTES_MAX, LOG_REQUESTS_MAX, METHODS_COUNTED_MAX, RecordedRequest};

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};

use crate::state::FakeNodeState;

/// What a node starts with.
#[derive(Clone, Debug)]
pub struct FakeConfig {
    /// The port on 127.0.0.1; 0 lets the system choose.
    pub port: u16,
    pub chain: Arc<FakeChain>,
    pub behaviour: Behaviour,
}

impl FakeConfig {
    /// An honest node at the head of `chain`, on a free port.
    pub fn following(chain: &Arc<FakeChain>) -> FakeConfig {
        FakeConfig {
            port: 0,
            chain: Arc::clone(chain),
            behaviour: Behaviour::default(),
        }
    }
}

/// A running pretend node. Dropping it stops it.
#[derive(Debug)]
pub struct FakeNode {
    address: SocketAddr,
    shared: Arc<FakeNodeState>,
    commands: mpsc::Sender<ListenerCommand>,
    task: JoinHandle<()>,
}

/// What the owner tells the task that holds the listener; it answers when it has obeyed.
#[derive(Debug)]
enum ListenerCommand {
    Refuse(oneshot::Sender<()>),
    Accept(oneshot::Sender<io::Result<()>>),
}

impl FakeNode {
    /// Starts a node; it listens when this returns.
    ///
    /// # Errors
    /// When the port can't be bound.
    pub async fn start(config: FakeConfig) -> io::Result<FakeNode> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, config.port)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(FakeNodeState {
            chain: config.chain,
            behaviour: Mutex::new(config.behaviour),
            diary: Mutex::default(),
        });
        let (commands, inbox) = mpsc::channel(8);
        let task = tokio::spawn(run(listener, address, Arc::clone(&shared), inbox));
        Ok(FakeNode {
            address,
            shared,
            commands,
            task,
        })
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Calls heard so far, by method; each call of a batch counts.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        self.shared.diary.lock().calls.clone()
    }

    pub fn calls_of(&self, method: &str) -> u64 {
        let diary = self.shared.diary.lock();
        diary.calls.get(method).copied().unwrap_or(0)
    }

    /// The latest requests, oldest first, at most [`LOG_REQUESTS_MAX`].
    pub fn log(&self) -> Vec<RecordedRequest> {
        self.shared.diary.lock().requests.iter().cloned().collect()
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> u64 {
        self.shared.diary.lock().connections
    }

    /// The head that this node reports now.
    pub fn head(&self) -> u64 {
        let chain_head = self.shared.chain.head();
        self.shared.behaviour.lock().head.on(chain_head)
    }

    /// Changes anything of the behaviour at once.
    pub fn change(&self, how: impl FnOnce(&mut Behaviour)) {
        how(&mut self.shared.behaviour.lock());
    }

    pub fn set_chain_id(&self, chain_id: u64) {
        self.change(|behaviour| behaviour.chain_id = chain_id);
    }

    /// Stands still at `head` from now on.
    pub fn set_head(&self, head: u64) {
        self.change(|behaviour| behaviour.head = FakeHead::At(head));
    }

    /// Follows the chain, `lag` blocks behind.
    pub fn set_lag(&self, lag: u64) {
        self.change(|behaviour| behaviour.head = FakeHead::Behind(lag));
    }

    pub fn set_syncing(&self, syncing: bool) {
        self.change(|behaviour| behaviour.syncing = syncing);
    }

    /// How much it does at a time from now on.
    pub fn set_capacity(&self, capacity: Option<Capacity>) {
        self.change(|behaviour| behaviour.capacity = capacity);
    }

    pub fn set_latency(&self, latency: Duration) {
        self.change(|behaviour| behaviour.latency = latency);
    }

    /// Every request meets `fault` from now on.
    pub fn set_fault(&self, fault: Fault) {
        self.change(|behaviour| {
            behaviour.fault = Some(fault);
            behaviour.fault_methods = None;
        });
    }

    /// Requests that hold a call of one of `methods` meet `fault` from now on.
    pub fn set_fault_for(&self, methods: &[&str], fault: Fault) {
        self.change(|behaviour| {
            behaviour.fault = Some(fault);
            behaviour.fault_methods = Some(methods.iter().map(ToString::to_string).collect());
        });
    }

    /// No fault from now on. Does not listen again after [`FakeNode::refuse`].
    pub fn mend(&self) {
        self.change(|behaviour| {
            behaviour.fault = None;
            behaviour.fault_methods = None;
        });
    }

    /// `method` answers the JSON text `result` from now on.
    pub fn set_result(&self, method: &str, result: &str) {
        self.change(|behaviour| {
            behaviour
                .results
                .insert(method.to_owned(), result.to_owned());
        });
    }

    /// Closes the listener and every connection: new connections are refused. Done on return.
    pub async fn refuse(&self) {
        let (done, obeyed) = oneshot::channel();
        if self
            .commands
            .send(ListenerCommand::Refuse(done))
            .await
            .is_ok()
        {
            // An error here means that the task has ended, and the listener with it.
            let _ = obeyed.await;
        }
    }

    /// Listens again on the same port. Done on return.
    ///
    /// # Errors
    /// When another process has taken the port meanwhile.
    pub async fn accept(&self) -> io::Result<()> {
        let (done, obeyed) = oneshot::channel();
        let ended = || io::Error::other("the node has stopped");
        self.commands
            .send(ListenerCommand::Accept(done))
            .await
            .map_err(|_| ended())?;
        obeyed.await.map_err(|_| ended())?
    }

    /// Stops; no connection is open any more on return.
    pub async fn stop(mut self) {
        self.refuse().await;
        self.task.abort();
        // Being cancelled is what we asked for.
        let _ = (&mut self.task).await;
    }
}

impl Drop for FakeNode {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Holds the listener and all connections; ends when its owner lets go or aborts it.
async fn run(
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<FakeNodeState>,
    mut inbox: mpsc::Receiver<ListenerCommand>,
) {
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            command = inbox.recv() => match command {
                Some(ListenerCommand::Refuse(done)) => {
                    listener = None;
                    connections.shutdown().await;
                    // The owner may have stopped waiting.
                    let _ = done.send(());
                }
                Some(ListenerCommand::Accept(done)) => {
                    let outcome = listen_again(&mut listener, address).await;
                    let _ = done.send(outcome);
                }
                None => return,
            },
            stream = next_connection(listener.as_ref()) => {
                shared.diary.lock().connections += 1;
                connections.spawn(wire::serve(stream, Arc::clone(&shared)));
            }
            // Takes finished connections off the set, which would grow for ever.
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn listen_again(listener: &mut Option<TcpListener>, address: SocketAddr) -> io::Result<()> {
    if listener.is_none() {
        *listener = Some(TcpListener::bind(address).await?);
    }
    Ok(())
}

/// The next connection; waits for ever where there is no listener.
async fn next_connection(listener: Option<&TcpListener>) -> tokio::net::TcpStream {
    let Some(listener) = listener else {
        return std::future::pending().await;
    };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            // Too many open files, say: it passes, and spinning would not help.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::time::timeout;

    use super::*;
    use crate::clock;

    const SOON: Duration = Duration::from_secs(10);
    const BODY: &str = r#"{"id":1,"method":"eth_blockNumber"}"#;

    async fn node() -> (Arc<FakeChain>, FakeNode) {
        let chain = FakeChain::still(1, 100);
        let node = FakeNode::start(FakeConfig::following(&chain)).await;
        (chain, node.unwrap())
    }

    fn request(body: &str, more: &str) -> String {
        let length = body.len();
        format!("POST /key HTTP/1.1\r\nHost: x\r\n{more}Content-Length: {length}\r\n\r\n{body}")
    }

    /// Everything that comes until the node closes, or the error that ends it.
    async fn ask_and_close(node: &FakeNode) -> io::Result<String> {
        let mut stream = TcpStream::connect(node.address).await?;
        let text = request(BODY, "Connection: close\r\n");
        stream.write_all(text.as_bytes()).await?;
        let mut answer = String::new();
        let read = timeout(SOON, stream.read_to_string(&mut answer));
        read.await.expect("the node closes in time")?;
        Ok(answer)
    }

    /// One exchange on a connection that stays open.
    async fn ask_on(stream: &mut TcpStream) -> io::Result<String> {
        stream.write_all(request(BODY, "").as_bytes()).await?;
        let mut answer = vec![0; 4096];
        let read = timeout(SOON, stream.read(&mut answer));
        let length = read.await.expect("the node answers in time")?;
        Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
    }

    #[tokio::test]
    async fn nodes_of_one_chain_move_together_each_with_its_lag() {
        let (chain, leader) = node().await;
        let lagging = FakeNode::start(FakeConfig::following(&chain))
            .await
            .unwrap();
        lagging.set_lag(11);
        chain.advance(5);
        for (node, end) in [(&leader, r#""0x69"}"#), (&lagging, r#""0x5e"}"#)] {
            let answer = ask_and_close(node).await.unwrap();
            assert!(answer.ends_with(end), "{answer}");
        }
        assert_eq!((leader.head(), lagging.head()), (105, 94));
    }

    #[tokio::test]
    async fn a_connection_is_kept_and_requests_are_counted_and_logged() {
        let (_, node) = node().await;
        let mut stream = TcpStream::connect(node.address).await.unwrap();
        for _ in 0..3 {
            assert!(ask_on(&mut stream).await.unwrap().contains("0x64"));
        }
        assert_eq!(node.calls_of("eth_blockNumber"), 3);
        assert_eq!(node.connections(), 1);
        let log = node.log();
        assert_eq!((log.len(), log[0].path.as_str()), (3, "/key"));
        assert_eq!(log[0].body, BODY);
        assert!(
            log[0]
                .headers
                .contains(&("host".to_owned(), "x".to_owned()))
        );
    }

    #[tokio::test]
    async fn a_connection_with_a_limit_is_closed_after_its_last_answer() {
        let (_, node) = node().await;
        node.change(|behaviour| behaviour.requests_per_connection = Some(2));
        let mut stream = TcpStream::connect(node.address).await.unwrap();
        for _ in 0..2 {
            assert!(ask_on(&mut stream).await.unwrap().contains("0x64"));
        }
        let third = ask_on(&mut stream).await;
        assert!(third.is_err() || third.is_ok_and(|text| text.is_empty()));
    }

    #[tokio::test]
    async fn a_refusing_node_refuses_new_connections_ends_old_ones_and_comes_back() {
        let (_, node) = node().await;
        let mut old = TcpStream::connect(node.address).await.unwrap();
        ask_on(&mut old).await.unwrap();
        node.refuse().await;
        let refused = TcpStream::connect(node.address).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        let gone = ask_on(&mut old).await;
        assert!(gone.is_err() || gone.is_ok_and(|text| text.is_empty()));
        node.accept().await.unwrap();
        assert!(ask_and_close(&node).await.unwrap().contains("0x64"));
    }

    #[tokio::test]
    async fn a_stalled_node_takes_the_request_and_says_nothing() {
        let (_, node) = node().await;
        node.set_fault(Fault::Stall);
        let mut stream = TcpStream::connect(node.address).await.unwrap();
        stream
            .write_all(request(BODY, "").as_bytes())
            .await
            .unwrap();
        let answer = timeout(Duration::from_millis(200), stream.read(&mut [0; 1])).await;
        assert!(answer.is_err(), "neither an answer nor an end");
        assert_eq!(node.calls_of("eth_blockNumber"), 1);
    }

    #[tokio::test]
    async fn every_fault_of_the_transport_shows_on_the_wire() {
        let (_, node) = node().await;
        let status = |code, retry_after_seconds| Fault::Status {
            code,
            retry_after_seconds,
        };
        let cases = [
            (Fault::HangUp, ""),
            (status(500, None), "HTTP/1.1 500 Internal Server Error"),
            (status(429, Some(7)), "retry-after: 7"),
            (status(402, None), "HTTP/1.1 402 Payment Required"),
            (Fault::Html, "text/html"),
            (Fault::NotJson, "\r\n\r\n{\"jsonrpc\":\"2.0\",\"id\":"),
            (Fault::EmptyBody, "content-length: 0"),
            (Fault::HalfBody, "content-length: 80"),
            (Fault::TruncatedChunks, "transfer-encoding: chunked"),
        ];
        for (fault, sign) in cases {
            node.set_fault(fault.clone());
            let answer = ask_and_close(&node).await.unwrap();
            assert!(answer.contains(sign), "{fault:?}: {answer}");
        }
        node.set_fault(Fault::Reset);
        let reset = ask_and_close(&node).await.unwrap_err();
        assert_eq!(reset.kind(), io::ErrorKind::ConnectionReset);
        node.mend();
        assert!(ask_and_close(&node).await.unwrap().contains("0x64"));
    }

    #[tokio::test]
    async fn latency_and_dribbling_take_their_time() {
        let (_, node) = node().await;
        let took = |start: Instant| clock::now().saturating_duration_since(start);
        node.set_latency(Duration::from_millis(50));
        let start = clock::now();
        ask_and_close(&node).await.unwrap();
        assert!(took(start) >= Duration::from_millis(50));

        node.set_latency(Duration::ZERO);
        node.set_fault(Fault::Dribble {
            piece_bytes: 10,
            pause: Duration::from_millis(10),
        });
        let start = clock::now();
        // 40 bytes: four pieces.
        assert!(ask_and_close(&node).await.unwrap().contains("0x64"));
        assert!(took(start) >= Duration::from_millis(40));
    }

    #[tokio::test]
    async fn a_fault_for_one_method_leaves_the_others_well() {
        let (_, node) = node().await;
        node.set_fault_for(&["eth_call"], Fault::HangUp);
        assert!(ask_and_close(&node).await.unwrap().contains("0x64"));
        node.set_fault_for(&["eth_blockNumber"], Fault::HangUp);
        assert_eq!(ask_and_close(&node).await.unwrap(), "");
    }

    #[tokio::test]
    async fn a_stopped_node_is_gone() {
        let (_, node) = node().await;
        let address = node.address;
        node.stop().await;
        assert!(TcpStream::connect(address).await.is_err());
    }
}

//! The way to one node: where it is, what every request to it begins with, its idle connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::access::host_of;
use super::addresses::NodeAddresses;
use super::connector::Connector;
use super::fault::SendFault;
use crate::clock;
use crate::node::connection::NodeConnection;
use crate::node::idle_pool::IdlePool;
use crate::node::reply::NodeResponse;
use crate::node::request_head::RequestTemplate;
use forebay_core::rpc::envelope::UpstreamCallId;
use forebay_core::vocabulary::node::NodeSpec;
use forebay_core::wire::trace::TraceParent;

/// Which connections a call may go over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReuseRule {
    /// An idle one if there is one; if that turns out closed, a new one, silently.
    Any,
    /// A new one, or one that was used a moment ago and that the node won't close now: for calls that
    /// must not run twice.
    Surely,
}

/// The way to one node. `Debug` is left out: it holds credentials.
pub struct NodeClient {
    template: RequestTemplate,
    connector: Arc<Connector>,
    addresses: Arc<NodeAddresses>,
    /// The host to resolve; `None` for an IP literal.
    name: Option<(String, u16)>,
    /// The host that the certificate must name; `None` without TLS.
    tls_name: Option<String>,
    idle_pool: Arc<IdlePool>,
    /// The calls that went this way have the ids from here on.
    first: UpstreamCallId,
    calls: AtomicU64,
}

impl NodeClient {
    /// `idle_max` is the most connections kept open between calls.
    pub fn new(spec: &NodeSpec, connector: Arc<Connector>, idle_max: usize) -> NodeClient {
        let (host, port) = host_of(spec.url.reveal()).unwrap_or_default();
        let literal = host.parse().ok().map(|ip| SocketAddr::new(ip, port));
        let addresses = Arc::new(NodeAddresses::new(literal.into_iter().collect()));
        if literal.is_none() {
            connector.names().enter(&host, &addresses);
        }
        NodeClient {
            template: RequestTemplate::new(spec),
            connector,
            addresses,
            tls_name: spec.url.is_tls().then(|| host.clone()),
            name: literal.is_none().then_some((host, port)),
            idle_pool: Arc::new(IdlePool::new(idle_max)),
            first: UpstreamCallId::drawn(clock::roll()),
            calls: AtomicU64::new(0),
        }
    }

    /// The id of the first of so many calls, which have theirs one after the other.
    pub fn number(&self, calls: usize) -> UpstreamCallId {
        let calls = u64::try_from(calls).unwrap_or(u64::MAX);
        self.first
            .after(self.calls.fetch_add(calls, Ordering::Relaxed))
    }

    /// Takes over what the resolver found. An empty list keeps the last addresses. Says whether there are
    /// new ones among them.
    pub fn set_addresses(&self, addresses: Vec<SocketAddr>) -> bool {
        self.addresses.set(addresses)
    }

    /// The host and port to resolve; `None` for an IP literal.
    pub fn needs_resolving(&self) -> Option<(&str, u16)> {
        self.name
            .as_ref()
            .map(|(host, port)| (host.as_str(), *port))
    }

    /// POSTs `body`, whose parts follow one another, as a part of `trace`, and waits for the head of
    /// the answer, for ever: dropping the future closes the connection, and so tells the node to stop.
    ///
    /// # Errors
    /// No connection, or nothing over it that is a head.
    pub async fn send(
        &self,
        body: &[&[u8]],
        reuse: ReuseRule,
        trace: Option<&TraceParent>,
    ) -> Result<NodeResponse, SendFault> {
        let idle = match reuse {
            ReuseRule::Any => self.idle_pool.take(clock::now()),
            ReuseRule::Surely => self.idle_pool.take_warm(clock::now()),
        };
        if let Some(connection) = idle {
            match self.exchange(connection, body, trace).await {
                // The node closed it before it saw our request: that is no failure.
                Err(SendFault::Closed { .. }) if reuse == ReuseRule::Any => {}
                Err(SendFault::Closed { sent: false }) => {}
                answered => return answered,
            }
        }
        let tls_name = self.tls_name.as_deref();
        // On the heap: it is rare, and its state would make every call's future large.
        let opening = Box::pin(self.connector.open(&self.addresses, tls_name));
        let connection = opening.await?;
        self.exchange(connection, body, trace).await
    }

    async fn exchange(
        &self,
        mut connection: NodeConnection,
        body: &[&[u8]],
        trace: Option<&TraceParent>,
    ) -> Result<NodeResponse, SendFault> {
        let written = connection.write(&self.template, body, trace).await;
        // A node may refuse a body that it hasn't read: its answer is worth more than our fault.
        let mut head = match (connection.read_head().await, &written) {
            (Ok(head), _) => head,
            (Err(fault), Ok(())) => return Err(fault),
            (Err(_), Err(_)) => return Err(SendFault::Closed { sent: false }),
        };
        head.keeps &= written.is_ok();
        Ok(NodeResponse::new(
            &head,
            connection,
            Arc::clone(&self.idle_pool),
        ))
    }

    /// Drops idle connections that are over age or were closed by the node.
    pub fn sweep(&self, now: Instant) {
        self.idle_pool.sweep(now);
    }

    /// The node is gone: closes its idle connections and keeps none from now on.
    pub fn close_idle(&self) {
        self.idle_pool.close();
    }

    /// How many connections idle.
    #[cfg(test)]
    pub fn idle(&self) -> usize {
        self.idle_pool.count()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use pingora::server::configuration::ServerConf;

    use super::super::access::CONNECT_TIME_MAX;
    use super::super::connection::LIFETIME_MAX;
    use super::ReuseRule::{Any, Surely};
    use super::*;
    use crate::node::fixtures::ScriptLine::{Close, Hear, Pause};
    use crate::node::fixtures::{OK, ScriptedNode, certificate, link, polite_lines, say, within};
    use crate::node::idle_pool::{IDLE_TIME_MAX, WARM_TIME_MAX};
    use crate::node::reply::BufferedBody;

    const CALL: &[&[u8]] = &[b"{\"id\":", b"1", b"}"];

    async fn ask(link: &NodeClient, reuse: ReuseRule) -> Bytes {
        let mut reply = within(link.send(CALL, reuse, None)).await.unwrap();
        assert_eq!(reply.status, 200);
        match within(reply.read_up_to(100)).await.unwrap() {
            BufferedBody::Whole(body) => {
                reply.keep();
                body
            }
            BufferedBody::More(start) => panic!("{start:?}"),
        }
    }

    async fn fault(link: &NodeClient, reuse: ReuseRule) -> SendFault {
        within(link.send(CALL, reuse, None)).await.err().unwrap()
    }

    /// Until no connection idles.
    async fn swept(link: &NodeClient) {
        while link.idle() > 0 {
            tokio::task::yield_now().await;
            link.sweep(clock::now());
        }
    }

    #[tokio::test]
    async fn calls_in_a_row_share_one_connection() {
        let stage = ScriptedNode::polite().await;
        let link = stage.link();
        for _ in 0..5 {
            assert_eq!(ask(&link, Any).await, "ok");
        }
        assert_eq!((stage.accepted(), link.idle()), (1, 1));
        assert!(stage.heard()[4].starts_with("POST /rpc HTTP/1.1\r\nHost: 127.0.0.1:"));
        assert!(stage.heard()[4].ends_with("\r\nContent-Length: 8\r\n\r\n{\"id\":1}"));
    }

    #[tokio::test]
    async fn calls_at_once_have_a_connection_each_and_at_most_four_stay() {
        let stage = ScriptedNode::polite().await;
        let link = stage.link();
        let mut replies = Vec::new();
        for _ in 0..5 {
            replies.push(within(link.send(CALL, Any, None)).await.unwrap());
            // Its body is still unread, but at hand: the connection is not free yet.
        }
        for reply in &mut replies {
            within(reply.read_up_to(10)).await.unwrap();
            reply.keep();
        }
        assert_eq!((stage.accepted(), link.idle()), (5, 4));
    }

    #[tokio::test]
    async fn a_connection_that_closed_while_idle_costs_nothing_visible() {
        let stage = ScriptedNode::play(vec![vec![Hear, say(OK), Close]]).await;
        let link = stage.link();
        for _ in 0..3 {
            assert_eq!(ask(&link, Any).await, "ok");
            stage.one_ended().await;
        }
        assert_eq!(stage.accepted(), 3);
    }

    #[tokio::test]
    async fn a_connection_that_closes_under_a_call_costs_nothing_visible() {
        let stale = vec![Hear, say(OK), Hear, Close];
        let stage = ScriptedNode::play(vec![stale, vec![Hear, say(OK)]]).await;
        let link = stage.link();
        assert_eq!(ask(&link, Any).await, "ok");
        assert_eq!(ask(&link, Any).await, "ok");
        assert_eq!((stage.accepted(), stage.heard().len()), (2, 3));
    }

    #[tokio::test]
    async fn a_new_connection_that_closes_is_not_repeated() {
        let stage = ScriptedNode::play(vec![vec![Hear, Close]]).await;
        let link = stage.link();
        let fault = fault(&link, Any).await;
        assert_eq!(fault, SendFault::Closed { sent: true });
        assert!(fault.executed_possible());
        assert_eq!(stage.accepted(), 1);
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_is_not_repeated() {
        let broken = vec![Hear, say(OK), Hear, say("HTTP/1."), Close];
        let stage = ScriptedNode::play(vec![broken]).await;
        let link = stage.link();
        ask(&link, Any).await;
        let fault = fault(&link, Any).await;
        assert_eq!(fault, SendFault::Malformed("the head broke off"));
        assert_eq!(stage.accepted(), 1);
    }

    #[tokio::test]
    async fn a_call_that_must_not_run_twice_waits_until_a_node_is_known_to_leave_connections_open()
    {
        let stage = ScriptedNode::polite().await;
        let link = stage.link();
        for _ in 0..3 {
            assert_eq!(ask(&link, Surely).await, "ok");
        }
        assert_eq!((stage.accepted(), link.idle()), (3, 3), "nothing is known");
        link.sweep(clock::now() + Duration::from_secs(1));
        ask(&link, Surely).await;
        assert_eq!(stage.accepted(), 4, "a second proves nothing");
        link.sweep(clock::now() + Duration::from_secs(3));
        for _ in 0..5 {
            ask(&link, Surely).await;
        }
        assert_eq!(stage.accepted(), 4, "over the one used last");
        let warm = link.idle_pool.take_warm(clock::now() + WARM_TIME_MAX * 2);
        assert!(warm.is_none(), "it was used too long ago");
    }

    #[tokio::test]
    async fn a_node_that_closes_soon_and_says_nothing_is_not_relied_on() {
        let stage = ScriptedNode::play(vec![vec![Hear, say(OK), Close], polite_lines(20)]);
        let stage = stage.await;
        let link = stage.link();
        ask(&link, Any).await;
        stage.one_ended().await;
        within(swept(&link)).await;
        for _ in 0..3 {
            ask(&link, Surely).await;
            link.sweep(clock::now() + Duration::from_secs(3));
        }
        assert_eq!(stage.accepted(), 4);
    }

    #[tokio::test]
    async fn unasked_bytes_cost_a_connection_its_place() {
        let chatty = vec![Hear, say(OK), Pause, say(OK)];
        let stage = ScriptedNode::play(vec![chatty, vec![Hear, say(OK)]]).await;
        let link = stage.link();
        ask(&link, Any).await;
        within(swept(&link)).await;
        stage.one_ended().await;
        assert_eq!(ask(&link, Any).await, "ok");
        assert_eq!(stage.accepted(), 2);
    }

    #[tokio::test]
    async fn an_answer_after_which_nothing_is_certain_ends_the_connection() {
        for last in [
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokay",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
            "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        ] {
            let stage = ScriptedNode::play(vec![vec![Hear, say(last)]]).await;
            let link = stage.link();
            assert_eq!(ask(&link, Any).await, "ok");
            assert_eq!(link.idle(), 0, "{last:?}");
            stage.one_ended().await;
        }
    }

    #[tokio::test]
    async fn idle_connections_age() {
        let stage = ScriptedNode::polite().await;
        let link = stage.link();
        for (age, idle) in [(IDLE_TIME_MAX, 1), (IDLE_TIME_MAX * 2, 0)] {
            ask(&link, Any).await;
            link.sweep(clock::now() + age - Duration::from_secs(1));
            assert_eq!(link.idle(), idle);
        }
        ask(&link, Any).await;
        assert!(
            link.idle_pool
                .take(clock::now() + IDLE_TIME_MAX * 2)
                .is_none()
        );
        assert_eq!(link.idle(), 0);
    }

    #[tokio::test]
    async fn no_connection_lives_for_ever() {
        let stage = ScriptedNode::polite().await;
        let link = stage.link();
        ask(&link, Any).await;
        let connection = link.idle_pool.take(clock::now()).unwrap();
        link.idle_pool
            .put(connection, clock::now() + LIFETIME_MAX * 2);
        assert_eq!(link.idle(), 0);
    }

    #[tokio::test]
    async fn a_removed_node_keeps_no_connection() {
        let stage = ScriptedNode::polite().await;
        let link = stage.link();
        ask(&link, Any).await;
        let mut late = within(link.send(CALL, Surely, None)).await.unwrap();
        link.close_idle();
        assert_eq!(link.idle(), 0);
        within(late.read_up_to(10)).await.unwrap();
        late.keep();
        assert_eq!(link.idle(), 0);
        stage.one_ended().await;
        stage.one_ended().await;
    }

    #[tokio::test]
    async fn a_caller_that_leaves_closes_the_connection() {
        let stage = ScriptedNode::play(vec![vec![Hear]]).await;
        let link = stage.link();
        let call = tokio::time::timeout(Duration::from_millis(50), link.send(CALL, Any, None));
        assert!(call.await.is_err());
        stage.one_ended().await;
        assert_eq!(link.idle(), 0);
    }

    #[tokio::test]
    async fn interim_answers_are_passed_over() {
        let texts = [
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 E\r\n",
            "A: b\r\n\r\n",
            OK,
        ];
        let lines = texts.iter().flat_map(|text| [say(text), Pause]);
        let stage = ScriptedNode::play(vec![[Hear].into_iter().chain(lines).collect()]).await;
        assert_eq!(ask(&stage.link(), Any).await, "ok");
    }

    #[tokio::test]
    async fn a_malformed_head_is_told_from_a_silent_end() {
        let stage = ScriptedNode::play(vec![vec![Hear, say("<html>")]]).await;
        let link = stage.link();
        let fault = fault(&link, Any).await;
        assert_eq!(fault, SendFault::Malformed("not HTTP/1"));
        stage.one_ended().await;
    }

    #[tokio::test]
    async fn a_big_request_arrives_whole() {
        let stage = ScriptedNode::polite().await;
        let link = stage.link();
        let big = vec![b'x'; 5 << 20];
        let reply = within(link.send(&[&big], Any, None)).await.unwrap();
        assert_eq!(reply.status, 200);
        let heard = stage.heard().remove(0);
        let (_, body) = heard.split_once("\r\n\r\n").unwrap();
        assert_eq!(body.as_bytes(), big);
    }

    #[tokio::test]
    async fn a_request_refused_unread_brings_the_refusal() {
        let refusal = "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n";
        let stage = ScriptedNode::play(vec![vec![say(refusal), Close]]).await;
        let link = stage.link();
        let big = vec![b'x'; 32 << 20];
        match within(link.send(&[&big], Any, None)).await {
            Ok(reply) => assert_eq!((reply.status, link.idle()), (413, 0)),
            // A reset can overtake the refusal: then at least we know that it didn't run.
            Err(fault) => assert_eq!(fault, SendFault::Closed { sent: false }),
        }
    }

    #[tokio::test]
    async fn a_dead_address_gives_way_to_the_next_and_the_good_one_is_remembered() {
        let stage = ScriptedNode::polite().await;
        let dead = ScriptedNode::polite().await.address;
        let dead = SocketAddr::from(([127, 0, 0, 2], dead.port()));
        let link = link("http://node.invalid", &ServerConf::default());
        assert_eq!(link.needs_resolving(), Some(("node.invalid", 80)));
        assert_eq!(fault(&link, Any).await, SendFault::NoAddress);
        link.set_addresses(vec![dead]);
        let refused = fault(&link, Any).await;
        assert!(matches!(refused, SendFault::Connect(_)), "{refused:?}");
        assert!(!refused.executed_possible());
        link.set_addresses(vec![dead, stage.address]);
        assert_eq!(ask(&link, Surely).await, "ok");
        assert_eq!(ask(&link, Surely).await, "ok");
        assert_eq!(stage.accepted(), 2);
    }

    #[tokio::test]
    async fn a_literal_needs_no_resolving() {
        let stage = ScriptedNode::polite().await;
        assert_eq!(stage.link().needs_resolving(), None);
        let brackets = link("http://[::1]:8545", &ServerConf::default());
        assert_eq!(brackets.needs_resolving(), None);
    }

    #[tokio::test]
    async fn a_certificate_of_no_known_authority_is_refused() {
        let (acceptor, _) = certificate();
        let stage = ScriptedNode::play_tls(vec![vec![Hear, say(OK)]], acceptor).await;
        let url = format!("https://localhost:{}/secret", stage.address.port());
        let link = link(&url, &ServerConf::default());
        link.set_addresses(vec![stage.address]);
        let refused = fault(&link, Any).await;
        let SendFault::Tls(why) = &refused else {
            panic!("{refused:?}");
        };
        assert!(
            why.contains("invalid peer certificate") && !why.contains("secret"),
            "{why}"
        );
        assert!(!refused.executed_possible() && stage.heard().is_empty());
    }

    #[tokio::test]
    async fn a_trusted_certificate_is_taken_for_its_name_alone() {
        let (acceptor, pem) = certificate();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), pem).unwrap();
        let conf = ServerConf {
            ca_file: Some(file.path().to_str().unwrap().to_string()),
            ..ServerConf::default()
        };
        let script = polite_lines(5);
        let stage = ScriptedNode::play_tls(vec![script], acceptor).await;
        let port = stage.address.port();
        let trusted = link(&format!("https://localhost:{port}"), &conf);
        trusted.set_addresses(vec![stage.address]);
        for _ in 0..3 {
            assert_eq!(ask(&trusted, Any).await, "ok");
        }
        assert_eq!((stage.accepted(), trusted.idle()), (1, 1));
        for other in ["https://elsewhere.test", "https://127.0.0.1"] {
            let other = link(&format!("{other}:{port}"), &conf);
            other.set_addresses(vec![stage.address]);
            let refused = fault(&other, Any).await;
            assert!(matches!(refused, SendFault::Tls(_)), "{refused:?}");
        }
    }

    #[tokio::test]
    async fn a_silent_port_is_given_up_in_time() {
        // TLS to a node that never says a word.
        let stage = ScriptedNode::play(vec![vec![]]).await;
        let link = link(
            &format!("https://{}", stage.address),
            &ServerConf::default(),
        );
        let before = clock::now();
        assert_eq!(fault(&link, Any).await, SendFault::ConnectTimeout);
        let took = clock::now() - before;
        assert!(
            took >= CONNECT_TIME_MAX && took < CONNECT_TIME_MAX * 2,
            "{took:?}"
        );
    }
}

//! Calls, questions and sockets go to a node alike.

use super::*;

use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::node::client::{NodeClient, ReuseRule};
use crate::node::connector::Connector;
use crate::node::fixtures::within;
use crate::node::mock::MockNode;
use crate::node::probe::{ProbeRequest, Prober};
use crate::node::socket::UpstreamSocket;
use forebay_core::vocabulary::node::NodeRecord;

/// A port that hangs up, and from where it was reached.
async fn port() -> (SocketAddr, mpsc::UnboundedReceiver<IpAddr>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, (tell, told)) = (listener.local_addr().unwrap(), mpsc::unbounded_channel());
    tokio::spawn(async move {
        while let Ok((_, from)) = listener.accept().await {
            let _ = tell.send(from.ip());
        }
    });
    (address, told)
}

fn spec(url: &str) -> NodeSpec {
    NodeRecord::at(url).resolve(&|_| None).unwrap()
}

/// All ways to a node that there are, one after the other.
async fn go_all_ways(access: &Arc<NodeAccess>, spec: &NodeSpec, addresses: Vec<SocketAddr>) {
    let connector = Arc::new(Connector::new(access));
    let link = NodeClient::new(spec, connector.clone(), 1);
    link.set_addresses(addresses);
    drop(within(link.send(&[b"{}"], ReuseRule::Any, None)).await);
    let prober = Prober::new(access.clone()).unwrap();
    within(prober.head_now(spec, Duration::from_secs(2))).await;
    let socket = UpstreamSocket::open(&connector, spec, spec.url.reveal());
    drop(within(socket).await);
}

#[tokio::test]
async fn calls_questions_and_sockets_come_from_the_same_address() {
    let conf = ServerConf {
        client_bind_to_ipv4: vec!["127.0.0.7".to_string()],
        ..ServerConf::default()
    };
    let access = Arc::new(NodeAccess::new(&conf).unwrap());
    let (address, mut told) = port().await;
    for host in ["127.0.0.1", "node.invalid"] {
        let spec = spec(&format!("http://{host}:{}", address.port()));
        go_all_ways(&access, &spec, vec![address]).await;
        for way in ["calls", "questions", "sockets"] {
            let from = within(told.recv()).await.unwrap();
            assert_eq!(from.to_string(), "127.0.0.7", "{way} to {host}");
        }
    }
}

#[tokio::test]
async fn where_one_family_is_bound_the_other_is_still_reached() {
    let conf = ServerConf {
        client_bind_to_ipv6: vec!["::1".to_string()],
        ..ServerConf::default()
    };
    let access = Arc::new(NodeAccess::new(&conf).unwrap());
    let (address, mut told) = port().await;
    let spec = spec(&format!("http://{address}"));
    go_all_ways(&access, &spec, Vec::new()).await;
    for way in ["calls", "questions", "sockets"] {
        let from = within(told.recv()).await.unwrap();
        assert_eq!(from.to_string(), "127.0.0.1", "{way}");
    }
}

/// Only a failed call makes another address go first, and a node that is asked in vain gets no calls.
#[tokio::test]
async fn a_question_finds_the_one_address_that_answers_whichever_it_is() {
    let (address, mut told) = port().await;
    let access = NodeAccess::plain();
    let spec = spec(&format!("http://node.invalid:{}", address.port()));
    let link = NodeClient::new(&spec, Arc::new(Connector::new(&access)), 1);
    let dead = (2..8).map(|last| SocketAddr::from(([127, 0, 0, last], address.port())));
    link.set_addresses(dead.chain([address]).collect());
    let prober = Prober::new(access).unwrap();
    within(prober.head_now(&spec, Duration::from_secs(2))).await;
    assert!(within(told.recv()).await.is_some());
}

#[tokio::test]
async fn where_one_family_is_bound_the_other_is_asked_if_the_first_is_dead() {
    let listener = TcpListener::bind("[::1]:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let conf = ServerConf {
        client_bind_to_ipv4: vec!["127.0.0.7".to_string()],
        ..ServerConf::default()
    };
    let access = Arc::new(NodeAccess::new(&conf).unwrap());
    let spec = spec(&format!("http://node.invalid:{}", address.port()));
    let link = NodeClient::new(&spec, Arc::new(Connector::new(&access)), 1);
    let dead = SocketAddr::from(([127, 0, 0, 9], address.port()));
    link.set_addresses(vec![dead, address]);
    let prober = Prober::new(access).unwrap();
    let asked = prober.head_now(&spec, Duration::from_secs(2));
    let (accepted, _) = tokio::join!(within(listener.accept()), within(asked));
    assert!(accepted.is_ok());
}

/// The name has left the resolver, or means something else there.
#[tokio::test]
async fn questions_and_sockets_go_where_calls_go() {
    let (address, mut told) = port().await;
    let spec = spec(&format!("http://node.invalid:{}", address.port()));
    go_all_ways(&NodeAccess::plain(), &spec, vec![address]).await;
    for way in ["calls", "questions", "sockets"] {
        assert!(within(told.recv()).await.is_some(), "{way}");
    }
}

#[tokio::test]
async fn a_question_says_of_us_what_a_call_says() {
    let mock = MockNode::at(100).await;
    let mut record = mock.record();
    record.headers.insert("X-Key".into(), "k".into());
    let spec = record.resolve(&|_| None).unwrap();
    let access = NodeAccess::plain();
    let link = NodeClient::new(&spec, Arc::new(Connector::new(&access)), 1);
    let call = br#"{"jsonrpc":"2.0","id":1,"method":"eth_syncing"}"#;
    let called = within(link.send(&[call], ReuseRule::Any, None)).await;
    assert!(called.is_ok());
    let prober = Prober::new(access).unwrap();
    let probe = prober.probe(&spec, ProbeRequest::default(), Duration::from_secs(5));
    assert_eq!(within(probe).await.failure, None);
    let heard = mock.heard();
    let lines = |request: &str| -> Vec<String> {
        let head = request.split("\r\n\r\n").next().unwrap();
        let mut lines: Vec<_> = head.lines().map(str::to_ascii_lowercase).collect();
        lines.retain(|line| !line.starts_with("content-length"));
        lines.sort();
        lines
    };
    for question in &heard[1..] {
        assert_eq!(lines(question), lines(&heard[0]));
    }
    assert_eq!(heard.len(), 3);
}

#[test]
fn settings_over_which_pingora_would_panic_are_refused() {
    let mut conf = ServerConf {
        client_bind_to_ipv4: vec!["here".to_string()],
        ..ServerConf::default()
    };
    let fault = NodeAccess::new(&conf).err();
    assert_eq!(fault, Some(AccessError::Bind("here".to_string())));
    conf.client_bind_to_ipv4.clear();
    conf.ca_file = Some("/nonexistent/ca.pem".to_string());
    let fault = NodeAccess::new(&conf).err();
    assert!(matches!(fault, Some(AccessError::CaFile(_))));
}

//! Connections of every kind: HTTP/1.0, HTTP/2 with and without TLS, and clients that leave.

use std::time::Duration;

use crate::support::{
    Answer, Authority, Balancer, PATIENCE, Pretend, QUICK, Relay, Wire, call, exchange, free_port,
    post_http2, request, soon,
};
use forebay::client::http1::silence::QUIET_TIME_MAX;
use forebay::clock;
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_listener_speaks_http_1_0_1_1_and_2() {
    let scene = Pretend::set(&[1], "").await;
    let address = scene.balancer.rpc.address;
    let began = clock::now();
    let mut wire = Wire::connect(address).await;
    // Shorter than HTTP/2's preface.
    wire.send("GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(wire.answer().await.unwrap().status, 200);
    assert!(wire.is_over().await && began.elapsed() < Duration::from_secs(2));
    let body = call("\"a\"", "eth_getBalance");
    let mut wire = Wire::connect(address).await;
    let length = body.len();
    wire.send(format!(
        "POST / HTTP/1.0\r\nContent-Length: {length}\r\n\r\n{body}"
    ))
    .await;
    let answer = wire.answer().await.unwrap();
    assert_eq!(
        (answer.status, answer.json()["id"].as_str()),
        (200, Some("a"))
    );
    assert!(wire.is_over().await);
    for (body, status) in [
        (&*body, 200),
        ("{", 200),
        (r#"{"jsonrpc":"2.0","method":"eth_chainId"}"#, 204),
    ] {
        let stream = TcpStream::connect(address).await.unwrap();
        let answer = post_http2(stream, body.to_owned()).await.unwrap();
        assert_eq!(answer.status, status, "{body}");
        assert_eq!(answer.header("connection"), None, "RFC 9113 §8.2.2");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_answer_reaches_clients_of_every_version_whole() {
    let scene = Pretend::set(&[1], "").await;
    let address = scene.balancer.rpc.address;
    let result = format!("\"{}\"", "f".repeat(300_000));
    scene.nodes[0].set_result("eth_call", &result);
    let body = call("5", "eth_call");
    let wanted = format!(r#"{{"jsonrpc":"2.0","id":5,"result":{result}}}"#);
    assert!(scene.post(&body).await.text() == wanted, "HTTP/1.1");
    let stream = TcpStream::connect(address).await.unwrap();
    let answer = post_http2(stream, body.clone()).await.unwrap();
    assert!(answer.text() == wanted, "HTTP/2");
    // HTTP/1.0 has no chunks: without a length no client could tell an answer that broke off.
    let length = body.len();
    let old = format!("POST / HTTP/1.0\r\nContent-Length: {length}\r\n\r\n{body}");
    let bytes = exchange(address, old.as_bytes(), PATIENCE).await.unwrap();
    let answer = Answer::parse(&bytes).unwrap();
    assert_eq!(answer.header("transfer-encoding"), None);
    assert_eq!(
        answer.header("content-length"),
        Some(&*wanted.len().to_string())
    );
    assert!(answer.text() == wanted, "HTTP/1.0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_kept_between_calls_and_counted_while_it_is_there() {
    let scene = Pretend::set(&[1], "").await;
    let mut wire = Wire::connect(scene.balancer.rpc.address).await;
    for id in ["1", "2", "3"] {
        wire.send(request("", &call(id, "eth_getBalance"))).await;
        let answer = wire.answer().await.unwrap();
        assert_eq!(answer.header("connection"), Some("keep-alive"));
    }
    let connections = scene.balancer.metric("forebay_connections", &[]).await;
    assert_eq!(connections, Some(1.0));
    drop(wire);
    scene
        .balancer
        .becomes("forebay_connections", &[], 0.0)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_was_silent_for_long_goes_on_where_it_was() {
    let scene = Pretend::set(&[1], "").await;
    let connections = async || scene.balancer.metric("forebay_connections", &[]).await;
    let mut wire = Wire::connect(scene.balancer.rpc.address).await;
    let request = request("", &call("1", "eth_getBalance"));
    let (begin, end) = request.split_at(9);
    for number in 0..4 {
        // Before its first call, between calls that follow each other, and after a long silence.
        if number % 2 == 0 {
            tokio::time::sleep(QUIET_TIME_MAX + Duration::from_millis(500)).await;
        }
        wire.send(begin).await;
        wire.send(end).await;
        assert_eq!(wire.answer().await.unwrap().status, 200, "call {number}");
        assert_eq!(connections().await, Some(1.0), "call {number}");
    }
}

/// One node behind a relay, which sees our connections and adds headers.
async fn behind_relay() -> (Pretend, Relay, Balancer) {
    // The first balancer only brings the nodes.
    let scene = Pretend::set(&[1], "").await;
    let relay = Relay::before(
        scene.nodes[0].port(),
        "Access-Control-Allow-Origin: https://node.test\r\nX-Node-Says: s3cretkey\r\n",
    )
    .await;
    let balancer = Balancer::before(QUICK, "relayed", &relay.url()).await;
    (scene, relay, balancer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nodes_own_headers_stay_inside() {
    let (_scene, _relay, balancer) = behind_relay().await;
    let answer = balancer.post(&call("1", "eth_getBalance")).await;
    assert!(answer.result().is_string());
    let origins = answer
        .headers
        .iter()
        .filter(|(name, _)| name == "access-control-allow-origin");
    assert_eq!(
        origins.map(|(_, value)| value.as_str()).collect::<Vec<_>>(),
        ["*"]
    );
    assert_eq!(answer.header("x-node-says"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_takes_its_work_at_the_node_with_it() {
    let (scene, relay, balancer) = behind_relay().await;
    scene.nodes[0].set_fault_for(&["eth_call", "zks_foo"], forebay_fake::Fault::Stall);
    let in_flight = async || {
        balancer
            .metric("forebay_node_in_flight", &[("node", "relayed")])
            .await
    };
    let before = relay.open();
    let batch = format!("[{},{}]", call("1", "eth_call"), call("2", "zks_foo"));
    for body in [call("1", "eth_call"), call("1", "zks_foo"), batch] {
        let mut wire = Wire::connect(balancer.rpc.address).await;
        wire.send(request("", &body)).await;
        soon("the node works", async || in_flight().await > Some(0.0)).await;
        drop(wire);
        let began = clock::now();
        soon("the work is dropped", async || {
            in_flight().await == Some(0.0)
        })
        .await;
        // Well below the time of an attempt.
        assert!(began.elapsed() < Duration::from_secs(3));
        soon("its connections are closed", async || {
            relay.open() <= before.max(2)
        })
        .await;
    }
    let cancelled = balancer
        .metric("forebay_calls_total", &[("outcome", "cancelled")])
        .await;
    assert_eq!(cancelled, Some(4.0));
    let healthy = balancer
        .metric("forebay_node_healthy", &[("node", "relayed")])
        .await;
    assert_eq!(
        healthy,
        Some(1.0),
        "a client's leaving says nothing against the node"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_the_client_chooses_between_http_1_1_and_2() {
    let folder = tempfile::TempDir::new().unwrap();
    let authority = Authority::new();
    let signed = authority.signs("localhost");
    let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
    std::fs::write(&certificate, signed.0).unwrap();
    std::fs::write(&key, signed.1).unwrap();
    let port = free_port();
    let https = format!(
        "https: [{{ address: \"127.0.0.1:{port}\", certificate: \"{}\", key: \"{}\" }}], metrics:",
        certificate.display(),
        key.display(),
    );
    let _scene = Pretend::set_with(&[1], &QUICK.replace("metrics:", &https), "").await;
    let body = call("\"a\"", "eth_getBalance");
    let client = authority.client();
    let stream = client.connect(port, &[b"h2", b"http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let answer = post_http2(stream, body.clone()).await.unwrap();
    assert_eq!(
        (answer.status, answer.json()["id"].as_str()),
        (200, Some("a"))
    );
    for alpn in [&[&b"http/1.1"[..]][..], &[]] {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = client.connect(port, alpn).await.unwrap();
        let text = request("Connection: close\r\n", &body);
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        // Without close_notify the end is an error; the answer has its length.
        let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes))
            .await
            .unwrap();
        let answer = Answer::parse(&bytes).unwrap();
        assert_eq!(
            (answer.status, answer.json()["id"].as_str()),
            (200, Some("a"))
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_must_not_run_twice_share_connections_once_a_node_is_known_to_keep_them() {
    let scene = Pretend::set(&[1], "").await;
    let node = &scene.nodes[0];
    node.set_result("zks_foo", "7");
    let call_all = async |calls: u64| {
        for _ in 0..calls {
            assert_eq!(scene.call("zks_foo").await.json()["result"], 7);
        }
    };
    soon("connections are kept", async || {
        let before = node.connections();
        call_all(20).await;
        // The rounds open one now and then.
        node.connections() <= before + 2
    })
    .await;
    let (before, heard) = (node.connections(), node.calls_of("zks_foo"));
    call_all(300).await;
    assert!(
        node.connections() <= before + 10,
        "{} {before}",
        node.connections()
    );
    assert_eq!(node.calls_of("zks_foo"), heard + 300, "none ran twice");
    // A node that closes after each answer, and doesn't say so, loses none of them.
    for requests in [1, 2, 3] {
        let scene = Pretend::set(&[1], "").await;
        scene.nodes[0].set_result("zks_foo", "7");
        scene.nodes[0].change(|behaviour| behaviour.requests_per_connection = Some(requests));
        for _ in 0..200 {
            assert_eq!(scene.call("zks_foo").await.json()["result"], 7);
        }
        assert_eq!(scene.nodes[0].calls_of("zks_foo"), 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_asks_for_a_websocket_without_upgrade_is_told_what_is_missing() {
    let scene = Pretend::set(&[1], "").await;
    let mut wire = Wire::connect(scene.balancer.rpc.address).await;
    let head = "GET / HTTP/1.1\r\nHost: x\r\nSec-WebSocket-Version: 13\r\n\
                Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    wire.send(head).await;
    let answer = wire.answer().await.unwrap();
    assert_eq!(answer.status, 426);
    assert_eq!(answer.header("upgrade"), Some("websocket"));
    assert_eq!(answer.header("connection"), Some("Upgrade, keep-alive"));
}

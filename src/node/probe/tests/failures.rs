//! Why a probe brought no head, as a reason, a word for scripts and words for people.

use super::*;
use crate::node::fixtures::certificate;

#[tokio::test]
async fn rude_answers_are_told_apart() {
    let own_error = r#"{"code":-32000,"message":"key s3cret-key is odd"}"#;
    for (said, reason, words) in [
        (
            ok("<html>Welcome</html>"),
            "bad_answer",
            r#"answered HTML, "<html>Welcome</html>""#,
        ),
        (ok(" "), "bad_answer", "answered nothing"),
        (
            ok("{"),
            "bad_answer",
            r#"answered something other than a JSON-RPC answer, "{""#,
        ),
        (
            ok(r#"{"id":2,"result":"0x1"}"#),
            "bad_answer",
            r#"answered another question's id, "{\"id\":2,\"result\":\"0x1\"}""#,
        ),
        (
            ok(r#"{"id":1}"#),
            "bad_answer",
            r#"answered neither a result nor an error, "{\"id\":1}""#,
        ),
        (
            result("\"0x64\""),
            "bad_answer",
            "answered something other than a block",
        ),
        (
            http("503 Busy", "", "<html>"),
            "http",
            r#"HTTP 503, "<html>""#,
        ),
        (
            http("401 No", "", r#"{"id":null,"result":null}"#),
            "http",
            r#"HTTP 401, "{\"id\":null,\"result\":null}""#,
        ),
        (
            error(own_error),
            "rpc_error",
            r#"JSON-RPC error -32000, "key … is odd""#,
        ),
        (
            http("403 No", "", r#"{"id":1,"error":{"code":-32000}}"#),
            "rpc_error",
            "JSON-RPC error -32000",
        ),
        (
            Some("SSH-2.0-OpenSSH\r\n".into()),
            "connect",
            "the connection broke off, or spoke no HTTP",
        ),
    ] {
        let wanted = (reason, words.to_string());
        assert_eq!(failure(said.clone()).await, wanted, "{said:?}");
    }
}

#[tokio::test]
async fn the_cause_of_a_failed_probe_is_a_reason_of_its_own() {
    let vhosts = "invalid host specified\n";
    let plain = "Client sent an HTTP request to an HTTPS server.\n";
    let starting = "API call rejected because chain is not done bootstrapping";
    let key = r#"{"code":-32000,"message":"invalid api key"}"#;
    let billing = r#"{"code":-32000,"message":"Monthly capacity limit exceeded"}"#;
    for (said, reason, hint) in [
        (http("401 No", "", "no"), Reason::Auth, ""),
        (http("403 No", "", vhosts), Reason::Auth, "--http.vhosts"),
        (http("402 Pay", "", ""), Reason::Quota, ""),
        (error(key), Reason::Auth, "invalid api key"),
        (error(billing), Reason::Quota, "Monthly capacity"),
        (http("429 Slow", "", ""), Reason::RateLimited, ""),
        (
            http("404 Not Found", "", ""),
            Reason::BadAnswer,
            "path may be wrong",
        ),
        (
            http("400 Bad", "", plain),
            Reason::BadAnswer,
            "begin with https",
        ),
        (
            http("503 Busy", "", starting),
            Reason::BadAnswer,
            "still bootstrapping",
        ),
        (ok("<html>Welcome</html>"), Reason::BadAnswer, "HTML"),
        (result("7"), Reason::BadAnswer, "other than a block"),
    ] {
        let head = ("eth_getBlockByNumber", said.clone());
        let probe_failure = probed(&[head, ("eth_blockNumber", said)])
            .await
            .details
            .probe_failure;
        let probe_failure = probe_failure.unwrap();
        assert_eq!(probe_failure.reason, reason, "{probe_failure:?}");
        assert!(probe_failure.words.contains(hint), "{probe_failure:?}");
    }
}

#[tokio::test]
async fn a_node_that_echoes_its_request_is_quoted_without_our_key() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "http://{}/v3/s3cret-key?k=0ther-key",
        listener.local_addr().unwrap()
    );
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 1024];
            let length = socket.read(&mut request).await.unwrap();
            let echo = String::from_utf8_lossy(&request[..length]).into_owned();
            let said = http("403 No", "Connection: close\r\n", &echo).unwrap();
            drop(socket.write_all(said.as_bytes()).await);
        }
    });
    let mut record = NodeRecord::at(&url);
    record.headers = [("x-key".to_string(), "th1rd-key".to_string())].into();
    let spec = record.resolve(&|_| None).unwrap();
    let probed = probe_for(&spec, WITH_CHAIN, PATIENCE).await;
    let why = probed.why().unwrap();
    assert!(why.starts_with("HTTP 403, \"POST "), "{why}");
    for secret in ["s3cret", "0ther", "th1rd"] {
        assert!(!why.contains(secret), "{why}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = MockNode::at(100).await;
    let location = format!("Location: http://{}/\r\n", elsewhere.address);
    let (reason, words) = failure(http("307 Elsewhere", &location, "")).await;
    assert_eq!((reason, &*words), ("http", "HTTP 307"));
    assert!(elsewhere.heard().is_empty());
}

#[tokio::test]
async fn a_node_that_asks_for_rest_is_throttled_for_as_long_as_it_says() {
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    let retry = "Retry-After: 7\r\n";
    let long = "x".repeat(BLOCK_BYTES_MAX + 1);
    let backoff = r#"{"code":-32005,"message":"x","data":{"rate":{"backoff_seconds":30}}}"#;
    for (said, rest, words) in [
        (
            http("429 Slow", retry, ""),
            seconds(7),
            "HTTP 429, asks for a rest of 7 s",
        ),
        (
            http("429 Slow", "", "<html>"),
            None,
            r#"HTTP 429, "<html>""#,
        ),
        (http("429 Slow", "", &long), None, "HTTP 429"),
        (
            http("429 Slow", "Retry-After: 9999\r\n", ""),
            seconds(300),
            "HTTP 429, asks for a rest of 300 s",
        ),
        (
            error(backoff),
            seconds(30),
            r#"JSON-RPC error -32005, "x", asks for a rest of 30 s"#,
        ),
        (
            error(r#"{"code":-32007,"message":"50/second"}"#),
            None,
            r#"JSON-RPC error -32007, "50/second""#,
        ),
    ] {
        let probed = probed(&[("eth_getBlockByNumber", said)]).await;
        assert_eq!(probed.probe, ProbeOutcome::Throttled(rest));
        assert_eq!(probed.failure, Some("throttled"));
        assert_eq!(probed.why(), Some(words));
    }
}

#[tokio::test]
async fn a_silent_node_is_given_up_after_its_timeout() {
    let mock = MockNode::play(&[("eth_getBlockByNumber", None)]).await;
    let timeout = Duration::from_millis(50);
    let probed = probe_for(&mock.spec(), WITH_CHAIN, timeout).await;
    assert_eq!(probed.probe, ProbeOutcome::Failed);
    assert_eq!(probed.failure, Some("timeout"));
    assert_eq!(probed.why(), Some("timed out after 0.05 s"));
    assert!(probed.took >= timeout && probed.took < PATIENCE / 2);
}

#[tokio::test]
async fn a_body_that_never_ends_is_given_up_too() {
    let half = Some("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".to_string());
    let mock = MockNode::play(&[("eth_getBlockByNumber", half)]).await;
    let probed = probe_for(&mock.spec(), WITH_CHAIN, Duration::from_millis(50)).await;
    assert_eq!(probed.failure, Some("timeout"));
}

#[tokio::test]
async fn a_node_that_is_not_there_is_told_by_the_systems_words() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/s3cret-key", listener.local_addr().unwrap());
    drop(listener);
    let spec = NodeRecord::at(&url).resolve(&|_| None).unwrap();
    let probed = probe_for(&spec, WITH_CHAIN, PATIENCE).await;
    assert_eq!(probed.probe, ProbeOutcome::Failed);
    assert_eq!(probed.failure, Some("connect"));
    assert_eq!(probed.why(), Some("connection refused"));
}

#[tokio::test]
async fn a_name_without_an_address_is_told_without_its_path() {
    let record = NodeRecord::at("http://no-such-node.invalid/s3cret-key");
    let spec = record.resolve(&|_| None).unwrap();
    let probed = probe_for(&spec, WITH_CHAIN, PATIENCE).await;
    assert_eq!(probed.failure, Some("connect"));
    assert_eq!(probed.why(), Some("the host name can't be resolved"));
}

/// A server named localhost whose certificate isn't trusted; gives its port.
async fn distrusted() -> u16 {
    let (acceptor, _) = certificate();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            drop(acceptor.accept(socket).await);
        }
    });
    port
}

#[tokio::test]
async fn a_certificate_of_no_known_authority_is_refused_and_told() {
    let url = format!("https://localhost:{}/s3cret-key", distrusted().await);
    let spec = NodeRecord::at(&url).resolve(&|_| None).unwrap();
    let probed = probe_for(&spec, WITH_CHAIN, PATIENCE).await;
    assert_eq!(probed.failure, Some("connect"));
    let why = probed.why().unwrap();
    assert!(why.starts_with("TLS: invalid peer certificate"), "{why}");
    assert!(!why.contains("s3cret"), "{why}");
}

#[tokio::test]
async fn half_a_body_is_no_answer() {
    let half = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 100\r\n\r\n{";
    let (reason, words) = failure(Some(half.to_string())).await;
    assert_eq!(reason, "connect");
    assert_eq!(words, "the answer ended early");
}

//! Bodies that are packed, with real clients: nodes that pack although they aren't asked to, requests that
//! come packed, answers that go out packed for clients that ask for that.

use std::io::Write as _;
use std::process::Output;

use crate::support::{Answer, PATIENCE, Pretend, QUICK, call, exchange, in_repository, soon};
use flate2::Compression;
use flate2::write::GzEncoder;
use forebay_fake::{FakeNode, Fault};
use tokio::process::Command;
use tokio::time::timeout;

const BODY_BYTES_MAX: usize = 1 << 20;
const SMALL_BODIES: &str = "  calls: { body_bytes_max: 1MiB }\n";
/// The usual beginning, and answers are packed.
fn packing() -> String {
    QUICK.replace("@METRICS@\" }", "@METRICS@\", compression: on }")
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// A call of so many bytes, most of them blanks.
fn call_of(bytes: usize) -> String {
    let call = call("\"id\"", "eth_getBalance");
    format!("{call}{}", " ".repeat(bytes - call.len()))
}

/// Its calls are answered with so many bytes from now on, and its probes as ever.
fn huge(node: &FakeNode, bytes: usize) {
    node.set_fault_for(&["eth_call", "eth_getLogs"], Fault::HugeResult { bytes });
}

/// POSTs `body` over HTTP/1.1.
async fn post(pretend: &Pretend, headers: &str, body: &[u8]) -> Answer {
    let address = pretend.balancer.rpc.address;
    let head = format!(
        "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    );
    let request = [head.as_bytes(), body].concat();
    let answered = exchange(address, &request, PATIENCE).await.unwrap();
    Answer::parse(&answered).unwrap()
}

/// What curl says, with `more` arguments, to a body that it reads from its standard input.
async fn curl(pretend: &Pretend, more: &[&str], body: &[u8]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("body");
    std::fs::write(&file, body).unwrap();
    let mut command = Command::new("curl");
    command.args([
        "-sS",
        "-H",
        "content-type: application/json",
        "--data-binary",
    ]);
    command.arg(format!("@{}", file.display())).args(more);
    command.arg(pretend.balancer.url()).kill_on_drop(true);
    let output = timeout(PATIENCE, command.output()).await;
    output.expect("curl ends in time").expect("curl runs")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_packs_unasked_is_understood_and_its_answers_count_unpacked() {
    let pretend = Pretend::set(&[1], "  calls: { answer_bytes_max: 1MiB }\n").await;
    let node = &pretend.nodes[0];
    node.change(|behaviour| behaviour.shape.packed = true);
    let round = node.calls_of("eth_getBlockByNumber");
    soon("two more rounds", async || {
        node.calls_of("eth_getBlockByNumber") >= round + 2
    })
    .await;
    // Its head is still read.
    pretend.balancer.node_becomes("a", 1.0).await;
    for chunked in [false, true] {
        node.change(|behaviour| behaviour.shape.chunked = chunked);
        pretend.is_well().await;
        let batch = format!(
            "[{},{}]",
            call("1", "eth_getBalance"),
            call("2", "eth_gasPrice")
        );
        let answer = pretend.post(&batch).await;
        assert_eq!(answer.json().as_array().map(Vec::len), Some(2));
        // Large enough to be passed on as it comes.
        let bytes = (1 << 20) - 200;
        huge(node, bytes);
        let answer = pretend.call("eth_call").await;
        assert_eq!(answer.json()["result"].as_str().unwrap().len(), bytes - 2);
        assert_eq!(answer.header("content-encoding"), None);
        // Packed it is a thousandth of that.
        let bytes = (1 << 20) + 200;
        huge(node, bytes);
        let (address, body) = (pretend.balancer.rpc.address, call("1", "eth_call"));
        let refused = crate::support::post(address, &body, PATIENCE).await;
        // It had begun: the connection broke.
        assert!(refused.is_err(), "{refused:?}");
        node.change(|behaviour| behaviour.fault = None);
    }
    pretend.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_packed_is_unpacked_within_the_limits_of_one_that_is_not() {
    let pretend = Pretend::set(&[1], SMALL_BODIES).await;
    let gzipped = "content-encoding: gzip\r\n";
    let code = |answer: &Answer| answer.json()["error"]["code"].as_i64();
    for bytes in [
        call("\"id\"", "eth_getBalance").len(),
        100_000,
        BODY_BYTES_MAX,
    ] {
        let answer = post(&pretend, gzipped, &gzip(call_of(bytes).as_bytes())).await;
        assert_eq!(answer.json()["id"], "id", "{bytes}: {}", answer.text());
        assert!(answer.result().is_string(), "{bytes}");
    }
    let plain = call_of(200);
    let packed = gzip(plain.as_bytes());
    for headers in ["content-encoding: identity\r\n", "content-encoding:\r\n"] {
        let answer = post(&pretend, headers, plain.as_bytes()).await;
        assert!(answer.result().is_string());
    }
    let heard = pretend.heard("eth_getBalance");
    for bytes in [BODY_BYTES_MAX + 1, 512 << 20] {
        let answer = post(&pretend, gzipped, &gzip(call_of(bytes).as_bytes())).await;
        assert_eq!(
            (answer.status, code(&answer)),
            (413, Some(-32021)),
            "{bytes}"
        );
    }
    let garbage: Vec<u8> = (0..200).collect();
    let wrong: [&[u8]; 5] = [
        &packed[..packed.len() - 1],
        &packed[..packed.len() / 2],
        &[&packed[..], b"x"].concat(),
        &[&packed[..], &packed].concat(),
        &garbage,
    ];
    for wrong in wrong {
        let answer = post(&pretend, gzipped, wrong).await;
        assert_eq!(
            (answer.status, code(&answer)),
            (200, Some(-32700)),
            "{}",
            answer.text()
        );
    }
    for headers in [
        "content-encoding: br\r\n",
        "content-encoding: zstd\r\n",
        "content-encoding: gzip, gzip\r\n",
        "content-encoding: gzip\r\ncontent-encoding: gzip\r\n",
    ] {
        let answer = post(&pretend, headers, &packed).await;
        assert_eq!(answer.status, 415, "{headers}");
        assert_eq!(answer.header("accept-encoding"), Some("gzip"));
    }
    assert_eq!(
        pretend.heard("eth_getBalance"),
        heard,
        "none of them got through"
    );
    pretend.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packed_request_comes_by_any_version_of_http_and_in_chunks() {
    let pretend = Pretend::set(&[1], SMALL_BODIES).await;
    let packed = gzip(call_of(100_000).as_bytes());
    let bomb = gzip(call_of(64 << 20).as_bytes());
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        for more in ["content-encoding: gzip", "transfer-encoding: chunked"] {
            let arguments = [
                version,
                "-H",
                more,
                "-H",
                "content-encoding: gzip",
                "-w",
                "\n%{http_code}",
            ];
            // HTTP/2 knows no chunks, and curl leaves the header away.
            let first = usize::from(more.starts_with("content")) * 2;
            let arguments: Vec<&str> = [&arguments[..1], &arguments[1 + first..]].concat();
            let said = curl(&pretend, &arguments, &packed).await;
            let said = String::from_utf8_lossy(&said.stdout).into_owned();
            assert!(
                said.contains("\"result\"") && said.ends_with("200"),
                "{version}: {said}"
            );
            let said = curl(&pretend, &arguments, &bomb).await;
            let said = String::from_utf8_lossy(&said.stdout).into_owned();
            assert!(
                said.contains("-32021") && said.ends_with("413"),
                "{version}: {said}"
            );
        }
    }
    pretend.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_packed_for_curl_as_it_asks_for_it() {
    let pretend = Pretend::set_with(&[1], &packing(), "").await;
    let node = &pretend.nodes[0];
    for bytes in [900, 1024, 60_000, 200_000, 5 << 20] {
        huge(node, bytes);
        let batch = format!("[{},{}]", call("1", "eth_call"), call("2", "eth_getLogs"));
        for body in [call("1", "eth_call"), batch] {
            for version in ["--http1.1", "--http2-prior-knowledge"] {
                let plain = curl(&pretend, &[version, "-D", "-"], body.as_bytes()).await;
                let (head, plain) = taken_apart(&plain.stdout);
                assert!(
                    !head.contains("content-encoding") && head.contains("vary: accept-encoding"),
                    "{head}"
                );
                for accepted in ["gzip", "zstd", "gzip;q=0.5, zstd;q=0"] {
                    let accept = format!("accept-encoding: {accepted}");
                    let arguments = [version, "--compressed", "-H", &accept, "-D", "-"];
                    let said = curl(&pretend, &arguments, body.as_bytes()).await;
                    assert!(said.status.success(), "{said:?}");
                    let (head, text) = taken_apart(&said.stdout);
                    assert_eq!(
                        String::from_utf8_lossy(&text),
                        String::from_utf8_lossy(&plain),
                        "{bytes} {version} {accepted}: {head}"
                    );
                    let coding = &accepted[..4];
                    let is_packed = head.contains(&format!("content-encoding: {coding}\r\n"));
                    assert_eq!(is_packed, plain.len() >= 1024, "{bytes}: {head}");
                    assert!(head.contains("vary: accept-encoding\r\n"), "{head}");
                }
            }
        }
    }
    // HTTP/1.0 has no chunks.
    let arguments = ["--http1.0", "-H", "accept-encoding: gzip", "-D", "-"];
    let said = curl(&pretend, &arguments, call("1", "eth_chainId").as_bytes()).await;
    assert!(!taken_apart(&said.stdout).0.contains("content-encoding"));
    let panics = pretend.balancer.metric("forebay_panics_total", &[]).await;
    assert_eq!(panics, Some(0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_as_they_are_where_it_is_off() {
    let pretend = Pretend::set(&[1], "").await;
    huge(&pretend.nodes[0], 5000);
    let said = curl(
        &pretend,
        &["--compressed", "-D", "-"],
        call("1", "eth_call").as_bytes(),
    )
    .await;
    let (head, _) = taken_apart(&said.stdout);
    assert!(
        !head.contains("content-encoding") && !head.contains("vary"),
        "{head}"
    );
}

/// A node that breaks off in the middle: what was packed of it must not look whole.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_off_is_no_whole_one_for_being_packed() {
    let pretend =
        Pretend::set_with(&[1], &packing(), "  calls: { answer_bytes_max: 1MiB }\n").await;
    pretend.nodes[0].change(|behaviour| {
        // In chunks: only the end tells that it is too long.
        behaviour.shape.chunked = true;
    });
    huge(&pretend.nodes[0], 2 << 20);
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let said = curl(
            &pretend,
            &[version, "--compressed"],
            call("1", "eth_call").as_bytes(),
        )
        .await;
        assert!(
            !said.status.success(),
            "{version}: {} bytes",
            said.stdout.len()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fetch_packs_its_request_and_unpacks_its_answer() {
    let pretend = Pretend::set_with(&[1], &packing(), "").await;
    huge(&pretend.nodes[0], 300_000);
    let mut node = Command::new("node");
    node.arg(in_repository("tests/clients/fetch_packed.mjs"))
        .arg(pretend.balancer.url());
    let output = timeout(PATIENCE, node.kill_on_drop(true).output()).await;
    let output = output.expect("in time").expect("node runs");
    let (said, why) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert_eq!(said.trim(), "gzip 299998", "{why}");
}

/// The head in lower case, and the body.
fn taken_apart(said: &[u8]) -> (String, Vec<u8>) {
    let end = said
        .windows(4)
        .position(|bytes| bytes == b"\r\n\r\n")
        .expect("a head")
        + 4;
    let head = String::from_utf8_lossy(&said[..end]).to_lowercase();
    (head, said[end..].to_vec())
}

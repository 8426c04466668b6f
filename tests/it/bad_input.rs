//! Whatever a client sends: it gets a clear answer, no node hears of it, and the next call is fine.

use std::time::Duration;

use crate::support::{Answer, Pretend, Wire, batch_of, call, exchange, post_http2, request};
use forebay::clock;
use serde_json::Value;

/// The node's method that only bad input names here.
const PROBED: &str = "eth_gasPrice";
const BODY_BYTES_MAX: usize = 64 << 10;
const LIMITS: &str = "  calls: { body_bytes_max: 64KiB, deadline: 20s, attempt: 20s }\n";
/// Anything that is refused at once is answered well within this.
const AT_ONCE: Duration = Duration::from_secs(5);

async fn scene() -> Pretend {
    Pretend::set(&[1], LIMITS).await
}

fn code(answer: &Answer) -> Option<i64> {
    answer.json()["error"]["code"].as_i64()
}

/// The bytes between `"id":` and the next member.
fn id_of(answer: &Answer) -> String {
    let text = answer.text();
    let (_, rest) = text.split_once("\"id\":").expect("an id");
    let end = rest
        .find(",\"result\"")
        .or(rest.find(",\"error\""))
        .expect("an outcome");
    rest[..end].to_owned()
}

fn with_extra(extra: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":7,"method":"{PROBED}","params":[]{extra}}}"#)
}

fn nested(depth: usize) -> String {
    let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
    format!(r#"{{"jsonrpc":"2.0","id":7,"method":"eth_call","params":{open}{close}}}"#)
}

/// Bodies that are refused: what is sent, the HTTP status, the code, the id.
fn refused_bodies() -> Vec<(String, u16, i64, &'static str)> {
    let mut table: Vec<(String, u16, i64, &str)> = [
        ("", 200, -32700, "null"),
        ("{", 200, -32700, "null"),
        ("nonsense", 200, -32700, "null"),
        ("{\"a\":1}{", 200, -32700, "null"),
        ("[1,", 200, -32700, "null"),
        ("\u{feff}{}", 200, -32700, "null"),
        ("7", 200, -32600, "null"),
        ("null", 200, -32600, "null"),
        ("\"eth_gasPrice\"", 200, -32600, "null"),
        ("[]", 200, -32600, "null"),
        ("{}", 200, -32600, "null"),
        (
            r#"{"id":"a\u0041","method":"eth_gasPrice"}"#,
            200,
            -32600,
            r#""a\u0041""#,
        ),
        (
            r#"{"jsonrpc":"1.0","id":-0,"method":"eth_gasPrice"}"#,
            200,
            -32600,
            "-0",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1e3,"method":7}"#,
            200,
            -32600,
            "1e3",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"eth_gasPrice","params":"x"}"#,
            200,
            -32602,
            "1",
        ),
    ]
    .map(|(body, status, code, id)| (body.to_owned(), status, code, id))
    .into();
    for bad_id in ["{}", "[1]", "true", r#"{"a":1}"#] {
        table.push((call(bad_id, PROBED), 200, -32600, "null"));
    }
    for extra in [
        r#","method":"eth_chainId""#,
        r#","Method":"admin_peers""#,
        r#","m\u0065thod":"eth_chainId""#,
        r#","PARAMS":[]"#,
        r#","paramſ":[]"#,
        r#","jsonRPC":"2.0""#,
        r#","params":[]"#,
    ] {
        table.push((with_extra(extra), 200, -32600, "7"));
    }
    for denied in [
        "admin_peers",
        "personal_sign",
        "debug_setHead",
        "eth_sign",
        "txpool_content",
        r"admin\u005fpeers",
    ] {
        table.push((call("\"é\"", denied), 200, -32601, "\"é\""));
    }
    table.push((nested(65), 200, -32600, "7"));
    table.push((nested(5_000), 200, -32600, "7"));
    let batch = |calls: usize| batch_of(vec![call("1", PROBED); calls]);
    let small = r#"{"jsonrpc":"2.0","id":1,"method":"eth_gasPrice"}"#;
    table.push((batch_of(vec![small; 1001]), 413, -32014, "null"));
    table.push((batch(2).replace("]},", ""), 200, -32700, "null"));
    table
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_call_is_refused_and_reaches_no_node() {
    let scene = scene().await;
    let mut wire = Wire::connect(scene.balancer.rpc.address).await;
    for (body, status, wanted, id) in refused_bodies() {
        let shown = &body[..body.len().min(120)];
        wire.send(request("", &body)).await;
        // Another client calls in between.
        scene.is_well().await;
        let answer = wire.answer().await.expect(shown);
        assert_eq!(
            (answer.status, code(&answer)),
            (status, Some(wanted)),
            "{shown}"
        );
        assert_eq!(id_of(&answer), id, "{shown}");
        assert_eq!(answer.node(), "local", "{shown}");
        assert_eq!(answer.json()["jsonrpc"], "2.0");
    }
    wire.send(request("", &call("1", "eth_getBalance"))).await;
    assert!(wire.answer().await.unwrap().result().is_string());
    assert_eq!(scene.heard(PROBED), 0);
    scene.keeps_its_secrets().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_come_back_byte_for_byte() {
    let scene = scene().await;
    let long = format!("\"{}\"", "x".repeat(5_000));
    let ids = [
        "1",
        "0",
        "-0",
        "-7",
        "1e3",
        "1.50",
        "9007199254740993",
        "123456789012345678901234567890",
        "null",
        "\"\"",
        "\"é\"",
        r#""a\u0041\n""#,
        r#""\ud800""#,
        r#""{\"id\":1}""#,
        &long,
    ];
    for id in ids {
        for method in ["eth_chainId", "eth_getBalance", "eth_noSuch", "admin_peers"] {
            let answer = scene.post(&call(id, method)).await;
            assert_eq!(id_of(&answer), id, "{method}");
        }
    }
    let calls = ids.map(|id| call(id, "eth_getBalance")).join(", ");
    let answer = scene.post(&format!(" [{calls}] ")).await.text();
    let mut rest = answer.as_str();
    for id in ids {
        let found = rest.find(&format!("\"id\":{id},"));
        rest = &rest[found.unwrap_or_else(|| panic!("{id} in order in {answer}"))..][5..];
    }
    let spaced = "{ \"params\" : [ \"0x01\" , \"latest\" ] , \"id\" :\t7.0 , \"method\":\"eth_getBalance\", \"jsonrpc\":\"2.0\" }";
    assert_eq!(id_of(&scene.post(spaced).await), "7.0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notification_is_carried_out_and_not_answered() {
    let scene = scene().await;
    let one = r#"{"jsonrpc":"2.0","method":"eth_gasPrice"}"#;
    let local = r#"{"jsonrpc":"2.0","method":"eth_chainId"}"#;
    let denied = r#"{"jsonrpc":"2.0","method":"admin_peers"}"#;
    let batch = format!("[{one},{local},{denied}]");
    let mut wire = Wire::connect(scene.balancer.rpc.address).await;
    for body in [one, local, denied, &batch] {
        wire.send(request("", body)).await;
        let answer = wire.answer().await.expect(body);
        assert_eq!((answer.status, answer.body.len()), (204, 0), "{body}");
        assert_eq!(answer.header("content-length"), None, "RFC 9110 §8.6");
        assert_eq!(answer.header("transfer-encoding"), None);
    }
    assert_eq!(scene.heard(PROBED), 2);
    let mixed = format!("[{one},{},{one}]", call("5", "eth_chainId"));
    let answer = scene.post(&mixed).await.json();
    assert_eq!(
        (answer.as_array().unwrap().len(), &answer[0]["id"]),
        (1, &Value::from(5))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_answered_place_by_place_up_to_its_limit() {
    let scene = scene().await;
    let small = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;
    let full = scene.post(&batch_of(vec![small; 1000])).await;
    assert_eq!(full.json().as_array().unwrap().len(), 1000);
    let one = scene.post(&format!("[{}]", call("1", PROBED))).await.json();
    assert_eq!(one.as_array().unwrap().len(), 1);
    let odd = format!(
        "[{}, 7, [], {{}}, {}, {}, {}]",
        call("3", PROBED),
        call("3", "eth_chainId"),
        call("\"x\"", "admin_peers"),
        nested(65),
    );
    let answer = scene.post(&odd).await;
    assert_eq!(answer.status, 200);
    let answer = answer.json();
    let codes: Vec<_> = answer
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["error"]["code"].as_i64())
        .collect();
    let bad = Some(-32600);
    assert_eq!(codes, [None, bad, bad, bad, None, Some(-32601), bad]);
    assert_eq!(
        (&answer[0]["id"], &answer[4]["id"], &answer[5]["id"]),
        (&3.into(), &3.into(), &"x".into())
    );
    assert_eq!(scene.post(&nested(64)).await.json()["error"], Value::Null);
    assert_eq!(
        scene.post(&call("1", r"eth\u005fgasPrice")).await.json()["result"],
        "0x3b9aca00"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn methods_paths_and_content_types_are_told_apart() {
    let scene = scene().await;
    let body = call("1", PROBED);
    let json = "Content-Type: application/json; charset=utf-8\r\n";
    for (line, headers, body, status, body_has) in [
        ("POST / HTTP/1.1", "", &*body, 200, "result"),
        ("POST /rpc HTTP/1.1", json, &body, 200, "result"),
        ("POST /rpc?key=1 HTTP/1.1", json, &body, 200, "result"),
        (
            "POST / HTTP/1.1",
            "Content-Type: text/plain\r\n",
            &body,
            415,
            "-32600",
        ),
        (
            "POST / HTTP/1.1",
            "Content-Type: application/jsonp\r\n",
            &body,
            415,
            "-32600",
        ),
        ("POST /other HTTP/1.1", json, &body, 404, ""),
        ("PUT / HTTP/1.1", json, &body, 405, ""),
        ("DELETE /rpc HTTP/1.1", "", "", 405, ""),
        ("PATCH / HTTP/1.1", json, &body, 405, ""),
        ("POST /health HTTP/1.1", json, &body, 405, ""),
        ("GET / HTTP/1.1", "", "", 200, "JSON-RPC"),
        ("GET /health HTTP/1.1", "", "", 200, "\"status\":\"ok\""),
        ("GET /favicon.ico HTTP/1.1", "", "", 404, ""),
        ("HEAD / HTTP/1.1", "", "", 200, ""),
        ("HEAD /health HTTP/1.1", "", "", 200, ""),
        (
            "OPTIONS / HTTP/1.1",
            "Origin: https://a.test\r\n",
            "",
            204,
            "",
        ),
    ] {
        let length = body.len();
        let text = format!(
            "{line}\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        );
        let bytes = exchange(scene.balancer.rpc.address, text.as_bytes(), AT_ONCE)
            .await
            .expect(line);
        let head = String::from_utf8_lossy(&bytes).into_owned();
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status} ")),
            "{line} {headers}: {head}"
        );
        assert!(head.contains(body_has), "{line} {headers}: {head}");
        if line.starts_with("HEAD") {
            assert!(head.ends_with("\r\n\r\n"), "no body: {head}");
        }
        if status == 405 {
            assert!(
                head.to_ascii_lowercase().contains("\r\nallow: post"),
                "{head}"
            );
        }
    }
    assert_eq!(scene.heard(PROBED), 3);
    scene.is_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_may_call() {
    let scene = scene().await;
    let mut wire = Wire::connect(scene.balancer.rpc.address).await;
    let origin = "Origin: https://dapp.test\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\n";
    wire.send(format!("OPTIONS / HTTP/1.1\r\nHost: x\r\n{origin}\r\n"))
        .await;
    let preflight = wire.answer().await.unwrap();
    assert_eq!(preflight.status, 204);
    let allowed = |what: &str| preflight.header(&format!("access-control-allow-{what}"));
    assert!(allowed("methods").unwrap().contains("POST"));
    assert!(allowed("headers").unwrap().contains("content-type"));
    for body in [call("1", PROBED), call("1", "admin_peers"), "{".to_owned()] {
        wire.send(request("Origin: https://dapp.test\r\n", &body))
            .await;
        let answer = wire.answer().await.unwrap();
        let origins = answer
            .headers
            .iter()
            .filter(|(name, _)| name == "access-control-allow-origin");
        let origins: Vec<_> = origins.map(|(_, value)| value.as_str()).collect();
        assert_eq!(origins, ["*"], "{body}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_is_taken_to_its_limit_and_no_further() {
    let scene = scene().await;
    let body = |bytes: usize| {
        let empty = with_extra(r#","x":"""#).len();
        with_extra(&format!(r#","x":"{}""#, "y".repeat(bytes - empty)))
    };
    let address = scene.balancer.rpc.address;
    for (bytes, status) in [
        (BODY_BYTES_MAX, 200),
        (BODY_BYTES_MAX + 1, 413),
        (20 * BODY_BYTES_MAX, 413),
    ] {
        let text = body(bytes);
        let by_length = request("", &text);
        let (start, end) = text.split_at(bytes / 2);
        let chunked = format!(
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{start}\r\n{:X};e=1\r\n{end}\r\n0\r\n\r\n",
            start.len(),
            end.len(),
        );
        for framed in [by_length, chunked] {
            let mut wire = Wire::connect(address).await;
            wire.send(&framed).await;
            let answer = wire.answer().await.expect("an answer");
            assert_eq!(answer.status, status, "{bytes}");
            let refused = status == 413;
            assert_eq!(code(&answer), refused.then_some(-32021));
            assert_eq!(
                answer.header("connection"),
                Some(if refused { "close" } else { "keep-alive" })
            );
            if refused {
                assert!(wire.is_over().await);
            } else {
                wire.send(request("", &call("1", "eth_getBalance"))).await;
                assert_eq!(
                    wire.answer().await.unwrap().status,
                    200,
                    "the connection goes on"
                );
            }
        }
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let answer = post_http2(stream, text).await.unwrap();
        assert_eq!(answer.status, status, "{bytes} over HTTP/2");
    }
    assert_eq!(scene.heard(PROBED), 3);
    scene.is_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_waits_for_our_word_gets_it() {
    let scene = scene().await;
    let body = call("1", PROBED);
    let head = |length: usize| {
        format!(
            "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    let mut wire = Wire::connect(scene.balancer.rpc.address).await;
    for _ in 0..2 {
        wire.send(head(body.len())).await;
        assert_eq!(wire.answer().await.unwrap().status, 100);
        wire.send(&body).await;
        assert_eq!(wire.answer().await.unwrap().status, 200);
    }
    let began = clock::now();
    wire.send(head(BODY_BYTES_MAX + 1)).await;
    assert_eq!(wire.answer().await.unwrap().status, 413);
    assert!(
        began.elapsed() < Duration::from_millis(900),
        "it isn't waited for the body"
    );
    assert!(wire.is_over().await);
}

/// Heads and bodies that two readers may read in two ways.
const AMBIGUOUS: &[(&str, &str)] = &[
    (
        "both lengths",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "both lengths on a GET",
        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "both lengths on a preflight",
        "OPTIONS / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "two equal lengths",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    ),
    (
        "two lengths",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    ),
    (
        "two lengths in a line",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2, 2\r\n\r\n{}",
    ),
    (
        "a signed length",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +2\r\n\r\n{}",
    ),
    (
        "a length beyond counting",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n{}",
    ),
    (
        "no number",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x2\r\n\r\n{}",
    ),
    (
        "bare line feeds",
        "POST / HTTP/1.1\nHost: x\nContent-Length: 2\n\n{}",
    ),
    (
        "one bare line feed",
        "POST / HTTP/1.1\r\nHost: x\nContent-Length: 2\r\n\r\n{}",
    ),
    (
        "a bare line feed on a GET",
        "GET / HTTP/1.1\r\nHost: x\n\r\n",
    ),
    (
        "a folded line",
        "POST / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\nContent-Length: 2\r\n\r\n{}",
    ),
    (
        "a blank before the colon",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length : 2\r\n\r\n{}",
    ),
    (
        "HTTP/1.0 in chunks",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    ),
    (
        "a foreign coding",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked not last",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked among others",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked twice",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "a bad coding",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "a bad chunk size",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    ),
    (
        "a signed chunk size",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
    ),
    (
        "a huge chunk size",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n",
    ),
    (
        "a chunk without its end",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}xx\r\n0\r\n\r\n",
    ),
    ("no HTTP", "\x16\x03\x01 hello\r\n\r\n"),
    ("no version", "POST /\r\n\r\n"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_can_be_read_in_two_ways_ends_its_connection() {
    let scene = scene().await;
    // A request that a careless reader would find in the rest.
    let hidden = request("", &call("1", PROBED));
    for (what, text) in AMBIGUOUS {
        let mut wire = Wire::connect(scene.balancer.rpc.address).await;
        wire.send(format!("{text}{hidden}")).await;
        let answer = wire
            .answer()
            .await
            .unwrap_or_else(|| panic!("{what}: no answer"));
        assert_eq!(answer.status, 400, "{what}: {}", answer.text());
        assert_eq!(answer.header("connection"), Some("close"), "{what}");
        assert!(wire.is_over().await, "{what}");
    }
    assert_eq!(scene.heard(PROBED), 0);
    scene.is_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_too_large_is_refused() {
    let scene = scene().await;
    let address = scene.balancer.rpc.address;
    let many: String = (0..300)
        .map(|number| format!("x-{number}: 1\r\n"))
        .collect();
    for headers in [format!("X: {}\r\n", "y".repeat(3 << 20)), many] {
        let request = request(&headers, &call("1", PROBED));
        // A server may close on what it hasn't read: then the answer can be lost on the way.
        if let Ok(bytes) = exchange(address, request.as_bytes(), AT_ONCE).await {
            let head = String::from_utf8_lossy(&bytes);
            assert!(head.is_empty() || head.starts_with("HTTP/1.1 4"), "{head}");
        }
    }
    assert_eq!(scene.heard(PROBED), 0);
    scene.is_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_dribbles_is_let_go_after_ten_seconds() {
    let scene = scene().await;
    let address = scene.balancer.rpc.address;
    let pause = Duration::from_millis(500);
    let text = request("", &call("1", PROBED));
    let chunked = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let refused = "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n";
    let begun = text.split_once('{').unwrap().0;
    // What is sent at once, what is dribbled, and the status.
    let cases: [(&str, &str, u16); 6] = [
        ("", &text, 408),
        ("POST / HTTP", &text[11..], 408),
        ("P", "RI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 408),
        (begun, &text[begun.len()..], 408),
        (
            chunked,
            "1\r\n{\r\n1\r\n}\r\n1\r\n}\r\n1\r\n}\r\n1\r\n}\r\n1\r\n}\r\n1\r\n}\r\n",
            408,
        ),
        (
            refused,
            "{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}{}",
            405,
        ),
    ];
    let dribbles = cases.map(|(at_once, slowly, status)| async move {
        let began = clock::now();
        let mut wire = Wire::connect(address).await;
        wire.send(at_once).await;
        wire.dribble(slowly.as_bytes(), pause).await;
        let answer = wire.answer().await;
        let took = began.elapsed();
        let shown = format!("{at_once:?} {slowly:?} {took:?} {answer:?}");
        if status == 408 {
            assert!((9..13).contains(&took.as_secs()), "{shown}");
        }
        assert_eq!(answer.map(|answer| answer.status), Some(status), "{shown}");
        assert!(wire.is_over().await, "{shown}");
    });
    let others = async {
        for _ in 0..5 {
            scene.is_well().await;
            tokio::time::sleep(pause).await;
        }
    };
    tokio::join!(futures_util::future::join_all(dribbles), others);
    assert_eq!(scene.heard(PROBED), 0);
    scene.is_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_may_follow_each_other_without_waiting() {
    let scene = scene().await;
    let address = scene.balancer.rpc.address;
    let good = |id: &str| request("", &call(id, "eth_getBalance"));
    let mut wire = Wire::connect(address).await;
    wire.send(format!("{}{}{}", good("1"), request("", "{"), good("2")))
        .await;
    for (id, is_good) in [("1", true), ("null", false), ("2", true)] {
        let answer = wire.answer().await.expect(id);
        assert_eq!((answer.status, id_of(&answer).as_str()), (200, id));
        assert_eq!(answer.json()["result"].is_string(), is_good);
    }
    // While a node works on the first, the start of the second comes, then the rest.
    scene.nodes[0].set_latency(Duration::from_millis(300));
    let second = good("4");
    wire.send(format!("{}{}", good("3"), &second[..30])).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    wire.send(&second[30..]).await;
    for id in ["3", "4"] {
        assert_eq!(id_of(&wire.answer().await.expect(id)), id);
    }
    let last = good("5").replace("Host: x", "Host: x\r\nConnection: close");
    wire.send(format!("{last}{}", good("6"))).await;
    let answer = wire.answer().await.unwrap();
    assert_eq!(
        (id_of(&answer).as_str(), answer.header("connection")),
        ("5", Some("close"))
    );
    assert!(wire.is_over().await, "nothing follows a close");
}

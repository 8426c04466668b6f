//! Conformance: Autobahn's test suite for WebSocket against an echo behind the sockets' own codec.
//!
//! It needs a Debian 11 of its own, so it is no part of the everyday run: `./dev autobahn`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use forebay::client::websocket::connection::WebsocketConnection;
use forebay::client::websocket::handshake::Handshake;
use forebay::client::websocket::metered_stream::MeteredStream;
use forebay::shared::admission::Admission;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Messages that Autobahn sends may be longer than a call.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// Framing, control frames, reserved bits, opcodes, fragments, UTF-8, closes, and long messages in
/// many frames; 9 measures, 12 and 13 are an extension that is never chosen.
const CASES: [&str; 8] = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"];
/// That many the suite has of them.
const CASES_COUNT: usize = 247;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Debian 11 of its own: ./dev autobahn"]
async fn autobahn_finds_no_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let admission = Arc::new(Admission::default());
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(echo(stream, admission.clone()));
        }
    });
    let reports = tokio::task::spawn_blocking(move || fuzz(port))
        .await
        .unwrap();
    let reports = reports.as_object().unwrap();
    let mut failures = Vec::new();
    let mut tally = std::collections::BTreeMap::new();
    for (case, report) in reports {
        for aspect in ["behavior", "behaviorClose"] {
            let verdict = report[aspect].as_str().unwrap();
            *tally.entry(verdict.to_string()).or_insert(0) += 1;
            if !["OK", "NON-STRICT", "INFORMATIONAL"].contains(&verdict) {
                failures.push(format!("{case}: {aspect} {verdict}"));
            }
        }
    }
    println!("{} cases, behaviour and close: {tally:?}", reports.len());
    assert!(failures.is_empty(), "{failures:#?}");
    assert_eq!(reports.len(), CASES_COUNT);
}

/// Lets the suite try all cases, in the Debian that `./dev autobahn` made; what it found.
fn fuzz(port: u16) -> Value {
    let folder = PathBuf::from(std::env::var_os("AUTOBAHN").expect("AUTOBAHN: its folder"));
    let specification = json!({
        "outdir": "/suite/reports",
        "servers": [{ "agent": "forebay", "url": format!("ws://127.0.0.1:{port}") }],
        "cases": CASES,
        "exclude-cases": [],
        "exclude-agent-cases": {},
    });
    let specification = specification.to_string();
    fs::create_dir_all(folder.join("suite")).unwrap();
    fs::write(folder.join("suite/fuzzingclient.json"), specification).unwrap();
    let _ = fs::remove_dir_all(folder.join("suite/reports"));
    let output = Command::new("chroot")
        .arg(&folder)
        .args(["wstest", "-m", "fuzzingclient"])
        .args(["-s", "/suite/fuzzingclient.json"])
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stderr);
    let index = fs::read_to_string(folder.join("suite/reports/index.json"));
    let index = index.unwrap_or_else(|why| panic!("{why}: {printed}"));
    let index: Value = serde_json::from_str(&index).unwrap();
    index["forebay"].clone()
}

async fn echo(mut stream: TcpStream, admission: Arc<Admission>) {
    let accept = handshake(&mut stream).await;
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).await.unwrap();
    let wire =
        WebsocketConnection::new(MeteredStream::new(stream, admission), MESSAGE_BYTES_MAX).await;
    let ending = loop {
        let said = match wire.next().await {
            Ok(said) => said,
            Err(ending) => break ending,
        };
        let line = wire.line().await;
        if let Err(ending) = line.send(vec![said.payload], said.kind).await {
            break ending;
        }
    };
    wire.close(&ending).await;
}

/// The value for `Sec-WebSocket-Accept`. The suite sends nothing before it has that.
async fn handshake(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let end = loop {
        assert!(stream.read_buf(&mut head).await.unwrap() > 0, "no head");
        if let Some(at) = head.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let mut handshake = Handshake::default();
    let text = String::from_utf8_lossy(&head[..end]);
    for (name, value) in text.lines().filter_map(|line| line.split_once(':')) {
        handshake.note(name, value.as_bytes());
    }
    assert_eq!(head.len(), end, "something behind the head");
    handshake.accept().expect("a handshake")
}

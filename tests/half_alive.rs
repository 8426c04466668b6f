//! Never half alive: what can't be served is refused at the start, a process that has lost a part of
//! itself ends, and what it needs may come later or change while it serves.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper that can't go on fails the test"
)]

mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Output};

use forebay::app::App;
use forebay::fake::{Chain, FakeConfig, FakeNode};
use forebay::telemetry::logs::{self, LogFormat};
use rustix::process::Signal;
use support::{
    Authority, Balancer, CREDENTIALS, DynamoServer, Load, PATIENCE, Process, QUICK, Steady, TABLE,
    eventually, free_port, get, on_table,
};

/// Which service the child loses.
const LOSES: &str = "FOREBAY_TEST_LOSES";
const FOLDER: &str = "FOREBAY_TEST_FOLDER";

/// The configuration with a listener over TLS; its pair stands in the folder `@FOLDER@`.
fn with_tls(port: u16) -> String {
    let https = format!(
        "https: [{{ address: \"127.0.0.1:{port}\", certificate: \"@FOLDER@/chain.pem\", \
         key: \"@FOLDER@/key.pem\" }}], metrics:"
    );
    QUICK.replacen("metrics:", &https, 1)
}

fn written(folder: &Path, yaml: &str) -> std::path::PathBuf {
    let mut text = yaml.replace("@FOLDER@", folder.to_str().unwrap());
    for place in ["@HTTP@", "@METRICS@", "@ADMIN@"] {
        text = text.replace(place, &format!("127.0.0.1:{}", free_port()));
    }
    let path = folder.join("pingora.yaml");
    fs::write(&path, text).unwrap();
    path
}

fn forebay(arguments: &[&str], configuration: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_forebay"));
    command.args(arguments).arg("-c").arg(configuration);
    command.output().unwrap()
}

#[test]
fn a_pair_that_cannot_be_shown_is_refused_by_check_and_start_with_its_file_and_why() {
    let authority = Authority::new();
    let (good, key) = authority.signs("localhost");
    let (_, other_key) = authority.signs("localhost");
    let (expired, expired_key) = authority.signs_until("localhost", (2020, 1, 1));
    for (chain, key, file, why) in [
        (Some(&good), None, "key.pem", "can't be read: No such file"),
        (None, Some(&key), "chain.pem", "can't be read: No such file"),
        (
            Some(&good),
            Some(&other_key),
            "key.pem",
            "is not the key of the certificate",
        ),
        (Some(&key), Some(&key), "chain.pem", "holds no certificate"),
        (
            Some(&expired),
            Some(&expired_key),
            "chain.pem",
            "has expired, at 2020-01-01",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("chain.pem", chain), ("key.pem", key)] {
            if let Some(text) = text {
                fs::write(folder.path().join(name), text).unwrap();
            }
        }
        let configuration = written(folder.path(), &with_tls(free_port()));
        let file = folder.path().join(file).display().to_string();
        for command in ["check", "serve"] {
            let output = forebay(&[command], &configuration);
            let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            assert_eq!(output.status.code(), Some(1), "{command}: {said}");
            assert!(
                said.contains(&file) && said.contains(why),
                "{command}: {said}"
            );
            assert!(
                said.contains("pingora.yaml:5: error: forebay.listen.https[0]: "),
                "{said}"
            );
            assert!(
                !said.contains("listens on") && !said.contains("panicked"),
                "{said}"
            );
        }
    }
}

/// Over kept and new connections of HTTP/1.1, over HTTP/2 and a WebSocket at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_change_under_load_and_no_call_is_lost() {
    let authority = Authority::new();
    let port = free_port();
    let node = FakeNode::start(FakeConfig::following(&Chain::still(1, 100)))
        .await
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let show = |name: &str| {
        let (chain, key) = authority.signs(name);
        // One after the other, as by hand: in between they don't fit.
        fs::write(folder.path().join("key.pem"), key).unwrap();
        fs::write(folder.path().join("chain.pem"), chain).unwrap();
    };
    show("localhost");
    let yaml = with_tls(port).replace(
        "@FOLDER@/chain",
        &format!("{}/chain", folder.path().display()),
    );
    let yaml = yaml.replace("@FOLDER@/key", &format!("{}/key", folder.path().display()));
    let yaml = format!("{yaml}  nodes: [{{ url: \"{}\", name: a }}]\n", node.url());
    let balancer = Balancer::start(&yaml, &[]).await;
    let client = authority.client();
    let steady = Steady::start(&client, port);
    steady.reaches(100).await;
    for round in 0..5 {
        let before = client.shown(port).await;
        show("localhost");
        if round % 2 == 0 {
            balancer.process.signal(Signal::HUP);
        }
        eventually("the new certificate is shown", PATIENCE, async || {
            client.shown(port).await != before
        })
        .await;
        steady.reaches(steady.done() + 100).await;
    }
    // What can't be shown changes nothing.
    let before = client.shown(port).await;
    fs::write(folder.path().join("key.pem"), "no key").unwrap();
    eventually("it is said", PATIENCE, async || {
        balancer
            .process
            .printed()
            .contains("goes on with the certificate that it has")
    })
    .await;
    assert_eq!(client.shown(port).await, before);
    let (done, failed) = steady.end().await;
    println!(
        "5 changes of a certificate: {done} calls, {} lost",
        failed.len()
    );
    assert_eq!(failed, Vec::<String>::new());
    let labels = [("address", &*format!("127.0.0.1:{port}"))];
    let expiry = balancer.metric("forebay_certificate_expiry_timestamp_seconds", &labels);
    assert_eq!(expiry.await, Some(authority.not_after()));
}

#[tokio::test]
async fn a_process_that_loses_a_service_ends_and_one_that_loses_a_task_serves_on() {
    let mut services = vec!["endpoint", "metrics", "admin", "BG housekeeping"];
    if cfg!(feature = "otlp") {
        services.push("BG traces");
    }
    for service in services {
        let printed = child_that_loses(service, Some(101)).await;
        assert!(
            printed.contains(&format!("the service {service} has ended")),
            "{printed}"
        );
        assert!(
            !printed.contains("the tripwire"),
            "what a panic says may be a secret: {printed}"
        );
    }
    let printed = child_that_loses("a task", Some(0)).await;
    assert!(
        printed.contains("a task of unlucky panicked at tests/half_alive.rs:"),
        "{printed}"
    );
}

async fn child_that_loses(service: &str, code: Option<i32>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .env(LOSES, service)
        .env(FOLDER, folder.path());
    let mut child = Process::start("child", command, folder.path());
    let status = child.ended(PATIENCE).await;
    let printed = child.printed();
    assert_eq!(status.code(), code, "{service}: {printed}");
    printed
}

/// A balancer that is made to lose something once it serves: only as a process of its own.
#[test]
#[ignore = "it ends the process"]
fn child() {
    let loses = std::env::var(LOSES).unwrap();
    let folder = std::env::var(FOLDER).unwrap();
    logs::init(LogFormat::Text, logs::EVERYDAY).unwrap();
    let yaml = QUICK.replacen("metrics:", "admin: \"@ADMIN@\", metrics:", 1);
    let traces = "  otlp: { endpoint: \"http://127.0.0.1:9\" }\n";
    let yaml = yaml + if cfg!(feature = "otlp") { traces } else { "" };
    let text = fs::read_to_string(written(Path::new(&folder), &yaml)).unwrap();
    let reading = forebay::config::read(&text, &|_| None);
    let settings = reading.settings.unwrap();
    let (http, metrics) = (settings.listen.http[0], settings.listen.metrics.unwrap());
    let app = App::new(settings, reading.pingora.unwrap(), None, false).unwrap();
    let tripwires = app.tripwires.clone();
    std::thread::spawn(move || {
        until(http, "/health", "200 OK");
        if let Some(wire) = tripwires.iter().find(|wire| wire.service == loses) {
            return wire.trip();
        }
        let unlucky = std::thread::Builder::new().name("unlucky".to_string());
        drop(unlucky.spawn(|| panic!("s3cret")).unwrap().join());
        until(metrics, "/metrics", "forebay_panics_total 1");
        until(http, "/health", "200 OK");
        std::process::exit(0);
    });
    app.run();
}

/// Asks until the answer has `words`.
fn until(address: SocketAddr, path: &str, words: &str) {
    let mut answer = String::new();
    while !answer.contains(words) {
        answer.clear();
        std::thread::yield_now();
        let Ok(mut stream) = TcpStream::connect(address) else {
            continue;
        };
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let asked = stream.write_all(request.as_bytes());
        drop(asked.and_then(|()| stream.read_to_string(&mut answer)));
    }
}

/// As on Fargate: nothing on the disk, nodes in the configuration, and DynamoDB frozen or gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_start_without_the_registry_serves_by_the_configuration_until_it_answers() {
    let chain = Chain::still(1, 100);
    let (node, other) = (
        FakeNode::start(FakeConfig::following(&chain))
            .await
            .unwrap(),
        FakeNode::start(FakeConfig::following(&chain))
            .await
            .unwrap(),
    );
    let server = DynamoServer::dynoxide().await;
    server.registry().init().await.unwrap();
    use forebay::registry::Registry as _;
    let record = forebay::domain::node::NodeRecord {
        name: Some("of-the-table".to_string()),
        ..forebay::domain::node::NodeRecord::at(&other.url())
    };
    server.registry().add(&record).await.unwrap();
    server.process.pause();
    let nodes = format!(
        "  nodes: [{{ url: \"{}\", name: of-the-file }}]\n",
        node.url()
    );
    let balancer = Balancer::start(&(on_table(&server.url(), "") + &nodes), &CREDENTIALS).await;
    let health = get(balancer.rpc.address, "/health", PATIENCE)
        .await
        .unwrap()
        .text();
    assert!(
        health.contains("the nodes are those of the configuration"),
        "{health}"
    );
    let load = Load::start(&balancer.url(), 1_000_000, 4);
    load.reaches(200).await;
    assert!(
        balancer
            .process
            .printed()
            .contains("serving from the nodes of the configuration, 1 nodes")
    );
    server.process.signal(Signal::CONT);
    eventually("the table's node serves", PATIENCE, async || {
        let labels = [("node", "of-the-table")];
        balancer.metric("forebay_node_healthy", &labels).await == Some(1.0)
    })
    .await;
    load.reaches(load.done() + 200).await;
    let tally = load.stop().await;
    let calls: u64 = tally.served_by.values().sum();
    println!(
        "first start without the registry: {calls} calls, {} lost",
        tally.failed
    );
    tally.no_call_failed();
    assert!(
        tally.of("of-the-file") >= 200 && tally.of("of-the-table") > 0,
        "{tally:?}"
    );
    let health = get(balancer.rpc.address, "/health", PATIENCE)
        .await
        .unwrap()
        .text();
    assert!(
        health.contains("ok") && !health.contains("registry"),
        "{health}"
    );
    let items = server.items(TABLE, "url").await;
    assert_eq!(items.len(), 1, "nothing of the file was written: {items:?}");
}

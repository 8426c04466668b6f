//! Never half alive: what can't be served is refused at the start, a process that has lost a part of
//! itself ends, and what it needs may come later or change while it serves.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use crate::support::{
    Authority, Balancer, CREDENTIALS, Console, DynamoServer, Load, PATIENCE, Process, QUICK,
    Steady, TABLE, assert_says, free_port, in_repository, on_table, pretend_node, said, soon,
};
use forebay::app::App;
use forebay::observe::logs::{self, LogFormat};
use forebay_core::testing::named;
use forebay_fake::FakeChain;
use rustix::process::Signal;

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
            let mut forebay = Command::new(env!("CARGO_BIN_EXE_forebay"));
            let (said, code) = said(forebay.arg(command).arg("-c").arg(&configuration));
            assert_eq!(code, Some(1), "{command}: {said}");
            assert!(
                said.contains(&file) && said.contains(why),
                "{command}: {said}"
            );
            assert_says(&said, "pingora.yaml:5: error: forebay.listen.https[0]: ");
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
    let node = pretend_node(&FakeChain::still(1, 100)).await;
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
        soon("the new certificate is shown", async || {
            client.shown(port).await != before
        })
        .await;
        steady.reaches(steady.done() + 100).await;
    }
    // What can't be shown changes nothing.
    let before = client.shown(port).await;
    fs::write(folder.path().join("key.pem"), "no key").unwrap();
    balancer
        .logs("goes on with the certificate that it has")
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
        assert_says(&printed, &format!("the service {service} has ended"));
        assert!(
            !printed.contains("the tripwire"),
            "what a panic says may be a secret: {printed}"
        );
    }
    let printed = child_that_loses("a task", Some(0)).await;
    assert_says(
        &printed,
        "a task of unlucky panicked at tests/it/half_alive.rs:",
    );
}

async fn child_that_loses(service: &str, code: Option<i32>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "half_alive::child", "--ignored", "--nocapture"])
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

/// As systemd would: by what the unit says, with a socket to be told by.
struct Supervisor {
    socket: std::os::unix::net::UnixDatagram,
    path: std::path::PathBuf,
}

impl Supervisor {
    fn new(folder: &Path) -> Supervisor {
        let path = folder.join("notify.sock");
        let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Supervisor { socket, path }
    }

    fn hears(&self) -> String {
        let mut heard = [0; 256];
        let length = self.socket.recv(&mut heard).unwrap();
        String::from_utf8(heard[..length].to_vec()).unwrap()
    }
}

/// Takes the balancer's process over by the command of the unit's `ExecReload`.
fn upgrade(balancer: &Balancer, supervisor: &Supervisor, pid: u32) -> (Option<i32>, String) {
    let mut command = balancer.command(&["upgrade", "--pid", &pid.to_string()]);
    // The new process writes on: its output isn't waited for.
    let printed = balancer.folder().join("upgrade.log");
    let file = fs::File::create(&printed).unwrap();
    command.stdout(file.try_clone().unwrap()).stderr(file);
    let status = command
        .env("NOTIFY_SOCKET", &supervisor.path)
        .status()
        .unwrap();
    (status.code(), fs::read_to_string(printed).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_by_the_unit_loses_no_call_and_one_that_cannot_be_stops_nothing() {
    let unit = fs::read_to_string(in_repository("packaging/forebay.service")).unwrap();
    for line in [
        "Type=notify",
        "ExecReload=/usr/bin/forebay upgrade -c /etc/forebay/pingora.yaml --pid $MAINPID",
        "RuntimeDirectory=forebay",
    ] {
        assert!(unit.lines().any(|said| said == line), "{line}");
    }
    let notify = tempfile::tempdir().unwrap();
    let supervisor = Supervisor::new(notify.path());
    let authority = Authority::new();
    let port = free_port();
    let node = pretend_node(&FakeChain::still(1, 100)).await;
    let (chain, key) = authority.signs("localhost");
    fs::write(notify.path().join("chain.pem"), chain).unwrap();
    fs::write(notify.path().join("key.pem"), key).unwrap();
    let folder = notify.path().display().to_string();
    let yaml = with_tls(port).replace("@FOLDER@/chain", &format!("{folder}/chain"));
    let yaml = yaml.replace("@FOLDER@/key", &format!("{folder}/key"));
    let yaml = yaml.replace("drain: 5s", "drain: 1s");
    let yaml = format!(
        "upgrade_sock: \"@FOLDER@/upgrade.sock\"\n{yaml}  nodes: [{{ url: \"{}\", name: a }}]\n",
        node.url()
    );
    let variable = [("NOTIFY_SOCKET", supervisor.path.to_str().unwrap())];
    let mut balancer = Balancer::start(&yaml, &variable).await;
    assert_eq!(supervisor.hears(), "READY=1");
    let steady = Steady::start(&authority.client(), port);
    steady.reaches(100).await;
    let mut main = balancer.process.id();
    for _ in 0..5 {
        let (code, said) = upgrade(&balancer, &supervisor, main);
        assert_eq!(code, Some(0), "{said}");
        let told = supervisor.hears();
        let id = told
            .strip_prefix("MAINPID=")
            .and_then(|told| told.strip_suffix("\nREADY=1"));
        main = id.unwrap().parse().unwrap();
        steady.reaches(steady.done() + 100).await;
    }
    // What can't be: a configuration with a mistake, a key that is gone, a place that isn't there.
    let path = balancer.folder().join("pingora.yaml");
    let good = fs::read_to_string(&path).unwrap();
    for (from, to, code, why) in [
        (
            "block_time: 1s",
            "block_time: soon",
            Some(1),
            "expected a duration",
        ),
        ("/key.pem", "/gone.pem", Some(1), "gone.pem can't be read"),
        (
            "/upgrade.sock",
            "/none/upgrade.sock",
            Some(1),
            "nothing can be put into",
        ),
    ] {
        fs::write(&path, good.replacen(from, to, 1)).unwrap();
        let (ended, said) = upgrade(&balancer, &supervisor, main);
        assert!(ended == code && said.contains(why), "{ended:?}: {said}");
    }
    fs::write(&path, &good).unwrap();
    let (ended, said) = upgrade(&balancer, &supervisor, u32::try_from(i32::MAX).unwrap());
    assert!(ended == Some(1) && said.contains("can't be told"), "{said}");
    // The first one has gone by itself.
    assert!(balancer.process.ended(PATIENCE).await.success());
    steady.reaches(steady.done() + 100).await;
    let (done, failed) = steady.end().await;
    println!(
        "5 upgrades by the unit's command: {done} calls, {} lost",
        failed.len()
    );
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(i32::try_from(main).unwrap()).unwrap(),
        Signal::KILL,
    )
    .unwrap();
    assert_eq!(failed, Vec::<String>::new());
}

/// Garbage, cut, flipped, and no file at all in its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_registry_is_served_past_and_repaired_under_the_running_balancer() {
    let node = pretend_node(&FakeChain::still(1, 100)).await;
    for damage in ["garbage", "cut", "flipped", "folder"] {
        let mut balancer = Balancer::start(&format!("{QUICK}  nodes: []\n"), &[]).await;
        for name in ["a", "b"] {
            let url = format!("{}/{name}", node.url());
            balancer.obeys(&["backends", "add", &url, "--name", name]);
        }
        let fit = async |balancer: &Balancer| balancer.metric("forebay_nodes_healthy", &[]).await;
        soon("both serve", async || fit(&balancer).await == Some(2.0)).await;
        balancer.process.terminate();
        balancer.process.ended(PATIENCE).await;
        let path = balancer.folder().join("forebay.db");
        // Nothing of it beside it.
        let whole = rusqlite::Connection::open(&path).unwrap();
        whole
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .unwrap();
        drop(whole);
        let bytes = fs::read(&path).unwrap();
        let half_written = balancer.folder().join("last-list.json.4194305.new");
        fs::write(&half_written, "half").unwrap();
        match damage {
            "garbage" => fs::write(&path, "garbage".repeat(1000)).unwrap(),
            "cut" => fs::write(&path, &bytes[..bytes.len() / 2]).unwrap(),
            "flipped" => {
                let flipped = bytes.iter().enumerate();
                let flipped = flipped.map(|(at, byte)| if at % 997 == 110 { !byte } else { *byte });
                fs::write(&path, flipped.collect::<Vec<u8>>()).unwrap();
            }
            _ => {
                fs::remove_file(&path).unwrap();
                fs::create_dir(&path).unwrap();
            }
        }
        balancer.start_again().await;
        soon(damage, async || fit(&balancer).await == Some(2.0)).await;
        let health = balancer.get("/health").await.text();
        assert!(
            health.contains("the list is the last one on disk"),
            "{damage}: {health}"
        );
        let printed = balancer.process.printed();
        assert!(printed.contains("forebay backends repair"), "{damage}");
        assert!(!half_written.exists());
        let load = Load::start(&balancer.url(), 1_000_000, 2);
        let (said, code) = said(&mut balancer.command(&["backends", "repair"]));
        assert_eq!(code, Some(0), "{damage}: {said}");
        soon("the new one is read", async || {
            let health = balancer.get("/health").await.text();
            !health.contains("out of reach")
        })
        .await;
        load.reaches(load.done() + 100).await;
        load.stop().await.no_call_failed();
        assert_eq!(fit(&balancer).await, Some(2.0), "{damage}: {said}");
        let again = balancer.obeys(&["backends", "repair"]);
        assert!(again.contains("is sound"), "{again}");
    }
}

/// Made anew, without a node; then with one that can't be reached.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_has_lost_its_nodes_is_begun_anew_beside_those_that_serve() {
    use forebay::registry::Registry as _;
    let chain = FakeChain::still(1, 100);
    let old = pretend_node(&chain).await;
    let new = pretend_node(&chain).await;
    let server = DynamoServer::dynoxide().await;
    let registry = server.registry();
    registry.init().await.unwrap();
    registry.add(&named("old", &old.url())).await.unwrap();
    registry
        .add(&named("gone", "http://127.0.0.1:9"))
        .await
        .unwrap();
    let yaml = on_table(&server.url(), "").replacen("metrics:", "admin: \"@ADMIN@\", metrics:", 1);
    let balancer = Balancer::start(&yaml, &CREDENTIALS).await;
    let weight = async |name: &str| {
        balancer
            .metric("forebay_node_weight", &[("node", name)])
            .await
    };
    registry.remove("gone").await.unwrap();
    soon("a node that was taken away goes", async || {
        weight("gone").await.is_none()
    })
    .await;
    let load = Load::start(&balancer.url(), 1_000_000, 4);
    load.reaches(50).await;
    let state = format!("{TABLE}-state");
    for (table, key, value) in [(TABLE, "url", &*old.url()), (&*state, "name", "list")] {
        let value = aws_sdk_dynamodb::types::AttributeValue::S(value.to_string());
        let delete = server.client.delete_item().table_name(table);
        delete.key(key, value).send().await.unwrap();
    }
    registry
        .add(&named("dead", "http://127.0.0.1:9"))
        .await
        .unwrap();
    soon("the list is the new one", async || {
        weight("dead").await == Some(1.0)
    })
    .await;
    load.reaches(load.done() + 200).await;
    assert_eq!(weight("old").await, Some(1.0), "it serves on");
    let backends = Console::new(balancer.admin.address, "GET", "/backends")
        .ask()
        .await;
    let shown = backends.json();
    let names: Vec<_> = shown
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["name"])
        .collect();
    assert_eq!(names, ["dead", "old"], "what serves is shown");
    assert_eq!(shown[0]["is_leftover"], serde_json::Value::Null);
    assert_eq!(shown[1]["is_leftover"], true);
    let list = |arguments: &[&str]| {
        let output = balancer
            .command(arguments)
            .envs(CREDENTIALS)
            .output()
            .unwrap();
        let (out, notes) = (output.stdout, output.stderr);
        (
            String::from_utf8(out).unwrap(),
            String::from_utf8(notes).unwrap(),
        )
    };
    let (table, notes) = list(&["backends", "list"]);
    let rows: Vec<_> = table.lines().collect();
    assert_eq!(rows.len(), 3, "{table}");
    assert!(
        rows[2].starts_with("old ") && rows[2].contains(" yes "),
        "{table}"
    );
    let note = "note: old serves, though the registry has lost it";
    assert!(notes.contains(note), "{notes}");
    let (json, _) = list(&["backends", "list", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json[1]["name"], &json[1]["is_leftover"]),
        (&"old".into(), &true.into())
    );
    registry.add(&named("new", &new.url())).await.unwrap();
    soon("the new one serves alone", async || {
        weight("old").await.is_none()
    })
    .await;
    load.reaches(load.done() + 200).await;
    let tally = load.stop().await;
    let calls: u64 = tally.served_by.values().sum();
    println!(
        "a table that has lost its nodes: {calls} calls, {} lost",
        tally.failed
    );
    tally.no_call_failed();
    assert!(tally.of("new") > 0, "{tally:?}");
}

/// As on Fargate: nothing on the disk, nodes in the configuration, and DynamoDB frozen or gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_start_without_the_registry_serves_by_the_configuration_until_it_answers() {
    let chain = FakeChain::still(1, 100);
    let (node, other) = (pretend_node(&chain).await, pretend_node(&chain).await);
    let server = DynamoServer::dynoxide().await;
    server.registry().init().await.unwrap();
    use forebay::registry::Registry as _;
    let record = named("of-the-table", &other.url());
    server.registry().add(&record).await.unwrap();
    server.process.pause();
    let nodes = format!(
        "  nodes: [{{ url: \"{}\", name: of-the-file }}]\n",
        node.url()
    );
    let yaml = on_table(&server.url(), "").replacen("metrics:", "admin: \"@ADMIN@\", metrics:", 1);
    let balancer = Balancer::start(&(yaml + &nodes), &CREDENTIALS).await;
    let health = balancer.get("/health").await.text();
    assert_says(&health, "the nodes are those of the configuration");
    let status = async || {
        let status = Console::new(balancer.admin.address, "GET", "/status");
        status.ask().await.json()
    };
    let told = status().await;
    let wanted = "the registry is out of reach: the nodes are those of the configuration";
    assert_eq!(
        told["registry"],
        serde_json::json!({ "in_reach": false, "why": wanted })
    );
    assert_eq!(told["level"], "warning", "amber: {told}");
    assert_eq!(told["troubles"], serde_json::json!([wanted]));
    let load = Load::start(&balancer.url(), 1_000_000, 4);
    load.reaches(200).await;
    let printed = balancer.process.printed();
    assert!(printed.contains("serving from the nodes of the configuration, 1 node,"));
    server.process.signal(Signal::CONT);
    let labels = [("node", "of-the-table")];
    balancer.becomes("forebay_node_healthy", &labels, 1.0).await;
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
    let health = balancer.get("/health").await.text();
    assert_says(&health, "ok");
    assert!(!health.contains("registry"), "{health}");
    let told = status().await;
    assert_eq!(
        told["registry"],
        serde_json::json!({ "in_reach": true, "why": null })
    );
    assert!(told["calls"]["count"].as_u64() > Some(100), "{told}");
    assert_eq!(told["calls"]["failed"], 0);
    assert!(told["calls"]["p99_ms"].as_f64() > Some(0.0), "{told}");
    let items = server.items(TABLE, "url").await;
    assert_eq!(items.len(), 1, "nothing of the file was written: {items:?}");
}

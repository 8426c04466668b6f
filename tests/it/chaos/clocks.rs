//! The wall clock is set forth and back by hours while the balancer runs, as by a virtual machine that is
//! moved or a time server that was wrong.
//!
//! libfaketime shifts what the C library tells the balancer: the time of the day alone, since a
//! monotonic clock doesn't jump. What the kernel does by its own clock isn't shifted: times of files.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use chrono::DateTime;
use forebay::clock;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    Anvil, Authority, Balancer, CREDENTIALS, DynamoServer, QUICK, Scene, Steady, TABLE, free_port,
    on_table, soon, sum,
};

/// Where the clock stands beside the true one, one after the other.
const HOURS: [i64; 6] = [3, -3, 26, 0, -50, -49];
/// How exactly a clock is read: answers tell whole seconds.
const EXACTLY: i64 = 5;
/// Calls under each clock.
const CALLS: u64 = 200;
/// A table's lease in these stories.
const LEASE: Duration = Duration::from_secs(2);

/// One genesis for all.
const ANVIL: &[&str] = &[
    "--chain-id",
    "1",
    "--timestamp",
    "1700000000",
    "--no-mining",
];

/// A process's clock.
struct WallClock {
    folder: TempDir,
    library: PathBuf,
}

impl WallClock {
    fn new() -> WallClock {
        let folders = fs::read_dir("/usr/lib").unwrap();
        let libraries = folders.map(|folder| {
            let folder = folder.unwrap().path();
            folder.join("faketime/libfaketimeMT.so.1")
        });
        let library = { libraries }.find(|library| library.exists());
        let clock = WallClock {
            folder: TempDir::new().unwrap(),
            library: library.expect("libfaketime is missing: ./dev chaos brings it"),
        };
        clock.stands(0);
        clock
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("clock")
    }

    /// What makes a process live by it.
    fn env(&self) -> Vec<(&'static str, String)> {
        vec![
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file().display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_string()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_string()),
            ("NO_FAKE_STAT", "1".to_string()),
        ]
    }

    /// From now on so many hours beside the true time.
    fn stands(&self, hours: i64) {
        // At once: it is read all the time.
        let draft = self.folder.path().join("next");
        fs::write(&draft, format!("{hours:+}h\n")).unwrap();
        fs::rename(draft, self.file()).unwrap();
    }
}

/// Waits until the balancer's answers tell a time that is `hours` beside the true one.
async fn tells(balancer: &Balancer, hours: i64) {
    let what = format!("the clock is {hours} h beside the true one");
    soon(&what, async || {
        let health = balancer.get("/health").await;
        let told = DateTime::parse_from_rfc2822(health.header("date").unwrap()).unwrap();
        let now = i64::try_from(clock::unix_millis() / 1000).unwrap();
        (told.timestamp() - now - hours * 3600).abs() <= EXACTLY
    })
    .await;
}

fn variables<'a>(variables: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    variables
        .iter()
        .map(|(name, value)| (*name, &**value))
        .collect()
}

/// How often a node has left, as the log has it.
fn left(balancer: &Balancer) -> usize {
    let printed = balancer.process.printed();
    printed.matches("gets no more calls").count() + printed.matches("gets no calls for").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs libfaketime: ./dev chaos"]
async fn a_wall_clock_that_steps_by_hours_costs_no_call_no_node_and_no_certificate() {
    let (clock, authority, port) = (WallClock::new(), Authority::new(), free_port());
    let folder = TempDir::new().unwrap();
    let show = || {
        let (chain, key) = authority.signs("localhost");
        fs::write(folder.path().join("key.pem"), key).unwrap();
        fs::write(folder.path().join("chain.pem"), chain).unwrap();
    };
    show();
    let at = folder.path().display();
    let https = format!(
        "https: [{{ address: \"127.0.0.1:{port}\", certificate: \"{at}/chain.pem\", key: \"{at}/key.pem\" }}], \
         metrics:"
    );
    let beginning = QUICK.replacen("metrics:", &https, 1);
    let env = clock.env();
    let mut scene = Scene::set_with(&[1, 1], &beginning, &variables(&env)).await;
    let client = authority.client();
    let steady = Steady::start(&client, port);
    steady.reaches(100).await;
    for hours in HOURS {
        clock.stands(hours);
        tells(&scene.balancer, hours).await;
        steady.reaches(steady.done() + CALLS).await;
        scene.rounds_pass(4).await;
        let metrics = scene.balancer.metrics().await;
        for node in ["a", "b", "leader"] {
            let healthy = sum(&metrics, "forebay_node_healthy", &[("node", node)]);
            assert_eq!(healthy, Some(1.0), "{node} at {hours} h");
        }
    }
    assert_eq!(left(&scene.balancer), 0);
    // A renewed certificate is taken whatever the time.
    let before = client.shown(port).await;
    show();
    soon("the new certificate is shown", async || {
        client.shown(port).await != before
    })
    .await;
    let (done, lost) = steady.end().await;
    assert_eq!(lost, Vec::<String>::new());
    // The registry heard of health by a clock that was days ahead.
    scene.own[1].process.kill();
    soon("it is written that b is silent", async || {
        is_healthy(&scene.balancer, "b") == Some(false)
    })
    .await;
    scene.own[1].restart().await;
    soon("it is written that b is back", async || {
        is_healthy(&scene.balancer, "b") == Some(true)
    })
    .await;
    println!(
        "clocks: {} steps of up to {} h, {done} calls over TLS, 0 lost; no node left, health was written \
         after each",
        HOURS.len(),
        26 + 50
    );
}

/// As the registry has it.
fn is_healthy(balancer: &Balancer, name: &str) -> Option<bool> {
    let output = balancer.command(&["backends", "list", "--json"]).output();
    let items: Vec<Value> = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    let named = items.iter().find(|item| item["name"] == name);
    named.and_then(|item| item["is_healthy"].as_bool())
}

/// The balancer that holds the lease has the clock that steps.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs libfaketime: ./dev chaos"]
async fn a_lease_and_the_head_that_is_shared_outlive_a_wall_clock_that_steps() {
    let clock = WallClock::new();
    let (server, leader, own) = (
        DynamoServer::dynoxide().await,
        Anvil::start(ANVIL).await,
        Anvil::start(ANVIL).await,
    );
    server.registry().init().await.unwrap();
    let nodes = format!(
        "  nodes:\n    - {{ url: \"{}\", leader: true, name: leader }}\n    - {{ url: \"{}\", name: a }}\n",
        leader.url(),
        own.url()
    );
    let yaml = on_table(&server.url(), ", share_leader: true") + &nodes;
    let mut env = clock.env();
    env.extend(CREDENTIALS.map(|(name, value)| (name, value.to_string())));
    let stepping = Balancer::start(&yaml, &variables(&env)).await;
    soon("it holds the lease", async || {
        server.holder().await.is_some()
    })
    .await;
    let holder = server.holder().await;
    let other = Balancer::start(&yaml, &CREDENTIALS).await;
    let mut shared = 0;
    for hours in HOURS {
        clock.stands(hours);
        tells(&stepping, hours).await;
        let told = head_told_at(&server).await;
        let since = clock::now();
        let what = format!("heads are shared at {hours} h");
        soon(&what, async || {
            head_told_at(&server).await != told && clock::now() - since > LEASE * 2
        })
        .await;
        shared += 1;
        assert_eq!(server.holder().await, holder, "at {hours} h");
    }
    for balancer in [&stepping, &other] {
        assert_eq!(left(balancer), 0);
        assert!(balancer.ask("eth_gasPrice", serde_json::json!([])).await["result"].is_string());
    }
    println!(
        "clocks: {} steps of up to {} h of which balancer holds a table's lease: held all along, heads shared \
         after {shared} of them",
        HOURS.len(),
        26 + 50
    );
}

/// When the leader's head was last told to all, by the teller's clock.
async fn head_told_at(server: &DynamoServer) -> Option<String> {
    let state = server.items(&format!("{TABLE}-state"), "name").await;
    let mut heads = state.iter().filter(|(name, _)| name.starts_with("head-"));
    let (_, head) = heads.next()?;
    head.get("asked_at")?.as_n().ok().cloned()
}

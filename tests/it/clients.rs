//! Real clients, through the balancer: what works against a node works here, and what they make of our
//! refusals is what `docs/guide/clients.md` says.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::{Client, PATIENCE, Pretend, in_repository, part, soon, status_fault};
use forebay_fake::Fault;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn viem_works() {
    Client::Viem.works_through_us("http").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ethers_works() {
    Client::Ethers.works_through_us("http").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn web3_py_works() {
    Client::Web3Py.works_through_us("http").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cast_works() {
    Client::Cast.works_through_us("http").await;
}

const READ: &str = "eth_getBalance";
/// ethers goes on for minutes: it is watched for so long.
const WATCHED_SECONDS: &str = "4";

/// The columns of the page's table, by the status that is refused with.
const REFUSALS: [(&str, u16); 4] = [
    ("503: -32011, -32013", 503),
    ("429: -32012, -32016", 429),
    ("504: -32015", 504),
    ("200: -32013", 200),
];
const CLOSED: &str = "socket closed with 1012";

/// What the page says of `client` in `column`.
fn page_says(client: &str, column: &str) -> String {
    let page = std::fs::read_to_string(in_repository("docs/guide/clients.md")).unwrap();
    let cells = |line: &str| -> Vec<String> {
        let cells = line.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().to_owned()).collect()
    };
    let heading = page.lines().find(|line| line.contains(CLOSED)).unwrap();
    let place = cells(heading).iter().position(|cell| cell == column);
    let row = page
        .lines()
        .find(|line| line.starts_with(&format!("| {client} ")) && line.matches('|').count() == 7);
    let row = cells(row.unwrap_or_else(|| panic!("no row of {client}")));
    row[place.unwrap_or_else(|| panic!("no column {column}"))].clone()
}

/// A balancer that refuses a read with this status, for want of nodes where `is_empty`.
async fn refusing(status: u16, is_empty: bool) -> Pretend {
    let more = "  calls: { when_none_fit: refuse, attempt: 200ms, deadline: 400ms }\n";
    let scene = Pretend::set(&[1, 1], more).await;
    let faults = match status {
        503 => [Fault::Reset, Fault::NotJson],
        429 => [status_fault(429), status_fault(429)],
        504 => [Fault::Stall, Fault::Stall],
        _ => [Fault::Reset, Fault::Reset],
    };
    for (node, fault) in scene.nodes.iter().zip(faults) {
        // They answer other calls.
        soon("it has answered", async || {
            scene.call("eth_getCode").await;
            node.calls_of("eth_getCode") > 0
        })
        .await;
        node.set_fault_for(&[READ], fault);
        node.set_syncing(is_empty);
    }
    for name in ["a", "b"].into_iter().filter(|_| is_empty) {
        scene.balancer.node_becomes(name, 0.0).await;
    }
    scene
}

/// Requests that one read of a client makes when it is refused so.
async fn requests(script: &[&str], (status, is_empty): (u16, bool)) -> u64 {
    let scene = refusing(status, is_empty).await;
    assert_eq!(scene.call(READ).await.status, status);
    let (name, labels) = ("forebay_calls_total", [("method", READ)]);
    let before = scene.balancer.metric(name, &labels).await.unwrap_or(0.0);
    let mut command = client(script);
    command.arg(scene.balancer.url()).arg(WATCHED_SECONDS);
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.unwrap().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(!printed.contains("ANSWERED"), "{script:?}: {printed}");
    let after = scene.balancer.metric(name, &labels).await.unwrap();
    println!("{script:?} at {status}: {printed}{complaints}");
    (after - before) as u64
}

fn client(script: &[&str]) -> Command {
    let [program, script] = script else {
        panic!("a program and its script")
    };
    let program = match *program {
        "python" => in_repository(".parts/venv/bin/python").into_os_string(),
        other => other.into(),
    };
    let mut command = Command::new(program);
    command.arg(in_repository("tests/clients").join(script));
    command
}

/// Each refusal costs `name`, as installed, as many requests as the page says.
async fn refused_as_the_page_says(name: &str, version: &str, script: [&str; 2]) {
    let name = format!("{name} {version}");
    for (column, status) in REFUSALS {
        let wanted = page_says(&name, column);
        for is_empty in [false, true] {
            if is_empty && status != 503 {
                continue;
            }
            let made = requests(&script, (status, is_empty)).await;
            let fits = match wanted.as_str() {
                "many" => (2..=9).contains(&made),
                number => made.to_string() == number,
            };
            assert!(fits, "{name}, {column}: {made} instead of {wanted}");
        }
    }
}

fn npm_version(name: &str) -> String {
    let path = in_repository(".parts/node_modules").join(name);
    let text = std::fs::read_to_string(path.join("package.json")).unwrap();
    let package: serde_json::Value = serde_json::from_str(&text).unwrap();
    package["version"].as_str().unwrap().to_owned()
}

fn web3_py_version() -> String {
    let mut command = Command::new(in_repository(".parts/venv/bin/python"));
    command.args([
        "-c",
        "from importlib.metadata import version; print(version('web3'))",
    ]);
    let printed = command.output().unwrap().stdout;
    String::from_utf8(printed).unwrap().trim().to_owned()
}

fn cast_version() -> String {
    let mut command = Command::new(part("cast"));
    let printed = command.arg("--version").output().unwrap().stdout;
    let printed = String::from_utf8(printed).unwrap();
    let line = printed.lines().next().unwrap();
    let version = line.rsplit(' ').next().unwrap();
    version.split('-').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn viem_takes_refusals_as_the_page_says() {
    let version = npm_version("viem");
    refused_as_the_page_says("viem", &version, ["node", "refused/viem.mjs"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ethers_takes_refusals_as_the_page_says() {
    let version = npm_version("ethers");
    refused_as_the_page_says("ethers", &version, ["node", "refused/ethers.mjs"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn web3_js_takes_refusals_as_the_page_says() {
    let version = npm_version("web3");
    refused_as_the_page_says("web3.js", &version, ["node", "refused/web3_js.mjs"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn web3_py_takes_refusals_as_the_page_says() {
    let version = web3_py_version();
    refused_as_the_page_says("web3.py", &version, ["python", "refused/web3_py.py"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cast_takes_refusals_as_the_page_says() {
    let version = cast_version();
    refused_as_the_page_says("cast", &version, ["bash", "refused/cast.sh"]).await;
}

/// Says when the script has printed `ready`, and waits for the next words.
fn ready(child: &mut Child) -> impl Read + use<> {
    let mut printed = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    printed.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    printed
}

/// What a subscriber sees when the balancer ends and comes again.
async fn left(script: [&str; 2]) -> String {
    let mut scene = Pretend::set(&[1], "").await;
    let mut command = client(&script);
    command
        .arg(scene.balancer.url().replace("http", "ws"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let chain = scene.chain.clone();
    // Slower than rounds are: the pretend node tells no block between two heads.
    let heads = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(1200));
        loop {
            ticks.tick().await;
            chain.advance(1);
        }
    });
    let mut child = command.spawn().unwrap();
    let begun = tokio::task::spawn_blocking(move || (ready(&mut child), child));
    let (mut printed, mut child) = begun.await.unwrap();
    scene.balancer.process.terminate();
    assert!(scene.balancer.process.ended(PATIENCE).await.success());
    scene.balancer.start_again().await;
    let saw = tokio::task::spawn_blocking(move || {
        // One that doesn't listen goes on by itself.
        let _ = child.stdin.take().unwrap().write_all(b"go\n");
        let mut saw = String::new();
        printed.read_to_string(&mut saw).unwrap();
        let _ = child.wait();
        saw.trim().to_owned()
    });
    let saw = saw.await.unwrap();
    heads.abort();
    saw
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribers_take_a_close_as_the_page_says() {
    for (name, version, script) in [
        ("ethers", npm_version("ethers"), ["node", "left/ethers.mjs"]),
        ("web3.js", npm_version("web3"), ["node", "left/web3_js.mjs"]),
        ("web3.py", web3_py_version(), ["python", "left/web3_py.py"]),
        ("viem", npm_version("viem"), ["node", "left/viem.mjs"]),
    ] {
        let saw = left(script).await;
        assert_eq!(
            saw,
            page_says(&format!("{name} {version}"), CLOSED),
            "{name}"
        );
    }
}

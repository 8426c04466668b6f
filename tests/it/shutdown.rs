//! Endings: restarts and upgrades under load lose no call, and clients are told to go.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::time::Duration;

use forebay_fake::Fault;
use rustix::process::Signal;
use serde_json::json;

use crate::support::{
    Balancer, PATIENCE, Pretend, Process, QUICK, Wire, call, free_port, get, request, soon,
};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// How often it is done all over; more by the variable `ROUNDS`.
const ROUNDS: u64 = 1;

fn rounds() -> u64 {
    std::env::var("ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap())
}

/// A quick balancer with these times for its end.
fn ending(lame_duck: &str, drain: &str) -> String {
    let (quick, _) = QUICK.split_once("  shutdown:").unwrap();
    format!(
        "upgrade_sock: \"@FOLDER@/upgrade.sock\"\n{quick}  \
         shutdown: {{ lame_duck: {lame_duck}, drain: {drain} }}\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_under_load_loses_no_call() {
    let mut scene = Pretend::set_with(&[1, 1], &ending("1s", "1s"), "").await;
    let front = Front::before([&scene.balancer, &scene.balancer]);
    for _ in 0..rounds() {
        front.serves(200).await;
        let mut old = scene.balancer.upgrade();
        old.ended(PATIENCE).await;
        assert!(scene.balancer.process.is_running());
        front.serves(200).await;
    }
    front.end("upgrades").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_under_load_loses_no_call() {
    let mut scene = Pretend::set_with(&[1, 1], &ending("1s", "5s"), "").await;
    let other = Pretend::set_with(&[1, 1], QUICK, "").await;
    let front = Front::before([&scene.balancer, &other.balancer]);
    for _ in 0..rounds() {
        front.serves(200).await;
        scene.balancer.process.terminate();
        let status = scene.balancer.process.ended(PATIENCE).await;
        assert!(status.success(), "{status}");
        scene.balancer.start_again().await;
        front.serves(200).await;
    }
    front.end("restarts").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_over_http_2_is_told_to_go_as_soon_as_the_balancer_leaves() {
    let mut scene = Pretend::set_with(&[1], &ending("60s", "1s"), "").await;
    let address = scene.balancer.rpc.address;
    let stream = TcpStream::connect(address).await.unwrap();
    let (_client, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    scene.is_well().await;
    assert!(!connection.is_finished());
    scene.balancer.process.terminate();
    let told = timeout(PATIENCE, connection).await;
    told.expect("GOAWAY").unwrap().expect("a graceful end");
    assert!(scene.balancer.process.is_running());
    assert_eq!(scene.balancer.get("/health").await.status, 503);
    scene.is_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_do_not_look_at_our_health_lose_no_call() {
    let mut scene = Pretend::set_with(&[1, 1], &ending("1s", "5s"), "").await;
    let address = scene.balancer.rpc.address;
    for round in 1..=rounds() {
        // The last ones call so seldom that they hear of it only after the listener has closed.
        let pauses = [5, 5, 10, 10, 20, 20, 50, 100, 1700, 1900];
        let callers = pauses.map(|pause| {
            let pause = Duration::from_millis(pause);
            tokio::spawn(call_until_refused(address, pause))
        });
        sleep(Duration::from_millis(500)).await;
        scene.balancer.process.terminate();
        let mut served = 0;
        for caller in callers {
            let ended = timeout(PATIENCE, caller).await.expect("refused in time");
            served += ended.unwrap().expect("no call is cut");
        }
        println!("round {round}: {served} calls served, none cut");
        assert!(served > 100, "{served}");
        let status = scene.balancer.process.ended(PATIENCE).await;
        assert!(status.success(), "{status}");
        scene.balancer.start_again().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_sigint_ends_it_whatever_is_under_way() {
    let mut scene = Pretend::set_with(
        &[1],
        &ending("60s", "60s"),
        "  calls: { attempt: 50s, deadline: 55s }\n",
    )
    .await;
    scene.nodes[0].set_fault_for(&["eth_getCode"], Fault::Stall);
    let rpc = scene.balancer.rpc;
    let calling = tokio::spawn(async move {
        let params = json!(["0x00000000000000000000000000000000000000aa", "latest"]);
        rpc.ask("eth_getCode", params, PATIENCE).await
    });
    soon("the node is asked", async || scene.heard("eth_getCode") > 0).await;
    scene.balancer.process.signal(Signal::INT);
    sleep(Duration::from_secs(1)).await;
    assert!(scene.balancer.process.is_running(), "the call isn't done");
    scene.balancer.process.signal(Signal::INT);
    // Long before its caller gives up, with which it would be done.
    let status = scene.balancer.process.ended(PATIENCE / 3).await;
    assert!(status.success(), "{status}");
    assert!(calling.await.unwrap().is_err(), "it is cut off");
}

/// HAProxy 2.6 with its default check: every 2 s, and out after three times. It doesn't try again what
/// it can't bring us, so that nothing is hidden.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_haproxy_with_its_default_check_a_restart_loses_no_call() {
    // The lame-duck time by default.
    let mut scene = Pretend::set_with(&[1, 1], &ending("10s", "20s"), "").await;
    let other = Pretend::set_with(&[1, 1], QUICK, "").await;
    let haproxy = Haproxy::before([&scene.balancer, &other.balancer]).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = [2, 5, 5, 10, 10, 20, 20, 50, 500, 1500]
        .map(|pause| {
            let pause = Duration::from_millis(pause);
            tokio::spawn(call_all_the_time(haproxy.address, pause, is_over.clone()))
        })
        .into();
    for _ in 0..rounds() {
        gets_calls(&scene.balancer).await;
        gets_calls(&other.balancer).await;
        scene.balancer.process.terminate();
        let status = scene.balancer.process.ended(LONG).await;
        assert!(status.success(), "{status}");
        scene.balancer.start_again().await;
    }
    gets_calls(&scene.balancer).await;
    is_over.store(true, Relaxed);
    let (mut served, mut failed) = (0, Vec::new());
    for caller in callers {
        let (calls, failures) = timeout(PATIENCE, caller).await.unwrap().unwrap();
        served += calls;
        failed.extend(failures);
    }
    println!(
        "{} restarts behind HAProxy: {served} calls served, {} failed",
        rounds(),
        failed.len()
    );
    assert_eq!(failed, Vec::<String>::new());
    assert!(served > 1000, "{served}");
}

/// Longer than the lame-duck and the drain time.
const LONG: Duration = Duration::from_secs(45);

async fn gets_calls(balancer: &Balancer) {
    let calls = async || {
        let calls = balancer.metric("forebay_calls_total", &[("outcome", "ok")]);
        calls.await.unwrap_or_default()
    };
    let before = calls().await;
    soon("HAProxy sends it calls", async || {
        calls().await > before + 20.0
    })
    .await;
}

struct Haproxy {
    address: SocketAddr,
    _process: Process,
    _folder: tempfile::TempDir,
}

impl Haproxy {
    async fn before(balancers: [&Balancer; 2]) -> Haproxy {
        let folder = tempfile::tempdir().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let [one, other] = balancers.map(|balancer| balancer.rpc.address);
        let configuration = format!(
            "defaults\n  mode http\n  retries 0\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n\
             frontend calls\n  bind {address}\n  default_backend balancers\n\
             backend balancers\n  option httpchk GET /health\n\
             \x20 server one {one} check\n  server other {other} check\n"
        );
        let path = folder.path().join("haproxy.cfg");
        std::fs::write(&path, configuration).unwrap();
        // Debian keeps it where only root looks.
        let name = ["/usr/sbin/haproxy", "/usr/local/sbin/haproxy"]
            .into_iter()
            .find(|path| std::path::Path::new(path).exists())
            .unwrap_or("haproxy");
        let mut command = Command::new(name);
        command.arg("-db").arg("-f").arg(&path);
        let process = Process::start("haproxy", command, folder.path());
        soon("HAProxy listens", async || {
            TcpStream::connect(address).await.is_ok()
        })
        .await;
        Haproxy {
            address,
            _process: process,
            _folder: folder,
        }
    }
}

/// Calls on kept connections, new ones where it is told so, until it `is_over`: how many calls were
/// answered, and what became of the others.
async fn call_all_the_time(
    address: SocketAddr,
    pause: Duration,
    is_over: Arc<AtomicBool>,
) -> (u64, Vec<String>) {
    let request = request("", &call("1", "eth_getBalance"));
    let (mut served, mut failed) = (0, Vec::new());
    while !is_over.load(Relaxed) {
        let mut wire = Wire::connect(address).await;
        while !is_over.load(Relaxed) {
            wire.send(&request).await;
            let Some(answer) = wire.answer().await else {
                failed.push(format!("cut after {served} ({pause:?})"));
                break;
            };
            if answer.status == 200 && answer.json()["result"].is_string() {
                served += 1;
            } else {
                failed.push(format!("{} {}", answer.status, answer.text()));
            }
            sleep(pause).await;
            if answer.header("connection") == Some("close") {
                break;
            }
        }
    }
    (served, failed)
}

/// Calls on kept connections, new ones where it is told so, until none is taken any more; how many
/// calls were answered. An error is a call that was cut.
async fn call_until_refused(address: SocketAddr, pause: Duration) -> Result<u64, String> {
    let request = request("", &call("1", "eth_getBalance"));
    let mut served = 0;
    loop {
        // Refused: nothing was lost.
        let Ok(stream) = TcpStream::connect(address).await else {
            return Ok(served);
        };
        let mut wire = Wire::over(stream);
        loop {
            wire.send(&request).await;
            let answer = wire.answer().await;
            let answer = answer.ok_or_else(|| format!("cut after {served} ({pause:?})"))?;
            if answer.status != 200 {
                return Err(answer.text());
            }
            served += 1;
            sleep(pause).await;
            if answer.header("connection") == Some("close") {
                break;
            }
        }
    }
}

/// Calls without end, each to one of two balancers that says that it is ready: what a load
/// balancer in front does.
struct Front {
    shared: Arc<Shared>,
    running: Vec<JoinHandle<()>>,
}

struct Shared {
    addresses: [SocketAddr; 2],
    ready: [AtomicBool; 2],
    turn: AtomicUsize,
    done: AtomicU64,
    failed: AtomicU64,
    is_over: AtomicBool,
}

impl Front {
    /// Four clients, and for each balancer a task that looks at its health all the time.
    fn before(balancers: [&Balancer; 2]) -> Front {
        forebay::node::install_tls();
        let shared = Arc::new(Shared {
            addresses: balancers.map(|balancer| balancer.rpc.address),
            ready: [true, true].map(AtomicBool::new),
            turn: AtomicUsize::new(0),
            done: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        });
        let watch = |at| tokio::spawn(shared.clone().watch(at));
        let call = |_| tokio::spawn(shared.clone().call());
        let running = (0..2).map(watch).chain((0..4).map(call)).collect();
        Front { shared, running }
    }

    /// Waits until so many more calls are served, and both balancers are ready.
    async fn serves(&self, more: u64) {
        let shared = &self.shared;
        let wanted = shared.done.load(Relaxed) + more;
        soon("calls are served", async || {
            let are_ready = shared.ready.iter().all(|ready| ready.load(Relaxed));
            are_ready && shared.done.load(Relaxed) >= wanted
        })
        .await;
    }

    async fn end(self, what: &str) {
        self.shared.is_over.store(true, Relaxed);
        for task in self.running {
            task.await.unwrap();
        }
        let (done, failed) = (&self.shared.done, &self.shared.failed);
        let (done, failed) = (done.load(Relaxed), failed.load(Relaxed));
        println!("{} {what}: {done} calls served, {failed} failed", rounds());
        assert_eq!(failed, 0);
    }
}

impl Shared {
    async fn watch(self: Arc<Self>, at: usize) {
        while !self.is_over.load(Relaxed) {
            let health = get(self.addresses[at], "/health", Duration::from_secs(1)).await;
            let is_ready = health.is_ok_and(|health| health.status == 200);
            self.ready[at].store(is_ready, Relaxed);
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn call(self: Arc<Self>) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        while !self.is_over.load(Relaxed) {
            let turn = self.turn.fetch_add(1, Relaxed) % 2;
            let is_ready = self.ready[turn].load(Relaxed);
            let address = self.addresses[if is_ready { turn } else { 1 - turn }];
            let request = client.post(format!("http://{address}/"));
            let request = request.header("content-type", "application/json");
            let answered = match request.body(call("1", "eth_getBalance")).send().await {
                Ok(answer) => answer.text().await.map_err(|why| why.to_string()),
                Err(why) => Err(format!("{why:?}")),
            };
            match answered {
                Ok(body) if body.contains("\"result\"") => {
                    self.done.fetch_add(1, Relaxed);
                }
                Ok(why) | Err(why) => {
                    println!("failed: {why}");
                    self.failed.fetch_add(1, Relaxed);
                }
            }
        }
    }
}

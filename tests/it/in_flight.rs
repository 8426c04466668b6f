//! Nodes that are asked for more than they can do: they are kept busy and stay fit, what is too much is
//! refused at once, and nothing is refused that there is room for.
//!
//! The rates are small, for a busy machine and a program without optimisation; the figures that are
//! wanted of a fast one are measured by `./dev bench overload`.

use std::net::IpAddr;
use std::time::Duration;

use crate::support::{PATIENCE, Pretend, QUICK, soon};
use forebay::clock;
use forebay_fake::{Capacity, Fault};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::time::timeout;

/// On average calls are sent so late at most on a machine that has the time for them.
const LATE_MAX: Duration = Duration::from_millis(8);

/// What became of one call.
#[derive(Clone, Debug)]
struct Came {
    status: u16,
    retry_after: Option<String>,
    body: Value,
    took: Duration,
}

impl Came {
    fn is_answer(&self) -> bool {
        self.status == 200 && self.body["result"].is_string()
    }

    /// As it is said where there is no room.
    fn is_refusal(&self) -> bool {
        let says_when = self.retry_after.as_deref() == Some("01");
        self.status == 429 && self.body["error"]["code"] == -32012 && says_when
    }
}

/// Calls from one address.
struct Caller {
    client: reqwest::Client,
    url: String,
}

impl Caller {
    fn at(scene: &Pretend, address: [u8; 4]) -> Caller {
        forebay::node::install_tls();
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .local_address(IpAddr::from(address))
            .build()
            .unwrap();
        Caller {
            client,
            url: scene.balancer.url(),
        }
    }

    fn call(&self, id: u64) -> tokio::task::JoinHandle<Came> {
        let address = format!("{id:#042x}");
        let params = json!([address, "latest"]);
        self.send(id, "eth_getBalance", params)
    }

    fn send(&self, id: u64, method: &str, params: Value) -> tokio::task::JoinHandle<Came> {
        let body = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let request = self
            .client
            .post(&self.url)
            .header("content-type", "application/json")
            .body(body.to_string());
        tokio::spawn(async move {
            let began = clock::now();
            let answer = request.send().await.unwrap();
            let retry_after = answer.headers().get("retry-after");
            Came {
                status: answer.status().as_u16(),
                retry_after: retry_after.map(|value| value.to_str().unwrap().to_string()),
                body: serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap(),
                took: clock::now().saturating_duration_since(began),
            }
        })
    }

    /// So many calls a second for so long, whatever becomes of them; and whether the machine had the time
    /// to send them when they were due: else what is answered in time says nothing.
    async fn offer(&self, per_second: u32, seconds: u32) -> (Vec<Came>, bool) {
        let began = clock::now();
        let mut calls = Vec::new();
        let mut late = Duration::ZERO;
        let count = per_second * seconds;
        for number in 0..count {
            let due = began + Duration::from_secs(1) * number / per_second;
            tokio::time::sleep_until(due.into()).await;
            late += clock::now().saturating_duration_since(due);
            calls.push(self.call(number.into()));
        }
        let has_time = late / count < LATE_MAX;
        println!("on average {:?} late", late / count);
        (all(calls).await, has_time)
    }
}

async fn all(calls: Vec<tokio::task::JoinHandle<Came>>) -> Vec<Came> {
    let mut came = Vec::new();
    for call in calls {
        came.push(call.await.unwrap());
    }
    came
}

fn answered(came: &[Came]) -> usize {
    came.iter().filter(|came| came.is_answer()).count()
}

/// Every call was answered, or refused as it should be.
fn nothing_else(came: &[Came]) {
    let odd = came
        .iter()
        .find(|came| !came.is_answer() && !came.is_refusal());
    assert!(odd.is_none(), "{odd:?}");
}

async fn all_stay_fit(scene: &Pretend) {
    for node in ["a", "b", "c"].iter().take(scene.nodes.len()) {
        let labels = [("node", *node), ("state", "benched")];
        let benched = scene.balancer.metric("forebay_node_state", &labels).await;
        assert_eq!(benched.unwrap_or(0.0), 0.0, "{node}");
    }
}

/// Three such nodes answer so many of the calls that they are offered, and stay fit.
async fn stay_busy(capacity: impl Fn() -> Capacity, seconds: u32, possible: u32, at_least: usize) {
    let scene = Pretend::set(&[1, 1, 1], "").await;
    for node in &scene.nodes {
        node.set_capacity(Some(capacity()));
    }
    let caller = Caller::at(&scene, [127, 0, 0, 1]);
    let (came, has_time) = caller.offer(120, seconds).await;
    nothing_else(&came);
    let answered = answered(&came);
    println!("{answered} of {}, {possible} are possible", came.len());
    assert!(answered >= if has_time { at_least } else { 30 });
    all_stay_fit(&scene).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_say_503_to_what_is_too_much_are_kept_busy_and_stay_fit() {
    let capacity = || Capacity::refusing(4, Duration::from_millis(200));
    stay_busy(capacity, 6, 360, 270).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_limit_a_rate_are_asked_at_that_rate_and_stay_fit() {
    let capacity = || Capacity::limiting(20.0, Duration::from_millis(5));
    // At so low a rate much of the time goes by until it is found.
    stay_busy(capacity, 8, 480, 200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_costs_nodes_nothing_and_leaves_nothing_behind() {
    let scene = Pretend::set(&[1, 1], "").await;
    for node in &scene.nodes {
        node.set_capacity(Some(Capacity::queueing(4, Duration::from_millis(100))));
    }
    let caller = Caller::at(&scene, [127, 0, 0, 1]);
    let before = scene.heard("eth_getBalance");
    let (came, has_time) = caller.offer(240, 6).await;
    nothing_else(&came);
    let answered_in_flood = answered(&came);
    println!("{answered_in_flood} of {}, 480 are possible", came.len());
    assert!(answered_in_flood >= if has_time { 380 } else { 30 });
    let executed = scene.heard("eth_getBalance") - before;
    assert!(
        executed as f64 <= 1.05 * answered_in_flood as f64,
        "{executed}"
    );
    assert!(answered_in_flood < came.len(), "it was a flood");
    all_stay_fit(&scene).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (came, has_time) = caller.offer(30, 2).await;
    assert!(!has_time || answered(&came) == came.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fixed_limit_is_held_and_what_is_beyond_it_is_refused_in_time() {
    let scene = Pretend::set(&[1], "  calls: { queue: 200ms }\n").await;
    scene.limit("a", 2, &[]).await;
    // Longer than calls wait, and well within the time of a probe.
    scene.nodes[0].set_latency(Duration::from_secs(1));
    let caller = Caller::at(&scene, [127, 0, 0, 1]);
    let calls = (0..6).map(|id| caller.call(id)).collect();
    soon("four wait", async || {
        scene.balancer.metric("forebay_queued_calls", &[]).await == Some(4.0)
            || scene.balancer.metric("forebay_calls_shed_total", &[]).await > Some(0.0)
    })
    .await;
    // A transaction is nothing to be turned away for that.
    let sent = caller.send(9, "eth_sendRawTransaction", json!(["0x00"]));
    let came = all(calls).await;
    nothing_else(&came);
    assert_eq!(answered(&came), 2);
    for refused in came.iter().filter(|came| came.is_refusal()) {
        let took = refused.took;
        assert!(took >= Duration::from_millis(190), "{took:?}: it may wait");
        assert!(took < Duration::from_millis(1500), "{took:?}");
    }
    assert_ne!(sent.await.unwrap().body["error"]["code"], -32012);
    let shed = scene.balancer.metric("forebay_calls_shed_total", &[]).await;
    assert_eq!(shed, Some(4.0));
    let health = scene.balancer.get("/health").await.json();
    assert_eq!(health["status"], "ok");
    // A place that is free again is taken by a call that waits.
    scene.nodes[0].set_latency(Duration::from_millis(50));
    let calls = (0..6).map(|id| caller.call(id)).collect();
    assert_eq!(answered(&all(calls).await), 6);
    let auto = ["backends", "set", "a", "--in-flight-max", "auto"];
    scene.balancer.obeys(&auto);
    soon("it is found again", async || {
        let limit = scene
            .balancer
            .metric("forebay_node_in_flight_limit", &[("node", "a")]);
        limit.await > Some(2.0)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fixed_limit_is_held_at_a_silent_node_too() {
    let patient = QUICK.replace("timeout: 350ms", "timeout: 350ms, fall: 50");
    let scene = Pretend::set_with(&[1], &patient, "").await;
    scene.limit("a", 2, &[]).await;
    scene.nodes[0].set_fault(Fault::Stall);
    let caller = Caller::at(&scene, [127, 0, 0, 1]);
    let first: Vec<_> = (0..2).map(|id| caller.call(id)).collect();
    // Until it is known to be silent, and before the first two are left.
    tokio::time::sleep(Duration::from_millis(3500)).await;
    let came = all((2..6).map(|id| caller.call(id)).collect()).await;
    nothing_else(&came);
    assert_eq!(answered(&came), 0);
    assert_eq!(scene.nodes[0].calls_of("eth_getBalance"), 2);
    first.into_iter().for_each(|call| call.abort());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_up_takes_one_place() {
    let scene = Pretend::set(&[1], "").await;
    scene.limit("a", 2, &[]).await;
    // Long, but its probes don't fail for as long as would take it out.
    scene.nodes[0].set_latency(Duration::from_millis(800));
    let caller = Caller::at(&scene, [127, 0, 0, 1]);
    let look_up = |id: u64| {
        let hash = format!("{id:#066x}");
        caller.send(id, "eth_getTransactionReceipt", json!([hash]))
    };
    let first = look_up(1);
    soon("the first is under way", async || {
        scene.heard("eth_getTransactionReceipt") > 0
    })
    .await;
    let second = look_up(2);
    for came in all(vec![first, second]).await {
        assert_eq!(came.status, 200, "{came:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_joins_a_look_up_takes_no_place() {
    let scene = Pretend::set(&[1], "  calls: { attempt: 1s, deadline: 1s }\n").await;
    scene.limit("a", 2, &[]).await;
    let method = "eth_getTransactionReceipt";
    scene.nodes[0].set_fault_for(&[method], Fault::Stall);
    let caller = Caller::at(&scene, [127, 0, 0, 1]);
    let hash = format!("{:#066x}", 7);
    let poll = |id: u64| caller.send(id, method, json!([hash]));
    let first = poll(0);
    soon("the first is under way", async || scene.heard(method) > 0).await;
    let polls = (1..6).map(poll).chain([first]).collect();
    for came in all(polls).await {
        assert!(!came.is_refusal(), "{came:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_reads_slowly_keeps_no_place() {
    let scene = Pretend::set(&[1], "").await;
    let large = format!("\"0x{}\"", "00".repeat(16 << 20));
    scene.nodes[0].set_result("eth_getCode", &large);
    scene.limit("a", 1, &[]).await;
    let socket = TcpSocket::new_v4().unwrap();
    // What isn't read stays with the balancer that sends it.
    socket.set_recv_buffer_size(4096).unwrap();
    let mut slow = socket.connect(scene.balancer.rpc.address).await.unwrap();
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"eth_getCode","params":["0x00","latest"]}"#;
    let head = "POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    slow.write_all(request.as_bytes()).await.unwrap();
    let mut start = [0; 12];
    let read = slow.read_exact(&mut start);
    timeout(PATIENCE, read).await.unwrap().unwrap();
    assert_eq!(&start, b"HTTP/1.1 200");
    let caller = Caller::at(&scene, [127, 0, 0, 2]);
    for id in 0..3 {
        let came = caller.call(id).await.unwrap();
        assert!(came.is_answer(), "{came:?}");
    }
    drop(slow);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_is_answered_and_a_quiet_caller_beside_a_flood_is_too() {
    let scene = Pretend::set(&[1], "").await;
    scene.nodes[0].set_capacity(Some(Capacity::queueing(10, Duration::from_millis(50))));
    let caller = Caller::at(&scene, [127, 0, 0, 1]);
    for _ in 0..2 {
        let calls = (0..200).map(|id| caller.call(id)).collect();
        assert_eq!(answered(&all(calls).await), 200);
    }
    let quiet = Caller::at(&scene, [127, 0, 0, 2]);
    let ((flood, has_time), (quiet, _)) = tokio::join!(caller.offer(400, 5), quiet.offer(4, 5));
    nothing_else(&flood);
    assert!(answered(&flood) < flood.len(), "it was a flood");
    let share = answered(&quiet) as f64 / quiet.len() as f64;
    let of_flood = answered(&flood) as f64 / flood.len() as f64;
    println!("{share} beside {of_flood}");
    assert!(share > if has_time { 0.99 } else { of_flood });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_nodes_dont_overflow_to_the_fallback_which_is_asked_for_what_they_broke_within_its_limit()
 {
    let scene = Pretend::with_fallback(&[1]).await;
    let [own, spare] = &scene.nodes[..] else {
        panic!("two nodes")
    };
    for node in ["a", "spare"] {
        scene.limit(node, 1, &[]).await;
    }
    own.set_latency(Duration::from_secs(1));
    let caller = Caller::at(&scene, [127, 0, 0, 1]);
    let came = all((0..5).map(|id| caller.call(id)).collect()).await;
    nothing_else(&came);
    assert_eq!(answered(&came), 1);
    assert_eq!(spare.calls_of("eth_getBalance"), 0);
    own.set_latency(Duration::ZERO);
    own.set_fault(Fault::HangUp);
    spare.set_latency(Duration::from_secs(1));
    let came = all((0..3).map(|id| caller.call(id)).collect()).await;
    nothing_else(&came);
    assert_eq!(answered(&came), 1, "one at a time");
}

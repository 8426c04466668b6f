//! A line a call: which caller asked what, under which id, and what came of it. And what follows a call to
//! the nodes.

use crate::support::{
    Balancer, Console, Pretend, QUICK, SECRET, TlsDoor, assert_says, call, pretend_node, soon,
};
use forebay_fake::FakeChain;

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const ALL: &str = "  log: { calls: 1 }\n";
const FAILED_ALONE: &str = "  log: { calls: 0 }\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_gets_a_line_with_the_id_that_its_client_gave_it() {
    let scene = Pretend::set(&[1], ALL).await;
    let answer = scene
        .ask(
            &[("x-request-id", "order-66")],
            &call("1", "eth_getBalance"),
        )
        .await;
    assert_eq!(answer.header("x-request-id"), Some("order-66"));
    let line = line_of(&scene, "order-66").await;
    assert_says(&line, " INFO  call eth_getBalance ok node=a attempts=1 ms=");
    let ending = format!(
        "bytes={} client=127.0.0.1 request=order-66",
        answer.body.len()
    );
    assert!(line.ends_with(&ending), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_without_a_usable_id_is_given_one() {
    let scene = Pretend::set(&[1], ALL).await;
    let mut given = Vec::new();
    for headers in [
        &[][..],
        &[("x-request-id", "two words")],
        &[("x-request-id", "")],
    ] {
        let answer = scene.ask(headers, &call("1", "eth_getBalance")).await;
        let id = answer
            .header("x-request-id")
            .unwrap_or_default()
            .to_string();
        assert!(
            id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{id}"
        );
        line_of(&scene, &id).await;
        given.push(id);
    }
    given.dedup();
    assert_eq!(given.len(), 3, "each has its own");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_calls_of_a_batch_share_their_id_and_refusals_have_their_code() {
    let scene = Pretend::set(&[1], ALL).await;
    let (good, denied) = (call("1", "eth_getBalance"), call("2", "admin_peers"));
    let batch = format!("[{good},{denied},7]");
    scene.ask(&[("x-request-id", "batch")], &batch).await;
    scene.ask(&[("x-request-id", "no-json")], "{").await;
    line_of(&scene, "no-json").await;
    let lines = lines(&scene);
    let has = |part: &str, id: &str| {
        let id = format!(" request={id}");
        lines
            .iter()
            .any(|line| line.contains(part) && line.ends_with(&id))
    };
    assert!(has("call eth_getBalance ok node=a", "batch"), "{lines:#?}");
    assert!(
        has(
            "call admin_peers refused code=-32601 node=local attempts=0",
            "batch"
        ),
        "{lines:#?}"
    );
    let unreadable = "call other refused code=-32600 node=local";
    assert!(has(unreadable, "batch"), "{lines:#?}");
    assert!(
        has("call other refused code=-32700 node=local", "no-json"),
        "{lines:#?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_passed_on_as_it_comes_gets_its_line_at_its_end() {
    let scene = Pretend::set(&[1], ALL).await;
    let long = format!("\"0x{}\"", "ab".repeat(100 << 10));
    scene.nodes[0].set_result("eth_getCode", &long);
    let answer = scene
        .ask(&[("x-request-id", "long")], &call("1", "eth_getCode"))
        .await;
    assert!(answer.body.len() > long.len());
    let line = line_of(&scene, "long").await;
    assert!(line.contains(" call eth_getCode ok node=a"), "{line}");
    assert_says(&line, &format!(" bytes={} ", answer.body.len()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_share_of_nothing_failed_calls_alone_get_a_line() {
    let mut scene = Pretend::set(&[1], FAILED_ALONE).await;
    scene.is_well().await;
    drop(scene.nodes.pop());
    let body = call("1", "eth_getBalance");
    let answer = scene.ask(&[("x-request-id", "lost")], &body).await;
    assert!(answer.json()["error"].is_object(), "{}", answer.text());
    let line = line_of(&scene, "lost").await;
    assert_says(&line, " WARN  call eth_getBalance failed code=-320");
    assert!(line.contains(" node=local failed=a/transport"), "{line}");
    assert_eq!(lines(&scene).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_calls_that_fail_fast_some_get_a_line_and_the_rest_are_counted() {
    const CALLS: usize = 300;
    let scene = Pretend::set(&[1], FAILED_ALONE).await;
    scene.nodes[0].set_fault_for(&["eth_getBalance"], forebay_fake::Fault::HangUp);
    for at in 0..CALLS {
        let body = call(at, "eth_getBalance");
        let answer = scene.ask(&[], &body).await;
        assert!(answer.json()["error"].is_object(), "{}", answer.text());
    }
    let counted = || {
        let printed = scene.balancer.process.printed();
        let rest = printed
            .lines()
            .filter(|line| line.contains("more calls failed within 5 s: a="));
        let left = rest.map(|line| {
            let words = line.split("  ").nth(1).unwrap_or_default();
            words
                .split(' ')
                .next()
                .unwrap_or_default()
                .parse::<usize>()
                .unwrap_or(0)
        });
        left.sum::<usize>()
    };
    soon("all are counted", async || {
        lines(&scene).len() + counted() == CALLS
    })
    .await;
    let written = lines(&scene).len();
    assert!(written <= CALLS / 2, "{written}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_certificate_is_bad_gets_one_line_that_names_it() {
    let chain = FakeChain::still(1, 100);
    let (good, bad) = (pretend_node(&chain).await, pretend_node(&chain).await);
    let address = bad.url();
    let address = address.trim_start_matches("http://").parse();
    let door = TlsDoor::before(address.unwrap_or_else(|_| panic!("{}", bad.url()))).await;
    let yaml = format!(
        "{QUICK}  nodes:\n    - {{ url: \"{}\", name: good }}\n    - {{ url: \"{}\", name: sealed }}\n",
        good.url(),
        door.url("https")
    );
    let balancer = Balancer::start(&yaml, &[]).await;
    let labels = [("node", "sealed"), ("reason", "tls")];
    soon("several rounds have met the certificate", async || {
        balancer
            .metric("forebay_probe_failures_total", &labels)
            .await
            >= Some(6.0)
    })
    .await;
    let printed = balancer.process.printed();
    let troubles: Vec<_> = printed
        .lines()
        .filter(|line| line.contains(" WARN ") || line.contains(" ERROR "))
        // Of the machine that this runs on.
        .filter(|line| !line.contains("files may be open"))
        .collect();
    assert_eq!(troubles.len(), 1, "{printed}");
    let wanted = "node sealed gets no more calls: no TLS session with it can be made: ";
    assert!(troubles[0].contains(wanted), "{printed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_line_is_written_unless_asked_for_and_ids_and_traces_pass_all_the_same() {
    let scene = Pretend::set(&[1], "").await;
    let headers = [("x-request-id", "mine"), ("traceparent", TRACE)];
    let answer = scene.ask(&headers, &call("1", "eth_getBalance")).await;
    assert_eq!(answer.header("x-request-id"), Some("mine"));
    let answer = scene
        .ask(&[("traceparent", "00-bad")], &call("1", "eth_gasPrice"))
        .await;
    assert_eq!(
        answer.header("x-request-id"),
        None,
        "no id is made up for nothing"
    );
    assert_eq!(lines(&scene), Vec::<String>::new());
    let heard = scene.nodes[0].log();
    let of = |method: &str| {
        let heard = heard.iter().find(|heard| heard.body.contains(method));
        format!("{:?}", heard.map(|heard| &heard.headers))
    };
    let traced = of("eth_getBalance");
    assert_says(&traced, "traceparent");
    assert_says(&traced, TRACE);
    assert!(!traced.contains("x-request-id"), "{traced}");
    assert!(!of("eth_gasPrice").contains("traceparent"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_line_of_a_run_shows_a_secret_wherever_it_stood() {
    let scene = Pretend::set(&[1, 1], ALL).await;
    let secret = format!("Bearer {SECRET}");
    let cookie = format!("session={SECRET}");
    let bad_id = format!("{SECRET} ?");
    let odd = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":\"{SECRET}\",\"method\":\"eth_getBalance\",\"params\":[\"{SECRET}\"]}}"
    );
    let headers = [
        ("authorization", &*secret),
        ("cookie", &*cookie),
        ("x-api-key", SECRET),
        ("x-request-id", &*bad_id),
        ("traceparent", &*bad_id),
    ];
    let key = format!("/rpc?key={SECRET}");
    let hidden = format!("/v3/{SECRET}");
    let wrong = call("1", &format!("http://a/{SECRET}"));
    for (path, body) in [
        ("/", &odd),
        ("/", &wrong),
        (&*key, &odd),
        (&*hidden, &odd),
        ("/", &format!("[{odd}")),
    ] {
        scene.balancer.post_with(path, &headers, body).await;
    }
    // Nodes that fail say more in the log.
    for node in &scene.nodes {
        node.set_fault(forebay_fake::Fault::HangUp);
    }
    scene.balancer.post_with(&key, &headers, &odd).await;
    soon("the last call has its line", async || {
        lines(&scene)
            .iter()
            .any(|line| line.contains(" unanswerable "))
    })
    .await;
    assert!(lines(&scene).len() >= 5);
    let printed = scene.balancer.process.printed();
    let shown: Vec<_> = printed
        .lines()
        .filter(|line| line.contains(SECRET))
        .collect();
    assert_eq!(shown, Vec::<&str>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_is_the_one_that_a_trusted_proxy_names_and_no_other() {
    let trusting = QUICK.replace(
        "metrics: \"@METRICS@\"",
        "metrics: \"@METRICS@\", admin: \"@ADMIN@\", trusted_proxies: [127.0.0.0/8, 10.0.0.0/8]",
    );
    let more = format!("{ALL}  admin: {{ token: \"the-admins-own-token\" }}\n");
    let scene = Pretend::set_with(&[1], &trusting, &more).await;
    let forwarded = ("x-forwarded-for", "198.51.100.1, 203.0.113.9, 10.0.0.1");
    let headers = [forwarded, ("x-request-id", "far")];
    scene.ask(&headers, &call("1", "eth_getBalance")).await;
    let line = line_of(&scene, "far").await;
    assert!(line.contains(" client=203.0.113.9 "), "{line}");
    // Guesses at the token are told of where they come from, and not how they read.
    let guess = Console::new(scene.balancer.admin.address, "GET", "/status");
    let guess = guess
        .token("s3cretkey-guess")
        .with(forwarded.0, forwarded.1);
    for _ in 0..3 {
        assert_eq!(guess.ask().await.status, 401);
    }
    let printed = scene.balancer.process.printed();
    let wrong = "WARN  a wrong token was shown to the admin listener from 203.0.113.9\n";
    assert_eq!(printed.matches("a wrong token").count(), 1);
    assert_says(&printed, wrong);
    assert!(!printed.contains(SECRET), "{printed}");
    // Without trust it is only a header.
    let scene = Pretend::set(&[1], ALL).await;
    scene.ask(&headers, &call("1", "eth_getBalance")).await;
    let line = line_of(&scene, "far").await;
    assert!(line.contains(" client=127.0.0.1 "), "{line}");
}

// Stage-hands.

/// The lines of calls so far.
fn lines(scene: &Pretend) -> Vec<String> {
    let printed = scene.balancer.process.printed();
    let lines = printed.lines().filter(|line| line.contains("  call "));
    lines.map(str::to_string).collect()
}

/// The line of the call with this id, once it is there.
async fn line_of(scene: &Pretend, id: &str) -> String {
    let ending = format!(" request={id}");
    let mut found = None;
    soon(&format!("the call {id} has its line"), async || {
        found = lines(scene)
            .into_iter()
            .find(|line| line.ends_with(&ending));
        found.is_some()
    })
    .await;
    found.unwrap_or_default()
}

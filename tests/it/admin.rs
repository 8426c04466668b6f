//! The admin listener: nodes change through it while calls go on, and callers that mustn't ask are refused.

mod described;
mod page;

use std::time::Duration;

use crate::support::{
    Balancer, Console, PATIENCE, Pretend, QUICK, SECRET, assert_says, exchange, pretend_node, soon,
};
use serde_json::{Value, json};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const BODY_BYTES_MAX: usize = 64 << 10;
/// Requests that are answered at once.
const REQUESTS_MAX: usize = 64;

/// Routes with a method that they take, whether they want the token, and a body where they do.
const ROUTES: &[(&str, &str, bool, Option<&str>)] = &[
    ("GET", "/", false, None),
    ("GET", "/page.css", false, None),
    ("GET", "/page.js", false, None),
    ("GET", "/icon.svg", false, None),
    ("GET", "/openapi.json", false, None),
    ("GET", "/health/live", false, None),
    ("GET", "/health/ready", false, None),
    ("GET", "/status", true, None),
    ("GET", "/backends", true, None),
    (
        "POST",
        "/backends",
        true,
        Some("{\"url\":\"http://127.0.0.1:1\"}"),
    ),
    (
        "PATCH",
        "/backends",
        true,
        Some("{\"name\":\"a\",\"weight\":1}"),
    ),
    ("DELETE", "/backends?name=nobody", true, None),
    (
        "POST",
        "/backends/nobody/drain",
        true,
        Some("{\"wait_seconds\":0}"),
    ),
    ("POST", "/backends/nobody/cordon", true, Some("{}")),
    ("POST", "/backends/nobody/undrain", true, Some("{}")),
];

/// [`QUICK`] with an admin listener at `address`.
fn beginning(address: &str) -> String {
    let metrics = "metrics: \"@METRICS@\"";
    QUICK.replace(metrics, &format!("{metrics}, admin: \"{address}\""))
}

fn with_token() -> String {
    format!(
        "{}  admin: {{ token: \"{TOKEN}\" }}\n",
        beginning("@ADMIN@")
    )
}

/// Pretend nodes a, b, … behind a balancer whose admin listener wants [`TOKEN`].
async fn scene(weights: &[u16]) -> Pretend {
    Pretend::set_with(weights, &with_token(), "").await
}

fn bare(balancer: &Balancer, method: &str, target: &str) -> Console {
    Console::new(balancer.admin.address, method, target)
}

fn with(balancer: &Balancer, method: &str, target: &str) -> Console {
    bare(balancer, method, target).token(TOKEN)
}

async fn is_denied(console: Console, status: u16, code: &str) {
    let answer = console.ask().await;
    assert_eq!(answer.status, status, "{console:?}: {}", answer.text());
    assert_eq!(answer.json()["error"]["code"], code, "{console:?}");
    assert!(answer.json()["error"]["message"].is_string());
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn every_route_refuses_a_client_that_must_not_ask() {
    let scene = scene(&[1]).await;
    let balancer = &scene.balancer;
    let before = with(balancer, "GET", "/backends").gives(200).await;
    for (method, target, needs_token, body) in ROUTES {
        let fill = |console: Console| match body {
            Some(body) => console.json(body),
            None => console,
        };
        let good = fill(with(balancer, method, target));
        is_denied(
            good.clone().with("host", "evil.example"),
            403,
            "host_foreign",
        )
        .await;
        is_denied(good.clone().without("host"), 400, "host_missing").await;
        let foreign = good.clone().with("origin", "https://evil.example");
        is_denied(foreign, 403, "origin_foreign").await;
        is_denied(good.clone().with("origin", "null"), 403, "origin_foreign").await;
        is_denied(with(balancer, "PUT", target), 405, "method_not_allowed").await;
        let no_token = good.clone().without("authorization");
        if *needs_token {
            is_denied(no_token, 401, "token_missing").await;
            is_denied(good.token("wrong"), 401, "token_wrong").await;
        } else {
            assert_eq!(no_token.ask().await.status, 200, "{target}");
        }
    }
    let after = with(balancer, "GET", "/backends").gives(200).await;
    assert_eq!(names(&before), names(&after));
    scene.is_well().await;
    scene.keeps_its_secrets().await;
}

fn names(list: &Value) -> Vec<String> {
    let items = list.as_array().unwrap().iter();
    items
        .map(|item| item["name"].as_str().unwrap().to_string())
        .collect()
}

#[tokio::test]
async fn every_body_is_json_of_the_right_shape_and_size() {
    let scene = scene(&[1]).await;
    let balancer = &scene.balancer;
    for (method, target, _, body) in ROUTES {
        let console = with(balancer, method, target);
        let long = format!("{}{}", body.unwrap_or("{}"), " ".repeat(BODY_BYTES_MAX));
        let Some(body) = body else {
            if method == &"GET" || method == &"DELETE" {
                is_denied(console.clone().json("{}"), 400, "bad_input").await;
                is_denied(console.json(&long), 400, "bad_input").await;
            }
            continue;
        };
        for kind in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/jsonp",
        ] {
            let other = console.clone().json(body).with("content-type", kind);
            is_denied(other, 415, "content_type").await;
        }
        is_denied(console.clone().body(body), 415, "content_type").await;
        for bad in ["{", "[]", "null", "{\"unknown\":1}", "{} {}", "\u{1}"] {
            is_denied(console.clone().json(bad), 400, "bad_input").await;
        }
        let padded = |bytes: usize| format!("{body}{}", " ".repeat(bytes - body.len()));
        is_denied(
            console.clone().json(&padded(BODY_BYTES_MAX + 1)),
            413,
            "body_too_large",
        )
        .await;
        let fits = console.json(&padded(BODY_BYTES_MAX)).ask().await;
        assert!([200, 201, 404].contains(&fits.status), "{}", fits.text());
    }
    scene.is_well().await;
    scene.keeps_its_secrets().await;
}

/// A body that never comes is waited for neither with nor without room.
#[tokio::test]
async fn a_client_that_announces_a_body_where_none_is_taken_is_refused_at_once() {
    let scene = scene(&[1]).await;
    for target in ["/health/live", "/status", "/backends"] {
        for (name, value) in [("content-length", "5"), ("transfer-encoding", "chunked")] {
            let console = with(&scene.balancer, "GET", target).with(name, value);
            is_denied(console, 400, "bad_input").await;
        }
    }
    scene.is_well().await;
}

#[tokio::test]
async fn an_orchestrator_hears_of_health_though_all_room_is_taken() {
    let scene = scene(&[1]).await;
    let balancer = &scene.balancer;
    let mut slow = tokio::task::JoinSet::new();
    for _ in 0..REQUESTS_MAX {
        let change = with(balancer, "PATCH", "/backends");
        let change = change
            .with("content-type", "application/json")
            .with("content-length", "9");
        slow.spawn(async move { change.ask().await });
    }
    let status = with(balancer, "GET", "/status");
    soon("all room is taken", async || {
        status.ask().await.status == 503
    })
    .await;
    let live = bare(balancer, "GET", "/health/live");
    assert_eq!(live.ask().await.status, 200);
    slow.shutdown().await;
}

#[tokio::test]
async fn bad_targets_and_bad_framing_are_told() {
    let scene = scene(&[1]).await;
    let balancer = &scene.balancer;
    for (method, target, status, code) in [
        ("GET", "/nothing", 404, "no_such_page"),
        ("GET", "/backends/", 404, "no_such_page"),
        ("POST", "/backends/a/explode", 404, "no_such_page"),
        ("POST", "/backends/nobody/drain", 404, "no_such_node"),
        ("POST", "/backends/%ff/drain", 404, "no_such_node"),
        ("GET", "/backends?page=2", 400, "bad_input"),
        ("GET", "/backends?reveal=yes", 400, "bad_input"),
        ("GET", "/status?reveal=true", 400, "bad_input"),
        ("DELETE", "/backends", 400, "bad_input"),
        ("DELETE", "/backends?name=a&url=http://a", 400, "bad_input"),
        ("DELETE", "/backends?name=nobody", 404, "no_such_node"),
        ("OPTIONS", "/backends", 405, "method_not_allowed"),
    ] {
        is_denied(with(balancer, method, target), status, code).await;
    }
    // Pingora hangs up on a target that names another host than `Host`.
    let target = "GET http://evil.example/health/live HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let told = exchange(balancer.admin.address, target.as_bytes(), PATIENCE).await;
    assert_eq!(told, Ok(Vec::new()));
    let twice = with(balancer, "POST", "/backends")
        .with("transfer-encoding", "chunked")
        .json("{}");
    is_denied(twice, 400, "framing").await;
    let refused = with(balancer, "DELETE", "/status").ask().await;
    assert_eq!(refused.header("allow"), Some("GET, HEAD"));
    let refused = bare(balancer, "GET", "/status").ask().await;
    assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
    let head = with(balancer, "HEAD", "/status").ask().await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    scene.is_well().await;
}

#[tokio::test]
async fn a_node_comes_changes_and_goes_and_the_log_says_which_client_did_it() {
    let scene = scene(&[1]).await;
    let balancer = &scene.balancer;
    let new = pretend_node(&scene.chain).await;
    let url = format!("{}/v3/{SECRET}", new.url());
    let add = |body: Value| with(balancer, "POST", "/backends").json(&body.to_string());

    let item = add(json!({"url": url, "name": "new", "weight": 3, "headers": {"x-key": SECRET}}));
    let item = item.gives(201).await;
    assert_eq!(item["url"], format!("{}/…", new.url()));
    assert_eq!(
        (&item["weight"], &item["is_leader"]),
        (&json!(3), &json!(false))
    );
    scene.balancer.node_becomes("new", 1.0).await;
    scene.becomes("new", "forebay_node_weight", &[], 3.0).await;
    is_denied(add(json!({"url": url})), 409, "conflict").await;
    is_denied(
        add(json!({"url": "http://b.example", "name": "new"})),
        409,
        "conflict",
    )
    .await;

    let change = |body: Value| with(balancer, "PATCH", "/backends").json(&body.to_string());
    let item = change(json!({"url": url, "is_leader": true}))
        .gives(200)
        .await;
    assert_eq!(item["is_leader"], true);
    let second = json!({"url": "http://c.example", "is_leader": true});
    is_denied(add(second), 409, "conflict").await;
    let item = change(json!({"name": "new", "is_leader": false, "weight": 5}));
    let item = item.gives(200).await;
    assert_eq!(
        (&item["weight"], &item["is_leader"]),
        (&json!(5), &json!(false))
    );
    is_denied(
        change(json!({"name": "nobody", "weight": 1})),
        404,
        "no_such_node",
    )
    .await;
    is_denied(
        change(json!({"name": "new", "weight": 1001})),
        400,
        "bad_input",
    )
    .await;

    let target = format!("/backends?url={}", url.replace('/', "%2F"));
    let gone = with(balancer, "DELETE", &target).gives(200).await;
    assert_eq!(gone["name"], "new");
    soon("the list is as it was", async || {
        names(&with(balancer, "GET", "/backends").gives(200).await) == ["a"]
    })
    .await;

    let printed = balancer.process.printed();
    for said in [
        "admin: node new was added (own node, weight 3); by 127.0.0.1 with the token",
        "admin: node new was changed: leader node; by 127.0.0.1 with the token",
        "admin: node new was changed: weight 5, own node; by 127.0.0.1 with the token",
        "admin: node new was removed; by 127.0.0.1 with the token",
    ] {
        assert!(printed.contains(said), "{said}\n{printed}");
    }
    assert!(!printed.contains(TOKEN));
    scene.keeps_its_secrets().await;
}

#[tokio::test]
async fn a_drained_node_ends_its_calls_gets_none_and_returns_with_its_weight() {
    let scene = scene(&[1, 7]).await;
    let balancer = &scene.balancer;
    let turn = |verb: &str| with(balancer, "POST", &format!("/backends/b/{verb}"));
    scene.nodes[1].set_latency(Duration::from_millis(600));
    let b = &scene.nodes[1];
    let under_way = async {
        let before = b.calls_of("eth_getBalance");
        for _ in 0..4 {
            scene.call("eth_getBalance").await;
        }
        b.calls_of("eth_getBalance") - before
    };
    let drained = async {
        soon("b has a call in flight", async || {
            let status = with(balancer, "GET", "/status").gives(200).await;
            status["nodes"][1]["in_flight"] == 1
        })
        .await;
        turn("drain").json("{\"wait_seconds\":30}").gives(200).await
    };
    let (_, drained) = tokio::join!(under_way, drained);
    assert_eq!(drained["in_flight"], 0, "{drained}");
    assert_eq!(
        (&drained["weight"], &drained["former_weight"]),
        (&json!(0), &json!(7))
    );

    let before = scene.nodes[1].calls_of("eth_getBalance");
    for _ in 0..20 {
        scene.is_well().await;
    }
    assert_eq!(
        scene.nodes[1].calls_of("eth_getBalance"),
        before,
        "it gets none"
    );
    assert_eq!(
        turn("drain").gives(200).await["former_weight"],
        7,
        "once more"
    );

    scene.nodes[1].set_latency(Duration::ZERO);
    let back = turn("undrain").gives(200).await;
    assert_eq!(
        (&back["weight"], &back["former_weight"]),
        (&json!(7), &Value::Null)
    );
    scene.becomes("b", "forebay_node_weight", &[], 7.0).await;
    assert_eq!(turn("undrain").gives(200).await["weight"], 7, "it stays");
    assert_eq!(turn("cordon").json("{}").gives(200).await["weight"], 0);
    assert_eq!(turn("undrain").gives(200).await["weight"], 7);
    let told = balancer.process.printed();
    assert_says(&told, "node b was drained: no new calls; by 127.0.0.1");
}

#[tokio::test]
async fn urls_end_with_their_host_unless_a_client_with_the_token_wants_them_whole() {
    let scene = scene(&[1]).await;
    let balancer = &scene.balancer;
    let list = |target: &str| with(balancer, "GET", target);
    let masked = list("/backends").gives(200).await;
    assert_eq!(masked[0]["url"], format!("{}/…", scene.nodes[0].url()));
    let whole = list("/backends?reveal=true").gives(200).await;
    assert_eq!(
        whole[0]["url"],
        format!("{}/v3/{SECRET}", scene.nodes[0].url())
    );
    assert!(
        !whole.to_string().contains("x-key"),
        "headers are never shown"
    );
    let status = list("/status").ask().await.text();
    assert!(!status.contains(SECRET), "{status}");
    let drained = with(balancer, "POST", "/backends/a/drain?reveal=true");
    let url = drained.gives(200).await["url"].to_string();
    assert!(url.ends_with(&format!("{SECRET}\"")), "{url}");

    let open = Pretend::set_with(&[1], &beginning("@ADMIN@"), "").await;
    let ask = |target: &str| bare(&open.balancer, "GET", target);
    assert!(!ask("/backends").ask().await.text().contains(SECRET));
    is_denied(ask("/backends?reveal=true"), 403, "reveal_needs_token").await;
    is_denied(
        ask("/backends?reveal=true").token("x"),
        403,
        "reveal_needs_token",
    )
    .await;
}

#[tokio::test]
async fn the_status_tells_the_reasons_and_what_happened() {
    let scene = scene(&[1, 1]).await;
    let balancer = &scene.balancer;
    let status = async || with(balancer, "GET", "/status").gives(200).await;
    for _ in 0..10 {
        scene.is_well().await;
    }
    let well = status().await;
    assert_eq!(
        (&well["status"], &well["chain"]["id"]),
        (&json!("ok"), &Value::Null)
    );
    assert_eq!(well["served_head"], 100);
    let glance = json!([{
        "name": "main", "id": null, "status": "ok", "level": "good", "troubles": [],
        "served_head": 100, "own": 2, "serving": 2, "calls": 10, "failed_share": 0.0,
    }]);
    assert_eq!(well["chains"], glance);
    let named = with(balancer, "GET", "/status?chain=main").gives(200).await;
    assert_eq!(named["chain"], json!({ "name": "main", "id": null }));
    for target in ["/status?chain=base", "/backends?chain=base"] {
        let denied = with(balancer, "GET", target).gives(404).await;
        assert_eq!(denied["error"]["code"], "no_such_chain");
        assert_eq!(denied["error"]["message"], "no such chain; there are: main");
    }
    assert_eq!(well["reference"]["source"], "quorum");
    let why = "the head that the own nodes agree on: no leader is set";
    assert_eq!(well["reference"]["why"], why);
    let a = &well["nodes"][0];
    assert_eq!(
        (&a["name"], &a["standing"], &a["why"]),
        (&json!("a"), &json!("fit"), &json!("fit"))
    );
    assert!(a["latency_ms"].as_f64().unwrap() > 0.0);
    assert!((0.0..=1.0).contains(&a["share"].as_f64().unwrap()));

    scene.chain.set_head(200);
    scene.nodes[0].set_lag(13);
    scene.balancer.node_becomes("a", 0.0).await;
    let lagging = status().await;
    let a = &lagging["nodes"][0];
    assert_eq!((&a["lag"], &a["reason"]), (&json!(13), &json!("lagging")));
    assert_eq!(a["why"], "13 blocks behind the reference, 10 is the most");
    let lags = a["lags"].as_array().unwrap();
    assert_eq!(lags.last().unwrap(), &json!(13));
    let left = lagging["events"][0].clone();
    assert_eq!(
        (&left["kind"], &left["node"]),
        (&json!("left"), &json!("a"))
    );
    assert!(left["at"].as_u64() <= lagging["at"].as_u64());

    scene.nodes[1].set_lag(50);
    scene.balancer.node_becomes("b", 0.0).await;
    let kinds = |status: &Value| -> Vec<Value> {
        let events = status["events"].as_array().unwrap().iter();
        events.map(|event| event["kind"].clone()).collect()
    };
    assert!(kinds(&status().await).contains(&json!("fallback_on")));
    scene.nodes[1].set_lag(0);
    scene.balancer.node_becomes("b", 1.0).await;
    let healed = status().await;
    assert_eq!(
        kinds(&healed)[..2],
        [json!("fallback_off"), json!("returned")]
    );
    assert_eq!(healed["nodes"][1]["standing"], "fit");
}

#[tokio::test]
async fn live_and_ready_say_what_an_orchestrator_asks() {
    let yaml = format!("{}  nodes: []\n", with_token());
    let mut balancer = Balancer::start_unready(&yaml, &[]).await;
    let admin = balancer.admin.address;
    let live = Console::new(admin, "GET", "/health/live");
    assert_eq!(live.gives(200).await, json!({"status": "ok"}));
    let ready = Console::new(admin, "GET", "/health/ready");
    soon("it is ready", async || ready.ask().await.status == 200).await;
    assert_eq!(ready.gives(200).await["status"], "degraded");
    balancer.process.terminate();
    soon("it is closing", async || ready.ask().await.status == 503).await;
    balancer.process.ended(PATIENCE).await;
}

#[tokio::test]
async fn off_loopback_there_is_no_listener_without_a_token() {
    let address = "0.0.0.0:9";
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("pingora.yaml");
    let refused = "others can reach 0.0.0.0:9, so it needs a token: set `forebay.admin.token`";
    std::fs::write(
        &file,
        beginning(address)
            .replace("@HTTP@", "127.0.0.1:0")
            .replace("@METRICS@", "127.0.0.1:0"),
    )
    .unwrap();
    for command in ["check", "serve"] {
        let mut forebay = std::process::Command::new(env!("CARGO_BIN_EXE_forebay"));
        let output = forebay.arg(command).arg("-c").arg(&file).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{command}");
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(said.contains(refused), "{command}: {said}");
    }
}

#[tokio::test]
async fn the_page_brings_nothing_from_elsewhere_and_lets_nothing_in() {
    let scene = scene(&[1]).await;
    let page = bare(&scene.balancer, "GET", "/").ask().await;
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self'"),
        "{policy}"
    );
    assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"));
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(page.header(name), Some(value));
    }
    for (target, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/page.css", "text/css; charset=utf-8"),
        ("/page.js", "text/javascript; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
    ] {
        let asset = bare(&scene.balancer, "GET", target).ask().await;
        assert_eq!(asset.header("content-type"), Some(kind));
        let text = asset.text().replace("http://www.w3.org/2000/svg", "");
        assert!(!text.contains("://"), "{target} names another place");
        assert!(
            !text.contains(" style=") && !text.contains("innerHTML"),
            "{target}"
        );
    }
}

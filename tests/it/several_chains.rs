//! Several chains behind one balancer, each as if it were alone: where they are asked, what is told of their
//! health, and that they come and go without a call lost on the others.

mod anvils;
mod apart;
mod stage;

use std::time::Duration;

use forebay_fake::Fault;
use serde_json::json;
use tokio::net::TcpStream;

use self::stage::{ChainStage, NODELESS, call_of};
use crate::support::{
    Console, Heard, Listener, Load, PATIENCE, assert_says, exchange, post_http2_to, soon,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_chain_answers_at_its_name_its_id_and_its_host() {
    let stage = ChainStage::set(
        "",
        &[
            ("ethereum", 1, "default: true"),
            ("base", 8453, "hosts: [base.rpc.example]"),
        ],
    )
    .await;
    for (path, id) in [
        ("/", "0x1"),
        ("/rpc", "0x1"),
        ("/ethereum", "0x1"),
        ("/1", "0x1"),
        ("/base", "0x2105"),
        ("/8453", "0x2105"),
        ("/rpc/base", "0x2105"),
        ("/rpc/8453", "0x2105"),
    ] {
        assert_eq!(stage.id_at(path).await, id, "{path}");
    }
    for (host, path, id) in [
        ("base.rpc.example", "/", "0x2105"),
        ("BASE.rpc.example.:8545", "/", "0x2105"),
        ("base.rpc.example", "/base", "0x2105"),
        ("other.example", "/", "0x1"),
        ("other.example", "/base", "0x2105"),
    ] {
        let answer = stage.post_to_host(host, path).await;
        assert_eq!(answer.result(), id, "{host}{path}");
        let stream = TcpStream::connect(stage.balancer.rpc.address)
            .await
            .unwrap();
        let url = format!("http://{host}{path}");
        let answer = post_http2_to(stream, &url, &[], call_of("eth_chainId")).await;
        assert_eq!(answer.unwrap().json()["result"], id, "HTTP/2: {host}{path}");
    }
    let refused = stage.post_to_host("base.rpc.example", "/ethereum").await;
    assert_eq!(refused.status, 404);
    let why = refused.json()["error"]["message"].to_string();
    assert!(why.contains("there is the chain base alone"), "{why}");
    for (path, id) in [("/", "0x1"), ("/base", "0x2105"), ("/8453", "0x2105")] {
        let mut socket = Listener::open_at(stage.balancer.rpc.address, path).await;
        let answer = socket.ask("eth_chainId", json!([])).await;
        assert_eq!(answer["result"], id, "{path}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_names_no_chain_or_an_unknown_one_is_told_which_there_are() {
    let stage = ChainStage::set("", &[("ethereum", 1, ""), ("base", 8453, "")]).await;
    let answer = stage.post_at("/").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.node(), "local");
    let error = answer.json()["error"].clone();
    assert_eq!(error["code"], -32600, "{error}");
    assert!(
        error["message"].to_string().contains("/base, /ethereum"),
        "{error}"
    );
    for path in ["/optimism", "/10", "/rpc/optimism"] {
        let answer = stage.post_at(path).await;
        assert_eq!(answer.status, 404, "{path}");
        let why = answer.json()["error"]["message"].to_string();
        assert!(
            why.contains("the chains are /base, /ethereum"),
            "{path}: {why}"
        );
    }
    let address = stage.balancer.rpc.address;
    let greeting = stage.balancer.get("/").await;
    assert_eq!(greeting.status, 200);
    let greeting = greeting.text();
    assert!(greeting.contains("/base, /ethereum"), "{greeting}");
    let nowhere = stage.balancer.get("/favicon.ico").await;
    assert_eq!(nowhere.status, 404);
    let upgrade = format!(
        "GET /optimism HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let answer = exchange(address, upgrade.as_bytes(), PATIENCE)
        .await
        .unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    assert!(answer.contains("/base, /ethereum"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_chains_fall_is_told_and_takes_the_process_out_only_where_it_is_required() {
    for (more, status) in [("", 200), (", required: [base]", 503)] {
        let stage = ChainStage::set(more, &[("ethereum", 1, ""), ("base", 8453, "")]).await;
        let health = stage.balancer.get("/health").await;
        assert_eq!(health.status, 200);
        let health = health.json();
        assert_eq!(health["status"], "ok", "{health}");
        assert_eq!(health["chains"]["base"]["status"], "ok", "{health}");
        stage
            .nodes("base")
            .iter()
            .for_each(|node| node.set_fault(Fault::HangUp));
        soon("base is degraded", async || {
            let health = stage.balancer.get("/health").await;
            health.json()["chains"]["base"]["status"] == "degraded" && health.status == status
        })
        .await;
        let health = stage.balancer.get("/health").await.json();
        assert_eq!(health["status"], "degraded", "{health}");
        assert_eq!(health["chains"]["ethereum"]["status"], "ok", "{health}");
        for (path, word) in [
            ("/base/health", "degraded"),
            ("/ethereum/health", "ok"),
            ("/1/health", "ok"),
        ] {
            let health = stage.balancer.get(path).await;
            assert_eq!(health.status, 200, "{path}");
            assert_eq!(health.json()["status"], word, "{path}");
        }
        assert_eq!(stage.balancer.get("/optimism/health").await.status, 404);
    }
}

/// Its registry is out of reach, and there is no other list: it has no round.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_that_does_not_begin_holds_the_process_up_for_ten_seconds_and_no_longer() {
    let began = forebay::clock::now();
    let stage = ChainStage::before(
        "registry: { kind: dynamodb, endpoint: \"http://127.0.0.1:9\", last_list: \"@FOLDER@/l.json\" }",
        &[("ethereum", 1, ""), ("base", 8453, NODELESS)],
    )
    .await;
    soon("ethereum has begun", async || {
        let health = stage.balancer.get("/ethereum/health").await;
        health.status == 200
    })
    .await;
    let health = stage.balancer.get("/health").await;
    let took = forebay::clock::now() - began;
    assert!(
        health.status == 503 || took > Duration::from_secs(10),
        "{took:?}"
    );
    soon("the process is ready", async || {
        stage.balancer.get("/health").await.status == 200
    })
    .await;
    let took = forebay::clock::now() - began;
    assert!(took >= Duration::from_secs(9), "{took:?}");
    let health = stage.balancer.get("/health").await.json();
    assert_eq!(health["status"], "degraded", "{health}");
    assert_eq!(health["chains"]["base"]["status"], "starting", "{health}");
    assert_eq!(stage.balancer.get("/base/health").await.status, 503);
    assert_eq!(stage.id_at("/ethereum").await, "0x1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chains_and_nodes_come_and_go_without_a_call_lost_on_the_others() {
    let mut stage =
        ChainStage::set("", &[("ethereum", 1, "default: true"), ("base", 8453, "")]).await;
    let load = Load::start(&format!("{}/base", stage.balancer.url()), 1_000_000, 4);
    load.reaches(50).await;
    let mut socket = Listener::open_at(stage.balancer.rpc.address, "/base").await;
    // One comes.
    stage.add("optimism", 10, "").await;
    soon("optimism answers", async || {
        stage.post_at("/optimism").await.json()["result"] == "0xa"
    })
    .await;
    let mut gone = Listener::open_at(stage.balancer.rpc.address, "/10").await;
    assert_eq!(gone.ask("eth_chainId", json!([])).await["result"], "0xa");
    // A node of another chain comes, and one goes.
    let added = stage.add_node("ethereum").await;
    soon("the new node is asked", async || {
        // What isn't answered here.
        stage.call_at("/ethereum", "eth_gasPrice").await;
        stage.nodes("ethereum")[added].calls_of("eth_gasPrice") > 0
    })
    .await;
    load.reaches(load.done() + 100).await;
    // And the chain goes: its sockets are told so, its path is unknown.
    stage.remove("optimism");
    let closed = gone.next_within(PATIENCE).await;
    assert!(
        matches!(closed, Some(Heard::Closed(1001 | 1012, _))),
        "{closed:?}"
    );
    soon("optimism is gone", async || {
        stage.post_at("/optimism").await.status == 404
    })
    .await;
    let answer = socket.ask("eth_chainId", json!([])).await;
    assert_eq!(answer["result"], "0x2105", "the others' sockets stay");
    load.reaches(load.done() + 100).await;
    load.stop().await.no_call_failed();
    let said = stage.balancer.process.printed();
    assert_says(
        &said,
        "the configuration has changed: forebay.chains.optimism",
    );
    assert!(said.contains("forebay.chains.ethereum.nodes"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_default_is_not_taken_away_in_passing() {
    let mut stage =
        ChainStage::set("", &[("ethereum", 1, "default: true"), ("base", 8453, "")]).await;
    stage.remove("ethereum");
    soon("it is refused", async || {
        let said = stage.balancer.process.printed();
        said.contains("the chain ethereum is the default")
            && said.contains("would be the chain base")
    })
    .await;
    // Nor is it exchanged for another that is marked.
    stage.mark("base");
    soon("that is refused, too", async || {
        let said = stage.balancer.process.printed();
        said.matches("the chain ethereum is the default").count() == 2
    })
    .await;
    assert_eq!(stage.id_at("/").await, "0x1");
    assert_eq!(stage.id_at("/ethereum").await, "0x1");
}

/// Pages may call any chain, and hear of a refusal, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_hears_that_there_is_no_such_chain() {
    let stage = ChainStage::set("", &[("ethereum", 1, ""), ("base", 8453, "")]).await;
    let headers = [("origin", "https://app.example")];
    for path in ["/optimism", "/"] {
        let body = call_of("eth_chainId");
        let answer = stage.balancer.post_with(path, &headers, &body).await;
        let allowed = answer.header("access-control-allow-origin");
        assert_eq!(allowed, Some("*"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_admin_api_is_of_the_chain_that_is_named_else_of_the_default_one() {
    let stage = ChainStage::set("", &[("ethereum", 1, ""), ("base", 8453, "default: true")]).await;
    let console =
        |method: &str, target: &str| Console::new(stage.balancer.admin.address, method, target);
    let change = async |method: &str, target: &str, body: &str, status: u16| {
        console(method, target).json(body).gives(status).await
    };
    let status = console("GET", "/status").gives(200).await;
    assert_eq!(status["chain"], json!({ "name": "base", "id": 8453 }));
    let glances = status["chains"].as_array().unwrap();
    let names: Vec<_> = glances.iter().map(|chain| &chain["name"]).collect();
    assert_eq!(names, ["base", "ethereum"]);
    assert!(
        glances.iter().all(|chain| chain["serving"] == 2),
        "{status}"
    );
    let other = console("GET", "/status?chain=ethereum").gives(200).await;
    assert_eq!(other["chain"], json!({ "name": "ethereum", "id": 1 }));
    assert_eq!(other["chains"].as_array().unwrap().len(), 2);

    let added = r#"{"url":"http://127.0.0.1:9","name":"late","weight":0}"#;
    change("POST", "/backends?chain=ethereum", added, 201).await;
    let count = async |target: &str| {
        let listed = console("GET", target).gives(200).await;
        listed.as_array().unwrap().len()
    };
    assert_eq!(count("/backends?chain=ethereum").await, 3);
    assert_eq!(count("/backends?chain=base").await, 2);
    assert_eq!(count("/backends").await, 2);
    soon("it is on the list", async || {
        let status = console("GET", "/status?chain=ethereum").gives(200).await;
        status.to_string().contains("\"late\"")
    })
    .await;
    let again = r#"{"url":"http://127.0.0.1:9/","name":"later"}"#;
    let denied = change("POST", "/backends?chain=base", again, 409).await;
    let why = denied["error"]["message"].to_string();
    assert!(why.contains("a node of the chain ethereum"), "{why}");
    // By a header of its own it is another; without that it would be the same.
    let apart =
        r#"{"url":"http://127.0.0.1:9/","name":"apart","weight":0,"headers":{"x-chain":"base"}}"#;
    change("POST", "/backends?chain=base", apart, 201).await;
    soon("it is on the list", async || {
        let status = console("GET", "/status?chain=base").gives(200).await;
        status.to_string().contains("\"apart\"")
    })
    .await;
    let alike = r#"{"name":"apart","headers":{}}"#;
    let denied = change("PATCH", "/backends?chain=base", alike, 409).await;
    assert_eq!(denied["error"]["code"], "conflict", "{denied}");
    console("DELETE", "/backends?chain=base&name=apart")
        .gives(200)
        .await;
    let add = |url: &str, code| {
        let arguments = ["backends", "add", url, "--chain", "base", "--name", "new"];
        stage.balancer.ends(&arguments, code)
    };
    assert_says(
        &add("http://127.0.0.1:9", 1),
        "a node of the chain ethereum",
    );
    add("http://127.0.0.1:9/?two", 0);
    assert_eq!(count("/backends?chain=base").await, 3);
    let gone = console("DELETE", "/backends?name=late").ask().await;
    assert_eq!(gone.status, 404, "{}", gone.text());
    let denied = console("GET", "/backends?chain=gnosis").gives(404).await;
    assert_eq!(denied["error"]["code"], "no_such_chain");
}

//! The configuration changes while calls are under way: what can be applied is, what can't is said,
//! a file with mistakes changes nothing, and no call fails.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

use crate::support::{
    Balancer, Console, Load, Pretend, QUICK, assert_says, call, pretend_node, soon,
};
use rustix::process::Signal;

/// Settings of a running balancer, each of which a test changes.
const BEFORE: &str = "\
version: 1
threads: 2
forebay:
  chain: { block_time: 1s }
  listen: { http: [\"@HTTP@\"], metrics: \"@METRICS@\", admin: \"@ADMIN@\" }
  registry: { path: \"@FOLDER@/forebay.db\", refresh: 300ms, last_list: \"@FOLDER@/last-list.json\" }
  health: { interval: 400ms, timeout: 350ms, lag_blocks_max: 10 }
  calls: { deadline: 30s, attempt: 5s }
  consistency: none
  methods: { deny: [] }
  cors: { origins: [\"*\"] }
  shutdown: { lame_duck: 300ms, drain: 5s }
";

const SUCCESSFUL: &str = "forebay_config_last_reload_successful";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_change_under_load_and_no_call_fails() {
    let scene = Pretend::set_with(&[1, 1, 1], BEFORE, "").await;
    let load = Load::start(&scene.balancer.url(), 1_000_000, 4);
    load.reaches(50).await;
    for (at, (from, to, key)) in [
        (
            "lag_blocks_max: 10",
            "lag_blocks_max: 3",
            "health.lag_blocks_max",
        ),
        ("deny: []", "deny: [eth_gasPrice]", "methods.deny"),
        ("consistency: none", "consistency: monotonic", "consistency"),
        ("[\"*\"]", "[\"https://app.example\"]", "cors.origins"),
        (
            "deadline: 30s, attempt: 5s",
            "deadline: 700ms, attempt: 700ms",
            "calls.deadline",
        ),
        (
            "  shutdown:",
            "  log: { calls: 0 }\n  shutdown:",
            "log.calls",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        edit(&scene, from, to);
        // By signal and without one, turn by turn.
        if at % 2 == 0 {
            scene.balancer.process.signal(Signal::HUP);
        }
        scene.balancer.logs(&format!("forebay.{key}")).await;
        load.reaches(load.done() + 50).await;
        assert_applied(&scene, key).await;
    }
    let tally = load.stop().await;
    tally.no_call_failed();
    assert!(tally.of("a") > 0 && tally.of("b") > 0, "{tally:?}");
    scene.keeps_its_secrets().await;
}

/// What each of the changes does.
async fn assert_applied(scene: &Pretend, key: &str) {
    match key {
        "health.lag_blocks_max" => {
            let name = "forebay_node_lag_blocks_max";
            assert_eq!(scene.balancer.metric(name, &[]).await, Some(3.0));
            scene.nodes[1].set_lag(4);
            let labels = [("state", "benched"), ("reason", "lagging")];
            scene.becomes("b", "forebay_node_state", &labels, 1.0).await;
            scene.nodes[1].set_lag(0);
            scene.balancer.node_becomes("b", 1.0).await;
        }
        "methods.deny" => {
            let answer = scene.call("eth_gasPrice").await.json();
            assert_eq!(answer["error"]["code"], -32601, "{answer}");
        }
        // Answered here, of what all nodes have.
        "consistency" => {
            let answer = scene.call("eth_blockNumber").await;
            assert_eq!(answer.node(), "local");
        }
        "cors.origins" => {
            for (origin, allowed) in [
                ("https://app.example", Some("https://app.example")),
                ("https://other.example", None),
            ] {
                let (headers, body) = ([("origin", origin)], call("1", "eth_getBalance"));
                let answer = scene.balancer.post_with("/", &headers, &body).await;
                assert_eq!(answer.header("access-control-allow-origin"), allowed);
            }
        }
        "calls.deadline" => {
            scene.nodes.iter().for_each(|node| {
                node.set_fault_for(&["eth_getCode"], forebay_fake::Fault::Stall);
            });
            let began = forebay::clock::now();
            let answer = scene.call("eth_getCode").await.json();
            assert!(answer["error"].is_object(), "{answer}");
            let took = forebay::clock::now() - began;
            assert!(took < Duration::from_secs(4), "{took:?}");
        }
        "log.calls" => {
            scene.call("eth_getCode").await;
            scene.balancer.logs("call eth_getCode failed").await;
            scene.nodes.iter().for_each(forebay_fake::FakeNode::mend);
        }
        _ => panic!("{key}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_with_mistakes_changes_nothing_and_every_mistake_is_told() {
    let scene = Pretend::set_with(&[1], BEFORE, "").await;
    let good = fs::read_to_string(path(&scene)).unwrap();
    let bad = good
        .replace("deny: []", "deny: [eth_gasPrice]")
        .replace("deadline: 30s", "deadline: soon")
        .replace("consistency: none", "consistancy: none");
    fs::write(path(&scene), &bad).unwrap();
    scene
        .balancer
        .logs("the configuration is not taken, and nothing changes")
        .await;
    for mistake in [
        "pingora.yaml:8: error: forebay.calls.deadline: expected a duration",
        "pingora.yaml:9: error: forebay.consistancy: unknown key; did you mean `consistency`?",
    ] {
        scene.balancer.logs(mistake).await;
    }
    assert_eq!(scene.balancer.metric(SUCCESSFUL, &[]).await, Some(0.0));
    assert_eq!(reloads(&scene, "refused").await, Some(1.0));
    assert!(scene.call("eth_gasPrice").await.result().is_string());
    let status = status(&scene).await;
    let event = &status["events"][0];
    assert_eq!(event["kind"], "configuration", "{status}");
    assert_eq!(event["level"], "error");
    // As it was: the trouble is over, and nothing has happened.
    fs::write(path(&scene), &good).unwrap();
    scene.balancer.becomes(SUCCESSFUL, &[], 1.0).await;
    assert_eq!(reloads(&scene, "unchanged").await, Some(1.0));
    // One that is empty is one that is being written, also when a signal hurries us.
    fs::write(path(&scene), "\n").unwrap();
    scene.balancer.process.signal(Signal::HUP);
    scene.balancer.logs("pingora.yaml is empty").await;
    fs::remove_file(path(&scene)).unwrap();
    scene.balancer.logs("No such file").await;
    scene.is_well().await;
    fs::write(path(&scene), &good).unwrap();
    scene.balancer.becomes(SUCCESSFUL, &[], 1.0).await;
    scene.keeps_its_secrets().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_needs_a_restart_is_named_and_the_rest_is_applied() {
    let scene = Pretend::set_with(&[1], BEFORE, "").await;
    let text = fs::read_to_string(path(&scene)).unwrap();
    let changed = text
        .replace("threads: 2", "threads: 3")
        .replace("{ block_time: 1s }", "{ id: 1, block_time: 2s }")
        .replace("deny: []", "deny: [eth_gasPrice]");
    let listen = format!(
        "  listen: {{ http: [\"{}\"], metrics: off, admin: \"{}\" }}",
        scene.balancer.rpc.address, scene.balancer.admin.address
    );
    let changed: Vec<_> = changed
        .lines()
        .map(|line| {
            if line.starts_with("  listen:") {
                listen.as_str()
            } else {
                line
            }
        })
        .collect();
    replace(&scene, &changed.join("\n"));
    scene
        .balancer
        .logs("a restart is needed for threads, forebay.chain.id, forebay.listen.metrics")
        .await;
    scene
        .balancer
        .logs("the configuration has changed: forebay.chain.block_time, forebay.methods.deny")
        .await;
    let waiting = scene
        .balancer
        .metric("forebay_config_settings_waiting", &[]);
    assert_eq!(waiting.await, Some(3.0));
    let labels = [("key", "chain.block_time")];
    let block_time = scene.balancer.metric("forebay_setting_seconds", &labels);
    assert_eq!(block_time.await, Some(2.0));
    let status = status(&scene).await;
    let waiting = &status["configuration"]["waiting"];
    let keys = ["threads", "forebay.chain.id", "forebay.listen.metrics"];
    assert_eq!(*waiting, serde_json::json!(keys), "{status}");
    let answer = scene.call("eth_gasPrice").await.json();
    assert_eq!(answer["error"]["code"], -32601, "{answer}");
    replace(&scene, &text);
    let waiting = "forebay_config_settings_waiting";
    scene.balancer.becomes(waiting, &[], 0.0).await;
    assert!(scene.call("eth_gasPrice").await.result().is_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_followed_through_a_link_that_leads_elsewhere() {
    let scene = Pretend::set_with(&[1], BEFORE, "").await;
    let folder = scene.balancer.folder();
    let text = fs::read_to_string(path(&scene)).unwrap();
    // As Kubernetes mounts them: the file is a link through a link that is swapped.
    for (name, deny) in [("one", ""), ("two", "eth_gasPrice")] {
        fs::create_dir(folder.join(name)).unwrap();
        let text = text.replace("deny: []", &format!("deny: [{deny}]"));
        fs::write(folder.join(name).join("pingora.yaml"), text).unwrap();
    }
    let lead = |to: &str| {
        symlink(to, folder.join("data_tmp")).unwrap();
        fs::rename(folder.join("data_tmp"), folder.join("..data")).unwrap();
    };
    lead("one");
    symlink("..data/pingora.yaml", folder.join("link")).unwrap();
    fs::rename(folder.join("link"), path(&scene)).unwrap();
    assert!(scene.call("eth_gasPrice").await.result().is_string());
    lead("two");
    scene
        .balancer
        .logs("the configuration has changed: forebay.methods.deny")
        .await;
    let answer = scene.call("eth_gasPrice").await.json();
    assert_eq!(answer["error"]["code"], -32601, "{answer}");
}

/// A configuration whose nodes are `nodes`, each a name and what else there is to say of it.
fn listing(text: &str, node: &forebay_fake::FakeNode, nodes: &[(&str, &str)]) -> String {
    let items = nodes
        .iter()
        .map(|(name, more)| format!("{{ url: \"{}/{name}\", name: {name}{more} }}", node.url()));
    let nodes = format!("nodes: [{}]", items.collect::<Vec<_>>().join(", "));
    text.replace("nodes: []", &nodes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_list_follows_the_files_nodes_and_what_a_command_says_stands_over_it() {
    let chain = forebay_fake::FakeChain::still(1, 100);
    let node = pretend_node(&chain).await;
    let balancer = Balancer::start(&format!("{QUICK}  nodes: []\n"), &[]).await;
    let path = balancer.folder().join("pingora.yaml");
    let text = fs::read_to_string(&path).unwrap();
    let put = |nodes: &[(&str, &str)]| fs::write(&path, listing(&text, &node, nodes)).unwrap();
    let weighs = async |name: &str, weight: Option<f64>| {
        soon(&format!("{name} weighs {weight:?}"), async || {
            let labels = [("node", name)];
            balancer.metric("forebay_node_weight", &labels).await == weight
        })
        .await;
    };
    put(&[("one", "")]);
    weighs("one", Some(1.0)).await;
    let elsewhere = format!("{}/by-command", node.url());
    balancer.obeys(&["backends", "add", &elsewhere, "--name", "two"]);
    // Added, changed and taken away; the node of the command stays.
    put(&[("one", ", weight: 3"), ("three", "")]);
    weighs("one", Some(3.0)).await;
    weighs("three", Some(1.0)).await;
    weighs("two", Some(1.0)).await;
    let said = balancer.ends(&["backends", "remove", "one"], 1);
    assert_says(&said, "one stands under `nodes:`");
    balancer.obeys(&["backends", "set", "one", "--weight", "0"]);
    weighs("one", Some(0.0)).await;
    put(&[
        ("one", ", weight: 3, ws: \"ws://127.0.0.1:1\""),
        ("four", ""),
    ]);
    weighs("four", Some(1.0)).await;
    weighs("three", None).await;
    weighs("one", Some(0.0)).await;
    let said = balancer.obeys(&["backends", "list"]);
    assert!(said.contains("0 (file: 3)"), "{said}");
    let said = balancer.ends(&["backends", "diff"], 5);
    let told = "one: weight is 0, and 3 in the file\ntwo: only in the registry\n";
    assert!(said.starts_with(told), "{said}");
    let printed = balancer.process.printed();
    assert!(printed.contains("one: weight is 0, and 3 in the file"));
    balancer.obeys(&["backends", "set", "one", "--as-in-file"]);
    weighs("one", Some(3.0)).await;
    balancer.ends(&["backends", "set", "two", "--as-in-file"], 1);
    balancer.obeys(&["backends", "remove", "two"]);
    balancer.obeys(&["backends", "diff"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_of_an_earlier_release_is_taken_over_and_lets_in_what_is_fit() {
    let chain = forebay_fake::FakeChain::still(1, 100);
    let node = pretend_node(&chain).await;
    let mut balancer = Balancer::start(&format!("{QUICK}  nodes: []\n"), &[]).await;
    let url = |name: &str| format!("{}/{name}", node.url());
    for name in ["kept", "drained"] {
        balancer.obeys(&["backends", "add", &url(name), "--name", name]);
    }
    balancer.obeys(&["backends", "set", "drained", "--weight", "0"]);
    balancer.process.kill();
    let registry = rusqlite::Connection::open(balancer.folder().join("forebay.db")).unwrap();
    let ages = "ALTER TABLE nodes DROP COLUMN in_file; ALTER TABLE nodes DROP COLUMN pending; \
                ALTER TABLE history DROP COLUMN is_older;";
    registry.execute_batch(ages).unwrap();
    drop(registry);
    let path = balancer.folder().join("pingora.yaml");
    let text = fs::read_to_string(&path).unwrap();
    let dead = "dead, url: \"http://127.0.0.1:1\"";
    let listed = listing(
        &text,
        &node,
        &[("drained", ", weight: 2"), ("removed", ", weight: 4")],
    );
    let listed = listed.replace("nodes: [", &format!("nodes: [{{ name: {dead} }}, "));
    fs::write(&path, listed).unwrap();
    balancer.start_again().await;
    let weight = async |name: &str| {
        balancer
            .metric("forebay_node_weight", &[("node", name)])
            .await
    };
    soon("the fit one comes in", async || {
        weight("removed").await == Some(4.0)
    })
    .await;
    assert_eq!(weight("kept").await, Some(1.0), "no node is lost");
    assert_eq!(weight("drained").await, Some(0.0), "a drain stands");
    assert_eq!(
        weight("dead").await,
        Some(0.0),
        "what isn't fit doesn't come in"
    );
    let printed = balancer.process.printed();
    for told in [
        "removed stands in the configuration and not in the registry",
        "dead stands in the configuration and not in the registry",
        "removed stands in the configuration, and the registry of an earlier release lacked it",
    ] {
        assert_eq!(printed.matches(told).count(), 1, "{told}");
    }
    let said = balancer.ends(&["backends", "diff"], 5);
    assert!(said.contains("dead: only in the file so far"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_token_of_the_admin_listener_holds_at_once() {
    let more = "  admin: { token: \"first-token-of-all\" }\n";
    let scene = Pretend::set_with(&[1], BEFORE, more).await;
    let status = async |token: &str| {
        let look = Console::new(scene.balancer.admin.address, "GET", "/status");
        look.token(token).ask().await.status
    };
    assert_eq!(status("first-token-of-all").await, 200);
    edit(&scene, "first-token-of-all", "second-token-of-all");
    scene
        .balancer
        .logs("the configuration has changed: forebay.admin.token")
        .await;
    assert_eq!(status("first-token-of-all").await, 401);
    assert_eq!(status("second-token-of-all").await, 200);
    assert!(!scene.balancer.process.printed().contains("token-of-all"));
}

// Stage-hands.

fn path(scene: &Pretend) -> PathBuf {
    scene.balancer.folder().join("pingora.yaml")
}

/// Changes the file in place.
fn edit(scene: &Pretend, from: &str, to: &str) {
    let text = fs::read_to_string(path(scene)).unwrap();
    assert!(text.contains(from), "{from}");
    fs::write(path(scene), text.replace(from, to)).unwrap();
}

/// Puts another file in its place, as most editors do.
fn replace(scene: &Pretend, text: &str) {
    let new = scene.balancer.folder().join("new.yaml");
    fs::write(&new, text).unwrap();
    fs::rename(new, path(scene)).unwrap();
}

async fn status(scene: &Pretend) -> serde_json::Value {
    let look = Console::new(scene.balancer.admin.address, "GET", "/status");
    look.ask().await.json()
}

async fn reloads(scene: &Pretend, outcome: &str) -> Option<f64> {
    let name = "forebay_config_reloads_total";
    scene.balancer.metric(name, &[("outcome", outcome)]).await
}

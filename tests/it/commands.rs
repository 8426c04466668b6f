//! The command line, as an operator uses it: what it prints, and the exit codes.

use std::process::Output;

use crate::support::{
    Anvil, Balancer, Load, PATIENCE, QUICK, Scene, assert_says, in_repository, soon,
};

fn run(balancer: &Balancer, arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = balancer.command(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (status.code(), text(stdout), text(stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_are_added_listed_changed_and_removed_while_the_balancer_runs() {
    let scene = Scene::set(&[1], "").await;
    let balancer = &scene.balancer;
    let url = scene.own[0].url();
    let again = run(balancer, &["backends", "add", &format!("{url}/")]);
    assert_eq!(again.0, Some(1), "one node isn't two: {again:?}");
    let more = format!("{url}/?two");
    let added = run(
        balancer,
        &["backends", "add", &more, "--name", "two", "--weight", "3"],
    );
    assert_eq!(added.0, Some(0), "{added:?}");
    let item: serde_json::Value = serde_json::from_str(&added.1).unwrap();
    assert_eq!(
        (item["name"].as_str(), item["weight"].as_u64()),
        (Some("two"), Some(3))
    );
    scene.becomes("two", 1.0).await;
    let listed = run(balancer, &["backends", "list", "--chain", "main", "--json"]);
    let items: Vec<serde_json::Value> = serde_json::from_str(&listed.1).unwrap();
    assert_eq!(items.len(), 3);
    assert!(
        items.iter().all(|item| item["when_added"].is_string()),
        "{items:?}"
    );
    assert_eq!(
        run(balancer, &["backends", "set", "two", "--weight", "0"]).0,
        Some(0)
    );
    let two = [("node", "two")];
    balancer.becomes("forebay_node_weight", &two, 0.0).await;
    assert_eq!(
        run(balancer, &["backends", "set", "two", "--weight", "1001"]).0,
        Some(1)
    );
    assert_eq!(run(balancer, &["backends", "remove", &more]).0, Some(0));
    assert_eq!(run(balancer, &["backends", "remove", "two"]).0, Some(3));
    assert_eq!(run(balancer, &["backends", "frobnicate"]).0, Some(2));
    let elsewhere = run(balancer, &["backends", "--chain", "base", "list"]);
    assert_eq!(elsewhere.0, Some(1), "{elsewhere:?}");
    assert!(
        elsewhere.2.contains("there is no chain base"),
        "{elsewhere:?}"
    );
    let reserved = run(balancer, &["probe", "--chain", "status"]);
    assert_eq!(reserved.0, Some(2), "{reserved:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probe_says_which_nodes_are_fit_and_why() {
    let mut scene = Scene::set(&[1, 1], "").await;
    scene.own[1].process.kill();
    let (code, table, _) = run(&scene.balancer, &["probe"]);
    assert_eq!(code, Some(0));
    let line = |name: &str| {
        table
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_default()
    };
    assert!(line("a ").contains("fit"), "{table}");
    assert!(
        line("b ").contains("refused  connection refused"),
        "{table}"
    );
    let (_, json, _) = run(&scene.balancer, &["probe", "--json"]);
    let probed: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(probed["chain_id"], 1);
    assert_eq!(probed["nodes"].as_array().map(Vec::len), Some(3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_is_an_exit_code_also_when_nothing_listens() {
    let mut balancer = Balancer::start(QUICK, &[]).await;
    assert_eq!(run(&balancer, &["health"]).0, Some(0));
    balancer.process.terminate();
    let ended = balancer.process.ended(PATIENCE).await;
    assert!(ended.success());
    assert_eq!(run(&balancer, &["health"]).0, Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shipped_configuration_has_no_mistake_and_a_bad_one_has_all_of_its() {
    let balancer = Balancer::start(QUICK, &[]).await;
    let shipped = in_repository("conf/pingora.yaml");
    let mut command = balancer.command(&["check"]);
    let output = command.arg("-c").arg(&shipped).output();
    // The harness names its own configuration too: the command takes one.
    assert_eq!(output.unwrap().status.code(), Some(2));
    let bad = balancer.folder().join("bad.yaml");
    let text = "version: 1\nforebay:\n  health: { intervall: 5s, timeout: soon }\n  nodes: [ { url: \"ftp://x\" } ]\n";
    std::fs::write(&bad, text).unwrap();
    let check = |path: &std::path::Path| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_forebay"));
        command.arg("check").arg("-c").arg(path).output().unwrap()
    };
    assert_eq!(check(&shipped).status.code(), Some(0));
    let output = check(&bad);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    for wanted in [
        ":3: error:",
        "did you mean `interval`",
        "forebay.health.timeout",
        ":4: error:",
    ] {
        assert!(said.contains(wanted), "{wanted} in {said}");
    }
    assert_eq!(
        check(&balancer.folder().join("none.yaml")).status.code(),
        Some(1)
    );
}

#[test]
fn a_configuration_is_printed_as_it_is_taken_and_described_for_editors() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.yaml");
    let ask = |text: &str, more: &[&str]| {
        std::fs::write(&file, text).unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_forebay"));
        command.arg("check").arg("-c").arg(&file).args(more);
        let output = command.output().unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    let text = "version: 1\nthreads: 1\nforebay:\n  health: { fall: 4 }\n  admin: { token: s3crets3crets3cret }\n";
    let (code, printed) = ask(text, &["--print"]);
    assert_eq!(code, Some(0), "{printed}");
    assert_says(&printed, "fall: 4\n");
    assert_says(&printed, "rise: 2\n");
    assert!(!printed.contains("s3cret"), "{printed}");
    // What it prints is a configuration.
    assert_eq!(ask(&printed, &[]).0, Some(0), "{printed}");
    let (code, printed) = ask("forebay: { health: { fall: no } }", &["--print"]);
    assert_eq!((code, printed.as_str()), (Some(1), ""));
    let (code, schema) = ask("", &["--schema"]);
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    assert_eq!(code, Some(0));
    assert!(schema["properties"]["forebay"]["properties"]["health"].is_object());
    assert_eq!(ask("", &["--schema", "--print"]).0, Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_registry_outlives_the_balancer_and_its_loss_the_list() {
    let scene = Scene::set(&[1], "").await;
    soon("the last list is written", async || {
        scene.balancer.folder().join("last-list.json").exists()
    })
    .await;
    // Not a database any more: the running balancer goes on.
    for suffix in ["", "-wal", "-shm"] {
        let file = scene.balancer.folder().join(format!("forebay.db{suffix}"));
        std::fs::remove_file(file).unwrap();
    }
    std::fs::create_dir(scene.balancer.folder().join("forebay.db")).unwrap();
    scene.rounds_pass(5).await;
    let tally = Load::start(&scene.balancer.url(), 50, 2).finish().await;
    tally.no_call_failed();
    assert_eq!(run(&scene.balancer, &["backends", "list"]).0, Some(4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_may_be_named_and_its_name_is_resolved() {
    let anvil = Anvil::start(&["--chain-id", "1"]).await;
    let balancer = Balancer::before(
        QUICK,
        "named",
        &format!("http://localhost:{}", anvil.port()),
    )
    .await;
    // A busy machine may have its first rounds fail.
    soon("the node answers", async || {
        let served = balancer.ask("eth_gasPrice", serde_json::json!([])).await;
        served["result"].is_string()
    })
    .await;
}

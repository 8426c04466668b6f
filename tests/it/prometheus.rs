//! What Prometheus and Grafana are given is true: a real Prometheus scrapes a running balancer, the
//! dashboard's every query finds something there, and each alert has its test and its entry in the
//! runbook.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::Duration;

use forebay_fake::{FakeChain, FakeNode, Fault};
use serde_json::Value;

use crate::support::{
    Anvil, Balancer, Prometheus, QUICK, call, eventually, in_repository, part, pretend_node,
};

const DASHBOARD: &str = "dashboards/forebay.json";
const RULES: &str = "dashboards/prometheus/rules.yml";
const RULES_TEST: &str = "dashboards/prometheus/rules_test.yml";
const RUNBOOK: &str = "docs/guide/runbook.md";
/// What stands before the name of an alert in the rules.
const ALERT: &str = "- alert: ";
/// Rates need two scrapes, recorded rules two evaluations; the machine may do much else.
const SOON: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_dashboards_every_query_finds_something_and_every_metric_exists() {
    let scene = Scene::set().await;
    let prometheus = Prometheus::start(scene.balancer.metrics.address).await;
    let queries = queries();
    assert!(queries.len() > 50, "the dashboard is somewhere else");
    for query in &queries {
        let expanded = expanded(query);
        eventually(&format!("{expanded} finds a number"), SOON, async || {
            scene.is_used().await;
            let found = prometheus.query(&expanded).await;
            found.iter().any(|value| value.is_finite())
        })
        .await;
    }
    let rules = prometheus.rules().await;
    for rule in &rules {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
    let expressions = rules.iter().map(|rule| rule["query"].as_str().unwrap());
    let known: BTreeSet<String> = prometheus.names().await.into_iter().collect();
    let all = expressions.chain(queries.iter().map(String::as_str));
    for name in all.flat_map(metrics_in) {
        // Of listeners with certificates, which this one has none of: see `half_alive`.
        let is_of_certificates = name == "forebay_certificate_expiry_timestamp_seconds";
        let is_known = known.contains(name) || is_of_certificates;
        assert!(is_known, "there is no metric {name}");
    }
}

#[test]
fn each_alert_has_its_entry_in_the_runbook_and_the_other_way_round() {
    let rules = read(RULES);
    let mut lines = rules.lines().map(str::trim);
    while let Some(line) = lines.next() {
        let Some(alert) = line.strip_prefix(ALERT) else {
            continue;
        };
        let link = lines.find_map(|line| line.strip_prefix("runbook_url: "));
        let wanted = format!("{RUNBOOK}#{}", alert.to_lowercase());
        assert_eq!(link, Some(&*wanted), "{alert}");
    }
    let runbook = read(RUNBOOK);
    let entries: Vec<_> = runbook
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .collect();
    assert_eq!(entries, alerts(&rules), "in the order of the rules");
}

#[test]
fn each_alert_fires_in_its_test_and_nothing_else_does() {
    for (command, file) in [("check", RULES), ("test", RULES_TEST)] {
        succeeds(
            Command::new(part("promtool"))
                .args([command, "rules"])
                .arg(in_repository(file)),
        );
    }
    let tests = read(RULES_TEST);
    for alert in alerts(&read(RULES)) {
        let fires = format!("alertname=\"{alert}\"");
        assert!(tests.contains(&fires), "{alert} fires in no test");
    }
}

#[test]
fn the_examples_are_read_by_their_programs() {
    let prometheus = in_repository("dashboards/prometheus/prometheus.yml");
    succeeds(
        Command::new(part("promtool"))
            .args(["check", "config"])
            .arg(prometheus),
    );
    let alertmanager = in_repository("dashboards/alertmanager.yml");
    succeeds(
        Command::new(part("amtool"))
            .arg("check-config")
            .arg(&alertmanager),
    );
    for (severity, receiver) in [("page", "slack-pages"), ("ticket", "slack-tickets")] {
        let mut route = Command::new(part("amtool"));
        route.args(["config", "routes", "test"]);
        route.arg(format!("--config.file={}", alertmanager.display()));
        let routed = succeeds(route.arg(format!("severity={severity}")));
        assert_eq!(routed.trim(), receiver);
    }
}

#[test]
fn grafana_knows_every_key_of_the_dashboard() {
    let mut check = Command::new(in_repository(".parts/venv/bin/python"));
    check.arg(in_repository("tests/dashboard.py"));
    let said = succeeds(check.arg(in_repository(DASHBOARD)));
    assert!(said.contains("nothing lost"), "{said}");
}

#[test]
fn names_of_metrics_are_found_in_an_expression() {
    let found: Vec<_> = metrics_in(
        "sum by (forebay) (rate(forebay_calls_total{job=\"forebay_x\"}[5m])) / job:forebay_calls:rate5m",
    )
    .collect();
    assert_eq!(found, ["forebay_calls_total", "job:forebay_calls:rate5m"]);
}

// Stage-hands.

/// A balancer to which everything has happened that the dashboard shows: nodes that fail, a leader
/// that helps out, a node that never answers, one that tells its heads over a WebSocket.
struct Scene {
    balancer: Balancer,
    _nodes: Vec<FakeNode>,
    _teller: Anvil,
}

impl Scene {
    async fn set() -> Scene {
        let chain = FakeChain::still(1, 100);
        let mut nodes = Vec::new();
        let mut yaml = format!("{QUICK}  nodes:\n");
        for name in ["leader", "a", "b", "gone"] {
            let node = pretend_node(&chain).await;
            let role = if name == "leader" {
                ", leader: true"
            } else {
                ""
            };
            yaml += &format!("    - {{ url: \"{}\", name: {name}{role} }}\n", node.url());
            nodes.push(node);
        }
        for own in &nodes[1..3] {
            own.set_fault_for(&["eth_gasPrice"], Fault::HangUp);
        }
        drop(nodes.pop());
        let teller = Anvil::start(&["--chain-id", "1"]).await;
        yaml += &format!("    - {{ url: \"{}\", name: teller }}\n", teller.url());
        let balancer = Balancer::start(&yaml, &[]).await;
        let scene = Scene {
            balancer,
            _nodes: nodes,
            _teller: teller,
        };
        eventually("the leader has helped out", SOON, async || {
            scene.is_used().await;
            let helped = scene
                .balancer
                .metric("forebay_fallback_calls_total", &[])
                .await;
            helped > Some(0.0)
        })
        .await;
        scene
    }

    /// A call that goes well, one that fails on own nodes, and a batch.
    async fn is_used(&self) {
        let (good, bad) = (call("1", "eth_getBalance"), call("2", "eth_gasPrice"));
        for body in [&good, &bad, &format!("[{good},{good}]")] {
            self.balancer.post(body).await;
        }
    }
}

/// What the dashboard asks: its panels' queries, and what fills its variables.
fn queries() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let targets = list(&dashboard["panels"])
        .into_iter()
        .flat_map(|panel| list(&panel["targets"]));
    let panels = targets.map(|target| target["expr"].as_str().unwrap().to_string());
    let variables = list(&dashboard["templating"]["list"]).into_iter();
    let labels = variables.filter_map(|variable| {
        let query = variable["query"]["query"].as_str()?.to_string();
        let inside = query.strip_prefix("label_values(")?.strip_suffix(')')?;
        let (metric, label) = inside.rsplit_once(", ")?;
        Some(format!("count by ({label}) ({metric})"))
    });
    panels.chain(labels).collect()
}

/// A query as Grafana sends it when all is chosen.
fn expanded(query: &str) -> String {
    let mut expanded = query.replace("$__rate_interval", "10s");
    for variable in ["$job", "$instance", "$chain", "$node", "$method"] {
        expanded = expanded.replace(variable, ".*");
    }
    assert!(!expanded.contains('$'), "{expanded}");
    expanded
}

/// The names of metrics and recorded series in an expression, not what stands in its quotes.
fn metrics_in(expression: &str) -> impl Iterator<Item = &str> {
    let is_of_a_name = |letter: char| letter.is_ascii_alphanumeric() || "_:".contains(letter);
    let words = expression.split('"').step_by(2);
    let words = words.flat_map(move |bare| bare.split(move |letter| !is_of_a_name(letter)));
    words.filter(|word| word.starts_with("process_") || word.contains("forebay_"))
}

fn alerts(rules: &str) -> Vec<&str> {
    let names = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix(ALERT));
    names.collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(in_repository(path)).unwrap()
}

/// Runs it to its end; what it printed.
#[track_caller]
fn succeeds(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?}: {printed}{complaints}"
    );
    printed
}

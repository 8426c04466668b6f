//! Stories about the lines for CloudWatch, each held against the format's specification.

use std::time::Instant;

use super::*;
use crate::observe::metrics::{CallOutcome, ChainMetrics, ProcessMetrics};
use forebay_core::fleet::{FleetMember, ProbeOutcome};
use forebay_core::testing;
use forebay_core::vocabulary::chain::{BlockNumber, ChainId};
use forebay_core::vocabulary::node::{NodeId, Weight};

const NOW: u64 = 1_700_000_000_123;

#[test]
fn each_line_is_what_the_specification_asks_for() {
    let view = fleet(&[
        ("geth-1", Role::Own, 1, 97),
        ("infura", Role::Leader, 1, 100),
    ]);
    let lines = read(&view);
    assert_eq!(lines.len(), 3, "the fleet and two nodes");
    for line in &lines {
        assert_eq!(faults(line), Vec::<String>::new(), "{line}");
    }
}

#[test]
fn the_fleets_line_has_the_agreed_names() {
    let view = fleet(&[
        ("geth-1", Role::Own, 1, 97),
        ("infura", Role::Leader, 1, 100),
    ]);
    let line = &read(&view)[0];
    assert_eq!(line["_aws"]["Timestamp"], NOW);
    let metrics = &line["_aws"]["CloudWatchMetrics"][0];
    assert_eq!(metrics["Namespace"], "Forebay");
    let sets = json!([["Service"], ["Service", "Chain"]]);
    assert_eq!(
        metrics["Dimensions"], sets,
        "of all chains, and of this one"
    );
    assert_eq!(
        (&line["Service"], &line["Chain"]),
        (&json!("forebay-prod"), &json!("base"))
    );
    assert_eq!(line["HealthyNodes"], 1);
    assert_eq!(line["FallbackInUse"], 0);
    assert_eq!(line["TryAgainResponses"], 3);
    assert_eq!(line["UnanswerableCalls"], 2);
    assert_eq!(
        (&line["Calls"], &line["FailedCalls"]),
        (&json!(7), &json!(1))
    );
    assert_eq!(line["CallTimeP99"], 250.0);
    assert_eq!(line["RegistryAge"], 7);
}

#[test]
fn nodes_of_a_chain_without_a_name_appear_without_its_dimension_too() {
    let view = fleet(&[("geth-1", Role::Own, 1, 97)]);
    let lines = read_of(&view, "main");
    let sets = |line: &Value| line["_aws"]["CloudWatchMetrics"][0]["Dimensions"].clone();
    let wanted = json!([["Service", "Node"], ["Service", "Chain", "Node"]]);
    assert_eq!(sets(&lines[1]), wanted);
    for line in &lines {
        assert_eq!(faults(line), Vec::<String>::new(), "{line}");
        assert_eq!(line["Chain"], "main");
    }
}

#[test]
fn the_processs_own_line_names_no_chain() {
    let line = certificate_line(&labels("base"), 13, NOW);
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(faults(&line), Vec::<String>::new(), "{line}");
    let metrics = &line["_aws"]["CloudWatchMetrics"][0];
    assert_eq!(metrics["Dimensions"], json!([["Service"]]));
    assert_eq!(line["CertificateDays"], 13);
    assert_eq!(line.get("Chain"), None);
}

#[test]
fn a_nodes_line_has_its_head_its_difference_and_its_probe_time() {
    let view = fleet(&[
        ("geth-1", Role::Own, 1, 97),
        ("geth-2", Role::Own, 1, 102),
        ("infura", Role::Leader, 1, 100),
    ]);
    let lines = read(&view);
    let metrics = &lines[1]["_aws"]["CloudWatchMetrics"][0];
    assert_eq!(metrics["Dimensions"], json!([["Service", "Chain", "Node"]]));
    assert_eq!(
        metrics["Metrics"],
        json!([
            { "Name": "BlockNumber", "Unit": "None" },
            { "Name": "DifferenceToLeader", "Unit": "Count" },
            { "Name": "ProbeTime", "Unit": "Milliseconds" },
        ])
    );
    for (line, node, head, behind) in [
        (1, "geth-1", 97, 3),
        (2, "geth-2", 102, -2),
        (3, "infura", 100, 0),
    ] {
        let line = &lines[line];
        assert_eq!(line["Node"], node);
        assert_eq!(line["BlockNumber"], head);
        assert_eq!(line["DifferenceToLeader"], behind, "{node}");
        assert_eq!(line["ProbeTime"], 1.5);
    }
}

#[test]
fn without_a_fit_own_node_the_fallback_is_in_use_as_long_as_there_is_one() {
    let of = |nodes: &[(&'static str, Role, u64, u64)]| {
        let line = read(&fleet(nodes)).swap_remove(0);
        (line["HealthyNodes"].clone(), line["FallbackInUse"].clone())
    };
    let leader = ("infura", Role::Leader, 1, 100);
    assert_eq!(
        of(&[("geth-1", Role::Own, 1, 90), leader]),
        (json!(1), json!(0))
    );
    assert_eq!(
        of(&[("geth-1", Role::Own, 1, 89), leader]),
        (json!(0), json!(1))
    );
    let drained = ("geth-1", Role::Own, 0, 100);
    assert_eq!(of(&[drained, leader]), (json!(0), json!(1)), "drained");
    assert_eq!(
        of(&[("geth-1", Role::Own, 0, 100)]),
        (json!(0), json!(0)),
        "no other node helps"
    );
}

#[test]
fn what_is_not_known_is_left_out() {
    let text = |view: &FleetView, probe_time: Option<Duration>| {
        let figures = ChainFigures::default();
        lines(view, &labels("base"), &|_| probe_time, &figures, NOW)
    };
    assert_eq!(text(&FleetView::default(), None), "");
    let mut fleet = testing::fleet_of([member(0, "geth-1", Role::Own, 1)], now());
    fleet.hear_round(&[(NodeId(0), ProbeOutcome::Failed)], now());
    let silent = fleet.view();
    let unknown = text(&silent, None);
    assert_eq!(unknown.lines().count(), 1, "nothing of the node: {unknown}");
    let text = text(&silent, Some(Duration::from_secs(2)));
    let line: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(faults(&line), Vec::<String>::new());
    assert_eq!(line["ProbeTime"], 2000.0);
    assert_eq!(line.get("BlockNumber"), None);
    let of_fleet: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(of_fleet["Calls"], 0);
    assert_eq!(of_fleet.get("CallTimeP99"), None);
    assert_eq!(of_fleet.get("RegistryAge"), None);
}

#[test]
fn the_specification_is_held_to() {
    let view = fleet(&[("geth-1", Role::Own, 1, 97)]);
    let good = read(&view).swap_remove(1);
    for (place, bad) in [
        ("/_aws/Timestamp", json!(1.5)),
        ("/_aws/Timestamp", json!("1700000000123")),
        ("/_aws/Timestamp", json!(1_700_000_000)),
        ("/_aws/CloudWatchMetrics/0/Namespace", json!("")),
        ("/_aws/CloudWatchMetrics/0/Dimensions", json!([])),
        ("/_aws/CloudWatchMetrics/0/Dimensions/0", json!(["Nobody"])),
        ("/_aws/CloudWatchMetrics/0/Metrics/0/Name", json!("Nothing")),
        ("/_aws/CloudWatchMetrics/0/Metrics/0/Unit", json!("Blocks")),
        ("/Node", json!(7)),
        ("/BlockNumber", json!("97")),
    ] {
        let mut line = good.clone();
        *line.pointer_mut(place).unwrap() = bad;
        assert_ne!(faults(&line), Vec::<String>::new(), "{place}");
    }
}

// Helpers.

/// What of the specification's schema a line breaks: the root has `_aws`, that has a `Timestamp` in
/// milliseconds and directives with `Namespace`, `Dimensions` and `Metrics`, and each dimension and
/// metric that they name is a member of the root, of the right kind.
fn faults(line: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let mut demand = |holds: bool, what: &str| {
        if !holds {
            faults.push(what.to_string());
        }
    };
    let meta = &line["_aws"];
    // In milliseconds: not before 2001 and not after 2286, which seconds would be.
    let millis = meta["Timestamp"].as_u64().unwrap_or(0);
    demand(
        (1_000_000_000_000..10_000_000_000_000).contains(&millis),
        "Timestamp",
    );
    let none = Vec::new();
    let list = |value: &'_ Value| value.as_array().cloned().unwrap_or_default();
    let directives = meta["CloudWatchMetrics"].as_array().unwrap_or(&none);
    demand(!directives.is_empty(), "CloudWatchMetrics");
    for directive in directives {
        let namespace = directive["Namespace"].as_str().unwrap_or("");
        demand((1..=1024).contains(&namespace.len()), "Namespace");
        let sets = list(&directive["Dimensions"]);
        demand(!sets.is_empty(), "Dimensions");
        for set in sets {
            let set = list(&set);
            demand(set.len() <= 30, "a set of dimensions");
            for name in set {
                let name = name.as_str().unwrap_or("");
                demand((1..=250).contains(&name.len()), "a dimension's name");
                let value = line[name].as_str().unwrap_or("");
                demand((1..=1024).contains(&value.len()), "a dimension's value");
            }
        }
        let metrics = list(&directive["Metrics"]);
        demand((1..=100).contains(&metrics.len()), "Metrics");
        for metric in metrics {
            let name = metric["Name"].as_str().unwrap_or("");
            demand((1..=1024).contains(&name.len()), "a metric's name");
            let unit = metric["Unit"].as_str().unwrap_or("");
            let units = ["Count", "Milliseconds", "Seconds", "None"];
            demand(units.contains(&unit), "a unit");
            demand(line[name].is_number(), "a metric's value");
        }
    }
    faults
}

#[test]
fn the_certificate_that_expires_first_counts() {
    let metrics = ProcessMetrics::new();
    let now = NOW / 1000;
    assert_eq!(metrics.certificate_days(now), None);
    let expires = |port: u16, days: i64| {
        let at = i64::try_from(now).unwrap() + days * 86_400;
        metrics.certificate_expires(([127, 0, 0, 1], port).into(), at + 5);
    };
    expires(1, 90);
    expires(2, 13);
    assert_eq!(metrics.certificate_days(now), Some(13));
    assert_eq!(metrics.certificate_days(now + 6), Some(12));
    expires(2, -1);
    assert_eq!(metrics.certificate_days(now), Some(-1));
}

fn labels(chain: &str) -> CloudWatchLabels {
    CloudWatchLabels {
        namespace: "Forebay".to_string(),
        service: "forebay-prod".to_string(),
        chain: chain.parse().unwrap(),
    }
}

fn read(view: &FleetView) -> Vec<Value> {
    read_of(view, "base")
}

fn read_of(view: &FleetView, chain: &str) -> Vec<Value> {
    let text = lines(
        view,
        &labels(chain),
        &|_| Some(Duration::from_micros(1500)),
        &ChainFigures {
            traffic: traffic(),
            registry_age: Some(Duration::from_secs(7)),
        },
        NOW,
    );
    assert!(text.ends_with('\n'));
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().unwrap()
}

/// Of four calls that were answered, one that failed and two that no node can answer.
fn traffic() -> Traffic {
    let metrics = ChainMetrics::alone();
    let method = metrics.method(None);
    for outcome in [
        CallOutcome::Ok,
        CallOutcome::Ok,
        CallOutcome::RpcError,
        CallOutcome::Refused,
        CallOutcome::Failed,
        CallOutcome::Unanswerable,
        CallOutcome::Unanswerable,
        CallOutcome::Cancelled,
    ] {
        method.called(outcome, Duration::from_millis(200));
    }
    (0..3).for_each(|_| metrics.try_again_response());
    metrics.traffic()
}

fn now() -> Instant {
    crate::clock::now()
}

fn member(id: u32, name: &str, role: Role, weight: u64) -> FleetMember {
    FleetMember {
        name: name.into(),
        role,
        weight: Weight::new(weight).unwrap(),
        ..testing::member(id)
    }
}

/// A fleet after one round in which these nodes told their heads.
fn fleet(nodes: &[(&'static str, Role, u64, u64)]) -> FleetView {
    let numbered = || (0..).zip(nodes);
    let members = numbered().map(|(id, (name, role, weight, _))| member(id, name, *role, *weight));
    let mut fleet = testing::fleet_of(members, now());
    let probes = numbered().map(|(id, (_, _, _, head))| {
        let answered = ProbeOutcome::Answered {
            head: BlockNumber(*head),
            chain_id: Some(ChainId(1)),
            syncing: false,
        };
        (NodeId(id), answered)
    });
    fleet.hear_round(&probes.collect::<Vec<_>>(), now());
    fleet.view()
}

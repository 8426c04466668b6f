//! What is told of nodes and of the fleet: gauges of the view, and what nodes' attempts came to.

use super::*;

#[test]
fn the_fleets_gauges_say_what_the_view_says() {
    let mut scene = Scene::new(&[("geth-1", Role::Own, 3), ("infura", Role::Leader, 1)]);
    let text = scene.round(&[answered(97), answered(100)]);
    for (series, wanted) in [
        ("node_block_number{node=\"geth-1\"}", 97),
        ("node_lag_blocks{node=\"geth-1\"}", 3),
        ("node_head_difference_blocks{node=\"geth-1\"}", -3),
        ("node_healthy{node=\"geth-1\"}", 1),
        ("node_weight{node=\"geth-1\"}", 3),
        ("node_in_flight{node=\"geth-1\"}", 0),
        ("nodes{rung=\"own\"}", 1),
        ("nodes{rung=\"fallback\"}", 0),
        ("nodes_healthy{rung=\"leader\"}", 1),
        ("nodes_serving{rung=\"own\"}", 1),
        ("reference_block_number", 100),
        ("served_block_number", 97),
        ("block_time_seconds", 12),
        ("reference_source{source=\"leader\"}", 1),
        ("reference_source{source=\"quorum\"}", 0),
        ("reference_source{source=\"held\"}", 0),
        ("last_round_timestamp_seconds", 1_700_000_001),
    ] {
        assert_eq!(ours(&text, series), Some(f64::from(wanted)), "{series}");
    }
}

#[test]
fn what_is_not_known_has_no_value() {
    let mut scene = Scene::new(&[("geth-1", Role::Own, 1)]);
    let text = scene.show();
    assert_eq!(ours(&text, "node_healthy{node=\"geth-1\"}"), Some(0.0));
    for series in [
        "node_block_number{node=\"geth-1\"}",
        "node_lag_blocks{node=\"geth-1\"}",
        "reference_block_number",
        "served_block_number",
        "last_round_timestamp_seconds",
        "registry_age_seconds",
    ] {
        assert_eq!(ours(&text, series), None, "{series}");
    }
    assert_eq!(states(&text, "geth-1"), ["unproven none"]);
}

#[test]
fn a_node_is_in_one_state_for_the_present_reason_alone() {
    let mut scene = Scene::new(&[("geth-1", Role::Own, 1), ("infura", Role::Leader, 1)]);
    for (probe, wanted) in [
        (answered(100), "fit none"),
        (answered(50), "benched rollback"),
        (answered(0), "benched height_zero"),
        (answered(100), "benched height_zero"),
        (answered(100), "fit none"),
        (ProbeOutcome::Throttled(None), "fit throttled"),
    ] {
        let text = scene.round(&[probe, answered(100)]);
        assert_eq!(states(&text, "geth-1"), [wanted]);
        let prefix = "forebay_node_state{chain=\"main\",node=\"geth-1\"";
        let of_node = text.lines().filter(|line| line.starts_with(prefix));
        assert_eq!(of_node.count(), STATES.len(), "{wanted}");
    }
}

#[test]
fn what_is_known_of_a_nodes_chain_is_shown_and_what_is_not_has_no_series() {
    let mut scene = Scene::new(&[("geth-1", Role::Own, 1), ("geth-2", Role::Own, 1)]);
    let text = scene.round(&[answered(1000), answered(1000)]);
    for name in ["node_head_age", "node_oldest", "safe_block", "forks"] {
        assert!(!text.contains(&format!("\nforebay_{name}")), "{name}");
    }
    let details = ProbeDetails {
        capabilities: CapabilityReport::Told(Depth {
            state_from: Some(BlockNumber(900)),
            ..Depth::default()
        }),
        ..known()
    };
    scene.details(&[answered(1000)], &details);
    let text = scene.round(&[answered(1000), answered(1000)]);
    for (line, wanted) in [
        ("node_head_age_seconds{node=\"geth-1\"}", Some(12.0)),
        ("node_oldest_block_number{node=\"geth-1\"}", None),
        (
            "node_oldest_state_block_number{node=\"geth-1\"}",
            Some(900.0),
        ),
        ("node_oldest_state_block_number{node=\"geth-2\"}", None),
        ("safe_block_number", Some(0.0)),
        ("finalized_block_number", Some(0.0)),
    ] {
        assert_eq!(ours(&text, line), wanted, "{line}");
    }
}

#[test]
fn a_node_without_weight_drains_whatever_its_probes_say() {
    let mut scene = Scene::new(&[("geth-1", Role::Own, 0), ("infura", Role::Leader, 1)]);
    let text = scene.round(&[answered(100), answered(100)]);
    assert_eq!(states(&text, "geth-1"), ["draining none"]);
    assert_eq!(ours(&text, "node_healthy{node=\"geth-1\"}"), Some(1.0));
    let text = scene.round(&[answered(1), answered(100)]);
    assert_eq!(states(&text, "geth-1"), ["draining rollback"]);
}

#[test]
fn calls_in_flight_are_those_of_the_scrape() {
    let mut scene = Scene::new(&[("geth-1", Role::Own, 1)]);
    scene.round(&[answered(1)]);
    let view = scene.fleet.view();
    view.nodes[0].load.begin();
    let text = scene.metrics.encode(&view, 0);
    assert_eq!(ours(&text, "node_in_flight{node=\"geth-1\"}"), Some(1.0));
    view.nodes[0].load.end();
    let text = scene.metrics.encode(&view, 0);
    assert_eq!(ours(&text, "node_in_flight{node=\"geth-1\"}"), Some(0.0));
}

#[test]
fn a_forgotten_node_leaves_no_series_and_late_words_bring_none_back() {
    let mut scene = Scene::new(&[("geth-1", Role::Own, 1), ("geth-2", Role::Own, 1)]);
    let node = scene.metrics.node("geth-1");
    scene.metrics.node("geth-2");
    scene.round(&[answered(1), answered(1)]);
    let old_view = scene.fleet.view();
    scene.metrics.forget_node("geth-1");
    node.attempted(AttemptClass::Ok, Duration::ZERO);
    node.probe_failed(Reason::Silent);
    let text = scene.metrics.encode(&old_view, 0);
    assert!(!text.contains("geth-1"));
    assert!(text.contains("geth-2"));
    scene.metrics.forget_node("never heard of");
}

#[test]
fn a_node_that_left_the_list_leaves_the_gauges() {
    let mut scene = Scene::new(&[("geth-1", Role::Own, 1), ("geth-2", Role::Own, 1)]);
    scene.round(&[answered(1), answered(1)]);
    scene.replace(&[("geth-1", Role::Own, 1)]);
    let text = scene.show();
    assert!(!text.contains("geth-2"));
    assert_eq!(ours(&text, "nodes{rung=\"own\"}"), Some(1.0));
}

#[test]
fn attempts_are_counted_by_what_they_came_to() {
    let metrics = Metrics::new();
    let node = metrics.node("geth-1");
    for class in AttemptClass::ALL {
        node.attempted(class, Duration::from_millis(3));
    }
    let text = encode(&metrics);
    for (outcome, wanted) in [
        ("ok", 1),
        ("rpc_error", 2),
        ("limit", 2),
        ("throttled", 2),
        ("unsupported", 1),
        ("missing_data", 1),
        ("timeout", 2),
        ("transport", 2),
        ("bad_answer", 1),
        ("cancelled", 1),
    ] {
        let series = format!("attempts_total{{node=\"geth-1\",outcome=\"{outcome}\"}}");
        assert_eq!(ours(&text, &series), Some(f64::from(wanted)), "{series}");
    }
    let bucket = |le| format!("attempt_duration_seconds_bucket{{node=\"geth-1\",le=\"{le}\"}}");
    assert_eq!(ours(&text, &bucket("0.0025")), Some(0.0));
    assert_eq!(ours(&text, &bucket("0.005")), Some(15.0));
}

#[test]
fn refused_credentials_are_told_from_a_quota_that_is_used_up() {
    let metrics = Metrics::new();
    let node = metrics.node("infura");
    node.refused(Rejection::Auth);
    node.refused(Rejection::Auth);
    node.refused(Rejection::Quota);
    let text = encode(&metrics);
    for (reason, wanted) in [("auth", 2.0), ("quota", 1.0)] {
        let series = format!("node_refusals_total{{node=\"infura\",reason=\"{reason}\"}}");
        assert_eq!(ours(&text, &series), Some(wanted));
    }
    metrics.forget_node("infura");
    assert!(!encode(&metrics).contains("node_refusals_total"));
}

#[test]
fn a_doubt_about_the_leader_shows_while_it_lasts() {
    let mut scene = Scene::new(&[("geth-1", Role::Own, 1), ("infura", Role::Leader, 1)]);
    let doubt = |text: &str, doubt: &str| ours(text, &format!("leader_doubt{{doubt=\"{doubt}\"}}"));
    let text = scene.round(&[answered(100), answered(100)]);
    assert!(
        DOUBTS
            .iter()
            .all(|(_, label)| doubt(&text, label) == Some(0.0))
    );
    let text = scene.round(&[answered(101), ProbeOutcome::Failed]);
    assert_eq!(doubt(&text, "silent"), Some(1.0));
    assert_eq!(doubt(&text, "stuck"), Some(0.0));
    let text = scene.round(&[answered(102), answered(102)]);
    assert_eq!(doubt(&text, "silent"), Some(0.0));
}

#[test]
fn the_reference_moves_when_its_number_changes_and_not_with_each_round() {
    let mut scene = Scene::new(&[("geth-1", Role::Own, 1), ("infura", Role::Leader, 1)]);
    let moved = |text: &str| ours(text, "reference_moved_timestamp_seconds");
    assert_eq!(moved(&scene.show()), None);
    let text = scene.round(&[answered(100), answered(100)]);
    assert_eq!(moved(&text), Some(1_700_000_001.0));
    let text = scene.round(&[answered(100), answered(100)]);
    assert_eq!(moved(&text), Some(1_700_000_001.0));
    let text = scene.round(&[answered(101), answered(101)]);
    assert_eq!(moved(&text), Some(1_700_000_003.0));
}

/// What the node's state is said to be: state and reason of each series at 1.
fn states(text: &str, node: &str) -> Vec<String> {
    let mut found = Vec::new();
    for state in STATES {
        for reason in Reason::ALL
            .map(Reason::as_str)
            .into_iter()
            .chain([NO_REASON])
        {
            let series =
                format!("node_state{{node=\"{node}\",reason=\"{reason}\",state=\"{state}\"}}");
            if ours(text, &series) == Some(1.0) {
                found.push(format!("{state} {reason}"));
            }
        }
    }
    found
}

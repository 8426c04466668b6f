//! Stories about metrics, told through the text that Prometheus reads.

use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::fleet::{DOUBTS, NO_REASON, STATES};
use super::*;
use forebay_core::fleet::depth::Depth;
use forebay_core::fleet::report::CapabilityReport;
use forebay_core::fleet::standing::Hysteresis;
use forebay_core::fleet::tracker::Fleet;
use forebay_core::fleet::{FleetMember, HealthCriteria, ProbeDetails, ProbeOutcome};
use forebay_core::method::MethodRules;
use forebay_core::vocabulary::chain::{BlockHash, BlockNumber, ChainId};
use forebay_core::vocabulary::node::{NodeId, NodePurpose, Role, Weight};

#[test]
fn the_list_is_the_interface() {
    let mut listed: Vec<_> = written_by_everyone()
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE forebay_"))
        .map(str::to_string)
        .collect();
    listed.sort();
    let mut wanted: Vec<_> = INTERFACE.iter().map(|(family, _)| *family).collect();
    wanted.sort_unstable();
    assert_eq!(listed, wanted);
}

#[test]
fn each_metric_has_the_labels_of_the_interface() {
    let text = written_by_everyone();
    for (family, labels) in INTERFACE {
        let name = family.split(' ').next().unwrap();
        let series = text.lines().filter(|line| is_of(name, line));
        let mut count = 0;
        for line in series {
            assert_eq!(label_names(line), *labels, "{line}");
            count += 1;
        }
        assert!(count > 0, "{name} has no series");
    }
}

#[test]
fn each_chain_has_series_of_its_own_in_one_registry_until_it_is_forgotten() {
    let process = ProcessMetrics::new();
    let [base, main] = ["base", "main"].map(|name| name.parse::<ChainName>().unwrap());
    let (of_base, of_main) = (process.chain(&base), process.chain(&main));
    of_base.fallback_call();
    (0..2).for_each(|_| of_main.fallback_call());
    of_base
        .node("geth-1")
        .attempted(AttemptClass::Ok, Duration::ZERO);
    let served = |chain: &str| {
        let series = of_chain(chain, "fallback_calls_total");
        value(&process.encode(), &series)
    };
    assert_eq!((served("base"), served("main")), (Some(1.0), Some(2.0)));
    let text = process.encode();
    let described = text.lines().filter(|line| line.starts_with("# TYPE"));
    let described: Vec<_> = described.collect();
    let mut once = described.clone();
    once.dedup();
    assert_eq!(described, once, "a family is described once");

    process.chain(&base).fallback_call();
    assert_eq!(served("base"), Some(2.0), "asked for again, it goes on");

    process.forget_chain(&base);
    of_base.fallback_call();
    assert!(!process.encode().contains("chain=\"base\""));
    assert_eq!(served("main"), Some(2.0));

    process.chain(&base).fallback_call();
    assert_eq!(served("base"), Some(1.0), "it begins anew");
    process.forget_chain(&"nobody".parse().unwrap());
}

#[cfg(target_os = "linux")]
#[test]
fn the_process_is_watched_under_customary_names() {
    let text = encode(&Metrics::new());
    for name in [
        "process_resident_memory_bytes",
        "process_cpu_seconds_total",
        "process_open_fds",
    ] {
        assert!(value(&text, name).is_some(), "{name}");
    }
}

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
fn whatever_clients_send_the_number_of_series_stays() {
    let metrics = Metrics::new();
    let rules = MethodRules::default();
    let call = |method: &str| {
        let (row, _) = rules.look_up(method);
        metrics.method(row).called(CallOutcome::Ok, Duration::ZERO);
    };
    call("eth_call");
    call("made_up");
    (0..=u16::MAX).for_each(|code| metrics.process.http_response(code));
    let before = encode(&metrics);
    for number in 0..1000 {
        call(&format!("made_up_{number}\"\n"));
    }
    metrics
        .method(Some(u16::MAX))
        .called(CallOutcome::Ok, Duration::ZERO);
    let after = encode(&metrics);
    assert_eq!(series_count(&before), series_count(&after));
    let other = "calls_total{method=\"other\",outcome=\"ok\"}";
    assert_eq!(ours(&after, other), Some(1002.0));
    let other_code = "http_responses_total{code=\"other\"}";
    assert_eq!(ours(&after, other_code), Some(65_536.0 - 16.0));
    for code in [429, 431] {
        let series = format!("http_responses_total{{code=\"{code}\"}}");
        assert_eq!(ours(&after, &series), Some(1.0));
    }
}

#[test]
fn a_method_shows_from_its_first_call_on() {
    let metrics = Metrics::new();
    assert!(!encode(&metrics).contains("call_duration_seconds"));
    for (row, listed) in TABLE.iter().enumerate() {
        let name = listed.name;
        let row = u16::try_from(row).ok();
        metrics
            .method(row)
            .called(CallOutcome::Failed, Duration::ZERO);
        let series = format!("calls_total{{method=\"{name}\",outcome=\"failed\"}}");
        assert_eq!(ours(&encode(&metrics), &series), Some(1.0), "{name}");
    }
}

#[test]
fn failovers_are_counted_by_what_the_attempt_came_to() {
    let metrics = Metrics::new();
    for class in AttemptClass::ALL {
        metrics.failed_over(class);
    }
    let text = encode(&metrics);
    let of = |reason| ours(&text, &format!("failovers_total{{reason=\"{reason}\"}}"));
    assert_eq!(of("timeout"), Some(2.0));
    assert_eq!(of("rpc_error"), Some(1.0), "only what no table knows");
    assert_eq!(of("ok"), None);
    assert_eq!(of("cancelled"), None);
}

#[test]
fn what_is_begun_counts_until_it_is_dropped() {
    let metrics = Metrics::new();
    let first = metrics.process.begin_request();
    let second = metrics.process.begin_request();
    let connection = metrics.process.begin_connection();
    drop(first);
    let text = encode(&metrics);
    assert_eq!(ours(&text, "requests_in_flight"), Some(1.0));
    assert_eq!(ours(&text, "connections"), Some(1.0));
    drop((second, connection));
    let text = encode(&metrics);
    assert_eq!(ours(&text, "requests_in_flight"), Some(0.0));
    assert_eq!(ours(&text, "connections"), Some(0.0));
}

#[test]
fn sockets_and_subscriptions_count_until_they_end_and_are_told_why() {
    let metrics = Metrics::new();
    let socket = metrics.begin_socket();
    let subscription = metrics.begin_subscription("logs");
    metrics.socket_message(MessageDirection::Sent);
    let text = encode(&metrics);
    assert_eq!(ours(&text, "sockets"), Some(1.0));
    assert_eq!(ours(&text, "subscriptions{kind=\"logs\"}"), Some(1.0));
    assert_eq!(ours(&text, "subscriptions{kind=\"newHeads\"}"), Some(0.0));
    drop((socket, subscription));
    metrics.socket_ended(SocketEnd::Slow);
    let text = encode(&metrics);
    assert_eq!(ours(&text, "sockets"), Some(0.0));
    assert_eq!(ours(&text, "subscriptions{kind=\"logs\"}"), Some(0.0));
    for (series, wanted) in [
        ("socket_messages_total{direction=\"sent\"}", 1.0),
        ("socket_messages_total{direction=\"received\"}", 0.0),
        ("sockets_closed_total{reason=\"slow\"}", 1.0),
        ("sockets_closed_total{reason=\"left\"}", 0.0),
    ] {
        assert_eq!(ours(&text, series), Some(wanted), "{series}");
    }
}

#[test]
fn the_registrys_age_grows_from_scrape_to_scrape() {
    let metrics = Metrics::new();
    metrics.registry_read(1_700_000_000, 2);
    metrics.registry_failed("list");
    for (at, age) in [(1_700_000_000, 0), (1_700_000_060, 60), (1_600_000_000, 0)] {
        let text = metrics.encode(&FleetView::default(), at);
        assert_eq!(ours(&text, "registry_age_seconds"), Some(f64::from(age)));
    }
    let text = encode(&metrics);
    assert_eq!(ours(&text, "registry_items_rejected"), Some(2.0));
    let errors = "registry_errors_total{operation=\"list\"}";
    assert_eq!(ours(&text, errors), Some(1.0));
}

#[test]
fn what_is_used_stands_beside_what_there_is_room_for() {
    let text = written_by_everyone();
    for (series, wanted) in [
        ("setting_seconds{key=\"chain.block_time\"}", 0.5),
        ("setting_seconds{key=\"health.interval\"}", 5.0),
        ("setting_seconds{key=\"registry.refresh\"}", 60.0),
        ("node_lag_blocks_max", 10.0),
        ("requests_admitted", 3.0),
        ("requests_admitted_max", 20_000.0),
        ("request_bytes_held", 700.0),
        ("request_bytes_held_max", 1_073_741_824.0),
        ("answer_bytes_held", 800.0),
        ("answer_bytes_held_max", 2_147_483_648.0),
        ("retry_budget", 1.5),
        ("retry_budget_max", 99.5),
        ("sockets_max", 7.0),
        ("queued_calls", 3.0),
        ("calls_shed_total", 2.0),
        ("cache_hit_age_seconds_total{method=\"eth_call\"}", 2.0),
        ("cache_entries", 4.0),
        ("cache_bytes", 500.0),
        ("cache_bytes_max", 600.0),
        ("cache_evictions_total", 7.0),
    ] {
        assert_eq!(ours(&text, series), Some(wanted), "{series}");
    }
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

#[test]
fn of_two_values_of_a_label_neither_is_the_end_of_the_other() {
    let classes = AttemptClass::ALL.map(AttemptClass::outcome).to_vec();
    let outcomes = CallOutcome::ALL.map(CallOutcome::as_str).to_vec();
    let mut reasons = Reason::ALL.map(Reason::as_str).to_vec();
    reasons.push(NO_REASON);
    let doubts = DOUBTS.map(|(_, label)| label).to_vec();
    let winners = HedgeWinner::ALL.map(HedgeWinner::as_str).to_vec();
    let sendings = TransactionOutcome::ALL
        .map(TransactionOutcome::as_str)
        .to_vec();
    let lookups = LookupOutcome::ALL.map(LookupOutcome::as_str).to_vec();
    let directions = MessageDirection::ALL.map(MessageDirection::as_str).to_vec();
    let ends = SocketEnd::ALL.map(SocketEnd::as_str).to_vec();
    let kinds = forebay_core::feed::subscription::Topic::KINDS.to_vec();
    let states = STATES.to_vec();
    let shuts = Rejection::ALL.map(Rejection::as_str).to_vec();
    for values in [
        classes, outcomes, reasons, states, shuts, winners, sendings, lookups, doubts, directions,
        ends, kinds,
    ] {
        for one in &values {
            let others = values.iter().filter(|other| *other != one);
            for other in others {
                assert!(!one.ends_with(other), "{one} {other}");
            }
        }
    }
}

#[test]
fn a_number_too_large_for_a_gauge_is_as_large_as_it_goes() {
    assert_eq!(saturated(i64::MAX.unsigned_abs()), i64::MAX);
    assert_eq!(saturated(u64::MAX), i64::MAX);
}

// Stage-hands.

/// Each family with its type, and its labels in the order of the alphabet.
const INTERFACE: &[(&str, &[&str])] = &[
    ("build_info gauge", &["version"]),
    ("node_block_number gauge", &["chain", "node"]),
    ("node_lag_blocks gauge", &["chain", "node"]),
    ("node_lag_blocks_max gauge", &["chain"]),
    ("node_head_difference_blocks gauge", &["chain", "node"]),
    ("node_head_age_seconds gauge", &["chain", "node"]),
    ("node_oldest_block_number gauge", &["chain", "node"]),
    ("node_oldest_state_block_number gauge", &["chain", "node"]),
    ("node_healthy gauge", &["chain", "node"]),
    ("node_weight gauge", &["chain", "node"]),
    ("node_in_flight gauge", &["chain", "node"]),
    ("node_in_flight_limit gauge", &["chain", "node"]),
    ("queued_calls gauge", &["chain"]),
    ("calls_shed_total counter", &["chain"]),
    ("node_suspect gauge", &["chain", "node"]),
    ("degraded gauge", &["chain"]),
    ("node_state gauge", &["chain", "node", "reason", "state"]),
    ("probe_duration_seconds histogram", &["chain", "node"]),
    ("probe_failures_total counter", &["chain", "node", "reason"]),
    ("nodes gauge", &["chain", "rung"]),
    ("nodes_healthy gauge", &["chain", "rung"]),
    ("nodes_serving gauge", &["chain", "rung"]),
    ("reference_block_number gauge", &["chain"]),
    ("reference_moved_timestamp_seconds gauge", &["chain"]),
    ("served_block_number gauge", &["chain"]),
    ("safe_block_number gauge", &["chain"]),
    ("finalized_block_number gauge", &["chain"]),
    ("block_time_seconds gauge", &["chain"]),
    ("forks gauge", &["chain"]),
    ("forks_undecided gauge", &["chain"]),
    ("reference_source gauge", &["chain", "source"]),
    ("leader_doubt gauge", &["chain", "doubt"]),
    ("calls_total counter", &["chain", "method", "outcome"]),
    ("call_duration_seconds histogram", &["chain", "method"]),
    ("attempts_total counter", &["chain", "node", "outcome"]),
    ("attempt_duration_seconds histogram", &["chain", "node"]),
    ("node_refusals_total counter", &["chain", "node", "reason"]),
    ("failovers_total counter", &["chain", "reason"]),
    ("fallback_calls_total counter", &["chain"]),
    ("leader_withheld_total counter", &["chain"]),
    ("coalesced_calls_total counter", &["chain"]),
    ("cache_hits_total counter", &["chain", "method"]),
    ("cache_shared_hits_total counter", &["chain", "method"]),
    ("cache_misses_total counter", &["chain", "method"]),
    ("cache_hit_age_seconds_total counter", &["chain", "method"]),
    ("cache_leader_hits_total counter", &["chain"]),
    ("cache_evictions_total counter", &[]),
    ("cache_entries gauge", &[]),
    ("cache_bytes gauge", &[]),
    ("cache_bytes_max gauge", &[]),
    ("hedges_total counter", &["chain", "winner"]),
    ("broadcasts_total counter", &["chain", "outcome"]),
    ("write_lookups_total counter", &["chain", "outcome"]),
    ("upstream_subscriptions gauge", &["chain", "node"]),
    ("gap_fills_total counter", &["chain"]),
    ("blocks_filled_total counter", &["chain"]),
    ("takeovers_total counter", &["chain", "reason"]),
    ("reorgs_told_total counter", &["chain"]),
    ("block_waits_total counter", &["chain"]),
    ("tag_repeats_total counter", &["chain"]),
    ("null_checks_total counter", &["chain", "outcome"]),
    ("panics_total counter", &[]),
    ("certificate_expiry_timestamp_seconds gauge", &["address"]),
    ("http_responses_total counter", &["code"]),
    ("try_again_responses_total counter", &["chain"]),
    ("requests_in_flight gauge", &[]),
    ("requests_admitted gauge", &[]),
    ("requests_admitted_max gauge", &[]),
    ("request_bytes_held gauge", &[]),
    ("request_bytes_held_max gauge", &[]),
    ("answer_bytes_held gauge", &[]),
    ("answer_bytes_held_max gauge", &[]),
    ("retry_budget gauge", &["chain"]),
    ("retry_budget_max gauge", &["chain"]),
    ("connections gauge", &[]),
    ("sockets gauge", &["chain"]),
    ("sockets_max gauge", &[]),
    ("subscriptions gauge", &["chain", "kind"]),
    ("socket_messages_total counter", &["chain", "direction"]),
    ("sockets_closed_total counter", &["chain", "reason"]),
    ("batch_calls histogram", &["chain"]),
    ("upstream_batch_calls histogram", &["chain"]),
    ("registry_age_seconds gauge", &["chain"]),
    ("registry_items_rejected gauge", &["chain"]),
    ("registry_errors_total counter", &["chain", "operation"]),
    ("last_round_timestamp_seconds gauge", &["chain"]),
    ("setting_seconds gauge", &["chain", "key"]),
    ("trace_spans_total counter", &["outcome"]),
    ("config_reloads_total counter", &["outcome"]),
    ("config_last_reload_successful gauge", &[]),
    ("config_last_reload_success_timestamp_seconds gauge", &[]),
    ("config_settings_waiting gauge", &[]),
];

#[test]
fn a_refused_configuration_shows_until_it_is_mended() {
    let metrics = Metrics::new();
    metrics.process.config_read(100);
    let shown = |reloads: [f64; 3], successful: f64, at: f64| {
        let text = encode(&metrics);
        for (outcome, count) in ReloadOutcome::ALL.into_iter().zip(reloads) {
            let series = format!("config_reloads_total{{outcome=\"{}\"}}", outcome.as_str());
            assert_eq!(ours(&text, &series), Some(count), "{series}");
        }
        let successful = (successful, at);
        let told = (
            ours(&text, "config_last_reload_successful").unwrap(),
            ours(&text, "config_last_reload_success_timestamp_seconds").unwrap(),
        );
        assert_eq!(told, successful);
    };
    shown([0.0, 0.0, 0.0], 1.0, 100.0);
    metrics.process.config_reread(ReloadOutcome::Refused, 200);
    shown([0.0, 0.0, 1.0], 0.0, 100.0);
    metrics.process.config_reread(ReloadOutcome::Unchanged, 300);
    shown([0.0, 1.0, 1.0], 1.0, 300.0);
    metrics.process.config_reread(ReloadOutcome::Applied, 400);
    shown([1.0, 1.0, 1.0], 1.0, 400.0);
}

const BOUNDS: ChainBounds = ChainBounds {
    block_time: Duration::from_millis(500),
    interval: Duration::from_secs(5),
    refresh: Duration::from_secs(60),
    lag_blocks_max: 10,
    retry_budget_max: 99.5,
};

const ROOM: ProcessBounds = ProcessBounds {
    requests_max: 20_000,
    request_bytes_max: 1 << 30,
    answer_bytes_max: 1 << 31,
    sockets_max: 7,
};

const INSIDE: ProcessUse = ProcessUse {
    requests: 3,
    request_bytes: 700,
    answer_bytes: 800,
    cache: CacheFill {
        entries: 4,
        bytes: 500,
        bytes_max: 600,
        evicted: 7,
    },
};

const USED: ChainUse = ChainUse {
    is_degraded: false,
    retry_budget: 1.5,
    queued: 3,
    shed: 2,
};

/// The text after everything has happened once.
fn written_by_everyone() -> String {
    let mut scene = Scene::new(&[("geth-1", Role::Own, 1), ("infura", Role::Leader, 1)]);
    let metrics = &scene.metrics;
    metrics
        .process
        .certificate_expires(([127, 0, 0, 1], 8443).into(), 1);
    let node = metrics.node("geth-1");
    node.attempted(AttemptClass::Ok, Duration::ZERO);
    node.refused(Rejection::Auth);
    node.probed(Duration::ZERO);
    node.probe_failed(Reason::Silent);
    metrics.method(None).called(CallOutcome::Ok, Duration::ZERO);
    metrics.process.config_read(1);
    metrics.process.spans().exported.inc();
    metrics.failed_over(AttemptClass::Timeout);
    metrics.fallback_call();
    metrics.leader_withheld();
    metrics.coalesced();
    let (kept, _) = MethodRules::default().look_up("eth_call");
    metrics.method(kept).cache_hit(Duration::from_secs(2));
    metrics.method(kept).cache_shared_hit();
    metrics.method(kept).cache_miss();
    metrics.cache_leader_hit();
    metrics.hedged(HedgeWinner::First);
    metrics.broadcast(TransactionOutcome::Accepted);
    metrics.looked_up(LookupOutcome::Found);
    metrics.show_upstream_subscriptions("geth-1", 1);
    metrics.told_heads(1, true);
    metrics.taken_over(TakeoverReason::Lost);
    metrics.process.http_response(200);
    metrics.batch(1000);
    metrics.upstream_batch(100);
    metrics.registry_read(1_700_000_000, 0);
    metrics.registry_failed("list");
    metrics.show_bounds(&BOUNDS);
    metrics.show_used(&USED);
    metrics.process.show_bounds(&ROOM);
    metrics.process.show_used(&INSIDE);
    scene.replace(&[
        ("geth-1", Role::Own, 1),
        ("infura", Role::Leader, 1),
        ("geth-2", Role::Own, 1),
    ]);
    let probes = [answered(1); 3];
    scene.round(&probes);
    scene.details(&probes, &known());
    scene.round(&probes)
}

/// All that a probe can bring beside the head.
fn known() -> ProbeDetails {
    let block = BlockNumber(0);
    ProbeDetails {
        head_timestamp: Some(1_700_000_000 - 10),
        capabilities: CapabilityReport::Told(Depth {
            blocks_from: Some(block),
            state_from: Some(block),
            ..Depth::default()
        }),
        compared: Some((block, BlockHash([1; 32]))),
        safe: Some(block),
        finalized: Some(block),
        ..ProbeDetails::default()
    }
}

/// A process that serves one chain without a name.
struct Metrics {
    process: ProcessMetrics,
    chain: Arc<ChainMetrics>,
}

impl Metrics {
    fn new() -> Metrics {
        let process = ProcessMetrics::new();
        let chain = process.chain(&ChainName::main());
        Metrics { process, chain }
    }

    fn encode(&self, view: &FleetView, unix_seconds: u64) -> String {
        self.chain.refresh(view, unix_seconds);
        self.process.encode()
    }
}

impl Deref for Metrics {
    type Target = ChainMetrics;

    fn deref(&self) -> &ChainMetrics {
        &self.chain
    }
}

fn encode(metrics: &Metrics) -> String {
    metrics.encode(&FleetView::default(), 1_700_000_000)
}

fn value(text: &str, series: &str) -> Option<f64> {
    let values = text.lines().filter_map(|line| line.strip_prefix(series));
    values
        .filter_map(|rest| rest.strip_prefix(' '))
        .map(|number| number.parse().unwrap())
        .next()
}

/// The value of a series of the process, or of the chain without a name.
fn ours(text: &str, series: &str) -> Option<f64> {
    value(text, &of_chain("main", series))
}

/// A series with its whole name, and with the chain's where it is a chain's.
fn of_chain(chain: &str, series: &str) -> String {
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}').unwrap()),
        None => (series, ""),
    };
    let is_family = |family: &str| is_of(family, &format!("forebay_{name} "));
    let named = |(family, _): &&(&str, &[&str])| is_family(family.split(' ').next().unwrap());
    let (_, names) = INTERFACE.iter().find(named).unwrap();
    let chain = names
        .contains(&"chain")
        .then(|| format!("chain=\"{chain}\""));
    let others = Some(labels.to_string()).filter(|labels| !labels.is_empty());
    let labels: Vec<_> = chain.into_iter().chain(others).collect();
    match labels.is_empty() {
        true => format!("forebay_{name}"),
        false => format!("forebay_{name}{{{}}}", labels.join(",")),
    }
}

fn series_count(text: &str) -> usize {
    let is_ours = |line: &&str| line.starts_with("forebay_");
    text.lines().filter(is_ours).count()
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

/// Whether the line is a series of `name` itself, not of a longer name.
fn is_of(name: &str, line: &str) -> bool {
    let rest = line.strip_prefix("forebay_");
    let Some(rest) = rest.and_then(|rest| rest.strip_prefix(name)) else {
        return false;
    };
    let ends = ["", "_bucket", "_sum", "_count"];
    let mut after = ends.iter().filter_map(|end| rest.strip_prefix(end));
    after.any(|rest| rest.starts_with(['{', ' ']))
}

/// The names of a line's labels, without a histogram's `le`. No value in these tests has a comma.
fn label_names(line: &str) -> Vec<&str> {
    let inside = line
        .split_once('{')
        .and_then(|(_, rest)| rest.split_once('}'));
    let Some((labels, _)) = inside else {
        return Vec::new();
    };
    let names = labels
        .split(',')
        .filter_map(|label| label.split('=').next());
    names.filter(|name| *name != "le").collect()
}

fn answered(head: u64) -> ProbeOutcome {
    ProbeOutcome::Answered {
        head: BlockNumber(head),
        chain_id: Some(ChainId(1)),
        syncing: false,
    }
}

struct Scene {
    fleet: Fleet,
    metrics: Metrics,
    now: Instant,
    unix_seconds: u64,
}

impl Scene {
    fn new(nodes: &[(&str, Role, u64)]) -> Scene {
        let yardstick = HealthCriteria {
            chain_id: None,
            block_time: Duration::from_secs(12),
            look: Duration::from_secs(5),
            lag_blocks_max: 10,
            hysteresis: Hysteresis { rise: 2, fall: 3 },
        };
        let mut scene = Scene {
            fleet: Fleet::new(yardstick),
            metrics: Metrics::new(),
            now: crate::clock::now(),
            unix_seconds: 1_700_000_000,
        };
        scene.replace(nodes);
        scene
    }

    fn replace(&mut self, nodes: &[(&str, Role, u64)]) {
        let member = |(at, (name, rung, weight)): (usize, &(&str, Role, u64))| FleetMember {
            id: NodeId(u32::try_from(at).unwrap()),
            name: (*name).into(),
            rung: *rung,
            weight: Weight::new(*weight).unwrap(),
            purpose: NodePurpose::default(),
        };
        let members = nodes.iter().enumerate().map(member).collect();
        self.fleet.replace(members, self.now);
    }

    /// What came with the probes that the next round brings, the same of each.
    fn details(&mut self, probes: &[ProbeOutcome], details: &ProbeDetails) {
        let probes: Vec<_> = (0..).map(NodeId).zip(probes.iter().copied()).collect();
        let all: Vec<_> = probes
            .iter()
            .map(|(id, _)| (*id, details.clone()))
            .collect();
        self.fleet.hear_details(&probes, &all, self.now);
    }

    /// One round with a probe for each node, in order; gives the text.
    fn round(&mut self, probes: &[ProbeOutcome]) -> String {
        self.now += Duration::from_secs(1);
        self.unix_seconds += 1;
        let heard: Vec<_> = (0..).map(NodeId).zip(probes.iter().copied()).collect();
        self.fleet.hear_round(&heard, self.now);
        self.show()
    }

    fn show(&mut self) -> String {
        let view = self.fleet.view();
        self.metrics.show_fleet(&view, self.now, self.unix_seconds);
        self.metrics.encode(&view, self.unix_seconds)
    }
}

//! The list of metrics is an interface: names, labels, and how many series there may be.

use super::*;

#[test]
fn the_list_is_the_interface() {
    let mut listed: Vec<_> = written_after_everything()
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
    let text = written_after_everything();
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
fn of_two_values_of_a_label_neither_is_the_end_of_the_other() {
    let mut reasons = Reason::ALL.map(Reason::as_str).to_vec();
    reasons.push(NO_REASON);
    for values in [
        reasons,
        AttemptClass::ALL.map(AttemptClass::outcome).to_vec(),
        CallOutcome::ALL.map(|it| it.as_str()).to_vec(),
        DOUBTS.map(|(_, label)| label).to_vec(),
        HedgeWinner::ALL.map(|it| it.as_str()).to_vec(),
        TransactionOutcome::ALL.map(|it| it.as_str()).to_vec(),
        LookupOutcome::ALL.map(|it| it.as_str()).to_vec(),
        MessageDirection::ALL.map(|it| it.as_str()).to_vec(),
        SocketEnd::ALL.map(|it| it.as_str()).to_vec(),
        forebay_core::feed::subscription::Topic::KINDS.to_vec(),
        STATES.to_vec(),
        Rejection::ALL.map(|it| it.as_str()).to_vec(),
    ] {
        for one in &values {
            let others = values.iter().filter(|other| *other != one);
            for other in others {
                assert!(!one.ends_with(other), "{one} {other}");
            }
        }
    }
}

/// Each family with its type, and its labels in the order of the alphabet.
pub(super) const INTERFACE: &[(&str, &[&str])] = &[
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

fn series_count(text: &str) -> usize {
    let is_ours = |line: &&str| line.starts_with("forebay_");
    text.lines().filter(is_ours).count()
}

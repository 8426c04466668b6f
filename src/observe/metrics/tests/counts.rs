//! What is counted of calls, sockets and the process itself.

use super::*;

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
    let text = written_after_everything();
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
fn a_number_too_large_for_a_gauge_is_as_large_as_it_goes() {
    assert_eq!(saturated(i64::MAX.unsigned_abs()), i64::MAX);
    assert_eq!(saturated(u64::MAX), i64::MAX);
}

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

//! Stories of changed configurations, and what becomes of each setting.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::config::settings::RegistryKind;
use crate::config::tests::{FULL, reading};

fn settings(text: &str) -> Settings {
    reading(text).settings.unwrap()
}

fn change(before: &str, after: &str) -> SettingsChange {
    weigh(&settings(before), settings(after))
}

#[test]
fn what_is_the_same_changes_nothing() {
    let same = change(FULL, FULL);
    assert_eq!((same.applied, same.waiting), (vec![], vec![]));
    assert_eq!(server_change(FULL, FULL), Vec::<String>::new());
}

/// `FULL` has nothing at its default: each setting differs, and each is named once.
#[test]
fn every_setting_is_named_and_either_applied_or_kept() {
    let (before, wanted) = (Settings::default(), settings(FULL));
    let change = weigh(&before, wanted.clone());
    let is_traces = |key: &&String| *key == "forebay.otlp";
    let traces = change.waiting.iter().filter(is_traces).count();
    assert_eq!(traces == 1, cfg!(feature = "otlp"));
    let others = change.waiting.iter().filter(|key| !is_traces(key));
    assert_eq!(
        others.collect::<Vec<_>>(),
        [
            "forebay.chain.id",
            "forebay.listen.http",
            "forebay.listen.https",
            "forebay.listen.metrics",
            "forebay.listen.admin",
            "forebay.listen.compression",
            "forebay.registry.kind",
            "forebay.registry.path",
            "forebay.registry.table",
            "forebay.registry.endpoint",
            "forebay.registry.share_leader",
            "forebay.registry.last_list",
            "forebay.shared.kind",
            "forebay.shared.url",
            "forebay.cache.memory",
            "forebay.cache.shared",
            "forebay.limits.memory",
        ]
    );
    let applied: BTreeSet<_> = change.applied.iter().map(String::as_str).collect();
    assert_eq!(applied.len(), change.applied.len());
    for key in [
        "chain.block_time",
        "listen.trusted_proxies",
        "listen.trail_for",
        "registry.refresh",
        "nodes",
        "health.interval",
        "health.leader_interval",
        "health.timeout",
        "health.lag_blocks_max",
        "health.rise",
        "health.fall",
        "health.syncing",
        "health.sockets",
        "health.required",
        "calls.deadline",
        "calls.attempt",
        "calls.heavy",
        "calls.retry_budget",
        "calls.hedge",
        "calls.queue",
        "calls.by_method",
        "calls.broadcast",
        "calls.leader_share",
        "calls.attempts_max",
        "calls.body_bytes_max",
        "calls.batch_calls_max",
        "calls.answer_bytes_max",
        "calls.when_none_fit",
        "consistency",
        "methods.allow",
        "methods.deny",
        "methods.heavy",
        "methods.reads",
        "admin.token",
        "admin.hosts",
        "cors.origins",
        "cloudwatch",
        "log.calls",
        "sockets.sockets_max",
        "sockets.per_address_max",
        "sockets.subscriptions_max",
        "sockets.messages_per_second",
        "sockets.ping_interval",
        "shutdown.lame_duck",
        "shutdown.drain",
    ] {
        assert!(applied.contains(&*format!("forebay.{key}")), "{key}");
    }
    // What waits is as it was, the rest as it is wanted.
    let mut expected = wanted;
    expected.chain.id = before.chain.id;
    let proxies = std::mem::take(&mut expected.listen.trusted_proxies);
    let trails = std::mem::take(&mut expected.listen.trail_for);
    expected.listen = before.listen;
    (expected.listen.trusted_proxies, expected.listen.trail_for) = (proxies, trails);
    let refresh = expected.registry.refresh;
    let lease = expected.registry.lease;
    expected.registry = before.registry;
    (expected.registry.refresh, expected.registry.lease) = (refresh, lease);
    expected.shared = before.shared;
    expected.otlp = before.otlp;
    expected.limits = before.limits;
    expected.cache.memory = before.cache.memory;
    expected.cache.shared = before.cache.shared;
    assert_eq!(format!("{:?}", change.settings), format!("{expected:?}"));
}

#[test]
fn what_is_left_out_again_returns_to_its_default() {
    let change = change(FULL, "version: 1");
    assert!(change.applied.contains(&"forebay.log.calls".to_string()));
    assert_eq!(change.settings.log.calls, None);
    assert_eq!(change.settings.registry.kind, RegistryKind::Dynamo);
}

#[test]
fn a_listener_that_others_can_reach_keeps_its_token_until_it_is_gone() {
    let exposed = "forebay: {listen: {admin: \"0.0.0.0:9091\"}, admin: {token: 0123456789abcdef}}";
    let moved = change(exposed, "forebay: {listen: {admin: \"127.0.0.1:9091\"}}");
    assert_eq!(
        moved.waiting,
        ["forebay.listen.admin", "forebay.admin.token"]
    );
    assert!(moved.settings.admin.token.is_some());
    let renewed = exposed.replace("0123", "4567");
    assert_eq!(change(exposed, &renewed).applied, ["forebay.admin.token"]);
    let local = exposed.replace("0.0.0.0", "127.0.0.1");
    let open = change(&local, "forebay: {listen: {admin: \"127.0.0.1:9091\"}}");
    assert_eq!(open.applied, ["forebay.admin.token"]);
    assert!(open.settings.admin.token.is_none());
}

#[test]
fn rounds_never_get_too_slow_for_the_lease_in_force() {
    let with = |registry: &str, interval: &str, timeout: &str| {
        format!(
            "forebay: {{registry: {{{registry}}}, health: {{interval: {interval}, timeout: {timeout}}}}}"
        )
    };
    let dynamo = "kind: dynamodb";
    // 10s fit the 30s in force, 11s don't, and the lease that would fit waits.
    let slower = change(&with(dynamo, "5s", "2s"), &with(dynamo, "10s", "6s"));
    assert_eq!(slower.waiting, Vec::<String>::new());
    let slow = change(&with(dynamo, "5s", "2s"), &with(dynamo, "11s", "6s"));
    assert_eq!(
        slow.waiting,
        [
            "forebay.registry.lease",
            "forebay.health.interval",
            "forebay.health.leader_interval",
            "forebay.health.timeout",
        ]
    );
    assert_eq!(slow.settings.health.interval, Duration::from_secs(5));
    assert_eq!(slow.settings.health.timeout, Duration::from_secs(2));
    let alone = change(&with("", "5s", "2s"), &with("", "11s", "6s"));
    assert_eq!(alone.waiting, Vec::<String>::new());
}

fn server_change(before: &str, after: &str) -> Vec<String> {
    let keys = |text: &str| ServerKeys::of(&reading(text).pingora.unwrap());
    keys(before).differences(&keys(after))
}

#[test]
fn pingoras_own_keys_are_named_when_they_differ() {
    let before = "version: 1\nthreads: 2\nca_file: /a.pem\n";
    assert_eq!(server_change(before, before), Vec::<String>::new());
    let keys = server_change(before, "version: 1\nthreads: 4\nuser: nobody\n");
    assert_eq!(keys, ["ca_file", "threads", "user"]);
}

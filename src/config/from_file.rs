//! What stands under `forebay:`, turned into [`Settings`] by their table.
//!
//! A key that is left out or wrong keeps its default, and a wrong one has left its mistake among the
//! findings.

use super::field::{Field, ReadContext};
use super::setting::Setting;
use super::settings::{CloudWatchSettings, OtlpSettings, Settings, table};
use super::{fit, known_chain, limits, otlp};

/// Groups that others look at.
const READ_FIRST: [&str; 2] = ["health", "listen"];

/// Reads everything under `forebay`. The result is to be used only if no error was found.
pub(super) fn settings(context: &ReadContext<'_>, forebay: &Field<'_>) -> Settings {
    let mut settings = Settings {
        cloudwatch: Some(CloudWatchSettings::default()),
        otlp: Some(traces_by_variables(context)),
        ..Settings::default()
    };
    read(&table(), "", forebay, &mut settings);
    let section = forebay.group();
    if !section.field("cloudwatch").is_written() {
        settings.cloudwatch = None;
    }
    if !otlp::is_wanted(&section.field("otlp")) {
        settings.otlp = None;
    }
    known_chain::fit(&section, &mut settings);
    fit::check(context, &section, &settings);
    limits::fit(context, &section, &mut settings);
    settings
}

/// What an empty section means, by OpenTelemetry's own variables.
fn traces_by_variables(context: &ReadContext<'_>) -> OtlpSettings {
    let variable = otlp::variables(context);
    let default = OtlpSettings::default();
    OtlpSettings {
        endpoint: otlp::endpoint_by(&variable).unwrap_or(default.endpoint),
        headers: otlp::headers_by(&variable),
        service: variable("OTEL_SERVICE_NAME").unwrap_or(default.service),
        ..default
    }
}

/// Reads the settings whose keys begin with `prefix`.
fn read(table: &[Setting<Settings>], prefix: &str, field: &Field<'_>, settings: &mut Settings) {
    let mut keys = keys_below(table, prefix);
    let section = field.section(&keys);
    keys.sort_by_key(|key| !READ_FIRST.contains(key));
    for key in keys {
        let path = format!("{prefix}{key}");
        let group = format!("{path}.");
        if table.iter().any(|setting| setting.key.starts_with(&group)) {
            read(table, &group, &section.field(key), settings);
        } else if let Some(setting) = table.iter().find(|setting| setting.key == path) {
            setting.value.read(&section.field(key), settings);
        }
    }
}

/// The next part of each key that begins with `prefix`.
pub(super) fn keys_below(table: &[Setting<Settings>], prefix: &str) -> Vec<&'static str> {
    let mut keys = Vec::new();
    for setting in table {
        let next = setting.key.strip_prefix(prefix);
        let next = next.and_then(|rest| rest.split('.').next());
        keys.extend(next.filter(|key| !keys.contains(key)));
    }
    keys
}

#[cfg(test)]
mod tests {
    use crate::config::tests::{finds, finds_nothing, reading, told};

    #[test]
    fn each_limit_holds_at_its_value_and_not_one_past_it() {
        let long = "x".repeat(255);
        for (path, inside, outside) in [
            (
                "chain: {block_time: X}",
                ["100ms", "10m"],
                ["99ms", "600001ms"],
            ),
            (
                "chain: {id: X}",
                ["1", "18446744073709551615"],
                ["0", "18446744073709551616"],
            ),
            (
                "registry: {refresh: X}",
                ["100ms", "1h"],
                ["99ms", "3600001ms"],
            ),
            (
                "health: {timeout: 10ms, interval: X}",
                ["100ms", "1h"],
                ["99ms", "3600001ms"],
            ),
            (
                "health: {interval: 1h, timeout: X}",
                ["10ms", "3599999ms"],
                ["9ms", "1h"],
            ),
            (
                "health: {leader_interval: X}",
                ["2001ms", "1h"],
                ["2s", "3600001ms"],
            ),
            (
                "health: {lag_blocks_max: X}",
                ["0", "10000"],
                ["-1", "10001"],
            ),
            ("health: {rise: X}", ["1", "100"], ["0", "101"]),
            ("health: {fall: X}", ["2", "100"], ["0", "101"]),
            ("calls: {attempts_max: X}", ["1", "10"], ["0", "11"]),
            (
                "calls: {batch_calls_max: X}",
                ["1", "100000"],
                ["0", "100001"],
            ),
            (
                "calls: {body_bytes_max: X}",
                ["1KiB", "1GiB"],
                ["1023", "1073741825"],
            ),
            (
                "calls: {answer_bytes_max: X}",
                ["64KiB", "1024GiB"],
                ["65535", "1025GiB"],
            ),
            (
                "calls: {deadline: X, attempt: 5s}",
                ["5s", "1h"],
                ["4999ms", "3600001ms"],
            ),
            (
                "calls: {retry_budget: {per_call: X}}",
                ["0", "10"],
                ["-0.1", "10.1"],
            ),
            (
                "calls: {retry_budget: {per_second: X}}",
                ["0", "100000"],
                ["NaN", "100000.5"],
            ),
            (
                "calls: {retry_budget: {burst: X}}",
                ["0", "1000000"],
                ["inf", "1000001"],
            ),
            ("calls: {hedge: X}", ["0.5", "10"], ["0.49", "10.1"]),
            ("calls: {broadcast: X}", ["1", "16"], ["0", "17"]),
            ("calls: {leader_share: X}", ["0", "1"], ["-0.01", "1.01"]),
            (
                "shutdown: {drain: 0s, lame_duck: X}",
                ["0ms", "110s"],
                ["-1s", "3600001ms"],
            ),
            (
                "nodes: [{url: http://a, leader: true, weight: X}]",
                ["0", "1000"],
                ["-1", "1001"],
            ),
            (
                "listen: {trusted_proxies: [X]}",
                ["0.0.0.0/0", "\"::/128\""],
                ["1.1.1.1/33", "\"::/129\""],
            ),
            (
                "cloudwatch: {interval: X}",
                ["60s", "1h"],
                ["59999ms", "3600001ms"],
            ),
            (
                "cloudwatch: {namespace: X}",
                ["a", &long],
                ["AWS/ECS", &format!("{long}x")],
            ),
            (
                "cloudwatch: {service: X}",
                ["a", &long],
                ["é", &format!("{long}x")],
            ),
            (
                "cloudwatch: {namespace: \"X\"}",
                ["a:b", "#"],
                [":a", "a b"],
            ),
            ("cloudwatch: {service: \"X\"}", ["a:b", "a b"], [":a", " "]),
            ("log: {calls: X}", ["0", "1"], ["-0.01", "1.01"]),
            ("log: {calls: X}", ["0.5", "off"], ["NaN", "all"]),
            (
                "sockets: {sockets_max: X}",
                ["0", "1000000"],
                ["-1", "1000001"],
            ),
            (
                "sockets: {subscriptions_max: X}",
                ["0", "10000"],
                ["-1", "10001"],
            ),
            (
                "sockets: {messages_per_second: X}",
                ["1", "1000000"],
                ["0", "1000001"],
            ),
            (
                "sockets: {per_address_max: X}",
                ["1", "20000"],
                ["0", "1000001"],
            ),
            (
                "sockets: {ping_interval: X}",
                ["1s", "10m"],
                ["999ms", "600001ms"],
            ),
        ] {
            for value in inside {
                finds_nothing(&format!("{{{}}}", path.replace('X', value)));
            }
            for value in outside {
                finds(&format!("{{{}}}", path.replace('X', value)), ": error: ");
            }
        }
    }

    #[test]
    fn no_listener_and_the_other_word_for_monotonic_are_accepted() {
        finds_nothing("{listen: {admin: off, metrics: ~}}");
        finds_nothing("{consistency: pinned}");
    }

    #[test]
    fn hedging_and_broadcasting_are_told_by_a_word_or_a_number() {
        for word in ["off", "\"off\"", "on", "1.5"] {
            finds_nothing(&format!("{{calls: {{hedge: {word}}}}}"));
        }
        finds("{calls: {hedge: 50ms}}", "expected `off`, `on` or a factor");
        finds_nothing("{calls: {broadcast: all}}");
        finds(
            "{calls: {broadcast: some}}",
            "expected `all` or a number of nodes",
        );
    }

    #[test]
    fn a_timeout_as_long_as_the_interval_is_told_where_it_is_written() {
        let text = "version: 1\nthreads: 2\nforebay:\n  health:\n    interval: 1s\n";
        let told_at = |extra: &str| told(&reading(&format!("{text}{extra}"))).remove(0);
        assert!(
            told_at("").starts_with(
                "5: error: forebay.health.interval: `timeout` (2s) must be shorter than"
            )
        );
        assert!(told_at("    timeout: 1s\n").starts_with("6: error: forebay.health.timeout: "));
    }
}

//! What stands under `forebay:`, turned into [`Settings`]: the keys, their forms and ranges.
//!
//! Defaults live in `settings`; a key that is left out or wrong keeps its default here, and a
//! wrong one has left its mistake among the findings.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::field::{Field, Section};
use super::quantity::duration_text;
use super::settings::{Consistency, Settings};
use super::{admin, cors, limits, listen, nodes, otlp, registry, sockets};
use crate::config::field::ReadContext;
use crate::config::observability;
use crate::config::settings::{
    CallSettings, ChainSettings, HealthSettings, MethodSettings, NoneFitPolicy,
    RetryBudgetSettings, ShutdownSettings,
};
use forebay_core::call::broadcast::NODES_MAX;

/// The groups under `forebay:`.
pub const KEYS: [&str; 16] = [
    "chain",
    "listen",
    "registry",
    "nodes",
    "health",
    "calls",
    "consistency",
    "methods",
    "admin",
    "cors",
    "cloudwatch",
    "log",
    "sockets",
    "otlp",
    "shutdown",
    "limits",
];
/// The longest method name or glob, in bytes.
const METHOD_BYTES_MAX: usize = 128;

/// What a node's slow time may be multiplied with before another is asked, too.
const HEDGES: RangeInclusive<f64> = 0.5..=10.0;

const HOUR: Duration = Duration::from_secs(3600);
/// Waits that make a round or a call.
pub(super) const PERIODS: RangeInclusive<Duration> = Duration::from_millis(100)..=HOUR;
/// Waits that end with an answer.
/// How long a call may wait for a place at a node.
const QUEUES: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(10);
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(10)..=HOUR;
const BLOCK_TIMES: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(600);

/// Reads everything under `forebay`. The result is to be used only if no error was found.
pub(super) fn settings(context: &ReadContext<'_>, forebay: &Field<'_>) -> Settings {
    let section = forebay.section(&KEYS);
    let default = Settings::default();
    let health = health(context, &section.field("health"));
    let listen = listen::listen(context, &section.field("listen"));
    let limits = limits::limits(&section.field("limits"));
    let admin_field = section.field("admin");
    let admin = admin::admin(&admin_field);
    admin::check(context, &admin_field, listen.admin, &admin);
    let nodes = nodes::nodes(context, &section.field("nodes"), &listen);
    let mut settings = Settings {
        chain: chain(&section.field("chain")),
        listen,
        registry: registry::registry(&section.field("registry"), health.interval),
        nodes,
        health,
        calls: calls(context, &section.field("calls")),
        consistency: consistency(&section).unwrap_or(default.consistency),
        methods: methods(&section.field("methods")),
        admin,
        cors: cors::cors(&section.field("cors")),
        cloudwatch: observability::cloudwatch(&section.field("cloudwatch")),
        log: observability::log(&section.field("log")),
        sockets: sockets::sockets(context, &section.field("sockets")),
        otlp: otlp::otlp(context, &section.field("otlp")),
        shutdown: shutdown(&section.field("shutdown")),
        limits,
    };
    limits::fit(context, &section, &mut settings);
    settings
}

fn chain(field: &Field<'_>) -> ChainSettings {
    let section = field.section(&["id", "block_time"]);
    let default = ChainSettings::default();
    ChainSettings {
        id: section.field("id").number(1..=u64::MAX),
        block_time: section
            .field("block_time")
            .duration(BLOCK_TIMES)
            .unwrap_or(default.block_time),
    }
}

/// A file's path; [`crate::config::folders`] says where it leads.
pub(super) fn path(field: &Field<'_>) -> Option<PathBuf> {
    field.parsed("the path of a file", |text| {
        let usable = !text.trim().is_empty() && !text.contains('\0');
        usable.then(|| PathBuf::from(text))
    })
}

fn health(context: &ReadContext<'_>, field: &Field<'_>) -> HealthSettings {
    let section = field.section(&[
        "interval",
        "leader_interval",
        "timeout",
        "lag_blocks_max",
        "rise",
        "fall",
        "syncing",
        "sockets",
    ]);
    let default = HealthSettings::default();
    let errors_before = context.findings.errors();
    let interval = section.field("interval").duration(PERIODS);
    let interval = interval.unwrap_or(default.interval);
    let leader_interval = section.field("leader_interval").duration(PERIODS);
    let timeout = section.field("timeout").duration(TIMEOUTS);
    let health = HealthSettings {
        interval,
        leader_interval: leader_interval.unwrap_or(interval),
        timeout: timeout.unwrap_or(default.timeout),
        lag_blocks_max: section
            .field("lag_blocks_max")
            .number(0..=10_000)
            .unwrap_or(default.lag_blocks_max),
        rise: section
            .field("rise")
            .number(1..=100)
            .unwrap_or(default.rise),
        fall: section
            .field("fall")
            .number(1..=100)
            .unwrap_or(default.fall),
        heeds_syncing: section
            .field("syncing")
            .choice(&[("heed", true), ("ignore", false)])
            .unwrap_or(default.heeds_syncing),
        sockets: section
            .field("sockets")
            .boolean()
            .unwrap_or(default.sockets),
    };
    if context.findings.errors() == errors_before {
        check_health(&section, &health);
    }
    health
}

/// One probe at most is in flight at a node, so it must have ended before the next round.
fn check_health(section: &Section<'_>, health: &HealthSettings) {
    let rounds = [
        ("interval", health.interval),
        ("leader_interval", health.leader_interval),
    ];
    for (key, interval) in rounds {
        if health.timeout >= interval {
            let at = section.first_written(&["timeout", key]);
            let (timeout, interval) = (duration_text(health.timeout), duration_text(interval));
            at.error(format!(
                "`timeout` ({timeout}) must be shorter than `{key}` ({interval})"
            ));
            return;
        }
    }
}

fn calls(context: &ReadContext<'_>, field: &Field<'_>) -> CallSettings {
    let section = field.section(&[
        "deadline",
        "attempt",
        "heavy",
        "retry_budget",
        "hedge",
        "queue",
        "broadcast",
        "leader_share",
        "attempts_max",
        "body_bytes_max",
        "batch_calls_max",
        "answer_bytes_max",
        "when_none_fit",
    ]);
    let default = CallSettings::default();
    let errors_before = context.findings.errors();
    let wait = |key: &str, default| section.field(key).duration(TIMEOUTS).unwrap_or(default);
    let (deadline, attempt) = (
        wait("deadline", default.deadline),
        wait("attempt", default.attempt),
    );
    if deadline < attempt && context.findings.errors() == errors_before {
        let (deadline, attempt) = (duration_text(deadline), duration_text(attempt));
        let message = format!("`attempt` ({attempt}) is longer than `deadline` ({deadline})");
        section
            .first_written(&["attempt", "deadline"])
            .error(message);
    }
    CallSettings {
        deadline,
        attempt,
        heavy: wait("heavy", default.heavy),
        retry_budget: retry_budget(&section.field("retry_budget")),
        hedge: hedge(&section.field("hedge")).unwrap_or(default.hedge),
        queue: section
            .field("queue")
            .duration(QUEUES)
            .unwrap_or(default.queue),
        broadcast: broadcast(&section.field("broadcast")).unwrap_or(default.broadcast),
        leader_share: section
            .field("leader_share")
            .decimal(0.0..=1.0)
            .unwrap_or(default.leader_share),
        attempts_max: section
            .field("attempts_max")
            .number(1..=10)
            .unwrap_or(default.attempts_max),
        when_none_fit: when_none_fit(&section).unwrap_or(default.when_none_fit),
        ..call_sizes(&section, default)
    }
}

fn call_sizes(section: &Section<'_>, default: CallSettings) -> CallSettings {
    let body_bytes_max = section.field("body_bytes_max").size(1 << 10..=1 << 30);
    let body_bytes_max = body_bytes_max.and_then(|bytes| usize::try_from(bytes).ok());
    CallSettings {
        body_bytes_max: body_bytes_max.unwrap_or(default.body_bytes_max),
        batch_calls_max: section
            .field("batch_calls_max")
            .number(1..=100_000)
            .unwrap_or(default.batch_calls_max),
        answer_bytes_max: section
            .field("answer_bytes_max")
            .size(64 << 10..=1 << 40)
            .unwrap_or(default.answer_bytes_max),
        ..default
    }
}

/// `off`, `on`, or what to multiply a node's slow time with.
fn hedge(field: &Field<'_>) -> Option<Option<f64>> {
    field.parsed("`off`, `on` or a factor of 0.5 to 10", |text| {
        match text.trim() {
            "off" | "false" => Some(None),
            "on" | "true" => Some(Some(1.0)),
            factor => {
                let factor = factor.parse().ok();
                factor.filter(|factor| HEDGES.contains(factor)).map(Some)
            }
        }
    })
}

fn broadcast(field: &Field<'_>) -> Option<usize> {
    let form = format!("`all` or a number of nodes, 1 to {NODES_MAX}");
    field.parsed(&form, |text| match text.trim() {
        "all" => Some(NODES_MAX),
        nodes => {
            let nodes = nodes.parse().ok();
            nodes.filter(|nodes| (1..=NODES_MAX).contains(nodes))
        }
    })
}

fn retry_budget(field: &Field<'_>) -> RetryBudgetSettings {
    let section = field.section(&["per_call", "per_second", "burst"]);
    let default = RetryBudgetSettings::default();
    let decimal = |key: &str, range| section.field(key).decimal(range);
    RetryBudgetSettings {
        per_call: decimal("per_call", 0.0..=10.0).unwrap_or(default.per_call),
        per_second: decimal("per_second", 0.0..=100_000.0).unwrap_or(default.per_second),
        burst: decimal("burst", 0.0..=1_000_000.0).unwrap_or(default.burst),
    }
}

fn when_none_fit(section: &Section<'_>) -> Option<NoneFitPolicy> {
    section.field("when_none_fit").choice(&[
        ("fail_open", NoneFitPolicy::FailOpen),
        ("refuse", NoneFitPolicy::Refuse),
    ])
}

fn consistency(section: &Section<'_>) -> Option<Consistency> {
    section.field("consistency").choice(&[
        ("monotonic", Consistency::Monotonic),
        // What it once said, `monotonic` says now.
        ("pinned", Consistency::Monotonic),
        ("none", Consistency::None),
    ])
}

fn methods(field: &Field<'_>) -> MethodSettings {
    let section = field.section(&["allow", "deny", "heavy", "reads"]);
    let names = |key: &str| section.field(key).list(method).unwrap_or_default();
    MethodSettings {
        allow: names("allow"),
        deny: names("deny"),
        heavy: names("heavy"),
        reads: names("reads"),
    }
}

fn method(item: &Field<'_>) -> Option<String> {
    item.parsed("a method's name or a glob, as in `debug_trace*`", |text| {
        let clean = |byte: u8| byte.is_ascii_graphic();
        let fits = !text.is_empty() && text.len() <= METHOD_BYTES_MAX;
        (fits && text.bytes().all(clean)).then(|| text.to_string())
    })
}

fn shutdown(field: &Field<'_>) -> ShutdownSettings {
    let section = field.section(&["lame_duck", "drain"]);
    let default = ShutdownSettings::default();
    let wait = |key: &str| section.field(key).duration(Duration::ZERO..=HOUR);
    ShutdownSettings {
        lame_duck: wait("lame_duck").unwrap_or(default.lame_duck),
        drain: wait("drain").unwrap_or(default.drain),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::tests::{finds, finds_nothing, reading, told};

    #[test]
    fn each_limit_holds_at_its_value_and_not_one_past_it() {
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
    fn what_this_release_lacks_is_said() {
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

//! Logs: one line an event on stderr, as text or as JSON.
//!
//! Pingora logs at level error what clients do every day: leave, stall, or scan the TLS port.
//! Such lines are kept as level debug, so that an error in the log is one.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::Write as _;
use std::sync::OnceLock;

use env_filter::Filter;
use log::{Level, Log, Metadata, Record, SetLoggerError};
use serde::Serialize;
use tokio::task_local;

use forebay_core::vocabulary::chain::ChainName;

/// The environment variable with the filter, as `env_logger` reads it: `info,forebay=debug`.
pub const FILTER_VARIABLE: &str = "FOREBAY_LOG";

/// What holds in everyday service where the variable says nothing else. Pingora tells at level info of each step of
/// its start and end, its balancer of changes that we tell ourselves, and the verifier of certificates
/// of each one that is refused, without saying of which node: the node's own line does.
pub const EVERYDAY: &str =
    "info,pingora=warn,pingora_load_balancing=error,rustls_platform_verifier=off";

/// The same for a command that has the terminal for itself. The variable, where it is set, changes
/// [`EVERYDAY`] all the same.
pub const ERRORS_ALONE: &str = "error";

/// What pingora says when a client misbehaves or leaves: the module, and how the line begins.
const CLIENTS_DOING: &[(&str, &str)] = &[
    ("pingora_core::apps", "HTTP server fails to"),
    ("pingora_core::apps", "H2 handshake error"),
    (
        "pingora_core::services::listening",
        "Downstream handshake error",
    ),
    (
        "pingora_core::services::listening",
        "Downstream handshake timeout",
    ),
];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Time, level, message.
    #[default]
    Text,
    /// An object a line: `ts`, `level`, `target`, `message`, and `chain` where it is about one.
    Json,
}

/// Logs to stderr from now on, as much as the environment says; `unless_told` holds where it says
/// nothing.
///
/// # Errors
/// When this process has a logger already.
pub fn init(format: LogFormat, unless_told: &str) -> Result<(), SetLoggerError> {
    let wanted = std::env::var(FILTER_VARIABLE).unwrap_or_default();
    let filter = filter(&wanted, unless_told);
    let level_max = filter.filter();
    log::set_logger(LOGGER.get_or_init(|| Logger { format, filter }))?;
    log::set_max_level(level_max);
    Ok(())
}

/// The everyday filter, changed by `wanted`; without it, `unless_told`. A part of `wanted` that
/// makes no sense is named on stderr.
fn filter(wanted: &str, unless_told: &str) -> Filter {
    let mut builder = env_filter::Builder::new();
    if wanted.is_empty() {
        builder.parse(unless_told);
    } else {
        builder.parse(EVERYDAY).parse(wanted);
    }
    builder.build()
}

task_local! {
    /// The chain that the task's lines are about.
    static CHAIN: ChainName;
}

/// Does `work`, whose lines are about `chain`: in JSON they have it as a member, in text it stands
/// before what they say, if it has been given a name.
pub async fn for_chain<T>(chain: ChainName, work: impl Future<Output = T>) -> T {
    CHAIN.scope(chain, work).await
}

/// The same, for what doesn't wait.
pub fn of_chain<T>(chain: &ChainName, work: impl FnOnce() -> T) -> T {
    CHAIN.sync_scope(chain.clone(), work)
}

static LOGGER: OnceLock<Logger> = OnceLock::new();

/// Logs `event`: where JSON is wanted its members stand beside `ts`, `level` and `target`, else its
/// text, which must be free of control characters.
pub fn tell<E: Serialize + Display>(level: Level, target: &str, event: &E) {
    let about = Metadata::builder().level(level).target(target).build();
    let heard = LOGGER.get().filter(|logger| logger.enabled(&about));
    if let Some(logger) = heard {
        write(&logger.event(&about, &crate::clock::iso_8601(), event));
    }
}

struct Logger {
    format: LogFormat,
    filter: Filter,
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.filter.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if let Some(line) = self.line(record, &crate::clock::iso_8601()) {
            write(&line);
        }
    }

    fn flush(&self) {}
}

fn write(line: &str) {
    // Where stderr is gone there is nowhere left to tell it.
    drop(std::io::stderr().lock().write_all(line.as_bytes()));
}

impl Logger {
    fn event<E: Serialize + Display>(&self, about: &Metadata<'_>, utc: &str, event: &E) -> String {
        match self.format {
            LogFormat::Text => format!("{utc}Z {:<5} {event}\n", about.level()),
            LogFormat::Json => json(utc, about.level(), about.target(), event),
        }
    }

    /// The line for `record`, with its end; `None` when it is filtered out.
    fn line(&self, record: &Record<'_>, utc: &str) -> Option<String> {
        if !self.filter.matches(record) {
            return None;
        }
        let message = record.args().to_string();
        let target = record.target();
        let mut level = record.level();
        if is_clients_doing(target, &message) {
            level = Level::Debug;
            let quiet = Metadata::builder().target(target).level(level).build();
            if !self.filter.enabled(&quiet) {
                return None;
            }
        }
        let chain = CHAIN.try_with(ChainName::clone).ok();
        let of_chain = chain.as_ref().map(ChainName::as_str);
        Some(match self.format {
            LogFormat::Text => {
                let named = chain.as_ref().filter(|chain| !chain.is_main());
                let before = named.map_or_else(String::new, |chain| format!("{chain}: "));
                format!("{utc}Z {level:<5} {before}{}\n", on_one_line(&message))
            }
            LogFormat::Json => {
                let said = JsonMessage {
                    chain: of_chain,
                    message: &message,
                };
                json(utc, level, target, &said)
            }
        })
    }
}

fn is_clients_doing(target: &str, message: &str) -> bool {
    target.starts_with("pingora")
        && CLIENTS_DOING
            .iter()
            .any(|(module, opening)| target.starts_with(module) && message.starts_with(opening))
}

/// Control characters are written as escapes: no text that is sent to us may forge a line.
fn on_one_line(message: &str) -> Cow<'_, str> {
    if !message.contains(char::is_control) {
        return Cow::Borrowed(message);
    }
    let escaped = |mut line: String, letter: char| {
        if letter.is_control() {
            line.extend(letter.escape_default());
        } else {
            line.push(letter);
        }
        line
    };
    Cow::Owned(message.chars().fold(String::new(), escaped))
}

#[derive(Serialize)]
struct JsonLine<'a, E> {
    ts: String,
    level: &'static str,
    target: &'a str,
    #[serde(flatten)]
    event: &'a E,
}

#[derive(Serialize)]
struct JsonMessage<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    chain: Option<&'a str>,
    message: &'a str,
}

fn json<E: Serialize>(utc: &str, level: Level, target: &str, event: &E) -> String {
    let line = JsonLine {
        ts: format!("{utc}Z"),
        level: level.as_str(),
        target,
        event,
    };
    let mut text = serde_json::to_string(&line).unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: &str = "2024-05-06T12:00:00.000000";

    fn line(
        format: LogFormat,
        wanted: &str,
        level: Level,
        target: &str,
        message: &str,
    ) -> Option<String> {
        let filter = filter(wanted, EVERYDAY);
        let logger = Logger { format, filter };
        let mut record = Record::builder();
        record.level(level).target(target);
        logger.line(&record.args(format_args!("{message}")).build(), NOON)
    }

    fn is_shown(wanted: &str, level: Level, target: &str, message: &str) -> bool {
        line(LogFormat::Text, wanted, level, target, message).is_some()
    }

    #[test]
    fn a_command_with_the_terminal_for_itself_logs_errors_alone_unless_told_otherwise() {
        let is_shown = |wanted, level| {
            let about = Metadata::builder().target("forebay").level(level).build();
            filter(wanted, ERRORS_ALONE).enabled(&about)
        };
        assert!(is_shown("", Level::Error));
        assert!(!is_shown("", Level::Warn));
        assert!(is_shown("pingora=debug", Level::Info));
        assert!(is_shown("debug", Level::Debug));
    }

    #[test]
    fn text_is_time_level_and_message_on_one_line() {
        let text = |message| line(LogFormat::Text, "", Level::Info, "forebay", message);
        assert_eq!(
            text("node geth-1 is fit").unwrap(),
            "2024-05-06T12:00:00.000000Z INFO  node geth-1 is fit\n"
        );
        assert_eq!(
            text("a\r\nERROR forged\u{1b}[31m é").unwrap(),
            "2024-05-06T12:00:00.000000Z INFO  a\\r\\nERROR forged\\u{1b}[31m é\n"
        );
    }

    #[test]
    fn json_is_one_object_a_line_whatever_the_message() {
        let rude = "quote \" backslash \\ line\nend \u{0} \u{1b} é \u{2028}";
        let text = line(LogFormat::Json, "", Level::Warn, "forebay::tasks", rude).unwrap();
        assert_eq!(text.matches('\n').count(), 1);
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        let wanted = serde_json::json!({
            "ts": "2024-05-06T12:00:00.000000Z",
            "level": "WARN",
            "target": "forebay::tasks",
            "message": rude,
        });
        assert_eq!(read, wanted);
    }

    #[tokio::test]
    async fn a_line_says_which_chain_it_is_about() {
        let said = |format| line(format, "", Level::Info, "forebay", "a node is fit").unwrap();
        let chain_of = |line: &str| {
            let read: serde_json::Value = serde_json::from_str(line).unwrap();
            read.get("chain").cloned()
        };
        let base: ChainName = "base".parse().unwrap();
        let text = of_chain(&base, || said(LogFormat::Text));
        assert!(text.ends_with("Z INFO  base: a node is fit\n"), "{text}");
        let json = for_chain(base, async { said(LogFormat::Json) }).await;
        assert_eq!(chain_of(&json), Some("base".into()));

        let text = of_chain(&ChainName::main(), || said(LogFormat::Text));
        assert!(text.ends_with("Z INFO  a node is fit\n"), "{text}");
        let json = of_chain(&ChainName::main(), || said(LogFormat::Json));
        assert_eq!(chain_of(&json), Some("main".into()));
        assert_eq!(chain_of(&said(LogFormat::Json)), None, "of none");
    }

    #[test]
    fn an_events_members_stand_beside_those_of_every_line() {
        #[derive(Serialize)]
        struct Event {
            node: &'static str,
            attempts: u32,
        }
        impl Display for Event {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{} {}", self.node, self.attempts)
            }
        }
        let event = Event {
            node: "geth-1",
            attempts: 2,
        };
        let line = |format| {
            let filter = filter("", EVERYDAY);
            let about = Metadata::builder()
                .level(Level::Warn)
                .target("calls")
                .build();
            Logger { format, filter }.event(&about, NOON, &event)
        };
        assert_eq!(
            line(LogFormat::Text),
            "2024-05-06T12:00:00.000000Z WARN  geth-1 2\n"
        );
        let read: serde_json::Value = serde_json::from_str(&line(LogFormat::Json)).unwrap();
        let wanted = serde_json::json!({
            "ts": "2024-05-06T12:00:00.000000Z", "level": "WARN", "target": "calls",
            "node": "geth-1", "attempts": 2,
        });
        assert_eq!(read, wanted);
    }

    #[test]
    fn by_default_we_are_heard_from_info_on_and_pingora_from_warn_on() {
        for (target, level, wanted) in [
            ("forebay::tasks", Level::Info, true),
            ("forebay::tasks", Level::Debug, false),
            ("pingora_core::server", Level::Warn, true),
            ("pingora_core::server", Level::Info, false),
            ("pingora_load_balancing", Level::Info, false),
            (
                "rustls_platform_verifier::verification",
                Level::Error,
                false,
            ),
        ] {
            assert_eq!(is_shown("", level, target, "x"), wanted, "{target} {level}");
        }
    }

    #[test]
    fn the_variable_changes_what_it_names_and_nothing_else() {
        for (wanted, target, level, shown) in [
            ("debug", "forebay", Level::Debug, true),
            ("debug", "pingora_core", Level::Info, false),
            ("info,forebay=debug", "forebay::serve", Level::Debug, true),
            ("info,forebay=debug", "reqwest", Level::Debug, false),
            ("pingora=info", "pingora_core", Level::Info, true),
            (
                "pingora_core=debug",
                "pingora_core::server",
                Level::Debug,
                true,
            ),
            ("pingora_core=debug", "pingora_timeout", Level::Info, false),
            ("off", "forebay", Level::Error, false),
            ("info/other text", "forebay", Level::Info, false),
            ("info/x", "forebay", Level::Info, true),
        ] {
            let is_shown = is_shown(wanted, level, target, "x");
            assert_eq!(is_shown, shown, "{wanted} {target} {level}");
        }
    }

    #[test]
    fn what_clients_do_every_day_is_no_error() {
        let gone = "Downstream handshake error from 1.2.3.4:5: x";
        for (target, message, wanted) in [
            ("forebay::serve", gone, true),
            ("pingora_core::services::listening", gone, false),
            (
                "pingora_core::apps::http_app",
                "HTTP server fails to read from downstream: x",
                false,
            ),
            ("pingora_core::apps", "H2 handshake error x", false),
            (
                "pingora_core::services::listening",
                "Downstream handshake timeout",
                false,
            ),
            (
                "pingora_core::services::listening",
                "Accept() failed x",
                true,
            ),
        ] {
            let is_shown = is_shown("", Level::Error, target, message);
            assert_eq!(is_shown, wanted, "{target} {message}");
        }
        let shown = line(
            LogFormat::Text,
            "pingora=debug",
            Level::Error,
            "pingora_core::services::listening",
            gone,
        );
        assert!(
            shown.unwrap().contains(" DEBUG Downstream"),
            "not lost, but quiet"
        );
    }
}

//! Pingora's own keys, at the top of the file: read by Pingora's reader, one at a time, so that
//! each mistake has its line.

use pingora::server::configuration::ServerConf;
use serde_json::{Map, Value as Json};

use super::field::{below, unknown_key};
use super::finding::Findings;
use super::hidden::harmless;
use super::yaml;
use crate::config::field::ReadContext;
use crate::config::yaml::{YamlEntry, YamlNode, YamlValue};
use forebay_core::vocabulary::node::interpolate;

/// The key of our own section.
pub(super) const FOREBAY: &str = "forebay";

/// Reads every top-level key but `forebay`; unknown ones are warned about. `None` when one is
/// wrong.
pub(super) fn server(context: &ReadContext<'_>, entries: &[YamlEntry]) -> Option<ServerConf> {
    let known = known_keys();
    let known: Vec<&str> = known.iter().map(String::as_str).chain([FOREBAY]).collect();
    let mut accepted = Map::new();
    let mut complete = true;
    for entry in entries.iter().filter(|entry| entry.key != FOREBAY) {
        if !known.contains(&entry.key.as_str()) {
            let message = format!("{}; it has no effect", unknown_key(&entry.key, &known));
            context
                .findings
                .warn(entry.line, &below("", &entry.key), message);
            continue;
        }
        match value(context, entry) {
            Ok(value) => {
                accepted.insert(entry.key.clone(), value);
            }
            Err(why) => {
                context.findings.error(entry.line, &entry.key, why);
                complete = false;
            }
        }
    }
    if !complete {
        return None;
    }
    let server = read(accepted);
    if let Err(why) = &server {
        context.error("", why);
    }
    server.ok()
}

/// What this version of Pingora knows.
fn known_keys() -> Vec<String> {
    let findings = Findings::default();
    let all = yaml::parse(&ServerConf::default().to_yaml(), &findings);
    match all.map(|node| node.value) {
        Some(YamlValue::Mapping(entries)) => entries.into_iter().map(|entry| entry.key).collect(),
        Some(YamlValue::Scalar { .. } | YamlValue::Sequence(_)) | None => Vec::new(),
    }
}

/// The value in the form in which Pingora takes it: what looks like a number may be a number or,
/// for a user or a path, a text.
fn value(context: &ReadContext<'_>, entry: &YamlEntry) -> Result<Json, String> {
    let typed = json(context, &entry.node, ScalarReading::Typed)?;
    let alone = |value: &Json| read(Map::from_iter([(entry.key.clone(), value.clone())]));
    let Err(why) = alone(&typed) else {
        return Ok(typed);
    };
    let texts = json(context, &entry.node, ScalarReading::Texts)?;
    match alone(&texts) {
        Ok(_) => Ok(texts),
        Err(_) => Err(why),
    }
}

#[derive(Clone, Copy)]
enum ScalarReading {
    Typed,
    Texts,
}

fn json(
    context: &ReadContext<'_>,
    node: &YamlNode,
    reading: ScalarReading,
) -> Result<Json, String> {
    if node.is_null() {
        return Ok(Json::Null);
    }
    match &node.value {
        YamlValue::Scalar { text, .. } => {
            let text = interpolate(text, context.lookup).map_err(|why| harmless(&why))?;
            Ok(match reading {
                ScalarReading::Typed => typed(&text),
                ScalarReading::Texts => Json::String(text),
            })
        }
        YamlValue::Sequence(items) => {
            let items = items.iter().map(|item| json(context, item, reading));
            items.collect::<Result<_, _>>().map(Json::Array)
        }
        YamlValue::Mapping(_) => {
            Err("expected a value or a list, found a group of keys".to_string())
        }
    }
}

/// A tree of Pingora's own writing, which knows no variables.
pub(super) fn plain(node: &YamlNode) -> Json {
    match &node.value {
        _ if node.is_null() => Json::Null,
        YamlValue::Scalar { text, quoted: true } => Json::String(text.clone()),
        YamlValue::Scalar { text, .. } => typed(text),
        YamlValue::Sequence(items) => items.iter().map(plain).collect(),
        YamlValue::Mapping(entries) => {
            let entries = entries.iter();
            Json::Object(
                entries
                    .map(|entry| (entry.key.clone(), plain(&entry.node)))
                    .collect(),
            )
        }
    }
}

fn typed(text: &str) -> Json {
    let number = || text.parse::<i64>().map(Json::from).ok();
    let large = || text.parse::<u64>().map(Json::from).ok();
    match text {
        "" => Json::Null,
        "true" => Json::Bool(true),
        "false" => Json::Bool(false),
        _ => number()
            .or_else(large)
            .unwrap_or_else(|| Json::String(text.to_string())),
    }
}

/// Hands the keys to Pingora. JSON is YAML too (YAML 1.2.2, 1.2).
fn read(keys: Map<String, Json>) -> Result<ServerConf, String> {
    let text = format!("{:#}", Json::Object(keys));
    ServerConf::from_yaml(&text).map_err(|why| expectation(&why))
}

/// What Pingora expected. Only the part of its sentence that can't hold the value.
fn expectation(why: &pingora::Error) -> String {
    let Some(cause) = &why.cause else {
        // Its own range checks name the key and the range alone.
        let context = why.context.as_ref().map(|context| context.as_str());
        return context
            .unwrap_or("Pingora can't take this value")
            .to_string();
    };
    let cause = cause.to_string();
    let expected = cause.rsplit_once("expected ").map(|(_, expected)| {
        let end = expected.find(" at line").unwrap_or(expected.len());
        match &expected[..end] {
            "usize" | "u64" | "u32" | "u16" => "a whole number",
            other => other,
        }
    });
    match expected {
        Some("a boolean") => "expected true or false".to_string(),
        Some(expected) => format!("expected {expected}"),
        None => "Pingora can't take this value".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::tests::{reading, told};

    #[test]
    fn the_top_level_is_pingoras() {
        let told = |text: &str| told(&reading(text));
        assert_eq!(
            told("thread: 2\ndaemon: true\nfore-bay: {}\n"),
            [
                "1: warning: thread: unknown key; did you mean `threads`?; it has no effect",
                "1: warning: version: should be written, and 1",
                "1: warning: threads: left out: one thread; write the number of cores",
                "2: warning: daemon: has no effect: `serve` stays in the foreground",
                "3: warning: fore-bay: unknown key; did you mean `forebay`?; it has no effect",
            ]
        );
        for (line, expected) in [
            ("version: x", "version: expected a whole number"),
            ("work_stealing: 3", "work_stealing: expected true or false"),
            (
                "max_blocking_threads: 0",
                "max_blocking_threads must be greater than zero",
            ),
            ("pid_file: {a: b}", "pid_file: expected a value or a list"),
            (
                "threads: \"${NOPE}\"",
                "threads: the environment variable NOPE is not set",
            ),
            ("threads: \"${KEY}\"", "threads: expected a whole number"),
        ] {
            let reading = reading(line);
            assert!(reading.settings.is_none() && reading.pingora.is_none());
            let text = reading.findings[0].to_string();
            assert!(text.contains(expected), "{text}");
        }
    }
}

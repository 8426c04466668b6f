//! The reference page of the settings, made of their table and of what the readers look for.

use std::fmt::Write as _;

use serde_json::Value as Json;

use super::quantity::{duration_text, size_text};
use super::settings::{CloudWatchSettings, OtlpSettings, Settings, table};
use super::shape::{ANY_TEXT, ITEM, SchemaRecorder, ValueShape};
use super::{chain_schema, nodes, schema, server, yaml_writer};

const HEAD: &str = "\
<!-- Made by `forebay check --reference`: change settings.rs, nodes.rs or chains.rs in src/config. -->
# Settings

What stands under `forebay:`. *live*: a running balancer takes a new value at once, when the file is read again;
*restart*: it waits for one. Durations are written `500ms`, `5s`, `2m`, `1h`; sizes `65536`, `64KiB`, `5MiB`,
`1GiB`.

| key | default | value | takes effect | meaning |
| --- | --- | --- | --- | --- |
";
const NODES: &str = "
## A node under `nodes`

| key | value | meaning |
| --- | --- | --- |
";

const CHAINS: &str = "
## A chain under `chains`

Of these a chain may have its own; what it leaves out is as it stands for all:
";
const CHAIN_KEYS: &str = "
Beside them it has:

| key | meaning |
| --- | --- |
";

/// The page, in Markdown.
pub fn reference() -> String {
    let noted = schema::noted();
    let defaults = Settings {
        cloudwatch: Some(CloudWatchSettings::default()),
        otlp: Some(OtlpSettings::default()),
        ..Settings::default()
    };
    let mut page = HEAD.to_string();
    for setting in table() {
        let path = format!("{}.{}", server::FOREBAY, setting.key);
        let default = match setting.value.shown(&defaults) {
            None | Some(Json::Null) => String::new(),
            Some(value) => format!("`{}`", yaml_writer::inline(&value)),
        };
        let (key, value, when) = (setting.key, value(&noted, &path), setting.when.word());
        let meaning = setting.meaning.trim();
        let _ = writeln!(
            page,
            "| `{key}` | {default} | {value} | {when} | {meaning} |"
        );
    }
    page.push_str(NODES);
    for (key, meaning) in nodes::KEYS {
        let value = value(&noted, &format!("{}.nodes{ITEM}.{key}", server::FOREBAY));
        let _ = writeln!(page, "| `{key}` | {value} | {meaning} |");
    }
    for part in [CHAINS, &chain_schema::shared(), ".\n", CHAIN_KEYS] {
        page.push_str(part);
    }
    page.push_str(&chain_schema::rows());
    page
}

/// The form and range of what may stand at `path`.
fn value(noted: &SchemaRecorder, path: &str) -> String {
    let Some(shape) = noted.shape(path) else {
        return ANY_TEXT.to_string();
    };
    match shape {
        ValueShape::Group(_) | ValueShape::Free => "a group of keys".to_string(),
        ValueShape::Named => "groups of keys, by names".to_string(),
        ValueShape::List => match noted.shape(&format!("{path}{ITEM}")) {
            Some(ValueShape::Text(form)) => format!("a list; an item: {}", schema::bare(&form)),
            Some(_) | None => "a list of groups".to_string(),
        },
        ValueShape::Text(form) => schema::bare(&form).to_string(),
        ValueShape::Boolean => "`true` or `false`".to_string(),
        ValueShape::Choice(words) => {
            let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
            words.join(", ")
        }
        ValueShape::Number(from, u64::MAX) => format!("a whole number from {from}"),
        ValueShape::Number(from, to) => format!("{from} to {to}"),
        ValueShape::Decimal(from, to) => format!("a number, {from} to {to}"),
        ValueShape::Duration(from, to) => {
            format!("{} to {}", duration_text(from), duration_text(to))
        }
        ValueShape::Size(from, to) => format!("{} to {}", size_text(from), size_text(to)),
    }
}

#[cfg(test)]
mod tests {
    use forebay_core::fleet::spread::NODES_MAX;
    use forebay_core::vocabulary::caps::Caps;
    use forebay_core::vocabulary::node::{NAME_BYTES_MAX, SERVED_GLOBS_MAX, TEXT_BYTES_MAX};

    use super::*;
    use crate::config::{admin, chains, field, otlp, sockets};

    /// As sentences have it: `1,000`.
    fn thousands(number: usize) -> String {
        format!("{},{:03}", number / 1000, number % 1000)
    }

    #[test]
    fn numbers_in_meanings_are_those_of_the_code() {
        let mut meanings: Vec<(String, &str)> = Vec::new();
        for setting in table() {
            meanings.push((setting.key.to_string(), setting.meaning));
        }
        for (key, meaning) in nodes::KEYS {
            meanings.push((format!("a node's {key}"), meaning));
        }
        for (key, _, meaning) in chains::OWN_KEYS {
            meanings.push((format!("a chain's {key}"), meaning));
        }
        let defaults = Settings::default();
        let block_time = duration_text(defaults.chain.block_time);
        // From so many calls on, a second earns less than they do.
        let calls = defaults.calls.retry_per_second / defaults.calls.retry_per_call;
        let cached = size_text(Caps::ROOMY.cache).replace("MiB", " MiB");
        for (of, said) in [
            ("chain.block_time", format!("else {block_time}.")),
            ("a chain's block_time", format!("else {block_time}")),
            ("chains", format!("up to {},", chains::CHAINS_MAX)),
            ("a chain's hosts", format!("up to {}", chains::HOSTS_MAX)),
            ("nodes", format!("up to {}.", thousands(field::ITEMS_MAX))),
            (
                "a node's url",
                format!("up to {} bytes", thousands(TEXT_BYTES_MAX)),
            ),
            ("a node's name", format!("up to {NAME_BYTES_MAX} letters")),
            (
                "a node's serves",
                format!("up to {SERVED_GLOBS_MAX} names and globs"),
            ),
            (
                "calls.retry_budget.per_second",
                format!("from {calls} calls a second"),
            ),
            ("calls.broadcast", format!("up to {NODES_MAX}.")),
            ("cache.memory", format!("{cached} at most")),
            (
                "admin.token",
                format!("up to {} characters", thousands(admin::TOKEN_BYTES_MAX)),
            ),
            (
                "sockets.per_address_max",
                format!("{} where", sockets::PER_CLIENT_ADDRESS_MAX),
            ),
            ("otlp.headers", format!("up to {};", otlp::HEADERS_MAX)),
        ] {
            let meaning = meanings.iter().find(|(key, _)| key == of);
            let meaning = meaning.map_or("it isn't there", |(_, meaning)| *meaning);
            assert!(meaning.contains(&said), "{of}: {meaning} isn't {said}");
        }
    }

    #[test]
    fn the_committed_page_is_the_one_that_the_code_makes() {
        let committed = include_str!("../../docs/reference/settings.md");
        assert!(
            reference() == committed,
            "write it anew: cargo run -- check --reference > docs/reference/settings.md"
        );
    }

    #[test]
    fn every_setting_is_written_once_and_says_what_it_means() {
        let table = table();
        for (at, setting) in table.iter().enumerate() {
            let is_twice = table[..at].iter().any(|other| other.key == setting.key);
            assert!(!is_twice, "{}", setting.key);
            let is_sentence =
                setting.meaning.ends_with('.') && !setting.meaning.contains(['|', '\n']);
            assert!(is_sentence, "{}: {}", setting.key, setting.meaning);
        }
    }

    #[test]
    fn a_range_is_told_as_a_file_would_say_it() {
        let page = reference();
        for row in [
            "| `health.interval` | `5s` | 100ms to 1h | live |",
            "| `chain.id` |  | a whole number from 1 | restart |",
            "| `calls.body_bytes_max` | `5MiB` | 1KiB to 1GiB | live |",
            "| `weight` | 0 to 1000 |",
        ] {
            assert!(page.contains(row), "{row}: {page}");
        }
    }
}

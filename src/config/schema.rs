//! The configuration as a JSON Schema, for editors: made by the very code that reads it, which notes what
//! it looks for and in what form.
//!
//! A value may come from the environment (`"${NAME}"`), so a text with a variable is valid everywhere.

use pingora::server::configuration::ServerConf;
use serde_json::{Map, Value as Json, json};

use super::chains::{OWN_KEYS, is_a_chains, own_key};
use super::field::{Field, ReadContext, below};
use super::finding::Findings;
use super::quantity::{duration_text, size_text};
use super::settings::{Settings, table};
use super::shape::{ANY_TEXT, ITEM, NAMED, SchemaRecorder, ValueShape};
use super::{chain_schema, from_file, nodes, printout, server, yaml};

/// The dialect, as editors know it.
const DIALECT: &str = "http://json-schema.org/draft-07/schema#";
/// A text in which the environment has a part.
const VARIABLE: &str = r"\$\{";
fn of(noted: &SchemaRecorder, path: &str) -> Json {
    match noted.shape(path) {
        None => json!({}),
        Some(ValueShape::Group(keys)) => {
            let properties = keys.into_iter().map(|key| {
                let at = below(path, &key);
                (key, of(noted, &at))
            });
            let properties: Map<String, Json> = properties.collect();
            json!({
                "type": ["object", "null"],
                "properties": properties,
                "additionalProperties": false,
            })
        }
        Some(ValueShape::List) => json!({
            "type": ["array", "null"],
            "items": of(noted, &format!("{path}{ITEM}")),
        }),
        Some(ValueShape::Named) => json!({
            "type": ["object", "null"],
            "additionalProperties": of(noted, &format!("{path}{NAMED}")),
        }),
        Some(shape) => leaf(&shape),
    }
}

fn leaf(shape: &ValueShape) -> Json {
    let or_variable = |schema: Json| json!({"anyOf": [schema, {"type": "string", "pattern": VARIABLE}, {"type": "null"}]});
    let text = |pattern: &str| json!({"type": "string", "pattern": pattern});
    let told = |mut schema: Json, words: String| {
        schema["description"] = Json::from(words);
        schema
    };
    match shape {
        ValueShape::Group(_) | ValueShape::List | ValueShape::Named => json!({}),
        ValueShape::Free => json!({
            "type": ["object", "null"],
            "additionalProperties": {"type": ["string", "number", "boolean"]},
        }),
        ValueShape::Text(form) => {
            let any = json!({"type": ["string", "number", "boolean", "null"]});
            told(any, bare(form).to_string())
        }
        ValueShape::Boolean => or_variable(json!({"type": "boolean"})),
        ValueShape::Choice(names) => {
            let typed = names.iter().map(|name| match name.as_str() {
                "true" => Json::Bool(true),
                "false" => Json::Bool(false),
                name => Json::from(name),
            });
            or_variable(json!({"enum": typed.collect::<Vec<_>>()}))
        }
        ValueShape::Number(from, to) => {
            let schema = json!({"type": "integer", "minimum": from, "maximum": to});
            told(
                or_variable(schema),
                format!("a whole number, {from} to {to}"),
            )
        }
        ValueShape::Decimal(from, to) => {
            let schema = json!({"type": "number", "minimum": from, "maximum": to});
            told(or_variable(schema), format!("a number, {from} to {to}"))
        }
        ValueShape::Duration(from, to) => {
            let words = format!(
                "a duration, {} to {}",
                duration_text(*from),
                duration_text(*to)
            );
            told(or_variable(text(r"^\s*[0-9]+(ms|s|m|h)\s*$")), words)
        }
        ValueShape::Size(from, to) => {
            let number = json!({"type": "integer", "minimum": from, "maximum": to});
            let schema = json!({"anyOf": [number, text(r"^\s*[0-9]+(KiB|MiB|GiB)?\s*$")]});
            let words = format!("a size, {} to {}", size_text(*from), size_text(*to));
            told(or_variable(schema), words)
        }
    }
}

/// What the readers of everything under `forebay:` look for.
pub(super) fn noted() -> SchemaRecorder {
    let recorder = SchemaRecorder::default();
    let (findings, root) = (Findings::default(), yaml::nothing());
    let context = ReadContext {
        lookup: &|_| None,
        root: &root,
        findings: &findings,
        recorder: Some(&recorder),
    };
    let forebay = Field::new(&context, server::FOREBAY.to_string(), 1, None);
    from_file::settings(&context, &forebay);
    recorder
}

/// The schema of the whole file, with the defaults.
pub fn schema() -> Json {
    let defaults = printout::tree(&Settings::default(), &ServerConf::default());
    let mut ours = of(&noted(), server::FOREBAY);
    ours["properties"]["chains"] = chain_schema::schema(&ours["properties"]);
    with_meanings(&mut ours["properties"]);
    with_defaults(&mut ours, &defaults[server::FOREBAY]);
    let mut properties = pingoras(&defaults);
    properties.insert(server::FOREBAY.to_string(), ours);
    json!({
        "$schema": DIALECT,
        "title": "Forebay's configuration",
        "type": ["object", "null"],
        "properties": properties,
    })
}

/// Pingora's keys: its reader says nothing of their forms but by what they are when left out.
fn pingoras(defaults: &Json) -> Map<String, Json> {
    let Json::Object(defaults) = defaults else {
        return Map::new();
    };
    let others = defaults.iter().filter(|(key, _)| *key != server::FOREBAY);
    let typed = others.map(|(key, default)| {
        let kinds = match default {
            Json::Bool(_) => json!(["boolean", "string", "null"]),
            Json::Number(_) => json!(["integer", "string", "null"]),
            Json::Array(_) => json!(["array", "null"]),
            Json::Null | Json::String(_) | Json::Object(_) => {
                return (key.clone(), json!({}));
            }
        };
        (key.clone(), json!({"type": kinds, "default": default}))
    });
    typed.collect()
}

/// Says of each key what it means, before its form.
fn with_meanings(properties: &mut Json) {
    for (at, meaning) in meanings() {
        if let Some(property) = properties.pointer_mut(&at) {
            let form = property["description"].as_str();
            let form = form.filter(|form| *form != ANY_TEXT);
            let form = form.map_or(String::new(), |form| format!(" ({form})"));
            property["description"] = Json::from(without_links(meaning.trim()) + &form);
        }
    }
}

/// What each key means, by its place below `forebay`. A chain's own keys come after those that all chains share.
fn meanings() -> Vec<(String, &'static str)> {
    let place = |key: &str| format!("/{}", key.replace('.', "/properties/"));
    let in_chain = |key: &str| format!("/chains/additionalProperties/properties{}", place(key));
    let mut all = Vec::new();
    for setting in table() {
        all.push((place(setting.key), setting.meaning));
        if is_a_chains(setting.key) && own_key(setting.key).is_none() {
            all.push((in_chain(setting.key), setting.meaning));
        }
    }
    all.extend(OWN_KEYS.map(|(key, _, meaning)| (in_chain(key), meaning)));
    for (key, meaning) in nodes::KEYS {
        for nodes in [place("nodes"), in_chain("nodes")] {
            all.push((format!("{nodes}/items/properties/{key}"), meaning));
        }
    }
    all
}

/// A form as it is told where nothing is wrong.
pub(super) fn bare(form: &str) -> &str {
    form.strip_prefix("expected ").unwrap_or(form)
}

/// Text as an editor shows it: of a link of Markdown's its words alone.
fn without_links(text: &str) -> String {
    let mut parts = text.split("](");
    let mut out = parts.next().unwrap_or_default().to_string();
    for part in parts {
        if let Some(words) = out.rfind('[') {
            out.remove(words);
        }
        out.push_str(part.split_once(')').map_or(part, |(_, rest)| rest));
    }
    out
}

fn with_defaults(schema: &mut Json, default: &Json) {
    match (schema.get_mut("properties"), default) {
        (Some(Json::Object(properties)), Json::Object(defaults)) => {
            for (key, property) in properties {
                if let Some(default) = defaults.get(key) {
                    with_defaults(property, default);
                }
            }
        }
        (Some(_), _) | (None, Json::Null) => {}
        (None, default) => schema["default"] = default.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::tests::{FULL, reading};

    /// The keys of a schema, or of what is printed, down to what is no group any more.
    fn leaves(at: &str, tree: &Json, found: &mut BTreeSet<String>) {
        match tree {
            Json::Object(entries) if !entries.is_empty() => {
                for (key, value) in entries {
                    leaves(&below(at, key), value, found);
                }
            }
            _ => drop(found.insert(at.to_string())),
        }
    }

    /// The same of the schema.
    fn described(at: &str, schema: &Json, found: &mut BTreeSet<String>) {
        match schema.get("properties") {
            Some(Json::Object(properties)) => {
                for (key, property) in properties {
                    described(&below(at, key), property, found);
                }
            }
            _ => drop(found.insert(at.to_string())),
        }
    }

    #[test]
    fn an_editor_is_told_what_a_key_means_without_links() {
        assert_eq!(
            without_links("See [the one](a.md#b) and [two](c.md), in `[x]` (too)."),
            "See the one and two, in `[x]` (too)."
        );
        let schema = schema();
        let ours = &schema["properties"]["forebay"]["properties"];
        for (at, meaning) in meanings() {
            let Some(property) = ours.pointer(&at) else {
                panic!("{at} isn't there")
            };
            let told = property["description"].as_str().unwrap_or_default();
            assert!(
                told.starts_with(&without_links(meaning.trim())),
                "{at}: {told}"
            );
        }
        let interval = &ours["health"]["properties"]["interval"]["description"];
        assert_eq!(
            interval,
            "The time between two rounds of probes. (a duration, 100ms to 1h)"
        );
        let token = &ours["admin"]["properties"]["token"]["description"];
        assert!(
            token.as_str().unwrap().ends_with("on loopback, too."),
            "{token}"
        );
    }

    #[test]
    fn every_key_that_is_printed_is_in_the_schema_and_the_other_way_round() {
        let (mut printed, mut known) = (BTreeSet::new(), BTreeSet::new());
        let settings = reading(FULL).settings.unwrap();
        let tree = printout::tree(&settings, &ServerConf::default());
        leaves("", &tree["forebay"], &mut printed);
        // What stands below it are methods.
        let by_method = "calls.by_method";
        assert!(printed.iter().any(|key| key.starts_with(by_method)));
        printed.retain(|key| !key.starts_with(by_method));
        printed.insert(by_method.to_string());
        described("", &schema()["properties"]["forebay"], &mut known);
        // Whether there are traces is the program's matter.
        let is_trace = |key: &String| key == "otlp" || key.starts_with("otlp.");
        printed.retain(|key| !is_trace(key));
        known.retain(|key| !is_trace(key));
        assert_eq!(printed, known);
    }

    #[test]
    fn every_key_says_its_form() {
        fn look(at: &str, schema: &Json) {
            assert_ne!(*schema, json!({}), "{at}");
            if let Some(Json::Object(properties)) = schema.get("properties") {
                for (key, property) in properties {
                    look(&below(at, key), property);
                }
            }
            if let Some(items) = schema.get("items") {
                look(&format!("{at}{ITEM}"), items);
            }
        }
        let schema = schema();
        let ours = &schema["properties"]["forebay"];
        look("", ours);
        let node = &ours["properties"]["nodes"]["items"]["properties"];
        assert_eq!(node["weight"]["anyOf"][0]["maximum"], 1000);
        assert_eq!(
            ours["properties"]["health"]["properties"]["interval"]["default"],
            "5s"
        );
        let https = &ours["properties"]["listen"]["properties"]["https"]["items"];
        assert!(https["properties"]["h2"]["anyOf"].is_array(), "{https}");
    }

    #[test]
    fn the_committed_schema_is_the_one_that_the_code_makes() {
        let committed = include_str!("../../conf/pingora.schema.json");
        let made = format!("{:#}\n", schema());
        assert!(
            made == committed,
            "write it anew: cargo run -- check --schema > conf/pingora.schema.json"
        );
    }
}

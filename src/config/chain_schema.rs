//! The chains in the JSON Schema, and on the reference page: what one chain alone has, under each name.

use serde_json::{Map, Value as Json, json};

use super::chains::{OWN_KEYS, is_a_chains};
use super::settings::table;

/// A name, as JSON Schema writes a pattern.
const NAME: &str = "^[a-z][a-z0-9-]{0,31}$";

/// What stands under `chains`; `properties`: of `forebay`, without defaults.
pub(super) fn schema(properties: &Json) -> Json {
    let mut own = Map::new();
    for setting in table() {
        if !is_a_chains(setting.key) {
            continue;
        }
        let steps: Vec<&str> = setting.key.split('.').collect();
        own.insert(steps[0].to_string(), Json::Null);
    }
    own.remove("chain");
    let mut chain: Map<String, Json> = own
        .into_iter()
        .map(|(group, _)| {
            let shape = without_process_keys(&group, properties[&group].clone());
            (group, shape)
        })
        .collect();
    let alone = &properties["chain"]["properties"];
    for key in ["id", "block_time"] {
        chain.insert(key.to_string(), alone[key].clone());
    }
    let host = json!({"type": "string"});
    chain.insert(
        "default".into(),
        json!({"type": ["boolean", "string", "null"]}),
    );
    chain.insert(
        "hosts".into(),
        json!({"type": ["array", "null"], "items": host}),
    );
    json!({
        "type": ["object", "null"],
        "propertyNames": {"pattern": NAME},
        "additionalProperties": {
            "type": "object",
            "properties": chain,
            "additionalProperties": false,
        },
    })
}

fn without_process_keys(group: &str, mut shape: Json) -> Json {
    if let Some(Json::Object(keys)) = shape.get_mut("properties") {
        let is_group = |key: &str| {
            let below = format!("{group}.{key}.");
            table().iter().any(|row| row.key.starts_with(&below))
        };
        keys.retain(|key, _| is_a_chains(&format!("{group}.{key}")) || is_group(key));
    }
    shape
}

/// The rows of the reference page: a chain's own keys.
pub(super) fn rows() -> String {
    let rows = OWN_KEYS.map(|(key, _, meaning)| format!("| `{key}` | {meaning} |\n"));
    rows.concat()
}

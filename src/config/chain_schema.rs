//! The chains in the JSON Schema, and on the reference page: what one chain alone has, under each name.

use serde_json::{Map, Value as Json, json};

use super::chains::{OWN_KEYS, PROCESS_KEYS, SHARED_KEYS, is_a_chains};

/// A name, as JSON Schema writes a pattern.
const NAME: &str = "^[a-z][a-z0-9-]{0,31}$";

/// What stands under `chains`; `properties`: of `forebay`, without defaults.
pub(super) fn schema(properties: &Json) -> Json {
    let groups = SHARED_KEYS.iter().chain(&["nodes"]);
    let shapes = groups.map(|group| {
        let shape = without_process_keys(group, properties[*group].clone());
        ((*group).to_string(), shape)
    });
    let mut chain: Map<String, Json> = shapes.collect();
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
        keys.retain(|key, _| is_a_chains(&format!("{group}.{key}")));
    }
    shape
}

/// What all chains share and one may have otherwise, in words: each group with the keys that are the process's all the
/// same.
pub(super) fn shared() -> String {
    let groups = SHARED_KEYS.map(|group| {
        let keys = PROCESS_KEYS.iter().filter_map(|key| key.split_once('.'));
        let own = keys.filter(|(of, _)| *of == group);
        let own: Vec<_> = own.map(|(_, key)| format!("`{key}`")).collect();
        if own.is_empty() {
            format!("`{group}`")
        } else {
            format!("`{group}` (but for {})", own.join(", "))
        }
    });
    groups.join(", ")
}

/// The rows of the reference page: a chain's own keys.
pub(super) fn rows() -> String {
    let rows = OWN_KEYS.map(|(key, _, meaning)| format!("| `{key}` | {meaning} |\n"));
    rows.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terraform_lets_in_what_a_chain_may_have_and_it_does_not_write_itself() {
        let variables = include_str!("../../infra/terraform/variables-forebay.tf");
        let wanted: Vec<_> = SHARED_KEYS
            .iter()
            .filter(|key| **key != "registry")
            .collect();
        let list: Vec<_> = wanted.iter().map(|key| format!("\"{key}\"")).collect();
        let check = format!("setsubtract(keys(sections), [{}])", list.join(", "));
        assert!(variables.contains(&check), "write: {check}");
        let words: Vec<_> = wanted.iter().map(|key| format!("`{key}`")).collect();
        let page = include_str!("../../docs/reference/terraform.md");
        let row = format!("by chain: sections {} over", words.join(", "));
        assert!(page.contains(&row), "write: {row}");
    }
}

//! A tree as YAML, for people: groups line by line, lists and their items on a line each.

use std::fmt::Write as _;

use serde_json::Value as Json;

/// Adds `tree` to `text`, so many levels deep.
pub(super) fn write(tree: &Json, depth: usize, text: &mut String) {
    let Json::Object(entries) = tree else {
        return;
    };
    let indent = "  ".repeat(depth);
    for (key, value) in entries {
        let _ = match value {
            Json::Object(entries) if !entries.is_empty() => {
                let written = writeln!(text, "{indent}{}:", plain(key));
                write(value, depth + 1, text);
                written
            }
            Json::Array(items) if items.iter().any(Json::is_object) => {
                let written = writeln!(text, "{indent}{}:", plain(key));
                for item in items {
                    let _ = writeln!(text, "{indent}  - {}", inline(item));
                }
                written
            }
            Json::Null
            | Json::Bool(_)
            | Json::Number(_)
            | Json::String(_)
            | Json::Array(_)
            | Json::Object(_) => writeln!(text, "{indent}{}: {}", plain(key), inline(value)),
        };
    }
}

/// On one line.
pub(super) fn inline(value: &Json) -> String {
    match value {
        Json::Null => "~".to_string(),
        Json::Bool(_) | Json::Number(_) => value.to_string(),
        Json::String(text) => plain(text),
        Json::Array(items) => {
            let items: Vec<_> = items.iter().map(inline).collect();
            format!("[{}]", items.join(", "))
        }
        Json::Object(entries) => {
            let entries: Vec<_> = entries
                .iter()
                .map(|(key, value)| format!("{}: {}", plain(key), inline(value)))
                .collect();
            match entries.is_empty() {
                true => "{}".to_string(),
                false => format!("{{ {} }}", entries.join(", ")),
            }
        }
    }
}

/// A word stands as it is, anything else in quotes, as JSON has them: that is YAML, too (YAML 1.2.2, 1.2).
fn plain(text: &str) -> String {
    let is_word = text.starts_with(|letter: char| letter.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    let is_nothing = matches!(text, "null" | "Null" | "NULL");
    match is_word && !is_nothing {
        true => text.to_string(),
        false => Json::from(text).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn groups_are_lines_and_odd_texts_are_quoted() {
        let tree = json!({
            "a": { "b": "5s", "c": ["x", "*"], "d": {}, "e": null },
            "f": [{ "g": "http://h/…", "i": true }],
            "null": "null",
        });
        let mut text = String::new();
        write(&tree, 0, &mut text);
        let expected = "a:\n  b: 5s\n  c: [x, \"*\"]\n  d: {}\n  e: ~\nf:\n  - { g: \"http://h/…\", i: true }\n\"null\": \"null\"\n";
        assert_eq!(text, expected);
    }
}

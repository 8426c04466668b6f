//! Reading values by key: form and range are checked, and every mistake is told where it stands.
//!
//! A reader gives `None` for what is left out and for what is wrong alike. The caller puts the
//! default in its place and goes on, so that one reading finds every mistake.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

pub(super) use super::complaints::{below, unknown_key};
use super::complaints::{quoted, report_doubles};
use super::finding::Findings;
use super::hidden::harmless;
use super::quantity;
use super::shape::{ANY_TEXT, ITEM, NAMED, SchemaRecorder, ValueShape};
use crate::config::yaml::{YamlEntry, YamlNode, YamlValue};
use forebay_core::vocabulary::node::interpolate;

/// The most items of a list, and of keys in a group.
pub(super) const ITEMS_MAX: usize = 1000;
/// The longest interpolated value, in bytes.
const VALUE_BYTES_MAX: usize = 8192;

/// What every reader needs: the environment, the whole file, and where to put findings.
pub(super) struct ReadContext<'a> {
    pub lookup: &'a dyn Fn(&str) -> Option<String>,
    pub root: &'a YamlNode,
    pub findings: &'a Findings,
    /// Notes what is looked for, where that is wanted instead of what stands in the file.
    pub recorder: Option<&'a SchemaRecorder>,
}

impl ReadContext<'_> {
    /// A mistake at the line of `path`, or of the nearest key above it.
    pub(super) fn error(&self, path: &str, message: impl Into<String>) {
        self.findings.error(self.root.line_of(path), path, message);
    }

    pub(super) fn warn(&self, path: &str, message: impl Into<String>) {
        self.findings.warn(self.root.line_of(path), path, message);
    }
}

/// A value, or the place where one might have stood.
#[derive(Clone)]
pub(super) struct Field<'a> {
    pub context: &'a ReadContext<'a>,
    pub path: String,
    pub line: usize,
    node: Option<&'a YamlNode>,
    has_key: bool,
}

/// A scalar: as it stands in the file, and with the environment put in.
pub(super) struct ScalarText<'a> {
    pub written: &'a str,
    pub value: String,
}

impl<'a> Field<'a> {
    pub(super) fn new(
        context: &'a ReadContext<'a>,
        path: String,
        line: usize,
        node: Option<&'a YamlNode>,
    ) -> Field<'a> {
        Field {
            context,
            path,
            line,
            node: node.filter(|node| !node.is_null()),
            has_key: node.is_some(),
        }
    }

    /// The value of a key below, of a group of free keys.
    pub(super) fn below(&self, entry: &'a YamlEntry) -> Field<'a> {
        let path = below(&self.path, &entry.key);
        Field::new(self.context, path, entry.line, Some(&entry.node))
    }

    /// Whether the key stands there, be it with nothing beside it.
    pub(super) fn has_key(&self) -> bool {
        self.has_key
    }

    pub(super) fn is_written(&self) -> bool {
        self.node.is_some()
    }

    /// Whether it is only noted what would be looked for.
    pub(super) fn is_noted(&self) -> bool {
        self.context.recorder.is_some()
    }

    fn note(&self, shape: impl FnOnce() -> ValueShape) {
        if let Some(recorder) = self.context.recorder {
            recorder.note(&self.path, shape);
        }
    }

    pub(super) fn error(&self, message: impl Into<String>) {
        self.context.findings.error(self.line, &self.path, message);
    }

    pub(super) fn warn(&self, message: impl Into<String>) {
        self.context.findings.warn(self.line, &self.path, message);
    }

    /// The value as it stands in the file, `${NAME}` untouched.
    pub(super) fn written(&self) -> Option<&'a str> {
        self.note(|| ValueShape::Text(ANY_TEXT.to_string()));
        match &self.node?.value {
            YamlValue::Scalar { text, .. } => Some(text),
            YamlValue::Sequence(_) | YamlValue::Mapping(_) => {
                self.error(format!("expected a single value, found {}", self.kind()));
                None
            }
        }
    }

    /// The value with the environment put in. A value that the environment leaves empty counts
    /// as left out.
    pub(super) fn text(&self) -> Option<ScalarText<'a>> {
        let written = self.written()?;
        match interpolate(written, self.context.lookup) {
            Ok(value) if value.len() > VALUE_BYTES_MAX => {
                self.error(format!("longer than {VALUE_BYTES_MAX} bytes"));
                None
            }
            Ok(value) if value.is_empty() && !written.is_empty() => None,
            Ok(value) => Some(ScalarText { written, value }),
            Err(why) => {
                self.error(harmless(&why));
                None
            }
        }
    }

    /// The value as `read` understands it; `form` says what it should have been.
    pub(super) fn parsed<T>(&self, form: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.note(|| ValueShape::Text(format!("expected {form}")));
        let text = self.text()?;
        let value = read(&text.value);
        if value.is_none() {
            self.error(format!("expected {form}, found {}", quoted(text.written)));
        }
        value
    }

    fn ranged<T: PartialOrd + Copy>(
        &self,
        form: &str,
        read: impl Fn(&str) -> Option<T>,
        range: RangeInclusive<T>,
        write: impl Fn(T) -> String,
    ) -> Option<T> {
        let value = self.parsed(form, read)?;
        if range.contains(&value) {
            return Some(value);
        }
        let written = self.written().unwrap_or_default();
        self.error(format!(
            "must be {} to {}, not {}",
            write(*range.start()),
            write(*range.end()),
            quoted(written),
        ));
        None
    }

    pub(super) fn duration(&self, range: RangeInclusive<Duration>) -> Option<Duration> {
        self.note(|| ValueShape::Duration(*range.start(), *range.end()));
        self.ranged(
            quantity::DURATION_FORM,
            quantity::duration,
            range,
            quantity::duration_text,
        )
    }

    /// Bytes.
    pub(super) fn size(&self, range: RangeInclusive<u64>) -> Option<u64> {
        self.note(|| ValueShape::Size(*range.start(), *range.end()));
        self.ranged(
            quantity::SIZE_FORM,
            quantity::size,
            range,
            quantity::size_text,
        )
    }

    /// A whole number; `range` must fit into `T`.
    pub(super) fn number<T: TryFrom<u64>>(&self, range: RangeInclusive<u64>) -> Option<T> {
        self.note(|| ValueShape::Number(*range.start(), *range.end()));
        let read = |text: &str| text.trim().parse().ok();
        let number = self.ranged("a whole number", read, range, |number| number.to_string())?;
        T::try_from(number).ok()
    }

    pub(super) fn decimal(&self, range: RangeInclusive<f64>) -> Option<f64> {
        self.note(|| ValueShape::Decimal(*range.start(), *range.end()));
        let read = |text: &str| text.trim().parse().ok();
        self.ranged("a number", read, range, |number| number.to_string())
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        self.note(|| ValueShape::Boolean);
        self.parsed("true or false", |text| match text.trim() {
            "true" | "True" | "TRUE" => Some(true),
            "false" | "False" | "FALSE" => Some(false),
            _ => None,
        })
    }

    pub(super) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        self.note(|| ValueShape::Choice(names.iter().map(ToString::to_string).collect()));
        self.parsed(&names.join(" or "), |text| {
            let chosen = choices.iter().find(|(name, _)| *name == text.trim());
            chosen.map(|(_, meaning)| *meaning)
        })
    }

    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.parsed(
            "an IP address and a port, as in `0.0.0.0:8545` or `[::]:8545`",
            |text| text.trim().parse().ok(),
        )
    }

    /// The items of a list; what is wrong with one doesn't hide the others. `None` when the list
    /// is left out or isn't one.
    pub(super) fn list<T>(&self, read: impl Fn(&Field<'a>) -> Option<T>) -> Option<Vec<T>> {
        if self.is_noted() {
            self.note(|| ValueShape::List);
            let path = format!("{}{ITEM}", self.path);
            read(&Field::new(self.context, path, self.line, None));
        }
        let YamlValue::Sequence(items) = &self.node?.value else {
            self.error(format!("expected a list, found {}", self.kind()));
            return None;
        };
        if items.len() > ITEMS_MAX {
            self.error(format!("more than {ITEMS_MAX} items"));
        }
        let fields = items
            .iter()
            .take(ITEMS_MAX)
            .enumerate()
            .map(|(index, item)| {
                let path = format!("{}[{index}]", self.path);
                Field::new(self.context, path, item.line, Some(item))
            });
        let read_item = |field: Field<'a>| {
            if !field.is_written() {
                field.error("an empty item");
            }
            read(&field)
        };
        Some(fields.filter_map(read_item).collect())
    }

    /// The group of keys that stands here; an unknown key and one written twice are errors.
    pub(super) fn section(&self, known: &[&str]) -> Section<'a> {
        self.note(|| ValueShape::Group(known.iter().map(ToString::to_string).collect()));
        let entries = self.entries();
        let mut told = HashSet::new();
        for entry in entries {
            if !known.contains(&entry.key.as_str()) && told.insert(&entry.key) {
                let message = unknown_key(&entry.key, known);
                self.below(entry).error(message);
            }
        }
        self.section_of(entries)
    }

    fn section_of(&self, entries: &'a [YamlEntry]) -> Section<'a> {
        Section {
            context: self.context,
            path: self.path.clone(),
            line: self.line,
            entries,
        }
    }

    /// The same group of keys, after it was read: nothing more is told of it.
    pub(super) fn group(&self) -> Section<'a> {
        let entries = match self.node.map(|node| &node.value) {
            Some(YamlValue::Mapping(entries)) => &entries[..entries.len().min(ITEMS_MAX)],
            Some(YamlValue::Scalar { .. } | YamlValue::Sequence(_)) | None => &[],
        };
        self.section_of(entries)
    }

    /// Keys with their values, whatever they are; one written twice is an error.
    pub(super) fn entries(&self) -> &'a [YamlEntry] {
        let Some(node) = self.node else {
            return &[];
        };
        let YamlValue::Mapping(entries) = &node.value else {
            self.error(format!("expected a group of keys, found {}", self.kind()));
            return &[];
        };
        report_doubles(self.context.findings, &self.path, entries);
        if entries.len() > ITEMS_MAX {
            self.error(format!("more than {ITEMS_MAX} keys"));
        }
        &entries[..entries.len().min(ITEMS_MAX)]
    }

    /// Keys of any name, each with a text.
    pub(super) fn texts(&self) -> &'a [YamlEntry] {
        self.note(|| ValueShape::Free);
        self.entries()
    }

    /// Groups by names of any kind; one written twice is an error. `None` when nothing stands there.
    pub(super) fn named<T>(&self, read: impl Fn(&str, &Field<'a>) -> Option<T>) -> Option<Vec<T>> {
        if self.is_noted() {
            self.note(|| ValueShape::Named);
            let path = format!("{}{NAMED}", self.path);
            read("", &Field::new(self.context, path, self.line, None));
        }
        self.node?;
        let entries = self.entries().iter();
        Some(
            entries
                .filter_map(|entry| read(&entry.key, &self.below(entry)))
                .collect(),
        )
    }

    fn kind(&self) -> &'static str {
        self.node.map_or("nothing", YamlNode::kind)
    }
}

/// A group of keys, read key by key.
pub(super) struct Section<'a> {
    context: &'a ReadContext<'a>,
    pub path: String,
    pub line: usize,
    entries: &'a [YamlEntry],
}

impl<'a> Section<'a> {
    pub(super) fn field(&self, key: &str) -> Field<'a> {
        let entry = self.entries.iter().find(|entry| entry.key == key);
        let line = entry.map_or(self.line, |entry| entry.line);
        let node = entry.map(|entry| &entry.node);
        Field::new(self.context, below(&self.path, key), line, node)
    }

    /// The first of `keys` that stands there, or would: where to tell of a quarrel between them.
    pub(super) fn first_written(&self, keys: &[&str]) -> Field<'a> {
        let written = keys.iter().find(|key| self.has(key));
        self.field(written.or(keys.first()).copied().unwrap_or_default())
    }

    /// Whether the key stands there, be it with nothing beside it.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }
}

#[cfg(test)]
mod tests {
    use super::ITEMS_MAX;
    use crate::config::tests::{finds, finds_nothing, reading, told, under_forebay};

    #[test]
    fn a_value_of_another_kind_is_told_what_was_expected() {
        for (text, expected) in [
            ("[]", "forebay: expected a group of keys, found a list"),
            (
                "text",
                "forebay: expected a group of keys, found a single value",
            ),
            ("{health: 5s}", "forebay.health: expected a group of keys"),
            (
                "{listen: {http: \"0.0.0.0:1\"}}",
                "forebay.listen.http: expected a list, found a single value",
            ),
            (
                "{listen: {http: [localhost:1]}}",
                "forebay.listen.http[0]: expected an IP address and a port",
            ),
            ("{listen: {http: [ , \"0.0.0.0:1\"]}}", "not YAML"),
            (
                "{listen: {http: [~, \"0.0.0.0:1\"]}}",
                "forebay.listen.http[0]: an empty item",
            ),
            (
                "{listen: {trusted_proxies: [10.0.0.1]}}",
                "expected a network",
            ),
            (
                "{listen: {https: [{address: \"0.0.0.0:1\", key: k}]}}",
                "`certificate` is missing",
            ),
            (
                "{health: {rise: 1.5}}",
                "expected a whole number, found `1.5`",
            ),
            (
                "{health: {rise: \"\"}}",
                "expected a whole number, found an empty text",
            ),
            (
                "{nodes: [http://a/key]}",
                "forebay.nodes[0]: expected a group of keys, found a single value",
            ),
            (
                "{nodes: [{url: http://a, leader: yes}]}",
                "expected true or false, found `yes`",
            ),
            (
                "{nodes: {url: http://a}}",
                "forebay.nodes: expected a list, found a group of keys",
            ),
            ("{methods: {deny: [\"\"]}}", "expected a method's name"),
            ("{methods: {deny: [a b]}}", "expected a method's name"),
            (
                "{cors: {origins: [\"https://a.example/\"]}}",
                "forebay.cors.origins[0]: expected `*` or an origin",
            ),
            ("{registry: {path: \" \"}}", "expected the path of a file"),
            (
                "{calls: {when_none_fit: panic}}",
                "expected fail_open or refuse",
            ),
        ] {
            let told = under_forebay(text);
            assert!(told[0].contains(expected), "{text}: {told:#?}");
        }
    }

    #[test]
    fn a_key_written_twice_is_a_mistake() {
        let told = told(&reading(
            "version: 1\nthreads: 1\nforebay:\n  health: {rise: 2}\n  calls: {}\n  health: {rise: 3}\nthreads: 2\n",
        ));
        assert_eq!(
            told,
            [
                "6: error: forebay.health: written twice, first on line 4",
                "7: error: threads: written twice, first on line 2",
            ]
        );
    }

    #[test]
    fn lists_and_groups_are_limited() {
        let list = |count: usize| format!("{{methods: {{deny: [{}]}}}}", "a,".repeat(count));
        finds_nothing(&list(ITEMS_MAX));
        finds(&list(ITEMS_MAX + 1), "more than 1000 items");
        let top =
            |count: usize| -> String { (0..count).map(|key| format!("key{key}:\n")).collect() };
        assert!(reading(&top(ITEMS_MAX)).settings.is_some());
        assert!(reading(&top(ITEMS_MAX + 1)).settings.is_none());
    }
}

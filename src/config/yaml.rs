//! YAML into a tree that knows its lines.
//!
//! Every scalar stays text; what it means is for the reader of its key to say. There are no
//! aliases and no tags in the tree, so it is never larger than the file.

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};

use super::finding::{Findings, shown};

/// The deepest nesting that we read; our own keys need six.
pub(super) const DEPTH_MAX: usize = 32;

/// A value and the line, counted from 1, on which it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct YamlNode {
    pub line: usize,
    pub value: YamlValue,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum YamlValue {
    Scalar {
        text: String,
        /// Quoted or a block: `"null"` is a word, `null` is nothing.
        quoted: bool,
    },
    Sequence(Vec<YamlNode>),
    Mapping(Vec<YamlEntry>),
}

/// A key, where it stands, and its value. Keys may occur twice; the reader says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct YamlEntry {
    pub key: String,
    pub line: usize,
    pub node: YamlNode,
}

impl YamlNode {
    pub(super) fn is_null(&self) -> bool {
        match &self.value {
            YamlValue::Scalar { text, quoted } => {
                !quoted && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL")
            }
            YamlValue::Sequence(_) | YamlValue::Mapping(_) => false,
        }
    }

    /// What kind of thing it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match &self.value {
            YamlValue::Scalar { .. } if self.is_null() => "nothing",
            YamlValue::Scalar { .. } => "a single value",
            YamlValue::Sequence(_) => "a list",
            YamlValue::Mapping(_) => "a group of keys",
        }
    }

    /// The entry of `key` in a mapping.
    pub(super) fn entry(&self, key: &str) -> Option<&YamlEntry> {
        match &self.value {
            YamlValue::Mapping(entries) => entries.iter().find(|entry| entry.key == key),
            YamlValue::Scalar { .. } | YamlValue::Sequence(_) => None,
        }
    }

    /// The line of the key at a dotted path such as `forebay.nodes[1].url`; if it isn't in the
    /// file, the line of the nearest key above it that is.
    pub(super) fn line_of(&self, path: &str) -> usize {
        self.place_of(path).0
    }

    /// Whether there is a key at that path.
    pub(super) fn holds(&self, path: &str) -> bool {
        self.place_of(path).1
    }

    /// The line, and whether it is that of the key itself.
    fn place_of(&self, path: &str) -> (usize, bool) {
        let mut at = self;
        let mut line = self.line;
        for step in path.split(['.', '[']).filter(|step| !step.is_empty()) {
            let found = match &at.value {
                YamlValue::Sequence(items) => step
                    .trim_end_matches(']')
                    .parse::<usize>()
                    .ok()
                    .and_then(|index| items.get(index))
                    .map(|item| (item.line, item)),
                YamlValue::Scalar { .. } | YamlValue::Mapping(_) => {
                    at.entry(step).map(|entry| (entry.line, &entry.node))
                }
            };
            match found {
                Some(found) => (line, at) = found,
                None => return (line, false),
            }
        }
        (line, true)
    }
}

/// Reads one YAML document. `None`, with an error among the findings, when it isn't one; an
/// empty text is a null at line 1.
pub(super) fn parse(text: &str, findings: &Findings) -> Option<YamlNode> {
    if let Some((line, letter)) = control_character(text) {
        let code = u32::from(letter);
        let message = format!("the character U+{code:04X} has no place in a text file");
        findings.error(line, "", message);
        return None;
    }
    let mut tree = YamlTree::default();
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let taken = match event {
            Ok((event, span)) => tree.take(event, span),
            Err(why) => Err(syntax_fault(text, &why)),
        };
        if let Err(fault) = taken {
            findings.error(fault.line, "", fault.message);
            return None;
        }
    }
    Some(tree.root.unwrap_or_else(nothing))
}

/// A file without a word.
pub(super) fn nothing() -> YamlNode {
    let value = YamlValue::Scalar {
        text: String::new(),
        quoted: false,
    };
    YamlNode { line: 1, value }
}

fn control_character(text: &str) -> Option<(usize, char)> {
    let odd =
        |letter: char| letter.is_control() && !matches!(letter, '\t' | '\n' | '\r' | '\u{85}');
    let (at, letter) = text.char_indices().find(|(_, letter)| odd(*letter))?;
    Some((line_at(text, at), letter))
}

fn line_at(text: &str, at: usize) -> usize {
    1 + text.as_bytes()[..at]
        .iter()
        .filter(|byte| **byte == b'\n')
        .count()
}

struct YamlError {
    line: usize,
    message: String,
}

fn fault<T>(line: usize, message: impl Into<String>) -> Result<T, YamlError> {
    let message = message.into();
    Err(YamlError { line, message })
}

/// What the scanner tripped over, in our words where it is the usual thing.
fn syntax_fault(text: &str, why: &ScanError) -> YamlError {
    let line = why.marker().line().max(1);
    let row = |line: usize| text.lines().nth(line - 1).unwrap_or("");
    let indented_by_tab = |line: &usize| {
        let row = row(*line);
        row[..row.len() - row.trim_start().len()].contains('\t')
    };
    // The scanner notices a tab on its own line or on the one that it ends.
    if let Some(line) = [line, line + 1].into_iter().find(indented_by_tab) {
        let message = "a tab can't indent YAML; use spaces".to_string();
        return YamlError { line, message };
    }
    let hint = match row(line).contains("${") {
        true => "; between brackets, `${NAME}` needs quotes around it",
        false => "",
    };
    let message = format!("not YAML: {}{hint}", shown(why.info()));
    YamlError { line, message }
}

/// A mapping or sequence whose end hasn't come yet.
struct OpenCollection {
    node: YamlNode,
    /// The key whose value comes next.
    key: Option<(String, usize)>,
}

/// The tree as it grows, event by event.
#[derive(Default)]
struct YamlTree {
    root: Option<YamlNode>,
    open: Vec<OpenCollection>,
    documents: usize,
}

impl YamlTree {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), YamlError> {
        let line = span.start.line();
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.documents += 1;
                match self.documents {
                    1 => Ok(()),
                    _ => fault(line, "a second document begins; one file holds one"),
                }
            }
            Event::Alias(_) => fault(line, "aliases (`*name`) aren't read here; write the value"),
            Event::Scalar(text, style, _, tag) => {
                untagged(line, tag.as_deref())?;
                let quoted = style != ScalarStyle::Plain;
                let text = text.into_owned();
                self.place(line, YamlValue::Scalar { text, quoted })
            }
            Event::SequenceStart(_, tag) => {
                self.begin(line, tag.as_deref(), YamlValue::Sequence(Vec::new()))
            }
            Event::MappingStart(_, tag) => {
                self.begin(line, tag.as_deref(), YamlValue::Mapping(Vec::new()))
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) => self.place(open.node.line, open.node.value),
                None => Ok(()),
            },
        }
    }

    fn begin(&mut self, line: usize, tag: Option<&Tag>, value: YamlValue) -> Result<(), YamlError> {
        untagged(line, tag)?;
        if self.open.len() >= DEPTH_MAX {
            return fault(line, format!("nested deeper than {DEPTH_MAX} levels"));
        }
        let node = YamlNode { line, value };
        self.open.push(OpenCollection { node, key: None });
        Ok(())
    }

    /// Puts a complete value where it belongs: into what is open, or at the root.
    fn place(&mut self, line: usize, value: YamlValue) -> Result<(), YamlError> {
        let node = YamlNode { line, value };
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut open.node.value {
            YamlValue::Scalar { .. } => {}
            YamlValue::Sequence(items) => items.push(node),
            YamlValue::Mapping(entries) => match open.key.take() {
                Some((key, line)) => entries.push(YamlEntry { key, line, node }),
                None => open.key = Some(key(node)?),
            },
        }
        Ok(())
    }
}

fn key(node: YamlNode) -> Result<(String, usize), YamlError> {
    match node.value {
        YamlValue::Scalar { text, .. } => Ok((text, node.line)),
        YamlValue::Sequence(_) | YamlValue::Mapping(_) => {
            fault(node.line, "a key must be a word, not a list or a group")
        }
    }
}

fn untagged(line: usize, tag: Option<&Tag>) -> Result<(), YamlError> {
    match tag {
        Some(tag) if !tag.is_yaml_core_schema() => fault(
            line,
            "tags (`!name`) aren't read here; a value that begins with `!` needs quotes",
        ),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::finding::Finding;

    fn read(text: &str) -> Result<YamlNode, Finding> {
        let findings = Findings::default();
        let node = parse(text, &findings);
        let mut list = findings.into_sorted();
        node.ok_or_else(|| list.remove(0))
    }

    #[test]
    fn each_key_knows_its_line() {
        let root = read("a: 1\nb:\n  c: [x,\n    y]\n  # nothing\n  d: {e: 2}\n").unwrap();
        for (path, line) in [
            ("a", 1),
            ("b", 2),
            ("b.c", 3),
            ("b.c[1]", 4),
            ("b.d.e", 6),
            ("b.missing.too", 2),
            ("b.c[7]", 3),
            ("a.below", 1),
            ("nowhere", 1),
        ] {
            assert_eq!(root.line_of(path), line, "{path}");
        }
    }

    #[test]
    fn an_empty_text_is_nothing() {
        for text in ["", "\n\n", "# only a comment\n", "---\n", "\u{feff}", "~"] {
            assert!(read(text).unwrap().is_null(), "{text:?}");
        }
        assert!(!read("\"\"").unwrap().is_null());
        assert!(!read("'null'").unwrap().is_null());
    }

    #[test]
    fn a_syntax_mistake_is_told_with_its_line() {
        for (text, line, says) in [
            ("a: 1\nb: [1,\nc: 2\n", 3, "not YAML"),
            ("a:\n  b: 1\n\tc: 2\n", 3, "a tab can't indent"),
            ("a:\n\tb: 1\n", 2, "a tab can't indent"),
            ("a: 1\n---\nb: 2\n", 2, "a second document"),
            ("a: &x 1\nb: *x\n", 2, "aliases"),
            ("a: 1\nb: !Ref c\n", 2, "tags"),
            ("a: 1\nb\u{0}: 2\n", 2, "U+0000"),
            ("a: 1\n? [b]\n: 2\n", 2, "a key must be a word"),
            ("a: \"x\n", 1, "not YAML"),
            ("a: [x, ${NAME}]\n", 1, "needs quotes"),
        ] {
            let finding = read(text).unwrap_err();
            assert!(finding.message.contains(says), "{text:?}: {finding}");
            assert_eq!(finding.line, line, "{text:?}: {finding}");
        }
    }

    #[test]
    fn nesting_is_limited() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(read(&nested(DEPTH_MAX)).is_ok());
        let finding = read(&nested(DEPTH_MAX + 1)).unwrap_err();
        assert!(finding.message.contains("deeper"), "{finding}");
        assert!(read(&"[".repeat(1 << 20)).is_err());
        assert!(read(&"- ".repeat(1 << 19)).is_err());
    }
}

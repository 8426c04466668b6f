//! What reading a file found: mistakes and unwise settings, each with its line and key.
//!
//! A finding shows what stands in the file, never what the environment put in its place, and
//! nothing of a URL.

use std::cell::{Cell, RefCell};
use std::fmt;

/// The most findings kept of one file; the rest is only counted.
pub const FINDINGS_MAX: usize = 200;
/// The longest piece of a file that a finding shows, in characters.
const SHOWN_CHARS_MAX: usize = 60;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// A mistake: the file can't be used.
    Error,
    /// Unwise, or without effect.
    Warning,
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// One thing to say about a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    /// Counted from 1.
    pub line: usize,
    /// The dotted path of the key (`forebay.nodes[0].url`); empty when the whole file is meant.
    pub key: String,
    /// One lower-case sentence without a full stop.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: ", self.line, self.severity.as_str())?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// Collects findings while a file is read.
#[derive(Debug, Default)]
pub(super) struct Findings {
    list: RefCell<Vec<Finding>>,
    errors: Cell<usize>,
    left_out: Cell<usize>,
}

impl Findings {
    pub(super) fn error(&self, line: usize, key: &str, message: impl Into<String>) {
        self.tell(Severity::Error, line, key, message.into());
    }

    pub(super) fn warn(&self, line: usize, key: &str, message: impl Into<String>) {
        self.tell(Severity::Warning, line, key, message.into());
    }

    pub(super) fn tell(&self, severity: Severity, line: usize, key: &str, message: String) {
        if severity == Severity::Error {
            self.errors.set(self.errors.get() + 1);
        }
        let mut list = self.list.borrow_mut();
        if list.len() >= FINDINGS_MAX {
            self.left_out.set(self.left_out.get() + 1);
            return;
        }
        list.push(Finding {
            severity,
            line: line.max(1),
            key: key.to_string(),
            message,
        });
    }

    /// How many mistakes so far, those left out of the list included.
    pub(super) fn errors(&self) -> usize {
        self.errors.get()
    }

    /// Whether this was told of this line.
    pub(super) fn has(&self, line: usize, message: &str) -> bool {
        let list = self.list.borrow();
        let mut there = list.iter();
        there.any(|found| found.line == line && found.message == message)
    }

    /// Whether no mistake was found at `path` or below it.
    pub(super) fn is_sound(&self, path: &str) -> bool {
        let is_there = |key: &str| {
            let rest = key.strip_prefix(path);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let list = self.list.borrow();
        let mut errors = list
            .iter()
            .filter(|found| found.severity == Severity::Error);
        self.left_out.get() == 0 && !errors.any(|found| is_there(&found.key))
    }

    /// All findings by line, and a last one that counts those left out.
    pub(super) fn into_sorted(self) -> Vec<Finding> {
        let mut list = self.list.into_inner();
        list.sort_by_key(|finding| finding.line);
        let left_out = self.left_out.get();
        if left_out > 0 {
            let severity = if self.errors.get() > 0 {
                Severity::Error
            } else {
                Severity::Warning
            };
            list.push(Finding {
                severity,
                line: list.last().map_or(1, |last| last.line),
                key: String::new(),
                message: format!("{left_out} more findings are left out"),
            });
        }
        list
    }
}

/// A piece of the file as a finding may show it: on one line, not long, and no URL, because the
/// path of a URL may hold a key.
pub(super) fn shown(text: &str) -> String {
    if text.contains("//") {
        return "[a URL]".to_string();
    }
    let mut shown = String::new();
    for letter in text.chars().take(SHOWN_CHARS_MAX) {
        match letter.is_control() || letter == '`' {
            true => shown.extend(letter.escape_default()),
            false => shown.push(letter),
        }
    }
    if text.chars().nth(SHOWN_CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_short_on_one_line_and_no_url() {
        assert_eq!(shown("intervall"), "intervall");
        assert_eq!(shown("a\nb\u{1b}[31m"), "a\\nb\\u{1b}[31m");
        assert_eq!(shown("https://node.example/v3/key"), "[a URL]");
        assert_eq!(shown(&"x".repeat(SHOWN_CHARS_MAX)).chars().count(), 60);
        assert_eq!(shown(&"x".repeat(SHOWN_CHARS_MAX + 1)).chars().count(), 61);
    }

    #[test]
    fn findings_are_limited_and_the_rest_is_counted() {
        for (count, kept) in [(FINDINGS_MAX, FINDINGS_MAX), (201, FINDINGS_MAX + 1)] {
            let findings = Findings::default();
            for line in (0..count).rev() {
                findings.error(line, "a", "b");
            }
            assert_eq!(findings.errors(), count);
            let list = findings.into_sorted();
            assert_eq!(list.len(), kept);
            assert!(list.windows(2).all(|pair| pair[0].line <= pair[1].line));
        }
    }
}

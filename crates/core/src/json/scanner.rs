//! Finds its way through JSON text without decoding it: where values, members and elements stand.
//!
//! The text is well formed, or the start of such a text: what was cut off is not found. Whatever
//! else comes in, nothing panics, and every range lies within the text.

use std::ops::Range;

use bytes::Bytes;

use super::grammar::plain_end;

/// The first byte from `at` on that is no white space.
pub fn skip_space(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let space = rest.iter().take_while(|byte| byte.is_ascii_whitespace());
    at + space.count()
}

/// Where the value that begins at `at` ends; `None` if it is cut off.
pub fn value_end(text: &[u8], at: usize) -> Option<usize> {
    match text.get(at)? {
        b'"' => string_end(text, at),
        b'{' | b'[' => nested_end(text, at),
        _ => {
            let ends =
                |byte: &u8| matches!(byte, b',' | b'}' | b']' | b':') || byte.is_ascii_whitespace();
            text[at..].iter().position(ends).map(|length| at + length)
        }
    }
}

fn string_end(text: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        at = plain_end(text, at);
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

fn nested_end(text: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0usize;
    loop {
        match text.get(at)? {
            b'"' => {
                at = string_end(text, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
}

/// Where the elements of the array stand that begins at `at`, white space left out.
pub fn elements(text: &[u8], at: usize) -> Elements<'_> {
    let begins = text.get(at) == Some(&b'[');
    Elements {
        text,
        at: begins.then_some(at + 1),
    }
}

/// See [`elements`].
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    text: &'a [u8],
    /// Before the next element; `None` after the last.
    at: Option<usize>,
}

impl Iterator for Elements<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let start = skip_space(self.text, self.at.take()?);
        if self.text.get(start) == Some(&b']') {
            return None;
        }
        let end = value_end(self.text, start)?;
        self.at = after_comma(self.text, end);
        (end > start).then_some(start..end)
    }
}

/// Where keys (with their quotes) and values of the object stand that begins at `at`.
pub fn members(text: &[u8], at: usize) -> Members<'_> {
    let begins = text.get(at) == Some(&b'{');
    Members {
        text,
        at: begins.then_some(at + 1),
    }
}

/// The object at the beginning of `text` without the members of which `leaves` says so, by their keys
/// with quotes. What stays, stays byte for byte, but for white space between members.
pub fn without(text: &[u8], leaves: impl Fn(&[u8]) -> bool) -> Bytes {
    let mut whole = Vec::with_capacity(text.len().min(1024));
    for (key, value) in members(text, 0).filter(|(key, _)| !leaves(&text[key.clone()])) {
        whole.push(if whole.is_empty() { b'{' } else { b',' });
        whole.extend_from_slice(&text[key]);
        whole.push(b':');
        whole.extend_from_slice(&text[value]);
    }
    if whole.is_empty() {
        whole.push(b'{');
    }
    whole.push(b'}');
    Bytes::from(whole)
}

/// See [`members`].
#[derive(Clone, Debug)]
pub struct Members<'a> {
    text: &'a [u8],
    at: Option<usize>,
}

impl Iterator for Members<'_> {
    type Item = (Range<usize>, Range<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        let start = skip_space(self.text, self.at.take()?);
        if self.text.get(start) != Some(&b'"') {
            return None;
        }
        let end = string_end(self.text, start)?;
        let colon = skip_space(self.text, end);
        if self.text.get(colon) != Some(&b':') {
            return None;
        }
        let value = skip_space(self.text, colon + 1);
        let value_end = value_end(self.text, value)?;
        self.at = after_comma(self.text, value_end);
        Some((start..end, value..value_end))
    }
}

/// Where the value of `key` (with its quotes) begins in the object at `at`, be it cut off or not.
pub fn member_start(text: &[u8], at: usize, key: &[u8]) -> Option<usize> {
    let mut members = members(text, at);
    loop {
        let begin = members.at;
        match members.next() {
            Some((name, value)) if &text[name.clone()] == key => return Some(value.start),
            Some(_) => {}
            // The last one may be cut off within its value.
            None => {
                let start = skip_space(text, begin?);
                let end = string_end(text, start).filter(|end| &text[start..*end] == key)?;
                let colon = skip_space(text, end);
                let is_colon = text.get(colon) == Some(&b':');
                return is_colon.then(|| skip_space(text, colon + 1));
            }
        }
    }
}

fn after_comma(text: &[u8], at: usize) -> Option<usize> {
    let comma = skip_space(text, at);
    (text.get(comma) == Some(&b',')).then_some(comma + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(text: &str) -> Vec<&str> {
        elements(text.as_bytes(), 0).map(|at| &text[at]).collect()
    }

    #[test]
    fn elements_are_found_as_written() {
        assert_eq!(
            texts(r#"[ "a\"]," , {"b":[1]},[ ] ,null ,1e3]"#),
            [r#""a\"],""#, r#"{"b":[1]}"#, "[ ]", "null", "1e3"]
        );
        assert!(texts("[]").is_empty() && texts(" []").is_empty() && texts("{}").is_empty());
        assert_eq!(texts("[1,2"), ["1"], "what is cut off is not found");
    }

    #[test]
    fn members_are_found_as_written() {
        let text = r#"{ "a" : "x" ,"b":{"a":1}, "c":[1"#;
        let found: Vec<_> = members(text.as_bytes(), 0)
            .map(|(key, value)| (&text[key], &text[value]))
            .collect();
        assert_eq!(found, [("\"a\"", "\"x\""), ("\"b\"", r#"{"a":1}"#)]);
    }

    #[test]
    fn a_member_is_found_though_its_value_is_cut_off() {
        for (text, wanted) in [
            (r#"{"id":1, "result" : {"number":"0x1","#, Some(20)),
            (r#"{"result":[1],"id":1}"#, Some(10)),
            (r#"{"id":{"result":1"#, None),
            (r#"{"id":1}"#, None),
            (r#"{"resu"#, None),
            ("x", None),
        ] {
            assert_eq!(
                member_start(text.as_bytes(), 0, b"\"result\""),
                wanted,
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn nothing_panics_and_every_range_lies_within(text in r#"[\[\]{}",: a-c0-9\\]{0,60}"#) {
            let bytes = text.as_bytes();
            for at in elements(bytes, 0) {
                prop_assert!(at.start < at.end && at.end <= bytes.len());
            }
            member_start(bytes, 0, b"\"a\"");
            for (key, value) in members(bytes, 0) {
                prop_assert!(key.end <= value.start && value.end <= bytes.len());
            }
        }
    }
}
